/* One attempt's way through a flow.
 *
 *   start -> step: target -> (find) -> op -> done with it -> next step ... -> (picture of a
 * failure) -> done
 *
 * Steps within steps are levels of a stack. Whatever is waited for is one of: an op in the gate, or
 * the timer. Each step's memory goes with it; what outlives it (variables, output) is JSON trees.
 */
#include "browser/flow/flow_internal.h"

#include "browser/doing.h"
#include "browser/flow/vars.h"
#include "core/base/log.h"
#include "core/base/url.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    TARGET_POLL_MS = 30,
    PICTURE_MS = 2500,        /* for the picture of a failure */
    LEVELS_MAX = 66,          /* JSON's depth bounds it */
    FOREVER_MS = 3600 * 1000, /* attempts without a deadline */
};

enum phase {
    PHASE_STEP,    /* the step's own op */
    PHASE_FIND,    /* page.find before it */
    PHASE_CHECK,   /* a condition */
    PHASE_NEXT,    /* paginate: the click on "next" */
    PHASE_PICTURE, /* of the failure */
    PHASE_DOM,     /* the DOM at the failure */
    PHASE_CONSOLE, /* what pages said, at the end */
};

struct level {
    const struct flow_steps *steps;
    size_t at;
    const struct flow_step *owner; /* the loop it is the body of; NULL: top, or a branch */
    uint32_t round;                /* of the loop, from 1 */
};

struct flow_run {
    const struct flow *flow;
    struct page_session *session;
    void (*done)(void *arg);
    void *arg;
    struct level levels[LEVELS_MAX];
    size_t depth;
    const struct flow_step *step;
    uint64_t step_deadline_ms; /* for what is waited for before the op */
    uint32_t tries;
    enum phase phase;
    struct op_call call;
    bool calling;
    struct json *params; /* of the call, expanded */
    struct json *found;  /* what page.find gave */
    struct arena *arena; /* the step's */
    struct loop_timer timer;
    enum status cancelled;
    bool happened;              /* an irreversible step was done */
    struct json *member, *task; /* for variables */
    struct json *output;        /* NULL while there is none */
    struct err err;
    bool failed;
};

static void step_begin(struct flow_run *r);
static void step_over(struct flow_run *r, enum status s, const struct err *e);
static void next_step(struct flow_run *r);
static void run_fail(struct flow_run *r, const struct err *e);

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
static void keep(struct flow_run *r, const char *op, const char *name, bool save, enum phase phase)
{
    json_destroy(&r->params);
    r->params = json_add_str(json_new_object(), "name", name);
    if (save)
        json_add_bool(r->params, "save", true);
    call_op(r, step_op_find(op), phase, loop_now_ms(r->session->loop) + PICTURE_MS);
}

/* What pages said becomes a file of the task. */
static void run_end(struct flow_run *r)
{
    const struct page_session *s = r->session;

    if (json_len(s->console) > 0 && s->artifacts_dir != NULL && r->cancelled == STATUS_OK)
        keep(r, "page.console", "console", true, PHASE_CONSOLE);
    else
        run_over(r);
}

static void on_end(struct loop_timer *t)
{
    run_end(container_of(t, struct flow_run, timer));
}

static void on_over(struct loop_timer *t)
{
    run_over(container_of(t, struct flow_run, timer));
}

