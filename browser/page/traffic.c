#include "browser/page/traffic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "browser/page/har_text.h"

enum { CHAINS_MAX = 2 * TRAFFIC_ENTRIES_MAX, EXTRAS_MAX = 32, PAGES_MAX = 500 };

const char *const traffic_methods[] = {
    [TRAFFIC_REQUEST] = "Network.requestWillBeSent",
    [TRAFFIC_REQUEST_EXTRA] = "Network.requestWillBeSentExtraInfo",
    [TRAFFIC_RESPONSE] = "Network.responseReceived",
    [TRAFFIC_RESPONSE_EXTRA] = "Network.responseReceivedExtraInfo",
    [TRAFFIC_CACHED] = "Network.requestServedFromCache",
    [TRAFFIC_DATA] = "Network.dataReceived",
    [TRAFFIC_FINISHED] = "Network.loadingFinished",
    [TRAFFIC_FAILED_LOAD] = "Network.loadingFailed",
    [TRAFFIC_SOCKET] = "Network.webSocketCreated",
    [TRAFFIC_SOCKET_SENT] = "Network.webSocketWillSendHandshakeRequest",
    [TRAFFIC_SOCKET_ANSWER] = "Network.webSocketHandshakeResponseReceived",
    [TRAFFIC_SOCKET_ERROR] = "Network.webSocketFrameError",
    [TRAFFIC_SOCKET_CLOSED] = "Network.webSocketClosed",
};
_Static_assert(ARRAY_LEN(traffic_methods) == TRAFFIC_KIND_COUNT, "an event without its name");

/* What an ExtraInfo told before its hop was there. */
struct extra {
    struct list link;
    bool response;
    char *headers_json, *cookies_json;
    int64_t bytes;
    int status;
};

struct traffic_chain {
    struct list entries, extras;
    size_t n_extras;
};

/* --- life --- */

static void extra_free(struct extra *x)
{
    list_remove(&x->link);
    free(x->headers_json);
    free(x->cookies_json);
    free(x);
}

static void chain_free(void *value)
{
    struct traffic_chain *c = value;

    while (!list_empty(&c->extras))
        extra_free(list_entry(c->extras.next, struct extra, link));
    free(c);
}

static void drop(struct traffic *t, char **field)
{
    t->bytes -= *field != NULL ? strlen(*field) : 0;
    free(steal_ptr(field));
}

static void entry_free(struct traffic *t, struct traffic_entry *e)
{
    char **const texts[] = {&e->url,
                            &e->method,
                            &e->status_text,
                            &e->mime,
                            &e->redirect_url,
                            &e->request_headers_json,
                            &e->request_cookies_json,
                            &e->post_json,
                            &e->response_headers_json,
                            &e->response_cookies_json};

    list_remove(&e->link);
    list_remove(&e->chain);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        drop(t, texts[i]);
    free(e->body);
    free(e);
    t->n_entries--;
}

struct traffic *traffic_create(const struct traffic_opts *opts)
{
    struct traffic *t = xcalloc(1, sizeof *t);

    t->opts = *opts;
    if (t->opts.entries_max == 0)
        t->opts.entries_max = TRAFFIC_ENTRIES_MAX;
    list_init(&t->entries);
    t->chains = map_create();
    return t;
}

void traffic_destroy(struct traffic **tp)
{
    struct traffic *t = *tp;

    if (t == NULL)
        return;
    *tp = NULL;
    while (!list_empty(&t->entries))
        entry_free(t, list_entry(t->entries.next, struct traffic_entry, link));
    map_destroy(&t->chains, chain_free);
    for (size_t i = 0; i < t->n_pages; i++)
        free(t->pages[i].url);
    free(t->pages);
    free(t);
}

struct traffic_entry *traffic_find(struct traffic *t, uint64_t number)
{
    list_for_each (l, &t->entries) {
        struct traffic_entry *e = list_entry(l, struct traffic_entry, link);

        if (e->number == number)
            return e;
    }
    return NULL;
}

/* --- texts, as long as there is room --- */

static char *keep(struct traffic *t, struct str s)
{
    char *z;

    if (s.ptr == NULL)
        return NULL;
    if (t->opts.ring && s.len > TRAFFIC_URL_MAX) /* nothing is counted there: they go by and by */
        s = str_head(s, TRAFFIC_URL_MAX);
    if (!t->opts.ring && (s.len > TRAFFIC_BYTES_MAX || t->bytes > TRAFFIC_BYTES_MAX - s.len)) {
        t->n_texts_cut++;
        return NULL;
    }
    t->bytes += s.len;
    z = xcalloc(1, s.len + 1);
    memcpy(z, s.ptr, s.len);
    return z;
}

