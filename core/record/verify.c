/* Verification as a pipeline: this thread reads batches of lines and, in order, checks what links
 * one record to the next; worker threads decode, hash and check signatures of whole batches.
 * Signatures are what costs: they are spread over all processors, and only they depend on a key,
 * which may change on the way (key.rotate). A batch carries the key it was checked with; if that
 * has changed by the time the batch's turn comes, its signatures are checked again here. */
#include "core/record/verify.h"

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/map.h"
#include "core/record/keyfile.h"
#include "core/record/logread.h"
#include "core/record/record.h"
#include "core/record/sink.h"

#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>

enum {
    KEYS_MAX = 1024,     /* trusted ones and those rotated to */
    NOTES_MAX = 64,      /* anchors */
    FORESTS_MAX = 16384, /* receipts open at the same time; children of more are not counted */
    THREADS_MAX = 64,
    NO_KEY = -1,
};

struct checked {
    struct record r;
    struct record_fault fault;
    struct merkle_hash leaf;
    int sig_key; /* index of the key that the signature verifies under, or NO_KEY */
    bool decoded, payload_ok;
};

/* A batch on its way through the workers. */
struct job {
    struct logread_batch batch;
    struct checked item[LOGREAD_ITEMS];
    int first_key, n_keys; /* the keys that may have signed */
    bool done;             /* guarded by pool.lock */
};

struct pool {
    pthread_mutex_t lock; /* guards what follows and job.done */
    pthread_cond_t work, result;
    struct job **todo; /* ring of n_jobs */
    size_t posted, taken, n_jobs;
    bool stop;
    pthread_t thread[THREADS_MAX];
    size_t n_threads;
};

/* A signed checkpoint from beside the log or from elsewhere. */
struct note_in {
    struct checkpoint c;
    bool is_anchor;
    char text[NOTE_MAX];
    size_t len;
    char name[128]; /* for messages */
};

struct verify {
    const struct audit_verify_opts *opts;
    struct audit_verdict *v;
    struct logread *log;
    struct pool pool;

    unsigned char key[KEYS_MAX][SIGN_PUBLIC];
    int n_trusted, n_keys;
    int current; /* the key that signs now; NO_KEY until the first signature verified */
    uint64_t unknown_signatures, unknown_checkpoints;
    uint64_t first_unknown; /* record with the first signature that no trusted key made */

    struct note_in note[NOTES_MAX];
    size_t n_notes, next_note;
    bool has_stored; /* a checkpoint of the database waits */
    uint64_t stored_size;
    char stored[NOTE_MAX];
    size_t stored_len;

    struct merkle_builder tree;
    struct merkle_hash prev;
    bool prev_was_signed;
    uint64_t last_seq; /* campaign exports */
    struct map *forests;
    bool forests_full;
    bool bad;
};

/* --- verdicts --- */

static bool verdict(struct verify *v, enum audit_exit code, uint64_t seq, const char *fmt, ...)
    printf_like(4, 5);

/* The first verdict stands. Always false. */
static bool verdict(struct verify *v, enum audit_exit code, uint64_t seq, const char *fmt, ...)
{
    va_list ap;

    if (v->bad)
        return false;
    v->bad = true;
    v->v->exit_code = (int)code;
    v->v->has_bad = code == AUDIT_EXIT_TAMPERED || code == AUDIT_EXIT_TRUNCATED;
    v->v->bad_seq = seq;
    va_start(ap, fmt);
    (void)vsnprintf(v->v->reason, sizeof(v->v->reason), fmt, ap);
    va_end(ap);
    return false;
}

#define TAMPERED(v, seq, ...) verdict(v, AUDIT_EXIT_TAMPERED, seq, __VA_ARGS__)

/* --- workers --- */

static bool signature_ok(struct str line, const struct record *r,
                         const unsigned char key[SIGN_PUBLIC])
{
    unsigned char text[AUDIT_LINE_MAX + 1];

    memcpy(text, line.ptr, r->sig_at);
    text[r->sig_at] = '}';
    return crypto_sign_verify_detached(r->sig, text, r->sig_at + 1, key) == 0;
}

