/* The tasks of a run: what the coordinator asks for goes to the scheduler; what the scheduler ends
 * gets its receipt, and when that is durable its line in the results. */
#include <sodium.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/jcs.h"
#include "core/coord/run_internal.h"

enum {
    SETTLING_MAX = 16384, /* receipts of tasks on their way before the scheduler is held back */
    PAYLOAD_MAX = 64 * 1024,
    LINE_MAX_BYTES = 64 * 1024 * 1024,
    ERROR_SHOWN_MAX = 400
};

/* A finished task whose receipt is on its way. */
struct settle {
    struct run *run;
    uint32_t row;
    const char *target;
    struct batch_task told;
    char id[24];
    struct err err;
    bool retryable;
    bool is_final; /* false: a stage that goes on */
    struct json *output, *artifacts;
    char receipt[AUDIT_HEX_MAX];
};

/* --- what is written --- */

static struct json *error_json(const struct settle *f)
{
    struct json *j;

    if (f->told.status == STATUS_OK)
        return json_new_null();
    j = json_new_object();
    json_add_str(j, "code", status_name(f->told.status));
    json_add_str(j, "message", err_text(&f->err));
    if (f->told.error_step >= 0)
        json_add_num(j, "step", f->told.error_step);
    return json_add_bool(j, "retryable", f->retryable);
}

static void add_started(struct json *j, uint64_t wall_ms)
{
    char text[CLOCK_RFC3339_MAX];

    json_add_str(j, "started", wall_ms ? clock_rfc3339(wall_ms, text) : NULL);
}

static struct json *result_json(struct settle *f)
{
    const struct batch_task *t = &f->told;
    struct json *j = json_new_object();

    json_add_str(j, "task", t->id);
    json_add(j, "target", json_new_str(t->target));
    json_add_str(j, "url", t->url);
    json_add(j, "member", t->member ? json_new_num(t->member->index) : json_new_null());
    json_add_str(j, "identity", t->member ? t->member->identity->id : NULL);
    json_add_str(j, "status", task_state_name(t->state));
    json_add_num(j, "attempts", t->attempts);
    add_started(j, t->started_wall_ms);
    json_add_num(j, "duration_ms", (double)t->duration_ms);
    json_add(j, "output", f->output ? json_dup(f->output) : json_new_null());
    json_add(j, "error", error_json(f));
    json_add(j, "artifacts", f->artifacts ? json_dup(f->artifacts) : json_new_array());
    return json_add_str(j, "receipt", t->receipt);
}

static void write_result(struct run *r, struct settle *f)
{
    struct json *j = result_json(f);
    struct buf line = BUF_INIT(LINE_MAX_BYTES);

    json_print(j, 0, &line);
    if (buf_status(&line) != STATUS_OK) { /* an output beyond all measure: the rest is told */
        buf_reset(&line);
        json_add(j, "output", json_new_null());
        json_print(j, 0, &line);
    }
    results_add(r->results, buf_str(&line));
    buf_deinit(&line);
    json_destroy(&j);
}

/* --- receipts --- */

static void add_hash(struct json *j, const char *name, const struct json *what)
{
    unsigned char hash[32];
    struct buf hex = BUF_INIT(65);

    if (!what || jcs_sha256(what, hash, NULL) != STATUS_OK)
        return;
    buf_add_hex(&hex, hash, sizeof(hash));
    json_add(j, name, json_new_str(buf_str(&hex)));
    buf_deinit(&hex);
}

