/* An attempt's way through the browser:
 *
 *   run:  leasing -> flowing -> over          cancel: a lease that is waited for is given up, a
 * flow is cancelled
 *
 * a->done is called from the end of the flow, or of the lease that failed: both come from the loop.
 */
#include "browser/executor.h"

#include "browser/flow/flow.h"
#include "browser/handoff.h"
#include "browser/ops.h"
#include "browser/ops_page.h"
#include "browser/pool.h"
#include "core/base/file.h"
#include "browser/state.h"
#include "core/base/log.h"
#include "core/fleet/keep.h"

/* What a member of the store left must be read within. */
enum { KEEP_MS = 700 };

struct executor {
    struct executor_env env;
    struct arena *arena;
    struct op_table *ops;
    struct browser_program program;
    struct pool *pool;
    struct handoffs *handoffs; /* NULL: nobody is called */
    void (*stopped)(void *arg);
    void *stopped_arg;
    size_t n_running;
    struct list running;  /* struct browsing */
    struct json **unseen; /* of each member of the store: origins that its context was not seen with
                             yet, or NULL */
};

/* The flows of a batch, decoded. */
struct plan {
    struct arena *arena;
    struct flow **flows; /* by asked_at's order */
};

struct browsing {
    struct list link;
    struct executor *x;
    struct attempt *attempt;
    struct pool_lease *lease;
    struct flow_run *flow; /* NULL while leasing */
    struct page_session session;
    enum status cancel; /* why it is to end, OK: it is not */

    /* of a member of the store */
    bool is_over; /* its flow is */
    struct context *context;
    struct json *cookies; /* while its origins are read */
    uint64_t call;
};

/* --- before anything starts --- */

/* A flow that attempts may ask for, and where errors of it are told. */
struct asked {
    const struct json *json;
    const char *where; /* "flow", "stages", "row_flows" */
    bool listed;       /* where/index */
    size_t index;
    const char *name; /* of its file */
};

/* In order: the campaign's own flow or its stages, then those of rows. */
static size_t n_own(const struct campaign_conf *conf)
{
    return conf->stages.n > 0 ? conf->stages.n : 1;
}

static size_t n_asked(const struct campaign_conf *conf)
{
    return n_own(conf) + conf->n_row_flows;
}

static struct asked asked_at(const struct campaign_conf *conf, size_t i)
{
    if (i >= n_own(conf)) {
        const struct row_flow *r = &conf->row_flows[i - n_own(conf)];

        return (struct asked){r->json, "row_flows", true, i - n_own(conf), r->path};
    }
    if (conf->stages.n > 0)
        return (struct asked){conf->stages_json[i], "stages", true, i, conf->stages.v[i]};
    return (struct asked){conf->flow_json, "flow", false, 0, conf->flow};
}

/* The place of the flow that an attempt carries out. */
static size_t asked_by(const struct campaign_conf *conf, const struct attempt *a)
{
    uint32_t own = conf->targets[a->row_index].flow;

    return own > 0 ? n_own(conf) + own - 1 : a->stage;
}

/* *out NULL: rows have flows of their own, and the campaign none. */
static bool decode_flow(const struct campaign_conf *conf, size_t i, struct arena *a,
                        struct json_decode *d, struct flow **out)
{
    struct asked asked = asked_at(conf, i);
    size_t before = d->n_errors, mark = json_enter(d, asked.where, 0);
    size_t inner = asked.listed ? json_enter(d, NULL, asked.index) : 0;

    *out = NULL;
    if (asked.json != NULL)
        *out = flow_decode(a, asked.json, d);
    else if (conf->n_row_flows == 0)
        json_fail(d, NULL, "a browser campaign needs a flow");
    if (asked.listed)
        json_leave(d, inner);
    json_leave(d, mark);
    return d->n_errors == before;
}

static bool browser_check(const struct campaign_conf *conf, struct json_decode *d)
{
    bool ok = true;

    for (size_t i = 0; i < n_asked(conf); i++) {
        struct flow *f;

        ok = decode_flow(conf, i, d->arena, d, &f) && ok;
    }
    return ok;
}

