/* The gate with ops of the test, a clock that stands still, and no audit log (test_gate_receipts in
 * tests/integration has one): order of the stages, tokens in line, breaker, deadlines, cancel,
 * exactly one on_done, never from inside. */
#include "core/op/block.h"
#include "core/op/gate.h"

#include "core/guard/breaker.h"
#include "core/guard/limit.h"
#include "core/guard/policy.h"
#include "tests/support/testing.h"

struct world {
    struct clock_fake clock;
    struct loop *loop;
    struct arena *arena;
    struct limiter *limiter;
    struct breaker *breaker;
    struct policy *policy;
    struct gate *gate;
    struct identity identity;
    struct member member;
    unsigned breaker_told, slowed_told;
};

struct call {
    struct op_call c;
    unsigned done;
    bool ran;
    /* what the op of the test is to do */
    enum status answer;
    int http_status;
    int64_t retry_after_ms;
    const char *block;
    bool stays; /* does not end by itself */
};

static void fake_cancel(struct op_call *c)
{
    op_call_finish(c, STATUS_CANCELLED, NULL, NULL);
}

static void fake_run(struct op_call *c)
{
    struct call *x = container_of(c, struct call, c);

    x->ran = true;
    c->seen.http_status = x->http_status;
    c->seen.retry_after_ms = x->retry_after_ms;
    c->seen.block = x->block;
    c->cancel = fake_cancel;
    if (!x->stays)
        op_call_finish(c, x->answer, NULL,
                       x->answer == STATUS_OK ? json_add_num(json_new_object(), "n", 1) : NULL);
}

static const struct op touching = {
    .name = "test.touch", .summary = "t", .flags = OP_TOUCHES_TARGET, .run = fake_run};
static const struct op plain = {.name = "test.plain", .summary = "p", .run = fake_run};

static void on_done(struct op_call *c)
{
    struct call *x = container_of(c, struct call, c);

    x->done++;
    json_destroy(&c->result);
}

static void on_breaker(void *arg, struct str target, bool open)
{
    struct world *w = arg;

    (void)target;
    assert_true(open);
    w->breaker_told++;
}

static void on_slowed(void *arg, struct str target, uint64_t until_ms, const char *why)
{
    struct world *w = arg;

    (void)target;
    (void)until_ms;
    (void)why;
    w->slowed_told++;
}

static int setup(void **state)
{
    static struct world world;
    struct world *w = &world;
    const char *deny[] = {"denied.example"};
    struct policy_conf policy = {.deny = {deny, 1}};
    struct breaker_conf breaker = {0.10, 60000, 20};
    struct gate_deps deps = {0};

    memset(w, 0, sizeof *w);
    clock_fake_init(&w->clock, 1700000000000);
    assert_int_equal(loop_create(&w->loop, &w->clock.clock, NULL), STATUS_OK);
    w->arena = arena_create(NULL, 0);
    w->limiter = limiter_create((struct limit_rate){2, 1000});
    assert_int_equal(breaker_open_store(&breaker, NULL, &w->breaker, NULL), STATUS_OK);
    assert_int_equal(policy_create(&policy, &w->policy, NULL), STATUS_OK);
    w->member.identity = &w->identity;
    deps.loop = w->loop;
    deps.policy = w->policy;
    deps.breaker = w->breaker;
    deps.limiter = w->limiter;
    deps.on_breaker = on_breaker;
    deps.on_slowed = on_slowed;
    deps.arg = w;
    w->gate = gate_create(&deps);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    assert_int_equal(gate_inside(w->gate), 0);
    gate_destroy(&w->gate);
    policy_destroy(&w->policy);
    breaker_close_store(&w->breaker);
    limiter_destroy(&w->limiter);
    arena_destroy(&w->arena);
    loop_destroy(&w->loop);
    return 0;
}

static void call_fill(struct world *w, struct call *x, const struct op *op, const char *host)
{
    x->c = (struct op_call){
        .op = op,
        .member = &w->member,
        .arena = w->arena,
        .url = str_from(arena_printf(w->arena, "http://%s/", host)),
        .host = str_from(host),
        .deadline_ms = loop_now_ms(w->loop) + 10000,
        .on_done = on_done,
    };
}

static void turn(struct world *w)
{
    for (int i = 0; i < 8; i++)
        loop_run_once(w->loop, 0);
}

static void advance(struct world *w, uint64_t ms)
{
    clock_fake_advance_ms(&w->clock, ms);
    turn(w);
}

static void run(struct world *w, struct call *x, const struct op *op, const char *host)
{
    call_fill(w, x, op, host);
    gate_run(w->gate, &x->c);
    assert_int_equal(x->done, 0);
    turn(w);
}

