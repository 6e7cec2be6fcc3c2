/* The scheduler: which task runs when, where and by whom. Decisions are in queue, task, slot and
 * retry, which are pure; this is the glue that reads the loop's clock, owns slots and attempts, and
 * talks to the executor.
 *
 * A task is dispatched when three things meet: a free slot, a target with a token, an idle member
 * (the one that is idle longest, or the one the task is pinned to). The token is taken at dispatch
 * and travels with the attempt (attempt->credit), so no slot is ever held by a task that waits for
 * a token.
 *
 * Deadlines: `queued` from submission to the first run, `run` of an attempt, `total` from
 * submission to the end. When an attempt's time is over the executor is told to cancel; if it is
 * silent for SCHED_CANCEL_GRACE_MS the slot is freed without it, and its member stays busy until it
 * answers. `heartbeat` is the executor's: it knows what a sign of life is.
 *
 * Loop thread only. Callbacks come from the loop, never from inside a call made here. */
#ifndef CORE_SCHED_SCHED_H
#define CORE_SCHED_SCHED_H

#include "core/sched/executor.h"
#include "core/sched/queue.h"
#include "core/sched/retry.h"
#include "core/sched/slot.h"

enum {
    SCHED_CANCEL_GRACE_MS = 2000,
    SCHED_GIVE_UP_MS = 10000,
    SCHED_RUN_MAX_MS = 24 * 60 * 60 * 1000,
    SCHED_SLOTS_MAX = 1024,
};

struct sched;
struct breaker;
struct limiter;

struct sched_deadlines {
    uint64_t queued_ms, run_ms,
        total_ms; /* 0: none; a run never takes longer than SCHED_RUN_MAX_MS */
};
struct sched_retry {
    uint32_t max;
    uint64_t base_ms, cap_ms;
};

/** The end of a task, handed out once. Borrowed during the call, but for what is taken from it. */
struct sched_result {
    struct task *task;
    enum status status;    /* OK, or why not */
    const struct err *err; /* its sentence */
    int error_step;        /* -1: none */
    bool retryable;        /* the status is, though no retry was left */
    struct member *member; /* who ran it last; NULL: nobody did */
    const char *task_id;
    struct json *output;    /* steal: set to NULL to keep it */
    struct json *artifacts; /* steal */
    uint64_t run_ms;        /* of the last attempt */
    uint64_t first_run_ms;  /* monotonic; 0: never ran */
    uint64_t fence;         /* of the last attempt; 0: never ran */
    uint64_t now_ms;
};

struct sched_deps {
    struct loop *loop;
    struct limiter *limiter;
    struct breaker *breaker;
    const struct executor_ops *executor;
    struct executor *x;
    struct member **members;
    size_t n_members;
    uint32_t slots; /* at the start: sched_scale */
    struct sched_deadlines deadlines;
    struct sched_retry retry;
    uint32_t target_concurrency; /* tasks of one target that run at a time; 0: no limit */
    bool hold_blocked; /* tasks of a target whose breaker is open wait, instead of ending blocked */
    const char *artifacts_dir;   /* may be NULL */
    const unsigned char *parent; /* 32 bytes, for attempts; borrowed; NULL: on_start fills it in */
    uint64_t seed;               /* of the jitter */