static void payload_write(const struct settle *f, struct buf *out)
{
    struct json *j = json_new_object();

    json_add_str(j, "task", f->id);
    json_add_str(j, "url", f->told.url);
    json_add_str(j, "status", task_state_name(f->told.state));
    json_add_num(j, "attempts", f->told.attempts);
    json_add_num(j, "duration_ms", (double)f->told.duration_ms);
    if (f->told.status != STATUS_OK) {
        char text[ERROR_SHOWN_MAX];

        snprintf(text, sizeof(text), "%s", err_text(&f->err));
        json_add(j, "error", json_new_str(str_from(text)));
    }
    add_hash(j, "output_sha256", f->output);
    add_hash(j, "artifacts_sha256", f->artifacts);
    if (jcs_write(j, out, NULL) != STATUS_OK)
        buf_reset(out);
    json_destroy(&j);
}

static void settle_free(struct settle *f)
{
    json_destroy(&f->output);
    json_destroy(&f->artifacts);
    free(f);
}

static void on_receipt(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                       const struct err *e)
{
    struct settle *f = arg;
    struct run *r = f->run;

    (void)seq;
    if (--r->n_settling == SETTLING_MAX / 2)
        sched_pause(r->sched, false);
    if (s != STATUS_OK) {
        /* No receipt, no result: the task is not told, and a later run does it again. */
        struct err told = *e;

        err_prefix(&told, "%s: no receipt could be written", f->id);
        run_fail(r, s, &told);
    } else if (f->is_final) {
        f->told.receipt = audit_hex(leaf, f->receipt);
        f->told.output = f->output;
        f->told.artifacts = f->artifacts;
        write_result(r, f);
        tally_task(&r->tally, f->told.target, f->told.state, f->told.status, f->told.duration_ms);
        RUN_TELL(r, on_task, &f->told);
    }
    settle_free(f);
    run_check_end(r);
}

static void append_receipt(struct run *r, struct settle *f)
{
    struct buf payload = BUF_INIT(PAYLOAD_MAX);
    const struct member *m = f->told.member;
    struct receipt receipt = {
        .kind = f->is_final ? "task" : "stage",
        .member = m ? m->identity->id : NULL,
        .target = f->target,
        .outcome = f->told.status == STATUS_OK ? "ok" : status_name(f->told.status),
        .parent = r->open_leaf,
    };

    payload_write(f, &payload);
    receipt.payload = buf_str(&payload);
    if (++r->n_settling == SETTLING_MAX)
        sched_pause(r->sched, true);
    audit_append(r->audit, &receipt, on_receipt, f);
    buf_deinit(&payload);
}

/* --- the scheduler's callbacks --- */

static void emit(void *arg, const struct coord_work *w)
{
    struct run *r = arg;
    const struct target_row *row = &r->conf->targets[w->row];
    struct task *t = &r->tasks[w->index];

    *t = (struct task){
        .index = w->index,
        .row = w->row,
        .stage = w->stage,
        .pin = w->pin >= 0 ? w->pin : row->member,
        .input = w->input,
    };
    sched_add(r->sched, t, run_target_key(r, row->host), 0);
}

static struct json *row_json(void *arg, const struct task *t)
{
    const struct run *r = arg;

    return target_row_json(&r->conf->targets[t->row]);
}

static void task_name(void *arg, const struct task *t, char out[24])
{
    (void)arg;
    snprintf(out, 24, "t-%06u", t->index + 1);
}

static void on_start(void *arg, const struct task *t, const struct attempt *a)
{
    struct run *r = arg;

    r->tally.attempts++;
    RUN_TELL(r, on_start, t, a);
}

static void on_retry(void *arg, const struct task *t, const struct attempt *a, uint64_t delay_ms)
{
    struct run *r = arg;

    r->tally.retries++;
    RUN_TELL(r, on_retry, t, a, delay_ms);
}

/* Artefacts are named relative to the results, so that both can be moved together. */
static struct json *relative(const struct run *r, struct json *list)
{
    size_t n = strlen(r->results_base);
    struct json *out;

    if (!list || n == 0)
        return list;
    out = json_new_array();
    for (const struct json *c = json_first(list); c; c = json_next(c)) {
        const char *path = json_str(c, "");
        bool inside = strncmp(path, r->results_base, n) == 0 && path[n] == '/';

        json_push(out, json_new_str(str_from(inside ? path + n + 1 : path)));
    }
    json_destroy(&list);
    return out;
}

