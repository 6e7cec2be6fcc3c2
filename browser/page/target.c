/* Everything attached of one browser. Pages come on the root session (auto-attach, paused), frames
 * and workers on the session of what made them. Whatever comes gets the identity of the member
 * whose context it is in, in one write with the command that lets it run. */
#include "browser/page/page_internal.h"

#include <stdio.h>

#include "core/base/log.h"

static const char auto_attach[] =
    "{\"autoAttach\":true,\"waitForDebuggerOnStart\":true,\"flatten\":true}";
/* On the root: tabs and the browser's own windows are not ours; "tab" and "page" together are an
 * error. */
static const char auto_attach_root[] =
    "{\"autoAttach\":true,\"waitForDebuggerOnStart\":true,\"flatten\":true,\"filter\":["
    "{\"type\":\"browser\",\"exclude\":true},{\"type\":\"tab\",\"exclude\":true},"
    "{\"type\":\"browser_ui\",\"exclude\":true},{}]}";

void targets_tell(struct targets *t, const char *what, const struct member *m, const char *text)
{
    if (t->opts.on_event != NULL && !t->destroyed)
        t->opts.on_event(t->opts.arg, what, m, text);
}

struct context *context_by_id(struct targets *t, struct str id)
{
    list_for_each (l, &t->contexts) {
        struct context *c = list_entry(l, struct context, link);

        if (str_eqz(id, c->id))
            return c;
    }
    return NULL;
}

struct page *page_by_target(struct context *c, struct str id)
{
    list_for_each (l, &c->pages) {
        struct page *p = list_entry(l, struct page, link);

        if (str_eqz(id, p->target))
            return p;
    }
    return NULL;
}

static struct str member_str(const struct json *j, const char *name)
{
    return str_from(json_str(json_get(j, name), ""));
}

/* --- what is attached --- */

static void resume(struct cdp_session *s)
{
    cdp_tell(s, "Runtime.runIfWaitingForDebugger", STR_NONE);
}

/* Nobody's: a worklet, a target of the browser's own. It only runs. */
static void resume_unknown(struct cdp_conn *c, struct str session_id)
{
    struct cdp_session *s = cdp_session_create(c, session_id);

    if (s == NULL)
        return;
    resume(s);
    cdp_session_destroy(&s, STATUS_CLOSED, NULL);
}

void realm_listen(struct frame_realm *r, struct cdp_session *s, const char *target)
{
    r->session = s;
    snprintf(r->target, sizeof r->target, "%s", target);
    cdp_listen(s, &r->listener, realm_handlers, n_realm_handlers, r);
}

static struct frame_realm *realm_new(struct page *p, struct cdp_session *s, const char *target)
{
    struct frame_realm *r = xcalloc(1, sizeof *r);

    r->page = p;
    list_push(&p->realms, &r->link);
    realm_listen(r, s, target);
    return r;
}

void realm_release(struct frame_realm *r, enum status why, const char *sentence)
{
    bool is_main = r == &r->page->main_realm;

    cdp_session_destroy(&r->session, why, sentence);
    if (is_main) {
        r->runtime = r->listens = r->says = false;
        return;
    }
    list_remove(&r->link);
    free(r);
}

static void attach_frame(struct page *p, struct cdp_session *s, struct str id)
{
    struct frame *f = frame_of(p->targets, id);
    struct frame_realm *r;

    if (f == NULL || f->page != p || f->realm != NULL) {
        resume(s);
        cdp_session_destroy(&s, STATUS_CLOSED, NULL);
        return;
    }
    r = realm_new(p, s, f->id);
    r->is_frame = true;
    f->realm = r;
    f->session = s;
    frame_forget_documents(f);
    cdp_tell(s, "Target.setAutoAttach", str_from(auto_attach));
    cdp_tell(s, "Page.enable", STR_NONE);
    identity_apply(p->ctx->applied, REALM_FRAME, s, NULL);
    rules_send(p, s);
    netlog_realm(r);
    console_realm(r);
    resume(s);
}

static void attach_worker(struct page *p, struct cdp_session *s, const char *id)
{
    struct frame_realm *r = realm_new(p, s, id);

    cdp_tell(s, "Target.setAutoAttach", str_from(auto_attach));
    identity_apply(p->ctx->applied, REALM_WORKER, s, page_url(p));
    rules_send(p, s);
    netlog_realm(r);
    console_realm(r);
    resume(s);
}

static bool is_worker(struct str type)
{
    return str_eqz(type, "worker") || str_eqz(type, "shared_worker") ||
           str_eqz(type, "service_worker");
}

