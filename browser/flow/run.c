/* One attempt's way through a flow.
 *
 *   start -> step: target -> (find) -> op -> done with it -> next step ... -> (picture of a
 * failure) -> done
 *
 * Steps within steps are levels of a stack. Whatever is waited for is one of: an op in the gate, or
 * the timer. Each step's memory goes with it; what outlives it (variables, output) is JSON trees.
 */
#include "browser/flow/run_internal.h"

#include "browser/doing.h"
#include "browser/page/cast.h"
#include "browser/page/netlog.h"
#include "core/base/log.h"
#include "core/base/url.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    TARGET_POLL_MS = 30,
    PICTURE_MS = 2500,        /* for the picture of a failure */
    FOREVER_MS = 3600 * 1000, /* attempts without a deadline */
};

static void step_over(struct flow_run *r, enum status s, const struct err *e);

/* --- the end --- */

static void run_over(struct flow_run *r)
{
    struct attempt *a = r->session->attempt;

    loop_timer_stop(&r->timer);
    a->status = r->failed ? r->err.status : STATUS_OK;
    a->err = r->err;
    a->error_step = r->failed && r->step != NULL ? (int)r->step->index : -1;
    json_destroy(&a->output);
    a->output = r->output;
    a->may_have_happened = r->failed && a->may_have_happened;
    r->session->flow = NULL;
    json_destroy(&r->params);
    json_destroy(&r->found);
    json_destroy(&r->member);
    json_destroy(&r->task);
    arena_destroy(&r->arena);
    r->done(r->arg);
    free(r);
}

static void call_op(struct flow_run *r, const struct op *op, enum phase phase,
                    uint64_t deadline_ms);

/* At the end, one op a file. */
static void keep(struct flow_run *r, const char *op, const char *name, const char *flag,
                 enum phase phase)
{
    json_destroy(&r->params);
    r->params = json_new_object();
    if (name != NULL)
        json_add_str(r->params, "name", name);
    if (flag != NULL)
        json_add_bool(r->params, flag, true);
    call_op(r, step_op_find(op), phase, loop_now_ms(r->session->loop) + PICTURE_MS);
}

static bool has_said(const struct flow_run *r)
{
    return json_len(r->session->console) > 0 && r->session->artifacts_dir != NULL &&
           r->cancelled == STATUS_OK;
}

static bool has_cast(const struct flow_run *r)
{
    return page_cast_find(r->session->main) != NULL &&
           (r->cancelled == STATUS_OK || r->cancelled == STATUS_TIMEOUT);
}

/* Also of an attempt whose time was over: then it is wanted most. */
static bool has_har(const struct flow_run *r)
{
    return page_har_runs(r->session->main) &&
           (r->cancelled == STATUS_OK || r->cancelled == STATUS_TIMEOUT);
}

/* What was recorded becomes files of the task, one op after the other. */
static const struct {
    bool (*wanted)(const struct flow_run *r);
    const char *op, *name, *flag;
} kept[] = {
    {has_cast, "page.screencast", NULL, "end"},
    {has_said, "page.console", "console", "save"},
    {has_har, "page.har", NULL, "end"},
};

static void run_end(struct flow_run *r)
{
    while (r->n_kept < ARRAY_LEN(kept)) {
        size_t i = r->n_kept++;

        if (!kept[i].wanted(r))
            continue;
        keep(r, kept[i].op, kept[i].name, kept[i].flag, PHASE_KEEP);
        return;
    }
    run_over(r);
}

static void on_end(struct loop_timer *t)
{
    run_end(container_of(t, struct flow_run, timer));
}

static void on_dom(struct loop_timer *t)
{
    keep(container_of(t, struct flow_run, timer), "page.html", "failed", NULL, PHASE_DOM);
}

/* --- ops --- */

static uint64_t deadline_of(const struct flow_run *r)
{
    uint64_t at = r->session->attempt->deadline_ms;

    return at > 0 ? at : loop_now_ms(r->session->loop) + FOREVER_MS;
}

static void call_done(struct op_call *call);

/* The page.navigate of a URL: what the gate is asked for. */
static enum status call_target(struct flow_run *r, struct op_call *call, struct err *e)
{
    const char *text = json_str(json_get(r->params, "url"), "");
    const char *here = page_url(r->session->page);
    struct url base, u;
    enum status s;

