/* The gate holds documents, with real Chromium: redirects, frames, pop-ups, what a click or a
 * script leads to; every document that the site is asked for has passed the gate, and what it
 * answers is classified. */
#include <stdio.h>
#include <stdlib.h>

#include "core/base/log.h"
#include "tests/integration/page_rig.h"
#include "tests/support/testing.h"
#include "tests/support/turn.h"

static void test_redirect_is_held(void **state)
{
    (void)state;
    site_answer(rig.site, "/r", 302, "Location: http://b.test/there\r\n", "");
    go_ok("http://a.test/r");
    assert_string_equal(json_str(json_get(ran.result, "url"), ""), "http://b.test/there");
    assert_int_equal(count_ops("page.document", "b.test", "/there"), 1);
    assert_int_equal(count_ops("page.document", "a.test", "/r"), 0);
    assert_true(ran.call.seen.accounted);
}

static void test_redirect_to_a_denied_host(void **state)
{
    (void)state;
    site_answer(rig.site, "/r", 302, "Location: http://denied.test/x\r\n", "");
    assert_int_equal(go("http://a.test/r", SOON_MS), STATUS_POLICY_DENIED);
    assert_int_equal(site_count(rig.site, "denied.test", "/x"), 0);
    /* the same on a page that is there already */
    go_ok("http://a.test/fine");
    assert_int_equal(go("http://a.test/r", SOON_MS), STATUS_POLICY_DENIED);
    assert_int_equal(site_count(rig.site, "denied.test", "/x"), 0);
    go_ok("http://a.test/fine");
}

static void test_frames_are_held(void **state)
{
    (void)state;
    site_answer(rig.site, "/f", 200, "",
                "<iframe src=http://b.test/in></iframe><iframe src=/same></iframe>"
                "<iframe src=http://denied.test/no></iframe><object data=http://c.test/obj "
                "type=text/html></object>"
                "<iframe src='data:text/html,free'></iframe><iframe srcdoc=free></iframe>");
    go_ok("http://a.test/f");
    assert_int_equal(count_ops("page.document", "b.test", "/in"), 1);
    assert_int_equal(count_ops("page.document", "a.test", "/same"), 1);
    assert_int_equal(count_ops("page.document", "c.test", "/obj"), 1);
    assert_int_equal(site_count(rig.site, "denied.test", "/no"), 0);
    assert_int_equal(site_count(rig.site, "b.test", "/in"), 1);
    assert_non_null(page_frame_by_url(fx.session.page, STR("http://b.test/in")));
    assert_string_equal(eval_in(fx.session.page,
                                page_frame_by_url(fx.session.page, STR("http://a.test/same")),
                                PAGE_WORLD_ISOLATED, "location.pathname"),
                        "\"/same\"");
    assert_string_equal(eval_in(fx.session.page,
                                page_frame_by_url(fx.session.page, STR("http://a.test/same")),
                                PAGE_WORLD_MAIN, "location.pathname"),
                        "\"/same\"");
}

/* Every way that a script has to ask for a document goes through the gate, once for each request
 * that the site sees. */
static void test_no_way_round(void **state)
{
    static const char *const ways[] = {
        "location.href='/t'",
        "location.replace('/t')",
        "location.reload()",
        "document.body.innerHTML='<a id=l href=/t>x</a>';document.getElementById('l').click()",
        ("document.body.innerHTML='<form id=f action=/t method=post><input name=a></form>';"
         "document.getElementById('f').submit()"),
        "document.head.innerHTML='<meta http-equiv=refresh content=\"0;url=/t\">'",
        "history.back()",
        "window.open('/t','_self')",
    };
    size_t asked;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        go_ok("http://a.test/t?1");
        site_forget(rig.site);
        fx.n_ops = 0;
        (void)act_and_settle(ways[i]);
        turn_for(rig.loop, 150);
        asked = 0;
        for (size_t k = 0; k < site_hits(rig.site); k++)
            if (strncmp(site_hit(rig.site, k)->path, "/t", 2) == 0)
                asked++;
        /* what the cache has may be had without asking the site */
        if (asked > fx.n_ops || (asked < fx.n_ops && strncmp(ways[i], "history", 7) != 0))
            fail_msg("%s: %zu requests, %zu ops", ways[i], asked, fx.n_ops);
        if (strncmp(ways[i], "history", 7) != 0)
            assert_true(asked > 0);
    }
}

/* Chromium fetches documents ahead for speculation rules, without telling the Fetch domain, and a
 * later navigation is then served from what it has. The switches of args.c keep that from
 * happening. */
static void test_nothing_is_fetched_ahead(void **state)
{
    (void)state;
    site_answer(
        rig.site, "/s", 200, "",
        "<title>s</title><script "
        "type=speculationrules>{\"prerender\":[{\"source\":\"list\",\"urls\":"
        "[\"/pre\"],\"eagerness\":\"immediate\"}],\"prefetch\":[{\"source\":\"list\",\"urls\":[\"/"
        "pref\"],"
        "\"eagerness\":\"immediate\"}]}</script>");
    go_ok("http://a.test/s");
    turn_for(rig.loop, 700);
    assert_int_equal(site_count(rig.site, NULL, "/pre"), 0);
    assert_int_equal(site_count(rig.site, NULL, "/pref"), 0);
    assert_int_equal(act_and_settle("location='/pref'"), STATUS_OK);
    assert_int_equal(count_ops("page.document", "a.test", "/pref"), 1);
    assert_int_equal(site_count(rig.site, NULL, "/pref"), 1);
}

