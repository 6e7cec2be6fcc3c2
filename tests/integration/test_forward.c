/* The forwarder against real proxies and bad ones.
 *
 * What must hold: whatever the upstream does, the browser gets either the target's bytes unchanged
 * or an answer that says what failed; an upstream connection is used again only when its last
 * response has ended exactly; nothing goes around the upstream; credentials are seen by the
 * upstream alone. The browser is played by raw sockets and by libcurl, upstreams by tinyproxy,
 * microsocks and by servers here that are silent, slow, broken or speak garbage. */
#include "tests/support/testing.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "proxies/probe.h"
#include "proxies/tls.h"
#include "tests/integration/forward_rig.h"

static struct server target;

static int start_target(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    curl_global_init(CURL_GLOBAL_ALL);
    server_start(&target, serve_http, NULL);
    return 0;
}

static int stop_target(void **state)
{
    (void)state;
    server_stop(&target);
    curl_global_cleanup();
    return 0;
}

/* "GET http://127.0.0.1:<target><path>" and further lines. */
static const char *get(char *out, size_t size, const char *path, const char *more)
{
    snprintf(out, size, "GET http://127.0.0.1:%u%s HTTP/1.1\r\nHost: x\r\n%s\r\n", target.port,
             path, more);
    return out;
}

static void expect_start(const char *text, const char *want)
{
    if (strncmp(text, want, strlen(want)) != 0)
        fail_msg("expected %s, got %.300s", want, text);
}

static void expect_in(const char *text, const char *want)
{
    if (!strstr(text, want))
        fail_msg("expected %s in %.300s", want, text);
}

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

/* --- tunnels --- */

static void tunnels_close_by_halves(void **state)
{
    struct server echo;
    struct rig r;
    char a[64];
    int fd;

    (void)state;
    server_start(&echo, serve_echo, NULL);
    rig_start(&r, NULL);
    fd = client_tunnel(&r, echo.port);
    client_send(fd, "ping");
    assert_true(client_read(fd, "ping", a, sizeof(a)));
    shutdown(fd, SHUT_WR); /* the other direction goes on */
    assert_true(client_read(fd, NULL, a, sizeof(a)));
    assert_string_equal(a, "bye");
    close(fd);
    assert_int_equal(rig_stats(&r).bytes_in, 7);
    assert_int_equal(rig_stats(&r).bytes_out, 4);
    assert_int_equal(rig_host(&r, "127.0.0.1").bytes_in, 7);
    rig_stop(&r);
    server_stop(&echo);
}

enum { FLOOD = 64 * 1024 * 1024 };

static void serve_flood(int fd, void *arg)
{
    size_t *sent = arg;
    unsigned char block[16 * 1024];
    ssize_t n;

    for (size_t at = 0; at < FLOOD; at += (size_t)n) {
        for (size_t i = 0; i < sizeof(block); i++)
            block[i] = (unsigned char)((at + i) * 31 >> 3);
        n = send(fd, block, sizeof(block), MSG_NOSIGNAL);
        if (n <= 0)
            return;
        __atomic_fetch_add(sent, (size_t)n, __ATOMIC_RELAXED);
    }
}

/* A browser that does not read stops the server: what lies in between is bounded by the sockets and
 * one buffer. */
static void back_pressure_reaches_the_server(void **state)
{
    static unsigned char block[64 * 1024];
    struct server flood;
    struct rig r;
    size_t sent = 0, got = 0;
    int fd;

    (void)state;
    server_start(&flood, serve_flood, &sent);
    rig_start(&r, NULL);
    fd = client_tunnel(&r, flood.port);
    test_sleep_ms(300);
    assert_true(__atomic_load_n(&sent, __ATOMIC_RELAXED) < FLOOD * 3 / 4);
    for (;;) {
        ssize_t n = recv(fd, block, sizeof(block), 0);

        if (n == 0)
            break;
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++) {
            if (block[i] != (unsigned char)((got + (size_t)i) * 31 >> 3))
                fail_msg("byte %zu is another", got + (size_t)i);
        }
        got += (size_t)n;
    }
    assert_int_equal(got, FLOOD);
    close(fd);
    rig_stop(&r);
    server_stop(&flood);
}

