/* A connection of the browser: its life, what it asks for, and the ways out that are made for it.
 *
 *   HEAD --request--> LINK --way stands--> EXCHANGE --both ended--> HEAD (keep-alive)
 *     |  \--kept way fits--------------------^  |  \--101--> TUNNEL
 *     |                 LINK --CONNECT--> TUNNEL |
 *     any --error answer--> LINGER --> DEAD      \--close--> LINGER */
#include "proxies/forward_internal.h"

#include <stdio.h>

#include "proxies/vault.h"

static void on_down(void *arg, int fd, int events);
static void on_up(void *arg, int fd, int events);
static void on_link(struct link *k, void *arg);
static void on_timer(struct loop_timer *t);

/* --- accounts --- */

/* The callbacks may cut this very connection: the proxy is held meanwhile, so that its id stays. */
static void say_bytes(struct conn *c)
{
    struct proxy *p = c->proxy ? proxy_ref(c->proxy) : NULL;
    uint64_t in = c->unsaid_in, out = c->unsaid_out;

    c->unsaid_in = c->unsaid_out = 0;
    c->bytes_ms = c->last_ms;
    if (p && (in || out) && c->f->opts.on_upstream_bytes)
        c->f->opts.on_upstream_bytes(c->f->opts.arg, proxy_id(p), in, out);
    proxy_unref(&p);
}

void conn_count(struct conn *c, size_t in, size_t out)
{
    c->f->stats.bytes_in += in;
    c->f->stats.bytes_out += out;
    c->host->n.bytes_in += in;
    c->host->n.bytes_out += out;
    c->unsaid_in += in;
    c->unsaid_out += out;
    if (c->last_ms - c->bytes_ms >= BYTES_EVERY_MS)
        say_bytes(c);
}

void conn_report(struct conn *c, enum status s, uint64_t latency_ms, int code)
{
    struct proxy *p = c->proxy ? proxy_ref(c->proxy) : NULL;

    if (p && c->f->opts.on_upstream_result)
        c->f->opts.on_upstream_result(c->f->opts.arg, proxy_id(p), s, latency_ms, code);
    proxy_unref(&p);
}

/* --- life --- */

/* What each side is to wait for now. */
static int events_down(const struct conn *c)
{
    int events = side_is_waiting(&c->down) ? LOOP_WRITE : 0;
    bool read = false;

    switch (c->state) {
    case CONN_HEAD:
    case CONN_LINGER:
        read = !c->down.eof;
        break;
    case CONN_LINK:
        read = c->in.len < FORWARD_HEAD_MAX;
        break;
    case CONN_EXCHANGE:
        read = !side_is_waiting(&c->up) && c->in.len < FORWARD_HEAD_MAX;
        break;
    case CONN_TUNNEL:
        read = !c->down.eof && !side_is_waiting(&c->up);
        break;
    case CONN_DEAD:
        break;
    }
    return events | (read ? LOOP_READ : 0);
}

static int events_up(const struct conn *c)
{
    int events = side_is_waiting(&c->up) ? LOOP_WRITE : 0;

    if (c->state == CONN_HEAD || (!c->up.eof && !side_is_waiting(&c->down)))
        events |= LOOP_READ;
    return events;
}

static void update(struct conn *c)
{
    struct loop *l = c->f->loop;

    if (c->state == CONN_DEAD)
        return;
    if (!side_watch(&c->down, l, events_down(c), on_down, c) ||
        (side_is_open(&c->up) && !side_watch(&c->up, l, events_up(c), on_up, c)))
        conn_kill(c, true);
}

void conn_drop_up(struct conn *c)
{
    side_close(&c->up, true);
    free(steal_ptr(&c->up_host));
    say_bytes(c);
    proxy_unref(&c->proxy);
}

