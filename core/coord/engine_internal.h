/* What the files of an engine share: engine.c (its life), engine_make.c (its parts), engine_batch.c
 * (batches from submission to close), engine_task.c (tasks and their receipts), engine_log.c
 * (attempts), engine_rotate.c (members that become somebody else), engine_resume.c and
 * engine_results.c (what earlier processes left), engine_remove.c (batches that go), engine_ask.c
 * (settings and statistics). */
#ifndef CORE_COORD_ENGINE_INTERNAL_H
#define CORE_COORD_ENGINE_INTERNAL_H

#include "core/coord/coord.h"
#include "core/coord/engine.h"
#include "core/coord/results.h"
#include "core/coord/scale.h"
#include "core/coord/store.h"
#include "core/fleet/members.h"
#include "core/op/gate.h"

struct http;
struct prober;
struct reaper;
struct robots;

enum {
    SETTLING_MAX = 16384, /* receipts of tasks on their way before the scheduler is held back */
    RATE_SECONDS = 10,
    TASK_LINE_MAX = 64 * 1024 * 1024, /* bytes of a line of results, without its receipt */
};

/* Finished tasks and ops of each of the last seconds. */
struct rates {
    uint64_t second[RATE_SECONDS + 1]; /* which second a place is of */
    uint64_t tasks[RATE_SECONDS + 1], ops[RATE_SECONDS + 1];
};

/* What is known of a task when its batch goes on after a crash. */
struct replay {
    uint64_t epoch; /* of the last entry */
    uint32_t stage;
    uint16_t attempts;
    uint8_t lost;
    bool running, confirmed, unknown, is_done;
};

struct log_row; /* engine_log.c */

/* A submission that waits for its batch to be durable. */
struct waiter {
    engine_submitted_fn *done;
    void *arg;
    struct waiter *next;
};

struct batch {
    struct engine *engine;
    struct list link; /* engine->batches */
    uint32_t n;       /* its number */
    char id[BATCH_ID_MAX];
    char *key, *name; /* key NULL: none */
    unsigned char hash[32];
    enum batch_state state;
    enum coordinator coordinator;
    int16_t priority;
    bool brings_engine, cancelling, resumed;
    bool begun;      /* its tasks are with the scheduler */
    bool is_closing; /* the closing receipt is on its way */
    bool is_heavy;   /* it is over, but an attempt that was given up may still use its parts */
    uint32_t total;
    uint64_t finished, succeeded;  /* durable */
    uint64_t opened_ms, closed_ms; /* wall */
    char open[AUDIT_HEX_MAX], close[AUDIT_HEX_MAX];
    unsigned char open_leaf[AUDIT_LEAF];
    char *summary; /* JSON; NULL while it is not over */

    /* gone when it is over */
    const struct campaign_conf *conf;
    const struct campaign_files *files;
    struct arena *arena; /* of conf and files; NULL: the submitter's */
    struct coord *coord;
    struct task *tasks;
    void *plan; /* the executor's */
    bool has_plan;
    const char *artifacts_dir; /* NULL: none */
    const char *results_base;  /* absolute directory of the results; "" : paths stay absolute */
    struct results *results;   /* its results.ndjson; NULL: none */
    bool results_closing;
    struct replay *replay; /* until its tasks are with the scheduler */
    size_t n_settling;     /* receipts on their way */
    size_t running;        /* attempts */
    struct tally tally;
    bool has_tally;
    struct waiter *waiters;

    /* attempts that are not in the store yet */
    struct log_row *log;
    uint32_t log_rows;
    struct list dirty; /* engine->dirty, while there are some */
};

struct engine {
    struct engine_opts opts;
    struct loop *loop;
    const struct campaign_conf *conf;
    struct arena *arena;
    char *state_dir;
    enum engine_state state;
    void (*ready)(void *arg, enum status s, const struct err *e);
    void (*over)(void *arg, struct engine *e);
    void *arg;
    uint64_t created_ms, created_wall_ms;
    struct engine_settings settings;
    struct err trouble; /* status OK: none */

