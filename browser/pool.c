#include "browser/pool.h"

#include <inttypes.h>
#include <stdio.h>

#include "browser/chromium/memory.h"
#include "browser/chromium/sandbox.h"
#include "core/base/log.h"
#include "browser/state.h"
#include "core/base/work.h"
#include "core/fleet/keep.h"

/* After a failed start the next is tried no sooner. */
enum { RESTART_MS = 1000, RESTART_MAX_MS = 30000 };

/* So many browsers may die under one lease before it fails. */
enum { TRIES_MAX = 3 };

/* An instance and what is on it. */
struct home {
    struct list link;
    struct pool *pool;
    struct instance *instance;
    struct member *owner; /* isolation "process"; NULL: shared */
    struct arena *arena;
    const char *name;
    unsigned number; /* 1.. */
    bool up;         /* it answered */
    bool due;        /* nothing new is begun on it */
    bool stopping;
    bool measuring;
    size_t n_leases, n_saving; /* n_saving: cookies that are being carried over */
    size_t pages;              /* of contexts that are gone */
    uint64_t idle_since_ms, memory_bytes;
    unsigned processes;
};

enum lease_state { LEASE_WAITS, LEASE_MAKES, LEASE_HELD, LEASE_ENDS };

/* A member's place: its context, when it has one, and its lease. */
struct seat {
    struct member *member;
    struct applied applied;
    bool prepared, saving;
    struct context *ctx;
    struct home *home; /* of ctx, or where it is being made; NULL when it died */
    struct pool_lease *lease;
    unsigned noted; /* number of the home that its receipts were told of last; 0: none */
    char *cookies; /* JSON array of Network.CookieParam, carried from an instance that was due; NULL
                    */
};

struct pool_lease {
    struct list link; /* in pool->waiting, or alone */
    struct pool *pool;
    struct seat *seat;
    struct context *ctx; /* LEASE_HELD: outlives its instance until it is ended */
    enum lease_state state;
    bool is_new; /* the context was made for it */
    bool forget; /* the context is not kept after it */
    unsigned tries;
    uint64_t call; /* DevTools call under way, 0: none */
    context_fn *fn;
    void *arg;
    struct err err; /* LEASE_ENDS */
};

struct pool {
    struct pool_opts opts;
    struct arena *arena;
    struct seat *seats;
    struct list homes, waiting, ending;
    bool ending_posted, stopping, serve_posted;
    size_t n_holds; /* documents in the gate, of all targets there ever were */
    bool warned;    /* that instances lack a layer */
    unsigned n_started, failures;
    uint64_t not_before_ms;
    struct err last_failure;
    void (*ready)(void *arg, enum status s, const struct err *e);
    void *ready_arg;
    void (*stopped)(void *arg);
    void *stopped_arg;
    struct loop_timer measure;
};

static void pool_serve(struct pool *p);
static void serve_soon(struct pool *p);
static void home_settle(struct home *h);
static void stop_settle(struct pool *p);

static uint64_t now_ms(const struct pool *p)
{
    return loop_now_ms(p->opts.loop);
}

static void tell(const struct pool *p, const char *what, const struct member *m, const char *text)
{
    if (p->opts.targets.on_event != NULL)
        p->opts.targets.on_event(p->opts.targets.arg, what, m, text);
}

/* --- leases that end without a context --- */

static void ending_step(void *arg)
{
    struct pool *p = arg;
    struct list *l;

    p->ending_posted = false;
    while ((l = list_pop(&p->ending)) != NULL) {
        struct pool_lease *lease = list_entry(l, struct pool_lease, link);

        lease->seat->lease = NULL;
        lease->fn(lease->arg, NULL, lease->err.status, &lease->err);
        free(lease);
    }
    stop_settle(p);
}

