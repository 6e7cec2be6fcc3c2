/* The writer's side of the audit log. Everything here runs on the thread of logdb: one thread
 * at a time chains and signs, so the chain is linear whatever the concurrency, and nothing signs
 * under a lock.
 *
 *   a group:  [record, record, ...] -> before_commit: root, checkpoint -> COMMIT -> answers ->
 * after_commit: copy, X.checkpoint, flushes
 *
 * In a group of some size the builder's thread (audit_build.c) makes the lines meanwhile. */
#include "core/record/audit_internal.h"

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"

#include <errno.h>
#include <stdio.h>

/* --- forests: what a close receipt says about its children --- */

/* The leaf hashes of children, the youngest first. */
struct children {
    struct merkle_hash *v;
    size_t n, room;
    bool found, closed;
};

static void take_child(struct children *c, const struct merkle_hash *leaf)
{
    if (c->n == c->room) {
        c->room = c->room ? 2 * c->room : 64;
        c->v = xreallocarray(c->v, c->room, sizeof(*c->v));
    }
    c->v[c->n++] = *leaf;
}

/* What a record says of the receipt: it is its child, or closes it, or comes just behind it, so
 * that there is nothing before. */
static void look_at(struct children *c, struct str line, const struct merkle_hash *open)
{
    struct record_fault fault;
    struct merkle_hash leaf;
    struct record r;

    if (!record_decode(line, &r, &fault))
        return;
    if (r.has_parent && merkle_eq(&r.parent, open)) {
        merkle_leaf(line.ptr, line.len, &leaf);
        take_child(c, &leaf);
    }
    c->closed = c->closed || (r.has_of && merkle_eq(&r.of, open));
    c->found = merkle_eq(&r.prev, open);
}

/* Backwards from the log's end to the receipt, so that a long log costs no more than what was done
 * since. Nothing else of a record is looked at than whether the hash is in it anywhere. */
static enum status read_children(sqlite3 *db, const struct merkle_hash *open, struct children *c,
                                 struct err *e)
{
    char hex[AUDIT_HEX_MAX];
    sqlite3_stmt *st = NULL;
    bool first = true;
    int rc = SQLITE_ROW;

    audit_hex(open->b, hex);
    if (sqlite3_prepare_v2(db, "SELECT line FROM audit_record ORDER BY seq DESC", -1, &st, NULL) !=
        SQLITE_OK)
        return logdb_error(db, e, "read the children of a receipt");
    while (!c->found && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct str line = str_n(sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
        struct merkle_hash leaf;

        if (first) {
            merkle_leaf(line.ptr, line.len, &leaf);
            c->found = merkle_eq(&leaf, open);
        }
        first = false;
        if (line.len > 0 && memmem(line.ptr, line.len, hex, AUDIT_HEX_MAX - 1))
            look_at(c, line, open);
    }
    (void)sqlite3_finalize(st);
    return c->found || rc == SQLITE_DONE ? STATUS_OK
                                         : logdb_error(db, e, "read the children of a receipt");
}

/* Of a receipt that was opened before this process began: its children are read from the log. */
static enum status forest_from_db(sqlite3 *db, const struct merkle_hash *open,
                                  struct merkle_range *out, struct err *e)
{
    struct children c = {0};
    enum status s = read_children(db, open, &c, e);

    merkle_range_init(out);
    while (c.n > 0)
        merkle_range_add(out, &c.v[--c.n]);
    free(c.v);
    if (s != STATUS_OK)
        return s;
    if (c.closed)
        return err_set(e, STATUS_INVALID, "the receipt is closed already");
    return c.found ? STATUS_OK
                   : err_set(e, STATUS_INVALID, "the receipt to be closed is not in this log");
}

/* --- records --- */

static enum status insert(struct audit_writer *w, sqlite3 *db, const struct pending *p,
                          struct err *e)
{
    sqlite3_stmt *st = w->insert;
    int rc;

    (void)sqlite3_bind_int64(st, 1, (sqlite3_int64)p->seq);
    (void)sqlite3_bind_blob(st, 2, w->lines.ptr + p->line_at, (int)p->line_len, SQLITE_STATIC);
    if (p->has_payload && !p->redact)
        (void)sqlite3_bind_blob(st, 3, p->text + p->text_len, (int)p->payload_len, SQLITE_STATIC);
    else
        (void)sqlite3_bind_null(st, 3);
    rc = sqlite3_step(st);
    (void)sqlite3_reset(st);
    if (rc != SQLITE_DONE)
        return logdb_error(db, e, "append to the audit log");
    return STATUS_OK;
}

/* Of a record that the builder left to the writer. */
static enum status build_here(struct audit *a, sqlite3 *db, struct pending *p, struct err *e)
{
    struct merkle_range children;
    enum status s;

    if (audit_is_plain(a, p)) {
        audit_build_plain(a, p);
        return STATUS_OK;
    }
    s = forest_from_db(db, &p->closes, &children, e);
    if (s == STATUS_OK)
        audit_build(a, p, &children);
    return s;
}

/* Stores the record, once it is built. */
static enum status append(struct audit *a, sqlite3 *db, struct pending *p, struct err *e)
{
    enum status s = STATUS_OK;