    /** The attempt's row, made for it (owned by the attempt's arena through its cleanup): an object
     * with "url". */
    struct json *(*row_json)(void *arg, const struct task *t);
    /** The task's name, "t-000012", into out. */
    void (*task_name)(void *arg, const struct task *t, char out[24]);
    /** An attempt begins; what the submitter knows of it (parent, fence, plan ...) can be filled
     * in. May be NULL. */
    void (*on_start)(void *arg, const struct task *t, struct attempt *a);
    /** Asked right after it: false holds the executor back until sched_go. May be NULL. */
    bool (*begin)(void *arg, const struct task *t, struct attempt *a);
    /** Something waits, and there is a slot for it: whether another attempt may begin beside those
     * that run. After false: sched_poke when that may have changed; the end of an attempt asks
     * anew. May be NULL. */
    bool (*may_begin)(void *arg);
    /** An attempt is over and its task goes on: as a retry, or, `undone`, as if it had not been
     * begun (it was interrupted). Before on_retry. May be NULL. */
    void (*on_attempt_end)(void *arg, const struct task *t, const struct attempt *a, bool undone);
    /** An attempt failed and will be repeated in `delay_ms`. May be NULL. */
    void (*on_retry)(void *arg, const struct task *t, const struct attempt *a, uint64_t delay_ms);
    /** The task is over: exactly once for each that was added. It may be freed in it. */
    void (*on_done)(void *arg, struct sched_result *r);
    /** Nothing waits and nothing runs. May come again when tasks are added later. */
    void (*on_idle)(void *arg);
    void *arg;
};

struct sched *sched_create(const struct sched_deps *deps);
/** No attempt may be running (on_idle says so). Attempts that the executor never gave back keep a
 * little memory for ever. */
void sched_destroy(struct sched **s);

/** A PENDING task (zeroed, but for index, row, stage, pin, priority, input, owner). `target`: key
 * of limits and breaker; lives as long as the task. */
void sched_add(struct sched *s, struct task *t, const char *target, uint32_t submitter);
/** A task that waits ends CANCELLED at the next turn; one that runs as soon as its executor lets
 * it. */
void sched_cancel(struct sched *s, struct task *t);

/** Of an attempt that `begin` held back: the executor gets it, or, with a->status set, it ends so.
 * Once, not from inside `begin`; also when it was cancelled or given up meanwhile. */
void sched_go(struct attempt *a);

/** How many slots there are, 1..SCHED_SLOTS_MAX. More are used at once; of those too many a busy
 * one is used no more when its task has ended. */
void sched_scale(struct sched *s, uint32_t slots);
/** For attempts and deadlines that begin from now on. */
void sched_set(struct sched *s, const struct sched_deadlines *deadlines,
               const struct sched_retry *retry);
/** 0: no limit. */
void sched_set_concurrency(struct sched *s, uint32_t of_target);

/** No new tasks are dispatched. Those running go on, for at most `ms`, then they are cancelled with
 * SHUTTING_DOWN. Tasks that wait stay in the queue: sched_waiting. on_idle comes when nothing runs.
 */
void sched_drain(struct sched *s, uint64_t ms);
/** Stops handing anything out for now, also what expired or is blocked; and goes on. Fit to be
 * called from on_done: back-pressure. */
void sched_pause(struct sched *s, bool paused);
/** Breakers may have been reset, targets slowed: look again. */
void sched_poke(struct sched *s);
/** The target's breaker opened, or its tokens come at another time than was thought. */
void sched_target_changed(struct sched *s, struct str target);

/** Takes a member for something else than tasks; false when it is busy. It counts for no slot. To
 * be given back before sched_destroy. */
must_check bool sched_member_take(struct sched *s, struct member *m);
void sched_member_give(struct sched *s, struct member *m);

size_t sched_waiting(const struct sched *s); /* in the queue, retries included */
size_t sched_running(const struct sched *s);
/** The most slots that were busy at a time since this was asked last. */
size_t sched_peak(struct sched *s);
size_t sched_delayed(const struct sched *s);
/** Attempts that were given up and that the executor still has. */
size_t sched_abandoned(const struct sched *s);
/** Slots there are, those that are still busy after a sched_scale included. */
uint32_t sched_slots(const struct sched *s);
/** Slot i < sched_slots: what it does. `task` NULL when free; age in ms. */
struct sched_slot_info {
    enum slot_state state;
    uint32_t generation;
    const struct task *task;
    const struct attempt *attempt;
    const struct member *member;
    uint64_t age_ms;
};
void sched_slot(const struct sched *s, uint32_t i, struct sched_slot_info *out);

#endif
