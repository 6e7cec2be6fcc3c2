/* `<state>/log.sqlite`: one connection, one writer thread, group commit. Modules that keep
 * something in it (audit, eventlog, tasks) submit jobs; all jobs of a group share one transaction
 * (WAL, synchronous=FULL), so a task's completion and its receipt cost one fsync.
 *
 *   submit (loop) -> queue -> [writer: BEGIN, run, run, ..., before_commit hooks, COMMIT] -> done,
 * done, ... (loop, in order) ; after_commit hooks
 *
 * When a commit fails (full disk, I/O error) all jobs of the group get the error, and so do all
 * later ones: the database stays as it was and is not written again until it is opened anew. Loop
 * thread only, unless said otherwise. */
#ifndef CORE_RECORD_LOGDB_H
#define CORE_RECORD_LOGDB_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/loop.h"

struct sqlite3;
struct logdb;
struct logdb_job;

/** On the writer thread, within the transaction. A failure other than of SQLite itself must leave
 * the transaction without traces of this job: check first, write then. The status is this job's
 * own; return logdb_error() for what SQLite refused: it ends the whole group. */
typedef enum status logdb_run_fn(struct logdb_job *job, struct sqlite3 *db, struct err *e);
/** On the loop, exactly once: the job's status, or the group's when the commit failed. The job is
 * the owner's again. */
typedef void logdb_done_fn(struct logdb_job *job, enum status s, const struct err *e);

/** Embedded in the owner's struct; untouched by the owner between submit and done. */
struct logdb_job {
    logdb_run_fn *run;
    logdb_done_fn *done;
    /** Not for the database: `run` (db NULL, its status is not looked at) is called before the
     * others of its group, also when the database has failed. */
    bool control;
    /** Nobody waits for it: it may lie for LOGDB_LAZY_MS until others come that share its commit.
     */
    bool lazy;
    /** Later jobs stand for it as well: when it is not written, none of them is, as after a failed
     * commit. */
    bool leads;
    struct logdb_job *next; /* private from here */
    enum status status;
    struct err *error;
};

/** A module that wants to act once a group. Functions may be NULL. All on the writer thread. */
struct logdb_hook {
    /** `first` and what follows it by `next` are the group's jobs, in the order they will run. Once
     * the transaction is open; or, where a hook is `early` and LOGDB_AHEAD_MIN jobs wait, while the
     * group before is being committed: between its before_commit and its after_commit. */
    void (*begin_group)(struct logdb_hook *h, const struct logdb_job *first);
    /** What it does from begin_group on takes longer than the commit before. */
    bool early;
    /** Last in the transaction. A failure fails the group. */
    enum status (*before_commit)(struct logdb_hook *h, struct sqlite3 *db, struct err *e);
    /** After the last of the group's jobs has run, or one of them ended the group, or it could not
     * be begun: from here on they may be gone. Follows each begin_group. */
    void (*end_group)(struct logdb_hook *h);
    /** After the group's answers were posted; `ok`: it was committed. May take its own hook out. */
    void (*after_commit)(struct logdb_hook *h, struct sqlite3 *db, bool ok);
    /** When idle_at_ms has come and no job waits. idle_at_ms is 0 then; set it anew if need be. */
    void (*idle)(struct logdb_hook *h, struct sqlite3 *db);
    uint64_t idle_at_ms; /* CLOCK_MONOTONIC, 0: never; written by the hook's own functions only */
    struct logdb_hook *next; /* private */
};

enum {
    LOGDB_GROUP_MAX = 4096,       /* jobs in one transaction */
    LOGDB_AHEAD_MIN = 1024,       /* that wait: the next group may be begun early */
    LOGDB_LAZY_MS = 20,           /* how long jobs wait that nobody waits for */
    LOGDB_LAZY_MAX = 512,         /* so many of them do not wait any longer */
    LOGDB_READ_TIMEOUT_MS = 5000, /* how long a reader or a foreign writer is waited for */
};

/** Makes `state_dir` (0700) and its `run/`, takes the exclusive lock `run/log.lock`, opens the
 * database, starts the writer. Blocking, for start-up. BUSY with the pid of the process that has
 * it; CORRUPT when it is no database; NO_SPACE, PERMISSION, IO. */
must_check enum status logdb_open(struct loop *l, const char *state_dir, struct logdb **out,
                                  struct err *e);
/** Appends the job. It is answered also when the database failed or is closing (SHUTTING_DOWN). */
void logdb_submit(struct logdb *db, struct logdb_job *job);
/** Finishes what is queued, ends the thread, closes the file, drops the lock; then `closed` (may be
 * NULL) on the loop. No submit after this. */
void logdb_close(struct logdb *db, void (*closed)(void *arg), void *arg);

/** The same, waiting here, for start-up code that fails half-way: nothing may have been submitted.
 * Sets *db to NULL. */
void logdb_close_now(struct logdb **db);

/** Before the first submit, for start-up code only: the connection, used from the loop's thread to
 * create tables (migrate.h) and to load state. */
struct sqlite3 *logdb_connection(struct logdb *db);
/** Hooks run in the order added. Before the first submit. The hook must outlive the database's
 * writer. */
void logdb_add_hook(struct logdb *db, struct logdb_hook *h);
/** From the hook's own functions: it is not called again. */
void logdb_remove_hook(struct logdb *db, struct logdb_hook *h);
const char *logdb_state_dir(const struct logdb *db);
const char *logdb_path(const struct logdb *db);
/** A new read-only connection for a thread of the caller's own, which closes it. Any thread. */
must_check enum status logdb_open_reader(const char *path, struct sqlite3 **out, struct err *e);

/** The failure of `db` as an error: NO_SPACE (SQLITE_FULL, or IOERR with ENOSPC), BUSY, CORRUPT,
 * PERMISSION (READONLY), NO_MEMORY, IO; the extended code in peer_code. "what: sqlite's sentence".
 * Any thread that owns the connection. */
enum status logdb_error(struct sqlite3 *db, struct err *e, const char *what);

#endif
