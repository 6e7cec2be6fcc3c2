#include "fingerprints/store.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "fingerprints/store_internal.h"

enum { VERSION = 1, BUSY_MS = 5000 };

static const char probe_text[] = "this key opens the store";

static const char *const schema =
    "CREATE TABLE store(one INTEGER PRIMARY KEY CHECK (one = 1), salt BLOB NOT NULL,"
    " opslimit INTEGER NOT NULL, memlimit INTEGER NOT NULL, probe BLOB NOT NULL);"
    "CREATE TABLE identity(n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tag TEXT NOT NULL,"
    " record BLOB NOT NULL, state BLOB, saves INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX identity_tag ON identity(tag, n);"
    "PRAGMA user_version = 1;";

#define COLUMNS "id, tag, record, saves"

/* --- SQLite --- */

enum status store_sql_error(sqlite3 *db, struct err *e, const char *what)
{
    int rc = sqlite3_extended_errcode(db), sys = sqlite3_system_errno(db);
    enum status s = STATUS_IO;

    if ((rc & 0xff) == SQLITE_FULL || sys == ENOSPC || sys == EDQUOT)
        s = STATUS_NO_SPACE;
    else if ((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB)
        s = STATUS_CORRUPT;
    else if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED)
        s = STATUS_BUSY;
    else if ((rc & 0xff) == SQLITE_READONLY || (rc & 0xff) == SQLITE_PERM || sys == EACCES)
        s = STATUS_PERMISSION;
    return err_set(e, s, "%s: %s", what, sqlite3_errmsg(db));
}

static enum status exec(sqlite3 *db, const char *sql, const char *what, struct err *e)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? STATUS_OK
                                                                : store_sql_error(db, e, what);
}

enum status store_connect(const char *path, bool create, sqlite3 **out, struct err *e)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    enum status s = STATUS_OK;

    if (sqlite3_open_v2(path, out, flags, NULL) != SQLITE_OK)
        s = store_sql_error(*out, e, path);
    if (s == STATUS_OK) {
        sqlite3_busy_timeout(*out, BUSY_MS);
        /* A checkpoint every 16 MiB: by default one comes every other group, with syncs of its own.
         */
        s = exec(*out,
                 "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                 "PRAGMA wal_autocheckpoint = 4096; PRAGMA cache_size = -8192;",
                 path, e);
    }
    if (s != STATUS_OK) {
        sqlite3_close(*out);
        *out = NULL;
    }
    return s;
}

static enum status prepare(struct idstore *s, const char *sql, sqlite3_stmt **out, struct err *e)
{
    return sqlite3_prepare_v2(s->db, sql, -1, out, NULL) == SQLITE_OK
               ? STATUS_OK
               : store_sql_error(s->db, e, s->path);
}

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
    (void)sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
}

static void bind_blob(sqlite3_stmt *st, int at, struct str s)
{
    (void)sqlite3_bind_blob64(st, at, s.len ? s.ptr : "", s.len, SQLITE_STATIC);
}

static struct str column(sqlite3_stmt *st, int i)
{
    const char *p = sqlite3_column_blob(st, i);

    return str_n(p, (size_t)sqlite3_column_bytes(st, i));
}

/* --- open and close --- */

static enum status make_tables(struct idstore *s, const char *key, struct err *e)
{
    struct buf probe = BUF_INIT(BUF_MAX_LINE);
    sqlite3_stmt *st = NULL;
    struct kdf k;
    enum status r;

