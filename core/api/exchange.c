/* A request and its answer. An exchange lives until it has been answered and the answer has been
 * written, or its client has gone: whichever of "answered" and "left" comes last frees it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/api/http_internal.h"

enum { EXCHANGE_ARENA_MAX = 1024 * 1024 };

void pairs_add(struct arena *a, struct pairs *p, const char *name, const char *value)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 8;
        struct name_value *v = arena_array(a, struct name_value, cap);

        if (p->n)
            memcpy(v, p->v, p->n * sizeof(*v));
        p->v = v;
        p->cap = cap;
    }
    p->v[p->n++] = (struct name_value){name, value};
}

static const char *pairs_find(const struct pairs *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->v[i].name, name) == 0)
            return p->v[i].value;
    }
    return NULL;
}

/* --- life --- */

struct exchange *http_exchange_create(struct conn *c, enum http_method m, const char *path)
{
    struct arena *a = arena_create(NULL, EXCHANGE_ARENA_MAX);
    struct exchange *x = arena_new(a, struct exchange);

    x->arena = a;
    x->conn = c;
    x->server = c->server;
    x->method = m;
    x->path = arena_strdup(a, path);
    buf_init(&x->body, c->server->opts.body_max);
    return x;
}

static void exchange_free(struct exchange *x)
{
    struct arena *a = x->arena;

    buf_deinit(&x->body);
    buf_deinit(&x->reply);
    arena_destroy(&a);
}

void exchange_leave(struct exchange *x)
{
    x->conn = NULL;
    if (x->answered || !x->route || x->reading) {
        exchange_free(x); /* nobody has it, or nobody any more */
        return;
    }
    if (x->on_gone)
        x->on_gone(x->on_gone_arg, x);
}

/* --- the request --- */

enum http_method exchange_method(const struct exchange *x)
{
    return x->method;
}

const char *exchange_path(const struct exchange *x)
{
    return x->path;
}

const char *exchange_param(const struct exchange *x, const char *name)
{
    for (size_t i = 0; i < x->n_params; i++) {
        if (str_eqz(x->params[i].name, name))
            return x->params[i].value.ptr; /* made a text of its own in exchange_find_route */
    }
    return NULL;
}

const char *exchange_query(const struct exchange *x, const char *name)
{
    return pairs_find(&x->query, name);
}

bool exchange_query_at(const struct exchange *x, size_t i, const char **name, const char **value)
{
    if (i >= x->query.n)
        return false;
    *name = x->query.v[i].name;
    *value = x->query.v[i].value;
    return true;
}

const char *exchange_header(const struct exchange *x, const char *name)
{
    return pairs_find(&x->headers, name);
}

struct str exchange_body(const struct exchange *x)
{
    return buf_str(&x->body);
}

struct json *exchange_json(const struct exchange *x, struct err *e)
{
    struct str text = str_trim(exchange_body(x));
    struct json *j;

    if (text.len == 0)
        return json_new_object();
    j = json_parse(text, true, e);
    if (!j)
        (void)err_prefix(e, "body");
    return j;
}

enum status exchange_check_query(const struct exchange *x, const char *const *known, struct err *e)
{
    size_t n_known = 0;

    while (known[n_known])
        n_known++;
    for (size_t i = 0; i < x->query.n; i++) {
        const char *name = x->query.v[i].name, *near;
        size_t k = 0;

        while (k < n_known && strcmp(known[k], name) != 0)
            k++;
        if (k < n_known)
            continue;
        near = str_suggest(str_from(name), known, n_known);
        return err_set(e, STATUS_INVALID, "query: unknown parameter \"%.*s\"%s%s%s",
                       (int)str_head(str_from(name), 64).len, name, near ? ", did you mean \"" : "",
                       near ? near : "", near ? "\"?" : "");
    }
    return STATUS_OK;
}

enum status exchange_query_u64(const struct exchange *x, const char *name, uint64_t min,
                               uint64_t max, uint64_t otherwise, uint64_t *out, struct err *e)
{
    const char *text = exchange_query(x, name);

    *out = otherwise;
    if (!text)
        return STATUS_OK;
    if (str_to_u64(str_from(text), max, out) && *out >= min)
        return STATUS_OK;
    return err_set(e, STATUS_INVALID,
                   "query: %s: found \"%.*s\", expected an integer from %" PRIu64 " to %" PRIu64,
                   name, (int)str_head(str_from(text), 64).len, text, min, max);
}

struct arena *exchange_arena(struct exchange *x)
{
    return x->arena;
}

struct server *exchange_server(const struct exchange *x)
{
    return x->server;
}

const char *exchange_token(const struct exchange *x)
{
    const char *auth = exchange_header(x, "authorization");

    if (auth && str_starts_nocase(str_from(auth), STR("bearer ")))
        return str_trim(str_from(auth + 7)).ptr;
    return exchange_query(x, "token");
}

/* --- routes --- */

static bool row_fits(const struct exchange *x, const struct route *r)
{
    if (r->upgrade != x->upgrade)
        return false;
    return r->method == x->method || (r->method == HTTP_GET && x->method == HTTP_HEAD);
}

