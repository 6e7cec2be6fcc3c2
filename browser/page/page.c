/* A page's life, and the calls that are one command. */
#include "browser/page/page_internal.h"

#include <stdio.h>

#include "browser/page/session.h"
#include "core/base/log.h"

/* --- life --- */

struct page *page_create(struct context *ctx)
{
    struct page *p = xcalloc(1, sizeof *p);

    p->ctx = ctx;
    p->targets = ctx->targets;
    p->targets->n_refs++;
    p->refs = 1;
    p->main_realm.page = p;
    p->main_realm.is_frame = true;
    list_init(&p->realms);
    list_init(&p->tasks);
    list_push(&ctx->pages, &p->link);
    p->number = (uint32_t)++ctx->n_pages_made;
    return p;
}

void page_ref(struct page *p)
{
    p->refs++;
}

void page_unref(struct page *p)
{
    struct targets *t = p->targets;

    if (--p->refs > 0)
        return;
    free(p->grant_url);
    free(p->dialog_text);
    free(p->dialog_message);
    free(p->blocked);
    free(p->seed);
    cast_drop(p);
    free(p);
    t->n_refs--;
    targets_settle(t);
}

enum page_state page_state(const struct page *p)
{
    return p->state;
}

enum status page_gone_why(const struct page *p)
{
    return p->gone.status;
}

const struct err *page_gone_err(const struct page *p)
{
    return &p->gone;
}

const char *page_url(const struct page *p)
{
    return p->main != NULL ? p->main->url : "";
}

pid_t page_browser_pid(const struct page *p)
{
    const struct targets_opts *o = &p->targets->opts;

    return o->pid != NULL ? o->pid(o->home) : 0;
}

struct page *page_next_sibling(const struct page *p)
{
    if (p->ctx == NULL || p->link.next == &p->ctx->pages)
        return NULL;
    return list_entry(p->link.next, struct page, link);
}

static void on_created(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct page *p = arg;
    struct context *c = context_by_id(p->targets, str_from(p->stray_in));

    (void)result;
    if (s != STATUS_OK && p->state == PAGE_OPENING)
        page_lost(p, s == STATUS_TIMEOUT ? STATUS_PAGE_HUNG : s, err_text(e));
    if (s != STATUS_OK && p->stray_in[0] != '\0' && c != NULL && c->n_strays > 0)
        c->n_strays--; /* it will not come */
    page_unref(p);
}

void page_open(struct page *p, const char *url)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    p->state = PAGE_OPENING;
    p->blank = url == NULL;
    p->placed = url != NULL;
    buf_adds(&b, "{\"url\":");
    json_print_str(str_from(url != NULL ? url : "about:blank"), &b);
    buf_addf(&b, ",\"browserContextId\":\"%s\"}", p->ctx->id);
    page_ref(p);
    cdp_call(cdp_conn_root(p->targets->conn), "Target.createTarget", buf_str(&b), 0, on_created, p);
    buf_deinit(&b);
}

static void now_open(struct page *p)
{
    p->state = PAGE_OPEN;
    task_begin_all(p);
}

static void on_resumed(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct page *p = arg;

    (void)result;
    (void)e;
    if (p->state == PAGE_OPENING && s == STATUS_TIMEOUT)
        page_lost(p, STATUS_PAGE_HUNG, "the new page does not answer");
    else if (p->state == PAGE_OPENING)
        now_open(p);
    page_unref(p);
}

/* All that the page needs, in one write; the last command lets it run. Nothing is waited for:
 * commands of a session are carried out in order. Only a page on about:blank is of use first when
 * it runs: a navigation whose document comes before that crashes the renderer now and then (156,
 * full browser, 4 of 12 starts under load). A tab that is made with its URL has no answer to
 * Page.navigate that would tell why nothing came: once one failed without a reason the Network
 * domain tells it of the next (always on it is 4 % of a page's CPU). */
