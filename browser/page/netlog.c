#include "browser/page/netlog.h"

#include <stdio.h>
#include <stdlib.h>

#include "browser/page/har.h"
#include "browser/page/page_internal.h"
#include "browser/page/session.h"

enum {
    POST_BYTES = 64 * 1024,          /* as much as a page posts is told of */
    SEEN_MAX = 1000,                 /* responses that are remembered for their bodies */
    BUFFER_BYTES = 64 * 1024 * 1024, /* that the browser keeps of a page's bodies */
};

struct netlog {
    struct context *ctx; /* NULL: it is over, and only answers are waited for */
    unsigned refs;
    struct traffic *har;  /* NULL: none is recorded */
    struct traffic *seen; /* NULL: nobody wants bodies */
    struct har_want want;
    size_t body_bytes; /* of the har's */
    size_t n_fetching;
};

static void netlog_unref(struct netlog *n)
{
    if (--n->refs > 0)
        return;
    traffic_destroy(&n->har);
    traffic_destroy(&n->seen);
    free(n);
}

/* --- bodies of a HAR: asked for as soon as they are whole --- */

struct fetch {
    struct netlog *log;
    const struct traffic *har; /* that it was asked for */
    uint64_t number;
};

static void fetched(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct fetch *f = arg;
    struct netlog *n = f->log;
    struct traffic_entry *entry =
        n->har != NULL && n->har == f->har ? traffic_find(n->har, f->number) : NULL;
    const char *text = json_str(json_get(result, "body"), NULL);

    (void)e;
    if (n->har == f->har)
        n->n_fetching--;
    if (entry != NULL && (s != STATUS_OK || text == NULL)) {
        entry->body_note = "left out: the browser did not keep it";
    } else if (entry != NULL && n->body_bytes + strlen(text) > HAR_BODIES_BYTES_MAX) {
        entry->body_note = "cut: left out, the bodies of this recording are too many";
    } else if (entry != NULL) {
        entry->body = xstrdup(text);
        entry->body_len = strlen(text);
        entry->body_base64 = json_bool(json_get(result, "base64Encoded"), false);
        entry->body_note = NULL;
        n->body_bytes += entry->body_len;
    }
    netlog_unref(n);
    free(f);
}

static void fetch_body(struct netlog *n, struct cdp_session *s, struct traffic_entry *e)
{
    uint32_t most = n->want.body_bytes > 0 ? n->want.body_bytes : HAR_BODY_BYTES;
    struct fetch *f;

    if (n->want.content == HAR_OMIT || e->state != TRAFFIC_OVER || e->redirect_url != NULL ||
        e->body_bytes == 0)
        return;
    if (e->body_bytes > most || n->body_bytes >= HAR_BODIES_BYTES_MAX) {
        e->body_note = e->body_bytes > most
                           ? "cut: left out, it is longer than the recording's body_bytes"
                           : "cut: left out, the bodies of this recording are too many";
        return;
    }
    f = xcalloc(1, sizeof *f);
    f->log = n;
    f->har = n->har;
    f->number = e->number;
    n->refs++;
    n->n_fetching++;
    e->body_note = "left out: the browser had not given it when the recording ended";
    cdp_callf(s, "Network.getResponseBody", 0, fetched, f, "{\"requestId\":\"%s\"}", e->id);
}

/* --- events --- */

static void tell_waiting(struct context *c);

static struct traffic_place place_of(const struct frame_realm *r, const struct cdp_session *s)
{
    const struct page *p = r->page;

    return (struct traffic_place){
        .tab = p->number,
        .main_frame = p->main != NULL ? p->main->id : "",
        .url = page_url(p),
        .session = cdp_session_id(s),
        .wall_s = (double)loop_wall_ms(p->targets->loop) / 1000,
    };
}

static void take(struct frame_realm *r, struct cdp_session *s, enum traffic_kind kind,
                 const struct json *params)
{
    struct netlog *n = r->page->ctx != NULL ? r->page->ctx->net : NULL;
    struct traffic_place at = place_of(r, s);
    struct traffic_entry *e;

    if (n == NULL)
        return;
    e = n->har != NULL ? traffic_take(n->har, &at, kind, params) : NULL;
    if (e != NULL)
        fetch_body(n, s, e);
    e = n->seen != NULL ? traffic_take(n->seen, &at, kind, params) : NULL;
    if (e != NULL)
        tell_waiting(n->ctx);
}

