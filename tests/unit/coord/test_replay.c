/* What the noted steps of a task's attempts come to when an engine begins where another ended. */
#include "core/coord/engine_resume.c"

#include "tests/support/testing.h"

enum { STEPS = 8 };

/* Steps as they are noted: epoch, stage, attempt. */
#define B(e, s, a)                                                                                 \
    {                                                                                              \
        e,                                                                                         \
        {                                                                                          \
            0, s, a, STORE_BEGUN                                                                   \
        }                                                                                          \
    }
#define C(e, s, a)                                                                                 \
    {                                                                                              \
        e,                                                                                         \
        {                                                                                          \
            0, s, a, STORE_CONFIRMED                                                               \
        }                                                                                          \
    }
#define E(e, s, a)                                                                                 \
    {                                                                                              \
        e,                                                                                         \
        {                                                                                          \
            0, s, a, STORE_ENDED                                                                   \
        }                                                                                          \
    }
#define U(e, s, a)                                                                                 \
    {                                                                                              \
        e,                                                                                         \
        {                                                                                          \
            0, s, a, STORE_UNDONE                                                                  \
        }                                                                                          \
    }

static void test_rows(void **state)
{
    static const struct {
        const char *what;
        struct {
            uint64_t epoch;
            struct store_entry x;
        } steps[STEPS];
        unsigned attempts, lost, unknown, stage;
    } rows[] = {
        {"never begun", {{0}}, 0, 0, 0, 0},
        {"under way", {B(1, 0, 1)}, 1, 1, 0, 0},
        {"a retry waited", {B(1, 0, 1), E(1, 0, 1)}, 1, 0, 0, 0},
        {"the second was under way", {B(1, 0, 1), E(1, 0, 1), B(1, 0, 2)}, 2, 1, 0, 0},
        {"interrupted in order", {B(1, 0, 1), U(1, 0, 1)}, 0, 0, 0, 0},
        {"three crashes", {B(1, 0, 1), B(2, 0, 2), B(4, 0, 3)}, 3, 3, 0, 0},
        {"two crashes, then in order",
         {B(1, 0, 1), B(2, 0, 2), B(3, 0, 3), U(3, 0, 3)},
         2,
         2,
         0,
         0},
        {"confirmed", {B(1, 0, 1), C(1, 0, 1)}, 1, 1, 1, 0},
        {"confirmed, did not happen, again",
         {B(1, 0, 1), C(1, 0, 1), E(1, 0, 1), B(1, 0, 2)},
         2,
         1,
         0,
         0},
        {"confirmed in an epoch before", {B(1, 0, 1), C(1, 0, 1), B(2, 0, 2)}, 2, 2, 1, 0},
        {"the next stage begins anew", {B(1, 0, 1), B(2, 0, 2), B(2, 1, 1)}, 1, 1, 0, 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct replay r = {0};

        for (size_t k = 0; k < STEPS && rows[i].steps[k].epoch; k++)
            replay_entry(&r, rows[i].steps[k].epoch, &rows[i].steps[k].x);
        replay_lost(&r);
        if (r.attempts != rows[i].attempts || r.lost != rows[i].lost ||
            r.unknown != rows[i].unknown || r.stage != rows[i].stage)
            fail_msg("%s: %u attempts, %u lost, unknown %u, stage %u", rows[i].what, r.attempts,
                     r.lost, r.unknown, r.stage);
    }
}

static void test_entries(void **state)
{
    static const struct store_entry all[] = {
        {0, 0, 1, STORE_BEGUN},
        {UINT32_MAX, 99, UINT16_MAX, STORE_CONFIRMED},
        {1, 2, 3, STORE_UNDONE},
    };
    struct buf b = BUF_INIT(1024);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        store_entry_add(&b, &all[i]);
    assert_int_equal(b.len, ARRAY_LEN(all) * STORE_ENTRY);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct store_entry x;

        store_entry_read((const unsigned char *)b.ptr + i * STORE_ENTRY, &x);
        assert_int_equal(x.index, all[i].index);
        assert_int_equal(x.stage, all[i].stage);
        assert_int_equal(x.attempt, all[i].attempt);
        assert_int_equal(x.step, all[i].step);
    }
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_entries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
