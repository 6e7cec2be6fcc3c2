/* results.ndjson: one line a task, in order of completion. Lines are written by a worker thread, in
 * order; a line is in the file whole or not at all, also when the disk is full. Loop thread only.
 */
#ifndef CORE_COORD_RESULTS_H
#define CORE_COORD_RESULTS_H

#include "core/base/loop.h"
#include "core/base/str.h"

struct results;

/** Makes the file and its directory; results of an earlier run are kept beside it as "<path>.1",
 * or, with `go_on`, are gone on with: what is behind the last whole line is cut. `on_error` is told
 * once, on the loop, when lines cannot be written; further lines are then dropped. */
must_check enum status results_open(struct loop *l, const char *path, bool go_on,
                                    void (*on_error)(void *arg, const struct err *e), void *arg,
                                    struct results **out, struct err *e);
/** Queues a line (without its end); copied. */
void results_add(struct results *r, struct str line);
/** Lines that were dropped. */
uint64_t results_dropped(const struct results *r);
/** Writes what is queued, syncs it to the disk and closes; `fn` once, with how it went (the
 * first error that there was). `r` must not be used after the call. */
void results_close(struct results *r, void (*fn)(void *arg, enum status s, const struct err *e),
                   void *arg);

#endif
