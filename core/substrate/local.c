/* The local backend: events through eventlog, all else through tables of its own (local_sql.c). See
 * local_internal.h for how calls run. */
#include "core/substrate/local_internal.h"

enum { MEMORY_EVENTS = 100000 };

_Static_assert(offsetof(struct local, base) == 0, "freed as a struct substrate");
_Static_assert(offsetof(struct local_call, call) == 0, "made as a struct call");

static local_run_fn *const run_table[CALL_KINDS] = {
    [CALL_SCHEDULE] = run_schedule,
    [CALL_UNSCHEDULE] = run_unschedule,
    [CALL_FIRED] = run_fired,
    [CALL_COUNT] = run_count,
    [CALL_FENCES] = run_fences,
    [CALL_ACQUIRE] = run_acquire,
    [CALL_RENEW] = run_renew,
    [CALL_RELEASE] = run_release,
    [CALL_CHECK] = run_check,
    [CALL_STREAM_OPEN] = run_stream_open,
    [CALL_PUT] = run_put,
    [CALL_STREAM_READ] = run_stream_read,
    [CALL_CURSOR_OPEN] = run_cursor_open,
    [CALL_CURSOR_ACK] = run_cursor_ack,
    [CALL_CURSOR_DROP] = run_cursor_drop,
    [CALL_CONFIG_SET] = run_config_set,
    [CALL_CONFIG_GET] = run_config_get,
    [CALL_CONFIG_BLOB] = run_config_blob,
};

static struct local_call *of(struct call *c)
{
    return container_of(c, struct local_call, call);
}

/* --- the end of calls --- */

/* BUSY of SQLite's own (another program writes to the file for too long) is no BUSY of ours. */
static void finish(struct call *c, enum status s, const struct err *e)
{
    if (c->kind == CALL_SCHEDULE || c->kind == CALL_UNSCHEDULE)
        timers_release(local_of(c->s), c, s);
    if (s == STATUS_BUSY && e && e->peer_code != 0) {
        struct err mine = *e;

        mine.status = STATUS_UNAVAILABLE;
        call_finish(c, STATUS_UNAVAILABLE, &mine);
        return;
    }
    call_finish(c, s, e);
}

static void on_job_done(struct logdb_job *job, enum status s, const struct err *e)
{
    finish(&container_of(job, struct local_call, job)->call, s, e);
}

static enum status run_job(struct logdb_job *job, sqlite3 *db, struct err *e)
{
    struct call *c = &container_of(job, struct local_call, job)->call;

    return run_table[c->kind](local_of(c->s), db, c, e);
}

/* --- events --- */

static void on_appended(void *arg, enum status s, uint64_t seq, bool duplicate, const struct err *e)
{
    struct call *c = arg;

    c->value = seq;
    c->duplicate = duplicate;
    if (s == STATUS_OK)
        call_appended(c);
    finish(c, s, e);
}

static void append(struct local *l, struct call *c)
{
    const struct event ev = {
        .at = c->at, .id = c->id, .type = c->type, .subject = c->name2, .body = c->bytes};

    eventlog_append(l->log, &ev, on_appended, c);
}

static void on_read(void *arg, enum status s, const struct event *v, size_t n, const struct err *e)
{
    struct call *c = arg;
    struct substrate_logged *out;

    if (s == STATUS_OK && n > 0) {
        out = arena_array(c->arena, struct substrate_logged, n);
        for (size_t i = 0; i < n; i++)
            out[i] = (struct substrate_logged){.seq = v[i].seq,
                                               .at = v[i].at,
                                               .type = v[i].type,
                                               .subject = v[i].subject,
                                               .envelope = v[i].body};
        c->events = out;
        c->n = n;
    }
    finish(c, s, e);
}

/* --- in memory --- */

static void run_in_memory(struct local *l, struct call *c)
{
    struct err e = ERR_INIT;
    enum status s;

    (void)sqlite3_exec(l->conn, "BEGIN", NULL, NULL, NULL);
    s = run_table[c->kind](l, l->conn, c, &e);
    (void)sqlite3_exec(l->conn, s == STATUS_OK ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL);
    finish(c, s, s == STATUS_OK ? NULL : &e);
}

static void carry_out(struct local *l, struct call *c)
{
    if (c->kind == CALL_APPEND)
        append(l, c);
    else if (c->kind == CALL_READ)
        eventlog_read(l->log, c->after, c->type, c->max, on_read, c);
    else
        run_in_memory(l, c);
}

static void on_turn(void *arg)
{
    struct local *l = arg;
    struct list now = LIST_INIT(now), *link;

    l->draining = false;
    if (l->stalled)
        return;
    l->base.n_calls++; /* so that the last answer does not end us here */
    list_splice(&now, &l->queue);
    while ((link = list_pop(&now)))
        carry_out(l, &list_entry(link, struct local_call, queued)->call);
    l->base.n_calls--;
    substrate_try_close(&l->base);
}

static void wake(struct local *l)
{
    if (l->draining || l->stalled || list_empty(&l->queue))
        return;
    l->draining = true;
    loop_defer(l->base.loop, on_turn, l);
}

