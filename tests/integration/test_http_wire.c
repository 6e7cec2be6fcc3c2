/* HTTP ops against targets whose every byte is the test's. What must hold, directly and through the
 * forwarder: a response that is cut short is no response; a kept connection that turns out dead
 * costs nothing that may be repeated, and nothing is repeated that may not; bodies are decoded, and
 * it is the decoded bytes that are capped; what the target says late or wrong is not believed; TLS
 * verifies, and neither connections nor sessions are shared by members; a request can be ended at
 * any moment, and its end is told once. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/op/gate.h"
#include "tests/integration/http_origin.h"
#include "tests/integration/http_rig.h"
#include "tests/support/testing.h"

struct world {
    struct http_rig rig;
    struct origin origin;
    struct clock_fake clock;
    bool by_proxy;
};

enum { OP_MS = 5000 };

/* --- what the target sends --- */

#define OK(fields) "HTTP/1.1 200 OK\r\n" fields "\r\n"
#define RAW(text)  text, sizeof(text) - 1

static const struct {
    const char *path, *bytes;
    size_t n;
} pages[] = {
    {"/hello", RAW(OK("Content-Type: text/plain\r\nContent-Length: 5\r\n") "hello")},
    {"/cut/none", RAW("")},
    {"/cut/status", RAW("HTTP/1.1 20")},
    {"/cut/field", RAW("HTTP/1.1 200 OK\r\nContent-")},
    {"/cut/head", RAW("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n")},
    {"/cut/interim", RAW("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")},
    {"/cut/body", RAW(OK("Content-Length: 100\r\n") "hello")},
    {"/cut/chunk", RAW(OK("Transfer-Encoding: chunked\r\n") "5\r\nhel")},
    {"/cut/chunks", RAW(OK("Transfer-Encoding: chunked\r\n") "5\r\nhello\r\n")},
    {"/odd/two-lengths", RAW(OK("Content-Length: 5\r\nContent-Length: 6\r\n") "hello!")},
    {"/odd/both", RAW(OK("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") "0\r\n\r\n")},
    {"/odd/no-http", RAW("hello\r\n\r\nhello")},
    {"/odd/bare-cr", RAW("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n")},
    {"/until-close", RAW(OK("") "hello")},
    {"/interim", RAW("HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\nContent-Type: a/b\r\n\r\n" OK(
                     "Content-Type: text/plain\r\nContent-Length: 5\r\n") "hello")},
    {"/trailer",
     RAW(OK(
         "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n") "5\r\nhello\r\n0\r\nContent-"
                                                                       "Type: of/trailer\r\n\r\n")},
    {"/gzip",
     RAW(OK("Content-Encoding: gzip\r\nContent-Length: 29\r\n") "\x1f\x8b\x08\x00\x00\x00\x00\x00"
                                                                "\x02\x03\xcb\x48\xcd\xc9\xc9\xd7"
                                                                "\x51\xc8\x40\xa2"
                                                                "\x00\x9f\xa1\xca\x09\x13\x00\x00"
                                                                "\x00")},
    {"/x-gzip",
     RAW(OK("Content-Encoding: x-gzip\r\nContent-Length: 29\r\n") "\x1f\x8b\x08\x00\x00\x00\x00\x00"
                                                                  "\x02\x03\xcb\x48\xcd\xc9\xc9\xd7"
                                                                  "\x51\xc8\x40"
                                                                  "\xa2\x00\x9f\xa1\xca\x09\x13\x00"
                                                                  "\x00\x00")},
    {"/deflate",
     RAW(OK("Content-Encoding: deflate\r\nContent-Length: 17\r\n") "\x78\xda\xcb\x48\xcd\xc9\xc9"
                                                                   "\xd7\x51\xc8\x40\xa2\x00\x44"
                                                                   "\x28\x06\xd5")},
    {"/deflate/raw",
     RAW(OK("Content-Encoding: deflate\r\nContent-Length: 11\r\n") "\xcb\x48\xcd\xc9\xc9\xd7\x51"
                                                                   "\xc8\x40\xa2\x00")},
    {"/br", RAW(OK("Content-Encoding: br\r\nContent-Length: 22\r\n") "\x1b\x12\x00\xf8\x8d\x94\x6e"
                                                                     "\xde\x44\x09\x52\x86\x96\x6c"
                                                                     "\x2c\x6f\x11\x4f\x24\xd0"
                                                                     "\x71\x00")},
    {"/zstd",
     RAW(OK("Content-Encoding: zstd\r\nContent-Length: 22\r\n") "\x28\xb5\x2f\xfd\x00\x58\x6d\x00"
                                                                "\x00\x38\x68\x65\x6c\x6c\x6f\x2c"
                                                                "\x20\x01\x00\xe2"
                                                                "\x8a\x11")},
    {"/gzip/not", RAW(OK("Content-Encoding: gzip\r\nContent-Length: 5\r\n") "hello")},
    {"/gzip/often", RAW(OK("Content-Encoding: gzip, gzip, gzip, gzip, gzip, gzip\r\n"
                           "Content-Length: 5\r\n") "hello")},
    /* 100,000 zeros */
    {"/bomb/br",
     RAW(OK("Content-Encoding: br\r\nContent-Length: 14\r\n") "\x5b\x9f\x86\x81\x7f\x02\x20\x1e\x0b"
                                                              "\x04\xb2\xfc\x02\x00")},
    {"/not-modified", RAW("HTTP/1.1 304 Not Modified\r\nETag: \"a1\"\r\n\r\n")},
    {"/loop", RAW("HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n")},
    {"/to/303", RAW("HTTP/1.1 303 See\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n")},
    {"/to/302", RAW("HTTP/1.1 302 Found\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n")},
    {"/to/307", RAW("HTTP/1.1 307 Again\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n")},
    {"/to/ftp",
     RAW("HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/x\r\nContent-Length: 0\r\n\r\n")},
    {"/to/nothing", RAW("HTTP/1.1 302 Found\r\nLocation:\r\nContent-Length: 0\r\n\r\n")},
};

