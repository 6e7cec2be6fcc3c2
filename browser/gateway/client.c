/* A client's socket. Its messages are taken in turns: so many in one turn of the loop, the rest
 * waits in line and the socket is not read meanwhile, so that who floods waits for himself. What
 * the browser sends waits in the socket's queue; while that is long nothing more is read from the
 * client. */
#include <inttypes.h>
#include <stdio.h>

#include "browser/gateway/gateway_internal.h"
#include "core/base/log.h"
#include "core/base/map.h"

enum {
    TURN_MESSAGES = 64,
    INBOX_PAUSE_BYTES = 1024 * 1024,
    INBOX_MAX_BYTES = 128 * 1024 * 1024,
    PIPE_BYTES = 8 * 1024 * 1024, /* that an instance has not read: nobody gives it more */
};

struct waiting {
    struct list link;
    size_t len;
    char text[];
};

void client_unref(struct client *c)
{
    if (--c->refs > 0)
        return;
    map_destroy(&c->adopted, NULL);
    free(c->page);
    free(c);
}

/* --- sessions --- */

struct cdp_session *client_session(struct client *c, const char *id)
{
    return id[0] == '\0' ? c->root : map_find(c->adopted, str_from(id));
}

static void on_tap(void *arg, struct cdp_session *s, struct str method, struct str params)
{
    struct client *c = arg;
    char id[VIEW_ID_MAX];

    if (c->mux == NULL)
        return;
    if (s == c->root && files_heard(c->lease, c, method, params))
        return;
    snprintf(id, sizeof id, "%s", s == c->root ? "" : cdp_session_id(s));
    mux_event(c->mux, id, method, params);
}

bool client_adopt(void *arg, const char *id)
{
    struct client *c = arg;
    struct cdp_session *s;

    if (c->lease == NULL || c->lease->lost || c->closing || strlen(id) >= VIEW_ID_MAX)
        return false;
    s = cdp_session_create(cdp_session_conn(c->root), str_from(id));
    if (s == NULL)
        return false;
    cdp_session_tap(s, on_tap, c);
    map_put(c->adopted, str_from(id), s);
    return true;
}

void client_forget(void *arg, const char *id)
{
    struct client *c = arg;
    struct cdp_session *s = map_remove(c->adopted, str_from(id));

    cdp_session_destroy(&s, STATUS_CLOSED, "Session with given id not found.");
}

/* --- the end --- */

static void drop_inbox(struct client *c)
{
    struct list *l;

    while ((l = list_pop(&c->inbox)) != NULL)
        free(list_entry(l, struct waiting, link));
    c->inbox_bytes = 0;
}

static void drop_sessions(struct client *c)
{
    struct cdp_session *s;
    size_t it = 0;

    mux_destroy(&c->mux);
    while ((s = map_next(c->adopted, &it, NULL)) != NULL)
        cdp_session_destroy(&s, STATUS_CLOSED, "the client went");
    map_destroy(&c->adopted, NULL);
    c->adopted = map_create();
    cdp_session_destroy(&c->root, STATUS_CLOSED, "the client went");
}

void client_lose(struct client *c)
{
    c->ready = false;
    cdp_room_cancel(&c->room);
    drop_inbox(c);
    drop_sessions(c);
}

/* It is out of its lease at once; the socket's end follows. */
static void leave(struct client *c)
{
    struct lease *l = c->lease;

    if (l == NULL)
        return;
    if (c->root != NULL && !l->lost) {
        struct cdp_conn *conn = cdp_session_conn(c->root);
        char id[VIEW_ID_MAX];

        snprintf(id, sizeof id, "%s", cdp_session_id(c->root));
        cdp_room_cancel(&c->room);
        drop_sessions(c);
        cdp_callf(cdp_conn_root(conn), "Target.detachFromTarget", 0, NULL, NULL,
                  "{\"sessionId\":\"%s\"}", id);
        files_deny(l);
    }
    client_lose(c);
    c->ready = false;
    c->lease = NULL;
    list_remove(&c->link);
    l->n_clients--;
    lease_clients_changed(l);
    client_unref(c);
}

void client_close(struct client *c, unsigned code, const char *reason)
{
    if (c->closing)
        return;
    c->closing = true;
    if (c->ws != NULL)
        ws_close(c->ws, code, reason);
    c->refs++;
    leave(c);
    client_unref(c);
}

static void on_close(void *arg, struct ws *w, unsigned code, struct str reason)
{
    struct client *c = arg;

    (void)w;
    (void)reason;
    log_debug(NULL, "gateway.client.gone", LOG_U64("code", code));
    c->ws = NULL;
    c->closing = true;
    leave(c);
    client_unref(c);
}

/* --- messages --- */

static void drain_step(void *arg);

