/* Other people's clients on members of Fleet: nothing of their scripts knows of it. Each suite is a
 * script of its own in this folder that prints what failed. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/clients/gateway_rig.h"
#include "tests/support/testing.h"

enum { SUITE_MS = 60000 };

static const struct rig_opts usual = {.members = 4,
                                      .max_requests = 1000,
                                      .isolation = ISOLATION_CONTEXT,
                                      .browser = BROWSER_HEADLESS_SHELL};

static void suite(const char *name)
{
    struct rig *r = rig_open(&usual);
    int code = rig_node(r, name, SUITE_MS);

    rig_close(&r);
    assert_int_equal(code, 0);
}

static void test_puppeteer(void **state)
{
    (void)state;
    suite("tests/clients/puppeteer.mjs");
}

static void test_playwright(void **state)
{
    (void)state;
    suite("tests/clients/playwright.mjs");
}

/* For a person: the address, until the standard input ends. */
static void hold(void)
{
    struct rig *r = rig_open(&usual);

    printf("FLEET_URL=http://127.0.0.1:%u FLEET_TOKEN=%s SITE=http://127.0.0.1:%u "
           "SITE2=http://localhost:%u\n",
           rig_port(r), rig_token(r), rig_site_port(r), rig_site_port(r));
    fflush(stdout);
    for (;;)
        loop_run_once(rig_loop(r), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_puppeteer),
        cmocka_unit_test(test_playwright),
    };

    if (getenv("GATEWAY_HOLD") != NULL)
        hold();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
