/* Circuit breaker per target: opens at a failure rate above a threshold over a rolling window with
 * enough samples. It never heals by itself, also not by a restart: only breaker_reset, by an
 * operator, closes it. Pure, but for the file that keeps open ones (<state>/breakers.json, written
 * in one step before the opening is told). */
#ifndef CORE_GUARD_BREAKER_H
#define CORE_GUARD_BREAKER_H

#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/str.h"

struct breaker;
struct breaker_target;

struct breaker_conf {
    double failure_rate;  /* 0 < r <= 1; opens above it; default 0.10 */
    uint64_t window_ms;   /* default 60000 */
    uint32_t min_samples; /* default 20 */
};

/** `state_dir` NULL: nothing is kept (tests). Reads what is open from it; CORRUPT names the
 * file. */
must_check enum status breaker_open_store(const struct breaker_conf *c, const char *state_dir,
                                          struct breaker **out, struct err *e);
void breaker_close_store(struct breaker **b);

bool breaker_allow(struct breaker *b, struct str target);
/** For who asks again and again: the target, good as long as the store; and whether it is
 * allowed. */
const struct breaker_target *breaker_target(struct breaker *b, struct str target);
bool breaker_target_allow(const struct breaker_target *t);
/** One sample. True when this one opened the breaker: it is already on disk (when that fails the
 * breaker is open all the same, and *e says so). */
bool breaker_record(struct breaker *b, struct str target, bool failed, enum status why,
                    uint64_t now_ms, uint64_t wall_ms, struct err *e);
/** Opens it whatever its samples are, as breaker_record does. False: it was open. */
bool breaker_trip(struct breaker *b, struct str target, enum status why, uint64_t now_ms,
                  uint64_t wall_ms, struct err *e);
/** Closes it and forgets its samples. NOT_FOUND when it is not open. The caller writes the receipt
 * first. */
must_check enum status breaker_reset(struct breaker *b, struct str target, struct err *e);

struct breaker_state {
    struct str target;
    bool open;
    uint64_t opened_wall_ms;
    uint32_t samples, failures; /* in the window; for an open one: at the moment it opened */
    enum status why;            /* of the last failure */
};
/** Iteration over all targets that have samples or are open; false at the end. */
bool breaker_next(const struct breaker *b, size_t *it, uint64_t now_ms, struct breaker_state *out);
/** {"target","opened","samples","failures","why"} of an open one. The caller owns it. */
struct json *breaker_state_json(const struct breaker_state *s);

#endif