static enum status decode_flows(struct plan *p, const struct campaign_conf *conf, struct err *e)
{
    p->flows = arena_array(p->arena, struct flow *, n_asked(conf));
    for (size_t i = 0; i < n_asked(conf); i++) {
        const char *name = asked_at(conf, i).name;
        struct json_decode d;

        json_decode_init(&d, p->arena, NULL);
        if (!decode_flow(conf, i, p->arena, &d, &p->flows[i]))
            return json_decode_status(&d, name != NULL && name[0] != '\0' ? name : "flow", e);
    }
    return STATUS_OK;
}

static void browser_dismiss(struct executor *x, void *plan)
{
    struct arena *a = ((struct plan *)plan)->arena;

    (void)x;
    arena_destroy(&a);
}

static enum status browser_admit(struct executor *x, const struct campaign_conf *conf, void **plan,
                                 struct err *e)
{
    struct arena *a = arena_create(NULL, 0);
    struct plan *p = arena_new(a, struct plan);
    enum status s;

    p->arena = a;
    s = decode_flows(p, conf, e);
    if (s == STATUS_OK)
        *plan = p;
    else
        browser_dismiss(x, p);
    return s;
}

/* --- making --- */

static void browser_destroy(struct executor **xp)
{
    struct executor *x = *xp;

    if (x == NULL)
        return;
    *xp = NULL;
    BUG_ON(x->n_running > 0);
    for (size_t i = 0; x->unseen != NULL && i < x->env.n_members; i++)
        json_destroy(&x->unseen[i]);
    free(x->unseen);
    handoffs_destroy(&x->handoffs);
    pool_destroy(&x->pool);
    op_table_destroy(&x->ops);
    arena_destroy(&x->arena);
    free(x);
}

static struct pool *make_pool(struct executor *x)
{
    const struct executor_env *env = &x->env;
    const struct pool_opts o = {
        .loop = env->loop,
        .reaper = env->reaper,
        .program = &x->program,
        .isolation = env->conf->isolation,
        .context = env->conf->context,
        .sandbox = env->conf->sandbox,
        .slots = env->slots,
        .members = env->members,
        .n_members = env->n_members,
        .limits = {.memory_bytes = env->conf->recycle.memory_mb << 20,
                   .age_ms = env->conf->recycle.age_s * 1000,
                   .pages = env->conf->recycle.pages},
        .targets = {.gate = env->gate,
                    .document = ops_page_document(),
                    .enforce = env->conf->limits.enforce,
                    .on_event = env->on_event,
                    .arg = env->arg},
    };

    return pool_create(&o);
}

static struct handoffs *make_handoffs(struct executor *x)
{
    const struct handoffs_opts o = {.loop = x->env.loop,
                                    .state_dir = x->env.state_dir,
                                    .on_event = x->env.on_event,
                                    .arg = x->env.arg};

    return handoffs_create(&o);
}

static enum status browser_create(const struct executor_env *env, struct executor **out,
                                  struct err *e)
{
    struct executor *x = xcalloc(1, sizeof *x);
    enum status s;

    x->env = *env;
    list_init(&x->running);
    x->arena = arena_create(NULL, 0);
    x->ops = op_table_create();
    ops_add_browser(x->ops);
    s = browser_find(x->arena, env->conf->browser, &x->program, e);
    if (s != STATUS_OK) {
        browser_destroy(&x);
        return s;
    }
    if (env->n_members > 0 && env->members[0]->keep)
        x->unseen = xcalloc(env->n_members, sizeof *x->unseen);
    x->pool = make_pool(x);
    if (env->conf->captcha.on_detected == BLOCK_HANDOFF)
        x->handoffs = make_handoffs(x);
    *out = x;
    return STATUS_OK;
}

static void browser_start(struct executor *x,
                          void (*ready)(void *arg, enum status s, const struct err *e), void *arg)
{
    pool_start(x->pool, ready, arg);
}

