/* The writer's side: tables, statements, and the rows that go with receipts. */
#include <endian.h>
#include <string.h>

#include "core/base/attr.h"
#include "core/coord/store_internal.h"
#include "core/record/migrate.h"

enum { EPOCH_MAX = (1 << 21) - 1 };

static const char *const steps[] = {
    "CREATE TABLE engine(one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL,"
    " ended INTEGER NOT NULL);"
    "INSERT INTO engine VALUES(1, 0, 0);"
    "CREATE TABLE batch(n INTEGER PRIMARY KEY, key TEXT UNIQUE, name TEXT NOT NULL,"
    " coordinator INTEGER NOT NULL, brings_engine INTEGER NOT NULL, priority INTEGER NOT NULL,"
    " total INTEGER NOT NULL, state INTEGER NOT NULL, cancelling INTEGER NOT NULL DEFAULT 0,"
    " hash BLOB NOT NULL, opened_ms INTEGER NOT NULL, closed_ms INTEGER NOT NULL DEFAULT 0,"
    " succeeded INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,"
    " open BLOB NOT NULL, close BLOB, summary BLOB);"
    "CREATE TABLE batch_file(id INTEGER PRIMARY KEY, path TEXT NOT NULL, text BLOB NOT NULL);"
    "CREATE TABLE task_done(id INTEGER PRIMARY KEY, state INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, seq INTEGER NOT NULL, leaf BLOB NOT NULL, line BLOB NOT NULL);"
    "CREATE TABLE task_stage(id INTEGER PRIMARY KEY, stage INTEGER NOT NULL, output BLOB NOT NULL);"
    "CREATE TABLE task_log(id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, entries BLOB NOT NULL);",
    "CREATE TABLE rotated(id TEXT PRIMARY KEY, next TEXT NOT NULL, at_ms INTEGER NOT NULL)"
    " WITHOUT ROWID;",
    "ALTER TABLE engine ADD COLUMN last_batch INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE removal(n INTEGER PRIMARY KEY);",
};

static const char *const statements[] = {
    [ST_OPEN] = "INSERT INTO batch(n, key, name, coordinator, brings_engine, priority, total,"
                " state, hash, opened_ms, open) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
                " ?11)",
    [ST_FILE] = "INSERT INTO batch_file(id, path, text) VALUES(?1, ?2, ?3)",
    [ST_DONE] = "INSERT INTO task_done(id, state, attempts, seq, leaf, line)"
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [ST_STAGE] = "INSERT OR REPLACE INTO task_stage(id, stage, output) VALUES(?1, ?2, ?3)",
    [ST_OVER] = "UPDATE batch SET state = ?2, closed_ms = ?3, succeeded = ?4, failed = ?5,"
                " close = ?6, summary = ?7 WHERE n = ?1",
    [ST_LOG] = "INSERT INTO task_log(id, epoch, entries) VALUES(?1, ?2, ?3)",
    [ST_CANCEL] = "UPDATE batch SET cancelling = 1 WHERE n = ?1 AND closed_ms = 0",
    [ST_DROP_FILES] = "DELETE FROM batch_file WHERE id >= ?1 << 16 AND id < (?1 + 1) << 16",
    [ST_DROP_LOG] = "DELETE FROM task_log WHERE id >= ?1 << 32 AND id < (?1 + 1) << 32",
    [ST_DROP_STAGES] = "DELETE FROM task_stage WHERE id >= ?1 << 32 AND id < (?1 + 1) << 32",
    [ST_END] = "UPDATE engine SET ended = ?1",
    [ST_ROTATED] = "INSERT OR REPLACE INTO rotated(id, next, at_ms) VALUES(?1, ?2, ?3)",
    [ST_REMOVAL] = "INSERT OR IGNORE INTO removal(n) VALUES(?1)",
    [ST_LAST_BATCH] = "UPDATE engine SET last_batch = max(last_batch, ?1)",
    [ST_DROP_BATCH] = "DELETE FROM batch WHERE n = ?1",
    [ST_NEXT_REMOVAL] = "SELECT n FROM removal ORDER BY n LIMIT 1",
    [ST_DROP_DONE] = "DELETE FROM task_done WHERE id IN (SELECT id FROM task_done"
                     " WHERE id >= ?1 << 32 AND id < (?1 + 1) << 32 ORDER BY id LIMIT ?2)",
    [ST_DROP_REMOVAL] = "DELETE FROM removal WHERE n = ?1",
};
_Static_assert(ARRAY_LEN(statements) == ST_COUNT, "a text for each statement");