static void take_params(struct exchange *x)
{
    for (size_t i = 0; i < x->n_params; i++)
        x->params[i].value = arena_str(x->arena, x->params[i].value);
}

static void no_route(struct exchange *x, const struct buf *allow, bool wants_upgrade)
{
    if (wants_upgrade) {
        exchange_set_header(x, "upgrade", "websocket");
        exchange_answer_json(
            x, 426,
            json_add(json_new_object(), "error",
                     json_add_str(json_add_str(json_new_object(), "code", "INVALID"), "message",
                                  "a WebSocket is expected here")));
    } else if (allow->len > 0) {
        struct json *error = json_new_object();
        struct buf text = BUF_INIT(1024);

        exchange_set_header(x, "allow", allow->ptr);
        buf_addf(&text, "%s: found %s, expected %s", x->path, http_method_name(x->method),
                 allow->ptr);
        json_add_str(error, "code", status_name(STATUS_INVALID));
        json_add(error, "message", json_new_str(buf_str(&text)));
        exchange_answer_json(x, 405, json_add(json_new_object(), "error", error));
        buf_deinit(&text);
    } else {
        exchange_fail(x, STATUS_NOT_FOUND, "%.200s: no such path%s", x->path,
                      x->upgrade ? " for a WebSocket" : "");
    }
}

bool exchange_find_route(struct exchange *x)
{
    const struct server_opts *o = &x->server->opts;
    struct buf allow = BUF_INIT(256);
    bool wants_upgrade = false;

    if (o->before && !o->before(x, o->arg))
        return false;
    for (const struct route *r = o->routes; r->pattern; r++) {
        if (!route_match(r->pattern, x->path, x->params, &x->n_params))
            continue;
        if (row_fits(x, r)) {
            take_params(x);
            x->route = r;
            buf_deinit(&allow);
            return true;
        }
        wants_upgrade = wants_upgrade || (r->upgrade && x->method == HTTP_GET);
        if (!r->upgrade && !x->upgrade)
            buf_addf(&allow, "%s%s", allow.len ? ", " : "", http_method_name(r->method));
    }
    x->n_params = 0;
    no_route(x, &allow, wants_upgrade);
    buf_deinit(&allow);
    return false;
}

/* --- the answer --- */

bool exchange_is_gone(const struct exchange *x)
{
    return !x->conn;
}

void exchange_on_gone(struct exchange *x, void (*fn)(void *arg, struct exchange *x), void *arg)
{
    x->on_gone = fn;
    x->on_gone_arg = arg;
}

void exchange_set_header(struct exchange *x, const char *name, const char *value)
{
    pairs_add(x->arena, &x->answer_headers, arena_strdup(x->arena, name),
              arena_strdup(x->arena, value));
}

/* The reply's body is in place. */
static void answered(struct exchange *x, unsigned code, const char *type)
{
    BUG_ON(x->answered || x->accepted);
    x->answered = true;
    x->code = code;
    x->type = type ? arena_strdup(x->arena, type) : NULL;
    x->on_gone = NULL;
    if (x->conn)
        conn_answer_ready(x->conn);
    else
        exchange_free(x);
}

void exchange_answer(struct exchange *x, unsigned code, const char *type, struct str body)
{
    buf_init(&x->reply, body.len + 1);
    buf_addstr(&x->reply, body);
    answered(x, code, type);
}

void exchange_answer_buf(struct exchange *x, unsigned code, const char *type, struct buf *body)
{
    if (buf_status(body) != STATUS_OK) {
        enum status s = buf_status(body);

        buf_deinit(body);
        exchange_fail(x, s == STATUS_TOO_LARGE ? STATUS_NO_MEMORY : s,
                      "the answer is larger than can be sent at once");
        return;
    }
    x->reply = *body;
    *body = (struct buf)BUF_INIT(1);
    answered(x, code, type);
}

void exchange_answer_json(struct exchange *x, unsigned code, struct json *j)
{
    struct buf text = BUF_INIT(BUF_MAX_FILE);

    json_print(j, 0, &text);
    buf_addc(&text, '\n');
    json_destroy(&j);
    exchange_answer_buf(x, code, "application/json", &text);
}

void exchange_answer_err(struct exchange *x, const struct err *e)
{
    struct json *error = json_new_object();

    json_add_str(error, "code", status_name(e->status));
    json_add(error, "message", json_new_str(str_from(err_text(e))));
    exchange_answer_json(x, (unsigned)status_http(e->status),
                         json_add(json_new_object(), "error", error));
}

void exchange_fail(struct exchange *x, enum status s, const char *fmt, ...)
{
    struct err e = ERR_INIT;
    char text[ERR_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)err_set(&e, s, "%s", text);
    exchange_answer_err(x, &e);
}

void exchange_answer_none(struct exchange *x)
{
    answered(x, 204, NULL);
}

struct ws *exchange_accept(struct exchange *x, const struct ws_opts *o)
{
    BUG_ON(!x->upgrade || x->answered || x->accepted || !x->conn);
    x->accepted = ws_create(x->conn, o);
    return x->accepted;
}
