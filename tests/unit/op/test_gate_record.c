/* Receipts of ops, on a log on disk. What must hold: nobody gets a result without one; who goes on
 * before it is durable (op_call.ahead) is never ahead of it in the log, so that nothing appended
 * later is in the log when the op's receipt is not; and no more than GATE_AHEAD_MAX do so at a
 * time. */
#include "core/op/gate.h"

#include <string.h>

#include "core/base/fault.h"
#include "core/guard/breaker.h"
#include "core/guard/limit.h"
#include "core/guard/policy.h"
#include "core/record/audit.h"
#include "tests/support/testing.h"

struct world {
    char *dir;
    struct loop *loop;
    struct arena *arena;
    struct limiter *limiter;
    struct breaker *breaker;
    struct policy *policy;
    struct audit *audit;
    struct gate *gate;
    struct identity identity;
    struct member member;
    bool closed;
    unsigned answers; /* to the test's own receipts */
    enum status answer;
};

struct call {
    struct op_call c;
    unsigned done;
    bool had_result, had_receipt;
    enum status status;
};

static void run_op(struct op_call *c)
{
    op_call_finish(c, STATUS_OK, NULL, json_new_object());
}

static const struct op plain = {.name = "test.plain", .summary = "p", .run = run_op};
/* Its name alone is more than a record may hold. */
static char long_name[6000];
static const struct op too_long = {.name = long_name, .summary = "l", .run = run_op};

static void on_done(struct op_call *c)
{
    static const unsigned char none[sizeof c->receipt];
    struct call *x = container_of(c, struct call, c);

    x->done++;
    x->had_result = c->result != NULL;
    x->had_receipt = memcmp(c->receipt, none, sizeof none) != 0;
    x->status = c->status;
    json_destroy(&c->result);
}

static int setup(void **state)
{
    static struct world world;
    struct world *w = &world;
    struct policy_conf policy = {0};
    struct breaker_conf breaker = {0.10, 60000, 20};
    struct gate_deps deps = {0};

    memset(w, 0, sizeof *w);
    memset(long_name, 'x', sizeof long_name - 1);
    w->dir = test_mkdir();
    assert_int_equal(loop_create(&w->loop, NULL, NULL), STATUS_OK);
    w->arena = arena_create(NULL, 0);
    w->limiter = limiter_create((struct limit_rate){2, 1000});
    assert_int_equal(breaker_open_store(&breaker, NULL, &w->breaker, NULL), STATUS_OK);
    assert_int_equal(policy_create(&policy, &w->policy, NULL), STATUS_OK);
    assert_int_equal(audit_open(w->loop, w->dir, NULL, &w->audit, NULL), STATUS_OK);
    w->member.identity = &w->identity;
    deps.loop = w->loop;
    deps.policy = w->policy;
    deps.breaker = w->breaker;
    deps.limiter = w->limiter;
    deps.audit = w->audit;
    w->gate = gate_create(&deps);
    *state = w;
    return 0;
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

static int teardown(void **state)
{
    struct world *w = *state;

    gate_destroy(&w->gate);
    audit_close(w->audit, on_closed, &w->closed);
    while (!w->closed)
        loop_run_once(w->loop, 100);
    fault_set("");
    policy_destroy(&w->policy);
    breaker_close_store(&w->breaker);
    limiter_destroy(&w->limiter);
    arena_destroy(&w->arena);
    loop_destroy(&w->loop);
    test_rmdir(&w->dir);
    return 0;
}

static struct call *start(struct world *w, const struct op *op, bool ahead)
{
    struct call *x = arena_new(w->arena, struct call);

    x->c = (struct op_call){
        .op = op,
        .member = &w->member,
        .arena = w->arena,
        .deadline_ms = loop_now_ms(w->loop) + 10000,
        .ahead = ahead,
        .on_done = on_done,
    };
    gate_run(w->gate, &x->c);
    return x;
}

static void await_gate(struct world *w)
{
    uint64_t end = test_now_ms() + 10000;

    while (gate_inside(w->gate) > 0 && test_now_ms() < end)
        loop_run_once(w->loop, 100);
    assert_int_equal(gate_inside(w->gate), 0);
}

static void test_waited_for(void **state)
{
    struct world *w = *state;
    const struct call *x = start(w, &plain, false);

    await_gate(w);
    assert_int_equal(x->done, 1);
    assert_true(x->had_result && x->had_receipt);
    assert_int_equal(audit_size(w->audit), 1);
}

/* All end in one turn, in which no commit can have been answered. */
static void test_ahead(void **state)
{
    enum { CALLS = GATE_AHEAD_MAX + 10 };
    struct world *w = *state;
    struct call *x[CALLS];

    for (size_t i = 0; i < CALLS; i++)
        x[i] = start(w, &plain, true);
    for (size_t i = 0; i < CALLS; i++)
        assert_int_equal(x[i]->done, 0);
    await_gate(w);
    for (size_t i = 0; i < CALLS; i++) {
        assert_int_equal(x[i]->done, 1);
        assert_true(x[i]->had_result);
        assert_int_equal(x[i]->had_receipt, i >= GATE_AHEAD_MAX);
    }
    assert_int_equal(audit_size(w->audit), CALLS);
}

static void test_no_receipt_no_result(void **state)
{
    struct world *w = *state;

    for (int ahead = 0; ahead < 2; ahead++) {
        const struct call *x = start(w, &too_long, ahead);

        await_gate(w);
        assert_int_equal(x->done, 1);
        assert_false(x->had_result);
        assert_int_equal(x->status, STATUS_TOO_LARGE);
    }
    assert_int_equal(audit_size(w->audit), 0);
}

static void on_answer(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                      const struct err *e)
{
    struct world *w = arg;

    (void)leaf;
    (void)seq;
    (void)e;
    w->answers++;
    w->answer = s;
}

/* The receipt that is to stand for the op's is not in the log either, whether it shares the
 * transaction that failed or comes after it; also when that could not even begin, after which
 * others may fare better. */
static void test_what_follows_fails(void **state)
{
    static const char *const faults[] = {"logdb.commit:1:28", "logdb.begin:1:28"};
    static const struct receipt own = {.kind = "task", .outcome = "ok"};
    struct world *w = *state;
    const struct call *x;

    fault_set(faults[0]);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        unsigned before = w->answers;

        x = start(w, &plain, true);
        while (!x->done)
            loop_run_once(w->loop, 100);
        assert_true(x->had_result);
        audit_append(w->audit, &own, on_answer, w);
        await_gate(w);
        audit_append(w->audit, &own, on_answer, w);
        while (w->answers < before + 2)
            loop_run_once(w->loop, 100);
        assert_int_not_equal(w->answer, STATUS_OK);
        assert_int_equal(audit_size(w->audit), 0);
        if (i + 1 == ARRAY_LEN(faults))
            break;
        (void)teardown(state);
        (void)setup(state);
        fault_set(faults[i + 1]);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ahead, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_receipt_no_result, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_follows_fails, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
