/* The loop's side of the audit log: copies receipts, hands them to the writer, answers. */
#include "core/record/audit_internal.h"

#include "core/base/file.h"
#include "core/base/rng.h"

#include <stdio.h>

char *audit_hex(const unsigned char leaf[AUDIT_LEAF], char out[AUDIT_HEX_MAX])
{
    record_hex(leaf, out);
    out[AUDIT_HEX_MAX - 1] = '\0';
    return out;
}

/* --- answers --- */

/* A refusal before the queue: answered from the loop's next turn. */
struct refusal {
    struct loop *loop;
    audit_done_fn *done;
    void *arg;
    struct err err;
};

static void on_refusal(void *arg)
{
    struct refusal *r = arg;

    if (r->done)
        r->done(r->arg, r->err.status, NULL, 0, &r->err);
    free(r);
}

static void refuse(struct audit *a, audit_done_fn *done, void *arg, const struct err *e)
{
    struct refusal *r;

    if (!done)
        return;
    r = xcalloc(1, sizeof(*r));
    r->done = done;
    r->arg = arg;
    r->err = *e;
    loop_defer(a->loop, on_refusal, r);
}

static void free_pending(struct pending *p)
{
    free(p->vkey);
    free(p->note);
    free(p->err);
    sign_key_destroy(&p->key);
    free(p);
}

/* What the writer had to say about the copy. */
static void tell_sink(struct audit *a)
{
    struct err *e = atomic_exchange(&a->sink_news, NULL);

    if (e && a->on_sink)
        a->on_sink(a->arg, e->status == STATUS_OK ? NULL : e);
    free(e);
}

static void on_appended(struct pending *p)
{
    struct audit *a = p->audit;

    if (p->seq >= a->size)
        a->size = p->seq + 1;
    BUG_ON(p->vkey && !note_vkey_parse(str_from(p->vkey), NULL, a->public_key));
    if (p->note) {
        buf_reset(&a->checkpoint);
        buf_adds(&a->checkpoint, p->note);
    }
}

static void on_job_done(struct logdb_job *job, enum status s, const struct err *e)
{
    struct pending *p = container_of(job, struct pending, job);
    struct audit *a = p->audit;

    if (job->control)
        return; /* these end after the copy is written: audit_on_flushed, audit_on_closed */
    a->n_pending--;
    tell_sink(a);
    if (s == STATUS_OK)
        on_appended(p);
    if (p->done)
        p->done(p->arg, s, s == STATUS_OK ? p->leaf.b : NULL, s == STATUS_OK ? p->seq : 0, e);
    free_pending(p);
}

void audit_on_flushed(void *arg)
{
    struct pending *p = arg;
    struct audit *a = p->audit;

    tell_sink(a);
    loop_release(a->loop);
    if (p->done)
        p->done(p->arg, p->err ? p->err->status : STATUS_OK, NULL, a->size, p->err);
    free_pending(p);
}

/* --- appends --- */

static void copy_hash(const unsigned char *from, struct merkle_hash *to, bool *has)
{
    *has = from != NULL;
    if (from)
        memcpy(to->b, from, MERKLE_HASH);
}

static struct pending *new_pending(struct audit *a, enum pending_kind kind, size_t extra,
                                   audit_done_fn *done, void *arg)
{
    struct pending *p =
        xreallocarray(NULL, 1, sizeof(*p) + extra); /* the text is written at once */

    memset(p, 0, sizeof(*p));
    p->job.run = audit_run_job;
    p->job.done = on_job_done;
    p->audit = a;
    p->kind = kind;
    p->job.control = kind == PENDING_FLUSH || kind == PENDING_CLOSE;
    p->done = done;
    p->arg = arg;
    return p;
}

/* The receipt as a pending record; NULL with `e` when it cannot be one. */
static struct pending *prepare(struct audit *a, const struct receipt *r, enum pending_kind kind,
                               audit_done_fn *done, void *arg, struct err *e)
{
    uint64_t wall_ms = loop_wall_ms(a->loop);
    char id[RNG_ID_MAX];
    struct record_pieces pieces;
    struct pending *p;

    buf_reset(&a->scratch);
    if (record_prepare(r, hlc_tick(&a->hlc, wall_ms),
                       r->id && r->id[0] ? r->id : rng_pool_id(&a->ids, wall_ms, id), a->log_id,
                       true, &a->scratch, &pieces, e) != STATUS_OK)
        return NULL;
    p = new_pending(a, kind, a->scratch.len + r->payload.len, done, arg);
    p->pieces = pieces;
    p->opens = str_ends(str_from(r->kind), STR(".open"));
    p->redact = r->redact;
    p->job.lazy = r->lazy;
    p->with = r->with;
    copy_hash(r->parent, &p->parent, &p->has_parent);
    copy_hash(r->closes, &p->closes, &p->has_closes);
    p->text_len = (uint32_t)a->scratch.len;
    memcpy(p->text, a->scratch.ptr, a->scratch.len);
    p->has_payload = r->payload.ptr != NULL;
    p->payload_len = (uint32_t)r->payload.len;
    if (r->payload.len > 0)
        memcpy(p->text + p->text_len, r->payload.ptr, r->payload.len);
    return p;
}

