#include "core/coord/run.h"

#include <sodium.h>
#include <stdio.h>

#include "core/base/jcs.h"
#include "core/base/log.h"
#include "core/coord/run_internal.h"
#include "core/http/fetch.h"
#include "reaper/reaper.h"

enum { DRAIN_MAX_MS = 10000, STOP_POLL_MS = 5, STOP_MAX_MS = 10000, PAYLOAD_MAX = 256 * 1024 };

static void run_move(struct run *r, enum run_state to)
{
    static const char *const names[] = {
        [RUN_CREATED] = "created",   [RUN_STARTING] = "starting", [RUN_RUNNING] = "running",
        [RUN_DRAINING] = "draining", [RUN_STOPPING] = "stopping", [RUN_CLOSING] = "closing",
        [RUN_OVER] = "over",
    };
    _Static_assert(ARRAY_LEN(names) == RUN_STATE_COUNT, "a name for each state");

    BUG_ON(to <= r->state);
    log_debug(NULL, "run.state", LOG_STR("from", names[r->state]), LOG_STR("to", names[to]));
    r->state = to;
}

/* --- making --- */

enum status run_create(const struct run_opts *opts, struct run **out, struct err *e)
{
    struct run *r = xcalloc(1, sizeof(*r));
    enum status s;

    r->opts = *opts;
    r->loop = opts->loop;
    r->conf = opts->conf;
    r->arena = arena_create(NULL, 0);
    r->created_ms = loop_now_ms(r->loop);
    r->created_wall_ms = loop_wall_ms(r->loop);
    tally_init(&r->tally);
    s = run_make(r, e);
    if (s == STATUS_OK)
        *out = r;
    else
        run_destroy(&r);
    return s;
}

static void closed_early(void *arg)
{
    *(bool *)arg = true;
}

static void results_closed_early(void *arg, enum status s, const struct err *e)
{
    (void)s;
    (void)e;
    *(bool *)arg = true;
}

static void wait_for(struct loop *l, const bool *done)
{
    while (!*done)
        loop_run_once(l, 100);
}

/* Of a run that never started: what has threads or processes is waited for. */
static void close_parts(struct run *r)
{
    bool audit = !r->audit, results = !r->results, reaper = !r->reaper;

    if (r->audit)
        audit_close(r->audit, closed_early, &audit);
    if (r->results)
        results_close(r->results, results_closed_early, &results);
    if (r->reaper)
        reaper_stop(r->reaper, closed_early, &reaper);
    wait_for(r->loop, &audit);
    wait_for(r->loop, &results);
    wait_for(r->loop, &reaper);
    r->audit = NULL;
    r->results = NULL;
    r->reaper = NULL;
}

void run_destroy(struct run **rp)
{
    struct run *r = *rp;

    if (!r)
        return;
    BUG_ON(r->state != RUN_CREATED && r->state != RUN_OVER);
    loop_timer_stop(&r->timer);
    close_parts(r);
    run_unmake(r);
    tally_deinit(&r->tally);
    json_destroy(&r->end.executor);
    free(r->tasks);
    free(r->state_dir);
    arena_destroy(&r->arena);
    free(r);
    *rp = NULL;
}

/* --- receipts of the campaign itself --- */

static void add_hex(struct json *j, const char *name, const unsigned char hash[32])
{
    struct buf hex = BUF_INIT(65);

    buf_add_hex(&hex, hash, 32);
    json_add(j, name, json_new_str(buf_str(&hex)));
    buf_deinit(&hex);
}

static void add_flow_hash(struct json *j, const struct campaign_conf *c)
{
    struct json *flows = json_new_array();
    unsigned char hash[32];

    for (size_t i = 0; i < c->stages.n; i++)
        json_push(flows, json_dup(c->stages_json[i]));
    if (c->stages.n == 0 && c->flow_json)
        json_push(flows, json_dup(c->flow_json));
    for (size_t i = 0; i < c->n_row_flows; i++)
        json_push(flows, json_dup(c->row_flows[i].json));
    if (jcs_sha256(flows, hash, NULL) == STATUS_OK)
        add_hex(j, "flows_sha256", hash);
    json_destroy(&flows);
}

