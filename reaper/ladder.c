#include "reaper/ladder.h"

#include "core/base/attr.h"

/* clang-format off: a table is read by its columns */
#define TO(state)                                                                                  \
    {                                                                                              \
        LADDER_##state, LADDER_DO_NOTHING                                                          \
    }
#define ASK                                                                                        \
    {                                                                                              \
        LADDER_ASKED, LADDER_DO_ASK                                                                \
    }
#define TERM                                                                                       \
    {                                                                                              \
        LADDER_TERMED, LADDER_DO_TERM                                                              \
    }
#define KILL                                                                                       \
    {                                                                                              \
        LADDER_KILLED, LADDER_DO_KILL                                                              \
    }
#define HARDER                                                                                     \
    {                                                                                              \
        LADDER_KILLED, LADDER_DO_KILL_INIT                                                         \
    }

static const struct ladder_move table[][LADDER_EVENTS] = {
    /*                     started      stop         term         kill  exited      gone deadline */
    [LADDER_STARTING] = {TO(RUNNING), KILL, KILL, KILL, TO(ENDING), TO(GONE), KILL},
    [LADDER_RUNNING] = {TO(RUNNING), ASK, TERM, KILL, TO(ENDING), TO(GONE), TO(RUNNING)},
    [LADDER_ASKED] = {TO(ASKED), TO(ASKED), TERM, KILL, TO(ENDING), TO(GONE), TERM},
    [LADDER_TERMED] = {TO(TERMED), TO(TERMED), TO(TERMED), KILL, TO(ENDING), TO(GONE), KILL},
    [LADDER_KILLED] = {TO(KILLED), TO(KILLED), TO(KILLED), TO(KILLED), TO(KILLED), TO(GONE),
                       HARDER},
    [LADDER_ENDING] = {TO(ENDING), TO(ENDING), TO(ENDING), KILL, TO(ENDING), TO(GONE), KILL},
    [LADDER_GONE] = {TO(GONE), TO(GONE), TO(GONE), TO(GONE), TO(GONE), TO(GONE), TO(GONE)},
};
/* clang-format on */
_Static_assert(ARRAY_LEN(table) == LADDER_STATES, "a row for each state");

static const struct {
    const char *name;
    uint64_t deadline_ms;
} states[] = {
    /* a loaded machine may have to read 300 MB of browser first */
    [LADDER_STARTING] = {"starting", 30000},
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
