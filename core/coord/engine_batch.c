/* Batches: from their submission to the receipt that closes them. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/map.h"
#include "core/coord/engine_internal.h"
#include "core/coord/events.h"

enum { PAYLOAD_MAX = 256 * 1024 };

/* --- making --- */

struct batch *batch_create(struct engine *e, uint32_t n)
{
    struct batch *b = xcalloc(1, sizeof(*b));

    b->engine = e;
    b->n = n;
    snprintf(b->id, sizeof(b->id), "b-%07u", n);
    list_init(&b->dirty);
    list_push(&e->batches, &b->link);
    map_put_u64(e->by_number, n, b);
    return b;
}

/* What only tasks need. */
static void drop_parts(struct batch *b)
{
    struct engine *e = b->engine;

    engine_log_drop(b);
    if (b->has_plan && e->executor && e->opts.kit->executor->dismiss)
        e->opts.kit->executor->dismiss(e->executor, b->plan);
    b->has_plan = false;
    b->plan = NULL;
    coord_destroy(&b->coord);
    free(b->tasks);
    free(b->replay);
    b->tasks = NULL;
    b->replay = NULL;
    b->conf = NULL;
    b->files = NULL;
    arena_destroy(&b->arena);
}

/* An attempt that was given up may be one of this batch, and its executor still needs the flows:
 * then they stay until it let go. */
static void lighten(struct batch *b)
{
    b->is_heavy = b->engine->sched && sched_abandoned(b->engine->sched) > 0;
    if (!b->is_heavy)
        drop_parts(b);
}

static void results_closed_early(void *arg, enum status s, const struct err *er)
{
    (void)s;
    (void)er;
    *(bool *)arg = true;
}

void batch_destroy(struct batch *b)
{
    struct engine *e = b->engine;
    bool closed = !b->results || b->results_closing;

    if (!closed) { /* of an engine that never started */
        results_close(b->results, results_closed_early, &closed);
        while (!closed)
            loop_run_once(e->loop, 100);
    }
    drop_parts(b);
    if (b->has_tally)
        tally_deinit(&b->tally);
    list_remove(&b->link);
    (void)map_remove_u64(e->by_number, b->n);
    free(b->key);
    free(b->name);
    free(b->summary);
    free(b);
}

void batch_move(struct batch *b, enum batch_state to)
{
    struct engine *e = b->engine;

    log_debug(NULL, "batch.state", LOG_STR("batch", b->id), LOG_STR("to", batch_state_name(to)));
    b->state = to;
    events_batch(e, b);
    ENGINE_TELL(e, on_batch, b, to);
}

static void batch_hash(const struct campaign_files *files, unsigned char out[32])
{
    crypto_hash_sha256_state sha;

    crypto_hash_sha256_init(&sha);
    for (size_t i = 0; i < files->n; i++) {
        unsigned char len[8];

        for (int k = 0; k < 8; k++)
            len[k] = (unsigned char)((uint64_t)files->v[i].text.len >> 8 * k);
        crypto_hash_sha256_update(&sha, len, sizeof(len));
        crypto_hash_sha256_update(&sha, (const unsigned char *)files->v[i].text.ptr,
                                  files->v[i].text.len);
    }
    crypto_hash_sha256_final(&sha, out);
}

static struct coord *make_coord(const struct engine *e, const struct campaign_conf *c)
{
    const struct coord_shape shape = {
        .kind = c->coordinator,
        .rows = (uint32_t)c->n_targets,
        .members = (uint32_t)e->members.n,
        .stages = c->stages.n > 0 ? (uint32_t)c->stages.n : 1,
    };

    return coord_create(&shape);
}

