/* What earlier processes left: batches that are over, for those who ask; batches that are not, to
 * go on with.
 *
 * A task that is in task_done is not run again. Of the others, what is in task_log tells how often
 * they were begun, and whether the last attempt was under way when its epoch ended: that one was
 * lost. Three lost ones end it dead; one that had confirmed an irreversible step ends it unknown.
 */
#include <stdio.h>

#include "core/base/log.h"
#include "core/base/map.h"
#include "core/coord/engine_internal.h"

/* --- at start --- */

static void take_row(struct batch *b, const struct store_batch *row)
{
    static const unsigned char none[AUDIT_LEAF];

    b->key = row->key ? xstrdup(row->key) : NULL;
    b->name = xstrdup(row->name ? row->name : "");
    b->state = row->state;
    b->coordinator = row->coordinator;
    b->priority = row->priority;
    b->brings_engine = row->brings_engine;
    b->cancelling = row->cancelling;
    b->resumed = true;
    b->total = row->total;
    b->succeeded = row->succeeded;
    b->finished = row->succeeded + row->failed;
    b->opened_ms = row->opened_ms;
    b->closed_ms = row->closed_ms;
    memcpy(b->hash, row->hash, sizeof(b->hash));
    memcpy(b->open_leaf, row->open, sizeof(b->open_leaf));
    audit_hex(row->open, b->open);
    if (memcmp(row->close, none, sizeof(none)) != 0)
        audit_hex(row->close, b->close);
    if (row->summary.len > 0) {
        b->summary = xcalloc(1, row->summary.len + 1);
        memcpy(b->summary, row->summary.ptr, row->summary.len);
    }
}

static void note_row(struct engine *e, const struct store_batch *row)
{
    struct key_of *k;

    if (!row->key)
        return;
    k = xcalloc(1, sizeof(*k));
    k->n = row->n;
    memcpy(k->hash, row->hash, sizeof(k->hash));
    free(map_put(e->by_key, str_from(row->key), k));
}

static bool recall(void *arg, const struct store_batch *row)
{
    struct engine *e = arg;
    struct batch *b;

    if (map_find_u64(e->by_number, row->n))
        return true;
    b = batch_create(e, row->n);
    take_row(b, row);
    if (batch_is_over(b->state))
        e->n_over++;
    else
        e->n_open++;
    return true;
}

static bool load(void *arg, const struct store_batch *row)
{
    struct engine *e = arg;
    struct batch *first;

    note_row(e, row);
    (void)recall(arg, row);
    first = list_first(&e->batches, struct batch, link);
    if (e->n_over > ENGINE_BATCHES_KEPT && batch_is_over(first->state)) {
        e->n_over--;
        batch_destroy(first);
    }
    return true;
}

enum status engine_load_batches(struct engine *e, struct err *er)
{
    struct arena *a = arena_create(NULL, 0);
    enum status s = store_read_batches(logdb_path(e->logdb), 0, a, load, e, er);

    arena_destroy(&a);
    return s == STATUS_OK ? s : err_prefix(er, "batches of earlier runs");
}

uint32_t batch_number(const char *id)
{
    uint64_t n = 0;

    return strncmp(id, "b-", 2) == 0 && str_to_u64(str_from(id + 2), UINT32_MAX, &n) ? (uint32_t)n
                                                                                     : 0;
}

struct batch *engine_find(struct engine *e, const char *id)
{
    uint32_t n = batch_number(id);
    struct batch *b = n ? map_find_u64(e->by_number, n) : NULL;
    struct arena *a;

    if (b || !n || !e->logdb)
        return b;
    a = arena_create(NULL, 0);
    (void)!store_read_batches(logdb_path(e->logdb), n, a, recall, e, NULL);
    arena_destroy(&a);
    return map_find_u64(e->by_number, n);
}

/* --- the tasks of one --- */

struct restore {
    struct batch *batch;
    struct err err; /* the first that was found */
};

