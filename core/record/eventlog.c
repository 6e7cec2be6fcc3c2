/* One struct of operations with two backends. Events are copied into one allocation each; the ring
 * keeps that allocation, the database gets its parts bound. The one index of the table is on the
 * hash of the id: a text key with several indexes costs ten times as much. */
#include "core/record/eventlog.h"

#include "core/base/arena.h"
#include "core/base/map.h"
#include "core/base/work.h"
#include "core/record/logdb.h"
#include "core/record/merkle.h"
#include "core/record/migrate.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>

enum { KEY_BYTES = 16, READERS_MAX = 4, READ_BYTES_MAX = 64 * 1024 * 1024 };

/* An event with its texts behind it; also the job that takes it to the writer. */
struct entry {
    struct logdb_job job;
    struct eventlog *log;
    eventlog_appended_fn *done;
    void *arg;
    struct event ev;
    bool has_key, duplicate;
    unsigned char key[KEY_BYTES];
    struct err err; /* of a refusal */
    char text[];
};

struct eventlog {
    struct loop *loop;
    uint64_t last; /* acknowledged */
    struct hlc_time opened_at;
    size_t pending, reading;
    bool closing, writer_ended;
    void (*closed)(void *arg);
    void *closed_arg;

    /* memory */
    struct entry **ring; /* ring[seq % capacity] */
    size_t capacity;
    struct map *keys; /* -> entry */

    /* database: the statements and next_seq are the writer's */
    struct logdb *db;
    struct logdb_hook hook;
    struct logdb_job end;
    uint64_t keep, next_seq, pruned;
    bool ending;
    sqlite3_stmt *insert, *find, *prune;
    sqlite3 *reader[READERS_MAX]; /* idle read connections; loop thread */
    size_t n_readers;
};

/* --- copies --- */

static const char *put(char **at, const char *s)
{
    size_t n = s ? strlen(s) + 1 : 0;
    char *p = *at;

    if (n <= 1)
        return NULL;
    memcpy(p, s, n);
    *at += n;
    return p;
}

static size_t text_size(const char *s)
{
    return s ? strlen(s) + 1 : 0;
}

static enum status check_event(const struct eventlog *log, const struct event *ev, struct err *e)
{
    if (log->closing)
        return err_set(e, STATUS_SHUTTING_DOWN, "the event log is closing");
    if (!ev->type || !ev->type[0])
        return err_set(e, STATUS_INVALID, "event without a type");
    if (text_size(ev->type) > EVENT_NAME_MAX || text_size(ev->id) > EVENT_NAME_MAX ||
        text_size(ev->subject) > EVENT_NAME_MAX)
        return err_set(e, STATUS_TOO_LARGE,
                       "event \"%.64s\": id, type or subject of more than %d bytes", ev->type,
                       (int)EVENT_NAME_MAX - 1);
    if (ev->body.len > EVENT_BODY_MAX)
        return err_set(e, STATUS_TOO_LARGE, "event \"%s\": body of %zu bytes, the limit is %d",
                       ev->type, ev->body.len, (int)EVENT_BODY_MAX);
    if (log->pending >= EVENTLOG_PENDING_MAX)
        return err_set(e, STATUS_BUSY, "%zu events wait for the event log, the limit is %d",
                       log->pending, (int)EVENTLOG_PENDING_MAX);
    return STATUS_OK;
}

static struct entry *new_entry(struct eventlog *log, const struct event *ev,
                               eventlog_appended_fn *done, void *arg)
{
    size_t n = text_size(ev->type) + text_size(ev->subject) + ev->body.len;
    struct entry *x = xcalloc(1, sizeof(*x) + n);
    char *at = x->text;

    x->log = log;
    x->done = done;
    x->arg = arg;
    x->ev.at = ev->at;
    x->ev.type = put(&at, ev->type);
    x->ev.subject = put(&at, ev->subject);
    x->ev.body = str_n(at, ev->body.len);
    if (ev->body.len > 0)
        memcpy(at, ev->body.ptr, ev->body.len);
    if (ev->id && ev->id[0]) {
        struct merkle_hash h;

        merkle_sha256(ev->id, strlen(ev->id), &h);
        memcpy(x->key, h.b, KEY_BYTES);
        x->has_key = true;
    }
    return x;
}

