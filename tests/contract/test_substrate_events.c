/* What core/substrate/substrate.h promises of events, policy, await and schedules, over every
 * implementation. */
#include "tests/contract/substrate_rig.h"

#include <stdio.h>

/* --- events --- */

static void test_order_and_reading(void **state)
{
    struct rig *r = *state;

    RIG_OK(rig_read(r, 0, NULL, 10));
    assert_int_equal(r->n, 0);
    RIG_OK(rig_emit(r, "task.started", "t-1", NULL, ""));
    assert_int_equal(r->value, 1);
    RIG_OK(rig_emit(r, "task.succeeded", "t-1", NULL, "{\"b\":1,\"a\":[true,null]}"));
    RIG_OK(rig_emit(r, "task.started", NULL, NULL, "{}"));
    assert_int_equal(r->value, 3);
    assert_int_equal(substrate_last(r->s), 3);
    RIG_OK(rig_read(r, 0, NULL, 10));
    assert_string_equal(r->text, "1:task.started:t-1 2:task.succeeded:t-1 3:task.started:- ");
    RIG_OK(rig_read(r, 1, NULL, 1));
    assert_string_equal(r->text, "2:task.succeeded:t-1 ");
    RIG_OK(rig_read(r, 0, "task.started", 10));
    assert_string_equal(r->text, "1:task.started:t-1 3:task.started:- ");
    RIG_OK(rig_read(r, 3, NULL, 10));
    assert_int_equal(r->n, 0);
}

/* A thousand at once: logged in the order of the calls, answered in that order. */
static void test_many_at_once(void **state)
{
    struct rig *r = *state;
    const struct substrate_event ev = {.type = "a.b", .subject = "s"};

    for (int i = 0; i < 1000; i++)
        substrate_emit(r->s, &ev, rig_on_emitted, r);
    assert_int_equal(substrate_pending(r->s), 1000);
    rig_wait(r, 1000);
    assert_int_equal(r->value, 1000);
    RIG_OK(rig_read(r, 990, NULL, 100));
    assert_int_equal(r->first, 991);
    assert_int_equal(r->last, 1000);
    rig_settle(r);
    assert_int_equal(substrate_pending(r->s), 0);
}

static void test_envelope(void **state)
{
    struct rig *r = *state;
    struct arena *a = arena_create(NULL, 0);
    struct substrate_envelope v;

    RIG_OK(rig_emit(r, "task.succeeded", "t-1", "e-1", " { \"z\" : 1.50, \"a\" : \"\\u0041\" } "));
    RIG_OK(rig_read(r, 0, NULL, 1));
    assert_string_equal(r->envelope,
                        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/fleet/task/succeeded\","
                        "\"params\":{\"_meta\":{\"fleet/hlc\":[1700000000000,0],"
                        "\"fleet/id\":\"e-1\",\"fleet/node\":\"node-a\"},"
                        "\"data\":{\"a\":\"A\",\"z\":1.5},\"subject\":\"t-1\","
                        "\"type\":\"task.succeeded\"}}");
    RIG_OK(substrate_envelope_decode(str_from(r->envelope), a, &v, NULL));
    assert_string_equal(v.type, "task.succeeded");
    assert_string_equal(v.subject, "t-1");
    assert_string_equal(v.id, "e-1");
    assert_string_equal(v.node, "node-a");
    assert_null(v.policy);
    assert_int_equal(v.at.ms, 1700000000000);
    assert_true(str_eqz(v.data, "{\"a\":\"A\",\"z\":1.5}"));
    arena_destroy(&a);
}