    s = url_parse(r->arena, str_from(text), "http https", &u, e);
    if (s != STATUS_OK && strstr(text, "://") == NULL &&
        url_parse(r->arena, str_from(here), "http https", &base, NULL) == STATUS_OK)
        s = url_resolve(r->arena, &base, str_from(text), "http https", &u, e);
    if (s != STATUS_OK)
        return s;
    call->url = u.href;
    call->host = u.host;
    if (strstr(text, "://") == NULL)
        json_add(r->params, "url", json_new_str(u.href));
    return STATUS_OK;
}

static void call_now(struct flow_run *r)
{
    if (r->step != NULL && r->step->irreversible && r->phase == PHASE_STEP)
        r->session->attempt->may_have_happened = true;
    r->calling = true;
    gate_run(r->session->gate, &r->call);
}

/* It is durable that this attempt is about to do what cannot be repeated: now it may. */
static void on_confirmed(void *arg, enum status s, const struct err *e)
{
    struct flow_run *r = arg;
    struct err mine = ERR_INIT;

    if (r->cancelled != STATUS_OK) {
        err_set(&mine, r->cancelled, "%s", status_text(r->cancelled));
        run_fail(r, &mine);
    } else if (s != STATUS_OK) {
        mine = *e;
        mine.status = s;
        run_fail(r, &mine);
    } else {
        call_now(r);
    }
}

static void call_op(struct flow_run *r, const struct op *op, enum phase phase, uint64_t deadline_ms)
{
    struct page_session *s = r->session;
    struct attempt *a = s->attempt;
    struct err e = ERR_INIT;
    struct url row;

    memset(&r->call, 0, sizeof(r->call));
    r->call = (struct op_call){
        .op = op,
        .member = s->member,
        .arena = r->arena,
        .params = r->params,
        .deadline_ms = deadline_ms,
        .session = s,
        .ctx = r,
        .parent = a->parent,
        .task_id = a->task_id,
        .accept_4xx = r->step != NULL && r->step->accept_4xx,
        .on_done = call_done,
    };
    r->phase = phase;
    if ((op->flags & OP_TOUCHES_TARGET) != 0) {
        if (call_target(r, &r->call, &e) != STATUS_OK) {
            step_over(r, e.status, &e);
            return;
        }
        r->call.credit = &a->credit;
        if (url_parse(r->arena, str_from(json_str(json_get(a->row, "url"), "")), "http https", &row,
                      NULL) == STATUS_OK)
            r->call.credit_host = row.host;
    }
    if (r->step != NULL && r->step->irreversible && phase == PHASE_STEP && a->confirm != NULL) {
        a->confirm(a, on_confirmed, r);
        return;
    }
    call_now(r);
}

/* --- an op with its parameters --- */

void run_call_with(struct flow_run *r, const struct op *op, const struct json *params,
                   enum phase phase)
{
    struct err e = ERR_INIT;

    if (run_expand(r, op, params, &e) != STATUS_OK) {
        step_over(r, e.status, &e);
        return;
    }
    call_op(r, op, phase, deadline_of(r));
}

/* --- failures --- */

static const char *step_name(const struct flow_step *s, char *out, size_t n)
{
    bool top = strncmp(s->path, "/steps/", 7) == 0 && strchr(s->path + 7, '/') == NULL;

    if (s->implied)
        (void)snprintf(out, n, "on the way to the row's URL");
    else if (top)
        (void)snprintf(out, n, "step %zu (%s)", s->index, s->type->name);
    else
        (void)snprintf(out, n, "step %s (%s)", s->path, s->type->name);
    return out;
}

static bool wants_picture(const struct flow_run *r)
{
    enum status s = r->err.status;

    return r->session->artifacts_dir != NULL && r->cancelled == STATUS_OK && r->step != NULL &&
           page_state(r->session->page) == PAGE_OPEN && page_url(r->session->page)[0] != '\0' &&
           s != STATUS_PAGE_HUNG && s != STATUS_PAGE_CRASHED && s != STATUS_PAGE_OUT_OF_MEMORY &&
           s != STATUS_BROWSER_GONE && s != STATUS_SHUTTING_DOWN;
}

