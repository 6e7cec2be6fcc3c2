/* Navigations. One watcher a navigation, a task like any other, that ends in exactly one way:
 * reached what it was to wait for, refused by the gate, failed, superseded, out of time, or the
 * page went away under it. Events change the state of frames (frame.c); after each change the
 * watchers of the page look at the state again. They keep no state of the page of their own but
 * from when on they watch (the page's clock) and how far they are.
 *
 *   go:     commanded -> committed -> until -> (look) -> over
 *   wait:   ........... committed -> until -> over
 *   settle: asked -> (nothing under way: over) -> committed -> until -> (look) -> over */
#include "browser/page/download.h"
#include "browser/page/neterror.h"
#include "browser/page/page_internal.h"

#include <stdio.h>

#include "proxies/forward.h"

enum nav_kind { NAV_GO, NAV_WAIT, NAV_SETTLE };

/* How long after an action a navigation that was asked for may take to start: it is refused by the
 * page itself (CSP, mailto:) otherwise. */
enum { START_GRACE_MS = 500 };

struct nav_task {
    struct task base;
    enum nav_kind kind;
    enum page_until until;
    struct frame_ref frame;
    uint64_t since; /* page's clock */
    char *url, *referrer;
    bool look, looking;
    bool commanded; /* go: Page.navigate was answered, or the tab was made with the URL */
    bool created;   /* go: the tab was made with the URL */
    bool asked;     /* settle: the round trip is over */
    bool committed;
    bool stopped; /* the document's loading ended before it was loaded */
    bool grace;   /* the timer is that of START_GRACE_MS */
    bool superseded;
    struct page_nav nav;
    page_nav_fn *fn;
    void *arg;
};

static struct nav_task *nav_of(struct task *t)
{
    return container_of(t, struct nav_task, base);
}

static struct frame *nav_frame(const struct nav_task *n)
{
    return page_frame_find(n->base.page, n->frame);
}

/* --- the one end --- */

static void nav_over(struct nav_task *n, enum status s, const struct err *e)
{
    struct task *t = &n->base;
    struct frame *f = nav_frame(n);

    list_remove(&t->link);
    n->nav.status = s;
    n->nav.err = *e;
    n->nav.err.status = s;
    n->nav.url = f != NULL ? f->url : "";
    if (n->nav.title == NULL)
        n->nav.title = "";
    n->fn(n->arg, &n->nav);
    task_end(&t);
}

/* Whoever went has given up: the page stays where it is. While Page.navigate waits for its answer
 * the browser holds back every other command to the page (156): the next step, and the ping that
 * asks whether the page hangs. */
static void go_stop(const struct nav_task *n)
{
    struct page *p = n->base.page;

    if (n->kind == NAV_GO && !n->committed && !n->superseded && p->state == PAGE_OPEN)
        cdp_tell(p->main_realm.session, "Page.stopLoading", STR_NONE);
}

/* What keeps a document from being loaded: the innermost frame that is not, in whatever process. */
static struct frame *find_unloaded(struct frame *f)
{
    list_for_each (l, &f->children) {
        struct frame *found = find_unloaded(list_entry(l, struct frame, link));

        if (found != NULL)
            return found;
    }
    return !list_empty(&f->holds) || f->started || f->requested || (f->document > 0 && !f->loaded)
               ? f
               : NULL;
}

static void say_late(const struct nav_task *n, struct frame *f, struct err *e)
{
    const char *what = n->kind == NAV_WAIT && !n->committed ? "navigate"
                       : n->committed                       ? "finish loading"
                                                            : "answer";
    struct frame *inner = n->committed && f != NULL ? find_unloaded(f) : NULL;
    const char *url = n->url != NULL ? n->url : "the page";
    bool coming = inner != NULL && (inner->started || !list_empty(&inner->holds));

    if (inner == NULL || inner == f)
        err_set(e, STATUS_TIMEOUT, "%s did not %s by the deadline", url, what);
    else
        err_set(e, STATUS_TIMEOUT, "%s did not %s by the deadline: its frame %s %s", url, what,
                coming && inner->redirected_from != NULL ? inner->redirected_from : inner->url,
                !list_empty(&inner->holds) ? "has no answer"
                : coming                   ? "has no document"
                                           : "is not loaded");
}

