/*   RESOLVE -> DIAL -> [TLS] -> [HANDSHAKE] -> READY
 *      any, and the timer -> FAILED
 *
 * Each step either goes on at once or waits; `advance` runs them in a row. The owner hears of the
 * end by the value link_create returns, or by its callback if that value was WAIT. */
#include "proxies/link.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>

enum phase { PHASE_RESOLVE, PHASE_DIAL, PHASE_TLS, PHASE_SEND, PHASE_RECEIVE, PHASE_COUNT };

struct link {
    struct link_shared *shared;
    struct proxy *proxy;
    enum link_state state;
    enum phase phase;
    uint16_t port;
    bool tunnel, creating, denied;
    uint64_t started_ms;
    forward_allow_fn *allow;
    void *allow_arg;
    link_fn *fn;
    void *arg;
    struct loop_timer timer;
    struct resolve resolve;
    struct dial dial;
    struct wire wire;
    struct loop_watch *watch;
    struct connect connect;
    bool connecting; /* `connect` was begun */
    size_t sent;     /* of connect_out */
    struct buf early;
    struct err error;
    char host[PROXY_HOST_MAX + 1];
};

/* What is connected to: the proxy, or the target itself. */
static const char *peer_host(const struct link *k)
{
    return k->proxy ? proxy_host(k->proxy) : k->host;
}

static uint16_t peer_port(const struct link *k)
{
    return k->proxy ? proxy_port(k->proxy) : k->port;
}

static const char *peer_name(const struct link *k)
{
    return k->proxy ? proxy_id(k->proxy) : k->host;
}

/* The way to the proxy failed, or the way to the target. */
static enum status unreachable(const struct link *k)
{
    return k->proxy ? STATUS_PROXY_FAILED : STATUS_UNAVAILABLE;
}

static void finish(struct link *k, enum link_state s)
{
    k->state = s;
    loop_timer_stop(&k->timer);
    resolve_cancel(&k->resolve);
    dial_cancel(&k->dial);
    loop_watch_close(&k->watch);
    if (s == LINK_FAILED)
        wire_close(&k->wire, true);
}

static void fail(struct link *k, enum status s, int code, const char *text)
{
    err_set(&k->error, s, "%s%s: %s", k->proxy ? "proxy " : "", peer_name(k), text);
    k->error.peer_code = code;
    finish(k, LINK_FAILED);
}

static void fail_errno(struct link *k, int err)
{
    char text[128];

    snprintf(text, sizeof(text), "not reached: %s",
             strerrordesc_np(err) ? strerrordesc_np(err) : "?");
    fail(k, unreachable(k), err, text);
}

/* --- steps: true when the next one may begin --- */

static bool step_resolve(struct link *k);
static bool step_dial(struct link *k);
static bool step_tls(struct link *k);
static bool step_send(struct link *k);
static bool step_receive(struct link *k);

static bool (*const steps[PHASE_COUNT])(struct link *k) = {
    [PHASE_RESOLVE] = step_resolve, [PHASE_DIAL] = step_dial,       [PHASE_TLS] = step_tls,
    [PHASE_SEND] = step_send,       [PHASE_RECEIVE] = step_receive,
};

static void advance(struct link *k)
{
    while (k->state == LINK_WAIT && steps[k->phase](k))
        ;
    if (k->state != LINK_WAIT && !k->creating)
        k->fn(k, k->arg);
}

static void on_watch(void *arg, int fd, int events)
{
    (void)fd;
    (void)events;
    advance(arg);
}

/* Waits for `events` on the wire. */
static bool await(struct link *k, int events)
{
    if (!k->watch && loop_watch_open(k->shared->loop, k->wire.fd, events, on_watch, k, &k->watch,
                                     &k->error) != STATUS_OK) {
        finish(k, LINK_FAILED);
        return false;
    }
    loop_watch_set(k->watch, events);
    return false;
}

