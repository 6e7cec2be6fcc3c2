#include "core/coord/run.h"

#include <stdio.h>

#include "core/coord/engine_internal.h"

struct run {
    struct run_opts opts;
    struct engine *engine;
    char batch[BATCH_ID_MAX]; /* "": not durable */
    void (*over)(void *arg, struct run *r);
    void *arg;
    uint64_t created_ms;
    struct run_end end;
    bool told_open;
};

#define RUN_TELL(r, callback, ...)                                                                 \
    do {                                                                                           \
        for (size_t w_ = 0; w_ < (r)->opts.n_watch; w_++) {                                        \
            if ((r)->opts.watch[w_].callback)                                                      \
                (r)->opts.watch[w_].callback((r)->opts.watch[w_].arg, __VA_ARGS__);                \
        }                                                                                          \
    } while (0)

/* --- what the engine tells --- */

/* Watchers learn that the run is open when its tasks can run. */
static void tell_open(struct run *r)
{
    if (r->told_open || !r->batch[0] || engine_state(r->engine) != ENGINE_READY)
        return;
    r->told_open = true;
    RUN_TELL(r, on_open, r);
}

static void on_state(void *arg, struct engine *e, enum engine_state s)
{
    (void)e;
    (void)s;
    tell_open(arg);
}

static void on_batch(void *arg, struct batch *b, enum batch_state s)
{
    struct run *r = arg;
    struct batch_info info;

    batch_info(b, &info);
    if (s == BATCH_PROCESSING) {
        snprintf(r->batch, sizeof(r->batch), "%s", info.id);
        snprintf(r->end.batch, sizeof(r->end.batch), "%s", info.id);
        snprintf(r->end.open, sizeof(r->end.open), "%s", info.open);
        r->end.before = info.finished;
        tell_open(r);
    } else if (batch_is_over(s)) {
        snprintf(r->end.close, sizeof(r->end.close), "%s", info.close);
        engine_end(r->engine);
    }
}

static void on_start(void *arg, const struct task *t, const struct attempt *a)
{
    RUN_TELL((struct run *)arg, on_start, t, a);
}

static void on_retry(void *arg, const struct task *t, const struct attempt *a, uint64_t delay_ms)
{
    RUN_TELL((struct run *)arg, on_retry, t, a, delay_ms);
}

static void on_task(void *arg, struct batch *b, const struct batch_task *t)
{
    (void)b;
    RUN_TELL((struct run *)arg, on_task, t);
}

static void on_op(void *arg, const struct op_call *call)
{
    RUN_TELL((struct run *)arg, on_op, call);
}

static void on_breaker(void *arg, struct str target, bool open)
{
    RUN_TELL((struct run *)arg, on_breaker, target, open);
}

static void on_slowed(void *arg, struct str target, uint64_t until_ms, const char *why)
{
    RUN_TELL((struct run *)arg, on_slowed, target, until_ms, why);
}

static void on_rotated(void *arg, const struct member *m, const char *from, const char *to,
                       enum status why)
{
    RUN_TELL((struct run *)arg, on_rotated, m, from, to, why);
}

static void on_event(void *arg, const char *what, const struct member *m, const char *text)
{
    RUN_TELL((struct run *)arg, on_event, what, m, text);
}

static void on_trouble(void *arg, const struct err *e)
{
    RUN_TELL((struct run *)arg, on_trouble, e);
}

static void on_drain(void *arg, const char *why)
{
    struct run *r = arg;

    r->end.drained = true;
    RUN_TELL(r, on_drain, why);
}

/* --- life --- */

/* Of a run whose texts were not kept (tests): it cannot be resumed. */
static const struct campaign_files no_files;

static struct batch_spec spec_of(const struct run *r)
{
    return (struct batch_spec){
        .conf = r->opts.conf,
        .files = r->opts.files ? r->opts.files : &no_files,
        .brings_engine = true,
    };
}

static enum status take_up(struct run *r, struct err *e)
{
    const struct batch_spec spec = spec_of(r);
    struct batch *b;

    return engine_resume(r->engine, r->opts.resume, &spec, &b, e);
}

