/* The mux, text in and text out. */
#include "tests/support/gateway_host.h"
#include "tests/support/testing.h"

#include <stdio.h>

static struct gateway_host h;

static int open_browser(void **state)
{
    (void)state;
    gateway_host_open(&h, NULL);
    return 0;
}

static int close_it(void **state)
{
    (void)state;
    gateway_host_close(&h);
    return 0;
}

static void say(const char *text)
{
    mux_message(h.mux, str_from(text));
}

static void forget_texts(void)
{
    buf_reset(&h.client);
    buf_reset(&h.asked);
    buf_reset(&h.told);
}

static void has(struct buf *b, const char *part)
{
    if (b->ptr == NULL || strstr(b->ptr, part) == NULL)
        fail_msg("found:\n%s\nexpected: %s", b->ptr != NULL ? b->ptr : "", part);
}

static void has_not(struct buf *b, const char *part)
{
    if (b->ptr != NULL && strstr(b->ptr, part) != NULL)
        fail_msg("found:\n%s\nnot expected: %s", b->ptr, part);
}

static void test_what_is_no_message(void **state)
{
    static const struct {
        const char *text, *answer;
    } rows[] = {
        {"", "-32700"},
        {"x", "-32700"},
        {"[]", "-32700"},
        {"{\"id\":1,\"method\":\"A.b\",\"params\":{\"a\":]}", "-32700"},
        {"{\"id\":1,\"method\":\"A.b\",\"params\":{\"a\":\"\n\"}}", "-32700"},
        {"{\"id\":-1,\"method\":\"A.b\"}", "-32700"},
        {"{\"method\":\"A.b\"}", "-32600"},
        {"{\"id\":7}", "\"id\":7,\"error\":{\"code\":-32600"},
        {"{\"id\":7,\"method\":\"A b\"}", "-32600"},
        {"{\"id\":7,\"method\":\"A.b\"}", "is not let through"},
        {"{\"id\":7,\"method\":\"Page.enable\",\"sessionId\":\"NONE\"}",
         "\"code\":-32001,\"message\":\"Session with given id not "
         "found.\"},\"sessionId\":\"NONE\""},
        {"{\"id\":7,\"method\":\"Target.getTargets\",\"params\":3}", "expected an object"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        forget_texts();
        say(rows[i].text);
        has(&h.client, rows[i].answer);
        assert_int_equal(h.n_calls, 0);
    }
}

/* Playwright's order: the event of the attachment, then the answer to what caused it. */
static void test_attached_before_answered(void **state)
{
    (void)state;
    say("{\"id\":1,\"method\":\"Target.setAutoAttach\",\"params\":{\"autoAttach\":true,"
        "\"waitForDebuggerOnStart\":true,\"flatten\":true}}");
    has(&h.client, "{\"id\":1,\"result\":{}}");
    say("{\"id\":2,\"method\":\"Target.createTarget\",\"params\":{\"url\":\"about:blank\"}}");
    has(&h.told, "open C1 about:blank");
    gateway_host_page(&h, "P1");
    has(&h.asked, "- Target.attachToTarget {\"targetId\":\"P1\",\"flatten\":true}");
    assert_true(gateway_host_answer(&h, "{\"targetId\":\"P1\"}")); /* of createTarget */
    has_not(&h.client, "\"id\":2");
    assert_true(gateway_host_answer(&h, "{\"sessionId\":\"S1\"}"));
    has(&h.client, "\"waitingForDebugger\":true}}\n{\"id\":2,\"result\":{\"targetId\":\"P1\"}}");
    has_not(&h.told, "run P1");
    say("{\"id\":3,\"method\":\"Page.enable\",\"sessionId\":\"S1\"}");
    has(&h.asked, "S1 Page.enable");
    say("{\"id\":4,\"method\":\"Runtime.runIfWaitingForDebugger\",\"sessionId\":\"S1\"}");
    has(&h.told, "run P1");
}

/* Puppeteer's: a tab around each page, and the page attached below it. */
static void test_tabs(void **state)
{
    struct view_target *t;
    char text[256];

    (void)state;
    say("{\"id\":1,\"method\":\"Target.setAutoAttach\",\"params\":{\"autoAttach\":true,"
        "\"waitForDebuggerOnStart\":true,\"flatten\":true,\"filter\":[{\"type\":\"page\","
        "\"exclude\":"
        "true},{}]}}");
    t = gateway_host_page(&h, "P1");
    has(&h.client, "\"type\":\"tab\"");
    has_not(&h.client, "\"type\":\"page\"");
    assert_int_equal(h.n_calls, 0);
    {
        const char *at = strstr(h.client.ptr, "\"sessionId\":\"") + 13;

        snprintf(text, sizeof text,
                 "{\"id\":2,\"method\":\"Target.setAutoAttach\",\"params\":{\"autoAttach\":true,"
                 "\"waitForDebuggerOnStart\":true,\"flatten\":true},\"sessionId\":\"%.32s\"}",
                 at);
    }
    say(text);
    assert_true(gateway_host_answer(&h, "{\"sessionId\":\"S1\"}"));
    has(&h.client, "\"type\":\"page\"");
    mux_gone(h.mux, t);
    has(&h.client, "Target.detachedFromTarget");
}

/* A target that nobody waits for runs at once; one that two wait for when both let it go, or went.
 */
static void test_who_waits(void **state)
{
    (void)state;
    gateway_host_page(&h, "P1");
    has(&h.told, "run P1");
    say("{\"id\":1,\"method\":\"Target.setAutoAttach\",\"params\":{\"autoAttach\":true,"
        "\"waitForDebuggerOnStart\":true,\"flatten\":true}}");
    assert_true(gateway_host_answer(&h, "{\"sessionId\":\"S1\"}"));
    gateway_host_page(&h, "P2");
    assert_true(gateway_host_answer(&h, "{\"sessionId\":\"S2\"}"));
    has_not(&h.told, "run P2");
    mux_destroy(&h.mux);
    has(&h.told, "run P2");
}

static void test_what_is_not_its_own(void **state)
{
    static const char *const rows[] = {
        "{\"id\":1,\"method\":\"Target.attachToTarget\",\"params\":{\"targetId\":\"X\",\"flatten\":"
        "true}}",
        "{\"id\":1,\"method\":\"Target.closeTarget\",\"params\":{\"targetId\":\"X\"}}",
        "{\"id\":1,\"method\":\"Target.getTargetInfo\",\"params\":{\"targetId\":\"X\"}}",
        "{\"id\":1,\"method\":\"Target.createTarget\",\"params\":{\"url\":\"about:blank\","
        "\"browserContextId\":\"C2\"}}",
        "{\"id\":1,\"method\":\"Target.disposeBrowserContext\",\"params\":{\"browserContextId\":"
        "\"C1\"}}",
        "{\"id\":1,\"method\":\"Storage.getCookies\",\"params\":{\"browserContextId\":\"C2\"}}",
        "{\"id\":1,\"method\":\"Browser.setDownloadBehavior\",\"params\":{\"browserContextId\":"
        "\"C2\"}}",
        "{\"id\":1,\"method\":\"Target.createBrowserContext\",\"params\":{\"proxyServer\":\"x\"}}",
        "{\"id\":1,\"method\":\"Page.navigate\",\"params\":{\"url\":\"http://x/\"}}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        forget_texts();
        say(rows[i]);
        has(&h.client, "{\"id\":1,\"error\":");
        assert_int_equal(h.n_calls, 0);
    }
}

/* Of two equal keys one would be checked, and the browser might heed the other. */
static void test_mended(void **state)
{
    (void)state;
    gateway_host_page(&h, "P1");
    say("{\"id\":1,\"method\":\"Target.attachToTarget\",\"params\":{\"targetId\":\"P1\","
        "\"flatten\":"
        "true}}");
    assert_true(gateway_host_answer(&h, "{\"sessionId\":\"S1\"}"));
    forget_texts();
    say("{\"id\":2,\"method\":\"Page.navigate\",\"params\":{\"url\":\"http://a/\",\"url\":\"file://"
        "/"
        "x\"},\"sessionId\":\"S1\"}");
    has(&h.client, "{\"id\":2,\"error\":");
    has_not(&h.asked, "Page.navigate");
    say("{\"id\":3,\"method\":\"Storage.setCookies\",\"params\":{\"cookies\":[]}}");
    has(&h.asked, "- Storage.setCookies {\"cookies\":[],\"browserContextId\":\"C1\"}");
    say("{\"id\":4,\"method\":\"Browser.setDownloadBehavior\",\"params\":{\"behavior\":\"allow\","
        "\"downloadPath\":\"/etc\"}}");
    has(&h.asked, "\"behavior\":\"deny\"");
    has_not(&h.asked, "/etc");
    say("{\"id\":5,\"method\":\"Emulation.setDeviceMetricsOverride\",\"params\":{\"width\":300,"
        "\"height\":0,\"deviceScaleFactor\":3,\"mobile\":true},\"sessionId\":\"S1\"}");
    has(&h.asked, "\"width\":300,\"height\":600,\"deviceScaleFactor\":1,\"mobile\":false");
    say("{\"id\":6,\"method\":\"Emulation.setUserAgentOverride\",\"params\":{\"userAgent\":"
        "\"Mine\"},"
        "\"sessionId\":\"S1\"}");
    has(&h.client, "{\"id\":6,\"result\":{},\"sessionId\":\"S1\"}");
    has_not(&h.asked, "Mine");
}

static void attach_page(void)
{
    gateway_host_page(&h, "P1");
    say("{\"id\":1,\"method\":\"Target.attachToTarget\",\"params\":{\"targetId\":\"P1\","
        "\"flatten\":true}}");
    assert_true(gateway_host_answer(&h, "{\"sessionId\":\"S1\"}"));
    forget_texts();
}

/* A page's session has its context: the browser refuses to be told. */
static void test_context_of_a_page(void **state)
{
    (void)state;
    attach_page();
    say("{\"id\":2,\"method\":\"Storage.getCookies\",\"params\":{},\"sessionId\":\"S1\"}");
    has(&h.asked, "S1 Storage.getCookies {}");
    say("{\"id\":3,\"method\":\"Storage.getCookies\",\"params\":{\"browserContextId\":\"C2\"},"
        "\"sessionId\":\"S1\"}");
    has(&h.client, "{\"id\":3,\"error\":");
}

/* Titles change without news: who asks is told what is, and no more than the view tells. */
static void test_info_as_it_is(void **state)
{
    (void)state;
    attach_page();
    say("{\"id\":2,\"method\":\"Target.getTargetInfo\",\"sessionId\":\"S1\"}");
    has(&h.asked, "- Target.getTargetInfo {\"targetId\":\"P1\"}");
    assert_true(gateway_host_answer(
        &h, "{\"targetInfo\":{\"targetId\":\"P1\",\"type\":\"page\",\"title\":\"New\",\"url\":"
            "\"http://a/\",\"attached\":true,\"browserContextId\":\"C1\"}}"));
    has(&h.client, "\"title\":\"New\"");
    forget_texts();
    say("{\"id\":3,\"method\":\"Target.getTargetInfo\",\"params\":{\"targetId\":\"P1\"}}");
    assert_true(gateway_host_answer(
        &h, "{\"targetInfo\":{\"targetId\":\"P9\",\"type\":\"page\",\"title\":\"theirs\"}}"));
    has_not(&h.client, "theirs");
}

/* A page that crashed is closed by us, and by its client, too. */
static void test_closed_twice(void **state)
{
    static const char close[] =
        "{\"id\":2,\"method\":\"Target.closeTarget\",\"params\":{\"targetId\":\"P1\"}}";
    struct view_target *t;

    (void)state;
    attach_page();
    t = view_find(&h.view, "P1");
    mux_gone(h.mux, t);
    view_remove(&h.view, t);
    forget_texts();
    say(close);
    has(&h.client, "{\"id\":2,\"result\":{\"success\":true}}");
    assert_int_equal(h.n_calls, 0);
    forget_texts();
    say("{\"id\":3,\"method\":\"Target.activateTarget\",\"params\":{\"targetId\":\"P1\"}}");
    has(&h.client, "{\"id\":3,\"error\":");
    for (int i = 0; i < VIEW_GONE_MAX; i++) { /* long ago */
        char id[16];

        snprintf(id, sizeof id, "Q%d", i);
        t = gateway_host_page(&h, id);
        mux_gone(h.mux, t);
        view_remove(&h.view, t);
    }
    forget_texts();
    say(close);
    has(&h.client, "{\"id\":2,\"error\":");
}

/* The identity's script is no script of the page. */
static void test_own_script_is_not_shown(void **state)
{
    (void)state;
    snprintf(h.scope.patch, sizeof h.scope.patch, "0123456789abcdef");
    attach_page();
    mux_event(h.mux, "S1", STR("Debugger.scriptParsed"),
              STR("{\"scriptId\":\"7\",\"url\":\"0123456789abcdef\"}"));
    has_not(&h.client, "scriptParsed");
    mux_event(h.mux, "S1", STR("Debugger.scriptParsed"),
              STR("{\"scriptId\":\"8\",\"url\":\"http://a/0123456789abcdef\"}"));
    has(&h.client, "\"scriptId\":\"8\"");
    mux_event(h.mux, "S1", STR("Runtime.consoleAPICalled"),
              STR("{\"args\":[],\"url\":\"0123456789abcdef\"}"));
    has(&h.client, "consoleAPICalled");
}

static void test_told_of_what_acts(void **state)
{
    (void)state;
    gateway_host_page(&h, "P1");
    say("{\"id\":1,\"method\":\"Target.attachToTarget\",\"params\":{\"targetId\":\"P1\","
        "\"flatten\":"
        "true}}");
    assert_true(gateway_host_answer(&h, "{\"sessionId\":\"S1\"}"));
    say("{\"id\":2,\"method\":\"Runtime.evaluate\",\"params\":{\"expression\":\"1\"},\"sessionId\":"
        "\"S1\"}");
    has_not(&h.told, "acted");
    assert_true(gateway_host_answer(&h, "{\"result\":{}}"));
    has(&h.told, "acted Runtime.evaluate OK");
    say("{\"id\":3,\"method\":\"Page.navigate\",\"params\":{\"url\":\"file:///\"},\"sessionId\":"
        "\"S1\"}");
    has(&h.told, "acted Page.navigate POLICY_DENIED");
    say("{\"id\":4,\"method\":\"Browser.close\"}");
    has(&h.told, "release");
}

static void test_page_connection(void **state)
{
    (void)state;
    gateway_host_close(&h);
    gateway_host_open(&h, "P1");
    say("{\"id\":1,\"method\":\"Page.enable\"}");
    has_not(&h.asked, "Page.enable");
    assert_true(gateway_host_answer(&h, "{\"sessionId\":\"S1\"}"));
    has(&h.asked, "S1 Page.enable");
    assert_true(gateway_host_answer(&h, "{}"));
    has(&h.client, "{\"id\":1,\"result\":{}}");
    mux_event(h.mux, "S1", STR("Page.loadEventFired"), STR("{}"));
    has(&h.client, "{\"method\":\"Page.loadEventFired\",\"params\":{}}");
    has_not(&h.told, "over");
    mux_event(h.mux, "", STR("Target.detachedFromTarget"),
              STR("{\"sessionId\":\"S1\",\"targetId\":\"P1\"}"));
    has(&h.client, "{\"method\":\"Inspector.detached\",\"params\":{\"reason\":\"target_closed\"}}");
    has_not(&h.client, "Target.detachedFromTarget");
    has(&h.told, "over");
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, open_browser, close_it)
    const struct CMUnitTest tests[] = {
        CASE(test_what_is_no_message),
        CASE(test_attached_before_answered),
        CASE(test_tabs),
        CASE(test_who_waits),
        CASE(test_what_is_not_its_own),
        CASE(test_mended),
        CASE(test_told_of_what_acts),
        CASE(test_page_connection),
        CASE(test_context_of_a_page),
        CASE(test_info_as_it_is),
        CASE(test_closed_twice),
        CASE(test_own_script_is_not_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
