#include "core/coord/engine.h"

#include <stdio.h>

#include "core/base/log.h"
#include "core/base/map.h"
#include "core/coord/engine_internal.h"
#include "core/coord/events.h"
#include "core/http/fetch.h"
#include "proxies/prober.h"
#include "reaper/reaper.h"

enum { DRAIN_MAX_MS = 10000, STOP_POLL_MS = 5, STOP_MAX_MS = 10000 };

const char *engine_state_name(enum engine_state s)
{
    static const char *const names[] = {
        [ENGINE_CREATED] = "created",   [ENGINE_STARTING] = "starting",
        [ENGINE_READY] = "ready",       [ENGINE_DRAINING] = "draining",
        [ENGINE_STOPPING] = "stopping", [ENGINE_CLOSING] = "closing",
        [ENGINE_OVER] = "over",
    };
    _Static_assert(ARRAY_LEN(names) == ENGINE_STATE_COUNT, "a name for each state");

    BUG_ON((unsigned)s >= ENGINE_STATE_COUNT);
    return names[s];
}

static void engine_move(struct engine *e, enum engine_state to)
{
    BUG_ON(to <= e->state);
    log_debug(NULL, "engine.state", LOG_STR("from", engine_state_name(e->state)),
              LOG_STR("to", engine_state_name(to)));
    e->state = to;
    ENGINE_TELL(e, on_state, e, to);
}

/* --- making --- */

/* A task that waits for a person is not late. */
static uint64_t run_ms_of(const struct campaign_conf *c)
{
    bool handoff = c->captcha.on_detected == BLOCK_HANDOFF && c->deadlines.run_ms > 0;

    return c->deadlines.run_ms + (handoff ? c->captcha.handoff_ms : 0);
}

static struct engine_settings settings_of(const struct campaign_conf *c)
{
    return (struct engine_settings){
        .slots = c->slots,
        .deadlines = {c->deadlines.queued_ms, run_ms_of(c), c->deadlines.total_ms},
        .retry = {c->retry.max, c->retry.base_ms, c->retry.cap_ms},
        .target_concurrency = c->limits.concurrency,
        .cpu_pressure = c->scale.cpu,
        .memory_pressure = c->scale.memory,
        .memory_available = c->scale.available,
        .per_cpu = c->scale.per_cpu,
    };
}

enum status engine_create(const struct engine_opts *opts, struct engine **out, struct err *er)
{
    struct engine *e = xcalloc(1, sizeof(*e));
    enum status s;

    e->opts = *opts;
    e->loop = opts->loop;
    e->conf = opts->conf;
    e->arena = arena_create(NULL, 0);
    e->created_ms = loop_now_ms(e->loop);
    e->created_wall_ms = loop_wall_ms(e->loop);
    e->settings = settings_of(e->conf);
    e->scaler.conf = e->conf->scale;
    e->scales = e->conf->scale.max > 0;
    e->targets = map_create();
    e->by_number = map_create();
    e->by_key = map_create();
    e->removing = map_create();
    list_init(&e->batches);
    list_init(&e->dirty);
    tally_init(&e->tally);
    buf_init(&e->scratch, TASK_LINE_MAX + BUF_MAX_LINE);
    s = engine_make(e, er);
    if (s == STATUS_OK)
        *out = e;
    else
        engine_destroy(&e);
    return s;
}

void engine_watch_add(struct engine *e, const struct engine_watch *w)
{
    BUG_ON(e->state != ENGINE_CREATED || e->opts.n_watch == ENGINE_WATCHES_MAX);
    e->opts.watch[e->opts.n_watch++] = *w;
}

static void closed_early(void *arg)
{
    *(bool *)arg = true;
}

static void wait_for(struct loop *l, const bool *done)
{
    while (!*done)
        loop_run_once(l, 100);
}

/* Of an engine that never started: what has threads or processes is waited for. */
static void close_parts(struct engine *e)
{
    bool events = !e->substrate, audit = !e->audit, store = !e->store, db = !e->logdb,
         reaper = !e->reaper;

    if (e->reaper)
        reaper_stop(e->reaper, closed_early, &reaper);
    wait_for(e->loop, &reaper);
    if (e->substrate)
        events_close(e, closed_early, &events);
    wait_for(e->loop, &events);
    if (e->audit)
        audit_close(e->audit, closed_early, &audit);
    wait_for(e->loop, &audit);
    if (e->store)
        store_close(e->store, closed_early, &store);
    wait_for(e->loop, &store);
    if (e->logdb)
        logdb_close(e->logdb, closed_early, &db);
    wait_for(e->loop, &db);
    e->audit = NULL;
    e->store = NULL;
    e->logdb = NULL;
    e->reaper = NULL;
}

