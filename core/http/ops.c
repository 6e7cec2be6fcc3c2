/* HTTP ops. A redirect is a request to a target like any other: each hop is an op of its own
 * (http.hop) that passes the gate, and the op that began it waits for the last. */
#include "core/http/ops.h"

#include <strings.h>

#include "core/http/fetch.h"
#include "core/op/outcome.h"

enum {
    HTTP_BODY_DEFAULT = 8 * 1024 * 1024,
    HTTP_BODY_MAX = 64 * 1024 * 1024,
    HTTP_HEADERS_MAX = 64,
    HTTP_HEADERS_BYTES = 64 * 1024,
    HTTP_REDIRECTS_MAX = 20,
    ROBOTS_HOPS = 5,
    ROBOTS_BYTES = 512 * 1024,
};

struct http_args {
    const char *url;
    const struct json *headers;
    const char *body;
    const struct json *json;
    uint32_t max_bytes;
    uint32_t follow;
};

static bool headers_decode(struct json_decode *d, const struct json *j, void *field);

static const struct json_field http_fields[] = {
    {JF_COMMON(struct http_args, url), .kind = JK_STR, .required = true, .min = 1, .max = URL_MAX,
     .doc = "absolute http or https URL"},
    {JF_COMMON(struct http_args, headers), .kind = JK_FN, .fn = headers_decode,
     .doc = "object of further request headers, at most 64 and 65536 bytes; an empty one is "
            "left out; none that say where a request goes or ends (Host, Content-Length)"},
    {JF_COMMON(struct http_args, body), .kind = JK_STR, .doc = "request body, as text"},
    {JF_COMMON(struct http_args, json), .kind = JK_ANY,
     .doc = "request body, sent as application/json; instead of `body`"},
    {JF_COMMON(struct http_args, max_bytes), .kind = JK_UINT, .min = 1, .max = HTTP_BODY_MAX,
     .doc = "most bytes of the decoded body; default 8388608"},
    {JF_COMMON(struct http_args, follow), .kind = JK_UINT, .min = 0, .max = HTTP_REDIRECTS_MAX,
     .doc = "redirects to follow, 0..20; default 0"},
};
static void http_check(struct json_decode *d, void *obj);

static const struct json_schema http_schema = {
    .name = "http",
    .fields = http_fields,
    .n = ARRAY_LEN(http_fields),
    .size = sizeof(struct http_args),
    .check = http_check,
};

static void http_check(struct json_decode *d, void *obj)
{
    const struct http_args *args = obj;

    if (args->body != NULL && args->json != NULL)
        json_fail(d, "/json", "found beside \"body\", expected one of the two");
}

static bool is_one_of(const char *name, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcasecmp(name, *list) == 0)
            return true;
    return false;
}

/* Where a request goes is its URL's business, which policy and limits have seen; where it ends is
 * the connection's, which other requests use as well (RFC 9112 §6). */
static const char *const not_yours[] = {"host",
                                        "content-length",
                                        "transfer-encoding",
                                        "te",
                                        "trailer",
                                        "upgrade",
                                        "keep-alive",
                                        "proxy-connection",
                                        "proxy-authorization",
                                        "x-fleet-error",
                                        NULL};

