#include "tests/contract/substrate_rig.h"

#include "core/base/err.h"
#include "core/record/logdb.h"
#include "core/substrate/substrate_internal.h"

#include <sqlite3.h>
#include <stdio.h>

enum { WALL_MS = 1700000000 };

/* --- implementations --- */

static void open_memory(struct rig *r, const struct substrate_opts *o)
{
    struct err e = ERR_INIT;

    if (substrate_open_memory(r->loop, o, &r->s, &e) != STATUS_OK)
        fail_msg("%s", err_text(&e));
}

static void on_closed(void *arg)
{
    ((struct rig *)arg)->closed = true;
}

static void wait_closed(struct rig *r)
{
    uint64_t until = test_now_ms() + RIG_WAIT_MS;

    while (!r->closed && test_now_ms() < until)
        loop_run_once(r->loop, 20);
    if (!r->closed)
        fail_msg("%s: not closed within %d ms", r->impl->name, RIG_WAIT_MS);
}

static void close_memory(struct rig *r)
{
    r->closed = false;
    substrate_close(r->s, on_closed, r);
    assert_false(r->closed);
    wait_closed(r);
    r->s = NULL;
}

static void stall_memory(struct rig *r, bool on)
{
    substrate_memory_stall(r->s, on);
}

static void open_sqlite(struct rig *r, const struct substrate_opts *o)
{
    struct err e = ERR_INIT;

    if (logdb_open(r->loop, r->dir, &r->db, &e) != STATUS_OK ||
        substrate_open_local(r->loop, r->db, o, &r->s, &e) != STATUS_OK)
        fail_msg("%s", err_text(&e));
}

static void close_sqlite(struct rig *r)
{
    close_memory(r);
    r->closed = false;
    logdb_close(r->db, on_closed, r);
    wait_closed(r);
    r->db = NULL;
}

