/* The pool: Chromium instances and the members' contexts in them. A lease is a member's context for
 * one attempt.
 *
 * Isolation "context": members share one instance; when it is due (memory, age, pages) a new one
 * takes its place: what is leased stays on the old one until it is given back, cookies of kept
 * contexts are carried over, then the old one is closed. Isolation "process": an instance a member,
 * at most twice as many as there are slots; the one that was idle longest makes room. An instance
 * that dies is replaced when next somebody needs one; its leases end with BROWSER_GONE. One that
 * dies or fails while it starts costs those who wait for it only time: another is started,
 * POOL_STARTS times. README.md has the drawing. Loop thread only. */
#ifndef BROWSER_POOL_H
#define BROWSER_POOL_H

#include "browser/chromium/instance.h"
#include "core/base/json.h"

struct pool;
struct pool_lease;

/** When an instance is due. */
struct pool_limits {
    uint64_t memory_bytes; /* PSS of its processes; 0: POOL_MEMORY_BYTES */
    uint64_t age_ms;       /* 0: POOL_AGE_MS */
    size_t pages;          /* documents that tabs had; 0: POOL_PAGES */
    uint64_t measure_ms; /* how often memory is looked at (the kernel walks all its pages: 10 ms of
                            CPU); 0: POOL_MEASURE_MS */
};
#define POOL_MEMORY_BYTES (1536ull * 1024 * 1024)
#define POOL_AGE_MS       (4ull * 60 * 60 * 1000)
enum {
    POOL_PAGES = 20000,
    POOL_MEASURE_MS = 60000,
    POOL_STARTS = 3, /* starts in a row that fail before those who wait for one are told */
    POOL_CRASHES = 3 /* pages in a row that crashed and showed nothing: it makes no others */
};

struct pool_opts {
    struct loop *loop;
    struct reaper *reaper;
    const struct browser_program *program; /* borrowed */
    enum isolation isolation;
    enum context_life context;
    enum sandbox_want sandbox;
    uint32_t slots;
    struct member **members; /* borrowed; [i]->index == i */
    size_t n_members;
    struct targets_opts
        targets; /* gate, document, enforce; on_event also gets the pool's own words */
    struct pool_limits limits;
};

struct pool *pool_create(const struct pool_opts *opts);
/** Starts a first instance: ready(arg, status, err) once, from the loop. ENVIRONMENT when it does
 * not come up, nor the next (POOL_STARTS). */
void pool_start(struct pool *p, void (*ready)(void *arg, enum status s, const struct err *e),
                void *arg);
/** Ends all instances; no lease may be held. stopped(arg) once, from the loop, also when documents'
 * receipts are written. */
void pool_stop(struct pool *p, void (*stopped)(void *arg), void *arg);
/** After stopped. Sets *p to NULL. */
void pool_destroy(struct pool **p);

/** The member's context. `fn(arg, lease's context, status, err)` once, from the loop: OK; CANCELLED
 * or what pool_give_up said; BROWSER_GONE (the browser ended or could not be started again). A
 * failed lease is over; one that is OK must be taken with context_begin inside `fn`. A member has
 * one lease at a time (BUG otherwise). */
struct pool_lease *pool_acquire(struct pool *p, struct member *m, context_fn *fn, void *arg);
/** Makes the context of a member that has none and no lease, with its page on about:blank, so that
 * its next lease is answered at once with both. Does nothing while no instance is up for it, and
 * leases come first. */
void pool_warm(struct pool *p, struct member *m);
/** Its page is there, and nobody has it. */
bool pool_is_warm(const struct pool *p, const struct member *m);
/** A lease that was not answered yet: it ends soon with `why`. */
void pool_give_up(struct pool_lease *l, enum status why);
/** Ends a lease that was answered with OK, and the session (context_end). `clean`: the attempt went
 * well, the page may be used again. */
void pool_release(struct pool_lease *l, bool clean);

/** Of a lease that is held: its context was made for it. The member's cookies are in it, of the
 * instance before or of the identity store; its local storage is not. */
bool pool_is_new(const struct pool_lease *l);

/** Of a lease that is held: the member's context is not kept after it, whatever the pool's rule. */
void pool_forget(struct pool_lease *l);

/** The member, which has no lease, is `next` from the next lease on: its context goes without its
 * cookies being carried over, with its instance where that is its own, or where what the instance's
 * members have in common is no longer so. */
void pool_renew(struct pool *p, struct member *m, const struct identity *next);

/** There are so many slots from now on (1..). Isolation "process": instances beyond twice as many
 * are closed as they become idle, cookies of kept contexts are carried over; no lease ends for it.
 */
void pool_scale(struct pool *p, uint32_t slots);

/** {"instances":[{"name","state","version","pid","memory_bytes","pages","contexts","leases"}...]}
 * into the object. */
void pool_describe(const struct pool *p, struct json *into);

#endif
