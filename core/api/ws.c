/* A WebSocket: its queue, its pings, its end. libwebsockets makes the handshake and writes; what
 * the client sends is read here and taken apart by frames.c.
 *
 * A message goes out as one frame, as Chromium sends them, so that clients that know no fragments
 * are content. What is sent in a turn of the loop is written at its end, all of it together,
 * without asking first whether the connection is writable: that would cost each message a further
 * turn and half a dozen system calls. What the kernel does not take at once libwebsockets keeps;
 * `in_flight` counts it until the connection is writable again, so that ws_queued tells all that
 * waits. */
#include "core/api/ws.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/api/frames.h"
#include "core/api/http_internal.h"

enum {
    WRITES_MAX = 32, /* messages written in one turn of the connection */
    READ_MAX = 32 * 1024,
    LINGER_MS = 300, /* for a peer that broke a rule to take the close frame */
    CORK_MIN = 3,    /* from so many on they are worth two more system calls */
    MESSAGE_MAX = 64 * 1024 * 1024,
    QUEUE_HIGH = 1024 * 1024,
    QUEUE_MAX = 256 * 1024 * 1024,
    PING_MS = 30000,
    REASON_MAX = 123,
    WRITE_CLOSE = 4, /* a close frame: libwebsockets has it, but does not name it in public */
};

struct message {
    struct list link;
    size_t len;
    bool binary;
    unsigned char room[LWS_PRE]; /* libwebsockets writes the frame's head here */
    unsigned char bytes[];
};

struct ws {
    struct conn *conn;
    struct ws_opts opts;
    struct frames frames;
    int fd; /* to read from; -1: none yet */
    struct loop_watch *watch;
    struct list out;
    size_t queued, in_flight;
    bool open, full, paused;
    bool closing, close_sent, peer_closed;
    bool failed;        /* the peer broke a rule */
    bool asked;         /* to be told when it is writable */
    bool posted, ended; /* flush_step will run; its WebSocket is no more */
    bool want_ping, pinged, want_pong;
    size_t pong_len;
    unsigned char pong[FRAMES_CONTROL_MAX];
    uint64_t heard_ms;
    unsigned code;
    char reason[REASON_MAX + 1];
    struct loop_timer pinger;
};

static void ask_writable(struct ws *w)
{
    if (w->open && !w->asked)
        lws_callback_on_writable(w->conn->wsi);
    w->asked = w->open;
}

static struct loop *loop_of(const struct ws *w)
{
    return w->conn->server->opts.loop;
}

/* --- life --- */

static void on_message(void *arg, struct str message, bool binary);
static void on_ping(void *arg, struct str payload);
static void on_pong(void *arg);
static void on_close(void *arg, unsigned code, struct str reason);
static void forget_queue(struct ws *w);

struct ws *ws_create(struct conn *c, const struct ws_opts *o)
{
    struct ws *w = xcalloc(1, sizeof(*w));
    const struct frames_to to = {on_message, on_ping, on_pong, on_close, w};

    w->conn = c;
    w->fd = -1;
    w->opts = *o;
    if (!w->opts.message_max)
        w->opts.message_max = MESSAGE_MAX;
    if (!w->opts.queue_high)
        w->opts.queue_high = QUEUE_HIGH;
    if (!w->opts.queue_low)
        w->opts.queue_low = w->opts.queue_high / 4;
    if (!w->opts.queue_max)
        w->opts.queue_max = QUEUE_MAX;
    if (!w->opts.ping_ms)
        w->opts.ping_ms = PING_MS;
    if (!w->opts.pong_ms)
        w->opts.pong_ms = PING_MS;
    w->code = WS_ABNORMAL;
    w->heard_ms = loop_now_ms(loop_of(w));
    frames_init(&w->frames, &to, w->opts.message_max);
    list_init(&w->out);
    c->ws = w;
    return w;
}