/* 8 MiB of nothing in blocks of one repeated byte (RFC 8878 §3.1.1.2.2): 261 bytes. */
static bool send_zstd_bomb(struct origin_conn *c)
{
    enum { BLOCKS = 64, BLOCK = 128 * 1024 };
    unsigned char b[6 + 4 * BLOCKS] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58};
    char head[128];

    for (unsigned i = 0; i < BLOCKS; i++) {
        unsigned v = (unsigned)BLOCK << 3 | 1 << 1 | (i + 1 == BLOCKS);

        b[6 + 4 * i] = (unsigned char)v;
        b[7 + 4 * i] = (unsigned char)(v >> 8);
        b[8 + 4 * i] = (unsigned char)(v >> 16);
    }
    (void)snprintf(head, sizeof head, OK("Content-Encoding: zstd\r\nContent-Length: %zu\r\n"),
                   sizeof b);
    return origin_puts(c, head) && origin_send(c, b, sizeof b);
}

static bool send_without_end(struct origin_conn *c)
{
    if (!origin_puts(c, OK("Content-Length: 1000000\r\n")))
        return false;
    while (origin_puts(c, "x"))
        test_sleep_ms(20);
    return false;
}

static bool serve(struct origin_conn *c, const char *path, const char *head, const char *body)
{
    char location[128];

    (void)body;
    if (strcmp(path, "/once") == 0 && c->served > 0)
        return false; /* as if it had been closed a moment before */
    if (strcmp(path, "/once") == 0)
        path = "/hello";
    if (strcmp(path, "/bomb/zstd") == 0)
        return send_zstd_bomb(c);
    if (strcmp(path, "/endless") == 0)
        return send_without_end(c);
    if (strcmp(path, "/silent") == 0)
        return true;
    if (strcmp(path, "/to/other") == 0) {
        (void)snprintf(location, sizeof location,
                       "HTTP/1.1 307 Again\r\nLocation: http://localhost:%u/to/back\r\n"
                       "Content-Length: 0\r\n\r\n",
                       c->origin->server.port);
        return origin_puts(c, location);
    }
    if (strcmp(path, "/to/back") == 0) {
        (void)snprintf(location, sizeof location,
                       "HTTP/1.1 307 Again\r\nLocation: http://127.0.0.1:%u/hello\r\n"
                       "Content-Length: 0\r\n\r\n",
                       c->origin->server.port);
        return origin_puts(c, location);
    }
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        if (strcmp(path, pages[i].path) != 0)
            continue;
        if (strncmp(head, "HEAD ", 5) == 0)
            return origin_puts(c, OK("Content-Type: text/plain\r\nContent-Length: 5\r\n"));
        return origin_send(c, pages[i].bytes, pages[i].n) && strncmp(path, "/cut/", 5) != 0 &&
               strcmp(path, "/until-close") != 0;
    }
    return origin_puts(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

/* --- worlds --- */

static int open_world(void **state, enum origin_kind kind, bool by_proxy, bool known)
{
    static struct world world;
    struct world *w = &world;
    struct http_rig_opts o = {.by_proxy = by_proxy};

    memset(w, 0, sizeof *w);
    w->by_proxy = by_proxy;
    origin_start(&w->origin, kind, serve);
    o.ca_file = known ? w->origin.ca_file : NULL;
    http_rig_open(&w->rig, &o);
    w->rig.port = w->origin.server.port;
    w->rig.scheme = kind == ORIGIN_PLAIN ? "http" : "https";
    *state = w;
    return 0;
}

static int plain(void **state)
{
    return open_world(state, ORIGIN_PLAIN, false, false);
}

static int plain_by_proxy(void **state)
{
    return open_world(state, ORIGIN_PLAIN, true, false);
}

static int tls(void **state)
{
    return open_world(state, ORIGIN_TLS, false, true);
}

static int tls_by_proxy(void **state)
{
    return open_world(state, ORIGIN_TLS, true, true);
}

static int stranger(void **state)
{
    return open_world(state, ORIGIN_TLS, false, false);
}

static int stranger_by_proxy(void **state)
{
    return open_world(state, ORIGIN_TLS, true, false);
}

static int h2(void **state)
{
    return open_world(state, ORIGIN_H2, false, true);
}

static int h2_by_proxy(void **state)
{
    return open_world(state, ORIGIN_H2, true, true);
}

/* Two connections kept, and time that stands still. */
static int few_kept(void **state)
{
    static struct world world;
    struct world *w = &world;
    struct http_rig_opts o = {.clock = &w->clock.clock, .connections = 2};

    memset(w, 0, sizeof *w);
    clock_fake_init(&w->clock, 1700000000000);
    clock_fake_advance_ms(&w->clock, 1000);
    origin_start(&w->origin, ORIGIN_PLAIN, serve);
    http_rig_open(&w->rig, &o);
    w->rig.port = w->origin.server.port;
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    http_rig_close(&w->rig);
    origin_stop(&w->origin);
    return 0;
}

/* --- helpers --- */

static struct op_call *run(struct world *w, const char *op, struct json *params)
{
    return http_rig_run(&w->rig, op, params, OP_MS);
}

static struct op_call *get(struct world *w, const char *path)
{
    return run(w, "http.get", http_rig_get(path));
}

static const char *text_of(const struct op_call *c, const char *name)
{
    return json_str(json_get(c->result, name), "");
}

static void expect(const struct op_call *c, const char *what, enum status s)
{
    if (c->status != s)
        fail_msg("%s: %s (%s), expected %s", what, status_name(c->status), err_text(&c->err),
                 status_name(s));
}

static void expect_body(struct world *w, const char *path, const char *body)
{
    struct op_call *c = get(w, path);

    expect(c, path, STATUS_OK);
    assert_string_equal(text_of(c, "body"), body);
    http_rig_finish(c);
}

static void expect_status(struct world *w, const char *path, enum status s)
{
    struct op_call *c = get(w, path);

    expect(c, path, s);
    http_rig_finish(c);
}

static void expect_header(struct world *w, const char *name, const char *value)
{
    char out[512];

    assert_string_equal(origin_header(&w->origin, name, out, sizeof out), value);
}

static struct json *with_header(struct json *params, const char *name, const char *value)
{
    json_add(params, "headers", json_add_str(json_new_object(), name, value));
    return params;
}

/* Somebody else on the same engine. */
static void become_another(struct http_rig *r, const struct member *first, struct forward **own)
{
    struct forward_opts o = FORWARD_OPTS_INIT;
    struct err e = ERR_INIT;

    o.allow_direct = true;
    assert_int_equal(forward_open(r->loop, &o, own, &e), STATUS_OK);
    r->member.jar = NULL;
    r->member.http_door = 0;
    r->member.forward = first->forward ? *own : NULL;
    r->member.forward_port = first->forward ? 0 : forward_port(*own);
}

/* --- responses that are none --- */

static void test_cut_short(void **state)
{
    static const struct {
        const char *path;
        enum status status;
        const char *sentence;
        enum status by_proxy; /* when it is another one: its client has seen a head */
    } cases[] = {
        {"/cut/none", STATUS_UNAVAILABLE, "UNAVAILABLE: the connection ended without a response",
         0},
        {"/cut/status", STATUS_UNAVAILABLE, NULL, 0}, /* curl shows whole lines alone */
        {"/cut/field", STATUS_UNAVAILABLE,
         "UNAVAILABLE: the connection ended within the head of the response", 0},
        {"/cut/head", STATUS_UNAVAILABLE,
         "UNAVAILABLE: the connection ended within the head of the response", 0},
        {"/cut/interim", STATUS_UNAVAILABLE, NULL, STATUS_NAVIGATION_FAILED},
        {"/cut/body", STATUS_NAVIGATION_FAILED, NULL, 0},
        {"/cut/chunk", STATUS_NAVIGATION_FAILED, NULL, 0},
        {"/cut/chunks", STATUS_NAVIGATION_FAILED, NULL, 0},
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct op_call *c = get(w, cases[i].path);

        expect(c, cases[i].path,
               w->by_proxy && cases[i].by_proxy ? cases[i].by_proxy : cases[i].status);
        if (cases[i].sentence)
            assert_string_equal(c->err.text, cases[i].sentence);
        http_rig_finish(c);
    }
    assert_int_equal(w->origin.requests, ARRAY_LEN(cases)); /* none was asked for twice */
    expect_body(w, "/until-close", "hello");
}

static void test_ambiguous(void **state)
{
    static const char *const paths[] = {"/odd/two-lengths", "/odd/no-http", "/odd/bare-cr"};
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        expect_status(w, paths[i], STATUS_PROTOCOL);
    expect_body(w, "/odd/both", ""); /* the chunks count (RFC 9112 §6.3) */
}

/* What is said before and after a response does not pass for what is said in it. */
static void test_around_a_response(void **state)
{
    static const char *const paths[] = {"/interim", "/trailer"};
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct op_call *c = get(w, paths[i]);

        expect(c, paths[i], STATUS_OK);
        assert_string_equal(text_of(c, "body"), "hello");
        assert_string_equal(text_of(c, "content_type"), "text/plain");
        assert_null(strstr(text_of(c, "headers"), "103"));
        assert_int_equal(c->seen.retry_after_ms, -1);
        http_rig_finish(c);
    }
}

