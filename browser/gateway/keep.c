#include "browser/gateway/keep.h"

#include <stdio.h>

#include "browser/gateway/gateway_internal.h"
#include "browser/state.h"
#include "core/base/log.h"
#include "core/base/url.h"
#include "core/fleet/keep.h"

/* A tour of origins under way. */
struct lease_keep {
    struct lease *lease;
    struct cdp_session
        *browser; /* of our own: what is attached on the root is a page of the member's */
    struct cdp_session *session; /* the page's */
    char target[VIEW_ID_MAX];
    bool reads, opening;     /* a target that comes now is ours */
    struct json *origins;    /* [{"origin", "localStorage"?}] */
    const struct json *here; /* the one that is visited */
    struct json *cookies, *found;
    uint64_t deadline_ms;
    void (*done)(struct lease *l);
};

/* --- what was seen --- */

void keep_saw(struct lease *l, const char *url)
{
    struct arena *a;
    struct url u;
    char *origin;

    if (l->member->keep == NULL || strncmp(url, "http", 4) != 0)
        return;
    a = arena_create(NULL, 0);
    if (l->seen == NULL)
        l->seen = json_new_object();
    if (json_len(l->seen) < KEEP_ORIGINS_MAX &&
        url_parse(a, str_from(url), "http https", &u, NULL) == STATUS_OK) {
        origin = arena_strndup(a, u.href.ptr, u.href.len - u.path.len);
        if (json_get(l->seen, origin) == NULL)
            json_add_bool(l->seen, origin, true);
    }
    arena_destroy(&a);
}

bool keep_is_own(const struct lease *l, const char *target)
{
    const struct lease_keep *k = l->keep;

    return k != NULL && (k->opening || strcmp(k->target, target) == 0);
}

/* --- the end of a tour --- */

/* NULL: the context is not the lease's any more. */
static struct cdp_session *root(const struct lease *l)
{
    return l->lost || !l->own.begun || !context_is_usable(l->own.ctx)
               ? NULL
               : cdp_conn_root(context_conn(l->own.ctx));
}

static void tour_free(struct lease_keep *k)
{
    json_destroy(&k->origins);
    json_destroy(&k->cookies);
    json_destroy(&k->found);
    free(k);
}

static void on_saved(void *arg)
{
    struct lease *l = arg;
    void (*done)(struct lease *) = l->keep->done;

    l->n_making--;
    tour_free(l->keep);
    l->keep = NULL;
    done(l);
}

static void over(struct lease_keep *k)
{
    struct lease *l = k->lease;

    if (k->target[0] != '\0' && root(l) != NULL)
        cdp_callf(root(l), "Target.closeTarget", 0, NULL, NULL, "{\"targetId\":\"%s\"}", k->target);
    if (k->browser != NULL && root(l) != NULL)
        cdp_callf(root(l), "Target.detachFromTarget", 0, NULL, NULL, "{\"sessionId\":\"%s\"}",
                  cdp_session_id(k->browser));
    cdp_session_destroy(&k->session, STATUS_CLOSED, NULL);
    cdp_session_destroy(&k->browser, STATUS_CLOSED, NULL);
    if (k->reads)
        keep_save(l->member, steal_ptr(&k->cookies), steal_ptr(&k->found), on_saved, l);
    else
        on_saved(l);
}

/* Where the tour cannot go on: what it did not see stays as it was. */
static void cut_short(struct lease_keep *k, const struct err *e)
{
    log_warn(NULL, "lease.storage.unread", LOG_STR("id", k->lease->member->identity->id),
             LOG_ERR(e));
    over(k);
}

/* --- from origin to origin --- */

static const char read_all[] =
    "(()=>{const l=[];for(let i=0;i<localStorage.length;i++){const k=localStorage.key(i);"
    "l.push({name:k,value:localStorage.getItem(k)})}"
    "return {origin:location.origin,localStorage:l}})()";

