/* Whether another task may begin. A browser's page keeps a processor busy for a tenth of a second,
 * and more of them at a time than the processors can serve do less a second, in more memory; but
 * pages that wait for a slow server want as many slots as there are. So those that wait are not
 * counted, and beyond the bound the machine is asked: its pressure rises within a look. */
#include "core/coord/scale.h"

enum { ROOM_STALE_MS = 4 * SCALE_ROOM_MS };

bool scale_has_room(const struct cpu_seen *before, const struct cpu_seen *now, uint64_t ms)
{
    double all = now->cpus * (double)ms;

    if (ms == 0)
        return false;
    if (before->throttled_ms >= 0 && now->throttled_ms > before->throttled_ms)
        return false;
    if (now->used_ms >= 0 && before->used_ms >= 0 &&
        now->used_ms - before->used_ms > all * (100 - SCALE_ROOM_IDLE) / 100)
        return false;
    if (now->waited_ms >= 0 && before->waited_ms >= 0)
        return now->waited_ms - before->waited_ms < (double)ms * SCALE_ROOM_WAITED / 100;
    if (now->idle_ms >= 0 && before->idle_ms >= 0)
        return now->idle_ms - before->idle_ms > all * SCALE_ROOM_IDLE / 100;
    return now->used_ms >= 0 && before->used_ms >= 0;
}

uint32_t scale_bound(const struct scale_conf *c, double cpus)
{
    double n = (double)c->per_cpu * (cpus > 0 ? cpus : 1);

    if (c->per_cpu == 0 || n >= (double)UINT32_MAX)
        return UINT32_MAX;
    return n > 1 ? (uint32_t)(n + 0.999) : 1;
}

bool scale_may_begin(const struct room *r, const struct scale_conf *c, size_t running,
                     size_t working)
{
    uint32_t bound = scale_bound(c, r->seen.cpus);

    return running == 0 || bound == UINT32_MAX || working < (size_t)bound + r->more;
}

void scale_room_look(struct room *r, const struct scale_conf *c, const struct cpu_seen *seen,
                     bool wanted, uint64_t now_ms)
{
    uint64_t ms = now_ms - r->looked_ms;
    uint32_t bound = scale_bound(c, seen->cpus);

    if (r->looked_ms > 0 && ms < SCALE_ROOM_MS)
        return;
    if (r->looked_ms == 0 || ms > ROOM_STALE_MS || bound == UINT32_MAX)
        r->more = 0;
    else if (!scale_has_room(&r->seen, seen, ms))
        r->more /= 2;
    else if (wanted && r->more < UINT32_MAX / 4)
        r->more += bound > 1 ? bound / 2 : 1;
    r->seen = *seen;
    r->looked_ms = now_ms;
}
