/* How a member is ended: a table of state x event. Pure: the caller performs the actions and keeps
 * the time.
 *
 *   STARTING --started--> RUNNING --stop--> ASKED --deadline--> TERMED --deadline--> KILLED
 * --deadline--> KILLED (init itself) any --kill--> KILLED        any but GONE --exited--> ENDING
 * (init ends the rest) --deadline--> KILLED      any --gone--> GONE
 */
#ifndef REAPER_LADDER_H
#define REAPER_LADDER_H

#include <stdint.h>

enum ladder_state {
    LADDER_STARTING,
    LADDER_RUNNING,
    LADDER_ASKED,  /* Browser.close or the like was sent */
    LADDER_TERMED, /* SIGTERM was sent */
    LADDER_KILLED, /* the socket was closed: init ends everything */
    LADDER_ENDING, /* the program ended by itself, what it left is being ended */
    LADDER_GONE,
    LADDER_STATES
};

enum ladder_event {
    LADDER_ON_STARTED,
    LADDER_ON_STOP, /* stop, with somebody to ask and time to wait */
    LADDER_ON_TERM, /* stop, with nobody to ask */
    LADDER_ON_KILL,
    LADDER_ON_EXITED,   /* the program ended */
    LADDER_ON_GONE,     /* every process is gone */
    LADDER_ON_DEADLINE, /* of the state */
    LADDER_EVENTS
};

enum ladder_action {
    LADDER_DO_NOTHING,
    LADDER_DO_ASK,
    LADDER_DO_TERM,
    LADDER_DO_KILL,      /* close the socket */
    LADDER_DO_KILL_INIT, /* SIGKILL to init: it did not see to its socket */
};

struct ladder_move {
    enum ladder_state to;
    enum ladder_action action;
};

/** Never fails: an event that means nothing in a state leaves it, with LADDER_DO_NOTHING. */
struct ladder_move ladder_next(enum ladder_state s, enum ladder_event ev);

/** How long a state may last, ms; 0: no deadline. ASKED has the caller's own. */
uint64_t ladder_deadline_ms(enum ladder_state s);

const char *ladder_state_name(enum ladder_state s);

#endif