static size_t resident_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long size, rss = 0;

    if (f && fscanf(f, "%lu %lu", &size, &rss) != 2)
        rss = 0;
    if (f)
        fclose(f);
    return rss * 4;
}

/* Accepts and holds; one thread for all, so that what is measured is the forwarder. */
static void *hold_all(void *arg)
{
    struct server *s = arg;
    static int fds[4096];
    size_t n = 0;

    while (!atomic_load(&s->stopping)) {
        struct pollfd p = {.fd = s->fd, .events = POLLIN};

        if (poll(&p, 1, 10) == 1 && n < ARRAY_LEN(fds) && (fds[n] = accept(s->fd, NULL, NULL)) >= 0)
            n++;
        atomic_store(&s->accepted, (int)n);
    }
    while (n)
        close(fds[--n]);
    return NULL;
}

static void thousands_of_tunnels_are_small(void **state)
{
    enum { N = 2000 };
    static int fds[N];
    struct server hold = {0};
    struct rlimit limit;
    struct rig r;
    size_t before;

    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 5 * N && limit.rlim_max >= 5 * N) {
        limit.rlim_cur = 5 * N;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < 5 * N)
        test_skip("%d descriptors are not allowed", 5 * N);
    hold.fd = test_listen(&hold.port);
    assert_int_equal(listen(hold.fd, 4096), 0);
    assert_int_equal(pthread_create(&hold.thread, NULL, hold_all, &hold), 0);
    rig_start(&r, NULL);
    before = resident_kib();
    for (size_t i = 0; i < N; i++)
        fds[i] = client_tunnel(&r, hold.port);
    print_message("%d tunnels: %zu KiB more in memory\n", N, resident_kib() - before);
    assert_int_equal(rig_stats(&r).open, N);
#ifndef __SANITIZE_ADDRESS__
    assert_true(resident_kib() - before < 16 * 1024); /* 8 KiB each, the test's own included */
#endif
    rig_cut_all(&r);
    for (size_t i = 0; i < N; i++) {
        char c;

        assert_true(recv(fds[i], &c, 1, 0) < 0);
        assert_int_equal(errno, ECONNRESET);
        close(fds[i]);
    }
    assert_int_equal(rig_stats(&r).open, 0);
    atomic_store(&hold.stopping, true);
    pthread_join(hold.thread, NULL);
    close(hold.fd);
    rig_stop(&r);
}

/* --- libcurl as the browser --- */

static size_t swallow(char *p, size_t size, size_t n, void *arg)
{
    (void)p;
    *(size_t *)arg += size * n;
    return size * n;
}

struct fetched {
    CURLcode rc;
    long code, proxy_code, connects;
    size_t bytes;
};

static struct fetched fetch(CURL *c, struct rig *r, const char *url, bool tunnel)
{
    struct fetched f = {0};
    char proxy[64];

    snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", r->port);
    curl_easy_setopt(c, CURLOPT_PROXY, proxy);
    curl_easy_setopt(c, CURLOPT_HTTPPROXYTUNNEL, tunnel ? 1L : 0L);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, swallow);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &f.bytes);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 15000L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    f.rc = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &f.code);
    curl_easy_getinfo(c, CURLINFO_HTTP_CONNECTCODE, &f.proxy_code);
    curl_easy_getinfo(c, CURLINFO_NUM_CONNECTS, &f.connects);
    return f;
}

static const char *url(char *out, size_t size, const char *path)
{
    snprintf(out, size, "http://127.0.0.1:%u%s", target.port, path);
    return out;
}

/* Through whatever upstream is set: small and large, plain and in a tunnel. `kept`: connections are
 * kept from request to request. */
