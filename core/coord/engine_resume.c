/* What earlier processes left: batches that are over, for those who ask; batches that are not, to
 * go on with.
 *
 * A task that is in task_done is not run again. Of the others, what is in task_log tells how often
 * they were begun, and whether the last attempt was under way when its epoch ended: that one was
 * lost. Three lost ones end it dead; one that had confirmed an irreversible step ends it unknown.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

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

/* "b-0000012" -> 12; 0: it is none. */
static uint32_t number_of(const char *id)
{
    uint64_t n = 0;

    return strncmp(id, "b-", 2) == 0 && str_to_u64(str_from(id + 2), UINT32_MAX, &n) ? (uint32_t)n
                                                                                     : 0;
}

struct batch *engine_find(struct engine *e, const char *id)
{
    uint32_t n = number_of(id);
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

enum status batch_restore(struct batch *b, struct err *er)
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

/* --- its results file --- */

enum { TRIES_MAX = 100, TAIL_MAX = 128 };

/* The receipt that a line ends with: ..."receipt":"<64 hex>"}. False: it has none. */
static bool leaf_of(struct str line, unsigned char leaf[AUDIT_LEAF])
{
    const size_t behind = 2, digits = (size_t)2 * AUDIT_LEAF; /* "} */

    return line.len > digits + behind && str_ends(line, STR("\"}")) &&
           hex_decode(str_n(line.ptr + line.len - behind - digits, digits), leaf, AUDIT_LEAF);
}

/* Where the line before `end` (behind its newline) begins; its last bytes into tail. */
static off_t line_before(int fd, off_t end, char tail[TAIL_MAX], size_t *n_tail)
{
    char block[4096];
    off_t at = end - 1; /* its own newline */

    *n_tail = (size_t)(at < TAIL_MAX ? at : TAIL_MAX);
    if (pread(fd, tail, *n_tail, at - (off_t)*n_tail) != (ssize_t)*n_tail)
        *n_tail = 0;
    while (at > 0) {
        size_t n = at > (off_t)sizeof(block) ? sizeof(block) : (size_t)at;

        if (pread(fd, block, n, at - (off_t)n) != (ssize_t)n)
            return 0;
        for (size_t i = n; i > 0; i--) {
            if (block[i - 1] == '\n')
                return at - (off_t)(n - i);
        }
        at -= (off_t)n;
    }
    return 0;
}

struct missing {
    struct batch *batch;
    uint64_t n;
};

static void add_missing(void *arg, struct str line)
{
    struct missing *m = arg;

    m->n++;
    results_add(m->batch->results, line);
}

static enum status add_since(struct batch *b, const unsigned char *leaf, bool *found,
                             struct err *er)
{
    struct missing m = {.batch = b};
    enum status s =
        store_read_since(logdb_path(b->engine->logdb), b->n, leaf, found, add_missing, &m, er);

    if (s == STATUS_OK && m.n > 0)
        log_info(NULL, "results.completed", LOG_STR("batch", b->id), LOG_U64("lines", m.n));
    return s;
}

/* The results follow the log: lines that the file lacks are appended, found from its end; a tail
 * that is no line of this batch is cut. A file in which none is goes aside and is written anew. */
static enum status complete_results(struct batch *b, struct err *er)
{
    const char *path = b->conf->output.results;
    cleanup_fd int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat st;
    off_t end = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : 0;
    bool found = false;
    enum status s = STATUS_OK;

    for (int i = 0; i < TRIES_MAX && end > 0 && !found && s == STATUS_OK; i++) {
        unsigned char leaf[AUDIT_LEAF];
        char tail[TAIL_MAX];
        size_t n = 0;
        off_t from = line_before(fd, end, tail, &n);

        if (leaf_of(str_n(tail, n), leaf)) {
            s = store_has_leaf(logdb_path(b->engine->logdb), b->n, leaf, &found, er);
            if (s == STATUS_OK && found) {
                if (end < st.st_size && ftruncate(fd, end) != 0)
                    return err_set_errno(er, STATUS_IO, errno, "%s: cannot be cut", path);
                s = batch_open_outputs(b, er);
                return s == STATUS_OK ? add_since(b, leaf, &found, er) : s;
            }
        }
        end = from;
    }
    if (s != STATUS_OK)
        return s;
    b->resumed = false; /* what is there is not ours */
    s = batch_open_outputs(b, er);
    b->resumed = true;
    return s == STATUS_OK ? add_since(b, NULL, &found, er) : s;
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
        s = b->brings_engine ? complete_results(b, er) : batch_open_outputs(b, er);
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
