/* One writer for all who keep state in log.sqlite. Why one thread and one transaction for a group:
 * what costs is the fsync, not the rows; a thousand rows cost about as much as one. Nothing lingers
 * to fill a group: while one commit is under way the next group gathers, so a single job is
 * answered at once and a flood is committed by the thousand. Jobs that nobody waits for do linger,
 * for LOGDB_LAZY_MS: one by one they would keep the writer busy with nothing but commits. */
#include "core/record/logdb.h"

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <time.h>

struct logdb {
    struct loop *loop;
    char *state_dir, *path;
    int lock_fd;
    size_t outstanding; /* jobs not answered; loop thread */
    void (*closed)(void *arg);
    void *closed_arg;
    pthread_t thread;

    pthread_mutex_t lock; /* guards the queue and `closing` */
    pthread_cond_t wake;
    struct logdb_job *first, *last;
    size_t n_queued; /* jobs of the queue */
    size_t n_lazy;   /* the same when all of them are lazy, else 0 */
    uint64_t due_ms; /* then: when they are written; else 0, at once */
    bool closing;
    bool at_once; /* logdb_close_now waits: nothing is posted */

    sqlite3 *db; /* start-up: loop thread; later the writer's, as all below */
    sqlite3_stmt *begin, *commit;
    struct logdb_hook *hooks;
    struct group *ahead; /* the next one, whose hooks know of it already; NULL: none */
    struct err failed;   /* status OK as long as commits succeed */
};

enum { GROUP_SMALL = 256, CACHE_SMALL = 2 << 20 }; /* jobs; bytes: see shed_cache */

/* Jobs that were committed, or failed, together: posted to the loop once. */
struct group {
    struct logdb *db;
    struct logdb_job *first, *last;
    size_t n;
    bool begun;     /* the hooks know of it */
    struct err err; /* of all, unless OK */
};

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

/* --- the writer --- */

static uint64_t mono_ms(void)
{
    return clock_mono_ms(clock_system());
}

/* On the loop: every job of the group gets its answer. */
static void answer_group(void *arg)
{
    struct group *g = arg;
    struct logdb *db = g->db;
    struct logdb_job *job = g->first;

    BUG_ON(db->outstanding < g->n);
    db->outstanding -= g->n;
    if (db->outstanding == 0)
        loop_release(db->loop);
    while (job) {
        struct logdb_job *next = job->next;
        struct err *own = job->error;
        enum status s = g->err.status != STATUS_OK ? g->err.status : job->status;

        job->next = NULL;
        job->error = NULL;
        job->done(job, s, g->err.status != STATUS_OK ? &g->err : own);
        free(own);
        job = next;
    }
    free(g);
}

static enum status step(struct logdb *db, sqlite3_stmt *st, const char *what, struct err *e)
{
    int rc = sqlite3_step(st);
    enum status s = rc == SQLITE_DONE ? STATUS_OK : logdb_error(db->db, e, what);

    (void)sqlite3_reset(st);
    return s;
}

/* Runs the jobs. A failure with peer_code set is SQLite's, and the group's; any other is the job's
 * own. */
static enum status run_jobs(struct logdb *db, struct group *g, struct err *e)
{
    for (struct logdb_job *job = g->first; job; job = job->next) {
        struct err own = ERR_INIT;

        if (job->control)
            continue;
        job->status = job->run(job, db->db, &own);
        if (job->status == STATUS_OK)
            continue;
        if (own.peer_code != 0 || sqlite3_get_autocommit(db->db)) {
            *e = own;
            return job->status;
        }
        job->error = xcalloc(1, sizeof(*job->error));
        *job->error = own;
    }
    return STATUS_OK;
}

static enum status before_commit(struct logdb *db, struct err *e)
{
    for (struct logdb_hook *h = db->hooks; h; h = h->next) {
        enum status s = h->before_commit ? h->before_commit(h, db->db, e) : STATUS_OK;

        if (s != STATUS_OK)
            return s;
    }
    return STATUS_OK;
}

static enum status begin(struct logdb *db, struct err *e)
{
    int failed = fault_point("logdb.begin");

    if (failed)
        return err_set_errno(e, STATUS_IO, failed, "begin %s", db->path);
    return step(db, db->begin, "begin", e);
}

static enum status commit(struct logdb *db, struct err *e)
{
    int failed = fault_point("logdb.commit");

    if (failed)
        return err_set_errno(e, STATUS_IO, failed, "commit %s", db->path);
    return step(db, db->commit, "commit", e);
}