static void use_well(struct rig *r, bool kept)
{
    CURL *c = curl_easy_init();
    char u[128];

    for (int tunnel = 0; tunnel < 2; tunnel++) {
        for (int i = 0; i < 5; i++) {
            struct fetched f = fetch(c, r, url(u, sizeof(u), "/hello"), tunnel);

            if (f.rc != CURLE_OK || f.code != 200)
                fail_msg("%s: %ld", curl_easy_strerror(f.rc), f.code);
            assert_int_equal(f.bytes, 5);
            if ((kept || tunnel) && i > 0)
                assert_int_equal(f.connects, 0);
        }
        assert_int_equal(fetch(c, r, url(u, sizeof(u), "/n=3000000"), tunnel).bytes, 3000000);
    }
    curl_easy_cleanup(c);
}

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

/* --- real upstreams --- */

struct child {
    pid_t pid;
    uint16_t port;
    char *dir;
};

static bool is_listening(void *arg)
{
    struct child *c = arg;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(c->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    rc = connect(fd, (struct sockaddr *)&a, sizeof(a));
    close(fd);
    return rc == 0;
}

static bool is_installed(const char *program)
{
    char path[128];

    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", i ? "/usr/sbin" : "/usr/bin", program);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

static void child_start(struct child *c, const char *const *argv)
{
    c->pid = fork();
    assert_true(c->pid >= 0);
    if (c->pid == 0) {
        int null = open("/dev/null", O_RDWR);

        dup2(null, 1);
        dup2(null, 2);
        execvp(argv[0], (char *const *)(void *)(uintptr_t)argv);
        _exit(127);
    }
    assert_true(test_wait_until(is_listening, c, 5000));
}

static void child_stop(struct child *c)
{
    kill(c->pid, SIGKILL);
    waitpid(c->pid, NULL, 0);
    test_rmdir(&c->dir);
}

static void start_tinyproxy(struct child *c)
{
    char conf[512], path[512];

    c->dir = test_mkdir();
    c->port = test_free_port();
    snprintf(conf, sizeof(conf),
             "Port %u\nListen 127.0.0.1\nTimeout 60\nMaxClients 400\nAllow 127.0.0.1\n"
             "BasicAuth user s3cret\nLogLevel Critical\nLogFile \"%s/log\"\n",
             c->port, c->dir);
    snprintf(path, sizeof(path), "%s/conf", c->dir);
    test_write_file(path, conf, strlen(conf));
    child_start(c, (const char *const[]){"tinyproxy", "-d", "-c", path, NULL});
}

static void start_microsocks(struct child *c)
{
    char port[16];

    c->dir = test_mkdir();
    c->port = test_free_port();
    snprintf(port, sizeof(port), "%u", c->port);
    child_start(c, (const char *const[]){"microsocks", "-i", "127.0.0.1", "-p", port, "-u", "user",
                                         "-P", "s3cret", NULL});
}

/* Both large downloads; the bytes of a tunnel are told when it ends. */
static bool has_told_bytes(void *arg)
{
    struct rig *r = arg;
    bool has;

    pthread_mutex_lock(&r->lock);
    has = r->bytes_in > 6000000;
    pthread_mutex_unlock(&r->lock);
    return has;
}

static void credentials_open_the_door(struct child *c, const char *scheme)
{
    struct rig r;
    CURL *curl = curl_easy_init();
    char line[128], u[128], a[1024], q[512];
    struct fetched f;

    rig_start(&r, NULL);
    snprintf(line, sizeof(line), "%s://user:s3cret@127.0.0.1:%u", scheme, c->port);
    rig_set_upstream(&r, line);
    use_well(&r, strcmp(scheme, "http") != 0);
    assert_int_equal(rig_take_result(&r, NULL), STATUS_OK);
    snprintf(q, sizeof(q), "CONNECT 127.0.0.1:%u HTTP/1.1\r\n\r\n", test_free_port());
    client_ask(&r, q, a, sizeof(a)); /* a target that is not there is not the proxy's fault */
    expect_start(a, "HTTP/1.1 502 ");
    expect_in(a, "x-fleet-error: UNAVAILABLE\r\n");
    assert_int_equal(rig_take_result(&r, NULL), STATUS_UNAVAILABLE);
    snprintf(line, sizeof(line), "%s://user:wr0ng@127.0.0.1:%u", scheme, c->port);
    for (int i = 0; i < 4; i++) {
        if (i == 2) /* and with none */
            snprintf(line, sizeof(line), "%s://127.0.0.1:%u", scheme, c->port);
        rig_set_upstream(&r, line);
        f = fetch(curl, &r, url(u, sizeof(u), "/hello"), i % 2);
        assert_int_equal(i % 2 ? f.proxy_code : f.code, 502);
        client_ask(&r, get(q, sizeof(q), "/hello", ""), a, sizeof(a));
        expect_in(a, "x-fleet-error: PROXY_AUTH\r\n");
        assert_null(strstr(a, "wr0ng"));
        assert_int_equal(rig_take_result(&r, NULL), STATUS_PROXY_AUTH);
    }
    assert_true(test_wait_until(has_told_bytes, &r, 2000));
    curl_easy_cleanup(curl);
    rig_stop(&r);
}

static void tinyproxy_with_basic(void **state)
{
    struct child c;

    (void)state;
    if (!is_installed("tinyproxy"))
        test_skip("tinyproxy is not installed");
    start_tinyproxy(&c);
    credentials_open_the_door(&c, "http");
    child_stop(&c);
}

static void microsocks_with_user_and_password(void **state)
{
    struct child c;

    (void)state;
    if (!is_installed("microsocks"))
        test_skip("microsocks is not installed");
    start_microsocks(&c);
    credentials_open_the_door(&c, "socks5");
    child_stop(&c);
}

/* --- an https upstream --- */

static SSL_CTX *server_ctx;

/* TLS outside, one CONNECT, then bytes both ways. */
static void serve_tls_proxy(int fd, void *arg)
{
    SSL *ssl = SSL_new(server_ctx);
    char head[4096], block[16 * 1024];
    int n = 0, k, to = -1;
    bool *had_credentials = arg;

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) != 1)
        goto out;
    while (n + 1 < (int)sizeof(head) && (k = SSL_read(ssl, head + n, 1)) == 1) {
        head[++n] = '\0';
        if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    *had_credentials = strstr(head, "Proxy-Authorization: Basic dXNlcjpzM2NyZXQ=\r\n") != NULL;
    to = client_open(target.port);
    SSL_write(ssl, "HTTP/1.1 200 OK\r\n\r\n", 19);
    for (;;) {
        struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = to, .events = POLLIN}};

        if (!SSL_pending(ssl) && poll(p, 2, 5000) < 1)
            break;
        if (SSL_pending(ssl) || p[0].revents) {
            k = SSL_read(ssl, block, sizeof(block));
            if (k <= 0 || send(to, block, (size_t)k, MSG_NOSIGNAL) != k)
                break;
        }
        if (p[1].revents) {
            ssize_t got = recv(to, block, sizeof(block), 0);

            if (got <= 0 || SSL_write(ssl, block, (int)got) != got)
                break;
        }
    }
    SSL_shutdown(ssl);
