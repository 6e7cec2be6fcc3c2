/* How the scheduler's core runs a task without knowing with what: the browser, plain HTTP, or an
 * automation. */
#ifndef CORE_SCHED_EXECUTOR_H
#define CORE_SCHED_EXECUTOR_H

#include "core/base/arena.h"
#include "core/base/json.h"
#include "core/base/loop.h"
#include "core/fleet/member.h"

struct gate;
struct campaign_conf;
struct reaper;

/** One attempt of one task by one member in one slot. Owned by the scheduler from start to the
 * return of `done`. Its arena dies with it. */
struct attempt {
    const char *task_id; /* "t-000012" */
    uint32_t number;     /* 1.. */
    uint32_t slot;       /* 0.. */
    struct member *member;
    const struct json *row;   /* the target row: object with at least "url"; borrowed */
    const struct json *input; /* plan and pipeline: this member's input; NULL otherwise */
    uint32_t stage;           /* pipeline: which flow, 0.. */
    uint32_t task_index;      /* of the result, 0.. */
    uint32_t row_index;       /* of the target list: what campaign_flow wants; 0.. */
    uint64_t deadline_ms;     /* monotonic: end of the run */
    struct arena *arena;
    unsigned char parent[32]; /* leaf hash of the campaign's opening receipt */
    uint64_t fence; /* of this attempt: epoch << 32 | n, < 2^53; 0: none is kept (tests) */
    const struct campaign_conf *conf; /* of the task's batch: its targets and flows */
    void *plan;                       /* what executor_ops.admit made of it */
    void *owner;                      /* of on_start: the task's batch */
    bool credit;                      /* a token of the target was taken at dispatch */
    const char *artifacts_dir;        /* absolute, exists; NULL when the campaign writes none */

    /** To be called before a step that cannot be repeated safely, and waited for: `go` runs once,
     * never from inside; the step may be done only after it said OK, which means that it is durable
     * that this attempt was about to do it. NULL: nobody keeps account; go on. The attempt must not
     * end before `go` ran. */
    void (*confirm)(struct attempt *a, void (*go)(void *arg, enum status s, const struct err *e),
                    void *arg);

    /* filled by the executor before done */
    enum status status;
    struct err err;
    int error_step;         /* index of the failing step, -1 when none */
    struct json *output;    /* owned by the attempt; NULL when none */
    struct json *artifacts; /* array of paths relative to the results file; NULL when none */
    bool may_have_happened; /* an irreversible step was under way: not to be repeated silently */

    void (*done)(
        struct attempt *a); /* the scheduler's; the executor calls it exactly once, from the loop */
    void *sched;            /* the scheduler's own */
    void *exec;             /* the executor's own */
};

/** What an executor is given at its making. All borrowed, all outlive it. */
struct executor_env {
    struct loop *loop;
    struct gate *gate;
    const struct campaign_conf *conf; /* of the engine: flows and targets are those of attempts */
    struct reaper *reaper;
    const char *state_dir;
    uint32_t slots;
    struct member **members;
    size_t n_members;
    /** What a watcher wants to know: "instance started", "page killed" ... `what` is a word of the
     * table in browser/README.md. May be NULL. */
    void (*on_event)(void *arg, const char *what, const struct member *m, const char *text);
    void *arg;
};

struct executor;

struct executor_ops {
    const char *name; /* "browser" */
    /** Checks what can be checked before anything starts (the flow file, the browser's presence);
     * errors go to the decode's list. */
    bool (*check)(const struct campaign_conf *conf, struct json_decode *d);
    must_check enum status (*create)(const struct executor_env *env, struct executor **out,
                                     struct err *e);
    /** Gets ready (a first instance); `ready(arg, status, err)` once, never from inside. */
    void (*start)(struct executor *x, void (*ready)(void *arg, enum status s, const struct err *e),
                  void *arg);
    /** Gets ready for a batch's flows: *plan is handed to its attempts. Its configuration outlives
     * the plan. NULL: nothing to do. */
    enum status (*admit)(struct executor *x, const struct campaign_conf *conf, void **plan,
                         struct err *e);
    /** None of its attempts runs any more. NULL with admit. */
    void (*dismiss)(struct executor *x, void *plan);
    /** How many slots there will be at most from now on. NULL: it need not know. */
    void (*scale)(struct executor *x, uint32_t slots);
    /** How many of its attempts have work for the processors, as far as it can tell: those that
     * wait for a server, a limit, a timer or a person have none. NULL: they never have much, and
     * none is held back for it. */
    size_t (*working)(const struct executor *x);
    /** Begins the attempt. Ends in a->done, exactly once, never from inside. */
    void (*run)(struct executor *x, struct attempt *a);
    /** Makes the attempt end soon with `why`. The slot is free when `done` has run, whatever the
     * page does: within 2 s. */
    void (*cancel)(struct executor *x, struct attempt *a, enum status why);
    /** The member, which has no attempt, is `next` when the call has returned: nothing of who it
     * was may be used again. NULL: the executor keeps nothing of members. */
    void (*renew)(struct executor *x, struct member *m, const struct identity *next);
    /** Ends instances and frees what they hold; no attempt may be running. `stopped(arg)` once. */
    void (*stop)(struct executor *x, void (*stopped)(void *arg), void *arg);
    void (*destroy)(struct executor **x);
    /** Adds what an operator may want to see (instances, memory) to an object. */
    void (*describe)(const struct executor *x, struct json *into);
};

#endif
