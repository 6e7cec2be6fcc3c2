/* Calls wait in a map by id and in a list of their session, so that the end of a session answers
 * its own and nobody else's. Commands of a turn gather in one buffer that is written at the end of
 * the turn (loop_defer): overrides, navigation and resume of a page are one write without anybody
 * having to say so. Answers that we make ourselves (cancelled, closed) also go through the end of
 * the turn, so that a callback never runs inside the call that caused it. */
#include "browser/cdp/conn.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/base/map.h"

struct cdp_session {
    struct cdp_conn *conn;
    char *id;
    struct list listeners;
    struct list pending;
    cdp_tap_fn *tap;
    void *tap_arg;
    uint64_t heard_ms;
};

struct pending {
    struct list link; /* in the session's list, or the connection's list of doomed ones */
    uint64_t id;
    struct cdp_conn *conn;
    const char *method;
    cdp_reply_fn *fn;
    cdp_text_fn *text_fn; /* instead of fn */
    void *arg;
    struct loop_timer timer;
    struct err err; /* for doomed ones */
};

struct cdp_conn {
    struct loop *loop;
    struct transport *transport;
    void (*on_close)(void *arg, enum status why, const struct err *e);
    void *arg;
    struct cdp_session *root;
    struct map *sessions; /* id -> struct cdp_session */
    struct map *calls;    /* id -> struct pending */
    struct list doomed;
    struct list waits; /* struct cdp_room_wait */
    struct buf out;
    uint64_t next_id;
    bool flush_posted, doom_posted, open, told, dispatching, destroyed;
    struct err why;
    struct cdp_stats stats;
};

/* --- sessions --- */

static struct cdp_session *session_new(struct cdp_conn *c, struct str id)
{
    struct cdp_session *s = xcalloc(1, sizeof *s);

    s->conn = c;
    s->id = xcalloc(1, id.len + 1);
    memcpy(s->id, id.len > 0 ? id.ptr : "", id.len);
    list_init(&s->listeners);
    list_init(&s->pending);
    return s;
}

static void session_free(struct cdp_session *s)
{
    while (!list_empty(&s->listeners))
        list_remove(s->listeners.next);
    free(s->id);
    free(s);
}

struct cdp_session *cdp_session_create(struct cdp_conn *c, struct str id)
{
    struct cdp_session *s;

    if (id.len == 0 || map_find(c->sessions, id) != NULL)
        return NULL;
    s = session_new(c, id);
    map_put(c->sessions, id, s);
    return s;
}

struct cdp_session *cdp_session_find(struct cdp_conn *c, struct str id)
{
    return id.len == 0 ? c->root : map_find(c->sessions, id);
}

struct cdp_conn *cdp_session_conn(const struct cdp_session *s)
{
    return s->conn;
}

const char *cdp_session_id(const struct cdp_session *s)
{
    return s->id;
}

uint64_t cdp_session_heard_ms(const struct cdp_session *s)
{
    return s->heard_ms;
}

void cdp_listen(struct cdp_session *s, struct cdp_listener *l, const struct cdp_handler *handlers,
                size_t n, void *arg)
{
    cdp_unlisten(l);
    l->handlers = handlers;
    l->n = n;
    l->arg = arg;
    list_push(&s->listeners, &l->link);
}

void cdp_unlisten(struct cdp_listener *l)
{
    if (l->link.next != NULL)
        list_remove(&l->link);
}

/* --- answers --- */

static void pending_remove(struct pending *p)
{
    loop_timer_stop(&p->timer);
    list_remove(&p->link);
    map_remove_u64(p->conn->calls, p->id);
}

/* Takes the call out of everything and answers it. */
static void answer(struct pending *p, enum status s, const struct json *result, const struct err *e)
{
    pending_remove(p);
    if (p->text_fn != NULL)
        p->text_fn(p->arg, s, STR_NONE, e);
    else
        p->fn(p->arg, s, result, e);
    free(p);
}

static void answer_doomed(struct cdp_conn *c)
{
    struct list *l;

    while ((l = c->doomed.next) != &c->doomed) {
        struct pending *p = list_entry(l, struct pending, link);

        answer(p, p->err.status, NULL, &p->err);
    }
}