void conn_kill(struct conn *c, bool reset)
{
    struct forward_run *f = c->f;

    if (c->state == CONN_DEAD)
        return;
    c->state = CONN_DEAD;
    loop_timer_stop(&c->timer);
    link_destroy(&c->way);
    exchange_destroy(&c->x);
    side_close(&c->down, reset);
    buf_deinit(&c->in);
    list_remove(&c->link);
    list_push(&f->dead, &c->link);
    f->stats.open--;
    forward_reap_later(f);
    forward_resume_accept(f);
    side_close(&c->up, reset);
    conn_drop_up(c);
}

void conn_free(struct conn *c)
{
    free(c);
}

static void start_timer(struct conn *c, uint64_t in_ms)
{
    uint64_t total = c->f->opts.total_ms, age = c->last_ms - c->since_ms;
    uint64_t left = total > age ? total - age : 0;

    loop_timer_start(c->f->loop, &c->timer, in_ms < left ? in_ms : left, on_timer);
}

/* Fires at the earliest time that something may be due, and looks: so that traffic need not move
 * it. */
static void on_timer(struct loop_timer *t)
{
    struct conn *c = container_of(t, struct conn, timer);
    uint64_t now = loop_now_ms(c->f->loop), idle = now - c->last_ms;
    const struct forward_opts *o = &c->f->opts;

    if (c->state == CONN_LINGER || now - c->since_ms >= o->total_ms) {
        conn_kill(c, c->state != CONN_LINGER);
        return;
    }
    if (idle < o->idle_ms || c->state == CONN_LINK) { /* a link has its own deadline */
        c->last_ms = c->state == CONN_LINK ? now : c->last_ms;
        start_timer(c, idle < o->idle_ms ? o->idle_ms - idle : o->idle_ms);
        return;
    }
    if (c->state != CONN_EXCHANGE || c->x->answered) {
        conn_kill(c, c->state != CONN_HEAD);
        return;
    }
    if (!c->x->reused)
        conn_report(c, STATUS_TIMEOUT, now - c->x->started_ms, 0);
    conn_refuse(c, STATUS_TIMEOUT, 504, "no response within the idle limit");
    update(c);
}

void conn_finish(struct conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    c->state = CONN_LINGER;
    exchange_destroy(&c->x);
    link_destroy(&c->way);
    conn_drop_up(c);
    if (c->state == CONN_DEAD)
        return;
    side_end(&c->down);
    if (c->down.eof && !side_is_waiting(&c->down))
        conn_kill(c, false);
    else
        start_timer(c, LINGER_MS);
}

/* A field's value: what is no printable ASCII becomes '?'. */
static void add_field_text(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        buf_addc(out, *text >= ' ' && *text <= '~' ? *text : '?');
}

/* What a page asks for itself (a script's fetch, a service worker's, a picture) fails without a
 * word, as where no forwarder is: an answer would be one of the target to it. Of a document, and of
 * a tunnel, the browser shows scripts nothing. */
static bool may_be_told(const struct conn *c)
{
    return !c->of_browser || (c->x && (c->x->is_document || c->x->is_connect));
}

void conn_refuse(struct conn *c, enum status s, int code, const char *text)
{
    struct buf out = BUF_INIT(BUF_MAX_LINE);
    struct buf body = BUF_INIT(BUF_MAX_LINE);
    bool is_head = c->x && c->x->is_head;
    bool ok;

    if (c->state == CONN_DEAD)
        return;
    if (c->x && c->x->answered) {
        conn_kill(c, true);
        return;
    }
    if (code >= 500) {
        c->f->stats.failed++;
        if (c->host)
            c->host->n.failed++;
    }
    if (!may_be_told(c)) {
        conn_kill(c, false);
        return;
    }
    buf_addf(&body, "%s: %s\n", status_name(s), text);
    buf_addf(&out,
             "HTTP/1.1 %d %s\r\nx-fleet-error: %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Cache-Control: no-store\r\nContent-Length: %zu\r\nConnection: close\r\n"
             "x-fleet-why: ",
             code, status_text(s), status_name(s), body.len);
    add_field_text(&out, text);
    buf_adds(&out, "\r\n\r\n");
    if (!is_head)
        buf_addstr(&out, buf_str(&body));
    ok = side_send(&c->down, out.ptr, out.len);
    buf_deinit(&out);
    buf_deinit(&body);
    if (ok)
        conn_finish(c);
    else
        conn_kill(c, true);
}

