/* The engine as a whole: health, status, settings, slots, pause, drain. */
#include <unistd.h>

#include "core/api/api_internal.h"
#include "core/api/metrics.h"
#include "core/fleet/member.h"
#include "version.h"

enum { MEMBERS_SHOWN = 1000 };

static const char *const no_query[] = {NULL};

void api_health(struct exchange *x, void *arg)
{
    const struct api *a = arg;
    enum engine_state s = engine_state(a->engine);
    bool ok = s == ENGINE_STARTING || s == ENGINE_READY;
    struct json *j = json_new_object();

    json_add_str(j, "status", ok ? "ok" : "unavailable");
    json_add_str(j, "state", engine_state_name(s));
    json_add_num(j, "pid", getpid());
    exchange_answer_json(x, ok ? 200 : 503, j);
}

void api_index(struct exchange *x, void *arg)
{
    struct json *all = json_new_array();

    (void)arg;
    for (const struct route *r = api_routes(); r->pattern; r++) {
        struct json *j = json_new_object();

        json_add_str(j, "method", http_method_name(r->method));
        json_add_str(j, "path", r->pattern);
        json_push(all, json_add_str(j, "what", r->doc));
    }
    exchange_answer_json(x, 200, json_add(json_new_object(), "routes", all));
}

/* --- status --- */

static struct json *member_json(const struct member *m)
{
    struct json *j = json_new_object();

    json_add_num(j, "member", m->index);
    json_add_str(j, "proxy", m->proxy_id[0] ? m->proxy_id : NULL);
    return json_add_bool(j, "busy", m->busy);
}

static struct json *members_json(struct engine *e)
{
    struct json *j = json_new_object(), *all = json_new_array();
    size_t n, busy = 0;
    struct member **v = engine_members(e, &n);

    for (size_t i = 0; i < n; i++) {
        busy += v[i]->busy;
        if (i < MEMBERS_SHOWN)
            json_push(all, member_json(v[i]));
    }
    json_add_num(j, "count", (double)n);
    json_add_num(j, "busy", (double)busy);
    return json_add(j, "members", all); /* the first MEMBERS_SHOWN */
}

/* What status and metrics both tell. */
static void add_counts(const struct api *a, struct json *into)
{
    struct json *executor = engine_describe(a->engine);

    json_add(into, "engine", engine_stats_json(a->engine));
    json_add(into, "targets", api_targets_json(a->engine));
    json_add(into, "executor", executor ? executor : json_new_null());
}

void api_status(struct exchange *x, void *arg)
{
    const struct api *a = arg;
    struct json *j;

    if (!api_check_query(x, no_query))
        return;
    j = json_new_object();
    json_add_str(j, "version", FLEET_VERSION);
    json_add_num(j, "pid", getpid());
    json_add_str(j, "name", engine_conf(a->engine)->name);
    json_add_str(j, "state_dir", engine_state_dir(a->engine));
    add_counts(a, j);
    json_add(j, "slots", engine_slots_json(a->engine));
    json_add(j, "members", members_json(a->engine));
    exchange_answer_json(x, 200, j);
}

void api_metrics(struct exchange *x, void *arg)
{
    const struct api *a = arg;
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    struct json *j;

    if (!api_check_query(x, no_query))
        return;
    j = json_new_object();
    add_counts(a, j);
    metrics_write(j, &text);
    json_destroy(&j);
    exchange_answer_buf(x, 200, METRICS_TYPE, &text);
}

/* --- settings --- */

void api_config(struct exchange *x, void *arg)
{
    const struct api *a = arg;
    struct json *j;

    if (!api_check_query(x, no_query))
        return;
    j = json_new_object();
    json_add(j, "settings", engine_settings_json(a->engine));
    json_add(j, "config", campaign_to_json(engine_conf(a->engine)));
    exchange_answer_json(x, 200, j);
}

static void answer_settings(struct exchange *x, const struct api *a)
{
    exchange_answer_json(x, 200,
                         json_add(json_new_object(), "settings", engine_settings_json(a->engine)));
}

void api_config_patch(struct exchange *x, void *arg)
{
    struct api *a = arg;
    struct err e = ERR_INIT;
    struct json *j;

    if (!api_check_query(x, no_query))
        return;
    j = exchange_json(x, &e);
    if (!j || engine_update_json(a->engine, j, &e) != STATUS_OK)
        exchange_answer_err(x, &e);
    else
        answer_settings(x, a);
    json_destroy(&j);
}

struct scale {
    uint32_t slots;
};
static const struct json_field scale_fields[] = {
    {JF_COMMON(struct scale, slots), .kind = JK_UINT, .required = true, .min = 1,
     .max = ENGINE_SLOTS_MAX},
};
static const struct json_schema scale_schema = {
    .name = "body",
    .fields = scale_fields,
    .n = ARRAY_LEN(scale_fields),
    .size = sizeof(struct scale),
};

void api_scale(struct exchange *x, void *arg)
{
    struct api *a = arg;
    struct scale s = {0};
    struct err e = ERR_INIT;

    if (!api_check_query(x, no_query) || !api_decode(x, &scale_schema, &s))
        return;
    if (engine_scale(a->engine, s.slots, &e) != STATUS_OK)
        exchange_answer_err(x, &e);
    else
        answer_settings(x, a);
}

/* --- pause, resume, drain --- */

static void answer_state(struct exchange *x, const struct api *a, unsigned code)
{
    struct json *j = json_new_object();

    json_add_str(j, "state", engine_state_name(engine_state(a->engine)));
    json_add_bool(j, "paused", engine_is_paused(a->engine));
    exchange_answer_json(x, code, j);
}

void api_pause(struct exchange *x, void *arg)
{
    struct api *a = arg;

    if (!api_no_body(x))
        return;
    engine_pause(a->engine, true);
    answer_state(x, a, 200);
}

void api_resume(struct exchange *x, void *arg)
{
    struct api *a = arg;

    if (!api_no_body(x))
        return;
    engine_pause(a->engine, false);
    answer_state(x, a, 200);
}

void api_drain(struct exchange *x, void *arg)
{
    struct api *a = arg;

    if (!api_no_body(x))
        return;
    if (a->opts.on_drain)
        a->opts.on_drain(a->opts.arg);
    answer_state(x, a, 202);
}
