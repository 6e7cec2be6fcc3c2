/* What a call passes before it runs, in order: is the gate open, policy, robots.txt, breaker,
 * limiter, proxy (design.md §3). Each says go on, wait, or end; one that waits is asked again when
 * it is woken. */
#include <libpsl.h>
#include <string.h>

#include "core/base/map.h"
#include "core/guard/breaker.h"
#include "core/guard/limit.h"
#include "core/guard/policy.h"
#include "core/op/gate_internal.h"
#include "proxies/forward.h"
#include "proxies/roster.h"

enum { PROXY_POLL_MS = 1000 };

/* --- targets --- */

/* The site of a host, borrowed from it; NULL where hosts stand for themselves. */
static const char *site_of(const struct gate *g, const char *host)
{
    const psl_ctx_t *psl = psl_builtin();

    if (!g->deps.group_by_site || psl == NULL || net_zone_of(str_from(host)) != NET_NAME)
        return NULL;
    return psl_registrable_domain(psl, host);
}

struct str gate_target_of(struct gate *g, struct arena *a, struct str host)
{
    const char *site;

    if (!g->deps.group_by_site)
        return host;
    site = site_of(g, arena_strndup(a, host.ptr, host.len));
    return site != NULL ? arena_str(a, str_from(site)) : host;
}

bool gate_rests(const struct gate *g, const char *host)
{
    const char *site = site_of(g, host);

    return !breaker_allow(g->deps.breaker, str_from(site != NULL ? site : host));
}

/* --- the stages --- */

static enum step stage_open(struct gate *g, struct op_call *call)
{
    if (!g->shut)
        return STEP_ON;
    err_set(&call->err, STATUS_SHUTTING_DOWN, "%s: shutting down", call->op->name);
    return STEP_END;
}

static void hook_answered(void *arg, bool allow, const char *why)
{
    struct op_call *call = arg;
    struct pass *p = pass_of(call);

    p->hook = NULL;
    p->hook_known = true;
    p->hook_allow = allow;
    p->hook_why = arena_strdup(call->arena, why[0] ? why : "denied by the policy's program");
    gate_pass_wake(p);
}

/* The lists first: the program is not asked about what they refuse. */
static enum step stage_policy(struct gate *g, struct op_call *call)
{
    struct policy_hook *hook = policy_hook(g->deps.policy);
    struct pass *p = pass_of(call);
    const struct hook_question q = {.op = str_from(call->op->name),
                                    .target = call->host,
                                    .url = call->url,
                                    .member = call->member ? call->member->identity->id : NULL};

    if (policy_check(g->deps.policy, q.op, call->host, &call->err) != STATUS_OK)
        return STEP_END;
    if (!hook || (p->hook_known && p->hook_allow))
        return STEP_ON;
    if (p->hook_known) {
        err_set(&call->err, STATUS_POLICY_DENIED, "%s: %s", call->op->name, p->hook_why);
        return STEP_END;
    }
    p->hook = policy_hook_ask(hook, &q, hook_answered, call);
    return STEP_WAIT;
}

static void robots_answered(void *arg, enum robots_answer a, uint64_t crawl_delay_ms,
                            const char *why)
{
    struct op_call *call = arg;
    struct pass *p = pass_of(call);

    p->robots = NULL;
    p->robots_known = true;
    p->robots_answer = a;
    p->robots_why = why;
    if (crawl_delay_ms > 0)
        limiter_set_crawl_delay(p->gate->deps.limiter, call->target, crawl_delay_ms);
    gate_pass_wake(p);
}

/* The way out failed, not the target: that is what a person must hear. */
static bool is_of_proxy(enum status s)
{
    return s == STATUS_PROXY_AUTH || s == STATUS_PROXY_FAILED || s == STATUS_PROXY_NONE;
}

static enum step stage_robots(struct gate *g, struct op_call *call)
{
    struct pass *p = pass_of(call);
    struct url url;