static void test_an_op_runs_and_ends_once(void **state)
{
    struct world *w = *state;
    struct call x = {0};

    run(w, &x, &touching, "a.example");
    assert_int_equal(x.done, 1);
    assert_int_equal(x.c.status, STATUS_OK);
    assert_true(str_eqz(x.c.target, "a.example"));
}

static void test_tokens_are_taken_in_line(void **state)
{
    struct world *w = *state;
    struct call x[5] = {0};

    for (int i = 0; i < 5; i++)
        run(w, &x[i], &touching, "a.example");
    assert_int_equal(x[1].done, 1);
    assert_int_equal(x[2].done, 0);
    advance(w, 499);
    assert_int_equal(x[2].done, 0);
    advance(w, 1);
    assert_int_equal(x[2].done, 1);
    assert_int_equal(x[3].done, 0);
    advance(w, 500);
    assert_int_equal(x[3].done, 1);
    advance(w, 500);
    assert_int_equal(x[4].done, 1);
    assert_int_equal(x[4].c.waited_ms, 1500);
}

static void test_plain_ops_need_no_token(void **state)
{
    struct world *w = *state;
    struct call x[10] = {0};

    for (int i = 0; i < 10; i++) {
        run(w, &x[i], &plain, "a.example");
        assert_int_equal(x[i].done, 1);
        assert_int_equal(x[i].c.target.len, 0);
    }
}

static void test_a_failure_gives_no_token_back(void **state)
{
    struct world *w = *state;
    struct call x[3] = {0};

    for (int i = 0; i < 3; i++) {
        x[i].answer = STATUS_NAVIGATION_FAILED;
        run(w, &x[i], &touching, "a.example");
    }
    assert_int_equal(x[1].c.status, STATUS_NAVIGATION_FAILED);
    assert_int_equal(x[2].done, 0);
    advance(w, 500);
    assert_int_equal(x[2].done, 1);
}

static void test_credit_is_one_token_of_its_target(void **state)
{
    struct world *w = *state;
    struct call x[4] = {0};
    bool credit = true;

    for (int i = 0; i < 4; i++) {
        call_fill(w, &x[i], &touching, i == 0 ? "other.example" : "a.example");
        x[i].c.credit = &credit;
        x[i].c.credit_host = STR("a.example");
        gate_run(w->gate, &x[i].c);
        turn(w);
        assert_int_equal(x[i].done, 1);
        assert_int_equal(credit, i == 0);
    }
    struct call late = {0};

    run(w, &late, &touching, "a.example"); /* one by credit, two from the bucket: now it waits */
    assert_int_equal(late.done, 0);
    advance(w, 500);
    assert_int_equal(late.done, 1);
}

static void test_policy_refuses(void **state)
{
    struct world *w = *state;
    struct call x = {0};

    run(w, &x, &touching, "denied.example");
    assert_int_equal(x.done, 1);
    assert_false(x.ran);
    assert_int_equal(x.c.status, STATUS_POLICY_DENIED);
    assert_non_null(strstr(x.c.err.text, "denied.example"));
}

static void test_waiting_ends_at_the_deadline(void **state)
{
    struct world *w = *state;
    struct call x[3] = {0};

    limiter_slow(w->limiter, STR("a.example"), 60000, loop_now_ms(w->loop));
    run(w, &x[0], &touching, "a.example");
    advance(w, 9999);
    assert_int_equal(x[0].done, 0);
    advance(w, 1);
    assert_int_equal(x[0].done, 1);
    assert_false(x[0].ran);
    assert_int_equal(x[0].c.status, STATUS_RATE_LIMITED);
}

static void test_running_ends_at_the_deadline(void **state)
{
    struct world *w = *state;
    struct call x = {.stays = true};

    run(w, &x, &touching, "a.example");
    assert_true(x.ran);
    advance(w, 10000);
    assert_int_equal(x.done, 1);
    assert_int_equal(x.c.status, STATUS_TIMEOUT);
    assert_true(x.c.err.text[0] != '\0');
}

static void test_cancel(void **state)
{
    struct world *w = *state;
    struct call running = {.stays = true}, waiting = {0}, fresh = {0};

    run(w, &running, &touching, "a.example");
    limiter_slow(w->limiter, STR("b.example"), 60000, loop_now_ms(w->loop));
    run(w, &waiting, &touching, "b.example");
    call_fill(w, &fresh, &touching, "c.example");
    gate_run(w->gate, &fresh.c);
    gate_cancel(w->gate, &running.c, STATUS_CANCELLED);
    gate_cancel(w->gate, &waiting.c, STATUS_SHUTTING_DOWN);
    gate_cancel(w->gate, &fresh.c, STATUS_CANCELLED);
    assert_int_equal(running.done + waiting.done + fresh.done, 0);
    turn(w);
    assert_int_equal(running.c.status, STATUS_CANCELLED);
    assert_int_equal(waiting.c.status, STATUS_SHUTTING_DOWN);
    assert_int_equal(fresh.c.status, STATUS_CANCELLED);
    assert_false(fresh.ran);
    assert_int_equal(running.done + waiting.done + fresh.done, 3);
}

