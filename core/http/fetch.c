/* A request of a member: what it asks for, in the words of its identity, and its end. What curl
 * hands back is copied once, into a buffer with the request's own cap. */
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#include "core/base/map.h"
#include "core/http/fetch_internal.h"
#include "proxies/direct.h"

enum {
    HEADERS_MAX = 256 * 1024,
    LINES_MAX = 1024 * 1024,
    HEAD_USUAL = 1000,
    LINES_USUAL = 500,
    CONNECTIONS_KEPT = 1024,
    NEVER_REACHED = 1 << 30
};

/* --- curl's handles: making one costs as much as a request --- */

static CURL *easy_take(struct http *h)
{
    CURL *easy = h->n_spare > 0 ? h->spare[--h->n_spare] : curl_easy_init();

    BUG_ON(easy == NULL);
    return easy;
}

/* Without the member's jar and all that was set. */
static void easy_give(struct http *h, CURL *easy)
{
    if (easy == NULL)
        return;
    curl_easy_setopt(easy, CURLOPT_COOKIEFILE, NULL); /* 7.88's reset forgets to free it */
    curl_easy_setopt(easy, CURLOPT_SHARE, NULL);
    curl_easy_reset(easy);
    if (h->n_spare < EASIES_KEPT)
        h->spare[h->n_spare++] = easy;
    else
        curl_easy_cleanup(easy);
}

/* --- one request --- */

static void request_free(struct request *q)
{
    easy_give(q->http, q->easy);
    loop_timer_stop(&q->ending);
    direct_close(&q->way);
    free(q->headers);
    free(q->host);
    free(q->failure);
    buf_deinit(&q->lines);
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
    if (q->is_cut && rc == CURLE_WRITE_ERROR)
        return STATUS_OK;
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
        return STATUS_INVALID;
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9: schemes were looked at before */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return STATUS_PROTOCOL;
    default:
        return STATUS_NAVIGATION_FAILED;
    }
}

static bool is_of_the_way_out(enum status s)
{
    return s == STATUS_PROXY_FAILED || s == STATUS_PROXY_AUTH || s == STATUS_PROXY_NONE;
}

/* Why the request failed, as a sentence; OK when curl had nothing against it and nobody else. */
static enum status judge(const struct request *q, CURLcode rc, bool *by_forwarder, struct err *e)
{
    enum status s = status_of(q, rc), said;

    *by_forwarder = false;
    if (q->cancelled == STATUS_OK && q->failure != NULL) {
        *e = *q->failure;
        return e->status;
    }
    if (q->cancelled == STATUS_OK && way_said(q, &said)) {
        *by_forwarder = true;
        return err_set(e, said, "%.*s", STR_ARG(str_trim(buf_str(&q->body))));
    }
    if (s != STATUS_OK)
        err_set(e, s, "%s",
                s == STATUS_CANCELLED ? ""
                : q->too_large        ? "the body is larger than the limit"
                : q->error[0] != '\0' ? q->error
                                      : curl_easy_strerror(rc));
    return s;
}

static void request_tell(struct request *q, CURLcode rc)
{
    struct http_response r = {0};
    struct err e = ERR_INIT;
    bool by_forwarder;
    enum status s = judge(q, rc, &by_forwarder, &e);
    char *location = NULL;
    long code = 0;

    if (q->easy != NULL) {
        curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &code);
        curl_easy_getinfo(q->easy, CURLINFO_REDIRECT_URL, &location);
    }
    r.from_proxy = by_forwarder ? is_of_the_way_out(s) : s == STATUS_PROXY_FAILED;
    r.status = s == STATUS_OK ? (int)code : 0;
    r.headers = buf_str(&q->head);
    r.body = buf_str(&q->body);
    r.content_type = q->content_type != NULL ? q->content_type : "";
    r.retry_after = str_from(q->retry_after);
    r.location = str_from(location);
    r.took_ms = loop_now_ms(q->http->loop) - q->started_ms;
    q->done(q->arg, s, &r, &e);
}

void request_over(struct request *q, CURLcode rc)
{
    map_remove_u64(q->http->requests, q->id);
    way_settle(q, rc);
    if (q->easy != NULL)
        curl_multi_remove_handle(q->http->multi, q->easy);
    request_tell(q, rc);
    request_free(q);
}

void multi_reap(struct http *h)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
        char *p = NULL;
        CURLcode rc;

        if (m->msg != CURLMSG_DONE)
            continue;
        rc = m->data.result; /* `m` goes with the handle */
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p);
        if (!way_goes_on((struct request *)(void *)p, rc))
            request_over((struct request *)(void *)p, rc);
    }
}

