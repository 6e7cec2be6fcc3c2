#include <stdio.h>

#include "browser/gateway/gateway_internal.h"
#include "browser/identity/apply.h"
#include "browser/identity/patch.h"
#include "browser/ops.h"
#include "core/base/jcs.h"
#include "core/base/log.h"
#include "core/base/rng.h"

enum {
    ASKED_MS = 60 * 1000,     /* for instance, context and receipt */
    FIRST_PAGE_MS = 5 * 1000, /* after it a client does without */
    DOCUMENT_MAX_MS =
        60 * 60 * 1000, /* a document may wait so long for its token: slowed, not failed */
};

const char *lease_state_name(enum lease_state s)
{
    static const char *const names[] = {
        [LEASE_ASKED] = "asked",   [LEASE_READY] = "ready",   [LEASE_CONNECTED] = "connected",
        [LEASE_HELD_FOR] = "held", [LEASE_ENDING] = "ending", [LEASE_OVER] = "over",
    };
    _Static_assert(ARRAY_LEN(names) == LEASE_STATE_COUNT, "a name for each state");

    return names[s];
}

void lease_moved(struct lease *l, enum lease_state to)
{
    if (l->state == to)
        return;
    log_debug(NULL, "lease.state", LOG_STR("from", lease_state_name(l->state)),
              LOG_STR("to", lease_state_name(to)), LOG_STR("member", l->member->identity->id));
    l->state = to;
}

bool lease_has_room(const struct lease *l)
{
    return l->state < LEASE_ENDING && l->n_clients < LEASE_CLIENTS_MAX;
}

static uint64_t now_ms(const struct lease *l)
{
    return loop_now_ms(l->gateway->deps.loop);
}

/* What holds for its documents: its own where it has one. */
static struct json *describe_limits(const struct lease *l)
{
    const struct limit_rate *r =
        l->limiter != NULL ? &l->want.rate : &l->gateway->deps.conf->limits.rate;

    return json_add_num(json_add_num(json_new_object(), "max_requests", r->max_requests),
                        "window_ms", (double)r->window_ms);
}

struct json *lease_describe(const struct lease *l)
{
    struct json *j = json_new_object();
    char at[CLOCK_RFC3339_MAX];

    json_add_str(j, "id", l->id);
    json_add_str(j, "state", lease_state_name(l->state));
    json_add_str(j, "waits_for", l->begun ? NULL : gateway_pressure(l->gateway));
    json_add_num(j, "member", l->member->index);
    json_add_str(j, "identity", l->member->identity->id);
    json_add_str(j, "proxy", l->member->proxy_id[0] != '\0' ? l->member->proxy_id : NULL);
    json_add_str(j, "expires", clock_rfc3339(l->expires_wall_ms, at));
    json_add_num(j, "idle_ms", (double)l->want.idle_ms);
    json_add_num(j, "grace_ms", (double)l->want.grace_ms);
    json_add(j, "limits", describe_limits(l));
    json_add_num(j, "clients", (double)l->n_clients);
    json_add_num(j, "contexts", (double)l->view.n_contexts);
    json_add_num(j, "acted", (double)l->n_acted);
    json_add_num(j, "refused", (double)l->n_refused);
    json_add_str(j, "handoff", l->handoff[0] != '\0' ? l->handoff : NULL);
    return j;
}

/* --- waiting for it --- */

void lease_when_ready(struct lease *l,
                      void (*fn)(void *arg, struct lease *l, enum status s, const struct err *e),
                      void *arg)
{
    struct ready_waiter *w = xcalloc(1, sizeof *w);

    w->fn = fn;
    w->arg = arg;
    list_push(&l->waiters, &w->link);
}

static void tell_waiters(struct lease *l, enum status s, const struct err *e)
{
    struct list *link;

    while ((link = list_pop(&l->waiters)) != NULL) {
        struct ready_waiter *w = list_entry(link, struct ready_waiter, link);

        w->fn(w->arg, l, s, e);
        free(w);
    }
}

/* --- the end --- */

