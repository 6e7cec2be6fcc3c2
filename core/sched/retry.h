/* When to try again: exponential with full jitter, capped. Pure but for the stream of choices. */
#ifndef CORE_SCHED_RETRY_H
#define CORE_SCHED_RETRY_H

#include "core/base/rng.h"

/** Before attempt `n` + 1 (n >= 1 attempts are over): uniformly one of 0..min(cap, base * 2^(n-1)).
 */
uint64_t retry_delay_ms(struct rng *r, uint64_t base_ms, uint64_t cap_ms, uint32_t n);

#endif
