#include "browser/page/network.h"

#include <stdio.h>
#include <string.h>

#include "browser/page/page_internal.h"
#include "browser/page/session.h"
#include "core/base/log.h"
#include "core/base/url.h"
#include "core/op/outcome.h"
#include "fingerprints/hints.h"

enum hold_state {
    HOLD_GATE, /* waits in the gate; the request is paused */
    HOLD_SENT, /* on its way to the target */
    HOLD_OVER, /* the op's end was told; the receipt is being written */
};

struct hold {
    struct list link; /* in the frame's */
    struct targets *targets;
    struct page *page;   /* holds a reference */
    struct frame *frame; /* NULL once the frame is gone or gave it up */
    char request[64];    /* Fetch's id */
    uint64_t since_ms;   /* the request was made */
    enum hold_state state;
    bool own;    /* of the op that the gate admitted for it: no call of its own */
    bool charge; /* enforce "charge": it happened already */
    struct arena *arena;
    struct str
        headers; /* JSON of the request's headers as the identity has them; empty: they are */
    unsigned char parent[32];
    struct op_call call;
};

static struct cdp_session *root(struct targets *t)
{
    return cdp_conn_root(t->conn);
}

static void let_go(struct hold *h)
{
    if (h->headers.len > 0)
        cdp_callf(root(h->targets), "Fetch.continueRequest", 0, NULL, NULL,
                  "{\"requestId\":\"%s\",\"headers\":%.*s}", h->request, STR_ARG(h->headers));
    else
        cdp_callf(root(h->targets), "Fetch.continueRequest", 0, NULL, NULL,
                  "{\"requestId\":\"%s\"}", h->request);
}

static void fail_as(struct targets *t, const char *request, const char *reason)
{
    cdp_callf(root(t), "Fetch.failRequest", 0, NULL, NULL,
              "{\"requestId\":\"%s\",\"errorReason\":\"%s\"}", request, reason);
}

static void fail_request(struct targets *t, const char *request)
{
    fail_as(t, request, "BlockedByClient");
}

void network_start(struct targets *t)
{
    if (t->opts.gate == NULL || t->opts.enforce != ENFORCE_HOLD)
        return;
    cdp_tell(root(t), "Fetch.enable",
             STR("{\"patterns\":[{\"resourceType\":\"Document\",\"requestStage\":\"Request\"},"
                 "{\"resourceType\":\"Document\",\"requestStage\":\"Response\"}]}"));
}

/* --- a hold's end --- */

static void hold_forget(struct hold *h)
{
    list_remove(&h->link);
    h->frame = NULL;
    if (map_find(h->targets->holds, str_from(h->request)) == h)
        map_remove(h->targets->holds, str_from(h->request));
}

static void hold_free(struct hold *h)
{
    struct targets *t = h->targets;

    hold_forget(h);
    t->n_holds--;
    if (t->opts.n_holds != NULL && --*t->opts.n_holds == 0 && t->opts.on_quiet != NULL)
        t->opts.on_quiet(t->opts.quiet_arg);
    page_unref(h->page);
    arena_destroy(&h->arena);
    free(h);
    targets_settle(t);
}

/* The reason is kept where the watchers of the navigation look. */
static void tell_refusal(struct hold *h)
{
    struct page *p = h->page;
    struct refusal r = {.at = ++p->clock, .err = h->call.err};
    struct page *opener;

    r.err.status = h->call.status;
    log_debug(NULL, "page.document.refused", LOG_S("url", h->call.url), LOG_ERR(&r.err));
    if (h->frame == NULL || h->frame != p->main || p->ctx == NULL)
        return;
    p->refused = r;
    if (p->ctx->session != NULL)
        session_refuse(p->ctx->session, &r.err);
    opener = p->opener[0] != '\0' ? page_by_target(p->ctx, str_from(p->opener)) : NULL;
    if (opener != NULL) {
        opener->popup_refused = r;
        opener->popup_refused.at = ++opener->clock;
        lifecycle_changed(opener, opener->main);
    }
}

