/* What protects targets: buckets and breakers. */
#include "core/api/api_internal.h"

#include "core/base/clock.h"

static const char *const no_query[] = {NULL};

/* --- targets --- */

static uint64_t finished(const struct tally_target *t)
{
    uint64_t n = 0;

    for (size_t s = 0; s < TASK_STATE_COUNT; s++)
        n += t->tasks[s];
    return n;
}

static struct json *target_json(struct engine *e, const struct tally_target *t)
{
    uint64_t now = loop_now_ms(engine_loop(e));
    struct str name = str_from(t->name);
    struct json *j = json_new_object();
    struct limit_state l = {0};

    json_add_str(j, "target", t->name);
    json_add_num(j, "tasks", (double)finished(t));
    json_add_num(j, "ops", (double)t->ops);
    json_add_num(j, "ops_failed", (double)t->ops_failed);
    json_add_num(j, "refused", (double)t->refused);
    json_add_num(j, "hits_429", (double)t->hits_429);
    json_add_num(j, "hits_403", (double)t->hits_403);
    json_add_num(j, "hits_captcha", (double)t->hits_captcha);
    json_add_str(j, "breaker", breaker_allow(engine_breaker(e), name) ? "closed" : "open");
    if (limiter_get(engine_limiter(e), name, now, &l)) {
        json_add_num(j, "tokens", l.tokens);
        json_add_num(j, "rate_per_s", l.rate_per_s);
        json_add_num(j, "slowed_ms",
                     l.slowed_until_ms > now ? (double)(l.slowed_until_ms - now) : 0);
    }
    return j;
}

struct json *api_targets_json(struct engine *e)
{
    const struct tally_target *t;
    struct json *all = json_new_array();
    size_t it = 0;

    while ((t = tally_target_next(engine_tally(e), &it)))
        json_push(all, target_json(e, t));
    return all;
}

/* --- breakers --- */

void api_breakers(struct exchange *x, void *arg)
{
    struct api *a = arg;
    struct json *all;
    struct breaker_state s;
    size_t it = 0;

    if (!api_check_query(x, no_query))
        return;
    all = json_new_array();
    while (breaker_next(engine_breaker(a->engine), &it, loop_now_ms(engine_loop(a->engine)), &s)) {
        if (s.open)
            json_push(all, breaker_state_json(&s));
    }
    exchange_answer_json(x, 200, json_add(json_new_object(), "breakers", all));
}

static void on_reset(void *arg, enum status s, const unsigned char *leaf, const struct err *e)
{
    struct exchange *x = arg;
    char hex[AUDIT_HEX_MAX];
    struct json *j;

    if (s != STATUS_OK) {
        exchange_answer_err(x, e);
        return;
    }
    j = json_new_object();
    json_add_str(j, "target", exchange_param(x, "target"));
    json_add_str(j, "breaker", "closed");
    json_add_str(j, "receipt", audit_hex(leaf, hex));
    exchange_answer_json(x, 200, j);
}

void api_breaker_reset(struct exchange *x, void *arg)
{
    struct api *a = arg;

    if (api_no_body(x))
        engine_breaker_reset(a->engine, str_from(exchange_param(x, "target")), on_reset, x);
}
