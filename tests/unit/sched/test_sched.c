/* The scheduler on a clock that stands still, with an executor that does as it is told: what is
 * dispatched when, and how each end of an attempt ends its task. */
#include "core/sched/sched.h"

#include <stdio.h>
#include <string.h>

#include "core/guard/breaker.h"
#include "core/guard/limit.h"
#include "tests/support/testing.h"

enum { TASKS = 32, MEMBERS = 4 };

/* --- the executor --- */

struct executor {
    struct attempt *running[TASKS]; /* by slot */
    enum status cancelled[TASKS];
    unsigned runs;
    bool deaf; /* does not react to cancel */
};

static void x_run(struct executor *x, struct attempt *a)
{
    assert_null(x->running[a->slot]);
    assert_true(a->credit);
    assert_non_null(json_str(json_get(a->row, "url"), NULL));
    x->running[a->slot] = a;
    x->runs++;
}

static void x_cancel(struct executor *x, struct attempt *a, enum status why)
{
    x->cancelled[a->slot] = why;
    if (x->deaf)
        return;
    a->status = STATUS_CANCELLED;
}

static const struct executor_ops ops = {.name = "scripted", .run = x_run, .cancel = x_cancel};

/* --- the world --- */

static struct {
    struct clock_fake clock;
    struct loop *loop;
    struct limiter *limiter;
    struct breaker *breaker;
    struct executor x;
    struct member array[MEMBERS], *members[MEMBERS];
    struct identity identity;
    struct sched *sched;
    struct task tasks[TASKS];
    enum task_state ended[TASKS];
    enum status status[TASKS];
    char text[TASKS][ERR_TEXT_MAX];
    unsigned n_ended, n_idle, n_retries;
    unsigned char parent[32];
} w;

static struct json *row_json(void *arg, const struct task *t)
{
    char url[64];

    (void)arg;
    snprintf(url, sizeof(url), "http://t/%u", t->row);
    return json_add_str(json_new_object(), "url", url);
}

static void task_name(void *arg, const struct task *t, char out[24])
{
    (void)arg;
    snprintf(out, 24, "t-%u", t->index);
}

static void on_retry(void *arg, const struct task *t, const struct attempt *a, uint64_t delay_ms)
{
    (void)arg;
    (void)t;
    (void)a;
    assert_true(delay_ms <= 1000);
    w.n_retries++;
}

static void on_done(void *arg, struct sched_result *r)
{
    (void)arg;
    assert_int_equal(w.ended[r->task->index], 0); /* once */
    w.ended[r->task->index] = (enum task_state)r->task->state;
    w.status[r->task->index] = r->status;
    snprintf(w.text[r->task->index], ERR_TEXT_MAX, "%s", r->err->text);
    w.n_ended++;
}

static void on_idle(void *arg)
{
    (void)arg;
    w.n_idle++;
}

static struct sched_deps deps(void)
{
    return (struct sched_deps){
        .loop = w.loop,
        .limiter = w.limiter,
        .breaker = w.breaker,
        .executor = &ops,
        .x = &w.x,
        .members = w.members,
        .n_members = MEMBERS,
        .slots = 2,
        .deadlines = {.run_ms = 5000},
        .retry = {.max = 2, .base_ms = 100, .cap_ms = 1000},
        .parent = w.parent,
        .row_json = row_json,
        .task_name = task_name,
        .on_retry = on_retry,
        .on_done = on_done,
        .on_idle = on_idle,
    };
}

static void open_world(const struct sched_deps *d)
{
    w.sched = sched_create(d);
}

static int set_up(void **state)
{
    static const struct breaker_conf breaker = {0.10, 60000, 20};
    struct err e = ERR_INIT;

    (void)state;
    memset(&w, 0, sizeof(w));
    clock_fake_init(&w.clock, 1700000000000);
    assert_int_equal(loop_create(&w.loop, &w.clock.clock, &e), STATUS_OK);
    w.limiter = limiter_create((struct limit_rate){10, 1000});
    assert_int_equal(breaker_open_store(&breaker, NULL, &w.breaker, &e), STATUS_OK);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        w.array[i].index = i;
        w.array[i].identity = &w.identity;
        w.members[i] = &w.array[i];
        list_init(&w.array[i].idle_link);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sched_destroy(&w.sched);
    loop_run_once(w.loop, 0);
    limiter_destroy(&w.limiter);
    breaker_close_store(&w.breaker);
    loop_destroy(&w.loop);
    return 0;
}

