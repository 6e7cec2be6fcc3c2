/* What can be asked of an engine and changed at run time: settings, slots, statistics, breakers. */
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/jcs.h"
#include "core/base/log.h"
#include "core/base/map.h"
#include "core/coord/engine_internal.h"
#include "core/coord/events.h"

/* --- rates --- */

static size_t rate_place(struct rates *r, uint64_t second)
{
    size_t at = (size_t)(second % (RATE_SECONDS + 1));

    if (r->second[at] != second) {
        r->second[at] = second;
        r->tasks[at] = r->ops[at] = 0;
    }
    return at;
}

void rates_count(struct rates *r, uint64_t now_ms, uint64_t tasks, uint64_t ops)
{
    size_t at = rate_place(r, now_ms / 1000);

    r->tasks[at] += tasks;
    r->ops[at] += ops;
}

/* Of the whole seconds before this one. */
static double rate(const struct rates *r, const uint64_t *counts, uint64_t now_ms, uint64_t age_ms)
{
    uint64_t now = now_ms / 1000, sum = 0, seconds = age_ms / 1000;

    for (size_t i = 0; i <= RATE_SECONDS; i++) {
        if (r->second[i] < now && r->second[i] + RATE_SECONDS >= now)
            sum += counts[i];
    }
    if (seconds > RATE_SECONDS)
        seconds = RATE_SECONDS;
    return (double)sum / (double)(seconds ? seconds : 1);
}

/* --- pause and slots --- */

void engine_pause(struct engine *e, bool paused)
{
    e->user_paused = paused;
    if (e->sched)
        sched_pause(e->sched, e->held || e->user_paused);
}

bool engine_is_paused(const struct engine *e)
{
    return e->user_paused;
}

/* Those of the slots that may be in use. */
static uint32_t admitted(const struct engine *e)
{
    uint32_t cap = e->admission.cap;

    return cap > 0 && cap < e->settings.slots ? cap : e->settings.slots;
}

static void set_slots(struct engine *e, uint32_t slots)
{
    uint32_t n;

    e->settings.slots = slots;
    n = admitted(e);
    if (e->sched)
        sched_scale(e->sched, n);
    if (e->executor && e->opts.kit->executor->scale)
        e->opts.kit->executor->scale(e->executor, n);
}

static enum status check_slots(uint32_t slots, struct err *er)
{
    if (slots >= 1 && slots <= ENGINE_SLOTS_MAX)
        return STATUS_OK;
    return err_set(er, STATUS_INVALID, "/slots: found %u, expected 1..%d", slots,
                   (int)ENGINE_SLOTS_MAX);
}

enum status engine_scale(struct engine *e, uint32_t slots, struct err *er)
{
    enum status s = check_slots(slots, er);

    if (s != STATUS_OK)
        return s;
    e->scales = false;
    set_slots(e, slots);
    events_scaled(e, slots, "asked for");
    return STATUS_OK;
}

static void autoscale(struct engine *e, const struct scale_seen *seen)
{
    const char *why;
    uint32_t slots = scale_decide(&e->scaler, seen, &why);
    char text[128];

    if (slots == e->settings.slots)
        return;
    snprintf(text, sizeof(text), "%u slots, were %u: %s", slots, e->settings.slots, why);
    log_info(NULL, "slots.scaled", LOG_U64("slots", slots), LOG_STR("why", why));
    set_slots(e, slots);
    events_scaled(e, slots, why);
    ENGINE_TELL(e, on_event, "scaled", NULL, text);
}

/* --- pressure --- */

const char *engine_pressure(const struct engine *e)
{
    return e->is_pressed ? e->pressure : NULL;
}

static void look_for_pressure(struct engine *e, const struct scale_seen *seen)
{
    char text[SCALE_TEXT_MAX];
    bool was = e->is_pressed;

    e->is_pressed = scale_pressure(&e->scaler.conf, seen, text) != NULL;
    if (e->is_pressed)
        memcpy(e->pressure, text, sizeof(text));
    if (e->is_pressed == was)
        return;
    events_pressure(e, e->is_pressed, e->pressure);
    if (e->is_pressed)
        log_warn(NULL, "pressure.begun", LOG_STR("why", e->pressure));
    else
        log_info(NULL, "pressure.over", LOG_STR("why", e->pressure));
}