    if (g->deps.robots == NULL || call->target.len == 0 || (call->op->flags & OP_NO_ROBOTS) != 0)
        return STEP_ON;
    if (p->robots_known) {
        if (p->robots_answer == ROBOTS_ALLOW)
            return STEP_ON;
        if (p->robots_answer == ROBOTS_DENY)
            err_set(&call->err, STATUS_ROBOTS_DENIED, "%.*s: %s", STR_ARG(call->url),
                    p->robots_why);
        else if (call->member->rotate_next && is_of_proxy(call->member->rotate_why))
            err_set(&call->err, call->member->rotate_why, "%.*s: proxy %s: %s (%s)",
                    STR_ARG(call->url), call->member->proxy_id,
                    status_text(call->member->rotate_why), p->robots_why);
        else
            err_set(&call->err, STATUS_UNAVAILABLE, "%.*s: %s", STR_ARG(call->url), p->robots_why);
        return STEP_END;
    }
    /* An open breaker comes first here: robots.txt is not asked for in vain of a target that rests.
     */
    if (!breaker_allow(g->deps.breaker, call->target))
        return STEP_ON;
    if (url_parse(call->arena, call->url, "http https ws wss", &url, &call->err) != STATUS_OK)
        return STEP_END;
    p->robots = robots_ask(g->deps.robots, call->member, &url, call->deadline_ms, call->parent,
                           robots_answered, call);
    return STEP_WAIT;
}

static enum step stage_breaker(struct gate *g, struct op_call *call)
{
    if (call->target.len == 0 || breaker_allow(g->deps.breaker, call->target))
        return STEP_ON;
    err_set(&call->err, STATUS_BREAKER_OPEN,
            "the breaker of %.*s is open; \"fleet breaker reset %.*s\" closes it",
            STR_ARG(call->target), STR_ARG(call->target));
    return STEP_END;
}

/* The wait for one request. The one for robots.txt takes its token, but no gap is counted from it:
 * whoever visits many hosts for a page each would wait at each for nothing. */
static uint64_t let_go(struct gate *g, const struct op_call *call, bool prepaid)
{
    if ((call->op->flags & OP_NO_ROBOTS) != 0)
        return limiter_take(g->deps.limiter, call->target, now_ms(g));
    return limiter_let_go(g->deps.limiter, call->target, prepaid, now_ms(g));
}

static void line_serve(struct line *l);

static void line_timer(struct loop_timer *t)
{
    line_serve(container_of(t, struct line, timer));
}

/* Lets go of as many as there are tokens, in order. */
static void line_serve(struct line *l)
{
    struct gate *g = l->gate;

    while (!list_empty(&l->calls)) {
        struct pass *p = list_entry(l->calls.next, struct pass, line_link);
        uint64_t wait = 0;

        if (breaker_allow(g->deps.breaker, str_from(l->target)))
            wait = let_go(g, p->call, p->prepaid);
        if (wait > 0) {
            loop_timer_start(g->deps.loop, &l->timer, wait, line_timer);
            return;
        }
        list_remove(&p->line_link);
        p->line = NULL;
        if (!breaker_allow(g->deps.breaker, str_from(l->target)))
            p->stage = STAGE_BREAKER; /* it opened meanwhile */
        else
            p->stage = STAGE_PROXY;
        gate_pass_wake(p);
    }
}

static struct line *line_get(struct gate *g, struct str target)
{
    struct line *l = map_find(g->lines, target);

    if (l == NULL) {
        l = xcalloc(1, sizeof *l);
        l->gate = g;
        l->target = xcalloc(1, target.len + 1);
        memcpy(l->target, target.ptr, target.len);
        list_init(&l->calls);
        map_put(g->lines, target, l);
    }
    return l;
}

static void own_timer(struct loop_timer *t)
{
    gate_pass_wake(container_of(t, struct pass, own_timer));
}

/* The caller's own limit: who waits for it waits in nobody's line. It knows nothing of private
 * networks; what a target bears is the next stage's to say. */
static enum step stage_own(struct gate *g, struct op_call *call)
{
    struct pass *p = pass_of(call);
    uint64_t wait;

    if (call->own == NULL || call->target.len == 0)
        return STEP_ON;
    limiter_trust(call->own, call->target);
    wait = limiter_take(call->own, call->target, now_ms(g));
    if (wait == 0)
        return STEP_ON;
    loop_timer_start(g->deps.loop, &p->own_timer, wait, own_timer);
    return STEP_WAIT;
}

static bool credit_use(struct gate *g, struct op_call *call)
{
    if (call->credit == NULL || !*call->credit ||
        !str_eq(gate_target_of(g, call->arena, call->credit_host), call->target))
        return false;
    *call->credit = false;
    return true;
}

