/* The queue against a model that is a plain array, under random operations: whatever it hands out,
 * the model agrees that it may be handed out now, and when it hands out nothing, the model finds
 * nothing that could be. What the model leaves open is the order among equals, which the unit tests
 * cover. */
#include "core/sched/queue.h"

#include <stdio.h>
#include <string.h>

#include "core/base/rng.h"
#include "tests/support/testing.h"

enum { TASKS = 400, TARGETS = 6, MEMBERS = 5, STEPS = 20000, ROUNDS = 12 };

enum where { OUT, WAITING, DELAYED };

static struct {
    struct task tasks[TASKS];
    enum where where[TASKS];
    unsigned target[TASKS];
    uint64_t token_at[TARGETS], every_ms[TARGETS];
    bool open[TARGETS]; /* breakers */
    bool busy[MEMBERS];
    bool hold;
    bool tells; /* the limiter says when the next token comes */
    uint64_t now;
    size_t n_in;
    struct queue *q;
    struct rng rng;
} m;

static const char *const names[TARGETS] = {"t0", "t1", "t2", "t3", "t4", "t5"};

static size_t index_of(struct str target)
{
    return (size_t)(target.ptr[1] - '0');
}

static void open_door(void *arg, struct str target, struct queue_door *out)
{
    (void)arg;
    out->limit = &m.token_at[index_of(target)];
    out->breaker = &m.open[index_of(target)];
}

static uint64_t take(void *arg, const struct queue_door *d, uint64_t now_ms, uint64_t *then_ms)
{
    size_t i = (size_t)((const uint64_t *)d->limit - m.token_at);

    (void)arg;
    assert_int_equal(now_ms, m.now);
    if (m.token_at[i] > m.now)
        return m.token_at[i] - m.now;
    m.token_at[i] = m.now + m.every_ms[i];
    if (m.tells)
        *then_ms = m.every_ms[i];
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
    return !m.busy[member];
}

static bool chance(unsigned percent)
{
    return rng_below(&m.rng, 100) < percent;
}

/* --- operations --- */

static void op_add(void)
{
    uint32_t i = (uint32_t)rng_below(&m.rng, TASKS);
    struct task *t = &m.tasks[i];

    if (m.where[i] != OUT)
        return;
    *t = (struct task){
        .index = i,
        .pin = chance(40) ? (int32_t)rng_below(&m.rng, MEMBERS) : -1,
        .priority = (int16_t)((int)rng_below(&m.rng, 5) - 2),
    };
    if (chance(10))
        t->expires_ms = m.now + 1 + rng_below(&m.rng, 3000);
    if (chance(20)) {
        t->state = TASK_DELAYED;
        t->not_before_ms = m.now + rng_below(&m.rng, 500);
    }
    m.target[i] = (unsigned)rng_below(&m.rng, TARGETS);
    m.where[i] = t->state == TASK_DELAYED ? DELAYED : WAITING;
    m.n_in++;
    queue_add(m.q, t, str_from(names[m.target[i]]), (uint32_t)rng_below(&m.rng, 3));
}

static void op_remove(void)
{
    uint32_t i = (uint32_t)rng_below(&m.rng, TASKS);

    if (m.where[i] == OUT)
        return;
    queue_remove(m.q, &m.tasks[i]);
    m.where[i] = OUT;
    m.n_in--;
}

static void op_member(void)
{
    uint32_t i = (uint32_t)rng_below(&m.rng, MEMBERS);

    m.busy[i] = !m.busy[i];
    if (!m.busy[i])
        queue_member_idle(m.q, i);
}

static void op_breaker(void)
{
    unsigned i = (unsigned)rng_below(&m.rng, TARGETS);

    m.open[i] = chance(30);
    queue_target_changed(m.q, str_from(names[i]));
    queue_release(m.q);
}

static void op_limit(void)
{
    unsigned i = (unsigned)rng_below(&m.rng, TARGETS);

    m.token_at[i] = m.now + rng_below(&m.rng, 300);
    queue_target_changed(m.q, str_from(names[i]));
}

