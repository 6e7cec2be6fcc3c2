/* The calls: each checks its arguments, copies them into a call and starts it; its answer function
 * hands on what the backend found. */
#include "core/substrate/substrate_internal.h"

#include "core/record/merkle.h"

enum { STREAM_BYTES = 64 * 1024 * 1024 };

static void refuse(struct call *c, const char *what, uint64_t got, uint64_t min, uint64_t max)
{
    if (c->refused.status == STATUS_OK && (got < min || got > max))
        err_set(&c->refused, STATUS_INVALID, "%s: %llu, expected %llu..%llu", what,
                (unsigned long long)got, (unsigned long long)min, (unsigned long long)max);
}

static void take_bytes(struct call *c, const char *what, struct str bytes)
{
    if (c->refused.status != STATUS_OK)
        return;
    if (bytes.len > SUBSTRATE_BLOB_MAX)
        err_set(&c->refused, STATUS_TOO_LARGE, "%s of %zu bytes, the limit is %d", what, bytes.len,
                SUBSTRATE_BLOB_MAX);
    else
        c->bytes = arena_str(c->arena, bytes);
}

static void answer_done(struct call *c, enum status s, const struct err *e)
{
    if (c->fn.done)
        c->fn.done(c->arg, s, e);
}

/* --- events --- */

static void answer_events(struct call *c, enum status s, const struct err *e)
{
    c->fn.events(c->arg, s, s == STATUS_OK ? c->events : NULL, s == STATUS_OK ? c->n : 0, e);
}

void substrate_read(struct substrate *s, uint64_t after, const char *type, size_t max,
                    substrate_events_fn *done, void *arg)
{
    struct call *c = call_new(s, CALL_READ, answer_events, arg);

    c->fn.events = done;
    c->after = after;
    c->max = max;
    refuse(c, "events to read", max, 1, SUBSTRATE_READ_MAX);
    c->type = call_name(c, "type", type, true);
    call_start(c);
}

/* --- schedules --- */

void substrate_schedule(struct substrate *s, const struct substrate_event *ev, uint64_t at_wall_ms,
                        uint64_t after_ms, substrate_done_fn *done, void *arg)
{
    struct call *c = call_new(s, CALL_SCHEDULE, answer_done, arg);

    c->fn.done = done;
    c->id = call_name(c, "schedule", ev->id, false);
    refuse(c, "bytes of a schedule's id", strlen(c->id ? c->id : ""), 0, SUBSTRATE_SCHEDULE_MAX);
    refuse(c, "schedule: at_wall_ms", at_wall_ms, 0, (1ull << 53) - 1);
    refuse(c, "schedule: after_ms", after_ms, 0, (1ull << 50) - 1);
    if (c->refused.status == STATUS_OK &&
        event_check(ev, c->arena, &c->bytes, &c->refused) == STATUS_OK) {
        c->type = arena_strdup(c->arena, ev->type);
        c->name2 = call_name(c, "subject", ev->subject, true);
        c->at_wall_ms = at_wall_ms;
        c->ms = after_ms;
    }
    call_start(c);
}

void substrate_unschedule(struct substrate *s, const char *id, substrate_done_fn *done, void *arg)
{
    struct call *c = call_new(s, CALL_UNSCHEDULE, answer_done, arg);

    c->fn.done = done;
    c->id = call_name(c, "schedule", id, false);
    call_start(c);
}

/* --- counters, fences, leases --- */

static void answer_count(struct call *c, enum status s, const struct err *e)
{
    c->fn.count(c->arg, s, s == STATUS_OK ? c->total : 0, e);
}

void substrate_count(struct substrate *s, const char *name, int64_t delta, substrate_count_fn *done,
                     void *arg)
{
    struct call *c = call_new(s, CALL_COUNT, answer_count, arg);

    c->fn.count = done;
    c->name = call_name(c, "counter", name, false);
    c->delta = delta;
    call_start(c);
}

