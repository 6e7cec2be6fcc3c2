/* Time behind one struct, so that tests own it. Decision logic takes `now` as an argument; only
 * glue reads a clock. */
#ifndef CORE_BASE_CLOCK_H
#define CORE_BASE_CLOCK_H

#include <stdint.h>

#include "core/base/attr.h"

struct clock {
    uint64_t (*mono_ns)(const struct clock *c); /* CLOCK_MONOTONIC; never goes back */
    uint64_t (*wall_ns)(const struct clock *c); /* since 1970-01-01 UTC; may jump */
};

/** The system's clock; static. */
const struct clock *clock_system(void);

/** A clock that stands still until it is moved. Start it with clock_fake_init. */
struct clock_fake {
    struct clock clock;
    uint64_t mono, wall; /* ns; write them freely */
};
void clock_fake_init(struct clock_fake *f, uint64_t wall_ms);
void clock_fake_advance_ms(struct clock_fake *f, uint64_t ms); /* both clocks */

static inline uint64_t clock_mono_ms(const struct clock *c)
{
    return c->mono_ns(c) / 1000000u;
}
static inline uint64_t clock_wall_ms(const struct clock *c)
{
    return c->wall_ns(c) / 1000000u;
}

#define CLOCK_RFC3339_MAX 32
/** "2026-01-02T03:04:05.678Z" into out[CLOCK_RFC3339_MAX]; returns out. */
char *clock_rfc3339(uint64_t wall_ms, char *out);
/** HTTP-date in any of its three forms (RFC 9110 §5.6.7) to seconds since 1970. */
must_check int clock_parse_http_date(const char *s, int64_t *out_s); /* 0 ok, -1 not a date */

#endif