static void turn(void)
{
    for (int i = 0; i < 4; i++)
        loop_run_once(w.loop, 0);
}

static void pass(uint64_t ms)
{
    clock_fake_advance_ms(&w.clock, ms);
    turn();
}

static void add(uint32_t i, const char *target, int32_t pin)
{
    w.tasks[i].index = i;
    w.tasks[i].row = i;
    w.tasks[i].pin = pin;
    sched_add(w.sched, &w.tasks[i], target, 0);
}

static void finish(uint32_t slot, enum status s)
{
    struct attempt *a = w.x.running[slot];

    assert_non_null(a);
    w.x.running[slot] = NULL;
    a->status = s;
    if (s != STATUS_OK)
        err_set(&a->err, s, "scripted");
    a->done(a);
    turn();
}

static uint32_t task_in(uint32_t slot)
{
    assert_non_null(w.x.running[slot]);
    return w.x.running[slot]->task_index;
}

/* --- cases --- */

static void test_runs_as_many_as_slots(void **state)
{
    const struct sched_deps d = deps();

    (void)state;
    open_world(&d);
    for (uint32_t i = 0; i < 5; i++)
        add(i, "a", -1);
    assert_int_equal(w.x.runs, 0); /* never from inside the call */
    turn();
    assert_int_equal(w.x.runs, 2);
    assert_int_equal(sched_running(w.sched), 2);
    assert_int_equal(sched_waiting(w.sched), 3);
    finish(0, STATUS_OK);
    assert_int_equal(w.x.runs, 3);
    finish(1, STATUS_OK);
    finish(0, STATUS_OK);
    finish(1, STATUS_OK);
    finish(0, STATUS_OK);
    assert_int_equal(w.n_ended, 5);
    assert_int_equal(w.n_idle, 1);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(w.ended[i], TASK_SUCCEEDED);
}

static bool has_room(void *arg)
{
    return sched_running(w.sched) < *(unsigned *)arg;
}

/* Another one begins when there is room for it: at a poke, or when one has ended. What waits
 * meanwhile runs out of time as any. */
static void test_waits_for_room(void **state)
{
    struct sched_deps d = deps();
    unsigned room = 1;

    (void)state;
    d.may_begin = has_room;
    d.arg = &room;
    d.deadlines.queued_ms = 1000;
    open_world(&d);
    for (uint32_t i = 0; i < 5; i++)
        add(i, "a", -1);
    turn();
    assert_int_equal(w.x.runs, 1);
    room = 2;
    pass(1);
    assert_int_equal(w.x.runs, 1);
    sched_poke(w.sched);
    turn();
    assert_int_equal(w.x.runs, 2);
    room = 1;
    finish(0, STATUS_OK);
    assert_int_equal(w.x.runs, 2);
    finish(1, STATUS_OK);
    assert_int_equal(w.x.runs, 3);
    pass(1000);
    assert_int_equal(w.n_ended, 4);
    assert_int_equal(w.ended[4], TASK_FAILED);
    finish(0, STATUS_OK);
    assert_int_equal(w.n_ended, 5);
    assert_int_equal(w.x.runs, 3);
}

/* The member that is idle longest is next. */
static void test_members_take_turns(void **state)
{
    const struct sched_deps d = deps();

    (void)state;
    open_world(&d);
    for (uint32_t i = 0; i < 6; i++)
        add(i, "a", -1);
    turn();
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(w.x.running[i % 2]->member->index, i);
        finish(i % 2, STATUS_OK);
    }
    assert_int_equal(w.x.running[0]->member->index, 0);
    finish(0, STATUS_OK);
    finish(1, STATUS_OK);
}