    struct logdb *logdb;
    struct audit *audit;
    struct store *store;
    struct substrate *substrate;
    struct breaker *breaker;
    struct limiter *limiter;
    struct policy *policy;
    struct http *http;
    struct robots *robots;
    struct roster *roster;
    struct prober *prober; /* NULL: none */
    struct op_table *table;
    struct gate *gate;
    struct members members;
    struct reaper *reaper;
    struct executor *executor;
    struct sched *sched;

    struct map *targets;   /* host -> key of limits, NUL-terminated */
    struct list batches;   /* oldest first */
    struct list dirty;     /* batches with attempts to note */
    struct map *by_number; /* number -> struct batch */
    struct map *by_key;    /* key -> struct key_of */
    struct map *removing;  /* numbers of batches whose removal is on its way */
    bool sweeping;         /* rows of removed ones are being deleted */
    size_t n_open, n_over; /* batches */
    const char *artifacts_dir;
    struct buf scratch; /* engine_task.c: texts that are copied at once */
    struct tally tally;
    struct rates rates;
    struct autoscaler scaler;
    struct admission admission; /* while the scaler is off */
    bool scales;
    bool is_pressed;
    char pressure[SCALE_TEXT_MAX];
    struct loop_timer scale_timer;
    struct room room; /* of the processors, while tasks are held back for them */
    struct loop_timer room_timer;
    bool wants_room;            /* a task was held back since the last look */
    uint64_t epoch, next_fence; /* halves of fences */

    struct map *rotated; /* id of an identity -> whom it rotated to (engine_rotate.c) */
    size_t n_asked;      /* members that are to rotate when their task has ended; never too few */
    bool look_posted;

    bool executor_ready; /* or failed */
    bool executor_runs;  /* it must be stopped */
    bool sched_idle;
    bool user_paused, held;
    bool waits_for_begin; /* the process before this one crashed: attempts wait until they are noted
                           */
    unsigned drains;      /* how often it was asked to stop */
    size_t n_settling;    /* receipts of tasks on their way, all batches */
    size_t n_closing;     /* closing receipts and other ends on their way */
    size_t n_logging;
    struct loop_timer timer; /* polls the gate at the end */
    uint64_t stop_by_ms;
    bool flush_posted;
    struct json *described; /* by the executor, before it stopped */
    uint64_t receipts;      /* in the log, once that is closed */
};

/* The memory of a key: also of batches that were forgotten. */
struct key_of {
    uint32_t n;
    unsigned char hash[32];
};

/* engine_make.c */
must_check enum status engine_make(struct engine *e, struct err *er);
void engine_unmake(struct engine *e);
/** Key of limits and breaker for a host. */
const char *engine_target_key(struct engine *e, struct str host);
/** Guards are told of a batch's targets. */
void engine_know_targets(struct engine *e, const struct campaign_conf *conf);
/** The scheduler; the executor is ready. */
void engine_make_sched(struct engine *e);

/* engine.c */
/** Ends the engine early: told once to watchers; tasks are not dispatched any more. */
void engine_fail(struct engine *e, enum status s, const struct err *er);
/** Looks whether it may go on to its end. */
void engine_check_end(struct engine *e);
/** Holds the scheduler back while much is on its way. */
void engine_hold(struct engine *e);
/** One of n_closing is done. */
void engine_closed_one(struct engine *e);

/* engine_rotate.c */
/** Reads whom identities rotated to; before members are made. */
must_check enum status engine_load_rotated(struct engine *e, struct err *er);
/** members_env.next_of */
const char *engine_next_of(void *arg, const char *id, uint64_t *since_ms);
/** deps.begin of the scheduler: the member rotates first, when it is due; then engine_log_begin. */
bool engine_rotate_begin(void *arg, const struct task *t, struct attempt *a);
/** An attempt has ended: its member may have been asked to rotate. */
void engine_rotate_look(struct engine *e);

