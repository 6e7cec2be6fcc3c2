/* A slot: capacity to run one member at a time. Its generation never goes back, so that an answer
 * for an earlier occupant is known for what it is.
 *
 *   FREE --lease--> LEASED --run--> BUSY --done--> FREE
 *                      |              |--cancel--> DRAINING (generation + 1) --acknowledged--> FREE
 *                      +--drop--> FREE                  \--silent--> RECYCLING --freed--> FREE
 *
 * The states of a worker's start (starting, ready, failed) come with workers in processes of their
 * own. Pure. */
#ifndef CORE_SCHED_SLOT_H
#define CORE_SCHED_SLOT_H

#include "core/base/attr.h"

#include <stdbool.h>

enum slot_state {
    SLOT_FREE,
    SLOT_LEASED,
    SLOT_BUSY,
    SLOT_DRAINING,
    SLOT_RECYCLING,
    SLOT_STATE_COUNT
};
enum slot_event {
    SLOT_LEASE,
    SLOT_DROP, /* the lease was given back before anything ran */
    SLOT_RUN,
    SLOT_DONE,
    SLOT_CANCEL,       /* what runs is to end */
    SLOT_ACKNOWLEDGED, /* it ended */
    SLOT_SILENT,       /* it did not end in time: given up */
    SLOT_FREED,
    SLOT_EVENT_COUNT
};

struct slot {
    uint32_t index;
    uint32_t generation;
    enum slot_state state;
};

const char *slot_state_name(enum slot_state s);
/** BUG for an event that the state does not know. */
void slot_event(struct slot *s, enum slot_event ev);
bool slot_knows(enum slot_state s, enum slot_event ev);

#endif
