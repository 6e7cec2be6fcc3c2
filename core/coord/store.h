/* What the engine keeps in log.sqlite, beside the receipts: its epoch, batches with all they need,
 * attempts, outputs of stages, and what tasks came to. Module "engine" of migrate.h:
 *
 *   engine(epoch, ended, last_batch) one row. `ended`: the epoch that closed in order;
 * `last_batch`: the greatest number of a batch that was removed batch(n, ...)                   one
 * row a batch, until it is removed: also the memory of its key batch_file(n << 16 | i, ...)    its
 * texts (0600, credentials of proxies included), until it is over task_done(n << 32 | index, ...)
 * what a task came to; `line` is its line of results without the receipt, which is in `leaf`
 *   task_stage(n << 32 | index)     pipelines: the last stage that went through, with its output
 *   removal(n)                      batches that were removed and whose results are not all gone
 * yet rotated(id, next, at_ms)        identities of members that became others task_log(n << 32 |
 * i)           attempts begun, confirmed and ended, many to a row, until the batch is over
 *
 * Integer keys only, no second index but that of keys. What belongs to a receipt is written in its
 * transaction (audit.h, struct audit_with): never one without the other. Statements are prepared
 * once and belong to the log's writer; what is read is read by connections of its own.
 *
 * Numbers of states in the tables are those of enum task_state and enum batch_state, which never
 * change. Loop thread only, unless said otherwise. */
#ifndef CORE_COORD_STORE_H
#define CORE_COORD_STORE_H

#include "core/coord/batch.h"
#include "core/record/audit.h"
#include "core/record/logdb.h"

struct store;

enum { STORE_TEXT_MAX = 256 * 1024 * 1024 }; /* bytes of all texts of a batch */

/** Makes or migrates the tables, raises the epoch: both durable when it returns. `db` was opened
 * and not submitted to. UNSUPPORTED, CORRUPT, NO_SPACE, IO; TOO_LARGE after 2^21 epochs. */
must_check enum status store_open(struct logdb *db, struct store **out, struct err *e);
/** Behind all that was submitted: notes that this epoch closed in order; `closed` once, on the
 * loop.
 */
void store_close(struct store *s, void (*closed)(void *arg), void *arg);
/** Of start-up code that fails: nothing was submitted. Before logdb_close_now. */
void store_close_now(struct store **s);

uint64_t store_epoch(const struct store *s); /* 1 .. 2^21 - 1, so that fences stay below 2^53 */
/** The process before this one closed its engine in order: no attempt was under way. */
bool store_was_ended(const struct store *s);
/** The number of a new batch: 1.. */
uint32_t store_take_number(struct store *s);

/* --- written with a receipt: filled by the caller, kept until the receipt's `done` --- */

struct store_open_batch { /* with "campaign.open" */
    struct audit_with with;
    struct store *store;
    uint32_t n, total;
    int16_t priority;
    bool brings_engine;
    enum coordinator coordinator;
    const char *key, *name; /* key NULL: none */
    uint64_t opened_ms;     /* wall */
    unsigned char hash[32]; /* of the texts */
    const struct campaign_files *files;
};
void store_with_open(struct store *s, struct store_open_batch *w);

struct store_task_done { /* with "task" */
    struct audit_with with;
    struct store *store;
    uint64_t id; /* store_task_id */
    uint32_t attempts;
    enum task_state state;
    struct str line;
};
void store_with_task(struct store *s, struct store_task_done *w);

struct store_stage_done { /* with "stage" */
    struct audit_with with;
    struct store *store;
    uint64_t id;
    uint32_t stage;
    struct str output; /* JSON */
};
void store_with_stage(struct store *s, struct store_stage_done *w);

struct store_over_batch { /* with "campaign.close" */
    struct audit_with with;
    struct store *store;
    uint32_t n;
    enum batch_state state;
    uint64_t closed_ms; /* wall */
    uint64_t succeeded, failed;
    struct str summary; /* JSON */
};
void store_with_over(struct store *s, struct store_over_batch *w);

struct store_rotated { /* with "identity.rotated" */
    struct audit_with with;
    struct store *store;
    char id[64], next[64];
    uint64_t at_ms; /* wall */
};
void store_with_rotated(struct store *s, struct store_rotated *w);

struct store_removed_batch { /* with "batch.removed" */
    struct audit_with with;
    struct store *store;
    uint32_t n;
};
void store_with_removed(struct store *s, struct store_removed_batch *w);

static inline uint64_t store_task_id(uint32_t batch, uint32_t index)
{
    return (uint64_t)batch << 32 | index;
}

/* --- attempts --- */

enum store_step {
    STORE_BEGUN,     /* an attempt begins */
    STORE_CONFIRMED, /* it is about to do what cannot be done twice */
    STORE_ENDED,     /* it ended and the task goes on: a retry */
    STORE_UNDONE,    /* it was interrupted and does not count */
};
enum { STORE_ENTRY = 12 }; /* bytes of one in a row */

struct store_entry {
    uint32_t index, stage;
    uint16_t attempt;
    enum store_step step;
};
void store_entry_add(struct buf *b, const struct store_entry *e);
void store_entry_read(const unsigned char *p, struct store_entry *out);