static void test_bad_events(void **state)
{
    static const struct {
        const char *type, *subject, *id, *data;
        enum status status;
    } bad[] = {
        {NULL, NULL, NULL, "", STATUS_INVALID},
        {"", NULL, NULL, "", STATUS_INVALID},
        {"oneword", NULL, NULL, "", STATUS_INVALID},
        {"a..b", NULL, NULL, "", STATUS_INVALID},
        {".a", NULL, NULL, "", STATUS_INVALID},
        {"a.b.", NULL, NULL, "", STATUS_INVALID},
        {"Task.Started", NULL, NULL, "", STATUS_INVALID},
        {"task/started.now", NULL, NULL, "", STATUS_INVALID},
        {"policy.denied", NULL, NULL, "", STATUS_INVALID},
        {"a.b", "two words", NULL, "", STATUS_INVALID},
        {"a.b", NULL, "new\nline", "", STATUS_INVALID},
        {"a.b", NULL, NULL, "[1]", STATUS_INVALID},
        {"a.b", NULL, NULL, "{\"a\":1", STATUS_INVALID},
        {"a.b", NULL, NULL, "{\"a\":1,\"a\":2}", STATUS_INVALID},
    };
    struct rig *r = *state;
    char name[SUBSTRATE_NAME_MAX + 2];
    char *big = xcalloc(1, SUBSTRATE_DATA_MAX + 100);

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(rig_emit(r, bad[i].type, bad[i].subject, bad[i].id, bad[i].data),
                         bad[i].status);
        assert_true(strlen(r->error) > 20);
    }
    memset(name, 'n', sizeof(name));
    name[SUBSTRATE_NAME_MAX + 1] = '\0';
    assert_int_equal(rig_emit(r, "a.b", name, NULL, ""), STATUS_INVALID);
    name[SUBSTRATE_NAME_MAX] = '\0';
    RIG_OK(rig_emit(r, "a.b", name, name, ""));
    memset(big, ' ', SUBSTRATE_DATA_MAX + 50);
    assert_int_equal(rig_emit(r, "a.b", NULL, NULL, big), STATUS_TOO_LARGE);
    free(big);
    assert_int_equal(rig_read(r, 0, NULL, 0), STATUS_INVALID);
    assert_int_equal(rig_read(r, 0, NULL, SUBSTRATE_READ_MAX + 1), STATUS_INVALID);
    assert_int_equal(substrate_last(r->s), 1);
}

static void test_idempotent_append(void **state)
{
    struct rig *r = *state;

    RIG_OK(rig_emit(r, "a.b", NULL, "e-1", "{\"n\":1}"));
    assert_false(r->duplicate);
    RIG_OK(rig_emit(r, "a.b", NULL, "e-2", ""));
    RIG_OK(rig_emit(r, "a.b", NULL, "e-1", "{\"n\":2}"));
    assert_true(r->duplicate);
    assert_int_equal(r->value, 1);
    RIG_OK(rig_read(r, 0, NULL, 10));
    assert_int_equal(r->n, 2);
}

static void test_clock(void **state)
{
    struct rig *r = *state;

    RIG_OK(rig_emit(r, "a.b", NULL, NULL, ""));
    r->clock.wall -= 3600ull * 1000000000; /* the wall jumps back an hour */
    RIG_OK(rig_emit(r, "a.b", NULL, NULL, ""));
    r->clock.wall += 7200ull * 1000000000;
    RIG_OK(rig_emit(r, "a.b", NULL, NULL, ""));
    RIG_OK(rig_read(r, 0, NULL, 10)); /* the rig asserts that times only grow */
    assert_int_equal(r->n, 3);
}

#define FOREIGN(hlc, more)                                                                         \
    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/fleet/task/started\",\"params\":{\"_meta\":{" \
    "\"fleet/hlc\":" hlc more ",\"fleet/node\":\"node-b\"},\"data\":{\"x\":1},"                    \
    "\"subject\":\"t-9\",\"type\":\"task.started\"}}"

