/* The queue on a clock of its own: order, fairness, tokens, pins, breakers, deadlines. */
#include "core/sched/queue.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/testing.h"

enum { TASKS = 64, MEMBERS = 8 };

static struct {
    uint64_t token_at[4]; /* when target 't0'.. has its next token */
    uint64_t every_ms[4]; /* between tokens; 0: no limit */
    bool closed[4];       /* its breaker is open */
    bool busy[MEMBERS];
    bool tells; /* the limiter says when the next token comes */
    unsigned taken;
} world;

static struct task tasks[TASKS];
static struct queue *queue;

static size_t target_index(struct str name)
{
    return (size_t)(name.ptr[1] - '0');
}

static void open_door(void *arg, struct str target, struct queue_door *out)
{
    (void)arg;
    out->limit = &world.token_at[target_index(target)];
    out->breaker = &world.closed[target_index(target)];
}

static uint64_t take(void *arg, const struct queue_door *d, uint64_t now_ms, uint64_t *then_ms)
{
    uint64_t *at = d->limit;
    size_t i = (size_t)(at - world.token_at);

    (void)arg;
    if (*at > now_ms)
        return *at - now_ms;
    *at = now_ms + world.every_ms[i];
    if (world.tells)
        *then_ms = world.every_ms[i];
    world.taken++;
    return 0;
}

static bool allow(void *arg, const struct queue_door *d)
{
    (void)arg;
    return !*(const bool *)d->breaker;
}

static bool is_idle(void *arg, uint32_t member)
{
    (void)arg;
    return !world.busy[member];
}

static int set_up(void **state)
{
    static const struct queue_guards guards = {open_door, take, allow, is_idle, NULL};

    (void)state;
    memset(&world, 0, sizeof(world));
    memset(tasks, 0, sizeof(tasks));
    queue = queue_create(&guards);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    queue_destroy(&queue);
    return 0;
}

static void add(uint32_t i, const char *target, int16_t priority, int32_t pin, uint32_t submitter)
{
    tasks[i].index = i;
    tasks[i].priority = priority;
    tasks[i].pin = pin;
    queue_add(queue, &tasks[i], str_from(target), submitter);
}

/* The next task's index; -1: none now. */
static int next(uint64_t now_ms)
{
    struct task *t;
    enum queue_verdict v = queue_next(queue, now_ms, true, &t);

    assert_true(v == QUEUE_NONE || v == QUEUE_RUN);
    return v == QUEUE_RUN ? (int)t->index : -1;
}

static void test_priority_then_order(void **state)
{
    static const int want[] = {2, 4, 0, 1, 3, -1};

    (void)state;
    add(0, "t0", 0, -1, 0);
    add(1, "t0", 0, -1, 0);
    add(2, "t0", 5, -1, 0);
    add(3, "t0", -1, -1, 0);
    add(4, "t1", 5, -1, 0);
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_int_equal(next(0), want[i]);
    assert_int_equal(queue_len(queue), 0);
}

/* A name is what stands there, wherever it stands: addresses come again with other names, names at
 * other addresses, and targets go and come back. */
static void test_names_move(void **state)
{
    char here[4], there[4];

    (void)state;
    for (uint32_t i = 0; i < 12; i++) {
        snprintf(here, sizeof(here), "t%u", i % 3);
        snprintf(there, sizeof(there), "t%u", (i + 1) % 3);
        add(3 * i, here, 0, -1, 0);
        add(3 * i + 1, there, 0, -1, 0);
        add(3 * i + 2, here, 0, -1, 0);
        assert_int_equal(queue_target_len(queue, str_from(here)), 2);
        assert_int_equal(queue_target_len(queue, str_from(there)), 1);
        while (next(i) >= 0) /* the last task of a target takes it along */
            ;
    }
    assert_int_equal(world.taken, 36);
}

/* A target with many tasks does not keep the others waiting. */
static void test_targets_take_turns(void **state)
{
    static const int want[] = {0, 10, 20, 1, 11, 2, 3, -1};

    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        add(i, "t0", 0, -1, 0);
    add(10, "t1", 0, -1, 0);
    add(11, "t1", 0, -1, 0);
    add(20, "t2", 0, -1, 0);
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_int_equal(next(0), want[i]);
}

