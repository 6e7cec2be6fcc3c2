/* A WebSocket: its queue, its pings, its end. conn.c calls in with what libwebsockets tells.
 *
 * A message goes out as one frame, as Chromium sends them, so that clients that know no fragments
 * are content. What is sent in a turn of the loop is written at its end, all of it together,
 * without asking first whether the connection is writable: that would cost each message a further
 * turn and half a dozen system calls. What the kernel does not take at once libwebsockets keeps;
 * `in_flight` counts it until the connection is writable again, so that ws_queued tells all that
 * waits. */
#include "core/api/ws.h"

#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "core/api/http_internal.h"

enum {
    WRITES_MAX = 32, /* messages written in one turn of the connection */
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
    struct buf in;
    struct list out;
    size_t queued, in_flight;
    bool open, full, paused, binary;
    bool closing, close_sent;
    bool asked;         /* to be told when it is writable */
    bool posted, ended; /* flush_step will run; its WebSocket is no more */
    bool want_ping, pinged;
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

struct ws *ws_create(struct conn *c, const struct ws_opts *o)
{
    struct ws *w = xcalloc(1, sizeof(*w));

    w->conn = c;
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
    buf_init(&w->in, w->opts.message_max);
    list_init(&w->out);
    c->ws = w;
    return w;
}

void ws_end(struct ws *w)
{
    struct list *l;

    loop_timer_stop(&w->pinger);
    w->conn->ws = NULL;
    while ((l = list_pop(&w->out)))
        free(list_entry(l, struct message, link));
    buf_deinit(&w->in);
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
    uint64_t silent = ws_silent_ms(w), wait;

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

void ws_heard(struct ws *w)
{
    w->heard_ms = loop_now_ms(loop_of(w));
    w->pinged = false;
}

uint64_t ws_silent_ms(const struct ws *w)
{
    return loop_now_ms(loop_of(w)) - w->heard_ms;
}

void ws_opened(struct ws *w)
{
    w->open = true;
    ws_heard(w);
    loop_timer_start(loop_of(w), &w->pinger, w->closing ? WS_CLOSE_GRACE_MS : w->opts.ping_ms,
                     on_ping_time);
    if (w->paused)
        (void)lws_rx_flow_control(w->conn->wsi, 0);
    if (!list_empty(&w->out) || w->closing)
        ask_writable(w);
}

/* --- receiving --- */

bool ws_received(struct ws *w, struct str part, bool first, bool last, bool binary)
{
    ws_heard(w);
    if (w->closing)
        return true; /* whoever closes does not listen any more */
    if (first) {
        buf_reset(&w->in);
        w->binary = binary;
    }
    /* a message that came whole is not copied */
    if (!(first && last))
        buf_addstr(&w->in, part);
    if (buf_status(&w->in) != STATUS_OK || part.len > w->opts.message_max) {
        ws_close(w, WS_TOO_LARGE, "the message is too large");
        return true;
    }
    if (!last)
        return true;
    if (!first)
        part = buf_str(&w->in);
    if (!w->binary && !str_is_utf8(part)) {
        ws_close(w, WS_INVALID, "text that is not UTF-8");
        return true;
    }
    if (w->opts.on_message)
        w->opts.on_message(w->opts.arg, w, part, w->binary);
    if (w->in.cap > CHUNK_MAX)
        buf_deinit(&w->in); /* one large message does not hold its memory for ever */
    return true;
}

bool ws_peer_closes(struct ws *w, unsigned code, struct str reason)
{
    if (w->closing)
        return !w->close_sent; /* theirs is the answer to ours: that was it */
    w->closing = true;
    w->close_sent = true; /* libwebsockets answers */
    w->code = code;
    snprintf(w->reason, sizeof(w->reason), "%.*s", STR_ARG(str_head(reason, REASON_MAX)));
    return true;
}

void ws_pause(struct ws *w, bool paused)
{
    if (paused == w->paused)
        return;
    w->paused = paused;
    if (w->open)
        (void)lws_rx_flow_control(w->conn->wsi, paused ? 0 : 1);
    /* What libwebsockets had read already it looks at when it is called for something else. */
    if (!paused)
        ask_writable(w);
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

/* Written by ourselves: libwebsockets 4.1 on libuv closes before its own close frame is sent. */
static bool write_close(struct ws *w)
{
    unsigned char room[LWS_PRE + 2 + REASON_MAX];
    size_t n = strlen(w->reason);

    w->close_sent = true;
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

bool ws_write(struct ws *w)
{
    w->asked = false;
    w->in_flight = 0;
    if (w->want_ping && !write_ping(w))
        return false;
    if (!write_some(w))
        return false;
    tell_writable(w);
    if (!list_empty(&w->out) || w->in_flight) {
        ask_writable(w);
        return true;
    }
    return !w->closing || w->close_sent || write_close(w);
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
    loop_timer_start(loop_of(w), &w->pinger, WS_CLOSE_GRACE_MS, on_ping_time);
    ask_writable(w);
}
