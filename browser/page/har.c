#include "browser/page/har.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "browser/page/har_text.h"
#include "core/base/clock.h"
#include "version.h"

static void add_name(struct buf *out, const char *name)
{
    buf_addf(out, ",\"%s\":", name);
}

static void add_text(struct buf *out, const char *name, const char *value)
{
    add_name(out, name);
    json_print_str(str_from(value != NULL ? value : ""), out);
}

static void add_ms(struct buf *out, const char *name, double ms)
{
    buf_addf(out, "\"%s\":", name);
    if (!(ms >= 0) || !isfinite(ms))
        buf_adds(out, "-1");
    else
        buf_addf(out, "%.3f", ms);
}

static void add_date(struct buf *out, double wall_s)
{
    char text[CLOCK_RFC3339_MAX];

    buf_addf(out, "\"startedDateTime\":\"%s\"", clock_rfc3339((uint64_t)(wall_s * 1000), text));
}

/* --- timings: as Chrome's own export divides them --- */

struct timings {
    double blocked, dns, connect, ssl, send, wait, receive;
};

static double least(double a, double b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

static double between(double from_s, double to_s)
{
    return from_s > 0 && to_s > from_s ? (to_s - from_s) * 1000 : 0;
}

/* What has no marks: from a cache, from a service worker, or never answered. */
static struct timings without_marks(const struct traffic_entry *e)
{
    struct timings t = {-1, -1, -1, -1, 0, 0, 0};

    if (e->answered_s == 0) {
        t.blocked = between(e->at_s, e->end_s);
        return t;
    }
    t.wait = between(e->at_s, e->answered_s);
    t.receive = between(e->answered_s, e->end_s);
    return t;
}

static struct timings timings_of(const struct traffic_entry *e)
{
    const double *m = e->marks;
    struct timings t = {-1, -1, -1, -1, 0, 0, 0};
    double first, reached, headers;

    if (!e->has_timing || e->from_memory) /* whose marks are those of the first time */
        return without_marks(e);
    first = least(m[MARK_DNS_START], least(m[MARK_CONNECT_START], m[MARK_SEND_START]));
    reached = most(first, 0);
    t.blocked = between(e->at_s, e->timing_s) + reached;
    if (m[MARK_DNS_END] >= 0) {
        t.dns = most(m[MARK_DNS_END] - reached, 0);
        reached = most(reached, m[MARK_DNS_END]);
    }
    if (m[MARK_CONNECT_END] >= 0) {
        t.connect = most(m[MARK_CONNECT_END] - reached, 0);
        reached = most(reached, m[MARK_CONNECT_END]);
    }
    if (m[MARK_SSL_END] > 0 && m[MARK_SSL_START] >= 0)
        t.ssl = most(m[MARK_SSL_END] - m[MARK_SSL_START], 0);
    if (m[MARK_SEND_END] >= 0) {
        t.send = most(m[MARK_SEND_END] - reached, 0);
        reached = most(reached, m[MARK_SEND_END]);
    }
    headers = m[MARK_HEADERS_END] >= 0 ? m[MARK_HEADERS_END] : between(e->timing_s, e->answered_s);
    t.wait = most(headers - reached, 0);
    t.receive = most(between(e->timing_s, e->end_s) - most(headers, reached), 0);
    return t;
}

/* ssl is part of connect. */
static double total_ms(const struct timings *t)
{
    return most(t->blocked, 0) + most(t->dns, 0) + most(t->connect, 0) + t->send + t->wait +
           t->receive;
}

static void add_timings(struct buf *out, const struct timings *t)
{
    const struct {
        const char *name;
        double ms;
    } rows[] = {{"blocked", t->blocked}, {"dns", t->dns},   {"connect", t->connect},
                {"ssl", t->ssl},         {"send", t->send}, {"wait", t->wait},
                {"receive", t->receive}};

    buf_adds(out, ",\"timings\":{");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (i > 0)
            buf_addc(out, ',');
        add_ms(out, rows[i].name, rows[i].ms);
    }
    buf_addc(out, '}');
}

/* --- request --- */

static const char *version_of(const struct traffic_entry *e)
{
    static const struct {
        const char *protocol, *version;
    } known[] = {{"http/0.9", "HTTP/0.9"},
                 {"http/1.0", "HTTP/1.0"},
                 {"http/1.1", "HTTP/1.1"},
                 {"h2", "HTTP/2.0"},
                 {"h3", "HTTP/3"}};

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(e->protocol, known[i].protocol) == 0)
            return known[i].version;
    return e->protocol;
}