static void test_submitters_take_turns(void **state)
{
    static const int want[] = {0, 10, 1, 11, 2, -1};

    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        add(i, "t0", 0, -1, 7);
    add(10, "t0", 0, -1, 8);
    add(11, "t0", 0, -1, 8);
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_int_equal(next(0), want[i]);
}

static void waits_for_tokens(bool tells)
{
    world.tells = tells;
    world.every_ms[0] = 500;
    add(0, "t0", 9, -1, 0);
    add(1, "t0", 9, -1, 0);
    add(2, "t1", 0, -1, 0);
    assert_int_equal(next(1000), 0);
    assert_int_equal(next(1000), 2); /* the other target is not held up */
    assert_int_equal(next(1000), -1);
    assert_int_equal(queue_next_ms(queue), 1500);
    assert_int_equal(next(1499), -1);
    assert_int_equal(next(1500), 1);
    assert_int_equal(world.taken, 3);
}

static void test_waits_for_tokens(void **state)
{
    (void)state;
    waits_for_tokens(false);
}

static void test_waits_as_it_was_told(void **state)
{
    (void)state;
    waits_for_tokens(true);
}

/* What was said of the next token holds only until the target is said to have changed, also when
 * none of its tasks could run at that time. */
static void test_changed_target_forgets_what_it_was_told(void **state)
{
    (void)state;
    world.tells = true;
    world.every_ms[0] = 5000;
    add(0, "t0", 9, -1, 0);
    add(1, "t0", 0, 2, 0);
    assert_int_equal(next(0), 0);
    assert_int_equal(queue_next_ms(queue), 5000);
    world.busy[2] = true;
    assert_int_equal(next(5000), -1); /* parked */
    add(2, "t0", 9, -1, 0);
    assert_int_equal(next(5000), 2);
    world.token_at[0] = 5001;
    queue_target_changed(queue, STR("t0"));
    world.busy[2] = false;
    queue_member_idle(queue, 2);
    assert_int_equal(next(5001), 1);
}

/* Many lines in one lane: each in the order of coming, whatever the order they are taken out. */
static void test_many_priorities(void **state)
{
    enum { N = 60 };

    (void)state;
    for (uint32_t i = 0; i < N; i++)
        add(i, "t0", (int16_t)(i * 7 % 20), -1, 0);
    for (uint32_t i = 0; i < N; i += 3)
        queue_remove(queue, &tasks[i]);
    for (int priority = 19; priority >= 0; priority--) {
        for (int i = 0; i < N; i++) {
            if (i % 3 != 0 && i * 7 % 20 == priority)
                assert_int_equal(next(0), i);
        }
    }
    assert_int_equal(next(0), -1);
}

/* A token is taken only for a task that can run. */
static void test_no_token_in_vain(void **state)
{
    struct task *t;

    (void)state;
    add(0, "t0", 0, 3, 0);
    world.busy[3] = true;
    assert_int_equal(next(0), -1);
    assert_int_equal(queue_next(queue, 0, false, &t), QUEUE_NONE);
    assert_int_equal(world.taken, 0);
    world.busy[3] = false;
    assert_int_equal(next(0), -1); /* it was not told */
    queue_member_idle(queue, 3);
    assert_int_equal(next(0), 0);
    assert_int_equal(world.taken, 1);
}

static void test_pinned_do_not_block_others(void **state)
{
    (void)state;
    world.busy[0] = true;
    add(0, "t0", 9, 0, 0);
    add(1, "t0", 9, 0, 0);
    add(2, "t0", 0, 1, 0);
    add(3, "t0", 0, -1, 0);
    assert_int_equal(next(0), 2);
    assert_int_equal(next(0), 3);
    assert_int_equal(next(0), -1);
    add(4, "t0", 0, 0, 0); /* into a lane that is parked */
    world.busy[0] = false;
    queue_member_idle(queue, 0);
    assert_int_equal(next(0), 0);
    world.busy[0] = true;
    assert_int_equal(next(0), -1);
    queue_remove(queue, &tasks[1]);
    queue_remove(queue, &tasks[4]);
    world.busy[0] = false;
    queue_member_idle(queue, 0);
    assert_int_equal(next(0), -1);
    assert_int_equal(queue_len(queue), 0);
}