static void take_beginning(struct request *q, const char *p)
{
    const char *end;

    buf_add(&q->body, p, q->max_bytes - q->body.len);
    end = memrchr(q->body.ptr, '\n', q->body.len);
    buf_truncate(&q->body, end != NULL ? (size_t)(end - q->body.ptr) + 1 : 0);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct request *q = arg;

    q->body_began = true;
    if (q->beginning_will_do && size * n > q->max_bytes - q->body.len) {
        q->is_cut = true;
        take_beginning(q, p);
        return 0;
    }
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

/* A further response begins: after a 1xx, CONNECT's, or a redirect. */
static void head_begins(struct request *q)
{
    buf_reset(&q->head);
    buf_expect(&q->head, HEAD_USUAL);
    free(steal_ptr(&q->retry_after));
    free(steal_ptr(&q->content_type));
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct request *q = arg;
    struct str line = str_n(p, size * n);

    if (q->body_began)
        return size * n; /* a trailer: says nothing of the response (RFC 9110 §6.5.1) */
    if (str_starts_nocase(line, STR("HTTP/")))
        head_begins(q);
    buf_addstr(&q->head, line);
    if (!header_take(line, "retry-after", &q->retry_after) &&
        !header_take(line, "content-type", &q->content_type) && !q->direct)
        header_take(line, "x-fleet-error", &q->fleet_error);
    if (buf_status(&q->head) != STATUS_OK) {
        q->too_large = true;
        return 0;
    }
    if (str_trim(line).len > 0)
        return size * n;
    return way_take_head(q) ? size * n : 0;
}

/* --- the headers of an identity, in the order in which Chromium sends those of a navigation --- */

static void field_add(struct request *q, const char *name, const char *value)
{
    buf_adds(&q->lines, name);
    buf_adds(&q->lines, ": ");
    buf_adds(&q->lines, value);
    buf_addc(&q->lines, '\0');
}

static void line_add(struct request *q, const char *line)
{
    buf_add(&q->lines, line, strlen(line) + 1);
}

/* curl's list over the lines, all nodes in one piece. */
static void lines_link(struct request *q)
{
    size_t n = 0, at = 0;

    BUG_ON(buf_status(&q->lines) != STATUS_OK);
    for (size_t i = 0; i < q->lines.len; i++)
        n += q->lines.ptr[i] == '\0';
    q->headers = xcalloc(n, sizeof(*q->headers));
    for (size_t i = 0; i < n; i++, at += strlen(q->lines.ptr + at) + 1)
        q->headers[i] = (struct curl_slist){.data = q->lines.ptr + at,
                                            .next = i + 1 < n ? &q->headers[i + 1] : NULL};
}

static bool caller_gives(const struct http_request *r, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; r->headers != NULL && r->headers[i] != NULL; i++)
        if (strncasecmp(r->headers[i], name, n) == 0 && r->headers[i][n] == ':')
            return true;
    return false;
}

/* Also an empty one, whose length is sent (RFC 9110 §8.6). */
static bool sends_body(const struct http_request *r)
{
    return r->body.len > 0 || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0;
}

/* Chromium's, as far as the libcurl that runs decodes it: the newer codings only where nobody in
 * between can read them. */
static void codings(struct request *q)
{
    int has = q->http->features;
    struct buf b = BUF_INIT(64);

    buf_adds(&b, "gzip, deflate");
    if (q->secure && (has & CURL_VERSION_BROTLI) != 0)
        buf_adds(&b, ", br");
    if (q->secure && (has & CURL_VERSION_ZSTD) != 0)
        buf_adds(&b, ", zstd");
    field_add(q, "Accept-Encoding", buf_str(&b).ptr);
    buf_deinit(&b);
}

static void client_hints(struct request *q, const struct identity *id)
{
    struct buf b = BUF_INIT(4096);

    for (size_t i = 0; i < id->n_brands; i++)
        buf_addf(&b, "%s\"%s\";v=\"%s\"", i > 0 ? ", " : "", id->brands[i].brand,
                 id->brands[i].major);
    field_add(q, "sec-ch-ua", buf_str(&b).ptr);
    field_add(q, "sec-ch-ua-mobile", id->mobile ? "?1" : "?0");
    buf_reset(&b);
    buf_addf(&b, "\"%s\"", id->ch_platform);
    field_add(q, "sec-ch-ua-platform", buf_str(&b).ptr);
    buf_deinit(&b);
}

static void identity_headers(struct request *q, const struct http_request *r)
{
    const struct identity *id = r->member->identity;

    buf_expect(&q->lines, LINES_USUAL);
    if (q->direct && !q->secure && !caller_gives(r, "connection"))
        line_add(q, "Connection: keep-alive"); /* a forwarder makes it of Proxy-Connection */
    if (q->secure && !id->honest && id->n_brands > 0 && !caller_gives(r, "sec-ch-ua"))
        client_hints(q, id);
    if (!caller_gives(r, "user-agent"))
        field_add(q, "User-Agent", id->user_agent);
    if (!caller_gives(r, "accept"))
        line_add(q, "Accept: */*");
    for (size_t i = 0; r->headers != NULL && r->headers[i] != NULL; i++)
        line_add(q, r->headers[i]);
    if (!caller_gives(r, "accept-encoding"))
        codings(q);
    if (!caller_gives(r, "accept-language") && id->accept_language != NULL)
        field_add(q, "Accept-Language", id->accept_language);
    if (sends_body(r) && r->body.len == 0 && !caller_gives(r, "content-type"))
        line_add(q, "Content-Type:"); /* curl's own goes */
    line_add(q, "Expect:");
    lines_link(q);
}