static struct str key_of(const struct entry *x)
{
    return str_n((const char *)x->key, KEY_BYTES);
}

/* --- memory --- */

/* The answer of an append to the ring: the entry itself may be pruned before its turn comes. */
struct answer {
    struct eventlog *log;
    eventlog_appended_fn *done;
    void *arg;
    uint64_t seq;
    bool duplicate;
    struct err err;
};

static void try_finish(struct eventlog *log);

static void on_answer(void *arg)
{
    struct answer *a = arg;
    struct eventlog *log = a->log;

    log->pending--;
    if (a->done)
        a->done(a->arg, a->err.status, a->seq, a->duplicate,
                a->err.status == STATUS_OK ? NULL : &a->err);
    free(a);
    try_finish(log);
}

static void answer(struct eventlog *log, eventlog_appended_fn *done, void *arg, uint64_t seq,
                   bool duplicate, const struct err *e)
{
    struct answer *a = xcalloc(1, sizeof(*a));

    *a = (struct answer){.log = log, .done = done, .arg = arg, .seq = seq, .duplicate = duplicate};
    if (e)
        a->err = *e;
    log->pending++;
    loop_defer(log->loop, on_answer, a);
}

static void append_memory(struct eventlog *log, struct entry *x)
{
    struct entry *same = x->has_key ? map_find(log->keys, key_of(x)) : NULL, **at;

    if (same) {
        answer(log, x->done, x->arg, same->ev.seq, true, NULL);
        free(x);
        return;
    }
    x->ev.seq = ++log->last;
    at = &log->ring[x->ev.seq % log->capacity];
    if (*at && (*at)->has_key)
        (void)map_remove(log->keys, key_of(*at));
    free(*at);
    *at = x;
    if (x->has_key)
        (void)map_put(log->keys, key_of(x), x);
    answer(log, x->done, x->arg, x->ev.seq, false, NULL);
}

void eventlog_create_memory(struct loop *l, size_t capacity, struct eventlog **out)
{
    struct eventlog *log = xcalloc(1, sizeof(*log));

    BUG_ON(capacity == 0);
    log->loop = l;
    log->capacity = capacity;
    log->ring = xcalloc(capacity, sizeof(struct entry *));
    log->keys = map_create();
    log->writer_ended = true;
    *out = log;
}

/* --- database: the writer's side --- */

static enum status find_duplicate(struct eventlog *log, sqlite3 *db, struct entry *x, struct err *e)
{
    int rc;

    (void)sqlite3_bind_blob(log->find, 1, x->key, KEY_BYTES, SQLITE_STATIC);
    rc = sqlite3_step(log->find);
    x->duplicate = rc == SQLITE_ROW;
    if (x->duplicate)
        x->ev.seq = (uint64_t)sqlite3_column_int64(log->find, 0);
    (void)sqlite3_reset(log->find);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STATUS_OK : logdb_error(db, e, "find an event");
}

static enum status run_append(struct logdb_job *job, sqlite3 *db, struct err *e)
{
    struct entry *x = container_of(job, struct entry, job);
    struct eventlog *log = x->log;
    sqlite3_stmt *st = log->insert;
    enum status s = x->has_key ? find_duplicate(log, db, x, e) : STATUS_OK;
    int rc;

    if (s != STATUS_OK || x->duplicate)
        return s;
    x->ev.seq = log->next_seq;
    (void)sqlite3_bind_int64(st, 1, (sqlite3_int64)x->ev.seq);
    if (x->has_key)
        (void)sqlite3_bind_blob(st, 2, x->key, KEY_BYTES, SQLITE_STATIC);
    else
        (void)sqlite3_bind_null(st, 2);
    (void)sqlite3_bind_int64(st, 3, (sqlite3_int64)x->ev.at.ms);
    (void)sqlite3_bind_int64(st, 4, (sqlite3_int64)x->ev.at.counter);
    (void)sqlite3_bind_text(st, 5, x->ev.type, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 6, x->ev.subject, -1, SQLITE_STATIC);
    (void)sqlite3_bind_blob(st, 7, x->ev.body.ptr, (int)x->ev.body.len, SQLITE_STATIC);
    rc = sqlite3_step(st);
    (void)sqlite3_reset(st);
    if (rc != SQLITE_DONE)
        return logdb_error(db, e, "append an event");
    log->next_seq++;
    return STATUS_OK;
}

