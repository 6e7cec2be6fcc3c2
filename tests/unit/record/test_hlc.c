#include "tests/support/testing.h"

#include "core/record/hlc.h"

static void test_tick(void **state maybe_unused)
{
    struct hlc h = {0};
    static const struct {
        uint64_t wall, ms;
        uint32_t counter;
    } rows[] = {
        {1000, 1000, 0}, {1000, 1000, 1}, {1001, 1001, 0}, {900, 1001, 1}, /* the wall went back */
        {0, 1001, 2},    {1002, 1002, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct hlc_time t = hlc_tick(&h, rows[i].wall);

        assert_int_equal(t.ms, rows[i].ms);
        assert_int_equal(t.counter, rows[i].counter);
    }
}

static void test_counter_moves_the_clock_on(void **state maybe_unused)
{
    struct hlc h = {.last = {5000, HLC_MAX_COUNTER}};
    struct hlc_time t = hlc_tick(&h, 5000);

    assert_int_equal(t.ms, 5001);
    assert_int_equal(t.counter, 0);
}

static void test_merge(void **state maybe_unused)
{
    static const struct {
        struct hlc_time ours, peer;
        uint64_t wall, skew;
        struct hlc_time want;
        bool clamped;
    } rows[] = {
        {{1000, 3}, {900, 9}, 950, 0, {1000, 4}, false},       /* ours is ahead */
        {{1000, 3}, {2000, 9}, 950, 0, {2000, 10}, false},     /* the peer is */
        {{1000, 3}, {1000, 9}, 950, 0, {1000, 10}, false},     /* same ms */
        {{1000, 3}, {2000, 9}, 3000, 0, {3000, 0}, false},     /* the wall is */
        {{1000, 0}, {601001, 7}, 1000, 0, {601000, 1}, true},  /* 1 ms too far ahead */
        {{1000, 0}, {601000, 7}, 1000, 0, {601000, 8}, false}, /* just within */
        {{1000, 0}, {UINT64_MAX, 7}, 1000, 50, {1050, 1}, true},
        {{9000, 5}, {UINT64_MAX, 7}, 1000, 50, {9000, 6}, true}, /* ours is beyond the clamp */
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct hlc h = {.last = rows[i].ours, .max_skew_ms = rows[i].skew};
        bool clamped = !rows[i].clamped;
        struct hlc_time t = hlc_merge(&h, rows[i].peer, rows[i].wall, &clamped);

        assert_int_equal(hlc_compare(t, rows[i].want), 0);
        assert_int_equal(clamped, rows[i].clamped);
        assert_true(hlc_compare(t, rows[i].ours) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tick),
        cmocka_unit_test(test_counter_moves_the_clock_on),
        cmocka_unit_test(test_merge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
