/* A function on a worker thread, its result on the loop: name lookups, file reads and writes,
 * hashing, image encoding. The queue is libuv's pool (4 threads unless UV_THREADPOOL_SIZE says
 * otherwise); what must be first in, first out has its own thread (core/record). */
#ifndef CORE_BASE_WORK_H
#define CORE_BASE_WORK_H

#include "core/base/loop.h"

/** `run` on a worker thread, then `done` on the loop's thread, exactly once each; `arg` is owned by
 * the work in between. There is no cancel: keep an id, not a pointer, of what may be gone by then.
 * loop_destroy waits for `run` and leaves `done` out. */
void work_submit(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg);

#endif