static void test_429_slows_everybody(void **state)
{
    struct world *w = *state;
    struct call hit = {.http_status = 429, .retry_after_ms = 3000}, next = {0}, other = {0};

    run(w, &hit, &touching, "a.example");
    assert_int_equal(hit.c.status, STATUS_HTTP_429);
    assert_int_equal(w->slowed_told, 1);
    run(w, &next, &touching, "a.example");
    run(w, &other, &touching, "b.example");
    assert_int_equal(other.done, 1);
    advance(w, 2999);
    assert_int_equal(next.done, 0);
    advance(w, 1);
    assert_int_equal(next.done, 1);
}

static void test_the_breaker_opens_and_lets_nobody_by(void **state)
{
    struct world *w = *state;
    struct call x[20], waiting[3] = {0}, late = {0};

    memset(x, 0, sizeof x);
    for (int i = 0; i < 20; i++) {
        x[i].http_status = 503;
        x[i].retry_after_ms = -1;
        if (i == 19) /* these stand in line behind the one that opens it */
            for (int k = 0; k < 3; k++) {
                call_fill(w, &waiting[k], &touching, "a.example");
                waiting[k].c.deadline_ms += 60000;
            }
        run(w, &x[i], &touching, "a.example");
        if (i == 19)
            for (int k = 0; k < 3; k++)
                gate_run(w->gate, &waiting[k].c);
        advance(w, 500);
        assert_int_equal(x[i].done, 1);
    }
    assert_int_equal(w->breaker_told, 1);
    turn(w);
    for (int k = 0; k < 3; k++) {
        assert_int_equal(waiting[k].done, 1);
        assert_int_equal(waiting[k].c.status, STATUS_BREAKER_OPEN);
        assert_false(waiting[k].ran);
    }
    run(w, &late, &touching, "a.example");
    assert_int_equal(late.c.status, STATUS_BREAKER_OPEN);
    assert_non_null(strstr(late.c.err.text, "fleet breaker reset a.example"));
    assert_true(
        gate_rests(w->gate, "a.example")); /* what forwarders ask for pictures and scripts */
    assert_false(gate_rests(w->gate, "b.example"));
}

static void test_a_block_page_is_a_captcha(void **state)
{
    struct world *w = *state;
    struct call x = {.http_status = 200, .block = "hcaptcha"};

    run(w, &x, &touching, "a.example");
    assert_int_equal(x.c.status, STATUS_CAPTCHA_DETECTED);
    assert_null(x.c.result);
    assert_non_null(strstr(x.c.err.text, "hcaptcha"));
}

/* What the campaign says is done about it. */
static void test_reactions(void **state)
{
    struct world *w = *state;
    struct gate_deps deps = *gate_deps(w->gate);
    struct block_conf captcha = {.on_detected = BLOCK_STOP};
    struct call hit = {.http_status = 200, .block = "captcha-page"}, later = {0};
    struct call other = {.http_status = 200, .block = "captcha-page"};

    gate_destroy(&w->gate);
    deps.captcha = &captcha;
    w->gate = gate_create(&deps);
    run(w, &hit, &touching, "a.example");
    assert_int_equal(hit.c.status, STATUS_CAPTCHA_DETECTED);
    assert_int_equal(w->breaker_told, 1);
    run(w, &later, &touching, "a.example");
    assert_int_equal(later.c.status, STATUS_BREAKER_OPEN);
    captcha.on_detected = BLOCK_SLOW;
    run(w, &other, &touching, "b.example");
    assert_int_equal(w->slowed_told, 1);
    assert_int_equal(w->breaker_told, 1);
}

static void test_shut(void **state)
{
    struct world *w = *state;
    struct call x = {0};

    gate_shut(w->gate);
    run(w, &x, &plain, "");
    assert_int_equal(x.c.status, STATUS_SHUTTING_DOWN);
    assert_false(x.ran);
}

int main(void)
{
#define CASE_OF(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        CASE_OF(test_an_op_runs_and_ends_once),
        CASE_OF(test_tokens_are_taken_in_line),
        CASE_OF(test_plain_ops_need_no_token),
        CASE_OF(test_a_failure_gives_no_token_back),
        CASE_OF(test_credit_is_one_token_of_its_target),
        CASE_OF(test_policy_refuses),
        CASE_OF(test_waiting_ends_at_the_deadline),
        CASE_OF(test_running_ends_at_the_deadline),
        CASE_OF(test_cancel),
        CASE_OF(test_429_slows_everybody),
        CASE_OF(test_the_breaker_opens_and_lets_nobody_by),
        CASE_OF(test_a_block_page_is_a_captcha),
        CASE_OF(test_reactions),
        CASE_OF(test_shut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
