/* CAPTCHAs and block pages in a real browser: the pages of tests/site/guarded show what vendors put
 * on theirs, and what they put on ordinary ones, which must not be taken for one. Then what a
 * campaign can say about them. */
#include <stdio.h>
#include <string.h>

#include "core/base/attr.h"
#include "core/op/block.h"
#include "tests/integration/flow_pages.h"
#include "tests/support/testing.h"

static const struct {
    const char *page;
    int status;
    const char *rule; /* NULL: an ordinary page */
} pages[] = {
    {"recaptcha", 200, "recaptcha"},
    {"recaptcha-challenge", 200, "recaptcha"},
    {"recaptcha-badge", 200, NULL},
    {"hcaptcha", 200, "hcaptcha"},
    {"hcaptcha-unseen", 200, NULL},
    {"turnstile", 200, "turnstile"},
    {"turnstile-unseen", 200, NULL},
    {"cloudflare-challenge", 403, "cloudflare-challenge"},
    {"cloudflare-ordinary", 200, NULL},
    {"datadome", 403, "datadome"},
    {"perimeterx", 403, "perimeterx"},
    {"arkose", 200, "arkose"},
    {"arkose-unseen", 200, NULL},
    {"geetest", 200, "geetest"},
    {"geetest-unseen", 200, NULL},
    {"aws-waf", 405, "aws-waf"},
    {"akamai", 403, "akamai"},
    {"akamai-challenge", 200, "akamai"},
    {"imperva", 200, "imperva"},
    {"imperva-ordinary", 200, NULL},
    {"index", 200, "captcha-page"},
    {"article", 200, NULL},
    {"wall", 200, NULL},
};

static char steps[2000];

static enum status visit(const char *page, const char *more)
{
    snprintf(steps, sizeof steps,
             "{'type': 'navigate', 'url': 'http://a.test/guarded/%s.html', 'timeout': 10000}%s",
             page, more);
    return flow_try(steps);
}

static void is(enum status s, const char *text)
{
    if (tried.status != s || strstr(tried.text, text) == NULL)
        fail_msg("%s: %s: %s; expected %s with \"%s\"", steps, status_name(tried.status),
                 tried.text, status_name(s), text);
}

static int setup_site(void **state)
{
    if (flow_setup_all(state) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        static char names[ARRAY_LEN(pages)][64];

        snprintf(names[i], sizeof names[i], "guarded/%s.html", pages[i].page);
        flow_serve_file(names[i], pages[i].status);
    }
    flow_serve_file("guarded/later.html", 200);
    flow_serve_file("guarded/cloudflare-passes.html", 200);
    return 0;
}

static void told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        char rule[80];

        (void)visit(pages[i].page, "");
        snprintf(rule, sizeof rule, "(%s)", pages[i].rule != NULL ? pages[i].rule : "");
        is(pages[i].rule != NULL ? STATUS_CAPTCHA_DETECTED : STATUS_OK,
           pages[i].rule != NULL ? rule : "");
    }
}

/* It comes with a click: the step after it is the one that meets it. */
#define MORE                                                                                       \
    ", {'type': 'click', 'selectors': ['#more']}, {'type': 'click', 'selectors': ['#results'], "   \
    "'timeout': 300}"

static void comes_later(void **state)
{
    (void)state;
    (void)visit("later", MORE);
    is(STATUS_CAPTCHA_DETECTED,
       "step 2 (click): the page shows a block page or CAPTCHA (hcaptcha)");
    (void)visit("article", ", {'type': 'click', 'selectors': ['#results'], 'timeout': 100}");
    is(STATUS_ELEMENT_NOT_FOUND, "#results");
}

