/* One run of a campaign in this process: an engine (engine.h) with one batch (batch.h), from its
 * opening receipt, or from where an earlier process left it, to its closing one. What `fleet run`,
 * `fleet resume` and `fleet demo` do. Loop thread only; callbacks come from the loop. */
#ifndef CORE_COORD_RUN_H
#define CORE_COORD_RUN_H

#include "core/coord/engine.h"

struct run;

/** Who looks on: progress, report, a server. Any callback may be NULL. `run` can be asked with
 * run_tally and the like. */
struct run_watch {
    void (*on_open)(void *arg, struct run *r); /* the opening receipt is durable */
    void (*on_start)(void *arg, const struct task *t, const struct attempt *a);
    void (*on_retry)(void *arg, const struct task *t, const struct attempt *a, uint64_t delay_ms);
    void (*on_task)(void *arg, const struct batch_task *t);
    void (*on_op)(void *arg, const struct op_call *call);
    void (*on_breaker)(void *arg, struct str target, bool open);
    void (*on_slowed)(void *arg, struct str target, uint64_t until_ms, const char *why);
    void (*on_rotated)(void *arg, const struct member *m, const char *from, const char *to,
                       enum status why);
    /** What the executor tells ("instance started", "page killed", ...). */
    void (*on_event)(void *arg, const char *what, const struct member *m, const char *text);
    /** A condition of the run itself: "results: no space left". */
    void (*on_trouble)(void *arg, const struct err *e);
    void (*on_drain)(void *arg, const char *why);
    void *arg;
};
enum { RUN_WATCHES_MAX = 4 };

struct run_opts {
    struct loop *loop;
    const struct campaign_conf *conf;   /* outlives the run */
    const struct campaign_files *files; /* what it was loaded from (campaign_source.keep): kept with
                                           the batch, for a resume; outlives the run */
    const char *resume;                 /* id of the batch to go on with; NULL: a new one */
    bool abandon; /* with `resume`: what is left of the batch is cancelled, and it is closed */
    const struct run_kit *kit;
    const char *state_dir; /* NULL: FLEET_STATE_DIR, or .fleet */
    struct run_watch watch[RUN_WATCHES_MAX];
    size_t n_watch;
};

/** How it ended. */
struct run_end {
    enum status status; /* OK: it ran to its end, whatever its tasks came to; else why not */
    struct err err;
    bool drained;          /* stopped before everything was done: `batch` can be resumed */
    char batch[24];        /* its id; "" when it was never durable */
    uint64_t before;       /* tasks that earlier processes had done */
    uint64_t took_ms;      /* from create to the end */
    uint64_t receipts;     /* in the log, those of earlier runs too */
    char open[65];         /* leaf hashes of the opening and the closing receipt, hex; "" when */
    char close[65];        /* they were not written; close: also when it is to be resumed */
    struct json *executor; /* what the executor said of itself at the end; owned by the run */
};

/** Of a run that abandons its batch: nothing is started, nothing is asked of a target. Static
 * (abandon.c). */
extern const struct run_kit run_kit_none;

/** Checks and makes what can be made without waiting: state directory, chain, guards, members.
 * ENVIRONMENT, PERMISSION, BUSY, AUDIT_INVALID ...; nothing is left behind on failure. */
must_check enum status run_create(const struct run_opts *opts, struct run **out, struct err *e);
/** Goes. `over` runs once; call run_destroy after it (or in it). */
void run_start(struct run *r, void (*over)(void *arg, struct run *r), void *arg);
/** First call: no new tasks, those running finish within the run deadline and 10 s. Second: what
 * runs is cancelled at once. */
void run_drain(struct run *r, const char *why);
void run_destroy(struct run **r);

/* --- what can be asked at any time --- */
struct engine *run_engine(struct run *r);
const struct campaign_conf *run_conf(const struct run *r);
const struct tally *run_tally(const struct run *r);
const struct run_end *run_end(const struct run *r); /* complete once it is over */
uint64_t run_age_ms(const struct run *r);
struct loop *run_loop(const struct run *r);
const char *run_state_dir(const struct run *r);
struct sched *run_sched(struct run *r); /* NULL until tasks are there */
struct limiter *run_limiter(struct run *r);
struct roster *run_roster(struct run *r); /* NULL: no proxies */
struct member **run_members(struct run *r, size_t *n);
/** Exit code of design.md §9 for how it ended, signals aside; 0 for one that was abandoned. */
int run_exit_code(const struct run *r);

#endif