/* --- statements --- */

static enum status finish(sqlite3 *db, sqlite3_stmt *st, const char *what, struct err *e)
{
    int rc = sqlite3_step(st);

    (void)sqlite3_reset(st);
    return rc == SQLITE_DONE ? STATUS_OK : logdb_error(db, e, what);
}

static void bind_u64(sqlite3_stmt *st, int at, uint64_t v)
{
    (void)sqlite3_bind_int64(st, at, (sqlite3_int64)v);
}

/* Bytes that outlive the step; none is an empty blob, not NULL. */
static void bind_blob(sqlite3_stmt *st, int at, struct str s)
{
    (void)sqlite3_bind_blob64(st, at, s.len ? s.ptr : "", s.len, SQLITE_STATIC);
}

static void bind_text(sqlite3_stmt *st, int at, const char *z)
{
    if (z)
        (void)sqlite3_bind_text(st, at, z, -1, SQLITE_STATIC);
    else
        (void)sqlite3_bind_null(st, at);
}

static struct str leaf_str(const unsigned char *leaf)
{
    return str_n((const char *)leaf, AUDIT_LEAF);
}

/* --- open and close --- */

static enum status read_u64(sqlite3 *db, const char *sql, uint64_t *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc;

    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        return logdb_error(db, e, "read the engine's state");
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *out = (uint64_t)sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    return rc == SQLITE_ROW ? STATUS_OK : logdb_error(db, e, "read the engine's state");
}

/* Durable before any work of this process: one statement, its own transaction. */
static enum status raise_epoch(struct store *s, sqlite3 *db, struct err *e)
{
    uint64_t before = 0, ended = 0, last = 0, removals = 0;
    enum status st = read_u64(db, "SELECT epoch FROM engine", &before, e);

    if (st == STATUS_OK)
        st = read_u64(db, "SELECT ended FROM engine", &ended, e);
    if (st == STATUS_OK)
        st = read_u64(db,
                      "SELECT max(last_batch, coalesce((SELECT max(n) FROM batch), 0))"
                      " FROM engine",
                      &last, e);
    if (st == STATUS_OK)
        st = read_u64(db, "SELECT count(*) FROM removal", &removals, e);
    if (st != STATUS_OK)
        return st;
    if (before >= EPOCH_MAX)
        return err_set(e, STATUS_TOO_LARGE, "%s: epoch %llu, the last there is", logdb_path(s->db),
                       (unsigned long long)before);
    if (sqlite3_exec(db, "UPDATE engine SET epoch = epoch + 1", NULL, NULL, NULL) != SQLITE_OK)
        return logdb_error(db, e, "raise the engine's epoch");
    s->epoch = before + 1;
    s->was_ended = ended == before;
    s->must_sweep = removals > 0;
    s->last_number = (uint32_t)last;
    return STATUS_OK;
}

static void finalize(struct store *s)
{
    for (int i = 0; i < ST_COUNT; i++) {
        (void)sqlite3_finalize(s->st[i]);
        s->st[i] = NULL;
    }
}

static enum status prepare(struct store *s, sqlite3 *db, struct err *e)
{
    for (int i = 0; i < ST_COUNT; i++) {
        if (sqlite3_prepare_v3(db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &s->st[i], NULL) !=
            SQLITE_OK)
            return logdb_error(db, e, "prepare the engine's statements");
    }
    return STATUS_OK;
}

enum status store_open(struct logdb *db, struct store **out, struct err *e)
{
    const struct migration m = {.module = "engine", .steps = steps, .n = ARRAY_LEN(steps)};
    sqlite3 *c = logdb_connection(db);
    struct store *s = xcalloc(1, sizeof(*s));
    enum status st = migrate_run(c, &m, logdb_path(db), e);

    s->db = db;
    if (st == STATUS_OK)
        st = prepare(s, c, e);
    if (st == STATUS_OK)
        st = raise_epoch(s, c, e);
    if (st == STATUS_OK)
        *out = s;
    else
        store_close_now(&s);
    return st;
}

void store_close_now(struct store **s)
{
    if (!*s)
        return;
    finalize(*s);
    free(*s);
    *s = NULL;
}

