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

#include <string.h>

#include "core/base/log.h"
#include "core/base/map.h"
#include "core/guard/breaker.h"
#include "core/guard/limit.h"
#include "core/op/block.h"
#include "core/op/gate_internal.h"
#include "core/op/outcome.h"
#include "proxies/roster.h"

enum { CANCEL_GRACE_MS = 5000 };

/* --- making and ending --- */

struct gate *gate_create(const struct gate_deps *deps)
{
    struct gate *g = xcalloc(1, sizeof *g);

    g->deps = *deps;
    g->lines = map_create();
    list_init(&g->inside);
    return g;
}

void gate_destroy(struct gate **g)
{
    if (*g == NULL)
        return;
    BUG_ON(gate_inside(*g) > 0);
    map_destroy(&(*g)->lines, gate_line_free);
    free(*g);
    *g = NULL;
}

void gate_shut(struct gate *g)
{
    g->shut = true;
}

size_t gate_inside(const struct gate *g)
{
    return g->n_inside + g->n_ahead;
}

const struct gate_deps *gate_deps(const struct gate *g)
{
    return &g->deps;
}

/* --- over --- */

void gate_call_over(struct op_call *call)
{
    struct pass *p = pass_of(call);
    struct gate *g = p->gate;

    loop_timer_stop(&call->timer);
    loop_timer_stop(&p->proxy_timer);
    loop_timer_stop(&p->own_timer);
    list_remove(&call->link);
    g->n_inside--;
    call->state = OP_DONE;
    call->gate_state = NULL;
    free(p);
    if (g->deps.on_op != NULL)
        g->deps.on_op(g->deps.arg, call);
    call->on_done(call);
}

static void call_record_deferred(void *arg)
{
    gate_record(arg);
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
    gate_stages_leave(p);
    call->state = OP_RECORDING;
    loop_defer(p->gate->deps.loop, call_record_deferred, call);
}

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
    enum step s;

    p->stepping_posted = false;
    if (call->state != OP_ADMITTING)
        return;
    if (p->cancel != STATUS_OK) {
        call_refuse(call, p->cancel);
        return;
    }
    s = gate_stages_walk(g, call);
    if (s == STEP_END)
        call_refuse(call, call->err.status);
    else if (s == STEP_ON)
        call_start(call);
}

/* A pass that is recorded or over is not woken: everything that could wake it was taken back in
 * call_refuse or has happened. */
void gate_pass_wake(struct pass *p)
{
    if (p->stepping_posted || p->call->state != OP_ADMITTING)
        return;
    p->stepping_posted = true;
    loop_defer(p->gate->deps.loop, pass_step, p->call);
}

/* --- the end of a run --- */

static enum block_reaction reaction_of(const struct gate *g, const struct op_call *call)
{
    if (call->status != STATUS_CAPTCHA_DETECTED || g->deps.captcha == NULL)
        return BLOCK_COUNT;
    return (enum block_reaction)g->deps.captcha->on_detected;
}

static void tell_breaker(struct gate *g, const struct op_call *call)
{
    bool failed = outcome_is_target_failure(call->status), opened;
    struct err e = ERR_INIT;

    if (!outcome_is_sample(call->status, &call->seen))
        return;
    opened = breaker_record(g->deps.breaker, call->target, failed, call->status, now_ms(g),
                            loop_wall_ms(g->deps.loop), &e);
    if (!opened && reaction_of(g, call) == BLOCK_STOP)
        opened = breaker_trip(g->deps.breaker, call->target, call->status, now_ms(g),
                              loop_wall_ms(g->deps.loop), &e);
    if (!opened)
        return;
    if (e.status != STATUS_OK)
        log_error(NULL, "breaker.unsaved", LOG_S("target", call->target), LOG_ERR(&e));
    log_warn(NULL, "breaker.open", LOG_S("target", call->target),
             LOG_STR("why", status_name(call->status)));
    if (g->deps.on_breaker != NULL)
        g->deps.on_breaker(g->deps.arg, call->target, true);
    gate_stages_breaker_opened(g, call->target);
}

static void tell_limiter(struct gate *g, const struct op_call *call)
{
    uint64_t until;

    if (call->status != STATUS_HTTP_429 && reaction_of(g, call) != BLOCK_SLOW &&
        !(call->seen.http_status == 503 && call->seen.retry_after_ms > 0))
        return;
    until = limiter_slow(g->deps.limiter, call->target, call->seen.retry_after_ms, now_ms(g));
    if (g->deps.on_slowed != NULL)
        g->deps.on_slowed(g->deps.arg, call->target, until, status_name(call->status));
}

static void tell_member(const struct op_call *call)
{
    struct member *m = call->member;

    if (call->status == STATUS_HTTP_429)
        m->hits |= HIT_429;
    else if (call->status == STATUS_HTTP_403)
        m->hits |= HIT_403;
    else if (call->status == STATUS_CAPTCHA_DETECTED)
        m->hits |= HIT_CAPTCHA;
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

/* Of whoever answered: a page that was led elsewhere does not count for the place it was asked of.
 */
static void tell_guards(struct gate *g, struct op_call *call)
{
    struct str own = call->target;

    if (call->seen.host.len > 0)
        call->target = gate_target_of(g, call->arena, call->seen.host);
    if (call->target.len > 0 && !call->seen.accounted) {
        tell_breaker(g, call);
        tell_limiter(g, call);
        tell_proxy(g, call);
        tell_member(call);
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
                STR_ARG(call->url.len > 0 ? call->url : STR("the page")), call->seen.block);
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
    gate_record(call);
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
        gate_pass_wake(p);
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
    gate_pass_wake(p);
}
