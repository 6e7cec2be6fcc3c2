#include "browser/pool_internal.h"

/* After a failed start the next is tried no sooner; twice as late after each further one. */
enum { RESTART_MS = 250, RESTART_MAX_MS = 30000, RESTART_DOUBLINGS = 7 };

uint64_t pool_now_ms(const struct pool *p)
{
    return loop_now_ms(p->opts.loop);
}

void pool_tell(const struct pool *p, const char *what, const struct member *m, const char *text)
{
    if (p->opts.targets.on_event != NULL)
        p->opts.targets.on_event(p->opts.targets.arg, what, m, text);
}

bool pool_is_kept(const struct pool *p)
{
    return p->opts.context == CONTEXT_KEPT;
}

bool pool_is_broken(const struct pool *p)
{
    return p->failures >= POOL_STARTS && pool_now_ms(p) < p->not_before_ms;
}

static void start_first(struct pool *p)
{
    if (p->ready != NULL && list_empty(&p->homes) && !pool_is_broken(p))
        (void)pool_start_one(p, p->opts.n_members > 0 ? p->opts.members[0] : NULL);
}

static void on_again(struct loop_timer *t)
{
    struct pool *p = container_of(t, struct pool, again);

    if (p->stopping)
        return;
    start_first(p);
    pool_serve(p);
    pool_settle(p);
}

/* Instances that were started side by side and fail together are one failure. */
void pool_start_failed(struct pool *p, uint64_t started_ms, const struct err *e)
{
    unsigned doublings = p->failures < RESTART_DOUBLINGS ? p->failures : RESTART_DOUBLINGS;
    uint64_t wait = (uint64_t)RESTART_MS << doublings;

    p->last_failure = *e;
    log_error(NULL, "instance.failed", LOG_ERR(e));
    if (p->failures == 0 || started_ms >= p->not_before_ms) {
        p->failures++;
        p->not_before_ms = pool_now_ms(p) + (wait < RESTART_MAX_MS ? wait : RESTART_MAX_MS);
    }
    if (p->failures >= POOL_STARTS)
        err_prefix(&p->last_failure, "%u starts in a row failed", p->failures);
    if (p->stopping)
        return;
    loop_timer_start(p->opts.loop, &p->again,
                     p->not_before_ms > pool_now_ms(p) ? p->not_before_ms - pool_now_ms(p) : 0,
                     on_again);
    pool_serve_soon(p);
}

void pool_tell_ready(struct pool *p, enum status s, const struct err *e)
{
    void (*ready)(void *arg, enum status st, const struct err *er) = p->ready;

    p->ready = NULL;
    if (ready != NULL)
        ready(p->ready_arg, s, e);
}

void pool_settle(struct pool *p)
{
    void (*stopped)(void *arg);

    if (p->ready != NULL && list_empty(&p->homes) && pool_is_broken(p))
        pool_tell_ready(p, p->last_failure.status, &p->last_failure);
    if (!p->stopping || p->stopped == NULL || !list_empty(&p->homes) || !list_empty(&p->ending) ||
        p->n_holds > 0 || p->serve_posted)
        return;
    stopped = p->stopped;
    p->stopped = NULL;
    stopped(p->stopped_arg);
}

static void on_quiet(void *arg)
{
    struct pool *p = arg;

    if (p->stopping)
        pool_serve_soon(p);
}

struct pool *pool_create(const struct pool_opts *opts)
{
    struct pool *p = xcalloc(1, sizeof *p);

    p->opts = *opts;
    p->opts.targets.n_holds = &p->n_holds;
    p->opts.targets.on_quiet = on_quiet;
    p->opts.targets.quiet_arg = p;
    p->arena = arena_create(NULL, 0);
    p->seats = xcalloc(opts->n_members + 1, sizeof *p->seats);
    list_init(&p->homes);
    list_init(&p->waiting);
    list_init(&p->ending);
    for (size_t i = 0; i < opts->n_members; i++)
        p->seats[i].member = opts->members[i];
    return p;
}

void pool_start(struct pool *p, void (*ready)(void *arg, enum status s, const struct err *e),
                void *arg)
{
    p->ready = ready;
    p->ready_arg = arg;
    loop_timer_start(p->opts.loop, &p->measure,
                     p->opts.limits.measure_ms != 0 ? p->opts.limits.measure_ms : POOL_MEASURE_MS,
                     pool_on_measure);
    start_first(p);
}

void pool_stop(struct pool *p, void (*stopped)(void *arg), void *arg)
{
    struct err e = ERR_INIT;

    p->stopping = true;
    p->stopped = stopped;
    p->stopped_arg = arg;
    pool_tell_ready(p, STATUS_CANCELLED, &e);
    loop_timer_stop(&p->measure);
    loop_timer_stop(&p->again);
    list_for_each_safe (l, &p->homes)
        home_retire(list_entry(l, struct home, link), NULL);
    pool_serve_soon(p);
}

void pool_destroy(struct pool **pp)
{
    struct pool *p = *pp;

    if (p == NULL)
        return;
    *pp = NULL;
    BUG_ON(!list_empty(&p->homes) || !list_empty(&p->waiting));
    loop_timer_stop(&p->measure);
    loop_timer_stop(&p->again);
    for (size_t i = 0; i < p->opts.n_members; i++) {
        free(p->seats[i].cookies);
        arena_destroy(&p->seats[i].arena);
        arena_destroy(&p->seats[i].arena_before);
    }
    free(p->seats);
    arena_destroy(&p->arena);
    free(p);
}

void pool_scale(struct pool *p, uint32_t slots)
{
    p->opts.slots = slots;
    pool_shed(p);
}

void pool_describe(const struct pool *p, struct json *into)
{
    struct json *arr = json_new_array();

    list_for_each (l, &p->homes)
        json_push(arr, home_describe(list_entry(l, struct home, link)));
    json_add(into, "instances", arr);
}