    kdf_make(&k);
    r = store_key_load(s, key, &k, true, e);
    if (r == STATUS_OK)
        r = exec(s->db, "BEGIN IMMEDIATE", s->path, e);
    if (r == STATUS_OK)
        r = exec(s->db, schema, s->path, e);
    if (r == STATUS_OK)
        r = prepare(s, "INSERT INTO store VALUES(1, ?1, ?2, ?3, ?4)", &st, e);
    if (r != STATUS_OK)
        return r;
    store_seal(s, "", "probe", str_from(probe_text), &probe);
    bind_blob(st, 1, str_n((const char *)k.salt, sizeof(k.salt)));
    (void)sqlite3_bind_int64(st, 2, (sqlite3_int64)k.opslimit);
    (void)sqlite3_bind_int64(st, 3, (sqlite3_int64)k.memlimit);
    bind_blob(st, 4, buf_str(&probe));
    r = sqlite3_step(st) == SQLITE_DONE ? STATUS_OK : store_sql_error(s->db, e, s->path);
    (void)sqlite3_finalize(st);
    buf_deinit(&probe);
    return r == STATUS_OK ? exec(s->db, "COMMIT", s->path, e) : r;
}

/* Is the key the one that the store was made with? */
static enum status check_probe(struct idstore *s, const char *key, sqlite3_stmt *st, struct err *e)
{
    struct arena *a = arena_create(NULL, 0);
    struct kdf k = {.opslimit = (uint64_t)sqlite3_column_int64(st, 1),
                    .memlimit = (uint64_t)sqlite3_column_int64(st, 2)};
    struct str salt = column(st, 0), text;
    enum status r = STATUS_OK;

    if (salt.len != SALT_BYTES || k.opslimit > crypto_pwhash_OPSLIMIT_SENSITIVE ||
        k.memlimit > crypto_pwhash_MEMLIMIT_SENSITIVE)
        r = err_set(e, STATUS_CORRUPT, "%s: how its key is made is damaged", s->path);
    if (r == STATUS_OK) {
        memcpy(k.salt, salt.ptr, SALT_BYTES);
        r = store_key_load(s, key, &k, false, e);
    }
    if (r == STATUS_OK && !store_unseal(s, "", "probe", column(st, 3), a, &text))
        r = err_set(e, STATUS_PERMISSION,
                    "%s: the key from %s is not the one that it was made with", s->path, key);
    arena_destroy(&a);
    return r;
}

static enum status read_tables(struct idstore *s, const char *key, struct err *e)
{
    sqlite3_stmt *st = NULL;
    enum status r =
        prepare(s, "SELECT salt, opslimit, memlimit, probe FROM store WHERE one = 1", &st, e);

    if (r != STATUS_OK)
        return r;
    if (sqlite3_step(st) == SQLITE_ROW)
        r = check_probe(s, key, st, e);
    else
        r = err_set(e, STATUS_CORRUPT, "%s: how its key is made is not there", s->path);
    (void)sqlite3_finalize(st);
    return r;
}

static enum status read_version(struct idstore *s, int *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    enum status r = prepare(s, "PRAGMA user_version", &st, e);

    if (r == STATUS_OK && sqlite3_step(st) != SQLITE_ROW)
        r = store_sql_error(s->db, e, s->path);
    if (r == STATUS_OK)
        *out = sqlite3_column_int(st, 0);
    (void)sqlite3_finalize(st);
    return r;
}

static enum status make_file(const char *path, struct err *e)
{
    cleanup_free char *dir = file_dirname(path);
    enum status s = file_mkdirs(dir[0] ? dir : ".", 0700, e);

    return s == STATUS_OK ? file_replace(path, STR(""), 0600, e) : s;
}

static enum status open_tables(struct idstore *s, const struct idstore_opts *o, struct err *e)
{
    struct stat st;
    int version = 0;
    enum status r = STATUS_OK;

    if (stat(o->path, &st) != 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            return err_set_errno(e, STATUS_IO, errno, "%s", o->path);
        r = o->create
                ? make_file(o->path, e)
                : err_set(e, STATUS_NOT_FOUND,
                          "there is no identity store at %s: \"fleet identity new\" makes one",
                          o->path);
    }
    if (r == STATUS_OK)
        r = store_connect(o->path, false, &s->db, e);
    if (r == STATUS_OK)
        r = read_version(s, &version, e);
    if (r != STATUS_OK)
        return r;
    if (version > VERSION)
        return err_set(e, STATUS_UNSUPPORTED, "%s: version %d; this program knows up to %d",
                       s->path, version, VERSION);
    return version == 0 ? make_tables(s, o->key, e) : read_tables(s, o->key, e);
}

