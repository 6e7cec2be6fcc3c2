/* What only the siblings of loop need. */
#ifndef CORE_BASE_LOOP_INTERNAL_H
#define CORE_BASE_LOOP_INTERNAL_H

#include <stddef.h>
#include <sys/epoll.h>
#include <uv.h>

#include "core/base/list.h"
#include "core/base/loop.h"

/** True inside loop_destroy: callbacks of libuv that still come must call nobody. */
bool loop_is_closing(const struct loop *l);
/** The first callback after the sleep reads the clock for all of its turn. */
void loop_enter_callback(struct loop *l);

enum { LOOP_BATCH = 256 }; /* events taken from the kernel at once */

/* The watched descriptors (loop_watch.c). */
struct loop_watches {
    struct loop *loop;
    int epoll;
    uv_poll_t poll;           /* on `epoll`, unreferenced */
    struct list all, changed; /* of struct loop_watch; those the kernel has to be told of */
    size_t active;            /* with events to wait for */
    struct epoll_event batch[LOOP_BATCH];
    int batch_n; /* of the batch being delivered; 0 otherwise */
};

struct loop_watches *loop_watches(struct loop *l);
must_check enum status loop_watches_init(struct loop_watches *s, struct loop *l, uv_loop_t *uv,
                                         struct err *e);
/** Before each sleep: tells the kernel what changed. */
void loop_watches_flush(struct loop_watches *s);
/** Closes what is left, and the handle; libuv must run once more before deinit. */
void loop_watches_clear(struct loop_watches *s);
void loop_watches_deinit(struct loop_watches *s);

#endif