static void replay_lost(struct replay *r)
{
    if (r->running) {
        r->lost++;
        r->unknown = r->unknown || r->confirmed;
    }
    r->running = r->confirmed = false;
}

static void replay_entry(struct replay *r, uint64_t epoch, const struct store_entry *x)
{
    if (x->stage != r->stage) { /* the stages before are through */
        if (x->stage < r->stage)
            return;
        *r = (struct replay){.stage = x->stage};
    }
    if (epoch != r->epoch)
        replay_lost(r);
    r->epoch = epoch;
    switch (x->step) {
    case STORE_BEGUN:
        r->attempts = x->attempt;
        r->running = true;
        r->confirmed = false;
        break;
    case STORE_CONFIRMED:
        r->confirmed = r->running;
        break;
    case STORE_ENDED:
        r->running = r->confirmed = false;
        break;
    case STORE_UNDONE:
        r->attempts = x->attempt > 0 ? (uint16_t)(x->attempt - 1) : 0;
        r->running = r->confirmed = false;
        break;
    }
}

static void on_entry(void *arg, uint64_t epoch, const struct store_entry *x)
{
    struct restore *t = arg;

    if (x->index < t->batch->total)
        replay_entry(&t->batch->replay[x->index], epoch, x);
}

static void on_stage(void *arg, uint32_t index, uint32_t stage, struct str output)
{
    struct restore *t = arg;
    struct batch *b = t->batch;
    struct json *j = json_parse(output, false, &t->err);

    if (index >= b->total || stage + 1 >= b->conf->stages.n || !j) {
        err_set(&t->err, STATUS_CORRUPT, "found stage %u of task %u, which there is not", stage,
                index);
        json_destroy(&j);
        return;
    }
    coord_restore(b->coord, index, stage + 1, false, j);
    if (b->replay[index].stage != stage + 1)
        b->replay[index] = (struct replay){.stage = stage + 1};
}

static enum status status_of(const char *name)
{
    for (int i = 0; i < STATUS_COUNT; i++) {
        if (strcmp(status_name((enum status)i), name) == 0)
            return (enum status)i;
    }
    return STATUS_INTERNAL;
}

/* What the task adds to the counts. The stored line lacks its receipt and its last brace. */
static void count_line(struct batch *b, enum task_state state, struct str line)
{
    struct buf whole = BUF_INIT(line.len + 2);
    struct json *j;
    const char *code, *target;
    uint64_t ms;

    buf_addstr(&whole, line);
    buf_addc(&whole, '}');
    j = json_parse(buf_str(&whole), false, NULL);
    code = json_str(json_at(j, "error", "code", NULL), NULL);
    target = json_str(json_get(j, "target"), "");
    ms = (uint64_t)json_int(json_get(j, "duration_ms"), 0);
    tally_task(&b->tally, str_from(target), state, code ? status_of(code) : STATUS_OK, ms);
    tally_task(&b->engine->tally, str_from(target), state, code ? status_of(code) : STATUS_OK, ms);
    json_destroy(&j);
    buf_deinit(&whole);
}

static void on_done(void *arg, uint32_t index, enum task_state state, uint32_t attempts,
                    struct str line)
{
    struct restore *t = arg;
    struct batch *b = t->batch;

    (void)attempts;
    if (index >= b->total)
        return;
    coord_restore(b->coord, index, 0, true, NULL);
    b->replay[index].is_done = true;
    b->finished++;
    b->succeeded += state == TASK_SUCCEEDED;
    count_line(b, state, line);
}

/* Reads what is known of the batch's tasks. */
static enum status batch_restore(struct batch *b, struct err *er)
{
    struct restore t = {.batch = b};
    const struct store_reader reader = {
        .on_done = on_done, .on_stage = on_stage, .on_entry = on_entry, .arg = &t};
    enum status s;

