/* A DevTools connection: numbered calls, their answers, and sessions that share it (flat mode: each
 * message names its sessionId).
 *
 * - Every call with a callback is answered exactly once: by the browser, by its deadline (TIMEOUT),
 * by cdp_cancel, or by the end of its session or of the connection, with the reason. Never from
 * inside cdp_call, cdp_cancel or cdp_session_destroy.
 * - All commands given in one turn of the loop leave in one write, in order. So "one write for all
 * overrides" needs no more than giving them in a row.
 * - Messages are scanned for id, method and sessionId; only what somebody waits for or listens to
 * is parsed into a tree. Trees are borrowed and end with the callback.
 * - Messages are foreign bytes: what is no message at all ends the connection (PROTOCOL); an answer
 * or event whose inside cannot be read fails that call or is dropped, since pages choose what is in
 * it; what nobody knows is dropped. Loop thread only. */
#ifndef BROWSER_CDP_CONN_H
#define BROWSER_CDP_CONN_H

#include "browser/cdp/transport.h"
#include "core/base/json.h"
#include "core/base/list.h"
#include "core/base/loop.h"

struct cdp_conn;
struct cdp_session;

/** The answer to a call. `result` is borrowed, an object when `s` is OK, else NULL. `e` is never
 * NULL; e->peer_code is DevTools' own code when the browser refused. OK; PROTOCOL: the browser
 * refused, with its sentence; TIMEOUT; CLOSED: its session ended (or never was); BROWSER_GONE: the
 * connection ended; otherwise what cdp_cancel or cdp_session_destroy were given. */
typedef void cdp_reply_fn(void *arg, enum status s, const struct json *result, const struct err *e);

/** An event. `params` is borrowed until the return, an object (empty when there were none). The
 * session may be destroyed in it. */
typedef void cdp_event_fn(void *arg, struct cdp_session *s, const struct json *params);

struct cdp_handler {
    const char *method; /* "Page.frameNavigated"; static */
    cdp_event_fn *fn;
};

/** Who hears events of a session: a static table. Embedded in its owner; several listeners of a
 * session are called in the order they were added. */
struct cdp_listener {
    struct list link; /* private */
    const struct cdp_handler *handlers;
    size_t n;
    void *arg;
};

/** `t` is the connection's from now on. `on_close(arg, why, e)` once, from the loop, after all
 * pending calls were answered; not after cdp_conn_destroy. */
struct cdp_conn *cdp_conn_create(struct loop *l, struct transport *t,
                                 void (*on_close)(void *arg, enum status why, const struct err *e),
                                 void *arg);
/** Closes the transport, forgets its sessions and frees all; calls that are pending are answered
 * first, from inside this call, with BROWSER_GONE. Sets *c to NULL; NULL is fine. */
void cdp_conn_destroy(struct cdp_conn **c);
bool cdp_conn_is_open(const struct cdp_conn *c);
/** The session of the browser target itself; lives as long as the connection. */
struct cdp_session *cdp_conn_root(struct cdp_conn *c);
struct loop *cdp_conn_loop(const struct cdp_conn *c);

/** A session that the browser named in Target.attachedToTarget. Ids that are known already give
 * NULL. */
must_check struct cdp_session *cdp_session_create(struct cdp_conn *c, struct str id);
/** Forgets the session (the browser detached it); its pending calls are answered with `why` and the
 * sentence, from the loop. Sets *s to NULL; NULL is fine. */
void cdp_session_destroy(struct cdp_session **s, enum status why, const char *sentence);
struct cdp_session *cdp_session_find(struct cdp_conn *c, struct str id);
struct cdp_conn *cdp_session_conn(const struct cdp_session *s);
const char *cdp_session_id(const struct cdp_session *s); /* "" for the root */
/** When the last message of it came, monotonic: an answer or an event, heard by somebody or not. 0:
 * none yet. */
uint64_t cdp_session_heard_ms(const struct cdp_session *s);

void cdp_listen(struct cdp_session *s, struct cdp_listener *l, const struct cdp_handler *handlers,
                size_t n, void *arg);