/* Target.attachedToTarget on a session of a page. */
static void on_child_attached(void *arg, struct cdp_session *parent, const struct json *params)
{
    struct frame_realm *r = arg;
    const struct json *info = json_get(params, "targetInfo");
    struct str type = member_str(info, "type"), session = member_str(params, "sessionId");
    struct cdp_conn *c = cdp_session_conn(parent);
    struct cdp_session *s;

    if (r->page->ctx == NULL || (!str_eqz(type, "iframe") && !is_worker(type))) {
        resume_unknown(c, session);
        return;
    }
    s = cdp_session_create(c, session);
    if (s == NULL)
        return;
    if (is_worker(type))
        attach_worker(r->page, s, json_str(json_get(info, "targetId"), ""));
    else
        attach_frame(r->page, s, member_str(info, "targetId"));
}

/* A frame that leaves its process for good is told by nothing else. One that came back to its
 * parent's process was attached there before and has its parent's session by now. */
static void on_child_detached(void *arg, struct cdp_session *parent, const struct json *params)
{
    struct page *p = ((struct frame_realm *)arg)->page;
    struct str session = member_str(params, "sessionId");

    (void)parent;
    list_for_each_safe (l, &p->realms) {
        struct frame_realm *r = list_entry(l, struct frame_realm, link);
        struct frame *f;

        if (!str_eqz(session, cdp_session_id(r->session)))
            continue;
        f = r->is_frame ? frame_of(p->targets, str_from(r->target)) : NULL;
        if (f != NULL && f->realm == r) {
            f->realm = NULL;
            frame_free(f);
        }
        realm_release(r, STATUS_CLOSED, "the frame went away");
        return;
    }
}

static void on_crashed(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;

    (void)s;
    (void)params;
    if (r == &r->page->main_realm)
        page_crashed(r->page);
}

/* --- the root --- */

static struct page *page_for_target(struct context *c, const struct json *info)
{
    struct str opener = member_str(info, "openerId");
    struct page *p = list_first(&c->pages, struct page, link);

    if (opener.len == 0 && c->n_strays > 0) {
        c->n_strays--;
        return NULL;
    }
    if (p != NULL && p->state == PAGE_OPENING && p->main_realm.session == NULL && opener.len == 0)
        return p;
    if (c->session == NULL)
        return NULL; /* a popup of a page that nobody uses now */
    p = page_create(c);
    snprintf(p->opener, sizeof p->opener, "%.*s", STR_ARG(opener));
    p->state = PAGE_OPENING;
    console_add(p, "popup", member_str(info, "url"), NULL);
    targets_tell(c->targets, "popup opened", c->member, json_str(json_get(info, "url"), ""));
    return p;
}

static void close_target(struct targets *t, const char *target)
{
    cdp_callf(cdp_conn_root(t->conn), "Target.closeTarget", 0, NULL, NULL, "{\"targetId\":\"%s\"}",
              target);
}

static void attach_page(struct targets *t, const struct json *info, struct str session)
{
    struct context *c = context_by_id(t, member_str(info, "browserContextId"));
    const char *target = json_str(json_get(info, "targetId"), "");
    struct page *p = c != NULL ? page_for_target(c, info) : NULL;
    struct cdp_session *s;

    if (p == NULL) {
        if (c != NULL)
            close_target(t, target);
        resume_unknown(t->conn, session);
        return;
    }
    s = cdp_session_create(t->conn, session);
    if (s == NULL)
        return;
    page_attached(p, s, target);
    if (c->watch != NULL && !c->watch->on_target(c->watch->arg, c, info, cdp_session_id(s)))
        resume(s);
}

static void attach_service_worker(struct targets *t, const struct json *info, struct str session)
{
    struct context *c = context_by_id(t, member_str(info, "browserContextId"));
    struct cdp_session *s = cdp_session_create(t->conn, session);

    if (s == NULL)
        return;
    if (c != NULL)
        identity_apply(c->applied, REALM_WORKER, s, json_str(json_get(info, "url"), ""));
    if (c == NULL || c->watch == NULL ||
        !c->watch->on_target(c->watch->arg, c, info, cdp_session_id(s)))
        resume(s);
    cdp_session_destroy(&s, STATUS_CLOSED, NULL);
}

static void on_attached(void *arg, struct cdp_session *root, const struct json *params)
{
    struct targets *t = arg;
    const struct json *info = json_get(params, "targetInfo");
    struct str type = member_str(info, "type"), session = member_str(params, "sessionId");

    (void)root;
    if (str_eqz(type, "page"))
        attach_page(t, info, session);
    else if (is_worker(type))
        attach_service_worker(t, info, session);
    else
        resume_unknown(t->conn, session);
}