enum status run_create(const struct run_opts *opts, struct run **out, struct err *e)
{
    struct run *r = xcalloc(1, sizeof(*r));
    const struct engine_opts engine = {
        .loop = opts->loop,
        .conf = opts->conf,
        .kit = opts->abandon ? &run_kit_none : opts->kit,
        .state_dir = opts->state_dir,
        .watch = {{on_state, on_batch, on_start, on_retry, on_task, on_op, on_breaker, on_slowed,
                   on_rotated, on_event, on_trouble, on_drain, r}},
        .n_watch = 1,
    };
    enum status s;

    r->opts = *opts;
    r->created_ms = loop_now_ms(opts->loop);
    s = engine_create(&engine, &r->engine, e);
    if (s == STATUS_OK && opts->resume)
        s = take_up(r, e);
    if (s == STATUS_OK)
        *out = r;
    else
        run_destroy(&r);
    return s;
}

void run_destroy(struct run **rp)
{
    struct run *r = *rp;

    if (!r)
        return;
    engine_destroy(&r->engine);
    json_destroy(&r->end.executor);
    free(r);
    *rp = NULL;
}

static void on_over(void *arg, struct engine *e)
{
    struct run *r = arg;
    struct engine_stats stats;

    r->end.status = engine_trouble(e, &r->end.err);
    r->end.took_ms = loop_now_ms(r->opts.loop) - r->created_ms;
    engine_stats(e, &stats);
    r->end.receipts = stats.receipts;
    r->end.executor = engine_describe(e);
    r->over(r->arg, r);
}

static void on_submitted(void *arg, enum status s, struct batch *b, const struct err *e)
{
    struct run *r = arg;

    (void)b;
    if (s != STATUS_OK)
        engine_fail(r->engine, s, e);
    if (s != STATUS_OK)
        engine_end(r->engine);
}

void run_start(struct run *r, void (*over)(void *arg, struct run *r), void *arg)
{
    const struct batch_spec spec = spec_of(r);

    r->over = over;
    r->arg = arg;
    engine_start(r->engine, NULL, on_over, r);
    if (r->opts.resume && r->opts.abandon)
        batch_cancel(engine_find(r->engine, r->opts.resume), NULL, NULL);
    if (r->opts.resume)
        batch_go_on(engine_find(r->engine, r->opts.resume));
    else
        engine_submit(r->engine, &spec, on_submitted, r);
}

void run_drain(struct run *r, const char *why)
{
    engine_drain(r->engine, why);
}

/* --- questions --- */

struct engine *run_engine(struct run *r)
{
    return r->engine;
}

const struct campaign_conf *run_conf(const struct run *r)
{
    return r->opts.conf;
}

const struct tally *run_tally(const struct run *r)
{
    return engine_tally(r->engine);
}

const struct run_end *run_end(const struct run *r)
{
    return &r->end;
}

uint64_t run_age_ms(const struct run *r)
{
    return loop_now_ms(r->opts.loop) - r->created_ms;
}

struct loop *run_loop(const struct run *r)
{
    return r->opts.loop;
}

const char *run_state_dir(const struct run *r)
{
    return engine_state_dir(r->engine);
}

struct sched *run_sched(struct run *r)
{
    return engine_sched(r->engine);
}

struct limiter *run_limiter(struct run *r)
{
    return engine_limiter(r->engine);
}

struct roster *run_roster(struct run *r)
{
    return engine_roster(r->engine);
}

struct member **run_members(struct run *r, size_t *n)
{
    return engine_members(r->engine, n);
}

int run_exit_code(const struct run *r)
{
    const struct tally *t = run_tally(r);
    uint64_t good = t->done[TASK_SUCCEEDED];

    if (r->end.status != STATUS_OK)
        return status_exit(r->end.status);
    if (r->opts.abandon)
        return EXIT_OK;
    if (t->breakers_opened > 0 || t->by_status[STATUS_BREAKER_OPEN] > 0)
        return EXIT_BREAKER;
    if (t->by_status[STATUS_HANDOFF] > 0)
        return EXIT_HANDOFF;
    if (good == t->total)
        return EXIT_OK;
    return good > 0 ? EXIT_PARTIAL : EXIT_FAILED;
}
