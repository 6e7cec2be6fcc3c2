#include "core/record/hlc.h"

/* The next time in physical millisecond `ms` or later that comes after `last`. */
static struct hlc_time after(struct hlc_time last, uint64_t ms)
{
    if (ms > last.ms)
        return (struct hlc_time){ms, 0};
    if (last.counter >= HLC_MAX_COUNTER)
        return (struct hlc_time){last.ms + 1, 0};
    return (struct hlc_time){last.ms, last.counter + 1};
}

struct hlc_time hlc_tick(struct hlc *h, uint64_t wall_ms)
{
    h->last = after(h->last, wall_ms);
    return h->last;
}

struct hlc_time hlc_merge(struct hlc *h, struct hlc_time peer, uint64_t wall_ms, bool *clamped)
{
    uint64_t skew = h->max_skew_ms ? h->max_skew_ms : HLC_MAX_SKEW_MS;
    bool ahead = peer.ms > wall_ms && peer.ms - wall_ms > skew;

    if (ahead)
        peer = (struct hlc_time){wall_ms + skew, 0};
    if (clamped)
        *clamped = ahead;
    if (hlc_compare(peer, h->last) > 0)
        h->last = peer;
    return hlc_tick(h, wall_ms);
}

int hlc_compare(struct hlc_time a, struct hlc_time b)
{
    if (a.ms != b.ms)
        return a.ms < b.ms ? -1 : 1;
    return (a.counter > b.counter) - (a.counter < b.counter);
}
