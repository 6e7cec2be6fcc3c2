/* The server's life: listener, libwebsockets' context on our loop, limits, end.
 *
 * We accept ourselves and hand the descriptors over, so that the number of connections, the modes
 * and the removal of the socket's file are ours.
 *
 * A context of libwebsockets (4.1) on a loop of ours ends in two steps: lws_context_destroy closes
 * its handles, which takes turns of the loop; when they are gone, and not before, a second call
 * frees it. Nothing tells when, so its handles are noted as it is made, and looked for. */
#include "core/api/http.h"

#include <errno.h>
#include <libwebsockets.h>
#include <sys/socket.h>
#include <uv.h>

#include "core/api/http_internal.h"
#include "core/base/log.h"

enum {
    BODY_MAX = 1024 * 1024,
    CONNECTIONS_MAX = 1024,
    REQUEST_MS = 10000,
    IDLE_MS = 60000,
    ACCEPTS_MAX = 64, /* a turn */
    CLOSER_MS = 5,
    DESCRIPTORS_OWN = 32, /* of libwebsockets itself, and some to spare */
};

/* --- accepting --- */

static bool is_idle(const struct conn *c)
{
    return !c->x && !c->ws;
}

/* The oldest connection that waits for a request makes room for who has one. */
static void make_room(struct server *s)
{
    list_for_each (it, &s->conns) {
        struct conn *c = list_entry(it, struct conn, link);

        if (is_idle(c)) {
            http_conn_kill(c);
            return;
        }
    }
}

static void set_accepting(struct server *s, bool accepting)
{
    if (!s->watch || accepting == s->accepting)
        return;
    s->accepting = accepting;
    loop_watch_set(s->watch, accepting ? LOOP_READ : 0);
}

static void on_connection(void *arg, int fd, int events)
{
    struct server *s = arg;

    (void)events;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int conn;

        if (s->n_conns >= s->opts.connections_max) {
            if (i > 0)
                return; /* whether somebody waits the next turn tells */
            set_accepting(s, false);
            make_room(s);
            return;
        }
        conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (conn < 0) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                log_warn(NULL, "server.accept", LOG_U64("errno", (uint64_t)errno));
            return;
        }
        http_conn_open(s, conn);
    }
}

void server_conn_closed(struct server *s, struct conn *c)
{
    (void)c;
    if (!s->closing && s->n_conns < s->opts.connections_max)
        set_accepting(s, true);
}

static void set_defaults(struct server_opts *o)
{
    if (!o->host)
        o->host = "127.0.0.1";
    if (!o->body_max)
        o->body_max = BODY_MAX;
    if (!o->connections_max)
        o->connections_max = CONNECTIONS_MAX;
    if (!o->request_ms)
        o->request_ms = REQUEST_MS;
    if (!o->idle_ms)
        o->idle_ms = IDLE_MS;
}

/* --- libwebsockets' handles on the loop --- */

struct handles {
    void *v[64];
    size_t n;
};

/* Its watches come and go; what it has as long as it lives are a timer and an idle handle. */
static void note_handle(uv_handle_t *h, void *arg)
{
    struct handles *all = arg;

    if ((h->type == UV_TIMER || h->type == UV_IDLE) && all->n < ARRAY_LEN(all->v))
        all->v[all->n++] = h;
}

static bool has_handle(const struct handles *all, const void *h)
{
    for (size_t i = 0; i < all->n; i++) {
        if (all->v[i] == h)
            return true;
    }
    return false;
}

/* Those that `create` added to the loop are the context's. */
static struct lws_context *lws_context_make(struct server *s,
                                            struct lws_context_creation_info *info)
{
    struct handles before = {.n = 0}, after = {.n = 0};
    struct lws_context *context;

    uv_walk(loop_uv(s->opts.loop), note_handle, &before);
    context = lws_create_context(info);
    uv_walk(loop_uv(s->opts.loop), note_handle, &after);
    for (size_t i = 0; i < after.n && s->n_handles < ARRAY_LEN(s->handles); i++) {
        if (!has_handle(&before, after.v[i]))
            s->handles[s->n_handles++] = after.v[i];
    }
    return context;
}

static bool handles_are_gone(const struct server *s)
{
    struct handles now = {.n = 0};

    uv_walk(loop_uv(s->opts.loop), note_handle, &now);
    for (size_t i = 0; i < s->n_handles; i++) {
        if (has_handle(&now, s->handles[i]))
            return false;
    }
    return true;
}

