/* What the files of verify share. verify.c: the whole, and its verdict; verify_chain.c: one record
 * after the other, in order; verify_batch.c: a batch at once, where nothing in it is out of the
 * ordinary; verify_notes.c: keys and checkpoints; verify_pool.c: the threads that decode, hash and
 * check signatures; verify_print.c: the verdict for people and programs. */
#ifndef CORE_RECORD_VERIFY_INTERNAL_H
#define CORE_RECORD_VERIFY_INTERNAL_H

#include <pthread.h>

#include "core/base/map.h"
#include "core/record/keyfile.h"
#include "core/record/logread.h"
#include "core/record/record.h"
#include "core/record/verify.h"

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
    int sig_key; /* index of the key that the signature verifies under, or NO_KEY */
    bool decoded, payload_ok;
};

/* What a worker says of a batch, so that the thread that follows the chain need not look at each
 * record. */
struct digest {
    /* Each record follows the one before it; all are sound by themselves, of one log, all or none
     * signed by the only key there was; none opens or closes a receipt or changes the key. */
    bool plain;
    bool is_signed;
    /* Runs of records with the same parent: run r is [run[r], run[r + 1]). */
    size_t n_runs;
    uint16_t run[LOGREAD_ITEMS + 1];
    /* Roots of the subtrees of MERKLE_HELD leaves in it; the first begins at item sub_at. */
    size_t sub_at, n_subs;
    struct merkle_hash sub[LOGREAD_ITEMS / MERKLE_HELD];
};

/* A batch on its way through the workers. */
struct job {
    struct logread_batch batch;
    struct checked item[LOGREAD_ITEMS];
    struct merkle_hash leaf[LOGREAD_ITEMS];
    struct digest digest;
    bool only_hashes;      /* no record is signed: what the worker does is hashing */
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
    const struct note_in *unsigned_note; /* the first that no key known by then signed */
    bool has_stored;                     /* a checkpoint of the database waits */
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

/** The first verdict stands. Always false. */
bool verify_verdict(struct verify *v, enum audit_exit code, uint64_t seq, const char *fmt, ...)
    printf_like(4, 5);
#define TAMPERED(v, seq, ...) verify_verdict(v, AUDIT_EXIT_TAMPERED, seq, __VA_ARGS__)

/* verify_pool.c */
enum status verify_pool_start(struct verify *v, struct err *e);
/** Waits for all threads. */
void verify_pool_stop(struct verify *v);
/** To be checked with the key that is current, or while there is none with all trusted ones. */
void verify_job_post(struct verify *v, struct job *j);
void verify_job_await(struct verify *v, const struct job *j);
bool verify_signature_ok(struct str line, const struct record *r,
                         const unsigned char key[SIGN_PUBLIC]);

/* verify_notes.c */
/** Index of the key among the first n, or NO_KEY. */
int verify_find_key(const struct verify *v, const unsigned char key[SIGN_PUBLIC], int n);
/** Those of the options, or those that stand beside the log. None there is a verdict, not an error.
 */
enum status verify_load_keys(struct verify *v, struct err *e);
/** X.checkpoint and the anchors. */
enum status verify_load_notes(struct verify *v, struct err *e);
/** The next checkpoint of the database is waited for. */
void verify_next_stored(struct verify *v);
/** Is it of this log? False after a verdict. */
bool verify_note_origin(struct verify *v, const struct note_in *n);
/** All that signs the tree at the size reached; false after a verdict. */
bool verify_heads(struct verify *v);

/* verify_chain.c */
/** Takes item i of the batch; false after a verdict. */
bool verify_record(struct verify *v, const struct job *j, size_t i);
/** The children so far of the receipt with this leaf hash, if it is open; or NULL. */
struct merkle_builder *verify_forest(struct verify *v, const struct merkle_hash *open);

/* verify_batch.c */
/** Worker: fills in the digest of a batch whose items and leaves are there. */
void verify_digest(const struct verify *v, struct job *j);
/** Takes all of the batch, as verify_record of each in turn. */
void verify_batch(struct verify *v, const struct job *j);

#endif