static void own_rules(void **state)
{
    static struct block_rule wall = {
        .name = "members", .selector = ".members-wall", .title = "members"};
    static const char *ignored[] = {"recaptcha"};

    (void)state;
    flow_captcha(&(struct block_conf){.rules = {&wall, 1}, .ignore = {ignored, 1}});
    (void)visit("wall", "");
    is(STATUS_CAPTCHA_DETECTED, "(members)");
    (void)visit("recaptcha", "");
    is(STATUS_OK, "");
}

static void stopped(void **state)
{
    (void)state;
    (void)visit("recaptcha", "");
    assert_false(flow_breaker_was_open());
    flow_captcha(&(struct block_conf){.on_detected = BLOCK_STOP});
    (void)visit("recaptcha", "");
    is(STATUS_CAPTCHA_DETECTED, "");
    (void)visit("article", "");
    is(STATUS_BREAKER_OPEN, "");
    assert_true(flow_breaker_was_open());
}

static enum status visit_b(const char *page)
{
    snprintf(steps, sizeof steps, "{'type': 'navigate', 'url': 'http://b.test/guarded/%s.html'}",
             page);
    return flow_try(steps);
}

/* Each CAPTCHA halves the target's rate for everybody, as is seen from the site: of a thousand a
 * second sixteen are left after six, and four pages that come after it are not there sooner than
 * that rate allows. Without the word in the campaign nothing is slowed. */
static void slowed(void **state)
{
    enum { HITS = 6, PAGES = 4, GAP_MS = 64 }; /* 2^6 / 1000 s */
    double rate = 1000;
    uint64_t begun = 0;
    size_t asked;

    (void)state;
    flow_captcha(&(struct block_conf){.on_detected = BLOCK_COUNT});
    (void)visit_b("recaptcha");
    is(STATUS_CAPTCHA_DETECTED, "");
    assert_true(flow_rate("b.test") == rate);
    flow_captcha(&(struct block_conf){.on_detected = BLOCK_SLOW});
    for (int i = 0; i < HITS; i++) {
        begun = test_now_ms();
        (void)visit_b("recaptcha");
        is(STATUS_CAPTCHA_DETECTED, "");
        rate /= 2;
        assert_float_equal(flow_rate("b.test"), rate, 0.001);
    }
    asked = flow_asked("b.test");
    for (int i = 0; i < PAGES; i++) {
        (void)visit_b("article");
        is(STATUS_OK, "");
    }
    assert_true(flow_asked("b.test") >= asked + PAGES);
    assert_true(test_now_ms() - begun >= PAGES * GAP_MS);
    assert_float_equal(flow_rate("b.test"), rate, 0.001); /* twenty pages would raise it */
    assert_true(flow_rate("a.test") == 1000);
}

/* The page goes on by itself, or a person sees to it; or nobody does. */
static void handed_over(void **state)
{
    (void)state;
    flow_captcha(&(struct block_conf){.on_detected = BLOCK_HANDOFF, .handoff_ms = 15000});
    (void)visit("cloudflare-passes", ", {'type': 'set', 'name': 'at', 'expression': "
                                     "'location.pathname', 'output': true}");
    is(STATUS_OK, "");
    assert_string_equal(tried.output, "{\"at\":\"/second.html\"}");
    (void)visit("later.html?goes#", MORE);
    is(STATUS_OK, "");
    assert_int_equal(flow_try_with("{'type': 'navigate', 'url': "
                                   "'http://a.test/guarded/recaptcha.html'}",
                                   "{'url': 'http://a.test/'}", 1500),
                     STATUS_CANCELLED);
    flow_captcha(&(struct block_conf){.on_detected = BLOCK_HANDOFF, .handoff_ms = 1000});
    (void)visit("recaptcha", "");
    is(STATUS_HANDOFF, "nobody dealt with it in 1000 ms");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_CASE(told_apart), FLOW_CASE(comes_later), FLOW_CASE(own_rules),
        FLOW_CASE(stopped),    FLOW_CASE(slowed),      FLOW_CASE(handed_over),
    };

    return cmocka_run_group_tests(tests, setup_site, flow_teardown_all);
}