static void nav_fail(struct task *t, enum status s, const struct err *e)
{
    struct nav_task *n = nav_of(t);
    struct frame *f = nav_frame(n);

    if (s == STATUS_TIMEOUT || s == STATUS_CANCELLED)
        go_stop(n);
    n->nav.status = s;
    n->nav.err = *e;
    n->nav.url = f != NULL ? f->url : "";
    n->nav.title = "";
    if (s == STATUS_TIMEOUT && e->text[0] == '\0')
        say_late(n, f, &n->nav.err);
    n->fn(n->arg, &n->nav);
}

static void nav_free(struct task *t)
{
    struct nav_task *n = nav_of(t);

    free(n->url);
    free(n->referrer);
}

static void observe(struct nav_task *n, const struct response *r)
{
    n->nav.http_status = r->http_status;
    n->nav.retry_after_ms = r->retry_after_ms;
    n->nav.accounted = r->accounted;
}

/* --- failures --- */

static uint64_t proxy_failed(const struct page *p)
{
    struct forward_stats st = {0};

    if (p->ctx == NULL || p->ctx->member->forward == NULL)
        return 0;
    forward_stats(p->ctx->member->forward, &st);
    return st.failed;
}

/* Chromium's word for a CONNECT that the forwarder could not serve. With an upstream it is the
 * upstream's failure; without one the target was not reached. The Fetch domain knows only "Failed"
 * for it: then the forwarder's own count tells. */
static bool is_proxy_failure(const struct page *p, const char *text)
{
    bool counted = proxy_failed(p) > p->proxy_failed_before;

    if (p->ctx == NULL || p->ctx->member->proxy == NULL ||
        strcmp(text, "net::ERR_PROXY_CONNECTION_FAILED") == 0)
        return false;
    if (strstr(text, "ERR_TUNNEL_CONNECTION_FAILED") != NULL || strstr(text, "ERR_PROXY_") != NULL)
        return true;
    return counted && strstr(text, "ERR_FAILED") != NULL;
}

static bool is_unreachable(const struct page *p, const char *text, bool exact)
{
    return strcmp(text, "net::ERR_TUNNEL_CONNECTION_FAILED") == 0 ||
           (!exact && proxy_failed(p) > p->proxy_failed_before);
}

/* What the gate said outranks what the browser made of it; what the forwarder said comes next. */
static void nav_failed(struct nav_task *n, const char *text, const struct response *r, bool exact)
{
    struct page *p = n->base.page;
    const struct frame *f = nav_frame(n);
    const char *url = n->url != NULL ? n->url : "the page";
    const char *first = f != NULL ? f->redirected_from : NULL;
    unsigned redirects = f != NULL ? f->redirects : 0;
    struct err e = ERR_INIT;

    if (r != NULL)
        observe(n, r);
    if (p->refused.at > n->since) {
        nav_over(n, p->refused.err.status, &p->refused.err);
    } else if (is_proxy_failure(p, text)) {
        n->nav.from_proxy = true;
        neterror_say(text, url, redirects, first, STATUS_PROXY_FAILED, &e);
        nav_over(n, STATUS_PROXY_FAILED, &e);
    } else if (is_unreachable(p, text, exact)) {
        err_set(&e, STATUS_UNAVAILABLE, "%s: the target cannot be reached", url);
        targets_explained(p->targets);
        nav_over(n, STATUS_UNAVAILABLE, &e);
    } else {
        n->nav.own_fault = exact ? neterror_is_own(text, redirects) : p->targets->network_lost;
        if (exact && !n->nav.own_fault)
            targets_explained(p->targets);
        neterror_say(text, url, redirects, first, STATUS_NAVIGATION_FAILED, &e);
        nav_over(n, STATUS_NAVIGATION_FAILED, &e);
    }
}

