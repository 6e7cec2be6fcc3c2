/* The tables and statements of the local backend. */
#include "core/substrate/local_internal.h"

#include "core/record/migrate.h"

#include <inttypes.h>
#include <stdarg.h>

static const char *const steps[] = {
    /* an entry's id is stream << 40 | seq: one integer key, in order within its stream */
    "CREATE TABLE sub_meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE sub_counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE sub_lease(name TEXT PRIMARY KEY, holder TEXT NOT NULL, fence INTEGER NOT NULL, "
    "ttl_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, free INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE sub_timer(id TEXT PRIMARY KEY, number INTEGER NOT NULL, at_wall_ms INTEGER NOT "
    "NULL, due_wall_ms INTEGER NOT NULL, after_ms INTEGER NOT NULL, type TEXT NOT NULL, "
    "subject TEXT, data BLOB NOT NULL);"
    "CREATE TABLE sub_stream(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, type TEXT NOT NULL,"
    "high_items INTEGER NOT NULL, high_bytes INTEGER NOT NULL, last INTEGER NOT NULL, "
    "trimmed INTEGER NOT NULL, bytes INTEGER NOT NULL, per_s INTEGER NOT NULL, "
    "trimmed_ms INTEGER NOT NULL);"
    "CREATE TABLE sub_entry(id INTEGER PRIMARY KEY, key BLOB, bytes BLOB NOT NULL);"
    "CREATE UNIQUE INDEX sub_entry_key ON sub_entry(key) WHERE key IS NOT NULL;"
    "CREATE TABLE sub_cursor(stream INTEGER NOT NULL, reader TEXT NOT NULL, seq INTEGER NOT NULL, "
    "PRIMARY KEY(stream, reader)) WITHOUT ROWID;"
    "CREATE TABLE sub_config(name TEXT NOT NULL, version INTEGER NOT NULL, sha BLOB NOT NULL, "
    "PRIMARY KEY(name, version)) WITHOUT ROWID;"
    "CREATE TABLE sub_blob(sha BLOB PRIMARY KEY, bytes BLOB NOT NULL);",
};
static const struct migration migration = {"substrate", steps, ARRAY_LEN(steps)};