/* --- opening --- */

static enum status context_open(struct server *s, struct err *e)
{
    void *loops[] = {loop_uv(s->opts.loop)};
    struct lws_context_creation_info info = {
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_LIBUV,
        .foreign_loops = loops,
        .max_http_header_pool = (unsigned short)s->opts.connections_max,
        .max_http_header_data = HEAD_MAX,
        .pt_serv_buf_size = 2 * CHUNK_MAX,
        .fd_limit_per_thread = s->opts.connections_max + DESCRIPTORS_OWN,
    };
    /* Signs of life are ours to look for: what WebSockets send is not read by libwebsockets. */
    static const lws_retry_bo_t no_pings = {0};
    struct lws_context_creation_info vhost = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = server_protocols(),
        .vhost_name = "fleet",
        .retry_and_idle_policy = &no_pings,
        /* ours are the shorter ones */
        .timeout_secs = (unsigned)(s->opts.request_ms / 1000) + 5,
        .keepalive_timeout = (int)(s->opts.idle_ms / 1000) + 5,
    };

    lws_set_log_level(0, NULL);
    s->context = lws_context_make(s, &info);
    if (!s->context)
        return err_set(e, STATUS_ENVIRONMENT,
                       "libwebsockets could not join the event loop: is its libuv part (Debian "
                       "package libwebsockets-evlib-uv) installed?");
    s->vhost = lws_create_vhost(s->context, &vhost);
    if (s->vhost)
        return STATUS_OK;
    lws_context_destroy(s->context);
    return err_set(e, STATUS_ENVIRONMENT, "libwebsockets could not make a server");
}

enum status server_open(const struct server_opts *o, struct server **out, struct err *e)
{
    struct server *s = xcalloc(1, sizeof(*s));
    enum status st;

    *out = NULL;
    s->opts = *o;
    s->listener.fd = -1;
    set_defaults(&s->opts);
    list_init(&s->conns);
    st = o->unix_path ? listener_open_unix(o->unix_path, &s->listener, e)
                      : listener_open_tcp(s->opts.host, o->port, &s->listener, e);
    if (st == STATUS_OK)
        st = context_open(s, e);
    if (st == STATUS_OK)
        st = loop_watch_open(s->opts.loop, s->listener.fd, LOOP_READ, on_connection, s, &s->watch,
                             e);
    s->accepting = true;
    if (st == STATUS_OK) {
        *out = s;
        return STATUS_OK;
    }
    if (s->context) {
        server_close(s, NULL, NULL); /* takes turns of the loop */
    } else {
        listener_close(&s->listener);
        free(s);
    }
    return st;
}

uint16_t server_port(const struct server *s)
{
    return s->listener.port;
}

uint32_t server_connections(const struct server *s)
{
    return s->n_conns;
}

/* --- closing --- */

void server_stop(struct server *s)
{
    loop_watch_close(&s->watch);
    listener_close(&s->listener);
}

static void on_closer(struct loop_timer *t);

static void tell_closed(struct server *s)
{
    void (*fn)(void *arg) = s->closed;
    void *arg = s->closed_arg;

    free(s);
    if (fn)
        fn(arg);
}

/* Waits for close frames to be on their way, then for libwebsockets. */
static void on_closer(struct loop_timer *t)
{
    struct server *s = container_of(t, struct server, closer);

    if (s->vhost && (s->n_conns == 0 || loop_now_ms(s->opts.loop) >= s->close_by_ms)) {
        s->vhost = NULL;
        lws_context_destroy(s->context);
    } else if (!s->vhost && handles_are_gone(s)) {
        lws_context_destroy(s->context);
        tell_closed(s);
        return;
    }
    loop_timer_start(s->opts.loop, &s->closer, CLOSER_MS, on_closer);
}

void server_close(struct server *s, void (*closed)(void *arg), void *arg)
{
    BUG_ON(s->closing);
    server_stop(s);
    s->closing = true;
    s->closed = closed;
    s->closed_arg = arg;
    s->close_by_ms = loop_now_ms(s->opts.loop) + CLOSE_GRACE_MS;
    list_for_each_safe (it, &s->conns) {
        struct conn *c = list_entry(it, struct conn, link);

        if (c->ws)
            ws_close(c->ws, WS_GOING_AWAY, "the server ends");
        else if (!c->x || !c->x->answered)
            http_conn_kill(c);
    }
    loop_timer_start(s->opts.loop, &s->closer, 0, on_closer);
}
