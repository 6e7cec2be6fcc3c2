/* Opening the audit log: finds or makes log, key and copy, and checks that they fit each other
 * before a record is added. What is checked here is cheap, whatever the size of the log: last
 * record, last checkpoint, tree, key, end of the copy. `fleet audit verify` checks the rest. */
#include "core/record/audit_internal.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rng.h"
#include "core/record/migrate.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define DEFAULT_KEY "file:keys/audit.key"

static const char *const steps[] = {
    "CREATE TABLE audit_log(one INTEGER PRIMARY KEY CHECK(one = 1), id TEXT NOT NULL, "
    "created_ms INTEGER NOT NULL);"
    "CREATE TABLE audit_record(seq INTEGER PRIMARY KEY, line BLOB NOT NULL, payload BLOB);"
    "CREATE TABLE audit_checkpoint(size INTEGER PRIMARY KEY, note TEXT NOT NULL, "
    "range BLOB NOT NULL, leaf BLOB NOT NULL);"
    "CREATE TABLE audit_key(n INTEGER PRIMARY KEY, public BLOB NOT NULL, from_seq INTEGER NOT "
    "NULL);",
};
static const struct migration migration = {"audit", steps, ARRAY_LEN(steps)};

/* --- small queries --- */

static enum status prepare(sqlite3 *db, const char *sql, sqlite3_stmt **st, struct err *e)
{
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL) == SQLITE_OK)
        return STATUS_OK;
    return logdb_error(db, e, "audit log");
}

/* Steps to the first row: *row tells whether there is one. Finalize `st` in any case. */
static enum status query(sqlite3 *db, const char *sql, sqlite3_stmt **st, bool *row, struct err *e)
{
    enum status s = prepare(db, sql, st, e);
    int rc;

    *row = false;
    if (s != STATUS_OK)
        return s;
    rc = sqlite3_step(*st);
    *row = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STATUS_OK : logdb_error(db, e, "audit log");
}

static struct str column(sqlite3_stmt *st, int i)
{
    const void *p = sqlite3_column_blob(st, i);

    return str_n(p ? p : "", (size_t)sqlite3_column_bytes(st, i));
}

/* --- the log's id --- */

static enum status load_id(struct audit *a, sqlite3 *db, bool *is_new, struct err *e)
{
    sqlite3_stmt *st = NULL;
    enum status s = query(db, "SELECT id FROM audit_log", &st, &(bool){false}, e);
    struct str id = STR_NONE;

    *is_new = false;
    if (s == STATUS_OK && sqlite3_data_count(st) > 0) {
        id = column(st, 0);
        if (id.len != AUDIT_ID_MAX - 1 || memchr(id.ptr, '\0', id.len))
            s = err_set(e, STATUS_CORRUPT, "%s: the id of the audit log is damaged",
                        logdb_path(a->db));
        else
            memcpy(a->log_id, id.ptr, id.len);
    } else if (s == STATUS_OK) {
        *is_new = true;
        rng_id(loop_wall_ms(a->loop), a->log_id);
    }
    (void)sqlite3_finalize(st);
    (void)snprintf(a->origin, sizeof(a->origin), "fleet/%s", a->log_id);
    return s;
}

static enum status create_log(struct audit *a, sqlite3 *db, struct err *e)
{
    sqlite3_stmt *log = NULL, *key = NULL;
    enum status s;