static void lease_fail(struct pool_lease *l, enum status s, const char *sentence)
{
    if (l->state == LEASE_ENDS)
        return;
    l->state = LEASE_ENDS;
    err_set(&l->err, s, "%s", sentence);
    list_remove(&l->link);
    list_push(&l->pool->ending, &l->link);
    if (!l->pool->ending_posted) {
        l->pool->ending_posted = true;
        loop_defer(l->pool->opts.loop, ending_step, l->pool);
    }
}

/* --- homes --- */

static void home_free(struct home *h)
{
    struct arena *a = h->arena;

    list_remove(&h->link);
    instance_destroy(&h->instance);
    arena_destroy(&a); /* the home is in it */
}

/* Contexts went with the instance; leases that hold one find their pages gone. */
static void seats_leave(struct home *h)
{
    struct pool *p = h->pool;

    for (size_t i = 0; i < p->opts.n_members; i++) {
        struct seat *s = &p->seats[i];

        if (s->home != h)
            continue;
        s->ctx = NULL;
        s->home = NULL;
        if (s->lease != NULL && s->lease->state == LEASE_MAKES) {
            s->lease->state = LEASE_WAITS;
            list_push(&p->waiting, &s->lease->link);
        }
    }
}

static void fail_waiting(struct pool *p, const struct err *e)
{
    while (!list_empty(&p->waiting)) {
        struct pool_lease *l = list_entry(p->waiting.next, struct pool_lease, link);

        lease_fail(l, STATUS_BROWSER_GONE, err_text(e));
    }
}

static void on_failed(struct pool *p, const struct err *e)
{
    uint64_t wait = (uint64_t)RESTART_MS << (p->failures < 5 ? p->failures : 5);

    p->failures++;
    p->last_failure = *e;
    p->not_before_ms = now_ms(p) + (wait < RESTART_MAX_MS ? wait : RESTART_MAX_MS);
    log_error(NULL, "instance.failed", LOG_ERR(e));
    fail_waiting(p, e);
}

static void tell_ready(struct pool *p, enum status s, const struct err *e)
{
    void (*ready)(void *arg, enum status st, const struct err *er) = p->ready;

    p->ready = NULL;
    if (ready != NULL)
        ready(p->ready_arg, s, e);
}

static void on_over(struct instance *i, enum status why, const struct err *e, void *arg)
{
    struct home *h = arg;
    struct pool *p = h->pool;
    bool was_up = h->up;
    struct err mine = *e;

    (void)i;
    seats_leave(h);
    if (why != STATUS_OK)
        tell(p, was_up ? "instance died" : "instance failed", h->owner, err_text(e));
    else
        tell(p, "instance ended", h->owner, h->name);
    if (h->measuring) { /* freed when the measurement is back */
        h->stopping = h->due = true;
        h->up = false;
        instance_destroy(&h->instance);
    } else {
        home_free(h);
    }
    if (!was_up && why != STATUS_OK) {
        on_failed(p, &mine);
        tell_ready(p, why, &mine);
    } else {
        pool_serve(p);
    }
    stop_settle(p);
}

static void on_ready(struct instance *i, void *arg)
{
    struct home *h = arg;
    struct err ok = ERR_INIT;
    char words[SANDBOX_WORDS_MAX];
    uint32_t layers = instance_layers(i);

    h->up = true;
    h->idle_since_ms = now_ms(h->pool);
    h->pool->failures = 0;
    sandbox_words(layers, words);
    tell(h->pool, "instance started", h->owner,
         arena_printf(h->arena, "%s, %s", instance_version(i), words));
    if (sandbox_lacks(layers) != 0 && !h->pool->warned) {
        h->pool->warned = true;
        log_warn(NULL, "pool.sandbox", LOG_STR("instances", words), LOG_STR("see", "fleet doctor"));
    }
    pool_serve(h->pool);
    tell_ready(h->pool, STATUS_OK, &ok);
}

static enum instance_way way_of(const struct pool *p)
{
    const struct member *m = p->opts.n_members > 0 ? p->opts.members[0] : NULL;