/* Takes the buffer's text and ends it. */
static char *keep_buf(struct traffic *t, struct buf *b)
{
    char *z = b->len > 0 && buf_status(b) == STATUS_OK ? keep(t, buf_str(b)) : NULL;

    if (buf_status(b) != STATUS_OK)
        t->n_texts_cut++;
    buf_deinit(b);
    return z;
}

static void set(struct traffic *t, char **field, const char *z)
{
    drop(t, field);
    *field = z != NULL ? keep(t, str_from(z)) : NULL;
}

static double positive(const struct json *j)
{
    double v = json_num(j, 0);

    return isfinite(v) && v > 0 && v < 1e12 ? v : 0;
}

static int64_t count(const struct json *j, int64_t otherwise)
{
    double v = json_num(j, -1);

    return v >= 0 && v < 1e15 ? (int64_t)v : otherwise;
}

/* --- chains --- */

static struct traffic_chain *chain_of(struct traffic *t, const char *id, bool make)
{
    struct traffic_chain *c = map_find(t->chains, str_from(id));

    if (c != NULL || !make || id[0] == '\0' || strlen(id) >= TRAFFIC_ID_MAX ||
        map_len(t->chains) >= CHAINS_MAX)
        return c;
    c = xcalloc(1, sizeof *c);
    list_init(&c->entries);
    list_init(&c->extras);
    (void)map_put(t->chains, str_from(id), c);
    return c;
}

static struct traffic_entry *last_of(const struct traffic_chain *c)
{
    return c == NULL || list_empty(&c->entries)
               ? NULL
               : list_entry(c->entries.prev, struct traffic_entry, chain);
}

static struct traffic_entry *entry_of(struct traffic *t, const struct json *params)
{
    return last_of(chain_of(t, json_str(json_get(params, "requestId"), ""), false));
}

/* The oldest that is over goes, unless it is of the chain that the room is for. */
static void make_room(struct traffic *t, const struct traffic_chain *but)
{
    list_for_each (l, &t->entries) {
        struct traffic_entry *e = list_entry(l, struct traffic_entry, link);
        struct traffic_chain *c = map_find(t->chains, str_from(e->id));

        if (e->state < TRAFFIC_OVER || c == but || c == NULL)
            continue;
        if (c->entries.next == c->entries.prev) /* it is the only one */
            (void)map_remove(t->chains, str_from(e->id));
        else
            c = NULL;
        entry_free(t, e);
        if (c != NULL)
            chain_free(c);
        return;
    }
}

static struct traffic_entry *entry_new(struct traffic *t, struct traffic_chain *c, const char *id)
{
    struct traffic_entry *e;

    if (t->opts.ring && t->n_entries >= t->opts.entries_max)
        make_room(t, c);
    if (t->n_entries >= t->opts.entries_max) {
        t->n_left_out++;
        return NULL;
    }
    e = xcalloc(1, sizeof *e);
    e->number = ++t->next_number;
    (void)snprintf(e->id, sizeof e->id, "%s", id);
    e->request_headers_bytes = e->response_headers_bytes = e->post_bytes = e->received_bytes = -1;
    for (size_t i = 0; i < MARK_COUNT; i++)
        e->marks[i] = -1;
    list_push(&t->entries, &e->link);
    list_push(&c->entries, &e->chain);
    t->n_entries++;
    return e;
}

/* --- headers as they were on the wire --- */

static void give_extra(struct traffic *t, struct traffic_entry *e, struct extra *x)
{
    char **headers = x->response ? &e->response_headers_json : &e->request_headers_json;
    char **cookies = x->response ? &e->response_cookies_json : &e->request_cookies_json;

    if (x->headers_json != NULL) {
        drop(t, headers);
        *headers = steal_ptr(&x->headers_json);
    }
    if (x->cookies_json != NULL) {
        drop(t, cookies);
        *cookies = steal_ptr(&x->cookies_json);
    }
    if (x->response) {
        e->response_extra = true;
        e->response_headers_bytes = x->bytes;
        e->wire_status = x->status;
    } else {
        e->request_extra = true;
        e->request_headers_bytes = x->bytes;
    }
    extra_free(x);
}

