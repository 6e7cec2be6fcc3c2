/* WebSockets of the server: messages whole and in fragments, back-pressure, ends. */
#include "tests/unit/api/http_rig.h"

#include "tests/support/testing.h"

struct talk {
    struct ws *w;
    struct ws_opts opts;
    unsigned messages, writables;
    size_t last_len;
    bool open, closed, writable, echo;
    unsigned code;
    char reason[128];
};

static void on_message(void *arg, struct ws *w, struct str m, bool binary)
{
    struct talk *t = arg;

    t->messages++;
    t->last_len = m.len;
    if (!t->echo)
        return;
    assert_int_equal(binary ? ws_send_binary(w, m) : ws_send(w, m), STATUS_OK);
}

static void on_writable(void *arg, struct ws *w)
{
    struct talk *t = arg;

    assert_false(ws_is_full(w));
    t->writables++;
    t->writable = true;
}

static void on_close(void *arg, struct ws *w, unsigned code, struct str reason)
{
    struct talk *t = arg;

    assert_ptr_equal(w, t->w);
    assert_false(t->closed);
    t->closed = true;
    t->code = code;
    snprintf(t->reason, sizeof(t->reason), "%.*s", STR_ARG(reason));
    t->w = NULL;
}

static void on_talk(struct exchange *x, void *arg)
{
    struct talk *t = arg;

    if (!exchange_token(x) || !token_eq(exchange_token(x), "abc")) {
        exchange_fail(x, STATUS_PERMISSION, "expected a token");
        return;
    }
    t->opts.on_message = on_message;
    t->opts.on_writable = on_writable;
    t->opts.on_close = on_close;
    t->opts.arg = t;
    t->w = exchange_accept(x, &t->opts);
    t->open = true;
}

static const struct route routes[] = {
    {.method = HTTP_GET, .pattern = "/talk/{id}", .fn = on_talk, .upgrade = true},
    {.pattern = NULL},
};

static void up(struct rig *r, struct talk *t, struct client *c)
{
    rig_up(r, (struct server_opts){.routes = routes, .arg = t}, true);
    client_open(r, c);
    assert_true(client_upgrade(r, c, "/talk/1?token=abc"));
}

static void down(struct rig *r, struct client *c)
{
    client_close(c);
    rig_down(r);
}

static void test_refused(void **state)
{
    struct talk t = {0};
    struct buf body = BUF_INIT(4096);
    struct client c;
    struct rig r;

    (void)state;
    rig_up(&r, (struct server_opts){.routes = routes, .arg = &t}, true);
    client_open(&r, &c);
    assert_false(client_upgrade(&r, &c, "/talk/1?token=abd"));
    assert_int_equal(client_answer(&r, &c, false, &body), 403);
    assert_non_null(strstr(body.ptr, "expected a token"));
    client_until_eof(&r, &c);
    client_close(&c);
    client_open(&r, &c);
    assert_false(client_upgrade(&r, &c, "/other"));
    assert_int_equal(client_answer(&r, &c, false, &body), 404);
    client_close(&c);
    assert_int_equal(rig_ask(&r, "GET /talk/1 HTTP/1.1\r\nHost: h\r\n\r\n", &body), 426);
    assert_false(t.open);
    buf_deinit(&body);
    rig_down(&r);
}

static void test_messages(void **state)
{
    static const size_t sizes[] = {0, 1, 125, 126, 65535, 65536, 3000000};
    struct talk t = {.echo = true};
    struct buf in = BUF_INIT(8u << 20), out = BUF_INIT(8u << 20);
    struct client c;
    struct rig r;
    int pongs = 0;

    (void)state;
    up(&r, &t, &c);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        buf_reset(&out);
        while (out.len < sizes[i])
            buf_addc(&out, (char)('a' + out.len % 26));
        client_frame(&r, &c, 1, true, out.ptr, out.len);
        assert_int_equal(client_take_frame(&r, &c, &in), 0x81);
        assert_int_equal(in.len, out.len);
        if (in.len)
            assert_memory_equal(in.ptr, out.ptr, in.len);
    }
    client_frame(&r, &c, 2, true, "\xff\x00", 2);
    assert_int_equal(client_take_frame(&r, &c, &in), 0x82);
    /* fragments, with a ping in between */
    client_frame(&r, &c, 1, false, "one ", 4);
    client_frame(&r, &c, 9, true, "p", 1);
    client_frame(&r, &c, 0, false, "two ", 4);
    client_frame(&r, &c, 0, true, "three", 5);
    for (int i = 0; i < 2; i++) { /* in either order (RFC 6455 §5.5.3) */
        unsigned head = client_take_frame(&r, &c, &in);

        if (head == 0x81)
            assert_string_equal(in.ptr, "one two three");
        else
            assert_int_equal(head, 0x8a);
        pongs += head == 0x8a;
    }
    assert_int_equal(pongs, 1);
    assert_int_equal(t.messages, ARRAY_LEN(sizes) + 2);
    buf_deinit(&in);
    buf_deinit(&out);
    down(&r, &c);
    assert_true(t.closed);
}