void ws_end(struct ws *w)
{
    loop_timer_stop(&w->pinger);
    loop_watch_close(&w->watch);
    if (w->fd >= 0)
        close(steal_fd(&w->fd));
    w->conn->ws = NULL;
    forget_queue(w);
    frames_deinit(&w->frames);
    w->closing = true; /* ws_send in on_close is refused */
    w->open = false;
    if (w->opts.on_close)
        w->opts.on_close(w->opts.arg, w, w->code, str_from(w->reason));
    w->ended = true;
    if (!w->posted)
        free(w);
}

/* --- signs of life --- */

static void on_ping_time(struct loop_timer *t)
{
    struct ws *w = container_of(t, struct ws, pinger);
    uint64_t silent = loop_now_ms(loop_of(w)) - w->heard_ms, wait;

    if (w->closing) { /* its time is over */
        http_conn_kill(w->conn);
        return;
    }
    /* a reader that we have stopped cannot answer us */
    if (w->pinged && !w->paused && silent >= w->opts.ping_ms + w->opts.pong_ms) {
        http_conn_kill(w->conn);
        return;
    }
    if (silent >= w->opts.ping_ms) {
        w->want_ping = !w->pinged || w->paused;
        w->pinged = true;
        ask_writable(w);
        wait = w->opts.pong_ms;
    } else {
        wait = w->opts.ping_ms - silent;
    }
    loop_timer_start(loop_of(w), &w->pinger, wait, on_ping_time);
}

static void ws_heard(struct ws *w)
{
    w->heard_ms = loop_now_ms(loop_of(w));
    w->pinged = false;
}

/* --- receiving --- */

static void on_message(void *arg, struct str message, bool binary)
{
    struct ws *w = arg;

    if (!w->closing && w->opts.on_message) /* whoever closes does not listen any more */
        w->opts.on_message(w->opts.arg, w, message, binary);
}

/* The newest is answered (RFC 6455 §5.5.3). */
static void on_ping(void *arg, struct str payload)
{
    struct ws *w = arg;

    memcpy(w->pong, payload.ptr, payload.len);
    w->pong_len = payload.len;
    w->want_pong = true;
    ask_writable(w);
}

/* That it was heard says enough. */
static void on_pong(void *arg)
{
    (void)arg;
}

/* What was queued is not wanted any more. */
static void forget_queue(struct ws *w)
{
    struct list *l;

    while ((l = list_pop(&w->out)))
        free(list_entry(l, struct message, link));
    w->queued = 0;
}

static void on_close(void *arg, unsigned code, struct str reason)
{
    struct ws *w = arg;

    w->peer_closed = true;
    if (w->close_sent) { /* theirs is the answer to ours: that was it */
        http_conn_kill(w->conn);
        return;
    }
    if (!w->closing) {
        w->closing = true;
        w->code = code ? code : WS_NO_CODE;
        snprintf(w->reason, sizeof(w->reason), "%.*s", STR_ARG(str_head(reason, REASON_MAX)));
        loop_timer_start(loop_of(w), &w->pinger, WS_CLOSE_GRACE_MS, on_ping_time);
    }
    forget_queue(w);
    ask_writable(w);
}

/* A rule was broken: the close frame says which, then nothing is sent any more. What still comes is
 * read and dropped for a moment, or the frame would be lost with the connection. */
static void fail(struct ws *w, unsigned code, const char *why)
{
    if (w->closing)
        return;
    w->failed = true;
    ws_close(w, code, why);
}

static void on_readable(void *arg, int fd, int events)
{
    struct ws *w = arg;
    unsigned char bytes[READ_MAX];
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    unsigned code;

    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        loop_watch_set(w->watch, 0);
        http_conn_kill(w->conn);
        return;
    }
    ws_heard(w);
    code = frames_take(&w->frames, bytes, (size_t)n);
    if (code)
        fail(w, code, w->frames.why);
}

/* libwebsockets reads the request and is done with it: what comes afterwards is read here, from a
 * descriptor of our own, as libuv wants for a watch of our own. */