void run_fail(struct flow_run *r, const struct err *e)
{
    char name[128];

    r->failed = true;
    r->err = *e;
    if (r->step != NULL)
        err_prefix(&r->err, "%s", step_name(r->step, name, sizeof(name)));
    if (!wants_picture(r)) {
        loop_timer_start(r->session->loop, &r->timer, 0, on_end);
        return;
    }
    page_stop(r->session->page); /* which would hold the picture back */
    keep(r, "page.screenshot", "failed", NULL, PHASE_PICTURE);
}

static bool is_welcome(const struct flow_step *s, int status)
{
    if (status < 400 || s->accept_status == NULL)
        return true;
    for (const struct json *c = json_first(s->accept_status); c != NULL; c = json_next(c))
        if (json_int(c, 0) == status)
            return true;
    return false;
}

static void step_done(struct flow_run *r, const struct json *result)
{
    const struct flow_step *s = r->step;
    int status = (int)json_int(json_get(result, "status"), 0);
    struct err e = ERR_INIT;

    if (strcmp(s->type->name, "navigate") == 0 && !is_welcome(s, status)) {
        err_set(&e, STATUS_HTTP_4XX, "%s answered HTTP %d", page_url(r->session->page), status);
        step_over(r, e.status, &e);
        return;
    }
    if (strcmp(s->type->name, "extract") == 0)
        run_take_extracted(r, json_get(result, "data"));
    else if (strcmp(s->type->name, "set") == 0)
        run_take_set(r, json_get(result, "values"));
    else if (s->into != NULL && json_first(result) != NULL)
        run_take_extracted(r, json_first(result)); /* entries of console, state of exportState */
    step_over(r, STATUS_OK, &e);
}

/* --- an op is done --- */

/* Nothing was pressed, typed or sent yet when these end an op. */
static bool did_not_happen(enum status s)
{
    return s == STATUS_ELEMENT_NOT_FOUND || s == STATUS_INVALID || s == STATUS_SHUTTING_DOWN ||
           s == STATUS_PROXY_NONE;
}

static void step_answered(struct flow_run *r, enum status s, const struct err *e,
                          const struct json *result)
{
    struct attempt *a = r->session->attempt;

    if (r->step->irreversible && did_not_happen(s) && !r->happened)
        a->may_have_happened = false;
    r->happened = r->happened || (r->step->irreversible && s == STATUS_OK);
    if (s == STATUS_OK)
        step_done(r, result);
    else
        step_over(r, s, e);
}

static void next_answered(struct flow_run *r, enum status s, const struct err *e)
{
    struct level *l = &r->levels[r->depth - 1];

    if (s == STATUS_OK)
        run_again(r, l);
    else if (s == STATUS_ELEMENT_NOT_FOUND)
        run_pop(r); /* the last page */
    else
        step_over(r, s, e);
}

static void find_answered(struct flow_run *r, enum status s, const struct err *e,
                          struct json *result)
{
    const struct flow_step *step = r->step;
    struct err mine = *e;

    if (s != STATUS_OK) {
        step_over(r, s, &mine);
        return;
    }
    if (run_expand(r, step->op, step->params, &mine) != STATUS_OK) {
        step_over(r, mine.status, &mine);
        return;
    }
    json_add(r->params, "node", json_dup(json_get(result, "node")));
    json_add(r->params, "frame", json_dup(json_get(result, "frame")));
    call_op(r, step->op, PHASE_STEP, deadline_of(r));
}

static void call_done(struct op_call *call)
{
    struct flow_run *r = call->ctx;
    struct json *result = op_call_take_result(call);
    struct err e = call->err;
    enum status s = call->status;

    r->calling = false;
    e.status = s;
    if (r->phase >= PHASE_PICTURE) {
        bool dom = r->phase == PHASE_PICTURE && s == STATUS_OK && r->cancelled == STATUS_OK;

        loop_timer_start(r->session->loop, &r->timer, 0, dom ? on_dom : on_end);
    } else if (r->cancelled != STATUS_OK) {
        if (s == STATUS_OK || s == STATUS_CANCELLED)
            err_set(&e, r->cancelled, "%s", status_text(r->cancelled));
        run_fail(r, &e);
    } else if (r->phase == PHASE_STEP) {
        step_answered(r, s, &e, result);
    } else if (r->phase == PHASE_FIND) {
        find_answered(r, s, &e, result);
    } else if (r->phase == PHASE_NEXT) {
        next_answered(r, s, &e);
    } else if (s == STATUS_OK) {
        run_condition_known(r, json_bool(json_get(result, "holds"), false));
    } else {
        step_over(r, s, &e);
    }
    json_destroy(&result);
}

