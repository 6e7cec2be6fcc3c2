/* A request and its response. The response is relayed as it comes; what is read of it is only where
 * it ends, because the upstream connection may carry another request only when both have ended
 * exactly and nothing came behind. */
#include "proxies/forward_internal.h"

#include <errno.h>

#include "proxies/vault.h"

struct exchange *exchange_create(const struct http1_request *r, uint64_t now_ms)
{
    struct exchange *x = xcalloc(1, sizeof(*x));

    x->started_ms = now_ms;
    x->is_connect = r->is_connect;
    x->is_head = r->is_head;
    x->is_document = http1_asks_document(r);
    x->keep_alive = r->keep_alive;
    x->upgrade = r->upgrade;
    x->may_repeat = r->is_idempotent && r->framing == HTTP1_EMPTY;
    http1_body_init(&x->request, r->framing, r->length);
    buf_init(&x->sent, IN_MAX);
    buf_init(&x->head, FORWARD_HEAD_MAX);
    return x;
}

static void drop_sent(struct exchange *x)
{
    if (x->sent.ptr)
        vault_wipe(x->sent.ptr, x->sent.len);
    buf_deinit(&x->sent);
}

void exchange_destroy(struct exchange **xp)
{
    struct exchange *x = steal_ptr(xp);

    if (!x)
        return;
    drop_sent(x);
    buf_deinit(&x->head);
    free(x);
}

/* Is the upstream an HTTP proxy that the request went to as a whole? */
static bool via_http_proxy(const struct conn *c)
{
    return c->proxy && proxy_scheme(c->proxy) != PROXY_SOCKS5;
}

static uint64_t age_ms(const struct conn *c)
{
    return loop_now_ms(c->f->loop) - c->x->started_ms;
}

/* --- the request --- */

/* Sends body bytes on. False when the connection has ended. */
static bool send_body(struct conn *c, const char *p, size_t n, size_t *used)
{
    if (http1_body_feed(&c->x->request, p, n, used) == HTTP1_BODY_BAD) {
        conn_refuse(c, STATUS_INVALID, 400, "the chunks of the request's body cannot be read");
        return false;
    }
    if (*used == 0)
        return true;
    conn_count(c, 0, *used);
    if (c->state == CONN_DEAD)
        return false;
    if (side_send(&c->up, p, *used))
        return true;
    /* The upstream may have answered and closed before it took all: what it said counts. */
    c->x->request = (struct http1_body){.framing = HTTP1_UNTIL_CLOSE};
    exchange_from_up(c);
    return false;
}

void exchange_start(struct conn *c)
{
    struct exchange *x = c->x;
    size_t used = 0;

    c->state = CONN_EXCHANGE;
    conn_count(c, 0, x->sent.len);
    if (c->state == CONN_DEAD)
        return;
    if (!side_send(&c->up, x->sent.ptr, x->sent.len)) {
        exchange_from_up(c);
        return;
    }
    if (c->in.len && !http1_body_is_over(&x->request) && send_body(c, c->in.ptr, c->in.len, &used))
        buf_consume(&c->in, used);
}

void exchange_from_down(struct conn *c)
{
    struct forward_run *f = c->f;

    while (c->state == CONN_EXCHANGE && !side_is_waiting(&c->up) && c->in.len < FORWARD_HEAD_MAX) {
        ssize_t n = wire_read(&c->down.wire, f->scratch, SCRATCH_SIZE);
        size_t used = 0;

        if (n == WIRE_AGAIN)
            return;
        if (n <= 0) { /* a browser that closes has given up (RFC 9112 §9.6) */
            if (!c->x->heard && !c->x->reused && via_http_proxy(c) &&
                age_ms(c) >= f->opts.connect_ms)
                conn_report(c, STATUS_TIMEOUT, age_ms(c), 0);
            if (c->state != CONN_DEAD)
                conn_kill(c, n < 0);
            return;
        }
        if (!http1_body_is_over(&c->x->request) && !send_body(c, f->scratch, (size_t)n, &used))
            return;
        buf_add(&c->in, f->scratch + used, (size_t)n - used); /* of the next request */
        if (n < SCRATCH_SIZE)
            return;
    }
}

/* --- the response --- */