static void conn_free(struct cdp_conn *c)
{
    map_destroy(&c->calls, NULL);
    map_destroy(&c->sessions, NULL);
    session_free(c->root);
    buf_deinit(&c->out);
    free(c);
}

static void tell_close(struct cdp_conn *c)
{
    if (c->open || c->told || c->destroyed)
        return;
    c->told = true;
    if (c->on_close != NULL)
        c->on_close(c->arg, c->why.status, &c->why);
}

/* A deferred step of the connection runs once more after cdp_conn_destroy; the last one frees it.
 */
static bool step_begin(struct cdp_conn *c, bool *posted)
{
    *posted = false;
    if (!c->destroyed)
        return true;
    if (!c->flush_posted && !c->doom_posted && !c->dispatching)
        conn_free(c);
    return false;
}

static void doom_step(void *arg)
{
    struct cdp_conn *c = arg;

    if (!step_begin(c, &c->doom_posted))
        return;
    c->dispatching = true;
    answer_doomed(c);
    tell_close(c);
    c->dispatching = false;
    if (c->destroyed && !c->flush_posted && !c->doom_posted)
        conn_free(c);
}

static void doom_post(struct cdp_conn *c)
{
    if (c->doom_posted)
        return;
    c->doom_posted = true;
    loop_defer(c->loop, doom_step, c);
}

static void doom(struct pending *p, const struct err *e)
{
    if (p->err.status != STATUS_OK)
        return; /* doomed already */
    p->err = *e;
    loop_timer_stop(&p->timer);
    list_remove(&p->link);
    list_push(&p->conn->doomed, &p->link);
    doom_post(p->conn);
}

static void doom_all(struct cdp_session *s, const struct err *e)
{
    while (!list_empty(&s->pending))
        doom(list_entry(s->pending.next, struct pending, link), e);
}

static void on_deadline(struct loop_timer *t)
{
    struct pending *p = container_of(t, struct pending, timer);
    struct err e = ERR_INIT;

    err_set(&e, STATUS_TIMEOUT, "%s: no answer by the deadline", p->method);
    doom(p, &e);
}

void cdp_cancel(struct cdp_conn *c, uint64_t id, enum status why)
{
    struct pending *p = map_find_u64(c->calls, id);
    struct err e = ERR_INIT;

    if (p == NULL)
        return;
    err_set(&e, why, "%s: %s", p->method, status_text(why));
    doom(p, &e);
}

void cdp_session_destroy(struct cdp_session **sp, enum status why, const char *sentence)
{
    struct cdp_session *s = *sp;
    struct err e = ERR_INIT;

    if (s == NULL)
        return;
    *sp = NULL;
    err_set(&e, why, "%s", sentence != NULL ? sentence : "");
    doom_all(s, &e);
    map_remove(s->conn->sessions, str_from(s->id));
    session_free(s);
}

/* --- sending --- */

static void conn_lost(struct cdp_conn *c, enum status why, const struct err *e)
{
    struct err gone = ERR_INIT;
    struct cdp_session *s;
    size_t it = 0;

    if (!c->open)
        return;
    c->open = false;
    c->why = *e;
    c->why.status = why;
    err_set(&gone, STATUS_BROWSER_GONE, "%s", err_text(e));
    doom_all(c->root, &gone);
    while ((s = map_next(c->sessions, &it, NULL)) != NULL)
        doom_all(s, &gone);
    doom_post(c);
}

static void tell_room(struct cdp_conn *c)
{
    struct list *l;

    while (c->transport->queued < TRANSPORT_ROOM && (l = list_pop(&c->waits)) != NULL) {
        struct cdp_room_wait *w = list_entry(l, struct cdp_room_wait, link);

        w->fn(w->arg);
    }
}

static void on_transport_room(void *arg)
{
    tell_room(arg);
}

size_t cdp_conn_waiting(const struct cdp_conn *c)
{
    return c->open ? c->out.len + c->transport->queued : 0;
}

void cdp_room_wait(struct cdp_conn *c, struct cdp_room_wait *w, void (*fn)(void *arg), void *arg)
{
    cdp_room_cancel(w);
    w->fn = fn;
    w->arg = arg;
    list_push(&c->waits, &w->link);
}

void cdp_room_cancel(struct cdp_room_wait *w)
{
    if (w->link.next != NULL)
        list_remove(&w->link);
}

