/* Lines ahead of the writer. What a record costs is half hashing and half SQLite, so with a group
 * of some size a thread of its own, the builder, does the one while the writer does the other.
 * Where each record is signed, which takes longer than all else, it begins while the group before
 * is still being committed. (Without signatures that costs more than it gives: what is built long
 * before it is stored is in nobody's cache by then.)
 *
 *   builder:  line, signature, leaf, tree of record n + k   (seq, prev, tree, forests, key)
 *   writer:   INSERT of record n                            (connection, copy, checkpoint)
 *
 * The order of the chain is that of the group, as ever. From begin_group to end_group what a record
 * moves in struct audit_writer is the builder's, but for records that the writer has to build
 * itself, as they want the database or change the key: there the builder stands still. Outside of a
 * group, and in small groups, there is no builder at work and all is the writer's. */
#include "core/record/audit_internal.h"

#include <pthread.h>

enum {
    BUILD_AHEAD_MIN = 64, /* records in a group that is worth it */
    BUILD_CHUNK = 32,     /* records told of at once */
    BUILD_HEAD = 768,     /* bytes of prepared text whose leaf is begun early: most are shorter */
};

struct audit_builder {
    struct audit *audit;
    pthread_t thread;
    size_t taken, known; /* of the group: records the writer has passed, and knows to be built */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work, progress;
    struct pending *next;        /* the first not built; NULL: nothing to do */
    const struct pending *stuck; /* the writer's to build */
    size_t built;                /* of the group */
    bool busy, stop, quit;

    char head[BUILD_CHUNK][BUILD_HEAD + AUDIT_LINE_ADDED]; /* the builder's */
};

/* --- one record --- */

static struct str hash_key(const struct merkle_hash *h)
{
    return str_n((const char *)h->b, MERKLE_HASH);
}

static void forest_note(struct audit_writer *w, const struct pending *p)
{
    struct merkle_builder *f = p->has_parent ? map_find(w->forests, hash_key(&p->parent)) : NULL;

    if (p->has_closes)
        free(map_remove(w->forests, hash_key(&p->closes)));
    if (f)
        merkle_builder_add(f, &p->leaf);
    if (p->opens)
        free(map_put(w->forests, hash_key(&p->leaf), xcalloc(1, sizeof(*f))));
}

void audit_build(struct audit *a, struct pending *p, const struct merkle_range *children)
{
    struct audit_writer *w = &a->w;
    struct record_place at = {.seq = w->seq, .prev = &w->prev, .vkey = p->vkey};
    char *line = buf_reserve(&w->lines, p->text_len + AUDIT_LINE_ADDED);
    struct merkle_hash forest;
    size_t len;

    BUG_ON(!line); /* audit_begin_group made the room */
    if (children) {
        at.children = children->size;
        at.forest = &forest;
        merkle_range_root(children, &forest);
    }
    if (p->has_payload && !p->hashed)
        merkle_sha256(p->text + p->text_len, p->payload_len, &p->payload);
    if (p->has_payload)
        at.payload = &p->payload;
    len = record_build(line, p->text, &p->pieces, &at);
    if (a->sign_each || p->kind == PENDING_ROTATE) {
        unsigned char sig[SIGN_SIG];

        sign_key_sign(w->key, line, len, sig);
        len = record_add_signature(line, len, sig);
    }
    BUG_ON(len > AUDIT_LINE_MAX);
    line[len] = '\n';
    p->line_at = (uint32_t)w->lines.len;
    p->line_len = (uint32_t)len;
    buf_commit(&w->lines, len + 1);
    p->seq = w->seq++;
    w->last = p;
    merkle_finish(&p->begun, line, len, &p->leaf);
    w->prev = p->leaf;
    merkle_builder_add(&w->tree, &p->leaf);
    forest_note(w, p);
}

bool audit_is_plain(const struct audit *a, const struct pending *p)
{
    return p->kind == PENDING_RECORD &&
           (!p->has_closes || map_find(a->w.forests, hash_key(&p->closes)));
}

void audit_build_plain(struct audit *a, struct pending *p)
{
    struct merkle_builder *f = p->has_closes ? map_find(a->w.forests, hash_key(&p->closes)) : NULL;

    audit_build(a, p, f ? merkle_builder_range(f) : NULL);
}

/* --- the thread --- */

/* The first record of this log from `job` on; NULL: there is none. */
static struct pending *next_record(const struct audit *a, const struct logdb_job *job)
{
    for (; job; job = job->next) {
        struct pending *p;

        if (job->run != audit_run_job || job->control)
            continue;
        p = container_of(job, struct pending, job);
        if (p->audit == a)
            return p;
    }
    return NULL;
}

/* Of the next BUILD_CHUNK records from `p` on: payloads do not wait for each other as lines do. */
static void hash_payloads(struct audit *a, struct pending *p)
{
    struct str payloads[BUILD_CHUNK];
    struct merkle_hash *hashes[BUILD_CHUNK];
    size_t n = 0;

    for (size_t i = 0; p && i < BUILD_CHUNK; i++, p = next_record(a, p->job.next)) {
        if (!p->has_payload || p->hashed)
            continue;
        p->hashed = true;
        payloads[n] = str_n(p->text + p->text_len, p->payload_len);
        hashes[n++] = &p->payload;
    }
    merkle_sha256_many(payloads, n, false, hashes);
}

