/* What the files of a run share: run.c (its life), run_make.c (its parts), run_task.c (its tasks).
 */
#ifndef CORE_COORD_RUN_INTERNAL_H
#define CORE_COORD_RUN_INTERNAL_H

#include "core/coord/coord.h"
#include "core/coord/results.h"
#include "core/coord/run.h"
#include "core/fleet/members.h"
#include "core/op/gate.h"

struct http;
struct reaper;
struct robots;

enum run_state {
    RUN_CREATED,
    RUN_STARTING, /* executor and opening receipt are on their way */
    RUN_RUNNING,
    RUN_DRAINING, /* no new tasks */
    RUN_STOPPING, /* executor, then the gate's last calls */
    RUN_CLOSING,  /* closing receipt, log, results, reaper */
    RUN_OVER,
    RUN_STATE_COUNT
};

struct run {
    struct run_opts opts;
    struct loop *loop;
    const struct campaign_conf *conf;
    struct arena *arena;
    char *state_dir;
    enum run_state state;
    void (*over)(void *arg, struct run *r);
    void *arg;
    uint64_t created_ms, created_wall_ms;

    struct audit *audit;
    struct breaker *breaker;
    struct limiter *limiter;
    struct policy *policy;
    struct http *http;
    struct robots *robots;
    struct roster *roster;
    struct op_table *table;
    struct gate *gate;
    struct members members;
    struct reaper *reaper;
    struct executor *executor;
    struct sched *sched;
    struct coord *coord;
    struct results *results;

    struct map *targets; /* host -> key of limits, NUL-terminated */
    struct task *tasks;
    const char *artifacts_dir;
    const char *results_base; /* absolute directory of the results */
    unsigned char open_leaf[AUDIT_LEAF];
    struct tally tally;
    struct run_end end;

    bool is_open;        /* the opening receipt is durable */
    bool executor_ready; /* or failed */
    bool executor_runs;  /* it must be stopped */
    bool sched_idle;
    unsigned drains;         /* how often it was asked to stop */
    size_t n_settling;       /* receipts of tasks on their way */
    unsigned n_closing;      /* of log, results, reaper */
    struct loop_timer timer; /* polls the gate at the end */
    uint64_t stop_by_ms;
};

/* run_make.c */
must_check enum status run_make(struct run *r, struct err *e);
void run_unmake(struct run *r);
/** Key of limits and breaker for a host of the target list. */
const char *run_target_key(struct run *r, struct str host);

/* run_task.c */
/** Scheduler and tasks; the run has begun. */
void run_begin(struct run *r);

/* run.c */
/** Something that ends the run early: told once to watchers; tasks are not dispatched any more. */
void run_fail(struct run *r, enum status s, const struct err *e);
/** Looks whether the run may go on to its end. */
void run_check_end(struct run *r);

#define RUN_TELL(r, callback, ...)                                                                 \
    do {                                                                                           \
        for (size_t w_ = 0; w_ < (r)->opts.n_watch; w_++) {                                        \
            if ((r)->opts.watch[w_].callback)                                                      \
                (r)->opts.watch[w_].callback((r)->opts.watch[w_].arg, __VA_ARGS__);                \
        }                                                                                          \
    } while (0)

#endif