static void test_ends(void **state)
{
    static const struct {
        unsigned opcode;
        const char *bytes;
        size_t len;
        unsigned code;
        const char *reason;
    } cases[] = {
        {8,
         "\x03\xe8"
         "bye",
         5, WS_NORMAL, "bye"},
        {8, "", 0, WS_NO_CODE, ""},
        {1, "\xff\xfe", 2, WS_INVALID, "text that is not UTF-8"},
        {1, "0123456789012345678901234567890123456789", 40, WS_TOO_LARGE,
         "the message is too large"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct talk t = {.opts = {.message_max = 32}};
        struct client c;
        struct rig r;

        up(&r, &t, &c);
        client_frame(&r, &c, cases[i].opcode, true, cases[i].bytes, cases[i].len);
        if (cases[i].opcode != 8) { /* the server closes: agree */
            struct buf in = BUF_INIT(4096);

            assert_int_equal(client_take_frame(&r, &c, &in), 0x88);
            assert_int_equal((unsigned char)in.ptr[0] << 8 | (unsigned char)in.ptr[1],
                             cases[i].code);
            client_frame(&r, &c, 8, true, in.ptr, in.len);
            buf_deinit(&in);
        }
        rig_until(&r, &t.closed);
        assert_int_equal(t.code, cases[i].code);
        assert_string_equal(t.reason, cases[i].reason);
        down(&r, &c);
    }
}

static void test_lost(void **state)
{
    struct talk t = {0};
    struct client c;
    struct rig r;

    (void)state;
    up(&r, &t, &c);
    client_close(&c);
    rig_until(&r, &t.closed);
    assert_int_equal(t.code, WS_ABNORMAL);
    rig_down(&r);
}

static void test_server_ends(void **state)
{
    struct talk t = {0};
    struct buf in = BUF_INIT(4096);
    struct client c;
    struct rig r;

    (void)state;
    up(&r, &t, &c);
    rig_down(&r);
    assert_true(t.closed);
    assert_int_equal(t.code, WS_GOING_AWAY);
    buf_deinit(&in);
    client_close(&c);
}

/* A client that does not read fills the queue up to its end and not further. */
static void test_queue_is_bounded(void **state)
{
    enum { PART = 100000 };
    struct talk t = {.opts = {.queue_high = 1u << 20, .queue_max = 4u << 20}};
    struct buf in = BUF_INIT(1u << 20);
    static char part[PART];
    size_t sent = 0, taken = 0;
    struct client c;
    struct rig r;

    (void)state;
    memset(part, 'x', sizeof(part));
    up(&r, &t, &c);
    while (ws_send(t.w, str_n(part, sizeof(part))) == STATUS_OK) {
        sent++;
        assert_true(ws_queued(t.w) <= 4u << 20);
        assert_true(sent < 10000);
        rig_turn(&r, 0);
    }
    assert_true(ws_is_full(t.w));
    assert_int_equal(t.writables, 0);
    while (taken < sent) {
        assert_int_equal(client_take_frame(&r, &c, &in), 0x81);
        assert_int_equal(in.len, PART);
        taken++;
    }
    assert_int_equal(t.writables, 1);
    assert_false(ws_is_full(t.w));
    for (int i = 0; i < 100 && ws_queued(t.w) > 0; i++)
        rig_turn(&r, 10);
    assert_int_equal(ws_queued(t.w), 0);
    buf_deinit(&in);
    down(&r, &c);
}

static void test_pause(void **state)
{
    struct talk t = {0};
    struct client c;
    struct rig r;
    unsigned before;

    (void)state;
    up(&r, &t, &c);
    ws_pause(t.w, true);
    rig_turn(&r, 10);
    before = t.messages;
    for (int i = 0; i < 20; i++)
        client_frame(&r, &c, 1, true, "hello", 5);
    for (int i = 0; i < 20; i++)
        rig_turn(&r, 2);
    assert_int_equal(t.messages, before);
    ws_pause(t.w, false);
    for (int i = 0; i < 500 && t.messages < before + 20; i++)
        rig_turn(&r, 10);
    assert_int_equal(t.messages, before + 20);
    down(&r, &c);
}

static void test_pings(void **state)
{
    struct talk t = {.opts = {.ping_ms = 30, .pong_ms = 60}};
    struct buf in = BUF_INIT(4096);
    struct client c;
    struct rig r;

    (void)state;
    up(&r, &t, &c);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(client_take_frame(&r, &c, &in), 0x89);
        client_frame(&r, &c, 10, true, in.ptr, in.len);
    }
    assert_false(t.closed);
    rig_until(&r, &t.closed); /* no answer any more */
    assert_int_equal(t.code, WS_ABNORMAL);
    buf_deinit(&in);
    down(&r, &c);
}

/* ws_close sends what is queued before it. */
static void test_close_after_the_queue(void **state)
{
    struct talk t = {0};
    struct buf in = BUF_INIT(1u << 20);
    struct client c;
    struct rig r;

    (void)state;
    up(&r, &t, &c);
    for (int i = 0; i < 50; i++)
        assert_int_equal(ws_send2(t.w, STR("a"), STR("b")), STATUS_OK);
    ws_close(t.w, WS_TRY_LATER, "not now");
    assert_int_equal(ws_send(t.w, STR("c")), STATUS_CLOSED);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(client_take_frame(&r, &c, &in), 0x81);
        assert_string_equal(in.ptr, "ab");
    }
    assert_int_equal(client_take_frame(&r, &c, &in), 0x88);
    client_frame(&r, &c, 8, true, in.ptr, in.len);
    rig_until(&r, &t.closed);
    assert_int_equal(t.code, WS_TRY_LATER);
    assert_string_equal(t.reason, "not now");
    buf_deinit(&in);
    down(&r, &c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_server_ends),
        cmocka_unit_test(test_queue_is_bounded),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_pings),
        cmocka_unit_test(test_close_after_the_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