static void on_resolved(struct resolve *q)
{
    struct link *k = container_of(q, struct link, resolve);

    k->phase = PHASE_DIAL;
    advance(k);
}

static bool step_resolve(struct link *k)
{
    struct link_shared *sh = k->shared;

    if (!sh->resolver)
        sh->resolver = resolver_create(sh->loop);
    if (!resolve_start(sh->resolver, &k->resolve, peer_host(k), on_resolved))
        return false;
    k->phase = PHASE_DIAL;
    return true;
}

/* Leaves the addresses that the hook lets pass. False when there were some and none may be used. */
static bool keep_allowed(struct link *k, struct addrs *a)
{
    enum status refused = STATUS_OK;
    size_t n = 0;

    for (size_t i = 0; i < a->n; i++) {
        enum status s = STATUS_OK;

        net_addr_set_port(&a->v[i], peer_port(k));
        if (!k->proxy && k->allow)
            s = k->allow(k->allow_arg, k->host, k->port, &a->v[i].sa);
        if (s == STATUS_OK)
            a->v[n++] = a->v[i];
        else
            refused = s;
    }
    a->n = n;
    k->denied = n == 0 && refused != STATUS_OK;
    if (k->denied)
        fail(k, refused, 0, "its address is refused by policy");
    return n > 0;
}

static void connected(struct link *k)
{
    k->wire = (struct wire){.fd = k->dial.fd};
    k->phase = PHASE_TLS;
}

static void on_dialled(struct dial *d)
{
    struct link *k = container_of(d, struct link, dial);

    if (d->state == DIAL_DONE)
        connected(k);
    else
        fail_errno(k, d->error);
    advance(k);
}

static bool step_dial(struct link *k)
{
    struct addrs *a = &k->resolve.addrs;
    enum dial_state s;

    if (k->resolve.gai_error) {
        fail(k, unreachable(k), 0, gai_strerror(k->resolve.gai_error));
        return false;
    }
    if (!keep_allowed(k, a))
        return false;
    s = dial_begin(&k->dial, k->shared->loop, a, on_dialled);
    if (s == DIAL_FAILED)
        fail_errno(k, k->dial.error);
    if (s == DIAL_DONE)
        connected(k);
    return s == DIAL_DONE;
}

static bool begin_handshake(struct link *k)
{
    struct err e = ERR_INIT;

    if (!k->proxy || (!k->tunnel && proxy_scheme(k->proxy) != PROXY_SOCKS5)) {
        finish(k, LINK_READY);
        return false;
    }
    k->connecting = true;
    if (connect_begin(&k->connect, k->proxy, k->host, k->port, &e) != STATUS_OK) {
        fail(k, STATUS_INVALID, 0, err_text(&e));
        return false;
    }
    k->phase = PHASE_SEND;
    return true;
}

static bool open_tls(struct link *k)
{
    struct link_shared *sh = k->shared;

    if ((sh->tls || tls_ctx_open(sh->ca_file, &sh->tls, &k->error) == STATUS_OK) &&
        tls_open(sh->tls, k->wire.fd, proxy_host(k->proxy), &k->wire.tls, &k->error) == STATUS_OK)
        return true;
    finish(k, LINK_FAILED);
    return false;
}

static bool step_tls(struct link *k)
{
    struct err e = ERR_INIT;

    if (!k->proxy || proxy_scheme(k->proxy) != PROXY_HTTPS)
        return begin_handshake(k);
    if (!k->wire.tls && !open_tls(k))
        return false;
    switch (tls_handshake(k->wire.tls, &e)) {
    case 1:
        return begin_handshake(k);
    case TLS_WANT_READ:
        return await(k, LOOP_READ);
    case TLS_WANT_WRITE:
        return await(k, LOOP_WRITE);
    default:
        fail(k, STATUS_PROXY_FAILED, 0, err_text(&e));
        return false;
    }
}