/* --- kept connections --- */

/* The target closes a kept connection at the moment it is used again. A GET is asked for again by a
 * new one; a POST had one of its own from the start. */
static void test_dead_kept_connection(void **state)
{
    struct world *w = *state;
    struct op_call *c;

    expect_body(w, "/hello", "hello");
    expect_body(w, "/once", "hello");
    assert_int_equal(w->origin.requests, 3);
    assert_int_equal(w->origin.connections, 2);

    c = run(w, "http.post", json_add_str(http_rig_get("/once"), "body", "x"));
    expect(c, "POST", STATUS_OK);
    http_rig_finish(c);
    assert_int_equal(w->origin.requests, 4);
    assert_int_equal(w->origin.connections, 3);
}

/* A POST that the target took and did not answer is not sent again. */
static void test_post_is_not_repeated(void **state)
{
    struct world *w = *state;
    struct op_call *c;

    expect_body(w, "/hello", "hello");
    c = run(w, "http.post", json_add_str(http_rig_get("/cut/none"), "body", "x"));
    expect(c, "POST", STATUS_UNAVAILABLE);
    http_rig_finish(c);
    assert_int_equal(w->origin.requests, 2);
    c = run(w, "http.put", json_add_str(http_rig_get("/cut/none"), "body", "x"));
    expect(c, "PUT", STATUS_UNAVAILABLE); /* may be, on a connection that was kept, and once */
    http_rig_finish(c);
    assert_in_range(w->origin.requests, 3, 4);
}

