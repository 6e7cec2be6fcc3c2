/* A WebSocket of a client (RFC 6455), accepted by the server of http.h.
 *
 *     open --(ws_close, or the peer's close, or an error)--> closing -> on_close, once
 *
 * Back-pressure both ways: what is sent waits in a bounded queue (ws_send refuses when it would
 * grow past `queue_max`); ws_pause stops reading, so that TCP slows the peer. Nothing is dropped
 * silently. Loop thread only; no callback runs from inside a call of this header. */
#ifndef CORE_API_WS_H
#define CORE_API_WS_H

#include "core/base/err.h"
#include "core/base/str.h"

struct ws;

/* Close codes (RFC 6455 §7.4.1, and the registry's). */
enum {
    WS_NORMAL = 1000,
    WS_GOING_AWAY = 1001,
    WS_PROTOCOL = 1002,
    WS_UNSUPPORTED = 1003,
    WS_NO_CODE = 1005,  /* in on_close only: the peer gave none */
    WS_ABNORMAL = 1006, /* in on_close only: the connection was lost */
    WS_INVALID = 1007,
    WS_POLICY = 1008,
    WS_TOO_LARGE = 1009,
    WS_ERROR = 1011,
    WS_TRY_LATER = 1013,
};

struct ws_opts {
    /** A whole message, fragments put together; borrowed during the call. Text is valid UTF-8. */
    void (*on_message)(void *arg, struct ws *w, struct str message, bool binary);
    /** The queue fell below `queue_low` after it had been above `queue_high`. May be NULL. */
    void (*on_writable)(void *arg, struct ws *w);
    /** The end, once, also after ws_close and server_close; `w` must not be used afterwards. */
    void (*on_close)(void *arg, struct ws *w, unsigned code, struct str reason);
    void *arg;
    size_t message_max; /* bytes of a message received; more closes with 1009; 0: 64 MiB */
    size_t queue_high;  /* ws_is_full from here on; 0: 1 MiB */
    size_t queue_low;   /* on_writable below; 0: a quarter of queue_high */
    size_t queue_max;   /* ws_send refuses past it; 0: 256 MiB */
    uint64_t ping_ms;   /* a ping after so long without a sign of life; 0: 30,000 */
    uint64_t pong_ms;   /* and closed when no answer comes for so long; 0: 30,000 */
};

/** Queues a text message; copied. OK also above queue_high. TOO_LARGE: it would pass queue_max,
 *  nothing was queued; CLOSED: it is closing. */
must_check enum status ws_send(struct ws *w, struct str message);
must_check enum status ws_send_binary(struct ws *w, struct str message);
/** The same for a message in two parts, which saves gluing. */
must_check enum status ws_send2(struct ws *w, struct str head, struct str tail);
/** Bytes that wait to be written. */
size_t ws_queued(const struct ws *w);
/** The queue is above queue_high, or was and has not fallen below queue_low. */
bool ws_is_full(const struct ws *w);
/** Stops or goes on reading from the peer. A message that is already on its way may still come
 *  during the call's turn, never later. */
void ws_pause(struct ws *w, bool paused);
/** What is queued is sent first (for at most 5 s), then the close frame; on_close follows with this
 *  code. `reason` at most 123 bytes are sent. Harmless the second time. */
void ws_close(struct ws *w, unsigned code, const char *reason);

#endif
