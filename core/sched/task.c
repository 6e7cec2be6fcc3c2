#include "core/sched/task.h"

#define TO(s) (1u << TASK_##s)

/* What may follow what. States that nothing follows are ends. */
static const unsigned moves[] = {
    [TASK_PENDING] = TO(LEASED) | TO(FAILED) | TO(CANCELLED) | TO(BLOCKED),
    [TASK_DELAYED] = TO(PENDING) | TO(FAILED) | TO(CANCELLED) | TO(BLOCKED),
    [TASK_LEASED] = TO(RUNNING) | TO(PENDING) | TO(DEAD),
    [TASK_RUNNING] = TO(SUCCEEDED) | TO(FAILED) | TO(CANCELLED) | TO(BLOCKED) | TO(UNKNOWN) |
                     TO(DELAYED) | TO(DEAD),
    [TASK_SUCCEEDED] = 0,
    [TASK_FAILED] = 0,
    [TASK_CANCELLED] = 0,
    [TASK_BLOCKED] = 0,
    [TASK_UNKNOWN] = 0,
    [TASK_DEAD] = 0,
};
_Static_assert(ARRAY_LEN(moves) == TASK_STATE_COUNT, "a row for each state");

const char *task_state_name(enum task_state s)
{
    static const char *const names[] = {
        [TASK_PENDING] = "pending",     [TASK_DELAYED] = "delayed",     [TASK_LEASED] = "leased",
        [TASK_RUNNING] = "running",     [TASK_SUCCEEDED] = "succeeded", [TASK_FAILED] = "failed",
        [TASK_CANCELLED] = "cancelled", [TASK_BLOCKED] = "blocked",     [TASK_UNKNOWN] = "unknown",
        [TASK_DEAD] = "dead",
    };

    BUG_ON((unsigned)s >= TASK_STATE_COUNT);
    return names[s];
}

bool task_is_over(enum task_state s)
{
    BUG_ON((unsigned)s >= TASK_STATE_COUNT);
    return moves[s] == 0;
}

bool task_may_move(enum task_state from, enum task_state to)
{
    BUG_ON((unsigned)from >= TASK_STATE_COUNT || (unsigned)to >= TASK_STATE_COUNT);
    return (moves[from] & 1u << to) != 0;
}

void task_move(struct task *t, enum task_state to)
{
    if (!task_may_move((enum task_state)t->state, to))
        BUG("task %u: %s -> %s", t->index, task_state_name((enum task_state)t->state),
            task_state_name(to));
    t->state = (uint8_t)to;
}

enum task_state task_end_of(enum status s, bool may_have_happened, bool retry_left)
{
    if (s == STATUS_OK)
        return TASK_SUCCEEDED;
    if (may_have_happened)
        return TASK_UNKNOWN;
    switch (s) {
    case STATUS_CANCELLED:
        return TASK_CANCELLED;
    case STATUS_BREAKER_OPEN:
    case STATUS_POLICY_DENIED:
    case STATUS_ROBOTS_DENIED:
        return TASK_BLOCKED;
    case STATUS_OUTCOME_UNKNOWN:
        return TASK_UNKNOWN;
    default:
        return retry_left && status_retryable(s) ? TASK_DELAYED : TASK_FAILED;
    }
}
