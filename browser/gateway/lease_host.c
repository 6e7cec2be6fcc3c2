/* What clients of a lease ask of the browser (struct mux_host), and what the browser tells of the
 * lease's targets. `arg` is the client. */
#include <stdio.h>

#include "browser/gateway/gateway_internal.h"
#include "core/base/jcs.h"
#include "core/base/log.h"
#include "core/base/url.h"

enum { ANSWER_SLACK_MS = 60 * 1000 };

/* --- answers that do not come from the browser --- */

struct later {
    struct mux_call *call;
    enum status status;
    char text[256];
    char *result;
};

static void later_step(void *arg)
{
    struct later *a = arg;
    struct err e = ERR_INIT;

    err_set(&e, a->status, "%s", a->text);
    mux_answered(a->call, a->status, str_from(a->result), &e);
    free(a->result);
    free(a);
}

static void answer_later(struct loop *loop, struct mux_call *c, enum status s, const char *text,
                         const char *result)
{
    struct later *a = xcalloc(1, sizeof *a);

    a->call = c;
    a->status = s;
    snprintf(a->text, sizeof a->text, "%s", text);
    a->result = result != NULL ? xstrdup(result) : NULL;
    loop_defer(loop, later_step, a);
}

/* --- to the client, to the browser --- */

/* Not at once: whoever sends may have more to say to the same client. */
static void overrun_step(void *arg)
{
    struct client *c = arg;

    client_close(c, WS_TRY_LATER, "the client does not read what it asked for");
    client_unref(c);
}

static void to_client(void *arg, struct str message)
{
    struct client *c = arg;

    if (c->ws == NULL || c->closing || c->overrun)
        return;
    if (ws_send(c->ws, message) == STATUS_TOO_LARGE) {
        c->overrun = true;
        c->refs++;
        loop_defer(c->gateway->deps.loop, overrun_step, c);
        return;
    }
    if (ws_is_full(c->ws) && !c->paused) {
        c->paused = true;
        ws_pause(c->ws, true);
    }
}

static void on_reply(void *arg, enum status s, struct str text, const struct err *e)
{
    mux_answered(arg, s, text, e);
}

static void to_browser(void *arg, struct mux_call *call, const char *session, struct str params)
{
    struct client *c = arg;
    struct lease *l = c->lease;
    struct cdp_session *s = l->lost || c->closing ? NULL : client_session(c, session);

    if (s == NULL)
        answer_later(c->gateway->deps.loop, call, STATUS_CLOSED, "Session with given id not found.",
                     NULL);
    else
        cdp_call_text(s, call->method, params, l->created_ms + l->want.ttl_ms + ANSWER_SLACK_MS,
                      on_reply, call);
}

/* --- targets --- */

/* A page with an address of its own is made empty and led there, so that not even its first request
 * goes out before the identity is on it. */
struct opening {
    struct list link; /* the lease's */
    struct lease *lease;
    struct mux_call *call;
    char context[VIEW_ID_MAX];
    char *url; /* NULL: none */
    bool met;  /* its target came */
};

/* A target without an opener that came while a page is being made in its context is that page: its
 * id is told only afterwards. */
static void meet(struct lease *l, struct view_target *t)
{
    if (!view_is_page(t) || json_str(json_get(t->info, "openerId"), "")[0] != '\0')
        return;
    list_for_each (link, &l->openings) {
        struct opening *o = list_entry(link, struct opening, link);

        if (o->met || strcmp(o->context, t->context) != 0)
            continue;
        o->met = true;
        if (o->url == NULL)
            view_mark_blank(t);
        return;
    }
}

void lease_lead_to(struct lease *l, const char *id, const char *url)
{
    struct view_target *t = view_find(&l->view, id);
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    if (t == NULL || l->lost)
        return;
    free(t->lead);
    t->lead = NULL;
    if (!t->running) { /* when it does */
        t->lead = xstrdup(url);
        return;
    }
    buf_adds(&b, "{\"url\":");
    json_print_str(str_from(url), &b);
    buf_addc(&b, '}');
    context_tell(l->own.ctx, t->own, "Page.navigate", buf_str(&b));
    buf_deinit(&b);
}

