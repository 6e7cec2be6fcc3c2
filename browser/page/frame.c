/* The tree of frames, kept from the events of all sessions of a page. It is eventually consistent:
 * an event that names a frame that is not there (yet, or any more) is dropped.
 *
 * A frame that moves into a process of its own is attached as a target, then reported detached
 * ("swap") by its old session; one that moves back is reported attached by its parent's session
 * before its target goes. Its place in the tree and its ref stay. */
#include "browser/page/page_internal.h"

#include <stdio.h>

struct frame *frame_new(struct page *p, struct frame *parent, struct str id, struct cdp_session *s)
{
    struct frame *f = xcalloc(1, sizeof *f);

    f->page = p;
    f->parent = parent;
    f->ref.v = ++p->targets->next_id;
    f->session = s;
    f->url = xstrdup("");
    snprintf(f->id, sizeof f->id, "%.*s", STR_ARG(id));
    list_init(&f->link);
    list_init(&f->children);
    list_init(&f->holds);
    f->pending.retry_after_ms = f->current.retry_after_ms = -1;
    if (parent != NULL)
        list_push(&parent->children, &f->link);
    map_put(p->targets->frames, str_from(f->id), f);
    stray_known(p->targets, f->id);
    return f;
}

/* Tasks that look at the frame find it gone by its ref. */
void frame_free(struct frame *f)
{
    while (!list_empty(&f->children))
        frame_free(list_entry(f->children.next, struct frame, link));
    network_abandon(f);
    if (f->realm != NULL)
        realm_release(f->realm, STATUS_CLOSED, "the frame went away");
    if (map_find(f->page->targets->frames, str_from(f->id)) == f)
        map_remove(f->page->targets->frames, str_from(f->id));
    list_remove(&f->link);
    free(f->redirected_from);
    free(f->url);
    free(f);
}

struct frame *frame_of(struct targets *t, struct str id)
{
    return map_find(t->frames, id);
}

/* Its document is another one, or elsewhere: what was made in the old one is void. */
void frame_forget_documents(struct frame *f)
{
    while (!list_empty(&f->children))
        frame_free(list_entry(f->children.next, struct frame, link));
    f->isolated_context = f->main_context = 0;
}

/* --- events --- */

static struct frame *frame_in(const struct frame_realm *r, const struct json *params)
{
    struct frame *f =
        frame_of(r->page->targets, str_from(json_str(json_get(params, "frameId"), "")));

    return f != NULL && f->page == r->page ? f : NULL;
}

void frame_on_attached(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    struct frame *f = frame_in(r, params);
    struct str id = str_from(json_str(json_get(params, "frameId"), ""));
    struct frame *parent =
        frame_of(r->page->targets, str_from(json_str(json_get(params, "parentFrameId"), "")));

    if (f != NULL) {
        if (f->realm != NULL && f->parent != NULL && f->parent->session == s) {
            f->realm->is_frame = false; /* it came back; its target goes next */
            f->realm = NULL;
            f->session = s;
            frame_forget_documents(f);
        }
        return;
    }
    if (parent == NULL || parent->page != r->page || id.len == 0 || id.len >= DEVTOOLS_ID_MAX)
        return;
    frame_new(r->page, parent, id, s);
}

void frame_on_detached(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    struct frame *f = frame_in(r, params);

    (void)s;
    if (f == NULL || f == r->page->main ||
        strcmp(json_str(json_get(params, "reason"), ""), "swap") == 0)
        return;
    frame_free(f);
}

static void set_url(struct frame *f, const struct json *frame)
{
    const char *url = json_str(json_get(frame, "url"), "");
    const char *fragment = json_str(json_get(frame, "urlFragment"), "");
    size_t n = strlen(url) + strlen(fragment) + 1;

    free(f->url);
    f->url = xcalloc(1, n);
    snprintf(f->url, n, "%s%s", url, fragment);
}

static void start_over(struct frame *f)
{
    f->requested = f->scheduled = f->started = false;
    f->starting[0] = '\0';
}

void frame_on_navigated(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    struct page *p = r->page;
    const struct json *frame = json_get(params, "frame");
    struct frame *f = frame_of(p->targets, str_from(json_str(json_get(frame, "id"), "")));

    if (f == NULL || f->page != p || f->session != s)
        return;
    frame_forget_documents(f);
    set_url(f, frame);
    snprintf(f->loader, sizeof f->loader, "%s", json_str(json_get(frame, "loaderId"), ""));
    f->unreachable = json_str(json_get(frame, "unreachableUrl"), NULL) != NULL;
    f->current = f->pending;
    f->pending = (struct response){.retry_after_ms = -1};
    f->dcl = f->loaded = f->idle = f->stopped = false;
    f->document++;
    f->committed_at = ++p->clock;
    if (f == p->main && p->ctx != NULL && strcmp(f->url, "about:blank") != 0) {
        p->ctx->n_documents++;
        p->targets->crashes = 0;
    }
    start_over(f);
    network_charge(f);
    lifecycle_changed(p, f);
}

void frame_on_same_document(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    struct frame *f = frame_in(r, params);

    (void)s;
    if (f == NULL)
        return;
    set_url(f, params);
    f->same_document_at = ++r->page->clock;
    start_over(f);
    lifecycle_changed(r->page, f);
}

