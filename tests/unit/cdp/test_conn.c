/* The connection over a transport that the test plays: what is sent, what comes back in which
 * order, and that every call is answered exactly once whatever happens. */
#include "browser/cdp/conn.h"

#include <stdio.h>

#include "core/base/buf.h"
#include "tests/support/testing.h"

static struct scripted {
    struct transport base;
    struct buf sent;
    unsigned writes;
    bool full, destroyed;
} wire;

static struct loop *loop;
static struct clock_fake fake;
static struct cdp_conn *conn;
static unsigned closed;
static enum status closed_why;

static enum status wire_send(struct transport *t, struct str batch, struct err *e)
{
    (void)t;
    if (wire.full)
        return err_set(e, STATUS_TOO_LARGE, "full");
    wire.writes++;
    buf_addstr(&wire.sent, batch);
    return STATUS_OK;
}

static void wire_destroy(struct transport *t)
{
    (void)t;
    wire.destroyed = true;
}

static const struct transport_ops wire_ops = {"scripted", wire_send, wire_destroy};

static void on_close(void *arg, enum status why, const struct err *e)
{
    (void)arg;
    (void)e;
    closed++;
    closed_why = why;
}

static int setup(void **state)
{
    (void)state;
    memset(&wire, 0, sizeof wire);
    wire.base.ops = &wire_ops;
    buf_init(&wire.sent, 1 << 20);
    clock_fake_init(&fake, 1000000);
    assert_int_equal(loop_create(&loop, &fake.clock, NULL), STATUS_OK);
    closed = 0;
    conn = cdp_conn_create(loop, &wire.base, on_close, NULL);
    return 0;
}

static void turn(void)
{
    for (int i = 0; i < 3; i++)
        loop_run_once(loop, 0);
}

static int teardown(void **state)
{
    (void)state;
    cdp_conn_destroy(&conn);
    assert_true(wire.destroyed);
    turn();
    loop_destroy(&loop);
    buf_deinit(&wire.sent);
    return 0;
}

static void say(const char *message)
{
    wire.base.events.on_message(wire.base.events.arg, str_from(message));
}

struct answered {
    unsigned n;
    enum status status;
    int code;
    double value;
    char text[ERR_TEXT_MAX];
};

static void on_reply(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct answered *a = arg;

    a->n++;
    a->status = s;
    a->code = e->peer_code;
    a->value = json_num(json_get(result, "v"), -1);
    snprintf(a->text, sizeof a->text, "%s", e->text);
}

static void test_commands_of_a_turn_are_one_write(void **state)
{
    struct cdp_session *s = cdp_session_create(conn, STR("S1"));

    (void)state;
    cdp_tell(cdp_conn_root(conn), "A.a", STR_NONE);
    cdp_tell(s, "B.b", STR("{\"x\":1}"));
    cdp_callf(s, "C.c", 0, NULL, NULL, "{\"y\":%d}", 2);
    assert_int_equal(wire.writes, 0);
    turn();
    assert_int_equal(wire.writes, 1);
    assert_memory_equal(wire.sent.ptr,
                        "{\"id\":1,\"method\":\"A.a\"}\0"
                        "{\"id\":2,\"method\":\"B.b\",\"sessionId\":\"S1\",\"params\":{\"x\":1}}\0"
                        "{\"id\":3,\"method\":\"C.c\",\"sessionId\":\"S1\",\"params\":{\"y\":2}}",
                        wire.sent.len);
}

