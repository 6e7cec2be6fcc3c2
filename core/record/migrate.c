#include "core/record/migrate.h"

#include "core/base/buf.h"
#include "core/record/logdb.h"

#include <sqlite3.h>

static enum status exec(sqlite3 *db, const char *sql, const char *path, struct err *e)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return STATUS_OK;
    return logdb_error(db, e, path);
}

static enum status read_version(sqlite3 *db, const char *module, const char *path,
                                sqlite3_int64 *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc;

    *out = 0;
    if (sqlite3_prepare_v2(db, "SELECT version FROM schema_version WHERE module = ?1", -1, &st,
                           NULL) != SQLITE_OK)
        return logdb_error(db, e, path);
    (void)sqlite3_bind_text(st, 1, module, -1, SQLITE_STATIC);
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STATUS_OK : logdb_error(db, e, path);
}

static enum status run_steps(sqlite3 *db, const struct migration *m, sqlite3_int64 from,
                             const char *path, struct err *e)
{
    struct buf sql = BUF_INIT(BUF_MAX_LINE);
    enum status s = STATUS_OK;

    for (sqlite3_int64 i = from; i < (sqlite3_int64)m->n && s == STATUS_OK; i++) {
        s = exec(db, m->steps[i], path, e);
        if (s != STATUS_OK)
            s = err_prefix(e, "%s: migration to version %lld", m->module, (long long)i + 1);
    }
    buf_addf(&sql, "INSERT OR REPLACE INTO schema_version(module, version) VALUES('%s', %u)",
             m->module, m->n);
    if (s == STATUS_OK)
        s = exec(db, buf_str(&sql).ptr, path, e);
    buf_deinit(&sql);
    return s;
}

static enum status migrate_locked(sqlite3 *db, const struct migration *m, const char *path,
                                  struct err *e)
{
    sqlite3_int64 version;
    enum status s = read_version(db, m->module, path, &version, e);

    if (s != STATUS_OK)
        return s;
    if (version > (sqlite3_int64)m->n)
        return err_set(
            e, STATUS_UNSUPPORTED,
            "%s: tables of \"%s\" have version %lld, this program knows up to %u: a newer "
            "version wrote them; use that version",
            path, m->module, (long long)version, m->n);
    if (version < 0)
        return err_set(e, STATUS_CORRUPT, "%s: tables of \"%s\" have version %lld", path, m->module,
                       (long long)version);
    return version == (sqlite3_int64)m->n ? STATUS_OK : run_steps(db, m, version, path, e);
}

enum status migrate_run(sqlite3 *db, const struct migration *m, const char *path, struct err *e)
{
    enum status s = exec(db, "BEGIN IMMEDIATE", path, e);

    if (s != STATUS_OK)
        return s;
    s = exec(db,
             "CREATE TABLE IF NOT EXISTS schema_version("
             "module TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID",
             path, e);
    if (s == STATUS_OK)
        s = migrate_locked(db, m, path, e);
    if (s == STATUS_OK)
        s = exec(db, "COMMIT", path, e);
    if (s != STATUS_OK)
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return s;
}