static bool nothing_is_open(void *arg)
{
    return atomic_load(&((struct world *)arg)->origin.server.open) == 0;
}

/* Those too many are closed after use; those that nobody used for a minute make room. */
static void test_few_kept(void **state)
{
    struct world *w = *state;
    struct op_call *c[3];

    for (size_t i = 0; i < 3; i++)
        c[i] = http_rig_start(&w->rig, "http.get", http_rig_get("/hello"), OP_MS);
    for (size_t i = 0; i < 3; i++) {
        http_rig_wait(&w->rig, c[i]);
        expect(c[i], "/hello", STATUS_OK);
        http_rig_finish(c[i]);
    }
    assert_int_equal(w->origin.connections, 3);
    for (size_t i = 0; i < 4; i++)
        expect_body(w, "/hello", "hello");
    assert_int_equal(w->origin.connections, 3);
    assert_int_equal(w->origin.server.open, 2);

    c[0] = run(w, "http.post", http_rig_get("/hello")); /* a third: they are not idle for long */
    http_rig_finish(c[0]);
    expect_body(w, "/hello", "hello");
    assert_int_equal(w->origin.connections, 4);

    clock_fake_advance_ms(&w->clock, 61000);
    c[0] = run(w, "http.post", http_rig_get("/hello"));
    expect(c[0], "POST", STATUS_OK);
    http_rig_finish(c[0]);
    assert_true(test_wait_until(nothing_is_open, w, 5000));
    expect_body(w, "/hello", "hello");
    expect_body(w, "/hello", "hello");
    assert_int_equal(w->origin.connections, 6);
}

/* --- bodies --- */

static void test_codings(void **state)
{
    static const char *const paths[] = {"/gzip",        "/x-gzip", "/deflate",
                                        "/deflate/raw", "/br",     "/zstd"};
    struct world *w = *state;
    char out[128];

    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        expect_body(w, paths[i], "hello, hello, hello");
    expect_status(w, "/gzip/not", STATUS_PROTOCOL);
    expect_status(w, "/gzip/often", STATUS_PROTOCOL);
    expect_body(w, "/hello", "hello");
    assert_string_equal(origin_header(&w->origin, "accept-encoding", out, sizeof out),
                        w->origin.tls ? "gzip, deflate, br, zstd" : "gzip, deflate");
}