    s = prepare(db, "INSERT INTO audit_log(one, id, created_ms) VALUES(1, ?1, ?2)", &log, e);
    if (s == STATUS_OK)
        s = prepare(db, "INSERT INTO audit_key(n, public, from_seq) VALUES(0, ?1, 0)", &key, e);
    if (s == STATUS_OK) {
        (void)sqlite3_bind_text(log, 1, a->log_id, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(log, 2, (sqlite3_int64)loop_wall_ms(a->loop));
        (void)sqlite3_bind_blob(key, 1, a->public_key, SIGN_PUBLIC, SQLITE_STATIC);
        if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
            sqlite3_step(log) != SQLITE_DONE || sqlite3_step(key) != SQLITE_DONE ||
            sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
            s = logdb_error(db, e, logdb_path(a->db));
    }
    (void)sqlite3_finalize(log);
    (void)sqlite3_finalize(key);
    if (s != STATUS_OK)
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return s;
}

/* --- the key --- */

static enum status newest_key(struct audit *a, sqlite3 *db, unsigned char out[SIGN_PUBLIC],
                              struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool row;
    enum status s = query(db, "SELECT public FROM audit_key ORDER BY n DESC LIMIT 1", &st, &row, e);

    if (s == STATUS_OK && (!row || column(st, 0).len != SIGN_PUBLIC))
        s = err_set(e, STATUS_CORRUPT, "%s: the keys of the audit log are damaged",
                    logdb_path(a->db));
    if (s == STATUS_OK)
        memcpy(out, column(st, 0).ptr, SIGN_PUBLIC);
    (void)sqlite3_finalize(st);
    return s;
}

/* A rotation was committed, and the program ended before the key file was replaced. */
static bool finish_rotation(struct audit *a, const unsigned char want[SIGN_PUBLIC])
{
    cleanup_free char *next = audit_next_key_path(a);
    unsigned char have[SIGN_PUBLIC];
    struct sign_key *key = NULL;

    if (a->key_source.is_env || keyfile_load(next, &key, NULL) != STATUS_OK)
        return false;
    sign_key_public(key, have);
    if (memcmp(have, want, SIGN_PUBLIC) != 0 || rename(next, a->key_source.where) != 0) {
        sign_key_destroy(&key);
        return false;
    }
    sign_key_destroy(&a->w.key);
    a->w.key = key;
    log_info(NULL, "audit.rotate.finished", LOG_STR("key", a->key_source.where));
    return true;
}

static enum status key_mismatch(const struct audit *a, struct err *e)
{
    return err_set(
        e, STATUS_AUDIT_INVALID,
        "%s \"%s\" is not the key that log %s was signed with last; give the right key, or "
        "move %s away to begin a new log",
        a->key_source.is_env ? "variable" : "key file", a->key_source.where, a->log_id,
        logdb_path(a->db));
}

static enum status load_key(struct audit *a, sqlite3 *db, bool is_new, struct err *e)
{
    unsigned char want[SIGN_PUBLIC];
    enum status s;

    if (is_new) {
        s = key_source_open(&a->key_source, &a->w.key, NULL, e);
        if (s == STATUS_OK)
            sign_key_public(a->w.key, a->public_key);
        return s == STATUS_OK ? create_log(a, db, e) : s;
    }
    s = newest_key(a, db, want, e);
    if (s != STATUS_OK)
        return s;
    /* a log that exists is continued with its key: no new one is made in its place */
    s = a->key_source.is_env ? key_source_open(&a->key_source, &a->w.key, NULL, e)
                             : keyfile_load(a->key_source.where, &a->w.key, e);
    if (s == STATUS_NOT_FOUND && !finish_rotation(a, want))
        return err_set(
            e, STATUS_AUDIT_INVALID,
            "the key of log %s is gone: %s \"%s\" is not there; give it back, or move %s "
            "away to begin a new log",
            a->log_id, a->key_source.is_env ? "variable" : "key file", a->key_source.where,
            logdb_path(a->db));
    if (s != STATUS_OK && s != STATUS_NOT_FOUND)
        return s;
    err_clear(e);
    sign_key_public(a->w.key, a->public_key);
    if (memcmp(a->public_key, want, SIGN_PUBLIC) == 0)
        return STATUS_OK;
    if (!finish_rotation(a, want))
        return key_mismatch(a, e);
    memcpy(a->public_key, want, SIGN_PUBLIC);
    return STATUS_OK;
}

enum status audit_write_pubs(struct audit *a, sqlite3 *db, struct err *e)
{
    struct buf pem = BUF_INIT(64 * 1024);
    sqlite3_stmt *st = NULL;
    enum status s = prepare(db, "SELECT public FROM audit_key ORDER BY n", &st, e);

    while (s == STATUS_OK && sqlite3_step(st) == SQLITE_ROW)
        if (column(st, 0).len == SIGN_PUBLIC)
            public_key_pem((const unsigned char *)column(st, 0).ptr, &pem);
    (void)sqlite3_finalize(st);
    if (s == STATUS_OK)
        s = sink_write_pub(a->pub_path, buf_str(&pem), e);
    if (s == STATUS_OK && a->w.has_sink)
        s = sink_write_pub(a->w.sink.pub, buf_str(&pem), e);
    buf_deinit(&pem);
    return s;
}

/* --- chain and tree --- */

static enum status not_valid(const struct audit *a, struct err *e, const char *what)
{
    return err_set(
        e, STATUS_AUDIT_INVALID,
        "%s: %s; run \"fleet audit verify %s\", restore the file from a copy, or move it "
        "away to begin a new log",
        logdb_path(a->db), what, logdb_path(a->db));
}

/* The newest checkpoint: signed by our key, of our log, and its root is that of the stored tree. */
static enum status load_checkpoint(struct audit *a, sqlite3_stmt *st, struct err *e)
{
    uint64_t size = (uint64_t)sqlite3_column_int64(st, 0);
    struct str note = column(st, 1), range = column(st, 2), leaf = column(st, 3), text;
    struct checkpoint c;
    struct merkle_hash root;