static void on_opened(void *arg, enum status s, struct str text, const struct err *e)
{
    struct opening *o = arg;
    struct lease *l = o->lease;
    struct json *result = s == STATUS_OK ? json_parse(text, false, NULL) : NULL;

    list_remove(&o->link);
    if (o->url != NULL && s == STATUS_OK)
        lease_lead_to(l, json_str(json_get(result, "targetId"), ""), o->url);
    mux_answered(o->call, s, text, e);
    json_destroy(&result);
    l->n_making--;
    lease_settle(l);
    lease_release_check(l);
    free(o->url);
    free(o);
}

static void open_page(void *arg, struct mux_call *call, const char *context, const char *url)
{
    struct client *c = arg;
    struct lease *l = c->lease;
    bool is_blank = strncmp(url, "about:blank", 11) == 0;
    struct opening *o;
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    if (l->lost || l->state >= LEASE_ENDING) {
        answer_later(c->gateway->deps.loop, call, STATUS_CLOSED, "the lease is over", NULL);
        return;
    }
    o = xcalloc(1, sizeof *o);
    o->lease = l;
    o->call = call;
    o->url = is_blank ? NULL : xstrdup(url);
    snprintf(o->context, sizeof o->context, "%s", context);
    list_push(&l->openings, &o->link);
    buf_addf(&b, "{\"url\":\"about:blank\",\"browserContextId\":\"%s\"}", context);
    l->n_making++;
    cdp_call_text(cdp_conn_root(context_conn(l->own.ctx)), "Target.createTarget", buf_str(&b), 0,
                  on_opened, o);
    buf_deinit(&b);
}

struct running {
    struct lease *lease;
    struct mux_call *call;
    char target[VIEW_ID_MAX];
};

static void on_running(void *arg, enum status s, struct str text, const struct err *e)
{
    struct running *r = arg;
    struct lease *l = r->lease;
    struct view_target *t = view_find(&l->view, r->target);
    char *lead = t != NULL ? t->lead : NULL;

    (void)s;
    (void)text;
    l->n_making--;
    if (t != NULL) {
        t->running = true;
        t->lead = NULL;
    }
    if (lead != NULL)
        lease_lead_to(l, r->target, lead);
    free(lead);
    list_for_each (link, &l->clients) {
        struct client *c = list_entry(link, struct client, link);

        if (c->mux != NULL)
            mux_running(c->mux);
    }
    if (r->call != NULL)
        mux_answered(r->call, STATUS_OK, STR_NONE, e);
    free(r);
    lease_release_check(l);
}

static void running_step(void *arg)
{
    struct err ok = ERR_INIT;

    on_running(arg, STATUS_OK, STR_NONE, &ok);
}

void lease_run_target(struct lease *l, struct view_target *t, struct mux_call *call)
{
    struct running *r = xcalloc(1, sizeof *r);
    char hold[VIEW_ID_MAX];

    r->lease = l;
    r->call = call;
    snprintf(r->target, sizeof r->target, "%s", t->id);
    snprintf(hold, sizeof hold, "%s", t->hold);
    t->hold[0] = '\0';
    l->n_making++;
    if (l->lost || !l->own.begun || !context_run(l->own.ctx, hold, on_running, r))
        loop_defer(l->gateway->deps.loop, running_step, r);
}

static void run_target(void *arg, struct view_target *t, struct mux_call *call)
{
    lease_run_target(((struct client *)arg)->lease, t, call);
}

static void redress(void *arg, const char *target)
{
    struct lease *l = ((struct client *)arg)->lease;
    struct view_target *t = view_find(&l->view, target);

    if (t == NULL || t->own[0] == '\0' || l->lost || !l->own.begun)
        return;
    /* The same again would be taken for no change (156). */
    context_tell(l->own.ctx, t->own, "Emulation.clearDeviceMetricsOverride", STR_NONE);
    context_tell(l->own.ctx, t->own, "Emulation.setDeviceMetricsOverride",
                 context_applied(l->own.ctx)->metrics);
}