struct closing {
    struct logdb_job end, last;
    struct store *store;
    void (*closed)(void *arg);
    void *arg;
};

static enum status run_end(struct logdb_job *job, sqlite3 *db, struct err *e)
{
    struct store *s = container_of(job, struct closing, end)->store;

    bind_u64(s->st[ST_END], 1, s->epoch);
    return finish(db, s->st[ST_END], "end the engine's epoch", e);
}

/* Control: also when the database has failed. A group's control jobs run before its others, so it
 * must not share a group with them. */
static enum status run_finalize(struct logdb_job *job, sqlite3 *db, struct err *e)
{
    (void)db;
    (void)e;
    finalize(container_of(job, struct closing, last)->store);
    return STATUS_OK;
}

static void on_finalized(struct logdb_job *job, enum status s, const struct err *e)
{
    struct closing *c = container_of(job, struct closing, last);
    void (*closed)(void *) = c->closed;
    void *arg = c->arg;

    (void)s;
    (void)e;
    free(c->store);
    free(c);
    closed(arg);
}

static void on_end(struct logdb_job *job, enum status s, const struct err *e)
{
    struct closing *c = container_of(job, struct closing, end);

    (void)s; /* the next one takes it for a crash: nothing is lost by that */
    (void)e;
    logdb_submit(c->store->db, &c->last);
}

void store_close(struct store *s, void (*closed)(void *arg), void *arg)
{
    struct closing *c = xcalloc(1, sizeof(*c));

    c->store = s;
    c->closed = closed;
    c->arg = arg;
    c->end = (struct logdb_job){.run = run_end, .done = on_end};
    c->last = (struct logdb_job){.run = run_finalize, .done = on_finalized, .control = true};
    logdb_submit(s->db, &c->end);
}

uint64_t store_epoch(const struct store *s)
{
    return s->epoch;
}

bool store_was_ended(const struct store *s)
{
    return s->was_ended;
}

bool store_must_sweep(const struct store *s)
{
    return s->must_sweep;
}

uint32_t store_take_number(struct store *s)
{
    return ++s->last_number;
}

/* --- with receipts; on the writer's thread --- */

static enum status write_file(struct store *s, sqlite3 *db, uint64_t id,
                              const struct campaign_text *t, struct err *e)
{
    sqlite3_stmt *st = s->st[ST_FILE];

    bind_u64(st, 1, id);
    bind_text(st, 2, t->path);
    bind_blob(st, 3, t->text);
    return finish(db, st, "store the batch's texts", e);
}

static enum status run_open(struct audit_with *with, sqlite3 *db, const unsigned char *leaf,
                            uint64_t seq, struct err *e)
{
    struct store_open_batch *w = container_of(with, struct store_open_batch, with);
    sqlite3_stmt *st = w->store->st[ST_OPEN];
    enum status s;

    (void)seq;
    bind_u64(st, 1, w->n);
    bind_text(st, 2, w->key);
    bind_text(st, 3, w->name);
    (void)sqlite3_bind_int(st, 4, (int)w->coordinator);
    (void)sqlite3_bind_int(st, 5, w->brings_engine);
    (void)sqlite3_bind_int(st, 6, w->priority);
    bind_u64(st, 7, w->total);
    (void)sqlite3_bind_int(st, 8, BATCH_PROCESSING);
    bind_blob(st, 9, str_n((const char *)w->hash, sizeof(w->hash)));
    bind_u64(st, 10, w->opened_ms);
    bind_blob(st, 11, leaf_str(leaf));
    s = finish(db, st, "store the batch", e);
    for (size_t i = 0; i < w->files->n && s == STATUS_OK; i++)
        s = write_file(w->store, db, (uint64_t)w->n << 16 | i, &w->files->v[i], e);
    return s;
}

void store_with_open(struct store *s, struct store_open_batch *w)
{
    w->store = s;
    w->with.run = run_open;
}

static enum status run_done(struct audit_with *with, sqlite3 *db, const unsigned char *leaf,
                            uint64_t seq, struct err *e)
{
    const struct store_task_done *w = container_of(with, struct store_task_done, with);
    sqlite3_stmt *st = w->store->st[ST_DONE];

    bind_u64(st, 1, w->id);
    (void)sqlite3_bind_int(st, 2, (int)w->state);
    bind_u64(st, 3, w->attempts);
    bind_u64(st, 4, seq);
    bind_blob(st, 5, leaf_str(leaf));
    bind_blob(st, 6, w->line);
    return finish(db, st, "store a task's result", e);
}