/** A row of entries of one batch. Malloc'ed by store_log_create, freed after `done`. */
struct store_log {
    struct logdb_job job;
    struct store *store;
    uint64_t id;        /* batch << 32 | row */
    struct buf entries; /* store_entry_add */
    void (*done)(struct store_log *l, enum status s, const struct err *e);
    void *arg;
};
void store_log_submit(struct store *s, struct store_log *l);

/** Notes that the batch is to be cancelled. `done` may be NULL. */
void store_cancel(struct store *s, uint32_t n,
                  void (*done)(void *arg, enum status s, const struct err *e), void *arg);

/* --- results of batches that were removed --- */

enum { STORE_SWEEP_ROWS = 1000 };

/** Deletes the next STORE_SWEEP_ROWS rows. `more`: there may be more. Freed by the caller after
 * `done`. */
struct store_sweep {
    struct logdb_job job;
    struct store *store;
    bool more;
    void (*done)(struct store_sweep *w, enum status s, const struct err *e);
    void *arg;
};
void store_sweep_submit(struct store *s, struct store_sweep *w);
/** An earlier process left some. */
bool store_must_sweep(const struct store *s);

/* --- read: blocking, for start-up; pages on worker threads --- */

/** A batch as its row says. Strings are in the arena of the read. */
struct store_batch {
    uint32_t n, total;
    int16_t priority;
    bool brings_engine, cancelling;
    enum coordinator coordinator;
    enum batch_state state;
    const char *key, *name; /* key NULL: none */
    uint64_t opened_ms, closed_ms;
    uint64_t succeeded, failed;
    unsigned char hash[32], open[AUDIT_LEAF], close[AUDIT_LEAF];
    struct str summary; /* "" while it is not over */
};
/** All batches in order of their number, or only batch `n` where that is not 0; `fn` returns false
 * to stop. */
must_check enum status store_read_batches(const char *db_path, uint32_t n, struct arena *a,
                                          bool (*fn)(void *arg, const struct store_batch *b),
                                          void *arg, struct err *e);
/** Batches that are over and ended before `before_ms` (wall), or of these only batch `n` where that
 * is not 0. Any thread. */
struct store_ended {
    uint32_t n;
    char *key; /* malloc'ed, taken over by `fn`; NULL: none */
    unsigned char open[AUDIT_LEAF], close[AUDIT_LEAF];
};
must_check enum status store_read_ended(const char *db_path, uint32_t n, uint64_t before_ms,
                                        void (*fn)(void *arg, const struct store_ended *b),
                                        void *arg, struct err *e);
/** All rows of `rotated`; borrowed for the call. */
must_check enum status store_read_rotated(const char *db_path,
                                          void (*fn)(void *arg, const char *id, const char *next,
                                                     uint64_t at_ms),
                                          void *arg, struct err *e);
/** The texts of a batch; NOT_FOUND when there are none: it is over. */
must_check enum status store_read_files(const char *db_path, uint32_t n, struct arena *a,
                                        struct campaign_files *out, struct err *e);

/** What is known of a batch that is to go on. Each in order of its key; borrowed for the call. */
struct store_reader {
    void (*on_done)(void *arg, uint32_t index, enum task_state state, uint32_t attempts,
                    struct str line);
    void (*on_stage)(void *arg, uint32_t index, uint32_t stage, struct str output);
    /** What is begun in one epoch and not ended in it was lost. */
    void (*on_entry)(void *arg, uint64_t epoch, const struct store_entry *e);
    void *arg;
};
/** *log_rows: the number of the next row of entries. */
must_check enum status store_read_tasks(const char *db_path, uint32_t n,
                                        const struct store_reader *r, uint32_t *log_rows,
                                        struct err *e);

/** One line of results, whole, onto the end of `out`, without its end. */
void store_line(struct str line, const unsigned char leaf[AUDIT_LEAF], struct buf *out);
/** A page of results onto `out`, each with its newline; `ends` gets the offset behind each line
 * (max places). *next as in struct batch_page. Any thread. NOT_FOUND: no such batch. */
must_check enum status store_read_page(const char *db_path, uint32_t n, uint64_t from, size_t max,
                                       struct buf *out, size_t *ends, size_t *n_out, uint64_t *next,
                                       struct err *e);
/** Lines of the results of a batch's tasks, whole, in order of their receipts; borrowed. */
must_check enum status store_read_lines(const char *db_path, uint32_t n,
                                        void (*fn)(void *arg, uint32_t index, struct str line),
                                        void *arg, struct err *e);

/** Single lines of a batch, by index: one query that is kept. Any thread, one at a time. */
struct store_lines;
must_check enum status store_lines_open(const char *db_path, uint32_t n, struct store_lines **out,
                                        struct err *e);
/** *line: whole, borrowed until the next call; empty: the task is not done. */
must_check enum status store_lines_get(struct store_lines *l, uint32_t index, struct str *line,
                                       struct err *e);
/** The same of the task with this index and receipt in whatever batch there is. */
must_check enum status store_lines_find(struct store_lines *l, uint32_t index,
                                        const unsigned char leaf[AUDIT_LEAF], struct str *line,
                                        struct err *e);
void store_lines_close(struct store_lines **l);

#endif
