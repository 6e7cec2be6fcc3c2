/* The browser's lower floors with real Chromium: a member's context, page and identity, what may go
 * wrong with a page, captures. */
#include <signal.h>
#include <stdlib.h>

#include "core/base/log.h"
#include "tests/integration/page_rig.h"
#include "tests/support/testing.h"
#include "tests/support/turn.h"

/* --- navigation and identity --- */

static void test_navigate_sees_page_and_identity(void **state)
{
    const struct site_hit *h;

    (void)state;
    site_answer(rig.site, "/id", 200, "", "<!doctype html><title>Hello</title><body>text");
    go_ok("http://a.test/id");
    assert_string_equal(json_str(json_get(ran.result, "title"), ""), "Hello");
    assert_string_equal(json_str(json_get(ran.result, "url"), ""), "http://a.test/id");
    assert_int_equal(json_int(json_get(ran.result, "status"), 0), 200);
    h = site_hit(rig.site, 0);
    assert_string_equal(h->path, "/id");
    assert_string_equal(h->host, "a.test");
    assert_string_equal(h->user_agent, fx.identity[0].user_agent);
    assert_string_equal(h->languages, "de-DE,de;q=0.9");
    assert_string_equal(eval("navigator.userAgent"),
                        "\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
                        "(KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36\"");
    assert_string_equal(eval("navigator.languages.join()"), "\"de-DE,de\"");
    assert_string_equal(eval("Intl.DateTimeFormat().resolvedOptions().timeZone"),
                        "\"Europe/Berlin\"");
    assert_string_equal(eval("(1.5).toLocaleString()"), "\"1,5\"");
    assert_string_equal(eval("navigator.hardwareConcurrency"), "6");
    assert_string_equal(eval("[innerWidth,innerHeight,screen.width,screen.height].join()"),
                        "\"1285,717,1600,900\"");
    assert_string_equal(eval("navigator.webdriver"), "false");
    assert_string_equal(eval("document.hasFocus()"), "true");
    /* one document, admitted for the op itself: no page.document */
    assert_int_equal(fx.n_ops, 1);
    go_ok("http://127.0.0.1/hints"); /* client hints are for places that are trustworthy */
    assert_string_equal(site_last(rig.site, "/hints")->platform, "\"Linux\"");
    assert_string_equal(eval("navigator.userAgentData.brands.map(b=>b.brand+b.version).join()"),
                        "\"Chromium156,Not A;Brand8\"");
}

static void test_identity_reaches_workers_and_frames(void **state)
{
    (void)state;
    site_answer(rig.site, "/w", 200, "",
                "<!doctype html><iframe src=http://b.test/fr></iframe><script>"
                "window.r=new Promise(function(ok){var w=new Worker(URL.createObjectURL(new Blob(["
                "'postMessage([navigator.userAgent,navigator.languages.join(),"
                "Intl.DateTimeFormat().resolvedOptions().timeZone,navigator.hardwareConcurrency]."
                "join(\"|\"))"
                "'])));w.onmessage=function(e){ok(e.data)}})</script>");
    go_ok("http://a.test/w");
    assert_string_equal(eval("window.r"),
                        "\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like "
                        "Gecko) Chrome/156.0.0.0 Safari/537.36|de-DE,de|Europe/Berlin|6\"");
    assert_non_null(frame_child(page_main_frame(fx.session.page), 0));
    assert_string_equal(eval_in(fx.session.page, frame_child(page_main_frame(fx.session.page), 0),
                                PAGE_WORLD_MAIN,
                                "[location.host,navigator.languages.join(),"
                                "Intl.DateTimeFormat().resolvedOptions().timeZone].join('|')"),
                        "\"b.test|de-DE,de|Europe/Berlin\"");
    assert_string_equal(site_last(rig.site, "/fr")->user_agent, fx.identity[0].user_agent);
    assert_string_equal(site_last(rig.site, "/fr")->languages, "de-DE,de;q=0.9");
}