static bool may_append(const struct audit *a, struct err *e)
{
    if (a->closing) {
        err_set(e, STATUS_SHUTTING_DOWN, "the audit log is closing");
        return false;
    }
    if (a->n_pending >= AUDIT_PENDING_MAX) {
        err_set(e, STATUS_BUSY, "%zu receipts wait for the audit log, the limit is %d",
                a->n_pending, (int)AUDIT_PENDING_MAX);
        return false;
    }
    return true;
}

void audit_append(struct audit *a, const struct receipt *r, audit_done_fn *done, void *arg)
{
    struct err e = ERR_INIT;
    struct pending *p = may_append(a, &e) ? prepare(a, r, PENDING_RECORD, done, arg, &e) : NULL;

    if (!p) {
        refuse(a, done, arg, &e);
        return;
    }
    a->n_pending++;
    logdb_submit(a->db, &p->job);
}

enum status audit_append_ahead(struct audit *a, const struct receipt *r, audit_done_fn *done,
                               void *arg, struct err *e)
{
    struct err own = ERR_INIT;
    struct pending *p = may_append(a, &own) ? prepare(a, r, PENDING_RECORD, done, arg, &own) : NULL;

    if (!p) {
        if (e)
            *e = own;
        return own.status;
    }
    p->job.leads = true;
    a->n_pending++;
    logdb_submit(a->db, &p->job);
    return STATUS_OK;
}

void audit_flush(struct audit *a, audit_done_fn *done, void *arg)
{
    struct pending *p;

    BUG_ON(a->closing);
    p = new_pending(a, PENDING_FLUSH, 0, done, arg);
    loop_hold(a->loop);
    logdb_submit(a->db, &p->job);
}

void audit_rotate(struct audit *a, audit_done_fn *done, void *arg)
{
    const struct receipt r = {.kind = "key.rotate", .outcome = "ok"};
    unsigned char public_key[SIGN_PUBLIC];
    char vkey[NOTE_VKEY_MAX];
    struct err e = ERR_INIT;
    struct pending *p = NULL;

    if (a->key_source.is_env)
        err_set(&e, STATUS_UNSUPPORTED,
                "the audit key comes from the variable %s, which cannot be rewritten: only a key "
                "file can be rotated",
                a->key_source.where);
    else if (may_append(a, &e))
        p = prepare(a, &r, PENDING_ROTATE, done, arg, &e);
    if (!p) {
        refuse(a, done, arg, &e);
        return;
    }
    p->key = sign_key_generate();
    sign_key_public(p->key, public_key);
    p->vkey = xstrdup(note_vkey(a->origin, public_key, vkey));
    a->n_pending++;
    logdb_submit(a->db, &p->job);
}

/* --- the end --- */

char *audit_next_key_path(const struct audit *a)
{
    size_t n = strlen(a->key_source.where) + sizeof(".new");
    char *out = xcalloc(1, n);

    (void)snprintf(out, n, "%s.new", a->key_source.where);
    return out;
}

static void free_forest(void *range)
{
    free(range);
}

void audit_finalize(struct audit *a)
{
    struct audit_writer *w = &a->w;

    (void)sqlite3_finalize(w->insert);
    (void)sqlite3_finalize(w->insert_checkpoint);
    (void)sqlite3_finalize(w->delete_checkpoint);
    (void)sqlite3_finalize(w->insert_key);
    w->insert = w->insert_checkpoint = w->delete_checkpoint = w->insert_key = NULL;
}

void audit_free(struct audit *a)
{
    struct audit_writer *w = &a->w;

    sign_key_destroy(&w->key);
    sign_key_destroy(&w->old_key);
    map_destroy(&w->forests, free_forest);
    buf_deinit(&w->lines);
    buf_deinit(&w->committed);
    buf_deinit(&w->note);
    if (w->has_sink)
        sink_close(&w->sink);
    key_source_deinit(&a->key_source);
    buf_deinit(&a->scratch);
    buf_deinit(&a->checkpoint);
    free(a->sink_news);
    free(a->state_dir);
    free(a->pub_path);
    free(a);
}

void audit_on_closed(void *arg)
{
    struct pending *p = arg;
    struct audit *a = p->audit;
    struct logdb *db = a->owns_db ? a->db : NULL;
    struct loop *loop = a->loop;
    void (*closed)(void *) = a->closed;
    void *closed_arg = a->closed_arg;

    tell_sink(a);
    free_pending(p);
    audit_free(a);
    if (db)
        logdb_close(db, closed, closed_arg);
    else if (closed)
        closed(closed_arg);
    loop_release(loop);
}

void audit_close(struct audit *a, void (*closed)(void *arg), void *arg)
{
    struct pending *p = new_pending(a, PENDING_CLOSE, 0, NULL, NULL);

    BUG_ON(a->closing);
    a->closing = true;
    a->closed = closed;
    a->closed_arg = arg;
    loop_hold(a->loop);
    logdb_submit(a->db, &p->job);
}

/* --- what is known --- */

uint64_t audit_size(const struct audit *a)
{
    return a->size;
}

const char *audit_log_id(const struct audit *a)
{
    return a->log_id;
}

void audit_public_key(const struct audit *a, unsigned char out[32])
{
    memcpy(out, a->public_key, SIGN_PUBLIC);
}

struct str audit_checkpoint(const struct audit *a)
{
    return buf_str(&a->checkpoint);
}

struct hlc *audit_hlc(struct audit *a)
{
    return &a->hlc;
}

struct logdb *audit_db(struct audit *a)
{
    return a->db;
}