    if (m == NULL || m->forward != NULL)
        return INSTANCE_TO_DOOR;
    return m->forward_port != 0 ? INSTANCE_TO_PORT : INSTANCE_DIRECT;
}

/* It does not answer any more. The second asking kills. */
static void on_stuck(void *arg)
{
    struct home *h = arg;

    if (h->instance == NULL || instance_state(h->instance) == INSTANCE_GONE)
        return;
    tell(h->pool, "instance killed", h->owner, h->name);
    log_warn(NULL, "instance.stuck", LOG_STR("instance", h->name));
    h->due = h->stopping = true;
    instance_stop(h->instance);
    instance_stop(h->instance);
}

static pid_t pid_of(void *arg)
{
    const struct home *h = arg;

    return h->instance != NULL ? instance_pid(h->instance) : 0;
}

/* For an instance that all members share. */
static const struct identity **all_identities(const struct pool *p, struct arena *a)
{
    const struct identity **v = arena_array(a, const struct identity *, p->opts.n_members + 1);

    for (size_t i = 0; i < p->opts.n_members; i++)
        v[i] = p->opts.members[i]->identity;
    return v;
}

static enum status home_start(struct pool *p, struct member *owner, struct err *e)
{
    struct arena *a = arena_create(NULL, 0);
    struct home *h = arena_new(a, struct home);
    struct instance_opts o = {
        .loop = p->opts.loop,
        .reaper = p->opts.reaper,
        .program = p->opts.program,
        .sandbox = p->opts.sandbox,
        .owner = owner,
        .shared = owner == NULL ? all_identities(p, a) : NULL,
        .n_shared = owner == NULL ? p->opts.n_members : 0,
        .way = way_of(p),
        .targets = p->opts.targets,
        .on_ready = on_ready,
        .on_over = on_over,
        .arg = h,
    };
    enum status s;

    h->arena = a;
    h->pool = p;
    h->owner = owner;
    o.targets.on_stuck = on_stuck;
    o.targets.pid = pid_of;
    o.targets.home = h;
    h->name = o.name = arena_printf(a, "browser-%u", p->n_started++);
    h->number = p->n_started;
    list_init(&h->link);
    s = instance_start(&o, &h->instance, e);
    if (s != STATUS_OK) {
        arena_destroy(&a);
        return s;
    }
    list_push(&p->homes, &h->link);
    return STATUS_OK;
}

/* --- cookies carried over --- */

struct saving {
    struct home *home;
    struct seat *seat;
};

static void add_cookie(struct buf *b, const struct json *c)
{
    static const char *const names[] = {"name",         "value",      "domain",      "path",
                                        "secure",       "httpOnly",   "sameSite",    "priority",
                                        "sourceScheme", "sourcePort", "partitionKey"};
    const char *comma = "{";

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct json *v = json_get(c, names[i]);

        if (v == NULL)
            continue;
        buf_addf(b, "%s\"%s\":", comma, names[i]);
        json_print(v, 0, b);
        comma = ",";
    }
    if (!json_bool(json_get(c, "session"), true))
        buf_addf(b, ",\"expires\":%.0f", json_num(json_get(c, "expires"), 0));
    buf_addc(b, '}');
}

static void on_cookies(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct saving *sv = arg;
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    const char *comma = "";

    (void)e;
    if (s == STATUS_OK && json_len(json_get(result, "cookies")) > 0) {
        buf_addc(&b, '[');
        for (const struct json *c = json_first(json_get(result, "cookies")); c != NULL;
             c = json_next(c)) {
            buf_adds(&b, comma);
            add_cookie(&b, c);
            comma = ",";
        }
        buf_addc(&b, ']');
        free(sv->seat->cookies);
        sv->seat->cookies = buf_take(&b, NULL);
    }
    sv->seat->saving = false;
    sv->home->n_saving--;
    if (s != STATUS_BROWSER_GONE) { /* else the context goes with its browser */
        context_destroy(&sv->seat->ctx);
        sv->seat->home = NULL;
        home_settle(sv->home);
        serve_soon(sv->home->pool);
    }
    if (s != STATUS_OK)
        log_warn(NULL, "pool.cookies.lost", LOG_STR("instance", sv->home->name));
    free(sv);
}