/* After a failure within a transaction the modules' state in memory is ahead of the file: nothing
 * more is written until it is opened anew. */
static void fail_for_good(struct logdb *db, struct err *e)
{
    (void)sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
    err_prefix(e, "%s", db->path);
    db->failed = *e;
    log_error(NULL, "logdb.failed", LOG_STR("path", db->path), LOG_ERR(e));
}

static void run_control(const struct group *g)
{
    for (struct logdb_job *job = g->first; job; job = job->next)
        if (job->control)
            (void)job->run(job, NULL, NULL);
}

static void begin_group(struct logdb *db, struct group *g)
{
    g->begun = true;
    for (struct logdb_hook *h = db->hooks; h; h = h->next)
        if (h->begin_group)
            h->begin_group(h, g->first);
}

static void end_group(struct logdb *db, const struct group *g)
{
    for (struct logdb_hook *h = db->hooks; g->begun && h; h = h->next)
        if (h->end_group)
            h->end_group(h);
}

/* The jobs between the hooks' begin_group and end_group. */
static enum status run_hooked(struct logdb *db, struct group *g, struct err *e)
{
    enum status s;

    if (!g->begun)
        begin_group(db, g);
    s = run_jobs(db, g, e);
    end_group(db, g);
    return s;
}

/* The first jobs of the queue, as many as fit. The lock is held. */
static struct group *cut(struct logdb *db)
{
    struct group *g = xcalloc(1, sizeof(*g));

    g->db = db;
    g->first = db->first;
    for (g->last = g->first, g->n = 1; g->last->next && g->n < LOGDB_GROUP_MAX; g->n++)
        g->last = g->last->next;
    db->first = g->last->next;
    g->last->next = NULL;
    db->n_queued -= g->n;
    db->n_lazy = 0;
    db->due_ms = 0; /* what is left was too much for one group */
    if (!db->first)
        db->last = NULL;
    return g;
}

static bool is_early(const struct logdb *db)
{
    for (const struct logdb_hook *h = db->hooks; h; h = h->next)
        if (h->early)
            return true;
    return false;
}

/* What a module does by the group ahead of its jobs (signing) need not wait for the disk. */
static void begin_ahead(struct logdb *db)
{
    if (!is_early(db))
        return;
    pthread_mutex_lock(&db->lock);
    if (db->n_queued >= LOGDB_AHEAD_MIN)
        db->ahead = cut(db);
    pthread_mutex_unlock(&db->lock);
    if (db->ahead)
        begin_group(db, db->ahead);
}

/* The log is only added to, so pages behind its end are of no use again. A large group has the
 * cache for itself and keeps it; of small ones (a browser's pages) it would only ever grow. */
static void shed_cache(struct logdb *db, size_t n)
{
    int used = 0, high = 0;

    if (n < GROUP_SMALL &&
        sqlite3_db_status(db->db, SQLITE_DBSTATUS_CACHE_USED, &used, &high, 0) == SQLITE_OK &&
        used > CACHE_SMALL)
        (void)sqlite3_db_release_memory(db->db);
}

static enum status run_committed(struct logdb *db, struct group *g, struct err *e)
{
    enum status s = run_hooked(db, g, e);

    if (s == STATUS_OK)
        s = before_commit(db, e);
    if (s != STATUS_OK)
        return s;
    begin_ahead(db);
    return commit(db, e);
}

static bool has_leader(const struct group *g)
{
    for (const struct logdb_job *job = g->first; job; job = job->next)
        if (job->leads)
            return true;
    return false;
}

/* No transaction could be begun. Nothing was touched, and the next group may fare better; unless
 * the modules are ahead of the file with this one, or later jobs rely on one of it. */
static void not_begun(struct logdb *db, const struct group *g, struct err *e)
{
    end_group(db, g);
    if (g->begun || has_leader(g))
        fail_for_good(db, e);
    else
        err_prefix(e, "%s", db->path);
}

static void run_group(struct logdb *db, struct group *g)
{
    struct err e = ERR_INIT;
    struct logdb_hook *next;
    size_t n = g->n;

    run_control(g);
    if (db->failed.status != STATUS_OK) {
        end_group(db, g);
        e = db->failed;
    } else if (begin(db, &e) != STATUS_OK) {
        not_begun(db, g, &e);
    } else if (run_committed(db, g, &e) != STATUS_OK) {
        fail_for_good(db, &e);
    }
    g->err = e;
    loop_post(db->loop, answer_group, g);
    for (struct logdb_hook *h = db->hooks; h; h = next) {
        next = h->next;
        if (h->after_commit)
            h->after_commit(h, db->db, e.status == STATUS_OK);
    }
    shed_cache(db, n);
}