out:
    if (to >= 0)
        close(to);
    SSL_free(ssl);
}

static void make_certificate(const char *dir)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);

        if (chdir(dir) != 0)
            _exit(1);
        dup2(null, 1);
        dup2(null, 2);
        execlp("openssl", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
               "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
               "-subj", "/CN=proxy", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
               (char *)NULL);
        _exit(127);
    }
    {
        int status = 1;

        waitpid(pid, &status, 0);
        assert_int_equal(status, 0);
    }
}

static void https_upstream_is_verified(void **state)
{
    struct forward_opts o = FORWARD_OPTS_INIT;
    struct server proxy;
    struct rig r;
    CURL *c = curl_easy_init();
    char *dir = test_mkdir();
    char cert[512], key[512], line[128], u[128], a[1024], q[256];
    bool had_credentials = false;

    (void)state;
    make_certificate(dir);
    snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
    snprintf(key, sizeof(key), "%s/key.pem", dir);
    server_ctx = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate_file(server_ctx, cert, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(server_ctx, key, SSL_FILETYPE_PEM), 1);
    server_start(&proxy, serve_tls_proxy, &had_credentials);

    o.ca_file = cert;
    rig_start(&r, &o);
    snprintf(line, sizeof(line), "https://user:s3cret@127.0.0.1:%u", proxy.port);
    rig_set_upstream(&r, line);
    assert_int_equal(fetch(c, &r, url(u, sizeof(u), "/hello"), true).bytes, 5);
    assert_true(had_credentials);
    assert_int_equal(fetch(c, &r, url(u, sizeof(u), "/n=3000000"), true).bytes, 3000000);
    assert_int_equal(rig_take_result(&r, NULL), STATUS_OK);
    snprintf(line, sizeof(line), "https://user:s3cret@localhost:%u", proxy.port);
    rig_set_upstream(&r, line); /* the certificate is for another name */
    had_credentials = false;
    snprintf(q, sizeof(q), "CONNECT 127.0.0.1:%u HTTP/1.1\r\n\r\n", target.port);
    client_ask(&r, q, a, sizeof(a));
    expect_in(a, "x-fleet-error: PROXY_FAILED\r\n");
    expect_in(a, "certificate");
    assert_false(had_credentials);
    curl_easy_cleanup(c);
    rig_stop(&r);

    rig_start(&r, NULL); /* the system's authorities know nothing of it */
    snprintf(line, sizeof(line), "https://user:s3cret@127.0.0.1:%u", proxy.port);
    rig_set_upstream(&r, line);
    client_ask(&r, q, a, sizeof(a));
    expect_in(a, "certificate");
    rig_stop(&r);
    server_stop(&proxy);
    SSL_CTX_free(server_ctx);
    test_rmdir(&dir);
}