    if (note_check(note, a->origin, a->public_key) != NOTE_OK)
        return not_valid(a, e, "the signature of the last checkpoint does not verify");
    if (!note_text(note, &text) || !checkpoint_parse(text, &c) || c.size != size ||
        strcmp(c.origin, a->origin) != 0)
        return not_valid(a, e, "the last checkpoint is of another log or size");
    if (!merkle_range_load(&a->w.tree.range, size, range.ptr, range.len))
        return not_valid(a, e, "the stored tree is damaged");
    merkle_range_root(&a->w.tree.range, &root);
    if (!merkle_eq(&root, &c.root))
        return not_valid(a, e, "the stored tree is not the one that the last checkpoint signs");
    if (leaf.len != MERKLE_HASH)
        return not_valid(a, e, "the stored tree is damaged");
    memcpy(a->w.prev.b, leaf.ptr, MERKLE_HASH); /* load_last_record compares */
    buf_addstr(&a->checkpoint, note);
    buf_addstr(&a->w.note, note);
    return STATUS_OK;
}

/* The newest record: its place, its link to the one before, and the clock to go on from. */
static enum status load_last_record(struct audit *a, sqlite3_stmt *st, struct err *e)
{
    struct record_fault fault;
    struct record r, before;
    struct merkle_hash leaf;
    struct str line = column(st, 1);
    uint64_t seq = (uint64_t)sqlite3_column_int64(st, 0);

    if (seq + 1 != a->w.tree.range.size)
        return not_valid(a, e, "the last checkpoint does not cover exactly the records stored");
    if (!record_decode(line, &r, &fault) || r.seq != seq || !str_eqz(r.log, a->log_id))
        return not_valid(a, e, "the last record is damaged");
    merkle_leaf(line.ptr, line.len, &leaf);
    a->hlc.last = r.hlc;
    if (!merkle_eq(&leaf, &a->w.prev))
        return not_valid(a, e, "the last record is not the one that was added to the tree");
    if (seq == 0)
        return STATUS_OK;
    if (sqlite3_step(st) != SQLITE_ROW || (uint64_t)sqlite3_column_int64(st, 0) != seq - 1)
        return not_valid(a, e, "the record before the last is missing");
    line = column(st, 1);
    merkle_leaf(line.ptr, line.len, &leaf);
    if (!merkle_eq(&leaf, &r.prev) || !record_decode(line, &before, &fault))
        return not_valid(a, e, "the last record does not follow the one before it");
    return STATUS_OK;
}

static enum status load_chain(struct audit *a, sqlite3 *db, struct err *e)
{
    sqlite3_stmt *checkpoint = NULL, *records = NULL;
    bool has_checkpoint = false, has_record = false;
    enum status s;

    s = query(db, "SELECT size, note, range, leaf FROM audit_checkpoint ORDER BY size DESC LIMIT 1",
              &checkpoint, &has_checkpoint, e);
    if (s == STATUS_OK)
        s = query(db, "SELECT seq, line FROM audit_record ORDER BY seq DESC LIMIT 2", &records,
                  &has_record, e);
    if (s == STATUS_OK && has_checkpoint != has_record)
        s = not_valid(a, e,
                      has_record ? "records without a checkpoint" : "a checkpoint of no records");
    if (s == STATUS_OK && has_checkpoint)
        s = load_checkpoint(a, checkpoint, e);
    if (s == STATUS_OK && has_record)
        s = load_last_record(a, records, e);
    (void)sqlite3_finalize(checkpoint);
    (void)sqlite3_finalize(records);
    a->w.seq = a->size = a->w.tree.range.size;
    a->w.group_first = a->w.group_end = a->w.group_checkpoint = a->size;
    return s;
}

static enum status prepare_writer(struct audit *a, sqlite3 *db, struct err *e)
{
    static const struct {
        const char *sql;
        size_t offset;
    } table[] = {
        {"INSERT INTO audit_record(seq, line, payload) VALUES(?1, ?2, ?3)",
         offsetof(struct audit_writer, insert)},
        {"INSERT INTO audit_checkpoint(size, note, range, leaf) VALUES(?1, ?2, ?3, ?4)",
         offsetof(struct audit_writer, insert_checkpoint)},
        {"DELETE FROM audit_checkpoint WHERE size = ?1",
         offsetof(struct audit_writer, delete_checkpoint)},
        {"INSERT INTO audit_key(n, public, from_seq) "
         "VALUES((SELECT max(n) + 1 FROM audit_key), ?1, ?2)",
         offsetof(struct audit_writer, insert_key)},
    };
    enum status s = STATUS_OK;

    for (size_t i = 0; i < ARRAY_LEN(table) && s == STATUS_OK; i++) {
        sqlite3_stmt **st = (sqlite3_stmt **)(void *)((char *)&a->w + table[i].offset);

        s = prepare(db, table[i].sql, st, e);
    }
    return s;
}

/* --- the copy --- */

/* A checkpoint beside the copy that our key signed, of this log, of more records than there are:
 * the database was rolled back. */
static enum status check_beside(struct audit *a, struct err *e)
{
    struct buf note = BUF_INIT(NOTE_MAX);
    struct checkpoint c;
    struct str text;
    enum status s = STATUS_OK;

