/* The engine: what lives long in a process that runs campaigns. It owns the state directory, the
 * log (audit, events, tasks), guards, proxies, members with their forwarders, gate, executor and
 * scheduler; batches (batch.h) come and go on it. `fleet run` is an engine with one batch (run.h),
 * `fleet serve` one that waits for them.
 *
 *   CREATED -> STARTING -> READY -> DRAINING -> STOPPING -> CLOSING -> OVER
 *                  |                               ^
 *                  +------- could not start -------+
 *
 *   STARTING   the executor gets ready. Batches may be submitted already; they wait
 *   READY      tasks run; pause holds back new ones
 *   DRAINING   no new tasks, no new batches; those running finish
 *   STOPPING   executor, then the gate's last calls
 *   CLOSING    batches that are not over get a receipt that says so ("campaign.pause"); then log
 * and reaper
 *
 * Durable, in log.sqlite (core/coord/store.h): the epoch, raised before any work of this process;
 * batches with all they need; attempts begun; what tasks came to, with their receipts. Fencing
 * tokens of attempts are epoch << 32 | n, < 2^53.
 *
 * Trouble (no space for log or results, a failed commit) is told once to watchers; the engine then
 * drains at once, and nothing that was not durable is told. Loop thread only; callbacks come from
 * the loop, once, never from inside the call, unless said otherwise. */
#ifndef CORE_COORD_ENGINE_H
#define CORE_COORD_ENGINE_H

#include "core/coord/batch.h"
#include "core/sched/sched.h"

struct engine;
struct gate;
struct logdb;
struct op_call;
struct op_table;
struct substrate;

enum {
    ENGINE_WATCHES_MAX = 8,
    ENGINE_BATCHES_MAX = 10000, /* not over at a time; BUSY past it */
    ENGINE_BATCHES_KEPT = 1000, /* finished ones that stay in memory */
    ENGINE_SLOTS_MAX = CONF_SLOTS_MAX,
};

enum engine_state {
    ENGINE_CREATED,
    ENGINE_STARTING,
    ENGINE_READY,
    ENGINE_DRAINING,
    ENGINE_STOPPING,
    ENGINE_CLOSING,
    ENGINE_OVER,
    ENGINE_STATE_COUNT
};
const char *engine_state_name(enum engine_state s); /* "ready" */

/** What a program brings: fleet the browser, fleet-core plain HTTP. Static. */
struct run_kit {
    const struct executor_ops *executor;
    /** Adds the executor's rows to the op table; may be NULL. */
    void (*add_ops)(struct op_table *t);
    /** Version of the browser that identities are to show ("156.0.8078.79"), asked of what will
     * run. */
    enum status (*browser_version)(const struct campaign_conf *c, const char *state_dir,
                                   char out[32], struct err *e);
    bool needs_reaper;
};

/** Who looks on: progress, report, API, metrics. Any callback may be NULL. All that is handed over
 * is borrowed for the call. */
struct engine_watch {
    void (*on_state)(void *arg, struct engine *e, enum engine_state s);
    void (*on_batch)(void *arg, struct batch *b, enum batch_state s); /* it came to this state */
    void (*on_start)(void *arg, const struct task *t, const struct attempt *a);
    void (*on_retry)(void *arg, const struct task *t, const struct attempt *a, uint64_t delay_ms);
    void (*on_task)(void *arg, struct batch *b, const struct batch_task *t);
    void (*on_op)(void *arg, const struct op_call *call);
    void (*on_breaker)(void *arg, struct str target, bool open);
    void (*on_slowed)(void *arg, struct str target, uint64_t until_ms, const char *why);
    void (*on_rotated)(void *arg, const struct member *m, const char *from, const char *to,
                       enum status why);
    /** What the executor tells ("instance started", "page killed", ...), the autoscaler ("scaled"),
     * and pressure of memory or processors ("slots held"). `m` may be NULL. */
    void (*on_event)(void *arg, const char *what, const struct member *m, const char *text);
    void (*on_trouble)(void *arg, const struct err *e);
    void (*on_drain)(void *arg, const char *why);
    void *arg;
};

struct engine_opts {
    struct loop *loop;
    const struct campaign_conf *conf; /* outlives the engine. Its flow and targets are not used */
    const struct run_kit *kit;
    const char *state_dir; /* NULL: FLEET_STATE_DIR, or .fleet */
    struct engine_watch watch[ENGINE_WATCHES_MAX];
    size_t n_watch;
    bool events; /* each task's end is an event of the substrate; batches' states always are */
};

/* --- life --- */

/** Checks and makes what can be made without waiting: state directory, log, epoch, guards, members.
 * Blocking. ENVIRONMENT, PERMISSION, BUSY, AUDIT_INVALID ...; nothing is left behind on failure. */