/* The cap is for what a body becomes. */
static void test_bombs(void **state)
{
    static const char *const paths[] = {"/bomb/br", "/bomb/zstd"};
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct op_call *c =
            run(w, "http.get", json_add_num(http_rig_get(paths[i]), "max_bytes", 99999));

        expect(c, paths[i], STATUS_TOO_LARGE);
        assert_null(c->result);
        http_rig_finish(c);
    }
}

static void test_time_cap(void **state)
{
    struct world *w = *state;
    struct op_call *c = http_rig_run(&w->rig, "http.get", http_rig_get("/endless"), 200);

    expect(c, "/endless", STATUS_TIMEOUT);
    http_rig_finish(c);
}

/* --- requests --- */

static void test_conditional(void **state)
{
    struct world *w = *state;
    struct op_call *c =
        run(w, "http.get", with_header(http_rig_get("/not-modified"), "If-None-Match", "\"a1\""));

    expect(c, "304", STATUS_OK);
    assert_int_equal(json_int(json_get(c->result, "status"), 0), 304);
    assert_string_equal(text_of(c, "body"), "");
    assert_non_null(strstr(text_of(c, "headers"), "ETag: \"a1\""));
    expect_header(w, "if-none-match", "\"a1\"");
    http_rig_finish(c);
}

static void test_methods(void **state)
{
    static const struct {
        const char *op, *line, *body, *length, *type;
    } cases[] = {
        {"http.head", "HEAD /hello ", NULL, "", ""},
        {"http.delete", "DELETE /hello ", NULL, "", ""},
        {"http.put", "PUT /hello ", NULL, "0", ""},
        {"http.put", "PUT /hello ", "abc", "3", "text/csv"},
        {"http.post", "POST /hello ", NULL, "0", ""},
        {"http.post", "POST /hello ", "abc", "3", "text/csv"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json *p = http_rig_get("/hello");
        struct op_call *c;

        if (cases[i].body)
            json_add_str(with_header(p, "Content-Type", cases[i].type), "body", cases[i].body);
        c = run(w, cases[i].op, p);
        expect(c, cases[i].op, STATUS_OK);
        assert_string_equal(text_of(c, "body"), i == 0 ? "" : "hello");
        assert_int_equal(strncmp(w->origin.head, cases[i].line, strlen(cases[i].line)), 0);
        assert_string_equal(w->origin.body, cases[i].body ? cases[i].body : "");
        expect_header(w, "content-length", cases[i].length);
        expect_header(w, "content-type", cases[i].type);
        expect_header(w, "expect", "");
        http_rig_finish(c);
    }
}

static void test_json_with_a_type(void **state)
{
    struct world *w = *state;
    struct json *p = http_rig_get("/hello");

    json_add(p, "json", json_add_num(json_new_object(), "n", 7));
    http_rig_finish(run(w, "http.post", p));
    expect_header(w, "content-type", "application/json");
    p = with_header(http_rig_get("/hello"), "content-type", "application/ld+json");
    json_add(p, "json", json_add_num(json_new_object(), "n", 7));
    http_rig_finish(run(w, "http.post", p));
    expect_header(w, "content-type", "application/ld+json");
    assert_string_equal(w->origin.body, "{\"n\":7}");
}

/* What would lead a request elsewhere, or end it elsewhere, than where policy and connection have
 * it. */
static void test_refused_parameters(void **state)
{
    static const char *const names[] = {"Host",
                                        "content-length",
                                        "Transfer-Encoding",
                                        "Upgrade",
                                        "Trailer",
                                        "Proxy-Authorization",
                                        "a b",
                                        "",
                                        "x:y",
                                        "\xc3\xa4"};
    struct world *w = *state;
    struct json *p;
    struct op_call *c;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        c = run(w, "http.get", with_header(http_rig_get("/hello"), names[i], "1"));
        expect(c, names[i], STATUS_INVALID);
        http_rig_finish(c);
    }
    c = run(w, "http.get", with_header(http_rig_get("/hello"), "X", "a\r\nY: b"));
    expect(c, "a line end", STATUS_INVALID);
    http_rig_finish(c);
    p = http_rig_get("/hello");
    json_add(json_add_str(p, "body", "x"), "json", json_new_object());
    c = run(w, "http.post", p);
    expect(c, "two bodies", STATUS_INVALID);
    http_rig_finish(c);
    {
        char *large = arena_alloc(w->rig.arena, 70001);

        memset(large, 'a', 70000);
        c = run(w, "http.get", with_header(http_rig_get("/hello"), "X", large));
        expect(c, "a large header", STATUS_INVALID);
        http_rig_finish(c);
    }
    assert_int_equal(w->origin.requests, 0);
}

