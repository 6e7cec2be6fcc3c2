#include "core/record/logread.h"

#include "core/record/audit.h"
#include "core/record/logdb.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct logread {
    char *path;
    /* NDJSON */
    int fd;
    bool end;
    uint64_t line;
    struct buf rest; /* of a line whose end was not in the batch */
    /* database */
    sqlite3 *db;
    sqlite3_stmt *records, *checkpoints;
};

void logread_batch_init(struct logread_batch *b)
{
    b->n = 0;
    buf_init(&b->text, 4 * LOGREAD_CHUNK + AUDIT_PAYLOAD_MAX);
}

void logread_batch_deinit(struct logread_batch *b)
{
    buf_deinit(&b->text);
}

bool logread_is_database(const struct logread *r)
{
    return r->db != NULL;
}

/* --- opening --- */

static bool is_sqlite(int fd)
{
    static const char magic[16] = "SQLite format 3";
    char b[sizeof(magic)];

    return pread(fd, b, sizeof(b), 0) == (ssize_t)sizeof(b) && memcmp(b, magic, sizeof(b)) == 0;
}

static enum status prepare(struct logread *r, const char *sql, sqlite3_stmt **st, struct err *e)
{
    if (sqlite3_prepare_v2(r->db, sql, -1, st, NULL) == SQLITE_OK)
        return STATUS_OK;
    if ((sqlite3_errcode(r->db) & 0xff) == SQLITE_ERROR)
        return err_set(e, STATUS_INVALID, "%s is a database without an audit log (%s)", r->path,
                       sqlite3_errmsg(r->db));
    return logdb_error(r->db, e, r->path);
}

/* The process that made it was killed before the log's own tables were there: an empty log. Other
 * databases have tables of their own; of a log that was there and lost one, the others speak. */