void batch_take_spec(struct batch *b, const struct batch_spec *spec)
{
    struct engine *e = b->engine;
    const struct campaign_conf *c = spec->conf;

    b->conf = c;
    b->files = spec->files;
    b->arena = spec->arena;
    b->priority = spec->priority;
    b->brings_engine = spec->brings_engine;
    b->coordinator = c->coordinator;
    free(b->name);
    if (spec->key) { /* one that came in a header is not in the text that is gone on with */
        free(b->key);
        b->key = xstrdup(spec->key);
    }
    b->name = xstrdup(c->name);
    batch_hash(spec->files, b->hash);
    b->coord = make_coord(e, c);
    b->total = coord_total(b->coord);
    if (!b->has_tally)
        tally_init(&b->tally);
    b->has_tally = true;
    b->tally.total = b->total;
    e->tally.total += b->total;
    engine_know_targets(e, c);
}

/* --- outputs --- */

static void on_results_error(void *arg, const struct err *er)
{
    struct batch *b = arg;
    struct err told = *er;

    err_prefix(&told, "results");
    engine_fail(b->engine, er->status, &told);
}

/* The directory is there or will be; "" when it cannot be told: names then stay absolute. */
static const char *base_of(struct engine *e, const char *path)
{
    cleanup_free char *dir = file_dirname(path);
    cleanup_free char *absolute = NULL;

    if (dir[0] && file_mkdirs(dir, 0755, NULL) != STATUS_OK)
        return "";
    absolute = realpath(dir[0] ? dir : ".", NULL);
    return absolute ? arena_strdup(e->arena, absolute) : "";
}

/* The campaign of `fleet run` has the directory itself, and a file of results; batches that are
 * submitted have a directory each, since tasks of two may have the same name. */
enum status batch_open_outputs(struct batch *b, struct err *er)
{
    struct engine *e = b->engine;
    cleanup_free char *dir = NULL;
    enum status s;

    b->results_base = "";
    if (!b->brings_engine) {
        dir = file_join(e->artifacts_dir, b->id);
        s = file_mkdirs(dir, 0755, er);
        b->artifacts_dir = arena_strdup(e->arena, dir);
        return s == STATUS_OK ? s : err_prefix(er, "artifacts");
    }
    b->artifacts_dir = e->artifacts_dir;
    b->results_base = base_of(e, b->conf->output.results);
    s = results_open(e->loop, b->conf->output.results, b->resumed, on_results_error, b, &b->results,
                     er);
    return s == STATUS_OK ? s : err_prefix(er, "results");
}

static void on_results_closed(void *arg, enum status s, const struct err *er)
{
    struct batch *b = arg;
    struct engine *e = b->engine;

    b->results = NULL;
    if (s != STATUS_OK)
        engine_fail(e, s, er);
    engine_closed_one(e);
}

static void close_results(struct batch *b)
{
    if (!b->results || b->results_closing)
        return;
    b->results_closing = true;
    b->engine->n_closing++;
    results_close(b->results, on_results_closed, b);
}

/* --- submission --- */

static void answer(struct batch *b, enum status s, const struct err *er)
{
    struct waiter *next;

    for (struct waiter *w = b->waiters; w; w = next) {
        next = w->next;
        w->done(w->arg, s, s == STATUS_OK ? b : NULL, er);
        free(w);
    }
    b->waiters = NULL;
}

static void wait_for_batch(struct batch *b, engine_submitted_fn *done, void *arg)
{
    struct waiter **at = &b->waiters, *w = xcalloc(1, sizeof(*w));

    *w = (struct waiter){.done = done, .arg = arg};
    while (*at)
        at = &(*at)->next;
    *at = w;
}

/* An answer that needs no row: from the loop's next turn. */
struct reply {
    struct engine *engine;
    uint32_t n; /* of the batch; 0: none */
    struct err err;
    engine_submitted_fn *done;
    void *arg;
};

static void on_reply(void *arg)
{
    struct reply *r = arg;
    struct batch *b = NULL;

    loop_release(r->engine->loop);
    if (r->n) {
        char id[BATCH_ID_MAX];

        snprintf(id, sizeof(id), "b-%07u", r->n);
        b = engine_find(r->engine, id);
    }
    if (r->n && !b && r->err.status == STATUS_OK)
        err_set(&r->err, STATUS_NOT_FOUND, "batch b-%07u cannot be read back", r->n);
    if (b && b->state == BATCH_PENDING)
        wait_for_batch(b, r->done, r->arg);
    else
        r->done(r->arg, r->err.status, b, &r->err);
    free(r);
}