static void test_popups_belong_to_the_member(void **state)
{
    struct page *popup;

    (void)state;
    go_ok("http://a.test/opener");
    (void)act_and_settle("void window.open('http://b.test/pop')");
    turn_for(rig.loop, 300);
    popup = page_next_sibling(fx.session.main);
    assert_non_null(popup);
    assert_string_equal(page_url(popup), "http://b.test/pop");
    assert_int_equal(count_ops("page.document", "b.test", "/pop"), 1);
    assert_string_equal(site_last(rig.site, "/pop")->user_agent, fx.identity[0].user_agent);
    assert_string_equal(site_last(rig.site, "/pop")->languages, "de-DE,de;q=0.9");
    assert_string_equal(
        eval_in(popup, NULL, PAGE_WORLD_MAIN, "Intl.DateTimeFormat().resolvedOptions().timeZone"),
        "\"Europe/Berlin\"");
    (void)act_and_settle("void window.open('http://c.test/pop2','_blank','noopener')");
    turn_for(rig.loop, 300);
    assert_int_equal(count_ops("page.document", "c.test", "/pop2"), 1);
    assert_string_equal(site_last(rig.site, "/pop2")->user_agent, fx.identity[0].user_agent);
    /* told by the op that opened it, when it is refused in time */
    (void)act_and_settle("void window.open('http://denied.test/pop3')");
    turn_for(rig.loop, 300);
    assert_int_equal(site_count(rig.site, "denied.test", "/pop3"), 0);
}

static void test_click_settles(void **state)
{
    (void)state;
    site_answer(rig.site, "/429", 429, "Retry-After: 7\r\n", "slow down");
    site_answer(rig.site, "/r", 302, "Location: http://denied.test/x\r\n", "");
    go_ok("http://a.test/one");
    assert_int_equal(act_and_settle("1+1"), STATUS_OK);
    assert_false(went.nav.navigated);
    assert_int_equal(act_and_settle("location.hash='x'"), STATUS_OK);
    assert_true(went.nav.same_document);
    assert_int_equal(act_and_settle("location='/two'"), STATUS_OK);
    assert_true(went.nav.navigated);
    assert_string_equal(went.url, "http://a.test/two");
    assert_int_equal(went.nav.http_status, 200);
    assert_int_equal(act_and_settle("location='/429'"), STATUS_OK);
    assert_int_equal(went.nav.http_status, 429);
    assert_int_equal(went.nav.retry_after_ms, 7000);
    assert_true(went.nav.accounted);
    go_ok("http://a.test/one");
    assert_int_equal(act_and_settle("location='/r'"), STATUS_POLICY_DENIED);
}

static void test_answers_are_classified(void **state)
{
    static const struct {
        const char *path;
        int status;
        const char *headers, *body;
        enum status want;
    } cases[] = {
        {"/429", 429, "Retry-After: 7\r\n", "slow", STATUS_HTTP_429},
        {"/403", 403, "", "no", STATUS_HTTP_403},
        {"/404e", 404, "", "", STATUS_HTTP_4XX},
        {"/500", 500, "", "oops", STATUS_HTTP_5XX},
        {"/captcha-here", 200, "", "<title>Are you a robot?</title>prove it",
         STATUS_CAPTCHA_DETECTED},
        {"/proxy", 502, "x-fleet-error: PROXY_AUTH\r\n", "proxy", STATUS_PROXY_AUTH},
        {"/unreachable", 502, "x-fleet-error: UNAVAILABLE\r\n", "no way", STATUS_UNAVAILABLE},
        {"/204", 204, "", "", STATUS_OK},
        {"/file", 200, "Content-Disposition: attachment; filename=x\r\n", "data",
         STATUS_NAVIGATION_FAILED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        site_answer(rig.site, cases[i].path, cases[i].status, cases[i].headers, cases[i].body);
    /* each twice: on a page that is made for it, and on one that is there */
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        char url[100];

        snprintf(url, sizeof url, "http://a.test%s", cases[i / 2].path);
        if (i % 2 == 0) {
            page_end(false);
            page_begin();
        } else {
            go_ok("http://a.test/before");
        }
        if (go(url, SOON_MS) != cases[i / 2].want)
            fail_msg("%s (%zu): %s, expected %s: %s", url, i % 2, status_name(ran.call.status),
                     status_name(cases[i / 2].want), ran.call.err.text);
        if (cases[i / 2].status == 429)
            assert_int_equal(ran.call.seen.retry_after_ms, 7000);
        assert_int_equal(ran.call.seen.from_proxy, cases[i / 2].want == STATUS_PROXY_AUTH);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, page_rig_up, page_rig_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_redirect_is_held),
        CASE(test_redirect_to_a_denied_host),
        CASE(test_frames_are_held),
        CASE(test_no_way_round),
        CASE(test_nothing_is_fetched_ahead),
        CASE(test_popups_belong_to_the_member),
        CASE(test_click_settles),
        CASE(test_answers_are_classified),
    };

    if (getenv("FLEET_TEST_TRACE") != NULL) /* all that goes over the DevTools pipe */
        log_set(LOG_LEVEL_TRACE, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
