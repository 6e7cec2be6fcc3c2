/* The tasks that wait, and which is next. Tiered heaps, because under rate limits a flat heap pops
 * and parks the same tasks over and over (150 times slower at 1,000 limited targets):
 *
 *   eligible targets (by priority, then in turn)         targets that wait for a token (by time)
 *          |                                                     ^
 *          v                                                     |
 *        target that may run ------------------------------------+
 *          |
 *          v
 *        its lanes (by priority, then in turn): tasks of one submitter and pinned member
 *          |
 *          v
 *        a line of tasks for each priority, in the order they became ready
 *
 * A lane whose member is busy is parked with the member and comes back when the member is idle. A
 * task that is retried waits in a heap of its own. A target whose breaker is open hands out its
 * tasks as blocked, or rests until it is released, as its campaign wants.
 *
 * Pure: time is an argument, in monotonic milliseconds, and what must be asked of others is asked
 * through `struct queue_guards`. What is done to a task is O(log n) in the number of targets and of
 * lanes, and does not depend on how many tasks wait, but for those with a deadline of their own
 * (O(log n) in their number) and for queue_release. One thread. */
#ifndef CORE_SCHED_QUEUE_H
#define CORE_SCHED_QUEUE_H

#include "core/base/str.h"
#include "core/sched/task.h"

struct queue;

/** What the guards know a target by, so that no name is looked up for a task. */
struct queue_door {
    void *limit;
    const void *breaker;
};

struct queue_guards {
    /** What a target is known by in the calls below; asked when its first task comes. */
    void (*open)(void *arg, struct str target, struct queue_door *out);
    /** A token of the target: 0 when one was taken, and then *then_ms is the wait for the one after
     * it, as far as is known (it stays 0: ask). Otherwise the milliseconds to wait. Asked only when
     * everything else allows a task of it to run: a token is never taken in vain. */
    uint64_t (*take)(void *arg, const struct queue_door *d, uint64_t now_ms, uint64_t *then_ms);
    /** False: the target's breaker is open. */
    bool (*allow)(void *arg, const struct queue_door *d);
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
