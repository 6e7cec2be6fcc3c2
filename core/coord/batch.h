/* A batch: tasks that were submitted to an engine (engine.h) together.
 *
 *   pending -> processing -> completed    all succeeded
 *      |            |------> failed       none did
 *      |            |------> partial      some did
 *      +------------+------> cancelled    before it was through
 *
 * A batch is acknowledged when it is durable, with all that is needed to carry it out: whatever
 * happens to the process then, the next engine on the state directory can go on with it
 * (engine_resume). What a task came to is durable, in one transaction with its receipt, before
 * anybody is told.
 *
 * Results are kept in log.sqlite, in the order of their index: the order of targets for "batch" and
 * "plan", target by target and member by member for "broadcast". Batches are borrowed from their
 * engine; across callbacks keep the id and look it up again (engine_find): finished batches are
 * forgotten in memory, oldest first, when there are more than ENGINE_BATCHES_KEPT. Loop thread
 * only. */
#ifndef CORE_COORD_BATCH_H
#define CORE_COORD_BATCH_H

#include "core/conf/campaign.h"
#include "core/coord/tally.h"

struct batch;
struct engine;
struct member;

enum batch_state {
    BATCH_PENDING,    /* submitted, not durable yet */
    BATCH_PROCESSING, /* acknowledged */
    BATCH_COMPLETED,
    BATCH_FAILED,
    BATCH_PARTIAL,
    BATCH_CANCELLED,
    BATCH_STATE_COUNT
};
const char *batch_state_name(enum batch_state s); /* "processing" */
bool batch_is_over(enum batch_state s);

enum {
    BATCH_ID_MAX = 24,        /* "b-0000012" with its NUL */
    BATCH_KEY_MAX = 200,      /* bytes of an idempotency key */
    BATCH_PAGE_MAX = 1000,    /* results in one page */
    BATCH_TASK_ID_MAX = 24,   /* "t-000012" with its NUL */
    BATCH_SPEC_MAX = 64 << 20 /* bytes of a batch's text */
};

/* --- what is submitted --- */

/** What is to be done. `conf` and `files` go together: the first is the second, decoded. */
struct batch_spec {
    const char *key;  /* idempotency key, 1..BATCH_KEY_MAX bytes; NULL: none */
    int16_t priority; /* -TASK_PRIORITY_MAX..TASK_PRIORITY_MAX, higher first; 0 is usual */
    const struct campaign_conf *conf;   /* of it: name, coordinator, flows, targets */
    const struct campaign_files *files; /* the texts it was made from: what is kept to resume it */
    struct arena *arena; /* that conf and files are in; taken over by engine_submit. NULL: they are
                            the caller's and outlive the engine */
    bool brings_engine;  /* conf is the engine's own as well (fleet run): resumed by `fleet resume`,
                            not by a serving engine */
};

/** A batch from JSON, as the API and `fleet batch submit` have it:
 *
 *   {"name", "key", "priority", "coordinator", "flow" | "stages": [...], "targets": [...]}
 *
 * with the meaning they have in a campaign file; all is inline: names of files are refused.
 * Members, limits and policy are the engine's: rates that they do not allow for a target are
 * refused here. Errors are collected in `errors`, lines of "batch: /path: found ..., expected ...";
 * INVALID, TOO_LARGE. On success *out owns an arena until engine_submit takes it or
 * batch_spec_deinit. */
must_check enum status batch_spec_decode(const struct engine *e, struct str json,
                                         struct batch_spec *out, struct buf *errors,
                                         struct err *er);
void batch_spec_deinit(struct batch_spec *s);

/* --- one batch --- */

/** All that can be said of it at once. Strings are borrowed, as long as the batch. */
struct batch_info {
    const char *id;         /* "b-0000012": grows with each batch of the state directory */
    const char *name, *key; /* key NULL: none */
    enum batch_state state;
    enum coordinator coordinator;
    int16_t priority;
    uint64_t total, finished, succeeded, failed; /* failed: finished and not succeeded */
    uint64_t running, waiting;                   /* now, in this engine; waiting includes retries */
    double progress;                             /* 0..1 */
    uint64_t opened_wall_ms, closed_wall_ms;     /* 0: not closed */
    bool cancelling;                             /* batch_cancel was called */
    bool resumed;                                /* begun by an earlier process */
    bool brings_engine;                          /* of `fleet run`: batch_spec */
    char open[65], close[65]; /* leaf hashes of its receipts, hex; "" while they are not durable */
};
void batch_info(const struct batch *b, struct batch_info *out);
enum batch_state batch_state(const struct batch *b);
const char *batch_id(const struct batch *b);
/** "batch", "name", "state", counts, "success_rate", "duration_ms":
 * {"mean","p50","p95","p99","max"}, "targets": per target, "errors": per status. The caller owns
 * it. */
must_check struct json *batch_summary(const struct batch *b);
/** batch_info as an object, for faces. The caller owns it. */
must_check struct json *batch_to_json(const struct batch *b);

/** Waiting tasks end cancelled, running ones as soon as their executor lets them; the batch then
 * ends CANCELLED. Harmless when it is over. The wish itself is durable when `done` is called (may
 * be NULL). */
void batch_cancel(struct batch *b, void (*done)(void *arg, enum status s, const struct err *e),
                  void *arg);

/* --- results --- */

/** Lines of results as in results.ndjson (design.md §10), without their ends, in order of index.
 * `next` is the `from` of the next page, or UINT64_MAX when this was the last for now. Borrowed for
 * the call. */
struct batch_page {
    const struct str *lines;
    size_t n;
    uint64_t next;
};
typedef void batch_page_fn(void *arg, enum status s, const struct batch_page *page,
                           const struct err *e);
/** Results with index >= from, at most `max` (1..BATCH_PAGE_MAX): only durable ones, gaps are tasks
 * that are not through. Read by a worker thread beside the writer. `id` of any batch of the state
 * directory, also of long ago. `done` once, from the loop. NOT_FOUND, IO, CORRUPT. */
void engine_results(struct engine *e, const char *id, uint64_t from, size_t max,
                    batch_page_fn *done, void *arg);

/** One finished task, as it stands in the results. Borrowed during the call. */
struct batch_task {
    const char *id; /* "t-000012" */
    uint32_t index, row, attempts;
    const char *url;
    struct str target;
    const struct member *member; /* NULL: never ran */
    enum task_state state;
    enum status status;
    const char *error; /* NULL when it succeeded */
    int error_step;
    const struct json *output, *artifacts; /* may be NULL */
    uint64_t started_wall_ms;              /* 0: never ran */
    uint64_t started_ms;                   /* since the engine began */
    uint64_t duration_ms;                  /* of the last attempt */
    const char *receipt;                   /* 64 hex digits */
};

#endif
