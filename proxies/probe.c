/*  LINK -> (https) done
 *       -> SEND -> HEAD -> done */
#include "proxies/probe.h"

#include <errno.h>

#include "core/base/url.h"
#include "proxies/http1.h"
#include "proxies/link.h"
#include "proxies/side.h"
#include "proxies/vault.h"

enum { TIMEOUT_MS = 10000, REQUEST_MAX = 4 * URL_MAX };

struct probe {
    struct link_shared shared;
    struct proxy *proxy;
    struct link *way;
    struct side up;
    struct loop_timer timer; /* the deadline, and what calls back after it was settled at once */
    struct buf request, head;
    size_t scanned;
    bool tunnel, settled, shares_tls;
    uint64_t started_ms, timeout_ms;
    struct probe_result result;
    probe_fn *fn;
    void *arg;
};

static uint64_t age_ms(const struct probe *p)
{
    return loop_now_ms(p->shared.loop) - p->started_ms;
}

static void drop(struct buf *b)
{
    if (b->ptr)
        vault_wipe(b->ptr, b->len);
    buf_deinit(b);
}

static void destroy(struct probe *p)
{
    loop_timer_stop(&p->timer);
    link_destroy(&p->way);
    side_close(&p->up, true);
    drop(&p->request);
    buf_deinit(&p->head);
    resolver_destroy(&p->shared.resolver);
    if (!p->shares_tls)
        tls_ctx_close(&p->shared.tls);
    proxy_unref(&p->proxy);
    free(p);
}

static void tell(struct loop_timer *t)
{
    struct probe *p = container_of(t, struct probe, timer);

    p->fn(p->arg, p->proxy, &p->result);
    destroy(p);
}

/* The outcome stands; the callback comes from the loop, so that probe_start may settle too. */
static void settle(struct probe *p, enum status s, int code, const char *text)
{
    if (p->settled)
        return;
    p->settled = true;
    p->result.status = s;
    p->result.peer_code = code;
    p->result.latency_ms = age_ms(p);
    if (s != STATUS_OK) {
        err_set(&p->result.err, s, "%s", text);
        p->result.err.peer_code = code;
    }
    side_close(&p->up, true);
    loop_timer_start(p->shared.loop, &p->timer, 0, tell);
}

static void on_timeout(struct loop_timer *t)
{
    struct probe *p = container_of(t, struct probe, timer);

    settle(p, STATUS_TIMEOUT, 0, "no answer within the deadline");
}

static void take_head(struct probe *p, size_t n)
{
    struct http1_response r;
    struct err e = ERR_INIT;

    if (http1_parse_response(str_n(p->head.ptr, n), false, &r, &e) != STATUS_OK) {
        settle(p, STATUS_PROXY_FAILED, 0, err_text(&e));
        return;
    }
    p->result.http_status = r.status;
    if (connect_is_refusal(str_n(p->head.ptr, n), r.status))
        settle(p, STATUS_PROXY_AUTH, r.status, "the proxy refused the credentials");
    else
        settle(p, STATUS_OK, r.status, "");
}

static void on_up(void *arg, int fd, int events)
{
    struct probe *p = arg;
    char *room = buf_reserve(&p->head, 4096);
    ssize_t n;

    (void)fd;
    (void)events;
    if (p->settled)
        return;
    if (!side_flush(&p->up) || !room) {
        settle(p, STATUS_PROXY_FAILED, 0, room ? "the connection broke" : "the answer has no end");
        return;
    }
    n = wire_read(&p->up.wire, room, 4096);
    if (n > 0) {
        buf_commit(&p->head, (size_t)n);
        n = (ssize_t)http1_head_end(buf_str(&p->head), &p->scanned);
        if (n)
            take_head(p, (size_t)n);
    } else if (n != WIRE_AGAIN) {
        settle(p, STATUS_PROXY_FAILED, n < 0 ? errno : 0, "the connection ended without an answer");
    }
    if (!p->settled &&
        !side_watch(&p->up, p->shared.loop, LOOP_READ | (side_is_waiting(&p->up) ? LOOP_WRITE : 0),
                    on_up, p))
        settle(p, STATUS_IO, 0, "the connection cannot be watched");
}