static void test_second_member_has_its_own(void **state)
{
    struct context *first = fx.ctx;
    struct page *tab;

    (void)state;
    site_answer(rig.site, "/set", 200, "Set-Cookie: who=first\r\n", "<title>set</title>");
    go_ok("http://a.test/set");
    tab = fx.session.page;
    page_end(true);
    page_open_context(1);
    go_ok("http://a.test/other");
    assert_string_equal(site_last(rig.site, "/other")->cookie, "");
    assert_string_equal(site_last(rig.site, "/other")->languages, "en-GB,en-GB;q=0.9");
    assert_string_equal(eval("Intl.DateTimeFormat().resolvedOptions().timeZone"), "\"Asia/Tokyo\"");
    page_end(true);
    context_destroy(&fx.ctx);
    /* the first one's context was kept, with its cookies and its page */
    fx.ctx = first;
    page_begin();
    go_ok("http://a.test/again");
    assert_string_equal(site_last(rig.site, "/again")->cookie, "who=first");
    assert_ptr_equal(fx.session.page, tab);
    assert_int_equal(context_pages_made(fx.ctx), 2); /* documents */
}

/* --- pages that misbehave --- */

static void test_hung_page_is_killed(void **state)
{
    (void)state;
    site_answer(rig.site, "/hang", 200, "", "<title>hang</title><script>for(;;);</script>");
    assert_int_equal(go("http://a.test/hang", 2500), STATUS_PAGE_HUNG);
    assert_string_equal(fx.killed, "http://a.test/hang");
    assert_int_equal(page_state(fx.session.page), PAGE_GONE);
    assert_int_equal(page_gone_why(fx.session.page), STATUS_PAGE_HUNG);
    (void)eval("1");
    assert_int_equal(evaled.status, STATUS_PAGE_HUNG);
    page_end(true);
    page_begin();
    go_ok("http://a.test/fine");
}

static void test_page_that_never_finishes(void **state)
{
    (void)state;
    site_answer(rig.site, "/never", 200, "", "@never");
    assert_int_equal(go("http://a.test/never", 1500), STATUS_TIMEOUT);
    assert_int_equal(page_state(fx.session.page), PAGE_OPEN);
    go_ok("http://a.test/fine");
    assert_int_equal(op_run("page.navigate",
                            "{\"url\":\"http://a.test/never\",\"wait\":\"commit\"}",
                            "http://a.test/never", SOON_MS),
                     STATUS_OK);
}

static void test_dialogs_hold_nothing(void **state)
{
    (void)state;
    site_answer(
        rig.site, "/d", 200, "",
        "<title>d</title><script>alert('a');window.c=confirm('sure?');window.p=prompt('name?')</"
        "script>");
    go_ok("http://a.test/d");
    assert_string_equal(eval("[window.c,window.p].join()"), "\"false,\"");
    assert_string_equal(page_last_dialog(fx.session.page).type, "prompt");
    assert_string_equal(page_last_dialog(fx.session.page).message, "name?");
    page_dialog_policy(fx.session.page, true, "Ada");
    assert_string_equal(eval("[confirm('1'),prompt('2')].join()"), "\"true,Ada\"");
    (void)eval("window.onbeforeunload=function(e){e.preventDefault();return 'stay'}");
    go_ok("http://a.test/left");
}

static void replied(void *arg, enum status s, const struct json *result, const struct err *e)
{
    (void)result;
    (void)e;
    *(enum status *)arg = s;
}

static void test_crash_is_told(void **state)
{
    enum status answer = STATUS_OK;

    (void)state;
    go_ok("http://a.test/x");
    page_call(fx.session.page, NULL, "Page.crash", STR_NONE, 0, replied, &answer);
    turn_for(rig.loop, 300);
    assert_int_equal(answer, STATUS_PAGE_CRASHED);
    assert_int_equal(page_gone_why(fx.session.page), STATUS_PAGE_CRASHED);
    assert_int_equal(go("http://a.test/y", SOON_MS), STATUS_PAGE_CRASHED);
    page_end(true);
    page_begin();
    go_ok("http://a.test/fine");
}