static void save_cookies(struct home *h, struct seat *s)
{
    struct saving *sv = xcalloc(1, sizeof *sv);

    *sv = (struct saving){h, s};
    h->n_saving++;
    s->saving = true;
    cdp_callf(cdp_conn_root(instance_conn(h->instance)), "Storage.getCookies",
              now_ms(h->pool) + 5000, on_cookies, sv, "{\"browserContextId\":\"%s\"}",
              context_id(s->ctx));
}

static void lease_held(struct pool_lease *l);

/* They must be there before the first request: the lease waits for the answer. When the browser is
 * gone, so is the context; when it refused them the lease goes on without. */
static void on_loaded(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct pool_lease *l = arg;

    (void)result;
    if (s != STATUS_OK)
        log_warn(NULL, "pool.cookies.lost", LOG_ERR(e));
    l->call = 0;
    if (l->state == LEASE_MAKES && s != STATUS_BROWSER_GONE)
        lease_held(l);
}

/* Of a member of the store, where no instance left any. */
static void find_cookies(struct seat *s)
{
    struct json *state = s->cookies == NULL ? keep_state(s->member) : NULL;
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    if (json_len(json_get(state, "cookies")) > 0) {
        state_print_cookies(&b, json_get(state, "cookies"));
        s->cookies = buf_take(&b, NULL);
    }
    buf_deinit(&b);
    json_destroy(&state);
}

static void load_cookies(struct pool_lease *l)
{
    struct seat *s = l->seat;
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    buf_addf(&b, "{\"browserContextId\":\"%s\",\"cookies\":%s}", context_id(s->ctx), s->cookies);
    l->call = cdp_call(cdp_conn_root(instance_conn(s->home->instance)), "Storage.setCookies",
                       buf_str(&b), 0, on_loaded, l);
    buf_deinit(&b);
    free(steal_ptr(&s->cookies));
}

/* --- an instance that is due --- */

static bool is_kept(const struct pool *p)
{
    return p->opts.context == CONTEXT_KEPT;
}

/* The context of a seat without a lease leaves a home that is due. */
static void seat_leaves(struct home *h, struct seat *s)
{
    if (is_kept(h->pool) && context_is_usable(s->ctx) && !h->pool->stopping) {
        save_cookies(h, s);
        return;
    }
    context_destroy(&s->ctx);
    s->home = NULL;
}

/* Closes it when nobody needs it any more. */
static void home_settle(struct home *h)
{
    if (!h->due || h->stopping || h->n_leases > 0 || h->n_saving > 0)
        return;
    h->stopping = true;
    instance_stop(h->instance);
}

static void home_retire(struct home *h, const char *why)
{
    struct pool *p = h->pool;

    if (h->due)
        return;
    h->due = true;
    instance_drain(h->instance);
    if (why != NULL)
        tell(p, "instance recycled", h->owner, why);
    for (size_t i = 0; i < p->opts.n_members; i++)
        if (p->seats[i].home == h && p->seats[i].ctx != NULL &&
            (p->seats[i].lease == NULL || p->seats[i].lease->state == LEASE_WAITS))
            seat_leaves(h, &p->seats[i]);
    home_settle(h);
}

static size_t home_pages(const struct home *h)
{
    size_t n = h->pages;

    for (size_t i = 0; i < h->pool->opts.n_members; i++)
        if (h->pool->seats[i].home == h && h->pool->seats[i].ctx != NULL)
            n += context_pages_made(h->pool->seats[i].ctx);
    return n;
}