/* Of the next BUILD_CHUNK records from `p` on, whose payloads are hashed: leaves wait for each
 * other only from `prev` on. What a close receipt says of its children comes first in the line, and
 * is not known yet. */
static void begin_leaves(struct audit_builder *b, struct pending *p)
{
    struct merkle_begun *begun[BUILD_CHUNK];
    struct str heads[BUILD_CHUNK];
    size_t n = 0;

    if (!merkle_begin_pays())
        return;
    for (size_t i = 0; p && i < BUILD_CHUNK; i++, p = next_record(b->audit, p->job.next)) {
        struct record_place at = {.payload = p->has_payload ? &p->payload : NULL};

        if (p->kind != PENDING_RECORD || p->has_closes || p->text_len > BUILD_HEAD || p->begun.n)
            continue;
        heads[n] = str_n(b->head[n], record_head(b->head[n], p->text, &p->pieces, &at));
        begun[n++] = &p->begun;
    }
    merkle_begin(heads, n, begun);
}

/* Builds up to BUILD_CHUNK records from *p on and moves it to the one after them. */
static size_t build_chunk(struct audit_builder *b, struct pending **p)
{
    struct audit *a = b->audit;
    size_t n = 0;

    hash_payloads(a, *p);
    begin_leaves(b, *p);
    while (*p && n < BUILD_CHUNK && audit_is_plain(a, *p)) {
        audit_build_plain(a, *p);
        *p = next_record(a, (*p)->job.next);
        n++;
    }
    return n;
}

static void *builder_main(void *arg)
{
    struct audit_builder *b = arg;

    (void)pthread_setname_np(pthread_self(), "fleet-audit");
    pthread_mutex_lock(&b->lock);
    while (!b->quit) {
        struct pending *p = b->next;
        size_t n;

        if (!p) {
            (void)pthread_cond_wait(&b->work, &b->lock);
            continue;
        }
        pthread_mutex_unlock(&b->lock);
        n = build_chunk(b, &p);
        pthread_mutex_lock(&b->lock);
        b->built += n;
        b->stuck = n == 0 ? p : NULL;
        b->next = b->stop || b->stuck ? NULL : p;
        b->busy = b->next != NULL;
        (void)pthread_cond_signal(&b->progress);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

static struct audit_builder *builder_create(struct audit *a)
{
    struct audit_builder *b = xcalloc(1, sizeof(*b));

    b->audit = a;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->work, NULL);
    pthread_cond_init(&b->progress, NULL);
    if (pthread_create(&b->thread, NULL, builder_main, b) == 0)
        return b;
    /* no thread to be had: the writer does it all, as with small groups */
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->work);
    pthread_cond_destroy(&b->progress);
    free(b);
    return NULL;
}

static void go_on(struct audit_builder *b, struct pending *next)
{
    pthread_mutex_lock(&b->lock);
    b->stuck = NULL;
    b->next = next;
    b->busy = next != NULL;
    (void)pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
}

/* --- the writer's side --- */

void audit_begin_group(struct logdb_hook *h, const struct logdb_job *first)
{
    struct audit *a = container_of(h, struct audit, hook);
    struct audit_writer *w = &a->w;
    struct pending *p = next_record(a, first);
    size_t n = 0, bytes = 0;

    for (struct pending *it = p; it; it = next_record(a, it->job.next), n++)
        bytes += it->text_len + AUDIT_LINE_ADDED;
    buf_reset(&w->lines);
    if (n > 0 && !buf_reserve(&w->lines, bytes))
        BUG("out of memory: %zu bytes for a group of the audit log", bytes);
    w->ahead_building = false;
    if (n < BUILD_AHEAD_MIN)
        return;
    if (!w->builder)
        w->builder = builder_create(a);
    if (!w->builder)
        return;
    w->ahead_building = true;
    w->builder->built = w->builder->taken = w->builder->known = 0;
    w->builder->stop = false;
    go_on(w->builder, p);
}

bool audit_builder_await(struct audit *a, const struct pending *p)
{
    struct audit_builder *b = a->w.builder;

    if (!a->w.ahead_building)
        return false;
    if (b->known == b->taken) {
        pthread_mutex_lock(&b->lock);
        while (b->built == b->taken && b->stuck != p)
            (void)pthread_cond_wait(&b->progress, &b->lock);
        b->known = b->built;
        pthread_mutex_unlock(&b->lock);
    }
    if (b->known == b->taken)
        return false;
    b->taken++;
    return true;
}

void audit_builder_resume(struct audit *a, const struct pending *p)
{
    if (a->w.ahead_building)
        go_on(a->w.builder, next_record(a, p->job.next));
}

void audit_end_group(struct logdb_hook *h)
{
    struct audit_writer *w = &container_of(h, struct audit, hook)->w;
    struct audit_builder *b = w->builder;

    if (!w->ahead_building)
        return;
    w->ahead_building = false;
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    while (b->busy)
        (void)pthread_cond_wait(&b->progress, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

void audit_builder_destroy(struct audit *a)
{
    struct audit_builder *b = a->w.builder;

    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->quit = true;
    (void)pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
    (void)pthread_join(b->thread, NULL);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->work);
    pthread_cond_destroy(&b->progress);
    free(b);
    a->w.builder = NULL;
}