static void admit(struct engine *e, struct scale_seen *seen)
{
    uint32_t before = admitted(e), now;
    char text[SCALE_TEXT_MAX + 64];

    seen->active = sched_peak(e->sched);
    now = scale_admit(&e->admission, &e->scaler.conf, seen);
    if (now == before)
        return;
    set_slots(e, e->settings.slots);
    snprintf(text, sizeof(text), "%u of %u slots: %s", now, e->settings.slots,
             e->is_pressed ? e->pressure : "the pressure is over");
    log_info(NULL, "slots.held", LOG_U64("slots", now), LOG_U64("of", e->settings.slots),
             LOG_STR("why", e->is_pressed ? e->pressure : ""));
    events_held(e, now, e->settings.slots, e->is_pressed ? e->pressure : "");
    ENGINE_TELL(e, on_event, "slots held", NULL, text);
}

static void on_scale_time(struct loop_timer *t);

static void look(struct engine *e, bool may_scale)
{
    struct scale_seen seen = {
        .slots = e->settings.slots,
        .active = sched_running(e->sched),
        .waiting = sched_waiting(e->sched),
    };

    scale_look(&seen);
    look_for_pressure(e, &seen);
    if (!e->scales)
        admit(e, &seen);
    else if (may_scale)
        autoscale(e, &seen);
    loop_timer_start(e->loop, &e->scale_timer, SCALE_PERIOD_MS, on_scale_time);
}

static void on_scale_time(struct loop_timer *t)
{
    look(container_of(t, struct engine, scale_timer), true);
}

/* Before any task begins: a machine that is short already is given one slot's work. */
void engine_start_scaling(struct engine *e)
{
    look(e, false);
}

/* --- room at the processors --- */

static size_t working(const struct engine *e)
{
    const struct executor_ops *x = e->opts.kit->executor;

    return e->executor && x->working ? x->working(e->executor) : 0;
}

/* 0: no bound. */
static uint32_t working_max(const struct engine *e)
{
    bool bound =
        e->opts.kit->executor->working && e->scaler.conf.per_cpu > 0 && e->room.looked_ms > 0;

    return bound ? scale_bound(&e->scaler.conf, e->room.seen.cpus) + e->room.more : 0;
}

static void on_room_time(struct loop_timer *t);

static void look_for_room(struct engine *e)
{
    struct cpu_seen seen;

    scale_look_cpu(&seen);
    scale_room_look(&e->room, &e->scaler.conf, &seen, e->wants_room, loop_now_ms(e->loop));
    e->wants_room = false;
    loop_timer_start(e->loop, &e->room_timer, SCALE_ROOM_MS, on_room_time);
}

/* While some is wanted, or more work than the bound. */
static void on_room_time(struct loop_timer *t)
{
    struct engine *e = container_of(t, struct engine, room_timer);

    if (e->wants_room || (e->room.more > 0 && sched_running(e->sched) > 0))
        look_for_room(e);
    else
        e->room.more = 0;
    sched_poke(e->sched);
}

bool engine_may_begin(void *arg)
{
    struct engine *e = arg;
    const struct executor_ops *x = e->opts.kit->executor;

    if (!x->working || e->scaler.conf.per_cpu == 0)
        return true;
    if (e->room.looked_ms == 0)
        look_for_room(e);
    if (scale_may_begin(&e->room, &e->scaler.conf, sched_running(e->sched), working(e)))
        return true;
    e->wants_room = true;
    if (!loop_timer_is_active(&e->room_timer))
        look_for_room(e);
    return false;
}

/* --- settings --- */

enum { DAY_MS = 24 * 60 * 60 * 1000, WEEK_MS = 7 * DAY_MS };

void engine_settings(const struct engine *e, struct engine_settings *out)
{
    *out = e->settings;
}

static enum status check_range(const char *name, uint64_t v, uint64_t min, uint64_t max,
                               struct err *er)
{
    if (v >= min && v <= max)
        return STATUS_OK;
    return err_set(er, STATUS_INVALID, "/%s: found %llu, expected %llu..%llu", name,
                   (unsigned long long)v, (unsigned long long)min, (unsigned long long)max);
}

