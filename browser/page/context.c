#include "browser/page/context.h"

#include <stdio.h>

#include "browser/page/page_internal.h"
#include "core/base/log.h"

/* How long a kept page may go on with its last document while no task uses its member. */
enum { IDLE_MS = 250 };

static void context_free(struct context *c)
{
    struct targets *t = c->targets;

    list_remove(&c->link);
    loop_timer_stop(&c->idle);
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
        cdp_callf(cdp_conn_root(c->targets->conn), "Browser.setDownloadBehavior", 0, NULL, NULL,
                  "{\"behavior\":\"deny\",\"browserContextId\":\"%s\"}", c->id);
        ready(ready_arg, c, s, e);
        return;
    }
    context_free(c);
    ready(ready_arg, NULL, s, e);
}

struct context *context_create(struct targets *t, struct member *m, const struct applied *applied,
                               context_fn *ready, void *arg)
{
    struct context *c = xcalloc(1, sizeof *c);
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    c->targets = t;
    c->member = m;
    c->applied = applied;
    c->ready = ready;
    c->ready_arg = arg;
    list_init(&c->pages);
    list_push(&t->contexts, &c->link);
    t->n_refs++;
    buf_adds(&b, "{\"disposeOnDetach\":true");
    if (m->forward_port != 0)
        buf_addf(&b, ",\"proxyServer\":\"http://127.0.0.1:%u\",\"proxyBypassList\":\"<-loopback>\"",
                 m->forward_port);
    buf_addc(&b, '}');
    cdp_call(cdp_conn_root(t->conn), "Target.createBrowserContext", buf_str(&b), 0, on_made, c);
    buf_deinit(&b);
    return c;
}

void context_destroy(struct context **cp)
{
    struct context *c = *cp;

    if (c == NULL)
        return;
    *cp = NULL;
    if (c->session != NULL)
        context_end(c, false);
    while (!list_empty(&c->pages))
        page_drop(list_entry(c->pages.next, struct page, link));
    loop_timer_stop(&c->idle);
    list_remove(&c->link);
    if (c->ready != NULL) { /* freed by the answer */
        c->ready = NULL;
        return;
    }
    if (cdp_conn_is_open(c->targets->conn))
        cdp_callf(cdp_conn_root(c->targets->conn), "Target.disposeBrowserContext", 0, NULL, NULL,
                  "{\"browserContextId\":\"%s\"}", c->id);
    context_free(c);
}

struct member *context_member(const struct context *c)
{
    return c->member;
}

bool context_is_usable(const struct context *c)
{
    return c->id[0] != '\0' && cdp_conn_is_open(c->targets->conn);
}

size_t context_pages_made(const struct context *c)
{
    return c->n_pages_made;
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

/* No script of a member runs on while its member has nothing to do. */
static void on_idle(struct loop_timer *t)
{
    struct context *c = container_of(t, struct context, idle);
    struct page *p = list_first(&c->pages, struct page, link);

    if (p != NULL && p->state == PAGE_OPEN)
        cdp_tell(p->main_realm.session, "Page.navigate", STR("{\"url\":\"about:blank\"}"));
}

void context_end(struct context *c, bool keep)
{
    struct page *main = list_first(&c->pages, struct page, link);

    if (c->session == NULL)
        return;
    if (!keep || main == NULL || main->state != PAGE_OPEN)
        main = NULL;
    if (main != NULL) {
        task_doom_all(main, STATUS_CANCELLED, "the attempt ended");
        if (main->main != NULL)
            network_abandon(main->main);
    }
    drop_others(c, main);
    if (main != NULL) {
        page_reset(main);
        loop_timer_start(c->targets->loop, &c->idle, IDLE_MS, on_idle);
    }
    c->session = NULL;
}
