/* The forwarder between a browser and its targets, without an upstream or with a plain one.
 *
 * What must hold: the browser gets either the target's bytes unchanged or an answer that says what
 * failed; an upstream connection is used again only when its last response has ended exactly;
 * policy sees names and addresses. The browser is played by raw sockets and by libcurl. */
#include "tests/support/testing.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/integration/forward_target.h"
#include "tests/integration/forward_upstreams.h"

/* --- what the browser sees, without an upstream --- */

static void nothing_goes_out_unless_a_way_is_set(void **state)
{
    struct forward_opts o = FORWARD_OPTS_INIT;
    struct rig r;
    char q[512], a[1024];
    int before = atomic_load(&target.accepted);

    (void)state;
    rig_start(&r, &o);
    client_ask(&r, get(q, sizeof(q), "/hello", ""), a, sizeof(a));
    expect_start(a, "HTTP/1.1 503 ");
    expect_in(a, "x-fleet-error: PROXY_NONE\r\n");
    client_ask(&r, "CONNECT 127.0.0.1:9 HTTP/1.1\r\n\r\n", a, sizeof(a));
    expect_in(a, "x-fleet-error: PROXY_NONE\r\n");
    assert_int_equal(atomic_load(&target.accepted), before);
    rig_stop(&r);
}

/* Each row is asked on one connection after the other and then all on a single one: the second asks
 * whether the upstream connection was used again. */
static const struct {
    const char *path, *body;
    bool again;       /* the next request finds the browser's connection open */
    bool reused;      /* ... and the same upstream connection */
    const char *seen; /* how the answer begins; NULL: 200 */
} framings[] = {
    {"/hello", "hello", true, true, NULL},
    {"/chunked", "5\r\nhello\r\n0\r\nT: v\r\n\r\n", true, true, NULL},
    {"/interim", "hello", true, true, "HTTP/1.1 103 "},
    {"/empty", "", true, true, "HTTP/1.1 204 "},
    {"/same", "", true, true, "HTTP/1.1 304 "},
    {"/extra", "hello", true, false, NULL},
    {"/close", "until the end", false, false, NULL},
    {"/old", "hello", false, false, "HTTP/1.0 200 "},
};

static void responses_end_where_they_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(framings); i++) {
        struct rig r;
        char q[512], a[1024];
        size_t n = strlen(framings[i].body);
        int before = atomic_load(&target.accepted), fd;

        rig_start(&r, NULL);
        fd = client_open(r.port);
        client_send(fd, get(q, sizeof(q), framings[i].path, ""));
        assert_true(client_read(fd, n ? framings[i].body : "\r\n\r\n", a, sizeof(a)));
        expect_start(a, framings[i].seen ? framings[i].seen : "HTTP/1.1 200 ");
        if (framings[i].again) {
            client_send(fd, get(q, sizeof(q), "/hello", "Connection: close\r\n"));
            assert_true(client_read(fd, "\r\n\r\nhello", a, sizeof(a)));
            expect_start(a, "HTTP/1.1 200 ");
        } else {
            assert_true(client_read(fd, NULL, a, sizeof(a)));
            assert_string_equal(a, "");
        }
        assert_null(strstr(a, "evil"));
        assert_int_equal(rig_stats(&r).reused, framings[i].reused);
        assert_int_equal(atomic_load(&target.accepted) - before,
                         1 + (framings[i].again && !framings[i].reused));
        close(fd);
        rig_stop(&r);
    }
}

static void requests_in_a_row_are_answered_in_a_row(void **state)
{
    struct rig r;
    struct buf q = BUF_INIT(8192);
    char one[512], a[4096];
    int fd, n = 0;

    (void)state;
    rig_start(&r, NULL);
    fd = client_open(r.port);
    for (int i = 0; i < 5; i++)
        buf_adds(&q, get(one, sizeof(one), i % 2 ? "/chunked" : "/hello", ""));
    snprintf(one, sizeof(one),
             "POST http://127.0.0.1:%u/p HTTP/1.1\r\nContent-Length: 7\r\nConnection: close\r\n\r\n"
             "1234567",
             target.port);
    buf_adds(&q, one);
    client_send(fd, q.ptr);
    buf_deinit(&q);
    assert_true(client_read(fd, NULL, a, sizeof(a)));
    for (const char *p = a; (p = strstr(p, "HTTP/1.1 200")) != NULL; p++)
        n++;
    assert_int_equal(n, 6);
    expect_in(a, "\r\n\r\n7");
    assert_int_equal(rig_stats(&r).reused, 5);
    close(fd);
    rig_stop(&r);
}