static bool step_send(struct link *k)
{
    struct str out = connect_out(&k->connect);

    while (k->sent < out.len) {
        ssize_t n = wire_write(&k->wire, out.ptr + k->sent, out.len - k->sent);

        if (n == WIRE_AGAIN)
            return await(k, k->wire.write_wants_read ? LOOP_READ : LOOP_WRITE);
        if (n < 0) {
            fail(k, STATUS_PROXY_FAILED, k->wire.tls ? 0 : errno,
                 "the connection broke in the handshake");
            return false;
        }
        k->sent += (size_t)n;
    }
    k->phase = PHASE_RECEIVE;
    return true;
}

static bool feed(struct link *k, const char *p, size_t n)
{
    struct err e = ERR_INIT;
    size_t used;

    switch (connect_feed(&k->connect, p, n, &used, &e)) {
    case CONNECT_MORE:
        k->sent = 0;
        k->phase = PHASE_SEND;
        return true;
    case CONNECT_DONE:
        buf_add(&k->early, p + used, n - used);
        finish(k, LINK_READY);
        return false;
    default:
        fail(k, e.status, e.peer_code, err_text(&e));
        return false;
    }
}

static bool step_receive(struct link *k)
{
    char bytes[4096];
    ssize_t n = wire_read(&k->wire, bytes, sizeof(bytes));

    if (n == WIRE_AGAIN)
        return await(k, k->wire.read_wants_write ? LOOP_WRITE : LOOP_READ);
    if (n > 0)
        return feed(k, bytes, (size_t)n);
    fail(k, STATUS_PROXY_FAILED, n < 0 && !k->wire.tls ? errno : 0,
         n == 0 ? "it closed the connection in the handshake"
                : "the connection broke in the handshake");
    return false;
}

/* --- life --- */

static void on_timeout(struct loop_timer *t)
{
    struct link *k = container_of(t, struct link, timer);

    fail(k, STATUS_TIMEOUT, 0, "no connection within the deadline");
    advance(k);
}

struct link *link_create(const struct link_opts *o, link_fn *fn, void *arg, enum link_state *state)
{
    struct link *k = xcalloc(1, sizeof(*k));

    k->shared = o->shared;
    k->proxy = o->proxy ? proxy_ref(o->proxy) : NULL;
    k->port = o->port;
    k->tunnel = o->tunnel;
    k->allow = o->allow;
    k->allow_arg = o->allow_arg;
    k->fn = fn;
    k->arg = arg;
    k->wire = (struct wire)WIRE_INIT;
    k->started_ms = loop_now_ms(o->shared->loop);
    buf_init(&k->early, FORWARD_HEAD_MAX);
    BUG_ON(strlen(o->host) > PROXY_HOST_MAX);
    memcpy(k->host, o->host, strlen(o->host));
    loop_timer_start(o->shared->loop, &k->timer, o->timeout_ms, on_timeout);
    k->creating = true;
    advance(k);
    k->creating = false;
    *state = k->state;
    return k;
}

void link_destroy(struct link **kp)
{
    struct link *k = steal_ptr(kp);

    if (!k)
        return;
    finish(k, k->state);
    wire_close(&k->wire, true);
    if (k->connecting)
        connect_end(&k->connect);
    buf_deinit(&k->early);
    proxy_unref(&k->proxy);
    free(k);
}

void link_take(struct link *k, struct wire *out, struct buf *early)
{
    BUG_ON(k->state != LINK_READY);
    *out = k->wire;
    k->wire = (struct wire)WIRE_INIT;
    buf_addstr(early, buf_str(&k->early));
}

enum link_state link_state(const struct link *k)
{
    return k->state;
}

bool link_is_denied(const struct link *k)
{
    return k->denied;
}

const struct err *link_error(const struct link *k)
{
    return &k->error;
}

uint64_t link_age_ms(const struct link *k)
{
    return loop_now_ms(k->shared->loop) - k->started_ms;
}

int link_peer_code(const struct link *k)
{
    return k->connecting ? k->connect.peer_code : 0;
}