void engine_destroy(struct engine **ep)
{
    struct engine *e = *ep;

    if (!e)
        return;
    BUG_ON(e->state != ENGINE_CREATED && e->state != ENGINE_OVER);
    loop_timer_stop(&e->timer);
    loop_timer_stop(&e->scale_timer);
    loop_timer_stop(&e->room_timer);
    close_parts(e);
    sched_destroy(&e->sched); /* tasks are in it */
    while (!list_empty(&e->batches))
        batch_destroy(list_first(&e->batches, struct batch, link));
    engine_unmake(e);
    map_destroy(&e->by_number, NULL);
    map_destroy(&e->by_key, free);
    map_destroy(&e->removing, NULL);
    tally_deinit(&e->tally);
    buf_deinit(&e->scratch);
    json_destroy(&e->described);
    free(e->state_dir);
    arena_destroy(&e->arena);
    free(e);
    *ep = NULL;
}

/* --- starting --- */

static void engine_stop(struct engine *e);

static void tell_ready(struct engine *e)
{
    void (*ready)(void *, enum status, const struct err *) = e->ready;

    e->ready = NULL;
    if (ready)
        ready(e->arg, e->trouble.status, &e->trouble);
}

static void begin(struct engine *e)
{
    engine_move(e, ENGINE_READY);
    engine_make_sched(e);
    events_engine(e, "engine.ready");
    engine_start_scaling(e);
    tell_ready(e);
    if (store_must_sweep(e->store))
        engine_sweep(e);
    for (struct list *l = e->batches.next; l != &e->batches; l = l->next)
        batch_begin(container_of(l, struct batch, link));
}

static void on_executor_ready(void *arg, enum status s, const struct err *er)
{
    struct engine *e = arg;

    e->executor_ready = true;
    if (s != STATUS_OK)
        engine_fail(e, s, er);
    if (e->trouble.status == STATUS_OK && e->drains == 0) {
        begin(e);
        return;
    }
    tell_ready(e);
    e->sched_idle = true;
    engine_check_end(e);
}

static void on_executor_event(void *arg, const char *what, const struct member *m, const char *text)
{
    struct engine *e = arg;

    e->tally.pages_killed += strcmp(what, "page killed") == 0;
    ENGINE_TELL(e, on_event, what, m, text);
}

static void executor_failed(void *arg)
{
    struct engine *e = arg;

    on_executor_ready(e, e->trouble.status, &e->trouble);
}

static void start_executor(struct engine *e)
{
    const struct executor_env env = {
        .loop = e->loop,
        .gate = e->gate,
        .conf = e->conf,
        .reaper = e->reaper,
        .state_dir = e->state_dir,
        .slots = e->settings.slots,
        .members = e->members.v,
        .n_members = e->members.n,
        .on_event = on_executor_event,
        .arg = e,
    };
    struct err er = ERR_INIT;
    enum status s = e->opts.kit->executor->create(&env, &e->executor, &er);

    if (s != STATUS_OK) {
        engine_fail(e, s, &er);
        loop_defer(e->loop, executor_failed, e);
        return;
    }
    e->executor_runs = true;
    e->opts.kit->executor->start(e->executor, on_executor_ready, e);
}

void engine_start(struct engine *e, void (*ready)(void *arg, enum status s, const struct err *e),
                  void (*over)(void *arg, struct engine *e), void *arg)
{
    e->ready = ready;
    e->over = over;
    e->arg = arg;
    engine_move(e, ENGINE_STARTING);
    loop_hold(e->loop);
    start_executor(e);
}

/* --- trouble and stopping --- */

static void drain(struct engine *e, uint64_t ms)
{
    if (e->state == ENGINE_READY)
        engine_move(e, ENGINE_DRAINING);
    if (e->sched)
        sched_drain(e->sched, ms);
}

void engine_fail(struct engine *e, enum status s, const struct err *er)
{
    if (e->trouble.status != STATUS_OK)
        return;
    e->trouble = *er;
    e->trouble.status = s;
    ENGINE_TELL(e, on_trouble, er);
    if (e->state == ENGINE_READY || e->state == ENGINE_DRAINING)
        drain(e, 0);
}

void engine_drain(struct engine *e, const char *why)
{
    uint64_t run_ms = e->settings.deadlines.run_ms, ms = DRAIN_MAX_MS;

    if (e->state >= ENGINE_STOPPING)
        return;
    if (run_ms && run_ms < ms)
        ms = run_ms;
    ENGINE_TELL(e, on_drain, why);
    if (e->drains == 0 && e->state == ENGINE_READY)
        events_engine(e, "engine.draining");
    drain(e, e->drains++ == 0 ? ms : 0);
    engine_check_end(e);
}

