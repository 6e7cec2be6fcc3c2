/* The gate.
 *
 * A call walks the stages in order; a stage says go on, wait, or end. A waiting call is woken by
 * whatever it waits for and asks the same stage again, so that nothing that changed meanwhile (a
 * breaker that opened, a proxy that came back) is missed. Tokens are waited for in one line per
 * target, first come first served, with one timer a line.
 *
 *   OP_NEW -> OP_ADMITTING -> OP_RUNNING -> OP_RECORDING -> OP_DONE
 *                  \______________________/      (refused or cancelled: recorded as well)
 *
 * Nothing is called from inside gate_run, gate_cancel or op_call_finish: each step goes through
 * loop_defer. */
#include "core/op/gate.h"

#include <libpsl.h>
#include <string.h>

#include "core/base/jcs.h"
#include "core/base/log.h"
#include "core/base/map.h"
#include "core/guard/breaker.h"
#include "core/guard/limit.h"
#include "core/guard/policy.h"
#include "core/guard/robots.h"
#include "core/op/outcome.h"
#include "core/record/audit.h"
#include "proxies/forward.h"
#include "proxies/roster.h"

enum { PAYLOAD_MAX = 64 * 1024, CANCEL_GRACE_MS = 5000, PROXY_POLL_MS = 1000 };

/* Those who wait for a token of one target. */
struct line {
    struct gate *gate;
    char *target;
    struct list calls;
    struct loop_timer timer;
};

struct gate {
    struct gate_deps deps;
    struct map *lines; /* target -> struct line */
    struct list inside;
    size_t n_inside;
    bool shut;
};

enum stage {
    STAGE_OPEN,
    STAGE_POLICY,
    STAGE_ROBOTS,
    STAGE_BREAKER,
    STAGE_LIMIT,
    STAGE_PROXY,
    STAGE_COUNT
};
enum step { STEP_ON, STEP_WAIT, STEP_END };

struct pass {
    struct gate *gate;
    struct op_call *call;
    enum stage stage;
    bool stepping_posted;
    bool robots_known;
    enum robots_answer robots_answer;
    const char *robots_why;
    struct robots_wait *robots;
    struct line *line; /* NULL: not waiting for a token */
    struct list line_link;
    struct loop_timer proxy_timer;
    enum status cancel; /* why it is to end; OK: it is not */
    bool finished;      /* op_call_finish was called */
    bool deadline_told;
};

static struct pass *pass_of(struct op_call *call)
{
    return call->gate_state;
}

static uint64_t now_ms(const struct gate *g)
{
    return loop_now_ms(g->deps.loop);
}

/* --- targets --- */

struct str gate_target_of(struct gate *g, struct arena *a, struct str host)
{
    const psl_ctx_t *psl = psl_builtin();
    const char *domain;

    if (!g->deps.group_by_site || psl == NULL || net_zone_of(host) != NET_NAME)
        return host;
    domain = psl_registrable_domain(psl, arena_strndup(a, host.ptr, host.len));
    return domain != NULL ? arena_str(a, str_from(domain)) : host;
}

/* --- making and ending --- */

struct gate *gate_create(const struct gate_deps *deps)
{
    struct gate *g = xcalloc(1, sizeof *g);

    g->deps = *deps;
    g->lines = map_create();
    list_init(&g->inside);
    return g;
}

static void line_free(void *p)
{
    struct line *l = p;

    BUG_ON(!list_empty(&l->calls));
    loop_timer_stop(&l->timer);
    free(l->target);
    free(l);
}

void gate_destroy(struct gate **g)
{
    if (*g == NULL)
        return;
    BUG_ON((*g)->n_inside > 0);
    map_destroy(&(*g)->lines, line_free);
    free(*g);
    *g = NULL;
}

void gate_shut(struct gate *g)
{
    g->shut = true;
}

size_t gate_inside(const struct gate *g)
{
    return g->n_inside;
}

const struct gate_deps *gate_deps(const struct gate *g)
{
    return &g->deps;
}