static void test_merge(void **state)
{
    struct rig *r = *state;
    struct arena *a = arena_create(NULL, 0);
    struct substrate_envelope v;

    /* five minutes ahead: believed */
    RIG_OK(rig_merge(r, FOREIGN("[1700000300000,7]", "")));
    RIG_OK(rig_read(r, 0, NULL, 1));
    RIG_OK(substrate_envelope_decode(str_from(r->envelope), a, &v, NULL));
    assert_string_equal(v.node, "node-b");
    assert_true(v.has_origin && !v.clamped);
    assert_int_equal(v.origin.ms, 1700000300000);
    assert_int_equal(v.origin.counter, 7);
    assert_int_equal(v.at.ms, 1700000300000);
    assert_int_equal(v.at.counter, 8);
    RIG_OK(rig_emit(r, "a.b", NULL, NULL, ""));             /* ours is later than what we heard */
    RIG_OK(rig_merge(r, FOREIGN("[1700000300000,7]", ""))); /* again */
    assert_true(r->duplicate);
    assert_int_equal(r->value, 1);
    /* a day ahead: clamped */
    RIG_OK(rig_merge(r, FOREIGN("[1700086400000,0]", ",\"fleet/id\":\"x\"")));
    RIG_OK(rig_read(r, 2, NULL, 1));
    RIG_OK(substrate_envelope_decode(str_from(r->envelope), a, &v, NULL));
    assert_true(v.clamped);
    assert_int_equal(v.origin.ms, 1700086400000);
    assert_int_equal(v.at.ms, 1700000000000 + HLC_MAX_SKEW_MS);
    RIG_OK(rig_read(r, 0, NULL, 10));
    assert_int_equal(r->n, 3);
    arena_destroy(&a);
}

static void test_bad_envelopes(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"jsonrpc\":\"2.0\"}",
        FOREIGN("[1]", ""),
        FOREIGN("[-1,0]", ""),
        FOREIGN("[1,16777216]", ""),
        FOREIGN("[1,1,1]", ""),
        FOREIGN("\"now\"", ""),
        FOREIGN("[1,1]", ",\"fleet/id\":7"),
        FOREIGN("[1,1]", ",\"fleet/policy\":7"),
        FOREIGN("[1,1]", ",\"fleet/origin\":7"),
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"notifications/fleet/a/"
        "b\",\"params\":{\"_meta\":"
        "{\"fleet/hlc\":[1,1],\"fleet/node\":\"b\"},\"type\":\"a.b\"}}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/fleet/a/c\",\"params\":{\"_meta\":"
        "{\"fleet/hlc\":[1,1],\"fleet/node\":\"b\"},\"type\":\"a.b\"}}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/fleet/a/b\",\"params\":{\"_meta\":"
        "{\"fleet/hlc\":[1,1]},\"type\":\"a.b\"}}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/fleet/a/b\",\"params\":{\"_meta\":"
        "{\"fleet/hlc\":[1,1],\"fleet/node\":\"b\"},\"data\":[],\"type\":\"a.b\"}}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/fleet/policy/denied\",\"params\":{"
        "\"_meta\":{\"fleet/hlc\":[1,1],\"fleet/node\":\"b\"},\"type\":\"policy.denied\"}}",
    };
    struct rig *r = *state;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (rig_merge(r, bad[i]) != STATUS_INVALID)
            fail_msg("%s: %s", bad[i], status_name(r->status));
    assert_int_equal(substrate_last(r->s), 0);
}

static void test_capacity(void **state)
{
    struct rig *r = *state;
    char id[32];

    rig_close(r);
    rig_open(r, 10);
    for (int i = 1; i <= 35; i++) {
        (void)snprintf(id, sizeof(id), "e-%d", i);
        RIG_OK(rig_emit(r, "a.b", NULL, id, ""));
        assert_int_equal(r->value, i);
    }
    RIG_OK(rig_read(r, 0, NULL, 100));
    assert_int_equal(r->n, 10);
    assert_int_equal(r->first, 26);
    assert_int_equal(r->last, 35);
    RIG_OK(rig_emit(r, "a.b", NULL, "e-3", "")); /* pruned: it is new again, with a new number */
    assert_false(r->duplicate);
    assert_int_equal(r->value, 36);
}

static void test_restart_events(void **state)
{
    struct rig *r = *state;

    RIG_OK(rig_emit(r, "a.b", NULL, "e-1", ""));
    RIG_OK(rig_emit(r, "a.b", NULL, NULL, ""));
    r->clock.wall -= 60ull * 1000000000; /* the wall is a minute back after the restart */
    rig_restart(r, 0);
    assert_int_equal(substrate_last(r->s), 2);
    RIG_OK(rig_emit(r, "a.b", NULL, "e-1", ""));
    assert_true(r->duplicate);
    RIG_OK(rig_emit(r, "a.b", NULL, NULL, ""));
    assert_int_equal(r->value, 3);
    RIG_OK(rig_read(r, 0, NULL, 10));
    assert_int_equal(r->n, 3);
}