static void post(struct client *c)
{
    if (c->posted)
        return;
    c->posted = true;
    c->refs++;
    loop_defer(c->gateway->deps.loop, drain_step, c);
}

static void read_on(struct client *c)
{
    if (c->paused && c->ws != NULL && !ws_is_full(c->ws) && c->inbox_bytes < INBOX_PAUSE_BYTES) {
        c->paused = false;
        ws_pause(c->ws, false);
    }
}

static void on_room(void *arg)
{
    post(arg);
}

/* An instance that does not read holds up its own clients, and nobody's memory. */
static bool has_room(struct client *c)
{
    struct cdp_conn *conn = cdp_session_conn(c->root);

    if (cdp_conn_waiting(conn) < PIPE_BYTES)
        return true;
    cdp_room_wait(conn, &c->room, on_room, c);
    return false;
}

static void drain_step(void *arg)
{
    struct client *c = arg;

    c->posted = false;
    c->turn_left = TURN_MESSAGES;
    while (c->ready && c->turn_left > 0 && !list_empty(&c->inbox) && has_room(c)) {
        struct waiting *w = list_entry(list_pop(&c->inbox), struct waiting, link);

        c->inbox_bytes -= w->len;
        c->turn_left--;
        mux_message(c->mux, str_n(w->text, w->len));
        free(w);
    }
    if (c->ready && !list_empty(&c->inbox) && has_room(c))
        post(c);
    read_on(c);
    client_unref(c);
}

static void keep(struct client *c, struct str text)
{
    struct waiting *w;

    if (c->inbox_bytes + text.len > INBOX_MAX_BYTES) {
        client_close(c, WS_TOO_LARGE, "too much before the browser is there");
        return;
    }
    w = xcalloc(1, sizeof *w + text.len + 1);
    w->len = text.len;
    memcpy(w->text, text.ptr, text.len);
    list_push(&c->inbox, &w->link);
    c->inbox_bytes += text.len;
    if (c->inbox_bytes >= INBOX_PAUSE_BYTES && !c->paused) {
        c->paused = true;
        ws_pause(c->ws, true);
    }
    if (c->ready && has_room(c))
        post(c);
}

static void on_message(void *arg, struct ws *w, struct str message, bool binary)
{
    struct client *c = arg;

    (void)w;
    if (c->lease == NULL)
        return;
    lease_heard(c->lease);
    if (binary) {
        client_close(c, WS_UNSUPPORTED, "DevTools messages are text");
        return;
    }
    if (!c->ready || !list_empty(&c->inbox) || c->turn_left == 0 || !has_room(c)) {
        keep(c, message);
        return;
    }
    c->turn_left--;
    post(c); /* which begins the next turn */
    mux_message(c->mux, message);
}

static void on_writable(void *arg, struct ws *w)
{
    (void)w;
    read_on(arg);
}

/* --- the beginning --- */

static void on_attached(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct client *c = arg;
    struct lease *l = c->lease;
    const char *id = json_str(json_get(result, "sessionId"), "");
    struct mux_host host;

    if (l != NULL && !l->lost && s == STATUS_OK)
        c->root = cdp_session_create(context_conn(l->own.ctx), str_from(id));
    if (c->root != NULL) {
        cdp_session_tap(c->root, on_tap, c);
        lease_host(l, &host, c);
        c->mux = mux_create(&l->view, &l->scope, &host, c->page);
        c->ready = true;
        post(c);
    } else {
        client_close(c, WS_ERROR, err_text(e));
    }
    client_unref(c);
}

void client_start(struct client *c)
{
    if (c->root != NULL || c->lease->lost)
        return;
    c->refs++;
    cdp_call(cdp_conn_root(context_conn(c->lease->own.ctx)), "Target.attachToBrowserTarget",
             STR_NONE, 0, on_attached, c);
}

struct client *client_create(struct lease *l, const char *page)
{
    struct client *c = xcalloc(1, sizeof *c);

    c->gateway = l->gateway;
    c->lease = l;
    c->refs = 2; /* the lease's, the socket's */
    c->turn_left = TURN_MESSAGES;
    c->page = page != NULL ? xstrdup(page) : NULL;
    c->adopted = map_create();
    list_init(&c->inbox);
    list_push(&l->clients, &c->link);
    l->n_clients++;
    return c;
}

void lease_connect(struct lease *l, struct exchange *x, const char *page)
{
    struct client *c = client_create(l, page);
    const struct ws_opts o = {
        .on_message = on_message,
        .on_writable = on_writable,
        .on_close = on_close,
        .arg = c,
        .message_max = MUX_BYTES_MAX,
        .queue_high = 16 * 1024 * 1024,
    };

    c->ws = exchange_accept(x, &o);
    if (l->state != LEASE_ASKED)
        client_start(c);
    lease_clients_changed(l);
}
