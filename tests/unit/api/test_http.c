/* The server over a Unix socket and TCP, by clients that send raw bytes. */
#include "tests/unit/api/http_rig.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/support/testing.h"

/* --- handlers --- */

struct site {
    struct exchange *held;
    bool got, gone;
    unsigned calls;
};

static void on_echo(struct exchange *x, void *arg)
{
    struct json *j = json_new_object();
    const char *name, *value;

    ((struct site *)arg)->calls++;
    json_add_str(j, "method", http_method_name(exchange_method(x)));
    json_add_str(j, "path", exchange_path(x));
    json_add_str(j, "id", exchange_param(x, "id"));
    json_add(j, "body", json_new_str(exchange_body(x)));
    json_add_str(j, "host", exchange_header(x, "host"));
    json_add_str(j, "key", exchange_header(x, "idempotency-key"));
    json_add_str(j, "token", exchange_token(x));
    for (size_t i = 0; exchange_query_at(x, i, &name, &value); i++)
        json_add_str(j, name, value);
    exchange_set_header(x, "x-test", "yes");
    exchange_answer_json(x, 200, j);
}

static void on_hold(struct exchange *x, void *arg)
{
    struct site *s = arg;

    s->held = x;
    s->got = true;
}

static void on_big(struct exchange *x, void *arg)
{
    struct buf b = BUF_INIT(64u << 20);

    (void)arg;
    for (int i = 0; i < 1000000; i++)
        buf_adds(&b, "0123456789\n");
    exchange_answer_buf(x, 200, "text/plain", &b);
}

static void on_none(struct exchange *x, void *arg)
{
    (void)arg;
    exchange_answer_none(x);
}

static bool guard(struct exchange *x, void *arg)
{
    (void)arg;
    if (strcmp(exchange_path(x), "/secret") != 0)
        return true;
    exchange_fail(x, STATUS_PERMISSION, "no");
    return false;
}

static const struct route routes[] = {
    {.method = HTTP_GET, .pattern = "/echo/{id}", .fn = on_echo},
    {.method = HTTP_POST, .pattern = "/echo/{id}", .fn = on_echo},
    {.method = HTTP_PATCH, .pattern = "/echo/{id}", .fn = on_echo},
    {.method = HTTP_DELETE, .pattern = "/echo/{id}", .fn = on_echo},
    {.method = HTTP_GET, .pattern = "/files/{id*}", .fn = on_echo},
    {.method = HTTP_GET, .pattern = "/hold", .fn = on_hold},
    {.method = HTTP_GET, .pattern = "/big", .fn = on_big},
    {.method = HTTP_DELETE, .pattern = "/none", .fn = on_none},
    {.pattern = NULL},
};

static struct server_opts opts_of(struct site *s)
{
    static const char *const headers[] = {"idempotency-key", NULL};

    return (struct server_opts){.routes = routes, .arg = s, .before = guard, .headers = headers};
}

/* --- cases --- */