static void way_ended(struct probe *p, enum link_state s)
{
    struct buf early = BUF_INIT(FORWARD_HEAD_MAX);
    const struct err *e = link_error(p->way);

    if (s == LINK_FAILED) {
        settle(p, e->status, e->peer_code, err_text(e));
        return;
    }
    p->result.connect_ms = age_ms(p);
    link_take(p->way, &p->up.wire, &early);
    buf_deinit(&early);
    if (p->tunnel)
        settle(p, STATUS_OK, link_peer_code(p->way), "");
    else if (!side_send(&p->up, p->request.ptr, p->request.len))
        settle(p, STATUS_PROXY_FAILED, errno, "the connection broke");
    else
        on_up(p, -1, 0);
}

static void on_link(struct link *k, void *arg)
{
    way_ended(arg, link_state(k));
}

/* The request as it goes to the proxy, or through it. */
static enum status write_request(struct probe *p, const struct url *u, struct err *e)
{
    bool absolute = proxy_scheme(p->proxy) != PROXY_SOCKS5;
    struct buf text = BUF_INIT(REQUEST_MAX), basic = BUF_INIT(2048);
    struct http1_onward how = {.absolute = absolute};
    struct http1_request r;
    enum status s;

    buf_addf(&text,
             "GET %.*s HTTP/1.1\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n"
             "%sConnection: close\r\n\r\n",
             STR_ARG(u->href), absolute ? "Proxy-" : "");
    s = http1_parse_request(buf_str(&text), &r, e);
    if (s == STATUS_OK && absolute && proxy_has_credentials(p->proxy) &&
        buf_reserve(&basic, 1024)) {
        proxy_add_basic(p->proxy, &basic);
        how.proxy_authorization = buf_str(&basic);
    }
    if (s == STATUS_OK && buf_reserve(&p->request, text.len + basic.len + 1024))
        http1_write_request(&r, &how, &p->request);
    drop(&basic);
    buf_deinit(&text);
    return s;
}

static struct probe *create(struct loop *l, const struct probe_opts *o, probe_fn *fn, void *arg)
{
    struct probe *p = xcalloc(1, sizeof(*p));

    p->shared.loop = l;
    p->shared.ca_file = o->ca_file;
    p->shared.tls = o->tls;
    p->shares_tls = o->tls != NULL;
    p->shared.resolver = resolver_create(l);
    p->proxy = proxy_ref(o->proxy);
    p->timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS;
    p->started_ms = loop_now_ms(l);
    p->fn = fn;
    p->arg = arg;
    side_init(&p->up);
    buf_init(&p->request, REQUEST_MAX);
    buf_init(&p->head, FORWARD_HEAD_MAX);
    return p;
}

static void go(struct probe *p, const char *host, uint16_t port)
{
    struct link_opts k = {
        .shared = &p->shared,
        .proxy = p->proxy,
        .host = host,
        .port = port,
        .tunnel = p->tunnel,
        .timeout_ms = p->timeout_ms,
    };
    enum link_state s;

    loop_timer_start(p->shared.loop, &p->timer, p->timeout_ms, on_timeout);
    p->way = link_create(&k, on_link, p, &s);
    if (s != LINK_WAIT)
        way_ended(p, s);
}

enum status probe_start(struct loop *l, const struct probe_opts *o, probe_fn *fn, void *arg,
                        struct probe **out, struct err *e)
{
    struct arena *a = arena_create(NULL, 0);
    struct url u;
    struct probe *p;
    enum status s = url_parse(a, str_from(o->url), "http https", &u, e);

    if (s == STATUS_OK && u.host.len > PROXY_HOST_MAX)
        s = err_set(e, STATUS_INVALID, "probe: host longer than %d bytes", PROXY_HOST_MAX);
    if (s == STATUS_OK) {
        p = create(l, o, fn, arg);
        p->tunnel = str_eqz(u.scheme, "https");
        if (!p->tunnel)
            s = write_request(p, &u, e);
        if (s != STATUS_OK) {
            destroy(p);
        } else {
            go(p, arena_strndup(a, u.host.ptr, u.host.len), u.port);
            *out = p;
        }
    }
    arena_destroy(&a);
    return s;
}

void probe_cancel(struct probe **pp)
{
    struct probe *p = steal_ptr(pp);

    if (p)
        destroy(p);
}
