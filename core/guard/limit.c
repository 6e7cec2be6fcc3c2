#include "core/guard/limit.h"

#include <math.h>

#include "core/base/map.h"

/* A bucket is kept as "tokens at a moment"; nothing ticks. `slow_level` n means the rate divided by
 * 2^n: raised by a 429 that named no delay, lowered after SLOW_RECOVER_TOKENS tokens without
 * another. The target's own words (Retry-After) are a moment before which nothing is given. */
enum {
    SLOW_RECOVER_TOKENS = 20,
    SLOW_INTERVAL_MAX_MS = 30000,
    CRAWL_DELAY_MAX_MS = 60000,
    SLOW_LEVEL_MAX = 16,
};

struct limiter_target {
    double tokens;
    uint64_t at_ms; /* when `tokens` was right */
    uint64_t not_before_ms;
    uint64_t min_gap_ms; /* Crawl-delay */
    uint64_t last_taken_ms;
    uint64_t last_left_ms; /* a request, which may be later than its token; 0: none did */
    uint32_t slow_level;
    uint32_t since_hit; /* tokens taken since the last 429 */
    bool trusted;
    bool used;
    uint64_t taken, hits;
};

struct limiter {
    struct limit_rate rate;
    /* of a target that is not slowed; [1] where it is trusted */
    double per_ms[2], size[2];
    struct map *targets;
};

enum status limit_rate_check(struct limit_rate r, bool trusted, struct err *e)
{
    if (!isfinite(r.max_requests) || r.max_requests <= 0 || r.max_requests > 1e6)
        return err_set(e, STATUS_INVALID,
                       "max_requests %g: expected a number above 0 (the limit cannot be switched "
                       "off; leave the key out for the default of %d a second)",
                       r.max_requests, LIMIT_DEFAULT_MAX_REQUESTS);
    if (r.window_ms == 0 || r.window_ms > 86400000)
        return err_set(e, STATUS_INVALID, "window_ms %llu: expected 1..86400000",
                       (unsigned long long)r.window_ms);
    if (!trusted && r.max_requests * 1000.0 / (double)r.window_ms > LIMIT_CAP_PER_S + 1e-9)
        return err_set(e, STATUS_INVALID,
                       "%g requests in %llu ms is more than %d a second: that is only for targets "
                       "on private networks, or listed in limits.authorized",
                       r.max_requests, (unsigned long long)r.window_ms, LIMIT_CAP_PER_S);
    return STATUS_OK;
}

struct limiter *limiter_create(struct limit_rate r)
{
    struct limiter *l = xcalloc(1, sizeof *l);

    BUG_ON(limit_rate_check(r, true, NULL) != STATUS_OK);
    l->rate = r;
    l->per_ms[1] = r.max_requests / (double)r.window_ms;
    l->per_ms[0] = fmin(l->per_ms[1], LIMIT_CAP_PER_S / 1000.0);
    l->size[1] = fmax(r.max_requests, 1);
    l->size[0] = fmin(l->size[1], LIMIT_CAP_PER_S);
    l->targets = map_create();
    return l;
}

void limiter_destroy(struct limiter **lp)
{
    if (*lp == NULL)
        return;
    map_destroy(&(*lp)->targets, free);
    free(*lp);
    *lp = NULL;
}

struct limiter_target *limiter_target(struct limiter *l, struct str name)
{
    struct limiter_target *t = map_find(l->targets, name);

    if (t == NULL) {
        t = xcalloc(1, sizeof *t);
        map_put(l->targets, name, t);
    }
    return t;
}

/* Tokens a millisecond, now. */
static double rate_per_ms(const struct limiter *l, const struct limiter_target *t)
{
    double rate = l->per_ms[t->trusted];
    double slowed;

    if (t->slow_level == 0)
        return rate;
    slowed = ldexp(rate, -(int)t->slow_level);
    if (slowed < 1.0 / SLOW_INTERVAL_MAX_MS)
        slowed = fmin(rate, 1.0 / SLOW_INTERVAL_MAX_MS);
    return slowed;
}

static double bucket_size(const struct limiter *l, const struct limiter_target *t)
{
    return t->slow_level > 0 ? 1 : l->size[t->trusted];
}

static void refill(const struct limiter *l, struct limiter_target *t, uint64_t now_ms)
{
    double size = bucket_size(l, t);

    if (!t->used) {
        t->used = true;
        t->tokens = size;
    } else if (now_ms > t->at_ms) {
        t->tokens += (double)(now_ms - t->at_ms) * rate_per_ms(l, t);
    }
    if (t->tokens > size)
        t->tokens = size;
    if (now_ms > t->at_ms)
        t->at_ms = now_ms;
}