static void responses_that_are_cut_are_not_taken_for_whole(void **state)
{
    static const char *const cut[] = {"/short", "/shortchunk"};
    static const char *const bad[] = {"/nothing", "/halfhead", "/garbage", "/auth", "/badchunk"};
    struct rig r;
    char q[512], a[1024];

    (void)state;
    rig_start(&r, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cut); i++) {
        int fd = client_open(r.port);

        client_send(fd, get(q, sizeof(q), cut[i], ""));
        assert_false(client_read(fd, NULL, a, sizeof(a))); /* a reset */
        close(fd);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        client_ask(&r, get(q, sizeof(q), bad[i], ""), a, sizeof(a));
        expect_start(a, "HTTP/1.1 502 ");
        expect_in(a, i < 2 ? "x-fleet-error: UNAVAILABLE\r\n" : "x-fleet-error: PROTOCOL\r\n");
        assert_null(strstr(a, "Proxy-Authenticate"));
    }
    rig_stop(&r);
}

static void head_and_upgrade(void **state)
{
    struct rig r;
    char q[512], a[1024];
    int fd;

    (void)state;
    rig_start(&r, NULL);
    fd = client_open(r.port);
    snprintf(q, sizeof(q), "HEAD http://127.0.0.1:%u/hello HTTP/1.1\r\n\r\n", target.port);
    client_send(fd, q);
    assert_true(client_read(fd, "\r\n\r\n", a, sizeof(a)));
    client_send(fd, get(q, sizeof(q), "/upgrade", "Connection: Upgrade\r\nUpgrade: echo\r\n"));
    assert_true(client_read(fd, "first ", a, sizeof(a)));
    expect_start(a, "HTTP/1.1 101 ");
    client_send(fd, "ping");
    assert_true(client_read(fd, "ping", a, sizeof(a)));
    shutdown(fd, SHUT_WR);
    assert_true(client_read(fd, NULL, a, sizeof(a)));
    assert_string_equal(a, "bye");
    close(fd);
    assert_int_equal(rig_stats(&r).tunnels, 1);
    rig_stop(&r);
}

static void the_target_sees_a_browser_without_a_proxy(void **state)
{
    struct rig r;
    char q[512], a[1024];

    (void)state;
    rig_start(&r, NULL);
    client_ask(&r,
               get(q, sizeof(q), "/head",
                   "Proxy-Connection: close\r\nProxy-Authorization: Basic eA==\r\nA: b\r\n"),
               a, sizeof(a));
    snprintf(
        q, sizeof(q),
        "\r\n\r\nGET /head HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\nA: b\r\n\r\n",
        target.port);
    expect_in(a, q);
    rig_stop(&r);
}

static bool all_closed(void *arg)
{
    return rig_stats(arg).open == 0;
}

static void bad_requests_are_answered(void **state)
{
    static char big[70 * 1024];
    static const struct {
        const char *request, *code;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"GET https://h/ HTTP/1.1\r\n\r\n", "501"},
        {"\r\n\r\nBREW\r\n\r\n", "400"},
        {"POST http://h/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "400"},
    };
    struct rig r;
    char a[1024];

    (void)state;
    rig_start(&r, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        client_ask(&r, rows[i].request, a, sizeof(a));
        assert_memory_equal(a + 9, rows[i].code, 3);
    }
    memset(big, 'a', sizeof(big) - 1);
    memcpy(big, "GET http://h/ HTTP/1.1\r\nA: ", 27);
    client_ask(&r, big, a, sizeof(a));
    expect_start(a, "HTTP/1.1 431 ");
    assert_true(test_wait_until(all_closed, &r, 1000));
    rig_stop(&r);
}

static void unreachable_targets_are_told(void **state)
{
    struct rig r;
    char q[256], a[1024];

    (void)state;
    rig_start(&r, NULL);
    snprintf(q, sizeof(q), "GET http://127.0.0.1:%u/ HTTP/1.1\r\n\r\n", test_free_port());
    client_ask(&r, q, a, sizeof(a));
    expect_start(a, "HTTP/1.1 502 ");
    expect_in(a, "x-fleet-error: UNAVAILABLE\r\n");
    client_ask(&r, "CONNECT no-such-name.invalid:443 HTTP/1.1\r\n\r\n", a, sizeof(a));
    expect_start(a, "HTTP/1.1 502 ");
    expect_in(a, "x-fleet-error: UNAVAILABLE\r\n");
    assert_int_equal(rig_host(&r, "no-such-name.invalid").failed, 1);
    rig_stop(&r);
}

