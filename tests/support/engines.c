#include "tests/support/engines.h"

#include <stdio.h>
#include <string.h>

enum { WAIT_MS = 10000, SLOW_MS = 20, AGAIN_MAX = 1 };

unsigned noop_runs;
bool noop_works;

struct executor {
    struct executor_env env;
    size_t n_running;
};

struct noop {
    struct executor *x;
    struct attempt *attempt;
    struct loop_timer timer;
    bool confirming;
    enum status cancelled;
};

static const char *what(const struct attempt *a)
{
    return json_str(json_get(a->row, "do"), "");
}

static void end(struct noop *n, enum status s)
{
    struct attempt *a = n->attempt;

    a->status = s;
    a->may_have_happened = false;
    if (s == STATUS_OK)
        a->output = json_add_num(json_new_object(), "n", a->number);
    else
        err_set(&a->err, s, "as it was told");
    loop_timer_stop(&n->timer);
    a->exec = NULL;
    n->x->n_running--;
    free(n);
    a->done(a);
}

static void on_time(struct loop_timer *t)
{
    struct noop *n = container_of(t, struct noop, timer);
    const char *w = what(n->attempt);

    if (n->cancelled != STATUS_OK)
        end(n, STATUS_CANCELLED);
    else if (strcmp(w, "fail") == 0)
        end(n, STATUS_ASSERTION_FAILED);
    else if (strcmp(w, "again") == 0 && n->attempt->number <= AGAIN_MAX)
        end(n, STATUS_UNAVAILABLE);
    else
        end(n, STATUS_OK);
}

static void on_confirmed(void *arg, enum status s, const struct err *e)
{
    struct noop *n = arg;

    (void)e;
    n->confirming = false;
    if (n->cancelled != STATUS_OK || s != STATUS_OK)
        end(n, n->cancelled != STATUS_OK ? STATUS_CANCELLED : s);
    else
        loop_timer_start(n->x->env.loop, &n->timer, SLOW_MS, on_time);
}

static void noop_run(struct executor *x, struct attempt *a)
{
    struct noop *n = xcalloc(1, sizeof(*n));
    const char *w = what(a);

    n->x = x;
    n->attempt = a;
    a->exec = n;
    x->n_running++;
    noop_runs++;
    if (strcmp(w, "once") == 0) {
        n->confirming = true;
        a->confirm(a, on_confirmed, n);
    } else if (strcmp(w, "hang") != 0) {
        loop_timer_start(x->env.loop, &n->timer, strcmp(w, "slow") == 0 ? SLOW_MS : 0, on_time);
    }
}

static void noop_cancel(struct executor *x, struct attempt *a, enum status why)
{
    struct noop *n = a->exec;

    if (!n || n->cancelled != STATUS_OK)
        return;
    n->cancelled = why;
    if (!n->confirming)
        loop_timer_start(x->env.loop, &n->timer, 0, on_time);
}

static size_t noop_working(const struct executor *x)
{
    return noop_works ? x->n_running : 0;
}

static enum status noop_create(const struct executor_env *env, struct executor **out, struct err *e)
{
    (void)e;
    *out = xcalloc(1, sizeof(**out));
    (*out)->env = *env;
    return STATUS_OK;
}

struct call {
    void (*ready)(void *arg, enum status s, const struct err *e);
    void *arg;
};

static void on_ready(void *p)
{
    struct call c = *(struct call *)p;

    free(p);
    c.ready(c.arg, STATUS_OK, NULL);
}

static void noop_start(struct executor *x,
                       void (*ready)(void *arg, enum status s, const struct err *e), void *arg)
{
    struct call *c = xcalloc(1, sizeof(*c));

    *c = (struct call){ready, arg};
    loop_defer(x->env.loop, on_ready, c);
}

static void noop_stop(struct executor *x, void (*stopped)(void *arg), void *arg)
{
    loop_defer(x->env.loop, stopped, arg);
}

static void noop_destroy(struct executor **x)
{
    free(*x);
    *x = NULL;
}

const struct executor_ops noop_executor = {
    .name = "noop",
    .create = noop_create,
    .start = noop_start,
    .working = noop_working,
    .run = noop_run,
    .cancel = noop_cancel,
    .stop = noop_stop,
    .destroy = noop_destroy,
};

static enum status no_browser(const struct campaign_conf *c, const char *state_dir, char out[32],
                              struct err *e)
{
    (void)c;
    (void)state_dir;
    (void)e;
    snprintf(out, 32, "156.0.8078.79");
    return STATUS_OK;
}

const struct run_kit noop_kit = {.executor = &noop_executor, .browser_version = no_browser};

/* --- one that does nothing at all --- */

static void on_turn(void *p)
{
    struct attempt *a = p;

    a->status = STATUS_OK;
    a->done(a);
}

static void bare_run(struct executor *x, struct attempt *a)
{
    loop_defer(x->env.loop, on_turn, a);
}

static void bare_cancel(struct executor *x, struct attempt *a, enum status why)
{
    (void)x;
    (void)a;
    (void)why; /* it ends at the next turn in any case */
}

static const struct executor_ops bare_executor = {
    .name = "bare",
    .create = noop_create,
    .start = noop_start,
    .run = bare_run,
    .cancel = bare_cancel,
    .stop = noop_stop,
    .destroy = noop_destroy,
};