static void answer_fences(struct call *c, enum status s, const struct err *e)
{
    c->fn.fences(c->arg, s, s == STATUS_OK ? c->value : 0, e);
}

void substrate_fences(struct substrate *s, uint32_t n, substrate_fence_fn *done, void *arg)
{
    struct call *c = call_new(s, CALL_FENCES, answer_fences, arg);

    c->fn.fences = done;
    c->max = n;
    refuse(c, "fences", n, 1, 1 << 20);
    call_start(c);
}

static void answer_lease(struct call *c, enum status s, const struct err *e)
{
    bool told = c->has_lease && (s == STATUS_OK || s == STATUS_BUSY);

    c->fn.lease(c->arg, s, told ? &c->lease : NULL, e);
}

static struct call *lease_call(struct substrate *s, enum call_kind kind, const char *name,
                               substrate_lease_fn *done, void *arg)
{
    struct call *c = call_new(s, kind, answer_lease, arg);

    c->fn.lease = done;
    c->name = call_name(c, "lease", name, false);
    return c;
}

void substrate_lease_acquire(struct substrate *s, const char *name, const char *holder,
                             uint64_t ttl_ms, substrate_lease_fn *done, void *arg)
{
    struct call *c = lease_call(s, CALL_ACQUIRE, name, done, arg);

    c->name2 = call_name(c, "holder", holder, false);
    c->ms = ttl_ms;
    refuse(c, "lease: ttl_ms", ttl_ms, 1, SUBSTRATE_WAIT_MAX_MS);
    call_start(c);
}

void substrate_lease_renew(struct substrate *s, const char *name, uint64_t fence, uint64_t ttl_ms,
                           substrate_lease_fn *done, void *arg)
{
    struct call *c = lease_call(s, CALL_RENEW, name, done, arg);

    c->fence = fence;
    c->ms = ttl_ms;
    refuse(c, "lease: ttl_ms", ttl_ms, 1, SUBSTRATE_WAIT_MAX_MS);
    call_start(c);
}

void substrate_lease_check(struct substrate *s, const char *name, uint64_t fence,
                           substrate_lease_fn *done, void *arg)
{
    struct call *c = lease_call(s, CALL_CHECK, name, done, arg);

    c->fence = fence;
    call_start(c);
}

void substrate_lease_release(struct substrate *s, const char *name, uint64_t fence,
                             substrate_done_fn *done, void *arg)
{
    struct call *c = call_new(s, CALL_RELEASE, answer_done, arg);

    c->fn.done = done;
    c->name = call_name(c, "lease", name, false);
    c->fence = fence;
    call_start(c);
}

/* --- streams --- */

static struct call *stream_call(struct substrate *s, enum call_kind kind, call_answer_fn *answer,
                                const char *name, void *arg)
{
    struct call *c = call_new(s, kind, answer, arg);

    c->name = call_name(c, "stream", name, false);
    return c;
}

void substrate_stream_open(struct substrate *s, const char *name,
                           const struct substrate_stream_conf *conf, substrate_done_fn *done,
                           void *arg)
{
    struct call *c = stream_call(s, CALL_STREAM_OPEN, answer_done, name, arg);

    c->fn.done = done;
    c->type = call_name(c, "stream's type", conf->type, false);
    c->high_items = conf->high_items;
    c->high_bytes = conf->high_bytes ? conf->high_bytes : STREAM_BYTES;
    refuse(c, "stream: high_items", conf->high_items, 1, 1ull << 40);
    refuse(c, "stream: high_bytes", c->high_bytes, 1, 1ull << 50);
    call_start(c);
}

static void answer_put(struct call *c, enum status s, const struct err *e)
{
    c->fn.put(c->arg, s, s == STATUS_OK ? c->value : 0, s == STATUS_BUSY ? c->wait_ms : 0, e);
}

