/* Listening sockets. A Unix socket's file is mode 0600 from its first moment, one that a dead
 * process left is replaced, and only our own is removed. */
#ifndef CORE_API_LISTENER_H
#define CORE_API_LISTENER_H

#include <stdint.h>
#include <sys/types.h>

#include "core/base/err.h"

struct listener {
    int fd;     /* non-blocking; -1: closed */
    char *path; /* NULL for TCP */
    dev_t dev;  /* of the socket's file */
    ino_t ino;
    uint16_t port; /* TCP */
};

/** BUSY: a living process answers there (its pid is in the sentence); EXISTS: something else is at
 *  the path; NOT_FOUND: no such directory; PERMISSION, IO. */
must_check enum status listener_open_unix(const char *path, struct listener *out, struct err *e);
/** `host` is an address without brackets. INVALID: it is none; BUSY: in use. */
must_check enum status listener_open_tcp(const char *host, uint16_t port, struct listener *out,
                                         struct err *e);
/** Closes, and removes the socket's file if it is still the one that was made. */
void listener_close(struct listener *l);

/** A connection to a Unix socket; *pid (may be NULL) is the process at its other end, 0 when that
 *  is not known. NOT_FOUND: nothing is there; UNAVAILABLE: nobody listens. Blocking descriptor. */
must_check enum status unix_connect(const char *path, int *fd, pid_t *pid, struct err *e);

#endif
