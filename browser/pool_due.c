#include <inttypes.h>
#include <stdio.h>

#include "browser/pool_internal.h"
#include "browser/chromium/memory.h"
#include "core/base/work.h"

/* The context of a seat without a lease leaves a home that is due. */
void seat_leaves(struct home *h, struct seat *s)
{
    if (s->warm) {
        seat_cool(s);
        return;
    }
    if (pool_is_kept(h->pool) && context_is_usable(s->ctx) && !h->pool->stopping) {
        seat_save_cookies(h, s);
        return;
    }
    context_destroy(&s->ctx);
    s->home = NULL;
}

/* Closes it when nobody needs it any more. */
void home_settle(struct home *h)
{
    if (!h->due || h->stopping || h->n_leases > 0 || h->n_saving > 0)
        return;
    h->stopping = true;
    instance_stop(h->instance);
}

void home_retire(struct home *h, const char *why)
{
    struct pool *p = h->pool;

    if (h->due)
        return;
    h->due = true;
    instance_drain(h->instance);
    if (why != NULL) {
        log_info(NULL, "pool.recycled", LOG_STR("instance", h->name), LOG_STR("why", why));
        pool_tell(p, "instance recycled", h->owner, why);
    }
    for (size_t i = 0; i < p->opts.n_members; i++)
        if (p->seats[i].home == h && p->seats[i].ctx != NULL &&
            (p->seats[i].lease == NULL || p->seats[i].lease->state == LEASE_WAITS))
            seat_leaves(h, &p->seats[i]);
    home_settle(h);
}

void home_check(struct home *h)
{
    const struct pool_limits *l = &h->pool->opts.limits;
    size_t pages = home_pages(h);
    uint64_t age = pool_now_ms(h->pool) - instance_started_ms(h->instance);
    char why[120] = "";

    if (h->due || !h->up)
        return;
    if (h->memory_bytes > (l->memory_bytes != 0 ? l->memory_bytes : POOL_MEMORY_BYTES))
        snprintf(why, sizeof why, "%" PRIu64 " MiB of memory", h->memory_bytes >> 20);
    else if (age > (l->age_ms != 0 ? l->age_ms : POOL_AGE_MS))
        snprintf(why, sizeof why, "%" PRIu64 " s old", age / 1000);
    else if (pages > (l->pages != 0 ? l->pages : POOL_PAGES))
        snprintf(why, sizeof why, "%zu pages", pages);
    else if (targets_crashes(instance_targets(h->instance)) >= POOL_CRASHES)
        snprintf(why, sizeof why, "%d pages crashed in a row", POOL_CRASHES);
    else if (targets_lost_network(instance_targets(h->instance)))
        snprintf(why, sizeof why, "its network service died");
    else if (targets_failures(instance_targets(h->instance)) >= POOL_CRASHES)
        snprintf(why, sizeof why, "%d documents in a row failed in the browser", POOL_CRASHES);
    if (why[0] != '\0')
        home_retire(h, why);
}

/* --- measuring --- */

struct measuring {
    struct home *home;
    pid_t pid;
    uint64_t bytes;
    unsigned processes;
    bool ok;
};

static void measure_job(void *arg)
{
    struct measuring *m = arg;

    m->ok = memory_of_tree(m->pid, &m->bytes, &m->processes);
}

static void measured(void *arg)
{
    struct measuring *m = arg;
    struct home *h = m->home;
    struct pool *p = h->pool;

    h->measuring = false;
    if (h->instance == NULL) { /* it ended meanwhile */
        home_free(h);
        pool_settle(p);
    } else if (m->ok) {
        h->memory_bytes = m->bytes;
        h->processes = m->processes;
        home_check(h);
    }
    free(m);
}

void pool_on_measure(struct loop_timer *t)
{
    struct pool *p = container_of(t, struct pool, measure);
    uint64_t every = p->opts.limits.measure_ms != 0 ? p->opts.limits.measure_ms : POOL_MEASURE_MS;

    list_for_each (l, &p->homes) {
        struct home *h = list_entry(l, struct home, link);
        struct measuring *m;

        if (!h->up || h->measuring || h->stopping)
            continue;
        m = xcalloc(1, sizeof *m);
        m->home = h;
        m->pid = instance_pid(h->instance);
        h->measuring = true;
        work_submit(p->opts.loop, measure_job, measured, m);
    }
    loop_timer_start(p->opts.loop, &p->measure, every, pool_on_measure);
}