enum status engine_update(struct engine *e, const struct engine_settings *x, struct err *er)
{
    const struct range {
        const char *name;
        uint64_t v, min, max;
    } ranges[] = {
        {"slots", x->slots, 1, ENGINE_SLOTS_MAX},
        {"deadlines/queued_ms", x->deadlines.queued_ms, 0, WEEK_MS},
        {"deadlines/run_ms", x->deadlines.run_ms, 0, DAY_MS},
        {"deadlines/total_ms", x->deadlines.total_ms, 0, WEEK_MS},
        {"retry/max", x->retry.max, 0, 100},
        {"retry/base_ms", x->retry.base_ms, 1, DAY_MS},
        {"retry/cap_ms", x->retry.cap_ms, x->retry.base_ms, DAY_MS},
        {"target_concurrency", x->target_concurrency, 0, ENGINE_SLOTS_MAX},
        {"autoscale/cpu_pressure", x->cpu_pressure, 0, 100},
        {"autoscale/memory_pressure", x->memory_pressure, 1, 100},
        {"autoscale/memory_available", x->memory_available, 0, 100},
        {"autoscale/per_cpu", x->per_cpu, 0, ENGINE_SLOTS_MAX},
    };

    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        enum status s = check_range(ranges[i].name, ranges[i].v, ranges[i].min, ranges[i].max, er);

        if (s != STATUS_OK)
            return s;
    }
    if (x->slots != e->settings.slots && engine_scale(e, x->slots, er) != STATUS_OK)
        return STATUS_INVALID;
    e->settings = *x;
    e->scaler.conf.cpu = x->cpu_pressure;
    e->scaler.conf.memory = x->memory_pressure;
    e->scaler.conf.available = x->memory_available;
    e->scaler.conf.per_cpu = x->per_cpu;
    if (e->sched && e->state < ENGINE_STOPPING)
        look(e, false);
    if (e->sched) {
        sched_set(e->sched, &x->deadlines, &x->retry);
        sched_set_concurrency(e->sched, x->target_concurrency);
    }
    return STATUS_OK;
}

#define AT(m) .offset = offsetof(struct update, m)

/* Wide enough for every field, as they are decoded. */
struct update {
    uint32_t slots, target_concurrency, max;
    uint32_t cpu, memory, available, per_cpu;
    int64_t queued_ms, run_ms, total_ms, base_ms, cap_ms;
};

static const struct json_field deadlines_fields[] = {
    {.name = "queued_ms", .kind = JK_INT, AT(queued_ms), .min = 0, .max = WEEK_MS},
    {.name = "run_ms", .kind = JK_INT, AT(run_ms), .min = 0, .max = DAY_MS},
    {.name = "total_ms", .kind = JK_INT, AT(total_ms), .min = 0, .max = WEEK_MS},
};
static const struct json_schema deadlines_schema = {
    .name = "deadlines",
    .fields = deadlines_fields,
    .n = ARRAY_LEN(deadlines_fields),
    .size = sizeof(struct update),
};
static const struct json_field retry_fields[] = {
    {.name = "max", .kind = JK_UINT, AT(max), .min = 0, .max = 100},
    {.name = "base_ms", .kind = JK_INT, AT(base_ms), .min = 1, .max = DAY_MS},
    {.name = "cap_ms", .kind = JK_INT, AT(cap_ms), .min = 1, .max = DAY_MS},
};
static const struct json_schema retry_schema = {
    .name = "retry",
    .fields = retry_fields,
    .n = ARRAY_LEN(retry_fields),
    .size = sizeof(struct update),
};
static const struct json_field pressure_fields[] = {
    {.name = "cpu_pressure", .kind = JK_UINT, AT(cpu), .min = 0, .max = 100},
    {.name = "memory_pressure", .kind = JK_UINT, AT(memory), .min = 1, .max = 100},
    {.name = "memory_available", .kind = JK_UINT, AT(available), .min = 0, .max = 100},
    {.name = "per_cpu", .kind = JK_UINT, AT(per_cpu), .min = 0, .max = ENGINE_SLOTS_MAX},
};
static const struct json_schema pressure_schema = {
    .name = "autoscale",
    .fields = pressure_fields,
    .n = ARRAY_LEN(pressure_fields),
    .size = sizeof(struct update),
};
static const struct json_field settings_fields[] = {
    {.name = "slots", .kind = JK_UINT, AT(slots), .min = 1, .max = ENGINE_SLOTS_MAX},
    {.name = "deadlines", .kind = JK_OBJECT, .offset = 0, .sub = &deadlines_schema},
    {.name = "retry", .kind = JK_OBJECT, .offset = 0, .sub = &retry_schema},
    {.name = "target_concurrency",
     .kind = JK_UINT,
     AT(target_concurrency),
     .min = 0,
     .max = ENGINE_SLOTS_MAX},
    {.name = "autoscale", .kind = JK_OBJECT, .offset = 0, .sub = &pressure_schema},
};
static const struct json_schema settings_schema = {
    .name = "settings",
    .fields = settings_fields,
    .n = ARRAY_LEN(settings_fields),
    .size = sizeof(struct update),
};