/* --- upstreams that misbehave --- */

static void bad_silent(int fd, void *arg)
{
    char c;

    (void)arg;
    while (recv(fd, &c, 1, 0) > 0)
        ;
}

static void bad_closing(int fd, void *arg)
{
    char c[16];

    (void)arg;
    (void)!recv(fd, c, sizeof(c), 0);
}

static void send_all(int fd, const char *text)
{
    char c[4096];

    (void)!recv(fd, c, sizeof(c), 0);
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    while (recv(fd, c, sizeof(c), 0) > 0)
        ;
}

static void bad_midway(int fd, void *arg)
{
    (void)arg;
    send_all(fd, "HTTP/1.1 200 Conn");
}

static void bad_407(int fd, void *arg)
{
    (void)arg;
    send_all(fd, "HTTP/1.1 407 Again\r\nProxy-Authenticate: Basic realm=\"x\"\r\n"
                 "Content-Length: 5\r\n\r\nagain");
}

static void bad_garbage(int fd, void *arg)
{
    (void)arg;
    send_all(fd, "\x7f\x45\x4c\x46\x02\x01\x01 nonsense\r\n\r\nnonsense\r\n\r\n");
}

static void bad_giant(int fd, void *arg)
{
    char line[1024] = "HTTP/1.1 200 OK\r\n";

    (void)arg;
    (void)!recv(fd, line + 100, 900, 0);
    for (int i = 0; i < 200; i++) {
        if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
            return;
        memset(line, 'a', 1000);
        memcpy(line, "X: ", 3);
        memcpy(line + 1000, "\r\n", 3);
    }
}

static void bad_refusing(int fd, void *arg)
{
    (void)arg;
    send_all(fd, "HTTP/1.1 403 Filtered\r\nConnection: close\r\n\r\n");
}

