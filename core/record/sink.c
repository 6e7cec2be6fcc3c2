#include "core/record/sink.h"

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/record/logdb.h"
#include "core/record/record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { COPY_BYTES = 256 * 1024, RENAME_TRIES = 100 };

char *sink_beside(const char *path, const char *ending)
{
    size_t n = strlen(path), stem = n, size;
    char *out;

    if (str_ends(str_n(path, n), STR(".ndjson")))
        stem = n - (sizeof(".ndjson") - 1);
    size = stem + strlen(ending) + 1;
    out = xcalloc(1, size);
    (void)snprintf(out, size, "%.*s%s", (int)stem, path, ending);
    return out;
}

/* --- reading what is there --- */

/* Reads the line that ends at `end` (offset after its newline), up to AUDIT_LINE_MAX bytes. False
 * when it is longer or cannot be read. */
static bool line_before(int fd, off_t end, char *out, size_t *len, off_t *start)
{
    off_t from = end > AUDIT_LINE_MAX + 1 ? end - AUDIT_LINE_MAX - 2 : 0;
    char b[AUDIT_LINE_MAX + 2];
    ssize_t n = pread(fd, b, (size_t)(end - from), from);
    size_t at;

    if (n != (ssize_t)(end - from) || n == 0)
        return false;
    at = (size_t)n - 1; /* the newline */
    while (at > 0 && b[at - 1] != '\n')
        at--;
    if (at == 0 && from > 0)
        return false;
    *len = (size_t)n - 1 - at;
    *start = from + (off_t)at;
    if (*len > AUDIT_LINE_MAX)
        return false;
    memcpy(out, b + at, *len);
    return true;
}

/* Offset after the last newline: 0 when there is none. Looks back in steps. */
static off_t end_of_lines(int fd, off_t size)
{
    char b[4096];

    while (size > 0) {
        size_t want = size > (off_t)sizeof(b) ? sizeof(b) : (size_t)size;
        ssize_t n = pread(fd, b, want, size - (off_t)want);
        char *nl;

        if (n != (ssize_t)want)
            return 0;
        nl = memrchr(b, '\n', want);
        if (nl)
            return size - (off_t)want + (nl - b) + 1;
        size -= (off_t)want;
    }
    return 0;
}

static bool first_line(int fd, off_t end, char *out, size_t *len)
{
    char b[AUDIT_LINE_MAX + 1];
    ssize_t n = pread(fd, b, end < (off_t)sizeof(b) ? (size_t)end : sizeof(b), 0);
    char *nl = n > 0 ? memchr(b, '\n', (size_t)n) : NULL;

    if (!nl)
        return false;
    *len = (size_t)(nl - b);
    memcpy(out, b, *len);
    return true;
}

/* The stored line of `seq`: false when there is none. Borrowed until `st` is finalized. */
static bool stored_line(sqlite3 *db, uint64_t seq, sqlite3_stmt **st, struct str *line)
{
    *st = NULL;
    if (sqlite3_prepare_v2(db, "SELECT line FROM audit_record WHERE seq = ?1", -1, st, NULL) !=
        SQLITE_OK)
        return false;
    (void)sqlite3_bind_int64(*st, 1, (sqlite3_int64)seq);
    if (sqlite3_step(*st) != SQLITE_ROW)
        return false;
    *line = str_n(sqlite3_column_blob(*st, 0), (size_t)sqlite3_column_bytes(*st, 0));
    return true;
}

static bool is_stored(sqlite3 *db, uint64_t seq, struct str line)
{
    sqlite3_stmt *st;
    struct str have;
    bool same = stored_line(db, seq, &st, &have) && str_eq(have, line);

    (void)sqlite3_finalize(st);
    return same;
}

/* --- what is there when it is opened --- */

enum found {
    FOUND_OURS,    /* a beginning of this log, possibly with a torn line after it */
    FOUND_OTHER,   /* another log's, `other` is its id */
    FOUND_AHEAD,   /* this log's, with records that the database does not have */
    FOUND_DAMAGED, /* this log's, but its end is not what the database has */
    FOUND_STRANGE, /* no audit log */
};

struct look {
    enum found found;
    uint64_t seq; /* records in it */
    off_t end;    /* of its last whole line */
    char other[NAME_MAX + 1];
};

/* No whole line: a torn first line is the beginning of record 0, or (database empty) of a record
 * that never was committed. */