/* --- ways out --- */

/* The tunnel stands: says so, together with what its other end has said already. */
static void open_tunnel(struct conn *c, struct buf *early)
{
    static const char yes[] = "HTTP/1.1 200 Connection established\r\n\r\n";

    conn_count(c, early->len, 0);
    if (c->state == CONN_DEAD)
        return;
    if (!side_send(&c->down, yes, sizeof(yes) - 1) ||
        (early->len && !side_send(&c->down, early->ptr, early->len)))
        conn_kill(c, true);
    else
        tunnel_start(c);
}

static void way_stands(struct conn *c)
{
    struct buf early = BUF_INIT(FORWARD_HEAD_MAX);
    bool shook_hands = c->x->is_connect || (c->proxy && proxy_scheme(c->proxy) == PROXY_SOCKS5);
    uint64_t latency = link_age_ms(c->way);
    int code = link_peer_code(c->way);

    link_take(c->way, &c->up.wire, &early);
    link_destroy(&c->way);
    if (shook_hands)
        conn_report(c, STATUS_OK, latency, code);
    if (c->state == CONN_DEAD)
        ;
    else if (c->x->is_connect)
        open_tunnel(c, &early);
    else
        exchange_start(c);
    buf_deinit(&early);
}

static void way_failed(struct conn *c)
{
    struct err e = *link_error(c->way);
    uint64_t latency = link_age_ms(c->way);
    bool denied = link_is_denied(c->way);

    link_destroy(&c->way);
    c->f->stats.denied += denied;
    c->host->n.denied += denied;
    if (!denied)
        conn_report(c, e.status, latency, e.peer_code);
    conn_refuse(c, e.status, denied ? 403 : e.status == STATUS_TIMEOUT ? 504 : 502, err_text(&e));
}

static void settle_link(struct conn *c, enum link_state s)
{
    if (s == LINK_READY)
        way_stands(c);
    else if (s == LINK_FAILED)
        way_failed(c);
}

static void on_link(struct link *k, void *arg)
{
    struct conn *c = arg;

    c->last_ms = loop_now_ms(c->f->loop);
    (void)k;
    settle_link(c, link_state(c->way));
    update(c);
}

void conn_start_link(struct conn *c)
{
    struct forward_run *f = c->f;
    struct link_opts o = {
        .shared = &f->shared,
        .proxy = c->proxy,
        .host = c->up_host,
        .port = c->up_port,
        .tunnel = c->x->is_connect,
        .timeout_ms = f->opts.connect_ms,
        .allow = f->opts.allow,
        .allow_arg = f->opts.arg,
    };
    enum link_state s;

    c->state = CONN_LINK;
    c->way = link_create(&o, on_link, c, &s);
    settle_link(c, s);
}

/* --- requests --- */

static char *lower_copy(struct str s)
{
    char *z = xcalloc(1, s.len + 1);

    for (size_t i = 0; i < s.len; i++) {
        char b = s.ptr[i];

        z[i] = b;
        if (b >= 'A' && b <= 'Z')
            z[i] = (char)(b - 'A' + 'a');
    }
    return z;
}

/* False when the request was refused. */
static bool is_allowed(struct conn *c, const char *host, uint16_t port)
{
    enum status s = forward_ask_host(c->f, host, port);

    if (c->state == CONN_DEAD)
        return false;
    if (s == STATUS_OK)
        return true;
    c->f->stats.denied++;
    c->host->n.denied++;
    conn_refuse(c, s, 403, FORWARD_DENIED_TEXT);
    return false;
}

static bool may_reuse(const struct conn *c, const struct proxy *p, const char *host, uint16_t port)
{
    return side_is_open(&c->up) && c->proxy == p && c->up_port == port &&
           strcmp(c->up_host, host) == 0 && wire_is_quiet(&c->up.wire);
}

