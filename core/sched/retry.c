#include "core/sched/retry.h"

uint64_t retry_delay_ms(struct rng *r, uint64_t base_ms, uint64_t cap_ms, uint32_t n)
{
    uint64_t most = base_ms;

    for (uint32_t i = 1; i < n && most < cap_ms; i++)
        most *= 2;
    if (most > cap_ms)
        most = cap_ms;
    return rng_below(r, most + 1);
}