must_check enum status engine_create(const struct engine_opts *opts, struct engine **out,
                                     struct err *e);
/** Before engine_start: one more watcher. */
void engine_watch_add(struct engine *e, const struct engine_watch *w);
/** Goes. `ready` (may be NULL) when the executor is, or with why it is not; `over` at the end, then
 * engine_destroy. */
void engine_start(struct engine *e, void (*ready)(void *arg, enum status s, const struct err *e),
                  void (*over)(void *arg, struct engine *e), void *arg);
/** First call: no new tasks or batches; those running finish within the run deadline and 10 s.
 * Again: what runs is cancelled at once. Batches that are not over stay for a resume. */
void engine_drain(struct engine *e, const char *why);
/** As engine_drain the second time, for one that has nothing more to do: nobody is told of a drain.
 */
void engine_end(struct engine *e);
/** CREATED or OVER only. */
void engine_destroy(struct engine **e);

enum engine_state engine_state(const struct engine *e);
/** OK, or what trouble ended it. */
enum status engine_trouble(const struct engine *e, struct err *out);

/* --- batches --- */

/** `b` is NULL unless OK. */
typedef void engine_submitted_fn(void *arg, enum status s, struct batch *b, const struct err *e);
/** Answered when the batch is durable (OK), and never lost from then on. A key that is known: OK
 * with the batch that has it, when the spec is the same (nothing is done twice), else EXISTS, with
 * that batch's id in the sentence. BUSY, SHUTTING_DOWN, INVALID, NO_SPACE, IO. Takes spec->arena
 * over in any case; spec itself is copied. */
void engine_submit(struct engine *e, const struct batch_spec *spec, engine_submitted_fn *done,
                   void *arg);
/** NULL: no such batch is in memory. */
struct batch *engine_find(struct engine *e, const char *id);
/** Those in memory, oldest first: size_t it = 0; while ((b = engine_next(e, &it))) ... */
struct batch *engine_next(struct engine *e, size_t *it);
/** Takes up a batch of an earlier process that is not over, with what it was made of (store.h has
 * its texts): between engine_create and engine_start. What is done is read back, its results file
 * is brought up to date; batch_go_on then lets it run. Blocking. Takes spec->arena over in any
 * case. NOT_FOUND; EXISTS: it is over, or has been taken up; INVALID: other members than it had;
 * IO, CORRUPT and what cannot be written of its results. */
must_check enum status engine_resume(struct engine *e, const char *id,
                                     const struct batch_spec *spec, struct batch **out,
                                     struct err *er);
/** After engine_resume, before or after engine_start: "campaign.resume" is appended to the log, and
 * its tasks run. */
void batch_go_on(struct batch *b);
/** *n batches were removed; with an error perhaps not all. */
typedef void engine_removed_fn(void *arg, enum status s, size_t n, const struct err *e);
/** Removes a batch that is over: its row with key and summary, and its results. A signed receipt
 * "batch.removed" says so. When `done` is called it is durable, and nobody finds the batch any
 * more; its results go in the background, and their room in log.sqlite is used again. Receipts
 * stay, as all of the audit log does; so do files of artefacts. Its number is not given again; its
 * key is free. NOT_FOUND; BUSY: it is not over, or an attempt that was given up still needs it. */
void engine_remove(struct engine *e, const char *id, engine_removed_fn *done, void *arg);
/** The same of all batches of the state directory that ended before `before_ms` (wall). Those that
 * are still needed are left out. */
void engine_remove_older(struct engine *e, uint64_t before_ms, engine_removed_fn *done, void *arg);
/** Goes on with all batches of earlier processes that are not over and do not bring their own
 * engine: for `fleet serve`, after engine_create. They are acknowledged already; errors are told as
 * trouble. Returns how many. Blocking: reads log.sqlite. */
must_check enum status engine_resume_all(struct engine *e, size_t *n, struct err *er);

/* --- at run time --- */

/** Holds back new tasks; those running go on. */
void engine_pause(struct engine *e, bool paused);
bool engine_is_paused(const struct engine *e);
/** Slots from now on, 1..ENGINE_SLOTS_MAX: more are there at once; fewer as soon as those too many
 * are free. INVALID. Switches the autoscaler off until the next start. */
must_check enum status engine_scale(struct engine *e, uint32_t slots, struct err *er);

/** What the machine is short of, as a sentence; NULL: nothing. Looked at every two seconds.
 * Borrowed until the loop turns. */
const char *engine_pressure(const struct engine *e);