/* --- policy --- */

static enum status no_loopback(void *arg, const char *host, uint16_t port,
                               const struct sockaddr *resolved)
{
    (void)arg;
    (void)port;
    if (strcmp(host, "denied.example") == 0)
        return STATUS_BREAKER_OPEN;
    /* by address only: "localhost" passes as a name and is caught when it is resolved */
    return resolved ? forward_allow_public(NULL, host, port, resolved) : STATUS_OK;
}

static void policy_sees_the_name_and_the_address(void **state)
{
    struct forward_opts o = FORWARD_OPTS_INIT;
    struct rig r;
    char q[256], a[1024];
    int before = atomic_load(&target.accepted);

    (void)state;
    o.allow_direct = true;
    o.allow = no_loopback;
    rig_start(&r, &o);
    client_ask(&r, "GET http://Denied.Example/ HTTP/1.1\r\n\r\n", a, sizeof(a));
    expect_start(a, "HTTP/1.1 403 ");
    expect_in(a, "x-fleet-error: BREAKER_OPEN\r\n");
    for (int i = 0; i < 2; i++) {
        snprintf(q, sizeof(q), "CONNECT %s:%u HTTP/1.1\r\n\r\n", i ? "127.0.0.1" : "localhost",
                 target.port);
        client_ask(&r, q, a, sizeof(a));
        expect_start(a, "HTTP/1.1 403 ");
        expect_in(a, "x-fleet-error: POLICY_DENIED\r\n");
    }
    assert_int_equal(rig_stats(&r).denied, 3);
    assert_int_equal(rig_host(&r, "localhost").denied, 1);
    assert_int_equal(atomic_load(&target.accepted), before);
    rig_stop(&r);
}

/* --- libcurl as the browser --- */

static void curl_goes_directly(void **state)
{
    struct rig r;
    int before = atomic_load(&target.accepted);

    (void)state;
    rig_start(&r, NULL);
    use_well(&r, true);
    assert_int_equal(rig_stats(&r).reused, 5);
    assert_int_equal(atomic_load(&target.accepted) - before, 2);
    rig_stop(&r);
}

static void uploads_go_through(void **state)
{
    static char body[300 * 1024];
    struct rig r;
    CURL *c = curl_easy_init();
    char u[128];

    (void)state;
    memset(body, 'b', sizeof(body));
    rig_start(&r, NULL);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)sizeof(body));
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
    for (int tunnel = 0; tunnel < 2; tunnel++)
        assert_int_equal(fetch(c, &r, url(u, sizeof(u), "/p"), tunnel).bytes, 6); /* "307200" */
    assert_in_range(rig_stats(&r).bytes_out, 2 * sizeof(body), 2 * sizeof(body) + 2000);
    curl_easy_cleanup(c);
    rig_stop(&r);
}

/* --- rotation, keeping, limits --- */

static void serve_named(int fd, void *arg)
{
    char c[4096], out[256];
    const char *name = arg;

    while (recv(fd, c, sizeof(c), 0) > 0) {
        snprintf(out, sizeof(out), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(name),
                 name);
        if (send(fd, out, strlen(out), MSG_NOSIGNAL) < 0)
            return;
    }
}

static void rotation_takes_the_next_request(void **state)
{
    static char one[] = "<one>", two[] = "<two>";
    struct server a, b, echo;
    struct rig r;
    char line[2][64], q[256], text[1024];
    int fd, tunnel;

    (void)state;
    server_start(&a, serve_named, one);
    server_start(&b, serve_named, two);
    server_start(&echo, serve_echo, NULL);
    snprintf(line[0], sizeof(line[0]), "http://127.0.0.1:%u#one", a.port);
    snprintf(line[1], sizeof(line[1]), "http://127.0.0.1:%u#two", b.port);
    rig_start(&r, NULL);
    tunnel = client_tunnel(&r, echo.port);
    fd = client_open(r.port);
    for (int i = 0; i < 6; i++) {
        if (i % 2 == 0)
            rig_set_upstream(&r, line[i / 2 % 2]);
        client_send(fd, get(q, sizeof(q), "/", ""));
        assert_true(client_read(fd, i / 2 % 2 ? two : one, text, sizeof(text)));
    }
    assert_int_equal(rig_stats(&r).reused, 3);
    client_send(tunnel, "still here"); /* a tunnel that stands is not touched */
    assert_true(client_read(tunnel, "still here", text, sizeof(text)));
    rig_cut_all(&r);
    assert_false(client_read(tunnel, NULL, text, sizeof(text)));
    assert_false(client_read(fd, NULL, text, sizeof(text)));
    close(tunnel);
    close(fd);
    rig_stop(&r);
    server_stop(&a);
    server_stop(&b);
    server_stop(&echo);
}