static void over_step(void *arg)
{
    struct lease *l = arg;
    struct gateway *g = l->gateway;

    if (l->why.status == STATUS_OK)
        err_set(&l->why, STATUS_CLOSED, "the lease ended: %s", l->ended_by);
    tell_waiters(l, l->why.status, &l->why);
    gateway_lease_over(g, l);
    loop_timer_stop(&l->timer);
    loop_timer_stop(&l->first_timer);
    loop_timer_stop(&l->handoff_timer);
    files_deinit(l);
    keep_deinit(l);
    view_deinit(&l->view);
    json_destroy(&l->metrics);
    json_destroy(&l->own.session.console);
    limiter_destroy(&l->limiter);
    arena_destroy(&l->arena);
    free(l);
}

static void maybe_over(struct lease *l)
{
    if (l->state != LEASE_ENDING || l->pool_lease != NULL || l->n_recording > 0 ||
        l->n_making > 0 || l->n_clients > 0)
        return;
    lease_moved(l, LEASE_OVER);
    loop_defer(l->gateway->deps.loop, over_step, l);
}

void lease_release_check(struct lease *l)
{
    maybe_over(l);
}

static void recorded(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                     const struct err *e)
{
    struct lease *l = arg;

    (void)leaf;
    (void)seq;
    if (s != STATUS_OK)
        log_error(NULL, "lease.receipt.lost", LOG_ERR(e));
    l->n_recording--;
    maybe_over(l);
}

void lease_record(struct lease *l, const struct receipt *r)
{
    if (l->gateway->deps.audit == NULL)
        return;
    l->n_recording++;
    audit_append(l->gateway->deps.audit, r, recorded, l);
}

static void close_receipt(struct lease *l)
{
    struct buf payload = BUF_INIT(BUF_MAX_LINE);
    struct json *j;
    struct receipt r = {
        .kind = "lease.close",
        .member = l->member->identity->id,
        .outcome = l->why.status == STATUS_OK ? "ok" : status_name(l->why.status),
        .closes = l->leaf,
    };

    if (!l->is_open)
        return;
    j = json_add_str(json_new_object(), "ended_by", l->ended_by);
    json_add_num(j, "acted", (double)l->n_acted);
    json_add_num(j, "refused", (double)l->n_refused);
    if (jcs_write(j, &payload, NULL) == STATUS_OK)
        r.payload = buf_str(&payload);
    lease_record(l, &r);
    json_destroy(&j);
    buf_deinit(&payload);
}

static void end_own_context(struct lease *l)
{
    if (l->pool_lease == NULL)
        return;
    if (!l->pool_held) { /* on its way: answered soon */
        pool_give_up(l->pool_lease, STATUS_CANCELLED);
        return;
    }
    if (!l->want.keep)
        pool_forget(l->pool_lease);
    pool_release(l->pool_lease, false);
    l->pool_lease = NULL;
    l->own.begun = false;
}

static void on_kept(struct lease *l)
{
    end_own_context(l);
    maybe_over(l);
}

/* Who may come again later is told so. */
static unsigned close_code(const struct lease *l)
{
    if (l->lost)
        return WS_ERROR;
    return l->why.status == STATUS_UNAVAILABLE ? WS_TRY_LATER : WS_NORMAL;
}

static void lease_end(struct lease *l, const char *by)
{
    const char *reason = l->why.status == STATUS_UNAVAILABLE ? err_text(&l->why) : by;

    if (l->state >= LEASE_ENDING)
        return;
    lease_moved(l, LEASE_ENDING);
    l->ended_by = by;
    list_remove(&l->line_link);
    loop_timer_stop(&l->timer);
    loop_timer_stop(&l->first_timer);
    list_for_each_safe (link, &l->clients)
        client_close(list_entry(link, struct client, link), close_code(l), reason);
    files_close(l);
    list_for_each_safe (link, &l->contexts) {
        struct lease_context *lc = list_entry(link, struct lease_context, link);

        if (lc->begun)
            lease_context_drop(lc);
    }
    pages_settle(l);
    hub_leave(l);
    close_receipt(l);
    keep_store(l, on_kept);
}

void lease_release(struct lease *l, const char *why)
{
    lease_end(l, why);
}