void substrate_memory_stall(struct substrate *s, bool on)
{
    struct local *l = local_of(s);

    l->stalled = on;
    wake(l);
}

/* --- starting a call --- */

static void on_refused(void *arg)
{
    struct call *c = arg;

    call_finish(c, c->refused.status, &c->refused);
}

static void start(struct call *c)
{
    struct local *l = local_of(c->s);
    struct local_call *x = of(c);

    if (c->kind == CALL_SCHEDULE)
        c->due_wall_ms = loop_wall_ms(l->base.loop) + c->ms;
    if ((c->kind == CALL_SCHEDULE || c->kind == CALL_UNSCHEDULE) && !timers_hold(l, c)) {
        loop_defer(l->base.loop, on_refused, c);
        return;
    }
    if (!l->db) {
        list_push(&l->queue, &x->queued);
        wake(l);
    } else if (c->kind == CALL_APPEND) {
        append(l, c);
    } else if (c->kind == CALL_READ) {
        eventlog_read(l->log, c->after, c->type, c->max, on_read, c);
    } else {
        x->job.run = run_job;
        x->job.done = on_job_done;
        logdb_submit(l->db, &x->job);
    }
}

/* --- close --- */

static void finish_close(struct local *l)
{
    timers_deinit(l);
    substrate_closed(&l->base);
}

static enum status run_end(struct logdb_job *job, sqlite3 *db maybe_unused,
                           struct err *e maybe_unused)
{
    local_finalize(container_of(job, struct local, end)); /* none of ours is in this group */
    return STATUS_OK;
}

static void on_end_done(struct logdb_job *job, enum status s maybe_unused,
                        const struct err *e maybe_unused)
{
    finish_close(container_of(job, struct local, end));
}

static void on_log_closed(void *arg)
{
    struct local *l = arg;

    if (l->db) {
        l->end = (struct logdb_job){.run = run_end, .done = on_end_done, .control = true};
        logdb_submit(l->db, &l->end);
        return;
    }
    local_finalize(l);
    (void)sqlite3_close_v2(l->conn);
    finish_close(l);
}

static void close_local(struct substrate *s)
{
    struct local *l = local_of(s);

    loop_timer_stop(&l->due);
    eventlog_close(l->log, on_log_closed, l);
}

/* --- open --- */

static const struct substrate_ops ops_sqlite = {"sqlite", sizeof(struct local_call), start,
                                                close_local};
static const struct substrate_ops ops_memory = {"memory", sizeof(struct local_call), start,
                                                close_local};

static void discard(struct local *l)
{
    local_finalize(l);
    (void)sqlite3_close_v2(l->conn);
    timers_deinit(l);
    substrate_deinit(&l->base);
    free(l);
}

static enum status new_local(struct loop *loop, const struct substrate_ops *ops,
                             const struct substrate_opts *o, struct local **out, struct err *e)
{
    struct local *l = xcalloc(1, sizeof(*l));
    enum status s = substrate_init(&l->base, ops, loop, o, e);

    list_init(&l->queue);
    timers_init(l);
    if (s != STATUS_OK) {
        discard(l);
        return s;
    }
    *out = l;
    return STATUS_OK;
}

enum status substrate_open_local(struct loop *loop, struct logdb *db,
                                 const struct substrate_opts *o, struct substrate **out,
                                 struct err *e)
{
    struct sqlite3 *conn = logdb_connection(db);
    struct local *l;
    enum status s = new_local(loop, &ops_sqlite, o, &l, e);

    *out = NULL;
    if (s != STATUS_OK)
        return s;
    l->db = db;
    s = local_prepare(l, conn, logdb_path(db), e);
    if (s == STATUS_OK)
        s = timers_load(l, conn, e);
    /* Last: what it leaves with the database ends with eventlog_close only. */
    if (s == STATUS_OK)
        s = eventlog_open(loop, db, o->event_limit, &l->log, e);
    if (s != STATUS_OK) {
        discard(l);
        return s;
    }
    l->base.last = eventlog_last(l->log);
    if (hlc_compare(eventlog_opened_at(l->log), l->base.hlc->last) > 0)
        l->base.hlc->last = eventlog_opened_at(l->log);
    *out = &l->base;
    return STATUS_OK;
}

enum status substrate_open_memory(struct loop *loop, const struct substrate_opts *o,
                                  struct substrate **out, struct err *e)
{
    uint64_t limit = o->event_limit ? o->event_limit : MEMORY_EVENTS;
    struct local *l;
    enum status s = new_local(loop, &ops_memory, o, &l, e);

    *out = NULL;
    if (s != STATUS_OK)
        return s;
    if (sqlite3_open_v2(":memory:", &l->conn,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        s = logdb_error(l->conn, e, "substrate in memory");
    if (s == STATUS_OK)
        s = local_prepare(l, l->conn, "memory", e);
    if (s != STATUS_OK) {
        discard(l);
        return s;
    }
    eventlog_create_memory(loop, (size_t)limit, &l->log);
    *out = &l->base;
    return STATUS_OK;
}