/* --- a backend that does not answer, and the end --- */

static void test_unavailable(void **state)
{
    struct rig *r = *state;
    const struct substrate_event ev = {.type = "a.b", .id = "e-1"};

    r->impl->stall(r, true);
    substrate_emit(r->s, &ev, rig_on_emitted, r);
    substrate_count(r->s, "n", 1, rig_on_count, r);
    rig_settle(r);
    assert_int_equal(r->answers, 0);
    rig_pass(r, RIG_TIMEOUT_MS);
    rig_wait(r, 2);
    assert_int_equal(r->status, STATUS_UNAVAILABLE);
    assert_int_equal(substrate_late(r->s), 2);
    r->impl->stall(r, false);
    RIG_OK(rig_emit(r, "a.b", NULL, "e-1", "")); /* the first one came through late: */
    assert_true(r->duplicate);                   /* asking again is harmless */
    RIG_OK(rig_read(r, 0, NULL, 10));
    assert_int_equal(r->n, 1);
    assert_int_equal(r->answers, 4); /* no answer came twice */
}

static void test_close(void **state)
{
    struct rig *r = *state;
    const struct substrate_event ev = {.type = "a.b"};
    const struct substrate_match m = {.type = "c.d"};

    for (int i = 0; i < 100; i++)
        substrate_emit(r->s, &ev, rig_on_emitted, r);
    substrate_await(r->s, &m, 60000, rig_on_events, r);
    rig_close(r);
    assert_int_equal(r->answers, 101);
    rig_open(r, 0);
    RIG_OK(rig_emit(r, "a.b", NULL, NULL, ""));
    if (r->impl->durable) /* all that were taken on were logged */
        assert_int_equal(r->value, 101);
}

static void emit_again(void *arg, enum status s, const struct substrate_logged *v maybe_unused,
                       size_t n maybe_unused, const struct err *e maybe_unused)
{
    struct rig *r = arg;
    const struct substrate_event ev = {.type = "a.b"};

    assert_int_equal(s, STATUS_SHUTTING_DOWN);
    substrate_emit(r->s, &ev, rig_on_emitted, r);
    substrate_count(r->s, "n", 1, rig_on_count, r);
}

/* Calls made while it closes are answered too. */
static void test_refused_while_closing(void **state)
{
    struct rig *r = *state;
    const struct substrate_match m = {.type = "c.d"};

    substrate_await(r->s, &m, 60000, emit_again, r);
    rig_close(r);
    assert_int_equal(r->answers, 2);
    assert_int_equal(r->status, STATUS_SHUTTING_DOWN);
    rig_open(r, 0);
}

/* --- policy --- */

struct asked {
    struct substrate_decision *d[16];
    char type[16][40];
    size_t n;
};

static void keep_question(void *arg, const struct substrate_event *ev, struct substrate_decision *d)
{
    struct asked *q = arg;

    (void)snprintf(q->type[q->n], sizeof(q->type[0]), "%s", ev->type);
    q->d[q->n++] = d;
}

static void decide_at_once(void *arg, const struct substrate_event *ev,
                           struct substrate_decision *d)
{
    (void)arg;
    if (strcmp(ev->type, "secret.told") == 0)
        substrate_decide(d, false, "no secrets");
    else
        substrate_decide(d, true, strcmp(ev->type, "plain.said") == 0 ? NULL : "rule 7");
}

static void test_policy_denies(void **state)
{
    struct rig *r = *state;

    substrate_set_policy(r->s, decide_at_once, NULL);
    RIG_OK(rig_emit(r, "weather.told", NULL, NULL, ""));
    RIG_OK(rig_read(r, 0, NULL, 10));
    assert_non_null(strstr(r->envelope, "\"fleet/policy\":\"rule 7\""));
    RIG_OK(rig_emit(r, "plain.said", NULL, NULL, ""));
    assert_int_equal(rig_emit(r, "secret.told", "s-1", "e-1", "{\"secret\":\"x\"}"),
                     STATUS_POLICY_DENIED);
    assert_non_null(strstr(r->error, "no secrets"));
    RIG_OK(rig_read(r, 2, NULL, 10));
    assert_string_equal(r->text, "3:policy.denied:s-1 ");
    assert_non_null(strstr(r->envelope, "\"data\":{\"event\":\"secret.told\",\"id\":\"e-1\","
                                        "\"why\":\"no secrets\"}"));
    assert_null(strstr(r->envelope, "\"secret\":\"x\""));
    assert_int_equal(rig_merge(r, FOREIGN("[1,1]", "")), STATUS_OK);
    substrate_set_policy(r->s, NULL, NULL);
    RIG_OK(rig_emit(r, "secret.told", "s-1", "e-1", ""));
    assert_false(r->duplicate);
}

