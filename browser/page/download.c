#include "browser/page/download.h"

#include <stdio.h>

#include "browser/page/page_internal.h"

enum download_state { DOWNLOAD_RUNS, DOWNLOAD_DONE, DOWNLOAD_FAILED };

struct download {
    struct list link;
    char guid[64];
    char *url, *name;
    uint64_t bytes;
    enum download_state state;
    bool too_large;
};

struct downloads {
    struct list all; /* in the order they began */
    char *dir;
    uint64_t max_bytes;
};

static void download_free(struct download *d)
{
    list_remove(&d->link);
    free(d->url);
    free(d->name);
    free(d);
}

/* eventsEnabled is the session's, not the context's (156): whoever leaves it out for one context
 * turns the events of all the others off. */
static void behave(struct context *c, const char *members)
{
    if (c->id[0] != '\0' && cdp_conn_is_open(c->targets->conn))
        cdp_callf(cdp_conn_root(c->targets->conn), "Browser.setDownloadBehavior", 0, NULL, NULL,
                  "{\"browserContextId\":\"%s\",\"eventsEnabled\":true,%s}", c->id, members);
}

void downloads_deny(struct context *c)
{
    behave(c, "\"behavior\":\"deny\"");
}

void downloads_end(struct context *c)
{
    struct downloads *all = c->downloads;

    if (all == NULL)
        return;
    c->downloads = NULL;
    downloads_deny(c);
    while (!list_empty(&all->all))
        download_free(list_entry(all->all.next, struct download, link));
    free(all->dir);
    free(all);
}

void page_allow_downloads(struct page *p, const char *dir, uint64_t max_bytes)
{
    struct context *c = p->ctx;
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    if (c == NULL)
        return;
    if (c->downloads == NULL) {
        c->downloads = xcalloc(1, sizeof *c->downloads);
        list_init(&c->downloads->all);
    }
    free(c->downloads->dir);
    c->downloads->dir = xstrdup(dir);
    c->downloads->max_bytes = max_bytes;
    buf_adds(&b, "\"behavior\":\"allowAndName\",\"downloadPath\":");
    json_print_str(str_from(dir), &b);
    behave(c, b.ptr);
    buf_deinit(&b);
}

bool page_allows_downloads(const struct page *p)
{
    return p->ctx != NULL && p->ctx->downloads != NULL;
}

/* --- waiting --- */

struct wait_task {
    struct task base;
    page_download_fn *fn;
    void *arg;
};

static struct wait_task *wait_of(struct task *t)
{
    return container_of(t, struct wait_task, base);
}

static void wait_fail(struct task *t, enum status s, const struct err *e)
{
    struct err mine = *e;

    if (s == STATUS_TIMEOUT)
        err_set(&mine, s, "no download was finished by the deadline");
    wait_of(t)->fn(wait_of(t)->arg, s, NULL, &mine);
}

static struct download *next_over(struct context *c)
{
    list_for_each (l, &c->downloads->all) {
        struct download *d = list_entry(l, struct download, link);

        if (d->state != DOWNLOAD_RUNS)
            return d;
    }
    return NULL;
}

static enum status failure_of(const struct downloads *all, const struct download *d, struct err *e)
{
    if (d->state == DOWNLOAD_DONE)
        return STATUS_OK;
    if (d->too_large)
        return err_set(e, STATUS_TOO_LARGE, "%s: the download is larger than %llu bytes", d->url,
                       (unsigned long long)all->max_bytes);
    return err_set(e, STATUS_NAVIGATION_FAILED, "%s: the download was broken off", d->url);
}

static void give(struct task *t, struct context *c, struct download *d)
{
    char inside[1024];
    const struct page_download out = {d->url, d->name, inside, d->bytes};
    struct err e = ERR_INIT;
    enum status s = failure_of(c->downloads, d, &e);

    snprintf(inside, sizeof inside, "%s/%s", c->downloads->dir, d->guid);
    list_remove(&t->link);
    list_remove(&d->link);
    wait_of(t)->fn(wait_of(t)->arg, s, s == STATUS_OK ? &out : NULL, &e);
    download_free(d);
    task_end(&t);
}