/* The op at hand learns it from the navigation that it watches. One that watches none (it waits
 * for an element, or sleeps) is ended: what it waits for does not come. */
static void end_running(struct page *p)
{
    struct page_session *s = p->ctx != NULL ? p->ctx->session : NULL;

    if (s != NULL && s->refused.status != STATUS_OK && s->running != NULL &&
        s->running->cancel != NULL && !lifecycle_will_tell(s->page))
        s->running->cancel(s->running);
}

static void on_done(struct op_call *call)
{
    struct hold *h = call->ctx;

    if (h->state == HOLD_GATE && !h->charge) { /* it never went out */
        struct page *p = h->page;
        struct frame *f = h->frame;

        fail_request(h->targets, h->request);
        tell_refusal(h);
        if (f != NULL && p->state != PAGE_GONE)
            lifecycle_changed(p, f);
        end_running(p);
    }
    hold_free(h);
}

static void finish(struct hold *h, enum status s, const char *sentence)
{
    struct err e = ERR_INIT;

    h->state = HOLD_OVER;
    hold_forget(h);
    err_set(&e, s, "%s", sentence);
    op_call_finish(&h->call, s, &e, NULL);
}

/* --- the op --- */

static void document_cancel(struct op_call *call)
{
    struct hold *h = call->ctx;

    if (h->state == HOLD_SENT)
        finish(h, STATUS_CANCELLED, "cancelled");
}

void network_document_run(struct op_call *call)
{
    struct hold *h = call->ctx;

    call->seen.retry_after_ms = -1;
    if (h->charge) {
        finish(h, STATUS_OK, "");
        return;
    }
    if (h->frame == NULL) { /* given up meanwhile, and yet admitted */
        fail_request(h->targets, h->request);
        finish(h, STATUS_CANCELLED, "the page gave the request up");
        return;
    }
    h->state = HOLD_SENT;
    call->cancel = document_cancel;
    let_go(h);
}

/* --- a request --- */

static struct hold *hold_new(struct frame *f, const char *request)
{
    struct hold *h = xcalloc(1, sizeof *h);

    h->targets = f->page->targets;
    h->page = f->page;
    h->frame = f;
    h->since_ms = loop_now_ms(h->targets->loop);
    page_ref(f->page);
    h->targets->n_holds++;
    if (h->targets->opts.n_holds != NULL)
        ++*h->targets->opts.n_holds;
    snprintf(h->request, sizeof h->request, "%s", request);
    list_push(&f->holds, &h->link);
    return h;
}

/* A deadline of its own: that of the op that acts on the page, else the attempt's. */
static uint64_t deadline_of(const struct page_session *s, uint64_t now)
{
    if (s->running != NULL && s->running->deadline_ms > now)
        return s->running->deadline_ms;
    return s->attempt != NULL && s->attempt->deadline_ms > now ? s->attempt->deadline_ms
                                                               : now + CDP_TIMEOUT_MS;
}

static bool ask_gate(struct hold *h, const char *url)
{
    struct page_session *s = h->page->ctx->session;
    struct op_call *call = &h->call;
    struct url parsed;

    if (h->arena == NULL)
        h->arena = arena_create(NULL, 0);
    if (url_parse(h->arena, str_from(url), "http https", &parsed, NULL) != STATUS_OK)
        return false;
    *call = (struct op_call){
        .op = h->targets->opts.document,
        .member = h->page->ctx->member,
        .arena = h->arena,
        .url = parsed.href,
        .host = parsed.host,
        .deadline_ms = deadline_of(s, loop_now_ms(h->targets->loop)),
        .session = s,
        .own = s->own,
        .ctx = h,
        .task_id = s->attempt != NULL ? arena_strdup(h->arena, s->attempt->task_id) : NULL,
        .accept_4xx = h->frame != NULL && h->frame != h->page->main,
        .on_done = on_done,
    };
    if (s->attempt != NULL) {
        memcpy(h->parent, s->attempt->parent, sizeof h->parent);
        call->parent = h->parent;
    }
    gate_run(h->targets->opts.gate, call);
    return true;
}