static bool is_http1(const struct traffic_entry *e)
{
    return strncmp(e->protocol, "http/1", 6) == 0;
}

/* "GET /path HTTP/1.1\r\n", the headers, "\r\n": what later versions send is not known. */
static int64_t request_head_bytes(const struct traffic_entry *e)
{
    struct str url = str_from(e->url);
    ptrdiff_t at = str_find(url, STR("://"));
    struct str path = at >= 0 ? str_skip(url, (size_t)at + 3) : url, host = path;

    if (!is_http1(e) || e->request_headers_bytes < 0)
        return -1;
    (void)str_cut(&path, '#');
    host = str_cut(&host, '#');
    path = host;
    (void)str_cut(&path, '/');
    return (int64_t)strlen(e->method) + 1 + (path.ptr != NULL ? (int64_t)path.len + 1 : 1) +
           (int64_t)sizeof(" HTTP/1.1\r\n") - 1 + e->request_headers_bytes + 2;
}

static void add_request(struct buf *out, const struct traffic_entry *e)
{
    buf_adds(out, ",\"request\":{\"method\":");
    json_print_str(str_from(e->method), out);
    add_name(out, "url");
    har_add_url(out, str_from(e->url));
    add_text(out, "httpVersion", version_of(e));
    buf_addf(out, ",\"cookies\":%s,\"headers\":%s,\"queryString\":",
             e->request_cookies_json != NULL ? e->request_cookies_json : "[]",
             e->request_headers_json != NULL ? e->request_headers_json : "[]");
    har_add_query(out, str_from(e->url));
    if (e->post_json != NULL) {
        add_name(out, "postData");
        buf_adds(out, e->post_json);
    }
    buf_addf(out, ",\"headersSize\":%" PRId64 ",\"bodySize\":%" PRId64 "}", request_head_bytes(e),
             e->post_bytes);
}

/* --- response --- */

static bool is_cached(const struct traffic_entry *e)
{
    return e->from_memory || e->from_disk;
}

static int64_t wire_body_bytes(const struct traffic_entry *e)
{
    if (is_cached(e))
        return 0;
    if (e->received_bytes < 0 || e->head_bytes > e->received_bytes)
        return -1;
    return e->received_bytes - e->head_bytes;
}

static void add_content(struct buf *out, const struct traffic_entry *e)
{
    int64_t wire = wire_body_bytes(e);

    buf_addf(out, ",\"content\":{\"size\":%" PRId64, e->body_bytes);
    add_text(out, "mimeType", e->mime != NULL && e->mime[0] != '\0' ? e->mime : "x-unknown");
    if (wire > 0 && e->body_bytes > wire)
        buf_addf(out, ",\"compression\":%" PRId64, e->body_bytes - wire);
    if (e->body != NULL) {
        add_name(out, "text");
        json_print_str(str_n(e->body, e->body_len), out);
        if (e->body_base64)
            add_text(out, "encoding", "base64");
    } else if (e->body_note != NULL) {
        add_text(out, "comment", e->body_note);
    }
    buf_addc(out, '}');
}

static void add_response(struct buf *out, const struct traffic_entry *e)
{
    buf_addf(out, ",\"response\":{\"status\":%d", e->wire_status > 0 ? e->wire_status : e->status);
    add_text(out, "statusText", e->status_text);
    add_text(out, "httpVersion", version_of(e));
    buf_addf(out, ",\"cookies\":%s,\"headers\":%s",
             e->response_cookies_json != NULL ? e->response_cookies_json : "[]",
             e->response_headers_json != NULL ? e->response_headers_json : "[]");
    add_content(out, e);
    add_text(out, "redirectURL", e->redirect_url);
    buf_addf(out,
             ",\"headersSize\":%" PRId64 ",\"bodySize\":%" PRId64 ",\"_transferSize\":%" PRId64,
             e->response_headers_bytes, wire_body_bytes(e), is_cached(e) ? 0 : e->received_bytes);
    if (e->failure[0] != '\0')
        add_text(out, "_error", e->failure);
    buf_addc(out, '}');
}

/* --- entries and pages --- */

