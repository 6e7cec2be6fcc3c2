/* Connecting to the first of several addresses that answers (RFC 8305 §5): the next is tried when
 * one fails, or beside it when it has not answered after a quarter of a second. Only for siblings;
 * loop thread. */
#ifndef PROXIES_DIAL_H
#define PROXIES_DIAL_H

#include "core/base/loop.h"
#include "proxies/resolve.h"

enum { DIAL_NEXT_MS = 250 };

enum dial_state { DIAL_WAIT, DIAL_DONE, DIAL_FAILED };

struct dial;
/** Called once, after DIAL_WAIT: d->state is DONE or FAILED. */
typedef void dial_fn(struct dial *d);

struct dial_try {
    struct dial *dial;
    struct loop_watch *watch;
    int fd; /* -1: not under way */
};

/** Embedded in its owner. */
struct dial {
    enum dial_state state; /* read only */
    int fd;    /* of DONE: the caller's from then on; non-blocking, TCP_NODELAY. Read only */
    int error; /* errno of the last try that failed. Read only */
    struct loop *loop; /* private from here */
    struct addrs addrs;
    struct dial_try tries[ADDRS_MAX];
    size_t next, open;
    struct loop_timer timer;
    dial_fn *fn;
};

/** Starts; `addrs` with their ports, n > 0, are copied. DONE and FAILED may come at once, then `fn`
 * is not called. */
enum dial_state dial_begin(struct dial *d, struct loop *l, const struct addrs *addrs, dial_fn *fn);
/** Gives up; `fn` is not called. Harmless when it has ended. */
void dial_cancel(struct dial *d);

#endif