/** Harmless when it does not listen (the struct must be zeroed before its first use). Sessions drop
 * their listeners when they end. */
void cdp_unlisten(struct cdp_listener *l);

/** Sends a command. `params` is JSON text of an object, or empty. `deadline_ms` is monotonic; 0
 * means CDP_TIMEOUT_MS from now. `fn` NULL: the answer does not matter (a refusal is logged at
 * debug). Returns the id, > 0. */
uint64_t cdp_call(struct cdp_session *s, const char *method, struct str params,
                  uint64_t deadline_ms, cdp_reply_fn *fn, void *arg);
/** As cdp_call, the params made by a format. For numbers and text that needs no quoting (ids of the
 * browser's). */
uint64_t cdp_callf(struct cdp_session *s, const char *method, uint64_t deadline_ms,
                   cdp_reply_fn *fn, void *arg, const char *fmt, ...) printf_like(6, 7);
/** A command nobody waits for. */
static inline void cdp_tell(struct cdp_session *s, const char *method, struct str params)
{
    cdp_call(s, method, params, 0, NULL, NULL);
}
/** The answer, if still to come, is `why` instead. Harmless for ids that are over. */
void cdp_cancel(struct cdp_conn *c, uint64_t id, enum status why);

enum {
    CDP_TIMEOUT_MS = 30 * 1000,
};

struct cdp_stats {
    uint64_t sent, writes, replies, events, dropped, parsed, bytes_in, bytes_out;
};
const struct cdp_stats *cdp_conn_stats(const struct cdp_conn *c);

/* --- for who hands messages on (the gateway): text, which nobody parses --- */

/** As cdp_reply_fn. `text` is borrowed: JSON of what stood under "result" when `s` is OK, of what
 * stood under "error" when the browser refused, else empty. */
typedef void cdp_text_fn(void *arg, enum status s, struct str text, const struct err *e);
/** As cdp_call; `method` lives until the answer. `fn` is not NULL. */
uint64_t cdp_call_text(struct cdp_session *s, const char *method, struct str params,
                       uint64_t deadline_ms, cdp_text_fn *fn, void *arg);
/** An event of the session as it came. The session may be destroyed in it. */
typedef void cdp_tap_fn(void *arg, struct cdp_session *s, struct str method, struct str params);
/** All events of the session also go to `fn`, before its listeners; NULL: none. One a session. */
void cdp_session_tap(struct cdp_session *s, cdp_tap_fn *fn, void *arg);

/* --- room: for who hands on what others send as fast as they like --- */

/** Bytes of commands that the browser has not read yet. */
size_t cdp_conn_waiting(const struct cdp_conn *c);
/** Waits for room. Embedded in its owner, zeroed before its first use. */
struct cdp_room_wait {
    struct list link; /* private */
    void (*fn)(void *arg);
    void *arg;
};
/** `fn` once, from the loop, when less than TRANSPORT_ROOM bytes wait; never when the connection
 * ends before. To be asked only while more than that wait. Harmless when it waits already. `fn`
 * must not end the connection. */
void cdp_room_wait(struct cdp_conn *c, struct cdp_room_wait *w, void (*fn)(void *arg), void *arg);
/** Harmless when it does not wait. */
void cdp_room_cancel(struct cdp_room_wait *w);

/* --- the scan (cdp/scan.c), for conn.c and its fuzzer --- */

/** The outside of a message. Spans are borrowed from it; ptr NULL when absent. */
struct cdp_envelope {
    bool has_id;
    uint64_t id;
    struct str method, session_id;    /* without quotes; DevTools escapes nothing in these */
    struct str params, result, error; /* JSON text */
};
/** False when `message` is no JSON object as far as it must be read to tell. What is inside params,
 * result and error is only skipped, not checked. */
must_check bool cdp_scan(struct str message, struct cdp_envelope *out);
/** From brace to closing brace one object, by its brackets and strings: nothing may follow that
 * would belong to it. */
bool cdp_is_object(struct str text);

#endif
