#include "browser/page/context.h"

#include <stdio.h>

#include "browser/chromium/door.h"
#include "browser/page/page_internal.h"
#include "core/base/log.h"

/* How long a kept page may go on with its last document while no task uses its member. */
enum { IDLE_MS = 250 };

static void context_free(struct context *c)
{
    struct targets *t = c->targets;

    list_remove(&c->link);
    loop_timer_stop(&c->idle);
    downloads_end(c);
    free(c);
    t->n_refs--;
    targets_settle(t);
}

/* --- making --- */

static void on_made(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct context *c = arg;
    const char *id = json_str(json_get(result, "browserContextId"), "");
    context_fn *ready = c->ready;
    void *ready_arg = c->ready_arg;

    if (ready == NULL) { /* destroyed while it was being made */
        if (s == STATUS_OK && cdp_conn_is_open(c->targets->conn))
            cdp_callf(cdp_conn_root(c->targets->conn), "Target.disposeBrowserContext", 0, NULL,
                      NULL, "{\"browserContextId\":\"%s\"}", id);
        context_free(c);
        return;
    }
    c->ready = NULL;
    if (s == STATUS_OK) {
        snprintf(c->id, sizeof c->id, "%s", id);
        downloads_deny(c);
        ready(ready_arg, c, s, e);
        return;
    }
    context_free(c);
    ready(ready_arg, NULL, s, e);
}

/* "" when the member has no forwarder and goes out directly. */
static enum status proxy_of(struct targets *t, struct member *m, char out[DOOR_PROXY_MAX],
                            struct err *e)
{
    out[0] = '\0';
    if (t->opts.door != NULL)
        return door_proxy(t->opts.door, m, out, e);
    if (m->forward_port != 0)
        snprintf(out, DOOR_PROXY_MAX, "http://127.0.0.1:%u", m->forward_port);
    return STATUS_OK;
}

static void on_no_proxy(void *arg)
{
    struct context *c = arg;

    on_made(c, c->err.status, NULL, &c->err);
}

static void ask_for(struct context *c, const char *proxy)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    buf_adds(&b, "{\"disposeOnDetach\":true");
    if (proxy[0] != '\0')
        buf_addf(&b, ",\"proxyServer\":\"%s\",\"proxyBypassList\":\"<-loopback>\"", proxy);
    buf_addc(&b, '}');
    cdp_call(cdp_conn_root(c->targets->conn), "Target.createBrowserContext", buf_str(&b), 0,
             on_made, c);
    buf_deinit(&b);
}

struct context *context_create(struct targets *t, struct member *m, const struct applied *applied,
                               context_fn *ready, void *arg)
{
    struct context *c = xcalloc(1, sizeof *c);
    char proxy[DOOR_PROXY_MAX];

    c->targets = t;
    c->member = m;
    c->applied = applied;
    c->ready = ready;
    c->ready_arg = arg;
    list_init(&c->pages);
    list_push(&t->contexts, &c->link);
    t->n_refs++;
    if (proxy_of(t, m, proxy, &c->err) == STATUS_OK)
        ask_for(c, proxy);
    else
        loop_defer(t->loop, on_no_proxy, c);
    return c;
}

/* Popups and what is gone. */
static void drop_others(struct context *c, const struct page *keep)
{
    list_for_each_safe (l, &c->pages) {
        struct page *p = list_entry(l, struct page, link);

        if (p != keep)
            page_drop(p);
    }
}

static void dispose(struct context *c)
{
    if (c->id[0] != '\0' && cdp_conn_is_open(c->targets->conn))
        cdp_callf(cdp_conn_root(c->targets->conn), "Target.disposeBrowserContext", 0, NULL, NULL,
                  "{\"browserContextId\":\"%s\"}", c->id);
}

/* Pages that a session has stay where they are, gone, until it ends. */
static void lose_pages(struct context *c)
{
    bool open = cdp_conn_is_open(c->targets->conn);

    list_for_each_safe (l, &c->pages)
        page_lost(list_entry(l, struct page, link), open ? STATUS_CLOSED : STATUS_BROWSER_GONE,
                  open ? "the member's context was closed" : "the browser ended");
}

void context_lost(struct context *c)
{
    lose_pages(c);
    c->id[0] = '\0';
}

void context_destroy(struct context **cp)
{
    struct context *c = *cp;

    if (c == NULL)
        return;
    *cp = NULL;
    loop_timer_stop(&c->idle);
    list_remove(&c->link);
    c->destroyed = true;
    if (c->watch != NULL)
        c->watch->on_lost(c->watch->arg, c);
    c->watch = NULL;
    lose_pages(c);
    dispose(c);
    c->id[0] = '\0';
    if (c->session != NULL)
        return; /* freed by context_end */
    if (c->ready != NULL) {
        c->ready = NULL;
        return; /* freed by the answer */
    }
    drop_others(c, NULL);
    context_free(c);
}

const char *context_id(const struct context *c)
{
    return c->id;
}

bool context_is_usable(const struct context *c)
{
    return c->id[0] != '\0' && cdp_conn_is_open(c->targets->conn);
}

