/* The tasks of batches: what a coordinator asks for goes to the scheduler; what the scheduler ends
 * gets its receipt and its row, in one transaction; when that is durable its line is told. */
#include "core/base/num.h"
#include "core/coord/engine_internal.h"
#include "core/coord/events.h"

enum { PAYLOAD_MAX = 64 * 1024, SCRATCH_KEPT = 256 * 1024, ID_DIGITS = 6 };

/* A finished task, or a stage of it, whose receipt is on its way. */
struct settle {
    struct batch *batch;
    struct batch_task told;
    char id[BATCH_TASK_ID_MAX];
    struct err *err; /* NULL: it succeeded */
    bool is_final;   /* false: a stage that goes on */
    struct json *output, *artifacts;
    char *line; /* of the results, without the receipt; or the stage's output */
    size_t line_len;
    union {
        struct store_task_done done;
        struct store_stage_done stage;
    } row;
    char receipt[AUDIT_HEX_MAX];
};

static void task_name(void *arg, const struct task *t, char out[24])
{
    char digits[NUM_U64_MAX];
    size_t n = num_print_u64((uint64_t)t->index + 1, digits);
    size_t zeros = n < ID_DIGITS ? ID_DIGITS - n : 0;

    (void)arg;
    memcpy(out, "t-000000", 2 + ID_DIGITS);
    memcpy(out + 2 + zeros, digits, n);
    out[2 + zeros + n] = '\0';
}

/* --- the receipt --- */

static void settle_free(struct settle *f)
{
    json_destroy(&f->output);
    json_destroy(&f->artifacts);
    free(f->line);
    free(f->err);
    free(f);
}

/* The engine's buffer for texts of a moment, empty. */
static struct buf *scratch(struct engine *e)
{
    if (e->scratch.len > SCRATCH_KEPT)
        buf_deinit(&e->scratch);
    buf_reset(&e->scratch);
    return &e->scratch;
}

/* The line out of `text`. */
static struct str keep_line(struct settle *f, const struct buf *text)
{
    f->line = xreallocarray(NULL, text->len + 1, 1);
    f->line_len = text->len;
    memcpy(f->line, buf_str(text).ptr, text->len);
    return str_n(f->line, f->line_len);
}

static void tell_final(struct settle *f, const unsigned char *leaf)
{
    struct batch *b = f->batch;
    struct engine *e = b->engine;
    const struct batch_task *t = &f->told;

    f->told.receipt = audit_hex(leaf, f->receipt);
    b->finished++;
    b->succeeded += t->state == TASK_SUCCEEDED;
    tally_task(&b->tally, t->target, t->state, t->status, t->duration_ms);
    tally_task(&e->tally, t->target, t->state, t->status, t->duration_ms);
    rates_count(&e->rates, loop_now_ms(e->loop), 1, 0);
    if (b->results) {
        struct buf *line = scratch(e);

        store_line(str_n(f->line, f->line_len), leaf, line);
        results_add(b->results, buf_str(line));
    }
    events_task(e, b, t);
    ENGINE_TELL(e, on_task, b, t);
}

static void on_receipt(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                       const struct err *er)
{
    struct settle *f = arg;
    struct batch *b = f->batch;
    struct engine *e = b->engine;

    (void)seq;
    b->n_settling--;
    e->n_settling--;
    engine_hold(e);
    if (s != STATUS_OK) {
        /* No receipt, no result: the task is not told, and a resume does it again. */
        struct err told = *er;

        err_prefix(&told, "%s: no receipt could be written", f->id);
        engine_fail(e, s, &told);
    } else if (f->is_final) {
        tell_final(f, leaf);
    }
    settle_free(f);
    batch_check_end(b);
    engine_check_end(e);
}

/* What is stored with the receipt. */
static struct audit_with *make_row(struct settle *f, const struct task_text *text,
                                   const struct task *t)
{
    struct batch *b = f->batch;
    uint64_t id = store_task_id(b->n, t->index);
    struct buf *line = scratch(b->engine);

    if (!f->is_final) {
        json_print(f->output, 0, line);
        f->row.stage = (struct store_stage_done){.id = id, .stage = t->stage};
        f->row.stage.output = keep_line(f, line);
        store_with_stage(b->engine->store, &f->row.stage);
        return &f->row.stage.with;
    }
    batch_line_write(text, line);
    f->row.done =
        (struct store_task_done){.id = id, .attempts = f->told.attempts, .state = f->told.state};
    f->row.done.line = keep_line(f, line);
    store_with_task(b->engine->store, &f->row.done);
    return &f->row.done.with;
}