static void visit_next(struct lease_keep *k);

static void on_value(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct lease_keep *k = arg;
    const struct json *value = json_at(result, "result", "value", NULL);

    if (s == STATUS_BROWSER_GONE || s == STATUS_TIMEOUT || s == STATUS_CLOSED) {
        cut_short(k, e);
        return;
    }
    if (k->reads && json_str(json_get(value, "origin"), "")[0] != '\0')
        json_push(k->found, json_dup(value));
    k->here = json_next(k->here);
    visit_next(k);
}

static void on_there(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct lease_keep *k = arg;
    struct buf text = BUF_INIT(BUF_MAX_FILE), b = BUF_INIT(BUF_MAX_FILE);

    (void)result;
    if (s != STATUS_OK) {
        cut_short(k, e);
        return;
    }
    if (k->reads) {
        buf_adds(&text, read_all);
    } else {
        buf_adds(&text, "(o=>{for(const x of o)if(localStorage.getItem(x.name)===null)"
                        "localStorage.setItem(x.name,x.value)})(");
        json_print(json_get(k->here, "localStorage"), 0, &text);
        buf_adds(&text, ")");
    }
    buf_adds(&b, "{\"returnByValue\":true,\"expression\":");
    json_print_str(buf_str(&text), &b);
    buf_addc(&b, '}');
    cdp_call(k->session, "Runtime.evaluate", buf_str(&b), k->deadline_ms, on_value, k);
    buf_deinit(&text);
    buf_deinit(&b);
}

static void visit_next(struct lease_keep *k)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE), url = BUF_INIT(BUF_MAX_LINE);

    if (k->here == NULL) {
        over(k);
        return;
    }
    buf_addf(&url, "%s/", json_str(json_get(k->here, "origin"), ""));
    buf_adds(&b, "{\"url\":");
    json_print_str(buf_str(&url), &b);
    buf_addc(&b, '}');
    cdp_call(k->session, "Page.navigate", buf_str(&b), k->deadline_ms, on_there, k);
    buf_deinit(&url);
    buf_deinit(&b);
}

/* Nothing that this page asks for leaves the browser. */
static void on_tap(void *arg, struct cdp_session *s, struct str method, struct str params)
{
    struct json *j;

    (void)arg;
    if (!str_eqz(method, "Fetch.requestPaused"))
        return;
    j = json_parse(params, false, NULL);
    cdp_callf(s, "Fetch.fulfillRequest", 0, NULL, NULL,
              "{\"requestId\":\"%.64s\",\"responseCode\":200,\"responseHeaders\":[{\"name\":"
              "\"content-type\",\"value\":\"text/html\"}],\"body\":\"\"}",
              json_str(json_get(j, "requestId"), ""));
    json_destroy(&j);
}

/* The session that an answer tells of; NULL: none. */
static struct cdp_session *told_session(const struct lease *l, enum status s,
                                        const struct json *result)
{
    return s == STATUS_OK && root(l) != NULL
               ? cdp_session_create(context_conn(l->own.ctx),
                                    str_from(json_str(json_get(result, "sessionId"), "")))
               : NULL;
}

static void on_attached(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct lease_keep *k = arg;

    k->session = told_session(k->lease, s, result);
    if (k->session == NULL) {
        cut_short(k, e);
        return;
    }
    cdp_session_tap(k->session, on_tap, k);
    cdp_tell(k->session, "Fetch.enable", STR("{\"patterns\":[{\"urlPattern\":\"*\"}]}"));
    k->here = json_first(k->origins);
    visit_next(k);
}

static void on_browser(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct lease_keep *k = arg;

    k->browser = told_session(k->lease, s, result);
    if (k->browser == NULL)
        cut_short(k, e);
    else
        cdp_callf(k->browser, "Target.attachToTarget", k->deadline_ms, on_attached, k,
                  "{\"targetId\":\"%s\",\"flatten\":true}", k->target);
}

