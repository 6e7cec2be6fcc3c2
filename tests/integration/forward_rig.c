#include "tests/integration/forward_rig.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "tests/support/testing.h"

/* --- the forwarder --- */

static void on_result(void *arg, const char *id, enum status s, uint64_t latency_ms, int code)
{
    struct rig *r = arg;

    pthread_mutex_lock(&r->lock);
    if (r->n_results < RESULTS_MAX) {
        snprintf(r->results[r->n_results].id, sizeof(r->results[0].id), "%s", id);
        r->results[r->n_results].status = s;
        r->results[r->n_results].latency_ms = latency_ms;
        r->results[r->n_results].code = code;
        r->n_results++;
    }
    pthread_mutex_unlock(&r->lock);
}

static void on_bytes(void *arg, const char *id, uint64_t in, uint64_t out)
{
    struct rig *r = arg;

    (void)id;
    pthread_mutex_lock(&r->lock);
    r->bytes_in += in;
    r->bytes_out += out;
    pthread_mutex_unlock(&r->lock);
}

static void *run_loop(void *arg)
{
    struct rig *r = arg;

    loop_hold(r->loop);
    loop_run(r->loop);
    loop_release(r->loop);
    return NULL;
}

void rig_start(struct rig *r, const struct forward_opts *opts)
{
    struct forward_opts o = FORWARD_OPTS_INIT;
    struct err e = ERR_INIT;

    memset(r, 0, sizeof(*r));
    o.allow_direct = true;
    if (opts)
        o = *opts;
    o.on_upstream_result = on_result;
    o.on_upstream_bytes = on_bytes;
    if (!o.arg)
        o.arg = r;
    pthread_mutex_init(&r->lock, NULL);
    assert_int_equal(loop_create(&r->loop, NULL, &e), STATUS_OK);
    if (forward_open(r->loop, &o, &r->f, &e) != STATUS_OK)
        fail_msg("%s", err_text(&e));
    r->port = forward_port(r->f);
    assert_int_equal(pthread_create(&r->thread, NULL, run_loop, r), 0);
}

/* A call that is made on the loop's thread while the test waits. */
struct call {
    struct rig *rig;
    void (*fn)(struct call *c);
    const char *host; /* or a proxy line */
    struct forward_stats stats;
    struct forward_host count;
    atomic_bool done;
};

static void run_call(void *arg)
{
    struct call *c = arg;

    c->fn(c);
    atomic_store(&c->done, true);
}

static void call(struct call *c)
{
    loop_post(c->rig->loop, run_call, c);
    while (!atomic_load(&c->done))
        test_sleep_ms(1);
}

static void do_stop(struct call *c)
{
    forward_close(&c->rig->f);
    loop_stop(c->rig->loop);
}

void rig_stop(struct rig *r)
{
    struct call c = {.rig = r, .fn = do_stop};

    call(&c);
    pthread_join(r->thread, NULL);
    for (int i = 0; i < 20; i++) /* look-ups that were under way */
        loop_run_once(r->loop, 1);
    loop_destroy(&r->loop);
    pthread_mutex_destroy(&r->lock);
}

static void do_set(struct call *c)
{
    struct proxy *p = NULL;
    struct err e = ERR_INIT;

    if (c->host && proxy_parse(str_from(c->host), "p", &p, &e) != STATUS_OK)
        BUG("%s", err_text(&e));
    forward_set_upstream(c->rig->f, p);
    proxy_unref(&p);
}

void rig_set_upstream(struct rig *r, const char *line)
{
    struct call c = {.rig = r, .fn = do_set, .host = line};

    call(&c);
}

static void do_cut(struct call *c)
{
    forward_cut_all(c->rig->f);
}

void rig_cut_all(struct rig *r)
{
    struct call c = {.rig = r, .fn = do_cut};

    call(&c);
}

static void do_stats(struct call *c)
{
    forward_stats(c->rig->f, &c->stats);
}

struct forward_stats rig_stats(struct rig *r)
{
    struct call c = {.rig = r, .fn = do_stats};

