#include "core/api/api.h"

#include "core/api/api_internal.h"
#include "core/base/file.h"

/* API.md has the same rows, in this order: tests/unit/api/test_api_doc.c. */
static const struct route routes[] = {
    {HTTP_GET, "/healthz", api_health, .doc = "whether the engine takes work"},
    {HTTP_GET, "/metrics", api_metrics, .doc = "the engine's counts, as Prometheus reads them"},
    {HTTP_GET, "/v1", api_index, .doc = "the routes"},
    {HTTP_GET, "/v1/status", api_status,
     .doc = "statistics, busy slots, targets, members, executor"},
    {HTTP_GET, "/v1/config", api_config, .doc = "settings and configuration"},
    {HTTP_PATCH, "/v1/config", api_config_patch, .doc = "change settings at run time"},
    {HTTP_POST, "/v1/scale", api_scale, .doc = "change the number of slots"},
    {HTTP_POST, "/v1/pause", api_pause, .doc = "hold back new tasks"},
    {HTTP_POST, "/v1/resume", api_resume, .doc = "let new tasks run again"},
    {HTTP_POST, "/v1/drain", api_drain, .doc = "finish what runs, then end"},
    {HTTP_POST, "/v1/batches", api_batch_submit, .doc = "submit a batch"},
    {HTTP_GET, "/v1/batches", api_batches, .doc = "the batches in memory"},
    {HTTP_GET, "/v1/batches/{id}", api_batch, .doc = "one batch"},
    {HTTP_DELETE, "/v1/batches/{id}", api_batch_cancel, .doc = "cancel a batch"},
    {HTTP_POST, "/v1/batches/{id}/cancel", api_batch_cancel, .doc = "cancel a batch"},
    {HTTP_POST, "/v1/batches/{id}/remove", api_batch_remove,
     .doc = "remove a batch that is over, with a signed receipt"},
    {HTTP_POST, "/v1/batches/remove", api_batches_remove,
     .doc = "remove those that ended long ago"},
    {HTTP_GET, "/v1/batches/{id}/results", api_batch_results, .doc = "results, as NDJSON"},
    {HTTP_GET, "/v1/batches/{id}/summary", api_batch_summary,
     .doc = "counts, durations, per target, per error"},
    {HTTP_GET, "/v1/breakers", api_breakers, .doc = "targets whose breaker is open"},
    {HTTP_POST, "/v1/breakers/{target}/reset", api_breaker_reset,
     .doc = "close a breaker, with a signed receipt"},
    {HTTP_POST, "/v1/members/{member}/rotate", api_member_rotate,
     .doc = "give a member another identity, with a signed receipt"},
    {HTTP_GET, "/v1/events", api_events, .doc = "the event log, as NDJSON"},
    {.pattern = NULL},
};

const struct route *api_routes(void)
{
    return routes;
}

char *api_socket_path(const char *state_dir)
{
    return file_join(state_dir, "run/control.sock");
}

/* --- life --- */

enum status api_open(const struct api_opts *o, struct api **out, struct err *e)
{
    static const char *const headers[] = {"idempotency-key", NULL};
    struct api *a = xcalloc(1, sizeof(*a));
    const struct server_opts opts = {
        .loop = engine_loop(o->engine),
        .unix_path = o->socket,
        .routes = routes,
        .arg = a,
        .headers = headers,
        .body_max = API_BODY_MAX,
    };
    enum status s = server_open(&opts, &a->server, e);

    *out = NULL;
    a->opts = *o;
    a->engine = o->engine;
    if (s == STATUS_OK)
        *out = a;
    else
        free(a);
    return s;
}

void api_stop(struct api *a)
{
    server_stop(a->server);
}

struct closing {
    struct api *api;
    void (*closed)(void *arg);
    void *arg;
};

static void on_closed(void *arg)
{
    struct closing c = *(struct closing *)arg;

    free(arg);
    free(c.api);
    if (c.closed)
        c.closed(c.arg);
}

void api_close(struct api *a, void (*closed)(void *arg), void *arg)
{
    struct closing *c = xcalloc(1, sizeof(*c));

    *c = (struct closing){a, closed, arg};
    server_close(a->server, on_closed, c);
}

/* --- what handlers share --- */

void api_answer_errors(struct exchange *x, const struct err *e, const struct buf *lines)
{
    struct json *error = json_new_object(), *all = json_new_array();
    struct str rest = buf_str(lines);

    json_add_str(error, "code", status_name(e->status));
    json_add(error, "message", json_new_str(str_from(err_text(e))));
    while (rest.ptr) {
        struct str line = str_cut(&rest, '\n');

        if (line.len > 0)
            json_push(all, json_new_str(line));
    }
    json_add(error, "errors", all);
    exchange_answer_json(x, (unsigned)status_http(e->status),
                         json_add(json_new_object(), "error", error));
}

bool api_decode(struct exchange *x, const struct json_schema *schema, void *obj)
{
    struct err e = ERR_INIT;
    struct json *j = exchange_json(x, &e);
    struct json_decode d;
    bool ok;

    if (!j) {
        exchange_answer_err(x, &e);
        return false;
    }
    json_decode_init(&d, exchange_arena(x), NULL);
    if (json_type(j) != JSON_OBJECT)
        json_fail(&d, NULL, "found %s, expected an object", json_type_name(json_type(j)));
    else
        (void)json_decode(&d, schema, j, obj);
    ok = json_decode_status(&d, "body", &e) == STATUS_OK;
    if (!ok)
        exchange_answer_err(x, &e);
    json_destroy(&j);
    return ok;
}

bool api_check_query(struct exchange *x, const char *const *known)
{
    struct err e = ERR_INIT;

    if (exchange_check_query(x, known, &e) == STATUS_OK)
        return true;
    exchange_answer_err(x, &e);
    return false;
}

bool api_no_body(struct exchange *x)
{
    static const struct json_schema nothing = {.name = "body"};
    static const char *const none[] = {NULL};
    int unused = 0;

    return api_check_query(x, none) && api_decode(x, &nothing, &unused);
}
