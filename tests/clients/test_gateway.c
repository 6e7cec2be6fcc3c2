/* Other people's clients on members of Fleet: nothing of their scripts knows of it. Each suite is a
 * script of its own in this folder that prints what failed. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/clients/gateway_rig.h"
#include "tests/support/testing.h"

enum { SUITE_MS = 60000 };

/* The full browser: tabs, site isolation, and a process a member. */
static void test_full_browser(void **state)
{
    static const struct rig_opts o = {.members = 2,
                                      .max_requests = 1000,
                                      .isolation = ISOLATION_PROCESS,
                                      .browser = BROWSER_CHROMIUM};
    struct rig *r;
    int code;

    (void)state;
    r = rig_open(&o);
    code = rig_node(r, "tests/clients/full.mjs", SUITE_MS);
    rig_close(&r);
    assert_int_equal(code, 0);
}

static void test_stopped_instance(void **state)
{
    static const struct rig_opts o = {.members = 2,
                                      .max_requests = 1000,
                                      .isolation = ISOLATION_PROCESS,
                                      .browser = BROWSER_HEADLESS_SHELL};
    struct rig *r;
    int code;

    (void)state;
    r = rig_open(&o);
    code = rig_node(r, "tests/clients/stopped.mjs", SUITE_MS);
    rig_close(&r);
    assert_int_equal(code, 0);
}

/* A script that asks for eight pages at once of a host that bears four a second gets all of them,
 * none sooner than the limit allows: what it is held to is seen from the site. Each document, each
 * command that acts and the lease itself are in the log. */
static void test_rude_is_slowed(void **state)
{
    static const struct rig_opts o = {
        .members = 1, .max_requests = 4, .browser = BROWSER_HEADLESS_SHELL};
    struct rig *r;
    int code;

    (void)state;
    r = rig_open(&o);
    code = rig_node(r, "tests/clients/rude.mjs", SUITE_MS);
    assert_int_equal(code, 0);
    assert_true(rig_log_has(r, "\"op\":\"page.document\"", 12));
    assert_true(rig_log_has(r, "\"op\":\"gateway.Page.navigate\"", 12));
    assert_true(rig_log_has(r, "\"op\":\"gateway.Target.createTarget\"", 12));
    assert_true(rig_log_has(r, "\"kind\":\"lease.open\"", 1));
    assert_true(rig_log_has(r, "\"kind\":\"lease.close\"", 1));
    rig_close(&r);
}

/* Without leave in the configuration no address of this machine is reached, and the log says who
 * tried. */
static void test_private_networks(void **state)
{
    static const struct rig_opts o = {.members = 1,
                                      .max_requests = 100,
                                      .browser = BROWSER_HEADLESS_SHELL,
                                      .private_networks_no = true};
    struct rig *r;
    int code;

    (void)state;
    r = rig_open(&o);
    code = rig_node(r, "tests/clients/local.mjs", SUITE_MS);
    assert_int_equal(code, 0);
    assert_int_equal(rig_site_count(r), 0);
    assert_true(rig_log_has(r, "POLICY_DENIED", 1));
    rig_close(&r);
}

/* For a person: the address, until the standard input ends. */
static void hold(void)
{
    struct rig *r = rig_open(&rig_usual);

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
        RIG_SUITE(puppeteer),
        RIG_SUITE(playwright),
        RIG_SUITE(others),
        RIG_SUITE(hostile),
        cmocka_unit_test(test_full_browser),
        cmocka_unit_test(test_rude_is_slowed),
        cmocka_unit_test(test_private_networks),
        cmocka_unit_test(test_stopped_instance),
    };

    if (getenv("GATEWAY_HOLD") != NULL)
        hold();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