void page_attached(struct page *p, struct cdp_session *s, const char *target_id)
{
    snprintf(p->target, sizeof p->target, "%s", target_id);
    realm_listen(&p->main_realm, s, target_id);
    p->main = frame_new(p, NULL, str_from(target_id), s);
    cdp_tell(s, "Target.setAutoAttach",
             STR("{\"autoAttach\":true,\"waitForDebuggerOnStart\":true,\"flatten\":true}"));
    cdp_tell(s, "Page.enable", STR_NONE);
    identity_apply(p->ctx->applied, p->placed ? REALM_PLACED : REALM_PAGE, s, NULL);
    page_send_viewport(p);
    page_send_rules(p);
    console_send(p);
    netlog_realm(&p->main_realm);
    cast_send(p);
    p->explains = p->targets->failures > 0 && p->placed && p->ctx->watch == NULL &&
                  !p->has_conditions && !netlog_is_on(p->ctx);
    if (p->explains)
        cdp_tell(s, "Network.enable",
                 STR("{\"maxTotalBufferSize\":1,\"maxResourceBufferSize\":1}"));
    if (p->has_conditions) {
        if (!netlog_is_on(p->ctx))
            cdp_tell(s, "Network.enable", STR_NONE);
        page_send_conditions(p);
    }
    if (p->ctx->watch != NULL) { /* who looks on says when it runs */
        now_open(p);
    } else if (p->blank) {
        page_ref(p);
        cdp_call(s, "Runtime.runIfWaitingForDebugger", STR_NONE, 0, on_resumed, p);
    } else {
        cdp_tell(s, "Runtime.runIfWaitingForDebugger", STR_NONE);
        now_open(p);
    }
}

void page_is_answered(struct page *p)
{
    if (!p->explains)
        return;
    p->explains = false;
    if (!p->has_conditions && !netlog_is_on(p->ctx) && p->main_realm.session != NULL)
        cdp_tell(p->main_realm.session, "Network.disable", STR_NONE);
}

void page_lost(struct page *p, enum status why, const char *sentence)
{
    if (p->state == PAGE_GONE)
        return;
    page_ref(p);
    p->state = PAGE_GONE;
    err_set(&p->gone, why, "%s", sentence);
    cast_stop(p);
    if (p->main_realm.session != NULL)
        realm_release(&p->main_realm, why, sentence);
    if (p->main != NULL) {
        struct frame *f = p->main;

        p->main = NULL;
        frame_free(f); /* with the realms of frames */
    }
    while (!list_empty(&p->realms))
        realm_release(list_entry(p->realms.next, struct frame_realm, link), why, sentence);
    task_doom_all(p, why, sentence);
    if (p->ctx != NULL && p->ctx->session != NULL && why != STATUS_CLOSED)
        session_lost(p->ctx->session, p);
    if ((why == STATUS_PAGE_CRASHED || why == STATUS_PAGE_OUT_OF_MEMORY) && p->ctx != NULL) {
        p->targets->crashes++;
        targets_tell(p->targets, why == STATUS_PAGE_CRASHED ? "page crashed" : "page out of memory",
                     p->ctx->member, sentence);
        cdp_callf(cdp_conn_root(p->targets->conn), "Target.closeTarget", 0, NULL, NULL,
                  "{\"targetId\":\"%s\"}", p->target);
    }
    page_unref(p);
}

void page_crashed(struct page *p)
{
    const struct targets_opts *o = &p->targets->opts;
    const char *memory = o->out_of_memory != NULL ? o->out_of_memory(o->instance) : NULL;

    if (memory != NULL)
        page_lost(p, STATUS_PAGE_OUT_OF_MEMORY, memory);
    else
        page_lost(p, STATUS_PAGE_CRASHED, "the page's process crashed");
}

void page_drop(struct page *p)
{
    if (p->state == PAGE_OPENING && p->main_realm.session == NULL && p->opener[0] == '\0') {
        p->ctx->n_strays++; /* its tab comes yet, and is closed then */
        snprintf(p->stray_in, sizeof p->stray_in, "%s", p->ctx->id);
    } else if (p->main_realm.session != NULL && cdp_conn_is_open(p->targets->conn)) {
        cdp_callf(cdp_conn_root(p->targets->conn), "Target.closeTarget", 0, NULL, NULL,
                  "{\"targetId\":\"%s\"}", p->target);
    }
    page_lost(p, STATUS_CLOSED, "the page was closed");
    list_remove(&p->link);
    p->ctx = NULL;
    page_unref(p);
}

