#include "core/sched/slot.h"

/* 0 is no move: no event leads to SLOT_FREE from itself. */
#define GO(s) (SLOT_##s + 1)

static const unsigned char table[][SLOT_EVENT_COUNT] = {
    [SLOT_FREE] = {[SLOT_LEASE] = GO(LEASED)},
    [SLOT_LEASED] = {[SLOT_DROP] = GO(FREE), [SLOT_RUN] = GO(BUSY)},
    [SLOT_BUSY] = {[SLOT_DONE] = GO(FREE), [SLOT_CANCEL] = GO(DRAINING)},
    [SLOT_DRAINING] = {[SLOT_ACKNOWLEDGED] = GO(FREE), [SLOT_SILENT] = GO(RECYCLING)},
    [SLOT_RECYCLING] = {[SLOT_FREED] = GO(FREE)},
};
_Static_assert(ARRAY_LEN(table) == SLOT_STATE_COUNT, "a row for each state");

const char *slot_state_name(enum slot_state s)
{
    static const char *const names[] = {
        [SLOT_FREE] = "free",         [SLOT_LEASED] = "leased",       [SLOT_BUSY] = "busy",
        [SLOT_DRAINING] = "draining", [SLOT_RECYCLING] = "recycling",
    };

    BUG_ON((unsigned)s >= SLOT_STATE_COUNT);
    return names[s];
}

bool slot_knows(enum slot_state s, enum slot_event ev)
{
    BUG_ON((unsigned)s >= SLOT_STATE_COUNT || (unsigned)ev >= SLOT_EVENT_COUNT);
    return table[s][ev] != 0;
}

void slot_event(struct slot *s, enum slot_event ev)
{
    if (!slot_knows(s->state, ev))
        BUG("slot %u is %s: event %d", s->index, slot_state_name(s->state), (int)ev);
    s->state = (enum slot_state)(table[s->state][ev] - 1);
    if (ev == SLOT_CANCEL || ev == SLOT_LEASE)
        s->generation++;
}