/* Answers in any order; the log has the order of the emits. */
static void test_policy_later(void **state)
{
    struct rig *r = *state;
    struct asked q = {.n = 0};
    const struct substrate_event ev[3] = {{.type = "a.a"}, {.type = "b.b"}, {.type = "c.c"}};

    substrate_set_policy(r->s, keep_question, &q);
    for (size_t i = 0; i < 3; i++)
        substrate_emit(r->s, &ev[i], rig_on_emitted, r);
    substrate_set_policy(r->s, NULL, NULL);
    assert_int_equal(q.n, 3);
    substrate_decide(q.d[2], true, NULL);
    rig_settle(r);
    assert_int_equal(r->answers, 0);
    substrate_decide(q.d[0], true, NULL);
    rig_wait(r, 1);
    assert_int_equal(r->value, 1);
    substrate_decide(q.d[1], false, "not b");
    rig_wait(r, 3);
    RIG_OK(rig_read(r, 0, NULL, 10));
    assert_string_equal(r->text, "1:a.a:- 2:policy.denied:- 3:c.c:- ");
}

static void test_policy_silent(void **state)
{
    struct rig *r = *state;
    struct asked q = {.n = 0};
    const struct substrate_event ev = {.type = "a.a"};

    substrate_set_policy(r->s, keep_question, &q);
    substrate_emit(r->s, &ev, rig_on_emitted, r);
    rig_pass(r, RIG_POLICY_MS / 2);
    substrate_emit(r->s, &ev, rig_on_emitted, r);
    rig_pass(r, RIG_POLICY_MS / 2);
    rig_wait(r, 1);
    assert_int_equal(r->status, STATUS_POLICY_DENIED);
    assert_non_null(strstr(r->error, "did not answer"));
    substrate_decide(q.d[0], true, NULL); /* too late */
    rig_settle(r);
    assert_int_equal(r->answers, 1);
    rig_close(r); /* the second is told so; its policy never answers */
    assert_int_equal(r->answers, 2);
    assert_int_equal(r->status, STATUS_SHUTTING_DOWN);
    rig_open(r, 0);
}

/* --- await --- */

static void await_one(struct rig *r, const char *type, const char *subject, uint64_t after)
{
    const struct substrate_match m = {type, subject, after};

    r->in_call = true;
    substrate_await(r->s, &m, 5000, rig_on_events, r);
    r->in_call = false;
}

static void test_await_what_is_there(void **state)
{
    struct rig *r = *state;

    for (int i = 0; i < 600; i++) {
        const struct substrate_event ev = {.type = "a.a", .subject = i == 555 ? "wanted" : "other"};

        substrate_emit(r->s, &ev, rig_on_emitted, r);
    }
    rig_wait(r, 600);
    await_one(r, "a.a", "wanted", 0);
    rig_wait(r, 601);
    assert_int_equal(r->status, STATUS_OK);
    assert_int_equal(r->first, 556);
    await_one(r, NULL, NULL, 599);
    rig_wait(r, 602);
    assert_int_equal(r->first, 600);
}

static void test_await_what_comes(void **state)
{
    struct rig *r = *state;
    const struct substrate_event other = {.type = "a.a", .subject = "x"};
    const struct substrate_event wanted = {.type = "a.b", .subject = "x"};

    RIG_OK(rig_emit(r, "a.b", "x", NULL, "")); /* before: not meant */
    await_one(r, "a.b", "x", SUBSTRATE_NOW);
    rig_settle(r);
    assert_int_equal(r->answers, 1);
    substrate_emit(r->s, &other, NULL, NULL);
    substrate_emit(r->s, &wanted, NULL, NULL);
    substrate_emit(r->s, &wanted, NULL, NULL);
    rig_wait(r, 2);
    assert_int_equal(r->status, STATUS_OK);
    assert_string_equal(r->text, "3:a.b:x ");
    rig_settle(r);
    assert_int_equal(r->answers, 2);
}