/* RFC 9110 §5.6.2. */
static bool is_token(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && strspn(name, "!#$%&'*+-.^_`|~0123456789"
                                 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == n;
}

static bool headers_decode(struct json_decode *d, const struct json *j, void *field)
{
    size_t bytes = 0;

    if (json_type(j) != JSON_OBJECT || json_len(j) > HTTP_HEADERS_MAX)
        return json_fail(d, NULL, "expected an object of at most %d headers", HTTP_HEADERS_MAX);
    for (const struct json *h = json_first(j); h != NULL; h = json_next(h)) {
        const char *name = json_key(h), *v = json_str(h, NULL);

        if (v == NULL || strpbrk(v, "\r\n") != NULL || !is_token(name))
            return json_fail(d, NULL,
                             "\"%s\": expected a header name and a string without line ends", name);
        if (is_one_of(name, not_yours))
            return json_fail(d, NULL, "\"%s\": it is made from the URL and the body", name);
        bytes += strlen(name) + strlen(v);
    }
    if (bytes > HTTP_HEADERS_BYTES)
        return json_fail(d, NULL, "found %zu bytes, expected at most %d", bytes,
                         HTTP_HEADERS_BYTES);
    *(const struct json **)field = j;
    return true;
}

enum status http_op_target(struct op_call *call)
{
    struct url u;
    const char *text = json_str(json_get(call->params, "url"), NULL);
    enum status s;

    if (text == NULL)
        return err_set(&call->err, STATUS_INVALID, "%s: /url: missing, expected an absolute URL",
                       call->op->name);
    s = url_parse(call->arena, str_from(text), "http https", &u, &call->err);
    if (s != STATUS_OK)
        return s;
    call->url = u.href;
    call->host = u.host;
    return STATUS_OK;
}

/* --- one request of one op --- */

/* What a hop hands back to who asked for it: copied into the asking op's arena. */
struct answer {
    int status;
    struct str body, headers, location;
    const char *content_type;
};

struct hop {
    const struct http_args *args;
    const char *method;
    bool bodiless; /* a redirect made it a GET */
    bool foreign;  /* a redirect led to another origin */
    bool is_robots;
    struct answer answer;
    uint64_t request_id;
};

static void hop_cancel(struct op_call *call)
{
    const struct hop *h = call->run_state;

    http_cancel(gate_deps(call->gate)->http, h->request_id);
}

static void observe(struct op_call *call, const struct http_response *r)
{
    call->seen.http_status = r->status;
    call->seen.from_proxy = r->from_proxy;
    if (r->retry_after.len > 0)
        call->seen.retry_after_ms =
            outcome_retry_after_ms(r->retry_after, loop_wall_ms(gate_deps(call->gate)->loop));
}

static void answer_take(struct answer *a, struct arena *arena, const struct http_response *r)
{
    a->status = r->status;
    a->body = arena_str(arena, r->body);
    a->headers = arena_str(arena, r->headers);
    a->location = r->location.len > 0 ? arena_str(arena, r->location) : STR_NONE;
    a->content_type = arena_strdup(arena, r->content_type);
}

static void hop_done(void *arg, enum status s, const struct http_response *r, const struct err *e);

/* What a redirect leaves behind (RFC 9110 §15.4): what was said of the body, and what was meant for
 * the origin that was asked. */
static bool is_left_behind(const struct hop *h, const char *name)
{
    static const char *const of_body[] = {"content-type", "content-encoding", "content-language",
                                          "content-location", NULL};
    static const char *const of_origin[] = {"authorization", "cookie", NULL};

    return (h->bodiless && is_one_of(name, of_body)) || (h->foreign && is_one_of(name, of_origin));
}

/* The caller's headers as lines, and the type of a body that is JSON. */
static void headers_print(const struct op_call *call, const struct hop *h, const char **out)
{
    bool typed = h->args->json == NULL || h->bodiless;

    for (const struct json *x = json_first(h->args->headers); x != NULL; x = json_next(x)) {
        const char *v = json_str(x, "");

        if (is_left_behind(h, json_key(x)))
            continue;
        typed = typed || strcasecmp(json_key(x), "content-type") == 0;
        *out++ = arena_printf(call->arena, "%s: %s", json_key(x), v);
    }
    if (!typed)
        *out++ = "Content-Type: application/json";
    *out = NULL;
}

static void hop_send(struct op_call *call, struct hop *h, const char *url)
{
    const struct gate_deps *deps = gate_deps(call->gate);
    uint64_t now = loop_now_ms(deps->loop);
    const char *headers[HTTP_HEADERS_MAX + 2];
    struct buf body = BUF_INIT(HTTP_BODY_MAX);
    struct http_request r = {
        .method = h->method,
        .url = url,
        .href = call->url,
        .headers = headers,
        .timeout_ms = call->deadline_ms > now ? call->deadline_ms - now : 1,
        .max_bytes = h->args->max_bytes > 0 ? h->args->max_bytes : HTTP_BODY_DEFAULT,
        .beginning_will_do = h->is_robots, /* RFC 9309 §2.5 */
        .member = call->member,
    };

    headers_print(call, h, headers);
    if (h->args->json != NULL && !h->bodiless) {
        json_print(h->args->json, 0, &body);
        r.body = buf_str(&body);
    } else if (h->args->body != NULL && !h->bodiless) {
        r.body = str_from(h->args->body);
    }
    call->cancel = hop_cancel;
    h->request_id = http_start(deps->http, &r, hop_done, call);
    buf_deinit(&body);
}

/* --- http.hop: one hop, nothing followed; its answer goes to the op that asked --- */

static void hop_run(struct op_call *call)
{
    struct hop *h = call->run_state;

    hop_send(call, h, arena_strndup(call->arena, call->url.ptr, call->url.len));
}

static const struct op hop_op = {
    .name = "http.hop",
    .summary = "one redirect of an http op",
    .flags = OP_TOUCHES_TARGET | OP_INTERNAL,
    .run = hop_run,
};

/* Of robots.txt: a hop that asked for the rules would wait for the request that waits for it. */
static const struct op robots_hop_op = {
    .name = "http.robots",
    .summary = "one redirect of a robots.txt",
    .flags = OP_TOUCHES_TARGET | OP_INTERNAL | OP_NO_ROBOTS,
    .run = hop_run,
};

static bool is_hop(const struct op_call *call)
{
    return call->op == &hop_op || call->op == &robots_hop_op;
}

/* --- http.get and its like --- */

struct exchange {
    struct hop hop; /* first: hop_done finds it through run_state */
    struct op_call *call;
    uint32_t hops_left;
    struct op_call next; /* the hop under way */
    bool in_hop;
};

static void exchange_cancel(struct op_call *call)
{
    struct exchange *x = call->run_state;

    if (x->in_hop)
        gate_cancel(call->gate, &x->next, STATUS_CANCELLED);
    else
        hop_cancel(call);
}

static struct json *result_build(const struct answer *a, struct str url)
{
    struct json *j = json_new_object();
    struct buf b64 = BUF_INIT(HTTP_BODY_MAX * 2);

    json_add(j, "url", json_new_str(url));
    json_add_num(j, "status", a->status);
    json_add_str(j, "content_type", a->content_type);
    json_add_num(j, "bytes", (double)a->body.len);
    json_add(j, "headers", json_new_str(a->headers));
    if (str_is_utf8(a->body)) {
        json_add(j, "body", json_new_str(a->body));
    } else {
        buf_add_base64(&b64, a->body.ptr, a->body.len);
        json_add(j, "body_base64", json_new_str(buf_str(&b64)));
    }
    buf_deinit(&b64);
    return j;
}

static bool is_redirect(const struct answer *a)
{
    return a->location.len > 0 && (a->status == 301 || a->status == 302 || a->status == 303 ||
                                   a->status == 307 || a->status == 308);
}

static void exchange_next(struct exchange *x);

static void next_done(struct op_call *next)
{
    struct exchange *x = next->ctx;
    struct op_call *call = x->call;

    x->in_hop = false;
    json_destroy(&next->result);
    if (next->status != STATUS_OK && next->status != STATUS_HTTP_4XX) {
        op_call_finish(call, next->status, &next->err, NULL);
        return;
    }
    exchange_next(x);
}

/* RFC 9110 §15.4: 303, and 301 and 302 after POST as everybody does it, become GET without a body.
 */
static void method_redirect(struct hop *h)
{
    bool post = strcmp(h->method, "POST") == 0;

    if ((h->answer.status == 303 && strcmp(h->method, "HEAD") != 0) ||
        (post && (h->answer.status == 301 || h->answer.status == 302))) {
        h->method = "GET";
        h->bodiless = true;
    }
}

/* Where the exchange has got to. */
static struct str exchange_at(const struct exchange *x)
{
    return x->next.url.len > 0 ? x->next.url : x->call->url;
}

static bool is_other_origin(struct arena *a, struct str from, const struct url *to)
{
    struct url u;

    return url_parse(a, from, "http https", &u, NULL) != STATUS_OK ||
           !str_eq(u.scheme, to->scheme) || !str_eq(u.host, to->host) || u.port != to->port;
}

static void exchange_next(struct exchange *x)
{
    struct op_call *call = x->call;
    struct answer *a = &x->hop.answer;
    struct url u;

    if (!is_redirect(a) || x->hops_left == 0) {
        op_call_finish(call, STATUS_OK, NULL, result_build(a, exchange_at(x)));
        return;
    }
    if (url_parse(call->arena, a->location, "http https", &u, &call->err) != STATUS_OK) {
        call->err.status = STATUS_PROTOCOL;
        err_prefix(&call->err, "redirect of %.*s", STR_ARG(exchange_at(x)));
        op_call_finish(call, STATUS_PROTOCOL, NULL, NULL);
        return;
    }
    x->hops_left--;
    x->hop.foreign = x->hop.foreign || is_other_origin(call->arena, exchange_at(x), &u);
    method_redirect(&x->hop);
    x->next = (struct op_call){
        .op = x->hop.is_robots ? &robots_hop_op : &hop_op,
        .member = call->member,
        .arena = call->arena,
        .url = u.href,
        .host = u.host,
        .deadline_ms = call->deadline_ms,
        .ctx = x,
        .parent = call->parent,
        .task_id = call->task_id,
        .accept_4xx = call->accept_4xx,
        .on_done = next_done,
        .run_state = &x->hop,
    };
    a->location = STR_NONE;
    x->in_hop = true;
    call->cancel = exchange_cancel;
    gate_run(call->gate, &x->next);
}

static void hop_done(void *arg, enum status s, const struct http_response *r, const struct err *e)
{
    struct op_call *call = arg;
    struct hop *h = call->run_state;

    observe(call, r);
    if (s != STATUS_OK || is_hop(call)) {
        if (s == STATUS_OK)
            answer_take(&h->answer, call->arena, r);
        op_call_finish(call, s, e, NULL);
        return;
    }
    answer_take(&h->answer, call->arena, r);
    exchange_next(container_of(h, struct exchange, hop));
}

static void http_run(struct op_call *call)
{
    struct exchange *x = arena_new(call->arena, struct exchange);
    const struct http_args *args = call->args;
    char *method = arena_strdup(call->arena, call->op->name + strlen("http."));

    for (char *p = method; *p != '\0'; p++)
        *p = (char)(*p - 'a' + 'A');
    x->call = call;
    x->hop.args = args;
    x->hop.method = method;
    x->hops_left = args->follow;
    call->run_state = x;
    hop_send(call, &x->hop, args->url);
}

/* --- robots.txt --- */

static void robots_run(struct op_call *call)
{
    struct exchange *x = call->run_state;

    hop_send(call, &x->hop, arena_strndup(call->arena, call->url.ptr, call->url.len));
}

static const struct op robots_op = {
    .name = "http.robots",
    .summary = "robots.txt of a target (RFC 9309)",
    .flags = OP_TOUCHES_TARGET | OP_INTERNAL | OP_NO_ROBOTS,
    .run = robots_run,
};

struct robots_fetch {
    struct arena *arena;
    struct exchange x;
    struct op_call call;
    struct http_args args;
    robots_done_fn *done;
    void *arg;
};

static void robots_over(struct op_call *call)
{
    struct robots_fetch *f = call->ctx;
    struct arena *a = f->arena;
    const struct answer *answer = &f->x.hop.answer;
    /* A 4xx is an answer too: there are no rules. 429 and 5xx are "unreachable" (RFC 9309
     * §2.3.1.4). */
    bool answered = call->status == STATUS_OK || call->status == STATUS_HTTP_4XX ||
                    call->status == STATUS_HTTP_403;

    bool own_fault = call->seen.from_proxy || call->status == STATUS_PROXY_NONE ||
                     call->status == STATUS_CANCELLED || call->status == STATUS_SHUTTING_DOWN ||
                     call->status == STATUS_RATE_LIMITED;

    f->done(f->arg, answered ? answer->status : own_fault ? -1 : 0, answer->body);
    json_destroy(&call->result);
    arena_destroy(&a);
}

void http_robots_fetch(void *fetch_arg, struct member *m, struct str url, uint64_t deadline_ms,
                       const unsigned char *parent, robots_done_fn *done, void *arg)
{
    struct gate *gate = *(struct gate **)fetch_arg;
    struct arena *a = arena_create(NULL, 0);
    struct robots_fetch *f = arena_new(a, struct robots_fetch);
    struct url u;

    f->arena = a;
    f->done = done;
    f->arg = arg;
    f->args.max_bytes = ROBOTS_BYTES;
    f->x.call = &f->call;
    f->x.hop.args = &f->args;
    f->x.hop.method = "GET";
    f->x.hop.is_robots = true;
    f->x.hops_left = ROBOTS_HOPS;
    /* Made from a URL that was parsed already. */
    BUG_ON(url_parse(a, url, "http https", &u, NULL) != STATUS_OK);
    f->call = (struct op_call){
        .op = &robots_op,
        .member = m,
        .arena = a,
        .url = u.href,
        .host = u.host,
        .deadline_ms = deadline_ms,
        .ctx = f,
        .parent = parent,
        .accept_4xx = true,
        .on_done = robots_over,
        .run_state = &f->x,
    };
    gate_run(gate, &f->call);
}

#define HTTP_ROW(verb, text)                                                                       \
    {                                                                                              \
        .name = "http." verb, .summary = text, .params = &http_schema,                             \
        .flags = OP_TOUCHES_TARGET | OP_HOLDS_RESULT, .run = http_run,                             \
    }

static const struct op rows[] = {
    HTTP_ROW("get", "asks for a resource with the member's headers, cookies and proxy"),
    HTTP_ROW("head", "asks for the headers of a resource"),
    HTTP_ROW("post", "sends a body to a resource"),
    HTTP_ROW("put", "stores a resource"),
    HTTP_ROW("delete", "removes a resource"),
};

void http_ops_add(struct op_table *t)
{
    op_table_add(t, rows, ARRAY_LEN(rows));
    op_table_add(t, &hop_op, 1);
    op_table_add(t, &robots_op, 1);
}
