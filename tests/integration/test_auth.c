/* A server or a proxy wants a password that nobody gives: the page and the task get the answer
 * that came with the challenge, on both browsers, and nothing waits. */
#include <stdlib.h>

#include "tests/integration/flow_pages.h"
#include "tests/support/testing.h"

#define BASIC  "WWW-Authenticate: Basic realm=\"door\"\r\n"
#define DIGEST "WWW-Authenticate: Digest realm=\"door\", nonce=\"n\", qop=\"auth\"\r\n"

static void documents(void **state)
{
    (void)state;
    flow_serve("/basic", 401, BASIC, "<title>no</title><p>who are you");
    flow_serve("/digest", 401, DIGEST, "<title>no</title><p>who are you");
    flow_expect_fail(GO("basic") "{'type': 'sleep', 'ms': 1}", STATUS_HTTP_4XX, "401");
    flow_expect_fail(GO("digest") "{'type': 'sleep', 'ms': 1}", STATUS_HTTP_4XX, "401");
    flow_expect_fail("{'type': 'navigate', 'url': 'http://me:wrong@a.test/basic'}", STATUS_HTTP_4XX,
                     "401");
}

/* Of scripts, frames and pop-ups. */
static void of_pages(void **state)
{
    (void)state;
    flow_serve("/basic", 401, BASIC, "<title>no</title><p id=p>who are you");
    flow_expect(GO("form.html") "{'type': 'set', 'name': 's', 'output': true, 'expression': "
                                "'fetch(^/basic^).then(r => r.status)'}",
                "{\"s\":401}");
    flow_serve("/asks", 200, "",
               "<iframe src=/basic onload='n=1'></iframe>"
               "<script>n=0;open('/basic')</script>");
    flow_expect(GO("asks") "{'type': 'waitForExpression', 'expression': 'n == 1'}, "
                           "{'type': 'set', 'name': 't', 'output': true, 'expression': "
                           "'frames[0].document.querySelector(^p^).textContent'}",
                "{\"t\":\"who are you\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {FLOW_CASE(documents), FLOW_CASE(of_pages)};
    int failed =
        cmocka_run_group_tests_name("headless-shell", tests, flow_setup_all, flow_teardown_all);

    setenv("FLOW_BROWSER", "chromium", 1);
    return failed +
           cmocka_run_group_tests_name("chromium", tests, flow_setup_all, flow_teardown_all);
}