static void test_answers_in_any_order(void **state)
{
    struct answered a = {0}, b = {0}, c = {0};

    (void)state;
    cdp_call(cdp_conn_root(conn), "A.a", STR_NONE, 0, on_reply, &a);
    cdp_call(cdp_conn_root(conn), "B.b", STR_NONE, 0, on_reply, &b);
    cdp_call(cdp_conn_root(conn), "C.c", STR_NONE, 0, on_reply, &c);
    turn();
    say("{\"id\":3,\"result\":{\"v\":3}}");
    say("{\"id\":1,\"result\":{\"v\":1}}");
    say("{\"id\":2,\"error\":{\"code\":-32000,\"message\":\"no\",\"data\":\"why\"}}");
    say("{\"id\":1,\"result\":{\"v\":9}}"); /* again */
    say("{\"id\":77,\"result\":{}}");       /* nobody's */
    assert_int_equal(a.n, 1);
    assert_int_equal(a.value, 1);
    assert_int_equal(c.value, 3);
    assert_int_equal(b.n, 1);
    assert_int_equal(b.status, STATUS_PROTOCOL);
    assert_int_equal(b.code, -32000);
    assert_string_equal(b.text, "B.b: no: why");
}

static void test_deadline(void **state)
{
    struct answered a = {0}, b = {0};

    (void)state;
    cdp_call(cdp_conn_root(conn), "A.a", STR_NONE, loop_now_ms(loop) + 100, on_reply, &a);
    cdp_call(cdp_conn_root(conn), "B.b", STR_NONE, 0, on_reply, &b);
    turn();
    clock_fake_advance_ms(&fake, 99);
    turn();
    assert_int_equal(a.n, 0);
    clock_fake_advance_ms(&fake, 1);
    turn();
    assert_int_equal(a.n, 1);
    assert_int_equal(a.status, STATUS_TIMEOUT);
    say("{\"id\":1,\"result\":{}}"); /* too late */
    turn();
    assert_int_equal(a.n, 1);
    clock_fake_advance_ms(&fake, CDP_TIMEOUT_MS);
    turn();
    assert_int_equal(b.status, STATUS_TIMEOUT);
}

static void test_cancel(void **state)
{
    struct answered a = {0};
    uint64_t id = cdp_call(cdp_conn_root(conn), "A.a", STR_NONE, 0, on_reply, &a);

    (void)state;
    cdp_cancel(conn, id, STATUS_CANCELLED);
    cdp_cancel(conn, id, STATUS_TIMEOUT);
    assert_int_equal(a.n, 0); /* never from inside */
    say("{\"id\":1,\"result\":{}}");
    assert_int_equal(a.n, 0); /* the cancel came first */
    turn();
    assert_int_equal(a.n, 1);
    assert_int_equal(a.status, STATUS_CANCELLED);
    cdp_cancel(conn, id, STATUS_CANCELLED);
    turn();
    assert_int_equal(a.n, 1);
}

static void test_end_of_a_session_answers_its_own(void **state)
{
    struct cdp_session *s = cdp_session_create(conn, STR("S1"));
    struct answered a = {0}, b = {0};

    (void)state;
    assert_null(cdp_session_create(conn, STR("S1")));
    cdp_call(s, "A.a", STR_NONE, 0, on_reply, &a);
    cdp_call(cdp_conn_root(conn), "B.b", STR_NONE, 0, on_reply, &b);
    cdp_session_destroy(&s, STATUS_PAGE_CRASHED, "it crashed");
    assert_null(s);
    assert_null(cdp_session_find(conn, STR("S1")));
    assert_int_equal(a.n, 0);
    turn();
    assert_int_equal(a.n, 1);
    assert_int_equal(a.status, STATUS_PAGE_CRASHED);
    assert_string_equal(a.text, "it crashed");
    assert_int_equal(b.n, 0);
    say("{\"id\":1,\"result\":{},\"sessionId\":\"S1\"}");
    say("{\"method\":\"X.y\",\"params\":{},\"sessionId\":\"S1\"}");
    say("{\"id\":2,\"result\":{}}");
    assert_int_equal(b.n, 1);
}