static void fail(struct conn *c, enum status s, int code, const char *text)
{
    bool proxied = via_http_proxy(c) && !c->x->reused;

    if (proxied) {
        conn_report(c, s == STATUS_UNAVAILABLE ? STATUS_PROXY_FAILED : s, age_ms(c), code);
        if (c->state == CONN_DEAD)
            return;
    }
    if (c->proxy && s == STATUS_UNAVAILABLE && via_http_proxy(c))
        s = STATUS_PROXY_FAILED;
    conn_refuse(c, s, s == STATUS_TIMEOUT ? 504 : 502, text);
}

/* The upstream connection that was kept had been closed meanwhile: on a new one, if the request may
 * be sent twice; otherwise the browser sees its connection end without an answer, as if it had been
 * its own, and decides. */
static void try_again(struct conn *c)
{
    if (!c->x->may_repeat) {
        conn_kill(c, false);
        return;
    }
    side_close(&c->up, true);
    c->x->reused = false;
    conn_start_link(c);
}

/* Both have ended: on to the next request, or the end. */
static void complete(struct conn *c, bool clean)
{
    struct exchange *x = c->x;
    bool sent_all = http1_body_is_over(&x->request);
    bool keep = x->response_keeps && sent_all;
    bool keep_down = keep && x->keep_alive;

    exchange_destroy(&c->x);
    if (!keep_down || !clean)
        conn_drop_up(c);
    if (c->state == CONN_DEAD)
        return;
    if (!keep_down) {
        conn_finish(c);
        return;
    }
    c->state = CONN_HEAD;
    conn_next_request(c);
}

static void upstream_ended(struct conn *c, bool broken)
{
    struct exchange *x = c->x;

    if (!x->heard && x->reused) {
        try_again(c);
    } else if (!x->answered) {
        fail(c, STATUS_UNAVAILABLE, 0,
             x->heard ? "the connection ended within the head of the response"
                      : "the connection ended without a response");
    } else if (x->has_head && x->response.framing == HTTP1_UNTIL_CLOSE && !broken) {
        conn_drop_up(c);
        if (c->state != CONN_DEAD)
            conn_finish(c);
    } else {
        conn_kill(c, true); /* cut short: the browser must not take it for whole */
    }
}

static void relay(struct conn *c, const char *p, size_t n)
{
    c->x->answered = true;
    if (n && !side_send(&c->down, p, n))
        conn_kill(c, true);
}

/* x-fleet-error is the forwarder's word: from others it is left out. */
static void relay_head(struct conn *c, struct str head, bool names_ours)
{
    while (names_ours && head.len && c->state != CONN_DEAD) {
        size_t n = (size_t)str_chr(head, '\n') + 1;

        BUG_ON(n == 0); /* a head ends with a line's end */
        if (!str_starts_nocase(head, STR("x-fleet-error")))
            relay(c, head.ptr, n);
        head = str_skip(head, n);
    }
    if (head.len && c->state != CONN_DEAD)
        relay(c, head.ptr, head.len);
}

/* The first bytes, on a connection of its own: the proxy serves. */
static void hear(struct conn *c)
{
    struct exchange *x = c->x;

    x->heard = true;
    drop_sent(x);
}

/* Looks at a whole head. False when that was the end of it. */
static bool take_head(struct conn *c, struct str head, struct http1_response *r)
{
    struct exchange *x = c->x;
    struct err e = ERR_INIT;

    if (http1_parse_response(head, x->is_head, r, &e) != STATUS_OK) {
        fail(c, via_http_proxy(c) ? STATUS_PROXY_FAILED : STATUS_PROTOCOL, 0, err_text(&e));
        return false;
    }
    if (r->status == 407 || (via_http_proxy(c) && connect_is_refusal(head, r->status))) {
        /* no business of the browser's, whoever says it */
        fail(c, via_http_proxy(c) ? STATUS_PROXY_AUTH : STATUS_PROTOCOL, r->status,
             "the credentials for the proxy are refused");
        return false;
    }
    if (r->interim ? ++x->interim > FORWARD_INTERIM_MAX : r->status == 101 && !x->upgrade) {
        fail(c, STATUS_PROTOCOL, r->status, "an interim response that nobody asked for");
        return false;
    }
    if (!r->interim && via_http_proxy(c) && !x->reused)
        conn_report(c, STATUS_OK, age_ms(c), r->status);
    return c->state == CONN_EXCHANGE;
}

static void begin_body(struct conn *c, const struct http1_response *r)
{
    struct exchange *x = c->x;

    x->has_head = !r->interim;
    x->response_keeps = r->keep_alive;
    http1_body_init(&x->response, r->framing, r->length);
    x->scanned = 0;
}