static void type_of(const struct traffic_entry *e, char out[sizeof(e->type)])
{
    size_t i = 0;

    for (; e->type[i] != '\0' && i + 1 < sizeof(e->type); i++)
        out[i] = e->type[i] >= 'A' && e->type[i] <= 'Z' ? (char)(e->type[i] + 32) : e->type[i];
    out[i] = '\0';
}

static void add_entry(struct buf *out, const struct traffic_entry *e, const struct har_about *about)
{
    struct timings t = timings_of(e);
    char type[sizeof(e->type)];

    buf_addc(out, '{');
    if (e->page > 0)
        buf_addf(out, "\"pageref\":\"page_%u\",", e->page);
    add_date(out, e->wall_s);
    buf_addc(out, ',');
    add_ms(out, "time", total_ms(&t));
    add_request(out, e);
    add_response(out, e);
    buf_adds(out, ",\"cache\":{}");
    add_timings(out, &t);
    if (e->address[0] != '\0' && !about->proxied && !is_cached(e)) {
        struct str ip = str_from(e->address);

        if (ip.len > 2 && ip.ptr[0] == '[')
            ip = str_n(ip.ptr + 1, ip.len - 2);
        add_name(out, "serverIPAddress");
        json_print_str(ip, out);
    }
    if (e->connection > 0)
        buf_addf(out, ",\"connection\":\"%" PRIu64 "\"", e->connection);
    type_of(e, type);
    add_text(out, "_resourceType", type);
    if (is_cached(e))
        add_text(out, "_fromCache", e->from_memory ? "memory" : "disk");
    if (e->from_worker)
        buf_adds(out, ",\"_fetchedViaServiceWorker\":true");
    if (e->state < TRAFFIC_OVER)
        add_text(out, "comment", "not over when the recording ended");
    buf_addc(out, '}');
}

static void add_page(struct buf *out, const struct traffic_page *p, size_t number)
{
    buf_addc(out, '{');
    add_date(out, p->wall_s);
    buf_addf(out, ",\"id\":\"page_%zu\",\"title\":", number);
    har_add_url(out, str_from(p->url != NULL ? p->url : ""));
    buf_adds(out, ",\"pageTimings\":{");
    add_ms(out, "onContentLoad",
           p->at_s > 0 && p->dcl_s > p->at_s ? (p->dcl_s - p->at_s) * 1000 : -1);
    buf_addc(out, ',');
    add_ms(out, "onLoad", p->at_s > 0 && p->load_s > p->at_s ? (p->load_s - p->at_s) * 1000 : -1);
    buf_adds(out, "}}");
}

static void add_comment(struct buf *out, const struct traffic *t, const struct har_about *about)
{
    struct buf text = BUF_INIT(BUF_MAX_LINE);

    if (about->comment != NULL)
        buf_adds(&text, about->comment);
    if (t->n_left_out > 0)
        buf_addf(&text,
                 "%scut: %" PRIu64 " more requests are left out, there are too many (%zu entries, "
                 "%zu bytes)",
                 text.len > 0 ? "; " : "", t->n_left_out, t->n_entries, t->bytes);
    if (t->n_texts_cut > 0)
        buf_addf(&text, "%scut: headers, cookies or posted data are left out %" PRIu64 " times",
                 text.len > 0 ? "; " : "", t->n_texts_cut);
    if (text.len > 0)
        add_text(out, "comment", text.ptr);
    buf_deinit(&text);
}

void har_print(const struct traffic *t, const struct har_about *about, struct buf *out)
{
    const char *sep = "";

    buf_adds(
        out,
        "{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"Fleet\",\"version\":\"" FLEET_VERSION
        "\"}");
    if (about->browser != NULL) {
        buf_adds(out, ",\"browser\":{\"name\":");
        json_print_str(str_from(about->browser), out);
        add_text(out, "version", about->browser_version);
        buf_addc(out, '}');
    }
    buf_adds(out, ",\"pages\":[");
    for (size_t i = 0; i < t->n_pages; i++) {
        buf_adds(out, i > 0 ? ",\n" : "\n");
        add_page(out, &t->pages[i], i + 1);
    }
    buf_adds(out, "],\"entries\":[");
    list_for_each (l, &t->entries) {
        buf_adds(out, sep);
        buf_addc(out, '\n');
        add_entry(out, list_entry(l, struct traffic_entry, link), about);
        sep = ",";
    }
    buf_addc(out, ']');
    add_comment(out, t, about);
    buf_adds(out, "}}\n");
}
