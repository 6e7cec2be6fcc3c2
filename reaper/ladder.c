#include "reaper/ladder.h"

#include "core/base/attr.h"

#define STAY(state)                                                                                \
    {                                                                                              \
        LADDER_##state, LADDER_DO_NOTHING                                                          \
    }
#define MOVE(state, action)                                                                        \
    {                                                                                              \
        LADDER_##state, LADDER_DO_##action                                                         \
    }

static const struct ladder_move table[][LADDER_EVENTS] = {
    /*                   started               stop                  term                  kill
       exited                gone                deadline */
    [LADDER_STARTING] = {STAY(RUNNING), MOVE(KILLED, KILL), MOVE(KILLED, KILL), MOVE(KILLED, KILL),
                         STAY(ENDING), STAY(GONE), MOVE(KILLED, KILL)},
    [LADDER_RUNNING] = {STAY(RUNNING), MOVE(ASKED, ASK), MOVE(TERMED, TERM), MOVE(KILLED, KILL),
                        STAY(ENDING), STAY(GONE), STAY(RUNNING)},
    [LADDER_ASKED] = {STAY(ASKED), STAY(ASKED), MOVE(TERMED, TERM), MOVE(KILLED, KILL),
                      STAY(ENDING), STAY(GONE), MOVE(TERMED, TERM)},
    [LADDER_TERMED] = {STAY(TERMED), STAY(TERMED), STAY(TERMED), MOVE(KILLED, KILL), STAY(ENDING),
                       STAY(GONE), MOVE(KILLED, KILL)},
    [LADDER_KILLED] = {STAY(KILLED), STAY(KILLED), STAY(KILLED), STAY(KILLED), STAY(KILLED),
                       STAY(GONE), MOVE(KILLED, KILL_INIT)},
    [LADDER_ENDING] = {STAY(ENDING), STAY(ENDING), STAY(ENDING), MOVE(KILLED, KILL), STAY(ENDING),
                       STAY(GONE), MOVE(KILLED, KILL)},
    [LADDER_GONE] = {STAY(GONE), STAY(GONE), STAY(GONE), STAY(GONE), STAY(GONE), STAY(GONE),
                     STAY(GONE)},
};
_Static_assert(ARRAY_LEN(table) == LADDER_STATES, "a row for each state");

static const struct {
    const char *name;
    uint64_t deadline_ms;
} states[] = {
    [LADDER_STARTING] = {"starting",
                         30000}, /* a loaded machine may swap in 300 MB of browser first */
    [LADDER_RUNNING] = {"running", 0},
    [LADDER_ASKED] = {"asked", 0},
    [LADDER_TERMED] = {"termed", 2000},
    [LADDER_KILLED] = {"killed", 1000},
    [LADDER_ENDING] = {"ending", 6000}, /* init gives itself 5 s without a PID namespace */
    [LADDER_GONE] = {"gone", 0},
};
_Static_assert(ARRAY_LEN(states) == LADDER_STATES, "a row for each state");

struct ladder_move ladder_next(enum ladder_state s, enum ladder_event ev)
{
    BUG_ON((unsigned)s >= LADDER_STATES || (unsigned)ev >= LADDER_EVENTS);
    return table[s][ev];
}

uint64_t ladder_deadline_ms(enum ladder_state s)
{
    BUG_ON((unsigned)s >= LADDER_STATES);
    return states[s].deadline_ms;
}

const char *ladder_state_name(enum ladder_state s)
{
    BUG_ON((unsigned)s >= LADDER_STATES);
    return states[s].name;
}