static void home_check(struct home *h)
{
    const struct pool_limits *l = &h->pool->opts.limits;
    size_t pages = home_pages(h);
    uint64_t age = now_ms(h->pool) - instance_started_ms(h->instance);
    char why[120] = "";

    if (h->due || !h->up)
        return;
    if (h->memory_bytes > (l->memory_bytes != 0 ? l->memory_bytes : POOL_MEMORY_BYTES))
        snprintf(why, sizeof why, "%" PRIu64 " MiB of memory", h->memory_bytes >> 20);
    else if (age > (l->age_ms != 0 ? l->age_ms : POOL_AGE_MS))
        snprintf(why, sizeof why, "%" PRIu64 " s old", age / 1000);
    else if (pages > (l->pages != 0 ? l->pages : POOL_PAGES))
        snprintf(why, sizeof why, "%zu pages", pages);
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
        stop_settle(p);
    } else if (m->ok) {
        h->memory_bytes = m->bytes;
        h->processes = m->processes;
        home_check(h);
    }
    free(m);
}

static void on_measure(struct loop_timer *t)
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
    loop_timer_start(p->opts.loop, &p->measure, every, on_measure);
}

/* --- giving out --- */

static struct home *home_for(struct pool *p, const struct member *m)
{
    list_for_each (l, &p->homes) {
        struct home *h = list_entry(l, struct home, link);

        if (!h->due && cdp_conn_is_open(instance_conn(h->instance)) &&
            (p->opts.isolation == ISOLATION_CONTEXT || h->owner == m))
            return h;
    }
    return NULL;
}

/* The instance that was idle longest, NULL: none is. *n: how many there are, *n_due: of these, how
 * many go already. */
static struct home *idle_longest(struct pool *p, size_t *n, size_t *n_due)
{
    struct home *oldest = NULL;

    *n = *n_due = 0;
    list_for_each (l, &p->homes) {
        struct home *h = list_entry(l, struct home, link);

        ++*n;
        *n_due += h->due;
        if (h->up && !h->due && h->n_leases == 0 &&
            (oldest == NULL || h->idle_since_ms < oldest->idle_since_ms))
            oldest = h;
    }
    return oldest;
}

/* Room for one more instance. */
static void make_room(struct pool *p)
{
    size_t n, n_due;
    struct home *oldest = idle_longest(p, &n, &n_due);

    if (n >= (size_t)p->opts.slots * 2 && oldest != NULL)
        home_retire(oldest, NULL);
}

/* Instances that are more than the slots want go as they become idle. */
static void shed(struct pool *p)
{
    struct home *oldest;
    size_t n, n_due;

    if (p->opts.isolation != ISOLATION_PROCESS || p->stopping)
        return;
    while ((oldest = idle_longest(p, &n, &n_due)) != NULL && n - n_due > (size_t)p->opts.slots * 2)
        home_retire(oldest, NULL);
}

void pool_scale(struct pool *p, uint32_t slots)
{
    p->opts.slots = slots;
    shed(p);
}

static void lease_held(struct pool_lease *l)
{
    struct err ok = ERR_INIT;

    l->state = LEASE_HELD;
    l->ctx = l->seat->ctx;
    l->fn(l->arg, l->ctx, STATUS_OK, &ok);
}

/* Once for each instance that a member comes to. */
static void note_level(struct seat *s)
{
    const struct pool_opts *o = &s->home->pool->opts;

    if (s->noted == s->home->number || o->targets.gate == NULL)
        return;
    s->noted = s->home->number;
    sandbox_receipt(gate_deps(o->targets.gate)->audit, s->home->instance, s->member);
}

static void on_context(void *arg, struct context *c, enum status s, const struct err *e)
{
    struct pool_lease *l = arg;
    struct seat *seat = l->seat;

    if (s != STATUS_OK) {
        seat->home->n_leases--;
        home_settle(seat->home);
        seat->ctx = NULL;
        seat->home = NULL;
        if (s == STATUS_BROWSER_GONE && ++l->tries < TRIES_MAX) { /* on the next one */
            l->state = LEASE_WAITS;
            list_push(&l->pool->waiting, &l->link);
            serve_soon(l->pool);
        } else {
            lease_fail(l, s, err_text(e));
        }
        return;
    }
    seat->ctx = c;
    l->is_new = true;
    note_level(seat);
    find_cookies(seat);
    if (seat->cookies != NULL)
        load_cookies(l);
    else
        lease_held(l);
}