/* Where nothing was told: `otherwise`. ERR_FAILED is exact only when the browser itself says it. */
static void nav_failed_as(struct nav_task *n, const struct response *r, const char *otherwise)
{
    const char *text = r->error[0] != '\0'     ? r->error
                       : r->failure[0] != '\0' ? neterror_of_reason(r->failure)
                                               : otherwise;

    nav_failed(n, text, r, text == r->error || strcmp(text, "net::ERR_FAILED") != 0);
}

/* --- looking for a block page --- */

/* A body that ends too early leaves its document "loading" for ever, without an event; one that its
 * own script stopped is "complete" (156). */
static void nav_looked(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct nav_task *n = arg;
    const struct json *v = json_at(result, "result", "value", NULL);
    struct err ok = ERR_INIT;

    (void)e;
    n->base.call = 0;
    if (s != STATUS_OK && s != STATUS_PROTOCOL) {
        struct err mine = *e;

        if (s == STATUS_TIMEOUT)
            err_set(&mine, s, "%s is loaded, but its script does not let it be looked at",
                    page_url(n->base.page));
        nav_over(n, s, &mine);
        return;
    }
    if (n->stopped && n->nav.http_status < 400 &&
        strcmp(json_str(json_get(v, "r"), ""), "loading") == 0) {
        err_set(&ok, STATUS_NAVIGATION_FAILED,
                "%s: the answer broke off or cannot be decoded: the page is not whole",
                page_url(n->base.page));
        nav_over(n, ok.status, &ok);
        return;
    }
    if (n->nav.http_status == 0)
        n->nav.http_status = (int)json_int(json_get(v, "s"), 0);
    n->nav.block = look_judge(n->base.page, v, n->nav.http_status);
    n->nav.title = json_str(json_get(v, "t"), "");
    if (n->nav.block == NULL && n->base.page->refused.at > n->since)
        nav_over(n, n->base.page->refused.err.status, &n->base.page->refused.err);
    else
        nav_over(n, STATUS_OK, &ok);
}

static void nav_look(struct nav_task *n)
{
    struct buf b = BUF_INIT(BUF_MAX_FILE), e = BUF_INIT(BUF_MAX_FILE);

    n->looking = true;
    loop_timer_stop(&n->base.timer);
    buf_adds(&b, "{\"returnByValue\":true,\"expression\":");
    look_expression(n->base.page, &e);
    json_print_str(buf_str(&e), &b);
    buf_addc(&b, '}');
    task_call(&n->base, n->base.page->main_realm.session, "Runtime.evaluate", buf_str(&b),
              nav_looked);
    buf_deinit(&e);
    buf_deinit(&b);
}

/* --- how far it is --- */

static bool reached(const struct nav_task *n, const struct frame *f)
{
    switch (n->until) {
    case UNTIL_COMMIT:
        return true;
    case UNTIL_DOMCONTENTLOADED:
        return f->dcl;
    case UNTIL_NETWORKIDLE:
        return f->idle;
    case UNTIL_LOAD:
    default:
        return f->loaded;
    }
}

/* The document is the forwarder's word for why there is none. */
static void nav_over_proxy(struct nav_task *n, const struct frame *f)
{
    const struct response *r = &f->current;
    const char *what =
        r->proxy == STATUS_UNAVAILABLE ? "the target cannot be reached" : status_text(r->proxy);
    struct err e = ERR_INIT;

    n->nav.from_proxy = r->from_proxy;
    err_set(&e, r->proxy, "%s: %s%s%s", f->url, what, r->failure[0] != '\0' ? ": " : "",
            r->failure);
    nav_over(n, r->proxy, &e);
}

static void nav_arrived(struct nav_task *n, const struct frame *f)
{
    struct err ok = ERR_INIT;

    n->nav.navigated = true;
    observe(n, &f->current);
    if (f->current.proxy != STATUS_OK) {
        nav_over_proxy(n, f);
        return;
    }
    if (n->look && f == n->base.page->main)
        nav_look(n);
    else
        nav_over(n, STATUS_OK, &ok);
}