enum status idstore_open(const struct idstore_opts *o, struct idstore **out, struct err *e)
{
    struct idstore *s = xcalloc(1, sizeof(*s));
    enum status r;

    BUG_ON(sodium_init() < 0);
    s->loop = o->loop;
    s->path = xstrdup(o->path);
    s->lock_fd = -1;
    s->leased = map_create();
    s->pending = map_create();
    r = open_tables(s, o, e);
    if (r == STATUS_OK)
        *out = s;
    else
        idstore_close(&s);
    return r;
}

void idstore_close(struct idstore **sp)
{
    struct idstore *s = *sp;

    if (!s)
        return;
    while (s->flying)
        loop_run_once(s->loop, BUSY_MS);
    (void)sqlite3_finalize(s->lease_st);
    sqlite3_close(s->save_db);
    sqlite3_close(s->db);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    sodium_free(s->key);
    map_destroy(&s->leased, NULL);
    map_destroy(&s->pending, NULL);
    free(s->path);
    free(s);
    *sp = NULL;
}

/* --- rows --- */

static bool is_name(const char *text, size_t max)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++) {
        char c = text[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return n <= max;
}

enum status store_check_row(const struct idstore_row *r, struct err *e)
{
    if (!r->id || !r->id[0] || !is_name(r->id, IDSTORE_TAG_MAX - 1))
        return err_set(
            e, STATUS_INVALID,
            "identity's id: found \"%s\", expected 1 to %d letters, digits, \".\", \"_\" "
            "or \"-\"",
            r->id ? r->id : "", IDSTORE_TAG_MAX - 1);
    if (r->tag && !is_name(r->tag, IDSTORE_TAG_MAX))
        return err_set(e, STATUS_INVALID,
                       "identity %s: tag: found \"%s\", expected up to %d letters, digits, \".\", "
                       "\"_\" or \"-\"",
                       r->id, r->tag, IDSTORE_TAG_MAX);
    if (r->record.len == 0 || r->record.len > IDSTORE_RECORD_MAX)
        return err_set(e, STATUS_TOO_LARGE, "identity %s: a record of %zu bytes, expected 1 to %d",
                       r->id, r->record.len, IDSTORE_RECORD_MAX);
    if (r->state.len > IDSTORE_STATE_MAX)
        return err_set(e, STATUS_TOO_LARGE,
                       "identity %s: a state of %zu bytes, expected at most %d", r->id,
                       r->state.len, IDSTORE_STATE_MAX);
    return STATUS_OK;
}

/* Binds id to 1, tag to 2, the sealed record to 3, the sealed state to 4, and steps. */
static enum status write_row(struct idstore *s, sqlite3_stmt *st, const struct idstore_row *r,
                             struct err *e)
{
    struct buf record = BUF_INIT(IDSTORE_RECORD_MAX + 64), state = BUF_INIT(IDSTORE_STATE_MAX + 64);
    enum status out = STATUS_OK;
    int rc;

    store_seal(s, r->id, "record", r->record, &record);
    bind_text(st, 1, r->id);
    bind_text(st, 2, r->tag ? r->tag : "");
    bind_blob(st, 3, buf_str(&record));
    if (r->state.ptr) {
        store_seal(s, r->id, "state", r->state, &state);
        bind_blob(st, 4, buf_str(&state));
    } else {
        (void)sqlite3_bind_null(st, 4);
    }
    rc = sqlite3_step(st);
    if (rc == SQLITE_CONSTRAINT)
        out = err_set(e, STATUS_EXISTS, "identity %s is in the store already", r->id);
    else if (rc != SQLITE_DONE)
        out = store_sql_error(s->db, e, s->path);
    (void)sqlite3_reset(st);
    buf_deinit(&record);
    buf_deinit(&state);
    return out;
}

enum status idstore_add(struct idstore *s, const struct idstore_row *v, size_t n, struct err *e)
{
    sqlite3_stmt *st = NULL;
    enum status r = STATUS_OK;

    for (size_t i = 0; i < n && r == STATUS_OK; i++)
        r = store_check_row(&v[i], e);
    if (r == STATUS_OK)
        r = prepare(s, "INSERT INTO identity(id, tag, record, state) VALUES(?1, ?2, ?3, ?4)", &st,
                    e);
    if (r == STATUS_OK)
        r = exec(s->db, "BEGIN IMMEDIATE", s->path, e);
    if (r != STATUS_OK) {
        (void)sqlite3_finalize(st);
        return r;
    }
    for (size_t i = 0; i < n && r == STATUS_OK; i++)
        r = write_row(s, st, &v[i], e);
    (void)sqlite3_finalize(st);
    if (r == STATUS_OK)
        r = exec(s->db, "COMMIT", s->path, e);
    if (r != STATUS_OK)
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}

static enum status no_such(const char *id, struct err *e)
{
    return err_set(e, STATUS_NOT_FOUND, "identity %s is not in the store", id);
}

enum status store_row(struct idstore *s, sqlite3_stmt *st, bool with_state, struct arena *a,
                      struct idstore_row *out)
{
    bool whole;

    *out = (struct idstore_row){
        .id = arena_strdup(a, (const char *)sqlite3_column_text(st, 0)),
        .tag = arena_strdup(a, (const char *)sqlite3_column_text(st, 1)),
        .saves = (uint64_t)sqlite3_column_int64(st, 3),
    };
    whole = store_unseal(s, out->id, "record", column(st, 2), a, &out->record);
    if (whole && with_state && sqlite3_column_type(st, 4) != SQLITE_NULL)
        whole = store_unseal(s, out->id, "state", column(st, 4), a, &out->state);
    return whole ? STATUS_OK : STATUS_CORRUPT;
}

enum status idstore_get(struct idstore *s, const char *id, struct arena *a, struct idstore_row *out,
                        struct err *e)
{
    sqlite3_stmt *st = NULL;
    enum status r = prepare(s, "SELECT " COLUMNS ", state FROM identity WHERE id = ?1", &st, e);
    int rc;

    if (r != STATUS_OK)
        return r;
    bind_text(st, 1, id);
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW && store_row(s, st, true, a, out) != STATUS_OK)
        r = err_set(e, STATUS_CORRUPT, "identity %s cannot be opened: its row is damaged", id);
    else if (rc == SQLITE_DONE)
        r = no_such(id, e);
    else if (rc != SQLITE_ROW)
        r = store_sql_error(s->db, e, s->path);
    (void)sqlite3_finalize(st);
    return r;
}