static void flush_step(void *arg)
{
    struct cdp_conn *c = arg;
    struct err e = ERR_INIT;
    enum status s;

    if (!step_begin(c, &c->flush_posted))
        return;
    if (!c->open || c->out.len == 0)
        return;
    log_trace(NULL, "cdp.out", LOG_S("bytes", buf_str(&c->out)));
    s = transport_send(c->transport, buf_str(&c->out), &e);
    c->stats.writes++;
    c->stats.bytes_out += c->out.len;
    buf_reset(&c->out);
    if (s != STATUS_OK)
        conn_lost(c, s, &e);
    else
        tell_room(c); /* what was written at once is told of by nobody else */
}

static void flush_post(struct cdp_conn *c)
{
    if (c->flush_posted)
        return;
    c->flush_posted = true;
    loop_defer(c->loop, flush_step, c);
}

/* Room for what stands around the params of a command. */
enum { COMMAND_HEAD_MAX = 1024 };

static void write_command(struct cdp_conn *c, const struct cdp_session *s, uint64_t id,
                          const char *method, struct str params)
{
    char head[32];
    int n = snprintf(head, sizeof head, "{\"id\":%" PRIu64 ",\"method\":\"", id);

    buf_add(&c->out, head, (size_t)n);
    buf_adds(&c->out, method);
    buf_addc(&c->out, '"');
    if (s->id[0] != '\0') {
        buf_adds(&c->out, ",\"sessionId\":\"");
        buf_adds(&c->out, s->id);
        buf_addc(&c->out, '"');
    }
    if (params.len > 0) {
        buf_adds(&c->out, ",\"params\":");
        buf_addstr(&c->out, params);
    }
    buf_add(&c->out, "}", 2); /* with its NUL */
}

static struct pending *pending_new(struct cdp_session *s, uint64_t id, const char *method,
                                   cdp_reply_fn *fn, void *arg)
{
    struct pending *p = xcalloc(1, sizeof *p);

    p->id = id;
    p->conn = s->conn;
    p->method = method;
    p->fn = fn;
    p->arg = arg;
    list_push(&s->pending, &p->link);
    map_put_u64(s->conn->calls, id, p);
    return p;
}

static uint64_t timeout_of(const struct cdp_conn *c, uint64_t deadline_ms)
{
    uint64_t now = loop_now_ms(c->loop);

    if (deadline_ms == 0)
        return CDP_TIMEOUT_MS;
    return deadline_ms > now ? deadline_ms - now : 0;
}

/* `p` is the call's, NULL when nobody waits. */
static uint64_t call_send(struct cdp_session *s, uint64_t id, struct pending *p, const char *method,
                          struct str params, uint64_t deadline_ms)
{
    struct cdp_conn *c = s->conn;
    struct err e = ERR_INIT;

    if (!c->open) {
        err_set(&e, STATUS_BROWSER_GONE, "%s: %s", method, err_text(&c->why));
    } else if (params.len + c->out.len + COMMAND_HEAD_MAX > TRANSPORT_QUEUE_MAX) {
        err_set(&e, STATUS_TOO_LARGE, "%s: more than %d bytes wait to be sent", method,
                TRANSPORT_QUEUE_MAX);
    } else {
        write_command(c, s, id, method, params);
        c->stats.sent++;
        flush_post(c);
        if (p != NULL)
            loop_timer_start(c->loop, &p->timer, timeout_of(c, deadline_ms), on_deadline);
        return id;
    }
    if (p != NULL)
        doom(p, &e);
    return id;
}

uint64_t cdp_call(struct cdp_session *s, const char *method, struct str params,
                  uint64_t deadline_ms, cdp_reply_fn *fn, void *arg)
{
    uint64_t id = ++s->conn->next_id;
    struct pending *p = fn != NULL ? pending_new(s, id, method, fn, arg) : NULL;

    return call_send(s, id, p, method, params, deadline_ms);
}

uint64_t cdp_call_text(struct cdp_session *s, const char *method, struct str params,
                       uint64_t deadline_ms, cdp_text_fn *fn, void *arg)
{
    uint64_t id = ++s->conn->next_id;
    struct pending *p = pending_new(s, id, method, NULL, arg);

    p->text_fn = fn;
    return call_send(s, id, p, method, params, deadline_ms);
}