void context_set_watch(struct context *c, const struct context_watch *w)
{
    c->watch = w;
}

bool context_run(struct context *c, const char *session, cdp_text_fn *fn, void *arg)
{
    static const char method[] = "Runtime.runIfWaitingForDebugger";
    struct cdp_session *s;

    if (!context_is_usable(c) || session[0] == '\0')
        return false;
    s = cdp_session_find(c->targets->conn, str_from(session));
    if (s == NULL) { /* a worker's: nobody keeps these */
        s = cdp_session_create(c->targets->conn, str_from(session));
        cdp_tell(s, method, STR_NONE);
        cdp_session_destroy(&s, STATUS_CLOSED, NULL);
        return false;
    }
    if (fn != NULL)
        cdp_call_text(s, method, STR_NONE, 0, fn, arg);
    else
        cdp_tell(s, method, STR_NONE);
    return true;
}

void context_tell(struct context *c, const char *session, const char *method, struct str params)
{
    struct cdp_session *s = NULL;

    if (context_is_usable(c) && session[0] != '\0')
        s = cdp_session_find(c->targets->conn, str_from(session));
    if (s != NULL)
        cdp_tell(s, method, params);
}

struct targets *context_targets(struct context *c)
{
    return c->targets;
}

pid_t context_browser_pid(const struct context *c)
{
    const struct targets_opts *o = &c->targets->opts;

    return o->pid != NULL ? o->pid(o->home) : 0;
}

struct cdp_conn *context_conn(struct context *c)
{
    return c->targets->conn;
}

const struct applied *context_applied(const struct context *c)
{
    return c->applied;
}

size_t context_pages_made(const struct context *c)
{
    return c->n_documents;
}

/* --- sessions --- */

void context_begin(struct context *c, struct page_session *s)
{
    struct page *p = list_first(&c->pages, struct page, link);

    BUG_ON(c->session != NULL);
    loop_timer_stop(&c->idle);
    if (p == NULL)
        p = page_create(c);
    c->session = s;
    s->main = s->page = p;
    s->member = c->member;
    list_for_each (l, &c->pages)
        console_send(list_entry(l, struct page, link));
}

void context_warm(struct context *c)
{
    BUG_ON(c->session != NULL || !list_empty(&c->pages));
    page_open(page_create(c), NULL);
}

static bool is_there(const struct page *p)
{
    return p->state == PAGE_OPEN && p->main_realm.session != NULL;
}

bool context_is_warm(const struct context *c)
{
    return context_is_usable(c) && !list_empty(&c->pages) &&
           is_there(list_entry(c->pages.next, struct page, link));
}

static bool show(struct context *c, const struct page *p)
{
    struct json *info = json_add_str(json_new_object(), "targetId", p->target);
    const char *url = page_url(p)[0] != '\0' ? page_url(p) : "about:blank"; /* not told of that */
    bool taken;

    json_add_str(info, "type", "page");
    json_add_str(info, "title", url);
    json_add_str(info, "url", url);
    json_add_bool(info, "attached", true);
    json_add_bool(info, "canAccessOpener", false);
    json_add_str(info, "browserContextId", c->id);
    taken = c->watch->on_target(c->watch->arg, c, info, cdp_session_id(p->main_realm.session));
    json_destroy(&info);
    return taken;
}

bool context_show(struct context *c)
{
    bool any = false;

    BUG_ON(c->watch == NULL);
    list_for_each (l, &c->pages) {
        const struct page *p = list_entry(l, struct page, link);

        if (is_there(p) && show(c, p))
            any = true;
    }
    return any;
}

/* No script of a member runs on while its member has nothing to do. */
static void idle_answered(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct page *p = arg;

    (void)result;
    (void)e;
    if (s == STATUS_TIMEOUT && p->ctx != NULL && p->ctx->session == NULL)
        page_kill(p, "the page did not answer and was killed");
    page_unref(p);
}

static void on_idle(struct loop_timer *t)
{
    struct context *c = container_of(t, struct context, idle);
    struct page *p = list_first(&c->pages, struct page, link);

    if (p == NULL || p->state != PAGE_OPEN)
        return;
    page_ref(p);
    cdp_call(p->main_realm.session, "Page.navigate", STR("{\"url\":\"about:blank\"}"),
             loop_now_ms(c->targets->loop) + PAGE_PING_MS, idle_answered, p);
}

void context_end(struct context *c, bool keep)
{
    struct page *main = list_first(&c->pages, struct page, link);

    if (c->session == NULL)
        return;
    if (!keep || c->destroyed || main == NULL || main->state != PAGE_OPEN)
        main = NULL;
    if (main != NULL) {
        task_doom_all(main, STATUS_CANCELLED, "the attempt ended");
        if (main->main != NULL)
            network_abandon(main->main);
    }
    downloads_end(c);
    netlog_end(c);
    drop_others(c, main);
    if (main != NULL) {
        page_reset(main);
        loop_timer_start(c->targets->loop, &c->idle, IDLE_MS, on_idle);
    }
    c->session = NULL;
    c->watch = NULL;
    if (c->destroyed)
        context_free(c);
}