/* RFC 9110 §7.8: what follows the head of a 101 is the other protocol's. */
static void switch_protocols(struct conn *c, struct str head, bool names_ours, const char *rest,
                             size_t n)
{
    relay_head(c, head, names_ours);
    if (c->state != CONN_DEAD)
        relay(c, rest, n);
    if (c->state != CONN_DEAD)
        tunnel_start(c);
}

/* `head` is whole, `n` bytes came behind it (right behind it in memory when `joined`). Returns how
 * many of them were used. */
static size_t on_head(struct conn *c, struct str head, const char *rest, size_t n, bool joined)
{
    struct http1_response r;
    size_t used = 0;

    if (!take_head(c, head, &r))
        return n;
    begin_body(c, &r);
    if (r.status == 101) {
        switch_protocols(c, head, r.names_ours, rest, n);
        return n;
    }
    if (!r.interim && joined && n &&
        http1_body_feed(&c->x->response, rest, n, &used) == HTTP1_BODY_BAD) {
        fail(c, STATUS_PROTOCOL, 0, "the chunks of the response cannot be read");
        return n;
    }
    if (!r.names_ours) {
        relay(c, head.ptr, head.len + used);
        return used;
    }
    relay_head(c, head, true);
    if (c->state != CONN_DEAD)
        relay(c, rest, used);
    return used;
}

/* Collects the head. Returns how many of the bytes were used. */
static size_t on_head_bytes(struct conn *c, const char *p, size_t n)
{
    struct exchange *x = c->x;
    size_t had = x->head.len, room = FORWARD_HEAD_MAX - had, end, used;
    struct buf head;

    if (had == 0) {
        end = http1_head_end(str_n(p, n), &x->scanned);
        if (end && end <= FORWARD_HEAD_MAX)
            return end + on_head(c, str_n(p, end), p + end, n - end, true);
        x->scanned = 0;
    }
    if (n > room)
        n = room;
    buf_add(&x->head, p, n);
    end = http1_head_end(buf_str(&x->head), &x->scanned);
    if (!end) {
        if (x->head.len == FORWARD_HEAD_MAX)
            fail(c, via_http_proxy(c) ? STATUS_PROXY_FAILED : STATUS_PROTOCOL, 0,
                 "the head of the response is larger than 64 KiB");
        return n;
    }
    used = end - had;
    head = x->head; /* the exchange may end in on_head */
    buf_init(&x->head, FORWARD_HEAD_MAX);
    used += on_head(c, str_n(head.ptr, end), p + used, n - used, false);
    buf_deinit(&head);
    return used;
}

static size_t on_body_bytes(struct conn *c, const char *p, size_t n)
{
    size_t used;

    if (http1_body_feed(&c->x->response, p, n, &used) == HTTP1_BODY_BAD) {
        conn_kill(c, true);
        return n;
    }
    relay(c, p, used);
    return used;
}

/* True while the response goes on. */
static bool is_under_way(const struct conn *c)
{
    return c->state == CONN_EXCHANGE && !(c->x->has_head && http1_body_is_over(&c->x->response));
}

static void on_bytes(struct conn *c, const char *p, size_t n)
{
    size_t at = 0;

    while (at < n && is_under_way(c)) {
        if (c->x->has_head)
            at += on_body_bytes(c, p + at, n - at);
        else
            at += on_head_bytes(c, p + at, n - at);
    }
    if (c->state == CONN_EXCHANGE && !is_under_way(c))
        complete(c, at == n);
}

void exchange_from_up(struct conn *c)
{
    struct forward_run *f = c->f;
    const struct exchange *x = c->x;

    for (int i = 0; i < PUMP_ROUNDS || wire_has_pending(&c->up.wire); i++) {
        ssize_t n;

        if (c->state != CONN_EXCHANGE || c->x != x || side_is_waiting(&c->down))
            return;
        n = wire_read(&c->up.wire, f->scratch, SCRATCH_SIZE);
        if (n == WIRE_AGAIN)
            return;
        if (n <= 0) {
            upstream_ended(c, n < 0);
            return;
        }
        if (!x->heard)
            hear(c);
        conn_count(c, (size_t)n, 0);
        if (c->state == CONN_DEAD)
            return;
        on_bytes(c, f->scratch, (size_t)n);
        if (n < SCRATCH_SIZE && !c->up.wire.tls)
            return;
    }
}
