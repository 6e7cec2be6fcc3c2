/* One side of a relayed connection: a wire, its watch, and the bytes that wait to be written to it.
 * A write is tried at once; what the socket does not take is kept, and whoever reads for this side
 * stops until it is gone: that is the back-pressure, and the only buffer. Only for siblings. */
#ifndef PROXIES_SIDE_H
#define PROXIES_SIDE_H

#include "core/base/buf.h"
#include "core/base/loop.h"
#include "proxies/wire.h"

struct side {
    struct wire wire;
    struct loop_watch *watch;
    int pipe[2];    /* -1: none. Only while much goes through: see side_splice */
    size_t piped;   /* bytes in it, to be written after `out` */
    unsigned full;  /* reads in a row that filled the buffer, on the side that is read */
    struct buf out; /* from out_at on: to be written; no memory while nothing waits */
    size_t out_at;
    bool eof;    /* it sends no more */
    bool ending; /* shut it once nothing waits */
    bool shut;
};

/** More than one read and a head never wait. */
enum { SIDE_OUT_MAX = 512 * 1024 };

void side_init(struct side *s);
static inline bool side_is_open(const struct side *s)
{
    return s->wire.fd >= 0;
}
static inline bool side_is_waiting(const struct side *s)
{
    return s->out.len > 0 || s->piped > 0;
}
/** Writes now or keeps for later. False when the wire is broken. */
must_check bool side_send(struct side *s, const void *p, size_t n);
/** Writes what waits, and shuts when that was asked for. False when the wire is broken. */
must_check bool side_flush(struct side *s);
/** No more will be sent: shuts the sending direction once all is written. */
void side_end(struct side *s);
/** After so many full reads in a row a stream is worth a pipe. */
enum { SIDE_FULL_READS = 8 };
/** Moves bytes from `src` to `dst` without a copy, by way of a pipe of `dst` (splice(2)); both
 * plain, nothing waiting at `dst`. Bytes moved or kept in the pipe; WIRE_EOF, WIRE_AGAIN,
 * WIRE_ERROR as wire_read; SIDE_NO_SPLICE when it cannot be done here: read and send instead.
 * SIGPIPE must be ignored. */
enum { SIDE_NO_SPLICE = -3 };
ssize_t side_splice(struct side *src, struct side *dst);
/** Gives the pipe back if it is empty. */
void side_drop_pipe(struct side *s);
/** Waits for these events (as the caller sees them: reading and writing; TLS may turn them). False
 * when the socket cannot be watched. */
must_check bool side_watch(struct side *s, struct loop *l, int events, loop_watch_fn *fn,
                           void *arg);
/** Closes and forgets (what waits is wiped); usable again after. */
void side_close(struct side *s, bool reset);

#endif
