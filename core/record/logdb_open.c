/* Opening and closing log.sqlite; what its failures mean. */
#include "core/record/logdb_internal.h"

#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

/* --- errors --- */

static enum status status_of(int rc, int sys_errno)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return STATUS_NO_SPACE;
    case SQLITE_NOMEM:
        return STATUS_NO_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return STATUS_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return STATUS_CORRUPT;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return STATUS_PERMISSION;
    case SQLITE_CANTOPEN:
        return sys_errno == EACCES ? STATUS_PERMISSION : STATUS_IO;
    default:
        if (sys_errno == EROFS || sys_errno == EACCES)
            return STATUS_PERMISSION;
        return sys_errno == ENOSPC || sys_errno == EDQUOT ? STATUS_NO_SPACE : STATUS_IO;
    }
}

/* The errno of an I/O error that a statement met: sqlite3_system_errno() does not know it, the
 * files do. */
static int file_errno(sqlite3 *db)
{
    sqlite3_file *wal = NULL;
    int errnum = 0;

    (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    if (wal && wal->pMethods)
        (void)wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &errnum);
    if (errnum == 0)
        (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &errnum);
    return errnum;
}

enum status logdb_error(sqlite3 *db, struct err *e, const char *what)
{
    int rc = sqlite3_extended_errcode(db), sys_errno = sqlite3_system_errno(db);
    enum status s;

    if ((rc & 0xff) == SQLITE_IOERR && sys_errno == 0)
        sys_errno = file_errno(db);
    s = err_set(e, status_of(rc, sys_errno), "%s: %s", what, sqlite3_errmsg(db));
    if (e) {
        e->peer_code = rc;
        e->sys_errno = sys_errno;
    }
    return s;
}

/* --- open --- */

/* Large pages: a row is some hundred bytes, and each page is two system calls on its way into the
 * write-ahead log and two out of it. Of a file that is there already they stay as they are. The
 * cache holds a full group, which would otherwise be written before its commit and read again. */
static const char settings[] = "PRAGMA page_size=8192;"
                               "PRAGMA journal_mode=WAL;"
                               "PRAGMA synchronous=FULL;"
                               "PRAGMA wal_autocheckpoint=2000;"
                               "PRAGMA cache_size=-8000;"
                               "PRAGMA journal_size_limit=67108864;"
                               "PRAGMA temp_store=MEMORY;"
                               "PRAGMA trusted_schema=OFF;";

/* SQLite makes its files with the mode of the database file, so that is made first, for the owner
 * only. */
static enum status make_file(const char *path, struct err *e)
{
    cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    return fd >= 0 ? STATUS_OK : err_set_errno(e, STATUS_IO, errno, "open %s", path);
}

static enum status open_connection(struct logdb *db, struct err *e)
{
    enum status s = make_file(db->path, e);

    if (s != STATUS_OK)
        return s;
    if (sqlite3_open_v2(db->path, &db->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        return logdb_error(db->db, e, db->path);
    (void)sqlite3_extended_result_codes(db->db, 1);
    (void)sqlite3_busy_timeout(db->db, LOGDB_READ_TIMEOUT_MS);
    if (sqlite3_exec(db->db, settings, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v3(db->db, "BEGIN IMMEDIATE", -1, SQLITE_PREPARE_PERSISTENT, &db->begin,
                           NULL) != SQLITE_OK ||
        sqlite3_prepare_v3(db->db, "COMMIT", -1, SQLITE_PREPARE_PERSISTENT, &db->commit, NULL) !=
            SQLITE_OK)
        return logdb_error(db->db, e, db->path);
    return STATUS_OK;
}

static enum status take_lock(struct logdb *db, struct err *e)
{
    cleanup_free char *run = file_join(db->state_dir, "run");
    cleanup_free char *lock = file_join(run, "log.lock");
    enum status s = file_mkdirs(db->state_dir, 0700, e);

    if (s == STATUS_OK)
        s = file_mkdirs(run, 0700, e);
    if (s == STATUS_OK)
        s = file_lock(lock, 0, &db->lock_fd, e);
    return s;
}

/* Signals are for the loop's thread. */
static enum status start_thread(struct logdb *db, struct err *e)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&db->thread, NULL, logdb_writer_main, db);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? STATUS_OK : err_set_errno(e, STATUS_ENVIRONMENT, rc, "start the log's thread");
}

static void init_sync(struct logdb *db)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&db->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&db->lock, NULL);
}

