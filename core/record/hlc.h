/* Hybrid logical clock: pairs (physical ms, counter) that never go back and stay close to wall
 * time. Pure: `wall_ms` is an argument.
 *
 * After Kulkarni et al., "Logical Physical Clocks" (2014): a tick is later than every tick and
 * every merged peer before it. A peer's physical part further ahead than wall + max_skew_ms is
 * clamped to that, so one broken clock cannot drag a fleet into the future. */
#ifndef CORE_RECORD_HLC_H
#define CORE_RECORD_HLC_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/attr.h"

enum {
    HLC_MAX_SKEW_MS = 10 * 60 * 1000, /* how far a peer may be ahead of our wall clock */
    HLC_MAX_COUNTER = 0xffffff,       /* past this the physical part moves on by 1 ms */
};

struct hlc_time {
    uint64_t ms;      /* since 1970-01-01 UTC, < 2^53 */
    uint32_t counter; /* events within that ms: 0..HLC_MAX_COUNTER */
};

struct hlc {
    struct hlc_time last; /* the latest time given out or merged; {0, 0} at the beginning */
    uint64_t max_skew_ms; /* 0: HLC_MAX_SKEW_MS */
};

/** The time of an event of our own: later than every time before it. A wall clock that went back
 * only makes the counter run. */
struct hlc_time hlc_tick(struct hlc *h, uint64_t wall_ms);
/** The time of receiving a message stamped `peer`: later than all of ours and than `peer`, unless
 * the peer is more than max_skew_ms ahead of the wall: then its physical part counts as wall +
 * max_skew_ms and *clamped (may be NULL) is true. */
struct hlc_time hlc_merge(struct hlc *h, struct hlc_time peer, uint64_t wall_ms, bool *clamped);
/** < 0, 0, > 0 as `a` is before, equal to or after `b`. */
int hlc_compare(struct hlc_time a, struct hlc_time b);

#endif