static enum status before_commit(struct logdb_hook *h, sqlite3 *db, struct err *e)
{
    struct eventlog *log = container_of(h, struct eventlog, hook);
    uint64_t newest = log->next_seq - 1;
    int rc;

    if (log->keep == 0 || newest <= log->keep || newest - log->keep <= log->pruned)
        return STATUS_OK;
    (void)sqlite3_bind_int64(log->prune, 1, (sqlite3_int64)(newest - log->keep));
    rc = sqlite3_step(log->prune);
    (void)sqlite3_reset(log->prune);
    if (rc != SQLITE_DONE)
        return logdb_error(db, e, "prune events");
    log->pruned = newest - log->keep;
    return STATUS_OK;
}

static void finalize(struct eventlog *log)
{
    (void)sqlite3_finalize(log->insert);
    (void)sqlite3_finalize(log->find);
    (void)sqlite3_finalize(log->prune);
    log->insert = log->find = log->prune = NULL;
}

static void on_writer_end(void *arg)
{
    struct eventlog *log = arg;

    loop_release(log->loop);
    log->writer_ended = true;
    try_finish(log);
}

static enum status run_end(struct logdb_job *job, sqlite3 *db maybe_unused,
                           struct err *e maybe_unused)
{
    container_of(job, struct eventlog, end)->ending = true;
    return STATUS_OK;
}

static void on_end_done(struct logdb_job *job maybe_unused, enum status s maybe_unused,
                        const struct err *e maybe_unused)
{
}

static void after_commit(struct logdb_hook *h, sqlite3 *db maybe_unused, bool ok maybe_unused)
{
    struct eventlog *log = container_of(h, struct eventlog, hook);

    if (!log->ending)
        return;
    logdb_remove_hook(log->db, h);
    finalize(log);
    loop_post(log->loop, on_writer_end, log);
}

/* --- database: the loop's side --- */

static void on_appended(struct logdb_job *job, enum status s, const struct err *e)
{
    struct entry *x = container_of(job, struct entry, job);
    struct eventlog *log = x->log;

    log->pending--;
    if (s == STATUS_OK && x->ev.seq > log->last)
        log->last = x->ev.seq;
    if (x->done)
        x->done(x->arg, s, s == STATUS_OK ? x->ev.seq : 0, x->duplicate, e);
    free(x);
    try_finish(log);
}

static const char *const steps[] = {
    "CREATE TABLE event(seq INTEGER PRIMARY KEY, key BLOB, ms INTEGER NOT NULL, "
    "counter INTEGER NOT NULL, type TEXT NOT NULL, subject TEXT, body BLOB);"
    "CREATE UNIQUE INDEX event_key ON event(key) WHERE key IS NOT NULL;",
};
static const struct migration migration = {"event", steps, ARRAY_LEN(steps)};

static enum status prepare(struct eventlog *log, sqlite3 *db, struct err *e)
{
    static const struct {
        const char *sql;
        size_t offset;
    } table[] = {
        {"INSERT INTO event(seq, key, ms, counter, type, subject, body) "
         "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
         offsetof(struct eventlog, insert)},
        {"SELECT seq FROM event WHERE key = ?1", offsetof(struct eventlog, find)},
        {"DELETE FROM event WHERE seq <= ?1", offsetof(struct eventlog, prune)},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        sqlite3_stmt **st = (sqlite3_stmt **)(void *)((char *)log + table[i].offset);

        if (sqlite3_prepare_v3(db, table[i].sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL) !=
            SQLITE_OK)
            return logdb_error(db, e, "event log");
    }
    return STATUS_OK;
}

