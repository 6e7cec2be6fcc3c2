/* How navigations end that go nowhere, and pages that do not answer. What must hold: a page that is
 * alive is never called hung; a document that the gate refuses ends the step that led to it, or the
 * one after it, and never a task that succeeded; a page that hangs costs its heartbeat and no more.
 */
#include "tests/integration/flow_pages.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/testing.h"

#define PAGE(text) "<!doctype html><title>t</title><p>here" text

/* --- navigations that end nowhere --- */

static void silent_servers(void **state)
{
    (void)state;
    flow_heartbeat(400); /* the page owes nothing while a server is silent */
    flow_serve("/silent", 200, "", "@silent");
    flow_expect_fail("{'type': 'navigate', 'url': 'http://a.test/silent', 'timeout': 900}",
                     STATUS_TIMEOUT, "http://a.test/silent did not answer by the deadline");
    flow_expect_fail(GO("form.html") "{'type': 'navigate', 'url': 'http://a.test/silent', "
                                     "'timeout': 900}",
                     STATUS_TIMEOUT, "did not answer by the deadline");
    flow_expect_fail(GO("form.html") "{'type': 'set', 'name': 'x', 'expression': "
                                     "'void(location=^/silent^)'}, {'type': 'waitForElement', "
                                     "'selectors': ['#none'], 'timeout': 900}",
                     STATUS_TIMEOUT, "on its way from http://a.test/form.html to a document");
    /* The page is where it was, and answers. */
    flow_expect(GO("form.html") "{'type': 'navigate', 'url': 'http://a.test/silent', 'timeout': "
                                "1000, 'optional': true}, {'type': 'set', 'name': 'u', "
                                "'expression': 'location.pathname', 'output': true}",
                "{\"u\":\"/form.html\"}");
    assert_string_equal(flow_events(), "");
}

static void redirect_loops(void **state)
{
    (void)state;
    flow_serve("/loop", 302, "Location: /loop\r\n", "");
    flow_expect_fail(GO("loop") "{'type': 'sleep', 'ms': 1}", STATUS_NAVIGATION_FAILED,
                     "redirect loop: 20 redirects from http://a.test/loop");
    flow_serve("/empty", 200, "", "@close");
    flow_expect_fail(GO("empty") "{'type': 'sleep', 'ms': 1}", STATUS_NAVIGATION_FAILED,
                     "without an answer (net::ERR_EMPTY_RESPONSE)");
}

#define X ", {'type': 'extract', 'fields': {'p': {'selector': '#never', 'required': true}}}"

static void refused_ways(void **state)
{
    static const struct {
        const char *path, *body, *then;
    } ways[] = {
        {"/script", PAGE("<script>location='http://denied.test/'</script>"), ""},
        {"/replace", PAGE("<script>onload=()=>location.replace('http://denied.test/')</script>"),
         X},
        {"/meta", "<meta http-equiv=refresh content='0;url=http://denied.test/'><p>here", X},
        {"/late", PAGE("<script>setTimeout(()=>location='http://denied.test/',150)</script>"), X},
        {"/asleep", PAGE("<script>setTimeout(()=>location='http://denied.test/',150)</script>"),
         ", {'type': 'sleep', 'ms': 8000}"},
        {"/popup", PAGE("<script>window.open('http://denied.test/')</script>"), X},
        {"/late-popup",
         PAGE("<script>setTimeout(()=>window.open('http://denied.test/'),100)</script>"), X},
        {"/form",
         PAGE("<form method=post action='http://denied.test/'></form>"
              "<script>onload=()=>document.forms[0].submit()</script>"),
         X},
    };

    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char steps[400];

        flow_serve(ways[i].path, 200, "", ways[i].body);
        (void)snprintf(steps, sizeof steps, "{'type': 'navigate', 'url': 'http://a.test%s'}%s",
                       ways[i].path, ways[i].then);
        flow_expect_fail(steps, STATUS_POLICY_DENIED, "denied.test is denied by policy");
    }
}

/* Whatever refuses a document, and whatever leads to it: the status says who did, and the host is
 * not asked for anything. */
