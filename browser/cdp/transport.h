/* How DevTools messages travel: a pipe (pipe.h), or what a test plays. A transport carries whole
 * messages in order and knows nothing of what is in them. Loop thread only. */
#ifndef BROWSER_CDP_TRANSPORT_H
#define BROWSER_CDP_TRANSPORT_H

#include "core/base/err.h"
#include "core/base/str.h"

struct transport;

/** Who listens. Called from the loop, never from inside a call made on the transport. */
struct transport_events {
    /** One message, borrowed until the return. transport_destroy may be called in it. */
    void (*on_message)(void *arg, struct str message);
    /** The peer is gone or broke the framing: CLOSED, PROTOCOL, TOO_LARGE, IO. At most once;
     * nothing is called after it. */
    void (*on_close)(void *arg, enum status why, const struct err *e);
    /** What waits to be written fell below TRANSPORT_ROOM. May be NULL. */
    void (*on_room)(void *arg);
    void *arg;
};

struct transport_ops {
    const char *name; /* "pipe" */
    /** Queues messages, each followed by a NUL byte, and writes what goes without waiting. All of
     * `batch` is taken or, with TOO_LARGE, nothing: what waits would pass the transport's cap
     * (TRANSPORT_QUEUE_MAX), as the peer does not read. CLOSED. */
    enum status (*send)(struct transport *t, struct str batch, struct err *e);
    void (*destroy)(struct transport *t);
};

enum {
    TRANSPORT_QUEUE_MAX = 64 * 1024 * 1024, /* bytes that wait to be written */
    TRANSPORT_ROOM = 4 * 1024 * 1024,
};

/** First member of every implementation. */
struct transport {
    const struct transport_ops *ops;
    struct transport_events events; /* set by transport_listen */
    size_t queued;                  /* bytes that wait to be written */
};

/** Who takes the messages; before the loop turns next. */
static inline void transport_listen(struct transport *t, const struct transport_events *ev)
{
    t->events = *ev;
}
must_check static inline enum status transport_send(struct transport *t, struct str batch,
                                                    struct err *e)
{
    return t->ops->send(t, batch, e);
}
/** Closes and frees; nothing is called afterwards. Sets *t to NULL; NULL is fine. */
static inline void transport_destroy(struct transport **t)
{
    if (*t)
        (*t)->ops->destroy(*t);
    *t = NULL;
}

#endif