    if (!audit_builder_await(a, p)) {
        s = build_here(a, db, p, e);
        audit_builder_resume(a, p);
    }
    if (s == STATUS_OK)
        s = insert(&a->w, db, p, e);
    return s == STATUS_OK && p->with ? p->with->run(p->with, db, p->leaf.b, p->seq, e) : s;
}

/* The new key is on the disk, as "<key>.new", before the log speaks of it; it takes the old one's
 * place after the commit. */
static enum status rotate(struct audit *a, sqlite3 *db, struct pending *p, struct err *e)
{
    struct audit_writer *w = &a->w;
    cleanup_free char *path = audit_next_key_path(a);
    unsigned char public_key[SIGN_PUBLIC];
    enum status s;
    int rc;

    if (w->old_key)
        return err_set(e, STATUS_BUSY, "the audit key is being rotated already");
    s = sign_key_save(p->key, path, e);
    if (s != STATUS_OK)
        return s;
    audit_build(a, p, NULL);
    s = insert(w, db, p, e);
    if (s != STATUS_OK)
        return s;
    sign_key_public(p->key, public_key);
    (void)sqlite3_bind_blob(w->insert_key, 1, public_key, SIGN_PUBLIC, SQLITE_STATIC);
    (void)sqlite3_bind_int64(w->insert_key, 2, (sqlite3_int64)w->seq);
    rc = sqlite3_step(w->insert_key);
    (void)sqlite3_reset(w->insert_key);
    if (rc != SQLITE_DONE)
        return logdb_error(db, e, "store the new audit key");
    w->old_key = w->key;
    w->key = p->key;
    p->key = NULL;
    return STATUS_OK;
}

enum status audit_run_job(struct logdb_job *job, sqlite3 *db, struct err *e)
{
    struct pending *p = container_of(job, struct pending, job);
    struct audit *a = p->audit;
    enum status s;

    switch (p->kind) {
    case PENDING_RECORD:
        return append(a, db, p, e);
    case PENDING_ROTATE:
        (void)audit_builder_await(a, p); /* it signs what comes before with the old key */
        s = rotate(a, db, p, e);
        audit_builder_resume(a, p);
        return s;
    case PENDING_FLUSH:
        p->next_flush = a->w.flushes;
        a->w.flushes = p;
        return STATUS_OK;
    case PENDING_CLOSE:
        a->w.closing = p;
        return STATUS_OK;
    }
    BUG("pending %d", (int)p->kind);
}

/* --- the end of a group --- */

static enum status store_checkpoint(struct audit_writer *w, sqlite3 *db, struct err *e)
{
    uint64_t before = w->group_checkpoint;
    int rc;

    if (before > 0 && before / CHECKPOINT_KEEP == w->seq / CHECKPOINT_KEEP) {
        (void)sqlite3_bind_int64(w->delete_checkpoint, 1, (sqlite3_int64)before);
        rc = sqlite3_step(w->delete_checkpoint);
        (void)sqlite3_reset(w->delete_checkpoint);
        if (rc != SQLITE_DONE)
            return logdb_error(db, e, "thin out checkpoints");
    }
    (void)sqlite3_bind_int64(w->insert_checkpoint, 1, (sqlite3_int64)w->seq);
    (void)sqlite3_bind_text(w->insert_checkpoint, 2, w->note.ptr, (int)w->note.len, SQLITE_STATIC);
    (void)sqlite3_bind_blob(w->insert_checkpoint, 3, w->tree.range.node,
                            (int)(merkle_range_len(&w->tree.range) * MERKLE_HASH), SQLITE_STATIC);
    (void)sqlite3_bind_blob(w->insert_checkpoint, 4, w->prev.b, MERKLE_HASH, SQLITE_STATIC);
    rc = sqlite3_step(w->insert_checkpoint);
    (void)sqlite3_reset(w->insert_checkpoint);
    return rc == SQLITE_DONE ? STATUS_OK : logdb_error(db, e, "store a checkpoint");
}

/* What is built from here on goes elsewhere, as it may be while this is committed. */
static void swap_lines(struct audit_writer *w)
{
    struct buf lines = w->lines;

    w->lines = w->committed;
    w->committed = lines;
}

enum status audit_before_commit(struct logdb_hook *h, sqlite3 *db, struct err *e)
{
    struct audit *a = container_of(h, struct audit, hook);
    struct audit_writer *w = &a->w;
    const struct sign_key *keys[2] = {w->key, w->old_key};
    struct buf text = BUF_INIT(NOTE_MAX);
    struct checkpoint c = {.size = w->seq};

