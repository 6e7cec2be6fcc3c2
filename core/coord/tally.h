/* What a run has come to so far, counted: for progress, summary, report and metrics. Pure. */
#ifndef CORE_COORD_TALLY_H
#define CORE_COORD_TALLY_H

#include "core/base/err.h"
#include "core/base/json.h"
#include "core/sched/task.h"

struct histogram;
struct op_call;

struct tally_target {
    const char *name;
    uint64_t tasks[TASK_STATE_COUNT]; /* finished ones, by state */
    uint64_t ops, ops_failed;
    uint64_t waited_ms; /* of ops: policy, robots and tokens together */
    uint64_t hits_429, hits_403, hits_captcha;
    uint64_t refused;            /* by policy, robots or breaker */
    uint64_t last_slow_until_ms; /* monotonic; 0: never slowed */
    bool breaker_open;
    bool breaker_opened; /* in this run */
};

struct tally {
    uint64_t total;                  /* results there will be */
    uint64_t done[TASK_STATE_COUNT]; /* finished tasks by state */
    uint64_t finished;               /* sum of done */
    uint64_t attempts, retries;
    uint64_t ops, ops_failed;
    uint64_t by_status[STATUS_COUNT]; /* finished tasks by status */
    uint64_t identities;              /* members that became somebody else */
    uint64_t rotations, slowdowns, breakers_opened, pages_killed;
    struct histogram *durations_ms; /* of runs; NULL: none yet */
    struct map *targets;            /* private */
};

void tally_init(struct tally *t);
void tally_deinit(struct tally *t);
struct tally_target *tally_target(struct tally *t, struct str name); /* made on first use */
const struct tally_target *tally_target_next(const struct tally *t, size_t *it);
size_t tally_targets(const struct tally *t);

void tally_task(struct tally *t, struct str target, enum task_state s, enum status status,
                uint64_t duration_ms);
void tally_op(struct tally *t, const struct op_call *call);
/** Duration at or below which a share p (0..1) of finished runs stayed, 3 % exact; 0 when there are
 * none. */
uint64_t tally_quantile_ms(const struct tally *t, double p);
/** {"mean","p50","p95","p99","max"}; the caller owns it. */
must_check struct json *tally_durations_json(const struct tally *t);
/** The summary as an object; the caller owns it. */
must_check struct json *tally_to_json(const struct tally *t);

#endif