/* Another connection holds the write lock. */
static void stall_sqlite(struct rig *r, bool on)
{
    if (on) {
        assert_int_equal(
            sqlite3_open_v2(logdb_path(r->db), &r->foreign, SQLITE_OPEN_READWRITE, NULL),
            SQLITE_OK);
        assert_int_equal(sqlite3_exec(r->foreign, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        return;
    }
    assert_int_equal(sqlite3_exec(r->foreign, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(r->foreign), SQLITE_OK);
    r->foreign = NULL;
}

const struct implementation implementations[] = {
    {"memory", false, open_memory, close_memory, stall_memory},
    {"sqlite", true, open_sqlite, close_sqlite, stall_sqlite},
};
const size_t n_implementations = sizeof(implementations) / sizeof(implementations[0]);

/* --- the rig --- */

int rig_setup(void **state)
{
    struct rig *r = xcalloc(1, sizeof(*r));

    r->impl = *state;
    r->dir = test_mkdir();
    clock_fake_init(&r->clock, (uint64_t)WALL_MS * 1000);
    assert_int_equal(loop_create(&r->loop, &r->clock.clock, NULL), STATUS_OK);
    *state = r;
    rig_open(r, 0);
    return 0;
}

int rig_teardown(void **state)
{
    struct rig *r = *state;

    if (r->foreign)
        stall_sqlite(r, false);
    if (r->s)
        rig_close(r);
    loop_destroy(&r->loop);
    test_rmdir(&r->dir);
    free(r);
    return 0;
}

void rig_open(struct rig *r, uint64_t event_limit)
{
    const struct substrate_opts o = {.node = "node-a",
                                     .timeout_ms = RIG_TIMEOUT_MS,
                                     .policy_ms = RIG_POLICY_MS,
                                     .event_limit = event_limit};

    r->impl->open(r, &o);
}

void rig_close(struct rig *r)
{
    r->impl->close(r);
}

void rig_restart(struct rig *r, uint64_t down_ms)
{
    assert_true(r->impl->durable);
    rig_close(r);
    clock_fake_advance_ms(&r->clock, down_ms);
    rig_open(r, 0);
}

void rig_settle(struct rig *r)
{
    for (int i = 0; i < 4; i++)
        loop_run_once(r->loop, 2);
}

void rig_pass(struct rig *r, uint64_t ms)
{
    clock_fake_advance_ms(&r->clock, ms);
    loop_update_now(r->loop);
    rig_settle(r);
}

void rig_wait(struct rig *r, size_t answers)
{
    uint64_t until = test_now_ms() + RIG_WAIT_MS;

    while (r->answers < answers && test_now_ms() < until)
        loop_run_once(r->loop, 20);
    if (r->answers != answers)
        fail_msg("%s: %zu answers, expected %zu", r->impl->name, r->answers, answers);
}

/* --- answers --- */

static void answered(struct rig *r, enum status s, const struct err *e)
{
    if (r->in_call)
        fail_msg("an answer came from inside the call");
    r->answers++;
    r->status = s;
    assert_true((s == STATUS_OK) == (e == NULL));
    if (e)
        assert_int_equal(e->status, s);
    (void)snprintf(r->error, sizeof(r->error), "%s", e ? err_text(e) : "");
}

void rig_on_done(void *arg, enum status s, const struct err *e)
{
    answered(arg, s, e);
}

void rig_on_emitted(void *arg, enum status s, uint64_t seq, bool duplicate, const struct err *e)
{
    struct rig *r = arg;

    answered(r, s, e);
    r->value = seq;
    r->duplicate = duplicate;
}

static void add_text(struct rig *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add_text(struct rig *r, const char *fmt, ...)
{
    size_t at = strlen(r->text);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(r->text + at, sizeof(r->text) - at, fmt, ap);
    va_end(ap);
}

void rig_on_events(void *arg, enum status s, const struct substrate_logged *v, size_t n,
                   const struct err *e)
{
    struct rig *r = arg;

    answered(r, s, e);
    r->n = n;
    r->first = n ? v[0].seq : 0;
    r->last = n ? v[n - 1].seq : 0;
    r->text[0] = r->envelope[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || v[i].seq > v[i - 1].seq);
        assert_true(i == 0 || hlc_compare(v[i].at, v[i - 1].at) > 0);
        add_text(r, "%llu:%s:%s ", (unsigned long long)v[i].seq, v[i].type,
                 v[i].subject ? v[i].subject : "-");
    }
    if (n)
        (void)snprintf(r->envelope, sizeof(r->envelope), "%.*s", STR_ARG(v[n - 1].envelope));
}

void rig_on_count(void *arg, enum status s, int64_t value, const struct err *e)
{
    struct rig *r = arg;

    answered(r, s, e);
    r->total = value;
}

static void on_value(void *arg, enum status s, uint64_t value, const struct err *e)
{
    struct rig *r = arg;

    answered(r, s, e);
    r->value = value;
}

void rig_on_lease(void *arg, enum status s, const struct substrate_lease *l, const struct err *e)
{
    struct rig *r = arg;

    answered(r, s, e);
    r->has_lease = l != NULL;
    if (!l)
        return;
    r->lease = *l;
    (void)snprintf(r->holder, sizeof(r->holder), "%s", l->holder);
}

void rig_on_put(void *arg, enum status s, uint64_t seq, uint64_t wait_ms, const struct err *e)
{
    struct rig *r = arg;

    answered(r, s, e);
    r->value = seq;
    r->wait_ms = wait_ms;
}

static void on_entries(void *arg, enum status s, const struct substrate_entry *v, size_t n,
                       const struct err *e)
{
    struct rig *r = arg;

    answered(r, s, e);
    r->n = n;
    r->first = n ? v[0].seq : 0;
    r->last = n ? v[n - 1].seq : 0;
    r->text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        add_text(r, "%llu:%.*s ", (unsigned long long)v[i].seq,
                 (int)(v[i].bytes.len < 20 ? v[i].bytes.len : 20), v[i].bytes.ptr);
}

static void on_config(void *arg, enum status s, const struct substrate_config *c,
                      const struct err *e)
{
    struct rig *r = arg;

    answered(r, s, e);
    r->has_config = c != NULL;
    r->text[0] = '\0';
    if (!c)
        return;
    r->config = *c;
    add_text(r, "%.*s", STR_ARG(c->blob));
}

/* --- calls --- */

#define RIG_CALL(call)                                                                             \
    do {                                                                                           \
        size_t before_ = r->answers;                                                               \
        r->in_call = true;                                                                         \
        call;                                                                                      \
        r->in_call = false;                                                                        \
        rig_wait(r, before_ + 1);                                                                  \
    } while (0);                                                                                   \
    return r->status

enum status rig_emit(struct rig *r, const char *type, const char *subject, const char *id,
                     const char *data)
{
    const struct substrate_event ev = {type, subject, id, str_from(data)};

    RIG_CALL(substrate_emit(r->s, &ev, rig_on_emitted, r));
}

enum status rig_merge(struct rig *r, const char *envelope)
{
    RIG_CALL(substrate_merge(r->s, str_from(envelope), rig_on_emitted, r));
}

enum status rig_read(struct rig *r, uint64_t after, const char *type, size_t max)
{
    RIG_CALL(substrate_read(r->s, after, type, max, rig_on_events, r));
}

enum status rig_schedule(struct rig *r, const char *id, const char *type, uint64_t at_wall_ms,
                         uint64_t after_ms)
{
    const struct substrate_event ev = {type, "clock", id, STR("{\"by\":\"schedule\"}")};

    RIG_CALL(substrate_schedule(r->s, &ev, at_wall_ms, after_ms, rig_on_done, r));
}

enum status rig_unschedule(struct rig *r, const char *id)
{
    RIG_CALL(substrate_unschedule(r->s, id, rig_on_done, r));
}

enum status rig_count(struct rig *r, const char *name, int64_t delta)
{
    RIG_CALL(substrate_count(r->s, name, delta, rig_on_count, r));
}

enum status rig_fences(struct rig *r, uint32_t n)
{
    RIG_CALL(substrate_fences(r->s, n, on_value, r));
}

enum status rig_acquire(struct rig *r, const char *name, const char *holder, uint64_t ttl_ms)
{
    RIG_CALL(substrate_lease_acquire(r->s, name, holder, ttl_ms, rig_on_lease, r));
}

enum status rig_renew(struct rig *r, const char *name, uint64_t fence, uint64_t ttl_ms)
{
    RIG_CALL(substrate_lease_renew(r->s, name, fence, ttl_ms, rig_on_lease, r));
}

enum status rig_release(struct rig *r, const char *name, uint64_t fence)
{
    RIG_CALL(substrate_lease_release(r->s, name, fence, rig_on_done, r));
}

enum status rig_check(struct rig *r, const char *name, uint64_t fence)
{
    RIG_CALL(substrate_lease_check(r->s, name, fence, rig_on_lease, r));
}

enum status rig_stream(struct rig *r, const char *name, const char *type, uint64_t items,
                       uint64_t bytes)
{
    const struct substrate_stream_conf c = {type, items, bytes};

    RIG_CALL(substrate_stream_open(r->s, name, &c, rig_on_done, r));
}

enum status rig_put(struct rig *r, const char *name, const char *id, const char *text)
{
    RIG_CALL(substrate_stream_put(r->s, name, id, str_from(text), rig_on_put, r));
}

enum status rig_stream_read(struct rig *r, const char *name, uint64_t after, size_t max)
{
    RIG_CALL(substrate_stream_read(r->s, name, after, max, on_entries, r));
}

enum status rig_cursor(struct rig *r, const char *name, const char *reader)
{
    RIG_CALL(substrate_cursor_open(r->s, name, reader, on_value, r));
}

enum status rig_ack(struct rig *r, const char *name, const char *reader, uint64_t seq)
{
    RIG_CALL(substrate_cursor_ack(r->s, name, reader, seq, on_value, r));
}

enum status rig_drop(struct rig *r, const char *name, const char *reader)
{
    RIG_CALL(substrate_cursor_drop(r->s, name, reader, rig_on_done, r));
}

enum status rig_set(struct rig *r, const char *name, const char *blob, uint64_t expected)
{
    RIG_CALL(substrate_config_set(r->s, name, str_from(blob), expected, on_config, r));
}

enum status rig_get(struct rig *r, const char *name)
{
    RIG_CALL(substrate_config_get(r->s, name, on_config, r));
}

enum status rig_blob(struct rig *r, const unsigned char *sha256)
{
    RIG_CALL(substrate_config_blob(r->s, sha256, on_config, r));
}

/* --- cases --- */

size_t rig_cases(const struct CMUnitTest *cases, size_t n, struct CMUnitTest *out)
{
    size_t k = 0;

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n_implementations; j++) {
            char *name = NULL;

            if (strncmp(cases[i].name, "test_restart", 12) == 0 && !implementations[j].durable)
                continue;
            if (asprintf(&name, "%s: %s", implementations[j].name, cases[i].name) < 0)
                abort();
            out[k] = cases[i];
            out[k].name = name; /* for the life of the program */
            out[k].setup_func = rig_setup;
            out[k].teardown_func = rig_teardown;
            out[k].initial_state = (void *)(uintptr_t)&implementations[j];
            k++;
        }
    }
    return k;
}
