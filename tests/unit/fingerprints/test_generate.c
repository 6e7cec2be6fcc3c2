#include "fingerprints/generate.h"

#include "core/base/map.h"
#include "fingerprints/coherence.h"
#include "fingerprints/identity_json.h"
#include "tests/support/testing.h"

static const struct identity_params plain = {
    .seed = "s",
    .browser_version = "156.0.8078.79",
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

/* It is the same identity, and what two have in common is there once. */
static void test_texts_are_shared(void **state)
{
    const char *oses[] = {"linux", "windows"}, *locales[] = {"de-DE", "en-GB"};
    struct arena *a = arena_create(NULL, 0);
    struct identity_params p = plain, alone = plain;
    unsigned agents = 0, languages = 0;

    (void)state;
    p.os = alone.os = (struct json_strs){oses, 2};
    p.locales = alone.locales = (struct json_strs){locales, 2};
    for (uint32_t i = 0; i < 100; i++) {
        const struct identity *x = made(a, &p, i), *like = p.like;
        struct json *with = identity_to_json(x), *without = identity_to_json(made(a, &alone, i));

        assert_true(json_eq(with, without));
        agents += like && x->user_agent == like->user_agent &&
                  x->brands[0].brand == like->brands[0].brand;
        languages += like && x->accept_language == like->accept_language;
        p.like = x;
        json_destroy(&with);
        json_destroy(&without);
    }
    assert_true(agents > 20 && languages > 20);
    arena_destroy(&a);
}

static void tell(void *arg, const struct contradiction *c)
{
    print_error("%s: %s: %s (%s)\n", (const char *)arg, c->rule, c->what, c->reason);
}

/* Every rule of the table over every system, and no two alike. */
static void test_ten_thousand_identities(void **state)
{
    const char *oses[] = {"linux", "windows", "macos", "android"};
    const char *locales[] = {"de", "en-US", "ja-JP", "pt-BR", "en-IN"};
    const struct coherence_machine machine = {plain.browser_version, plain.memory_bytes};
    struct identity_params p = plain;
    struct arena *a = arena_create(NULL, 0);
    struct map *ids = map_create(), *seeds = map_create();

    (void)state;
    p.os = (struct json_strs){oses, 4};
    p.locales = (struct json_strs){locales, 5};
    for (uint32_t i = 0; i < 10000; i++) {
        const struct identity *x = made(a, &p, i);

        assert_null(map_put(ids, str_from(x->id), ids));
        assert_null(map_put_u64(seeds, x->noise_seed, seeds));
        if (coherence_check(x, &machine, tell, (void *)(uintptr_t)x->id) > 0)
            fail_msg("identity %u contradicts itself", i);
        assert_true(x->device_memory_gb == 16);
    }
    map_destroy(&ids, NULL);
    map_destroy(&seeds, NULL);
    arena_destroy(&a);
}

static void test_the_proxys_country_sets_the_clock(void **state)
{
    struct identity_params p = plain;
    struct arena *a = arena_create(NULL, 0);
    const char *zones[] = {"Asia/Tokyo"};

    (void)state;
    p.country = "de";
    assert_string_equal(made(a, &p, 0)->timezone, "Europe/Berlin");
    assert_string_equal(made(a, &p, 0)->languages[0], "en-US");
    p.country = "zz"; /* a tag that is no country */
    assert_string_equal(made(a, &p, 0)->country, "us");
    p.timezones = (struct json_strs){zones, 1};
    assert_string_equal(made(a, &p, 0)->timezone, "Asia/Tokyo");
    arena_destroy(&a);
}

static void test_what_can_be_switched_off(void **state)
{
    struct identity_params p = plain;
    struct arena *a = arena_create(NULL, 0);

    (void)state;
    assert_true(made(a, &p, 0)->noise_seed != 0 && made(a, &p, 0)->webgl_renderer[0] != '\0');
    assert_int_equal(made(a, &p, 0)->marks, IDENTITY_MARK_GPU);
    p.no_noise = p.own_gpu = true;
    assert_true(made(a, &p, 0)->noise_seed == 0 && made(a, &p, 0)->webgl_renderer[0] == '\0');
    assert_int_equal(made(a, &p, 0)->marks, 0);
    p = plain;
    p.honest = true;
    assert_true(made(a, &p, 0)->noise_seed == 0 && made(a, &p, 0)->webgl_renderer[0] == '\0');
    assert_non_null(strstr(made(a, &p, 0)->user_agent, "HeadlessChrome"));
    arena_destroy(&a);
}

/* Chromium's rounding (device_memory.cc). */
static void test_memory_classes(void **state)
{
    static const struct {
        double gib, class;
    } cases[] = {{0.5, 2}, {3, 2}, {3.1, 4}, {8, 8}, {23, 16}, {25, 32}, {64, 32}, {512, 32}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_true(identity_memory_class((uint64_t)(cases[i].gib * (1 << 30))) == cases[i].class);
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
        cmocka_unit_test(test_texts_are_shared),
        cmocka_unit_test(test_ten_thousand_identities),
        cmocka_unit_test(test_the_proxys_country_sets_the_clock),
        cmocka_unit_test(test_what_can_be_switched_off),
        cmocka_unit_test(test_memory_classes),
        cmocka_unit_test(test_brands),
        cmocka_unit_test(test_accept_language),
        cmocka_unit_test(test_a_viewport_that_is_asked_for_fits),
        cmocka_unit_test(test_bad_parameters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