/* --- what the model says of the queue's answers --- */

static bool is_ready(uint32_t i)
{
    return m.where[i] == WAITING || (m.where[i] == DELAYED && m.tasks[i].not_before_ms <= m.now);
}

static bool may_run(uint32_t i)
{
    return is_ready(i) && !m.open[m.target[i]] && m.token_at[m.target[i]] <= m.now &&
           (m.tasks[i].pin < 0 || !m.busy[m.tasks[i].pin]);
}

static bool is_expired(uint32_t i)
{
    return m.where[i] != OUT && m.tasks[i].expires_ms && m.tasks[i].expires_ms <= m.now;
}

/* No task of the same target that could run as well has a higher priority. */
static void check_priority(uint32_t i)
{
    for (uint32_t k = 0; k < TASKS; k++) {
        if (k != i && m.target[k] == m.target[i] && is_ready(k) &&
            (m.tasks[k].pin < 0 || !m.busy[m.tasks[k].pin]))
            assert_true(m.tasks[k].priority <= m.tasks[i].priority);
    }
}

static void check_none(void)
{
    for (uint32_t i = 0; i < TASKS; i++) {
        if (is_expired(i))
            fail_msg("task %u expired and was not handed out", i);
        if (may_run(i))
            fail_msg("task %u of %s could run and was not handed out", i, names[m.target[i]]);
        if (!m.hold && is_ready(i) && m.open[m.target[i]] && m.tasks[i].pin < 0)
            fail_msg("task %u of an open target was not handed out", i);
    }
    assert_true(queue_next_ms(m.q) > m.now);
}

static void op_next(void)
{
    uint64_t token[TARGETS];
    struct task *t = NULL;
    enum queue_verdict v;
    uint32_t i;

    memcpy(token, m.token_at, sizeof(token));
    v = queue_next(m.q, m.now, true, &t);
    if (v == QUEUE_NONE) {
        check_none();
        return;
    }
    i = t->index;
    assert_true(m.where[i] != OUT);
    if (v == QUEUE_EXPIRED) {
        assert_true(is_expired(i));
    } else if (v == QUEUE_BLOCKED) {
        assert_true(is_ready(i) && m.open[m.target[i]] && !m.hold);
    } else {
        memcpy(m.token_at, token, sizeof(token));
        assert_true(may_run(i));
        check_priority(i);
        m.token_at[m.target[i]] = m.now + m.every_ms[m.target[i]];
        if (t->pin >= 0)
            m.busy[t->pin] = true;
    }
    m.where[i] = OUT;
    m.n_in--;
}

static void one_step(void)
{
    unsigned what = (unsigned)rng_below(&m.rng, 100);

    if (what < 35)
        op_add();
    else if (what < 40)
        op_remove();
    else if (what < 55)
        op_member();
    else if (what < 57)
        op_breaker();
    else if (what < 60)
        op_limit();
    else if (what < 75)
        m.now += rng_below(&m.rng, 60);
    else
        op_next();
    assert_int_equal(queue_len(m.q), m.n_in);
}

static void test_random(void **state)
{
    static const struct queue_guards guards = {open_door, take, allow, is_idle, NULL};

    (void)state;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        memset(&m, 0, sizeof(m));
        rng_seed_u64(&m.rng, 1000 + round);
        m.now = 1;
        for (unsigned i = 0; i < TARGETS; i++)
            m.every_ms[i] = i % 2 ? rng_below(&m.rng, 100) : 0;
        m.q = queue_create(&guards);
        m.hold = round % 2;
        m.tells = round / 2 % 2;
        queue_hold_blocked(m.q, m.hold);
        for (unsigned i = 0; i < STEPS; i++)
            one_step();
        while (queue_drop(m.q))
            m.n_in--;
        assert_int_equal(m.n_in, 0);
        queue_destroy(&m.q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