/* No slot is held by a task that waits for a token. */
static void test_token_wait_holds_no_slot(void **state)
{
    const struct sched_deps d = deps();

    (void)state;
    open_world(&d);
    for (uint32_t i = 0; i < 12; i++) { /* ten tokens are in the bucket */
        add(i, "a", -1);
        turn();
        if (i < 10)
            finish(0, STATUS_OK);
    }
    assert_int_equal(sched_running(w.sched), 0);
    assert_int_equal(sched_waiting(w.sched), 2);
    add(20, "b", -1);
    turn();
    assert_int_equal(task_in(0), 20);
    pass(100);
    assert_int_equal(task_in(1), 10);
    finish(0, STATUS_OK);
    pass(100);
    finish(0, STATUS_OK);
    finish(1, STATUS_OK);
    assert_int_equal(w.n_ended, 13);
}

static void test_retries_then_fails(void **state)
{
    const struct sched_deps d = deps();

    (void)state;
    open_world(&d);
    add(0, "a", -1);
    turn();
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(w.x.running[0]->number, i);
        finish(0, STATUS_NAVIGATION_FAILED);
        pass(1000);
    }
    assert_int_equal(w.n_retries, 2);
    assert_int_equal(w.ended[0], TASK_FAILED);
    assert_int_equal(w.status[0], STATUS_NAVIGATION_FAILED);
    assert_string_equal(w.text[0], "scripted");
}

static void test_does_not_retry_what_cannot_help(void **state)
{
    const struct sched_deps d = deps();

    (void)state;
    open_world(&d);
    add(0, "a", -1);
    add(1, "b", -1);
    turn();
    w.x.running[1]->may_have_happened = true;
    finish(0, STATUS_ASSERTION_FAILED);
    finish(1, STATUS_TIMEOUT);
    assert_int_equal(w.n_retries, 0);
    assert_int_equal(w.ended[0], TASK_FAILED);
    assert_int_equal(w.ended[1], TASK_UNKNOWN);
}

static void test_run_deadline(void **state)
{
    struct sched_deps d = deps();

    (void)state;
    d.retry.max = 0;
    open_world(&d);
    add(0, "a", -1);
    turn();
    pass(5200);
    assert_int_equal(w.x.cancelled[0], STATUS_TIMEOUT);
    finish(0, STATUS_CANCELLED);
    assert_int_equal(w.ended[0], TASK_FAILED);
    assert_int_equal(w.status[0], STATUS_TIMEOUT);
}

/* An executor that never answers costs its member, not the slot. */
static void test_stuck_executor_keeps_no_slot(void **state)
{
    struct sched_deps d = deps();
    struct sched_slot_info info;
    struct attempt *stuck;

    (void)state;
    d.retry.max = 0;
    d.slots = 1;
    open_world(&d);
    w.x.deaf = true;
    add(0, "a", -1);
    add(1, "b", -1);
    turn();
    stuck = w.x.running[0];
    pass(5200);
    w.x.running[0] = NULL;
    pass(2000);
    assert_int_equal(w.ended[0], TASK_FAILED);
    assert_int_equal(w.status[0], STATUS_TIMEOUT);
    assert_int_equal(task_in(0), 1);
    assert_true(stuck->member->busy);
    assert_ptr_not_equal(w.x.running[0]->member, stuck->member);
    sched_slot(w.sched, 0, &info);
    assert_int_equal(info.state, SLOT_BUSY);
    assert_int_equal(info.generation, 3);
    finish(0, STATUS_OK);
    assert_int_equal(w.n_idle, 0); /* the late one is waited for */
    stuck->done(stuck);
    turn();
    assert_int_equal(w.n_idle, 1);
    assert_int_equal(w.n_ended, 2);
}

static void test_queued_deadline(void **state)
{
    struct sched_deps d = deps();

    (void)state;
    d.deadlines.queued_ms = 300;
    d.slots = 1;
    open_world(&d);
    add(0, "a", -1);
    add(1, "a", -1);
    turn();
    pass(299);
    assert_int_equal(w.n_ended, 0);
    pass(1);
    assert_int_equal(w.ended[1], TASK_FAILED);
    assert_string_equal(w.text[1], "queued deadline: 300 ms after it was submitted");
    finish(0, STATUS_OK);
    assert_int_equal(w.ended[0], TASK_SUCCEEDED);
}