void engine_end(struct engine *e)
{
    if (e->state >= ENGINE_STOPPING)
        return;
    e->drains++;
    drain(e, 0);
    engine_check_end(e);
}

/* --- the end --- */

static void over(struct engine *e)
{
    engine_move(e, ENGINE_OVER);
    loop_release(e->loop);
    e->over(e->arg, e);
}

static void on_logdb_closed(void *arg)
{
    struct engine *e = arg;

    e->logdb = NULL;
    over(e);
}

static void on_store_closed(void *arg)
{
    struct engine *e = arg;

    e->store = NULL;
    logdb_close(e->logdb, on_logdb_closed, e);
}

static void on_audit_closed(void *arg)
{
    struct engine *e = arg;

    e->audit = NULL;
    store_close(e->store, on_store_closed, e);
}

static void on_events_closed(void *arg)
{
    struct engine *e = arg;

    e->substrate = NULL;
    e->receipts = audit_size(e->audit);
    audit_close(e->audit, on_audit_closed, e);
}

static void on_reaper_stopped(void *arg)
{
    struct engine *e = arg;

    e->reaper = NULL;
    events_close(e, on_events_closed, e);
}

/* All receipts of the batches are on their way or written. */
static void close_log(struct engine *e)
{
    if (e->n_closing > 0)
        return;
    engine_end_hook(e);
    if (e->reaper)
        reaper_stop(e->reaper, on_reaper_stopped, e);
    else
        on_reaper_stopped(e);
}

static void close_batches(struct engine *e)
{
    engine_move(e, ENGINE_CLOSING);
    e->n_closing++; /* so that nothing ends from within */
    for (struct list *l = e->batches.next, *next; l != &e->batches; l = next) {
        next = l->next;
        batch_suspend(container_of(l, struct batch, link));
    }
    engine_closed_one(e);
}

void engine_closed_one(struct engine *e)
{
    BUG_ON(e->n_closing == 0);
    e->n_closing--;
    if (e->state == ENGINE_CLOSING)
        close_log(e);
    else
        engine_check_end(e);
}

/* The executor is gone; calls of its own that are left in the gate (robots.txt) end now. */
static void on_gate_poll(struct loop_timer *t)
{
    struct engine *e = container_of(t, struct engine, timer);

    if (gate_inside(e->gate) > 0 && loop_now_ms(e->loop) < e->stop_by_ms) {
        loop_timer_start(e->loop, &e->timer, STOP_POLL_MS, on_gate_poll);
        return;
    }
    if (gate_inside(e->gate) > 0)
        log_error(NULL, "gate.stuck", LOG_U64("calls", gate_inside(e->gate)));
    close_batches(e);
}

static void on_executor_stopped(void *arg)
{
    struct engine *e = arg;

    gate_shut(e->gate);
    http_destroy(&e->http);
    e->stop_by_ms = loop_now_ms(e->loop) + STOP_MAX_MS;
    loop_timer_start(e->loop, &e->timer, 0, on_gate_poll);
}

static void engine_stop(struct engine *e)
{
    engine_move(e, ENGINE_STOPPING);
    loop_timer_stop(&e->scale_timer);
    loop_timer_stop(&e->room_timer);
    prober_destroy(&e->prober);
    engine_log_flush(e);
    if (!e->executor_runs) {
        loop_defer(e->loop, on_executor_stopped, e);
        return;
    }
    e->described = json_new_object();
    if (e->opts.kit->executor->describe)
        e->opts.kit->executor->describe(e->executor, e->described);
    e->opts.kit->executor->stop(e->executor, on_executor_stopped, e);
}

/* It goes to its end only when it was told to, or when it could not start. */
void engine_check_end(struct engine *e)
{
    bool told = e->state == ENGINE_DRAINING || (e->state == ENGINE_STARTING && e->executor_ready);

    if (told && e->sched_idle && e->n_settling == 0 && e->n_closing == 0 && e->n_logging == 0 &&
        (!e->sched || sched_running(e->sched) == 0))
        engine_stop(e);
}

void engine_hold(struct engine *e)
{
    bool full = e->n_settling >= (e->held ? SETTLING_MAX / 2 : SETTLING_MAX);

    if (full == e->held)
        return;
    e->held = full;
    if (e->sched)
        sched_pause(e->sched, e->held || e->user_paused);
}
