/* libcurl's multi interface on the loop: curl says which sockets and which timer it wants, the loop
 * tells it what is ready. Every request goes through its member's forwarder, so that policy,
 * credentials and byte counts are in one place. What curl hands back is copied once, into a buffer
 * with the request's own cap. */
#include "core/http/fetch.h"

#include <curl/curl.h>
#include <strings.h>
#include <unistd.h>

#include "core/base/list.h"
#include "core/base/map.h"
#include "core/base/url.h"
#include "fingerprints/cookies.h"
#include "proxies/forward.h"

enum { HEADERS_MAX = 256 * 1024, CONNECT_MS = 15000, CONNECTIONS_KEPT = 4096 };

/* A socket that curl uses. curl lets go of it between requests and asks for it again at the next
 * one; the watch of a connection that we dialled stays, so that this costs no system calls. */
struct sock {
    struct loop_watch *watch; /* NULL: none yet */
    bool dialled;             /* ours until sock_close */
    bool wanted;              /* by curl, at the moment */
};

struct http {
    struct loop *loop;
    CURLM *multi;
    struct sock *socks; /* by descriptor */
    size_t n_socks;
    struct loop_timer timer;
    struct map *requests; /* id -> struct request */
    uint64_t next_id;
};

struct request {
    struct http *http;
    uint64_t id;
    CURL *easy;
    struct member *member;
    struct curl_slist *headers;
    struct buf head; /* of the last response */
    struct buf body;
    char error[CURL_ERROR_SIZE];
    char *content_type, *retry_after, *fleet_error;
    bool too_large;
    uint64_t started_ms;
    http_done_fn *done;
    void *arg;
    enum status cancelled; /* OK: it is not */
};

static void multi_reap(struct http *h);

/* --- glue to the loop --- */

static struct sock *sock_at(struct http *h, curl_socket_t fd)
{
    size_t n = (size_t)fd + 1, old = h->n_socks;

    if (n > old) {
        h->n_socks = n < 2 * old ? 2 * old : n;
        h->socks = xreallocarray(h->socks, h->n_socks, sizeof(*h->socks));
        memset(h->socks + old, 0, (h->n_socks - old) * sizeof(*h->socks));
    }
    return &h->socks[fd];
}

static void sock_ready(void *arg, int fd, int events)
{
    struct http *h = arg;
    struct sock *s = sock_at(h, fd);
    int running;
    int mask = ((events & LOOP_READ) != 0 ? CURL_CSELECT_IN : 0) |
               ((events & LOOP_WRITE) != 0 ? CURL_CSELECT_OUT : 0);

    if (!s->wanted) { /* its end, most likely: curl looks when it wants to use it again */
        loop_watch_set(s->watch, 0);
        return;
    }
    curl_multi_socket_action(h->multi, fd, mask, &running);
    multi_reap(h);
}

static void sock_let_go(struct sock *s)
{
    s->wanted = false;
    if (!s->dialled)
        loop_watch_close(&s->watch);
    else if (s->watch != NULL && loop_watch_events(s->watch) != LOOP_READ)
        loop_watch_set(s->watch, 0);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sock_arg)
{
    struct http *h = arg;
    struct sock *s = sock_at(h, fd);
    int events = (what == CURL_POLL_IN || what == CURL_POLL_INOUT ? LOOP_READ : 0) |
                 (what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? LOOP_WRITE : 0);

    (void)easy;
    (void)sock_arg;
    if (what == CURL_POLL_REMOVE) {
        sock_let_go(s);
        return 0;
    }
    s->wanted = true;
    if (s->watch != NULL)
        loop_watch_set(s->watch, events);
    else if (loop_watch_open(h->loop, fd, events, sock_ready, h, &s->watch, NULL) != STATUS_OK)
        return -1;
    return 0;
}

/* curl closes a connection. */
static int sock_close(void *arg, curl_socket_t fd)
{
    struct sock *s = sock_at(arg, fd);

    loop_watch_close(&s->watch);
    *s = (struct sock){.watch = NULL};
    return close(fd);
}

static void timer_fired(struct loop_timer *t)
{
    struct http *h = container_of(t, struct http, timer);
    int running;

    curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    multi_reap(h);
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct http *h = arg;

    (void)multi;
    if (timeout_ms < 0)
        loop_timer_stop(&h->timer);
    else
        loop_timer_start(h->loop, &h->timer, (uint64_t)timeout_ms, timer_fired);
    return 0;
}

/* --- one request --- */

static void request_free(struct request *q)
{
    if (q->easy != NULL)
        curl_easy_cleanup(q->easy);
    curl_slist_free_all(q->headers);
    buf_deinit(&q->head);
    buf_deinit(&q->body);
    free(q->content_type);
    free(q->retry_after);
    free(q->fleet_error);
    free(q);
}