/** Settings that may change while tasks run. They hold for attempts that begin from now on. */
struct engine_settings {
    uint32_t slots;
    struct sched_deadlines deadlines;
    struct sched_retry retry;
    uint32_t target_concurrency; /* tasks of one target at a time; 0: no limit */
    uint32_t cpu_pressure, memory_pressure, memory_available; /* percent; scale.h: scale_conf */
    uint32_t per_cpu; /* tasks at work for each processor; 0: no bound */
};
void engine_settings(const struct engine *e, struct engine_settings *out);
/** INVALID with the sentence that names the field; nothing is changed then. */
must_check enum status engine_update(struct engine *e, const struct engine_settings *s,
                                     struct err *er);
/** The same from an object {"slots","deadlines":{...},"retry":{...},"target_concurrency",
 * "autoscale":{...}}: members that are absent stay. INVALID: "/retry/max: found ..., expected ...".
 */
must_check enum status engine_update_json(struct engine *e, const struct json *j, struct err *er);
must_check struct json *engine_settings_json(const struct engine *e);

/** `leaf`: of the receipt, AUDIT_LEAF bytes; NULL when there is none. */
typedef void engine_reset_fn(void *arg, enum status s, const unsigned char *leaf,
                             const struct err *e);
/** Closes an open breaker: a signed receipt, then the reset, then `done`. NOT_FOUND: not open. */
void engine_breaker_reset(struct engine *e, struct str target, engine_reset_fn *done, void *arg);

/** `from`, and `to`, who the member is from now on; `to` NULL: it has a task, and rotates when that
 * has ended. `leaf`: of the receipt; NULL with `to`. */
typedef void engine_rotated_fn(void *arg, enum status s, const char *from, const char *to,
                               const unsigned char *leaf, const struct err *e);
/** The member becomes somebody else: a signed receipt, another identity with nothing of the one
 * before, then `done`. SHUTTING_DOWN; what members_create says of identities. */
void engine_rotate(struct engine *e, struct member *m, engine_rotated_fn *done, void *arg);

/* --- what can be asked at any time --- */

struct engine_stats {
    enum engine_state state;
    bool paused;
    uint64_t epoch, age_ms;
    uint32_t slots, busy;              /* slots wanted; slots with a task */
    uint32_t admitted;                 /* slots that may be in use: fewer under pressure */
    uint32_t working, working_max;     /* tasks with work for the processors, as far as is known; so
                                          many may have, 0: no bound */
    const char *pressure;              /* what the machine is short of; NULL: nothing. Borrowed */
    size_t waiting, running, delayed;  /* tasks; waiting includes delayed */
    size_t batches_open, batches_over; /* in memory */
    double tasks_per_s, ops_per_s;     /* over the last 10 s */
    uint64_t receipts;                 /* in the log */
};
void engine_stats(const struct engine *e, struct engine_stats *out);
/** The stats with the tally (totals, per target, per error, durations): what `fleet status --json`
 * and GET /v1/stats show. The caller owns it. */
must_check struct json *engine_stats_json(const struct engine *e);

/** Slot i < n: what it does. `batch` and the task's name are NULL and "" when it is free. */
struct engine_slot {
    uint32_t index, generation;
    enum slot_state state;
    const struct batch *batch;
    char task[BATCH_TASK_ID_MAX];
    uint32_t attempt;
    const char *url;
    const struct member *member;
    uint64_t age_ms;
    uint64_t fence;
};
uint32_t engine_slots(const struct engine *e);
void engine_slot(const struct engine *e, uint32_t i, struct engine_slot *out);
/** The busy ones as an array, for faces. The caller owns it. */
must_check struct json *engine_slots_json(const struct engine *e);

const struct campaign_conf *engine_conf(const struct engine *e);
/** Of all batches of this process. */
const struct tally *engine_tally(const struct engine *e);
uint64_t engine_epoch(const struct engine *e);
struct loop *engine_loop(const struct engine *e);
const char *engine_state_dir(const struct engine *e);
struct sched *engine_sched(struct engine *e); /* NULL until READY */
struct gate *engine_gate(struct engine *e);
struct executor *engine_executor(struct engine *e); /* NULL until it was started */
struct limiter *engine_limiter(struct engine *e);
struct breaker *engine_breaker(struct engine *e);
struct roster *engine_roster(struct engine *e); /* NULL: no proxies */
struct member **engine_members(struct engine *e, size_t *n);
struct audit *engine_audit(struct engine *e);         /* NULL once closed */
struct logdb *engine_logdb(struct engine *e);         /* NULL once closed */
struct substrate *engine_substrate(struct engine *e); /* NULL once closed */
/** What the executor says of itself; NULL when it says nothing. The caller owns it. */
must_check struct json *engine_describe(const struct engine *e);

#endif
