#include "fingerprints/generate.h"

#include "core/base/map.h"
#include "fingerprints/catalog.h"
#include "tests/support/testing.h"

static const struct identity_params plain = {
    .seed = "s",
    .browser_version = "156.0.8078.79",
    .cpu_count = 4,
    .memory_bytes = (uint64_t)24 << 30,
};

static const struct identity *made(struct arena *a, const struct identity_params *p, uint32_t i)
{
    const struct identity *id = NULL;
    struct err e = ERR_INIT;

    if (identity_generate(a, p, i, &id, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    return id;
}

static void test_same_seed_same_identity(void **state)
{
    struct arena *a = arena_create(NULL, 0);
    const struct identity *x = made(a, &plain, 3), *y = made(a, &plain, 3), *z = made(a, &plain, 4);

    (void)state;
    assert_string_equal(x->id, y->id);
    assert_int_equal(x->noise_seed, y->noise_seed);
    assert_int_equal(x->screen_w, y->screen_w);
    assert_string_not_equal(x->id, z->id);
    arena_destroy(&a);
}

static void test_what_a_page_can_check_fits_together(void **state)
{
    const char *oses[] = {"linux", "windows", "macos", "android"};
    const char *locales[] = {"de", "en-US", "ja-JP", "pt-BR", "en-IN"};
    struct identity_params p = plain;
    struct arena *a = arena_create(NULL, 0);
    struct map *ids = map_create();

    (void)state;
    p.os = (struct json_strs){oses, 3};
    p.locales = (struct json_strs){locales, 5};
    for (uint32_t i = 0; i < 10000; i++) {
        const struct identity *x = made(a, &p, i);
        const struct catalog_os *os = &catalog_oses[x->os];
        const struct catalog_locale *l = catalog_locale_find(str_from(x->languages[0]));
        bool zone_fits = false;

        assert_null(map_put(ids, str_from(x->id), ids));
        assert_non_null(strstr(x->user_agent, os->ua_platform));
        assert_non_null(strstr(x->user_agent, "Chrome/156.0.0.0"));
        assert_null(strstr(x->user_agent, "Headless"));
        assert_string_equal(x->platform, os->platform);
        assert_non_null(l);
        assert_string_equal(x->locale, l->ui);
        for (size_t k = 0; k < ARRAY_LEN(l->zones) && l->zones[k] != NULL; k++)
            zone_fits |= strcmp(l->zones[k], x->timezone) == 0;
        assert_true(zone_fits);
        assert_memory_equal(x->accept_language, x->languages[0], strlen(x->languages[0]));
        assert_true(x->avail_w <= x->screen_w && x->avail_h <= x->screen_h);
        assert_true(x->window_w <= x->avail_w && x->window_h <= x->avail_h);
        assert_true(x->viewport_w <= x->window_w && x->viewport_h < x->window_h);
        assert_int_equal(x->hardware_concurrency, 4);
        assert_true(x->device_memory_gb == 8);
    }
    map_destroy(&ids, NULL);
    arena_destroy(&a);
}

/* What chromium 156 itself sends, and a two-brand list of the other order. */
static void test_brands(void **state)
{
    struct arena *a = arena_create(NULL, 0);
    struct identity_brand b[IDENTITY_BRANDS_MAX];

    (void)state;
    assert_int_equal(identity_brands(a, 156, "156.0.8078.79", b), 2);
    assert_string_equal(b[0].brand, "Not:A-Brand");
    assert_string_equal(b[0].major, "8");
    assert_string_equal(b[1].brand, "Chromium");
    assert_string_equal(b[1].major, "156");
    assert_string_equal(b[1].version, "156.0.8078.79");
    assert_int_equal(identity_brands(a, 147, "147.0.0.1", b), 2);
    assert_string_equal(b[0].brand, "Chromium");
    arena_destroy(&a);
}

static void test_accept_language(void **state)
{
    struct arena *a = arena_create(NULL, 0);
    const char *four[] = {"de-DE", "de", "en-US", "en"};

    (void)state;
    assert_string_equal(identity_accept_language(a, four, 4),
                        "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7");
    assert_string_equal(identity_accept_language(a, four, 1), "de-DE");
    arena_destroy(&a);
}

static void test_a_viewport_that_is_asked_for_fits(void **state)
{
    struct identity_params p = plain;
    struct arena *a = arena_create(NULL, 0);

    (void)state;
    p.viewport_w = 1600;
    p.viewport_h = 900;
    for (uint32_t i = 0; i < 200; i++) {
        const struct identity *x = made(a, &p, i);

        assert_int_equal(x->viewport_w, 1600);
        assert_int_equal(x->viewport_h, 900);
        assert_true(x->screen_w >= 1600 && x->screen_h >= x->window_h);
    }
    arena_destroy(&a);
}

static void test_bad_parameters(void **state)
{
    const char *os[] = {"linux", "amiga"}, *locale[] = {"tlh"}, *zone[] = {"Mars/Olympus"};
    const char *zone_path[] = {"../../etc/passwd"};
    struct identity_params cases[7];
    static const char *const want[] = {"os/1", "locales/0", "timezones/0", "timezones/0",
                                       "seed", "version",   "viewport"};
    struct arena *a = arena_create(NULL, 0);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        cases[i] = plain;
    cases[0].os = (struct json_strs){os, 2};
    cases[1].locales = (struct json_strs){locale, 1};
    cases[2].timezones = (struct json_strs){zone, 1};
    cases[3].timezones = (struct json_strs){zone_path, 1};
    cases[4].seed = "";
    cases[5].browser_version = "x";
    cases[6].viewport_w = cases[6].viewport_h = 9000;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct identity *id = NULL;
        struct err e = ERR_INIT;

        assert_int_equal(identity_generate(a, &cases[i], 0, &id, &e), STATUS_INVALID);
        if (strstr(e.text, want[i]) == NULL)
            fail_msg("%zu: %s", i, e.text);
    }
    arena_destroy(&a);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_same_identity),
        cmocka_unit_test(test_what_a_page_can_check_fits_together),
        cmocka_unit_test(test_brands),
        cmocka_unit_test(test_accept_language),
        cmocka_unit_test(test_a_viewport_that_is_asked_for_fits),
        cmocka_unit_test(test_bad_parameters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