static void loaded(struct frame_realm *r, bool load, const struct json *params)
{
    struct netlog *n = r->page->ctx != NULL ? r->page->ctx->net : NULL;

    if (n != NULL && n->har != NULL && r == &r->page->main_realm && r->page->main != NULL)
        traffic_loaded(n->har, r->page->main->loader, load,
                       json_num(json_get(params, "timestamp"), 0));
}

#define TAKER(fn, kind)                                                                            \
    static void fn(void *arg, struct cdp_session *s, const struct json *params)                    \
    {                                                                                              \
        take(arg, s, kind, params);                                                                \
    }
TAKER(on_request, TRAFFIC_REQUEST)
TAKER(on_request_extra, TRAFFIC_REQUEST_EXTRA)
TAKER(on_response, TRAFFIC_RESPONSE)
TAKER(on_response_extra, TRAFFIC_RESPONSE_EXTRA)
TAKER(on_cached, TRAFFIC_CACHED)
TAKER(on_data, TRAFFIC_DATA)
TAKER(on_finished, TRAFFIC_FINISHED)
TAKER(on_failed, TRAFFIC_FAILED_LOAD)
TAKER(on_socket, TRAFFIC_SOCKET)
TAKER(on_socket_sent, TRAFFIC_SOCKET_SENT)
TAKER(on_socket_answer, TRAFFIC_SOCKET_ANSWER)
TAKER(on_socket_error, TRAFFIC_SOCKET_ERROR)
TAKER(on_socket_closed, TRAFFIC_SOCKET_CLOSED)

static void on_dcl(void *arg, struct cdp_session *s, const struct json *params)
{
    (void)s;
    loaded(arg, false, params);
}

static void on_load(void *arg, struct cdp_session *s, const struct json *params)
{
    (void)s;
    loaded(arg, true, params);
}

static const struct cdp_handler handlers[] = {
    {"Network.requestWillBeSent", on_request},
    {"Network.requestWillBeSentExtraInfo", on_request_extra},
    {"Network.responseReceived", on_response},
    {"Network.responseReceivedExtraInfo", on_response_extra},
    {"Network.requestServedFromCache", on_cached},
    {"Network.dataReceived", on_data},
    {"Network.loadingFinished", on_finished},
    {"Network.loadingFailed", on_failed},
    {"Network.webSocketCreated", on_socket},
    {"Network.webSocketWillSendHandshakeRequest", on_socket_sent},
    {"Network.webSocketHandshakeResponseReceived", on_socket_answer},
    {"Network.webSocketFrameError", on_socket_error},
    {"Network.webSocketClosed", on_socket_closed},
    {"Page.domContentEventFired", on_dcl},
    {"Page.loadEventFired", on_load},
};

/* --- on and off --- */

/* Durable: what the browser keeps outlives the document, also one whose process is gone (156). */
static void turn_on(const struct netlog *n, struct cdp_session *s)
{
    bool bodies = n->seen != NULL || (n->har != NULL && n->want.content != HAR_OMIT);

    cdp_callf(s, "Network.enable", 0, NULL, NULL,
              "{\"maxPostDataSize\":%d,\"maxTotalBufferSize\":%d,\"maxResourceBufferSize\":%d,"
              "\"enableDurableMessages\":%s}",
              POST_BYTES, bodies ? BUFFER_BYTES : 1, bodies ? BODY_BYTES_MAX : 1,
              bodies ? "true" : "false");
    if (bodies)
        cdp_callf(s, "Network.configureDurableMessages", 0, NULL, NULL,
                  "{\"maxTotalBufferSize\":%d,\"maxResourceBufferSize\":%d}", BUFFER_BYTES,
                  BODY_BYTES_MAX);
}

void netlog_realm(struct frame_realm *r)
{
    const struct netlog *n = r->page->ctx != NULL ? r->page->ctx->net : NULL;

    if (n == NULL || r->session == NULL)
        return;
    if (!r->listens) {
        cdp_listen(r->session, &r->network, handlers, ARRAY_LEN(handlers), r);
        r->listens = true;
    }
    turn_on(n, r->session);
}

static void turn_off(struct frame_realm *r)
{
    if (!r->listens)
        return;
    r->listens = false;
    cdp_unlisten(&r->network);
    if (r->session != NULL && !(r == &r->page->main_realm && r->page->has_conditions))
        cdp_tell(r->session, "Network.disable", STR_NONE);
}