static void nav_same_document(struct nav_task *n)
{
    struct err ok = ERR_INIT;

    n->nav.navigated = n->nav.same_document = true;
    nav_over(n, STATUS_OK, &ok);
}

/* An error page with an HTTP status is the target's answer (an empty 404, say), not a failure to
 * load. */
static bool is_failed_document(const struct frame *f)
{
    return f->unreachable && f->current.http_status < 400;
}

static bool is_under_way(const struct frame *f)
{
    return f->started || f->requested || f->scheduled;
}

static void nav_grace_over(struct loop_timer *timer)
{
    struct nav_task *n = nav_of(container_of(timer, struct task, timer));
    struct frame *f = nav_frame(n);
    struct err ok = ERR_INIT;

    n->grace = false;
    if (f != NULL && f->started)
        task_wait(&n->base);
    else
        nav_over(n, STATUS_OK, &ok);
}

static void nav_grace(struct nav_task *n)
{
    if (n->grace)
        return;
    n->grace = true;
    loop_timer_start(n->base.page->targets->loop, &n->base.timer, START_GRACE_MS, nav_grace_over);
}

/* After an action: nothing committed yet. */
static void settle_check(struct nav_task *n, struct frame *f)
{
    struct page *p = n->base.page;
    struct err ok = ERR_INIT;

    if (p->popup_refused.at > n->since)
        nav_over(n, p->popup_refused.err.status, &p->popup_refused.err);
    else if (!is_under_way(f))
        nav_over(n, STATUS_OK, &ok);
    else if (!f->started)
        nav_grace(n);
    else if (n->grace) {
        n->grace = false;
        task_wait(&n->base);
    }
}

static void nav_check(struct nav_task *n)
{
    struct page *p = n->base.page;
    struct frame *f = nav_frame(n);

    if (n->base.call != 0 && n->kind != NAV_GO)
        return; /* an answer comes first */
    if (n->looking || n->base.doom.status != STATUS_OK || !n->base.begun)
        return;
    if (f == NULL) {
        task_doom(&n->base, STATUS_CLOSED, "the frame went away");
        return;
    }
    if (f == p->main && p->refused.at > n->since) {
        if (n->base.call == 0)
            nav_over(n, p->refused.err.status, &p->refused.err);
        return; /* else the answer to Page.navigate, which is next, tells */
    }
    if (n->kind == NAV_GO && f == p->main && p->popup_refused.at > n->since && n->base.call == 0) {
        nav_over(n, p->popup_refused.err.status, &p->popup_refused.err);
        return;
    }
    if (n->kind == NAV_GO && !n->commanded)
        return;
    if (f->committed_at > n->since)
        n->committed = true;
    if (!n->committed && n->kind != NAV_GO && f->same_document_at > n->since) {
        nav_same_document(n);
    } else if (!n->committed) {
        if (n->kind == NAV_SETTLE && n->asked)
            settle_check(n, f);
    } else if (is_failed_document(f)) {
        nav_failed_as(n, &f->current, "net::ERR_FAILED");
    } else if (reached(n, f)) {
        nav_arrived(n, f);
    } else if (f->stopped && !f->loaded && !is_under_way(f)) {
        n->stopped = true;
        nav_arrived(n, f);
    }
}

static const struct task_kind nav_kind;

/* Any watcher may end in its check, and its callback may begin others: those that were there are
 * found again by id. */
static void check_all(struct page *p)
{
    uint64_t last = 0;

    page_ref(p);
    for (;;) {
        struct task *next = NULL;

        list_for_each (l, &p->tasks) {
            struct task *t = list_entry(l, struct task, link);

            if (t->kind == &nav_kind && t->id > last && (next == NULL || t->id < next->id))
                next = t;
        }
        if (next == NULL)
            break;
        last = next->id;
        nav_check(nav_of(next));
    }
    page_unref(p);
}

bool lifecycle_will_tell(const struct page *p)
{
    list_for_each (l, &p->tasks) {
        const struct task *t = list_entry(l, struct task, link);

        if (t->kind == &nav_kind)
            return true;
    }
    return false;
}

