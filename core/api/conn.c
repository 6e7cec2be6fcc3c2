/* A connection: what libwebsockets tells of it, turned into exchanges and WebSockets.
 *
 * One request a connection. libwebsockets 4.1 turns for ever, in its own code, when requests with
 * bodies are pipelined, and wakes the loop without end while an answer is awaited and the client
 * sends on or goes; so each answer closes, and reading stops while a handler thinks.
 *
 * The connection is found by the opaque pointer of its lws, which holds from accept to destroy,
 * while libwebsockets' own user data come and go with each request. */
#include <inttypes.h>
#include <libwebsockets.h>
#include <sys/socket.h>

#include "core/api/http_internal.h"

static void on_deadline(struct loop_timer *t);

static void expect_request(struct conn *c, uint64_t in_ms)
{
    loop_timer_start(c->server->opts.loop, &c->deadline, in_ms, on_deadline);
}

void http_conn_open(struct server *s, int fd)
{
    struct conn *c = xcalloc(1, sizeof(*c));

    c->server = s;
    c->wsi = lws_adopt_socket_vhost(s->vhost, fd);
    if (!c->wsi) {
        free(c);
        return;
    }
    lws_set_opaque_user_data(c->wsi, c);
    list_push(&s->conns, &c->link);
    s->n_conns++;
    expect_request(c, s->opts.request_ms);
}

void http_conn_kill(struct conn *c)
{
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
    lws_cancel_service(c->server->context); /* it looks at its timeouts when it is woken */
}

static void on_deadline(struct loop_timer *t)
{
    struct conn *c = container_of(t, struct conn, deadline);

    if (c->x && c->x->reading && !c->x->answered) {
        c->close_after = true;
        c->x->reading = false;
        expect_request(c, c->server->opts.request_ms);
        exchange_fail(c->x, STATUS_TIMEOUT,
                      "%" PRIu64 " bytes of the body did not come within %" PRIu64 " ms",
                      c->x->body_left, c->server->opts.request_ms);
        return;
    }
    http_conn_kill(c);
}

static void conn_closed(struct conn *c)
{
    struct exchange *x = c->x;

    loop_timer_stop(&c->deadline);
    c->x = NULL;
    if (c->ws)
        ws_end(c->ws);
    if (x)
        exchange_leave(x);
}

static void conn_destroyed(struct conn *c)
{
    struct server *s = c->server;

    conn_closed(c);
    list_remove(&c->link);
    s->n_conns--;
    server_conn_closed(s, c);
    free(c);
}

/* --- the head --- */

static const struct {
    enum lws_token_indexes token;
    enum http_method method;
} uri_tokens[] = {
    {WSI_TOKEN_GET_URI, HTTP_GET},         {WSI_TOKEN_HEAD_URI, HTTP_HEAD},
    {WSI_TOKEN_POST_URI, HTTP_POST},       {WSI_TOKEN_PUT_URI, HTTP_PUT},
    {WSI_TOKEN_PATCH_URI, HTTP_PATCH},     {WSI_TOKEN_DELETE_URI, HTTP_DELETE},
    {WSI_TOKEN_OPTIONS_URI, HTTP_OPTIONS},
};

static struct exchange *read_line(struct conn *c)
{
    char path[HEAD_MAX];

    for (size_t i = 0; i < ARRAY_LEN(uri_tokens); i++) {
        if (lws_hdr_copy(c->wsi, path, sizeof(path), uri_tokens[i].token) > 0)
            return http_exchange_create(c, uri_tokens[i].method, path);
    }
    return NULL;
}

static void read_query(struct exchange *x, struct lws *wsi)
{
    char text[HEAD_MAX];

    for (int i = 0; lws_hdr_copy_fragment(wsi, text, sizeof(text), WSI_TOKEN_HTTP_URI_ARGS, i) >= 0;
         i++) {
        struct str value = str_from(text), name = str_cut(&value, '=');

        if (name.len > 0)
            pairs_add(x->arena, &x->query, arena_strndup(x->arena, name.ptr, name.len),
                      value.ptr ? arena_strndup(x->arena, value.ptr, value.len) : "");
    }
}

static void read_headers(struct exchange *x, struct lws *wsi)
{
    char text[HEAD_MAX];

    for (int t = 0; t < _WSI_TOKEN_CLIENT_SENT_PROTOCOLS; t++) {
        struct str name = str_from((const char *)lws_token_to_string((enum lws_token_indexes)t));

        if (name.len < 2 || name.ptr[name.len - 1] != ':' || name.ptr[0] == ':')
            continue;
        if (lws_hdr_copy(wsi, text, sizeof(text), (enum lws_token_indexes)t) > 0)
            pairs_add(x->arena, &x->headers, arena_strndup(x->arena, name.ptr, name.len - 1),
                      arena_strdup(x->arena, text));
    }
    for (const char *const *h = x->server->opts.headers; h && *h; h++) {
        char *name = arena_printf(x->arena, "%s:", *h);
        int n = lws_hdr_custom_copy(wsi, text, sizeof(text), name, (int)strlen(name));

        if (n > 0)
            pairs_add(x->arena, &x->headers, *h, arena_strndup(x->arena, text, (size_t)n));
    }
}