static void for_each_realm(struct context *c, void (*fn)(struct frame_realm *r))
{
    list_for_each (lp, &c->pages) {
        struct page *p = list_entry(lp, struct page, link);

        fn(&p->main_realm);
        list_for_each (l, &p->realms)
            fn(list_entry(l, struct frame_realm, link));
    }
}

static struct netlog *netlog_of(struct context *c)
{
    if (c->net == NULL) {
        c->net = xcalloc(1, sizeof *c->net);
        c->net->ctx = c;
        c->net->refs = 1;
    }
    return c->net;
}

void netlog_end(struct context *c)
{
    struct netlog *n = c->net;

    if (n == NULL)
        return;
    for_each_realm(c, turn_off);
    c->net = NULL;
    n->ctx = NULL;
    netlog_unref(n);
}

bool netlog_is_on(const struct context *c)
{
    return c != NULL && c->net != NULL;
}

/* --- HAR --- */

/* The browser says once what it is. */
static void on_version(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct targets *t = arg;
    const char *product = json_str(json_get(result, "product"), "");
    const char *slash = strchr(product, '/');

    (void)s;
    (void)e;
    if (slash != NULL)
        (void)snprintf(t->version, sizeof t->version, "%s", slash + 1);
    t->n_refs--;
    targets_settle(t);
}

enum status page_har_begin(struct page *p, const struct har_want *w, struct err *e)
{
    const struct traffic_opts opts = {.headers = true, .secrets = w->secrets};
    struct netlog *n;

    if (p->ctx == NULL)
        return err_set(e, STATUS_CLOSED, "the page was closed");
    n = netlog_of(p->ctx);
    if (n->har != NULL)
        return err_set(e, STATUS_INVALID, "a HAR is being recorded already: one at a time");
    n->har = traffic_create(&opts);
    n->want = *w;
    n->body_bytes = n->n_fetching = 0;
    if (p->targets->version[0] == '\0' && cdp_conn_is_open(p->targets->conn)) {
        p->targets->n_refs++;
        cdp_call(cdp_conn_root(p->targets->conn), "Browser.getVersion", STR_NONE, 0, on_version,
                 p->targets);
    }
    for_each_realm(p->ctx, netlog_realm);
    return STATUS_OK;
}

bool page_har_runs(const struct page *p)
{
    return p->ctx != NULL && p->ctx->net != NULL && p->ctx->net->har != NULL;
}

size_t page_har_fetching(const struct page *p)
{
    return page_har_runs(p) ? p->ctx->net->n_fetching : 0;
}

enum status page_har_end(struct page *p, struct buf *out, struct har_sums *sums, struct err *e)
{
    struct har_about about = {.browser = "Chromium"};
    struct netlog *n;

    if (!page_har_runs(p))
        return err_set(e, STATUS_INVALID, "no HAR is being recorded: it is begun first");
    n = p->ctx->net;
    about.browser_version = p->targets->version;
    about.proxied = p->targets->opts.door != NULL ||
                    (p->ctx->member != NULL && p->ctx->member->forward_port != 0);
    about.comment = n->want.secrets
                        ? NULL
                        : "sanitized: values of Authorization, Cookie and Set-Cookie are left out";
    har_print(n->har, &about, out);
    *sums = (struct har_sums){n->har->n_entries, n->har->n_pages, n->har->n_left_out};
    traffic_destroy(&n->har);
    n->n_fetching = 0;
    if (n->seen == NULL)
        netlog_end(p->ctx);
    if (buf_status(out) != STATUS_OK)
        return err_set(e, buf_status(out), "the HAR of %zu requests is too large", sums->entries);
    return STATUS_OK;
}

/* --- one body --- */

struct body_task {
    struct task base;
    struct body_want want;
    uint64_t number; /* of the entry that the browser was asked for */
    struct loop_timer give_up;
    page_body_fn *fn;
    void *arg;
};

static struct body_task *body_of(struct task *t)
{
    return container_of(t, struct body_task, base);
}

static bool matches(const struct body_want *w, const struct traffic_entry *e)
{
    struct str rest = str_from(e->url), url = str_cut(&rest, '#');

    return e->redirect_url == NULL && str_glob_nocase(str_from(w->url), url) &&
           (w->method == NULL || str_eq_nocase(str_from(w->method), str_from(e->method)));
}

