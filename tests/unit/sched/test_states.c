/* The tables: what a task and a slot may do, and when an attempt is repeated. */
#include "core/sched/retry.h"
#include "core/sched/slot.h"
#include "core/sched/task.h"
#include "tests/support/testing.h"

static void test_ends_are_ends(void **state)
{
    static const enum task_state ends[] = {TASK_SUCCEEDED, TASK_FAILED,  TASK_CANCELLED,
                                           TASK_BLOCKED,   TASK_UNKNOWN, TASK_DEAD};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        assert_true(task_is_over(ends[i]));
        for (int to = 0; to < TASK_STATE_COUNT; to++)
            assert_false(task_may_move(ends[i], (enum task_state)to));
    }
    assert_false(task_may_move(TASK_PENDING, TASK_RUNNING)); /* never without a lease */
    assert_false(task_may_move(TASK_PENDING, TASK_SUCCEEDED));
    assert_true(task_may_move(TASK_RUNNING, TASK_DELAYED));
}

static void test_end_of(void **state)
{
    static const struct {
        enum status s;
        bool may_have_happened, retry_left;
        enum task_state want;
    } rows[] = {
        {STATUS_OK, false, true, TASK_SUCCEEDED},
        {STATUS_OK, true, false, TASK_SUCCEEDED},
        {STATUS_TIMEOUT, false, true, TASK_DELAYED},
        {STATUS_TIMEOUT, false, false, TASK_FAILED},
        {STATUS_TIMEOUT, true, true, TASK_UNKNOWN}, /* never repeated silently */
        {STATUS_CANCELLED, true, true, TASK_UNKNOWN},
        {STATUS_CANCELLED, false, true, TASK_CANCELLED},
        {STATUS_ASSERTION_FAILED, false, true, TASK_FAILED},
        {STATUS_BREAKER_OPEN, false, true, TASK_BLOCKED},
        {STATUS_ROBOTS_DENIED, false, true, TASK_BLOCKED},
        {STATUS_POLICY_DENIED, false, false, TASK_BLOCKED},
        {STATUS_OUTCOME_UNKNOWN, false, true, TASK_UNKNOWN},
        {STATUS_HTTP_429, false, true, TASK_DELAYED},
        {STATUS_CAPTCHA_DETECTED, false, true, TASK_FAILED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(task_end_of(rows[i].s, rows[i].may_have_happened, rows[i].retry_left),
                         rows[i].want);
}

static void test_slot_generations_never_go_back(void **state)
{
    static const enum slot_event life[] = {SLOT_LEASE,        SLOT_RUN,   SLOT_DONE, SLOT_LEASE,
                                           SLOT_DROP,         SLOT_LEASE, SLOT_RUN,  SLOT_CANCEL,
                                           SLOT_ACKNOWLEDGED, SLOT_LEASE, SLOT_RUN,  SLOT_CANCEL,
                                           SLOT_SILENT,       SLOT_FREED};
    struct slot s = {.index = 1};
    uint32_t before = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(life); i++) {
        assert_true(slot_knows(s.state, life[i]));
        slot_event(&s, life[i]);
        assert_true(s.generation >= before);
        before = s.generation;
    }
    assert_int_equal(s.state, SLOT_FREE);
    assert_int_equal(s.generation, 6); /* four leases, two cancels */
    assert_false(slot_knows(SLOT_FREE, SLOT_DONE));
    assert_false(slot_knows(SLOT_DRAINING, SLOT_DONE)); /* a late answer is not a success */
}

static void test_retry_delays(void **state)
{
    struct rng r;
    uint64_t most[6] = {0};

    (void)state;
    rng_seed_u64(&r, 1);
    for (uint32_t n = 1; n <= 5; n++) {
        for (int i = 0; i < 2000; i++) {
            uint64_t d = retry_delay_ms(&r, 500, 3000, n);

            if (d > most[n])
                most[n] = d;
        }
    }
    assert_true(most[1] <= 500 && most[1] > 450);
    assert_true(most[2] <= 1000 && most[2] > 900);
    assert_true(most[3] <= 2000 && most[3] > 1800);
    assert_true(most[4] <= 3000 && most[5] <= 3000 && most[5] > 2700);
    assert_true(retry_delay_ms(&r, 1, UINT64_MAX / 2, UINT32_MAX) <= UINT64_MAX / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends_are_ends),
        cmocka_unit_test(test_end_of),
        cmocka_unit_test(test_slot_generations_never_go_back),
        cmocka_unit_test(test_retry_delays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