/* --- redirects --- */

static struct op_call *follow(struct world *w, const char *op, struct json *params)
{
    return run(w, op, json_add_num(params, "follow", 5));
}

static void test_methods_of_redirects(void **state)
{
    static const struct {
        const char *op, *path, *line, *body;
    } cases[] = {
        {"http.post", "/to/303", "GET ", ""},     {"http.post", "/to/302", "GET ", ""},
        {"http.post", "/to/307", "POST ", "abc"}, {"http.put", "/to/302", "PUT ", "abc"},
        {"http.put", "/to/303", "GET ", ""},
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json *p = with_header(http_rig_get(cases[i].path), "Content-Type", "text/csv");
        struct op_call *c;

        c = follow(w, cases[i].op, json_add_str(p, "body", "abc"));
        expect(c, cases[i].path, STATUS_OK);
        assert_string_equal(text_of(c, "body"), "hello");
        assert_int_equal(strncmp(w->origin.head, cases[i].line, strlen(cases[i].line)), 0);
        assert_string_equal(w->origin.body, cases[i].body);
        expect_header(w, "content-type", cases[i].body[0] ? "text/csv" : "");
        http_rig_finish(c);
    }
}

/* What was meant for one origin is not told another, nor to the first when that one leads back. */
static void test_credentials_stay(void **state)
{
    static const char *const names[] = {"Authorization", "Cookie"};
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct op_call *c =
            follow(w, "http.get", with_header(http_rig_get("/to/302"), names[i], "secret=1"));

        expect(c, "the same origin", STATUS_OK);
        expect_header(w, names[i], "secret=1");
        http_rig_finish(c);
        c = follow(w, "http.get", with_header(http_rig_get("/to/other"), names[i], "secret=1"));
        expect(c, "another origin", STATUS_OK);
        expect_header(w, names[i], "");
        http_rig_finish(c);
    }
}

static uint64_t tokens_taken(struct world *w, const char *host)
{
    struct limit_state s = {0};

    (void)limiter_get(w->rig.limiter, str_from(host), loop_now_ms(w->rig.loop), &s);
    return s.taken;
}

static void test_ends_of_redirects(void **state)
{
    struct world *w = *state;
    struct op_call *c = follow(w, "http.get", http_rig_get("/loop"));

    expect(c, "/loop", STATUS_OK);
    assert_int_equal(json_int(json_get(c->result, "status"), 0), 302);
    assert_int_equal(w->origin.requests, 6);
    assert_int_equal(tokens_taken(w, "127.0.0.1"), 6); /* one a hop */
    http_rig_finish(c);
    c = follow(w, "http.get", http_rig_get("/to/ftp"));
    expect(c, "/to/ftp", STATUS_PROTOCOL);
    assert_non_null(strstr(c->err.text, "redirect of http"));
    assert_non_null(strstr(c->err.text, "ftp"));
    http_rig_finish(c);
    c = follow(w, "http.get", http_rig_get("/to/nothing"));
    expect(c, "/to/nothing", STATUS_OK);
    http_rig_finish(c);
    c = follow(w, "http.get", http_rig_get("/to/other"));
    expect(c, "/to/other", STATUS_OK);
    assert_int_equal(tokens_taken(w, "localhost"), 1);
    http_rig_finish(c);
}

/* --- TLS --- */

static void test_tls_is_verified(void **state)
{
    struct world *w = *state;
    struct op_call *c;

    expect_body(w, "/hello", "hello");
    c = get(w, arena_printf(w->rig.arena, "https://localhost:%u/hello", w->rig.port));
    expect(c, "another name", STATUS_NAVIGATION_FAILED);
    assert_non_null(strstr(c->err.text, "certificate"));
    http_rig_finish(c);
    assert_int_equal(w->origin.requests, 1);
}

/* Nobody looks into what is encrypted but curl, to whom a head without an end is one. */
static void test_tls_cut_short(void **state)
{
    static const char *const heads[] = {"/cut/none", "/cut/status", "/cut/field", "/cut/head",
                                        "/cut/interim"};
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        expect_status(w, heads[i], STATUS_UNAVAILABLE);
    expect_status(w, "/cut/body", STATUS_NAVIGATION_FAILED);
    expect_body(w, "/until-close", "hello");
}

/* The system's authorities know nothing of the target's certificate. */
static void test_tls_of_strangers(void **state)
{
    struct world *w = *state;
    struct op_call *c = get(w, "/hello");

    expect(c, "a stranger", STATUS_NAVIGATION_FAILED);
    assert_non_null(strstr(c->err.text, "certificate"));
    assert_int_equal(w->origin.requests, 0);
    http_rig_finish(c);
}

