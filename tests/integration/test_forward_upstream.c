/* The forwarder against real upstreams and bad ones.
 *
 * What must hold: whatever the upstream does, the browser gets either the target's bytes unchanged
 * or an answer that says what failed; nothing goes around the upstream; credentials are seen by the
 * upstream alone. Upstreams are tinyproxy, microsocks and servers here that are silent, slow,
 * broken or speak garbage. */
#include "tests/support/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "proxies/tls.h"
#include "tests/integration/forward_target.h"
#include "tests/integration/forward_upstreams.h"

/* --- real upstreams --- */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tinyproxy_with_basic),
        cmocka_unit_test(microsocks_with_user_and_password),
        cmocka_unit_test(https_upstream_is_verified),
        cmocka_unit_test(misbehaving_upstreams_are_told_apart),
        cmocka_unit_test(dead_upstream_is_told),
        cmocka_unit_test(slow_upstream_is_waited_for),
    };

    return cmocka_run_group_tests(tests, start_target, stop_target);
}
