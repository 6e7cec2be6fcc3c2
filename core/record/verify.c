/* Verification as a pipeline: this thread reads batches of lines and, in order, checks what links
 * one batch to the next; worker threads decode, hash and check signatures and links of whole
 * batches. A batch in which anything is out of the ordinary is followed record by record here, so
 * that what is wrong is named in the order of the log, whatever found it.
 *
 * Signatures are what costs: they are spread over all processors, and only they depend on a key,
 * which may change on the way (key.rotate). A batch carries the key it was checked with; if that
 * has changed by the time the batch's turn comes, its signatures are checked again here. */
#include "core/record/verify_internal.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

/* --- verdicts --- */

bool verify_verdict(struct verify *v, enum audit_exit code, uint64_t seq, const char *fmt, ...)
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
            verify_job_post(v, j);
            last++;
        }
        if (first == last)
            break;
        verify_job_await(v, &jobs[first % n]);
        verify_batch(v, &jobs[first % n]);
        first++;
    }
    while (first < last)
        verify_job_await(v, &jobs[first++ % n]);
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
    enum status s = verify_pool_start(v, e);

    jobs = xcalloc(v->pool.n_jobs, sizeof(*jobs));
    for (size_t i = 0; i < v->pool.n_jobs; i++)
        logread_batch_init(&jobs[i].batch);
    if (s == STATUS_OK)
        s = read_all(v, jobs, e);
    verify_pool_stop(v);
    for (size_t i = 0; i < v->pool.n_jobs; i++)
        logread_batch_deinit(&jobs[i].batch);
    free(jobs);
    return s == STATUS_OK ? s : read_failed(v, s, e);
}

static void check_truncation(struct verify *v)
{
    uint64_t size = v->v->size;

    if (v->has_stored)
        (void)verify_verdict(v, AUDIT_EXIT_TRUNCATED, size,
                             "the log ends after %" PRIu64
                             " records, its own checkpoint speaks of %" PRIu64,
                             size, v->stored_size);
    if (v->next_note < v->n_notes && verify_note_origin(v, &v->note[v->n_notes - 1]))
        (void)verify_verdict(v, AUDIT_EXIT_TRUNCATED, size,
                             "the log ends after %" PRIu64 " records, %s speaks of %" PRIu64, size,
                             v->note[v->n_notes - 1].name, v->note[v->n_notes - 1].c.size);
}

/* Nothing is wrong with the chain: who vouches for it, and for how much? */
static void conclude(struct verify *v)
{
    struct audit_verdict *o = v->v;
    uint64_t unknown = v->unknown_signatures + v->unknown_checkpoints;

    /* A log whose process was killed before its first receipt has no key yet, and needs none. */
    if (v->n_trusted == 0 && (o->size > 0 || o->torn))
        (void)verify_verdict(v, AUDIT_EXIT_NO_KEY, 0,
                             "no trusted public key: the chain of %" PRIu64
                             " records is whole, but nothing says who wrote it",
                             o->size);
    if (o->size > 0 && o->covered == 0 && unknown > 0)
        (void)verify_verdict(v, AUDIT_EXIT_NO_KEY, 0,
                             "the chain of %" PRIu64
                             " records is whole, but none of the %d trusted keys "
                             "signed it",
                             o->size, v->n_trusted);
    if (v->unsigned_note)
        (void)verify_verdict(v, AUDIT_EXIT_NO_KEY, 0,
                             "%s fits the records, but none of the %d trusted keys signed it",
                             v->unsigned_note->name, v->n_trusted);
    o->tail = o->size - o->covered + (o->torn ? 1 : 0);
    if (v->bad)
        return;
    if (o->tail > 0)
        (void)verify_verdict(v, AUDIT_EXIT_TAIL, 0,
                             "the first %" PRIu64 " of %" PRIu64 " records verify%s", o->covered,
                             o->size,
                             o->torn ? "; the last line is torn" : "; the rest is not signed yet");
    else
        (void)verify_verdict(v, AUDIT_EXIT_OK, 0,
                             o->size > 0 ? "all %" PRIu64 " records verify"
                                         : "the log is empty: %" PRIu64 " records",
                             o->size);
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
    if (s == STATUS_CORRUPT)
        s = read_failed(v, s, e);
    if (s == STATUS_OK && !v->bad)
        s = verify_load_keys(v, e);
    if (s == STATUS_OK && !v->bad)
        s = verify_load_notes(v, e);
    if (s == STATUS_OK && v->log && !v->bad) {
        verify_next_stored(v);
        if (!opts->campaign)
            (void)verify_heads(v);
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
