/* One writer for all who keep state in log.sqlite. Why one thread and one transaction for a group:
 * what costs is the fsync, not the rows; a thousand rows cost about as much as one. Nothing lingers
 * to fill a group: while one commit is under way the next group gathers, so a single job is
 * answered at once and a flood is committed by the thousand. Jobs that nobody waits for do linger,
 * for LOGDB_LAZY_MS: one by one they would keep the writer busy with nothing but commits. */
#include "core/record/logdb_internal.h"

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"

#include <time.h>

enum { GROUP_SMALL = 256, CACHE_SMALL = 2 << 20 }; /* jobs; bytes: see shed_cache */

/* Jobs that were committed, or failed, together: posted to the loop once. */
struct group {
    struct logdb *db;
    struct logdb_job *first, *last;
    size_t n;
    bool begun;     /* the hooks know of it */
    struct err err; /* of all, unless OK */
};

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

void *logdb_writer_main(void *arg)
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
    /* also moves the write-ahead log into the file: not for the loop */
    logdb_close_connection(db);
    if (!db->at_once)
        loop_post(db->loop, logdb_on_writer_end, db);
    return NULL;
}

/* --- the queue --- */

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