static bool is_unbegun(const struct logread *r)
{
    sqlite3_stmt *st = NULL;
    bool yes = false;

    if (sqlite3_prepare_v2(r->db,
                           "SELECT count(*) = 0 OR (max(name = 'schema_version') AND"
                           " NOT max(name LIKE 'audit\\_%' ESCAPE '\\')) FROM sqlite_master",
                           -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        yes = sqlite3_column_int(st, 0) != 0;
    (void)sqlite3_finalize(st);
    return yes;
}

/* A database in a directory that cannot be written has no shared memory file to be had: then it is
 * read as it stands. */
static enum status open_as_it_stands(struct logread *r, struct err *e)
{
    struct buf uri = BUF_INIT(3 * BUF_MAX_LINE);
    enum status s = STATUS_OK;
    char *full = realpath(r->path, NULL);

    buf_adds(&uri, "file:");
    for (const char *p = full ? full : r->path; *p; p++) {
        if (*p == '?' || *p == '#' || *p == '%')
            buf_addf(&uri, "%%%02X", (unsigned)(unsigned char)*p);
        else
            buf_addc(&uri, *p);
    }
    buf_adds(&uri, "?immutable=1");
    free(full);
    if (sqlite3_open_v2(buf_str(&uri).ptr, &r->db,
                        SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        s = logdb_error(r->db, e, r->path);
    buf_deinit(&uri);
    return s;
}

static enum status open_database(struct logread *r, struct err *e)
{
    enum status s = logdb_open_reader(r->path, &r->db, e);

    if (s == STATUS_PERMISSION || s == STATUS_IO)
        s = open_as_it_stands(r, e);
    if (s != STATUS_OK)
        return s;
    if (sqlite3_exec(r->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        return logdb_error(r->db, e, r->path);
    if (is_unbegun(r)) {
        s = prepare(r, "SELECT 0, '', NULL WHERE 0", &r->records, e);
        return s == STATUS_OK ? prepare(r, "SELECT 0, '' WHERE 0", &r->checkpoints, e) : s;
    }
    s = prepare(r, "SELECT seq, line, payload FROM audit_record ORDER BY seq", &r->records, e);
    if (s == STATUS_OK)
        s = prepare(r, "SELECT size, note FROM audit_checkpoint ORDER BY size", &r->checkpoints, e);
    return s;
}

static enum status open_path(struct logread *r, struct err *e)
{
    struct stat st;

    if (strcmp(r->path, "-") == 0) {
        r->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
        return r->fd >= 0 ? STATUS_OK : err_set_errno(e, STATUS_IO, errno, "open standard input");
    }
    r->fd = open(r->path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0)
        return err_set_errno(e, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, errno, "open %s",
                             r->path);
    if (fstat(r->fd, &st) == 0 && S_ISDIR(st.st_mode))
        return err_set(e, STATUS_INVALID,
                       "%s is a directory; expected log.sqlite or an NDJSON file", r->path);
    if (!is_sqlite(r->fd))
        return STATUS_OK;
    close(r->fd);
    r->fd = -1;
    return open_database(r, e);
}

enum status logread_open(const char *path, struct logread **out, struct err *e)
{
    struct logread *r = xcalloc(1, sizeof(*r));
    enum status s;

    r->path = xstrdup(path);
    r->fd = -1;
    buf_init(&r->rest, LOGREAD_CHUNK + BUF_MAX_LINE);
    s = open_path(r, e);
    if (s != STATUS_OK)
        logread_close(&r);
    *out = r;
    return s;
}

void logread_close(struct logread **pr)
{
    struct logread *r = *pr;

    if (!r)
        return;
    (void)sqlite3_finalize(r->records);
    (void)sqlite3_finalize(r->checkpoints);
    (void)sqlite3_close_v2(r->db);
    if (r->fd >= 0)
        close(r->fd);
    buf_deinit(&r->rest);
    free(r->path);
    free(r);
    *pr = NULL;
}

/* --- NDJSON --- */

static void add_line(struct logread *r, struct logread_batch *b, size_t at, size_t len, bool torn)
{
    b->item[b->n++] = (struct logread_item){
        .at = (uint32_t)at,
        .len = (uint32_t)(len > AUDIT_LINE_MAX ? AUDIT_LINE_MAX + 1 : len),
        .torn = torn,
        .row = r->line++,
    };
}

/* Reads until the text has LOGREAD_CHUNK bytes or the file ends. */
static enum status fill_text(struct logread *r, struct buf *text, struct err *e)
{
    while (!r->end && text->len < LOGREAD_CHUNK) {
        char *p = buf_reserve(text, LOGREAD_CHUNK - text->len);
        ssize_t n;

        if (!p)
            return err_set(e, STATUS_NO_MEMORY, "read %s", r->path);
        n = read(r->fd, p, LOGREAD_CHUNK - text->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(e, STATUS_IO, errno, "read %s", r->path);
        r->end = n == 0;
        buf_commit(text, (size_t)n);
    }
    return STATUS_OK;
}

static enum status next_lines(struct logread *r, struct logread_batch *b, struct err *e)
{
    size_t at = 0;
    enum status s;

    buf_addstr(&b->text, buf_str(&r->rest));
    buf_reset(&r->rest);
    s = fill_text(r, &b->text, e);
    if (s != STATUS_OK)
        return s;
    while (b->n < LOGREAD_ITEMS && at < b->text.len) {
        const char *p = b->text.ptr + at;
        const char *nl = memchr(p, '\n', b->text.len - at);

        if (!nl && !r->end && at > 0)
            break;
        if (!nl) { /* the end of the file, or a line longer than a whole chunk: it is refused either
                      way */
            add_line(r, b, at, b->text.len - at, r->end);
            at = b->text.len;
            break;
        }
        add_line(r, b, at, (size_t)(nl - p), false);
        at += (size_t)(nl - p) + 1;
    }
    buf_add(&r->rest, b->text.ptr ? b->text.ptr + at : "", b->text.len - at);
    return buf_status(&r->rest) == STATUS_OK ? STATUS_OK
                                             : err_set(e, STATUS_NO_MEMORY, "read %s", r->path);
}

/* --- database --- */

static void add_row(struct logread *r, struct logread_batch *b)
{
    sqlite3_stmt *st = r->records;
    const void *line = sqlite3_column_blob(st, 1), *payload = sqlite3_column_blob(st, 2);
    size_t len = (size_t)sqlite3_column_bytes(st, 1);
    size_t payload_len = (size_t)sqlite3_column_bytes(st, 2);
    struct logread_item *it = &b->item[b->n];

    *it = (struct logread_item){.row = (uint64_t)sqlite3_column_int64(st, 0)};
    it->has_payload = sqlite3_column_type(st, 2) != SQLITE_NULL;
    it->payload_too_large = payload_len > AUDIT_PAYLOAD_MAX;
    it->at = (uint32_t)b->text.len;
    it->len = (uint32_t)(len > AUDIT_LINE_MAX ? AUDIT_LINE_MAX + 1 : len);
    if (line)
        buf_add(&b->text, line, it->len);
    it->payload_at = (uint32_t)b->text.len;
    if (payload && !it->payload_too_large) {
        it->payload_len = (uint32_t)payload_len;
        buf_add(&b->text, payload, payload_len);
    }
    b->n++;
}

static enum status next_rows(struct logread *r, struct logread_batch *b, struct err *e)
{
    int rc;

    if (r->end)
        return STATUS_OK;
    while (b->n < LOGREAD_ITEMS && b->text.len < LOGREAD_CHUNK) {
        rc = sqlite3_step(r->records);
        if (rc == SQLITE_DONE) {
            r->end = true;
            break;
        }
        if (rc != SQLITE_ROW)
            return logdb_error(r->db, e, r->path);
        add_row(r, b);
    }
    return buf_status(&b->text) == STATUS_OK ? STATUS_OK
                                             : err_set(e, STATUS_NO_MEMORY, "read %s", r->path);
}

enum status logread_next(struct logread *r, struct logread_batch *b, struct err *e)
{
    b->n = 0;
    buf_reset(&b->text);
    return r->db ? next_rows(r, b, e) : next_lines(r, b, e);
}

bool logread_checkpoint(struct logread *r, uint64_t *size, struct str *note)
{
    if (!r->checkpoints || sqlite3_step(r->checkpoints) != SQLITE_ROW)
        return false;
    *size = (uint64_t)sqlite3_column_int64(r->checkpoints, 0);
    *note = str_n((const char *)sqlite3_column_blob(r->checkpoints, 1),
                  (size_t)sqlite3_column_bytes(r->checkpoints, 1));
    if (!note->ptr)
        *note = STR("");
    return true;
}