static enum status status_of(const struct request *q, CURLcode rc)
{
    if (q->cancelled != STATUS_OK)
        return q->cancelled;
    if (q->too_large)
        return STATUS_TOO_LARGE;
    switch (rc) {
    case CURLE_OK:
        return STATUS_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return STATUS_TIMEOUT;
    case CURLE_OUT_OF_MEMORY:
        return STATUS_NO_MEMORY;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY:
        return STATUS_PROXY_FAILED;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return STATUS_INVALID;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return STATUS_PROTOCOL;
    default:
        return STATUS_NAVIGATION_FAILED;
    }
}

/* The forwarder names its own failures (x-fleet-error): plain HTTP as the answer, https as the
 * answer to CONNECT. */
static bool forwarder_said(const struct request *q, enum status *s)
{
    if (q->fleet_error == NULL)
        return false;
    if (!status_find(q->fleet_error, s) || *s == STATUS_OK)
        *s = STATUS_PROXY_FAILED;
    return true;
}

static bool is_of_the_way_out(enum status s)
{
    return s == STATUS_PROXY_FAILED || s == STATUS_PROXY_AUTH || s == STATUS_PROXY_NONE;
}

static void request_tell(struct request *q, CURLcode rc)
{
    struct http_response r = {0};
    struct err e = ERR_INIT;
    enum status s = status_of(q, rc), said;
    char *location = NULL;
    long code = 0;

    if (q->easy != NULL) {
        curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &code);
        curl_easy_getinfo(q->easy, CURLINFO_REDIRECT_URL, &location);
    }
    if (q->cancelled == STATUS_OK && forwarder_said(q, &said)) {
        err_set(&e, said, "%.*s", STR_ARG(str_trim(buf_str(&q->body))));
        s = said;
        code = 0;
        r.from_proxy = is_of_the_way_out(said);
    } else if (s != STATUS_OK) {
        err_set(&e, s, "%s",
                s == STATUS_CANCELLED ? ""
                : q->too_large        ? "the body is larger than the limit"
                : q->error[0] != '\0' ? q->error
                                      : curl_easy_strerror(rc));
        r.from_proxy = s == STATUS_PROXY_FAILED;
        code = 0;
    }
    r.status = (int)code;
    r.headers = buf_str(&q->head);
    r.body = buf_str(&q->body);
    r.content_type = q->content_type != NULL ? q->content_type : "";
    r.retry_after = str_from(q->retry_after);
    r.location = str_from(location);
    r.took_ms = loop_now_ms(q->http->loop) - q->started_ms;
    q->done(q->arg, s, &r, &e);
}

static void request_over(struct request *q, CURLcode rc)
{
    map_remove_u64(q->http->requests, q->id);
    if (q->easy != NULL)
        curl_multi_remove_handle(q->http->multi, q->easy);
    request_tell(q, rc);
    request_free(q);
}

static void multi_reap(struct http *h)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
        char *p = NULL;

        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p);
        request_over((struct request *)(void *)p, m->data.result);
    }
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct request *q = arg;

    buf_add(&q->body, p, size * n);
    if (buf_status(&q->body) == STATUS_OK)
        return size * n;
    q->too_large = true;
    return 0;
}

static bool header_take(struct str line, const char *name, char **out)
{
    struct str value = line, key = str_cut(&value, ':');

    if (value.ptr == NULL || !str_eq_nocase(key, str_from(name)))
        return false;
    value = str_trim(value);
    free(*out);
    *out = xcalloc(1, value.len + 1);
    memcpy(*out, value.ptr, value.len);
    return true;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct request *q = arg;
    struct str line = str_n(p, size * n);

    if (str_starts_nocase(line,
                          STR("HTTP/"))) { /* a further response: 1xx, CONNECT's, a redirect's */
        buf_reset(&q->head);
        free(steal_ptr(&q->retry_after));
        free(steal_ptr(&q->content_type));
    }
    buf_addstr(&q->head, line);
    if (!header_take(line, "retry-after", &q->retry_after) &&
        !header_take(line, "content-type", &q->content_type))
        header_take(line, "x-fleet-error", &q->fleet_error);
    if (buf_status(&q->head) == STATUS_OK)
        return size * n;
    q->too_large = true;
    return 0;
}

/* --- the headers of an identity, in the order in which Chromium sends those of a navigation --- */

static void header_add(struct request *q, const char *fmt, ...) printf_like(2, 3);
static void header_add(struct request *q, const char *fmt, ...)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);
    struct curl_slist *l;
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    l = curl_slist_append(q->headers, buf_str(&b).ptr);
    BUG_ON(l == NULL);
    q->headers = l;
    buf_deinit(&b);
}