    b->finished = b->succeeded = 0;
    b->replay = xcalloc(b->total, sizeof(*b->replay));
    s = store_read_tasks(logdb_path(b->engine->logdb), b->n, &reader, &b->log_rows, er);
    for (uint32_t i = 0; i < b->total; i++)
        replay_lost(&b->replay[i]);
    if (s == STATUS_OK && t.err.status != STATUS_OK) {
        s = t.err.status;
        if (er)
            *er = t.err;
    }
    return s;
}

/* --- going on --- */

static void on_resume_receipt(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                              const struct err *er)
{
    struct engine *e = arg;

    (void)leaf;
    (void)seq;
    if (s != STATUS_OK)
        engine_fail(e, s, er);
    engine_closed_one(e);
}

static void append_resume(struct batch *b)
{
    struct engine *e = b->engine;
    char text[128];
    struct receipt receipt = {.kind = "campaign.resume", .parent = b->open_leaf};

    (void)snprintf(text, sizeof(text), "{\"batch\":\"%s\",\"finished\":%llu,\"total\":%u}", b->id,
                   (unsigned long long)b->finished, b->total);
    receipt.payload = str_from(text);
    e->n_closing++;
    audit_append(e->audit, &receipt, on_resume_receipt, e);
}

enum status engine_resume(struct engine *e, const char *id, const struct batch_spec *spec,
                          struct batch **out, struct err *er)
{
    struct batch *b = engine_find(e, id);
    uint32_t total = b ? b->total : 0;
    struct arena *arena = spec->arena;
    enum status s = STATUS_OK;

    *out = b;
    if (!b || batch_is_over(b->state) || b->conf) {
        arena_destroy(&arena);
        return b ? err_set(er, STATUS_EXISTS, "batch %s is %s", id, batch_state_name(b->state))
                 : err_set(er, STATUS_NOT_FOUND, "there is no batch %s", id);
    }
    batch_take_spec(b, spec);
    if (b->total != total)
        s = err_set(er, STATUS_INVALID,
                    "batch %s had %u tasks and would have %u now: it cannot be gone on with by "
                    "%zu members",
                    id, total, b->total, e->members.n);
    if (s == STATUS_OK)
        s = batch_restore(b, er);
    if (s == STATUS_OK)
        s = b->brings_engine ? batch_complete_results(b, er) : batch_open_outputs(b, er);
    if (s != STATUS_OK)
        return s;
    return STATUS_OK;
}

/* The receipt first, so that its place in the log is before what follows. */
void batch_go_on(struct batch *b)
{
    append_resume(b);
    batch_move(b, BATCH_PROCESSING);
    batch_begin(b);
}

static enum status resume_submitted(struct engine *e, struct batch *b, struct err *er)
{
    struct batch_spec spec;
    struct arena *a = arena_create(NULL, 0);
    struct campaign_files files;
    struct buf errors = BUF_INIT(BUF_MAX_LINE);
    enum status s = store_read_files(logdb_path(e->logdb), b->n, a, &files, er);

    if (s == STATUS_OK)
        s = batch_spec_decode(e, files.v[0].text, &spec, &errors, er);
    if (s == STATUS_OK)
        s = engine_resume(e, b->id, &spec, &b, er);
    buf_deinit(&errors);
    arena_destroy(&a);
    return s == STATUS_OK ? s : err_prefix(er, "%s", b->id);
}

enum status engine_resume_all(struct engine *e, size_t *n, struct err *er)
{
    *n = 0;
    for (struct list *l = e->batches.next; l != &e->batches; l = l->next) {
        struct batch *b = container_of(l, struct batch, link);
        enum status s;

        if (batch_is_over(b->state) || b->brings_engine || b->conf)
            continue;
        s = resume_submitted(e, b, er);
        if (s != STATUS_OK)
            return s;
        batch_go_on(b);
        (*n)++;
    }
    return STATUS_OK;
}