static void look_at_fragment(int fd, off_t size, sqlite3 *db, struct look *l)
{
    char b[AUDIT_LINE_MAX + 1];
    ssize_t n = pread(fd, b, sizeof(b), 0);
    sqlite3_stmt *st = NULL;
    struct str have;

    l->found = FOUND_STRANGE;
    if (n > 0 && b[0] == '\0')
        l->found = FOUND_DAMAGED; /* a length that reached the disk before the bytes did */
    else if (size == 0 || (n > 0 && n <= AUDIT_LINE_MAX && stored_line(db, 0, &st, &have) &&
                           str_starts(have, str_n(b, (size_t)n))))
        l->found = FOUND_OURS;
    (void)sqlite3_finalize(st);
}

/* Records of this log that X.checkpoint speaks of: these were synced before it was written. */
static uint64_t synced_records(const char *path, const char *log_id)
{
    struct buf text = BUF_INIT(64 * 1024);
    struct str rest, origin;
    uint64_t n = 0;

    if (file_read(path, &text, NULL) == STATUS_OK) {
        rest = buf_str(&text);
        origin = str_cut(&rest, '\n');
        if (!str_starts(origin, STR("fleet/")) || !str_eqz(str_skip(origin, 6), log_id) ||
            !str_to_u64(str_cut(&rest, '\n'), INT64_MAX, &n))
            n = 0;
    }
    buf_deinit(&text);
    return n;
}

/* After a power cut any of the bytes that were not synced may be missing, also in the middle. Goes
 * back from record `l->seq` to the first that may be so, line by line. */
static bool tail_is_stored(int fd, const struct look *l, uint64_t synced, sqlite3 *db)
{
    char line[AUDIT_LINE_MAX];
    sqlite3_stmt *st = NULL;
    off_t end = l->end;
    bool same = sqlite3_prepare_v2(db, "SELECT line FROM audit_record WHERE seq = ?1", -1, &st,
                                   NULL) == SQLITE_OK;

    for (uint64_t seq = l->seq; same && seq > synced; seq--) {
        size_t n;

        (void)sqlite3_bind_int64(st, 1, (sqlite3_int64)(seq - 1));
        same = end > 0 && line_before(fd, end, line, &n, &end) && sqlite3_step(st) == SQLITE_ROW &&
               (size_t)sqlite3_column_bytes(st, 0) == n &&
               memcmp(sqlite3_column_blob(st, 0), line, n) == 0;
        (void)sqlite3_reset(st);
    }
    (void)sqlite3_finalize(st);
    return same;
}

/* The last whole line tells whose it is and how far it goes. */
static void look_at_end(int fd, const char *log_id, uint64_t records, uint64_t synced, sqlite3 *db,
                        struct look *l)
{
    char line[AUDIT_LINE_MAX];
    struct record_fault fault;
    struct record r;
    off_t start;
    size_t n;

    l->found = FOUND_DAMAGED;
    if (!line_before(fd, l->end, line, &n, &start) || !record_decode(str_n(line, n), &r, &fault) ||
        !str_eqz(r.log, log_id))
        return;
    l->seq = r.seq + 1;
    if (r.seq >= records)
        l->found = FOUND_AHEAD;
    else if (is_stored(db, r.seq, str_n(line, n)) && tail_is_stored(fd, l, synced, db))
        l->found = FOUND_OURS;
}

static void look_at(int fd, off_t size, const char *log_id, uint64_t records, uint64_t synced,
                    sqlite3 *db, struct look *l)
{
    char line[AUDIT_LINE_MAX];
    struct record_fault fault;
    struct record r;
    size_t n;

    *l = (struct look){.found = FOUND_STRANGE};
    l->end = end_of_lines(fd, size);
    if (l->end == 0) {
        look_at_fragment(fd, size, db, l);
        return;
    }
    if (!first_line(fd, l->end, line, &n) || !record_decode(str_n(line, n), &r, &fault) ||
        r.log.len > NAME_MAX - 64 || memchr(r.log.ptr, '/', r.log.len)) {
        if (pread(fd, line, 1, 0) == 1 && line[0] == '\0')
            l->found = FOUND_DAMAGED;
        return;
    }
    if (!str_eqz(r.log, log_id)) {
        l->found = FOUND_OTHER;
        (void)snprintf(l->other, sizeof(l->other), "%.*s", STR_ARG(r.log));
        return;
    }
    look_at_end(fd, log_id, records, synced, db, l);
}