/* Answers once a connection, says that it will be kept, and closes when the next request comes. */
static void serve_once(int fd, void *arg)
{
    char c[4096];

    (void)arg;
    if (recv(fd, c, sizeof(c), 0) <= 0)
        return;
    (void)!send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 40, MSG_NOSIGNAL);
    (void)!recv(fd, c, sizeof(c), 0);
}

static void kept_connection_that_died_is_replaced(void **state)
{
    struct server v;
    struct rig r;
    char q[256], a[1024];
    int fd;

    (void)state;
    server_start(&v, serve_once, NULL);
    rig_start(&r, NULL);
    fd = client_open(r.port);
    for (int i = 0; i < 3; i++) { /* GET: asked again on a new one, unseen */
        snprintf(q, sizeof(q), "GET http://127.0.0.1:%u/ HTTP/1.1\r\n\r\n", v.port);
        client_send(fd, q);
        assert_true(client_read(fd, "\r\n\r\nok", a, sizeof(a)));
    }
    assert_int_equal(atomic_load(&v.accepted), 3);
    snprintf(q, sizeof(q), "POST http://127.0.0.1:%u/ HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
             v.port);
    client_send(fd, q); /* POST: never twice; the browser sees the end and decides */
    client_read(fd, NULL, a, sizeof(a));
    assert_string_equal(a, "");
    assert_int_equal(atomic_load(&v.accepted), 3);
    close(fd);
    rig_stop(&r);
    server_stop(&v);
}

static void limits_end_what_is_idle_or_old(void **state)
{
    struct forward_opts o = FORWARD_OPTS_INIT;
    struct server echo, silent;
    struct rig r;
    char q[256], a[1024];
    uint64_t begin;
    int fd;

    (void)state;
    server_start(&echo, serve_echo, NULL);
    server_start(&silent, bad_silent, NULL);
    o.allow_direct = true;
    o.idle_ms = 150;
    o.total_ms = 600;
    rig_start(&r, &o);
    fd = client_tunnel(&r, echo.port);
    begin = test_now_ms();
    assert_false(client_read(fd, NULL, a, sizeof(a)));
    assert_in_range(test_now_ms() - begin, 100, 4000);
    close(fd);
    fd = client_tunnel(&r, echo.port);
    begin = test_now_ms();
    for (int i = 0; i < 100 && send(fd, "x", 1, MSG_NOSIGNAL) == 1; i++)
        test_sleep_ms(50); /* never idle */
    assert_in_range(test_now_ms() - begin, 500, 4000);
    close(fd);
    snprintf(q, sizeof(q), "GET http://127.0.0.1:%u/ HTTP/1.1\r\n\r\n", silent.port);
    client_ask(&r, q, a, sizeof(a));
    expect_start(a, "HTTP/1.1 504 ");
    expect_in(a, "x-fleet-error: TIMEOUT\r\n");
    rig_stop(&r);
    server_stop(&echo);
    server_stop(&silent);
}

static void more_than_may_be_open_wait_their_turn(void **state)
{
    struct forward_opts o = FORWARD_OPTS_INIT;
    struct rig r;
    char q[256], a[256];
    int first, second;

    (void)state;
    o.allow_direct = true;
    o.max_connections = 1;
    rig_start(&r, &o);
    first = client_open(r.port);
    second = client_open(r.port);
    client_send(first, get(q, sizeof(q), "/hello", ""));
    client_send(second, q);
    assert_true(client_read(first, "\r\n\r\nhello", a, sizeof(a)));
    assert_int_equal(rig_stats(&r).connections, 1);
    close(first);
    assert_true(client_read(second, "\r\n\r\nhello", a, sizeof(a)));
    close(second);
    rig_stop(&r);
}