/* --- contexts --- */

struct lease_context *lease_context_find(struct lease *l, const char *id)
{
    list_for_each (link, &l->contexts) {
        struct lease_context *lc = list_entry(link, struct lease_context, link);

        if (lc->begun && strcmp(context_id(lc->ctx), id) == 0)
            return lc;
    }
    return NULL;
}

static void context_made(void *arg, struct context *ctx, enum status s, const struct err *e)
{
    struct lease_context *lc = arg;
    struct lease *l = lc->lease;
    struct mux_call *call = lc->call;
    char result[128];

    lc->call = NULL;
    l->n_making--;
    if (s != STATUS_OK) {
        list_remove(&lc->link);
        free(lc);
        mux_answered(call, s, STR_NONE, e);
        lease_release_check(l);
        return;
    }
    lc->ctx = ctx;
    lc->begun = true;
    lease_fill_session(l, &lc->session);
    context_begin(ctx, &lc->session);
    context_set_watch(ctx, &l->watch);
    if (l->state >= LEASE_ENDING || !view_add_context(&l->view, context_id(ctx))) {
        struct err gone = ERR_INIT;

        err_set(&gone, STATUS_CLOSED, "the lease is over");
        lease_context_drop(lc);
        mux_answered(call, STATUS_CLOSED, STR_NONE, &gone);
        lease_release_check(l);
        return;
    }
    snprintf(result, sizeof result, "{\"browserContextId\":\"%s\"}", context_id(ctx));
    mux_answered(call, STATUS_OK, str_from(result), e);
}

static void make_context(void *arg, struct mux_call *call)
{
    struct client *c = arg;
    struct lease *l = c->lease;
    struct lease_context *lc;

    if (l->lost || l->state >= LEASE_ENDING) {
        answer_later(c->gateway->deps.loop, call, STATUS_CLOSED, "the lease is over", NULL);
        return;
    }
    lc = xcalloc(1, sizeof *lc);
    lc->lease = l;
    lc->call = call;
    list_push(&l->contexts, &lc->link);
    l->n_making++;
    lc->ctx = context_create(context_targets(l->own.ctx), l->member, context_applied(l->own.ctx),
                             context_made, lc);
}

/* Its pages are closed, then it is disposed of. */
void lease_context_drop(struct lease_context *lc)
{
    struct context *ctx = lc->ctx, *destroyed = lc->ctx;

    context_set_watch(ctx, NULL);
    view_drop_context(&lc->lease->view, context_id(ctx));
    list_remove(&lc->link);
    context_destroy(&destroyed);
    context_end(ctx, false);
    json_destroy(&lc->session.console);
    free(lc);
}

static void on_disposed(void *arg, enum status s, struct str text, const struct err *e)
{
    (void)s;
    (void)text;
    mux_answered(arg, STATUS_OK, STR_NONE, e);
}

static void drop_context(void *arg, struct mux_call *call, const char *id)
{
    struct client *c = arg;
    struct lease_context *lc = c->lease->lost ? NULL : lease_context_find(c->lease, id);
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    if (lc == NULL) {
        answer_later(c->gateway->deps.loop, call, STATUS_NOT_FOUND, "Failed to find context", NULL);
        return;
    }
    buf_addf(&b, "{\"browserContextId\":\"%s\"}", id);
    /* Answered when its pages are closed, as clients expect. */
    cdp_call_text(cdp_conn_root(context_conn(c->lease->own.ctx)), "Target.disposeBrowserContext",
                  buf_str(&b), 0, on_disposed, call);
    lease_context_drop(lc);
    buf_deinit(&b);
}

/* --- Fleet's own methods --- */

static void handoff_over(struct loop_timer *t)
{
    struct lease *l = container_of(t, struct lease, handoff_timer);

    if (lease_handed_back(l, false, "nobody came in time", NULL) != STATUS_OK)
        BUG("a timer of no hand-over");
}