static void test_answers(void **state)
{
    static const struct {
        const char *request;
        unsigned code;
        const char *has;
    } cases[] = {
        {"GET /echo/7?a=1&b=x%26y+z&c HTTP/1.1\r\nHost: h\r\n\r\n", 200, "\"id\":\"7\""},
        {"GET /echo/7?b=x%26y HTTP/1.1\r\nHost: h\r\n\r\n", 200, "\"b\":\"x&y\""},
        {"GET /echo/7 HTTP/1.1\r\nHost: h\r\nIdempotency-Key: k1\r\n\r\n", 200, "\"key\":\"k1\""},
        {"GET /echo/7 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer abc\r\n\r\n", 200,
         "\"token\":\"abc\""},
        {"GET /echo/7?token=q HTTP/1.1\r\nHost: h\r\n\r\n", 200, "\"token\":\"q\""},
        {"POST /echo/7 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 200,
         "\"body\":\"hello\""},
        {"POST /echo/7 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 200, "\"body\":\"\""},
        {"POST /echo/7 HTTP/1.1\r\nHost: h\r\n\r\n", 200, "\"method\":\"POST\""},
        {"PATCH /echo/7 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}", 200, "\"PATCH\""},
        {"DELETE /echo/7 HTTP/1.1\r\nHost: h\r\n\r\n", 200, "\"DELETE\""},
        {"GET /files/a/b/c HTTP/1.1\r\nHost: h\r\n\r\n", 200, "\"id\":\"a/b/c\""},
        {"HEAD /echo/7 HTTP/1.1\r\nHost: h\r\n\r\n", 200, ""},
        {"DELETE /none HTTP/1.1\r\nHost: h\r\n\r\n", 204, ""},
        {"GET /secret HTTP/1.1\r\nHost: h\r\n\r\n", 403, "\"code\":\"PERMISSION\""},
        {"GET /other HTTP/1.1\r\nHost: h\r\n\r\n", 404, "\"code\":\"NOT_FOUND\""},
        {"GET /echo/ HTTP/1.1\r\nHost: h\r\n\r\n", 404, "no such path"},
        {"PUT /echo/7 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab", 405,
         "found PUT, expected GET, POST, PATCH, DELETE"},
        {"POST /echo/7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
         "content-length"},
        {"POST /echo/7 HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400, "found \\\"x\\\""},
        {"POST /echo/7 HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400, "found \\\"-1\\\""},
        {"POST /echo/7 HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n", 413,
         "\"code\":\"TOO_LARGE\""},
        {"POST /other HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 404, "NOT_FOUND"},
        {"GET /big HTTP/1.1\r\nHost: h\r\n\r\n", 200, "0123456789\n"},
    };
    struct site s = {0};
    struct buf body = BUF_INIT(64u << 20);
    struct rig r;

    (void)state;
    rig_up(&r, opts_of(&s), false);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned code = rig_ask(&r, cases[i].request, &body);

        if (code != cases[i].code || str_find(buf_str(&body), str_from(cases[i].has)) < 0)
            fail_msg("%s-> %u %.300s", cases[i].request, code, buf_str(&body).ptr);
    }
    assert_int_equal(body.len, 11000000);
    buf_deinit(&body);
    rig_down(&r);
}

static void test_body_too_large_is_answered(void **state)
{
    struct site s = {0};
    struct server_opts o = opts_of(&s);
    struct buf body = BUF_INIT(4096), big = BUF_INIT(4u << 20);
    struct client c;
    struct rig r;

    (void)state;
    o.body_max = 1000;
    rig_up(&r, o, false);
    client_open(&r, &c);
    for (int i = 0; i < 2000000; i++)
        buf_addc(&big, 'x');
    client_sends(&r, &c, "POST /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n");
    client_send(&r, &c, big.ptr, big.len);
    assert_int_equal(client_answer(&r, &c, false, &body), 413);
    client_until_eof(&r, &c);
    assert_int_equal(s.calls, 0);
    client_close(&c);
    buf_deinit(&body);
    buf_deinit(&big);
    rig_down(&r);
}

/* What comes behind a request is not looked at: one request a connection. */
static void test_pipelined(void **state)
{
    static const char *const tails[] = {
        "GET /echo/2 HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /echo/2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /echo/3 HTTP/1.1\r\n\r\n",
        "POST /echo/2 HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\nabc",
        "\r\n\r\n\r\n",
        "garbage",
    };
    struct site s = {0};
    struct buf body = BUF_INIT(4096);
    struct client c;
    struct rig r;

    (void)state;
    rig_up(&r, opts_of(&s), true);
    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        client_open(&r, &c);
        client_sends(&r, &c, "POST /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
        client_sends(&r, &c, tails[i]);
        assert_int_equal(client_answer(&r, &c, false, &body), 200);
        client_until_eof(&r, &c);
        assert_int_equal(c.in.len, 0);
        client_close(&c);
    }
    assert_int_equal(s.calls, ARRAY_LEN(tails));
    buf_deinit(&body);
    rig_down(&r);
}

