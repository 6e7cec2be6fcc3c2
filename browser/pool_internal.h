/* What the files of the pool share:
 *
 *   pool.c           its life, members' seats
 *   pool_lease.c     leases: waiting, making, held, over
 *   pool_home.c      instances: starting one, finding one, what happens when one ends
 *   pool_warm.c      contexts and pages that are there before they are asked for
 *   pool_due.c       when one is due, how it is left, what it takes of memory
 *   pool_renew.c     a member that becomes somebody else
 *   pool_cookies.c   a kept context's cookies, from the old instance to the new
 *
 * Callbacks of an instance name its home, those of DevTools a lease or a seat; none of them is
 * freed while one is on its way. */
#ifndef BROWSER_POOL_INTERNAL_H
#define BROWSER_POOL_INTERNAL_H

#include "browser/pool.h"
#include "browser/state.h"
#include "core/base/log.h"

/* An instance and what is on it. */
struct home {
    struct list link;
    struct pool *pool;
    struct instance *instance;
    struct member *owner; /* isolation "process"; NULL: shared */
    struct arena *arena;
    const char *name;
    unsigned number; /* 1.. */
    uint64_t started_ms;
    bool up;  /* it answered */
    bool due; /* nothing new is begun on it */
    bool stopping;
    bool measuring;
    size_t n_leases, n_saving; /* n_saving: cookies that are being carried over */
    size_t pages;              /* of contexts that are gone */
    uint64_t idle_since_ms, memory_bytes;
    unsigned processes;
};

enum lease_state { LEASE_WAITS, LEASE_MAKES, LEASE_HELD, LEASE_ENDS };

/* A member's place: its context, when it has one, and its lease. */
struct seat {
    struct member *member;
    struct applied applied;
    struct arena *arena, *arena_before; /* of `applied`, NULL: not prepared; and of who the member
                                           was before: its last context may be on its way out */
    bool saving, renewed;               /* renewed: what is saved is not the member's any more */
    bool warm; /* ctx was made ahead of any lease, and may be on its way yet */
    struct context *ctx;
    struct home *home; /* of ctx, or where it is being made; NULL when it died */
    struct pool_lease *lease;
    unsigned noted; /* number of the home that its receipts were told of last; 0: none */
    char *cookies;  /* JSON array of Network.CookieParam, from an instance that was due; or NULL */
};

struct pool_lease {
    struct list link; /* in pool->waiting, or alone */
    struct pool *pool;
    struct seat *seat;
    struct context *ctx; /* LEASE_HELD: outlives its instance until it is ended */
    enum lease_state state;
    bool is_new; /* the context was made for it */
    bool forget; /* the context is not kept after it */
    unsigned tries;
    uint64_t call; /* DevTools call under way, 0: none */
    context_fn *fn;
    void *arg;
    struct err err; /* LEASE_ENDS */
};

struct pool {
    struct pool_opts opts;
    struct arena *arena;
    struct seat *seats;
    struct list homes, waiting, ending;
    bool ending_posted, stopping, serve_posted;
    size_t n_holds;               /* documents in the gate, of all targets there ever were */
    bool warned;                  /* that instances lack a layer */
    unsigned n_started, failures; /* starts in a row that failed */
    uint64_t not_before_ms;       /* the next start */
    struct err last_failure;
    struct loop_timer again; /* at not_before_ms */
    void (*ready)(void *arg, enum status s, const struct err *e);
    void *ready_arg;
    void (*stopped)(void *arg);
    void *stopped_arg;
    struct loop_timer measure;
};

/* --- pool.c --- */

uint64_t pool_now_ms(const struct pool *p);
/** To the executor's on_event. */
void pool_tell(const struct pool *p, const char *what, const struct member *m, const char *text);
bool pool_is_kept(const struct pool *p); /* contexts are, between attempts */
/** Answers pool_start, once. */
void pool_tell_ready(struct pool *p, enum status s, const struct err *e);
/** An instance that was started at `started_ms` did not come up: the next is tried a little later,
 * and those who wait go on waiting, unless it was the POOL_STARTS-th in a row. */
void pool_start_failed(struct pool *p, uint64_t started_ms, const struct err *e);
/** No browser can be had: the last POOL_STARTS starts failed, and the next one is not due yet. */
bool pool_is_broken(const struct pool *p);
/** Answers pool_stop when nothing is left. The pool may be gone afterwards. */
void pool_settle(struct pool *p);

/* --- pool_lease.c --- */

/** Does for each lease in line what can be done now; soon: from the loop. */
void pool_serve(struct pool *p);
void pool_serve_soon(struct pool *p);
/** The browser that its context was being made on is gone: on the next one, or BROWSER_GONE. */
void pool_lease_again(struct pool_lease *l, const struct err *e);
/** Its context is there, with cookies: answers the lease. */
void pool_lease_held(struct pool_lease *l);

/** What applies to the seat's contexts in a home. */
const struct applied *seat_applied(struct seat *s, const struct home *h);

/* --- pool_warm.c --- */

/** A context that was made ahead goes: nobody used it. */
void seat_cool(struct seat *s);

/* --- pool_home.c --- */

/** False: it could not be started, or is not to be yet. `m`: whose it is with isolation "process".
 */
bool pool_start_one(struct pool *p, struct member *m);
void home_free(struct home *h);
/** Where the member's context can be made, NULL: nowhere. It may be starting yet. */
struct home *home_for(struct pool *p, const struct member *m);
/** Room for one more instance. */
void pool_make_room(struct pool *p);
/** Instances that are more than the slots want go as they become idle. */
void pool_shed(struct pool *p);
size_t home_pages(const struct home *h);
/** Of all members, for an instance that they share. In `a`. */
const struct identity **pool_identities(const struct pool *p, struct arena *a);
struct json *home_describe(const struct home *h);

/* --- pool_due.c --- */

/** Nothing new on it; `why` is told, NULL: nothing is. It is closed when its last lease is over. */
void home_retire(struct home *h, const char *why);
/** Retires it when a limit says so. */
void home_check(struct home *h);
/** Closes it when nobody needs it any more. */
void home_settle(struct home *h);
/** The context of a seat without a lease leaves a home that is due. */
void seat_leaves(struct home *h, struct seat *s);
void pool_on_measure(struct loop_timer *t);

/* --- pool_cookies.c --- */

/** Reads them off a context that goes: disposes of it then. */
void seat_save_cookies(struct home *h, struct seat *s);
/** Of a member of the store, where no instance left any. */
void seat_find_cookies(struct seat *s);
/** Puts seat->cookies into its new context, then pool_lease_held. */
void seat_load_cookies(struct pool_lease *l);

#endif