/* --- the receipt, and what follows it --- */

static void call_over(struct op_call *call)
{
    struct pass *p = pass_of(call);
    struct gate *g = p->gate;

    loop_timer_stop(&call->timer);
    loop_timer_stop(&p->proxy_timer);
    list_remove(&call->link);
    g->n_inside--;
    call->state = OP_DONE;
    call->gate_state = NULL;
    free(p);
    if (g->deps.on_op != NULL)
        g->deps.on_op(g->deps.arg, call);
    call->on_done(call);
}

static void receipt_durable(void *arg, enum status s, const unsigned char leaf[32], uint64_t seq,
                            const struct err *e)
{
    struct op_call *call = arg;

    (void)seq;
    if (s == STATUS_OK) {
        memcpy(call->receipt, leaf, sizeof call->receipt);
    } else {
        /* No receipt, no result: what cannot be proved is not handed out. */
        json_destroy(&call->result);
        call->status = s;
        call->err = *e;
        err_prefix(&call->err, "%s: no receipt could be written", call->op->name);
    }
    call_over(call);
}

static void payload_write(const struct op_call *call, struct buf *out)
{
    struct json *j = json_new_object();
    unsigned char hash[32];

    if (call->task_id != NULL)
        json_add_str(j, "task", call->task_id);
    if (call->url.len > 0)
        json_add(j, "url", json_new_str(call->url));
    if (call->seen.http_status != 0)
        json_add_num(j, "http_status", call->seen.http_status);
    if (call->seen.block != NULL)
        json_add_str(j, "block", call->seen.block);
    if (call->status != STATUS_OK)
        json_add_str(j, "error", err_text(&call->err));
    json_add_num(j, "waited_ms", (double)call->waited_ms);
    json_add_num(j, "took_ms", (double)call->took_ms);
    /* Parameters may hold what people type into forms: their hash is enough to prove them later. */
    if (call->params != NULL && jcs_sha256(call->params, hash, NULL) == STATUS_OK) {
        struct buf hex = BUF_INIT(65);

        buf_add_hex(&hex, hash, sizeof hash);
        json_add(j, "params_sha256", json_new_str(buf_str(&hex)));
        buf_deinit(&hex);
    }
    if (jcs_write(j, out, NULL) != STATUS_OK)
        buf_reset(out);
    json_destroy(&j);
}

static void call_record(struct op_call *call)
{
    struct pass *p = pass_of(call);
    struct buf payload = BUF_INIT(PAYLOAD_MAX);
    struct receipt r = {
        .kind = "op",
        .member = call->member != NULL ? call->member->identity->id : NULL,
        .op = call->op->name,
        .outcome = call->status == STATUS_OK ? "ok" : status_name(call->status),
        .parent = call->parent,
        .proxy = call->member != NULL && call->member->proxy_id[0] != '\0' ? call->member->proxy_id
                                                                           : NULL,
    };
    char target[256];

    call->state = OP_RECORDING;
    if (call->target.len > 0 && call->target.len < sizeof target) {
        memcpy(target, call->target.ptr, call->target.len);
        target[call->target.len] = '\0';
        r.target = target;
    }
    if (p->gate->deps.audit == NULL) {
        call_over(call);
        return;
    }
    payload_write(call, &payload);
    r.payload = buf_str(&payload);
    audit_append(p->gate->deps.audit, &r, receipt_durable, call);
    buf_deinit(&payload);
}

static void call_record_deferred(void *arg)
{
    call_record(arg);
}

/* Ends a call that did not run. */
static void call_refuse(struct op_call *call, enum status s)
{
    struct pass *p = pass_of(call);

    BUG_ON(call->state != OP_ADMITTING);
    call->status = s;
    if (call->err.status != s)
        err_set(&call->err, s, "%s", "");
    call->waited_ms = now_ms(p->gate) - call->started_ms;
    loop_timer_stop(&call->timer);
    robots_cancel(&p->robots);
    if (p->line != NULL) {
        list_remove(&p->line_link);
        p->line = NULL;
    }
    call->state = OP_RECORDING;
    loop_defer(p->gate->deps.loop, call_record_deferred, call);
}