/* The response that is wanted, NULL when it is not there; *under_way: requests that match and may
 * bring another. */
static struct traffic_entry *choose(const struct traffic *t, const struct body_want *w,
                                    bool *under_way)
{
    int64_t at = 0;

    *under_way = false;
    list_for_each (l, &t->entries) {
        struct traffic_entry *e = list_entry(l, struct traffic_entry, link);

        *under_way = *under_way || (e->state < TRAFFIC_OVER && matches(w, e));
        if (w->nth > 0 && e->state == TRAFFIC_OVER && matches(w, e) && ++at == w->nth)
            return e;
    }
    for (struct list *l = t->entries.prev; l != &t->entries && w->nth < 0; l = l->prev) {
        struct traffic_entry *e = list_entry(l, struct traffic_entry, link);

        if (e->state == TRAFFIC_OVER && matches(w, e) && --at == w->nth)
            return e;
    }
    return NULL;
}

static void body_answered(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct body_task *b = arg;
    struct task *t = &b->base;
    struct netlog *n = t->page->ctx != NULL ? t->page->ctx->net : NULL;
    const struct traffic_entry *entry =
        n != NULL && n->seen != NULL ? traffic_find(n->seen, b->number) : NULL;
    const char *text = json_str(json_get(result, "body"), "");
    struct buf bytes = BUF_INIT(BUF_MAX_MESSAGE);
    struct page_body body = {.is_text = !json_bool(json_get(result, "base64Encoded"), false)};
    struct err mine = *e;

    t->call = 0;
    list_remove(&t->link);
    body.bytes = str_from(text);
    if (s == STATUS_OK && !body.is_text) {
        if (buf_add_unbase64(&bytes, body.bytes) != STATUS_OK)
            s = err_set(&mine, STATUS_PROTOCOL, "the body is no base64");
        body.bytes = buf_str(&bytes);
    }
    if (s == STATUS_PROTOCOL && entry != NULL && !body.bytes.len)
        s = err_set(&mine, STATUS_NOT_FOUND,
                    "%.200s answered %d, but the browser has not kept its body (it keeps %d MiB, "
                    "and none longer than %d MiB): %.120s",
                    entry->url, entry->status, BUFFER_BYTES >> 20, BODY_BYTES_MAX >> 20, e->text);
    if (s == STATUS_OK && body.bytes.len > b->want.max_bytes)
        s = err_set(&mine, STATUS_TOO_LARGE, "%.200s: the body has %zu bytes, more than %u",
                    entry != NULL ? entry->url : b->want.url, body.bytes.len, b->want.max_bytes);
    if (entry != NULL) {
        body.url = entry->url;
        body.method = entry->method;
        body.mime = entry->mime;
        body.status = entry->status;
    }
    b->fn(b->arg, s, s == STATUS_OK ? &body : NULL, &mine);
    buf_deinit(&bytes);
    task_end(&t);
}

/* What can be told of a response in few words, most telling first. */
static void say_entry(struct buf *out, const struct traffic_entry *e)
{
    buf_addf(out, "%s%s %.90s ", out->len > 0 ? ", " : "", e->method, e->url);
    if (e->state == TRAFFIC_FAILED)
        buf_addf(out, "(%s)", e->failure);
    else if (e->state == TRAFFIC_SENT)
        buf_adds(out, "(no answer yet)");
    else
        buf_addf(out, "(%d %.40s)", e->status, e->mime != NULL ? e->mime : "");
}

static bool is_telling(const struct traffic_entry *e)
{
    static const char *const types[] = {"XHR", "Fetch", "Document", "EventSource"};

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(e->type, types[i]) == 0)
            return true;
    return false;
}

static void none_came(const struct traffic *seen, const struct body_want *w, struct err *e)
{
    enum { SHOWN = 4 };
    struct buf text = BUF_INIT(BUF_MAX_LINE);
    size_t shown = 0;

    for (int round = 0; round < 3 && seen != NULL; round++)
        for (struct list *l = seen->entries.prev; l != &seen->entries && shown < SHOWN;
             l = l->prev) {
            const struct traffic_entry *x = list_entry(l, struct traffic_entry, link);
            int rank = matches(w, x) ? 0 : is_telling(x) ? 1 : 2;

            if (rank != round)
                continue;
            say_entry(&text, x);
            shown++;
        }
    err_set(e, STATUS_TIMEOUT, "no response of \"%.120s\" came; %zu requests were seen%s%.300s",
            w->url, seen != NULL ? seen->n_entries : 0, shown > 0 ? ", the last of them: " : "",
            text.len > 0 ? text.ptr : "");
    buf_deinit(&text);
}