static bool start_reading(struct ws *w)
{
    struct err e = ERR_INIT;

    (void)lws_rx_flow_control(w->conn->wsi, 0);
    w->fd = fcntl(lws_get_socket_fd(w->conn->wsi), F_DUPFD_CLOEXEC, 0);
    if (w->fd < 0)
        return false;
    return loop_watch_open(loop_of(w), w->fd, w->paused ? 0 : LOOP_READ, on_readable, w, &w->watch,
                           &e) == STATUS_OK;
}

void ws_opened(struct ws *w)
{
    w->open = true;
    ws_heard(w);
    loop_timer_start(loop_of(w), &w->pinger, w->closing ? WS_CLOSE_GRACE_MS : w->opts.ping_ms,
                     on_ping_time);
    if (!start_reading(w))
        http_conn_kill(w->conn);
    if (!list_empty(&w->out) || w->closing)
        ask_writable(w);
}

void ws_pause(struct ws *w, bool paused)
{
    if (paused == w->paused)
        return;
    w->paused = paused;
    if (w->watch && !w->closing)
        loop_watch_set(w->watch, paused ? 0 : LOOP_READ);
}

/* --- sending --- */

size_t ws_queued(const struct ws *w)
{
    return w->queued + w->in_flight;
}

bool ws_is_full(const struct ws *w)
{
    return w->full;
}

static void flush_step(void *arg);

/* At the end of the turn. Where libwebsockets will tell of room anyway, then. */
static void flush_post(struct ws *w)
{
    if (w->posted || w->asked || !w->open)
        return;
    w->posted = true;
    loop_defer(loop_of(w), flush_step, w);
}

static enum status send_message(struct ws *w, struct str head, struct str tail, bool binary)
{
    size_t len = head.len + tail.len;
    struct message *m;

    if (w->closing)
        return STATUS_CLOSED;
    if (len > w->opts.queue_max || ws_queued(w) > w->opts.queue_max - len)
        return STATUS_TOO_LARGE;
    m = malloc(sizeof(*m) + len + 1);
    if (!m)
        return STATUS_TOO_LARGE;
    m->len = len;
    m->binary = binary;
    if (head.len)
        memcpy(m->bytes, head.ptr, head.len);
    if (tail.len)
        memcpy(m->bytes + head.len, tail.ptr, tail.len);
    list_push(&w->out, &m->link);
    w->queued += len;
    if (ws_queued(w) > w->opts.queue_high)
        w->full = true;
    flush_post(w);
    return STATUS_OK;
}

enum status ws_send(struct ws *w, struct str message)
{
    return send_message(w, message, STR_NONE, false);
}

enum status ws_send_binary(struct ws *w, struct str message)
{
    return send_message(w, message, STR_NONE, true);
}

enum status ws_send2(struct ws *w, struct str head, struct str tail)
{
    return send_message(w, head, tail, false);
}

static bool write_one(struct ws *w)
{
    struct message *m = list_entry(list_pop(&w->out), struct message, link);
    int n =
        lws_write(w->conn->wsi, m->bytes, m->len, m->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);

    w->queued -= m->len;
    if (lws_partial_buffered(w->conn->wsi))
        w->in_flight = m->len;
    free(m);
    return n >= 0;
}

static bool write_ping(struct ws *w)
{
    unsigned char room[LWS_PRE + 1];

    w->want_ping = false;
    room[LWS_PRE] = 'f'; /* of an empty pong libwebsockets does not tell */
    return lws_write(w->conn->wsi, room + LWS_PRE, 1, LWS_WRITE_PING) >= 0;
}

static bool write_pong(struct ws *w)
{
    unsigned char room[LWS_PRE + FRAMES_CONTROL_MAX];

    w->want_pong = false;
    memcpy(room + LWS_PRE, w->pong, w->pong_len);
    return lws_write(w->conn->wsi, room + LWS_PRE, w->pong_len, LWS_WRITE_PONG) >= 0;
}

/* Written by ourselves: libwebsockets 4.1 on libuv closes before its own close frame is sent. One
 * without a code is answered without. */