/* --- the stages --- */

static void pass_wake(struct pass *p);

static enum step stage_open(struct gate *g, struct op_call *call)
{
    if (!g->shut)
        return STEP_ON;
    err_set(&call->err, STATUS_SHUTTING_DOWN, "%s: shutting down", call->op->name);
    return STEP_END;
}

static enum step stage_policy(struct gate *g, struct op_call *call)
{
    enum status s = policy_check(g->deps.policy, str_from(call->op->name), call->host, &call->err);

    return s == STATUS_OK ? STEP_ON : STEP_END;
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
    pass_wake(p);
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
        err_set(&call->err,
                p->robots_answer == ROBOTS_DENY ? STATUS_ROBOTS_DENIED : STATUS_UNAVAILABLE,
                "%.*s: %s", STR_ARG(call->url), p->robots_why);
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
            wait = limiter_take(g->deps.limiter, str_from(l->target), now_ms(g));
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
        pass_wake(p);
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

    if (call->target.len == 0 || credit_use(g, call))
        return STEP_ON;
    l = line_get(g, call->target);
    p->line = l;
    list_push(&l->calls, &p->line_link);
    if (l->calls.next == &p->line_link)
        line_serve(l);
    return STEP_WAIT; /* line_serve wakes it, at once when there is a token */
}

static bool proxy_is_fit(const struct gate *g, const char *id)
{
    struct roster_info info;

    for (size_t i = 0; i < roster_len(g->deps.roster); i++) {
        roster_info(g->deps.roster, i, now_ms(g), &info);
        if (strcmp(info.id, id) == 0)
            return info.state != ROSTER_COOLING;
    }
    return false;
}

static void proxy_timer(struct loop_timer *t)
{
    pass_wake(container_of(t, struct pass, proxy_timer));
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
    if (m->proxy != NULL && !m->rotate_next && !m->pick_next && proxy_is_fit(g, m->proxy_id))
        return STEP_ON;
    if (roster_pick(g->deps.roster, m->index, NULL, now_ms(g), &x, &call->err) == STATUS_OK) {
        proxy_set(g, m, x, m->rotate_next ? m->rotate_why : STATUS_OK);
        m->rotate_next = m->pick_next = false;
        err_clear(&call->err);
        return STEP_ON;
    }
    at = roster_next_ms(g->deps.roster, NULL, now_ms(g));
    if (at >= call->deadline_ms)
        return STEP_END; /* PROXY_NONE, with when the next comes back */
    wait = at > now_ms(g) ? at - now_ms(g) : 1;
    loop_timer_start(g->deps.loop, &p->proxy_timer, wait < PROXY_POLL_MS ? wait : PROXY_POLL_MS,
                     proxy_timer);
    return STEP_WAIT;
}

static enum step (*const stages[STAGE_COUNT])(struct gate *, struct op_call *) = {
    [STAGE_OPEN] = stage_open,       [STAGE_POLICY] = stage_policy, [STAGE_ROBOTS] = stage_robots,
    [STAGE_BREAKER] = stage_breaker, [STAGE_LIMIT] = stage_limit,   [STAGE_PROXY] = stage_proxy,
};

static void call_start(struct op_call *call)
{
    struct gate *g = pass_of(call)->gate;
    uint64_t now = now_ms(g);

    call->waited_ms = now - call->started_ms;
    call->state = OP_RUNNING;
    call->op->run(call);
}

static void pass_step(void *arg)
{
    struct op_call *call = arg;
    struct pass *p = pass_of(call);
    struct gate *g = p->gate;

    p->stepping_posted = false;
    if (call->state != OP_ADMITTING)
        return;
    if (p->cancel != STATUS_OK) {
        call_refuse(call, p->cancel);
        return;
    }
    for (; p->stage < STAGE_COUNT; p->stage++) {
        enum step s = stages[p->stage](g, call);

        if (s == STEP_WAIT)
            return;
        if (s == STEP_END) {
            call_refuse(call, call->err.status);
            return;
        }
    }
    call_start(call);
}