enum status idstore_replace(struct idstore *s, const struct idstore_row *row, struct err *e)
{
    sqlite3_stmt *st = NULL;
    enum status r = store_check_row(row, e);

    if (r == STATUS_OK)
        r = prepare(s, "UPDATE identity SET tag = ?2, record = ?3, state = ?4 WHERE id = ?1", &st,
                    e);
    if (r != STATUS_OK)
        return r;
    r = write_row(s, st, row, e);
    if (r == STATUS_OK && sqlite3_changes(s->db) == 0)
        r = no_such(row->id, e);
    (void)sqlite3_finalize(st);
    return r;
}

enum status store_become(const struct idstore *s, sqlite3 *db, const char *id,
                         const struct idstore_row *next, enum status *fate, struct err *e)
{
    struct buf record = BUF_INIT(IDSTORE_RECORD_MAX + 64);
    sqlite3_stmt *st = NULL;
    enum status r = STATUS_OK;
    int rc;

    *fate = STATUS_OK;
    if (sqlite3_prepare_v2(db,
                           "UPDATE identity SET id = ?1, record = ?2, state = NULL, saves = 0"
                           " WHERE id = ?3",
                           -1, &st, NULL) != SQLITE_OK)
        return store_sql_error(db, e, s->path);
    store_seal(s, next->id, "record", next->record, &record);
    bind_text(st, 1, next->id);
    bind_blob(st, 2, buf_str(&record));
    bind_text(st, 3, id);
    rc = sqlite3_step(st);
    if (rc == SQLITE_CONSTRAINT)
        *fate = STATUS_EXISTS;
    else if (rc != SQLITE_DONE)
        r = store_sql_error(db, e, s->path);
    else if (sqlite3_changes(db) == 0)
        *fate = STATUS_NOT_FOUND;
    (void)sqlite3_finalize(st);
    buf_deinit(&record);
    return r;
}