/* --- one step --- */

/* Cancelled while it waited for a timer: that is its end. */
static bool is_cancelled(struct flow_run *r)
{
    struct err e = ERR_INIT;

    if (r->cancelled == STATUS_OK)
        return false;
    err_set(&e, r->cancelled, "%s", status_text(r->cancelled));
    run_fail(r, &e);
    return true;
}

static void on_retry(struct loop_timer *t)
{
    struct flow_run *r = container_of(t, struct flow_run, timer);

    if (is_cancelled(r))
        return;
    run_step_begin(r);
}

static void step_over(struct flow_run *r, enum status s, const struct err *e)
{
    const struct flow_step *step = r->step;

    BUG_ON(step == NULL);
    if (s == STATUS_OK) {
        run_next(r);
    } else if (run_wants_person(r, s)) {
        run_hand_over(r);
    } else if (r->tries <= step->retries && s != STATUS_INVALID &&
               page_state(r->session->page) != PAGE_GONE) {
        log_debug(NULL, "flow.retry", LOG_STR("step", step->path), LOG_ERR(e));
        loop_timer_start(r->session->loop, &r->timer, step->retry_delay_ms, on_retry);
    } else if (step->optional && page_state(r->session->page) != PAGE_GONE) {
        log_info(NULL, "flow.optional_failed", LOG_STR("task", r->session->attempt->task_id),
                 LOG_STR("step", step->path), LOG_ERR(e));
        run_next(r);
    } else {
        struct err mine = *e;

        mine.status = s;
        run_fail(r, &mine);
    }
}

/* The page of the member whose URL is `url`. */
static struct page *find_page(struct flow_run *r, const char *url)
{
    for (struct page *p = r->session->main; p != NULL; p = page_next_sibling(p))
        if (page_state(p) != PAGE_GONE && strcmp(page_url(p), url) == 0)
            return p;
    return NULL;
}

static void step_act(struct flow_run *r, const char *frame_url)
{
    const struct flow_step *s = r->step;
    struct err e = ERR_INIT;

    switch (s->type->kind) {
    case STEP_IF:
        run_check_condition(r, s);
        return;
    case STEP_REPEAT:
    case STEP_PAGINATE:
        run_loop_begin(r, s);
        return;
    case STEP_NOTHING:
        run_next(r);
        return;
    case STEP_OP:
    default:
        break;
    }
    if (s->find != NULL) {
        run_call_with(r, step_op_find("page.find"), s->find, PHASE_FIND);
        return;
    }
    if (run_expand(r, s->op, s->params, &e) != STATUS_OK) {
        step_over(r, e.status, &e);
        return;
    }
    if (frame_url != NULL && run_field_of(s->op, "frame_url") != NULL)
        json_add_str(r->params, "frame_url", frame_url);
    /* Recorder's rule: no throughput at all is offline. */
    if (strcmp(s->type->name, "emulateNetworkConditions") == 0 &&
        json_get(r->params, "offline") == NULL)
        json_add_bool(r->params, "offline",
                      json_num(json_get(r->params, "download"), 0) <= 0 &&
                          json_num(json_get(r->params, "upload"), 0) <= 0);
    call_op(r, s->op, PHASE_STEP, deadline_of(r));
}

static void on_target_poll(struct loop_timer *t);

