/* A task: a unit of scheduled work, and the states of its life.
 *
 *                  add                lease            run
 *   (new) -> PENDING ------> (queue) ------> LEASED ------> RUNNING --> SUCCEEDED
 *               ^  \                            |              |--> FAILED     not retryable, or no
 * retries left |   \--> CANCELLED, BLOCKED,    |              |--> BLOCKED    a guard refused |
 * FAILED (deadline)      |              |--> UNKNOWN    an irreversible step may have happened | v
 * |--> CANCELLED
 *               +----------- DELAYED <----------+--------------+    retry
 *
 * DEAD: its lease was lost TASK_LOST_MAX times. In one process a lease is lost when the engine ends
 * while the task runs; core/coord counts that when it resumes, and ends the task before it comes
 * here. All moves go through task_move, which knows the legal ones. Pure. */
#ifndef CORE_SCHED_TASK_H
#define CORE_SCHED_TASK_H

#include "core/base/err.h"
#include "core/base/keyheap.h"
#include "core/base/list.h"

enum task_state {
    TASK_PENDING,
    TASK_DELAYED,
    TASK_LEASED,
    TASK_RUNNING,
    TASK_SUCCEEDED,
    TASK_FAILED,
    TASK_CANCELLED,
    TASK_BLOCKED,
    TASK_UNKNOWN,
    TASK_DEAD,
    TASK_STATE_COUNT
};

enum { TASK_LOST_MAX = 3, TASK_PRIORITY_MAX = 1000 };

struct queue_lane;

/** One task. 120 bytes, so that a million of them waiting is no trouble. The queue's links are
 * inside. */
struct task {
    /* the queue's; with what it looks at, in one place: a task's memory is cold when its turn comes
     */
    struct {
        struct task *next, *prev; /* among those of its lane and priority */
    } line;
    struct queue_lane *lane;
    struct keyheap_node expire;  /* among those with a deadline */
    struct keyheap_node delayed; /* or among the delayed */

    int16_t priority;  /* -TASK_PRIORITY_MAX..TASK_PRIORITY_MAX; higher first */
    uint8_t state;     /* enum task_state; private */
    uint8_t lost;      /* leases lost */
    int32_t pin;       /* index of the only member that may run it; -1: any */
    uint16_t attempts; /* begun */
    bool cancel;       /* asked to be cancelled while it runs */
    uint32_t index;    /* of the submitter: its place in the results' order */
    uint32_t row;      /* of the target list */
    uint32_t stage;    /* pipeline: which flow */
    uint32_t submitter;
    uint64_t submitted_ms;  /* monotonic */
    uint64_t first_run_ms;  /* monotonic; 0: not yet */
    uint64_t not_before_ms; /* DELAYED: when it is ready again */
    uint64_t expires_ms;    /* queued or total deadline, whichever is first; 0: none */
    const void *input;      /* the submitter's */
    void *owner;            /* the submitter's */

    const char *target; /* key of limits; as long as the task, the submitter's */
};

const char *task_state_name(enum task_state s); /* "succeeded" */
bool task_is_over(enum task_state s);
bool task_may_move(enum task_state from, enum task_state to);
/** BUG for a move that is not legal. */
void task_move(struct task *t, enum task_state to);

/** What a run that ended with `s` comes to. `may_have_happened`: an irreversible step was under
 * way. */
enum task_state task_end_of(enum status s, bool may_have_happened, bool retry_left);

#endif