static void reply(struct engine *e, uint32_t n, const struct err *er, engine_submitted_fn *done,
                  void *arg)
{
    struct reply *r = xcalloc(1, sizeof(*r));

    *r = (struct reply){.engine = e, .n = n, .err = *er, .done = done, .arg = arg};
    loop_hold(e->loop);
    loop_defer(e->loop, on_reply, r);
}

static void append_authorized(struct batch *b)
{
    struct engine *e = b->engine;
    struct receipt receipt = {.kind = "limits.authorized", .parent = b->open_leaf};
    struct buf payload = BUF_INIT(PAYLOAD_MAX);

    if (e->conf->limits.authorized.n == 0)
        return;
    batch_payload_authorized(e->conf, &payload);
    receipt.payload = buf_str(&payload);
    audit_append(e->audit, &receipt, NULL, NULL);
    buf_deinit(&payload);
}

struct opening {
    struct batch *batch;
    struct store_open_batch row;
};

static void not_opened(struct batch *b, enum status s, const struct err *er)
{
    struct engine *e = b->engine;

    if (b->key)
        free(map_remove(e->by_key, str_from(b->key)));
    e->n_open--;
    engine_fail(e, s, er);
    answer(b, s, er);
    close_results(b);
    batch_move(b, BATCH_FAILED);
}

static void on_open_receipt(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                            const struct err *er)
{
    struct opening *o = arg;
    struct batch *b = o->batch;
    struct engine *e = b->engine;

    (void)seq;
    free(o);
    if (s != STATUS_OK) {
        not_opened(b, s, er);
    } else {
        memcpy(b->open_leaf, leaf, sizeof(b->open_leaf));
        audit_hex(leaf, b->open);
        append_authorized(b);
        batch_move(b, BATCH_PROCESSING);
        answer(b, STATUS_OK, NULL);
        batch_begin(b);
    }
    engine_closed_one(e);
}

static void open_batch(struct batch *b)
{
    struct engine *e = b->engine;
    struct opening *o = xcalloc(1, sizeof(*o));
    struct buf payload = BUF_INIT(PAYLOAD_MAX);
    struct receipt receipt = {.kind = "campaign.open", .with = &o->row.with};

    o->batch = b;
    b->opened_ms = loop_wall_ms(e->loop);
    o->row = (struct store_open_batch){
        .n = b->n,
        .total = b->total,
        .priority = b->priority,
        .brings_engine = b->brings_engine,
        .coordinator = b->coordinator,
        .key = b->key,
        .name = b->name,
        .opened_ms = b->opened_ms,
        .files = b->files,
    };
    memcpy(o->row.hash, b->hash, sizeof(b->hash));
    store_with_open(e->store, &o->row);
    batch_payload_open(b, &payload);
    receipt.payload = buf_str(&payload);
    e->n_closing++; /* the engine does not end while it is on its way */
    audit_append(e->audit, &receipt, on_open_receipt, o);
    buf_deinit(&payload);
}

static enum status may_submit(const struct engine *e, const struct batch_spec *spec, struct err *er)
{
    size_t key = spec->key ? strlen(spec->key) : 1;

    if (e->trouble.status != STATUS_OK) {
        *er = e->trouble;
        return er->status;
    }
    if (e->state >= ENGINE_DRAINING || e->drains > 0)
        return err_set(er, STATUS_SHUTTING_DOWN, "the engine is %s", engine_state_name(e->state));
    if (e->n_open >= ENGINE_BATCHES_MAX)
        return err_set(er, STATUS_BUSY, "%zu batches are not over, the limit is %d", e->n_open,
                       (int)ENGINE_BATCHES_MAX);
    if (key == 0 || key > BATCH_KEY_MAX)
        return err_set(er, STATUS_INVALID, "found a key of %zu bytes, expected 1..%d", key,
                       (int)BATCH_KEY_MAX);
    if (spec->priority < -TASK_PRIORITY_MAX || spec->priority > TASK_PRIORITY_MAX)
        return err_set(er, STATUS_INVALID, "found priority %d, expected %d..%d", spec->priority,
                       -TASK_PRIORITY_MAX, TASK_PRIORITY_MAX);
    return STATUS_OK;
}