static const char *const texts[SQL_KINDS] = {
    [SQL_COUNT_GET] = "SELECT value FROM sub_counter WHERE name = ?1",
    [SQL_COUNT_PUT] = "INSERT OR REPLACE INTO sub_counter(name, value) VALUES(?1, ?2)",
    [SQL_LEASE_GET] = "SELECT holder, fence, ttl_ms, until_ms, free FROM sub_lease WHERE name = ?1",
    [SQL_LEASE_PUT] = "INSERT OR REPLACE INTO sub_lease(name, holder, fence, ttl_ms, until_ms, "
                      "free) VALUES(?1, ?2, ?3, ?4, ?5, 0)",
    [SQL_LEASE_RENEW] = "UPDATE sub_lease SET ttl_ms = ?2, until_ms = ?3 WHERE name = ?1",
    [SQL_LEASE_FREE] = "UPDATE sub_lease SET free = 1 WHERE name = ?1",
    [SQL_TIMER_PUT] = "INSERT OR REPLACE INTO sub_timer(id, number, at_wall_ms, due_wall_ms, "
                      "after_ms, type, subject, data) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [SQL_TIMER_GET] = "SELECT id, number, at_wall_ms, due_wall_ms, after_ms, type, subject, data "
                      "FROM sub_timer",
    [SQL_TIMER_DELETE] = "DELETE FROM sub_timer WHERE id = ?1 AND number = ?2",
    [SQL_TIMER_DELETE_ID] = "DELETE FROM sub_timer WHERE id = ?1",
    [SQL_STREAM_GET] = "SELECT id, type, high_items, high_bytes, last, trimmed, bytes, per_s, "
                       "trimmed_ms FROM sub_stream WHERE name = ?1",
    [SQL_STREAM_PUT] = "INSERT INTO sub_stream(name, type, high_items, high_bytes, last, trimmed, "
                       "bytes, per_s, trimmed_ms) VALUES(?1, ?2, ?3, ?4, 0, 0, 0, 0, 0)",
    [SQL_STREAM_MARKS] = "UPDATE sub_stream SET high_items = ?2, high_bytes = ?3 WHERE id = ?1",
    [SQL_STREAM_TOTALS] = "UPDATE sub_stream SET last = ?2, trimmed = ?3, bytes = ?4, per_s = ?5, "
                          "trimmed_ms = ?6 WHERE id = ?1",
    [SQL_ENTRY_PUT] = "INSERT INTO sub_entry(id, key, bytes) VALUES(?1, ?2, ?3)",
    [SQL_ENTRY_FIND] = "SELECT id FROM sub_entry WHERE key = ?1",
    [SQL_ENTRY_READ] = "SELECT id, bytes FROM sub_entry WHERE id > ?1 AND id <= ?2 ORDER BY id "
                       "LIMIT ?3",
    [SQL_ENTRY_SUM] = "SELECT coalesce(sum(length(bytes)), 0) FROM sub_entry WHERE id > ?1 AND "
                      "id <= ?2",
    [SQL_ENTRY_TRIM] = "DELETE FROM sub_entry WHERE id > ?1 AND id <= ?2",
    [SQL_CURSOR_GET] = "SELECT seq FROM sub_cursor WHERE stream = ?1 AND reader = ?2",
    [SQL_CURSOR_PUT] = "INSERT OR REPLACE INTO sub_cursor(stream, reader, seq) VALUES(?1, ?2, ?3)",
    [SQL_CURSOR_MIN] = "SELECT min(seq) FROM sub_cursor WHERE stream = ?1",
    [SQL_CURSOR_DROP] = "DELETE FROM sub_cursor WHERE stream = ?1 AND reader = ?2",
    [SQL_CONFIG_CURRENT] = "SELECT version, sha FROM sub_config WHERE name = ?1 "
                           "ORDER BY version DESC LIMIT 1",
    [SQL_CONFIG_PUT] = "INSERT INTO sub_config(name, version, sha) VALUES(?1, ?2, ?3)",
    [SQL_CONFIG_PRUNE] = "DELETE FROM sub_config WHERE name = ?1 AND version < ?2",
    [SQL_BLOB_PUT] = "INSERT OR IGNORE INTO sub_blob(sha, bytes) VALUES(?1, ?2)",
    [SQL_BLOB_GET] = "SELECT bytes FROM sub_blob WHERE sha = ?1",
    [SQL_BLOB_PRUNE] = "DELETE FROM sub_blob WHERE sha NOT IN (SELECT sha FROM sub_config)",
};

/* --- statements --- */

static enum status statement(struct local *l, sqlite3 *db, enum local_sql q, sqlite3_stmt **out,
                             struct err *e)
{
    *out = l->st[q];
    if (*out)
        return STATUS_OK;
    if (sqlite3_prepare_v3(db, texts[q], -1, SQLITE_PREPARE_PERSISTENT, &l->st[q], NULL) !=
        SQLITE_OK)
        return logdb_error(db, e, "substrate");
    *out = l->st[q];
    return STATUS_OK;
}