static enum status load_last(struct eventlog *log, sqlite3 *db, struct err *e)
{
    sqlite3_stmt *st = NULL;
    enum status s = STATUS_OK;
    int rc = sqlite3_prepare_v2(db, "SELECT seq, ms, counter FROM event ORDER BY seq DESC LIMIT 1",
                                -1, &st, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        log->last = (uint64_t)sqlite3_column_int64(st, 0);
        log->opened_at = (struct hlc_time){(uint64_t)sqlite3_column_int64(st, 1),
                                           (uint32_t)sqlite3_column_int64(st, 2)};
    } else if (rc != SQLITE_DONE) {
        s = logdb_error(db, e, "event log");
    }
    (void)sqlite3_finalize(st);
    log->next_seq = log->last + 1;
    return s;
}

enum status eventlog_open(struct loop *l, struct logdb *db, uint64_t capacity,
                          struct eventlog **out, struct err *e)
{
    struct eventlog *log = xcalloc(1, sizeof(*log));
    sqlite3 *conn = logdb_connection(db);
    enum status s = migrate_run(conn, &migration, logdb_path(db), e);

    *out = NULL;
    log->loop = l;
    log->db = db;
    log->keep = capacity;
    if (s == STATUS_OK)
        s = load_last(log, conn, e);
    if (s == STATUS_OK)
        s = prepare(log, conn, e);
    if (s != STATUS_OK) {
        finalize(log);
        free(log);
        return err_prefix(e, "event log"), s;
    }
    log->hook = (struct logdb_hook){.before_commit = before_commit, .after_commit = after_commit};
    logdb_add_hook(db, &log->hook);
    *out = log;
    return STATUS_OK;
}

/* --- both --- */

void eventlog_append(struct eventlog *log, const struct event *ev, eventlog_appended_fn *done,
                     void *arg)
{
    struct err e = ERR_INIT;
    struct entry *x;

    if (check_event(log, ev, &e) != STATUS_OK) {
        answer(log, done, arg, 0, false, &e);
        return;
    }
    x = new_entry(log, ev, done, arg);
    if (!log->db) {
        append_memory(log, x);
        return;
    }
    x->job.run = run_append;
    x->job.done = on_appended;
    log->pending++;
    logdb_submit(log->db, &x->job);
}

uint64_t eventlog_last(const struct eventlog *log)
{
    return log->last;
}

struct hlc_time eventlog_opened_at(const struct eventlog *log)
{
    return log->opened_at;
}

/* --- reading --- */

struct reading {
    struct eventlog *log;
    eventlog_read_fn *done;
    void *arg;
    uint64_t after;
    char *type;
    size_t max, n;
    struct event *v;
    struct arena *arena; /* of the texts */
    sqlite3 *db;
    char *path;
    enum status status;
    struct err err;
};

static void on_read(void *arg)
{
    struct reading *r = arg;
    struct eventlog *log = r->log;

    if (r->db && r->status == STATUS_OK && log->n_readers < READERS_MAX && !log->closing)
        log->reader[log->n_readers++] = r->db;
    else
        (void)sqlite3_close_v2(r->db);
    log->reading--;
    r->done(r->arg, r->status, r->v, r->status == STATUS_OK ? r->n : 0,
            r->status == STATUS_OK ? NULL : &r->err);
    arena_destroy(&r->arena);
    free(r->v);
    free(r->type);
    free(r->path);
    free(r);
    try_finish(log);
}

static void add_row(struct reading *r, sqlite3_stmt *st)
{
    const char *body = sqlite3_column_blob(st, 5);
    const char *type = (const char *)sqlite3_column_text(st, 3);
    const char *subject = (const char *)sqlite3_column_text(st, 4);

    r->v[r->n++] = (struct event){
        .seq = (uint64_t)sqlite3_column_int64(st, 0),
        .at = {(uint64_t)sqlite3_column_int64(st, 1), (uint32_t)sqlite3_column_int64(st, 2)},
        .type = arena_strdup(r->arena, type ? type : ""),
        .subject = subject ? arena_strdup(r->arena, subject) : NULL,
        .body = arena_str(r->arena, str_n(body ? body : "", (size_t)sqlite3_column_bytes(st, 5))),
    };
}