/* Connections are kept, but a member's alone; and no session is taken up again, because that tells
 * the target who has been there before. */
static void test_tls_of_members(void **state)
{
    struct world *w = *state;
    struct member first;
    struct forward *own = NULL;

    expect_body(w, "/hello", "hello");
    expect_body(w, "/hello", "hello");
    assert_int_equal(w->origin.connections, 1);
    first = w->rig.member;
    become_another(&w->rig, &first, &own);
    expect_body(w, "/hello", "hello");
    assert_int_equal(w->origin.connections, 2);
    http_jar_free(&w->rig.member);
    w->rig.member = first;
    http_jar_free(&w->rig.member); /* another identity of the same member */
    if (!w->by_proxy) {
        expect_body(w, "/hello", "hello");
        assert_int_equal(w->origin.connections, 3);
    }
    assert_int_equal(w->origin.sessions_resumed, 0);
    forward_close(&own);
}

/* --- HTTP/2 --- */

static void test_h2(void **state)
{
    struct world *w = *state;
    struct op_call *c;

    for (int i = 0; i < 2; i++) {
        c = get(w, "/x");
        expect(c, "HTTP/2", STATUS_OK);
        assert_int_equal(strncmp(text_of(c, "headers"), "HTTP/2 200", 10), 0);
        assert_string_equal(text_of(c, "body"), "by streams");
        assert_string_equal(text_of(c, "content_type"), "text/plain");
        http_rig_finish(c);
    }
    c = run(w, "http.post", json_add_str(http_rig_get("/x"), "body", "abc"));
    expect(c, "POST", STATUS_OK);
    http_rig_finish(c);
    assert_int_equal(w->origin.requests, 3);
    assert_int_equal(w->origin.connections, 2); /* a POST has its own */
}

static void test_h2_ends(void **state)
{
    struct world *w = *state;
    unsigned before;

    w->origin.h2 = H2_RESET;
    expect_status(w, "/x", STATUS_PROTOCOL);
    w->origin.h2 = H2_GOAWAY;
    expect_body(w, "/x", "by streams");
    before = w->origin.connections;
    w->origin.h2 = H2_ANSWER;
    expect_body(w, "/x", "by streams");
    assert_int_equal(w->origin.connections, before + 1);
}

static bool is_asked(struct world *w, unsigned n)
{
    uint64_t end = test_now_ms() + 5000;

    while (w->origin.requests < n && test_now_ms() < end)
        loop_run_once(w->rig.loop, 10);
    return w->origin.requests >= n;
}

/* A stream that is cancelled takes nothing with it that goes on by the same connection. */
static void test_h2_cancel(void **state)
{
    struct world *w = *state;
    struct op_call *c;

    expect_body(w, "/x", "by streams");
    w->origin.h2 = H2_SILENT;
    c = http_rig_start(&w->rig, "http.get", http_rig_get("/x"), OP_MS);
    assert_true(is_asked(w, 2));
    w->origin.h2 = H2_ANSWER;
    expect_body(w, "/x", "by streams");
    gate_cancel(w->rig.gate, c, STATUS_CANCELLED);
    http_rig_wait(&w->rig, c);
    expect(c, "cancelled", STATUS_CANCELLED);
    http_rig_finish(c);
    expect_body(w, "/x", "by streams");
}

/* --- ends --- */

/* A listener whose queue is full: whoever connects waits. */
struct full {
    int fd;
    int waiting[8];
    uint16_t port;
};

static void full_open(struct full *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    f->fd = test_listen(&f->port);
    assert_int_equal(listen(f->fd, 0), 0);
    a.sin_port = htons(f->port);
    for (size_t i = 0; i < ARRAY_LEN(f->waiting); i++) {
        f->waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(f->waiting[i], (struct sockaddr *)&a, sizeof a);
    }
}

static void full_close(struct full *f)
{
    for (size_t i = 0; i < ARRAY_LEN(f->waiting); i++)
        close(f->waiting[i]);
    close(f->fd);
}

static void run_until_running(struct world *w, const struct op_call *c)
{
    for (int i = 0; i < 100 && c->state != OP_RUNNING; i++)
        loop_run_once(w->rig.loop, 10);
    assert_int_equal(c->state, OP_RUNNING);
    for (int i = 0; i < 3; i++) /* curl has asked for a socket by then */
        loop_run_once(w->rig.loop, 1);
}