/* Renames `path` to "<stem>-<id><ending>", with a number when that is taken. True when it is out of
 * the way. */
static bool move_away(const char *path, const char *sink_path, const char *id, const char *ending,
                      char *to, size_t to_size)
{
    cleanup_free char *stem = sink_beside(sink_path, "");

    for (int i = 1; i < RENAME_TRIES; i++) {
        if (i == 1)
            (void)snprintf(to, to_size, "%s-%s%s", stem, id, ending);
        else
            (void)snprintf(to, to_size, "%s-%s-%d%s", stem, id, i, ending);
        if (renameat2(AT_FDCWD, path, AT_FDCWD, to, RENAME_NOREPLACE) == 0 || errno == ENOENT)
            return true;
        if (errno != EEXIST)
            return false;
    }
    errno = EEXIST;
    return false;
}

static enum status move_all_away(const struct sink *s, const char *id, const char *why,
                                 struct err *e)
{
    const char *ending = str_ends(str_from(s->path), STR(".ndjson")) ? ".ndjson" : "";
    char to[PATH_MAX], beside[PATH_MAX];

    if (!move_away(s->path, s->path, id, ending, to, sizeof(to)))
        return err_set_errno(e, STATUS_IO, errno, "rename %s to %s", s->path, to);
    (void)move_away(s->pub, s->path, id, ".pub", beside, sizeof(beside));
    (void)move_away(s->checkpoint, s->path, id, ".checkpoint", beside, sizeof(beside));
    log_warn(NULL, "audit.sink.moved", LOG_STR("path", s->path), LOG_STR("to", to),
             LOG_STR("why", why));
    return STATUS_OK;
}

/* --- writing --- */

static bool failed(struct sink *s, int errnum, const char *what)
{
    (void)err_set_errno(&s->err, STATUS_IO, errnum, "%s %s", what, s->path);
    /* a line that was written in part goes, so that the file ends with a whole one */
    if (ftruncate(s->fd, s->size) != 0)
        log_debug(NULL, "audit.sink.truncate", LOG_STR("path", s->path));
    s->failing = true;
    s->retry_at_ms = clock_mono_ms(clock_system()) + SINK_RETRY_MS;
    return false;
}