static void test_total_deadline(void **state)
{
    struct sched_deps d = deps();

    (void)state;
    d.deadlines.total_ms = 3000;
    d.retry.max = 100;
    open_world(&d);
    add(0, "a", -1);
    turn();
    assert_int_equal(w.x.running[0]->deadline_ms, loop_now_ms(w.loop) + 3000);
    pass(3100);
    finish(0, STATUS_CANCELLED);
    assert_int_equal(w.ended[0], TASK_FAILED); /* no time is left for another attempt */
}

static void open_breaker(const char *target)
{
    for (int i = 0; i < 20; i++)
        (void)breaker_record(w.breaker, str_from(target), true, STATUS_HTTP_5XX,
                             loop_now_ms(w.loop), 1, NULL);
    assert_false(breaker_allow(w.breaker, str_from(target)));
}

static void test_open_breaker_ends_blocked(void **state)
{
    const struct sched_deps d = deps();

    (void)state;
    open_world(&d);
    open_breaker("a");
    add(0, "a", -1);
    add(1, "b", -1);
    turn();
    assert_int_equal(w.ended[0], TASK_BLOCKED);
    assert_int_equal(w.status[0], STATUS_BREAKER_OPEN);
    finish(0, STATUS_OK);
}

static void test_open_breaker_waits(void **state)
{
    struct sched_deps d = deps();
    struct err e = ERR_INIT;

    (void)state;
    d.hold_blocked = true;
    open_world(&d);
    open_breaker("a");
    add(0, "a", -1);
    turn();
    pass(5000);
    assert_int_equal(w.x.runs, 0);
    assert_int_equal(w.n_idle, 0);
    assert_int_equal(breaker_reset(w.breaker, STR("a"), &e), STATUS_OK);
    pass(1000);
    assert_int_equal(w.x.runs, 1);
    open_breaker("a");
    finish(0, STATUS_BREAKER_OPEN); /* it waits again, and no attempt was lost */
    assert_int_equal(w.n_ended, 0);
    assert_int_equal(breaker_reset(w.breaker, STR("a"), &e), STATUS_OK);
    pass(1000);
    assert_int_equal(w.x.running[0]->number, 1);
    finish(0, STATUS_OK);
}

static void test_cancel(void **state)
{
    struct sched_deps d = deps();

    (void)state;
    d.slots = 1;
    open_world(&d);
    add(0, "a", -1);
    add(1, "a", -1);
    turn();
    sched_cancel(w.sched, &w.tasks[1]);
    assert_int_equal(w.n_ended, 0);
    turn();
    assert_int_equal(w.ended[1], TASK_CANCELLED);
    sched_cancel(w.sched, &w.tasks[0]);
    assert_int_equal(w.x.cancelled[0], STATUS_CANCELLED);
    finish(0, STATUS_CANCELLED);
    assert_int_equal(w.ended[0], TASK_CANCELLED);
}

/* Those running finish; those that wait, and those that had to be interrupted, are left for later.
 */
static void test_drain(void **state)
{
    const struct sched_deps d = deps();

    (void)state;
    open_world(&d);
    for (uint32_t i = 0; i < 4; i++)
        add(i, "a", -1);
    turn();
    sched_drain(w.sched, 1000);
    finish(0, STATUS_OK);
    assert_int_equal(w.x.runs, 2);
    assert_int_equal(w.n_idle, 0);
    pass(1000);
    assert_int_equal(w.x.cancelled[1], STATUS_SHUTTING_DOWN);
    finish(1, STATUS_CANCELLED);
    assert_int_equal(w.n_ended, 1);
    assert_int_equal(w.n_idle, 1);
    assert_int_equal(sched_waiting(w.sched), 3);
    assert_int_equal(w.tasks[1].attempts, 0);
}

static void test_pause(void **state)
{
    const struct sched_deps d = deps();

    (void)state;
    open_world(&d);
    sched_pause(w.sched, true);
    add(0, "a", -1);
    turn();
    assert_int_equal(w.x.runs, 0);
    sched_pause(w.sched, false);
    turn();
    assert_int_equal(w.x.runs, 1);
    finish(0, STATUS_OK);
}

static void test_pinned_run_on_their_member(void **state)
{
    const struct sched_deps d = deps();

    (void)state;
    open_world(&d);
    add(0, "a", 2);
    add(1, "a", 2);
    add(2, "a", 1);
    turn();
    assert_int_equal(w.x.running[0]->member->index, 2);
    assert_int_equal(task_in(1), 2);
    finish(1, STATUS_OK);
    assert_int_equal(w.x.runs, 2); /* its member is busy */
    finish(0, STATUS_OK);
    assert_int_equal(task_in(0), 1);
    finish(0, STATUS_OK);
}

