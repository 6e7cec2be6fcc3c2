/* The event loop of one thread: timers, descriptors, signals, and posts from other threads. libuv
 * is behind it.
 *
 * All calls are for the loop's own thread, except loop_post. Callbacks run from loop_run only,
 * never from inside the call that registered them. Timers are embedded in their owner and are
 * stopped at once: after loop_timer_stop the callback does not run and the memory may go. The same
 * holds for watches: after loop_watch_close nothing is called. */
#ifndef CORE_BASE_LOOP_H
#define CORE_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/heap.h"

struct loop;

/** `clock` NULL: the system's. */
must_check enum status loop_create(struct loop **out, const struct clock *clock, struct err *e);
/** Closes what is still open (a BUG in debug builds if watches are left) and waits for running
 * work; calls nobody back; sets *l to NULL. NULL is fine. Not from a callback. */
void loop_destroy(struct loop **l);
/** Runs until loop_stop, or until nothing is left that could call back: no timer, no watch with
 * events to wait for, no work or post under way, no hold. Signal handlers alone do not keep it
 * running. Not from a callback. */
void loop_run(struct loop *l);
/** One turn: runs timers and deferred calls; when there were none, waits at most `timeout_ms` (0:
 * does not wait), also when nothing is left but a post may come; runs what came. With a fake clock,
 * timers that are due by it run. */
void loop_run_once(struct loop *l, uint64_t timeout_ms);
/** loop_run returns after this turn; called before loop_run, it returns at once. */
void loop_stop(struct loop *l);
/** Monotonic milliseconds: read once a turn inside callbacks, anew at each call outside of them. */
uint64_t loop_now_ms(const struct loop *l);
/** Reads the clock again: after something slow. */
void loop_update_now(struct loop *l);
uint64_t loop_wall_ms(const struct loop *l);
const struct clock *loop_clock(const struct loop *l);
/** The uv_loop_t *, for the files that wrap a library joining the loop (libwebsockets, hiredis). */
void *loop_uv(struct loop *l);

/* --- timers --- */
struct loop_timer;
typedef void loop_timer_fn(struct loop_timer *t);
struct loop_timer {
    struct heap_node node; /* private from here */
    uint64_t at_ms, seq;
    loop_timer_fn *fn;
    struct loop *loop;
};
/** (Re)starts: `fn` runs once, `in_ms` from loop_now_ms; equal deadlines run in the order they were
 * started. The timer must be zeroed before its first start. Find the owner with container_of. */
void loop_timer_start(struct loop *l, struct loop_timer *t, uint64_t in_ms, loop_timer_fn *fn);
/** Harmless when not started. */
void loop_timer_stop(struct loop_timer *t);
static inline bool loop_timer_is_active(const struct loop_timer *t)
{
    return heap_has(&t->node);
}

/* --- descriptors --- */
enum { LOOP_READ = 1, LOOP_WRITE = 2 };
struct loop_watch;
/** `events`: LOOP_READ and/or LOOP_WRITE that are ready; an error is reported as both and a hang-up
 * as all that is waited for, so that read or write tells. */
typedef void loop_watch_fn(void *arg, int fd, int events);
/** Watches `fd` (non-blocking; a socket, pipe or other pollable) for `events` (may be 0 to begin
 * with). The descriptor stays the caller's and must outlive the watch; it becomes non-blocking.
 * INVALID: not open, or a regular file; EXISTS: watched already. */
must_check enum status loop_watch_open(struct loop *l, int fd, int events, loop_watch_fn *fn,
                                       void *arg, struct loop_watch **out, struct err *e);
/** Changes the events waited for; 0 pauses. */
void loop_watch_set(struct loop_watch *w, int events);
int loop_watch_events(const struct loop_watch *w);
/** Ends the watch and sets *w to NULL; NULL is fine. Close the descriptor after this, not
 * before. */
void loop_watch_close(struct loop_watch **w);

/* --- signals --- */
typedef void loop_signal_fn(void *arg, int signum);
/** One handler a signal; NULL gives the signal its default action back. INVALID: no such signal, or
 * one that cannot be handled. */
must_check enum status loop_signal(struct loop *l, int signum, loop_signal_fn *fn, void *arg,
                                   struct err *e);

/* --- other threads --- */
typedef void loop_post_fn(void *arg);
/** Any thread: runs fn(arg) on the loop's thread, in the order posted. Unbounded: only for answers
 * to bounded requests. The caller keeps the loop alive until the call has run. */
void loop_post(struct loop *l, loop_post_fn *fn, void *arg);
/** Counts as something to wait for, so that loop_run does not return between a request to another
 * thread and its answer. */
void loop_hold(struct loop *l);
void loop_release(struct loop *l);
/** Runs fn(arg) at the end of this turn, before waiting, in order: breaks recursion ("never from
 * inside the call that registered it"). What such calls defer runs in the next turn, after
 * descriptors had their chance. */
void loop_defer(struct loop *l, loop_post_fn *fn, void *arg);

#endif