static bool write_lines(struct sink *s, struct str lines, uint64_t end_seq)
{
    int fault = fault_point("audit.sink");
    size_t done = 0;

    if (fault)
        return failed(s, fault, "write");
    while (done < lines.len) {
        ssize_t n = pwrite(s->fd, lines.ptr + done, lines.len - done, s->size + (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(s, n < 0 ? errno : ENOSPC, "write");
        done += (size_t)n;
    }
    s->size += (off_t)lines.len;
    s->seq = end_seq;
    return true;
}

static bool copy_rows(struct sink *s, sqlite3_stmt *st, struct buf *lines)
{
    uint64_t seq = s->seq;
    int rc;

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        buf_add(lines, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
        buf_addc(lines, '\n');
        seq++;
        if (lines->len < COPY_BYTES)
            continue;
        if (!write_lines(s, buf_str(lines), seq))
            return false;
        buf_reset(lines);
    }
    if (rc != SQLITE_DONE)
        return failed(s, EIO, "read the database for");
    return lines->len == 0 || write_lines(s, buf_str(lines), seq);
}

/* Appends from the database what is missing before record `to`. */
static bool catch_up(struct sink *s, uint64_t to, sqlite3 *db)
{
    struct buf lines = BUF_INIT(2 * COPY_BYTES);
    sqlite3_stmt *st = NULL;
    bool ok;

    if (s->seq >= to)
        return true;
    if (sqlite3_prepare_v2(
            db, "SELECT line FROM audit_record WHERE seq >= ?1 AND seq < ?2 ORDER BY seq", -1, &st,
            NULL) != SQLITE_OK)
        return failed(s, EIO, "read the database for");
    (void)sqlite3_bind_int64(st, 1, (sqlite3_int64)s->seq);
    (void)sqlite3_bind_int64(st, 2, (sqlite3_int64)to);
    ok = copy_rows(s, st, &lines);
    (void)sqlite3_finalize(st);
    buf_deinit(&lines);
    return ok;
}

bool sink_write(struct sink *s, struct str lines, uint64_t first, uint64_t size, sqlite3 *db,
                bool now)
{
    if (s->fd < 0)
        return true;
    if (s->failing && !now && clock_mono_ms(clock_system()) < s->retry_at_ms)
        return false;
    if (s->seq == first && size > first) {
        if (!write_lines(s, lines, size))
            return false;
    } else if (!catch_up(s, size, db)) {
        return false;
    }
    s->failing = false;
    return true;
}

enum status sink_write_checkpoint(struct sink *s, struct str note, struct err *e)
{
    if (fdatasync(s->fd) != 0)
        return err_set_errno(e, STATUS_IO, errno, "sync %s", s->path);
    return file_replace(s->checkpoint, note, 0644, e);
}

enum status sink_write_pub(const char *path, struct str pem, struct err *e)
{
    struct buf have = BUF_INIT(64 * 1024);
    bool same = file_read(path, &have, NULL) == STATUS_OK && str_eq(buf_str(&have), pem);

    buf_deinit(&have);
    return same ? STATUS_OK : file_replace(path, pem, 0644, e);
}

/* --- opening --- */

static enum status open_file(struct sink *s, struct stat *st, struct err *e)
{
    s->fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
    if (s->fd < 0 || fstat(s->fd, st) != 0)
        return err_set_errno(e, STATUS_IO, errno, "open %s", s->path);
    if (!S_ISREG(st->st_mode))
        return err_set(e, STATUS_INVALID, "%s is not a regular file", s->path);
    if (flock(s->fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? err_set(e, STATUS_BUSY, "%s is written by another process", s->path)
                   : err_set_errno(e, STATUS_IO, errno, "lock %s", s->path);
    return STATUS_OK;
}

static enum status start_anew(struct sink *s, const char *id, const char *why, struct err *e)
{
    struct stat st;
    enum status status = move_all_away(s, id, why, e);

    if (status != STATUS_OK)
        return status;
    close(s->fd);
    s->fd = -1;
    s->seq = 0;
    s->size = 0;
    return open_file(s, &st, e);
}

static enum status take_over(struct sink *s, const struct look *l, uint64_t size, off_t bytes,
                             const char *log_id, struct err *e)
{
    switch (l->found) {
    case FOUND_OTHER:
        return start_anew(s, l->other, "it is the copy of another log", e);
    case FOUND_DAMAGED:
        return start_anew(s, "damaged", "its end is not what the log holds", e);
    case FOUND_STRANGE:
        return err_set(
            e, STATUS_INVALID,
            "%s has content that is no audit log; expected none, or a log of Fleet: move "
            "it away or name another sink",
            s->path);
    case FOUND_AHEAD:
        return err_set(e, STATUS_AUDIT_INVALID,
                       "%s holds %llu records of log %s, the database only %llu: the database was "
                       "rolled back; restore it, or move both away to begin a new log",
                       s->path, (unsigned long long)l->seq, log_id, (unsigned long long)size);
    case FOUND_OURS:
        break;
    }
    s->seq = l->seq;
    s->size = l->end;
    if (bytes > l->end && ftruncate(s->fd, l->end) != 0)
        return err_set_errno(e, STATUS_IO, errno, "cut the torn last line of %s", s->path);
    return STATUS_OK;
}

enum status sink_open(struct sink *s, const char *path, const char *log_id, uint64_t size,
                      sqlite3 *db, struct err *e)
{
    struct look look;
    struct stat st;
    enum status status;

    *s = (struct sink){.fd = -1, .err = ERR_INIT};
    s->path = xstrdup(path);
    s->pub = sink_beside(path, ".pub");
    s->checkpoint = sink_beside(path, ".checkpoint");
    status = open_file(s, &st, e);
    if (status == STATUS_OK) {
        look_at(s->fd, st.st_size, log_id, size, synced_records(s->checkpoint, log_id), db, &look);
        status = take_over(s, &look, size, st.st_size, log_id, e);
    }
    if (status != STATUS_OK) {
        sink_close(s);
        return status;
    }
    (void)catch_up(s, size, db);
    return STATUS_OK;
}

void sink_close(struct sink *s)
{
    if (s->fd >= 0)
        close(s->fd);
    free(s->path);
    free(s->pub);
    free(s->checkpoint);
    *s = (struct sink){.fd = -1};
}