static void bind(sqlite3_stmt *st, const char *types, va_list ap)
{
    for (int i = 1; types[i - 1]; i++) {
        struct str b;

        switch (types[i - 1]) {
        case 'i':
            (void)sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
            break;
        case 'z':
            (void)sqlite3_bind_text(st, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
            break;
        case 'b':
            b = va_arg(ap, struct str);
            (void)sqlite3_bind_blob(st, i, b.ptr ? b.ptr : "", (int)b.len, SQLITE_STATIC);
            break;
        default:
            (void)sqlite3_bind_null(st, i);
            break;
        }
    }
}

void local_end(sqlite3_stmt **row)
{
    if (*row) {
        (void)sqlite3_reset(*row);
        (void)sqlite3_clear_bindings(*row);
    }
    *row = NULL;
}

enum status local_next(sqlite3 *db, sqlite3_stmt **row, struct err *e)
{
    int rc = sqlite3_step(*row);

    if (rc == SQLITE_ROW)
        return STATUS_OK;
    if (rc == SQLITE_DONE) {
        local_end(row);
        return STATUS_OK;
    }
    logdb_error(db, e, "substrate");
    local_end(row);
    return e ? e->status : STATUS_IO;
}

enum status local_row(struct local *l, sqlite3 *db, struct err *e, sqlite3_stmt **row,
                      enum local_sql q, const char *types, ...)
{
    enum status s = statement(l, db, q, row, e);
    va_list ap;

    if (s != STATUS_OK)
        return s;
    va_start(ap, types);
    bind(*row, types, ap);
    va_end(ap);
    return local_next(db, row, e);
}

enum status local_exec(struct local *l, sqlite3 *db, struct err *e, enum local_sql q,
                       const char *types, ...)
{
    sqlite3_stmt *st;
    enum status s = statement(l, db, q, &st, e);
    va_list ap;

    if (s != STATUS_OK)
        return s;
    va_start(ap, types);
    bind(st, types, ap);
    va_end(ap);
    s = local_next(db, &st, e);
    local_end(&st);
    return s;
}

const char *local_text(struct call *c, sqlite3_stmt *row, int column)
{
    const char *z = (const char *)sqlite3_column_text(row, column);

    return z ? arena_strdup(c->arena, z) : NULL;
}

struct str local_blob(struct call *c, sqlite3_stmt *row, int column)
{
    const char *p = sqlite3_column_blob(row, column);

    return arena_str(c->arena, str_n(p ? p : "", (size_t)sqlite3_column_bytes(row, column)));
}

void local_finalize(struct local *l)
{
    for (size_t i = 0; i < SQL_KINDS; i++) {
        (void)sqlite3_finalize(l->st[i]);
        l->st[i] = NULL;
    }
}

/* --- start-up --- */

enum { EPOCH_MAX = (1 << 21) - 1 }; /* so that a fence stays below 2^53 */

static enum status read_epoch(struct local *l, sqlite3 *db, struct err *e)
{
    sqlite3_stmt *st = NULL;
    enum status s = STATUS_OK;

    if (sqlite3_prepare_v2(db, "SELECT value FROM sub_meta WHERE key = 'epoch'", -1, &st, NULL) !=
            SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW)
        s = logdb_error(db, e, "substrate: epoch");
    else
        l->base.epoch = local_u64(st, 0);
    (void)sqlite3_finalize(st);
    if (s == STATUS_OK && (l->base.epoch < 1 || l->base.epoch > EPOCH_MAX))
        s = err_set(e, STATUS_CORRUPT, "substrate: epoch %" PRIu64 ", expected 1..%d",
                    l->base.epoch, EPOCH_MAX);
    return s;
}

/* The epoch is raised and every lease that was held is renewed, in one step, before anything is
 * given out: monotonic times of an earlier run mean nothing now. */
enum status local_prepare(struct local *l, sqlite3 *db, const char *path, struct err *e)
{
    char sql[512];
    enum status s = migrate_run(db, &migration, path, e);

    if (s != STATUS_OK)
        return s;
    (void)snprintf(sql, sizeof(sql),
                   "BEGIN IMMEDIATE;"
                   "INSERT INTO sub_meta(key, value) VALUES('epoch', 1) ON CONFLICT(key) DO UPDATE "
                   "SET value = value + 1;"
                   "DELETE FROM sub_lease WHERE free;"
                   "UPDATE sub_lease SET until_ms = %" PRIu64 " + ttl_ms;"
                   "UPDATE sub_stream SET per_s = 0, trimmed_ms = 0;"
                   "COMMIT",
                   loop_now_ms(l->base.loop));
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        s = logdb_error(db, e, path);
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        return s;
    }
    l->next_n = 1;
    return read_epoch(l, db, e);
}

enum status local_take_fences(struct local *l, uint32_t n, uint64_t *first, struct err *e)
{
    if (l->next_n == 0 || UINT32_MAX - l->next_n < n)
        return err_set(e, STATUS_UNSUPPORTED,
                       "substrate: the fences of epoch %" PRIu64 " are used up; a restart begins "
                       "the next",
                       l->base.epoch);
    *first = l->base.epoch << 32 | l->next_n;
    l->next_n += n;
    return STATUS_OK;
}
