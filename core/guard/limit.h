/* Token bucket per target, shared by all members and proxies. It cannot be switched off. Pure:
 * `now_ms` (monotonic) is an argument. A spent token is never handed back. Targets are made on
 * first use and kept. */
#ifndef CORE_GUARD_LIMIT_H
#define CORE_GUARD_LIMIT_H

#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/str.h"

struct limiter;
struct limiter_target; /* the bucket of one target */

enum { LIMIT_DEFAULT_MAX_REQUESTS = 2, LIMIT_DEFAULT_WINDOW_MS = 1000, LIMIT_CAP_PER_S = 10 };

struct limit_rate {
    double max_requests; /* tokens a window, also the bucket's size (at least 1) */
    uint64_t window_ms;
};
/** The rate is finite and positive. More than LIMIT_CAP_PER_S a second only with `trusted` (private
 * network or authorized). INVALID says so. */
must_check enum status limit_rate_check(struct limit_rate r, bool trusted, struct err *e);

struct limiter *limiter_create(struct limit_rate r);
void limiter_destroy(struct limiter **l);
/** Marks a target as private or authorized: the cap does not apply to it. Others never exceed
 * LIMIT_CAP_PER_S whatever the rate. */
void limiter_trust(struct limiter *l, struct str target);

/** Takes a token: 0, or the milliseconds to wait before asking again (none was taken). */
uint64_t limiter_take(struct limiter *l, struct str target, uint64_t now_ms);
/** For who asks again and again: the bucket of a target, good as long as the limiter; and a token
 * of it. When one was taken, *then_ms is the wait for the one after it. */
struct limiter_target *limiter_target(struct limiter *l, struct str target);
uint64_t limiter_target_take(const struct limiter *l, struct limiter_target *t, uint64_t now_ms,
                             uint64_t *then_ms);
/** A request is about to leave: 0, it may; or the milliseconds to wait before asking again. It
 * takes a token, but `prepaid` when one was taken for it before: then only what came to be known
 * since holds it up, a Retry-After or the gap of a Crawl-delay to the last that left. */
uint64_t limiter_let_go(struct limiter *l, struct str target, bool prepaid, uint64_t now_ms);
/** The wait that limiter_take would answer; takes nothing. */
uint64_t limiter_wait_ms(struct limiter *l, struct str target, uint64_t now_ms);
/** 429: no token before now + retry_after_ms; without Retry-After (-1) the target's rate is halved
 * (down to one in 30 s) and recovers by itself, doubling after each 20 tokens without another 429.
 * Returns when the next token comes. */
uint64_t limiter_slow(struct limiter *l, struct str target, int64_t retry_after_ms,
                      uint64_t now_ms);
/** robots.txt Crawl-delay: at least this long between tokens (capped at one minute); never speeds
 * up. */
void limiter_set_crawl_delay(struct limiter *l, struct str target, uint64_t delay_ms);

struct limit_state {
    double tokens, rate_per_s;
    uint64_t slowed_until_ms; /* 0: not slowed */
    uint64_t taken, hits_429;
};
bool limiter_get(const struct limiter *l, struct str target, uint64_t now_ms,
                 struct limit_state *out);

#endif