static void body_set(struct request *q, const struct http_request *r)
{
    if (q->is_head) {
        curl_easy_setopt(q->easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (strcmp(r->method, "GET") == 0)
        return;
    if (sends_body(r)) {
        curl_easy_setopt(q->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
        curl_easy_setopt(q->easy, CURLOPT_COPYPOSTFIELDS, r->body.len > 0 ? r->body.ptr : "");
    }
    curl_easy_setopt(q->easy, CURLOPT_CUSTOMREQUEST, r->method);
}

/* False: refused. */
static bool request_set_up(struct request *q, const struct http_request *r)
{
    CURL *c = q->easy;

    if (!way_set_up(q, r))
        return false;
    if (q->secure && q->http->ca_file != NULL)
        curl_easy_setopt(c, CURLOPT_CAINFO, q->http->ca_file);
    curl_easy_setopt(c, CURLOPT_URL, r->url);
    curl_easy_setopt(c, CURLOPT_PRIVATE, (char *)q);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 0L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L); /* each hop passes the gate */
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, q->error);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, q);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, q);
    body_set(q, r);
    jar_use(c, r->member);
    identity_headers(q, r);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, q->headers);
    return true;
}

/* --- the calls --- */

static size_t connections_kept(size_t wanted)
{
    struct rlimit lim;

    if (wanted == 0)
        wanted = CONNECTIONS_KEPT;
    if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur / 4 < wanted)
        return lim.rlim_cur / 4;
    return wanted;
}

enum status http_create(struct loop *l, const struct http_opts *o, struct http **out, struct err *e)
{
    struct http *h;

    *out = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(e, STATUS_ENVIRONMENT, "libcurl cannot be initialised");
    h = xcalloc(1, sizeof *h);
    h->loop = l;
    h->next_id = 1;
    h->features = curl_version_info(CURLVERSION_NOW)->features;
    h->ca_file = o != NULL && o->ca_file != NULL ? xstrdup(o->ca_file) : NULL;
    h->requests = map_create();
    h->multi = curl_multi_init();
    BUG_ON(h->multi == NULL);
    multi_watch(h);
    h->n_kept_max = connections_kept(
        o != NULL ? o->connections : 0); /* and not curl's own choice: see sock_dialled */
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)NEVER_REACHED);
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
    while (h->n_spare > 0)
        curl_easy_cleanup(h->spare[--h->n_spare]);
    curl_multi_cleanup(h->multi);
    for (size_t i = 0; i < h->n_socks; i++)
        loop_watch_close(&h->socks[i].watch);
    free(h->socks);
    free(h->ca_file);
    map_destroy(&h->requests, NULL);
    free(h);
    *hp = NULL;
}

static void on_ending(struct loop_timer *t)
{
    request_over(container_of(t, struct request, ending), CURLE_FAILED_INIT);
}

/* Ends it from the loop, once, whoever else wants it ended meanwhile. */
static void request_end(struct request *q)
{
    if (!loop_timer_is_active(&q->ending))
        loop_timer_start(q->http->loop, &q->ending, 0, on_ending);
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
    q->timeout_ms = r->timeout_ms;
    q->secure = strncasecmp(r->url, "https:", 6) == 0;
    q->is_head = strcmp(r->method, "HEAD") == 0;
    buf_init(&q->lines, LINES_MAX);
    buf_init(&q->head, HEADERS_MAX);
    q->max_bytes = r->max_bytes > 0 ? r->max_bytes : BUF_MAX_FILE;
    q->beginning_will_do = r->beginning_will_do;
    buf_init(&q->body, q->max_bytes);
    map_put_u64(h->requests, q->id, q);
    q->easy = easy_take(h);
    if (!request_set_up(q, r) || curl_multi_add_handle(h->multi, q->easy) != CURLM_OK)
        request_end(q);
    return q->id;
}

void http_cancel(struct http *h, uint64_t id)
{
    struct request *q = map_find_u64(h->requests, id);

    if (q == NULL || q->cancelled != STATUS_OK)
        return;
    q->cancelled = STATUS_CANCELLED;
    /* Out of curl's hands at once, so that nothing else ends it before the loop does. */
    way_settle(q, CURLE_ABORTED_BY_CALLBACK);
    curl_multi_remove_handle(h->multi, q->easy);
    easy_give(h, steal_ptr(&q->easy));
    direct_close(&q->way);
    request_end(q);
}