/* The first that is waited for, to the first hop that has none yet. */
static void match_extras(struct traffic *t, struct traffic_chain *c, bool response)
{
    list_for_each_safe (lx, &c->extras) {
        struct extra *x = list_entry(lx, struct extra, link);
        struct traffic_entry *to = NULL;

        if (x->response != response)
            continue;
        list_for_each (le, &c->entries) {
            struct traffic_entry *e = list_entry(le, struct traffic_entry, chain);

            if (to == NULL && !e->no_extra && !(response ? e->response_extra : e->request_extra))
                to = e;
        }
        if (to == NULL)
            return;
        c->n_extras--;
        give_extra(t, to, x);
    }
}

static void take_extra(struct traffic *t, const struct json *params, bool response)
{
    struct traffic_chain *c = chain_of(t, json_str(json_get(params, "requestId"), ""), true);
    const struct json *headers = json_get(params, "headers");
    struct buf text = BUF_INIT(TRAFFIC_BYTES_MAX), cookies = BUF_INIT(TRAFFIC_BYTES_MAX);
    struct extra *x;

    if (c == NULL || c->n_extras >= EXTRAS_MAX)
        return;
    x = xcalloc(1, sizeof *x);
    x->response = response;
    x->bytes = (int64_t)har_add_headers(&text, headers, t->opts.secrets);
    x->headers_json = keep_buf(t, &text);
    if (response) {
        const char *raw = json_str(json_get(params, "headersText"), NULL);

        x->bytes = raw != NULL ? (int64_t)strlen(raw) : -1;
        x->status = (int)count(json_get(params, "statusCode"), 0);
        har_add_set_cookies(&cookies, headers, t->opts.secrets);
    } else {
        har_add_sent_cookies(&cookies, json_get(params, "associatedCookies"), t->opts.secrets);
    }
    x->cookies_json = keep_buf(t, &cookies);
    list_push(&c->extras, &x->link);
    c->n_extras++;
    match_extras(t, c, response);
}

/* A hop that came from the cache: what it was given is the next hop's. */
static void has_no_extra(struct traffic *t, struct traffic_entry *e)
{
    struct traffic_chain *c = map_find(t->chains, str_from(e->id));
    struct extra *x;

    e->no_extra = true;
    if (!e->request_extra || c == NULL)
        return;
    x = xcalloc(1, sizeof *x);
    x->headers_json = steal_ptr(&e->request_headers_json);
    x->cookies_json = steal_ptr(&e->request_cookies_json);
    x->bytes = e->request_headers_bytes;
    e->request_headers_bytes = -1;
    e->request_extra = false;
    list_push_front(&c->extras, &x->link);
    c->n_extras++;
}

/* --- pages --- */

static struct traffic_page *page_add(struct traffic *t, const struct traffic_place *at,
                                     const char *loader, const char *url, double wall_s,
                                     double at_s)
{
    struct traffic_page *p;

    if (t->n_pages >= PAGES_MAX)
        return NULL;
    t->pages = xreallocarray(t->pages, t->n_pages + 1, sizeof *t->pages);
    p = &t->pages[t->n_pages++];
    *p = (struct traffic_page){.tab = at->tab, .wall_s = wall_s, .at_s = at_s};
    (void)snprintf(p->loader, sizeof p->loader, "%s", loader);
    p->url = keep(t, str_from(url));
    return p;
}

static uint32_t page_by_loader(const struct traffic *t, const char *loader)
{
    for (size_t i = t->n_pages; i > 0 && loader[0] != '\0'; i--)
        if (strcmp(t->pages[i - 1].loader, loader) == 0)
            return (uint32_t)i;
    return 0;
}

/* The page that a request belongs to: that of its document, else the newest of its tab. */
static uint32_t page_of(struct traffic *t, const struct traffic_place *at,
                        const struct json *params, const struct traffic_entry *e)
{
    const char *loader = json_str(json_get(params, "loaderId"), "");
    bool is_main = strcmp(e->type, "Document") == 0 &&
                   strcmp(json_str(json_get(params, "frameId"), "-"), at->main_frame) == 0;
    uint32_t page = page_by_loader(t, loader);

    if (page == 0 && is_main && page_add(t, at, loader, e->url, e->wall_s, e->at_s) != NULL)
        page = (uint32_t)t->n_pages;
    for (size_t i = t->n_pages; i > 0 && page == 0; i--)
        if (t->pages[i - 1].tab == at->tab)
            page = (uint32_t)i;
    if (page == 0 && page_add(t, at, "", at->url, at->wall_s, 0) != NULL)
        page = (uint32_t)t->n_pages;
    return page;
}