/* More slots are there at once; those too many go as their tasks end, and their number stays known
 * until then. */
static void test_scale(void **state)
{
    const struct sched_deps d = deps();

    (void)state;
    open_world(&d);
    for (uint32_t i = 0; i < 8; i++)
        add(i, i % 2 ? "a" : "b", -1);
    turn();
    assert_int_equal(w.x.runs, 2);
    sched_scale(w.sched, 4);
    turn();
    assert_int_equal(w.x.runs, 4);
    sched_scale(w.sched, 1);
    assert_int_equal(sched_slots(w.sched), 4);
    finish(3, STATUS_OK);
    finish(0, STATUS_OK); /* slot 0 goes on, 1 and 2 still run */
    assert_int_equal(w.x.runs, 5);
    assert_int_equal(sched_slots(w.sched), 3);
    finish(2, STATUS_OK);
    finish(1, STATUS_OK);
    assert_int_equal(sched_slots(w.sched), 1);
    assert_int_equal(sched_running(w.sched), 1);
    for (int i = 0; i < 4; i++)
        finish(0, STATUS_OK);
    assert_int_equal(w.n_ended, 8);
}

/* Tasks of one target at a time, whatever slots are free. */
static void test_target_concurrency(void **state)
{
    struct sched_deps d = deps();

    (void)state;
    d.slots = 4;
    d.target_concurrency = 1;
    open_world(&d);
    for (uint32_t i = 0; i < 4; i++)
        add(i, i < 3 ? "a" : "b", -1);
    turn();
    assert_int_equal(w.x.runs, 2); /* one of a, one of b */
    finish(0, STATUS_OK);
    assert_int_equal(w.x.runs, 3);
    sched_set_concurrency(w.sched, 0);
    pass(1000);
    assert_int_equal(w.x.runs, 4);
    sched_set_concurrency(w.sched, 2);
    finish(0, STATUS_OK);
    finish(1, STATUS_OK);
    finish(2, STATUS_OK);
    assert_int_equal(w.n_ended, 4);
}

static struct attempt *held[TASKS];
static size_t n_held;

static bool hold(void *arg, const struct task *t, struct attempt *a)
{
    (void)arg;
    (void)t;
    held[n_held++] = a;
    return false;
}

/* An attempt that was held back runs when it is let go, ends when it was cancelled meanwhile, and
 * ends with what it was given. */
static void test_held_back(void **state)
{
    struct sched_deps d = deps();

    (void)state;
    n_held = 0;
    d.slots = 3;
    d.begin = hold;
    d.retry.max = 0;
    open_world(&d);
    for (uint32_t i = 0; i < 3; i++)
        add(i, "a", -1);
    turn();
    assert_int_equal(n_held, 3);
    assert_int_equal(w.x.runs, 0);
    sched_cancel(w.sched, &w.tasks[1]);
    held[2]->status = STATUS_IO;
    for (int i = 0; i < 3; i++)
        sched_go(held[i]);
    turn();
    assert_int_equal(w.x.runs, 1);
    assert_int_equal(w.ended[1], TASK_CANCELLED);
    assert_int_equal(w.ended[2], TASK_FAILED);
    finish(0, STATUS_OK);
    assert_int_equal(w.n_ended, 3);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_runs_as_many_as_slots),
        CASE(test_waits_for_room),
        CASE(test_members_take_turns),
        CASE(test_token_wait_holds_no_slot),
        CASE(test_retries_then_fails),
        CASE(test_does_not_retry_what_cannot_help),
        CASE(test_run_deadline),
        CASE(test_stuck_executor_keeps_no_slot),
        CASE(test_queued_deadline),
        CASE(test_total_deadline),
        CASE(test_open_breaker_ends_blocked),
        CASE(test_open_breaker_waits),
        CASE(test_cancel),
        CASE(test_drain),
        CASE(test_pause),
        CASE(test_scale),
        CASE(test_target_concurrency),
        CASE(test_held_back),
        CASE(test_pinned_run_on_their_member),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