static void ask(struct body_task *b, struct traffic_entry *e)
{
    struct task *t = &b->base;
    struct cdp_session *s = cdp_session_find(t->page->targets->conn, str_from(e->session));
    struct buf params = BUF_INIT(BUF_MAX_LINE);

    loop_timer_stop(&b->give_up);
    if (e->body_bytes > b->want.max_bytes) {
        char why[400];

        (void)snprintf(why, sizeof why, "%.200s: the body has %lld bytes, more than %u", e->url,
                       (long long)e->body_bytes, b->want.max_bytes);
        task_doom(t, STATUS_TOO_LARGE, why);
        return;
    }
    b->number = e->number;
    buf_adds(&params, "{\"requestId\":");
    json_print_str(str_from(e->id), &params);
    buf_addc(&params, '}');
    task_call(t, s != NULL ? s : t->page->main_realm.session, "Network.getResponseBody",
              buf_str(&params), body_answered);
    buf_deinit(&params);
}

/* True when there is nothing more to wait for. */
static bool look(struct body_task *b, bool patient)
{
    struct netlog *n = b->base.page->ctx != NULL ? b->base.page->ctx->net : NULL;
    bool under_way;
    struct traffic_entry *e =
        n != NULL && n->seen != NULL ? choose(n->seen, &b->want, &under_way) : NULL;

    if (e == NULL || (patient && under_way && b->want.nth < 0))
        return false;
    ask(b, e);
    return true;
}

static void on_give_up(struct loop_timer *timer)
{
    struct body_task *b = container_of(timer, struct body_task, give_up);
    struct netlog *n = b->base.page->ctx != NULL ? b->base.page->ctx->net : NULL;
    struct err e = ERR_INIT;

    if (b->base.doom.status != STATUS_OK || look(b, false))
        return;
    none_came(n != NULL ? n->seen : NULL, &b->want, &e);
    task_fail(&b->base, STATUS_TIMEOUT, &e);
}

static void body_begin(struct task *t)
{
    struct body_task *b = body_of(t);
    struct loop *l = t->page->targets->loop;
    uint64_t now = loop_now_ms(l);

    page_listen_responses(t->page);
    if (look(b, true))
        return;
    loop_timer_start(l, &b->give_up, b->want.give_up_ms > now ? b->want.give_up_ms - now : 0,
                     on_give_up);
}

static void body_fail(struct task *t, enum status s, const struct err *e)
{
    body_of(t)->fn(body_of(t)->arg, s, NULL, e);
}

static void body_free(struct task *t)
{
    loop_timer_stop(&body_of(t)->give_up);
}

static const struct task_kind body_kind = {sizeof(struct body_task), body_begin, body_fail,
                                           body_free};

static void tell_waiting(struct context *c)
{
    list_for_each (lp, &c->pages) {
        struct page *p = list_entry(lp, struct page, link);

        list_for_each_safe (l, &p->tasks) {
            struct task *t = list_entry(l, struct task, link);

            if (t->kind == &body_kind && t->begun && t->call == 0)
                (void)look(body_of(t), true);
        }
    }
}

void page_listen_responses(struct page *p)
{
    const struct traffic_opts opts = {.ring = true, .entries_max = SEEN_MAX};
    struct netlog *n;

    if (p->ctx == NULL || (p->ctx->net != NULL && p->ctx->net->seen != NULL))
        return;
    n = netlog_of(p->ctx);
    n->seen = traffic_create(&opts);
    for_each_realm(p->ctx, netlog_realm);
}

uint64_t page_response_body(struct page *p, const struct body_want *want, page_body_fn *fn,
                            void *arg)
{
    struct task *t = task_create(p, &body_kind, want->deadline_ms);
    struct body_task *b = body_of(t);
    uint64_t id = t->id;

    b->want = *want;
    b->fn = fn;
    b->arg = arg;
    task_start(t, NULL);
    return id;
}
