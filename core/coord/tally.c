#include "core/coord/tally.h"

#include "core/base/map.h"
#include "core/coord/histogram.h"
#include "core/op/op.h"

void tally_init(struct tally *t)
{
    *t = (struct tally){.targets = map_create()};
}

void tally_deinit(struct tally *t)
{
    map_destroy(&t->targets, free);
    free(t->durations_ms);
    *t = (struct tally){0};
}

struct tally_target *tally_target(struct tally *t, struct str name)
{
    struct tally_target *x = map_find(t->targets, name);
    char *copy;

    if (x)
        return x;
    x = xcalloc(1, sizeof(*x) + name.len + 1);
    copy = (char *)(x + 1);
    memcpy(copy, name.ptr, name.len);
    x->name = copy;
    map_put(t->targets, name, x);
    return x;
}

const struct tally_target *tally_target_next(const struct tally *t, size_t *it)
{
    return map_next(t->targets, it, NULL);
}

size_t tally_targets(const struct tally *t)
{
    return map_len(t->targets);
}

void tally_task(struct tally *t, struct str target, enum task_state s, enum status status,
                uint64_t duration_ms)
{
    t->done[s]++;
    t->finished++;
    t->by_status[status]++;
    tally_target(t, target)->tasks[s]++;
    if (duration_ms == 0)
        return; /* never ran */
    if (!t->durations_ms)
        t->durations_ms = xcalloc(1, sizeof(*t->durations_ms));
    histogram_add(t->durations_ms, duration_ms);
}

void tally_op(struct tally *t, const struct op_call *call)
{
    struct tally_target *x;

    t->ops++;
    t->ops_failed += call->status != STATUS_OK;
    if (call->target.len == 0)
        return;
    x = tally_target(t, call->target);
    x->ops++;
    x->ops_failed += call->status != STATUS_OK;
    x->waited_ms += call->waited_ms;
    x->hits_429 += call->status == STATUS_HTTP_429;
    x->hits_403 += call->status == STATUS_HTTP_403;
    x->hits_captcha += call->status == STATUS_CAPTCHA_DETECTED;
    x->refused += call->status == STATUS_POLICY_DENIED || call->status == STATUS_ROBOTS_DENIED ||
                  call->status == STATUS_BREAKER_OPEN;
}

uint64_t tally_quantile_ms(const struct tally *t, double p)
{
    return t->durations_ms ? histogram_quantile(t->durations_ms, p) : 0;
}

static double tally_mean_ms(const struct tally *t)
{
    return t->durations_ms ? histogram_mean(t->durations_ms) : 0;
}

struct json *tally_durations_json(const struct tally *t)
{
    struct json *j = json_new_object();

    json_add_num(j, "mean", tally_mean_ms(t));
    json_add_num(j, "p50", (double)tally_quantile_ms(t, 0.50));
    json_add_num(j, "p95", (double)tally_quantile_ms(t, 0.95));
    json_add_num(j, "p99", (double)tally_quantile_ms(t, 0.99));
    return json_add_num(j, "max", t->durations_ms ? (double)t->durations_ms->max : 0);
}

static struct json *states_json(const uint64_t *counts)
{
    struct json *j = json_new_object();

    for (int i = 0; i < TASK_STATE_COUNT; i++) {
        if (task_is_over((enum task_state)i))
            json_add_num(j, task_state_name((enum task_state)i), (double)counts[i]);
    }
    return j;
}

static struct json *target_json(const struct tally_target *x)
{
    struct json *j = json_new_object();

    json_add_str(j, "target", x->name);
    json_add(j, "tasks", states_json(x->tasks));
    json_add_num(j, "ops", (double)x->ops);
    json_add_num(j, "ops_failed", (double)x->ops_failed);
    json_add_num(j, "waited_ms", (double)x->waited_ms);
    json_add_num(j, "http_429", (double)x->hits_429);
    json_add_num(j, "http_403", (double)x->hits_403);
    json_add_num(j, "captcha", (double)x->hits_captcha);
    json_add_num(j, "refused", (double)x->refused);
    json_add_bool(j, "breaker_open", x->breaker_open);
    return j;
}

struct json *tally_to_json(const struct tally *t)
{
    struct json *j = json_new_object(), *errors = json_new_object(), *targets = json_new_array();
    const struct tally_target *x;
    size_t it = 0;

    json_add_num(j, "total", (double)t->total);
    json_add_num(j, "finished", (double)t->finished);
    json_add(j, "tasks", states_json(t->done));
    json_add_num(j, "attempts", (double)t->attempts);
    json_add_num(j, "retries", (double)t->retries);
    json_add_num(j, "ops", (double)t->ops);
    json_add_num(j, "ops_failed", (double)t->ops_failed);
    json_add_num(j, "rotations", (double)t->rotations);
    json_add_num(j, "identities_rotated", (double)t->identities);
    json_add_num(j, "p50_ms", (double)tally_quantile_ms(t, 0.50));
    json_add_num(j, "p95_ms", (double)tally_quantile_ms(t, 0.95));
    for (int i = STATUS_OK + 1; i < STATUS_COUNT; i++) {
        if (t->by_status[i])
            json_add_num(errors, status_name((enum status)i), (double)t->by_status[i]);
    }
    json_add(j, "errors", errors);
    while ((x = tally_target_next(t, &it)))
        json_push(targets, target_json(x));
    json_add(j, "targets", targets);
    return j;
}