static bool is_same_place(const char *a, const char *b)
{
    struct arena *arena = arena_create(NULL, 0);
    struct url x, y;
    bool same = url_parse(arena, str_from(a), "http https", &x, NULL) == STATUS_OK &&
                url_parse(arena, str_from(b), "http https", &y, NULL) == STATUS_OK &&
                str_eq(x.scheme, y.scheme) && str_eq(x.host, y.host) && x.port == y.port &&
                str_eq(x.path, y.path);

    arena_destroy(&arena);
    return same;
}

static bool take_grant(struct frame *f, const char *url, bool redirected)
{
    struct page *p = f->page;

    if (!p->granted || redirected || f != p->main || p->ctx->session == NULL ||
        !is_same_place(url, p->grant_url))
        return false;
    p->granted = false;
    return true;
}

/* --- client hints of a tab's first document --- */

static struct json *mended(const struct identity *id, const struct json *header)
{
    struct json *out = json_add_str(json_new_object(), "name", json_key(header));
    struct buf value = BUF_INIT(4096);
    bool own = identity_header(id, json_key(header), &value);

    json_add_str(out, "value", own ? value.ptr : json_str(header, ""));
    buf_deinit(&value);
    return out;
}

static bool differs(const struct identity *id, const struct json *headers)
{
    bool found = false;

    for (const struct json *x = json_first(headers); x != NULL && !found; x = json_next(x)) {
        struct buf value = BUF_INIT(4096);

        found =
            identity_header(id, json_key(x), &value) && !str_eqz(buf_str(&value), json_str(x, ""));
        buf_deinit(&value);
    }
    return found;
}

/* DevTools tells them by name, and they go out as they are given back. */
static struct json *in_order(const struct identity *id, const struct json *headers, struct arena *a)
{
    unsigned *places = arena_array(a, unsigned, json_len(headers)), i = 0;
    struct json *list = json_new_array();

    for (const struct json *x = json_first(headers); x != NULL; x = json_next(x))
        places[i++] = identity_header_place(json_key(x));
    for (unsigned place = 0; place < IDENTITY_HEADER_PLACES; place++) {
        i = 0;
        for (const struct json *x = json_first(headers); x != NULL; x = json_next(x))
            if (places[i++] == place)
                json_push(list, mended(id, x));
    }
    return list;
}

/* The client hints of a document that a tab is made with are filled in before the session's
 * override reaches it: "HeadlessChrome" and the real platform on headless-shell, and of a
 * `noopener` pop-up to an origin that has asked for hints of high entropy these too, everywhere
 * (156). The request is held here anyway, so they are put right on the way. */
static void mend_hints(struct hold *h, const struct json *params)
{
    const struct identity *id = h->page->ctx->member->identity;
    const struct json *headers = json_at(params, "request", "headers", NULL);
    struct buf text = BUF_INIT(4 * (size_t)BUF_MAX_LINE);
    struct json *list;

    if (!differs(id, headers))
        return;
    h->arena = arena_create(NULL, 0);
    list = in_order(id, headers, h->arena);
    json_print(list, 0, &text);
    if (buf_status(&text) == STATUS_OK)
        h->headers = arena_str(h->arena, buf_str(&text));
    buf_deinit(&text);
    json_destroy(&list);
}

static void count_hop(struct frame *f, const char *url, bool redirected)
{
    f->redirects = redirected ? f->redirects + 1 : 0;
    if (!redirected) {
        free(f->redirected_from);
        f->redirected_from = xstrdup(url);
    }
}