void traffic_loaded(struct traffic *t, const char *loader, bool load, double at_s)
{
    uint32_t page = page_by_loader(t, loader);
    double *mark;

    if (page == 0)
        return;
    mark = load ? &t->pages[page - 1].load_s : &t->pages[page - 1].dcl_s;
    if (*mark == 0 && isfinite(at_s))
        *mark = at_s;
}

/* --- requests and answers --- */

static void take_headers(struct traffic *t, char **field, const struct json *headers)
{
    struct buf text = BUF_INIT(TRAFFIC_BYTES_MAX);

    if (!t->opts.headers || json_type(headers) != JSON_OBJECT)
        return;
    (void)har_add_headers(&text, headers, t->opts.secrets);
    drop(t, field);
    *field = keep_buf(t, &text);
}

static void take_post(struct traffic *t, struct traffic_entry *e, const struct json *request)
{
    struct buf text = BUF_INIT(TRAFFIC_BYTES_MAX);
    const char *post = json_str(json_get(request, "postData"), NULL);

    e->post_bytes = post != NULL                                         ? (int64_t)strlen(post)
                    : json_bool(json_get(request, "hasPostData"), false) ? -1
                                                                         : 0;
    har_add_post(&text, request, har_header(json_get(request, "headers"), "content-type"));
    e->post_json = keep_buf(t, &text);
}

static void take_timing(struct traffic_entry *e, const struct json *timing)
{
    static const char *const names[MARK_COUNT] = {
        [MARK_DNS_START] = "dnsStart",
        [MARK_DNS_END] = "dnsEnd",
        [MARK_CONNECT_START] = "connectStart",
        [MARK_CONNECT_END] = "connectEnd",
        [MARK_SSL_START] = "sslStart",
        [MARK_SSL_END] = "sslEnd",
        [MARK_SEND_START] = "sendStart",
        [MARK_SEND_END] = "sendEnd",
        [MARK_HEADERS_END] = "receiveHeadersEnd",
    };

    e->timing_s = positive(json_get(timing, "requestTime"));
    e->has_timing = e->timing_s > 0;
    for (size_t i = 0; i < MARK_COUNT && e->has_timing; i++) {
        double v = json_num(json_get(timing, names[i]), -1);

        e->marks[i] = isfinite(v) && v >= 0 && v < 1e9 ? v : -1;
    }
}

static void take_answer(struct traffic *t, struct traffic_entry *e, const struct json *r,
                        double at_s)
{
    e->answered_s = at_s;
    e->state = TRAFFIC_ANSWERED;
    e->status = (int)count(json_get(r, "status"), 0);
    set(t, &e->mime, json_str(json_get(r, "mimeType"), ""));
    e->from_disk = json_bool(json_get(r, "fromDiskCache"), false);
    e->from_worker = json_bool(json_get(r, "fromServiceWorker"), false);
    e->head_bytes = count(json_get(r, "encodedDataLength"), 0);
    if (!t->opts.headers)
        return;
    set(t, &e->status_text, json_str(json_get(r, "statusText"), ""));
    (void)snprintf(e->protocol, sizeof e->protocol, "%s", json_str(json_get(r, "protocol"), ""));
    (void)snprintf(e->address, sizeof e->address, "%s",
                   json_str(json_get(r, "remoteIPAddress"), ""));
    e->connection = (uint64_t)count(json_get(r, "connectionId"), 0);
    take_timing(e, json_get(r, "timing"));
    if (!e->response_extra)
        take_headers(t, &e->response_headers_json, json_get(r, "headers"));
    if (!e->request_extra && json_type(json_get(r, "requestHeaders")) == JSON_OBJECT)
        take_headers(t, &e->request_headers_json, json_get(r, "requestHeaders"));
}

static bool is_of_network(const char *url)
{
    static const char *const schemes[] = {"http://", "https://", "ws://", "wss://"};

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (str_starts_nocase(str_from(url), str_from(schemes[i])))
            return true;
    return false;
}

