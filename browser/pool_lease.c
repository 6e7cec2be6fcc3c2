#include "browser/pool_internal.h"

#include "browser/chromium/sandbox.h"

/* So many browsers may die under one lease before it fails. */
enum { TRIES_MAX = 3 };

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
    pool_settle(p);
}

/* Ends it without a context, from the loop. */
static void pool_lease_fail(struct pool_lease *l, enum status s, const char *sentence)
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

/* What it had was lost with a browser: on the next one. */
void pool_lease_again(struct pool_lease *l, const struct err *e)
{
    if (++l->tries >= TRIES_MAX) {
        pool_lease_fail(l, STATUS_BROWSER_GONE, err_text(e));
        return;
    }
    l->state = LEASE_WAITS;
    list_push(&l->pool->waiting, &l->link);
    pool_serve_soon(l->pool);
}

/* --- giving out --- */

void pool_lease_held(struct pool_lease *l)
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

/* A context that nobody had before. */
static void furnish(struct pool_lease *l)
{
    l->is_new = true;
    note_level(l->seat);
    seat_find_cookies(l->seat);
    if (l->seat->cookies != NULL)
        seat_load_cookies(l);
    else
        pool_lease_held(l);
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
        if (s == STATUS_BROWSER_GONE)
            pool_lease_again(l, e);
        else
            pool_lease_fail(l, s, err_text(e));
        return;
    }
    seat->ctx = c;
    furnish(l);
}

const struct applied *seat_applied(struct seat *s, const struct home *h)
{
    if (s->arena == NULL) {
        s->arena = arena_create(NULL, 0);
        identity_prepare(s->arena, s->member->identity, h->owner != NULL, &s->applied);
    }
    return &s->applied;
}

static void lease_on(struct pool_lease *l, struct home *h)
{
    struct seat *s = l->seat;

    list_remove(&l->link);
    l->state = LEASE_MAKES;
    s->home = h;
    h->n_leases++;
    s->ctx =
        context_create(instance_targets(h->instance), s->member, seat_applied(s, h), on_context, l);
}

/* A context that is there already. From the loop: the lease was put in line first. */
static void lease_again(struct pool_lease *l)
{
    list_remove(&l->link);
    l->seat->home->n_leases++;
    pool_lease_held(l);
}

static void lease_warm(struct pool_lease *l)
{
    list_remove(&l->link);
    l->state = LEASE_MAKES;
    l->seat->warm = false;
    l->seat->home->n_leases++;
    furnish(l);
}

void pool_serve(struct pool *p)
{
    list_for_each_safe (link, &p->waiting) {
        struct pool_lease *l = list_entry(link, struct pool_lease, link);
        struct seat *s = l->seat;
        struct home *h;

        if (s->warm && pool_is_warm(p, s->member)) {
            lease_warm(l);
            continue;
        }
        if (s->warm)
            seat_cool(s);
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
        else if (h == NULL && !pool_start_one(p, s->member) && pool_is_broken(p))
            pool_lease_fail(l, STATUS_BROWSER_GONE, err_text(&p->last_failure));
    }
}

static void serve_step(void *arg)
{
    struct pool *p = arg;

    p->serve_posted = false;
    pool_serve(p);
    pool_settle(p);
}

void pool_serve_soon(struct pool *p)
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
    pool_serve_soon(p);
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
    pool_lease_fail(l, why, status_text(why));
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
        (!pool_is_kept(p) || l->forget || !context_is_usable(s->ctx))) { /* its pages go with it */
        h->pages += context_pages_made(s->ctx);
        context_destroy(&s->ctx);
        s->home = NULL;
    }
    context_end(l->ctx, clean && h != NULL && pool_is_kept(p) && !h->due);
    free(l);
    if (h == NULL) /* its instance died */
        return;
    h->n_leases--;
    h->idle_since_ms = pool_now_ms(p);
    if (s->ctx != NULL && h->due)
        seat_leaves(h, s);
    home_check(h);
    home_settle(h);
    pool_shed(p);
}