static void on_view_closed(void *arg)
{
    struct executor *x = arg;

    pool_stop(x->pool, x->stopped, x->stopped_arg);
}

static void browser_stop(struct executor *x, void (*stopped)(void *arg), void *arg)
{
    x->stopped = stopped;
    x->stopped_arg = arg;
    if (x->handoffs != NULL)
        handoffs_close(x->handoffs, on_view_closed, x);
    else
        on_view_closed(x);
}

static void browser_scale(struct executor *x, uint32_t slots)
{
    pool_scale(x->pool, slots);
}

static void browser_renew(struct executor *x, struct member *m, const struct identity *next)
{
    if (x->unseen != NULL)
        json_destroy(&x->unseen[m->index]);
    pool_renew(x->pool, m, next);
}

static void browser_describe(const struct executor *x, struct json *into)
{
    json_add_str(into, "browser", x->program.path);
    pool_describe(x->pool, into);
}

/* --- an attempt --- */

static void over(struct browsing *b)
{
    struct attempt *a = b->attempt;

    a->exec = NULL;
    b->x->n_running--;
    list_remove(&b->link);
    free(b);
    a->done(a);
}

static void take_artifacts(struct browsing *b)
{
    if (json_len(b->session.artifacts) > 0)
        b->attempt->artifacts = steal_ptr(&b->session.artifacts);
    json_destroy(&b->session.artifacts);
    json_destroy(&b->session.vars);
    json_destroy(&b->session.console);
}

/* --- what is kept of its member --- */

/* Before the first request: cookies are there already. An origin's storage is given to a context
 * once; what was not seen of it yet may come in a later task. */
static void seed_storage(struct browsing *b)
{
    struct json **left = &b->x->unseen[b->attempt->member->index], *state;

    if (pool_is_new(b->lease)) {
        json_destroy(left);
        state = keep_state(b->attempt->member);
        *left = state != NULL ? json_take(state, "origins") : NULL;
        json_destroy(&state);
    }
    if (json_len(*left) > 0)
        state_seed(b->session.main, *left, true);
}

static bool has_origin(const struct json *origins, const char *origin)
{
    for (const struct json *o = json_first(origins); o != NULL; o = json_next(o))
        if (strcmp(json_str(json_get(o, "origin"), ""), origin) == 0)
            return true;
    return false;
}

static void were_seen(struct browsing *b, const struct json *origins)
{
    struct json **left = &b->x->unseen[b->attempt->member->index], *rest;

    if (json_len(*left) == 0 || json_len(origins) == 0)
        return;
    rest = json_new_array();
    for (const struct json *o = json_first(*left); o != NULL; o = json_next(o))
        if (!has_origin(origins, json_str(json_get(o, "origin"), "")))
            json_push(rest, json_dup(o));
    json_destroy(left);
    *left = rest;
}

static void on_kept(void *arg)
{
    over(arg);
}

static void release(struct browsing *b)
{
    take_artifacts(b);
    pool_release(b->lease, b->attempt->status == STATUS_OK);
}

/* What a page does not tell in time stays as it was saved before. */
static void on_origins(void *arg, enum status s, struct json *origins, const struct err *e)
{
    struct browsing *b = arg;

    (void)s;
    (void)e;
    were_seen(b, origins);
    release(b);
    keep_save(b->attempt->member, steal_ptr(&b->cookies), origins, on_kept, b);
}

static void on_cookies(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct browsing *b = arg;
    struct page *main = b->session.main;

    if (s != STATUS_OK) {
        release(b);
        keep_lost(b->attempt->member, e);
        over(b);
        return;
    }
    b->cookies = state_cookies(result);
    if (page_state(main) == PAGE_OPEN)
        state_read_origins(main, b->attempt->arena, loop_now_ms(b->x->env.loop) + KEEP_MS, &b->call,
                           on_origins, b);
    else
        on_origins(b, STATUS_OK, NULL, NULL);
}