static void test_await_deadline(void **state)
{
    struct rig *r = *state;
    const struct substrate_match m = {.type = "a.b", .after = SUBSTRATE_NOW};
    const struct substrate_match any = {.after = 0};
    struct substrate_await_id id;

    await_one(r, "a.b", NULL, 0);
    rig_pass(r, 4999);
    assert_int_equal(r->answers, 0);
    rig_pass(r, 1);
    rig_wait(r, 1);
    assert_int_equal(r->status, STATUS_TIMEOUT);
    id = substrate_await(r->s, &m, 5000, rig_on_events, r);
    substrate_await_cancel(r->s, id);
    substrate_await_cancel(r->s, id);
    assert_int_equal(r->answers, 1);
    rig_wait(r, 2);
    assert_int_equal(r->status, STATUS_CANCELLED);
    substrate_await_cancel(r->s, id);
    substrate_await(r->s, &m, (uint64_t)SUBSTRATE_WAIT_MAX_MS + 1, rig_on_events, r);
    rig_wait(r, 3);
    assert_int_equal(r->status, STATUS_INVALID);
    RIG_OK(rig_emit(r, "a.b", NULL, NULL, ""));
    substrate_await(r->s, &any, 0, rig_on_events, r); /* is it there already? */
    rig_wait(r, 5);
    assert_int_equal(r->status, STATUS_OK);
}

/* --- schedules --- */

static void test_schedule_after(void **state)
{
    struct rig *r = *state;

    RIG_OK(rig_schedule(r, "s-1", "alarm.rang", 0, 1000));
    rig_pass(r, 999);
    RIG_OK(rig_read(r, 0, NULL, 10));
    assert_int_equal(r->n, 0);
    r->clock.wall -= 7200ull * 1000000000; /* not by the wall */
    rig_pass(r, 1);
    await_one(r, "alarm.rang", "clock", 0);
    rig_wait(r, 3);
    assert_int_equal(r->status, STATUS_OK);
    assert_non_null(strstr(r->envelope, "\"fleet/id\":\"schedule:s-1:"));
    assert_non_null(strstr(r->envelope, "\"data\":{\"by\":\"schedule\"}"));
    rig_pass(r, 100000);
    RIG_OK(rig_read(r, 0, NULL, 10));
    assert_int_equal(r->n, 1); /* once */
    assert_int_equal(rig_unschedule(r, "s-1"), STATUS_NOT_FOUND);
    RIG_OK(rig_schedule(r, "s-1", "alarm.rang", 0, 0)); /* the same id anew: a new event */
    await_one(r, "alarm.rang", "clock", 1);
    rig_wait(r, 7);
    assert_int_equal(r->first, 2);
}

static void test_schedule_at(void **state)
{
    struct rig *r = *state;
    uint64_t wall = r->clock.wall / 1000000;

    RIG_OK(rig_schedule(r, "s-1", "alarm.rang", wall + 3600000, 0));
    rig_pass(r, 5000);
    RIG_OK(rig_read(r, 0, NULL, 10));
    assert_int_equal(r->n, 0);
    r->clock.wall += 3600ull * 1000000000; /* the wall jumps: noticed within a second */
    rig_pass(r, 1000);
    await_one(r, "alarm.rang", NULL, 0);
    rig_wait(r, 3);
    assert_int_equal(r->status, STATUS_OK);
}