static void test_answer_later(void **state)
{
    struct site s = {0};
    struct buf body = BUF_INIT(4096);
    struct client c;
    struct rig r;

    (void)state;
    rig_up(&r, opts_of(&s), false);
    client_open(&r, &c);
    client_sends(&r, &c, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    rig_until(&r, &s.got);
    /* others are served meanwhile, and what this one sends on does not matter */
    client_sends(&r, &c, "GET /echo/9 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(rig_ask(&r, "GET /echo/1 HTTP/1.1\r\nHost: h\r\n\r\n", &body), 200);
    assert_int_equal(s.calls, 1);
    assert_false(exchange_is_gone(s.held));
    exchange_answer(s.held, 202, "text/plain", STR("at last"));
    assert_int_equal(client_answer(&r, &c, false, &body), 202);
    assert_string_equal(body.ptr, "at last");
    client_until_eof(&r, &c);
    client_close(&c);
    buf_deinit(&body);
    rig_down(&r);
}

static void on_gone(void *arg, struct exchange *x)
{
    (void)x;
    ((struct site *)arg)->gone = true;
}

static void test_client_goes(void **state)
{
    struct site s = {0};
    struct client c;
    struct rig r;

    (void)state;
    rig_up(&r, opts_of(&s), false);
    client_open(&r, &c);
    client_sends(&r, &c, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    rig_until(&r, &s.got);
    exchange_on_gone(s.held, on_gone, &s);
    client_close(&c);
    rig_until(&r, &s.gone);
    assert_true(exchange_is_gone(s.held));
    exchange_answer_none(s.held); /* goes nowhere, frees */
    rig_down(&r);
}

static void test_close_with_an_open_exchange(void **state)
{
    struct site s = {0};
    struct client c;
    struct rig r;

    (void)state;
    rig_up(&r, opts_of(&s), false);
    client_open(&r, &c);
    client_sends(&r, &c, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    rig_until(&r, &s.got);
    rig_down(&r);
    assert_true(exchange_is_gone(s.held));
    exchange_answer(s.held, 200, "text/plain", STR("too late"));
    client_close(&c);
}

/* A client that sends its head a byte now and then is cut off, and others do not notice. */
static void test_slow_clients(void **state)
{
    struct site s = {0};
    struct server_opts o = opts_of(&s);
    struct buf body = BUF_INIT(4096);
    struct client slow[8], late;
    struct rig r;

    (void)state;
    o.request_ms = 300;
    rig_up(&r, o, true);
    for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
        client_open(&r, &slow[i]);
        client_sends(&r, &slow[i], "GET /echo/1 HTTP/1.1\r\nX: ");
    }
    client_open(&r, &late);
    client_sends(&r, &late, "POST /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    assert_int_equal(rig_ask(&r, "GET /echo/1 HTTP/1.1\r\nHost: h\r\n\r\n", &body), 200);
    for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
        client_until_eof(&r, &slow[i]);
        client_close(&slow[i]);
    }
    assert_int_equal(client_answer(&r, &late, false, &body), 504);
    assert_true(str_find(buf_str(&body), STR("6 bytes of the body did not come")) > 0);
    client_until_eof(&r, &late);
    client_close(&late);
    buf_deinit(&body);
    rig_down(&r);
}

static void test_connections_are_bounded(void **state)
{
    struct site s = {0};
    struct server_opts o = opts_of(&s);
    struct buf body = BUF_INIT(4096);
    struct client idle[4], more;
    struct rig r;

    (void)state;
    o.connections_max = 4;
    rig_up(&r, o, false);
    for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
        client_open(&r, &idle[i]);
        rig_turn(&r, 10);
    }
    for (int i = 0; i < 100 && server_connections(r.server) < 4; i++)
        rig_turn(&r, 10);
    assert_int_equal(server_connections(r.server), 4);
    client_open(&r, &more); /* takes the place of the oldest that asks for nothing */
    client_sends(&r, &more, "GET /echo/1 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_answer(&r, &more, false, &body), 200);
    client_until_eof(&r, &idle[0]);
    for (size_t i = 0; i < ARRAY_LEN(idle); i++)
        client_close(&idle[i]);
    client_close(&more);
    buf_deinit(&body);
    rig_down(&r);
}

static void test_garbage(void **state)
{
    static const char *const cases[] = {
        "\r\n\r\n",
        "HELLO\r\n\r\n",
        "GET\r\n\r\n",
        "FOO /echo/1 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /../../etc/passwd HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /echo/1 HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    };
    struct site s = {0};
    struct server_opts o = opts_of(&s);
    struct buf body = BUF_INIT(4096), huge = BUF_INIT(1u << 20);
    struct client c;
    struct rig r;

    (void)state;
    o.request_ms = 400;
    rig_up(&r, o, true);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        client_open(&r, &c);
        client_sends(&r, &c, cases[i]);
        shutdown(c.fd, SHUT_WR);
        client_until_eof(&r, &c);
        assert_true(str_find(buf_str(&c.in), STR("\"method\"")) < 0);
        client_close(&c);
    }
    client_open(&r, &c);
    buf_adds(&huge, "GET /echo/1 HTTP/1.1\r\nX: ");
    for (int i = 0; i < 60000; i++)
        buf_addc(&huge, 'x');
    client_send(&r, &c, huge.ptr, huge.len);
    client_until_eof(&r, &c);
    client_close(&c);
    assert_int_equal(s.calls, 0);
    assert_int_equal(rig_ask(&r, "GET /echo/1 HTTP/1.1\r\nHost: h\r\n\r\n", &body), 200);
    buf_deinit(&body);
    buf_deinit(&huge);
    rig_down(&r);
}

static void test_two_hundred_at_once(void **state)
{
    enum { N = 200 };
    static struct client c[N];
    const char *request = "POST /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na";
    struct site s = {0};
    struct rig r;

    (void)state;
    rig_up(&r, opts_of(&s), false);
    for (int i = 0; i < N; i++) {
        client_open(&r, &c[i]);
        client_sends(&r, &c[i], request);
    }
    while (server_connections(r.server) < N)
        rig_turn(&r, 10);
    for (int i = 0; i < N; i++)
        client_sends(&r, &c[i], "b");
    for (int i = 0; i < N; i++)
        assert_int_equal(client_answer(&r, &c[i], false, NULL), 200);
    for (int i = 0; i < N; i++)
        client_close(&c[i]);
    rig_down(&r);
}

static void test_socket_file(void **state)
{
    struct site s = {0};
    struct server_opts o = opts_of(&s);
    struct server *second;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct err e = ERR_INIT;
    struct stat sb;
    struct rig r;
    char want[64];
    int fd;

    (void)state;
    rig_up(&r, o, false);
    assert_int_equal(stat(r.path, &sb), 0);
    assert_int_equal(sb.st_mode & 07777, 0600);
    o.loop = r.loop;
    o.unix_path = r.path;
    assert_int_equal(server_open(&o, &second, &e), STATUS_BUSY);
    snprintf(want, sizeof(want), "in use by process %d", (int)getpid());
    assert_non_null(strstr(err_text(&e), want));
    server_stop(r.server);
    assert_int_not_equal(stat(r.path, &sb), 0);
    /* what a dead process leaves */
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", r.path);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    close(fd);
    assert_int_equal(server_open(&o, &second, &e), STATUS_OK);
    r.closed = false;
    server_close(second, NULL, NULL);
    for (int i = 0; i < 50; i++)
        rig_turn(&r, 1);
    assert_int_not_equal(stat(r.path, &sb), 0);
    test_write_file(r.path, "x", 1);
    assert_int_equal(server_open(&o, &second, &e), STATUS_EXISTS);
    assert_int_equal(stat(r.path, &sb), 0);
    rig_down(&r);
}

static void test_long_socket_path(void **state)
{
    struct site s = {0};
    struct server_opts o = opts_of(&s);
    struct server *server;
    struct err e = ERR_INIT;
    struct rig r;
    char dir[256], path[300];
    int fd;

    (void)state;
    rig_up(&r, o, false);
    snprintf(dir, sizeof(dir), "%s/%0120d", r.dir, 1);
    assert_int_equal(mkdir(dir, 0700), 0);
    snprintf(path, sizeof(path), "%s/control.sock", dir);
    o.loop = r.loop;
    o.unix_path = path;
    assert_int_equal(server_open(&o, &server, &e), STATUS_OK);
    assert_int_equal(unix_connect(path, &fd, NULL, &e), STATUS_OK);
    close(fd);
    server_close(server, NULL, NULL);
    for (int i = 0; i < 50; i++)
        rig_turn(&r, 1);
    rig_down(&r);
}

static void test_port_in_use(void **state)
{
    struct site s = {0};
    struct server_opts o = opts_of(&s);
    struct server *second;
    struct err e = ERR_INIT;
    struct rig r;

    (void)state;
    rig_up(&r, o, true);
    o.loop = r.loop;
    o.port = server_port(r.server);
    assert_int_not_equal(o.port, 0);
    assert_int_equal(server_open(&o, &second, &e), STATUS_BUSY);
    o.host = "example.org";
    assert_int_equal(server_open(&o, &second, &e), STATUS_INVALID);
    rig_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),      cmocka_unit_test(test_body_too_large_is_answered),
        cmocka_unit_test(test_pipelined),    cmocka_unit_test(test_answer_later),
        cmocka_unit_test(test_client_goes),  cmocka_unit_test(test_close_with_an_open_exchange),
        cmocka_unit_test(test_slow_clients), cmocka_unit_test(test_connections_are_bounded),
        cmocka_unit_test(test_garbage),      cmocka_unit_test(test_two_hundred_at_once),
        cmocka_unit_test(test_socket_file),  cmocka_unit_test(test_long_socket_path),
        cmocka_unit_test(test_port_in_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