static void keep(struct browsing *b)
{
    struct err e = ERR_INIT;

    if (!context_is_usable(b->context)) {
        err_set(&e, STATUS_BROWSER_GONE, "the browser ended before its cookies could be read");
        release(b);
        keep_lost(b->attempt->member, &e);
        over(b);
        return;
    }
    cdp_callf(cdp_conn_root(context_conn(b->context)), "Storage.getCookies",
              loop_now_ms(b->x->env.loop) + KEEP_MS, on_cookies, b, "{\"browserContextId\":\"%s\"}",
              context_id(b->context));
}

static void on_flow_over(void *arg)
{
    struct browsing *b = arg;

    b->flow = NULL;
    b->is_over = true;
    if (b->attempt->member->keep) {
        keep(b);
        return;
    }
    release(b);
    over(b);
}

static void fill_session(struct browsing *b)
{
    struct executor *x = b->x;
    struct attempt *a = b->attempt;

    b->session = (struct page_session){
        .member = a->member,
        .attempt = a,
        .conf = x->env.conf,
        .gate = x->env.gate,
        .ops = x->ops,
        .loop = x->env.loop,
        .arena = a->arena,
        .artifacts_dir = a->artifacts_dir,
        .artifacts = json_new_array(),
        .vars = json_new_object(),
        .timeout_ms = 5000,
        .heartbeat_ms = x->env.conf->deadlines.heartbeat_ms,
        .rests_since_ms = loop_now_ms(x->env.loop),
        .handoffs = x->handoffs,
    };
}

static void on_lease(void *arg, struct context *c, enum status s, const struct err *e)
{
    struct browsing *b = arg;
    struct attempt *a = b->attempt;

    if (s != STATUS_OK) {
        a->status = s;
        a->err = *e;
        a->error_step = -1;
        over(b);
        return;
    }
    fill_session(b);
    b->context = c;
    context_begin(c, &b->session);
    if (a->member->keep)
        seed_storage(b);
    b->flow = flow_run(((struct plan *)a->plan)->flows[asked_by(a->conf, a)], &b->session,
                       on_flow_over, b);
    if (b->cancel != STATUS_OK)
        flow_cancel(b->flow, b->cancel);
}

static void browser_run(struct executor *x, struct attempt *a)
{
    struct browsing *b = xcalloc(1, sizeof *b);

    b->x = x;
    b->attempt = a;
    a->exec = b;
    a->error_step = -1;
    x->n_running++;
    list_push(&x->running, &b->link);
    b->lease = pool_acquire(x->pool, a->member, on_lease, b);
}

static void browser_cancel(struct executor *x, struct attempt *a, enum status why)
{
    struct browsing *b = a->exec;

    (void)x;
    if (b == NULL || b->is_over || b->cancel != STATUS_OK)
        return;
    b->cancel = why;
    if (b->flow != NULL)
        flow_cancel(b->flow, why);
    else
        pool_give_up(b->lease, why);
}

/* Making a context and its page is work; an attempt that is told to end soon has little left. */
static size_t browser_working(const struct executor *x)
{
    uint64_t now = loop_now_ms(x->env.loop);
    size_t n = 0;

    for (const struct list *l = x->running.next; l != &x->running; l = l->next) {
        const struct browsing *b = container_of(l, struct browsing, link);

        n += b->cancel == STATUS_OK && (b->flow == NULL || !session_rests(&b->session, now));
    }
    return n;
}

const struct executor_ops browser_executor = {
    .name = "browser",
    .check = browser_check,
    .create = browser_create,
    .start = browser_start,
    .admit = browser_admit,
    .dismiss = browser_dismiss,
    .scale = browser_scale,
    .renew = browser_renew,
    .working = browser_working,
    .run = browser_run,
    .cancel = browser_cancel,
    .stop = browser_stop,
    .destroy = browser_destroy,
    .describe = browser_describe,
};

struct pool *browser_executor_pool(struct executor *x)
{
    return x->pool;
}