enum status engine_update_json(struct engine *e, const struct json *j, struct err *er)
{
    const struct engine_settings *now = &e->settings;
    struct update u = {
        .slots = now->slots,
        .target_concurrency = now->target_concurrency,
        .max = now->retry.max,
        .queued_ms = (int64_t)now->deadlines.queued_ms,
        .run_ms = (int64_t)now->deadlines.run_ms,
        .total_ms = (int64_t)now->deadlines.total_ms,
        .base_ms = (int64_t)now->retry.base_ms,
        .cap_ms = (int64_t)now->retry.cap_ms,
        .cpu = now->cpu_pressure,
        .memory = now->memory_pressure,
        .available = now->memory_available,
        .per_cpu = now->per_cpu,
    };
    struct arena *a = arena_create(NULL, 0);
    struct json_decode d;
    enum status s;

    json_decode_init(&d, a, NULL);
    if (json_type(j) != JSON_OBJECT)
        json_fail(&d, NULL, "found %s, expected an object", json_type_name(json_type(j)));
    else
        (void)json_decode(&d, &settings_schema, j, &u);
    s = json_decode_status(&d, "settings", er);
    arena_destroy(&a);
    if (s == STATUS_OK) {
        const struct engine_settings next = {
            .slots = u.slots,
            .target_concurrency = u.target_concurrency,
            .cpu_pressure = u.cpu,
            .memory_pressure = u.memory,
            .memory_available = u.available,
            .per_cpu = u.per_cpu,
            .deadlines = {(uint64_t)u.queued_ms, (uint64_t)u.run_ms, (uint64_t)u.total_ms},
            .retry = {u.max, (uint64_t)u.base_ms, (uint64_t)u.cap_ms},
        };

        s = engine_update(e, &next, er);
    }
    return s;
}

struct json *engine_settings_json(const struct engine *e)
{
    const struct engine_settings *x = &e->settings;
    struct json *j = json_new_object(), *deadlines = json_new_object(), *retry = json_new_object();
    struct json *scale = json_new_object();

    json_add_num(scale, "cpu_pressure", x->cpu_pressure);
    json_add_num(scale, "memory_pressure", x->memory_pressure);
    json_add_num(scale, "memory_available", x->memory_available);
    json_add_num(scale, "per_cpu", x->per_cpu);
    json_add(j, "autoscale", scale);
    json_add_num(j, "slots", x->slots);
    json_add_num(deadlines, "queued_ms", (double)x->deadlines.queued_ms);
    json_add_num(deadlines, "run_ms", (double)x->deadlines.run_ms);
    json_add_num(deadlines, "total_ms", (double)x->deadlines.total_ms);
    json_add(j, "deadlines", deadlines);
    json_add_num(retry, "max", x->retry.max);
    json_add_num(retry, "base_ms", (double)x->retry.base_ms);
    json_add_num(retry, "cap_ms", (double)x->retry.cap_ms);
    json_add(j, "retry", retry);
    return json_add_num(j, "target_concurrency", x->target_concurrency);
}

/* --- breakers --- */

struct reset {
    struct engine *engine;
    engine_reset_fn *done;
    void *arg;
    struct err err;
    char target[];
};

static void on_reset_receipt(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                             const struct err *er)
{
    struct reset *r = arg;
    struct engine *e = r->engine;
    struct err own = ERR_INIT;

    (void)seq;
    if (s == STATUS_OK)
        s = breaker_reset(e->breaker, str_from(r->target), &own);
    else
        own = *er;
    if (s == STATUS_OK) {
        tally_target(&e->tally, str_from(r->target))->breaker_open = false;
        events_breaker(e, str_from(r->target), false);
        ENGINE_TELL(e, on_breaker, str_from(r->target), false);
        if (e->sched)
            sched_target_changed(e->sched, str_from(r->target));
    }
    if (r->done)
        r->done(r->arg, s, s == STATUS_OK ? leaf : NULL, &own);
    free(r);
    engine_closed_one(e);
}