/* --- settings --- */

void page_send_viewport(struct page *p)
{
    const struct page_viewport *v = &p->viewport;
    struct cdp_session *s = p->main_realm.session;

    if (s == NULL)
        return;
    if (!p->has_viewport) {
        if (p->ctx->applied->metrics.len > 0)
            cdp_tell(s, "Emulation.setDeviceMetricsOverride", p->ctx->applied->metrics);
        return;
    }
    cdp_callf(s, "Emulation.setDeviceMetricsOverride", 0, NULL, NULL,
              "{\"width\":%u,\"height\":%u,\"deviceScaleFactor\":%.4g,\"mobile\":%s,"
              "\"screenWidth\":%u,\"screenHeight\":%u,"
              "\"screenOrientation\":{\"type\":\"%s\",\"angle\":%d}}",
              v->width, v->height, v->scale, v->mobile ? "true" : "false", v->width, v->height,
              v->landscape ? "landscapePrimary" : "portraitPrimary", v->landscape ? 90 : 0);
    if (v->touch)
        cdp_tell(s, "Emulation.setTouchEmulationEnabled", STR("{\"enabled\":true}"));
}

void page_set_viewport(struct page *p, const struct page_viewport *v)
{
    p->has_viewport = true;
    p->viewport = *v;
    page_send_viewport(p);
}

void page_send_conditions(struct page *p)
{
    const struct page_conditions *c = &p->conditions;

    if (p->main_realm.session == NULL)
        return;
    cdp_callf(p->main_realm.session, "Network.emulateNetworkConditions", 0, NULL, NULL,
              "{\"offline\":%s,\"latency\":%.3f,\"downloadThroughput\":%.0f,"
              "\"uploadThroughput\":%.0f}",
              c->offline ? "true" : "false", c->latency_ms,
              c->download_bps > 0 ? c->download_bps : -1, c->upload_bps > 0 ? c->upload_bps : -1);
}

/* Conditions hold while the Network domain is on, which costs an event or two a request: these are
 * dropped unread. */
void page_set_conditions(struct page *p, const struct page_conditions *c)
{
    if (!p->has_conditions && p->main_realm.session != NULL && !netlog_is_on(p->ctx))
        cdp_tell(p->main_realm.session, "Network.enable", STR_NONE);
    p->has_conditions = true;
    p->conditions = *c;
    page_send_conditions(p);
}

void page_reset(struct page *p)
{
    if (p->has_viewport) {
        bool touch = p->viewport.touch;

        p->has_viewport = false;
        if (p->main_realm.session != NULL && p->ctx->applied->metrics.len == 0)
            cdp_tell(p->main_realm.session, "Emulation.clearDeviceMetricsOverride", STR_NONE);
        page_send_viewport(p);
        if (touch && p->main_realm.session != NULL)
            cdp_tell(p->main_realm.session, "Emulation.setTouchEmulationEnabled",
                     STR("{\"enabled\":false}"));
    }
    if (p->has_conditions) {
        p->conditions = (struct page_conditions){0};
        page_send_conditions(p);
        p->has_conditions = false;
        if (p->main_realm.session != NULL)
            cdp_tell(p->main_realm.session, "Network.disable", STR_NONE);
    }
    page_reset_rules(p);
    cast_drop(p);
    console_reset(p);
    page_dialog_policy(p, false, NULL);
    p->dialog_type = NULL;
    free(steal_ptr(&p->dialog_message));
    p->refused = p->popup_refused = (struct refusal){0};
    p->granted = false;
}

/* --- one command --- */

struct call_task {
    struct task base;
    struct frame_ref frame;
    bool on_frame, on_browser;
    const char *method;
    char *params;
    cdp_reply_fn *fn;
    void *arg;
};