/* The head as it goes on, for an exchange through `p`. */
static void write_head(struct conn *c, const struct http1_request *r, const struct proxy *p)
{
    bool absolute = p && proxy_scheme(p) != PROXY_SOCKS5;
    struct buf basic = BUF_INIT(2048);
    struct http1_onward how = {.absolute = absolute};

    if (absolute && proxy_has_credentials(p) && buf_reserve(&basic, 1024)) {
        proxy_add_basic(p, &basic);
        how.proxy_authorization = buf_str(&basic);
    }
    /* All at once, so that growing leaves no copy of credentials behind. */
    if (buf_reserve(&c->x->sent, c->in.len + basic.len + 1024))
        http1_write_request(r, &how, &c->x->sent);
    if (basic.ptr)
        vault_wipe(basic.ptr, basic.len);
    buf_deinit(&basic);
}

/* Leaves c->x ready to go over the kept connection (x->reused), or c->proxy and where to set for a
 * new one. False when the request was refused or the connection has ended. Takes `host`. */
static bool choose_way(struct conn *c, const struct http1_request *r, char *host)
{
    cleanup_free char *to = host;
    struct proxy *p = c->f->of->upstream;

    if (!p && !c->f->opts.allow_direct) {
        conn_refuse(c, STATUS_PROXY_NONE, 503, "no upstream proxy is set");
        return false;
    }
    if (!r->is_connect)
        write_head(c, r, p);
    if (!r->is_connect && may_reuse(c, p, to, r->port)) {
        c->x->reused = true;
        c->f->stats.reused++;
        return true;
    }
    p = p ? proxy_ref(p) : NULL;
    conn_drop_up(c);
    if (c->state == CONN_DEAD) {
        proxy_unref(&p);
        return false;
    }
    c->proxy = p;
    c->up_host = steal_ptr(&to);
    c->up_port = r->port;
    return true;
}

static void refuse_request(struct conn *c, const struct err *e)
{
    int code = e->status == STATUS_UNSUPPORTED ? 501 : e->status == STATUS_TOO_LARGE ? 431 : 400;

    conn_refuse(c, e->status, code, err_text(e));
}

/* A whole head of `n` bytes is at the front of c->in. */
static void take_request(struct conn *c, size_t n)
{
    struct http1_request r;
    struct err e = ERR_INIT;
    char *host;

    c->scanned = 0;
    c->f->stats.requests++;
    if (http1_parse_request(str_n(c->in.ptr, n), &r, &e) != STATUS_OK) {
        refuse_request(c, &e);
        return;
    }
    host = lower_copy(r.host);
    c->host = forward_count_host(c->f, host);
    c->host->n.requests++;
    c->x = exchange_create(&r, loop_now_ms(c->f->loop));
    if (!is_allowed(c, host, r.port)) {
        free(host);
        return;
    }
    if (!choose_way(c, &r, host))
        return;
    buf_consume(&c->in, n);
    if (c->in.len == 0)
        buf_deinit(&c->in);
    if (c->x->reused)
        exchange_start(c);
    else
        conn_start_link(c);
}

/* RFC 9112 §2.2: empty lines before a request are skipped. */
static void skip_empty_lines(struct conn *c)
{
    while (c->in.len >= 2 && c->scanned == 0 && memcmp(c->in.ptr, "\r\n", 2) == 0)
        buf_consume(&c->in, 2);
}

void conn_next_request(struct conn *c)
{
    size_t n;

    if (c->in.len == 0)
        return;
    skip_empty_lines(c);
    n = http1_head_end(buf_str(&c->in), &c->scanned);
    if (n > FORWARD_HEAD_MAX || (n == 0 && c->in.len >= FORWARD_HEAD_MAX))
        conn_refuse(c, STATUS_TOO_LARGE, 431, "the head of the request is larger than 64 KiB");
    else if (n)
        take_request(c, n);
}

/* --- events --- */