    call(&c);
    return c.stats;
}

static void do_host(struct call *c)
{
    struct forward_host h;
    size_t it = 0;

    while (forward_host_next(c->rig->f, &it, &h)) {
        if (strcmp(h.host, c->host) == 0)
            c->count = h;
    }
}

struct forward_host rig_host(struct rig *r, const char *host)
{
    struct call c = {.rig = r, .fn = do_host, .host = host};

    call(&c);
    return c.count;
}

static bool has_result(void *arg)
{
    struct rig *r = arg;
    bool has;

    pthread_mutex_lock(&r->lock);
    has = r->n_results > 0;
    pthread_mutex_unlock(&r->lock);
    return has;
}

enum status rig_take_result(struct rig *r, int *code)
{
    enum status s;

    if (!test_wait_until(has_result, r, 2000))
        fail_msg("no result of the upstream was told");
    pthread_mutex_lock(&r->lock);
    s = r->results[r->n_results - 1].status;
    if (code)
        *code = r->results[r->n_results - 1].code;
    r->n_results = 0;
    pthread_mutex_unlock(&r->lock);
    return s;
}

/* --- servers --- */

struct served {
    struct server *s;
    int fd;
};

static void *serve_one(void *arg)
{
    struct served c = *(struct served *)arg;

    free(arg);
    c.s->fn(c.fd, c.s->arg);
    close(c.fd);
    atomic_fetch_sub(&c.s->open, 1);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct server *s = arg;
    pthread_attr_t attr;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    while (!atomic_load(&s->stopping)) {
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        struct timeval limit = {.tv_sec = 15};
        struct served *c;
        pthread_t t;
        int fd;

        if (poll(&p, 1, 20) != 1 || (fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        atomic_fetch_add(&s->accepted, 1);
        atomic_fetch_add(&s->open, 1);
        c = calloc(1, sizeof(*c));
        c->s = s;
        c->fd = fd;
        if (pthread_create(&t, &attr, serve_one, c) != 0)
            abort();
    }
    pthread_attr_destroy(&attr);
    return NULL;
}

void server_start(struct server *s, serve_fn *fn, void *arg)
{
    memset(s, 0, sizeof(*s));
    s->fn = fn;
    s->arg = arg;
    s->fd = test_listen(&s->port);
    assert_int_equal(listen(s->fd, 4096), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, accept_all, s), 0);
}

static bool is_idle(void *arg)
{
    struct server *s = arg;

    return atomic_load(&s->open) == 0;
}

void server_stop(struct server *s)
{
    atomic_store(&s->stopping, true);
    pthread_join(s->thread, NULL);
    close(s->fd);
    assert_true(test_wait_until(is_idle, s, 16000));
}

static bool put(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static bool puts_to(int fd, const char *z)
{
    return put(fd, z, strlen(z));
}

static bool put_many(int fd, size_t n)
{
    static const char block[64 * 1024] = {[0 ... sizeof(block) - 1] = 'x'};

    while (n) {
        size_t k = n < sizeof(block) ? n : sizeof(block);

        if (!put(fd, block, k))
            return false;
        n -= k;
    }
    return true;
}

/* Path, and what is answered. */
static const struct {
    const char *path, *answer;
    bool close;
} pages[] = {
    {"/hello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false},
    {"/empty", "HTTP/1.1 204 No Content\r\n\r\n", false},
    {"/same", "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n", false},
    {"/chunked",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: v\r\n\r\n", false},
    {"/interim",
     "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
     false},
    {"/close", "HTTP/1.1 200 OK\r\n\r\nuntil the end", true},
    {"/old", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", true},
    {"/extra", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\nevil",
     false},
    {"/short", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", true},
    {"/shortchunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nhello", true},
    {"/badchunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello", true},
    {"/nothing", "", true},
    {"/halfhead", "HTTP/1.1 200 OK\r\nContent-Le", true},
    {"/garbage", "220 ftp ready\r\n\r\n", true},
    {"/auth", "HTTP/1.1 407 Give\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", false},
};

/* Reads a head and the body that its Content-Length tells. 0 at the end. */
static size_t read_request(int fd, char *head, size_t size, size_t *body)
{
    size_t n = 0;

    while (n + 1 < size) {
        ssize_t k = recv(fd, head + n, 1, 0);

        if (k <= 0)
            return 0;
        head[++n] = '\0';
        if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    {
        const char *cl = strcasestr(head, "\r\ncontent-length:");
        size_t left = cl ? strtoul(cl + 17, NULL, 10) : 0;

        *body = left;
        while (left) {
            char block[4096];
            ssize_t k = recv(fd, block, left < sizeof(block) ? left : sizeof(block), 0);

            if (k <= 0)
                return 0;
            left -= (size_t)k;
        }
    }
    return n;
}

static bool answer(int fd, const char *head, const char *path, size_t body)
{
    char out[8192];

    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (strcmp(path, pages[i].path) == 0)
            return puts_to(fd, pages[i].answer) && !pages[i].close;
    }
    if (strncmp(path, "/n=", 3) == 0) {
        size_t n = strtoul(path + 3, NULL, 10);

        snprintf(out, sizeof(out), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
        return puts_to(fd, out) && put_many(fd, n);
    }
    if (strcmp(path, "/upgrade") == 0) {
        if (puts_to(fd, "HTTP/1.1 101 Switching\r\nUpgrade: echo\r\n\r\nfirst "))
            serve_echo(fd, NULL);
        return false;
    }
    if (strcmp(path, "/head") == 0) { /* what it got, as the body */
        snprintf(out, sizeof(out), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(head));
        return puts_to(fd, out) && puts_to(fd, head);
    }
    snprintf(out, sizeof(out), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%zu",
             snprintf(NULL, 0, "%zu", body), body);
    return puts_to(fd, out);
}

void serve_http(int fd, void *arg)
{
    char head[70 * 1024], method[16], path[256];
    size_t body;

    (void)arg;
    while (read_request(fd, head, sizeof(head), &body)) {
        if (sscanf(head, "%15s %255s", method, path) != 2)
            return;
        if (strcmp(method, "HEAD") == 0) {
            if (!puts_to(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"))
                return;
        } else if (!answer(fd, head, path, body)) {
            return;
        }
    }
}

void serve_echo(int fd, void *arg)
{
    char block[8192];
    ssize_t n;

    (void)arg;
    while ((n = recv(fd, block, sizeof(block), 0)) > 0) {
        if (!put(fd, block, (size_t)n))
            return;
    }
    if (n == 0)
        puts_to(fd, "bye");
}

/* --- a client --- */

int client_open(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval limit = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

void client_send(int fd, const char *text)
{
    assert_true(puts_to(fd, text));
}

bool client_read(int fd, const char *until, char *out, size_t size)
{
    size_t n = 0;

    out[0] = '\0';
    while (n + 1 < size) {
        ssize_t k = recv(fd, out + n, until ? 1 : size - 1 - n, 0);

        if (k == 0)
            return until == NULL;
        if (k < 0)
            return false;
        n += (size_t)k;
        out[n] = '\0';
        if (until && strstr(out, until))
            return true;
    }
    return false;
}

int client_tunnel(struct rig *r, uint16_t port)
{
    int fd = client_open(r->port);
    char text[512];

    snprintf(text, sizeof(text), "CONNECT 127.0.0.1:%u HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n",
             port, port);
    client_send(fd, text);
    if (!client_read(fd, "\r\n\r\n", text, sizeof(text)) || strncmp(text, "HTTP/1.1 200", 12) != 0)
        fail_msg("the tunnel was refused: %s", text);
    return fd;
}

void client_ask(struct rig *r, const char *request, char *out, size_t size)
{
    int fd = client_open(r->port);

    client_send(fd, request);
    (void)client_read(fd, NULL, out, size);
    close(fd);
}