void substrate_stream_put(struct substrate *s, const char *name, const char *id, struct str bytes,
                          substrate_put_fn *done, void *arg)
{
    struct call *c = stream_call(s, CALL_PUT, answer_put, name, arg);

    c->fn.put = done;
    c->id = call_name(c, "id", id, true);
    c->wait_ms = 100; /* when it never reaches the backend */
    take_bytes(c, "stream: an entry", bytes);
    call_start(c);
}

static void answer_entries(struct call *c, enum status s, const struct err *e)
{
    c->fn.entries(c->arg, s, s == STATUS_OK ? c->entries : NULL, s == STATUS_OK ? c->n : 0, e);
}

void substrate_stream_read(struct substrate *s, const char *name, uint64_t after, size_t max,
                           substrate_entries_fn *done, void *arg)
{
    struct call *c = stream_call(s, CALL_STREAM_READ, answer_entries, name, arg);

    c->fn.entries = done;
    c->after = after;
    c->max = max;
    refuse(c, "entries to read", max, 1, SUBSTRATE_READ_MAX);
    call_start(c);
}

static void answer_cursor(struct call *c, enum status s, const struct err *e)
{
    c->fn.cursor(c->arg, s, s == STATUS_OK ? c->value : 0, e);
}

void substrate_cursor_open(struct substrate *s, const char *stream, const char *reader,
                           substrate_cursor_fn *done, void *arg)
{
    struct call *c = stream_call(s, CALL_CURSOR_OPEN, answer_cursor, stream, arg);

    c->fn.cursor = done;
    c->name2 = call_name(c, "reader", reader, false);
    call_start(c);
}

void substrate_cursor_ack(struct substrate *s, const char *stream, const char *reader, uint64_t seq,
                          substrate_cursor_fn *done, void *arg)
{
    struct call *c = stream_call(s, CALL_CURSOR_ACK, answer_cursor, stream, arg);

    c->fn.cursor = done;
    c->name2 = call_name(c, "reader", reader, false);
    c->after = seq;
    call_start(c);
}

void substrate_cursor_drop(struct substrate *s, const char *stream, const char *reader,
                           substrate_done_fn *done, void *arg)
{
    struct call *c = stream_call(s, CALL_CURSOR_DROP, answer_done, stream, arg);

    c->fn.done = done;
    c->name2 = call_name(c, "reader", reader, false);
    call_start(c);
}

/* --- configuration --- */

static void answer_config(struct call *c, enum status s, const struct err *e)
{
    bool told = c->has_config && (s == STATUS_OK || s == STATUS_EXISTS);

    c->fn.config(c->arg, s, told ? &c->config : NULL, e);
}

void substrate_config_set(struct substrate *s, const char *name, struct str blob, uint64_t expected,
                          substrate_config_fn *done, void *arg)
{
    struct call *c = call_new(s, CALL_CONFIG_SET, answer_config, arg);
    struct merkle_hash h;

    c->fn.config = done;
    c->name = call_name(c, "configuration", name, false);
    c->after = expected;
    take_bytes(c, "configuration", blob);
    merkle_sha256(c->bytes.ptr ? c->bytes.ptr : "", c->bytes.len, &h);
    memcpy(c->config.sha256, h.b, SUBSTRATE_SHA256);
    call_start(c);
}

void substrate_config_get(struct substrate *s, const char *name, substrate_config_fn *done,
                          void *arg)
{
    struct call *c = call_new(s, CALL_CONFIG_GET, answer_config, arg);

    c->fn.config = done;
    c->name = call_name(c, "configuration", name, false);
    call_start(c);
}

void substrate_config_blob(struct substrate *s, const unsigned char sha256[SUBSTRATE_SHA256],
                           substrate_config_fn *done, void *arg)
{
    struct call *c = call_new(s, CALL_CONFIG_BLOB, answer_config, arg);

    c->fn.config = done;
    memcpy(c->config.sha256, sha256, SUBSTRATE_SHA256);
    call_start(c);
}
