/* The way out of a request: over a connection to its member's forwarder, which has the upstream's
 * credentials; or, where the member has no upstream, over one to the target that the forwarder's
 * side made (proxies/direct.h). Either way it is ours who resolves, asks the policy and connects:
 * curl gets sockets that stand.
 *
 * curl asks for a socket when it has none to use again, and wants it at once. While a direct
 * connection is still being made it gets none, ends the transfer before a byte was sent, and the
 * request is given to it again when the connection stands.
 *
 * Connections are kept and used again by one member alone. To curl each member's way leads to a
 * place of its own: the forwarder's port, or an address and port that nobody has (240.0.0.0/4, RFC
 * 1112 §4), which is a name in curl's pool and never connected to. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/http/fetch_internal.h"
#include "proxies/direct.h"
#include "proxies/http1.h"

enum { CONNECT_MS = 15000, DOOR_PORT_BITS = 15, DOORS_MAX = (1 << (DOOR_PORT_BITS + 12)) - 1 };

static void fail(struct request *q, enum status s, const char *text)
{
    q->failure = xcalloc(1, sizeof(*q->failure));
    err_set(q->failure, s, "%s: %s", status_name(s), text);
}

/* --- through the forwarder: a connection that nobody else can make --- */

static curl_socket_t dial_forward(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct request *q = arg;
    struct member *m = q->member;
    struct err e = ERR_INIT;
    int fd;

    (void)purpose;
    (void)address;
    if (forward_port(m->forward) == 0 || forward_dial(m->forward, &fd, &e) != STATUS_OK)
        return CURL_SOCKET_BAD;
    sock_dialled(q, fd, NULL);
    return fd;
}

static void dial_with(struct request *q, curl_opensocket_callback dial)
{
    curl_easy_setopt(q->easy, CURLOPT_OPENSOCKETFUNCTION, dial);
    curl_easy_setopt(q->easy, CURLOPT_OPENSOCKETDATA, q);
    curl_easy_setopt(q->easy, CURLOPT_CLOSESOCKETFUNCTION, sock_close);
    curl_easy_setopt(q->easy, CURLOPT_CLOSESOCKETDATA, q->http);
}

/* Each member's proxy has its own port, by which curl keeps connections: members share none. */
static void go_by_proxy(struct request *q, struct member *m)
{
    uint16_t port = m->forward_port;
    struct err e = ERR_INIT;
    char proxy[64];

    if (m->forward != NULL) /* if it cannot listen, `dial_forward` lets nothing out */
        port = forward_listen(m->forward, &e) == STATUS_OK ? forward_port(m->forward) : 0;
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", port);
    curl_easy_setopt(q->easy, CURLOPT_PROXY, proxy);
    if (m->forward != NULL)
        dial_with(q, dial_forward);
}

/* The forwarder names its own failures (x-fleet-error): plain HTTP as the answer, https as the
 * answer to CONNECT. What comes out of the tunnel is the target's, whatever it says. */
bool way_said(const struct request *q, enum status *s)
{
    long connect_code = 0;

    if (q->direct || q->fleet_error == NULL || q->easy == NULL)
        return false;
    curl_easy_getinfo(q->easy, CURLINFO_HTTP_CONNECTCODE, &connect_code);
    if (q->secure && (connect_code == 200 || (q->member->forward != NULL && !q->dialled)))
        return false;
    if (!status_find(q->fleet_error, s) || *s == STATUS_OK)
        *s = STATUS_PROXY_FAILED;
    return true;
}

/* --- directly --- */

/* The connection stands or failed, after curl was told that there is none. */
static void on_way(struct direct *d, void *arg)
{
    struct request *q = arg;
    uint64_t age_ms = loop_now_ms(q->http->loop) - q->started_ms;

    if (!q->parked)
        return; /* curl asks again, or ends the request first */
    if (direct_state(d) == DIRECT_READY && age_ms < q->timeout_ms) {
        q->parked = false;
        curl_easy_setopt(q->easy, CURLOPT_TIMEOUT_MS, (long)(q->timeout_ms - age_ms));
        if (curl_multi_add_handle(q->http->multi, q->easy) == CURLM_OK)
            return;
    }
    if (direct_state(d) == DIRECT_FAILED) {
        q->failure = xcalloc(1, sizeof(*q->failure));
        direct_error(d, q->failure);
    }
    request_over(q, CURLE_OPERATION_TIMEDOUT);
}