static void on_dom(struct loop_timer *t)
{
    keep(container_of(t, struct flow_run, timer), "page.html", "failed", false, PHASE_DOM);
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

/* --- variables --- */

static struct vars scope(const struct flow_run *r)
{
    return (struct vars){
        .vars = r->session->vars,
        .row = r->session->attempt->row,
        .input = r->session->attempt->input,
        .member = r->member,
        .task = r->task,
        .seed = str_from(json_str(json_get(r->task, "seed"), "")),
    };
}

static const struct json_field *field_of(const struct op *op, const char *name)
{
    for (size_t i = 0; op->params != NULL && i < op->params->n; i++)
        if (strcmp(op->params->fields[i].name, name) == 0)
            return &op->params->fields[i];
    return NULL;
}

/* A string that came out of a variable, as the number or truth that the field wants. */
static struct json *typed_as(const struct json_field *f, struct json *j)
{
    struct str text = str_trim(str_from(json_str(j, "")));
    double v;
    bool is_number = f->kind == JK_INT || f->kind == JK_UINT || f->kind == JK_DOUBLE;

    if (json_type(j) != JSON_STRING)
        return j;
    if (is_number && str_to_double(text, &v)) {
        json_destroy(&j);
        return json_new_num(v);
    }
    if (f->kind == JK_BOOL && (str_eqz(text, "true") || str_eqz(text, "false"))) {
        bool yes = str_eqz(text, "true");

        json_destroy(&j);
        return json_new_bool(yes);
    }
    return j;
}

static enum status expand_member(const struct vars *v, struct arena *a, const struct json_field *f,
                                 const struct json *j, struct json **out, struct err *e)
{
    bool script = strcmp(json_key(j), "expression") == 0;
    const char *z;
    enum status s;

    if (f->kind == JK_STR && json_type(j) == JSON_STRING) {
        s = vars_text(v, a, str_from(json_str(j, "")), script, &z, e);
        if (s == STATUS_OK)
            *out = json_new_str(str_from(z));
        return s;
    }
    s = vars_tree(v, a, j,
                  f->kind != JK_FN || strcmp(f->name, "properties") == 0 ||
                      strcmp(f->name, "values") == 0,
                  out, e);
    if (s == STATUS_OK)
        *out = typed_as(f, *out);
    return s;
}

/* The parameters as they are to be, in r->params. */
static enum status expand(struct flow_run *r, const struct op *op, const struct json *params,
                          struct err *e)
{
    struct vars v = scope(r);
    struct json *out = json_new_object();

    for (const struct json *c = json_first(params); c != NULL; c = json_next(c)) {
        const struct json_field *f = field_of(op, json_key(c));
        struct json *copy = NULL;

        if (f == NULL)
            continue;
        if (expand_member(&v, r->arena, f, c, &copy, e) != STATUS_OK) {
            json_destroy(&out);
            return STATUS_INVALID;
        }
        json_add(out, json_key(c), copy);
    }
    json_destroy(&r->params);
    r->params = out;
    return STATUS_OK;
}

static void call_with(struct flow_run *r, const struct op *op, const struct json *params,
                      enum phase phase)
{
    struct err e = ERR_INIT;

    if (expand(r, op, params, &e) != STATUS_OK) {
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
           s != STATUS_PAGE_HUNG && s != STATUS_PAGE_CRASHED && s != STATUS_BROWSER_GONE &&
           s != STATUS_SHUTTING_DOWN;
}

static void run_fail(struct flow_run *r, const struct err *e)
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
    keep(r, "page.screenshot", "failed", false, PHASE_PICTURE);
}

/* --- loops --- */

static void push(struct flow_run *r, const struct flow_steps *steps, const struct flow_step *owner)
{
    BUG_ON(r->depth == LEVELS_MAX);
    r->levels[r->depth++] = (struct level){.steps = steps, .owner = owner, .round = 1};
}

static void check_condition(struct flow_run *r, const struct flow_step *s)
{
    r->step = s;
    call_with(r, step_op_find("page.check"), s->condition, PHASE_CHECK);
}

static void pop(struct flow_run *r)
{
    r->depth--;
    next_step(r);
}

static void again(struct flow_run *r, struct level *l)
{
    l->round++;
    l->at = 0;
    next_step(r);
}

static void too_many_rounds(struct flow_run *r, const struct flow_step *s)
{
    struct err e = ERR_INIT;

    r->step = s;
    err_set(&e, STATUS_ASSERTION_FAILED,
            "%" PRIu32 " rounds, and the end is not reached: max is %" PRIu32, s->max, s->max);
    run_fail(r, &e);
}

/* A round of a loop is done. */
static void round_over(struct flow_run *r, struct level *l)
{
    const struct flow_step *s = l->owner;

    r->step = s;
    if (s->type->kind == STEP_PAGINATE) {
        if (l->round >= s->max)
            pop(r);
        else
            call_with(r, s->op, s->params, PHASE_NEXT);
    } else if (s->condition != NULL && l->round < s->max) {
        check_condition(r, s);
    } else if (s->condition != NULL) {
        too_many_rounds(r, s);
    } else if (l->round < s->max) {
        again(r, l);
    } else {
        pop(r);
    }
}

static void condition_known(struct flow_run *r, bool holds)
{
    const struct flow_step *s = r->step;
    struct level *l = &r->levels[r->depth - 1];
    bool inside = l->owner == s;

    if (s->type->kind == STEP_IF) {
        if (holds && s->body.n > 0)
            push(r, &s->body, NULL);
        else if (!holds && s->otherwise.n > 0)
            push(r, &s->otherwise, NULL);
        next_step(r);
    } else if (holds == s->until) {
        if (inside)
            pop(r);
        else
            next_step(r);
    } else if (inside) {
        again(r, l);
    } else {
        push(r, &s->body, s);
        next_step(r);
    }
}

static void loop_begin(struct flow_run *r, const struct flow_step *s)
{
    if (s->condition != NULL && !s->until) {
        check_condition(r, s);
        return;
    }
    if (s->max > 0)
        push(r, &s->body, s);
    next_step(r);
}

/* --- results --- */

/* Lists of one name grow: pages of a catalogue become one list. */
static void add_or_grow(struct json *into, const char *name, const struct json *value)
{
    struct json *have = json_type(value) == JSON_ARRAY ? json_take(into, name) : NULL;

    if (json_type(have) == JSON_ARRAY) {
        for (const struct json *c = json_first(value); c != NULL; c = json_next(c))
            json_push(have, json_dup(c));
    } else {
        json_destroy(&have);
        have = json_dup(value);
    }
    json_add(into, name, have);
}

static void take_extracted(struct flow_run *r, const struct json *data)
{
    const char *into = r->step->into;

    if (r->output == NULL)
        r->output = json_new_object();
    if (into != NULL) {
        add_or_grow(r->session->vars, into, data);
        add_or_grow(r->output, into, data);
        return;
    }
    for (const struct json *c = json_type(data) == JSON_OBJECT ? json_first(data) : NULL; c != NULL;
         c = json_next(c)) {
        json_add(r->session->vars, json_key(c), json_dup(c));
        json_add(r->output, json_key(c), json_dup(c));
    }
}

static void take_set(struct flow_run *r, const struct json *values)
{
    if (r->step->to_output && r->output == NULL)
        r->output = json_new_object();
    for (const struct json *c = json_first(values); c != NULL; c = json_next(c)) {
        json_add(r->session->vars, json_key(c), json_dup(c));
        if (r->step->to_output)
            json_add(r->output, json_key(c), json_dup(c));
    }
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
        take_extracted(r, json_get(result, "data"));
    else if (strcmp(s->type->name, "set") == 0)
        take_set(r, json_get(result, "values"));
    else if (s->into != NULL && json_first(result) != NULL)
        take_extracted(r, json_first(result)); /* entries of console, state of exportState */
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
        again(r, l);
    else if (s == STATUS_ELEMENT_NOT_FOUND)
        pop(r); /* the last page */
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
    if (expand(r, step->op, step->params, &mine) != STATUS_OK) {
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

        loop_timer_start(r->session->loop, &r->timer, 0,
                         dom                         ? on_dom
                         : r->phase != PHASE_CONSOLE ? on_end
                                                     : on_over);
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
        condition_known(r, json_bool(json_get(result, "holds"), false));
    } else {
        step_over(r, s, &e);
    }
    json_destroy(&result);
}

/* --- one step --- */

static void on_retry(struct loop_timer *t)
{
    struct flow_run *r = container_of(t, struct flow_run, timer);
    struct err e = ERR_INIT;

    if (r->cancelled != STATUS_OK) {
        err_set(&e, r->cancelled, "%s", status_text(r->cancelled));
        run_fail(r, &e);
        return;
    }
    step_begin(r);
}

static void step_over(struct flow_run *r, enum status s, const struct err *e)
{
    const struct flow_step *step = r->step;

    BUG_ON(step == NULL);
    if (s == STATUS_OK) {
        next_step(r);
    } else if (r->tries <= step->retries && s != STATUS_INVALID &&
               page_state(r->session->page) != PAGE_GONE) {
        log_debug(NULL, "flow.retry", LOG_STR("step", step->path), LOG_ERR(e));
        loop_timer_start(r->session->loop, &r->timer, step->retry_delay_ms, on_retry);
    } else if (step->optional && page_state(r->session->page) != PAGE_GONE) {
        log_info(NULL, "flow.optional_failed", LOG_STR("task", r->session->attempt->task_id),
                 LOG_STR("step", step->path), LOG_ERR(e));
        next_step(r);
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
        check_condition(r, s);
        return;
    case STEP_REPEAT:
    case STEP_PAGINATE:
        loop_begin(r, s);
        return;
    case STEP_NOTHING:
        next_step(r);
        return;
    case STEP_OP:
    default:
        break;
    }
    if (s->find != NULL) {
        call_with(r, step_op_find("page.find"), s->find, PHASE_FIND);
        return;
    }
    if (expand(r, s->op, s->params, &e) != STATUS_OK) {
        step_over(r, e.status, &e);
        return;
    }
    if (frame_url != NULL && field_of(s->op, "frame_url") != NULL)
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
    struct vars v = scope(r);
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
    struct err e = ERR_INIT;

    if (r->cancelled != STATUS_OK) {
        err_set(&e, r->cancelled, "%s", status_text(r->cancelled));
        run_fail(r, &e);
        return;
    }
    step_target(r);
}

static void step_begin(struct flow_run *r)
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

    if (r->cancelled != STATUS_OK) {
        err_set(&e, r->cancelled, "%s", status_text(r->cancelled));
        run_fail(r, &e);
        return;
    }
    if (r->session->refused.status != STATUS_OK) { /* after the last step's end */
        e = r->session->refused;
        run_fail(r, &e);
        return;
    }
    if (l->at < l->steps->n) {
        r->step = &l->steps->v[l->at++];
        r->tries = 0;
        step_begin(r);
    } else if (l->owner != NULL) {
        r->session->page = r->session->main;
        round_over(r, l);
    } else if (r->depth > 1) {
        pop(r);
    } else {
        r->step = NULL;
        run_end(r);
    }
}