static void test_retries_come_when_due(void **state)
{
    (void)state;
    tasks[0].state = TASK_DELAYED;
    tasks[0].not_before_ms = 700;
    add(0, "t0", 0, -1, 0);
    assert_int_equal(queue_delayed(queue), 1);
    assert_int_equal(next(0), -1);
    assert_int_equal(queue_next_ms(queue), 700);
    assert_int_equal(next(700), 0);
    assert_int_equal(tasks[0].state, TASK_PENDING);
}

static void test_expired_are_handed_out(void **state)
{
    struct task *t;

    (void)state;
    world.closed[0] = true;
    queue_hold_blocked(queue, true);
    tasks[0].expires_ms = 100;
    add(0, "t0", 0, -1, 0);
    add(1, "t0", 0, -1, 0);
    assert_int_equal(queue_next(queue, 99, true, &t), QUEUE_NONE);
    assert_int_equal(queue_next_ms(queue), 100);
    assert_int_equal(queue_next(queue, 100, false, &t), QUEUE_EXPIRED);
    assert_int_equal(t->index, 0);
    assert_int_equal(queue_len(queue), 1);
}

static void test_open_breaker_ends_tasks(void **state)
{
    struct task *t;

    (void)state;
    world.closed[0] = true;
    add(0, "t0", 0, -1, 0);
    add(1, "t1", 0, -1, 0);
    assert_int_equal(queue_next(queue, 0, true, &t), QUEUE_BLOCKED);
    assert_int_equal(t->index, 0);
    assert_int_equal(next(0), 1);
    assert_int_equal(world.taken, 1);
}

static void test_open_breaker_holds_tasks(void **state)
{
    (void)state;
    queue_hold_blocked(queue, true);
    world.closed[0] = true;
    add(0, "t0", 0, -1, 0);
    add(1, "t1", 0, -1, 0);
    assert_int_equal(next(0), 1);
    assert_int_equal(next(0), -1);
    assert_int_equal(queue_held(queue), 1);
    queue_release(queue);
    assert_int_equal(next(0), -1);
    world.closed[0] = false;
    queue_release(queue);
    assert_int_equal(next(0), 0);
}

static void test_changed_target_is_asked_again(void **state)
{
    (void)state;
    world.token_at[0] = 5000;
    add(0, "t0", 0, -1, 0);
    assert_int_equal(next(0), -1);
    world.token_at[0] = 0;
    assert_int_equal(next(10), -1);
    queue_target_changed(queue, STR("t0"));
    assert_int_equal(next(10), 0);
}

static void test_drop_takes_all(void **state)
{
    size_t n = 0;

    (void)state;
    world.busy[2] = true;
    add(0, "t0", 0, 2, 0);
    add(1, "t1", 0, -1, 0);
    tasks[2].state = TASK_DELAYED;
    tasks[2].not_before_ms = 10;
    add(2, "t1", 0, -1, 0);
    tasks[3].expires_ms = 10;
    add(3, "t2", 0, -1, 1);
    world.token_at[1] = 100;
    assert_int_equal(next(0), 3);
    add(3, "t2", 0, -1, 1);
    while (queue_drop(queue))
        n++;
    assert_int_equal(n, 4);
    assert_int_equal(queue_len(queue), 0);
    assert_int_equal(queue_next_ms(queue), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_priority_then_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_targets_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_submitters_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_waits_for_tokens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_waits_as_it_was_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changed_target_forgets_what_it_was_told, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_many_priorities, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_token_in_vain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pinned_do_not_block_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_retries_come_when_due, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_expired_are_handed_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_open_breaker_ends_tasks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_open_breaker_holds_tasks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changed_target_is_asked_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_drop_takes_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_move, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