static void on_no_reset(void *arg)
{
    struct reset *r = arg;

    loop_release(r->engine->loop);
    if (r->done)
        r->done(r->arg, r->err.status, NULL, &r->err);
    free(r);
}

static void append_reset(struct reset *r)
{
    struct json *j = json_new_object();
    struct buf payload = BUF_INIT(BUF_MAX_LINE);
    struct passwd pw, *found = NULL;
    char names[1024];
    struct receipt receipt = {.kind = "breaker.reset", .target = r->target, .outcome = "ok"};

    if (getpwuid_r(getuid(), &pw, names, sizeof(names), &found) != 0)
        found = NULL;
    json_add_str(j, "operator", found ? found->pw_name : NULL);
    json_add_num(j, "uid", getuid());
    if (jcs_write(j, &payload, NULL) == STATUS_OK)
        receipt.payload = buf_str(&payload);
    r->engine->n_closing++;
    audit_append(r->engine->audit, &receipt, on_reset_receipt, r);
    buf_deinit(&payload);
    json_destroy(&j);
}

void engine_breaker_reset(struct engine *e, struct str target, engine_reset_fn *done, void *arg)
{
    struct reset *r = xcalloc(1, sizeof(*r) + target.len + 1);

    r->engine = e;
    r->done = done;
    r->arg = arg;
    memcpy(r->target, target.ptr, target.len);
    if (e->state >= ENGINE_STOPPING)
        err_set(&r->err, STATUS_SHUTTING_DOWN, "the engine is %s", engine_state_name(e->state));
    else if (breaker_allow(e->breaker, target))
        err_set(&r->err, STATUS_NOT_FOUND, "the breaker of %s is not open", r->target);
    if (r->err.status == STATUS_OK) {
        append_reset(r);
        return;
    }
    loop_hold(e->loop);
    loop_defer(e->loop, on_no_reset, r);
}

/* --- statistics --- */

void engine_stats(const struct engine *e, struct engine_stats *out)
{
    uint64_t now = loop_now_ms(e->loop), age = now - e->created_ms;

    *out = (struct engine_stats){
        .state = e->state,
        .paused = e->user_paused,
        .epoch = engine_epoch(e),
        .age_ms = age,
        .slots = e->settings.slots,
        .admitted = admitted(e),
        .working = (uint32_t)working(e),
        .working_max = working_max(e),
        .pressure = engine_pressure(e),
        .batches_open = e->n_open,
        .batches_over = e->n_over,
        .tasks_per_s = rate(&e->rates, e->rates.tasks, now, age),
        .ops_per_s = rate(&e->rates, e->rates.ops, now, age),
        .receipts = e->audit ? audit_size(e->audit) : e->receipts,
    };
    if (!e->sched)
        return;
    out->busy = (uint32_t)sched_running(e->sched);
    out->running = sched_running(e->sched);
    out->waiting = sched_waiting(e->sched);
    out->delayed = sched_delayed(e->sched);
}

struct json *engine_stats_json(const struct engine *e)
{
    struct json *j = json_new_object(), *tasks = json_new_object(), *batches = json_new_object();
    struct engine_stats s;

    engine_stats(e, &s);
    json_add_str(j, "state", engine_state_name(s.state));
    json_add_bool(j, "paused", s.paused);
    json_add_num(j, "epoch", (double)s.epoch);
    json_add_num(j, "age_ms", (double)s.age_ms);
    json_add_num(j, "members", (double)e->members.n);
    json_add_num(j, "slots", s.slots);
    json_add_num(j, "busy", s.busy);
    json_add_num(j, "admitted", s.admitted);
    json_add_num(j, "working", s.working);
    json_add_num(j, "working_max", s.working_max);
    json_add_str(j, "pressure", s.pressure);
    json_add_num(tasks, "waiting", (double)s.waiting);
    json_add_num(tasks, "delayed", (double)s.delayed);
    json_add_num(tasks, "running", (double)s.running);
    json_add(j, "tasks", tasks);
    json_add_num(batches, "open", (double)s.batches_open);
    json_add_num(batches, "over", (double)s.batches_over);
    json_add(j, "batches", batches);
    json_add_num(j, "tasks_per_s", s.tasks_per_s);
    json_add_num(j, "ops_per_s", s.ops_per_s);
    json_add_num(j, "receipts", (double)s.receipts);
    json_add(j, "duration_ms", tally_durations_json(&e->tally));
    return json_add(j, "totals", tally_to_json(&e->tally));
}