static void refused_by(void **state)
{
    static const struct {
        const char *host;
        enum status status;
        const char *text;
    } who[] = {
        {"robots.test", STATUS_ROBOTS_DENIED, "http://robots.test/"},
        {"broken.test", STATUS_BREAKER_OPEN, "the breaker of broken.test is open"},
        {"denied.test", STATUS_POLICY_DENIED, "denied.test is denied by policy"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof who / sizeof who[0]; i++) {
        static char page[300]; /* borrowed by the site */

        (void)snprintf(page, sizeof page,
                       PAGE("<a href='http://%s/x'>go</a><script>addEventListener('keydown',()=>"
                            "location='http://%s/y')</script>"),
                       who[i].host, who[i].host);
        flow_serve("/leads", 200, "", page);
        flow_expect_fail(GO("leads") "{'type': 'click', 'selectors': ['a']}" X, who[i].status,
                         who[i].text);
        assert_int_equal(tried.error_step, 1); /* the click, not what comes after it */
        flow_expect_fail(GO("leads") "{'type': 'keyDown', 'key': 'a'}" X, who[i].status,
                         who[i].text);
        assert_int_equal(flow_asked(who[i].host), 0);
    }
}

/* A frame is not the page: what it is refused fails nothing. */
static void refused_frames(void **state)
{
    (void)state;
    flow_serve("/framed", 200, "",
               PAGE("<iframe src='http://denied.test/'></iframe><p id=ok>fine"));
    flow_expect(GO("framed") "{'type': 'extract', 'fields': {'t': '#ok'}}", "{\"t\":\"fine\"}");
}

/* --- pages that do not answer --- */

static void hung_scripts(void **state)
{
    (void)state;
    flow_heartbeat(300);
    flow_serve("/hang-load", 200, "", "<title>h</title><script>for(;;);</script>");
    flow_expect_fail(GO("hang-load") "{'type': 'sleep', 'ms': 1}", STATUS_PAGE_HUNG,
                     "the page did not answer for");
    assert_string_equal(flow_events(), "page killed");
    flow_expect_fail(GO("hang") "{'type': 'click', 'selectors': ['button']}, {'type': 'sleep', "
                                "'ms': 20000}",
                     STATUS_PAGE_HUNG, "step 1 (click)");
    flow_serve("/hang-later", 200, "",
               PAGE("<script>setTimeout(()=>{for(;;);},200)</script><p id=p>"));
    flow_expect_fail(GO("hang-later") "{'type': 'waitForElement', 'selectors': ['#x'], "
                                      "'timeout': 20000}",
                     STATUS_PAGE_HUNG, "step 1 (waitForElement)");
    /* The next attempt has a page. */
    flow_expect(GO("form.html") "{'type': 'sleep', 'ms': 1}", "null");
}

/* A page that is busy, but says something now and then, is not hung; nor is one that is quiet. */
static void patient(void **state)
{
    (void)state;
    flow_heartbeat(600);
    flow_serve("/busy", 200, "",
               PAGE("<script>let n=0;const w=()=>{const t=Date.now();while(Date.now()-t<200);"
                    "if(++n<6)setTimeout(w);else document.title='done'};setTimeout(w)</script>"));
    flow_expect(GO("busy") "{'type': 'waitForExpression', 'expression': 'document.title==^done^', "
                           "'timeout': 15000}",
                "null");
    flow_expect(GO("form.html") "{'type': 'sleep', 'ms': 900}", "null");
    assert_string_equal(flow_events(), "");
}

static void crashes(void **state)
{
    (void)state;
    flow_crash_after(100);
    flow_expect_fail(GO("form.html") "{'type': 'sleep', 'ms': 9000}", STATUS_PAGE_CRASHED,
                     "the page's process crashed");
    assert_string_equal(flow_events(), "page crashed");
    flow_expect(GO("form.html") "{'type': 'sleep', 'ms': 1}", "null");
}

/* A page whose scripts fill their heap (4 GiB at most, of numbers, which the collector need not
 * look through): told as that, not as a crash. */
static void fills_its_heap(void **state)
{
    (void)state;
    flow_expect_fail(GO("form.html") "{'type': 'set', 'name': 'n', 'timeout': 60000, 'expression': "
                                     "'(() => { const a = []; for (;;) a.push(new "
                                     "Array(1 << 24).fill(1.5)); })()'}",
                     STATUS_PAGE_OUT_OF_MEMORY, "the heap of its scripts was full");
    assert_string_equal(flow_events(), "page out of memory");
    flow_expect(GO("form.html") "{'type': 'sleep', 'ms': 1}", "null");
}

/* What a page asks a person for is answered by nobody: the page goes on, and the answer is no. */
static void permissions(void **state)
{
    (void)state;
    flow_heartbeat(1000);
    flow_expect(GO("form.html") "{'type': 'set', 'name': 'n', 'output': true, 'expression': "
                                "'Notification.requestPermission().then(x => x != ^granted^)'}",
                "{\"n\":true}");
    flow_expect(GO("form.html") "{'type': 'set', 'name': 'm', 'output': true, 'expression': "
                                "'typeof navigator.mediaDevices'}, {'type': 'set', 'name': 'g', "
                                "'output': true, 'expression': 'new Promise(r => "
                                "navigator.geolocation.getCurrentPosition(() => r(^yes^), () => "
                                "r(^no^)))'}",
                "{\"m\":\"undefined\",\"g\":\"no\"}");
}

/* The whole ladder: page, context, instance. Last: the browser is gone afterwards. */
static void frozen(void **state)
{
    (void)state;
    flow_heartbeat(600);
    flow_freeze_after(500);
    flow_expect_fail(GO("form.html") "{'type': 'sleep', 'ms': 30000}", STATUS_PAGE_HUNG,
                     "the page did not answer for");
    flow_wait_events("page killed, context killed, browser stuck");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_CASE(silent_servers), FLOW_CASE(redirect_loops), FLOW_CASE(refused_ways),
        FLOW_CASE(refused_by),     FLOW_CASE(refused_frames), FLOW_CASE(hung_scripts),
        FLOW_CASE(patient),        FLOW_CASE(crashes),        FLOW_CASE(fills_its_heap),
        FLOW_CASE(permissions),    FLOW_CASE(frozen),
    };

    return cmocka_run_group_tests(tests, flow_setup_all, flow_teardown_all);
}
