#include "core/http/executor.h"

#include <stdio.h>

#include "core/conf/campaign.h"
#include "core/fleet/keep.h"
#include "core/http/fetch.h"
#include "core/http/ops.h"

enum { STEPS_MAX = 1000, TEXT_MAX = 8 * 1024 * 1024 };

struct executor {
    struct executor_env env;
    size_t n_running;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

/* An attempt under way: one request after the other. */
struct sequence {
    struct executor *x;
    struct attempt *attempt;
    const struct json *step; /* the one that runs */
    int index;
    struct op_call call;
    struct json *params;
    struct json *named;  /* earlier steps' answers by name; NULL: none */
    struct json *member; /* {{member...}}; NULL until it is asked for */
    struct json *output;
    enum status cancel; /* why it is to end; OK: it is not */
    bool has_begun;     /* its member's jar may have been used */
    bool happened;      /* a step that cannot be repeated was done */
    struct str host;    /* of the row: whose token was taken */
};

/* --- checking a flow --- */

static const char *const types[] = {"http.get", "http.head",   "http.post",
                                    "http.put", "http.delete", NULL};

static bool type_is_known(const char *type)
{
    for (size_t i = 0; types[i]; i++) {
        if (strcmp(types[i], type) == 0)
            return true;
    }
    return false;
}

static void check_step(struct json_decode *d, const struct json *step)
{
    const char *type = json_str(json_get(step, "type"), NULL), *near;

    if (json_type(step) != JSON_OBJECT) {
        json_fail(d, NULL, "found %s, expected an object", json_type_name(json_type(step)));
        return;
    }
    if (!type) {
        json_fail(d, "/type",
                  "missing, expected http.get, http.head, http.post, http.put or "
                  "http.delete");
    } else if (!type_is_known(type)) {
        near = str_suggest(str_from(type), types, ARRAY_LEN(types) - 1);
        json_fail(d, "/type",
                  "found \"%s\"%s%s%s, expected http.get, http.head, http.post, http.put or "
                  "http.delete (steps of pages need the browser: \"fleet\")",
                  type, near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
    }
    if (!json_str(json_get(step, "url"), NULL))
        json_fail(d, "/url", "missing, expected a URL, such as \"{{url}}\"");
    if (json_get(step, "irreversible") && json_type(json_get(step, "irreversible")) != JSON_BOOL)
        json_fail(d, "/irreversible", "found %s, expected true or false",
                  json_type_name(json_type(json_get(step, "irreversible"))));
}

static bool check_flow(struct json_decode *d, const struct json *flow)
{
    const struct json *steps = json_get(flow, "steps");
    size_t mark = json_enter(d, "steps", 0), before = d->n_errors, i = 0;

    if (json_type(steps) != JSON_ARRAY || json_len(steps) == 0 || json_len(steps) > STEPS_MAX)
        json_fail(d, NULL, "found %s, expected an array of 1..%d steps",
                  steps ? json_type_name(json_type(steps)) : "nothing", STEPS_MAX);
    for (const struct json *s = json_first(steps); s; s = json_next(s), i++) {
        size_t inner = json_enter(d, NULL, i);

        check_step(d, s);
        json_leave(d, inner);
    }
    json_leave(d, mark);
    return d->n_errors == before;
}

static bool http_check(const struct campaign_conf *conf, struct json_decode *d)
{
    bool ok = true;
    size_t mark;

    if (conf->flow_json && conf->stages.n == 0) {
        mark = json_enter(d, "flow", 0);
        ok = check_flow(d, conf->flow_json);
        json_leave(d, mark);
    }
    for (size_t i = 0; i < conf->stages.n + conf->n_row_flows; i++) {
        bool stage = i < conf->stages.n;
        size_t at = stage ? i : i - conf->stages.n, inner;

        mark = json_enter(d, stage ? "stages" : "row_flows", 0);
        inner = json_enter(d, NULL, at);
        ok = check_flow(d, stage ? conf->stages_json[at] : conf->row_flows[at].json) && ok;
        json_leave(d, inner);
        json_leave(d, mark);
    }
    return ok;
}

/* --- variables --- */

static const struct json *of_member(struct sequence *q)
{
    const struct member *m = q->attempt->member;

    if (!q->member) {
        q->member = json_new_object();
        json_add_num(q->member, "index", m->index);
        json_add_str(q->member, "identity", m->identity->id);
        json_add_str(q->member, "locale", m->identity->locale);
    }
    return q->member;
}

/* The latest word counts: a step's answer hides a member of the row of the same name. */
static const struct json *find_root(struct sequence *q, const char *key)
{
    const struct attempt *a = q->attempt;
    const struct json *j = q->named ? json_get(q->named, key) : NULL;

    if (j)
        return j;
    if (a->input && strcmp(key, "input") == 0)
        return a->input;
    if (strcmp(key, "member") == 0)
        return of_member(q);
    return json_get(a->row, key);
}

static const struct json *find_var(struct sequence *q, struct str name)
{
    struct str rest = name;
    const struct json *j = NULL;
    bool root = true;

    while (rest.ptr && (root || j)) {
        struct str part = str_trim(str_cut(&rest, '.'));
        char key[256];
        size_t n = part.len < sizeof(key) ? part.len : sizeof(key) - 1;

        if (n > 0)
            memcpy(key, part.ptr, n);
        key[n] = '\0';
        j = root ? find_root(q, key) : json_get(j, key);
        root = false;
    }
    return j;
}

static bool add_var(struct buf *out, struct sequence *q, struct str name, struct err *e)
{
    const struct json *j = find_var(q, str_trim(name));

    if (!j) {
        err_set(e, STATUS_INVALID, "{{%.*s}}: there is no such variable", STR_ARG(name));
        return false;
    }
    if (json_type(j) == JSON_STRING)
        buf_adds(out, json_str(j, ""));
    else
        json_print(j, 0, out);
    return true;
}

/* The text with its variables filled in, as a new string; NULL when one is missing. */
static struct json *fill_text(const char *text, struct sequence *q, struct err *e)
{
    struct buf out = BUF_INIT(TEXT_MAX);
    struct str rest = str_from(text);
    struct json *j = NULL;
    bool ok = true;
    ptrdiff_t at;

    while (ok && (at = str_find(rest, STR("{{"))) >= 0) {
        struct str behind = str_skip(rest, (size_t)at + 2);
        ptrdiff_t end = str_find(behind, STR("}}"));

        if (end < 0)
            break;
        buf_add(&out, rest.ptr, (size_t)at);
        ok = add_var(&out, q, str_n(behind.ptr, (size_t)end), e);
        rest = str_skip(behind, (size_t)end + 2);
    }
    buf_addstr(&out, rest);
    if (ok && buf_status(&out) != STATUS_OK)
        ok = err_set(e, STATUS_TOO_LARGE, "a text of more than %d bytes", TEXT_MAX) == STATUS_OK;
    if (ok)
        j = json_new_str(buf_str(&out));
    buf_deinit(&out);
    return j;
}

/* A copy of the tree with variables filled into its strings; NULL as above. */
static struct json *fill(const struct json *in, struct sequence *q, struct err *e)
{
    enum json_type type = json_type(in);
    struct json *out, *child;

    if (type == JSON_STRING)
        return fill_text(json_str(in, ""), q, e);
    if (type != JSON_ARRAY && type != JSON_OBJECT)
        return json_dup(in);
    out = type == JSON_ARRAY ? json_new_array() : json_new_object();
    for (const struct json *c = json_first(in); c; c = json_next(c)) {
        child = fill(c, q, e);
        if (!child) {
            json_destroy(&out);
            return NULL;
        }
        if (type == JSON_ARRAY)
            json_push(out, child);
        else
            json_add(out, json_key(c), child);
    }
    return out;
}

/* --- an attempt --- */

static void run_step(struct sequence *q);

static void told(void *arg)
{
    struct sequence *q = arg;
    struct attempt *a = q->attempt;
    struct executor *x = q->x;

    a->exec = NULL;
    free(q);
    x->n_running--;
    a->done(a);
    if (x->stopped && x->n_running == 0)
        x->stopped(x->stopped_arg);
}

/* Cookies of a member of the store are durable before its task is told. */
static void save_jar(struct sequence *q)
{
    q->cancel = STATUS_CANCELLED; /* too late for another reason */
    q->call = (struct op_call){0};
    keep_save(q->attempt->member, http_jar_export(q->attempt->member), NULL, told, q);
}

static void load_jar(struct member *m)
{
    struct json *state = m->keep && !m->jar ? keep_state(m) : NULL;

    if (state)
        http_jar_import(m, state);
    json_destroy(&state);
}

static void over(struct sequence *q, enum status s, const struct err *e)
{
    struct attempt *a = q->attempt;

    a->status = s;
    a->may_have_happened = s != STATUS_OK && (a->may_have_happened || q->happened);
    a->error_step = s == STATUS_OK ? -1 : q->index;
    if (e)
        a->err = *e;
    if (s == STATUS_OK)
        a->output = steal_ptr(&q->output);
    json_destroy(&q->output);
    json_destroy(&q->params);
    json_destroy(&q->named);
    json_destroy(&q->member);
    if (q->has_begun && a->member->keep)
        save_jar(q);
    else
        told(q);
}

/* Keeps a step's answer for the output and for later steps. */
static void keep_answer(struct sequence *q, struct json *answer)
{
    const char *name = json_str(json_get(q->step, "name"), NULL);

    if (!answer)
        return;
    if (name && json_next(q->step)) {
        if (!q->named)
            q->named = json_new_object();
        json_add(q->named, name, json_dup(answer));
    }
    json_add(q->output, name ? name : "response", answer);
}

static bool is_irreversible(const struct sequence *q)
{
    return json_bool(json_get(q->step, "irreversible"), false);
}

/* The request was not sent, or the target said that it did not take it. */
static bool did_not_happen(enum status s)
{
    switch (s) {
    case STATUS_INVALID:
    case STATUS_POLICY_DENIED:
    case STATUS_ROBOTS_DENIED:
    case STATUS_BREAKER_OPEN:
    case STATUS_RATE_LIMITED:
    case STATUS_PROXY_NONE:
    case STATUS_PROXY_AUTH:
    case STATUS_HTTP_429:
    case STATUS_HTTP_403:
    case STATUS_HTTP_4XX:
        return true;
    default:
        return false;
    }
}

static void on_call_done(struct op_call *call)
{
    struct sequence *q = call->ctx;

    if (is_irreversible(q)) {
        q->happened = q->happened || call->status == STATUS_OK;
        q->attempt->may_have_happened = call->status != STATUS_OK && !did_not_happen(call->status);
    }
    if (call->status != STATUS_OK) {
        struct err e = call->err;

        over(q, call->status, &e);
        return;
    }
    keep_answer(q, op_call_take_result(call));
    json_destroy(&q->params);
    q->step = json_next(q->step);
    q->index++;
    if (q->step && q->cancel == STATUS_OK)
        run_step(q);
    else
        over(q, q->step ? q->cancel : STATUS_OK, NULL);
}

static struct json *step_params(struct sequence *q, struct err *e)
{
    static const char *const own[] = {"type", "name", "irreversible"};
    struct json *params = fill(q->step, q, e);

    for (size_t i = 0; params && i < ARRAY_LEN(own); i++) {
        struct json *drop = json_take(params, own[i]);

        json_destroy(&drop);
    }
    return params;
}

static bool begin_call(struct sequence *q, struct err *e)
{
    const struct attempt *a = q->attempt;
    const struct gate_deps *deps = gate_deps(q->x->env.gate);

    q->params = step_params(q, e);
    if (!q->params)
        return false;
    q->call = (struct op_call){
        .op = op_table_find(deps->table, str_from(json_str(json_get(q->step, "type"), ""))),
        .member = a->member,
        .arena = a->arena,
        .params = q->params,
        .deadline_ms = a->deadline_ms,
        .ctx = q,
        .parent = a->parent,
        .task_id = a->task_id,
        .credit = &q->attempt->credit,
        .credit_host = q->host,
        .ahead = !json_next(q->step) && !is_irreversible(q),
        .on_done = on_call_done,
    };
    if (http_op_target(&q->call) == STATUS_OK)
        return true;
    *e = q->call.err;
    return false;
}

static void call_step(struct sequence *q)
{
    struct err e = ERR_INIT;

    if (begin_call(q, &e)) {
        q->attempt->may_have_happened = is_irreversible(q);
        gate_run(q->x->env.gate, &q->call);
    } else {
        over(q, e.status, &e);
    }
}

/* It is durable that this attempt is about to do what cannot be repeated: now it may. */
static void on_confirmed(void *arg, enum status s, const struct err *e)
{
    struct sequence *q = arg;

    if (q->cancel != STATUS_OK)
        over(q, q->cancel, NULL);
    else if (s != STATUS_OK)
        over(q, s, e);
    else
        call_step(q);
}

static void run_step(struct sequence *q)
{
    struct attempt *a = q->attempt;

    q->call = (struct op_call){0};
    if (is_irreversible(q) && a->confirm)
        a->confirm(a, on_confirmed, q);
    else
        call_step(q);
}

static void start_deferred(void *arg)
{
    struct sequence *q = arg;

    if (q->cancel != STATUS_OK) {
        over(q, q->cancel, NULL);
        return;
    }
    q->has_begun = true;
    load_jar(q->attempt->member);
    run_step(q);
}

static void http_run(struct executor *x, struct attempt *a)
{
    struct sequence *q = xcalloc(1, sizeof(*q));
    const struct campaign_conf *conf = a->conf ? a->conf : x->env.conf;
    const struct json *flow = campaign_flow(conf, a->row_index, a->stage);

    q->x = x;
    q->attempt = a;
    q->step = json_first(json_get(flow, "steps"));
    q->output = json_new_object();
    q->host = conf->targets[a->row_index].host;
    a->exec = q;
    a->error_step = -1;
    x->n_running++;
    loop_defer(x->env.loop, start_deferred, q);
}

static void http_cancel_attempt(struct executor *x, struct attempt *a, enum status why)
{
    struct sequence *q = a->exec;

    if (!q || q->cancel != STATUS_OK)
        return;
    q->cancel = why;
    if (q->call.gate_state)
        gate_cancel(x->env.gate, &q->call, why);
}

/* --- the executor --- */

static enum status http_executor_create(const struct executor_env *env, struct executor **out,
                                        struct err *e)
{
    struct executor *x = xcalloc(1, sizeof(*x));

    (void)e;
    x->env = *env;
    *out = x;
    return STATUS_OK;
}

struct ready {
    void (*fn)(void *arg, enum status s, const struct err *e);
    void *arg;
};

static void tell_ready(void *arg)
{
    struct ready r = *(struct ready *)arg;

    free(arg);
    r.fn(r.arg, STATUS_OK, NULL);
}

static void http_executor_start(struct executor *x,
                                void (*ready)(void *arg, enum status s, const struct err *e),
                                void *arg)
{
    struct ready *r = xcalloc(1, sizeof(*r));

    *r = (struct ready){ready, arg};
    loop_defer(x->env.loop, tell_ready, r);
}

static void http_executor_stop(struct executor *x, void (*stopped)(void *arg), void *arg)
{
    x->stopped = stopped;
    x->stopped_arg = arg;
    if (x->n_running == 0)
        loop_defer(x->env.loop, stopped, arg);
}

static void http_executor_destroy(struct executor **x)
{
    free(*x);
    *x = NULL;
}

const struct executor_ops http_executor = {
    .name = "http",
    .check = http_check,
    .create = http_executor_create,
    .start = http_executor_start,
    .run = http_run,
    .cancel = http_cancel_attempt,
    .stop = http_executor_stop,
    .destroy = http_executor_destroy,
};