static struct exchange *begin_exchange(struct conn *c)
{
    struct exchange *x = read_line(c);

    if (!x)
        return NULL;
    read_query(x, c->wsi);
    read_headers(x, c->wsi);
    c->x = x;
    return x;
}

/* --- the body --- */

/* While an answer is being thought of nobody reads from the client, so that we look ourselves
 * whether it is still there. */
static void on_look(struct loop_timer *t)
{
    struct conn *c = container_of(t, struct conn, deadline);
    char byte;

    if (recv(lws_get_socket_fd(c->wsi), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
        (void)lws_rx_flow_control(c->wsi, 1); /* so that it sees the end, too */
        http_conn_kill(c);
    } else {
        loop_timer_start(c->server->opts.loop, &c->deadline, LOOK_MS, on_look);
    }
}

static void run_handler(struct exchange *x)
{
    struct conn *c = x->conn;

    x->route->fn(x, c->server->opts.arg);
    if (c->x != x || x->answered)
        return;
    lws_set_timeout(c->wsi, NO_PENDING_TIMEOUT, 0); /* the handler may take its time */
    (void)lws_rx_flow_control(c->wsi, 0);
    loop_timer_start(c->server->opts.loop, &c->deadline, LOOK_MS, on_look);
}

/* How long the body is. False: answered. */
static bool body_length(struct exchange *x)
{
    const char *length = exchange_header(x, "content-length");

    if (exchange_header(x, "transfer-encoding")) {
        x->conn->close_after = true;
        exchange_fail(x, STATUS_INVALID,
                      "found transfer-encoding, expected a body with content-length");
        return false;
    }
    if (length && !str_to_u64(str_from(length), UINT64_MAX, &x->body_left)) {
        x->conn->close_after = true;
        exchange_fail(x, STATUS_INVALID, "content-length: found \"%.64s\", expected an integer",
                      length);
        return false;
    }
    return true;
}

/* Where the answer is there before the body: a small one is read to its end, so that the client
 * gets to see the answer. */
static void discard_body(struct exchange *x)
{
    if (x->body_left == 0 || x->conn->close_after)
        return;
    if (x->body_left > DISCARD_MAX) {
        x->conn->close_after = true;
        return;
    }
    x->discarding = x->reading = true;
}

static void check_body(struct exchange *x)
{
    if (x->body_left > x->server->opts.body_max)
        exchange_fail(x, STATUS_TOO_LARGE, "the body has %" PRIu64 " bytes, at most %zu are taken",
                      x->body_left, x->server->opts.body_max);
    else if (x->body_left > 0)
        x->reading = true;
}

static int on_request(struct conn *c)
{
    struct exchange *x = begin_exchange(c);

    if (!x)
        return -1;
    expect_request(c, c->server->opts.request_ms);
    lws_set_timeout(c->wsi, NO_PENDING_TIMEOUT, 0); /* `deadline` watches over it */
    /* an answer that comes from here on waits for its body: see conn_answer_ready */
    x->discarding = true;
    if (body_length(x) && exchange_find_route(x))
        check_body(x);
    x->discarding = false;
    if (x->answered)
        discard_body(x);
    if (x->reading)
        return 0;
    if (x->answered)
        conn_answer_ready(c);
    else
        run_handler(x);
    return 0;
}

static int on_body(struct conn *c, struct str part)
{
    struct exchange *x = c->x;

    if (!x || !x->reading)
        return part.len == 0 || c->close_after ? 0 : -1; /* bodies of no bytes are told, too */
    x->body_left -= part.len < x->body_left ? part.len : x->body_left;
    if (!x->discarding)
        buf_addstr(&x->body, part);
    return 0;
}

static void on_body_complete(struct conn *c)
{
    struct exchange *x = c->x;

    if (!x || !x->reading)
        return;
    x->reading = false;
    if (x->discarding) {
        x->discarding = false;
        conn_answer_ready(c);
    } else {
        run_handler(x);
    }
}

/* --- the answer --- */

void conn_answer_ready(struct conn *c)
{
    if (c->x->discarding || c->x->upgrade)
        return;
    expect_request(c, c->server->opts.idle_ms); /* until the client has read it */
    (void)lws_rx_flow_control(c->wsi, 1);
    lws_callback_on_writable(c->wsi);
}

static bool add_header(struct lws *wsi, const char *name, const char *value, unsigned char **p,
                       unsigned char *end)
{
    char with_colon[128];

    snprintf(with_colon, sizeof(with_colon), "%s:", name);
    return lws_add_http_header_by_name(wsi, (const unsigned char *)with_colon,
                                       (const unsigned char *)value, (int)strlen(value), p,
                                       end) == 0;
}

static bool write_head(struct conn *c, struct exchange *x)
{
    unsigned char raw[LWS_PRE + ANSWER_HEADERS_MAX];
    unsigned char *start = raw + LWS_PRE, *p = start, *end = raw + sizeof(raw) - 1;
    char length[24];
    bool ok = lws_add_http_header_status(c->wsi, x->code, &p, end) == 0;

    snprintf(length, sizeof(length), "%zu", x->reply.len);
    if (ok && x->type)
        ok = add_header(c->wsi, "content-type", x->type, &p, end);
    if (ok && x->code != 204)
        ok = add_header(c->wsi, "content-length", length, &p, end);
    if (ok)
        ok = add_header(c->wsi, "connection", "close", &p, end);
    for (size_t i = 0; ok && i < x->answer_headers.n; i++)
        ok = add_header(c->wsi, x->answer_headers.v[i].name, x->answer_headers.v[i].value, &p, end);
    x->head_sent = true;
    return ok && lws_finalize_write_http_header(c->wsi, start, &p, end) == 0;
}

static bool write_body(struct conn *c, struct exchange *x)
{
    unsigned char raw[LWS_PRE + CHUNK_MAX];
    size_t left = x->reply.len - x->sent, n = left < CHUNK_MAX ? left : CHUNK_MAX;

    if (n == 0)
        return true;
    memcpy(raw + LWS_PRE, x->reply.ptr + x->sent, n);
    if (lws_write(c->wsi, raw + LWS_PRE, n, n == left ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
        return false;
    x->sent += n;
    return true;
}

/* Goes on until libwebsockets holds nothing back any more: closing would drop it. */
static int on_writable(struct conn *c)
{
    struct exchange *x = c->x;
    bool is_head = x && x->method == HTTP_HEAD;

    if (!x || !x->answered || x->reading)
        return 0;
    if (!x->head_sent && !write_head(c, x))
        return -1;
    if (!is_head && !write_body(c, x))
        return -1;
    if (lws_partial_buffered(c->wsi) || (!is_head && x->sent < x->reply.len)) {
        expect_request(c, c->server->opts.idle_ms);
        lws_callback_on_writable(c->wsi);
        return 0;
    }
    c->x = NULL;
    exchange_leave(x);
    return -1;
}

/* --- WebSockets --- */

/* An answer to what wanted to be a WebSocket: written at once, as nothing comes after it. */
static int refuse_upgrade(struct conn *c, struct exchange *x)
{
    bool ok;

    c->close_after = true;
    ok = write_head(c, x);
    while (ok && x->sent < x->reply.len)
        ok = write_body(c, x);
    c->x = NULL;
    exchange_leave(x);
    return ok ? 1 : -1;
}

static int on_upgrade(struct conn *c, const char *to)
{
    struct exchange *x = begin_exchange(c);

    if (!x)
        return -1;
    x->upgrade = true;
    if (strcmp(to, "websocket") != 0)
        exchange_fail(x, STATUS_UNSUPPORTED,
                      "upgrade: found \"%.32s\", expected websocket, or none", to);
    else if (exchange_find_route(x))
        x->route->fn(x, c->server->opts.arg);
    if (!x->accepted) {
        BUG_ON(!x->answered); /* `upgrade` rows answer at once */
        return refuse_upgrade(c, x);
    }
    c->x = NULL;
    x->answered = true;
    exchange_leave(x);
    return 0;
}

static int on_established(struct conn *c)
{
    loop_timer_stop(&c->deadline);
    if (!c->ws)
        return -1;
    ws_opened(c->ws);
    return 0;
}

/* --- libwebsockets --- */

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct conn *c = wsi ? lws_get_opaque_user_data(wsi) : NULL;

    (void)user;
    if (!c)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return on_request(c);
    case LWS_CALLBACK_HTTP_BODY:
        return on_body(c, str_n(in, len));
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        on_body_complete(c);
        return 0;
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return on_writable(c);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return on_upgrade(c, in);
    case LWS_CALLBACK_ESTABLISHED:
        return on_established(c);
    case LWS_CALLBACK_RECEIVE: /* it came with the request: nobody may speak before the answer */
        return -1;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return c->ws && ws_write(c->ws) ? 0 : -1;
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLOSED_HTTP:
        conn_closed(c);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        lws_set_opaque_user_data(wsi, NULL);
        conn_destroyed(c);
        return 0;
    default:
        return 0;
    }
}

const struct lws_protocols *server_protocols(void)
{
    static const struct lws_protocols protocols[] = {
        {
            .name = "http",
            .callback = on_event,
            .rx_buffer_size = 32768,
            .tx_packet_size = 1048576,
        },
        {0},
    };

    return protocols;
}