static bool caller_gives(const struct http_request *r, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; r->headers != NULL && r->headers[i] != NULL; i++)
        if (strncasecmp(r->headers[i], name, n) == 0 && r->headers[i][n] == ':')
            return true;
    return false;
}

static void identity_headers(struct request *q, const struct http_request *r, bool secure)
{
    const struct identity *id = r->member->identity;

    if (secure && !id->honest && id->n_brands > 0 && !caller_gives(r, "sec-ch-ua")) {
        struct buf b = BUF_INIT(4096);

        for (size_t i = 0; i < id->n_brands; i++)
            buf_addf(&b, "%s\"%s\";v=\"%s\"", i > 0 ? ", " : "", id->brands[i].brand,
                     id->brands[i].major);
        header_add(q, "sec-ch-ua: %s", buf_str(&b).ptr);
        header_add(q, "sec-ch-ua-mobile: ?%d", id->mobile ? 1 : 0);
        header_add(q, "sec-ch-ua-platform: \"%s\"", id->ch_platform);
        buf_deinit(&b);
    }
    if (!caller_gives(r, "user-agent"))
        header_add(q, "User-Agent: %s", id->user_agent);
    if (!caller_gives(r, "accept"))
        header_add(q, "Accept: */*");
    for (size_t i = 0; r->headers != NULL && r->headers[i] != NULL; i++)
        header_add(q, "%s", r->headers[i]);
    if (!caller_gives(r, "accept-encoding"))
        header_add(q, "Accept-Encoding: gzip, deflate, br");
    if (!caller_gives(r, "accept-language") && id->accept_language != NULL)
        header_add(q, "Accept-Language: %s", id->accept_language);
    header_add(q, "Expect:");
}

/* --- cookies: one jar a member, shared by all its requests --- */

static void jar_use(CURL *easy, struct member *m)
{
    CURLSH *share = m->jar;

    if (share == NULL) {
        share = curl_share_init();
        BUG_ON(share == NULL);
        curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
        m->jar = share;
    }
    curl_easy_setopt(easy, CURLOPT_SHARE, share);
    curl_easy_setopt(easy, CURLOPT_COOKIEFILE, "");
}

struct json *http_jar_export(struct member *m)
{
    struct buf lines = BUF_INIT(BUF_MAX_FILE), faults = BUF_INIT(BUF_MAX_LINE);
    struct curl_slist *list = NULL;
    struct json *state, *cookies = NULL;
    CURL *easy = m->jar != NULL ? curl_easy_init() : NULL;

    if (easy != NULL) {
        jar_use(easy, m);
        curl_easy_getinfo(easy, CURLINFO_COOKIELIST, &list);
        curl_easy_cleanup(easy);
    }
    for (const struct curl_slist *l = list; l != NULL; l = l->next)
        buf_addf(&lines, "%s\n", l->data);
    curl_slist_free_all(list);
    state = cookies_from_netscape(buf_str(&lines), "jar", &faults);
    if (state != NULL)
        cookies = json_take(state, "cookies");
    json_destroy(&state);
    buf_deinit(&lines);
    buf_deinit(&faults);
    return cookies != NULL ? cookies : json_new_array();
}

void http_jar_import(struct member *m, const struct json *state)
{
    struct buf lines = BUF_INIT(BUF_MAX_FILE);
    struct str rest;
    CURL *easy = curl_easy_init();

    BUG_ON(easy == NULL);
    jar_use(easy, m);
    cookies_to_netscape(state, &lines);
    rest = buf_str(&lines);
    while (rest.ptr != NULL) {
        struct str line = str_cut(&rest, '\n');
        cleanup_free char *text = xcalloc(1, line.len + 1);

        memcpy(text, line.ptr, line.len);
        if (line.len > 0)
            curl_easy_setopt(easy, CURLOPT_COOKIELIST, text);
    }
    curl_easy_cleanup(easy);
    buf_deinit(&lines);
}

void http_jar_free(struct member *m)
{
    if (m->jar != NULL)
        curl_share_cleanup(m->jar);
    m->jar = NULL;
}