static enum step stage_limit(struct gate *g, struct op_call *call)
{
    struct pass *p = pass_of(call);
    struct line *l;

    if (call->target.len == 0)
        return STEP_ON;
    p->prepaid = credit_use(g, call);
    if (p->prepaid && let_go(g, call, true) == 0)
        return STEP_ON;
    l = line_get(g, call->target);
    p->line = l;
    list_push(&l->calls, &p->line_link);
    if (l->calls.next == &p->line_link)
        line_serve(l);
    return STEP_WAIT; /* line_serve wakes it, at once when there is a token */
}

static void proxy_timer(struct loop_timer *t)
{
    gate_pass_wake(container_of(t, struct pass, proxy_timer));
}

static void proxy_set(struct gate *g, struct member *m, struct proxy *x, enum status why)
{
    char from[sizeof m->proxy_id];

    memcpy(from, m->proxy_id, sizeof from);
    m->proxy = x;
    snprintf(m->proxy_id, sizeof m->proxy_id, "%s", proxy_id(x));
    if (m->forward == NULL)
        return;
    forward_set_upstream(m->forward, x);
    if (from[0] == '\0' || strcmp(from, m->proxy_id) == 0)
        return;
    /* Tunnels that stand would go on by the old way out. */
    forward_cut_all(m->forward);
    if (g->deps.on_rotated != NULL)
        g->deps.on_rotated(g->deps.arg, m, from, m->proxy_id, why);
}

static enum step stage_proxy(struct gate *g, struct op_call *call)
{
    struct pass *p = pass_of(call);
    struct member *m = call->member;
    struct proxy *x;
    uint64_t at, wait;

    if (g->deps.roster == NULL || call->target.len == 0)
        return STEP_ON;
    if (m->proxy != NULL && !m->rotate_next && !m->pick_next &&
        roster_is_fit(g->deps.roster, m->proxy_id, now_ms(g)))
        return STEP_ON;
    if (roster_pick(g->deps.roster, m->index, g->deps.country, now_ms(g), &x, &call->err) ==
        STATUS_OK) {
        proxy_set(g, m, x, m->rotate_next ? m->rotate_why : STATUS_OK);
        m->rotate_next = m->pick_next = false;
        err_clear(&call->err);
        return STEP_ON;
    }
    at = roster_next_ms(g->deps.roster, g->deps.country, now_ms(g));
    if (g->deps.proxy_or_fail || at >= call->deadline_ms)
        return STEP_END; /* PROXY_NONE, with when the next comes back */
    wait = at > now_ms(g) ? at - now_ms(g) : 1;
    loop_timer_start(g->deps.loop, &p->proxy_timer, wait < PROXY_POLL_MS ? wait : PROXY_POLL_MS,
                     proxy_timer);
    return STEP_WAIT;
}

static enum step (*const stages[STAGE_COUNT])(struct gate *, struct op_call *) = {
    [STAGE_OPEN] = stage_open,       [STAGE_POLICY] = stage_policy, [STAGE_ROBOTS] = stage_robots,
    [STAGE_BREAKER] = stage_breaker, [STAGE_OWN] = stage_own,       [STAGE_LIMIT] = stage_limit,
    [STAGE_PROXY] = stage_proxy,
};

enum step gate_stages_walk(struct gate *g, struct op_call *call)
{
    struct pass *p = pass_of(call);
    enum step s = STEP_ON;

    /* A stage may move the pass itself: a line that lets go of it says where it goes on. */
    while (s == STEP_ON && p->stage < STAGE_COUNT) {
        s = stages[p->stage](g, call);
        if (s == STEP_ON)
            p->stage++;
    }
    return s;
}

void gate_stages_leave(struct pass *p)
{
    policy_hook_cancel(&p->hook);
    robots_cancel(&p->robots);
    loop_timer_stop(&p->proxy_timer);
    loop_timer_stop(&p->own_timer);
    if (p->line == NULL)
        return;
    list_remove(&p->line_link);
    p->line = NULL;
}

void gate_stages_breaker_opened(struct gate *g, struct str target)
{
    line_serve(line_get(g, target));
}

void gate_line_free(void *line)
{
    struct line *l = line;

    BUG_ON(!list_empty(&l->calls));
    loop_timer_stop(&l->timer);
    free(l->target);
    free(l);
}
