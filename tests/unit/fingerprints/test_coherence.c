/* Each rule of coherence is broken once, and nothing else with it; and identities come back from
 * JSON as they went. */
#include "fingerprints/coherence.h"

#include "fingerprints/generate.h"
#include "fingerprints/identity_json.h"
#include "tests/support/testing.h"

static const struct identity *made(struct arena *a, const char *os)
{
    const struct identity_params p = {
        .seed = "coherence",
        .browser_version = "156.0.8078.79",
        .os = {&os, 1},
        .memory_bytes = (uint64_t)16 << 30,
    };
    const struct identity *id = NULL;
    struct err e = ERR_INIT;

    if (identity_generate(a, &p, 1, &id, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    return id;
}

/* "path=value" laid into the identity's JSON. */
static const struct {
    const char *os, *rule, *field, *text;
    double number;
} broken[] = {
    {"linux", "ua-platform", "user_agent",
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/156.0.0.0 Safari/537.36",
     0},
    {"linux", "ua-version", "user_agent",
     "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/155.0.0.0 "
     "Safari/537.36",
     0},
    {"linux", "js-platform", "platform", "Win32", 0},
    {"windows", "ch-platform", "ch_platform", "Linux", 0},
    {"linux", "ch-platform-version", "ch_platform_version", "6.1.0", 0},
    {"macos", "ch-platform-version", "ch_platform_version", "", 0},
    {"macos", "ch-processor", "ch_architecture", "x86", 0},
    {"android", "ch-model", "ch_model", "", 0},
    {"linux", "ch-form-factor", "ch_form_factor", "Mobile", 0},
    {"linux", "lang-header", "accept_language", "en-US,en", 0},
    {"linux", "lang-locale", "locale", "de", 0},
    {"linux", "zone-place", "timezone", "Europe/Berlin", 0},
    {"linux", "screen-nested", "avail_h", NULL, 9000},
    {"linux", "screen-scale", "device_pixel_ratio", NULL, 0.75},
    {"windows", "screen-depth", "color_depth", NULL, 30},
    {"linux", "input-touch", "max_touch_points", NULL, 5},
    {"android", "cores-possible", "hardware_concurrency", NULL, 64},
    {"linux", "memory-real", "device_memory_gb", NULL, 8},
    {"linux", "gpu-vendor", "webgl_vendor", "Google Inc. (Apple)", 0},
    {"windows", "marks-told", "marks", NULL, 0},
};

struct heard {
    const char *first;
    size_t n;
};

static void hear(void *arg, const struct contradiction *c)
{
    struct heard *h = arg;

    if (h->n++ == 0)
        h->first = c->rule;
    assert_true(strlen(c->what) > 10 && strlen(c->reason) > 10);
}

static void test_each_rule(void **state)
{
    const struct coherence_machine m = {"156.0.8078.79", (uint64_t)16 << 30};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct arena *a = arena_create(NULL, 0);
        struct json *j = identity_to_json(made(a, broken[i].os));
        const struct identity *id = NULL;
        struct heard heard = {0};
        struct err e = ERR_INIT;

        if (broken[i].text != NULL)
            json_add_str(j, broken[i].field, broken[i].text);
        else
            json_add_num(j, broken[i].field, broken[i].number);
        if (identity_from_json(a, j, "id", &id, &e) != STATUS_OK)
            fail_msg("%s", e.text);
        if (coherence_check(id, &m, hear, &heard) != 1 || strcmp(heard.first, broken[i].rule) != 0)
            fail_msg("%s: %zu rules, first %s", broken[i].rule, heard.n,
                     heard.first != NULL ? heard.first : "none");
        json_destroy(&j);
        arena_destroy(&a);
    }
}

static void test_another_browser(void **state)
{
    const struct coherence_machine m = {"157.0.1.2", 0};
    struct arena *a = arena_create(NULL, 0);
    struct heard heard = {0};

    (void)state;
    assert_int_equal(coherence_check(made(a, "linux"), &m, hear, &heard), 1);
    assert_string_equal(heard.first, "browser-real");
    arena_destroy(&a);
}

static void test_json_there_and_back(void **state)
{
    static const char *const oses[] = {"linux", "windows", "macos", "android"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(oses); i++) {
        struct arena *a = arena_create(NULL, 0);
        const struct identity *id = made(a, oses[i]), *back = NULL;
        struct json *j = identity_to_json(id), *again;
        struct err e = ERR_INIT;

        if (identity_from_json(a, j, "id", &back, &e) != STATUS_OK)
            fail_msg("%s", e.text);
        again = identity_to_json(back);
        assert_true(json_eq(j, again));
        assert_int_equal(id->noise_seed, back->noise_seed);
        json_destroy(&j);
        json_destroy(&again);
        arena_destroy(&a);
    }
}

static void test_bad_json(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"{}", "/id"},
        {"{\"id\":\"i-1\",\"os\":\"amiga\",\"user_agent\":\"x\"}", "/os"},
        {"{\"id\":\"i-1\",\"os\":\"linux\",\"user_agent\":\"x\",\"screen\":1}", "/screen"},
        {"{\"id\":\"i-1\",\"os\":\"linux\",\"user_agent\":\"x\",\"noise_seed\":"
         "\"0123456789abcdeg\"}",
         "/noise_seed"},
        {"{\"id\":\"i-1\",\"os\":\"linux\",\"user_agent\":\"x\",\"screen_w\":-1}", "/screen_w"},
        {"[]", "id"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *a = arena_create(NULL, 0);
        struct err e = ERR_INIT;
        struct json *j = json_parse(str_from(cases[i].text), true, &e);
        const struct identity *id = NULL;

        assert_int_equal(identity_from_json(a, j, "id", &id, &e), STATUS_INVALID);
        if (strstr(e.text, cases[i].want) == NULL)
            fail_msg("%s: %s", cases[i].text, e.text);
        json_destroy(&j);
        arena_destroy(&a);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_rule),
        cmocka_unit_test(test_another_browser),
        cmocka_unit_test(test_json_there_and_back),
        cmocka_unit_test(test_bad_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
