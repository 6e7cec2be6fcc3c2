#include "core/guard/breaker.h"

#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/file.h"
#include "tests/support/testing.h"

static const struct breaker_conf defaults = {0.10, 60000, 20};

static struct breaker *opened(const char *dir)
{
    struct breaker *b = NULL;
    struct err e = ERR_INIT;

    assert_int_equal(breaker_open_store(&defaults, dir, &b, &e), STATUS_OK);
    return b;
}

static bool sample(struct breaker *b, bool failed, uint64_t now_ms)
{
    struct err e = ERR_INIT;
    bool tripped = breaker_record(b, STR("t"), failed, STATUS_HTTP_5XX, now_ms, 1700000000000, &e);

    assert_int_equal(e.status, STATUS_OK);
    return tripped;
}

static void test_needs_enough_samples(void **state)
{
    struct breaker *b = opened(NULL);

    (void)state;
    for (int i = 0; i < 19; i++)
        assert_false(sample(b, true, 1000));
    assert_true(breaker_allow(b, STR("t")));
    assert_true(sample(b, true, 1000));
    assert_false(breaker_allow(b, STR("t")));
    assert_true(breaker_allow(b, STR("other")));
    breaker_close_store(&b);
}

static void test_opens_above_the_rate_not_at_it(void **state)
{
    struct breaker *b = opened(NULL);

    (void)state;
    for (int i = 0; i < 18; i++)
        assert_false(sample(b, false, 1000));
    assert_false(sample(b, true, 1000));
    assert_false(sample(b, true, 1000)); /* 2 of 20 is 10 % */
    assert_true(sample(b, true, 1000));  /* 3 of 21 */
    breaker_close_store(&b);
}

static void test_the_window_rolls(void **state)
{
    struct breaker *b = opened(NULL);

    (void)state;
    for (int i = 0; i < 19; i++)
        assert_false(sample(b, true, 1000));
    assert_false(sample(b, true, 62000)); /* the 19 are gone */
    for (int i = 0; i < 18; i++)
        assert_false(sample(b, true, 62000 + (uint64_t)i));
    assert_true(sample(b, true, 63000));
    breaker_close_store(&b);
}

static void test_does_not_heal_by_time_or_restart(void **state)
{
    const char *dir = *state;
    struct breaker *b = opened(dir);
    struct breaker_state s;
    struct err e = ERR_INIT;
    size_t it = 0;

    for (int i = 0; i < 20; i++)
        sample(b, true, 1000);
    assert_false(sample(b, false, 100000000));
    assert_false(breaker_allow(b, STR("t")));
    breaker_close_store(&b);

    b = opened(dir);
    assert_false(breaker_allow(b, STR("t")));
    assert_true(breaker_next(b, &it, 5, &s));
    assert_true(s.open);
    assert_int_equal(s.samples, 20);
    assert_int_equal(s.failures, 20);
    assert_int_equal(s.opened_wall_ms, 1700000000000);
    assert_int_equal(s.why, STATUS_HTTP_5XX);
    assert_int_equal(breaker_reset(b, STR("t"), &e), STATUS_OK);
    assert_true(breaker_allow(b, STR("t")));
    assert_int_equal(breaker_reset(b, STR("t"), &e), STATUS_NOT_FOUND);
    breaker_close_store(&b);

    b = opened(dir);
    assert_true(breaker_allow(b, STR("t")));
    breaker_close_store(&b);
}

static void test_a_damaged_file_stops(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"version\": 2, \"open\": []}",
        "{\"version\": 1}",
        "{\"version\": 1, \"open\": [{\"target\": 5}]}",
        "{\"version\": 1, \"open\": [{\"target\": \"x\", \"opened_ms\": -1}]}",
    };
    const char *dir = *state;
    char *path = file_join(dir, "breakers.json");

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct breaker *b = NULL;
        struct err e = ERR_INIT;

        assert_int_equal(file_replace(path, str_from(bad[i]), 0600, &e), STATUS_OK);
        assert_int_equal(breaker_open_store(&defaults, dir, &b, &e), STATUS_CORRUPT);
        assert_non_null(strstr(e.text, "breakers.json"));
        assert_null(b);
    }
    unlink(path);
    free(path);
}

static void test_opens_although_it_cannot_be_saved(void **state)
{
    struct breaker *b = NULL;
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(breaker_open_store(&defaults, "/proc/nowhere", &b, &e), STATUS_OK);
    for (int i = 0; i < 19; i++)
        breaker_record(b, STR("t"), true, STATUS_TIMEOUT, 1, 1, &e);
    assert_true(breaker_record(b, STR("t"), true, STATUS_TIMEOUT, 1, 1, &e));
    assert_int_not_equal(e.status, STATUS_OK);
    assert_false(breaker_allow(b, STR("t")));
    breaker_close_store(&b);
}

static void test_refuses_nonsense(void **state)
{
    static const struct breaker_conf bad[] = {{0, 60000, 20},  {1.1, 60000, 20},
                                              {-1, 60000, 20}, {0.1, 10, 20},
                                              {0.1, 60000, 0}, {0.0 / 0.0, 60000, 20}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct breaker *b = NULL;

        assert_int_equal(breaker_open_store(&bad[i], NULL, &b, NULL), STATUS_INVALID);
    }
}

static int dir_setup(void **state)
{
    *state = test_mkdir();
    return 0;
}

static int dir_teardown(void **state)
{
    char *dir = *state;

    test_rmdir(&dir);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_needs_enough_samples),
        cmocka_unit_test(test_opens_above_the_rate_not_at_it),
        cmocka_unit_test(test_the_window_rolls),
        cmocka_unit_test_setup_teardown(test_does_not_heal_by_time_or_restart, dir_setup,
                                        dir_teardown),
        cmocka_unit_test_setup_teardown(test_a_damaged_file_stops, dir_setup, dir_teardown),
        cmocka_unit_test(test_opens_although_it_cannot_be_saved),
        cmocka_unit_test(test_refuses_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