static void the_listener_may_be_given(void **state)
{
    struct forward_opts o = FORWARD_OPTS_INIT;
    struct loop *l = NULL;
    struct forward *f = NULL;
    struct err e = ERR_INIT;
    uint16_t port;
    int plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_int_equal(loop_create(&l, NULL, &e), STATUS_OK);
    o.listen_fd = plain;
    assert_int_equal(forward_open(l, &o, &f, &e), STATUS_INVALID);
    close(plain); /* it stayed ours */
    o.listen_fd = test_listen(&port);
    assert_int_equal(forward_open(l, &o, &f, &e), STATUS_OK);
    assert_int_equal(forward_port(f), port);
    forward_close(&f);
    assert_null(f);
    o.listen_fd = -1;
    o.ca_file = "/nonexistent.pem";
    assert_int_equal(forward_open(l, &o, &f, &e), STATUS_NOT_FOUND);
    loop_run_once(l, 0);
    loop_destroy(&l);
}

/* One of many that share their options: all that can be asked of it before its first use, then use.
 */
static void options_may_be_shared(void **state)
{
    static const struct forward_opts o = {
        .listen_fd = -1, .is_shared = true, .dialled_only = true, .allow_direct = true};
    struct forward_stats stats;
    struct forward_host host;
    struct loop *l = NULL;
    struct forward *f = NULL, *resting = NULL;
    struct err e = ERR_INIT;
    size_t it = 0;
    int fd = -1;

    (void)state;
    assert_int_equal(loop_create(&l, NULL, &e), STATUS_OK);
    assert_int_equal(forward_open(l, &o, &f, &e), STATUS_OK);
    assert_int_equal(forward_open(l, &o, &resting, &e), STATUS_OK);
    assert_int_equal(forward_port(f), 0);
    forward_stats(f, &stats);
    assert_int_equal(stats.requests, 0);
    assert_false(forward_host_next(f, &it, &host));
    assert_null(forward_upstream(f));
    forward_set_upstream(f, NULL);
    forward_cut_all(f);
    assert_int_equal(forward_listen(f, &e), STATUS_OK);
    assert_true(forward_port(f) > 0);
    assert_int_equal(forward_dial(f, &fd, &e), STATUS_OK);
    close(fd);
    forward_close(&f);
    forward_close(&resting);
    loop_run_once(l, 0);
    loop_destroy(&l);
}

static void no_descriptor_is_left(void **state)
{
    struct server echo;
    struct rig r;
    size_t before = test_count_fds();
    char a[64];

    (void)state;
    server_start(&echo, serve_echo, NULL);
    rig_start(&r, NULL);
    for (int i = 0; i < 20; i++) {
        int fd = client_tunnel(&r, echo.port);

        client_send(fd, "x");
        assert_true(client_read(fd, "x", a, sizeof(a)));
        if (i % 2)
            close(fd);
        else
            shutdown(fd, SHUT_RDWR), close(fd);
    }
    rig_stop(&r);
    server_stop(&echo);
    assert_int_equal(test_count_fds(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_goes_out_unless_a_way_is_set),
        cmocka_unit_test(responses_end_where_they_end),
        cmocka_unit_test(requests_in_a_row_are_answered_in_a_row),
        cmocka_unit_test(responses_that_are_cut_are_not_taken_for_whole),
        cmocka_unit_test(head_and_upgrade),
        cmocka_unit_test(the_target_sees_a_browser_without_a_proxy),
        cmocka_unit_test(bad_requests_are_answered),
        cmocka_unit_test(unreachable_targets_are_told),
        cmocka_unit_test(policy_sees_the_name_and_the_address),
        cmocka_unit_test(curl_goes_directly),
        cmocka_unit_test(uploads_go_through),
        cmocka_unit_test(rotation_takes_the_next_request),
        cmocka_unit_test(kept_connection_that_died_is_replaced),
        cmocka_unit_test(limits_end_what_is_idle_or_old),
        cmocka_unit_test(more_than_may_be_open_wait_their_turn),
        cmocka_unit_test(the_listener_may_be_given),
        cmocka_unit_test(options_may_be_shared),
        cmocka_unit_test(no_descriptor_is_left),
    };

    return cmocka_run_group_tests(tests, start_target, stop_target);
}