static void lease_on(struct pool_lease *l, struct home *h)
{
    struct seat *s = l->seat;
    struct pool *p = l->pool;

    list_remove(&l->link);
    if (!s->prepared) {
        identity_prepare(p->arena, s->member->identity, h->owner != NULL, &s->applied);
        s->prepared = true;
    }
    l->state = LEASE_MAKES;
    s->home = h;
    h->n_leases++;
    s->ctx = context_create(instance_targets(h->instance), s->member, &s->applied, on_context, l);
}

/* A context that is there already. From the loop: the lease was put in line first. */
static void lease_again(struct pool_lease *l)
{
    list_remove(&l->link);
    l->seat->home->n_leases++;
    lease_held(l);
}

static bool start_one(struct pool *p, struct member *m)
{
    struct err e = ERR_INIT;

    if (now_ms(p) < p->not_before_ms)
        return false;
    if (p->opts.isolation == ISOLATION_PROCESS)
        make_room(p);
    if (home_start(p, p->opts.isolation == ISOLATION_PROCESS ? m : NULL, &e) == STATUS_OK)
        return true;
    on_failed(p, &e);
    return false;
}

/* Does for each lease in line what can be done now. */
static void pool_serve(struct pool *p)
{
    list_for_each_safe (link, &p->waiting) {
        struct pool_lease *l = list_entry(link, struct pool_lease, link);
        struct seat *s = l->seat;
        struct home *h;

        if (s->ctx != NULL && !s->home->due && context_is_usable(s->ctx)) {
            lease_again(l);
            continue;
        }
        if (s->ctx != NULL && !s->saving && !context_is_usable(s->ctx)) { /* it was killed */
            context_destroy(&s->ctx);
            s->home = NULL;
        }
        if (s->ctx != NULL)
            continue; /* its cookies are on their way from an instance that is due */
        h = home_for(p, s->member);
        if (h != NULL && h->up)
            lease_on(l, h);
        else if (h == NULL && !start_one(p, s->member)) {
            fail_waiting(p, &p->last_failure);
            return;
        }
    }
}

static void serve_step(void *arg)
{
    struct pool *p = arg;

    p->serve_posted = false;
    pool_serve(p);
    stop_settle(p);
}

static void serve_soon(struct pool *p)
{
    if (p->serve_posted)
        return;
    p->serve_posted = true;
    loop_defer(p->opts.loop, serve_step, p);
}

struct pool_lease *pool_acquire(struct pool *p, struct member *m, context_fn *fn, void *arg)
{
    struct pool_lease *l = xcalloc(1, sizeof *l);
    struct seat *s = &p->seats[m->index];

    BUG_ON(s->lease != NULL);
    l->pool = p;
    l->seat = s;
    l->fn = fn;
    l->arg = arg;
    s->lease = l;
    list_push(&p->waiting, &l->link);
    serve_soon(p);
    return l;
}

void pool_give_up(struct pool_lease *l, enum status why)
{
    struct seat *s = l->seat;

    BUG_ON(l->state == LEASE_HELD);
    if (l->state == LEASE_MAKES) {
        if (l->call != 0) /* answered before the lease is freed */
            cdp_cancel(instance_conn(s->home->instance), l->call, STATUS_CANCELLED);
        context_destroy(&s->ctx);
        s->home->n_leases--;
        home_settle(s->home);
        s->home = NULL;
    }
    lease_fail(l, why, status_text(why));
}

bool pool_is_new(const struct pool_lease *l)
{
    return l->is_new;
}

