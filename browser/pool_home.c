#include "browser/pool_internal.h"
#include "browser/chromium/sandbox.h"

/* --- starting and ending --- */

void home_free(struct home *h)
{
    struct arena *a = h->arena;

    list_remove(&h->link);
    instance_destroy(&h->instance);
    arena_destroy(&a); /* the home is in it */
}

/* Contexts went with the instance; leases that hold one find their pages gone. */
static void seats_leave(struct home *h, const struct err *e)
{
    struct pool *p = h->pool;

    for (size_t i = 0; i < p->opts.n_members; i++) {
        struct seat *s = &p->seats[i];

        if (s->home != h)
            continue;
        s->ctx = NULL;
        s->home = NULL;
        s->warm = false;
        if (s->lease != NULL && s->lease->state == LEASE_MAKES)
            pool_lease_again(s->lease, e);
    }
}

static void on_over(struct instance *i, enum status why, const struct err *e, void *arg)
{
    struct home *h = arg;
    struct pool *p = h->pool;
    bool was_up = h->up;
    uint64_t started_ms = h->started_ms;
    struct err mine = *e;

    (void)i;
    seats_leave(h, e);
    if (why != STATUS_OK)
        pool_tell(p, was_up ? "instance died" : "instance failed", h->owner, err_text(e));
    else
        pool_tell(p, "instance ended", h->owner, h->name);
    if (h->measuring) { /* freed when the measurement is back */
        h->stopping = h->due = true;
        h->up = false;
        instance_destroy(&h->instance);
    } else {
        home_free(h);
    }
    if (!was_up && why != STATUS_OK) {
        pool_start_failed(p, started_ms, &mine);
    } else {
        pool_serve(p);
    }
    pool_settle(p);
}

static void on_ready(struct instance *i, void *arg)
{
    struct home *h = arg;
    struct err ok = ERR_INIT;
    char words[SANDBOX_WORDS_MAX];
    uint32_t layers = instance_layers(i);

    h->up = true;
    h->idle_since_ms = pool_now_ms(h->pool);
    h->pool->failures = 0;
    sandbox_words(layers, words);
    pool_tell(h->pool, "instance started", h->owner,
              arena_printf(h->arena, "%s, %s", instance_version(i), words));
    if (sandbox_lacks(layers) != 0 && !h->pool->warned) {
        h->pool->warned = true;
        log_warn(NULL, "pool.sandbox", LOG_STR("instances", words), LOG_STR("see", "fleet doctor"));
    }
    pool_serve(h->pool);
    pool_tell_ready(h->pool, STATUS_OK, &ok);
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
    pool_tell(h->pool, "instance killed", h->owner, h->name);
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
const struct identity **pool_identities(const struct pool *p, struct arena *a)
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
        .shared = owner == NULL ? pool_identities(p, a) : NULL,
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
    h->started_ms = pool_now_ms(p);
    list_init(&h->link);
    s = instance_start(&o, &h->instance, e);
    if (s != STATUS_OK) {
        arena_destroy(&a);
        return s;
    }
    list_push(&p->homes, &h->link);
    return STATUS_OK;
}

bool pool_start_one(struct pool *p, struct member *m)
{
    struct err e = ERR_INIT;

    if (pool_now_ms(p) < p->not_before_ms)
        return false;
    if (p->opts.isolation == ISOLATION_PROCESS)
        pool_make_room(p);
    if (home_start(p, p->opts.isolation == ISOLATION_PROCESS ? m : NULL, &e) == STATUS_OK)
        return true;
    pool_start_failed(p, pool_now_ms(p), &e);
    return false;
}

/* --- finding one --- */

struct home *home_for(struct pool *p, const struct member *m)
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
void pool_make_room(struct pool *p)
{
    size_t n, n_due;
    struct home *oldest = idle_longest(p, &n, &n_due);

    if (n >= (size_t)p->opts.slots * 2 && oldest != NULL)
        home_retire(oldest, NULL);
}

/* Instances that are more than the slots want go as they become idle. */
void pool_shed(struct pool *p)
{
    struct home *oldest;
    size_t n, n_due;

    if (p->opts.isolation != ISOLATION_PROCESS || p->stopping)
        return;
    while ((oldest = idle_longest(p, &n, &n_due)) != NULL && n - n_due > (size_t)p->opts.slots * 2)
        home_retire(oldest, NULL);
}

size_t home_pages(const struct home *h)
{
    size_t n = h->pages;

    for (size_t i = 0; i < h->pool->opts.n_members; i++)
        if (h->pool->seats[i].home == h && h->pool->seats[i].ctx != NULL)
            n += context_pages_made(h->pool->seats[i].ctx);
    return n;
}

struct json *home_describe(const struct home *h)
{
    struct json *j = json_new_object();
    char words[SANDBOX_WORDS_MAX];

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
    json_add_str(j, "sandbox", sandbox_words(instance_layers(h->instance), words));
    sandbox_describe(instance_layers(h->instance), j);
    return j;
}