/* Reads what the browser says while no body is due. */
static void read_head(struct conn *c)
{
    struct forward_run *f = c->f;
    ssize_t n;

    if (c->in.len >= FORWARD_HEAD_MAX)
        return;
    n = wire_read(&c->down.wire, f->scratch, SCRATCH_SIZE);
    if (n == WIRE_AGAIN)
        return;
    if (n <= 0) {
        conn_kill(c, n < 0);
        return;
    }
    buf_add(&c->in, f->scratch, (size_t)n);
    if (c->state == CONN_HEAD)
        conn_next_request(c);
}

static void discard(struct conn *c)
{
    for (int i = 0; i < PUMP_ROUNDS; i++) {
        ssize_t n = wire_read(&c->down.wire, c->f->scratch, SCRATCH_SIZE);

        if (n == WIRE_AGAIN)
            return;
        if (n > 0)
            continue;
        c->down.eof = true;
        if (n < 0 || !side_is_waiting(&c->down))
            conn_kill(c, n < 0);
        return;
    }
}

static void from_down(struct conn *c)
{
    switch (c->state) {
    case CONN_HEAD:
    case CONN_LINK:
        read_head(c);
        break;
    case CONN_EXCHANGE:
        exchange_from_down(c);
        break;
    case CONN_TUNNEL:
        tunnel_from_down(c);
        break;
    case CONN_LINGER:
        discard(c);
        break;
    case CONN_DEAD:
        break;
    }
}

static void from_up(struct conn *c)
{
    switch (c->state) {
    case CONN_HEAD:
        conn_drop_up(c); /* a kept connection says nothing unless it ends */
        break;
    case CONN_EXCHANGE:
        exchange_from_up(c);
        break;
    case CONN_TUNNEL:
        tunnel_from_up(c);
        break;
    case CONN_LINK:
    case CONN_LINGER:
    case CONN_DEAD:
        break;
    }
}

/* Writes what waits for one side; when all is gone, its source is read on. */
static void drain(struct conn *c, struct side *to, void (*source)(struct conn *c))
{
    if (!side_is_waiting(to))
        return;
    if (!side_flush(to)) {
        if (to == &c->up && c->state == CONN_EXCHANGE)
            from_up(c); /* it may have answered before it closed */
        else
            conn_kill(c, true);
        return;
    }
    if (!side_is_waiting(to))
        source(c);
}

static void on_down(void *arg, int fd, int events)
{
    struct conn *c = arg;

    (void)fd;
    c->last_ms = loop_now_ms(c->f->loop);
    drain(c, &c->down, from_up);
    if (c->state != CONN_DEAD && (events & LOOP_READ) && !c->down.eof)
        from_down(c);
    if (c->state == CONN_LINGER && c->down.eof && !side_is_waiting(&c->down))
        conn_kill(c, false);
    update(c);
}

static void on_up(void *arg, int fd, int events)
{
    struct conn *c = arg;

    (void)fd;
    c->last_ms = loop_now_ms(c->f->loop);
    drain(c, &c->up, from_down);
    if (c->state != CONN_DEAD && (events & LOOP_READ) && side_is_open(&c->up))
        from_up(c);
    update(c);
}

void conn_open(struct forward_run *f, int fd, bool of_browser)
{
    struct conn *c = xcalloc(1, sizeof(*c));

    c->f = f;
    c->of_browser = of_browser;
    c->state = CONN_HEAD;
    side_init(&c->down);
    side_init(&c->up);
    c->down.wire.fd = fd;
    buf_init(&c->in, IN_MAX);
    c->since_ms = c->last_ms = c->bytes_ms = loop_now_ms(f->loop);
    if (!f->scratch)
        f->scratch = xreallocarray(NULL, 1, SCRATCH_SIZE);
    list_push(&f->conns, &c->link);
    f->stats.open++;
    f->stats.connections++;
    start_timer(c, f->opts.idle_ms);
    read_head(c); /* the request is often there already */
    update(c);
}