static void redirected(struct traffic *t, struct traffic_entry *e, const struct json *params,
                       const char *to)
{
    double at_s = positive(json_get(params, "timestamp"));

    take_answer(t, e, json_get(params, "redirectResponse"), at_s);
    if (!json_bool(json_get(params, "redirectHasExtraInfo"), true))
        has_no_extra(t, e);
    set(t, &e->redirect_url, to);
    e->end_s = at_s;
    e->received_bytes = e->head_bytes;
    e->state = TRAFFIC_OVER;
}

static struct traffic_entry *on_request(struct traffic *t, const struct traffic_place *at,
                                        const struct json *params)
{
    const char *id = json_str(json_get(params, "requestId"), "");
    const struct json *request = json_get(params, "request");
    const char *url = json_str(json_get(request, "url"), "");
    struct traffic_chain *c;
    struct traffic_entry *e, *before;

    if (!is_of_network(url) || (c = chain_of(t, id, true)) == NULL)
        return NULL;
    before = last_of(c);
    if (before != NULL && json_get(params, "redirectResponse") == NULL)
        return NULL; /* told by two sessions: of a frame that changes its process, of a worker */
    if (before != NULL && before->state < TRAFFIC_OVER)
        redirected(t, before, params, url);
    e = entry_new(t, c, id);
    if (e == NULL)
        return before;
    (void)snprintf(e->session, sizeof e->session, "%s", at->session);
    (void)snprintf(e->type, sizeof e->type, "%s", json_str(json_get(params, "type"), "Other"));
    set(t, &e->url, url);
    set(t, &e->method, json_str(json_get(request, "method"), "GET"));
    if (e->url == NULL || e->method == NULL) {
        entry_free(t, e);
        t->n_left_out++;
        return before;
    }
    e->wall_s = positive(json_get(params, "wallTime"));
    e->at_s = positive(json_get(params, "timestamp"));
    if (t->opts.headers) {
        take_headers(t, &e->request_headers_json, json_get(request, "headers"));
        take_post(t, e, request);
        e->page = page_of(t, at, params, e);
        match_extras(t, c, false);
        match_extras(t, c, true);
    }
    return before;
}

static struct traffic_entry *on_request_extra(struct traffic *t, const struct traffic_place *at,
                                              const struct json *params)
{
    (void)at;
    if (t->opts.headers)
        take_extra(t, params, false);
    return NULL;
}

static struct traffic_entry *on_response_extra(struct traffic *t, const struct traffic_place *at,
                                               const struct json *params)
{
    (void)at;
    if (t->opts.headers)
        take_extra(t, params, true);
    return NULL;
}

static struct traffic_entry *on_response(struct traffic *t, const struct traffic_place *at,
                                         const struct json *params)
{
    struct traffic_entry *e = entry_of(t, params);

    if (e == NULL || e->state >= TRAFFIC_OVER)
        return NULL;
    (void)snprintf(e->session, sizeof e->session, "%s", at->session);
    if (json_str(json_get(params, "type"), NULL) != NULL)
        (void)snprintf(e->type, sizeof e->type, "%s", json_str(json_get(params, "type"), ""));
    take_answer(t, e, json_get(params, "response"), positive(json_get(params, "timestamp")));
    if (!json_bool(json_get(params, "hasExtraInfo"), true))
        has_no_extra(t, e);
    return NULL;
}

static struct traffic_entry *on_cached(struct traffic *t, const struct traffic_place *at,
                                       const struct json *params)
{
    struct traffic_entry *e = entry_of(t, params);

    (void)at;
    if (e != NULL)
        e->from_memory = true;
    return NULL;
}

static struct traffic_entry *on_data(struct traffic *t, const struct traffic_place *at,
                                     const struct json *params)
{
    struct traffic_entry *e = entry_of(t, params);

    (void)at;
    if (e != NULL && e->body_bytes < INT64_MAX / 2)
        e->body_bytes += count(json_get(params, "dataLength"), 0);
    return NULL;
}

static struct traffic_entry *over(struct traffic_entry *e, const struct traffic_place *at,
                                  const struct json *params, enum traffic_state state)
{
    if (e == NULL || e->state >= TRAFFIC_OVER)
        return NULL;
    (void)snprintf(e->session, sizeof e->session, "%s", at->session);
    e->end_s = positive(json_get(params, "timestamp"));
    e->state = state;
    return e;
}

static struct traffic_entry *on_finished(struct traffic *t, const struct traffic_place *at,
                                         const struct json *params)
{
    struct traffic_entry *e = over(entry_of(t, params), at, params, TRAFFIC_OVER);

    if (e != NULL)
        e->received_bytes = count(json_get(params, "encodedDataLength"), -1);
    return e;
}