uint32_t engine_slots(const struct engine *e)
{
    return e->sched ? sched_slots(e->sched) : 0;
}

void engine_slot(const struct engine *e, uint32_t i, struct engine_slot *out)
{
    struct sched_slot_info info;

    sched_slot(e->sched, i, &info);
    *out = (struct engine_slot){.index = i, .generation = info.generation, .state = info.state};
    if (!info.task)
        return;
    out->batch = info.task->owner;
    snprintf(out->task, sizeof(out->task), "%s", info.attempt->task_id);
    out->attempt = info.attempt->number;
    out->url = out->batch->conf->targets[info.task->row].told;
    out->member = info.member;
    out->age_ms = info.age_ms;
    out->fence = info.attempt->fence;
}

struct json *engine_slots_json(const struct engine *e)
{
    struct json *all = json_new_array();

    for (uint32_t i = 0; i < engine_slots(e); i++) {
        struct json *j;
        struct engine_slot s;

        engine_slot(e, i, &s);
        if (!s.batch)
            continue;
        j = json_new_object();
        json_add_num(j, "slot", s.index);
        json_add_num(j, "generation", s.generation);
        json_add_str(j, "state", slot_state_name(s.state));
        json_add_str(j, "batch", batch_id(s.batch));
        json_add_str(j, "task", s.task);
        json_add_num(j, "attempt", s.attempt);
        json_add_str(j, "url", s.url);
        json_add_num(j, "member", s.member->index);
        json_add_num(j, "age_ms", (double)s.age_ms);
        json_push(all, json_add_num(j, "fence", (double)s.fence));
    }
    return all;
}

/* --- parts --- */

enum status engine_trouble(const struct engine *e, struct err *out)
{
    if (out)
        *out = e->trouble;
    return e->trouble.status;
}

/* The place is the number of the one before, which may be gone. */
struct batch *engine_next(struct engine *e, size_t *it)
{
    const struct batch *before = *it ? map_find_u64(e->by_number, *it) : NULL;

    for (struct list *l = before ? before->link.next : e->batches.next; l != &e->batches;
         l = l->next) {
        struct batch *b = container_of(l, struct batch, link);

        if (before || b->n > *it) {
            *it = b->n;
            return b;
        }
    }
    return NULL;
}

const struct campaign_conf *engine_conf(const struct engine *e)
{
    return e->conf;
}

const struct tally *engine_tally(const struct engine *e)
{
    return &e->tally;
}

uint64_t engine_epoch(const struct engine *e)
{
    return e->epoch;
}

struct loop *engine_loop(const struct engine *e)
{
    return e->loop;
}

const char *engine_state_dir(const struct engine *e)
{
    return e->state_dir;
}

enum engine_state engine_state(const struct engine *e)
{
    return e->state;
}

struct sched *engine_sched(struct engine *e)
{
    return e->sched;
}

struct gate *engine_gate(struct engine *e)
{
    return e->gate;
}

struct executor *engine_executor(struct engine *e)
{
    return e->executor;
}

struct limiter *engine_limiter(struct engine *e)
{
    return e->limiter;
}

struct breaker *engine_breaker(struct engine *e)
{
    return e->breaker;
}

struct roster *engine_roster(struct engine *e)
{
    return e->roster;
}

struct member **engine_members(struct engine *e, size_t *n)
{
    *n = e->members.n;
    return e->members.v;
}

struct audit *engine_audit(struct engine *e)
{
    return e->audit;
}

struct logdb *engine_logdb(struct engine *e)
{
    return e->logdb;
}

struct substrate *engine_substrate(struct engine *e)
{
    return e->substrate;
}

struct json *engine_describe(const struct engine *e)
{
    struct json *j;

    if (e->described)
        return json_dup(e->described);
    if (!e->executor || !e->opts.kit->executor->describe)
        return NULL;
    j = json_new_object();
    e->opts.kit->executor->describe(e->executor, j);
    return j;
}