static void on_request(struct frame *f, const struct json *params, const char *request)
{
    const char *url = json_str(json_at(params, "request", "url", NULL), "");
    bool redirected = json_get(params, "redirectedRequestId") != NULL;
    struct hold *h;

    if (f->page->ctx == NULL || f->page->ctx->session == NULL) {
        fail_request(f->page->targets, request); /* nobody's task: nothing may be asked for */
        return;
    }
    h = hold_new(f, request);
    map_put(h->targets->holds, str_from(h->request), h);
    count_hop(f, url, redirected);
    if (!h->page->ctx->member->identity->honest)
        mend_hints(h, params);
    if (take_grant(f, url, redirected)) {
        h->own = true;
        h->state = HOLD_SENT;
        let_go(h);
    } else if (!ask_gate(h, url)) {
        fail_request(h->targets, request);
        hold_free(h);
    }
}

/* --- an answer --- */

static void read_header(const char *name, const char *value, bool plain, uint64_t wall_ms,
                        struct response *r)
{
    struct str n = str_from(name);

    if (str_eq_nocase(n, STR("retry-after")))
        r->retry_after_ms = outcome_retry_after_ms(str_from(value), wall_ms);
    else if (plain && str_eq_nocase(n, STR("x-fleet-error")) && !status_find(value, &r->proxy))
        r->proxy = STATUS_PROXY_FAILED;
    else if (r->proxy != STATUS_OK && str_eq_nocase(n, STR("x-fleet-why"))) /* comes behind it */
        snprintf(r->failure, sizeof r->failure, "%s", value);
    else if (str_eq_nocase(n, STR("content-disposition")))
        r->download = str_starts_nocase(str_trim(str_from(value)), STR("attachment"));
}

static void read_response(const struct json *params, uint64_t wall_ms, struct response *r)
{
    const struct json *headers = json_get(params, "responseHeaders");
    const char *url = json_str(json_get(json_get(params, "request"), "url"), "");
    bool plain = str_starts_nocase(str_from(url), STR("http:")); /* within TLS the target speaks */

    *r = (struct response){.retry_after_ms = -1};
    r->http_status = (int)json_int(json_get(params, "responseStatusCode"), 0);
    snprintf(r->failure, sizeof r->failure, "%s",
             json_str(json_get(params, "responseErrorReason"), ""));
    for (const struct json *h = json_first(headers); h != NULL; h = json_next(h))
        read_header(json_str(json_get(h, "name"), ""), json_str(json_get(h, "value"), ""), plain,
                    wall_ms, r);
    if (r->proxy != STATUS_OK)
        r->http_status = 0; /* the forwarder's, not the target's */
}

/* The forwarder also tells of a target that could not be reached and of what policy refused:
 * neither is the way's fault. */
static bool is_of_proxy(const struct hold *h, enum status said)
{
    const struct member *m = h->page->ctx != NULL ? h->page->ctx->member : NULL;

    if (said == STATUS_TIMEOUT)
        return m != NULL && m->proxy != NULL;
    return said == STATUS_PROXY_FAILED || said == STATUS_PROXY_AUTH || said == STATUS_PROXY_NONE;
}

/* A client of a lease knows no forwarder: where the target itself is the reason, the navigation
 * fails as it would without one, instead of showing the forwarder's answer. */
static void let_see(struct hold *h, const struct response *r)
{
    const char *reason = r->from_proxy                    ? NULL
                         : r->proxy == STATUS_UNAVAILABLE ? "ConnectionFailed"
                         : r->proxy == STATUS_TIMEOUT     ? "TimedOut"
                         : r->proxy == STATUS_PROTOCOL    ? "Failed"
                                                          : NULL;

    if (reason == NULL || h->page->ctx == NULL || h->page->ctx->watch == NULL)
        let_go(h);
    else
        fail_as(h->targets, h->request, reason);
}