/* While its connection is being made, a request is nobody's: neither curl's nor over. */
static void test_ends_while_connecting(void **state)
{
    struct world *w = *state;
    struct full f;
    const char *url;
    struct op_call *c;

    full_open(&f);
    url = arena_printf(w->rig.arena, "http://127.0.0.1:%u/", f.port);
    c = http_rig_start(&w->rig, "http.get", http_rig_get(url), OP_MS);
    run_until_running(w, c);
    gate_cancel(w->rig.gate, c, STATUS_CANCELLED);
    http_rig_wait(&w->rig, c);
    expect(c, "cancelled", STATUS_CANCELLED);
    http_rig_finish(c);
    c = http_rig_run(&w->rig, "http.get", http_rig_get(url), 150);
    expect(c, "too late", STATUS_TIMEOUT);
    http_rig_finish(c);
    full_close(&f);
    expect_body(w, "/hello", "hello");
}

static void test_cancel_while_waiting(void **state)
{
    struct world *w = *state;
    struct op_call *c = http_rig_start(&w->rig, "http.get", http_rig_get("/silent"), OP_MS);

    assert_true(is_asked(w, 1));
    gate_cancel(w->rig.gate, c, STATUS_CANCELLED);
    http_rig_wait(&w->rig, c);
    expect(c, "cancelled", STATUS_CANCELLED);
    http_rig_finish(c);
    expect_body(w, "/hello", "hello");
}

struct told {
    unsigned n;
    enum status status;
};

static void on_told(void *arg, enum status s, const struct http_response *r, const struct err *e)
{
    struct told *t = arg;

    (void)r;
    (void)e;
    t->n++;
    t->status = s;
}

static uint64_t ask(struct world *w, uint16_t port, struct told *t)
{
    char *url = arena_printf(w->rig.arena, "http://127.0.0.1:%u/hello", port);
    const struct http_request r = {.method = "GET",
                                   .url = url,
                                   .href = str_from(url),
                                   .timeout_ms = OP_MS,
                                   .member = &w->rig.member};

    *t = (struct told){0};
    return http_start(w->rig.http, &r, on_told, t);
}

/* In whatever state a request is when it is cancelled, or its engine goes: its end is told once. */
static void test_told_once(void **state)
{
    struct world *w = *state;
    struct told t[4];
    struct full f;
    uint64_t id;

    full_open(&f);
    w->rig.strict = true; /* refused at once, and told later */
    id = ask(w, w->rig.port, &t[0]);
    assert_int_equal(t[0].n, 0);
    http_cancel(w->rig.http, id);
    http_cancel(w->rig.http, id);
    for (int i = 0; i < 3; i++)
        loop_run_once(w->rig.loop, 1);
    assert_int_equal(t[0].n, 1);
    assert_int_equal(t[0].status, STATUS_CANCELLED);
    http_cancel(w->rig.http, id);

    (void)ask(w, w->rig.port, &t[0]); /* refused */
    w->rig.strict = false;
    (void)ask(w, f.port, &t[1]);                          /* connecting */
    http_cancel(w->rig.http, ask(w, w->rig.port, &t[2])); /* cancelled */
    (void)ask(w, w->rig.port, &t[3]);                     /* begun */
    http_destroy(&w->rig.http);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        assert_int_equal(t[i].n, 1);
        assert_int_equal(t[i].status, STATUS_CANCELLED);
    }
    for (int i = 0; i < 3; i++)
        loop_run_once(w->rig.loop, 1);
    full_close(&f);
}

int main(void)
{
#define CASE(f, setup)                                                                             \
    {                                                                                              \
#f ", " #setup, f, setup, close_world, NULL                                                \
    }
#define CASE_OF(f, setup) CASE(f, setup), CASE(f, setup##_by_proxy)
    static const struct CMUnitTest tests[] = {
        CASE_OF(test_cut_short, plain),
        CASE_OF(test_ambiguous, plain),
        CASE_OF(test_around_a_response, plain),
        CASE_OF(test_dead_kept_connection, plain),
        CASE_OF(test_post_is_not_repeated, plain),
        CASE(test_few_kept, few_kept),
        CASE_OF(test_codings, plain),
        CASE_OF(test_codings, tls),
        CASE_OF(test_bombs, plain),
        CASE_OF(test_time_cap, plain),
        CASE_OF(test_conditional, plain),
        CASE_OF(test_methods, plain),
        CASE(test_json_with_a_type, plain),
        CASE(test_refused_parameters, plain),
        CASE_OF(test_methods_of_redirects, plain),
        CASE_OF(test_credentials_stay, plain),
        CASE_OF(test_ends_of_redirects, plain),
        CASE_OF(test_tls_is_verified, tls),
        CASE_OF(test_tls_cut_short, tls),
        CASE_OF(test_tls_of_strangers, stranger),
        CASE_OF(test_tls_of_members, tls),
        CASE_OF(test_h2, h2),
        CASE_OF(test_h2_ends, h2),
        CASE_OF(test_h2_cancel, h2),
        CASE_OF(test_ends_while_connecting, plain),
        CASE_OF(test_cancel_while_waiting, plain),
        CASE(test_told_once, plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