void lease_fail(struct lease *l, enum status s, const struct err *e)
{
    if (l->why.status == STATUS_OK) {
        l->why = *e;
        l->why.status = s;
    }
    lease_end(l, "failed");
}

/* --- deadlines --- */

struct due {
    uint64_t in_ms;
    const char *why;
};

static void sooner(struct due *d, uint64_t since_ms, uint64_t span_ms, uint64_t now,
                   const char *why)
{
    uint64_t at = since_ms + span_ms, in = at > now ? at - now : 0;

    if (in < d->in_ms) {
        d->in_ms = in;
        d->why = why;
    }
}

static struct due next_due(const struct lease *l, uint64_t now)
{
    struct due d = {UINT64_MAX, NULL};

    if (l->state == LEASE_ASKED && !l->begun) {
        sooner(&d, l->created_ms, l->want.wait_ms, now, "no room in time");
        return d;
    }
    if (l->state == LEASE_ASKED) {
        sooner(&d, l->begun_ms, ASKED_MS, now, "no browser in time");
        return d;
    }
    sooner(&d, l->created_ms, l->want.ttl_ms, now, "its time is over");
    if (l->state == LEASE_CONNECTED && l->handoff[0] == '\0')
        sooner(&d, l->heard_ms, l->want.idle_ms, now, "nothing was heard of its client");
    if (l->state == LEASE_READY)
        sooner(&d, l->alone_since_ms, l->want.idle_ms, now, "nobody came");
    if (l->state == LEASE_HELD_FOR)
        sooner(&d, l->alone_since_ms, l->want.grace_ms, now, "nobody came back");
    return d;
}

/* The pressure that it waited for to pass. */
static void refuse(struct lease *l)
{
    const char *what = gateway_pressure(l->gateway);
    struct err e = ERR_INIT;

    err_set(&e, STATUS_UNAVAILABLE, "no new lease: %s; waited for %llu ms",
            what != NULL ? what : "others came first", (unsigned long long)l->want.wait_ms);
    log_warn(NULL, "lease.refused", LOG_ERR(&e));
    lease_fail(l, STATUS_UNAVAILABLE, &e);
}

static void on_timer(struct loop_timer *t)
{
    struct lease *l = container_of(t, struct lease, timer);
    struct due d = next_due(l, now_ms(l));
    struct err e = ERR_INIT;

    if (d.in_ms > 0) {
        loop_timer_start(l->gateway->deps.loop, &l->timer, d.in_ms, on_timer);
        return;
    }
    if (!l->begun) {
        refuse(l);
    } else if (l->state == LEASE_ASKED) {
        err_set(&e, STATUS_TIMEOUT, "%s", d.why);
        lease_fail(l, STATUS_TIMEOUT, &e);
    } else {
        lease_end(l, d.why);
    }
}

static void restart_timer(struct lease *l)
{
    if (l->state < LEASE_ENDING)
        loop_timer_start(l->gateway->deps.loop, &l->timer, next_due(l, now_ms(l)).in_ms, on_timer);
}

void lease_heard(struct lease *l)
{
    l->heard_ms = now_ms(l); /* the timer looks again when it runs */
}

/* --- clients come and go --- */

void lease_clients_changed(struct lease *l)
{
    if (l->state == LEASE_ENDING) {
        maybe_over(l);
        return;
    }
    if (l->state == LEASE_ASKED || l->state == LEASE_OVER)
        return;
    if (l->n_clients > 0) {
        lease_moved(l, LEASE_CONNECTED);
    } else if (l->state == LEASE_CONNECTED) {
        l->alone_since_ms = now_ms(l);
        lease_moved(l, LEASE_HELD_FOR);
    }
    lease_heard(l);
    restart_timer(l);
}

/* --- getting ready --- */

/* Clients take a page without an address for one that is not there yet. */
static bool first_is_told(const struct lease *l)
{
    const struct view_target *t = list_first(&l->view.targets, struct view_target, link);

    return l->first_late || t == NULL || json_str(json_get(t->info, "url"), "")[0] != '\0';
}