static void append_receipt(struct settle *f, const struct task *t, bool retryable, uint64_t fence)
{
    struct batch *b = f->batch;
    struct engine *e = b->engine;
    const struct task_text text = {.t = &f->told, .err = f->err, .retryable = retryable};
    struct buf *payload;
    const struct member *m = f->told.member;
    struct receipt receipt = {
        .kind = f->is_final ? "task" : "stage",
        .member = m ? m->identity->id : NULL,
        .target = t->target,
        .outcome = f->told.status == STATUS_OK ? "ok" : status_name(f->told.status),
        .fence = fence,
        .parent = b->open_leaf,
        .with = make_row(f, &text, t),
    };

    payload = scratch(e); /* the row's line is out of it */
    batch_payload_write(&text, payload);
    if (buf_status(payload) == STATUS_OK && payload->len <= PAYLOAD_MAX)
        receipt.payload = buf_str(payload);
    b->n_settling++;
    e->n_settling++;
    engine_hold(e);
    audit_append(e->audit, &receipt, on_receipt, f);
}

/* --- the scheduler's callbacks --- */

static void emit(void *arg, const struct coord_work *w);

static struct json *row_json(void *arg, const struct task *t)
{
    const struct batch *b = t->owner;

    (void)arg;
    return target_row_json(&b->conf->targets[t->row]);
}

static void on_start(void *arg, const struct task *t, struct attempt *a)
{
    struct engine *e = arg;
    struct batch *b = t->owner;

    a->conf = b->conf;
    a->plan = b->plan;
    a->owner = b;
    a->artifacts_dir = b->artifacts_dir;
    a->fence = e->epoch << 32 | ++e->next_fence;
    a->confirm = engine_log_confirm;
    memcpy(a->parent, b->open_leaf, sizeof(a->parent));
    b->running++;
    b->tally.attempts++;
    e->tally.attempts++;
    engine_log(b, t, t->attempts, STORE_BEGUN);
    ENGINE_TELL(e, on_start, t, a);
}

static void on_attempt_end(void *arg, const struct task *t, const struct attempt *a, bool undone)
{
    struct batch *b = t->owner;

    (void)arg;
    (void)a;
    b->running--;
    engine_rotate_look(b->engine);
    engine_log(b, t, t->attempts, undone ? STORE_UNDONE : STORE_ENDED);
}

static void on_retry(void *arg, const struct task *t, const struct attempt *a, uint64_t delay_ms)
{
    struct engine *e = arg;
    struct batch *b = t->owner;

    b->tally.retries++;
    e->tally.retries++;
    ENGINE_TELL(e, on_retry, t, a, delay_ms);
}

/* Artefacts are named relative to the results, so that both can be moved together. */
static struct json *relative(const struct batch *b, struct json *list)
{
    size_t n = strlen(b->results_base);
    struct json *out;

    if (!list || n == 0)
        return list;
    out = json_new_array();
    for (const struct json *c = json_first(list); c; c = json_next(c)) {
        const char *path = json_str(c, "");
        bool inside = strncmp(path, b->results_base, n) == 0 && path[n] == '/';

        json_push(out, json_new_str(str_from(inside ? path + n + 1 : path)));
    }
    json_destroy(&list);
    return out;
}

static struct settle *settle_create(struct batch *b, const struct task *t, enum task_state state,
                                    enum status status, const struct err *er)
{
    struct settle *f = xcalloc(1, sizeof(*f));

    f->batch = b;
    if (status != STATUS_OK) {
        f->err = xcalloc(1, sizeof(*f->err));
        *f->err = *er;
    }
    task_name(NULL, t, f->id);
    f->told = (struct batch_task){
        .id = f->id,
        .index = t->index,
        .row = t->row,
        .attempts = t->attempts,
        .url = b->conf->targets[t->row].told,
        .target = str_from(t->target),
        .state = state,
        .status = status,
        .error = f->err ? err_text(f->err) : NULL,
        .error_step = -1,
    };
    return f;
}

static void take_result(struct settle *f, struct sched_result *x)
{
    struct engine *e = f->batch->engine;

    f->output = x->output;
    f->artifacts = relative(f->batch, x->artifacts);
    x->output = x->artifacts = NULL;
    f->told.output = f->output;
    f->told.artifacts = f->artifacts;
    f->told.member = x->member;
    f->told.error_step = x->error_step;
    f->told.duration_ms = x->run_ms;
    if (x->first_run_ms) {
        f->told.started_ms = x->first_run_ms - e->created_ms;
        f->told.started_wall_ms = e->created_wall_ms + f->told.started_ms;
    }
}