void store_with_task(struct store *s, struct store_task_done *w)
{
    w->store = s;
    w->with.run = run_done;
}

static enum status run_stage(struct audit_with *with, sqlite3 *db, const unsigned char *leaf,
                             uint64_t seq, struct err *e)
{
    const struct store_stage_done *w = container_of(with, struct store_stage_done, with);
    sqlite3_stmt *st = w->store->st[ST_STAGE];

    (void)leaf;
    (void)seq;
    bind_u64(st, 1, w->id);
    bind_u64(st, 2, w->stage);
    bind_blob(st, 3, w->output);
    return finish(db, st, "store a stage's output", e);
}

void store_with_stage(struct store *s, struct store_stage_done *w)
{
    w->store = s;
    w->with.run = run_stage;
}

static enum status run_rotated(struct audit_with *with, sqlite3 *db, const unsigned char *leaf,
                               uint64_t seq, struct err *e)
{
    const struct store_rotated *w = container_of(with, struct store_rotated, with);
    sqlite3_stmt *st = w->store->st[ST_ROTATED];

    (void)leaf;
    (void)seq;
    bind_text(st, 1, w->id);
    bind_text(st, 2, w->next);
    bind_u64(st, 3, w->at_ms);
    return finish(db, st, "store whom an identity rotated to", e);
}

void store_with_rotated(struct store *s, struct store_rotated *w)
{
    w->store = s;
    w->with.run = run_rotated;
}

static enum status drop(struct store *s, sqlite3 *db, enum store_statement which, uint32_t n,
                        struct err *e)
{
    bind_u64(s->st[which], 1, n);
    return finish(db, s->st[which], "forget what the batch does not need any more", e);
}

static enum status run_over(struct audit_with *with, sqlite3 *db, const unsigned char *leaf,
                            uint64_t seq, struct err *e)
{
    const struct store_over_batch *w = container_of(with, struct store_over_batch, with);
    sqlite3_stmt *st = w->store->st[ST_OVER];
    enum status s;

    (void)seq;
    bind_u64(st, 1, w->n);
    (void)sqlite3_bind_int(st, 2, (int)w->state);
    bind_u64(st, 3, w->closed_ms);
    bind_u64(st, 4, w->succeeded);
    bind_u64(st, 5, w->failed);
    bind_blob(st, 6, leaf_str(leaf));
    bind_blob(st, 7, w->summary);
    s = finish(db, st, "close the batch", e);
    if (s == STATUS_OK)
        s = drop(w->store, db, ST_DROP_FILES, w->n, e);
    if (s == STATUS_OK)
        s = drop(w->store, db, ST_DROP_LOG, w->n, e);
    return s == STATUS_OK ? drop(w->store, db, ST_DROP_STAGES, w->n, e) : s;
}

void store_with_over(struct store *s, struct store_over_batch *w)
{
    w->store = s;
    w->with.run = run_over;
}

/* --- removal --- */

static enum status run_removed(struct audit_with *with, sqlite3 *db, const unsigned char *leaf,
                               uint64_t seq, struct err *e)
{
    static const enum store_statement all[] = {ST_REMOVAL, ST_LAST_BATCH, ST_DROP_BATCH};
    const struct store_removed_batch *w = container_of(with, struct store_removed_batch, with);
    enum status s = STATUS_OK;

    (void)leaf;
    (void)seq;
    for (size_t i = 0; i < ARRAY_LEN(all) && s == STATUS_OK; i++) {
        bind_u64(w->store->st[all[i]], 1, w->n);
        s = finish(db, w->store->st[all[i]], "remove the batch", e);
    }
    return s;
}

void store_with_removed(struct store *s, struct store_removed_batch *w)
{
    w->store = s;
    w->with.run = run_removed;
}

/* The batch whose results go next; 0: none. */
static enum status next_removal(struct store *s, sqlite3 *db, uint32_t *n, struct err *e)
{
    sqlite3_stmt *st = s->st[ST_NEXT_REMOVAL];
    int rc = sqlite3_step(st);