static void add_targets_hash(struct json *j, const struct campaign_conf *c)
{
    crypto_hash_sha256_state sha;
    unsigned char hash[32];

    crypto_hash_sha256_init(&sha);
    for (size_t i = 0; i < c->n_targets; i++) {
        crypto_hash_sha256_update(&sha, (const unsigned char *)c->targets[i].url,
                                  strlen(c->targets[i].url));
        crypto_hash_sha256_update(&sha, (const unsigned char *)"\n", 1);
    }
    crypto_hash_sha256_final(&sha, hash);
    json_add_num(j, "targets", (double)c->n_targets);
    add_hex(j, "targets_sha256", hash);
}

static void payload_open(const struct campaign_conf *c, struct buf *out)
{
    struct json *j = json_new_object(), *conf = campaign_to_json(c);
    unsigned char hash[32];

    json_add_str(j, "name", c->name);
    if (jcs_sha256(conf, hash, NULL) == STATUS_OK)
        add_hex(j, "config_sha256", hash);
    add_flow_hash(j, c);
    add_targets_hash(j, c);
    json_add_num(j, "members", c->members.count);
    if (jcs_write(j, out, NULL) != STATUS_OK)
        buf_reset(out);
    json_destroy(&conf);
    json_destroy(&j);
}

static void payload_authorized(const struct campaign_conf *c, struct buf *out)
{
    struct json *j = json_new_object(), *hosts = json_new_array();

    for (size_t i = 0; i < c->limits.authorized.n; i++)
        json_push(hosts, json_new_str(str_from(c->limits.authorized.v[i])));
    json_add(j, "authorized", hosts);
    json_add_num(j, "max_requests", c->limits.rate.max_requests);
    json_add_num(j, "window_ms", (double)c->limits.rate.window_ms);
    if (jcs_write(j, out, NULL) != STATUS_OK)
        buf_reset(out);
    json_destroy(&j);
}

static void payload_close(const struct run *r, struct buf *out)
{
    struct json *j = tally_to_json(&r->tally), *targets = json_take(j, "targets");

    json_destroy(&targets); /* there may be very many */
    json_add_bool(j, "drained", r->end.drained);
    if (jcs_write(j, out, NULL) != STATUS_OK)
        buf_reset(out);
    json_destroy(&j);
}

/* --- starting --- */

static void run_stop(struct run *r);

static void maybe_begin(struct run *r)
{
    if (r->state != RUN_STARTING || !r->executor_ready || !r->is_open)
        return;
    if (r->end.status != STATUS_OK || r->drains > 0) {
        r->sched_idle = true;
        run_stop(r);
        return;
    }
    run_move(r, RUN_RUNNING);
    RUN_TELL(r, on_open, r);
    run_begin(r);
}

static void on_open_receipt(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                            const struct err *e)
{
    struct run *r = arg;
    struct buf payload = BUF_INIT(PAYLOAD_MAX);
    struct receipt receipt = {.kind = "limits.authorized", .parent = r->open_leaf};

    (void)seq;
    r->is_open = true;
    if (s != STATUS_OK) {
        run_fail(r, s, e);
    } else {
        memcpy(r->open_leaf, leaf, sizeof(r->open_leaf));
        audit_hex(leaf, r->end.open);
    }
    if (s == STATUS_OK && r->conf->limits.authorized.n > 0) {
        payload_authorized(r->conf, &payload);
        receipt.payload = buf_str(&payload);
        audit_append(r->audit, &receipt, NULL, NULL);
    }
    buf_deinit(&payload);
    maybe_begin(r);
}

static void open_receipt(struct run *r)
{
    struct buf payload = BUF_INIT(PAYLOAD_MAX);
    struct receipt receipt = {.kind = "campaign.open"};

    payload_open(r->conf, &payload);
    receipt.payload = buf_str(&payload);
    audit_append(r->audit, &receipt, on_open_receipt, r);
    buf_deinit(&payload);
}