static void test_end_of_the_connection_answers_all(void **state)
{
    struct cdp_session *s = cdp_session_create(conn, STR("S1"));
    struct answered a = {0}, b = {0}, c = {0};
    struct err e = ERR_INIT;

    (void)state;
    cdp_call(s, "A.a", STR_NONE, 0, on_reply, &a);
    cdp_call(cdp_conn_root(conn), "B.b", STR_NONE, 0, on_reply, &b);
    turn();
    err_set(&e, STATUS_CLOSED, "gone");
    wire.base.events.on_close(wire.base.events.arg, STATUS_CLOSED, &e);
    assert_int_equal(closed, 0);
    cdp_call(s, "C.c", STR_NONE, 0, on_reply, &c); /* after the end */
    assert_int_equal(a.n + b.n + c.n, 0);
    turn();
    assert_int_equal(a.n, 1);
    assert_int_equal(a.status, STATUS_BROWSER_GONE);
    assert_int_equal(b.status, STATUS_BROWSER_GONE);
    assert_int_equal(c.n, 1);
    assert_int_equal(c.status, STATUS_BROWSER_GONE);
    assert_int_equal(closed, 1);
    assert_int_equal(closed_why, STATUS_CLOSED);
    assert_false(cdp_conn_is_open(conn));
}

static void test_what_cannot_be_read(void **state)
{
    static const char *const broken[] = {
        "", "nonsense", "[1]", "{\"id\":", "{\"id\":\"x\"}", "{\"id\":1,\"result\":{\"a\":\"}"};
    struct answered a = {0};
    struct buf deep = BUF_INIT(1 << 20);

    (void)state;
    /* inside of an answer: that call fails, no more */
    cdp_call(cdp_conn_root(conn), "A.a", STR_NONE, 0, on_reply, &a);
    buf_adds(&deep, "{\"id\":1,\"result\":{\"v\":");
    for (int i = 0; i < 500; i++)
        buf_addc(&deep, '[');
    for (int i = 0; i < 500; i++)
        buf_addc(&deep, ']');
    buf_adds(&deep, "}}");
    say(deep.ptr);
    buf_deinit(&deep);
    assert_int_equal(a.n, 1);
    assert_int_equal(a.status, STATUS_PROTOCOL);
    assert_true(cdp_conn_is_open(conn));
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        if (i > 0) {
            teardown(NULL);
            setup(NULL);
        }
        say(broken[i]);
        turn();
        assert_int_equal(closed, 1);
        assert_int_equal(closed_why, STATUS_PROTOCOL);
    }
}

static void test_a_transport_that_is_full(void **state)
{
    struct answered a = {0};

    (void)state;
    wire.full = true;
    cdp_call(cdp_conn_root(conn), "A.a", STR_NONE, 0, on_reply, &a);
    turn();
    assert_int_equal(a.n, 1);
    assert_int_equal(a.status, STATUS_BROWSER_GONE);
    assert_int_equal(closed_why, STATUS_TOO_LARGE);
}

/* --- room --- */

static struct roomy {
    struct cdp_room_wait wait;
    unsigned n, at; /* how often it was told, and as which of all */
    size_t fills;   /* what it gives the transport when it is told */
} roomy[3];

static unsigned told;

static void on_told(void *arg)
{
    struct roomy *r = arg;

    r->n++;
    r->at = ++told;
    wire.base.queued += r->fills;
}

static void wait_all(void)
{
    memset(roomy, 0, sizeof roomy);
    told = 0;
    wire.base.queued = TRANSPORT_ROOM;
    for (size_t i = 0; i < ARRAY_LEN(roomy); i++)
        cdp_room_wait(conn, &roomy[i].wait, on_told, &roomy[i]);
}

static void read_until(size_t queued)
{
    wire.base.queued = queued;
    wire.base.events.on_room(wire.base.events.arg);
}

static void test_room_is_told_once_in_order(void **state)
{
    (void)state;
    wait_all();
    turn();
    assert_int_equal(told, 0);
    read_until(TRANSPORT_ROOM - 1);
    for (unsigned i = 0; i < ARRAY_LEN(roomy); i++) {
        assert_int_equal(roomy[i].n, 1);
        assert_int_equal(roomy[i].at, i + 1);
    }
    read_until(0);
    assert_int_equal(told, 3);
}