void frame_on_requested(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    struct frame *f = frame_in(r, params);

    (void)s;
    if (f == NULL || strcmp(json_str(json_get(params, "disposition"), ""), "currentTab") != 0)
        return;
    f->requested = true;
    f->requested_at = ++r->page->clock;
}

/* A meta refresh or a timer of the future is not something under way. */
void frame_on_scheduled(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    struct frame *f = frame_in(r, params);

    (void)s;
    if (f == NULL || json_num(json_get(params, "delay"), 0) > 0)
        return;
    f->scheduled = true;
    f->requested_at = ++r->page->clock;
}

void frame_on_unscheduled(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame *f = frame_in(arg, params);

    (void)s;
    if (f != NULL)
        f->scheduled = false;
}

void frame_on_started(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    struct frame *f = frame_in(r, params);
    const char *type = json_str(json_get(params, "navigationType"), "");

    (void)s;
    if (f == NULL || strstr(type, "ameDocument") != NULL)
        return;
    network_abandon(f);
    f->started = true;
    f->requested = false;
    f->requested_at = ++r->page->clock;
    f->pending = (struct response){.retry_after_ms = -1};
    snprintf(f->starting, sizeof f->starting, "%s", json_str(json_get(params, "loaderId"), ""));
}

void frame_on_failed(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    struct frame *f = r->page->main;
    const char *request = json_str(json_get(params, "requestId"), "");

    if (f == NULL || f->session != s ||
        strcmp(json_str(json_get(params, "type"), ""), "Document") != 0)
        return;
    if (f->starting[0] != '\0' && strcmp(f->starting, request) != 0) /* a frame's within it */
        return;
    snprintf(f->pending.error, sizeof f->pending.error, "%s",
             json_str(json_get(params, "errorText"), ""));
}

void frame_on_stopped(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    struct frame *f = frame_in(r, params);
    bool was_under_way;

    if (f == NULL || f->session != s)
        return;
    network_abandon(f);
    was_under_way = f->started || f->requested;
    f->started = f->requested = false;
    f->stopped = f->document > 0;
    /* In-process frames below the session's own have no load event of their own. */
    if (f->parent != NULL && f->realm == NULL && f->document > 0)
        f->dcl = f->loaded = true;
    if (was_under_way)
        lifecycle_stopped(r->page, f);
    lifecycle_changed(r->page, f);
}

/* The frame that an event of a session without frameId is about. */
static struct frame *frame_of_realm(struct frame_realm *r)
{
    return r == &r->page->main_realm ? r->page->main
                                     : frame_of(r->page->targets, str_from(r->target));
}

void frame_on_dcl(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    struct frame *f = frame_of_realm(r);

    (void)params;
    if (f == NULL || f->session != s)
        return;
    f->dcl = true;
    lifecycle_changed(r->page, f);
}

void frame_on_load(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    struct frame *f = frame_of_realm(r);

    (void)params;
    if (f == NULL || f->session != s)
        return;
    f->dcl = f->loaded = true;
    lifecycle_changed(r->page, f);
}

void frame_on_lifecycle(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    struct frame *f = frame_in(r, params);

    (void)s;
    if (f == NULL || strcmp(json_str(json_get(params, "name"), ""), "networkIdle") != 0 ||
        strcmp(json_str(json_get(params, "loaderId"), ""), f->loader) != 0)
        return;
    f->idle = true;
    lifecycle_changed(r->page, f);
}

/* Runtime.executionContextCreated, once somebody wanted the main world of an in-process frame. */
void frame_on_context(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    const struct json *ctx = json_get(params, "context");
    const struct json *aux = json_get(ctx, "auxData");
    struct frame *f = frame_in(r, aux);

    (void)s;
    if (f != NULL && json_bool(json_get(aux, "isDefault"), false))
        f->main_context = json_int(json_get(ctx, "id"), 0);
}

/* --- for readers --- */

struct frame *page_main_frame(struct page *p)
{
    return p->main;
}

static struct frame *find_ref(struct frame *f, uint64_t v)
{
    if (f == NULL || f->ref.v == v)
        return f;
    list_for_each (l, &f->children) {
        struct frame *found = find_ref(list_entry(l, struct frame, link), v);

        if (found != NULL)
            return found;
    }
    return NULL;
}

struct frame *page_frame_find(struct page *p, struct frame_ref ref)
{
    return ref.v == 0 ? p->main : find_ref(p->main, ref.v);
}

struct frame_ref frame_ref(const struct frame *f)
{
    return f->ref;
}

struct frame *frame_parent(const struct frame *f)
{
    return f->parent;
}

struct frame *frame_child(const struct frame *f, size_t i)
{
    list_for_each (l, &f->children)
        if (i-- == 0)
            return list_entry(l, struct frame, link);
    return NULL;
}

static struct frame *find_url(struct frame *f, struct str url)
{
    if (f == NULL || str_eqz(url, f->url))
        return f;
    list_for_each (l, &f->children) {
        struct frame *found = find_url(list_entry(l, struct frame, link), url);

        if (found != NULL)
            return found;
    }
    return NULL;
}

struct frame *page_frame_by_url(struct page *p, struct str url)
{
    return find_url(p->main, url);
}

const char *frame_url(const struct frame *f)
{
    return f->url;
}

const char *frame_id(const struct frame *f)
{
    return f->id;
}

bool frame_is_local_root(const struct frame *f)
{
    return f->parent == NULL || f->realm != NULL;
}

uint32_t frame_document(const struct frame *f)
{
    return f->document;
}