static void check_item(const struct verify *v, const struct job *j, size_t i, struct checked *c)
{
    const struct logread_item *it = &j->batch.item[i];
    struct str line = logread_line(&j->batch, i);
    struct merkle_hash h;

    c->sig_key = NO_KEY;
    c->payload_ok = true;
    c->decoded = record_decode(line, &c->r, &c->fault);
    if (!c->decoded)
        return;
    for (int k = 0; c->r.has_sig && c->sig_key == NO_KEY && k < j->n_keys; k++)
        if (signature_ok(line, &c->r, v->key[j->first_key + k]))
            c->sig_key = j->first_key + k;
    if (it->has_payload) {
        merkle_sha256(j->batch.text.ptr + it->payload_at, it->payload_len, &h);
        c->payload_ok = !it->payload_too_large && c->r.has_ph && merkle_eq(&h, &c->r.ph);
    }
}

static void check_batch(const struct verify *v, struct job *j)
{
    enum { AT_ONCE = 64 };
    struct merkle_hash leaf[AT_ONCE];
    struct str line[AT_ONCE];

    for (size_t i = 0; i < j->batch.n; i++)
        check_item(v, j, i, &j->item[i]);
    for (size_t from = 0; from < j->batch.n; from += AT_ONCE) {
        size_t n = j->batch.n - from < AT_ONCE ? j->batch.n - from : AT_ONCE;

        for (size_t i = 0; i < n; i++)
            line[i] = logread_line(&j->batch, from + i);
        merkle_leaves(line, n, leaf);
        for (size_t i = 0; i < n; i++)
            j->item[from + i].leaf = leaf[i];
    }
}