static void on_executor_ready(void *arg, enum status s, const struct err *e)
{
    struct run *r = arg;

    r->executor_ready = true;
    if (s != STATUS_OK)
        run_fail(r, s, e);
    maybe_begin(r);
}

static void on_executor_event(void *arg, const char *what, const struct member *m, const char *text)
{
    struct run *r = arg;

    r->tally.pages_killed += strcmp(what, "page killed") == 0;
    RUN_TELL(r, on_event, what, m, text);
}

static void executor_failed(void *arg)
{
    struct run *r = arg;

    on_executor_ready(r, r->end.status, &r->end.err);
}

static void start_executor(struct run *r)
{
    const struct executor_env env = {
        .loop = r->loop,
        .gate = r->gate,
        .conf = r->conf,
        .reaper = r->reaper,
        .state_dir = r->state_dir,
        .slots = r->conf->slots,
        .members = r->members.v,
        .n_members = r->members.n,
        .on_event = on_executor_event,
        .arg = r,
    };
    struct err e = ERR_INIT;
    enum status s = r->opts.kit->executor->create(&env, &r->executor, &e);

    if (s != STATUS_OK) {
        run_fail(r, s, &e);
        loop_defer(r->loop, executor_failed, r);
        return;
    }
    r->executor_runs = true;
    r->opts.kit->executor->start(r->executor, on_executor_ready, r);
}

void run_start(struct run *r, void (*over)(void *arg, struct run *r), void *arg)
{
    r->over = over;
    r->arg = arg;
    run_move(r, RUN_STARTING);
    loop_hold(r->loop);
    open_receipt(r);
    start_executor(r);
}

/* --- trouble and stopping --- */

static void drain(struct run *r, uint64_t ms)
{
    if (r->state == RUN_RUNNING)
        run_move(r, RUN_DRAINING);
    if (r->sched)
        sched_drain(r->sched, ms);
}

void run_fail(struct run *r, enum status s, const struct err *e)
{
    if (r->end.status != STATUS_OK)
        return;
    r->end.status = s;
    r->end.err = *e;
    RUN_TELL(r, on_trouble, e);
    if (r->state == RUN_RUNNING)
        drain(r, 0);
}

void run_drain(struct run *r, const char *why)
{
    uint64_t run_ms = r->conf->deadlines.run_ms, ms = DRAIN_MAX_MS;

    if (r->state >= RUN_STOPPING)
        return;
    if (run_ms && run_ms < ms)
        ms = run_ms;
    r->end.drained = true;
    RUN_TELL(r, on_drain, why);
    drain(r, r->drains++ == 0 ? ms : 0);
}

/* --- the end --- */

static void part_closed(struct run *r)
{
    if (--r->n_closing > 0)
        return;
    r->end.took_ms = run_age_ms(r);
    run_move(r, RUN_OVER);
    loop_release(r->loop);
    r->over(r->arg, r);
}

static void on_audit_closed(void *arg)
{
    struct run *r = arg;

    r->audit = NULL;
    part_closed(r);
}

static void on_results_closed(void *arg, enum status s, const struct err *e)
{
    struct run *r = arg;

    r->results = NULL;
    if (s != STATUS_OK)
        run_fail(r, s, e);
    part_closed(r);
}

static void on_reaper_stopped(void *arg)
{
    struct run *r = arg;

    r->reaper = NULL;
    part_closed(r);
}

static void close_all(struct run *r)
{
    run_move(r, RUN_CLOSING);
    r->end.receipts = audit_size(r->audit);
    r->n_closing = r->reaper ? 3 : 2;
    audit_close(r->audit, on_audit_closed, r);
    results_close(r->results, on_results_closed, r);
    if (r->reaper)
        reaper_stop(r->reaper, on_reaper_stopped, r);
}

static void on_close_receipt(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                             const struct err *e)
{
    struct run *r = arg;

    (void)seq;
    if (s != STATUS_OK)
        run_fail(r, s, e);
    else
        audit_hex(leaf, r->end.close);
    close_all(r);
}