static void handoff(struct client *c, struct mux_call *call, const struct json *params)
{
    struct lease *l = c->lease;
    int64_t ms = json_int(json_get(params, "timeout"), 5 * 60 * 1000);
    struct buf payload = BUF_INIT(BUF_MAX_LINE);
    struct receipt r = {
        .kind = "handoff.open", .member = l->member->identity->id, .parent = l->leaf};
    struct json *j;
    char result[256];

    if (ms < 1000 || ms > LEASE_TTL_MAX_MS || l->handoff[0] != '\0') {
        answer_later(c->gateway->deps.loop, call, STATUS_INVALID,
                     l->handoff[0] != '\0' ? "a person was asked for already"
                                           : "timeout: expected 1000..86400000 (milliseconds)",
                     NULL);
        return;
    }
    view_new_id(l->handoff);
    j = json_add_str(json_new_object(), "instructions",
                     json_str(json_get(params, "instructions"), ""));
    if (jcs_write(j, &payload, NULL) == STATUS_OK)
        r.payload = buf_str(&payload);
    json_destroy(&j);
    lease_record(l, &r);
    buf_deinit(&payload);
    loop_timer_start(c->gateway->deps.loop, &l->handoff_timer, (uint64_t)ms, handoff_over);
    snprintf(result, sizeof result, "{\"handoffId\":\"%s\",\"timeout\":%lld}", l->handoff,
             (long long)ms);
    answer_later(c->gateway->deps.loop, call, STATUS_OK, "", result);
}

static void fleet(void *arg, struct mux_call *call, const struct json *params)
{
    struct client *c = arg;
    struct buf b = BUF_INIT(BUF_MAX_LINE);
    struct json *j;

    if (strcmp(call->method, "Fleet.handoff") == 0) {
        handoff(c, call, params);
        return;
    }
    j = lease_describe(c->lease);
    json_print(j, 0, &b);
    answer_later(c->gateway->deps.loop, call, STATUS_OK, "", b.ptr);
    buf_deinit(&b);
    json_destroy(&j);
}

static void over_step(void *arg)
{
    struct client *c = arg;

    client_close(c, 1000, "the page was closed");
    client_unref(c);
}

static void over(void *arg)
{
    struct client *c = arg;

    c->refs++;
    loop_defer(c->gateway->deps.loop, over_step, c);
}

static void release_step(void *arg)
{
    struct client *c = arg;

    if (c->lease != NULL)
        lease_release(c->lease, "Browser.close");
    client_unref(c);
}

static void release(void *arg)
{
    struct client *c = arg;

    c->refs++;
    loop_defer(c->gateway->deps.loop, release_step, c);
}

/* --- receipts --- */

static void act_payload(const struct lease *l, const unsigned char hash[32], struct buf *out)
{
    buf_addf(out, "{\"lease\":\"%.8s\",\"params_sha256\":\"", l->id);
    buf_add_hex(out, hash, 32);
    buf_adds(out, "\"}");
}

/* One a command that acts; hundreds go into one commit. The client does not wait for it. */
void lease_acted(struct lease *l, const char *method, const unsigned char hash[32], const char *url,
                 enum status s)
{
    struct audit *audit = l->gateway->deps.audit;
    struct buf payload = BUF_INIT(1024);
    struct arena *arena;
    struct url parsed;
    char op[MUX_METHOD_MAX + 16];
    struct receipt r = {
        .kind = "op",
        .op = op,
        .outcome = s == STATUS_OK ? "ok" : status_name(s),
        .parent = l->leaf,
        .lazy = true,
    };

    l->n_acted++;
    l->n_refused += s == STATUS_POLICY_DENIED;
    if (audit == NULL)
        return;
    arena = arena_create(NULL, 0);
    snprintf(op, sizeof op, "gateway.%s", method);
    r.member = l->member->identity->id;
    r.proxy = l->member->proxy_id[0] != '\0' ? l->member->proxy_id : NULL;
    if (url_parse(arena, str_from(url), "http https", &parsed, NULL) == STATUS_OK &&
        parsed.host.len < 256)
        r.target = arena_strndup(arena, parsed.host.ptr, parsed.host.len);
    act_payload(l, hash, &payload);
    r.payload = buf_str(&payload);
    lease_record(l, &r);
    buf_deinit(&payload);
    arena_destroy(&arena);
}

