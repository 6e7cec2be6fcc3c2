/* Leases, and the saves of leased identities.
 *
 *   save:  PENDING (in the map, newest state of its identity) -> FLYING (in a group on a worker)
 *          -> answered
 *
 * One group at a time; what comes meanwhile is the next. */
#include <stdlib.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/work.h"
#include "fingerprints/store_internal.h"

struct waiter {
    struct waiter *next;
    idstore_saved_fn *done;
    void *arg;
};

struct save {
    char *id;
    char *state;
    size_t len;
    char *next; /* it becomes this one, and `state` is its record; NULL: its state is saved */
    struct waiter *waiters; /* the newest first */
    enum status status;
};

struct save_group {
    struct idstore *store;
    struct save **v;
    size_t n;
    struct err err; /* of the whole group, unless OK */
};

/* --- leases --- */

enum status idstore_lock(struct idstore *s, struct err *e)
{
    cleanup_free char *path = xcalloc(1, strlen(s->path) + sizeof(".lock"));

    if (s->lock_fd >= 0)
        return STATUS_OK;
    memcpy(path, s->path, strlen(s->path));
    memcpy(path + strlen(s->path), ".lock", sizeof(".lock"));
    if (file_lock(path, 0, &s->lock_fd, e) == STATUS_OK)
        return STATUS_OK;
    s->lock_fd = -1;
    return err_prefix(e, "identity store");
}

/* The first row behind `after` that is free and whole; *wanted counts rows that are not. */
static bool lease_behind(struct idstore *s, sqlite3_stmt *st, const char *tag, int64_t after,
                         int64_t last, struct arena *a, struct idstore_row *out, size_t *taken)
{
    (void)sqlite3_reset(st);
    if (tag)
        (void)sqlite3_bind_text(st, 1, tag, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(st, 2, after);
    (void)sqlite3_bind_int64(st, 3, last);
    while (sqlite3_step(st) == SQLITE_ROW) {
        struct str id = str_from((const char *)sqlite3_column_text(st, 0));

        if (map_find(s->leased, id)) {
            ++*taken;
        } else if (store_row(s, st, true, a, out) == STATUS_OK) {
            s->last_leased = sqlite3_column_int64(st, 5);
            return true;
        } else {
            log_warn(NULL, "identity.damaged", LOG_STR("id", out->id));
        }
    }
    return false;
}

/* Round and round, so that the one that was given back last is not the next to go. */
enum status idstore_lease(struct idstore *s, const char *tag, struct arena *a,
                          struct idstore_row *out, struct err *e)
{
    size_t taken = 0;
    bool got;

    BUG_ON(s->lock_fd < 0);
    if (!s->lease_st &&
        sqlite3_prepare_v3(s->db,
                           "SELECT id, tag, record, saves, state, n FROM identity"
                           " WHERE (?1 IS NULL OR tag = ?1) AND n > ?2 AND n <= ?3 ORDER BY n",
                           -1, SQLITE_PREPARE_PERSISTENT, &s->lease_st, NULL) != SQLITE_OK)
        return store_sql_error(s->db, e, s->path);
    got = lease_behind(s, s->lease_st, tag, s->last_leased, INT64_MAX, a, out, &taken) ||
          lease_behind(s, s->lease_st, tag, INT64_MIN, s->last_leased, a, out, &taken);
    (void)sqlite3_reset(s->lease_st); /* no reading transaction stays open */
    (void)sqlite3_clear_bindings(s->lease_st);
    if (got) {
        (void)map_put(s->leased, str_from(out->id), s);
        return STATUS_OK;
    }
    if (taken > 0)
        return err_set(e, STATUS_BUSY, "all %zu identities%s%s are leased", taken,
                       tag ? " of tag " : "", tag ? tag : "");
    return err_set(e, STATUS_NOT_FOUND, "%s: no identity%s%s", s->path, tag ? " of tag " : "",
                   tag ? tag : "");
}

void idstore_moved(struct idstore *s, const char *id, const char *next)
{
    if (map_remove(s->leased, str_from(id)))
        (void)map_put(s->leased, str_from(next), s);
}

void idstore_release(struct idstore *s, const char *id)
{
    (void)map_remove(s->leased, str_from(id));
}

/* --- saves --- */

static void start_group(struct idstore *s);

static void save_free(struct save *x)
{
    sodium_memzero(x->state, x->len);
    free(x->next);
    free(x->state);
    free(x->id);
    free(x);
}

static void answer(struct idstore *st, struct save *x, const struct err *group)
{
    enum status s = group->status != STATUS_OK ? group->status : x->status;
    struct err e = *group;

    if (group->status == STATUS_OK && s != STATUS_OK)
        err_set(&e, s, "identity %s is %s", s == STATUS_EXISTS ? x->next : x->id,
                s == STATUS_EXISTS ? "in the store already" : "not in the store");
    if (s == STATUS_OK && x->next)
        idstore_moved(st, x->id, x->next);
    while (x->waiters) {
        struct waiter *w = x->waiters;

        x->waiters = w->next;
        if (w->done)
            w->done(w->arg, s, &e);
        free(w);
    }
    save_free(x);
}

/* On the loop. */
static void group_done(void *arg)
{
    struct save_group *g = arg;
    struct idstore *s = g->store;

    for (size_t i = 0; i < g->n; i++)
        answer(s, g->v[i], &g->err);
    free(g->v);
    free(g);
    s->flying = NULL;
    if (map_len(s->pending) > 0)
        start_group(s);
}

static enum status save_one(struct idstore *s, sqlite3_stmt *st, struct save *x, struct err *e)
{
    struct buf box = BUF_INIT(IDSTORE_STATE_MAX + 64);
    enum status r = STATUS_OK;

    if (x->next) {
        const struct idstore_row next = {.id = x->next, .record = str_n(x->state, x->len)};

        return store_become(s, s->save_db, x->id, &next, &x->status, e);
    }
    store_seal(s, x->id, "state", str_n(x->state, x->len), &box);
    (void)sqlite3_bind_blob64(st, 1, box.ptr, box.len, SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 2, x->id, -1, SQLITE_STATIC);
    if (sqlite3_step(st) != SQLITE_DONE)
        r = store_sql_error(s->save_db, e, s->path);
    else if (sqlite3_changes(s->save_db) == 0)
        x->status = STATUS_NOT_FOUND;
    (void)sqlite3_reset(st);
    buf_deinit(&box);
    return r;
}

static enum status write_group(struct save_group *g, sqlite3 *db, struct err *e)
{
    sqlite3_stmt *st = NULL;
    enum status r = STATUS_OK;

    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "UPDATE identity SET state = ?1, saves = saves + 1 WHERE id = ?2",
                           -1, &st, NULL) != SQLITE_OK)
        r = store_sql_error(db, e, g->store->path);
    for (size_t i = 0; i < g->n && r == STATUS_OK; i++)
        r = save_one(g->store, st, g->v[i], e);
    (void)sqlite3_finalize(st);
    if (r == STATUS_OK && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        r = store_sql_error(db, e, g->store->path);
    if (r != STATUS_OK)
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}