static uint64_t next_idle_ms(const struct logdb *db)
{
    uint64_t at = 0;

    for (const struct logdb_hook *h = db->hooks; h; h = h->next)
        if (h->idle && h->idle_at_ms && (at == 0 || h->idle_at_ms < at))
            at = h->idle_at_ms;
    return at;
}

static void run_idle(struct logdb *db)
{
    uint64_t now = mono_ms();
    struct logdb_hook *next;

    for (struct logdb_hook *h = db->hooks; h; h = next) {
        next = h->next;
        if (h->idle && h->idle_at_ms && h->idle_at_ms <= now) {
            h->idle_at_ms = 0;
            h->idle(h, db->db);
        }
    }
}

/* Waits for jobs, for the end or for `until_ms` (0: no limit); the lock is held. */
static void wait_for_work(struct logdb *db, uint64_t until_ms)
{
    struct timespec ts = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000L};

    if (until_ms)
        (void)pthread_cond_timedwait(&db->wake, &db->lock, &ts);
    else
        (void)pthread_cond_wait(&db->wake, &db->lock);
}

/* Until when there is nothing to do, 0: without limit. False: there is. The lock is held. */
static bool may_wait(const struct logdb *db, uint64_t idle_ms, uint64_t *until_ms)
{
    *until_ms = idle_ms;
    if (db->closing || (db->first && !db->due_ms))
        return false;
    if (db->first && (!idle_ms || db->due_ms < idle_ms))
        *until_ms = db->due_ms;
    return !*until_ms || mono_ms() < *until_ms;
}

/* The next group; NULL when an idle call is due or when all is done (*end). */
static struct group *take_group(struct logdb *db, bool *end)
{
    uint64_t idle_ms = next_idle_ms(db), until_ms;
    struct group *g = steal_ptr(&db->ahead);

    if (g)
        return g;
    pthread_mutex_lock(&db->lock);
    while (may_wait(db, idle_ms, &until_ms))
        wait_for_work(db, until_ms);
    *end = !db->first && db->closing;
    if (db->first && (db->closing || db->due_ms <= mono_ms()))
        g = cut(db);
    pthread_mutex_unlock(&db->lock);
    return g;
}

static void close_connection(struct logdb *db)
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

static void on_writer_end(void *arg)
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

static void *writer_main(void *arg)
{
    struct logdb *db = arg;
    bool end = false;

    (void)pthread_setname_np(pthread_self(), "fleet-log");
    /* Until the first job the connection and the hooks are the start-up code's. */
    pthread_mutex_lock(&db->lock);
    while (!db->first && !db->closing)
        wait_for_work(db, 0);
    pthread_mutex_unlock(&db->lock);
    while (!end) {
        struct group *g = take_group(db, &end);

        if (g)
            run_group(db, g);
        else if (!end)
            run_idle(db);
    }
    close_connection(db); /* also moves the write-ahead log into the file: not for the loop */
    if (!db->at_once)
        loop_post(db->loop, on_writer_end, db);
    return NULL;
}

/* --- open and close --- */

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
    rc = pthread_create(&db->thread, NULL, writer_main, db);
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
        close_connection(db);
        free_db(db);
        return s;
    }
    *out = db;
    return STATUS_OK;
}

/* When the queue is written once `job` is in it. True: the writer has to know. The lock is held. */
static bool set_due(struct logdb *db, const struct logdb_job *job)
{
    bool was_empty = !db->first, waited = db->due_ms != 0;

    if (job->lazy && (was_empty || waited) && db->n_lazy + 1 < LOGDB_LAZY_MAX) {
        db->n_lazy++;
        if (was_empty)
            db->due_ms = mono_ms() + LOGDB_LAZY_MS;
        return was_empty;
    }
    db->n_lazy = 0;
    db->due_ms = 0;
    return was_empty || waited;
}

void logdb_submit(struct logdb *db, struct logdb_job *job)
{
    bool wake;

    if (db->outstanding++ == 0)
        loop_hold(db->loop);
    job->next = NULL;
    job->status = STATUS_OK;
    job->error = NULL;
    pthread_mutex_lock(&db->lock);
    BUG_ON(db->closing);
    wake = set_due(db, job);
    if (!db->first)
        db->first = job;
    else
        db->last->next = job;
    db->last = job;
    db->n_queued++;
    if (wake)
        pthread_cond_signal(&db->wake);
    pthread_mutex_unlock(&db->lock);
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
