#include "core/base/work.h"
#include "core/base/loop_internal.h"

#include <uv.h>

struct work {
    uv_work_t req;
    struct loop *loop;
    void (*run)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

static void on_run(uv_work_t *req)
{
    struct work *w = container_of(req, struct work, req);

    w->run(w->arg);
}

static void on_done(uv_work_t *req, int status)
{
    struct work *w = container_of(req, struct work, req);
    void (*done)(void *arg) = w->done;
    void *arg = w->arg;
    bool closing = loop_is_closing(w->loop);

    BUG_ON(status != 0); /* nobody cancels */
    free(w);
    if (!closing)
        done(arg);
}

void work_submit(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg)
{
    struct work *w = xcalloc(1, sizeof(*w));
    int rc;

    w->loop = l;
    w->run = run;
    w->done = done;
    w->arg = arg;
    rc = uv_queue_work(loop_uv(l), &w->req, on_run, on_done);
    BUG_ON(rc != 0); /* only for run == NULL */
}