void pool_forget(struct pool_lease *l)
{
    l->forget = true;
}

void pool_release(struct pool_lease *l, bool clean)
{
    struct pool *p = l->pool;
    struct seat *s = l->seat;
    struct home *h = s->home;

    BUG_ON(l->state != LEASE_HELD);
    s->lease = NULL;
    if (h != NULL &&
        (!is_kept(p) || l->forget || !context_is_usable(s->ctx))) { /* its pages go with it */
        h->pages += context_pages_made(s->ctx);
        context_destroy(&s->ctx);
        s->home = NULL;
    }
    context_end(l->ctx, clean && h != NULL && is_kept(p) && !h->due);
    free(l);
    if (h == NULL) /* its instance died */
        return;
    h->n_leases--;
    h->idle_since_ms = now_ms(p);
    if (s->ctx != NULL && h->due)
        seat_leaves(h, s);
    home_check(h);
    home_settle(h);
    shed(p);
}

/* --- life --- */

static void on_quiet(void *arg)
{
    struct pool *p = arg;

    if (p->stopping)
        serve_soon(p);
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
    struct member *first = p->opts.n_members > 0 ? p->opts.members[0] : NULL;

    p->ready = ready;
    p->ready_arg = arg;
    loop_timer_start(p->opts.loop, &p->measure,
                     p->opts.limits.measure_ms != 0 ? p->opts.limits.measure_ms : POOL_MEASURE_MS,
                     on_measure);
    if (!start_one(p, first))
        serve_soon(p); /* which tells */
}

static void stop_settle(struct pool *p)
{
    void (*stopped)(void *arg);

    if (p->ready != NULL && list_empty(&p->homes) && p->failures > 0)
        tell_ready(p, p->last_failure.status, &p->last_failure);
    if (!p->stopping || p->stopped == NULL || !list_empty(&p->homes) || !list_empty(&p->ending) ||
        p->n_holds > 0 || p->serve_posted)
        return;
    stopped = p->stopped;
    p->stopped = NULL;
    stopped(p->stopped_arg);
}

void pool_stop(struct pool *p, void (*stopped)(void *arg), void *arg)
{
    struct err e = ERR_INIT;

    p->stopping = true;
    p->stopped = stopped;
    p->stopped_arg = arg;
    tell_ready(p, STATUS_CANCELLED, &e);
    loop_timer_stop(&p->measure);
    list_for_each_safe (l, &p->homes)
        home_retire(list_entry(l, struct home, link), NULL);
    serve_soon(p);
}

void pool_destroy(struct pool **pp)
{
    struct pool *p = *pp;

    if (p == NULL)
        return;
    *pp = NULL;
    BUG_ON(!list_empty(&p->homes) || !list_empty(&p->waiting));
    loop_timer_stop(&p->measure);
    for (size_t i = 0; i < p->opts.n_members; i++)
        free(p->seats[i].cookies);
    free(p->seats);
    arena_destroy(&p->arena);
    free(p);
}

static struct json *describe_home(const struct home *h)
{
    struct json *j = json_new_object();

    json_add_str(j, "name", h->name);
    if (h->instance == NULL)
        return j;
    json_add_str(j, "state", instance_state_name(instance_state(h->instance)));
    json_add_str(j, "version", instance_version(h->instance));
    json_add_num(j, "pid", instance_pid(h->instance));
    json_add_num(j, "memory_bytes", (double)h->memory_bytes);
    json_add_num(j, "processes", h->processes);
    json_add_num(j, "pages", (double)home_pages(h));
    json_add_num(j, "leases", (double)h->n_leases);
    sandbox_describe(instance_layers(h->instance), j);
    return j;
}

void pool_describe(const struct pool *p, struct json *into)
{
    struct json *arr = json_new_array();

    list_for_each (l, &p->homes)
        json_push(arr, describe_home(list_entry(l, struct home, link)));
    json_add(into, "instances", arr);
}