/* On a worker. */
static void group_run(void *arg)
{
    struct save_group *g = arg;
    struct idstore *s = g->store;

    if (!s->save_db && store_connect(s->path, false, &s->save_db, &g->err) != STATUS_OK)
        return;
    (void)write_group(g, s->save_db, &g->err);
}

static void start_group(struct idstore *s)
{
    struct save_group *g = xcalloc(1, sizeof(*g));
    struct save *x;
    size_t it = 0;

    g->store = s;
    g->v = xcalloc(map_len(s->pending), sizeof(struct save *));
    while ((x = map_next(s->pending, &it, NULL)))
        g->v[g->n++] = x;
    map_destroy(&s->pending, NULL);
    s->pending = map_create();
    s->pending_bytes = 0;
    s->flying = g;
    work_submit(s->loop, group_run, group_done, g);
}

struct refusal {
    idstore_saved_fn *done;
    void *arg;
    struct err err;
};

static void tell_refusal(void *arg)
{
    struct refusal *r = arg;

    r->done(r->arg, r->err.status, &r->err);
    free(r);
}

static enum status may_save(const struct idstore *s, const char *id, struct str state,
                            struct err *e)
{
    if (!map_find(s->leased, str_from(id)))
        return err_set(e, STATUS_INVALID, "identity %s is not leased", id);
    if (state.len == 0 || state.len > IDSTORE_STATE_MAX)
        return err_set(e, STATUS_TOO_LARGE, "identity %s: a state of %zu bytes, expected 1 to %d",
                       id, state.len, IDSTORE_STATE_MAX);
    if (s->pending_bytes + state.len > IDSTORE_PENDING_MAX)
        return err_set(e, STATUS_BUSY, "identity %s: %zu bytes of states wait to be saved", id,
                       s->pending_bytes);
    return STATUS_OK;
}

static struct save *pending_of(struct idstore *s, const char *id)
{
    struct save *x = map_find(s->pending, str_from(id));

    if (x)
        return x;
    x = xcalloc(1, sizeof(*x));
    x->id = xstrdup(id);
    (void)map_put(s->pending, str_from(id), x);
    return x;
}

static void refuse(struct idstore *s, const struct err *e, idstore_saved_fn *done, void *arg)
{
    struct refusal *r = xcalloc(1, sizeof(*r));

    *r = (struct refusal){done, arg, *e};
    if (done)
        loop_defer(s->loop, tell_refusal, r);
    else
        free(r);
}

static void go(struct idstore *s, struct save *x, idstore_saved_fn *done, void *arg)
{
    struct waiter *w = xcalloc(1, sizeof(*w));

    *w = (struct waiter){x->waiters, done, arg};
    x->waiters = w;
    if (!s->flying)
        start_group(s);
}

static void take_text(struct idstore *s, struct save *x, struct str text)
{
    s->pending_bytes += text.len - x->len;
    if (x->state)
        sodium_memzero(x->state, x->len);
    free(x->state);
    x->state = xcalloc(1, text.len);
    memcpy(x->state, text.ptr, text.len);
    x->len = text.len;
}

void idstore_save(struct idstore *s, const char *id, struct str state, idstore_saved_fn *done,
                  void *arg)
{
    struct save *x;
    struct err e = ERR_INIT;

    if (may_save(s, id, state, &e) != STATUS_OK) {
        refuse(s, &e, done, arg);
        return;
    }
    x = pending_of(s, id);
    take_text(s, x, state);
    go(s, x, done, arg);
}

void idstore_turn(struct idstore *s, const char *id, const struct idstore_row *next,
                  idstore_saved_fn *done, void *arg)
{
    struct err e = ERR_INIT;
    struct save *x;

    if (!map_find(s->leased, str_from(id)))
        err_set(&e, STATUS_INVALID, "identity %s is not leased", id);
    else if (map_find(s->pending, str_from(id)))
        err_set(&e, STATUS_INVALID, "identity %s: a save of it waits", id);
    if (e.status != STATUS_OK || store_check_row(next, &e) != STATUS_OK) {
        refuse(s, &e, done, arg);
        return;
    }
    x = pending_of(s, id);
    x->next = xstrdup(next->id);
    take_text(s, x, next->record);
    go(s, x, done, arg);
}
