/* One end of a connection: a non-blocking socket, maybe with TLS on it. Only for siblings. */
#ifndef PROXIES_WIRE_H
#define PROXIES_WIRE_H

#include <sys/types.h>

#include "proxies/tls.h"

struct wire {
    int fd;                                  /* -1: none */
    struct tls *tls;                         /* NULL: plain */
    bool read_wants_write, write_wants_read; /* TLS: the other event is what it waits for */
};
#define WIRE_INIT                                                                                  \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

enum { WIRE_EOF = 0, WIRE_AGAIN = -1, WIRE_ERROR = -2 };

/** Bytes read, or one of the above; errno tells of an ERROR on a plain wire. */
ssize_t wire_read(struct wire *w, void *p, size_t n);
/** Bytes written (maybe fewer than n), or AGAIN, or ERROR. */
ssize_t wire_write(struct wire *w, const void *p, size_t n);
/** True when more may be there although the socket has nothing to read. */
static inline bool wire_has_pending(const struct wire *w)
{
    return w->tls && tls_has_pending(w->tls);
}
/** Ends the sending direction. */
void wire_shutdown(struct wire *w);
/** Closes; `reset`: the peer sees a reset, and what was not sent yet is dropped. Harmless when
 * there is none. */
void wire_close(struct wire *w, bool reset);
/** True when the peer has neither closed nor sent anything: fit to be used for a new request. */
bool wire_is_quiet(const struct wire *w);

#endif
