/* What the files of the local backend share.
 *
 * One logic for both of its kinds: a call is a function that runs SQL. On log.sqlite it runs on the
 * writer's thread in the transaction of its group (logdb.h); in memory, on the loop, against a
 * private database of SQLite's. What the tables say is the truth: nothing is kept beside them but
 * the schedules' timers and the next fence. */
#ifndef CORE_SUBSTRATE_LOCAL_INTERNAL_H
#define CORE_SUBSTRATE_LOCAL_INTERNAL_H

#include <sqlite3.h>

#include "core/base/heap.h"
#include "core/record/eventlog.h"
#include "core/record/logdb.h"
#include "core/substrate/substrate_internal.h"

/* Every statement of the backend; local_sql.c has the texts. */
enum local_sql {
    SQL_COUNT_GET,
    SQL_COUNT_PUT,
    SQL_LEASE_GET,
    SQL_LEASE_PUT,
    SQL_LEASE_RENEW,
    SQL_LEASE_FREE,
    SQL_TIMER_PUT,
    SQL_TIMER_GET,
    SQL_TIMER_DELETE,
    SQL_TIMER_DELETE_ID,
    SQL_STREAM_GET,
    SQL_STREAM_PUT,
    SQL_STREAM_MARKS,
    SQL_STREAM_TOTALS,
    SQL_ENTRY_PUT,
    SQL_ENTRY_FIND,
    SQL_ENTRY_READ,
    SQL_ENTRY_SUM,
    SQL_ENTRY_TRIM,
    SQL_CURSOR_GET,
    SQL_CURSOR_PUT,
    SQL_CURSOR_MIN,
    SQL_CURSOR_DROP,
    SQL_CONFIG_CURRENT,
    SQL_CONFIG_PUT,
    SQL_CONFIG_PRUNE,
    SQL_BLOB_PUT,
    SQL_BLOB_GET,
    SQL_BLOB_PRUNE,
    SQL_KINDS
};

struct local {
    struct substrate base;
    struct logdb *db; /* NULL: in memory */
    struct eventlog *log;
    struct logdb_job end;
    /* The side of whoever runs the SQL. */
    sqlite3 *conn; /* in memory: ours */
    sqlite3_stmt *st[SQL_KINDS];
    uint32_t next_n; /* of the next fence; 0: none left in this epoch */
    /* In memory: calls wait here for their turn. */
    struct list queue;
    bool draining, stalled;
    /* Schedules: the loop's side. */
    struct map *timers; /* id -> struct timer */
    struct heap by_mono, by_wall;
    struct loop_timer due;
};

struct local_call {
    struct call call;
    struct logdb_job job;
    struct list queued;
};

static inline struct local *local_of(struct substrate *s)
{
    return container_of(s, struct local, base);
}

/* --- local_sql.c --- */
/** Makes the tables, raises the epoch, renews the leases. Start-up. */
enum status local_prepare(struct local *l, sqlite3 *db, const char *path, struct err *e);
void local_finalize(struct local *l);
/** Runs statement `q` with parameters as `types` says: i int64_t, z const char * (NULL fine), b
 * struct str as a blob, n nothing: NULL. SQLite's failures only. */
enum status local_exec(struct local *l, sqlite3 *db, struct err *e, enum local_sql q,
                       const char *types, ...);
/** As local_exec, for statements with rows: *row is the statement at its first row, to be given to
 * local_end (or stepped on with local_next); NULL when there is none. */
enum status local_row(struct local *l, sqlite3 *db, struct err *e, sqlite3_stmt **row,
                      enum local_sql q, const char *types, ...);
enum status local_next(sqlite3 *db, sqlite3_stmt **row, struct err *e);
void local_end(sqlite3_stmt **row);
/** A column's text in the call's arena; NULL for NULL. */
const char *local_text(struct call *c, sqlite3_stmt *row, int column);
struct str local_blob(struct call *c, sqlite3_stmt *row, int column);
static inline uint64_t local_u64(sqlite3_stmt *row, int column)
{
    return (uint64_t)sqlite3_column_int64(row, column);
}
/** The next `n` fences. UNSUPPORTED when the epoch has no more (2^32 of them). */
enum status local_take_fences(struct local *l, uint32_t n, uint64_t *first, struct err *e);

/* Each carries out one kind of call; on the writer's thread. A failure that is not SQLite's leaves
 * no trace. */
typedef enum status local_run_fn(struct local *l, sqlite3 *db, struct call *c, struct err *e);
/* local_keep.c */
local_run_fn run_count, run_fences, run_acquire, run_renew, run_release, run_check;
/* local_stream.c */
local_run_fn run_stream_open, run_put, run_stream_read, run_cursor_open, run_cursor_ack,
    run_cursor_drop;
/* local_config.c */
local_run_fn run_config_set, run_config_get, run_config_blob;
/* local_timer.c */
local_run_fn run_schedule, run_unschedule, run_fired;

/* --- local_timer.c: the loop's side --- */
void timers_init(struct local *l);
void timers_deinit(struct local *l);
/** Reads what waits. Start-up. */
enum status timers_load(struct local *l, sqlite3 *db, struct err *e);
/** A call for a schedule begins: until it is answered the schedule does not become due. False: it
 * is refused, as c->refused says. */
bool timers_hold(struct local *l, struct call *c);
/** It ended with `s`. */
void timers_release(struct local *l, struct call *c, enum status s);

#endif