/* A pass that is recorded or over is not woken: everything that could wake it was taken back in
 * call_refuse or has happened. */
static void pass_wake(struct pass *p)
{
    if (p->stepping_posted || p->call->state != OP_ADMITTING)
        return;
    p->stepping_posted = true;
    loop_defer(p->gate->deps.loop, pass_step, p->call);
}

/* --- the end of a run --- */

static void tell_breaker(struct gate *g, const struct op_call *call)
{
    bool failed = outcome_is_target_failure(call->status);
    struct err e = ERR_INIT;

    if (!outcome_is_sample(call->status, &call->seen))
        return;
    if (!breaker_record(g->deps.breaker, call->target, failed, call->status, now_ms(g),
                        loop_wall_ms(g->deps.loop), &e))
        return;
    if (e.status != STATUS_OK)
        log_error(NULL, "breaker.unsaved", LOG_S("target", call->target), LOG_ERR(&e));
    log_warn(NULL, "breaker.open", LOG_S("target", call->target),
             LOG_STR("why", status_name(call->status)));
    if (g->deps.on_breaker != NULL)
        g->deps.on_breaker(g->deps.arg, call->target, true);
    line_serve(line_get(g, call->target));
}

static void tell_limiter(struct gate *g, const struct op_call *call)
{
    uint64_t until;

    if (call->status != STATUS_HTTP_429 &&
        !(call->seen.http_status == 503 && call->seen.retry_after_ms > 0))
        return;
    until = limiter_slow(g->deps.limiter, call->target, call->seen.retry_after_ms, now_ms(g));
    if (g->deps.on_slowed != NULL)
        g->deps.on_slowed(g->deps.arg, call->target, until, status_name(call->status));
}

static void tell_proxy(struct gate *g, const struct op_call *call)
{
    struct member *m = call->member;
    bool hit = outcome_is_reputation_hit(call->status);

    if (g->deps.roster == NULL || m->proxy_id[0] == '\0' || (!hit && !call->seen.from_proxy))
        return;
    if (hit)
        roster_demerit(g->deps.roster, m->index, m->proxy_id, call->status, now_ms(g));
    else
        roster_rotate(g->deps.roster, m->index);
    m->rotate_next = true;
    m->rotate_why = call->status;
}

/* Of whoever answered: a page that was led elsewhere does not count for the place it was asked of. */
static void tell_guards(struct gate *g, struct op_call *call)
{
    struct str own = call->target;

    if (call->seen.host.len > 0)
        call->target = gate_target_of(g, call->arena, call->seen.host);
    if (call->target.len > 0 && !call->seen.accounted) {
        tell_breaker(g, call);
        tell_limiter(g, call);
        tell_proxy(g, call);
    }
    call->target = own;
}

static void sentence_complete(struct op_call *call, enum status run_status)
{
    if (call->status == STATUS_OK) {
        err_clear(&call->err);
        return;
    }
    if (call->status == run_status && call->err.status == run_status && call->err.text[0] != '\0')
        return;
    if (call->seen.block != NULL)
        err_set(&call->err, call->status, "%.*s shows a block page or CAPTCHA (%s)",
                STR_ARG(call->url), call->seen.block);
    else if (call->seen.http_status >= 400 && call->seen.retry_after_ms >= 0)
        err_set(&call->err, call->status, "%.*s answered HTTP %d, Retry-After %.1f s",
                STR_ARG(call->url), call->seen.http_status,
                (double)call->seen.retry_after_ms / 1000);
    else if (call->seen.http_status >= 400)
        err_set(&call->err, call->status, "%.*s answered HTTP %d", STR_ARG(call->url),
                call->seen.http_status);
    else
        err_set(&call->err, call->status, "%s: %s", call->op->name, status_text(call->status));
}