static enum status read_rows(struct reading *r, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc;

    if (sqlite3_prepare_v2(r->db,
                           "SELECT seq, ms, counter, type, subject, body FROM event "
                           "WHERE seq > ?1 AND (?2 IS NULL OR type = ?2) ORDER BY seq LIMIT ?3",
                           -1, &st, NULL) != SQLITE_OK)
        return logdb_error(r->db, e, "read events");
    (void)sqlite3_bind_int64(st, 1, (sqlite3_int64)r->after);
    (void)sqlite3_bind_text(st, 2, r->type, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(st, 3, (sqlite3_int64)r->max);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW && arena_used(r->arena) < READ_BYTES_MAX)
        add_row(r, st);
    (void)sqlite3_finalize(st);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? STATUS_OK : logdb_error(r->db, e, "read events");
}

/* On a worker thread. */
static void read_database(void *arg)
{
    struct reading *r = arg;

    if (!r->db)
        r->status = logdb_open_reader(r->path, &r->db, &r->err);
    if (r->status == STATUS_OK)
        r->status = read_rows(r, &r->err);
}

/* On the loop: the ring's entries may be gone before a thread looked at them. */
static void read_memory(void *arg)
{
    struct reading *r = arg;
    struct eventlog *log = r->log;
    uint64_t oldest = log->last > log->capacity ? log->last - log->capacity + 1 : 1;
    uint64_t seq = r->after >= oldest ? r->after + 1 : oldest;

    for (; seq <= log->last && r->n < r->max; seq++) {
        const struct event *ev = &log->ring[seq % log->capacity]->ev;

        if (!r->type || strcmp(r->type, ev->type) == 0)
            r->v[r->n++] = *ev;
    }
    on_read(r);
}

void eventlog_read(struct eventlog *log, uint64_t after, const char *type, size_t max,
                   eventlog_read_fn *done, void *arg)
{
    struct reading *r = xcalloc(1, sizeof(*r));

    BUG_ON(max == 0 || max > EVENTLOG_READ_MAX || log->closing);
    *r = (struct reading){.log = log, .done = done, .arg = arg, .after = after, .max = max};
    if (after > INT64_MAX)
        r->after = INT64_MAX;
    r->type = type ? xstrdup(type) : NULL;
    r->v = xcalloc(max, sizeof(*r->v));
    r->arena = arena_create(NULL, 0);
    log->reading++;
    if (!log->db) {
        loop_defer(log->loop, read_memory, r);
        return;
    }
    if (log->n_readers > 0)
        r->db = log->reader[--log->n_readers];
    r->path = xstrdup(logdb_path(log->db));
    work_submit(log->loop, read_database, on_read, r);
}

/* --- the end --- */

static void on_finish(void *arg)
{
    struct eventlog *log = arg;
    void (*closed)(void *) = log->closed;
    void *closed_arg = log->closed_arg;

    for (size_t i = 0; i < log->n_readers; i++)
        (void)sqlite3_close_v2(log->reader[i]);
    for (size_t i = 0; i < log->capacity; i++)
        free(log->ring[i]);
    free(log->ring);
    if (log->keys)
        map_destroy(&log->keys, NULL);
    free(log);
    if (closed)
        closed(closed_arg);
}

static void try_finish(struct eventlog *log)
{
    if (!log->closing || !log->writer_ended || log->pending > 0 || log->reading > 0)
        return;
    log->writer_ended = false; /* once */
    loop_defer(log->loop, on_finish, log);
}

void eventlog_close(struct eventlog *log, void (*closed)(void *arg), void *arg)
{
    BUG_ON(log->closing);
    log->closing = true;
    log->closed = closed;
    log->closed_arg = arg;
    if (log->db) {
        log->end = (struct logdb_job){.run = run_end, .done = on_end_done, .control = true};
        loop_hold(log->loop);
        logdb_submit(log->db, &log->end);
    }
    try_finish(log);
}