static uint64_t wait_for(const struct limiter *l, const struct limiter_target *t, uint64_t now_ms)
{
    uint64_t wait = 0;

    /* The sums of many refills may stay a rounding error below 1. */
    if (t->tokens < 1 - 1e-9)
        wait = (uint64_t)ceil((1 - t->tokens) / rate_per_ms(l, t) - 1e-6);
    if (t->tokens < 1 - 1e-9 && wait == 0)
        wait = 1;
    if (t->not_before_ms > now_ms && t->not_before_ms - now_ms > wait)
        wait = t->not_before_ms - now_ms;
    if (t->min_gap_ms > 0 && t->taken > 0 && t->last_taken_ms + t->min_gap_ms > now_ms &&
        t->last_taken_ms + t->min_gap_ms - now_ms > wait)
        wait = t->last_taken_ms + t->min_gap_ms - now_ms;
    return wait;
}

uint64_t limiter_wait_ms(struct limiter *l, struct str target, uint64_t now_ms)
{
    struct limiter_target *t = limiter_target(l, target);

    refill(l, t, now_ms);
    return wait_for(l, t, now_ms);
}

uint64_t limiter_target_take(const struct limiter *l, struct limiter_target *t, uint64_t now_ms,
                             uint64_t *then_ms)
{
    uint64_t wait;

    refill(l, t, now_ms);
    wait = wait_for(l, t, now_ms);
    if (wait > 0)
        return wait;
    t->tokens = t->tokens > 1 ? t->tokens - 1 : 0;
    t->last_taken_ms = now_ms;
    t->taken++;
    if (t->slow_level > 0 && ++t->since_hit >= SLOW_RECOVER_TOKENS) {
        t->slow_level--;
        t->since_hit = 0;
    }
    *then_ms = wait_for(l, t, now_ms);
    return 0;
}

uint64_t limiter_take(struct limiter *l, struct str target, uint64_t now_ms)
{
    uint64_t then_ms;

    return limiter_target_take(l, limiter_target(l, target), now_ms, &then_ms);
}

static uint64_t until(uint64_t then_ms, uint64_t now_ms)
{
    return then_ms > now_ms ? then_ms - now_ms : 0;
}

uint64_t limiter_let_go(struct limiter *l, struct str target, bool prepaid, uint64_t now_ms)
{
    struct limiter_target *t = limiter_target(l, target);
    uint64_t wait = until(t->not_before_ms, now_ms), gap = 0, then_ms;

    if (t->min_gap_ms > 0 && t->last_left_ms > 0)
        gap = until(t->last_left_ms + t->min_gap_ms, now_ms);
    if (gap > wait)
        wait = gap;
    if (wait == 0 && !prepaid)
        wait = limiter_target_take(l, t, now_ms, &then_ms);
    if (wait == 0)
        t->last_left_ms = now_ms;
    return wait;
}

uint64_t limiter_slow(struct limiter *l, struct str target, int64_t retry_after_ms, uint64_t now_ms)
{
    struct limiter_target *t = limiter_target(l, target);
    uint64_t wait;

    refill(l, t, now_ms);
    t->hits++;
    t->since_hit = 0;
    if (retry_after_ms >= 0) {
        if (now_ms + (uint64_t)retry_after_ms > t->not_before_ms)
            t->not_before_ms = now_ms + (uint64_t)retry_after_ms;
    } else if (t->slow_level < SLOW_LEVEL_MAX && rate_per_ms(l, t) > 1.0 / SLOW_INTERVAL_MAX_MS) {
        t->slow_level++;
    }
    /* Whatever had gathered in the bucket is not to be spent in one burst on a target that just
     * said "too many". */
    t->tokens = retry_after_ms >= 0 ? fmin(t->tokens, 1) : 0;
    wait = wait_for(l, t, now_ms);
    return now_ms + wait;
}

void limiter_set_crawl_delay(struct limiter *l, struct str target, uint64_t delay_ms)
{
    struct limiter_target *t = limiter_target(l, target);

    t->min_gap_ms = delay_ms < CRAWL_DELAY_MAX_MS ? delay_ms : CRAWL_DELAY_MAX_MS;
}

void limiter_trust(struct limiter *l, struct str target)
{
    limiter_target(l, target)->trusted = true;
}

bool limiter_get(const struct limiter *l, struct str target, uint64_t now_ms,
                 struct limit_state *out)
{
    struct limiter_target *t = map_find(l->targets, target);
    double rate;

    if (t == NULL)
        return false;
    refill(l, t, now_ms);
    rate = rate_per_ms(l, t) * 1000;
    if (t->min_gap_ms > 0)
        rate = fmin(rate, 1000.0 / (double)t->min_gap_ms);
    *out = (struct limit_state){
        .tokens = t->tokens,
        .rate_per_s = rate,
        .slowed_until_ms = t->not_before_ms > now_ms ? t->not_before_ms
                           : t->slow_level > 0       ? now_ms + wait_for(l, t, now_ms)
                                                     : 0,
        .taken = t->taken,
        .hits_429 = t->hits,
    };
    return true;
}