static void fail(struct traffic_entry *e, const char *why)
{
    (void)snprintf(e->failure, sizeof e->failure, "%s", why[0] != '\0' ? why : "failed");
}

static struct traffic_entry *on_failed(struct traffic *t, const struct traffic_place *at,
                                       const struct json *params)
{
    struct traffic_entry *e = over(entry_of(t, params), at, params, TRAFFIC_FAILED);

    if (e != NULL)
        fail(e, json_str(json_get(params, "errorText"), ""));
    return e;
}

/* --- WebSockets: the handshake is a request of its own, what follows is not kept --- */

static struct traffic_entry *on_socket(struct traffic *t, const struct traffic_place *at,
                                       const struct json *params)
{
    const char *id = json_str(json_get(params, "requestId"), "");
    struct traffic_chain *c = chain_of(t, id, true);
    struct traffic_entry *e;

    if (!t->opts.headers || c == NULL || last_of(c) != NULL || (e = entry_new(t, c, id)) == NULL)
        return NULL;
    (void)snprintf(e->type, sizeof e->type, "WebSocket");
    set(t, &e->url, json_str(json_get(params, "url"), ""));
    set(t, &e->method, "GET");
    if (e->url == NULL || e->method == NULL) {
        entry_free(t, e);
        t->n_left_out++;
        return NULL;
    }
    e->post_bytes = 0;
    e->page = page_of(t, at, params, e);
    return NULL;
}

static struct traffic_entry *on_socket_sent(struct traffic *t, const struct traffic_place *at,
                                            const struct json *params)
{
    struct traffic_entry *e = entry_of(t, params);

    (void)at;
    if (e == NULL)
        return NULL;
    e->wall_s = positive(json_get(params, "wallTime"));
    e->at_s = positive(json_get(params, "timestamp"));
    if (!e->request_extra)
        take_headers(t, &e->request_headers_json, json_at(params, "request", "headers", NULL));
    return NULL;
}

static struct traffic_entry *on_socket_answer(struct traffic *t, const struct traffic_place *at,
                                              const struct json *params)
{
    struct traffic_entry *e = entry_of(t, params);

    (void)at;
    if (e != NULL && e->state < TRAFFIC_OVER) {
        e->end_s = positive(json_get(params, "timestamp"));
        take_answer(t, e, json_get(params, "response"), e->end_s);
        e->state = TRAFFIC_OVER;
    }
    return NULL;
}

static struct traffic_entry *on_socket_error(struct traffic *t, const struct traffic_place *at,
                                             const struct json *params)
{
    struct traffic_entry *e = over(entry_of(t, params), at, params, TRAFFIC_FAILED);

    if (e != NULL)
        fail(e, json_str(json_get(params, "errorMessage"), ""));
    return NULL;
}

static struct traffic_entry *on_socket_closed(struct traffic *t, const struct traffic_place *at,
                                              const struct json *params)
{
    struct traffic_entry *e = over(entry_of(t, params), at, params, TRAFFIC_FAILED);

    if (e != NULL)
        fail(e, "closed before it was open");
    return NULL;
}

struct traffic_entry *traffic_take(struct traffic *t, const struct traffic_place *at,
                                   enum traffic_kind kind, const struct json *params)
{
    static struct traffic_entry *(*const take[TRAFFIC_KIND_COUNT])(
        struct traffic *, const struct traffic_place *, const struct json *) = {
        [TRAFFIC_REQUEST] = on_request,
        [TRAFFIC_REQUEST_EXTRA] = on_request_extra,
        [TRAFFIC_RESPONSE] = on_response,
        [TRAFFIC_RESPONSE_EXTRA] = on_response_extra,
        [TRAFFIC_CACHED] = on_cached,
        [TRAFFIC_DATA] = on_data,
        [TRAFFIC_FINISHED] = on_finished,
        [TRAFFIC_FAILED_LOAD] = on_failed,
        [TRAFFIC_SOCKET] = on_socket,
        [TRAFFIC_SOCKET_SENT] = on_socket_sent,
        [TRAFFIC_SOCKET_ANSWER] = on_socket_answer,
        [TRAFFIC_SOCKET_ERROR] = on_socket_error,
        [TRAFFIC_SOCKET_CLOSED] = on_socket_closed,
    };

    return take[kind](t, at, params);
}