static void test_room_that_is_taken_again(void **state)
{
    (void)state;
    wait_all();
    roomy[0].fills = TRANSPORT_ROOM; /* the first one sends at once what it had in line */
    read_until(10);
    assert_int_equal(roomy[0].n, 1);
    assert_int_equal(told, 1);
    read_until(0);
    assert_int_equal(roomy[1].n, 1);
    assert_int_equal(roomy[2].n, 1);
    assert_int_equal(roomy[0].n, 1);
}

static void test_room_nobody_waits_for(void **state)
{
    struct cdp_room_wait never = {0};

    (void)state;
    cdp_room_cancel(&never);
    wait_all();
    cdp_room_cancel(&roomy[1].wait);
    cdp_room_cancel(&roomy[1].wait);
    cdp_room_wait(conn, &roomy[0].wait, on_told, &roomy[0]); /* again: to the end of the line */
    read_until(0);
    assert_int_equal(roomy[1].n, 0);
    assert_int_equal(roomy[2].at, 1);
    assert_int_equal(roomy[0].at, 2);
}

/* What the transport takes without a queue: nobody but the flush knows that it went. */
static void test_room_after_what_went_at_once(void **state)
{
    (void)state;
    wait_all();
    wire.base.queued = 0;
    cdp_tell(cdp_conn_root(conn), "A.a", STR("{\"x\":1}"));
    assert_true(cdp_conn_waiting(conn) > 0);
    assert_int_equal(told, 0);
    turn();
    assert_int_equal(told, 3);
    assert_int_equal(cdp_conn_waiting(conn), 0);
}

static void test_no_room_after_the_end(void **state)
{
    struct err e = ERR_INIT;

    (void)state;
    wait_all();
    err_set(&e, STATUS_CLOSED, "gone");
    wire.base.events.on_close(wire.base.events.arg, STATUS_CLOSED, &e);
    assert_int_equal(cdp_conn_waiting(conn), 0);
    turn();
    cdp_conn_destroy(&conn);
    for (size_t i = 0; i < ARRAY_LEN(roomy); i++)
        cdp_room_cancel(&roomy[i].wait); /* their owners end later */
    assert_int_equal(told, 0);
}

static struct {
    unsigned first, second, other;
    struct cdp_session *session;
} heard;

static void on_first(void *arg, struct cdp_session *s, const struct json *params)
{
    (void)arg;
    (void)s;
    heard.first++;
    assert_int_equal(json_int(json_get(params, "v"), 0), 5);
}

static void on_second(void *arg, struct cdp_session *s, const struct json *params)
{
    (void)s;
    (void)params;
    heard.second++;
    if (arg != NULL)
        cdp_session_destroy(&heard.session, STATUS_CLOSED, NULL);
}

static void on_other(void *arg, struct cdp_session *s, const struct json *params)
{
    (void)arg;
    (void)s;
    (void)params;
    heard.other++;
}

static void test_events_are_for_who_listens(void **state)
{
    static const struct cdp_handler one[] = {{"X.a", on_first}};
    static const struct cdp_handler two[] = {{"X.b", on_other}, {"X.a", on_second}};
    struct cdp_listener la = {0}, lb = {0}, lc = {0};
    const struct cdp_stats *st = cdp_conn_stats(conn);

    (void)state;
    memset(&heard, 0, sizeof heard);
    heard.session = cdp_session_create(conn, STR("S1"));
    cdp_listen(heard.session, &la, one, 1, NULL);
    cdp_listen(heard.session, &lb, two, 2, NULL);
    say("{\"method\":\"X.a\",\"params\":{\"v\":5},\"sessionId\":\"S1\"}");
    say("{\"method\":\"X.a\",\"params\":{\"v\":5}}");                      /* another session */
    say("{\"method\":\"X.c\",\"params\":{\"v\":5},\"sessionId\":\"S1\"}"); /* not listened to */
    say("{\"method\":\"X.a\",\"params\":{\"v\":5},\"sessionId\":\"S2\"}"); /* unknown */
    assert_int_equal(heard.first, 1);
    assert_int_equal(heard.second, 1);
    assert_int_equal(st->parsed, 1);
    assert_int_equal(st->dropped, 3);
    cdp_unlisten(&la);
    cdp_unlisten(&la);
    cdp_unlisten(&lb);
    cdp_listen(heard.session, &lb, two, 2, &heard); /* destroys the session */
    cdp_listen(heard.session, &lc, one, 1, NULL);
    say("{\"method\":\"X.a\",\"params\":{\"v\":5},\"sessionId\":\"S1\"}");
    assert_int_equal(heard.second, 2);
    assert_int_equal(heard.first, 1);
    assert_null(heard.session);
    cdp_unlisten(&lb);
}