/* True: the key is known, and *n its batch; *er says when that is another. */
static bool batch_is_known(const struct engine *e, const struct batch_spec *spec, uint32_t *n,
                           struct err *er)
{
    const struct key_of *k = spec->key ? map_find(e->by_key, str_from(spec->key)) : NULL;
    unsigned char hash[32];

    if (!k)
        return false;
    batch_hash(spec->files, hash);
    *n = k->n;
    if (memcmp(hash, k->hash, sizeof(hash)) != 0) {
        *n = 0;
        err_set(er, STATUS_EXISTS, "the key \"%s\" is that of batch b-%07u, which is another one",
                spec->key, k->n);
    }
    return true;
}

static void note_key(struct batch *b)
{
    struct key_of *k;

    if (!b->key)
        return;
    k = xcalloc(1, sizeof(*k));
    k->n = b->n;
    memcpy(k->hash, b->hash, sizeof(k->hash));
    free(map_put(b->engine->by_key, str_from(b->key), k));
}

void engine_submit(struct engine *e, const struct batch_spec *spec, engine_submitted_fn *done,
                   void *arg)
{
    struct arena *arena = spec->arena;
    struct err er = ERR_INIT;
    struct batch *b;
    uint32_t n = 0;

    if (may_submit(e, spec, &er) != STATUS_OK || batch_is_known(e, spec, &n, &er)) {
        arena_destroy(&arena);
        reply(e, n, &er, done, arg);
        return;
    }
    b = batch_create(e, store_take_number(e->store));
    batch_take_spec(b, spec);
    if (batch_open_outputs(b, &er) != STATUS_OK) {
        e->tally.total -= b->total;
        batch_destroy(b);
        reply(e, 0, &er, done, arg);
        return;
    }
    e->n_open++;
    note_key(b);
    wait_for_batch(b, done, arg);
    open_batch(b);
}

/* --- its tasks --- */

static bool admit(struct batch *b)
{
    struct engine *e = b->engine;
    struct err er = ERR_INIT;
    enum status s = STATUS_OK;

    if (e->opts.kit->executor->admit)
        s = e->opts.kit->executor->admit(e->executor, b->conf, &b->plan, &er);
    b->has_plan = s == STATUS_OK;
    if (s != STATUS_OK) { /* it was checked before it was taken: the machine's fault */
        err_prefix(&er, "%s", b->id);
        engine_fail(e, s, &er);
    }
    return s == STATUS_OK;
}

void batch_begin(struct batch *b)
{
    struct engine *e = b->engine;

    if (e->state != ENGINE_READY || b->state != BATCH_PROCESSING || b->begun || !b->conf ||
        e->trouble.status != STATUS_OK || !admit(b))
        return;
    b->begun = true;
    b->tasks = xcalloc(b->total, sizeof(*b->tasks));
    batch_emit_all(b);
    batch_check_end(b);
}

void batch_cancel(struct batch *b, void (*done)(void *arg, enum status s, const struct err *e),
                  void *arg)
{
    if (!batch_is_over(b->state) && !b->cancelling) {
        b->cancelling = true;
        if (b->begun)
            batch_cancel_tasks(b);
    }
    store_cancel(b->engine->store, b->n, done, arg);
}

/* --- the end --- */

bool batch_is_idle(struct batch *b)
{
    if (b->is_heavy)
        lighten(b);
    return batch_is_over(b->state) && !b->results && !b->waiters && !b->is_heavy;
}