static void run_over(void *arg)
{
    struct op_call *call = arg;
    struct pass *p = pass_of(call);
    struct gate *g = p->gate;
    enum status run_status = call->status;

    loop_timer_stop(&call->timer);
    if (run_status == STATUS_CANCELLED && p->cancel != STATUS_OK)
        run_status = p->cancel;
    call->took_ms = now_ms(g) - call->started_ms - call->waited_ms;
    call->status = outcome_classify(run_status, &call->seen, call->accept_4xx);
    sentence_complete(call, run_status);
    if (call->status != STATUS_OK)
        json_destroy(&call->result);
    tell_guards(g, call);
    call_record(call);
}

void op_call_finish(struct op_call *call, enum status s, const struct err *e, struct json *result)
{
    struct pass *p = pass_of(call);

    BUG_ON(p == NULL || call->state != OP_RUNNING || p->finished);
    p->finished = true;
    call->cancel = NULL;
    call->status = s;
    if (e != NULL)
        call->err = *e;
    call->result = result;
    loop_defer(p->gate->deps.loop, run_over, call);
}

/* --- in and out --- */

static void call_cancel(struct op_call *call, enum status why)
{
    struct pass *p = pass_of(call);

    if (p->cancel == STATUS_OK)
        p->cancel = why;
    if (call->state == OP_ADMITTING) {
        if (p->line != NULL && why == STATUS_TIMEOUT)
            p->cancel = STATUS_RATE_LIMITED;
        err_set(&call->err, p->cancel, "%s: %s", call->op->name, status_text(p->cancel));
        pass_wake(p);
    } else if (call->state == OP_RUNNING && !p->finished && call->cancel != NULL) {
        call->cancel(call);
    }
}

void gate_cancel(struct gate *g, struct op_call *call, enum status why)
{
    (void)g;
    BUG_ON(why == STATUS_OK);
    if (pass_of(call) != NULL)
        call_cancel(call, why);
}

static void call_deadline(struct loop_timer *t)
{
    struct op_call *call = container_of(t, struct op_call, timer);
    struct pass *p = pass_of(call);

    if (p->deadline_told) {
        log_error(NULL, "op.stuck", LOG_STR("op", call->op->name), LOG_S("url", call->url));
        return;
    }
    p->deadline_told = true;
    loop_timer_start(p->gate->deps.loop, &call->timer, CANCEL_GRACE_MS, call_deadline);
    call_cancel(call, STATUS_TIMEOUT);
}

/* Checks and decodes the parameters. False: refused, with the reason in call->err. */
static bool params_decode(struct op_call *call)
{
    const struct json_schema *schema = call->op->params;
    struct json *empty = NULL;
    struct json_decode d;
    bool ok;

    if (schema == NULL || call->args != NULL)
        return true;
    call->args = arena_alloc(call->arena, schema->size);
    if (call->params == NULL)
        empty = json_new_object();
    json_decode_init(&d, call->arena, call);
    ok = json_decode(&d, schema, call->params != NULL ? call->params : empty, call->args);
    if (!ok)
        (void)json_decode_status(&d, call->op->name, &call->err);
    json_destroy(&empty);
    return ok;
}

void gate_run(struct gate *g, struct op_call *call)
{
    struct pass *p = xcalloc(1, sizeof *p);
    uint64_t now = now_ms(g);

    BUG_ON(call->state != OP_NEW || call->on_done == NULL || call->arena == NULL);
    p->gate = g;
    p->call = call;
    list_init(&p->line_link);
    call->gate_state = p;
    call->gate = g;
    call->state = OP_ADMITTING;
    call->started_ms = now;
    call->seen.retry_after_ms = -1;
    if ((call->op->flags & OP_TOUCHES_TARGET) != 0)
        call->target = gate_target_of(g, call->arena, call->host);
    list_push(&g->inside, &call->link);
    g->n_inside++;
    if (!params_decode(call)) {
        call_refuse(call, STATUS_INVALID);
        return;
    }
    loop_timer_start(g->deps.loop, &call->timer,
                     call->deadline_ms > now ? call->deadline_ms - now : 0, call_deadline);
    pass_wake(p);
}