uint64_t cdp_callf(struct cdp_session *s, const char *method, uint64_t deadline_ms,
                   cdp_reply_fn *fn, void *arg, const char *fmt, ...)
{
    struct buf b = BUF_INIT(TRANSPORT_QUEUE_MAX);
    uint64_t id;
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    id = cdp_call(s, method, buf_str(&b), deadline_ms, fn, arg);
    buf_deinit(&b);
    return id;
}

/* --- receiving --- */

static const struct cdp_handler *handler_find(const struct cdp_listener *l, struct str method)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eqz(method, l->handlers[i].method))
            return &l->handlers[i];
    return NULL;
}

void cdp_session_tap(struct cdp_session *s, cdp_tap_fn *fn, void *arg)
{
    s->tap = fn;
    s->tap_arg = arg;
}

static bool is_heard(const struct cdp_session *s, struct str method)
{
    list_for_each (l, &s->listeners)
        if (handler_find(list_entry(l, struct cdp_listener, link), method) != NULL)
            return true;
    return false;
}

/* The session may be destroyed by a handler, and listeners may come and go: after each call the
 * walk begins anew behind those that were called, found by count. */
static void deliver(struct cdp_conn *c, struct str session_id, struct str method,
                    const struct json *params)
{
    size_t called = 0;

    for (;;) {
        struct cdp_session *s = cdp_session_find(c, session_id);
        const struct cdp_handler *h = NULL;
        size_t i = 0;

        if (c->destroyed || s == NULL)
            return;
        list_for_each (l, &s->listeners) {
            struct cdp_listener *it = list_entry(l, struct cdp_listener, link);

            if (i++ < called || (h = handler_find(it, method)) == NULL)
                continue;
            called = i;
            h->fn(it->arg, s, params);
            break;
        }
        if (h == NULL)
            return;
    }
}

static struct json *parse_object(struct str text)
{
    struct json *j = text.len > 0 ? json_parse(text, false, NULL) : json_new_object();

    if (j != NULL && json_type(j) != JSON_OBJECT)
        json_destroy(&j);
    return j;
}

static void broken(struct cdp_conn *c, const char *what, struct str message)
{
    struct err e = ERR_INIT;

    err_set(&e, STATUS_PROTOCOL, "the browser sent %s: %.*s", what,
            (int)(message.len < 80 ? message.len : 80), message.ptr);
    conn_lost(c, STATUS_PROTOCOL, &e);
}

static void on_event(struct cdp_conn *c, const struct cdp_envelope *v)
{
    struct cdp_session *s = cdp_session_find(c, v->session_id);
    struct json *params;

    c->stats.events++;
    if (s != NULL && s->tap != NULL) {
        s->tap(s->tap_arg, s, v->method, v->params);
        s = c->destroyed ? NULL : cdp_session_find(c, v->session_id);
    }
    if (s == NULL || !is_heard(s, v->method)) {
        c->stats.dropped++;
        return;
    }
    params = parse_object(v->params);
    if (params == NULL) {
        c->stats.dropped++;
        log_warn(NULL, "cdp.unreadable", LOG_S("method", v->method));
        return;
    }
    c->stats.parsed++;
    deliver(c, v->session_id, v->method, params);
    json_destroy(&params);
}

enum { CDP_SESSION_NOT_FOUND = -32001 };

static enum status refusal(const struct cdp_envelope *v, const char *method, struct err *e)
{
    struct json *j = parse_object(v->error);
    int code = (int)json_int(json_get(j, "code"), 0);

    err_set(e, code == CDP_SESSION_NOT_FOUND ? STATUS_CLOSED : STATUS_PROTOCOL, "%s: %s%s%s",
            method, json_str(json_get(j, "message"), "refused"),
            json_get(j, "data") != NULL ? ": " : "", json_str(json_get(j, "data"), ""));
    e->peer_code = code;
    json_destroy(&j);
    return e->status;
}

static void answer_text(struct pending *p, const struct cdp_envelope *v)
{
    struct err e = ERR_INIT;
    enum status s = v->error.ptr != NULL ? refusal(v, p->method, &e) : STATUS_OK;

    pending_remove(p);
    p->text_fn(p->arg, s, s == STATUS_OK ? v->result : v->error, &e);
    free(p);
}