static bool write_close(struct ws *w)
{
    unsigned char room[LWS_PRE + 2 + REASON_MAX];
    size_t n = strlen(w->reason);

    w->close_sent = true;
    if (w->code == WS_NO_CODE)
        return lws_write(w->conn->wsi, room + LWS_PRE, 0, (enum lws_write_protocol)WRITE_CLOSE) >=
               0;
    room[LWS_PRE] = (unsigned char)(w->code >> 8);
    room[LWS_PRE + 1] = (unsigned char)(w->code & 0xff);
    memcpy(room + LWS_PRE + 2, w->reason, n);
    return lws_write(w->conn->wsi, room + LWS_PRE, n + 2, (enum lws_write_protocol)WRITE_CLOSE) >=
           0;
}

static void tell_writable(struct ws *w)
{
    if (!w->full || ws_queued(w) > w->opts.queue_low)
        return;
    w->full = false;
    if (w->opts.on_writable && !w->closing)
        w->opts.on_writable(w->opts.arg, w);
}

static bool is_several(const struct ws *w)
{
    size_t n = 0;

    list_for_each (l, &w->out)
        if (++n >= CORK_MIN)
            return true;
    return false;
}

/* Held back by the kernel until the last of them: one packet and one wake-up of the peer. Not for
 * sockets of other families, which say so and are as they were. */
static void cork(struct ws *w, int on)
{
    (void)setsockopt(lws_get_socket_fd(w->conn->wsi), IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

static bool write_some(struct ws *w)
{
    bool corked = is_several(w), ok = true;

    if (corked)
        cork(w, 1);
    for (int i = 0; ok && i < WRITES_MAX && w->in_flight == 0 && !list_empty(&w->out); i++)
        ok = write_one(w);
    if (corked)
        cork(w, 0);
    return ok;
}

static void flush_step(void *arg)
{
    struct ws *w = arg;

    w->posted = false;
    if (w->ended) {
        free(w);
        return;
    }
    if (!w->open || w->asked)
        return;
    if (w->closing || w->in_flight || lws_partial_buffered(w->conn->wsi)) {
        ask_writable(w);
        return;
    }
    if (!write_some(w)) {
        http_conn_kill(w->conn);
        return;
    }
    if (!list_empty(&w->out) || w->in_flight)
        ask_writable(w);
    tell_writable(w);
}

/* The last that is written; false: the connection is to be closed. */
static bool say_close(struct ws *w)
{
    if (!w->close_sent && !write_close(w))
        return false;
    if (lws_partial_buffered(w->conn->wsi)) {
        ask_writable(w);
        return true;
    }
    if (w->failed && !w->peer_closed) {
        (void)shutdown(w->fd, SHUT_WR);
        loop_timer_start(loop_of(w), &w->pinger, LINGER_MS, on_ping_time);
    }
    return !w->peer_closed;
}

bool ws_write(struct ws *w)
{
    w->asked = false;
    w->in_flight = 0;
    if (w->want_pong && !w->close_sent && !write_pong(w))
        return false;
    if (w->want_ping && !write_ping(w))
        return false;
    if (!write_some(w))
        return false;
    tell_writable(w);
    if (!list_empty(&w->out) || w->in_flight) {
        ask_writable(w);
        return true;
    }
    return !w->closing || say_close(w);
}

void ws_close(struct ws *w, unsigned code, const char *reason)
{
    if (w->closing)
        return;
    w->closing = true;
    w->code = code;
    if (reason) {
        struct str cut = str_head(str_from(reason), REASON_MAX);

        snprintf(w->reason, sizeof(w->reason), "%.*s", STR_ARG(cut));
    }
    if (!w->open)
        return; /* ws_opened goes on */
    if (w->watch)
        loop_watch_set(w->watch, LOOP_READ); /* for their close frame */
    loop_timer_start(loop_of(w), &w->pinger, WS_CLOSE_GRACE_MS, on_ping_time);
    ask_writable(w);
}
