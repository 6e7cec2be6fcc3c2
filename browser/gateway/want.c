/* What is asked of a new lease: the body of POST /v1/leases, and the query of a socket that is one.
 */
#include "browser/gateway/gateway_internal.h"

enum { LEASE_BODY_MAX = 64 * 1024 };

static const struct lease_want usual = {
    .ttl_ms = LEASE_TTL_MS,
    .idle_ms = LEASE_IDLE_MS,
    .grace_ms = LEASE_GRACE_MS,
    .wait_ms = LEASE_WAIT_MS,
};

struct lease_body {
    struct limit_rate rate;
    int64_t ttl_ms, idle_ms, grace_ms, wait_ms;
    const char *identity, *fleet, *proxy;
    int context, isolation;
    bool has_isolation;
};

static const char *const lease_contexts[] = {"fresh", "kept", NULL};
static const char *const lease_isolations[] = {"context", "process", NULL};

static const struct json_field limits_fields[] = {
    {JF_COMMON(struct limit_rate, max_requests), .kind = JK_DOUBLE, .required = true, .dmin = 0.001,
     .dmax = 1e6, .doc = "Documents of one host in window_ms."},
    {JF_COMMON(struct limit_rate, window_ms), .kind = JK_INT, .min = 1, .max = 86400000,
     .doc = "Milliseconds, default 1000."},
};
static const struct json_schema limits_schema = {
    .name = "limits",
    .fields = limits_fields,
    .n = ARRAY_LEN(limits_fields),
    .size = sizeof(struct limit_rate),
};

static const struct json_field body_fields[] = {
    {JF_COMMON(struct lease_body, ttl_ms), .kind = JK_INT, .min = 1000, .max = LEASE_TTL_MAX_MS,
     .doc = "Milliseconds after which it ends, 1000..86400000, default 1800000."},
    {JF_COMMON(struct lease_body, idle_ms), .kind = JK_INT, .min = 1000, .max = LEASE_TTL_MAX_MS,
     .doc = "Milliseconds without a word of its client, default 300000."},
    {JF_COMMON(struct lease_body, grace_ms), .kind = JK_INT, .min = 0, .max = LEASE_TTL_MAX_MS,
     .doc = "Milliseconds it is held for a client whose socket was lost, default 60000."},
    {JF_COMMON(struct lease_body, wait_ms), .kind = JK_INT, .min = 0, .max = LEASE_WAIT_MAX_MS,
     .doc = "Milliseconds it waits while memory or processors are short, then 503; 0..60000, "
            "default 10000."},
    {JF_COMMON(struct lease_body, identity), .kind = JK_STR, .min = 1, .max = 64,
     .doc = "Id of the identity; default any that is free."},
    {JF_COMMON(struct lease_body, fleet), .kind = JK_STR, .min = 1, .max = 128,
     .doc = "Name of the fleet; there is the server's own."},
    {JF_COMMON(struct lease_body, proxy), .kind = JK_STR, .min = 1, .max = 63,
     .doc = "Id of the proxy that the member goes out by, as leases tell it; default any."},
    {.name = "limits",
     .offset = offsetof(struct lease_body, rate),
     .kind = JK_OBJECT,
     .sub = &limits_schema,
     .doc = "A rate of its own, not above the server's."},
    {JF_COMMON(struct lease_body, context), .kind = JK_ENUM, .names = lease_contexts,
     .doc = "\"kept\": cookies stay with the member afterwards; default \"fresh\"."},
    {JF_COMMON(struct lease_body, isolation), .kind = JK_ENUM, .names = lease_isolations,
     .seen_offset = offsetof(struct lease_body, has_isolation),
     .doc = "The server's own isolation, for those who rely on it."},
};
static const struct json_schema body_schema = {
    .name = "lease",
    .fields = body_fields,
    .n = ARRAY_LEN(body_fields),
    .size = sizeof(struct lease_body),
};

/* What is asked for in place of what this server has. */
static enum status check_limits(const struct gateway *g, const struct limit_rate *r, struct err *e)
{
    const struct limit_rate *ours = &g->deps.conf->limits.rate;

    if (r->max_requests == 0)
        return STATUS_OK;
    if (r->max_requests / (double)r->window_ms <=
        ours->max_requests / (double)ours->window_ms * (1 + 1e-9))
        return STATUS_OK;
    return err_set(
        e, STATUS_INVALID,
        "lease: /limits: found %g requests in %llu ms, expected at most this server's %g "
        "in %llu ms: a lease may be slower, not faster",
        r->max_requests, (unsigned long long)r->window_ms, ours->max_requests,
        (unsigned long long)ours->window_ms);
}

static enum status check_body(const struct gateway *g, const struct lease_body *b, struct err *e)
{
    const struct campaign_conf *conf = g->deps.conf;

    if (b->has_isolation && b->isolation != (int)conf->isolation)
        return err_set(e, STATUS_INVALID, "lease: /isolation: found \"%s\", this server has \"%s\"",
                       lease_isolations[b->isolation], lease_isolations[conf->isolation]);
    if (b->fleet != NULL && conf->name != NULL && strcmp(b->fleet, conf->name) != 0)
        return err_set(e, STATUS_NOT_FOUND, "lease: /fleet: found \"%s\", this server has \"%s\"",
                       b->fleet, conf->name);
    return check_limits(g, &b->rate, e);
}

enum status want_of_body(const struct gateway *g, struct exchange *x, struct lease_want *out,
                         struct err *e)
{
    struct lease_body b = {.ttl_ms = LEASE_TTL_MS,
                           .idle_ms = LEASE_IDLE_MS,
                           .grace_ms = LEASE_GRACE_MS,
                           .wait_ms = LEASE_WAIT_MS,
                           .rate = {.window_ms = 1000}};
    struct json *body;
    struct json_decode d;
    enum status s;

    if (exchange_body(x).len > LEASE_BODY_MAX)
        return err_set(e, STATUS_TOO_LARGE, "lease: found %zu bytes, expected at most %d",
                       exchange_body(x).len, LEASE_BODY_MAX);
    body = exchange_json(x, e);
    if (body == NULL)
        return STATUS_INVALID;
    json_decode_init(&d, exchange_arena(x), NULL);
    (void)json_decode(&d, &body_schema, body, &b);
    s = json_decode_status(&d, "lease", e);
    json_destroy(&body);
    if (s == STATUS_OK)
        s = check_body(g, &b, e);
    *out = (struct lease_want){
        .ttl_ms = (uint64_t)b.ttl_ms,
        .idle_ms = (uint64_t)b.idle_ms,
        .grace_ms = (uint64_t)b.grace_ms,
        .wait_ms = (uint64_t)b.wait_ms,
        .identity = b.identity,
        .proxy = b.proxy,
        .rate = b.rate,
        .keep = b.context == 1,
    };
    return s;
}

/* ?timeout=MS is the whole time, as with browserless; ?wait_ms=MS as in the body of a lease. */
enum status want_of_query(const struct exchange *x, struct lease_want *out, struct err *e)
{
    enum status s;

    *out = usual;
    s = exchange_query_u64(x, "timeout", 1000, LEASE_TTL_MAX_MS, usual.ttl_ms, &out->ttl_ms, e);
    if (s != STATUS_OK)
        return s;
    return exchange_query_u64(x, "wait_ms", 0, LEASE_WAIT_MAX_MS, usual.wait_ms, &out->wait_ms, e);
}