    if (file_read(a->w.sink.checkpoint, &note, NULL) == STATUS_OK &&
        note_check(buf_str(&note), a->origin, a->public_key) == NOTE_OK &&
        note_text(buf_str(&note), &text) && checkpoint_parse(text, &c)) {
        if (c.size > a->w.seq)
            s = err_set(
                e, STATUS_AUDIT_INVALID,
                "%s signs %llu records of log %s, the database holds %llu: the database was "
                "rolled back; restore it, or move both away to begin a new log",
                a->w.sink.checkpoint, (unsigned long long)c.size, a->log_id,
                (unsigned long long)a->w.seq);
        a->w.checkpoint_written = c.size;
    }
    buf_deinit(&note);
    return s;
}

static enum status open_sink(struct audit *a, const char *path, sqlite3 *db, struct err *e)
{
    cleanup_free char *dir = file_dirname(path);
    enum status s = dir[0] ? file_mkdirs(dir, 0755, e) : STATUS_OK;

    if (s == STATUS_OK)
        s = sink_open(&a->w.sink, path, a->log_id, a->w.seq, db, e);
    if (s != STATUS_OK)
        return s;
    a->w.has_sink = true;
    s = check_beside(a, e);
    if (s == STATUS_OK && !a->w.sink.failing && a->w.note.len > 0 &&
        a->w.checkpoint_written != a->w.seq &&
        sink_write_checkpoint(&a->w.sink, buf_str(&a->w.note), NULL) == STATUS_OK)
        a->w.checkpoint_written = a->w.seq;
    return s;
}

/* --- all of it --- */

static struct audit *new_audit(struct loop *l, const char *state_dir, const struct audit_opts *opts)
{
    struct audit *a = xcalloc(1, sizeof(*a));

    a->loop = l;
    a->state_dir = xstrdup(state_dir);
    a->pub_path = file_join(state_dir, "audit.pub");
    a->sign_each = opts->sign == AUDIT_SIGN_EACH;
    a->on_sink = opts->on_sink;
    a->arg = opts->arg;
    buf_init(&a->scratch, 2 * AUDIT_LINE_MAX);
    buf_init(&a->checkpoint, NOTE_MAX);
    buf_init(&a->w.note, NOTE_MAX);
    buf_init(&a->w.lines, (size_t)LOGDB_GROUP_MAX * (RECORD_BUILD_MAX + 1));
    buf_init(&a->w.committed, (size_t)LOGDB_GROUP_MAX * (RECORD_BUILD_MAX + 1));
    a->w.forests = map_create();
    a->hook = (struct logdb_hook){.begin_group = audit_begin_group,
                                  .early = a->sign_each,
                                  .end_group = audit_end_group,
                                  .before_commit = audit_before_commit,
                                  .after_commit = audit_after_commit,
                                  .idle = audit_idle};
    return a;
}

static enum status restore(struct audit *a, const struct audit_opts *opts, struct err *e)
{
    sqlite3 *db = logdb_connection(a->db);
    bool is_new;
    enum status s =
        key_source_parse(opts->key ? opts->key : DEFAULT_KEY, a->state_dir, &a->key_source, e);

    if (s == STATUS_OK)
        s = migrate_run(db, &migration, logdb_path(a->db), e);
    if (s == STATUS_OK)
        s = load_id(a, db, &is_new, e);
    if (s == STATUS_OK)
        s = load_key(a, db, is_new, e);
    if (s == STATUS_OK)
        s = load_chain(a, db, e);
    if (s == STATUS_OK)
        s = prepare_writer(a, db, e);
    if (s == STATUS_OK && opts->sink)
        s = open_sink(a, opts->sink, db, e);
    if (s == STATUS_OK)
        s = audit_write_pubs(a, db, e);
    return s;
}

enum status audit_open(struct loop *l, const char *state_dir, const struct audit_opts *opts,
                       struct audit **out, struct err *e)
{
    static const struct audit_opts defaults = {0};
    enum status s = STATUS_OK;
    struct audit *a;

    *out = NULL;
    if (!opts)
        opts = &defaults;
    a = new_audit(l, state_dir, opts);
    a->db = opts->db;
    if (!a->db) {
        s = logdb_open(l, state_dir, &a->db, e);
        a->owns_db = true;
    }
    if (s == STATUS_OK)
        s = restore(a, opts, e);
    if (s != STATUS_OK) {
        audit_finalize(a);
        if (a->owns_db)
            logdb_close_now(&a->db);
        audit_free(a);
        return err_prefix(e, "audit log"), s;
    }
    logdb_add_hook(a->db, &a->hook);
    *out = a;
    return STATUS_OK;
}