void lifecycle_changed(struct page *p, struct frame *f)
{
    (void)f;
    check_all(p);
}

/* A navigation that ended without a document: a download, 204, or window.stop(). Only who made the
 * tab for it has no other answer. */
void lifecycle_stopped(struct page *p, struct frame *f)
{
    struct err e = ERR_INIT;

    list_for_each_safe (l, &p->tasks) {
        struct task *t = list_entry(l, struct task, link);
        struct nav_task *n = nav_of(t);

        if (t->kind != &nav_kind || n->kind != NAV_GO || !n->created || n->committed ||
            nav_frame(n) != f || f->committed_at > n->since || p->refused.at > n->since)
            continue;
        observe(n, &f->pending);
        n->nav.download = f->pending.download;
        if (f->pending.http_status == 204 || f->pending.http_status == 205 ||
            (f->pending.download && page_allows_downloads(p))) {
            nav_over(n, STATUS_OK, &e);
        } else {
            nav_failed_as(n, &f->pending, "net::ERR_ABORTED");
        }
        return;
    }
}

/* --- go --- */

static void go_answered(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct nav_task *n = arg;
    struct frame *f = nav_frame(n);
    const char *text = json_str(json_get(result, "errorText"), NULL);
    struct err mine = *e;

    n->base.call = 0;
    if (s != STATUS_OK) {
        if (s == STATUS_PROTOCOL)
            err_set(&mine, STATUS_NAVIGATION_FAILED, "%s: %s", n->url, e->text);
        else if (s == STATUS_TIMEOUT)
            err_set(&mine, s, "%s did not answer by the deadline", n->url);
        if (s == STATUS_TIMEOUT || s == STATUS_CANCELLED)
            go_stop(n);
        nav_over(n, mine.status, &mine);
        return;
    }
    n->commanded = true;
    if (f == NULL || n->base.page->refused.at > n->since) {
        nav_failed(n, "net::ERR_BLOCKED_BY_CLIENT", NULL, true);
        return;
    }
    if (text != NULL && strcmp(text, "net::ERR_HTTP_RESPONSE_CODE_FAILURE") != 0) {
        const struct response *r = f->committed_at > n->since ? &f->current : &f->pending;

        n->nav.download = json_bool(json_get(result, "isDownload"), false) || r->download;
        observe(n, r);
        if (r->http_status == 204 || r->http_status == 205 ||
            (n->nav.download && page_allows_downloads(n->base.page)))
            nav_over(n, STATUS_OK, &(struct err)ERR_INIT);
        else
            nav_failed(n, n->nav.download ? "the answer is a download, which is refused" : text, r,
                       true);
        return;
    }
    if (json_get(result, "loaderId") == NULL) {
        nav_same_document(n);
        return;
    }
    /* The commit is told before or after this answer. Another one's (an error page's of before)
     * does not count. */
    if (strcmp(f->loader, json_str(json_get(result, "loaderId"), "")) != 0)
        n->since = n->base.page->clock;
    task_wait(&n->base);
    nav_check(n);
}

static void want_idle(struct page *p)
{
    if (p->lifecycle_events)
        return;
    p->lifecycle_events = true;
    cdp_tell(p->main_realm.session, "Page.setLifecycleEventsEnabled", STR("{\"enabled\":true}"));
}

static void go_begin(struct nav_task *n)
{
    struct page *p = n->base.page;
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    if (n->until == UNTIL_NETWORKIDLE)
        want_idle(p);
    p->proxy_failed_before = proxy_failed(p);
    if (n->created) { /* it navigates by itself as soon as it runs */
        n->commanded = true;
        task_wait(&n->base);
        return;
    }
    buf_adds(&b, "{\"url\":");
    json_print_str(str_from(n->url), &b);
    if (n->referrer != NULL) {
        buf_adds(&b, ",\"referrer\":");
        json_print_str(str_from(n->referrer), &b);
    }
    buf_addc(&b, '}');
    task_call(&n->base, p->main_realm.session, "Page.navigate", buf_str(&b), go_answered);
    buf_deinit(&b);
}