enum status idstore_become(struct idstore *s, const char *id, const struct idstore_row *next,
                           struct err *e)
{
    enum status fate = STATUS_OK, r = store_check_row(next, e);

    if (r == STATUS_OK)
        r = store_become(s, s->db, id, next, &fate, e);
    if (r == STATUS_OK && fate == STATUS_NOT_FOUND)
        r = no_such(id, e);
    else if (r == STATUS_OK && fate == STATUS_EXISTS)
        r = err_set(e, STATUS_EXISTS, "identity %s is in the store already", next->id);
    return r;
}

enum status idstore_remove(struct idstore *s, const char *id, struct err *e)
{
    sqlite3_stmt *st = NULL;
    enum status r = prepare(s, "DELETE FROM identity WHERE id = ?1", &st, e);

    if (r != STATUS_OK)
        return r;
    bind_text(st, 1, id);
    if (sqlite3_step(st) != SQLITE_DONE)
        r = store_sql_error(s->db, e, s->path);
    else if (sqlite3_changes(s->db) == 0)
        r = no_such(id, e);
    (void)sqlite3_finalize(st);
    return r;
}

enum status idstore_each(struct idstore *s, const char *tag, bool with_state,
                         bool (*fn)(void *arg, const struct idstore_row *row, enum status fate),
                         void *arg, struct err *e)
{
    struct arena *a = arena_create(NULL, 0);
    struct idstore_row row;
    sqlite3_stmt *st = NULL;
    int rc = SQLITE_DONE;
    bool more = true;
    enum status r = prepare(s,
                            with_state ? "SELECT " COLUMNS ", state FROM identity"
                                         " WHERE ?1 IS NULL OR tag = ?1 ORDER BY n"
                                       : "SELECT " COLUMNS " FROM identity"
                                         " WHERE ?1 IS NULL OR tag = ?1 ORDER BY n",
                            &st, e);

    if (r == STATUS_OK && tag)
        bind_text(st, 1, tag);
    while (r == STATUS_OK && more && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        enum status fate = store_row(s, st, with_state, a, &row);

        more = fn(arg, &row, fate);
        arena_reset(a);
    }
    if (r == STATUS_OK && more && rc != SQLITE_DONE)
        r = store_sql_error(s->db, e, s->path);
    (void)sqlite3_finalize(st);
    arena_destroy(&a);
    return r;
}

uint64_t idstore_count(struct idstore *s, const char *tag)
{
    sqlite3_stmt *st = NULL;
    uint64_t n = 0;

    if (prepare(s, "SELECT count(*) FROM identity WHERE ?1 IS NULL OR tag = ?1", &st, NULL) !=
        STATUS_OK)
        return 0;
    if (tag)
        bind_text(st, 1, tag);
    if (sqlite3_step(st) == SQLITE_ROW)
        n = (uint64_t)sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    return n;
}
