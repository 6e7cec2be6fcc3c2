/* The tasks that wait, and which is next. Tiered heaps, because under rate limits a flat heap pops
 * and parks the same tasks over and over (150 times slower at 1,000 limited targets):
 *
 *   eligible targets (heap: priority, then round robin)      targets that wait for a token (heap:
 * when) |                                                         ^ v            lanes of the
 * target that may run             | target -----> (heap: priority, then round robin) ---> lane:
 * tasks of one target, submitter and pinned member (heap: priority, then order of coming)
 *
 * A lane whose member is busy is parked with the member and comes back when the member is idle. A
 * task that is retried waits in a heap of its own. A target whose breaker is open hands out its
 * tasks as blocked, or rests until it is released, as its campaign wants.
 *
 * Pure: time is an argument, in monotonic milliseconds, and what must be asked of others is asked
 * through `struct queue_guards`. All operations are O(log n) but for queue_release. One thread. */
#ifndef CORE_SCHED_QUEUE_H
#define CORE_SCHED_QUEUE_H

#include "core/base/str.h"
#include "core/sched/task.h"

struct queue;

struct queue_guards {
    /** A token of the target: 0 when one was taken, else the milliseconds to wait. Asked only when
     * everything else allows a task of it to run: a token is never taken in vain. */
    uint64_t (*take)(void *arg, struct str target, uint64_t now_ms);
    /** False: the target's breaker is open. */
    bool (*allow)(void *arg, struct str target);
    /** Is this member free to run a task now? */
    bool (*is_idle)(void *arg, uint32_t member);
    void *arg;
};

struct queue *queue_create(const struct queue_guards *guards) must_check;
/** Forgets the tasks in it, which must still be there: they are the submitters'. */
void queue_destroy(struct queue **q);

/** Adds a PENDING task, or one that is DELAYED until not_before_ms. `target`: key of limits;
 * copied. `submitter`: tasks of one submitter and target stand in one line; submitters take turns.
 */
void queue_add(struct queue *q, struct task *t, struct str target, uint32_t submitter);
/** Takes a waiting task out: cancelled. */
void queue_remove(struct queue *q, struct task *t);

enum queue_verdict {
    QUEUE_NONE,    /* nothing can run now; queue_next_ms says when to ask again */
    QUEUE_RUN,     /* this one: a token was taken for it */
    QUEUE_EXPIRED, /* its deadline passed while it waited */
    QUEUE_BLOCKED, /* its target's breaker is open */
};
/** The next task, taken out of the queue (its state is untouched, but that a retry that is due is
 * PENDING again). `can_run`: there is a slot and an idle member; without, only expired ones are
 * handed out. */
enum queue_verdict queue_next(struct queue *q, uint64_t now_ms, bool can_run, struct task **out);
/** When a token, a retry or a deadline is due: absolute; UINT64_MAX when nothing is. Meaningful
 * after queue_next said QUEUE_NONE. */
uint64_t queue_next_ms(const struct queue *q);

/** The member is idle: its parked lanes come back. */
void queue_member_idle(struct queue *q, uint32_t member);
/** Targets whose breaker is open: their tasks wait (true) or are handed out as QUEUE_BLOCKED
 * (false, as created). */
void queue_hold_blocked(struct queue *q, bool hold);
/** Asks the breakers of resting targets again. Linear in their number. */
void queue_release(struct queue *q);
/** The target's breaker opened, or its tokens come at another time than was thought (429,
 * Retry-After): it is asked again at the next turn. */
void queue_target_changed(struct queue *q, struct str target);

size_t queue_len(const struct queue *q);     /* waiting, delayed and held together */
size_t queue_delayed(const struct queue *q); /* of them, retries not yet due */
size_t queue_held(const struct queue *q);    /* of them, waiting for a breaker */
/** Tasks that wait for this target. */
size_t queue_target_len(const struct queue *q, struct str target);

/** Takes all tasks out, in no particular order: returns the next, or NULL. For cancelling and
 * draining. */
struct task *queue_drop(struct queue *q);

#endif