static void on_response(struct hold *h, const struct json *params)
{
    struct response r;

    read_response(params, loop_wall_ms(h->targets->loop), &r);
    h->targets->failures = strcmp(r.failure, "Failed") == 0 ? h->targets->failures + 1 : 0;
    r.accounted = !h->own;
    r.from_proxy = is_of_proxy(h, r.proxy);
    if (h->frame != NULL)
        h->frame->pending = r;
    if (h->frame != NULL && h->frame == h->page->main && r.http_status != 0 &&
        r.http_status / 100 != 3)
        page_is_answered(h->page);
    h->headers = STR(""); /* the request's, and it is over */
    let_see(h, &r);
    if (h->own) {
        hold_free(h);
        return;
    }
    h->call.seen.http_status = r.http_status;
    h->call.seen.retry_after_ms = r.retry_after_ms;
    h->call.seen.from_proxy = r.from_proxy;
    /* "Failed" is also what Fetch makes of every error of the network that it has no name for. */
    h->call.seen.own_fault = strcmp(r.failure, "Aborted") == 0 || h->targets->network_lost;
    if (r.proxy != STATUS_OK)
        finish(h, r.proxy, r.failure[0] != '\0' ? r.failure : status_text(r.proxy));
    else if (r.failure[0] != '\0')
        finish(h, STATUS_NAVIGATION_FAILED, r.failure);
    else
        finish(h, STATUS_OK, "");
}

static void request_paused(struct targets *t, const struct json *params, bool again)
{
    const char *request = json_str(json_get(params, "requestId"), "");
    struct hold *h = map_find(t->holds, str_from(request));
    struct frame *f = frame_of(t, str_from(json_str(json_get(params, "frameId"), "")));

    if (f != NULL && h == NULL) {
        on_request(f, params, request);
    } else if (h != NULL || again || !stray_keep(t, params)) {
        log_warn(NULL, "page.document.unknown",
                 LOG_STR("url", json_str(json_at(params, "request", "url", NULL), "")));
        fail_request(t, request);
    }
}

void network_paused(struct targets *t, const struct json *params)
{
    const char *request = json_str(json_get(params, "requestId"), "");
    bool answered = json_get(params, "responseStatusCode") != NULL ||
                    json_get(params, "responseErrorReason") != NULL;
    struct hold *h = map_find(t->holds, str_from(request));

    if (answered && h != NULL && h->state == HOLD_SENT)
        on_response(h, params);
    else if (answered) /* given up on our side; the browser may still want it */
        cdp_callf(root(t), "Fetch.continueRequest", 0, NULL, NULL, "{\"requestId\":\"%s\"}",
                  request);
    else
        request_paused(t, params, false);
}

void network_paused_again(struct targets *t, const struct json *params)
{
    request_paused(t, params, true);
}

uint64_t page_waits_since(const struct page *p)
{
    const struct list *holds = p->main != NULL ? &p->main->holds : NULL;

    return holds != NULL && !list_empty(holds)
               ? container_of(holds->next, struct hold, link)->since_ms
               : 0;
}

/* The gate ends the call soon, and on_done frees the hold; one of the op's own is over at once. */
void network_abandon(struct frame *f)
{
    while (!list_empty(&f->holds)) {
        struct hold *h = list_entry(f->holds.next, struct hold, link);

        if (h->own) {
            hold_free(h);
        } else if (h->state == HOLD_SENT) {
            finish(h, STATUS_CANCELLED, "the page gave the request up");
        } else {
            list_remove(&h->link);
            h->frame = NULL;
            gate_cancel(h->targets->opts.gate, &h->call, STATUS_CANCELLED);
        }
    }
}

/* --- enforce "charge" --- */

void network_charge(struct frame *f)
{
    struct page *p = f->page;
    struct hold *h;

    if (p->targets->opts.gate == NULL || p->targets->opts.enforce != ENFORCE_CHARGE ||
        p->ctx == NULL || p->ctx->session == NULL || f->unreachable ||
        strncmp(f->url, "http", 4) != 0)
        return;
    if (take_grant(f, f->url, false))
        return;
    h = hold_new(f, "");
    list_remove(&h->link);
    h->charge = true;
    if (!ask_gate(h, f->url))
        hold_free(h);
}