/* A page of that URL, else a frame of the attempt's own page: both may still be on their way. */
static void step_target(struct flow_run *r)
{
    struct page_session *s = r->session;
    struct vars v = run_scope(r);
    struct err e = ERR_INIT;
    const char *url;
    struct page *p;

    if (vars_text(&v, r->arena, str_from(r->step->target), false, &url, &e) != STATUS_OK) {
        step_over(r, e.status, &e);
        return;
    }
    p = find_page(r, url);
    if (p != NULL) {
        s->page = p;
        step_act(r, NULL);
        return;
    }
    if (page_state(s->main) == PAGE_OPEN && page_frame_by_url(s->main, str_from(url)) != NULL) {
        step_act(r, url);
        return;
    }
    if (loop_now_ms(s->loop) < r->step_deadline_ms) {
        loop_timer_start(s->loop, &r->timer, TARGET_POLL_MS, on_target_poll);
        return;
    }
    err_set(&e, STATUS_ELEMENT_NOT_FOUND,
            "no page or frame with the URL %.*s is open; the page is at %.*s",
            STR_ARG(str_head(str_from(url), 200)),
            STR_ARG(str_head(str_from(page_url(s->main)), 200)));
    step_over(r, e.status, &e);
}

static void on_target_poll(struct loop_timer *t)
{
    struct flow_run *r = container_of(t, struct flow_run, timer);

    if (is_cancelled(r))
        return;
    step_target(r);
}

void run_step_begin(struct flow_run *r)
{
    struct page_session *s = r->session;
    uint64_t now = loop_now_ms(s->loop), deadline = deadline_of(r);
    uint64_t timeout = r->step->timeout_ms > 0 ? r->step->timeout_ms : s->timeout_ms;

    r->tries++;
    arena_destroy(&r->arena);
    r->arena = arena_create(s->arena, 0);
    r->step_deadline_ms = now + timeout < deadline ? now + timeout : deadline;
    s->page = s->main;
    if (r->step->target != NULL)
        step_target(r);
    else
        step_act(r, NULL);
}

/* Steps that need no op follow one another through the timer, so that no flow can recurse or hold
 * the loop. */
static void on_next(struct loop_timer *t)
{
    struct flow_run *r = container_of(t, struct flow_run, timer);
    struct level *l = &r->levels[r->depth - 1];
    struct err e = ERR_INIT;

    if (is_cancelled(r))
        return;
    if (r->session->refused.status != STATUS_OK) { /* after the last step's end */
        e = r->session->refused;
        run_fail(r, &e);
        return;
    }
    if (l->at < l->steps->n) {
        r->step = &l->steps->v[l->at++];
        r->tries = 0;
        run_step_begin(r);
    } else if (l->owner != NULL) {
        r->session->page = r->session->main;
        run_round_over(r, l);
    } else if (r->depth > 1) {
        run_pop(r);
    } else {
        r->step = NULL;
        run_end(r);
    }
}

void run_next(struct flow_run *r)
{
    loop_timer_start(r->session->loop, &r->timer, 0, on_next);
}

/* --- begin and cancel --- */

/* From the first request on. */
static void record(const struct flow *f, struct page_session *s)
{
    const struct conf_output *o = s->conf != NULL ? &s->conf->output : NULL;
    struct err e = ERR_INIT;

    if (f->wants_bodies)
        page_listen_responses(s->main);
    if (o != NULL && o->har != HAR_KEPT_OFF) {
        const struct har_want want = {.content = o->har == HAR_KEPT_EMBED ? HAR_EMBED : HAR_OMIT,
                                      .secrets = o->har_sensitive};

        if (page_har_begin(s->main, &want, &e) != STATUS_OK)
            log_warn(NULL, "flow.har", LOG_STR("task", s->attempt->task_id), LOG_ERR(&e));
    }
}

struct flow_run *flow_run(const struct flow *f, struct page_session *s, void (*done)(void *arg),
                          void *arg)
{
    struct flow_run *r = xcalloc(1, sizeof *r);

    r->flow = f;
    r->session = s;
    r->done = done;
    r->arg = arg;
    r->member = run_describe_member(s->member);
    r->task = run_describe_task(s->attempt);
    if (f->timeout_ms > 0)
        s->timeout_ms = f->timeout_ms;
    s->flow = r;
    s->attempt->may_have_happened = false;
    record(f, s);
    run_push(r, &f->steps, NULL);
    run_next(r);
    return r;
}

void flow_cancel(struct flow_run *r, enum status why)
{
    if (r->cancelled == STATUS_OK)
        r->cancelled = why;
    if (r->calling)
        gate_cancel(r->session->gate, &r->call, why);
    else if (loop_timer_is_active(&r->timer))
        loop_timer_start(r->session->loop, &r->timer, 0, r->timer.fn);
}