static void call_answered(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct call_task *c = arg;
    struct task *t = &c->base;

    t->call = 0;
    list_remove(&t->link);
    c->fn(c->arg, s, result, e);
    task_end(&t);
}

static void call_begin(struct task *t)
{
    struct call_task *c = container_of(t, struct call_task, base);
    struct frame *f = page_frame_find(t->page, c->frame);

    if (c->on_browser)
        task_call(t, cdp_conn_root(t->page->targets->conn), c->method, str_from(c->params),
                  call_answered);
    else if (f == NULL)
        task_doom(t, STATUS_CLOSED, "the frame went away");
    else
        task_call(t, c->on_frame ? f->session : t->page->main_realm.session, c->method,
                  str_from(c->params), call_answered);
}

static void call_fail(struct task *t, enum status s, const struct err *e)
{
    struct call_task *c = container_of(t, struct call_task, base);

    c->fn(c->arg, s, NULL, e);
}

static void call_free(struct task *t)
{
    free(container_of(t, struct call_task, base)->params);
}

static const struct task_kind call_kind = {sizeof(struct call_task), call_begin, call_fail,
                                           call_free};

uint64_t page_call(struct page *p, struct frame *f, const char *method, struct str params,
                   uint64_t deadline_ms, cdp_reply_fn *fn, void *arg)
{
    struct task *t = task_create(p, &call_kind, deadline_ms);
    struct call_task *c = container_of(t, struct call_task, base);
    uint64_t id = t->id;

    c->on_frame = f != NULL;
    c->frame = f != NULL ? f->ref : (struct frame_ref){0};
    c->method = method;
    c->params = xcalloc(1, params.len + 1);
    if (params.len > 0)
        memcpy(c->params, params.ptr, params.len);
    c->fn = fn;
    c->arg = arg;
    task_start(t, NULL);
    return id;
}

uint64_t page_context_call(struct page *p, const char *method, struct str members,
                           uint64_t deadline_ms, cdp_reply_fn *fn, void *arg)
{
    struct task *t = task_create(p, &call_kind, deadline_ms);
    struct call_task *c = container_of(t, struct call_task, base);
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    uint64_t id = t->id;

    buf_addf(&b, "{\"browserContextId\":\"%s\"%s", p->ctx != NULL ? p->ctx->id : "",
             members.len > 0 ? "," : "");
    buf_add(&b, members.ptr, members.len);
    buf_addc(&b, '}');
    c->on_browser = true;
    c->method = method;
    c->params = buf_take(&b, NULL);
    c->fn = fn;
    c->arg = arg;
    task_start(t, NULL);
    return id;
}

/* --- the end of a page --- */

struct close_task {
    struct task base;
    void (*fn)(void *arg, enum status s);
    void *arg;
};

/* The page is gone, which is what was wanted; or it did not go in time, and is killed. */
static void close_over(struct task *t, enum status s, const struct err *e)
{
    struct close_task *c = container_of(t, struct close_task, base);

    (void)e;
    if (s == STATUS_TIMEOUT)
        page_kill(t->page, "the page did not close and was killed");
    c->fn(c->arg, t->page->state == PAGE_GONE ? STATUS_OK : s);
}

static void close_begin(struct task *t)
{
    cdp_callf(cdp_conn_root(t->page->targets->conn), "Target.closeTarget", 0, NULL, NULL,
              "{\"targetId\":\"%s\"}", t->page->target);
    task_wait(t);
}

static const struct task_kind close_kind = {sizeof(struct close_task), close_begin, close_over,
                                            NULL};

uint64_t page_close(struct page *p, uint64_t deadline_ms, void (*fn)(void *arg, enum status s),
                    void *arg)
{
    struct task *t = task_create(p, &close_kind, deadline_ms);
    struct close_task *c = container_of(t, struct close_task, base);
    uint64_t id = t->id;

    c->fn = fn;
    c->arg = arg;
    if (p->state == PAGE_NEW)
        page_lost(p, STATUS_CLOSED, "the page was closed");
    else
        task_start(t, NULL);
    return id;
}