    w->group_end = w->seq;
    swap_lines(w);
    if (w->seq == w->group_checkpoint)
        return STATUS_OK;
    memcpy(c.origin, a->origin, sizeof(c.origin));
    merkle_range_root(merkle_builder_range(&w->tree), &c.root);
    checkpoint_write(&c, &text);
    buf_reset(&w->note);
    note_sign(buf_str(&text), a->origin, keys, w->old_key ? 2 : 1, &w->note);
    buf_deinit(&text);
    w->last->note = xstrdup(buf_str(&w->note).ptr);
    w->last = NULL;
    return store_checkpoint(w, db, e);
}

static uint64_t mono_ms(void)
{
    return clock_mono_ms(clock_system());
}

/* Says once that the copy fails, and once that it works again. */
static void tell_sink(struct audit *a)
{
    struct audit_writer *w = &a->w;
    struct err *news;

    if (w->sink.failing == w->sink_told)
        return;
    w->sink_told = w->sink.failing;
    news = xcalloc(1, sizeof(*news));
    if (w->sink.failing) {
        *news = w->sink.err;
        log_warn(NULL, "audit.sink.failed", LOG_ERR(news));
    } else {
        log_warn(NULL, "audit.sink.restored", LOG_STR("path", w->sink.path));
    }
    free(atomic_exchange(&a->sink_news, news));
}

/* X.checkpoint never speaks of more records than the copy holds. */
static void write_checkpoint(struct audit *a)
{
    struct audit_writer *w = &a->w;
    struct err e = ERR_INIT;

    if (w->sink.failing || w->checkpoint_written == w->group_checkpoint || w->note.len == 0)
        return;
    if (sink_write_checkpoint(&w->sink, buf_str(&w->note), &e) == STATUS_OK)
        w->checkpoint_written = w->group_checkpoint;
    else
        log_warn(NULL, "audit.sink.checkpoint", LOG_STR("path", w->sink.checkpoint), LOG_ERR(&e));
    w->checkpoint_at_ms = mono_ms() + SINK_CHECKPOINT_MS;
}

/* When the copy or X.checkpoint wants to be looked at again although nothing is appended. */
static void plan_idle(struct audit *a)
{
    struct audit_writer *w = &a->w;

    a->hook.idle_at_ms = 0;
    if (w->sink.failing)
        a->hook.idle_at_ms = w->sink.retry_at_ms;
    else if (w->checkpoint_written != w->group_checkpoint)
        a->hook.idle_at_ms = w->checkpoint_at_ms;
}

static void copy(struct audit *a, sqlite3 *db, bool ok, bool now)
{
    struct audit_writer *w = &a->w;

    if (!w->has_sink || w->ahead)
        return;
    if (ok)
        (void)sink_write(&w->sink, buf_str(&w->committed), w->group_first, w->group_end, db, now);
    w->group_first = w->group_end;
    buf_reset(&w->committed);
    tell_sink(a);
    if (now || mono_ms() >= w->checkpoint_at_ms)
        write_checkpoint(a);
    plan_idle(a);
}

/* The log speaks of the new key: now the file may. A crash before this is mended when the log is
 * opened. */
static void finish_rotation(struct audit *a, sqlite3 *db)
{
    struct audit_writer *w = &a->w;
    cleanup_free char *next = audit_next_key_path(a);
    struct err e = ERR_INIT;

    sign_key_destroy(&w->old_key);
    if (rename(next, a->key_source.where) != 0)
        err_set_errno(&e, STATUS_IO, errno, "rename %s to %s", next, a->key_source.where);
    else
        (void)audit_write_pubs(a, db, &e);
    if (e.status != STATUS_OK)
        log_error(NULL, "audit.rotate", LOG_ERR(&e));
}

static void answer_flushes(struct audit *a, bool ok)
{
    struct audit_writer *w = &a->w;
    struct pending *p = w->flushes, *next, *in_order = NULL;

    for (w->flushes = NULL; p; p = next) {
        next = p->next_flush;
        p->next_flush = in_order;
        in_order = p;
    }
    for (p = in_order; p; p = next) {
        next = p->next_flush;
        if (!ok || (w->has_sink && w->sink.failing)) {
            p->err = xcalloc(1, sizeof(*p->err));
            *p->err = w->sink.err;
        }
        if (!ok)
            err_set(p->err, STATUS_IO, "the audit log %s does not take more: a commit failed",
                    logdb_path(a->db));
        loop_post(a->loop, audit_on_flushed, p);
    }
}

static void finish(struct audit *a)
{
    logdb_remove_hook(a->db, &a->hook);
    audit_builder_destroy(a);
    audit_finalize(a);
    loop_post(a->loop, audit_on_closed, a->w.closing);
}

void audit_after_commit(struct logdb_hook *h, sqlite3 *db, bool ok)
{
    struct audit *a = container_of(h, struct audit, hook);
    struct audit_writer *w = &a->w;

    if (ok)
        w->group_checkpoint = w->group_end;
    else if (w->group_end != w->group_checkpoint)
        w->ahead = true;
    if (ok && w->old_key)
        finish_rotation(a, db);
    copy(a, db, ok, w->flushes != NULL || w->closing != NULL);
    if (ok && !h->early)
        swap_lines(w); /* the same memory again, which is in the cache */
    answer_flushes(a, ok);
    if (w->closing)
        finish(a);
}

void audit_idle(struct logdb_hook *h, sqlite3 *db)
{
    copy(container_of(h, struct audit, hook), db, true, false);
}