static void *worker_main(void *arg)
{
    struct verify *v = arg;
    struct pool *p = &v->pool;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct job *j;

        while (!p->stop && p->taken == p->posted)
            pthread_cond_wait(&p->work, &p->lock);
        if (p->stop)
            break;
        j = p->todo[p->taken++ % p->n_jobs];
        pthread_mutex_unlock(&p->lock);
        check_batch(v, j);
        pthread_mutex_lock(&p->lock);
        j->done = true;
        pthread_cond_signal(&p->result);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void post_job(struct verify *v, struct job *j)
{
    struct pool *p = &v->pool;

    /* known once a signature verified; before that any trusted key may be the first */
    j->first_key = v->current == NO_KEY ? 0 : v->current;
    j->n_keys = v->current == NO_KEY ? v->n_trusted : 1;
    pthread_mutex_lock(&p->lock);
    j->done = false;
    p->todo[p->posted++ % p->n_jobs] = j;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

static void await_job(struct verify *v, const struct job *j)
{
    struct pool *p = &v->pool;

    pthread_mutex_lock(&p->lock);
    while (!j->done)
        pthread_cond_wait(&p->result, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

static enum status pool_start(struct verify *v, struct err *e)
{
    struct pool *p = &v->pool;
    long n = v->opts->threads ? (long)v->opts->threads : sysconf(_SC_NPROCESSORS_ONLN);
    int rc = 0;

    n = n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : n;
    p->n_jobs = (size_t)n * 2 + 1;
    p->todo = xcalloc(p->n_jobs, sizeof(struct job *));
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->result, NULL);
    while (p->n_threads < (size_t)n &&
           (rc = pthread_create(&p->thread[p->n_threads], NULL, worker_main, v)) == 0)
        p->n_threads++;
    return p->n_threads > 0 ? STATUS_OK
                            : err_set_errno(e, STATUS_ENVIRONMENT, rc, "start a thread");
}

static void pool_stop(struct verify *v)
{
    struct pool *p = &v->pool;

    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->n_threads; i++)
        (void)pthread_join(p->thread[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->result);
    free(p->todo);
}

/* --- keys --- */

static int find_key(const struct verify *v, const unsigned char key[SIGN_PUBLIC], int n)
{
    for (int i = 0; i < n; i++)
        if (memcmp(v->key[i], key, SIGN_PUBLIC) == 0)
            return i;
    return NO_KEY;
}

static enum status load_key_file(struct verify *v, const char *path, struct err *e)
{
    struct buf text = BUF_INIT(BUF_MAX_LINE);
    unsigned char keys[KEYFILE_PUBLIC_MAX][SIGN_PUBLIC];
    size_t n = 0;
    enum status s = file_read(path, &text, e);

    if (s == STATUS_OK)
        s = public_key_parse(buf_str(&text), path, keys, KEYFILE_PUBLIC_MAX, &n, e);
    buf_deinit(&text);
    for (size_t i = 0; s == STATUS_OK && i < n; i++) {
        if (v->n_keys == KEYS_MAX)
            return err_set(e, STATUS_TOO_LARGE, "%s: more than %d trusted keys", path,
                           (int)KEYS_MAX);
        if (find_key(v, keys[i], v->n_keys) == NO_KEY)
            memcpy(v->key[v->n_keys++], keys[i], SIGN_PUBLIC);
    }
    if (s == STATUS_OK && !v->v->key_path[0])
        (void)snprintf(v->v->key_path, sizeof(v->v->key_path), "%s", path);
    return s;
}

/* Without keys given: those that stand beside the log. None there is a verdict, not an error. */
static enum status load_keys(struct verify *v, struct err *e)
{
    const struct audit_verify_opts *o = v->opts;
    enum status s = STATUS_OK;

    for (size_t i = 0; i < o->n_keys && s == STATUS_OK; i++)
        s = load_key_file(v, o->keys[i], e);
    if (o->n_keys == 0 && strcmp(o->path, "-") != 0) {
        cleanup_free char *dir = file_dirname(o->path);
        cleanup_free char *path = logread_is_database(v->log) ? file_join(dir, "audit.pub")
                                                              : sink_beside(o->path, ".pub");

        s = load_key_file(v, path, e);
        if (s == STATUS_NOT_FOUND) {
            err_clear(e);
            s = STATUS_OK;
        }
    }
    v->n_trusted = v->n_keys;
    return s;
}

/* --- checkpoints --- */

/* Signed by one of the keys known so far? BAD_SIGNATURE when a line claims to be and is not. */
static enum note_verdict check_note(const struct verify *v, struct str note, const char *origin)
{
    enum note_verdict worst = NOTE_OTHER_KEY;

    for (int i = 0; i < v->n_keys; i++) {
        enum note_verdict n = note_check(note, origin, v->key[i]);

        if (n == NOTE_OK || n == NOTE_MALFORMED)
            return n;
        if (n == NOTE_BAD_SIGNATURE)
            worst = n;
    }
    return worst;
}

/* Reads a note into the list. Its signature is checked later, when all keys are known. */
static enum status load_note(struct verify *v, const char *path, bool is_anchor, struct err *e)
{
    struct buf text = BUF_INIT(NOTE_MAX);
    enum status s = file_read(path, &text, e);
    struct note_in *n;
    struct str body;

    if (s == STATUS_OK && v->n_notes == NOTES_MAX)
        s = err_set(e, STATUS_TOO_LARGE, "more than %d anchors", (int)NOTES_MAX);
    if (s != STATUS_OK) {
        buf_deinit(&text);
        return s;
    }
    n = &v->note[v->n_notes];
    *n = (struct note_in){.is_anchor = is_anchor};
    (void)snprintf(n->name, sizeof(n->name), "%s %s", is_anchor ? "anchor" : "checkpoint", path);
    if (!note_text(buf_str(&text), &body) || !checkpoint_parse(body, &n->c)) {
        if (is_anchor)
            s = err_set(e, STATUS_INVALID, "%s is no signed checkpoint (c2sp.org/tlog-checkpoint)",
                        path);
        else
            (void)TAMPERED(v, 0, "%s is no signed checkpoint", n->name);
    } else {
        memcpy(n->text, text.ptr, text.len);
        n->len = text.len;
        if (check_note(v, buf_str(&text), n->c.origin) == NOTE_BAD_SIGNATURE)
            (void)TAMPERED(v, 0, "the signature of %s does not verify: it was rewritten", n->name);
        v->n_notes++;
    }
    buf_deinit(&text);
    return s;
}

static int by_size(const void *a, const void *b)
{
    const struct note_in *x = a, *y = b;

    return (x->c.size > y->c.size) - (x->c.size < y->c.size);
}

static enum status load_notes(struct verify *v, struct err *e)
{
    const struct audit_verify_opts *o = v->opts;
    enum status s = STATUS_OK;

    if (!logread_is_database(v->log) && strcmp(o->path, "-") != 0 && !o->campaign) {
        cleanup_free char *path = sink_beside(o->path, ".checkpoint");

        s = load_note(v, path, false, e);
        if (s == STATUS_NOT_FOUND) {
            err_clear(e);
            s = STATUS_OK;
        }
    }
    for (size_t i = 0; i < o->n_anchors && s == STATUS_OK; i++)
        s = load_note(v, o->anchors[i], true, e);
    qsort(v->note, v->n_notes, sizeof(v->note[0]), by_size);
    return s;
}

static void next_stored(struct verify *v)
{
    struct str note;

    v->has_stored = logread_checkpoint(v->log, &v->stored_size, &note);
    v->stored_len = 0;
    if (!v->has_stored || note.len > sizeof(v->stored))
        return;
    memcpy(v->stored, note.ptr, note.len);
    v->stored_len = note.len;
}

/* The checkpoint of the database at this size. */
static bool check_stored(struct verify *v, const struct merkle_hash *root)
{
    struct str note = str_n(v->stored, v->stored_len), text;
    uint64_t size = v->stored_size;
    enum note_verdict signed_by;
    struct checkpoint c;
    char origin[NOTE_NAME_MAX];

    (void)snprintf(origin, sizeof(origin), "fleet/%s", v->v->log_id);
    if (!note_text(note, &text) || !checkpoint_parse(text, &c) || c.size != size ||
        (v->v->size > 0 && strcmp(c.origin, origin) != 0))
        return TAMPERED(v, size ? size - 1 : 0,
                        "the checkpoint at size %" PRIu64 " is no checkpoint of this log", size);
    signed_by = check_note(v, note, c.origin);
    if (signed_by == NOTE_BAD_SIGNATURE)
        return TAMPERED(v, size ? size - 1 : 0,
                        "the signature of the checkpoint at size %" PRIu64
                        " does not verify: it was rewritten",
                        size);
    if (!merkle_eq(&c.root, root))
        return TAMPERED(v, v->v->covered < size ? v->v->covered : size - 1,
                        "the records up to %" PRIu64
                        " do not have the root that the checkpoint at size %" PRIu64 " signs",
                        size ? size - 1 : 0, size);
    if (signed_by != NOTE_OK) {
        v->unknown_checkpoints++;
        return true;
    }
    v->v->checkpoints++;
    if (size > v->v->covered)
        v->v->covered = size;
    return true;
}

static bool check_note_in(struct verify *v, const struct note_in *n, const struct merkle_hash *root)
{
    char origin[NOTE_NAME_MAX];
    uint64_t size = n->c.size;

    (void)snprintf(origin, sizeof(origin), "fleet/%s", v->v->log_id);
    if (v->v->size > 0 && strcmp(n->c.origin, origin) != 0)
        return verdict(v, n->is_anchor ? AUDIT_EXIT_TRUNCATED : AUDIT_EXIT_TAMPERED, 0,
                       "%s is of log \"%s\", the records are of \"%s\"", n->name, n->c.origin,
                       origin);
    if (!merkle_eq(&n->c.root, root) && n->is_anchor)
        return verdict(v, AUDIT_EXIT_TRUNCATED, size ? size - 1 : 0,
                       "the log was rolled back and went on otherwise: its first %" PRIu64
                       " records are not those that %s signs",
                       size, n->name);
    if (!merkle_eq(&n->c.root, root))
        return TAMPERED(v, v->v->covered < size ? v->v->covered : size - 1,
                        "the records up to %" PRIu64 " do not have the root that %s signs",
                        size - 1, n->name);
    /* only now: keys that the log rotated to are known */
    if (check_note(v, str_n(n->text, n->len), n->c.origin) != NOTE_OK) {
        v->unknown_checkpoints++;
        return true;
    }
    *(n->is_anchor ? &v->v->anchors : &v->v->checkpoints) += 1;
    if (size > v->v->covered)
        v->v->covered = size;
    return true;
}

/* All that signs the tree at the size reached. */
static bool check_heads(struct verify *v)
{
    uint64_t size = v->v->size;
    struct merkle_hash root;
    bool wanted = (v->has_stored && v->stored_size <= size) ||
                  (v->next_note < v->n_notes && v->note[v->next_note].c.size <= size);

    if (!wanted)
        return true;
    merkle_range_root(merkle_builder_range(&v->tree), &root);
    while (v->has_stored && v->stored_size <= size) {
        if (v->stored_size < size)
            return TAMPERED(v, v->stored_size, "two checkpoints at size %" PRIu64, v->stored_size);
        if (!check_stored(v, &root))
            return false;
        next_stored(v);
    }
    for (; v->next_note < v->n_notes && v->note[v->next_note].c.size <= size; v->next_note++)
        if (!check_note_in(v, &v->note[v->next_note], &root))
            return false;
    return true;
}

/* --- records, in order --- */

static struct str hash_key(const struct merkle_hash *h)
{
    return str_n((const char *)h->b, MERKLE_HASH);
}

/* A rotation is signed by the key that signed so far; from the next record on the new one does. */
static bool take_rotation(struct verify *v, const struct record *r, bool is_signed)
{
    unsigned char key[SIGN_PUBLIC];
    char name[NOTE_NAME_MAX], origin[NOTE_NAME_MAX];
    int k;

    (void)snprintf(origin, sizeof(origin), "fleet/%s", v->v->log_id);
    if (!note_vkey_parse(r->vkey, name, key) || strcmp(name, origin) != 0)
        return TAMPERED(v, r->seq, "record %" PRIu64 ": its \"vkey\" is no key of this log",
                        r->seq);
    k = find_key(v, key, v->n_keys);
    if (!is_signed && v->current != NO_KEY)
        return TAMPERED(v, r->seq, "record %" PRIu64 ": a key rotation without a signature",
                        r->seq);
    if (!is_signed) { /* signed by a key we do not know: it counts only if it leads to one we trust
                       */
        if (k != NO_KEY && k < v->n_trusted)
            v->current = k;
        return true;
    }
    if (k == NO_KEY) {
        if (v->n_keys == KEYS_MAX)
            return TAMPERED(v, r->seq, "record %" PRIu64 ": more than %d keys", r->seq,
                            (int)KEYS_MAX);
        k = v->n_keys;
        memcpy(v->key[k], key, SIGN_PUBLIC);
        v->n_keys++;
    }
    v->current = k;
    v->v->rotations++;
    return true;
}

static bool take_signature(struct verify *v, const struct job *j, const struct checked *c,
                           struct str line, bool *is_signed)
{
    uint64_t place = v->opts->campaign ? c->r.seq : v->v->size;
    int key = c->sig_key;

    *is_signed = false;
    if (!c->r.has_sig)
        return true;
    if (v->current != NO_KEY && (j->n_keys != 1 || j->first_key != v->current))
        key = signature_ok(line, &c->r, v->key[v->current]) ? v->current : NO_KEY;
    if (v->current == NO_KEY && key == NO_KEY) {
        if (v->unknown_signatures++ == 0)
            v->first_unknown = place;
        return true;
    }
    if (v->current == NO_KEY && v->unknown_signatures > 0) /* no rotation led to this key */
        return TAMPERED(v, v->first_unknown, "record %" PRIu64 ": its signature does not verify",
                        v->first_unknown);
    if (key == NO_KEY)
        return TAMPERED(v, place, "record %" PRIu64 ": its signature does not verify", place);
    v->current = key;
    v->v->signatures++;
    *is_signed = true;
    return true;
}

static bool take_forest(struct verify *v, const struct checked *c)
{
    const struct record *r = &c->r;
    struct merkle_builder *f;
    struct merkle_hash root;

    if (r->has_parent && (f = map_find(v->forests, hash_key(&r->parent))))
        merkle_builder_add(f, &c->leaf);
    if (str_ends(r->kind, STR(".open"))) {
        if (map_len(v->forests) >= FORESTS_MAX)
            v->forests_full = true;
        else
            free(map_put(v->forests, hash_key(&c->leaf), xcalloc(1, sizeof(*f))));
    }
    if (!r->has_of)
        return true;
    f = map_remove(v->forests, hash_key(&r->of));
    if (!f)
        return v->forests_full ||
               TAMPERED(v, r->seq, "record %" PRIu64 " closes a receipt that is not open", r->seq);
    merkle_range_root(merkle_builder_range(f), &root);
    if (!r->has_forest || !r->has_children || r->children != merkle_builder_size(f) ||
        !merkle_eq(&r->forest, &root)) {
        uint64_t n = merkle_builder_size(f);

        free(f);
        return TAMPERED(v, r->seq,
                        "record %" PRIu64 " counts %" PRIu64 " children, %" PRIu64
                        " are there or they are others",
                        r->seq, r->children, n);
    }
    free(f);
    v->v->forests++;
    return true;
}

/* Place and link: what stands between this record and the one before it. */
static bool check_link(struct verify *v, const struct record *r, bool is_signed)
{
    uint64_t want = v->v->size;

    if (v->opts->campaign) {
        if (want > 0 && r->seq <= v->last_seq)
            return TAMPERED(v, r->seq, "record %" PRIu64 " comes after record %" PRIu64, r->seq,
                            v->last_seq);
        if (want == 0 || r->seq != v->last_seq + 1)
            return true;
    } else if (r->seq > want) {
        return TAMPERED(v, want,
                        "record %" PRIu64 " is missing: record %" PRIu64 " stands in its place",
                        want, r->seq);
    } else if (r->seq < want) {
        return TAMPERED(v, r->seq, "record %" PRIu64 " stands in the place of record %" PRIu64,
                        r->seq, want);
    }
    if (merkle_eq(&r->prev, &v->prev))
        return true;
    if (want == 0)
        return TAMPERED(v, 0, "record 0 follows another record: the beginning is cut off");
    if (v->prev_was_signed || !is_signed)
        return TAMPERED(v, v->prev_was_signed ? r->seq : r->seq - 1,
                        "record %" PRIu64 " does not follow record %" PRIu64
                        ": its \"prev\" is another hash",
                        r->seq, r->seq - 1);
    return TAMPERED(v, r->seq - 1,
                    "record %" PRIu64 " was changed: record %" PRIu64 " was chained to another",
                    r->seq - 1, r->seq);
}

static bool check_place(struct verify *v, const struct logread_item *it, const struct record *r)
{
    char *id = v->v->log_id;

    if (logread_is_database(v->log) && it->row != r->seq)
        return TAMPERED(v, it->row, "row %" PRIu64 " holds record %" PRIu64, it->row, r->seq);
    if (v->v->size == 0)
        (void)snprintf(id, sizeof(v->v->log_id), "%.*s", STR_ARG(r->log));
    if (!str_eqz(r->log, id))
        return TAMPERED(v, r->seq, "record %" PRIu64 " is of log \"%.*s\", the log is \"%s\"",
                        r->seq, r->log.len > 64 ? 64 : (int)r->log.len, r->log.ptr, id);
    return true;
}

/* A last line without newline: the end of a record that was being written, or junk. */
static bool take_torn(struct verify *v, struct str line)
{
    bool plausible = line.len > 0 && line.len <= AUDIT_LINE_MAX && line.ptr[0] == '{' &&
                     (line.len < 2 || line.ptr[1] == '"');

    for (size_t i = 0; i < line.len && plausible; i++)
        plausible = (unsigned char)line.ptr[i] >= 0x20;
    if (!plausible)
        return TAMPERED(v, v->v->size, "bytes after record %" PRIu64 " that are no record",
                        v->v->size ? v->v->size - 1 : 0);
    v->v->torn = true;
    return true;
}

static bool take_record(struct verify *v, const struct job *j, size_t i)
{
    const struct logread_item *it = &j->batch.item[i];
    const struct checked *c = &j->item[i];
    struct str line = logread_line(&j->batch, i);
    uint64_t place = v->opts->campaign ? it->row : v->v->size;
    bool is_signed;

    if (it->torn && !c->decoded)
        return take_torn(v, line);
    if (logread_is_database(v->log) && it->row > place)
        return TAMPERED(v, place,
                        "record %" PRIu64 " is missing: record %" PRIu64 " stands in its place",
                        place, it->row);
    if (!c->decoded)
        return TAMPERED(v, place, "record %" PRIu64 ": %s (byte %zu of the line)", place,
                        c->fault.what, c->fault.at);
    if (!take_signature(v, j, c, line, &is_signed) || !check_place(v, it, &c->r) ||
        !check_link(v, &c->r, is_signed))
        return false;
    if (!c->payload_ok)
        return TAMPERED(v, c->r.seq, "record %" PRIu64 ": its stored payload has another hash",
                        c->r.seq);
    if (it->has_payload)
        v->v->payloads++;
    if (str_eqz(c->r.kind, "key.rotate") && !take_rotation(v, &c->r, is_signed))
        return false;
    if (!take_forest(v, c))
        return false;
    merkle_builder_add(&v->tree, &c->leaf);
    v->prev = c->leaf;
    v->prev_was_signed = is_signed;
    v->last_seq = c->r.seq;
    v->v->size++;
    if (is_signed)
        v->v->covered = v->v->size;
    return v->opts->campaign || check_heads(v);
}

/* --- the whole --- */

static enum status read_all(struct verify *v, struct job *jobs, struct err *e)
{
    size_t n = v->pool.n_jobs, first = 0, last = 0; /* jobs [first, last) are under way */
    bool end = false;
    enum status s = STATUS_OK;

    while (!v->bad) {
        while (!end && last - first < n) {
            struct job *j = &jobs[last % n];

            s = logread_next(v->log, &j->batch, e);
            end = s != STATUS_OK || j->batch.n == 0;
            if (j->batch.n == 0)
                break;
            post_job(v, j);
            last++;
        }
        if (first == last)
            break;
        await_job(v, &jobs[first % n]);
        for (size_t i = 0; i < jobs[first % n].batch.n && !v->bad; i++)
            (void)take_record(v, &jobs[first % n], i);
        first++;
    }
    while (first < last)
        await_job(v, &jobs[first++ % n]);
    return s;
}

/* A database that cannot be read to its end is not what was written. */
static enum status read_failed(struct verify *v, enum status s, struct err *e)
{
    if (s != STATUS_CORRUPT || v->bad)
        return v->bad ? STATUS_OK : s;
    (void)TAMPERED(v, v->v->size, "the database is damaged from record %" PRIu64 " on: %s",
                   v->v->size, err_text(e));
    err_clear(e);
    return STATUS_OK;
}

static enum status run(struct verify *v, struct err *e)
{
    struct job *jobs;
    enum status s = pool_start(v, e);

    jobs = xcalloc(v->pool.n_jobs, sizeof(*jobs));
    for (size_t i = 0; i < v->pool.n_jobs; i++)
        logread_batch_init(&jobs[i].batch);
    if (s == STATUS_OK)
        s = read_all(v, jobs, e);
    pool_stop(v);
    for (size_t i = 0; i < v->pool.n_jobs; i++)
        logread_batch_deinit(&jobs[i].batch);
    free(jobs);
    return s == STATUS_OK ? s : read_failed(v, s, e);
}

static void check_truncation(struct verify *v)
{
    uint64_t size = v->v->size;

    if (v->has_stored)
        (void)verdict(v, AUDIT_EXIT_TRUNCATED, size,
                      "the log ends after %" PRIu64
                      " records, its own checkpoint speaks of %" PRIu64,
                      size, v->stored_size);
    if (v->next_note < v->n_notes)
        (void)verdict(v, AUDIT_EXIT_TRUNCATED, size,
                      "the log ends after %" PRIu64 " records, %s speaks of %" PRIu64, size,
                      v->note[v->n_notes - 1].name, v->note[v->n_notes - 1].c.size);
}

/* Nothing is wrong with the chain: who vouches for it, and for how much? */
static void conclude(struct verify *v)
{
    struct audit_verdict *o = v->v;
    uint64_t unknown = v->unknown_signatures + v->unknown_checkpoints;

    if (v->n_trusted == 0)
        (void)verdict(v, AUDIT_EXIT_NO_KEY, 0,
                      "no trusted public key: the chain of %" PRIu64
                      " records is whole, but nothing says who wrote it",
                      o->size);
    if (o->size > 0 && o->covered == 0 && unknown > 0)
        (void)verdict(v, AUDIT_EXIT_NO_KEY, 0,
                      "the chain of %" PRIu64 " records is whole, but none of the %d trusted keys "
                      "signed it",
                      o->size, v->n_trusted);
    o->tail = o->size - o->covered + (o->torn ? 1 : 0);
    if (v->bad)
        return;
    if (o->tail > 0)
        (void)verdict(v, AUDIT_EXIT_TAIL, 0,
                      "the first %" PRIu64 " of %" PRIu64 " records verify%s", o->covered, o->size,
                      o->torn ? "; the last line is torn" : "; the rest is not signed yet");
    else
        (void)verdict(v, AUDIT_EXIT_OK, 0, "all %" PRIu64 " records verify", o->size);
}

static void free_forest(void *range)
{
    free(range);
}

enum status audit_verify(const struct audit_verify_opts *opts, struct audit_verdict *out,
                         struct err *e)
{
    struct verify *v = xcalloc(1, sizeof(*v));
    enum status s;

    *out = (struct audit_verdict){0};
    if (sodium_init() < 0)
        BUG("libsodium does not start");
    v->opts = opts;
    v->v = out;
    v->current = NO_KEY;
    v->forests = map_create();
    s = logread_open(opts->path, &v->log, e);
    if (s == STATUS_OK)
        s = load_keys(v, e);
    if (s == STATUS_OK)
        s = load_notes(v, e);
    if (s == STATUS_OK) {
        next_stored(v);
        if (!opts->campaign)
            (void)check_heads(v);
        if (!v->bad)
            s = run(v, e);
    }
    if (s == STATUS_OK) {
        if (!opts->campaign)
            check_truncation(v);
        conclude(v);
        merkle_range_root(merkle_builder_range(&v->tree), &out->root);
    }
    logread_close(&v->log);
    map_destroy(&v->forests, free_forest);
    free(v);
    return s;
}

/* --- printing --- */

static void print_json(const struct audit_verdict *v, struct buf *out)
{
    buf_addf(out,
             "{\"exit\":%d,\"size\":%" PRIu64 ",\"covered\":%" PRIu64 ",\"tail\":%" PRIu64
             ",\"torn\":%s,\"bad_seq\":",
             v->exit_code, v->size, v->covered, v->tail, v->torn ? "true" : "false");
    if (v->has_bad)
        buf_addf(out, "%" PRIu64, v->bad_seq);
    else
        buf_adds(out, "null");
    buf_adds(out, ",\"reason\":");
    json_print_str(str_from(v->reason), out);
    buf_adds(out, ",\"log\":");
    json_print_str(str_from(v->log_id), out);
    buf_adds(out, ",\"root\":\"");
    buf_add_hex(out, v->root.b, MERKLE_HASH);
    buf_adds(out, "\",\"key\":");
    json_print_str(str_from(v->key_path), out);
    buf_addf(out,
             ",\"signatures\":%" PRIu64 ",\"checkpoints\":%" PRIu64 ",\"anchors\":%" PRIu64
             ",\"forests\":%" PRIu64 ",\"payloads\":%" PRIu64 ",\"rotations\":%" PRIu64 "}\n",
             v->signatures, v->checkpoints, v->anchors, v->forests, v->payloads, v->rotations);
}

void audit_verdict_print(const struct audit_verdict *v, bool json, struct buf *out)
{
    static const char *const name[] = {"ok", "TAMPERED", "TRUNCATED", "ok, with an unsigned tail",
                                       "NO TRUSTED KEY"};

    if (json) {
        print_json(v, out);
        return;
    }
    buf_addf(out, "%s: %s\n", name[v->exit_code], v->reason);
    if (v->log_id[0])
        buf_addf(out, "  log        %s\n", v->log_id);
    buf_addf(out, "  records    %" PRIu64 " read, the first %" PRIu64 " covered by signatures\n",
             v->size, v->covered);
    if (v->tail > 0)
        buf_addf(out, "  tail       %" PRIu64 "%s\n", v->tail, v->torn ? ", one of them torn" : "");
    buf_addf(out,
             "  verified   %" PRIu64 " signatures, %" PRIu64 " checkpoints, %" PRIu64
             " anchors, %" PRIu64 " close receipts, %" PRIu64 " payloads, %" PRIu64
             " key rotations\n",
             v->signatures, v->checkpoints, v->anchors, v->forests, v->payloads, v->rotations);
    if (v->key_path[0])
        buf_addf(out, "  key        %s\n", v->key_path);
    buf_adds(out, "  root       ");
    buf_add_hex(out, v->root.b, MERKLE_HASH);
    buf_addc(out, '\n');
}