static void forget_oldest(struct engine *e)
{
    for (struct list *l = e->batches.next, *next; l != &e->batches; l = next) {
        struct batch *b = container_of(l, struct batch, link);

        next = l->next;
        if (batch_is_idle(b) && e->n_over > ENGINE_BATCHES_KEPT) {
            e->n_over--;
            batch_destroy(b);
        }
    }
}

struct close {
    struct batch *batch;
    struct store_over_batch row;
    struct buf summary;
};

static void on_close_receipt(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                             const struct err *er)
{
    struct close *c = arg;
    struct batch *b = c->batch;
    struct engine *e = b->engine;
    enum batch_state state = c->row.state;

    (void)seq;
    if (s != STATUS_OK) {
        engine_fail(e, s, er);
    } else {
        audit_hex(leaf, b->close);
        b->closed_ms = c->row.closed_ms;
        b->summary = buf_take(&c->summary, NULL);
        e->n_open--;
        e->n_over++;
        lighten(b);
    }
    close_results(b);
    buf_deinit(&c->summary);
    free(c);
    if (s == STATUS_OK)
        batch_move(b, state);
    engine_closed_one(e);
    forget_oldest(e);
}

static enum batch_state state_at_end(const struct batch *b)
{
    if (b->cancelling && b->tally.done[TASK_CANCELLED] > 0)
        return BATCH_CANCELLED;
    if (b->succeeded == b->total)
        return BATCH_COMPLETED;
    return b->succeeded > 0 ? BATCH_PARTIAL : BATCH_FAILED;
}

static void close_batch(struct batch *b)
{
    struct engine *e = b->engine;
    struct close *c = xcalloc(1, sizeof(*c));
    struct buf payload = BUF_INIT(PAYLOAD_MAX);
    struct receipt receipt = {
        .kind = "campaign.close",
        .outcome = e->trouble.status == STATUS_OK ? "ok" : status_name(e->trouble.status),
        .closes = b->open_leaf,
        .with = &c->row.with,
    };
    struct json *summary;

    b->is_closing = true;
    engine_log_drop(b);
    c->batch = b;
    c->row = (struct store_over_batch){
        .n = b->n,
        .state = state_at_end(b),
        .closed_ms = loop_wall_ms(e->loop),
        .succeeded = b->succeeded,
        .failed = b->finished - b->succeeded,
    };
    buf_init(&c->summary, BUF_MAX_FILE);
    summary = batch_summary(b);
    json_add_str(summary, "state", batch_state_name(c->row.state));
    json_print(summary, 0, &c->summary);
    json_destroy(&summary);
    c->row.summary = buf_str(&c->summary);
    store_with_over(e->store, &c->row);
    batch_payload_counts(b, false, &payload);
    receipt.payload = buf_str(&payload);
    e->n_closing++;
    audit_append(e->audit, &receipt, on_close_receipt, c);
    buf_deinit(&payload);
}

void batch_check_end(struct batch *b)
{
    if (b->begun && !b->is_closing && b->n_settling == 0 && b->finished == b->total &&
        b->running == 0)
        close_batch(b);
}

static void on_pause_receipt(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                             const struct err *er)
{
    struct batch *b = arg;
    struct engine *e = b->engine;

    (void)leaf;
    (void)seq;
    if (s != STATUS_OK)
        engine_fail(e, s, er);
    engine_closed_one(e);
}

void batch_suspend(struct batch *b)
{
    struct engine *e = b->engine;
    struct buf payload = BUF_INIT(PAYLOAD_MAX);
    struct receipt receipt = {
        .kind = "campaign.pause",
        .outcome = e->trouble.status == STATUS_OK ? "ok" : status_name(e->trouble.status),
        .parent = b->open_leaf,
    };

    close_results(b);
    if (b->state != BATCH_PROCESSING || !b->conf)
        return;
    batch_payload_counts(b, true, &payload);
    receipt.payload = buf_str(&payload);
    e->n_closing++;
    audit_append(e->audit, &receipt, on_pause_receipt, b);
    buf_deinit(&payload);
}