    *n = rc == SQLITE_ROW ? (uint32_t)sqlite3_column_int64(st, 0) : 0;
    (void)sqlite3_reset(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STATUS_OK
                                                 : logdb_error(db, e, "look for removed batches");
}

static enum status run_sweep(struct logdb_job *job, sqlite3 *db, struct err *e)
{
    struct store_sweep *w = container_of(job, struct store_sweep, job);
    struct store *s = w->store;
    sqlite3_stmt *drop_done = s->st[ST_DROP_DONE];
    uint32_t n;
    enum status st = next_removal(s, db, &n, e);

    w->more = st == STATUS_OK && n != 0;
    if (!w->more)
        return st;
    bind_u64(drop_done, 1, n);
    bind_u64(drop_done, 2, STORE_SWEEP_ROWS);
    st = finish(db, drop_done, "remove results", e);
    return st == STATUS_OK && sqlite3_changes(db) < STORE_SWEEP_ROWS
               ? drop(s, db, ST_DROP_REMOVAL, n, e)
               : st;
}

static void on_swept(struct logdb_job *job, enum status s, const struct err *e)
{
    struct store_sweep *w = container_of(job, struct store_sweep, job);

    w->done(w, s, e);
}

void store_sweep_submit(struct store *s, struct store_sweep *w)
{
    w->store = s;
    w->job = (struct logdb_job){.run = run_sweep, .done = on_swept, .lazy = true};
    logdb_submit(s->db, &w->job);
}

/* --- attempts --- */

void store_entry_add(struct buf *b, const struct store_entry *e)
{
    uint32_t index = htole32(e->index), stage = htole32(e->stage);
    uint16_t attempt = htole16(e->attempt);
    unsigned char bytes[STORE_ENTRY] = {0};

    memcpy(bytes, &index, 4);
    memcpy(bytes + 4, &stage, 4);
    memcpy(bytes + 8, &attempt, 2);
    bytes[10] = (unsigned char)e->step;
    buf_add(b, bytes, sizeof(bytes));
}

void store_entry_read(const unsigned char *p, struct store_entry *out)
{
    uint32_t index, stage;
    uint16_t attempt;

    memcpy(&index, p, 4);
    memcpy(&stage, p + 4, 4);
    memcpy(&attempt, p + 8, 2);
    *out = (struct store_entry){
        .index = le32toh(index),
        .stage = le32toh(stage),
        .attempt = le16toh(attempt),
        .step = (enum store_step)p[10],
    };
}

static enum status run_log(struct logdb_job *job, sqlite3 *db, struct err *e)
{
    const struct store_log *l = container_of(job, struct store_log, job);
    sqlite3_stmt *st = l->store->st[ST_LOG];

    bind_u64(st, 1, l->id);
    bind_u64(st, 2, l->store->epoch);
    bind_blob(st, 3, buf_str(&l->entries));
    return finish(db, st, "note attempts", e);
}

static void on_logged(struct logdb_job *job, enum status s, const struct err *e)
{
    struct store_log *l = container_of(job, struct store_log, job);

    l->done(l, s, e);
}

void store_log_submit(struct store *s, struct store_log *l)
{
    l->store = s;
    l->job = (struct logdb_job){.run = run_log, .done = on_logged};
    logdb_submit(s->db, &l->job);
}

/* --- cancelling --- */

struct wish {
    struct logdb_job job;
    struct store *store;
    uint32_t n;
    void (*done)(void *arg, enum status s, const struct err *e);
    void *arg;
};

static enum status run_cancel(struct logdb_job *job, sqlite3 *db, struct err *e)
{
    const struct wish *w = container_of(job, struct wish, job);

    bind_u64(w->store->st[ST_CANCEL], 1, w->n);
    return finish(db, w->store->st[ST_CANCEL], "cancel the batch", e);
}

static void on_cancelled(struct logdb_job *job, enum status s, const struct err *e)
{
    struct wish *w = container_of(job, struct wish, job);

    if (w->done)
        w->done(w->arg, s, e);
    free(w);
}

void store_cancel(struct store *s, uint32_t n,
                  void (*done)(void *arg, enum status s, const struct err *e), void *arg)
{
    struct wish *w = xcalloc(1, sizeof(*w));

    *w = (struct wish){.store = s, .n = n, .done = done, .arg = arg};
    w->job = (struct logdb_job){.run = run_cancel, .done = on_cancelled};
    logdb_submit(s->db, &w->job);
}