static void bad_socks_auth(int fd, void *arg)
{
    char c[512];

    (void)arg;
    (void)!recv(fd, c, sizeof(c), 0);
    (void)!send(fd, "\5\2", 2, MSG_NOSIGNAL);
    (void)!recv(fd, c, sizeof(c), 0);
    (void)!send(fd, "\1\1", 2, MSG_NOSIGNAL);
}

static void bad_socks_rules(int fd, void *arg)
{
    char c[512];

    (void)arg;
    (void)!recv(fd, c, sizeof(c), 0);
    (void)!send(fd, "\5\0", 2, MSG_NOSIGNAL);
    (void)!recv(fd, c, sizeof(c), 0);
    (void)!send(fd, "\5\2\0\1\0\0\0\0\0\0", 10, MSG_NOSIGNAL);
}

static const struct {
    const char *name, *scheme;
    serve_fn *serve;
    enum status status; /* that the browser is told and the roster gets */
    const char *code;
    int peer_code;
    bool connect_only; /* a plain request would be passed on: it cannot be told from the target's
                          answer */
} villains[] = {
    {"silent", "http", bad_silent, STATUS_TIMEOUT, "504", 0, true},
    {"silent", "socks5", bad_silent, STATUS_TIMEOUT, "504", 0, false},
    {"silent", "https", bad_silent, STATUS_TIMEOUT, "504", 0, false},
    {"closing", "http", bad_closing, STATUS_PROXY_FAILED, "502", -1, false},
    {"closing", "socks5", bad_closing, STATUS_PROXY_FAILED, "502", -1, false},
    {"closing", "https", bad_closing, STATUS_PROXY_FAILED, "502", -1, false},
    {"midway", "http", bad_midway, STATUS_PROXY_FAILED, "502", 0, false},
    {"407 loop", "http", bad_407, STATUS_PROXY_AUTH, "502", 407, false},
    {"garbage", "http", bad_garbage, STATUS_PROXY_FAILED, "502", 0, false},
    {"garbage", "socks5", bad_garbage, STATUS_PROXY_FAILED, "502", 0, false},
    {"garbage", "https", bad_garbage, STATUS_PROXY_FAILED, "502", 0, false},
    {"giant head", "http", bad_giant, STATUS_PROXY_FAILED, "502", 0, false},
    {"refusing", "http", bad_refusing, STATUS_PROXY_FAILED, "502", 403, true},
    {"refusing", "socks5", bad_socks_auth, STATUS_PROXY_AUTH, "502", 1, false},
    {"rules", "socks5", bad_socks_rules, STATUS_PROXY_FAILED, "502", 2, false},
};

static void misbehaving_upstreams_are_told_apart(void **state)
{
    struct tls_ctx *tls = NULL;

    (void)state;
    assert_int_equal(tls_ctx_open(NULL, &tls, NULL), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(villains); i++) {
        struct forward_opts o = FORWARD_OPTS_INIT;
        struct server v;
        struct rig r;
        char line[128], q[512], a[1024];

        server_start(&v, villains[i].serve, NULL);
        o.tls = tls; /* reading the authorities is not what the deadline is for */
        o.connect_ms = villains[i].status == STATUS_TIMEOUT ? 300 : 2000;
        rig_start(&r, &o);
        snprintf(line, sizeof(line), "%s://user:s3cret@127.0.0.1:%u", villains[i].scheme, v.port);
        rig_set_upstream(&r, line);
        for (int plain = 0; plain < (villains[i].connect_only ? 1 : 2); plain++) {
            uint64_t begin = test_now_ms();
            int code = 0;
            enum status s;

            client_ask(&r,
                       plain ? get(q, sizeof(q), "/hello", "")
                             : "CONNECT example.org:443 HTTP/1.1\r\n\r\n",
                       a, sizeof(a));
            if (memcmp(a, "HTTP/1.1 ", 9) != 0 || memcmp(a + 9, villains[i].code, 3) != 0)
                fail_msg("%s %s, plain %d: %.200s", villains[i].name, villains[i].scheme, plain, a);
            snprintf(q, sizeof(q), "x-fleet-error: %s\r\n", status_name(villains[i].status));
            expect_in(a, q);
            assert_null(strstr(a, "s3cret"));
            assert_null(strstr(a, "Proxy-Authenticate"));
            s = rig_take_result(&r, &code);
            assert_int_equal(s, villains[i].status);
            if (villains[i].peer_code >= 0)
                assert_int_equal(code, villains[i].peer_code);
            assert_true(test_now_ms() - begin < 4000);
        }
        rig_stop(&r);
        server_stop(&v);
    }
    tls_ctx_close(&tls);
}

