/* What an answer of a target means: ok, failed, or a reputation hit (HTTP_429, HTTP_403,
 * CAPTCHA_DETECTED). Pure. */
#ifndef CORE_OP_OUTCOME_H
#define CORE_OP_OUTCOME_H

#include "core/op/op.h"

/** The outcome of a call from how its run ended and what was observed. A block page outranks its
 * HTTP status. */
enum status outcome_classify(enum status run_status, const struct op_observed *seen,
                             bool accept_4xx);
/** Counts as a sample of the target's breaker (false: not the target's doing, such as a missing
 * element, the proxy's failure or this side's own). */
bool outcome_is_sample(enum status s, const struct op_observed *seen);
/** A sample that counts as a failure. */
bool outcome_is_target_failure(enum status s);
/** 429, 403, CAPTCHA: a demerit for the proxy, which is rotated for the member's next op. */
bool outcome_is_reputation_hit(enum status s);

/** Retry-After (RFC 9110 §10.2.3: seconds or a date) as milliseconds from `wall_ms`; -1 when it is
 * neither. Capped at one day. */
int64_t outcome_retry_after_ms(struct str value, uint64_t wall_ms);

#endif