static struct settle *settle_create(struct run *r, struct sched_result *x)
{
    struct settle *f = xcalloc(1, sizeof(*f));
    const struct task *t = x->task;

    f->run = r;
    f->row = t->row;
    f->target = t->target;
    f->err = *x->err;
    f->retryable = x->retryable;
    snprintf(f->id, sizeof(f->id), "%s", x->task_id);
    f->output = x->output;
    f->artifacts = relative(r, x->artifacts);
    x->output = x->artifacts = NULL;
    f->told = (struct batch_task){
        .id = f->id,
        .index = t->index,
        .row = t->row,
        .attempts = t->attempts,
        .url = r->conf->targets[t->row].url,
        .target = str_from(t->target),
        .member = x->member,
        .state = (enum task_state)t->state,
        .status = x->status,
        .error = x->status == STATUS_OK ? NULL : err_text(&f->err),
        .error_step = x->error_step,
        .duration_ms = x->run_ms,
    };
    if (x->first_run_ms) {
        f->told.started_ms = x->first_run_ms - r->created_ms;
        f->told.started_wall_ms = r->created_wall_ms + f->told.started_ms;
    }
    return f;
}

static void on_done(void *arg, struct sched_result *x)
{
    struct run *r = arg;
    struct settle *f = settle_create(r, x);
    uint32_t index = x->task->index, stage = x->task->stage;
    bool ok = x->status == STATUS_OK;
    bool goes_on = ok && r->conf->coordinator == COORD_PIPELINE && stage + 1 < r->conf->stages.n;

    f->is_final = !goes_on;
    append_receipt(r, f);
    /* A stage's output is the next one's input, and only its hash is in the receipt. The slot in
     * r->tasks may be taken for the next stage from here on. */
    if (coord_finished(r->coord, index, stage, ok, goes_on ? json_dup(f->output) : NULL, emit, r) !=
        f->is_final)
        BUG("%s: coordinator and run disagree on stages", f->id);
}

static void on_idle(void *arg)
{
    struct run *r = arg;

    r->sched_idle = true;
    run_check_end(r);
}

/* --- the beginning --- */

static struct coord *make_coord(const struct campaign_conf *c)
{
    const struct coord_shape shape = {
        .kind = c->coordinator,
        .rows = (uint32_t)c->n_targets,
        .members = c->members.count,
        .stages = c->stages.n > 0 ? (uint32_t)c->stages.n : 1,
    };

    return coord_create(&shape);
}

void run_begin(struct run *r)
{
    const struct campaign_conf *c = r->conf;
    struct sched_deps deps = {
        .loop = r->loop,
        .limiter = r->limiter,
        .breaker = r->breaker,
        .executor = r->opts.kit->executor,
        .x = r->executor,
        .members = r->members.v,
        .n_members = r->members.n,
        .slots = c->slots,
        .deadlines = {c->deadlines.queued_ms, c->deadlines.run_ms, c->deadlines.total_ms},
        .retry = {c->retry.max, c->retry.base_ms, c->retry.cap_ms},
        .hold_blocked = c->limits.on_blocked == BLOCKED_WAIT,
        .artifacts_dir = r->artifacts_dir,
        .parent = r->open_leaf,
        .row_json = row_json,
        .task_name = task_name,
        .on_start = on_start,
        .on_retry = on_retry,
        .on_done = on_done,
        .on_idle = on_idle,
        .arg = r,
    };

    randombytes_buf(&deps.seed, sizeof(deps.seed));
    r->sched = sched_create(&deps);
    r->coord = make_coord(c);
    r->tally.total = coord_total(r->coord);
    r->tasks = xcalloc(coord_total(r->coord), sizeof(*r->tasks));
    coord_start(r->coord, emit, r);
}