/* engine_ask.c */
/** Looks at the machine from now on. */
void engine_start_scaling(struct engine *e);
/** deps.may_begin of the scheduler: processors have room for another task. */
bool engine_may_begin(void *arg);
void rates_count(struct rates *r, uint64_t now_ms, uint64_t tasks, uint64_t ops);

/* engine_batch.c */
/** A batch that is known: with or without tasks still to come. */
struct batch *batch_create(struct engine *e, uint32_t n);
void batch_destroy(struct batch *b);
/** Directories and results file of a batch with a configuration. `resumed`: the file is continued.
 */
must_check enum status batch_open_outputs(struct batch *b, struct err *er);
/** Its tasks go to the scheduler, if both are ready. */
void batch_begin(struct batch *b);
/** All its tasks are durable: closes it. */
void batch_check_end(struct batch *b);
/** At the engine's end: the receipt that says that it is to go on. */
void batch_suspend(struct batch *b);
void batch_move(struct batch *b, enum batch_state to);
/** It is over, and nobody here needs it any more. */
bool batch_is_idle(struct batch *b);
/** The batch that is to go on, with what it needs; its tasks are read. */
void batch_take_spec(struct batch *b, const struct batch_spec *spec);

/* engine_task.c */
void engine_task_deps(struct sched_deps *deps);
/** All tasks that the coordinator asks for at first. */
void batch_emit_all(struct batch *b);
void batch_cancel_tasks(struct batch *b);

/* engine_log.c */
void engine_log(struct batch *b, const struct task *t, uint16_t attempt, enum store_step step);
/** Sends what was noted of all batches on its way; at the end of the turn it goes by itself. */
void engine_log_flush(struct engine *e);
/** Forgets what was not sent: the batch is over. */
void engine_log_drop(struct batch *b);
/** deps.begin of the scheduler. */
bool engine_log_begin(void *arg, const struct task *t, struct attempt *a);
void engine_log_confirm(struct attempt *a,
                        void (*go)(void *arg, enum status s, const struct err *e), void *arg);

/* engine_remove.c */
/** Deletes, bit by bit, what removed batches left. */
void engine_sweep(struct engine *e);

/* engine_resume.c */
/** "b-0000012" -> 12; 0: it is none. */
uint32_t batch_number(const char *id);
/** Batches of earlier processes: keys, and what is over for those who ask. At start. */
must_check enum status engine_load_batches(struct engine *e, struct err *er);

/* --- engine_hook.c: the policy's program --- */
must_check enum status engine_make_hook(struct engine *e, struct err *er);
/** The gate's last call is over: the program is no longer needed. */
void engine_end_hook(struct engine *e);

/* engine_results.c */
/** Opens the results of a batch that goes on, checked against the log and mended. */
must_check enum status batch_complete_results(struct batch *b, struct err *er);

/* batch_payload.c */
void batch_payload_open(const struct batch *b, struct buf *out);
void batch_payload_authorized(const struct campaign_conf *c, struct buf *out);
/** What it came to so far. `drained`: it is to go on later. */
void batch_payload_counts(const struct batch *b, bool drained, struct buf *out);

/* batch_line.c */
/** The result's line without the receipt, and the receipt's payload (RFC 8785). */
struct task_text {
    const struct batch_task *t;
    const struct err *err;
    bool retryable;
};
void batch_line_write(const struct task_text *x, struct buf *out);
void batch_payload_write(const struct task_text *x, struct buf *out);

#define ENGINE_TELL(e, callback, ...)                                                              \
    do {                                                                                           \
        for (size_t w_ = 0; w_ < (e)->opts.n_watch; w_++) {                                        \
            if ((e)->opts.watch[w_].callback)                                                      \
                (e)->opts.watch[w_].callback((e)->opts.watch[w_].arg, __VA_ARGS__);                \
        }                                                                                          \
    } while (0)

#endif