static void close_receipt(struct run *r)
{
    struct buf payload = BUF_INIT(PAYLOAD_MAX);
    struct receipt receipt = {
        .kind = "campaign.close",
        .outcome = r->end.status == STATUS_OK ? "ok" : status_name(r->end.status),
        .closes = r->open_leaf,
    };

    if (!r->end.open[0]) {
        close_all(r);
        return;
    }
    payload_close(r, &payload);
    receipt.payload = buf_str(&payload);
    audit_append(r->audit, &receipt, on_close_receipt, r);
    buf_deinit(&payload);
}

/* The executor is gone; calls of its own that are left in the gate (robots.txt) end now. */
static void on_gate_poll(struct loop_timer *t)
{
    struct run *r = container_of(t, struct run, timer);

    if (gate_inside(r->gate) > 0 && loop_now_ms(r->loop) < r->stop_by_ms) {
        loop_timer_start(r->loop, &r->timer, STOP_POLL_MS, on_gate_poll);
        return;
    }
    if (gate_inside(r->gate) > 0)
        log_error(NULL, "gate.stuck", LOG_U64("calls", gate_inside(r->gate)));
    close_receipt(r);
}

static void on_executor_stopped(void *arg)
{
    struct run *r = arg;

    gate_shut(r->gate);
    http_destroy(&r->http);
    r->stop_by_ms = loop_now_ms(r->loop) + STOP_MAX_MS;
    loop_timer_start(r->loop, &r->timer, 0, on_gate_poll);
}

static void run_stop(struct run *r)
{
    run_move(r, RUN_STOPPING);
    if (!r->executor_runs) {
        loop_defer(r->loop, on_executor_stopped, r);
        return;
    }
    r->end.executor = json_new_object();
    if (r->opts.kit->executor->describe)
        r->opts.kit->executor->describe(r->executor, r->end.executor);
    r->opts.kit->executor->stop(r->executor, on_executor_stopped, r);
}

void run_check_end(struct run *r)
{
    bool done = r->state == RUN_DRAINING || r->tally.finished == r->tally.total;

    if ((r->state == RUN_RUNNING || r->state == RUN_DRAINING) && r->sched_idle &&
        r->n_settling == 0 && sched_running(r->sched) == 0 && done)
        run_stop(r);
}

/* --- questions --- */

const struct campaign_conf *run_conf(const struct run *r)
{
    return r->conf;
}

const struct tally *run_tally(const struct run *r)
{
    return &r->tally;
}

const struct run_end *run_end(const struct run *r)
{
    return &r->end;
}

uint64_t run_age_ms(const struct run *r)
{
    return loop_now_ms(r->loop) - r->created_ms;
}

struct loop *run_loop(const struct run *r)
{
    return r->loop;
}

const char *run_state_dir(const struct run *r)
{
    return r->state_dir;
}

struct sched *run_sched(struct run *r)
{
    return r->sched;
}

struct limiter *run_limiter(struct run *r)
{
    return r->limiter;
}

struct breaker *run_breaker(struct run *r)
{
    return r->breaker;
}

struct roster *run_roster(struct run *r)
{
    return r->roster;
}

struct member **run_members(struct run *r, size_t *n)
{
    *n = r->members.n;
    return r->members.v;
}

struct audit *run_audit(struct run *r)
{
    return r->audit;
}

int run_exit_code(const struct run *r)
{
    const struct tally *t = &r->tally;
    uint64_t good = t->done[TASK_SUCCEEDED];

    if (r->end.status != STATUS_OK)
        return status_exit(r->end.status);
    if (t->breakers_opened > 0 || t->by_status[STATUS_BREAKER_OPEN] > 0)
        return EXIT_BREAKER;
    if (t->by_status[STATUS_HANDOFF] > 0)
        return EXIT_HANDOFF;
    if (good == t->total)
        return EXIT_OK;
    return good > 0 ? EXIT_PARTIAL : EXIT_FAILED;
}