static void acted(void *arg, const struct mux_call *call, const char *url, enum status s)
{
    lease_acted(((struct client *)arg)->lease, call->method, call->hash, url, s);
}

void lease_host(struct lease *l, struct mux_host *out, void *client)
{
    (void)l;
    *out = (struct mux_host){
        .to_client = to_client,
        .to_browser = to_browser,
        .adopt = client_adopt,
        .forget = client_forget,
        .run = run_target,
        .redress = redress,
        .open = open_page,
        .make_context = make_context,
        .drop_context = drop_context,
        .fleet = fleet,
        .over = over,
        .release = release,
        .acted = acted,
        .arg = client,
    };
}

/* --- what the browser tells --- */

static bool on_target(void *arg, struct context *c, const struct json *info, const char *session)
{
    struct lease *l = arg;
    struct view_target *t;
    bool waits = false;

    (void)c;
    if (keep_is_own(l, json_str(json_get(info, "targetId"), "")))
        return false;
    t = view_update(&l->view, info);
    if (t == NULL || l->state >= LEASE_ENDING)
        return false;
    snprintf(t->hold, sizeof t->hold, "%s", session);
    snprintf(t->own, sizeof t->own, "%s", session);
    t->ready = true;
    meet(l, t);
    list_for_each (link, &l->clients) {
        struct client *cl = list_entry(link, struct client, link);

        if (cl->mux != NULL && mux_ready(cl->mux, t))
            waits = true;
    }
    if (!waits)
        lease_run_target(l, t, NULL);
    pages_settle(l);
    return true;
}

static bool on_dialog(void *arg, struct context *c)
{
    (void)c;
    return ((struct lease *)arg)->n_clients > 0;
}

static void lost_step(void *arg)
{
    struct lease *l = arg;
    struct err e = ERR_INIT;

    l->n_making--;
    err_set(&e, STATUS_BROWSER_GONE, "the browser ended");
    if (l->state < LEASE_ENDING)
        lease_fail(l, STATUS_BROWSER_GONE, &e);
    lease_release_check(l);
}

/* Called for each of its contexts. */
static void on_lost(void *arg, struct context *c)
{
    struct lease *l = arg;

    (void)c;
    if (l->lost)
        return;
    l->lost = true;
    keep_lose(l);
    list_for_each (link, &l->clients)
        client_lose(list_entry(link, struct client, link));
    hub_leave(l);
    l->n_making++; /* holds it */
    loop_defer(l->gateway->deps.loop, lost_step, l);
}

const struct context_watch lease_watch = {
    .on_target = on_target,
    .on_dialog = on_dialog,
    .on_lost = on_lost,
};

void lease_target_news(struct lease *l, const struct json *info, bool created)
{
    bool known = view_find(&l->view, json_str(json_get(info, "targetId"), "")) != NULL;
    struct view_target *t = view_update(&l->view, info);

    if (t == NULL)
        return;
    (void)created;
    if (view_is_page(t) && strcmp(t->context, l->scope.context) == 0)
        keep_saw(l, json_str(json_get(info, "url"), ""));
    lease_settle(l);
    list_for_each (link, &l->clients) {
        struct client *c = list_entry(link, struct client, link);

        if (c->mux == NULL)
            continue;
        if (known)
            mux_changed(c->mux, t);
        else if (!view_is_page(t))
            mux_created(c->mux, t);
    }
}

void lease_target_gone(struct lease *l, const char *id)
{
    struct view_target *t = view_find(&l->view, id);

    if (t == NULL)
        return;
    list_for_each (link, &l->clients) {
        struct client *c = list_entry(link, struct client, link);

        if (c->mux != NULL)
            mux_gone(c->mux, t);
    }
    view_remove(&l->view, t);
    pages_settle(l);
}