static void wait_begin(struct task *t)
{
    struct context *c = t->page->ctx;

    if (c == NULL || c->downloads == NULL)
        task_doom(t, STATUS_INVALID, "no downloads are allowed: allowDownloads comes first");
    else if (next_over(c) != NULL)
        give(t, c, next_over(c));
    else
        task_wait(t);
}

static const struct task_kind wait_kind = {sizeof(struct wait_task), wait_begin, wait_fail, NULL};

/* What is there already is given from the loop, as all callbacks are. */
static void wait_due(struct loop_timer *timer)
{
    task_start(container_of(timer, struct task, timer), NULL);
}

uint64_t page_wait_download(struct page *p, uint64_t deadline_ms, page_download_fn *fn, void *arg)
{
    struct task *t = task_create(p, &wait_kind, deadline_ms);

    wait_of(t)->fn = fn;
    wait_of(t)->arg = arg;
    loop_timer_start(p->targets->loop, &t->timer, 0, wait_due);
    return t->id;
}

/* --- events, on the root session --- */

static struct download *find(struct targets *t, struct str guid, struct context **owner)
{
    list_for_each (lc, &t->contexts) {
        struct context *c = list_entry(lc, struct context, link);

        if (c->downloads == NULL)
            continue;
        list_for_each (l, &c->downloads->all) {
            struct download *d = list_entry(l, struct download, link);

            *owner = c;
            if (str_eqz(guid, d->guid))
                return d;
        }
    }
    return NULL;
}

void download_begins(struct targets *t, const struct json *params)
{
    struct frame *f = frame_of(t, str_from(json_str(json_get(params, "frameId"), "")));
    struct context *c = f != NULL ? f->page->ctx : NULL;
    struct download *d;

    if (c == NULL || c->downloads == NULL)
        return;
    d = xcalloc(1, sizeof *d);
    snprintf(d->guid, sizeof d->guid, "%s", json_str(json_get(params, "guid"), ""));
    d->url = xstrdup(json_str(json_get(params, "url"), ""));
    d->name = xstrdup(json_str(json_get(params, "suggestedFilename"), ""));
    list_push(&c->downloads->all, &d->link);
}

/* A page of the context that waits for a download is told. */
static void tell_waiting(struct context *c)
{
    list_for_each (lp, &c->pages) {
        struct page *p = list_entry(lp, struct page, link);

        list_for_each (l, &p->tasks) {
            struct task *t = list_entry(l, struct task, link);

            if (t->kind == &wait_kind && t->begun) {
                give(t, c, next_over(c));
                return;
            }
        }
    }
}

void download_progresses(struct targets *t, const struct json *params)
{
    const char *state = json_str(json_get(params, "state"), "");
    struct context *c = NULL;
    struct download *d = find(t, str_from(json_str(json_get(params, "guid"), "")), &c);

    if (d == NULL || d->state != DOWNLOAD_RUNS)
        return;
    d->bytes = (uint64_t)json_num(json_get(params, "receivedBytes"), 0);
    if (d->bytes > c->downloads->max_bytes && !d->too_large) {
        d->too_large = true;
        cdp_callf(cdp_conn_root(t->conn), "Browser.cancelDownload", 0, NULL, NULL,
                  "{\"guid\":\"%s\",\"browserContextId\":\"%s\"}", d->guid, c->id);
    }
    if (strcmp(state, "completed") == 0)
        d->state = d->too_large ? DOWNLOAD_FAILED : DOWNLOAD_DONE;
    else if (strcmp(state, "canceled") == 0)
        d->state = DOWNLOAD_FAILED;
    if (d->state != DOWNLOAD_RUNS)
        tell_waiting(c);
}