/* --- probes --- */

static void on_probe(void *arg, const struct proxy *p, const struct probe_result *r)
{
    (void)p;
    *(struct probe_result *)arg = *r;
}

static struct probe_result probe(const char *line, const char *url_text)
{
    struct probe_opts o = {.url = url_text, .timeout_ms = 300};
    struct probe_result r = {.status = STATUS_INTERNAL};
    struct proxy *p = NULL;
    struct probe *running = NULL;
    struct loop *l = NULL;

    assert_int_equal(loop_create(&l, NULL, NULL), STATUS_OK);
    assert_int_equal(proxy_parse(str_from(line), "p", &p, NULL), STATUS_OK);
    o.proxy = p;
    assert_int_equal(probe_start(l, &o, on_probe, &r, &running, NULL), STATUS_OK);
    proxy_unref(&p);
    assert_int_equal(r.status, STATUS_INTERNAL); /* never from inside the call */
    loop_run(l);
    loop_run_once(l, 0);
    loop_destroy(&l);
    return r;
}

static void probes_tell_what_an_upstream_is_worth(void **state)
{
    struct child tiny, micro;
    char line[128], web[128], secure[128];
    struct probe_result r;

    (void)state;
    if (!is_installed("tinyproxy") || !is_installed("microsocks"))
        test_skip("tinyproxy or microsocks is not installed");
    start_tinyproxy(&tiny);
    start_microsocks(&micro);
    url(web, sizeof(web), "/hello");
    snprintf(secure, sizeof(secure), "https://127.0.0.1:%u/", target.port);
    for (int i = 0; i < 4; i++) {
        snprintf(line, sizeof(line), "%s://user:s3cret@127.0.0.1:%u", i % 2 ? "socks5" : "http",
                 i % 2 ? micro.port : tiny.port);
        r = probe(line, i / 2 ? secure : web);
        assert_int_equal(r.status, STATUS_OK);
        assert_int_equal(r.http_status, i / 2 ? 0 : 200);
    }
    for (int i = 0; i < 4; i++) {
        snprintf(line, sizeof(line), "%s://%s127.0.0.1:%u", i % 2 ? "socks5" : "http",
                 i / 2 ? "user:wr0ng@" : "", i % 2 ? micro.port : tiny.port);
        r = probe(line, web);
        assert_int_equal(r.status, STATUS_PROXY_AUTH);
    }
    child_stop(&tiny);
    child_stop(&micro);
    snprintf(line, sizeof(line), "http://127.0.0.1:%u", test_free_port());
    r = probe(line, web);
    assert_int_equal(r.status, STATUS_PROXY_FAILED);
    assert_int_equal(r.peer_code, ECONNREFUSED);
}