static void on_first_late(struct loop_timer *t)
{
    struct lease *l = container_of(t, struct lease, first_timer);

    l->first_late = l->has_first = true;
    lease_settle(l);
}

void lease_settle(struct lease *l)
{
    struct err ok = ERR_INIT;

    if (l->state != LEASE_ASKED || !l->is_open || !l->own.begun || !l->has_first ||
        !first_is_told(l))
        return;
    loop_timer_stop(&l->first_timer);
    l->alone_since_ms = now_ms(l);
    lease_moved(l, LEASE_READY);
    gateway_warm_soon(l->gateway);
    tell_waiters(l, STATUS_OK, &ok);
    list_for_each_safe (link, &l->clients)
        client_start(list_entry(link, struct client, link));
    lease_clients_changed(l);
}

static void on_open_receipt(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                            const struct err *e)
{
    struct lease *l = arg;

    (void)seq;
    l->n_recording--;
    if (s != STATUS_OK) {
        lease_fail(l, s, e);
        maybe_over(l);
        return;
    }
    memcpy(l->leaf, leaf, sizeof l->leaf);
    memcpy(l->attempt.parent, leaf, sizeof l->attempt.parent);
    l->is_open = true;
    if (l->state == LEASE_ENDING)
        close_receipt(l);
    lease_settle(l);
    maybe_over(l);
}

static void open_receipt(struct lease *l)
{
    struct buf payload = BUF_INIT(BUF_MAX_LINE);
    struct receipt r = {.kind = "lease.open", .member = l->member->identity->id};
    struct json *j;

    if (l->gateway->deps.audit == NULL) {
        l->is_open = true;
        return;
    }
    j = json_add_num(json_new_object(), "ttl_ms", (double)l->want.ttl_ms);
    json_add_num(j, "member", l->member->index);
    if (jcs_write(j, &payload, NULL) == STATUS_OK)
        r.payload = buf_str(&payload);
    l->n_recording++;
    audit_append(l->gateway->deps.audit, &r, on_open_receipt, l);
    json_destroy(&j);
    buf_deinit(&payload);
}

void lease_fill_session(struct lease *l, struct page_session *s)
{
    *s = (struct page_session){
        .member = l->member,
        .attempt = &l->attempt,
        .conf = l->gateway->deps.conf,
        .gate = l->gateway->deps.gate,
        .ops = l->gateway->deps.ops,
        .loop = l->gateway->deps.loop,
        .own = l->limiter,
        .arena = l->arena,
        .timeout_ms = 5000,
    };
}

/* Browsers have a page from the start, and scripts that ask for the first one expect it. */
static void on_first(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct lease *l = arg;

    (void)result;
    if (s != STATUS_OK)
        log_debug(NULL, "lease.page.missing", LOG_ERR(e));
    l->n_making--;
    l->has_first = true;
    lease_settle(l);
    maybe_over(l);
}

static void open_first(struct lease *l)
{
    l->n_making++;
    loop_timer_start(l->gateway->deps.loop, &l->first_timer, FIRST_PAGE_MS, on_first_late);
    cdp_callf(cdp_conn_root(context_conn(l->own.ctx)), "Target.createTarget",
              now_ms(l) + FIRST_PAGE_MS, on_first, l,
              "{\"url\":\"about:blank\",\"browserContextId\":\"%s\"}", context_id(l->own.ctx));
}

static void fill_scope(struct lease *l)
{
    l->metrics = json_parse(context_applied(l->own.ctx)->metrics, false, NULL);
    l->scope.identity = l->member->identity;
    l->scope.metrics = l->metrics;
    l->scope.context = arena_strdup(l->arena, context_id(l->own.ctx));
    l->scope.alone = l->gateway->deps.conf->isolation == ISOLATION_PROCESS;
    if (!l->member->identity->honest)
        patch_name(l->member->identity, l->scope.patch);
    files_open(l);
}

static void on_restored(struct lease *l)
{
    if (l->state != LEASE_ASKED || l->lost) {
        maybe_over(l);
        return;
    }
    hub_join(l->gateway, l, context_conn(l->own.ctx));
    if (!l->warm || !context_show(l->own.ctx)) {
        open_first(l);
        return;
    }
    l->has_first = true;
    lease_settle(l);
}