static void on_detached(void *arg, struct cdp_session *root, const struct json *params)
{
    struct targets *t = arg;
    struct str session = member_str(params, "sessionId");

    (void)root;
    list_for_each (lc, &t->contexts) {
        struct context *c = list_entry(lc, struct context, link);

        list_for_each (lp, &c->pages) {
            struct page *p = list_entry(lp, struct page, link);

            if (p->main_realm.session == NULL ||
                !str_eqz(session, cdp_session_id(p->main_realm.session)))
                continue;
            page_lost(p, STATUS_CLOSED, "the page was closed");
            return;
        }
    }
}

static void on_paused(void *arg, struct cdp_session *root, const struct json *params)
{
    (void)root;
    network_paused(arg, params);
}

static void on_download(void *arg, struct cdp_session *root, const struct json *params)
{
    (void)root;
    download_begins(arg, params);
}

static void on_download_progress(void *arg, struct cdp_session *root, const struct json *params)
{
    (void)root;
    download_progresses(arg, params);
}

static const struct cdp_handler root_handlers[] = {
    {"Browser.downloadWillBegin", on_download}, {"Browser.downloadProgress", on_download_progress},
    {"Target.attachedToTarget", on_attached},   {"Target.detachedFromTarget", on_detached},
    {"Fetch.requestPaused", on_paused},
};

struct targets *targets_create(struct cdp_conn *c, const struct targets_opts *opts)
{
    struct targets *t = xcalloc(1, sizeof *t);

    t->opts = *opts;
    t->conn = c;
    t->loop = cdp_conn_loop(c);
    t->frames = map_create();
    t->holds = map_create();
    list_init(&t->contexts);
    list_init(&t->doomed);
    list_init(&t->strays);
    cdp_listen(cdp_conn_root(c), &t->listener, root_handlers, ARRAY_LEN(root_handlers), t);
    cdp_tell(cdp_conn_root(c), "Target.setAutoAttach", str_from(auto_attach_root));
    network_start(t);
    return t;
}

void targets_destroy(struct targets **tp)
{
    struct targets *t = *tp;

    if (t == NULL)
        return;
    *tp = NULL;
    while (!list_empty(&t->contexts)) {
        struct context *c = list_entry(t->contexts.next, struct context, link);

        context_destroy(&c);
    }
    cdp_unlisten(&t->listener);
    strays_drop(t);
    t->destroyed = true;
    targets_settle(t);
}

void targets_settle(struct targets *t)
{
    if (!t->destroyed || t->n_refs > 0 || t->n_holds > 0 || t->doom_posted)
        return;
    map_destroy(&t->frames, NULL);
    map_destroy(&t->holds, NULL);
    free(t);
}

unsigned targets_crashes(const struct targets *t)
{
    return t->crashes;
}

void targets_lose_network(struct targets *t)
{
    t->network_lost = true;
}

bool targets_lost_network(const struct targets *t)
{
    return t->network_lost;
}

unsigned targets_failures(const struct targets *t)
{
    return t->failures;
}

void targets_explained(struct targets *t)
{
    if (t->failures > 0)
        t->failures--;
}

/* --- sessions of pages, frames and workers: the events that are listened to --- */

const struct cdp_handler realm_handlers[] = {
    {"Page.frameAttached", frame_on_attached},
    {"Page.frameDetached", frame_on_detached},
    {"Page.frameNavigated", frame_on_navigated},
    {"Page.navigatedWithinDocument", frame_on_same_document},
    {"Page.frameRequestedNavigation", frame_on_requested},
    {"Page.frameScheduledNavigation", frame_on_scheduled},
    {"Page.frameClearedScheduledNavigation", frame_on_unscheduled},
    {"Page.frameStartedNavigating", frame_on_started},
    {"Page.frameStoppedLoading", frame_on_stopped},
    {"Page.domContentEventFired", frame_on_dcl},
    {"Page.loadEventFired", frame_on_load},
    {"Page.lifecycleEvent", frame_on_lifecycle},
    {"Page.javascriptDialogOpening", dialog_on_opening},
    {"Runtime.executionContextCreated", frame_on_context},
    {"Runtime.consoleAPICalled", console_on_called},
    {"Runtime.exceptionThrown", console_on_thrown},
    {"Console.messageAdded", console_on_message},
    {"Network.loadingFailed", frame_on_failed},
    {"Fetch.requestPaused", rules_on_paused},
    {"Fetch.authRequired", rules_on_challenged},
    {"Target.attachedToTarget", on_child_attached},
    {"Target.detachedFromTarget", on_child_detached},
    {"Inspector.targetCrashed", on_crashed},
};
const size_t n_realm_handlers = ARRAY_LEN(realm_handlers);
