#include "proxies/prober.h"

#include "core/base/log.h"
#include "proxies/probe.h"

struct look {
    struct prober *prober; /* NULL: none */
    struct probe *probe;
    size_t at; /* of the roster */
};

struct prober {
    struct prober_opts opts;
    struct loop_timer timer;
    struct look looks[PROBER_PARALLEL];
};

static void on_probe(void *arg, const struct proxy *p, const struct probe_result *r)
{
    struct look *l = arg;
    struct prober *all = steal_ptr(&l->prober);

    l->probe = NULL;
    log_info(NULL, "proxy.probed", LOG_STR("proxy", proxy_id(p)),
             LOG_STR("status", r->status == STATUS_OK ? "ok" : status_name(r->status)),
             LOG_U64("latency_ms", r->latency_ms));
    roster_report(all->opts.roster, proxy_id(p), r->status, r->latency_ms,
                  loop_now_ms(all->opts.loop));
}

static struct look *free_look(struct prober *p, size_t at)
{
    struct look *found = NULL;

    for (size_t i = 0; i < PROBER_PARALLEL; i++) {
        if (!p->looks[i].prober)
            found = &p->looks[i];
        else if (p->looks[i].at == at)
            return NULL; /* it is being looked at */
    }
    return found;
}

static void look_at(struct prober *p, size_t at, const struct proxy *proxy)
{
    const struct probe_opts o = {
        .proxy = proxy, .url = p->opts.url, .timeout_ms = p->opts.timeout_ms};
    struct look *l = free_look(p, at);
    struct err e = ERR_INIT;

    if (!l)
        return;
    *l = (struct look){.prober = p, .at = at};
    if (probe_start(p->opts.loop, &o, on_probe, l, &l->probe, &e) == STATUS_OK)
        return;
    l->prober = NULL;
    BUG_ON(e.status == STATUS_INVALID);
    roster_report(p->opts.roster, proxy_id(proxy), STATUS_PROXY_FAILED, 0,
                  loop_now_ms(p->opts.loop));
}

static void on_time(struct loop_timer *t)
{
    struct prober *p = container_of(t, struct prober, timer);
    struct roster_info x;

    for (size_t i = 0; i < roster_len(p->opts.roster); i++) {
        roster_info(p->opts.roster, i, loop_now_ms(p->opts.loop), &x);
        if (x.state == ROSTER_PROBATION)
            look_at(p, i, roster_find(p->opts.roster, x.id));
    }
    loop_timer_start(p->opts.loop, &p->timer, PROBER_EVERY_MS, on_time);
}

struct prober *prober_create(const struct prober_opts *o)
{
    struct prober *p = xcalloc(1, sizeof(*p));

    p->opts = *o;
    loop_timer_start(o->loop, &p->timer, PROBER_EVERY_MS, on_time);
    return p;
}

void prober_destroy(struct prober **pp)
{
    struct prober *p = steal_ptr(pp);

    if (!p)
        return;
    loop_timer_stop(&p->timer);
    for (size_t i = 0; i < PROBER_PARALLEL; i++)
        probe_cancel(&p->looks[i].probe);
    free(p);
}