static void settle_answered(void *arg, enum status s, const struct json *result,
                            const struct err *e)
{
    struct nav_task *n = arg;

    (void)result;
    n->base.call = 0;
    /* A document that was replaced under the question is an answer as well. */
    if (s != STATUS_OK && s != STATUS_PROTOCOL) {
        nav_over(n, s, e);
        return;
    }
    n->asked = true;
    task_wait(&n->base);
    nav_check(n);
}

static void nav_begin(struct task *t)
{
    struct nav_task *n = nav_of(t);

    if (n->kind == NAV_GO) {
        go_begin(n);
        return;
    }
    if (n->until == UNTIL_NETWORKIDLE)
        want_idle(t->page);
    if (n->kind == NAV_SETTLE)
        task_call(t, t->page->main_realm.session, "Runtime.evaluate",
                  STR("{\"expression\":\"1\",\"returnByValue\":true}"), settle_answered);
    else
        task_wait(t);
}

static const struct task_kind nav_kind = {sizeof(struct nav_task), nav_begin, nav_fail, nav_free};

static struct nav_task *nav_new(struct page *p, enum nav_kind kind, enum page_until until,
                                uint64_t deadline_ms, page_nav_fn *fn, void *arg)
{
    struct nav_task *n = nav_of(task_create(p, &nav_kind, deadline_ms));

    n->kind = kind;
    n->until = until;
    n->since = p->clock;
    n->fn = fn;
    n->arg = arg;
    n->nav.retry_after_ms = -1;
    return n;
}

/* What was on its way in the main frame is no longer. */
static void supersede(struct page *p, const struct nav_task *but)
{
    list_for_each_safe (l, &p->tasks) {
        struct task *t = list_entry(l, struct task, link);

        if (t->kind != &nav_kind || nav_of(t) == but || nav_of(t)->kind != NAV_GO)
            continue;
        nav_of(t)->superseded = true;
        task_doom(t, STATUS_CANCELLED, "another navigation took its place");
    }
}

uint64_t page_navigate(struct page *p, const struct page_goto *go, page_nav_fn *fn, void *arg)
{
    struct nav_task *n = nav_new(p, NAV_GO, go->until, go->deadline_ms, fn, arg);
    uint64_t id = n->base.id;

    supersede(p, n);
    n->url = xstrdup(go->url);
    n->referrer = go->referrer != NULL ? xstrdup(go->referrer) : NULL;
    n->look = go->look;
    p->granted = go->admitted;
    free(p->grant_url);
    p->grant_url = xstrdup(go->url);
    n->created = p->state == PAGE_NEW && go->referrer == NULL && p->targets->opts.url_at_creation;
    task_start(&n->base, n->created ? go->url : NULL);
    return id;
}

uint64_t page_wait_navigation(struct page *p, struct frame *f, enum page_until until,
                              uint64_t deadline_ms, page_nav_fn *fn, void *arg)
{
    struct nav_task *n = nav_new(p, NAV_WAIT, until, deadline_ms, fn, arg);
    uint64_t id = n->base.id;

    n->frame = f != NULL ? f->ref : (struct frame_ref){0};
    task_start(&n->base, NULL);
    return id;
}

void page_stop(struct page *p)
{
    if (p->state == PAGE_OPEN && p->main != NULL && is_under_way(p->main))
        cdp_tell(p->main_realm.session, "Page.stopLoading", STR_NONE);
}

struct page_mark page_mark(struct page *p)
{
    return (struct page_mark){p->clock};
}

uint64_t page_settle(struct page *p, struct page_mark since, enum page_until until,
                     uint64_t deadline_ms, page_nav_fn *fn, void *arg)
{
    struct nav_task *n = nav_new(p, NAV_SETTLE, until, deadline_ms, fn, arg);
    uint64_t id = n->base.id;

    n->since = since.v;
    n->look = true;
    task_start(&n->base, NULL);
    return id;
}