static void destroy_in_reply(void *arg, enum status s, const struct json *result,
                             const struct err *e)
{
    struct answered *a = arg;

    on_reply(a, s, result, e);
    cdp_conn_destroy(&conn);
}

static void test_destroyed_in_a_callback(void **state)
{
    struct answered a = {0}, b = {0};

    (void)state;
    cdp_call(cdp_conn_root(conn), "A.a", STR_NONE, 0, destroy_in_reply, &a);
    cdp_call(cdp_conn_root(conn), "B.b", STR_NONE, 0, on_reply, &b);
    turn();
    cdp_tell(cdp_conn_root(conn), "C.c", STR_NONE); /* a write is due */
    say("{\"id\":1,\"result\":{}}");
    assert_int_equal(a.n, 1);
    assert_int_equal(b.n, 1);
    assert_int_equal(b.status, STATUS_BROWSER_GONE);
    assert_int_equal(closed, 0);
    turn();
}

static void test_scan(void **state)
{
    static const struct {
        const char *message;
        bool ok;
        const char *method, *params, *session;
    } cases[] = {
        {"{}", true, "", "", ""},
        {" {\"method\" : \"A.b\" , \"params\" : {\"a\":[1,{\"b\":\"}\\\"]\"}]} , "
         "\"sessionId\":\"S\"} ",
         true, "A.b", "{\"a\":[1,{\"b\":\"}\\\"]\"}]}", "S"},
        {"{\"method\":\"A.b\",\"params\":{\"x\":\"\\\\\"}}", true, "A.b", "{\"x\":\"\\\\\"}", ""},
        {"{\"method\":\"A.b\"", false, "", "", ""},
        {"{\"method\":\"A.b}", false, "", "", ""},
        {"{\"a\":}", false, "", "", ""},
        {"{\"a\" 1}", false, "", "", ""},
        {"{\"id\":-1}", false, "", "", ""},
        {"{\"id\":99999999999999999999}", false, "", "", ""},
        {"{\"a\":[[[}", false, "", "", ""},
        {"x", false, "", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cdp_envelope v;
        bool ok = cdp_scan(str_from(cases[i].message), &v);

        if (ok != cases[i].ok)
            fail_msg("%s: %d", cases[i].message, ok);
        if (!ok)
            continue;
        assert_true(
            str_eqz(str_n(v.method.ptr ? v.method.ptr : "", v.method.len), cases[i].method));
        assert_true(
            str_eqz(str_n(v.params.ptr ? v.params.ptr : "", v.params.len), cases[i].params));
        assert_true(str_eqz(str_n(v.session_id.ptr ? v.session_id.ptr : "", v.session_id.len),
                            cases[i].session));
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_commands_of_a_turn_are_one_write),
        CASE(test_answers_in_any_order),
        CASE(test_deadline),
        CASE(test_cancel),
        CASE(test_end_of_a_session_answers_its_own),
        CASE(test_end_of_the_connection_answers_all),
        CASE(test_what_cannot_be_read),
        CASE(test_a_transport_that_is_full),
        CASE(test_room_is_told_once_in_order),
        CASE(test_room_that_is_taken_again),
        CASE(test_room_nobody_waits_for),
        CASE(test_room_after_what_went_at_once),
        CASE(test_no_room_after_the_end),
        CASE(test_events_are_for_who_listens),
        CASE(test_destroyed_in_a_callback),
        CASE(test_scan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
