/* An executor that runs nothing: for a campaign that is ended and not gone on with. No browser is
 * started and nothing is asked of a target; every attempt that came to it would be cancelled. */
#include <stdio.h>

#include "core/coord/run.h"
#include "core/http/executor.h"

struct executor {
    struct loop *loop;
    void (*ready)(void *arg, enum status s, const struct err *e);
    void (*stopped)(void *arg);
    void *ready_arg, *stopped_arg;
};

static enum status none_create(const struct executor_env *env, struct executor **out, struct err *e)
{
    (void)e;
    *out = xcalloc(1, sizeof(**out));
    (*out)->loop = env->loop;
    return STATUS_OK;
}

static void on_ready(void *arg)
{
    struct executor *x = arg;
    struct err ok = ERR_INIT;

    x->ready(x->ready_arg, STATUS_OK, &ok);
}

static void none_start(struct executor *x,
                       void (*ready)(void *arg, enum status s, const struct err *e), void *arg)
{
    x->ready = ready;
    x->ready_arg = arg;
    loop_defer(x->loop, on_ready, x);
}

static void on_refused(void *arg)
{
    struct attempt *a = arg;

    a->done(a);
}

static void none_run(struct executor *x, struct attempt *a)
{
    a->error_step = -1;
    a->status = err_set(&a->err, STATUS_CANCELLED, "the campaign is abandoned");
    loop_defer(x->loop, on_refused, a);
}

static void none_cancel(struct executor *x, struct attempt *a, enum status why)
{
    (void)x;
    (void)a;
    (void)why; /* it ends by itself in the next turn */
}

static void on_stopped(void *arg)
{
    struct executor *x = arg;

    x->stopped(x->stopped_arg);
}

static void none_stop(struct executor *x, void (*stopped)(void *arg), void *arg)
{
    x->stopped = stopped;
    x->stopped_arg = arg;
    loop_defer(x->loop, on_stopped, x);
}

static void none_destroy(struct executor **xp)
{
    free(*xp);
    *xp = NULL;
}

static const struct executor_ops none = {
    .name = "none",
    .create = none_create,
    .start = none_start,
    .run = none_run,
    .cancel = none_cancel,
    .stop = none_stop,
    .destroy = none_destroy,
};

/* Identities are not shown to anybody. */
static enum status any_version(const struct campaign_conf *c, const char *state_dir, char out[32],
                               struct err *e)
{
    (void)c;
    (void)state_dir;
    (void)e;
    snprintf(out, 32, "%s", HTTP_EXECUTOR_BROWSER_VERSION);
    return STATUS_OK;
}

const struct run_kit run_kit_none = {.executor = &none, .browser_version = any_version};