static void on_opened(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct lease_keep *k = arg;
    struct lease *l = k->lease;

    k->opening = false;
    snprintf(k->target, sizeof k->target, "%s", json_str(json_get(result, "targetId"), ""));
    if (s != STATUS_OK || root(l) == NULL)
        cut_short(k, e);
    else
        cdp_call(root(l), "Target.attachToBrowserTarget", STR_NONE, k->deadline_ms, on_browser, k);
}

static void tour(struct lease_keep *k)
{
    struct lease *l = k->lease;

    if (json_len(k->origins) == 0 || root(l) == NULL) {
        over(k);
        return;
    }
    k->opening = true;
    cdp_callf(root(l), "Target.createTarget", k->deadline_ms, on_opened, k,
              "{\"url\":\"about:blank\",\"browserContextId\":\"%s\"}", context_id(l->own.ctx));
}

static struct lease_keep *tour_new(struct lease *l, bool reads, void (*done)(struct lease *l))
{
    struct lease_keep *k = xcalloc(1, sizeof *k);

    k->lease = l;
    k->reads = reads;
    k->done = done;
    k->deadline_ms = loop_now_ms(l->gateway->deps.loop) + KEEP_MS;
    k->origins = json_new_array();
    l->keep = k;
    l->n_making++;
    return k;
}

/* --- in --- */

void keep_restore(struct lease *l, void (*done)(struct lease *l))
{
    struct json *state = NULL;
    struct lease_keep *k;
    size_t n = 0;

    if (l->member->keep != NULL && pool_is_new(l->pool_lease))
        state = keep_state(l->member);
    if (json_len(json_get(state, "origins")) == 0) {
        json_destroy(&state);
        done(l);
        return;
    }
    k = tour_new(l, false, done);
    for (const struct json *o = json_first(json_get(state, "origins"));
         o != NULL && n < KEEP_ORIGINS_MAX; o = json_next(o)) {
        if (strncmp(json_str(json_get(o, "origin"), ""), "http", 4) != 0 ||
            json_len(json_get(o, "localStorage")) == 0)
            continue;
        json_push(k->origins, json_dup(o));
        n++;
    }
    json_destroy(&state);
    tour(k);
}

/* --- out --- */

static void on_cookies(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct lease_keep *k = arg;

    if (s != STATUS_OK) {
        keep_lost(k->lease->member, e);
        on_saved(k->lease);
        return;
    }
    k->cookies = state_cookies(result);
    tour(k);
}

void keep_store(struct lease *l, void (*done)(struct lease *l))
{
    struct lease_keep *k;
    struct err e = ERR_INIT;

    keep_lose(l); /* it ends before it began */
    if (l->member->keep == NULL || !l->own.begun || l->keep != NULL) {
        done(l);
        return;
    }
    if (root(l) == NULL) {
        err_set(&e, STATUS_BROWSER_GONE, "the browser ended before its cookies could be read");
        keep_lost(l->member, &e);
        done(l);
        return;
    }
    k = tour_new(l, true, done);
    k->found = json_new_array();
    for (const struct json *o = json_first(l->seen); o != NULL; o = json_next(o))
        json_push(k->origins, json_add_str(json_new_object(), "origin", json_key(o)));
    cdp_callf(root(l), "Storage.getCookies", k->deadline_ms, on_cookies, k,
              "{\"browserContextId\":\"%s\"}", context_id(l->own.ctx));
}

/* --- life --- */

/* The calls under way are answered by the connection's end. */
void keep_lose(struct lease *l)
{
    if (l->keep == NULL)
        return;
    cdp_session_destroy(&l->keep->session, STATUS_BROWSER_GONE, "the browser ended");
    cdp_session_destroy(&l->keep->browser, STATUS_BROWSER_GONE, "the browser ended");
}

void keep_deinit(struct lease *l)
{
    BUG_ON(l->keep != NULL);
    json_destroy(&l->seen);
}