static void body_set(struct request *q, const struct http_request *r)
{
    if (strcmp(r->method, "HEAD") == 0) {
        curl_easy_setopt(q->easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (strcmp(r->method, "GET") == 0)
        return;
    if (r->body.len > 0 || strcmp(r->method, "POST") == 0) {
        curl_easy_setopt(q->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
        curl_easy_setopt(q->easy, CURLOPT_COPYPOSTFIELDS, r->body.len > 0 ? r->body.ptr : "");
    }
    curl_easy_setopt(q->easy, CURLOPT_CUSTOMREQUEST, r->method);
}

/* --- the way out: a connection to the member's forwarder that nobody else can make --- */

static curl_socket_t dial(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct request *q = arg;
    struct member *m = q->member;
    struct err e = ERR_INIT;
    int fd;

    (void)purpose;
    (void)address;
    if (forward_port(m->forward) == 0)
        return CURL_SOCKET_BAD;
    if (forward_dial(m->forward, &fd, &e) != STATUS_OK)
        return CURL_SOCKET_BAD;
    *sock_at(q->http, fd) = (struct sock){.dialled = true};
    return fd;
}

/* Each member's proxy has its own port, by which curl keeps connections: members share none. */
static void proxy_use(struct request *q, struct member *m)
{
    uint16_t port = m->forward_port;
    struct err e = ERR_INIT;
    char proxy[64];

    if (m->forward != NULL) /* if it cannot listen, `dial` lets nothing out */
        port = forward_listen(m->forward, &e) == STATUS_OK ? forward_port(m->forward) : 0;
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", port);
    curl_easy_setopt(q->easy, CURLOPT_PROXY, proxy);
    curl_easy_setopt(q->easy, CURLOPT_NOPROXY, "");
    if (m->forward == NULL)
        return;
    curl_easy_setopt(q->easy, CURLOPT_OPENSOCKETFUNCTION, dial);
    curl_easy_setopt(q->easy, CURLOPT_OPENSOCKETDATA, q);
    curl_easy_setopt(q->easy, CURLOPT_CLOSESOCKETFUNCTION, sock_close);
    curl_easy_setopt(q->easy, CURLOPT_CLOSESOCKETDATA, q->http);
}

static void request_set_up(struct request *q, const struct http_request *r)
{
    CURL *c = q->easy;

    curl_easy_setopt(c, CURLOPT_URL, r->url);
    curl_easy_setopt(c, CURLOPT_PRIVATE, (char *)q);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    proxy_use(q, r->member);
    curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 0L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, r->follow ? 1L : 0L);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, q->error);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, q);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, q);
    body_set(q, r);
    jar_use(c, r->member);
    identity_headers(q, r, strncasecmp(r->url, "https:", 6) == 0);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, q->headers);
}

/* --- the calls --- */

enum status http_create(struct loop *l, struct http **out, struct err *e)
{
    struct http *h;

    *out = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(e, STATUS_ENVIRONMENT, "libcurl cannot be initialised");
    h = xcalloc(1, sizeof *h);
    h->loop = l;
    h->next_id = 1;
    h->requests = map_create();
    h->multi = curl_multi_init();
    BUG_ON(h->multi == NULL);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    /* Left to itself curl keeps four for each request under way, and closes the others' as soon as
     * few are. */
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    *out = h;
    return STATUS_OK;
}

void http_destroy(struct http **hp)
{
    struct http *h = *hp;
    struct request *q;
    size_t it = 0;

    if (h == NULL)
        return;
    while ((q = map_next(h->requests, &it, NULL)) != NULL) {
        q->cancelled = STATUS_CANCELLED;
        request_over(q, CURLE_ABORTED_BY_CALLBACK);
    }
    loop_timer_stop(&h->timer);
    curl_multi_cleanup(h->multi);
    for (size_t i = 0; i < h->n_socks; i++)
        loop_watch_close(&h->socks[i].watch);
    free(h->socks);
    map_destroy(&h->requests, NULL);
    free(h);
    *hp = NULL;
}

static void request_over_deferred(void *arg)
{
    struct request *q = arg;

    request_over(q, CURLE_FAILED_INIT);
}

uint64_t http_start(struct http *h, const struct http_request *r, http_done_fn *done, void *arg)
{
    struct request *q = xcalloc(1, sizeof *q);

    q->http = h;
    q->member = r->member;
    q->id = h->next_id++;
    q->done = done;
    q->arg = arg;
    q->started_ms = loop_now_ms(h->loop);
    buf_init(&q->head, HEADERS_MAX);
    buf_init(&q->body, r->max_bytes > 0 ? r->max_bytes : BUF_MAX_FILE);
    map_put_u64(h->requests, q->id, q);
    q->easy = curl_easy_init();
    BUG_ON(q->easy == NULL);
    request_set_up(q, r);
    if (curl_multi_add_handle(h->multi, q->easy) != CURLM_OK)
        loop_defer(h->loop, request_over_deferred, q);
    return q->id;
}

static void cancel_deferred(void *arg)
{
    request_over(arg, CURLE_ABORTED_BY_CALLBACK);
}

void http_cancel(struct http *h, uint64_t id)
{
    struct request *q = map_find_u64(h->requests, id);

    if (q == NULL || q->cancelled != STATUS_OK)
        return;
    q->cancelled = STATUS_CANCELLED;
    /* Out of curl's hands at once, so that nothing else ends it before the deferred call does. */
    curl_multi_remove_handle(h->multi, q->easy);
    curl_easy_cleanup(q->easy);
    q->easy = NULL;
    loop_defer(h->loop, cancel_deferred, q);
}
