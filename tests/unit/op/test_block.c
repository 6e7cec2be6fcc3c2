#include "core/op/block.h"

#include "tests/support/testing.h"

static const char article[] =
    "Are you human? A critic looks back. For years pages have asked us to verify you are human "
    "before they let us read. The puzzles began as blurred letters, then came traffic lights and "
    "bicycles, and in the end a box to tick. What they have in common is that machines got better "
    "at them than people. ";

/* A page of many words: `article` again and again. */
static struct str long_text(void)
{
    static char text[4097];

    for (size_t n = 0; n + sizeof article < sizeof text; n += sizeof article - 1)
        memcpy(text + n, article, sizeof article);
    return str_from(text);
}

#define PAGE(...) ((struct block_page){__VA_ARGS__})

static void test_table(void **state)
{
    const struct {
        struct block_page page;
        const char *want;
    } cases[] = {
        {PAGE(.title = STR("Shop"), .text = STR("Welcome"), .http_status = 200), NULL},
        {PAGE(.title = STR("Just a moment..."), .http_status = 403), "cloudflare-challenge"},
        {PAGE(.title = STR("Attention Required! | Cloudflare"), .http_status = 403),
         "cloudflare-block"},
        {PAGE(.frames = STR("https://x/a\nhttps://www.google.com/recaptcha/api2/bframe?k=1")),
         "recaptcha"},
        {PAGE(.frames = STR("https://www.google.com/recaptcha/api2/anchor?k=1&size=normal")),
         "recaptcha"},
        /* a badge, and the script alone, protect many ordinary forms */
        {PAGE(.frames = STR("https://www.google.com/recaptcha/api2/anchor?k=1&size=invisible")),
         NULL},
        {PAGE(.scripts = STR("https://www.google.com/recaptcha/api.js\n"
                             "https://js.hcaptcha.com/1/api.js\n"
                             "https://challenges.cloudflare.com/turnstile/v0/api.js\n"
                             "https://client-api.arkoselabs.com/v2/K/api.js\n"
                             "https://static.geetest.com/v4/gt4.js\n"
                             "https://x/_Incapsula_Resource?SWJIYLWA=1\n"
                             "https://x/cdn-cgi/challenge-platform/scripts/jsd/main.js\n"
                             "https://a.token.awswaf.com/a/challenge.js"),
              .http_status = 200),
         NULL},
        {PAGE(.scripts = STR("https://x/cdn-cgi/challenge-platform/h/b/orchestrate"),
              .http_status = 503),
         "cloudflare-challenge"},
        {PAGE(.scripts = STR("https://a.token.awswaf.com/a/challenge.js"), .http_status = 202),
         "aws-waf"},
        {PAGE(.frames = STR("https://newassets.hcaptcha.com/captcha/v1/x/hcaptcha.html"
                            "#frame=checkbox")),
         "hcaptcha"},
        {PAGE(.frames = STR("https://newassets.hcaptcha.com/captcha/v1/x/hcaptcha.html"
                            "#frame=checkbox-invisible")),
         NULL},
        {PAGE(.inner = STR("https://challenges.cloudflare.com/cdn-cgi/turnstile/normal/")),
         "turnstile"},
        {PAGE(.inner = STR("https://challenges.cloudflare.com/cdn-cgi/turnstile/invisible/")),
         NULL},
        {PAGE(.matched = STR("#px-captcha,#px-captcha-wrapper")), "perimeterx"},
        {PAGE(.matched = STR("#px-captcha")), NULL}, /* not what was asked for */
        {PAGE(.text = STR("Please VERIFY YOU ARE HUMAN to continue"), .http_status = 200),
         "captcha-page"},
        {PAGE(.title = STR("Are you human? A history"), .text = long_text(), .http_status = 200),
         NULL},
        {PAGE(.title = STR("Access Denied"), .text = STR("You may not"), .http_status = 403),
         "access-denied"},
        {PAGE(.url = STR("https://x/captcha?back=/"), .http_status = 403), "captcha-page"},
        {PAGE(.url = STR("https://x/captcha-explained"), .http_status = 200), NULL},
        {PAGE(.url = STR("https://www.google.com/sorry/index?q=x"), .http_status = 429),
         "google-sorry"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *got = block_match(NULL, &cases[i].page);

        if ((got == NULL) != (cases[i].want == NULL) ||
            (got != NULL && strcmp(got, cases[i].want) != 0))
            fail_msg("case %zu: %s", i, got != NULL ? got : "none");
    }
}

/* Decodes "captcha" of a campaign; the first error as text, "" when there is none. */
static const char *decode(struct arena *a, const char *text, struct block_conf *out)
{
    static char said[JSON_PATH_MAX + ERR_TEXT_MAX + 4];
    struct json_decode d;
    struct err e = ERR_INIT;
    struct json *j = json_parse(str_from(text), true, &e);

    assert_non_null(j);
    json_decode_init(&d, a, NULL);
    *out = (struct block_conf){0};
    said[0] = '\0';
    if (!json_decode(&d, &captcha_schema, j, out))
        snprintf(said, sizeof said, "%s: %s", d.errors[0].path, d.errors[0].text);
    json_destroy(&j);
    return said;
}

static void test_own_rules(void **state)
{
    struct arena *a = arena_create(NULL, 0);
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    struct block_conf c;
    struct block_page wall = PAGE(.title = STR("Members only"), .http_status = 200),
                      box = PAGE(.frames = STR("https://challenges.cloudflare.com/normal/"));

    (void)state;
    assert_string_equal(decode(a,
                               "{\"on_detected\":\"stop\",\"ignore\":\"turnstile\",\"rules\":["
                               "{\"name\":\"wall\",\"title\":\"members ONLY\",\"status\":200},"
                               "{\"name\":\"mark\",\"selector\":\".wall\"}]}",
                               &c),
                        "");
    assert_int_equal(c.on_detected, BLOCK_STOP);
    assert_string_equal(block_match(&c, &wall), "wall");
    wall.http_status = 404;
    assert_null(block_match(&c, &wall));
    assert_string_equal(block_match(NULL, &box), "turnstile");
    assert_null(block_match(&c, &box));
    block_selectors(&c, &b);
    assert_non_null(strstr(b.ptr, ",\".wall\"]"));
    wall.matched = STR(".wall");
    assert_string_equal(block_match(&c, &wall), "mark");
    buf_deinit(&b);
    arena_destroy(&a);
}

static void test_slips(void **state)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"{\"on_detected\":\"halt\"}", "/on_detected: found \"halt\", expected one of count, stop, "
                                       "slow or handoff"},
        {"{\"rules\":[{\"name\":\"x\"}]}", "/rules/0: expected at least one of url, title, text, "
                                           "frame, script and selector to look for"},
        {"{\"rules\":[{\"title\":\"abc\"}]}", "/rules/0/name: missing"},
        {"{\"ignore\":[\"turnstyle\"]}", "/ignore: found \"turnstyle\", which is the name of no "
                                         "rule, did you mean \"turnstile\"?"},
    };
    struct arena *a = arena_create(NULL, 0);
    struct block_conf c;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *said = decode(a, cases[i].text, &c);

        if (strncmp(said, cases[i].said, strlen(cases[i].said)) != 0)
            fail_msg("%s: %s", cases[i].text, said);
    }
    arena_destroy(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_own_rules),
        cmocka_unit_test(test_slips),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