static void test_browser_dies_under_it(void **state)
{
    pid_t pid = instance_pid(rig.instance);

    (void)state;
    go_ok("http://a.test/x");
    assert_true(pid > 0);
    site_answer(rig.site, "/never", 200, "", "@never");
    kill(pid, SIGKILL);
    assert_int_equal(go("http://a.test/never", SOON_MS), STATUS_BROWSER_GONE);
    assert_true(turn_until(rig.loop, &rig.over, SOON_MS));
    assert_int_equal(rig.over_why, STATUS_BROWSER_GONE);
    page_end(true); /* the rest of the context, which went with its instance */
    fx.ctx = NULL;
}

/* --- captures --- */

static void test_captures(void **state)
{
    size_t n;
    char *bytes;

    (void)state;
    site_answer(rig.site, "/long", 200, "",
                "<body style='margin:0'><div style='height:3000px;background:red'>x</div>");
    go_ok("http://a.test/long");
    assert_int_equal(op_run("page.set_viewport", "{\"width\":400,\"height\":300}", NULL, SOON_MS),
                     STATUS_OK);
    assert_int_equal(op_run("page.screenshot", "{}", NULL, SOON_MS), STATUS_OK);
    bytes = test_read_file(json_str(json_get(ran.result, "path"), ""), &n);
    assert_memory_equal(bytes, "\x89PNG", 4);
    assert_int_equal((unsigned char)bytes[18] * 256 + (unsigned char)bytes[19], 400);
    assert_int_equal((unsigned char)bytes[22] * 256 + (unsigned char)bytes[23], 300);
    free(bytes);
    assert_int_equal(
        op_run("page.screenshot", "{\"full_page\":true,\"name\":\"all\"}", NULL, SOON_MS),
        STATUS_OK);
    bytes = test_read_file(json_str(json_get(ran.result, "path"), ""), &n);
    assert_int_equal((unsigned char)bytes[22] * 256 + (unsigned char)bytes[23], 3000);
    free(bytes);
    assert_int_equal(
        op_run("page.screenshot", "{\"format\":\"jpeg\",\"quality\":50}", NULL, SOON_MS),
        STATUS_OK);
    bytes = test_read_file(json_str(json_get(ran.result, "path"), ""), &n);
    assert_memory_equal(bytes, "\xff\xd8\xff", 3);
    free(bytes);
    assert_int_equal(op_run("page.pdf", "{}", NULL, SOON_MS), STATUS_OK);
    bytes = test_read_file(json_str(json_get(ran.result, "path"), ""), &n);
    assert_memory_equal(bytes, "%PDF", 4);
    free(bytes);
    assert_int_equal(json_len(fx.session.artifacts), 4);
}

/* --- the full browser --- */

static void test_chromium_leaks_nothing_first(void **state)
{
    (void)state;
    go_ok("http://a.test/first");
    for (size_t i = 0; i < site_hits(rig.site); i++) {
        assert_string_equal(site_hit(rig.site, i)->user_agent, fx.identity[0].user_agent);
        assert_string_equal(site_hit(rig.site, i)->host, "a.test");
    }
    assert_int_equal(site_count(rig.site, NULL, "/first"), 1);
    assert_string_equal(eval("navigator.languages.join()"), "\"de-DE,de\"");
    test_identity_reaches_workers_and_frames(state);
    /* a frame of another site has a process, and a session, of its own here */
    assert_true(frame_is_local_root(frame_child(page_main_frame(fx.session.page), 0)));
    site_answer(rig.site, "/r", 302, "Location: http://denied.test/x\r\n", "");
    assert_int_equal(go("http://a.test/r", SOON_MS), STATUS_POLICY_DENIED);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, page_rig_up, page_rig_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_navigate_sees_page_and_identity),
        CASE(test_identity_reaches_workers_and_frames),
        CASE(test_second_member_has_its_own),
        CASE(test_hung_page_is_killed),
        CASE(test_page_that_never_finishes),
        CASE(test_dialogs_hold_nothing),
        CASE(test_crash_is_told),
        CASE(test_browser_dies_under_it),
        CASE(test_captures),
        cmocka_unit_test_setup_teardown(test_chromium_leaks_nothing_first, page_rig_up_chromium,
                                        page_rig_down),
    };

    if (getenv("FLEET_TEST_TRACE") != NULL) /* all that goes over the DevTools pipe */
        log_set(LOG_LEVEL_TRACE, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