static void test_schedule_replace_and_end(void **state)
{
    struct rig *r = *state;

    RIG_OK(rig_schedule(r, "s-1", "alarm.rang", 0, 1000));
    RIG_OK(rig_schedule(r, "s-1", "bell.rang", 0, 2000));
    RIG_OK(rig_schedule(r, "s-2", "alarm.rang", 0, 1000));
    RIG_OK(rig_unschedule(r, "s-2"));
    assert_int_equal(rig_unschedule(r, "s-2"), STATUS_NOT_FOUND);
    rig_pass(r, 1500);
    rig_pass(r, 500);
    await_one(r, NULL, NULL, 0);
    rig_wait(r, 6);
    assert_string_equal(r->text, "1:bell.rang:clock ");
    rig_settle(r);
    RIG_OK(rig_read(r, 1, NULL, 10));
    assert_int_equal(r->n, 0);
    assert_int_equal(rig_schedule(r, NULL, "bell.rang", 0, 1), STATUS_INVALID);
    assert_int_equal(rig_schedule(r, "s-3", "bad", 0, 1), STATUS_INVALID);
}

/* The end is asked for before the schedule was even acknowledged, and its time has come. */
static void test_schedule_end_at_once(void **state)
{
    struct rig *r = *state;
    const struct substrate_event ev = {.type = "alarm.rang", .id = "s-1"};

    substrate_schedule(r->s, &ev, 0, 0, rig_on_done, r);
    substrate_unschedule(r->s, "s-1", rig_on_done, r);
    rig_wait(r, 2);
    assert_int_equal(r->status, STATUS_OK);
    rig_pass(r, 1000);
    RIG_OK(rig_read(r, 0, NULL, 10));
    assert_int_equal(r->n, 0);
}

static void test_schedule_denied(void **state)
{
    struct rig *r = *state;

    substrate_set_policy(r->s, decide_at_once, NULL);
    RIG_OK(rig_schedule(r, "s-1", "secret.told", 0, 10));
    rig_pass(r, 10);
    await_one(r, "policy.denied", NULL, 0);
    rig_wait(r, 2);
    rig_pass(r, 5000);
    rig_settle(r);
    RIG_OK(rig_read(r, 0, NULL, 10));
    assert_int_equal(r->n, 1);
}

static void test_restart_schedules(void **state)
{
    struct rig *r = *state;
    uint64_t wall = r->clock.wall / 1000000;

    RIG_OK(rig_schedule(r, "late", "alarm.late", 0, 1000));
    RIG_OK(rig_schedule(r, "soon", "alarm.soon", 0, 10000));
    RIG_OK(rig_schedule(r, "at", "alarm.at", wall + 20000, 0));
    rig_restart(r, 5000);
    await_one(r, "alarm.late", NULL, 0); /* its time came while nothing ran */
    rig_wait(r, 4);
    assert_int_equal(r->status, STATUS_OK);
    rig_pass(r, 4000);
    rig_settle(r);
    RIG_OK(rig_read(r, 1, NULL, 10));
    assert_int_equal(r->n, 0);
    rig_pass(r, 1000);
    await_one(r, "alarm.soon", NULL, 0);
    rig_wait(r, 6);
    rig_settle(r);
    r->clock.wall -= 3600ull * 1000000000;
    rig_restart(r, 0); /* what was emitted is not emitted again */
    rig_pass(r, 9000);
    RIG_OK(rig_read(r, 0, NULL, 10));
    assert_int_equal(r->n, 2);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        cmocka_unit_test(test_order_and_reading),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_bad_events),
        cmocka_unit_test(test_idempotent_append),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_bad_envelopes),
        cmocka_unit_test(test_capacity),
        cmocka_unit_test(test_restart_events),
        cmocka_unit_test(test_unavailable),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_refused_while_closing),
        cmocka_unit_test(test_policy_denies),
        cmocka_unit_test(test_policy_later),
        cmocka_unit_test(test_policy_silent),
        cmocka_unit_test(test_await_what_is_there),
        cmocka_unit_test(test_await_what_comes),
        cmocka_unit_test(test_await_deadline),
        cmocka_unit_test(test_schedule_after),
        cmocka_unit_test(test_schedule_at),
        cmocka_unit_test(test_schedule_replace_and_end),
        cmocka_unit_test(test_schedule_end_at_once),
        cmocka_unit_test(test_schedule_denied),
        cmocka_unit_test(test_restart_schedules),
    };
    static struct CMUnitTest all[ARRAY_LEN(cases) * RIG_IMPLEMENTATIONS_MAX];
    size_t n = rig_cases(cases, ARRAY_LEN(cases), all);

    return _cmocka_run_group_tests("substrate: events", all, n, NULL, NULL);
}