static bool goes_on(const struct batch *b, const struct task *t, bool ok)
{
    return ok && b->coordinator == COORD_PIPELINE && t->stage + 1 < b->conf->stages.n;
}

/* A stage's output is the next one's input, and only its hash is in the receipt. The slot in
 * b->tasks may be taken for the next stage from here on. */
static void settle(struct settle *f, const struct task *t, bool retryable, uint64_t fence)
{
    struct batch *b = f->batch;
    uint32_t index = t->index, stage = t->stage;
    bool ok = f->told.status == STATUS_OK, on = goes_on(b, t, ok);
    struct json *output = on ? f->output ? json_dup(f->output) : json_new_null() : NULL;

    f->is_final = !on;
    append_receipt(f, t, retryable, fence);
    if (coord_finished(b->coord, index, stage, ok, output, emit, b) == on)
        BUG("%s: coordinator and engine disagree on stages", b->id);
}

static void on_done(void *arg, struct sched_result *x)
{
    const struct task *t = x->task;
    struct batch *b = t->owner;
    struct settle *f = settle_create(b, t, (enum task_state)t->state, x->status, x->err);

    (void)arg;
    if (x->member) {
        b->running--;
        engine_rotate_look(b->engine);
    }
    take_result(f, x);
    settle(f, t, x->retryable, x->fence);
}

static void on_idle(void *arg)
{
    struct engine *e = arg;

    e->sched_idle = true;
    engine_check_end(e);
}

void engine_task_deps(struct sched_deps *deps)
{
    deps->row_json = row_json;
    deps->task_name = task_name;
    deps->on_start = on_start;
    deps->on_attempt_end = on_attempt_end;
    deps->on_retry = on_retry;
    deps->on_done = on_done;
    deps->on_idle = on_idle;
}

/* --- what the coordinator asks for --- */

/* A task that is not to be run again, for what an earlier process left of it. */
static void end_at_once(struct batch *b, const struct task *t, const struct replay *r)
{
    bool unknown = r->unknown;
    enum status s = unknown ? STATUS_OUTCOME_UNKNOWN : STATUS_LEASE_LOST;
    struct err er = ERR_INIT;

    if (unknown)
        err_set(&er, s,
                "attempt %u was about to do what cannot be repeated when the engine stopped: "
                "whether it did is not known",
                t->attempts);
    else
        err_set(&er, s, "the engine stopped %u times while it ran: it is not tried again",
                (unsigned)r->lost);
    settle(settle_create(b, t, unknown ? TASK_UNKNOWN : TASK_DEAD, s, &er), t, false, 0);
}

static bool is_settled_before(const struct batch *b, const struct task *t)
{
    const struct replay *r = b->replay ? &b->replay[t->index] : NULL;

    return r && r->stage == t->stage && (r->unknown || r->lost >= TASK_LOST_MAX);
}

static void emit(void *arg, const struct coord_work *w)
{
    struct batch *b = arg;
    struct engine *e = b->engine;
    const struct target_row *row = &b->conf->targets[w->row];
    const struct replay *r = b->replay ? &b->replay[w->index] : NULL;
    struct task *t = &b->tasks[w->index];

    *t = (struct task){
        .index = w->index,
        .row = w->row,
        .stage = w->stage,
        .pin = w->pin >= 0 ? w->pin : row->member,
        .priority = b->priority,
        .input = w->input,
        .owner = b,
    };
    t->target = engine_target_key(e, row->host);
    if (r && r->stage == w->stage) {
        t->attempts = r->attempts;
        t->lost = r->lost;
    }
    if (is_settled_before(b, t))
        return; /* batch_emit_all ends it */
    e->sched_idle = false;
    sched_add(e->sched, t, t->target, b->n);
    if (b->cancelling)
        sched_cancel(e->sched, t);
}

void batch_emit_all(struct batch *b)
{
    coord_start(b->coord, emit, b);
    if (!b->replay)
        return;
    for (uint32_t i = 0; i < b->total; i++) {
        const struct replay *r = &b->replay[i];
        const struct task *t = &b->tasks[i];

        if (t->owner && !r->is_done && is_settled_before(b, t))
            end_at_once(b, t, r);
    }
    free(b->replay);
    b->replay = NULL;
}

void batch_cancel_tasks(struct batch *b)
{
    for (uint32_t i = 0; i < b->total; i++) {
        struct task *t = &b->tasks[i];

        if (t->owner && !task_is_over((enum task_state)t->state) && !t->cancel)
            sched_cancel(b->engine->sched, t);
    }
}