static void probes_end(void **state)
{
    struct server v;
    struct probe_opts o = {.url = "http://h/"};
    struct proxy *p = NULL;
    struct probe *running = NULL;
    struct loop *l = NULL;
    char line[64];

    (void)state;
    server_start(&v, bad_silent, NULL);
    snprintf(line, sizeof(line), "http://127.0.0.1:%u", v.port);
    assert_int_equal(probe(line, "http://h/").status, STATUS_TIMEOUT);
    assert_int_equal(probe(line, "https://h/").status, STATUS_TIMEOUT);
    assert_int_equal(loop_create(&l, NULL, NULL), STATUS_OK);
    assert_int_equal(proxy_parse(str_from(line), "p", &p, NULL), STATUS_OK);
    o.proxy = p;
    assert_int_equal(probe_start(l, &o, on_probe, NULL, &running, NULL), STATUS_OK);
    loop_run_once(l, 1);
    probe_cancel(&running);
    assert_null(running);
    o.url = "h";
    assert_int_equal(probe_start(l, &o, on_probe, NULL, &running, NULL), STATUS_INVALID);
    proxy_unref(&p);
    loop_run_once(l, 0);
    loop_destroy(&l);
    server_stop(&v);
}

static void dead_upstream_is_told(void **state)
{
    struct rig r;
    char line[128], a[1024];
    int code;

    (void)state;
    rig_start(&r, NULL);
    snprintf(line, sizeof(line), "http://user:s3cret@127.0.0.1:%u", test_free_port());
    rig_set_upstream(&r, line);
    client_ask(&r, "CONNECT example.org:443 HTTP/1.1\r\n\r\n", a, sizeof(a));
    expect_in(a, "x-fleet-error: PROXY_FAILED\r\n");
    assert_int_equal(rig_take_result(&r, &code), STATUS_PROXY_FAILED);
    assert_int_equal(code, ECONNREFUSED);
    rig_stop(&r);
}

static void slow_one_byte_at_a_time(int fd, void *arg)
{
    static const char yes[] = "HTTP/1.1 200 Connection established\r\nX-A: b\r\n\r\nhello";
    char c[4096];

    (void)arg;
    (void)!recv(fd, c, sizeof(c), 0);
    for (size_t i = 0; i + 1 < sizeof(yes); i++) {
        (void)!send(fd, yes + i, 1, MSG_NOSIGNAL);
        test_sleep_ms(2);
    }
}

static void slow_upstream_is_waited_for(void **state)
{
    struct server v;
    struct rig r;
    char line[128], a[256];
    int fd;

    (void)state;
    server_start(&v, slow_one_byte_at_a_time, NULL);
    rig_start(&r, NULL);
    snprintf(line, sizeof(line), "http://127.0.0.1:%u", v.port);
    rig_set_upstream(&r, line);
    fd = client_open(r.port);
    client_send(fd, "CONNECT example.org:443 HTTP/1.1\r\n\r\n");
    assert_true(client_read(fd, "\r\n\r\nhello", a, sizeof(a)));
    expect_start(a, "HTTP/1.1 200 ");
    assert_null(strstr(a, "X-A")); /* the proxy's head is not the browser's */
    close(fd);
    rig_stop(&r);
    server_stop(&v);
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
        cmocka_unit_test(tunnels_close_by_halves),
        cmocka_unit_test(back_pressure_reaches_the_server),
        cmocka_unit_test(thousands_of_tunnels_are_small),
        cmocka_unit_test(curl_goes_directly),
        cmocka_unit_test(uploads_go_through),
        cmocka_unit_test(tinyproxy_with_basic),
        cmocka_unit_test(microsocks_with_user_and_password),
        cmocka_unit_test(https_upstream_is_verified),
        cmocka_unit_test(misbehaving_upstreams_are_told_apart),
        cmocka_unit_test(probes_tell_what_an_upstream_is_worth),
        cmocka_unit_test(probes_end),
        cmocka_unit_test(dead_upstream_is_told),
        cmocka_unit_test(slow_upstream_is_waited_for),
        cmocka_unit_test(rotation_takes_the_next_request),
        cmocka_unit_test(kept_connection_that_died_is_replaced),
        cmocka_unit_test(limits_end_what_is_idle_or_old),
        cmocka_unit_test(more_than_may_be_open_wait_their_turn),
        cmocka_unit_test(the_listener_may_be_given),
        cmocka_unit_test(no_descriptor_is_left),
    };

    return cmocka_run_group_tests(tests, start_target, stop_target);
}