static void on_reply(struct cdp_conn *c, const struct cdp_envelope *v)
{
    struct pending *p = map_find_u64(c->calls, v->id);
    struct err e = ERR_INIT;
    struct json *result;

    c->stats.replies++;
    if (p == NULL || p->err.status != STATUS_OK) {
        if (v->error.ptr != NULL && p == NULL)
            log_debug(NULL, "cdp.refused", LOG_U64("id", v->id), LOG_S("error", v->error));
        return; /* nobody waits, or no longer */
    }
    if (p->text_fn != NULL) {
        answer_text(p, v);
        return;
    }
    if (v->error.ptr != NULL) {
        enum status s = refusal(v, p->method, &e);

        answer(p, s, NULL, &e);
        return;
    }
    result = parse_object(v->result);
    if (result == NULL) { /* what a page answered may be nested as deep as it likes */
        err_set(&e, STATUS_PROTOCOL, "%s: the answer cannot be read (deeper than %d levels?)",
                p->method, JSON_MAX_DEPTH);
        answer(p, STATUS_PROTOCOL, NULL, &e);
        return;
    }
    c->stats.parsed++;
    answer(p, STATUS_OK, result, &e);
    json_destroy(&result);
}

static void on_envelope(struct cdp_conn *c, const struct cdp_envelope *v)
{
    struct cdp_session *s = cdp_session_find(c, v->session_id);

    if (s != NULL)
        s->heard_ms = loop_now_ms(c->loop);
    if (v->has_id)
        on_reply(c, v);
    else if (v->method.len > 0)
        on_event(c, v);
}

static void on_message(void *arg, struct str message)
{
    struct cdp_conn *c = arg;
    struct cdp_envelope v;

    if (!c->open)
        return;
    c->stats.bytes_in += message.len;
    log_trace(NULL, "cdp.in", LOG_S("bytes", message));
    c->dispatching = true;
    if (!cdp_scan(message, &v))
        broken(c, "what is no DevTools message", message);
    else
        on_envelope(c, &v);
    c->dispatching = false;
    if (c->destroyed && !c->flush_posted && !c->doom_posted)
        conn_free(c);
}

static void on_transport_close(void *arg, enum status why, const struct err *e)
{
    conn_lost(arg, why, e);
}

/* --- life --- */

struct cdp_conn *cdp_conn_create(struct loop *l, struct transport *t,
                                 void (*on_close)(void *arg, enum status why, const struct err *e),
                                 void *arg)
{
    struct cdp_conn *c = xcalloc(1, sizeof *c);

    c->loop = l;
    c->transport = t;
    c->on_close = on_close;
    c->arg = arg;
    c->sessions = map_create();
    c->calls = map_create();
    c->root = session_new(c, STR_NONE);
    list_init(&c->doomed);
    list_init(&c->waits);
    buf_init(&c->out, TRANSPORT_QUEUE_MAX);
    c->open = true;
    transport_listen(t, &(struct transport_events){.on_message = on_message,
                                                   .on_close = on_transport_close,
                                                   .on_room = on_transport_room,
                                                   .arg = c});
    return c;
}

static void session_drop(void *p)
{
    session_free(p);
}

void cdp_conn_destroy(struct cdp_conn **cp)
{
    struct cdp_conn *c = *cp;
    struct err e = ERR_INIT;

    if (c == NULL)
        return;
    *cp = NULL;
    err_set(&e, STATUS_CLOSED, "the DevTools connection was closed");
    conn_lost(c, STATUS_CLOSED, &e);
    transport_destroy(&c->transport);
    while (list_pop(&c->waits) != NULL)
        ;
    answer_doomed(c);
    c->destroyed = true;
    map_destroy(&c->sessions, session_drop);
    c->sessions = map_create();
    if (!c->flush_posted && !c->doom_posted && !c->dispatching)
        conn_free(c);
}

bool cdp_conn_is_open(const struct cdp_conn *c)
{
    return c->open;
}

struct cdp_session *cdp_conn_root(struct cdp_conn *c)
{
    return c->root;
}

struct loop *cdp_conn_loop(const struct cdp_conn *c)
{
    return c->loop;
}

const struct cdp_stats *cdp_conn_stats(const struct cdp_conn *c)
{
    return &c->stats;
}