static curl_socket_t dial_direct(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct request *q = arg;
    struct direct_to to = {
        .host = q->host, .port = q->port, .timeout_ms = q->timeout_ms, .accounts = q->accounts};
    int fd;

    (void)purpose;
    (void)address;
    if (q->way == NULL)
        q->way = direct_open(q->member->forward, &to, on_way, q);
    if (direct_state(q->way) != DIRECT_READY)
        return CURL_SOCKET_BAD;
    fd = direct_fd(q->way);
    sock_dialled(q, fd, steal_ptr(&q->way));
    return fd;
}

/* libcurl before 8.0 calls connect all the same: Linux then answers 0, once, where the connection
 * was made by a socket that did not block. */
static int it_stands(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    (void)arg;
    (void)fd;
    (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

bool way_goes_on(struct request *q, CURLcode rc)
{
    if (rc != CURLE_COULDNT_CONNECT || q->way == NULL || q->cancelled != STATUS_OK)
        return false;
    curl_multi_remove_handle(q->http->multi, q->easy);
    if (direct_state(q->way) == DIRECT_READY)
        return curl_multi_add_handle(q->http->multi, q->easy) == CURLM_OK;
    if (direct_state(q->way) == DIRECT_FAILED) {
        q->failure = xcalloc(1, sizeof(*q->failure));
        direct_error(q->way, q->failure);
        return false;
    }
    q->parked = true;
    return true;
}

/* Where a URL leads that url_parse has written: q->host and q->port. */
static bool read_host(struct request *q, struct str url)
{
    struct str rest = str_skip(url, q->secure ? strlen("https://") : strlen("http://")), host, port;
    bool bracket = str_starts(rest, STR("["));
    uint64_t n = q->secure ? 443 : 80;

    rest = str_n(rest.ptr, strcspn(rest.ptr, "/?#"));
    host = bracket ? str_skip(rest, 1) : rest;
    port = host;
    host = str_cut(&port, bracket ? ']' : ':');
    if (bracket && port.ptr != NULL)
        port = str_skip(port, 1);
    if (host.len == 0 || str_chr(rest, '@') >= 0 ||
        (port.len > 0 && (!str_to_u64(port, UINT16_MAX, &n) || n == 0)))
        return false;
    q->host = xcalloc(1, host.len + 1);
    memcpy(q->host, host.ptr, host.len);
    q->port = (uint16_t)n;
    return true;
}

/* FNV-1a; those that meet share a list of curl's and nothing else. */
static uint32_t hash_of(const char *host)
{
    uint32_t h = 2166136261U;

    for (const char *p = host; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 16777619U;
    return h;
}

/* What the pool of connections knows them by: the member, in the port and 12 bits of the address,
 * and the target in the other 16 as well, because curl looks at each connection under a name (a
 * system call) before it compares anything else. An IPv6 address would have room for all of both,
 * but curl writes it out, or reads it, at nine places of each request. */
static void name_door(struct request *q, struct member *m)
{
    uint32_t n, h = hash_of(q->host);

    if (m->http_door == 0)
        m->http_door = q->http->n_doors < DOORS_MAX ? ++q->http->n_doors : DOORS_MAX;
    n = m->http_door;
    if (n ==
        DOORS_MAX) { /* so many identities were there: connections of later ones are not kept */
        curl_easy_setopt(q->easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(q->easy, CURLOPT_FORBID_REUSE, 1L);
        n = 0;
    }
    h ^= h >> 16;
    snprintf(q->to_text, sizeof q->to_text, "::%u.%u.%u.%u:%u", 240 | n >> DOOR_PORT_BITS >> 8,
             n >> DOOR_PORT_BITS & 0xff, h >> 8 & 0xff, h & 0xff,
             (1U << DOOR_PORT_BITS) | (n & ((1U << DOOR_PORT_BITS) - 1)));
    q->to = (struct curl_slist){.data = q->to_text};
    curl_easy_setopt(q->easy, CURLOPT_CONNECT_TO, &q->to);
}

static bool go_directly(struct request *q, struct member *m, struct str url)
{
    struct err e = ERR_INIT;

    q->direct = true;
    if (!read_host(q, url)) {
        fail(q, STATUS_INVALID, "a URL without a host");
        return false;
    }
    if (direct_ask(m->forward, q->host, q->port, &q->accounts, &e) != STATUS_OK) {
        q->failure = xcalloc(1, sizeof(*q->failure));
        *q->failure = e;
        return false;
    }
    name_door(q, m);
    curl_easy_setopt(q->easy, CURLOPT_PROXY, ""); /* nor one of the environment */
    curl_easy_setopt(q->easy, CURLOPT_SOCKOPTFUNCTION, it_stands);
    curl_easy_setopt(q->easy, CURLOPT_TCP_NODELAY, 0L); /* it has that already */
    dial_with(q, dial_direct);
    return true;
}

bool way_set_up(struct request *q, const struct http_request *r)
{
    struct member *m = r->member;

    curl_easy_setopt(q->easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(q->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    /* Names are none of curl's business, and its cache is searched at the end of each request. */
    curl_easy_setopt(q->easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    /* A session is an identity of its own, and handles go from member to member. */
    curl_easy_setopt(q->easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    /* On a kept connection that turns out dead curl sends a request again, whatever it is. */
    if (strcmp(r->method, "POST") == 0)
        curl_easy_setopt(q->easy, CURLOPT_FRESH_CONNECT, 1L);
    if (m->forward != NULL && direct_applies(m->forward))
        return go_directly(q, m, r->href);
    go_by_proxy(q, m);
    return true;
}

/* --- what a forwarder sees to with plain HTTP, where curl takes things more lightly --- */

static void take_plain_head(struct request *q)
{
    struct http1_response r;
    struct err e = ERR_INIT;

    if (q->head.len > FORWARD_HEAD_MAX)
        fail(q, STATUS_PROTOCOL, "the head of the response is larger than 64 KiB");
    else if (http1_parse_response(buf_str(&q->head), q->is_head, &r, &e) != STATUS_OK)
        fail(q, STATUS_PROTOCOL, err_text(&e));
    else if (r.status == 407)
        fail(q, STATUS_PROTOCOL, "the credentials for the proxy are refused");
    else if (r.interim ? ++q->interim > FORWARD_INTERIM_MAX : r.status == 101)
        fail(q, STATUS_PROTOCOL, "an interim response that nobody asked for");
    else
        q->head_ended = !r.interim;
}

bool way_take_head(struct request *q)
{
    long status = 0; /* none yet: the answer to CONNECT */

    if (q->head_ended)
        return true;
    if (q->direct && !q->secure) {
        take_plain_head(q);
        return q->failure == NULL;
    }
    curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &status);
    q->head_ended = status >= 200;
    return true;
}

/* Of a tunnel, a broken connection is told as such: it may be the proxy's. */
static bool is_end_of_connection(const struct request *q, CURLcode rc)
{
    if (rc == CURLE_RECV_ERROR || rc == CURLE_SEND_ERROR)
        return q->direct && !q->secure;
    return rc == CURLE_OK || rc == CURLE_GOT_NOTHING || rc == CURLE_PARTIAL_FILE;
}

/* curl takes a head without an end for one. */
static void look_at_end(struct request *q, CURLcode rc)
{
    if (q->head_ended || q->failure != NULL || q->too_large || q->cancelled != STATUS_OK ||
        !is_end_of_connection(q, rc))
        return;
    fail(q, STATUS_UNAVAILABLE,
         q->head.len > 0 ? "the connection ended within the head of the response"
                         : "the connection ended without a response");
}

void way_settle(struct request *q, CURLcode rc)
{
    long head_in = 0, head_out = 0;
    curl_off_t in = 0, out = 0;
    struct direct_use u;
    bool began;

    if (q->easy == NULL)
        return;
    curl_easy_getinfo(q->easy, CURLINFO_REQUEST_SIZE, &head_out);
    began = head_out > 0;
    if (began)
        look_at_end(q, rc);
    if (!q->direct || q->accounts == NULL)
        return;
    curl_easy_getinfo(q->easy, CURLINFO_HEADER_SIZE, &head_in);
    curl_easy_getinfo(q->easy, CURLINFO_SIZE_DOWNLOAD_T, &in);
    curl_easy_getinfo(q->easy, CURLINFO_SIZE_UPLOAD_T, &out);
    u = (struct direct_use){.in = (uint64_t)(head_in + in),
                            .out = (uint64_t)(head_out + out),
                            .reused = began && !q->dialled,
                            .failed = began && q->failure != NULL};
    direct_count(q->member->forward, q->accounts, &u);
}