const struct run_kit bare_kit = {.executor = &bare_executor, .browser_version = no_browser};

/* --- the rig --- */

static void on_trouble(void *arg, const struct err *e)
{
    struct engine_rig *r = arg;

    r->has_trouble = true;
    r->trouble = *e;
}

#define AUDIT "\"audit\":{\"sink\":null,\"sign\":\"checkpoint\"},"

void engine_rig_open(struct engine_rig *r, const char *state_dir, const char *more)
{
    struct buf text = BUF_INIT(BUF_MAX_LINE), errors = BUF_INIT(BUF_MAX_LINE);
    struct campaign_source source = {.from = &r->files};
    struct engine_opts opts = {.kit = &noop_kit, .n_watch = 1};
    struct err e = ERR_INIT;

    memset(r, 0, sizeof(*r));
    r->arena = arena_create(NULL, 0);
    buf_addf(&text,
             "{%s\"flow\":{},\"targets\":[\"http://127.0.0.1/\"],\"name\":\"rig\","
             "\"limits\":{\"max_requests\":1000000,\"robots\":false},"
             "\"retry\":{\"max\":2,\"base_ms\":1,\"cap_ms\":2},"
             "%s\"output\":{\"results\":\"%s/results.ndjson\",\"artifacts\":\"%s/out\"}}",
             more, strstr(more, "\"audit\"") ? "" : AUDIT, state_dir, state_dir);
    campaign_files_add(r->arena, &r->files, "/rig", arena_str(r->arena, buf_str(&text)));
    if (campaign_load_from(r->arena, &source, &r->conf, &errors, &e) != STATUS_OK)
        fail_msg("%s", errors.ptr);
    assert_int_equal(loop_create(&r->loop, NULL, &e), STATUS_OK);
    opts.loop = r->loop;
    opts.conf = &r->conf;
    opts.state_dir = state_dir;
    opts.watch[0] = (struct engine_watch){.on_trouble = on_trouble, .arg = r};
    if (engine_create(&opts, &r->engine, &e) != STATUS_OK)
        fail_msg("engine: %s", err_text(&e));
    buf_deinit(&text);
    buf_deinit(&errors);
}

void engine_rig_wait(struct engine_rig *r, bool (*done)(void *arg), void *arg, const char *sentence)
{
    uint64_t until = test_now_ms() + WAIT_MS;

    while (!done(arg)) {
        if (test_now_ms() > until)
            fail_msg("not within %d ms: %s", WAIT_MS, sentence);
        loop_run_once(r->loop, 10);
    }
}

static bool is_true(void *arg)
{
    return *(bool *)arg;
}

static void rig_ready(void *arg, enum status s, const struct err *e)
{
    struct engine_rig *r = arg;

    (void)e;
    assert_int_equal(s, STATUS_OK);
    r->is_ready = true;
}

static void rig_over(void *arg, struct engine *e)
{
    struct engine_rig *r = arg;

    (void)e;
    r->is_over = true;
}

void engine_rig_start(struct engine_rig *r)
{
    engine_start(r->engine, rig_ready, rig_over, r);
    engine_rig_wait(r, is_true, &r->is_ready, "the engine is ready");
}

struct submitted {
    bool told;
    enum status status;
    char id[BATCH_ID_MAX];
    struct err err;
};

static void on_submitted(void *arg, enum status s, struct batch *b, const struct err *e)
{
    struct submitted *x = arg;

    x->told = true;
    x->status = s;
    if (b)
        snprintf(x->id, sizeof(x->id), "%s", batch_id(b));
    if (e)
        x->err = *e;
}

struct batch *engine_rig_submit(struct engine_rig *r, const char *json, struct err *e)
{
    struct buf errors = BUF_INIT(BUF_MAX_LINE);
    struct submitted x = {0};
    struct batch_spec spec;

    x.status = batch_spec_decode(r->engine, str_from(json), &spec, &errors, &x.err);
    buf_deinit(&errors);
    if (x.status == STATUS_OK) {
        engine_submit(r->engine, &spec, on_submitted, &x);
        assert_false(x.told); /* never from inside */
        engine_rig_wait(r, is_true, &x.told, "the batch is answered for");
    }
    if (e)
        *e = x.err;
    return x.status == STATUS_OK ? engine_find(r->engine, x.id) : NULL;
}

struct finishing {
    struct engine *engine;
    const char *id;
};

static bool batch_over(void *arg)
{
    struct finishing *f = arg;
    const struct batch *b = engine_find(f->engine, f->id);

    return b && batch_is_over(batch_state(b));
}

void engine_rig_finish(struct engine_rig *r, const char *id)
{
    struct finishing f = {r->engine, id};

    engine_rig_wait(r, batch_over, &f, "the batch is over");
}

void engine_rig_close(struct engine_rig *r)
{
    if (engine_state(r->engine) != ENGINE_CREATED && !r->is_over) {
        engine_end(r->engine);
        engine_rig_wait(r, is_true, &r->is_over, "the engine is over");
    }
    engine_destroy(&r->engine);
    loop_destroy(&r->loop);
    arena_destroy(&r->arena);
}