static void next_step(struct flow_run *r)
{
    loop_timer_start(r->session->loop, &r->timer, 0, on_next);
}

/* --- begin and cancel --- */

static struct json *describe_member(const struct member *m)
{
    struct json *j = json_new_object();
    const struct identity *id = m->identity;

    json_add_num(j, "index", m->index);
    json_add_num(j, "number", m->index + 1.0);
    if (id == NULL)
        return j;
    json_add_str(j, "id", id->id);
    json_add_str(j, "locale", id->locale);
    json_add_str(j, "timezone", id->timezone);
    json_add_str(j, "user_agent", id->user_agent);
    return j;
}

/* The seed of test data is that of the member, the task and nothing else: a second attempt types
 * the same. */
static struct json *describe_task(const struct attempt *a)
{
    struct json *j = json_new_object();
    const struct identity *id = a->member->identity;
    char seed[160];

    (void)snprintf(seed, sizeof(seed), "%s %u %s", id != NULL ? id->id : "", a->member->index,
                   a->task_id);
    json_add_str(j, "id", a->task_id);
    json_add_num(j, "attempt", a->number);
    json_add_num(j, "stage", a->stage);
    json_add_num(j, "slot", a->slot);
    json_add_str(j, "seed", seed);
    return j;
}

struct flow_run *flow_run(const struct flow *f, struct page_session *s, void (*done)(void *arg),
                          void *arg)
{
    struct flow_run *r = xcalloc(1, sizeof *r);

    r->flow = f;
    r->session = s;
    r->done = done;
    r->arg = arg;
    r->member = describe_member(s->member);
    r->task = describe_task(s->attempt);
    if (f->timeout_ms > 0)
        s->timeout_ms = f->timeout_ms;
    s->flow = r;
    s->attempt->may_have_happened = false;
    push(r, &f->steps, NULL);
    next_step(r);
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