void logdb_close_connection(struct logdb *db)
{
    (void)sqlite3_finalize(db->begin);
    (void)sqlite3_finalize(db->commit);
    (void)sqlite3_close_v2(db->db);
}

static void free_db(struct logdb *db)
{
    if (db->lock_fd >= 0)
        close(db->lock_fd);
    pthread_mutex_destroy(&db->lock);
    pthread_cond_destroy(&db->wake);
    free(db->state_dir);
    free(db->path);
    free(db);
}

enum status logdb_open(struct loop *l, const char *state_dir, struct logdb **out, struct err *e)
{
    struct logdb *db = xcalloc(1, sizeof(*db));
    enum status s;

    *out = NULL;
    db->loop = l;
    db->lock_fd = -1;
    db->state_dir = xstrdup(state_dir);
    db->path = file_join(state_dir, "log.sqlite");
    init_sync(db);
    s = take_lock(db, e);
    if (s == STATUS_OK)
        s = open_connection(db, e);
    if (s == STATUS_OK)
        s = start_thread(db, e);
    if (s != STATUS_OK) {
        logdb_close_connection(db);
        free_db(db);
        return s;
    }
    *out = db;
    return STATUS_OK;
}

/* --- close --- */

void logdb_on_writer_end(void *arg)
{
    struct logdb *db = arg;
    void (*closed)(void *) = db->closed;
    void *closed_arg = db->closed_arg;

    (void)pthread_join(db->thread, NULL);
    loop_release(db->loop);
    free_db(db);
    if (closed)
        closed(closed_arg);
}

void logdb_close(struct logdb *db, void (*closed)(void *arg), void *arg)
{
    db->closed = closed;
    db->closed_arg = arg;
    loop_hold(db->loop);
    pthread_mutex_lock(&db->lock);
    db->closing = true;
    pthread_cond_signal(&db->wake);
    pthread_mutex_unlock(&db->lock);
}

void logdb_close_now(struct logdb **pdb)
{
    struct logdb *db = *pdb;

    if (!db)
        return;
    BUG_ON(db->outstanding > 0);
    pthread_mutex_lock(&db->lock);
    db->closing = db->at_once = true;
    pthread_cond_signal(&db->wake);
    pthread_mutex_unlock(&db->lock);
    (void)pthread_join(db->thread, NULL);
    free_db(db);
    *pdb = NULL;
}

void logdb_add_hook(struct logdb *db, struct logdb_hook *h)
{
    struct logdb_hook **at = &db->hooks;

    while (*at)
        at = &(*at)->next;
    h->next = NULL;
    *at = h;
}

void logdb_remove_hook(struct logdb *db, struct logdb_hook *h)
{
    struct logdb_hook **at = &db->hooks;

    while (*at && *at != h)
        at = &(*at)->next;
    if (*at)
        *at = h->next;
}

sqlite3 *logdb_connection(struct logdb *db)
{
    return db->db;
}

const char *logdb_state_dir(const struct logdb *db)
{
    return db->state_dir;
}

const char *logdb_path(const struct logdb *db)
{
    return db->path;
}

enum status logdb_open_reader(const char *path, sqlite3 **out, struct err *e)
{
    enum status s = STATUS_OK;
    sqlite3 *db = NULL;

    *out = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        s = logdb_error(db, e, path);
    } else {
        (void)sqlite3_extended_result_codes(db, 1);
        (void)sqlite3_busy_timeout(db, LOGDB_READ_TIMEOUT_MS);
        if (sqlite3_exec(db, "SELECT 1 FROM sqlite_master LIMIT 1", NULL, NULL, NULL) != SQLITE_OK)
            s = logdb_error(db, e, path);
    }
    if (s != STATUS_OK)
        (void)sqlite3_close_v2(db);
    else
        *out = db;
    return s;
}