static void on_pool(void *arg, struct context *c, enum status s, const struct err *e)
{
    struct lease *l = arg;

    if (s != STATUS_OK) {
        l->pool_lease = NULL;
        lease_fail(l, s, e);
        maybe_over(l);
        return;
    }
    l->pool_held = true;
    l->own.ctx = c;
    l->warm = pool_is_new(l->pool_lease) && context_is_warm(c);
    lease_fill_session(l, &l->own.session);
    context_begin(c, &l->own.session);
    context_set_watch(c, &l->watch);
    l->own.begun = true;
    if (l->state != LEASE_ASKED) {
        end_own_context(l);
        maybe_over(l);
        return;
    }
    if (!view_add_context(&l->view, context_id(c)))
        BUG("a view without room");
    fill_scope(l);
    keep_restore(l, on_restored);
}

static bool has_context(void *arg, const char *id)
{
    return view_has_context(&((struct lease *)arg)->view, id);
}

static bool has_target(void *arg, const char *id)
{
    return view_find(&((struct lease *)arg)->view, id) != NULL;
}

struct lease *lease_create(struct gateway *g, struct member *m, const struct lease_want *want,
                           const char *id)
{
    struct lease *l = xcalloc(1, sizeof *l);

    l->gateway = g;
    l->member = m;
    l->want = *want;
    l->want.identity = l->want.proxy = NULL; /* the caller's */
    snprintf(l->id, sizeof l->id, "%s", id);
    l->arena = arena_create(NULL, 0);
    list_init(&l->hub_link);
    list_init(&l->line_link);
    list_init(&l->contexts);
    list_init(&l->clients);
    list_init(&l->waiters);
    list_init(&l->asks);
    list_init(&l->openings);
    list_init(&l->own.link);
    if (want->rate.max_requests > 0)
        l->limiter = limiter_create(want->rate);
    files_init(l);
    view_init(&l->view, l->id);
    l->own.lease = l;
    l->watch = lease_watch;
    l->watch.arg = l;
    l->scope.has_context = has_context;
    l->scope.has_target = has_target;
    l->scope.arg = l;
    l->created_ms = l->heard_ms = now_ms(l);
    l->expires_wall_ms = loop_wall_ms(g->deps.loop) + want->ttl_ms;
    l->attempt = (struct attempt){
        .task_id = arena_printf(l->arena, "lease-%.8s", l->id),
        .number = 1,
        .member = m,
        .deadline_ms = l->created_ms + want->ttl_ms + DOCUMENT_MAX_MS,
        .arena = l->arena,
        .conf = g->deps.conf,
    };
    restart_timer(l);
    return l;
}

void lease_begin(struct lease *l)
{
    list_remove(&l->line_link);
    l->begun = true;
    l->begun_ms = now_ms(l);
    open_receipt(l);
    l->pool_lease = pool_acquire(l->gateway->deps.pool, l->member, on_pool, l);
    restart_timer(l);
}

/* --- handing over to a person --- */

enum status lease_handed_back(struct lease *l, bool success, const char *reason, struct err *e)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);
    struct receipt r = {
        .kind = "handoff.close",
        .member = l->member->identity->id,
        .outcome = success ? "ok" : "failed",
        .parent = l->leaf,
    };

    if (l->handoff[0] == '\0')
        return err_set(e, STATUS_NOT_FOUND, "lease %s asks for nobody", l->id);
    buf_addf(&b, "{\"handoffId\":\"%s\",\"success\":%s,\"reason\":", l->handoff,
             success ? "true" : "false");
    json_print_str(str_from(reason), &b);
    buf_addc(&b, '}');
    l->handoff[0] = '\0';
    loop_timer_stop(&l->handoff_timer);
    list_for_each (link, &l->clients) {
        struct client *c = list_entry(link, struct client, link);

        if (c->mux != NULL)
            mux_tell(c->mux, "Fleet.handoffComplete", buf_str(&b));
    }
    buf_deinit(&b);
    lease_record(l, &r);
    lease_heard(l);
    return STATUS_OK;
}
