/* Threads that decode, hash and check the signatures of whole batches. */
#include "core/record/verify_internal.h"

#include <sodium.h>

bool verify_signature_ok(struct str line, const struct record *r,
                         const unsigned char key[SIGN_PUBLIC])
{
    unsigned char text[AUDIT_LINE_MAX + 1];

    memcpy(text, line.ptr, r->sig_at);
    text[r->sig_at] = '}';
    return crypto_sign_verify_detached(r->sig, text, r->sig_at + 1, key) == 0;
}

static void check_item(const struct verify *v, const struct job *j, size_t i, struct checked *c)
{
    struct str line = logread_line(&j->batch, i);

    c->sig_key = NO_KEY;
    c->payload_ok = true;
    c->decoded = record_decode(line, &c->r, &c->fault);
    if (!c->decoded)
        return;
    for (int k = 0; c->r.has_sig && c->sig_key == NO_KEY && k < j->n_keys; k++)
        if (verify_signature_ok(line, &c->r, v->key[j->first_key + k]))
            c->sig_key = j->first_key + k;
}

/* Hashes of many at once, of which few are left over for a full set of lanes. */
enum { AT_ONCE = 64 };

static void hash_lines(struct job *j)
{
    struct str line[AT_ONCE];

    for (size_t from = 0; from < j->batch.n; from += AT_ONCE) {
        size_t n = j->batch.n - from < AT_ONCE ? j->batch.n - from : AT_ONCE;

        for (size_t i = 0; i < n; i++)
            line[i] = logread_line(&j->batch, from + i);
        merkle_leaves(line, n, j->only_hashes, &j->leaf[from]);
    }
}

/* Those of the items of[0..n). */
static void check_payloads(struct job *j, const uint16_t *of, size_t n)
{
    struct merkle_hash hash[AT_ONCE], *out[AT_ONCE] = {NULL};
    struct str text[AT_ONCE] = {{NULL, 0}};

    for (size_t i = 0; i < n; i++) {
        const struct logread_item *it = &j->batch.item[of[i]];

        text[i] = str_n(j->batch.text.ptr + it->payload_at, it->payload_len);
        out[i] = &hash[i];
    }
    merkle_sha256_many(text, n, j->only_hashes, out);
    for (size_t i = 0; i < n; i++) {
        struct checked *c = &j->item[of[i]];

        c->payload_ok =
            !j->batch.item[of[i]].payload_too_large && c->r.has_ph && merkle_eq(&hash[i], &c->r.ph);
    }
}

static void hash_payloads(struct job *j)
{
    uint16_t of[AT_ONCE];
    size_t n = 0;

    for (size_t i = 0; i < j->batch.n; i++) {
        if (j->batch.item[i].has_payload && j->item[i].decoded)
            of[n++] = (uint16_t)i;
        if (n == AT_ONCE) {
            check_payloads(j, of, n);
            n = 0;
        }
    }
    check_payloads(j, of, n);
}

static void check_batch(const struct verify *v, struct job *j)
{
    j->only_hashes = true;
    for (size_t i = 0; i < j->batch.n; i++) {
        check_item(v, j, i, &j->item[i]);
        j->only_hashes &= !j->item[i].r.has_sig;
    }
    hash_lines(j);
    hash_payloads(j);
    verify_digest(v, j);
}

static void *worker_main(void *arg)
{
    struct verify *v = arg;
    struct pool *p = &v->pool;

    (void)pthread_setname_np(pthread_self(), "fleet-verify");
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

void verify_job_post(struct verify *v, struct job *j)
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

void verify_job_await(struct verify *v, const struct job *j)
{
    struct pool *p = &v->pool;

    pthread_mutex_lock(&p->lock);
    while (!j->done)
        pthread_cond_wait(&p->result, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

enum status verify_pool_start(struct verify *v, struct err *e)
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

void verify_pool_stop(struct verify *v)
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
