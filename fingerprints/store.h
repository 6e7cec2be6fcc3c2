/* The identity store: identities with their cookies and storage state, encrypted at rest, in one
 * SQLite file.
 *
 *   store(one, salt, opslimit, memlimit, probe)    how the key is made, and a sealed known text
 *   identity(n, id, tag, record, state, saves)     one row an identity; record and state are sealed
 *
 * Sealed: a random nonce of 24 bytes, then XChaCha20-Poly1305 (libsodium) over the text, with id
 * and kind as additional data, so that boxes cannot be swapped between rows or columns. Ids and
 * tags are not secret. What cannot be opened (a damaged row) is told for that row alone; the others
 * stay of use.
 *
 * A process that leases identities has the store to itself (idstore_lock); who only reads or adds
 * needs no lock. Saves are gathered: while one commit is under way on a worker thread the next
 * group waits, so one fsync serves many. A save is one row in one transaction: after a crash there
 * is the old state or the new one.
 *
 * Loop thread only; calls without a callback block (SQLite reads of a row: some 10 microseconds).
 */
#ifndef FINGERPRINTS_STORE_H
#define FINGERPRINTS_STORE_H

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/loop.h"
#include "core/base/str.h"

enum {
    IDSTORE_TAG_MAX = 64,                   /* bytes of a tag */
    IDSTORE_RECORD_MAX = 64 * 1024,         /* bytes of a record */
    IDSTORE_STATE_MAX = 16 * 1024 * 1024,   /* bytes of a storage state */
    IDSTORE_PENDING_MAX = 64 * 1024 * 1024, /* bytes of states waiting to be saved */
};

struct idstore;

struct idstore_opts {
    struct loop *loop; /* NULL: no saves, no leases */
    const char *path;  /* made with mode 0600 when `create` */
    /** "file:PATH": 64 hex digits, mode 0600, made when absent and the store is new. "env:NAME":
     * the same digits in a variable. "passphrase:NAME": any text in a variable; the key is derived
     * from it (Argon2id, crypto_pwhash, interactive limits). */
    const char *key;
    bool create;
};

/** OK; NOT_FOUND: no such file and not `create`; PERMISSION: the key is missing, or it is not the
 * store's (the sentence says which and where it was looked for); INVALID: `key` is of no known
 * form, or its digits are none; CORRUPT; UNSUPPORTED: a newer version wrote it; NO_SPACE, IO. */
must_check enum status idstore_open(const struct idstore_opts *o, struct idstore **out,
                                    struct err *e);
/** Waits for the saves under way; their callbacks run. NULL is fine. */
void idstore_close(struct idstore **s);

/** Takes the store for leasing: BUSY, with the pid of who has it. */
must_check enum status idstore_lock(struct idstore *s, struct err *e);

/* --- rows --- */

struct idstore_row {
    const char *id;    /* [A-Za-z0-9._-]{1,63} */
    const char *tag;   /* the same characters, may be "" */
    struct str record; /* JSON: how the identity is made */
    struct str state;  /* JSON: Playwright's storage state; {NULL, 0}: none yet */
    uint64_t saves;    /* how often a state was saved */
};

/** Adds rows in one transaction, all or none. EXISTS names the id that is there already. */
must_check enum status idstore_add(struct idstore *s, const struct idstore_row *v, size_t n,
                                   struct err *e);
/** Reads one; strings in `a`. NOT_FOUND; CORRUPT when it cannot be opened. */
must_check enum status idstore_get(struct idstore *s, const char *id, struct arena *a,
                                   struct idstore_row *out, struct err *e);
/** Replaces record and state (a state of {NULL, 0} forgets it) in one step. NOT_FOUND. */
must_check enum status idstore_replace(struct idstore *s, const struct idstore_row *row,
                                       struct err *e);
/** The row `id` becomes `next`, with an id of its own, its record and no state, in its place: in
 * one step. The tag stays. NOT_FOUND; EXISTS: next->id is in the store already. */
must_check enum status idstore_become(struct idstore *s, const char *id,
                                      const struct idstore_row *next, struct err *e);
must_check enum status idstore_remove(struct idstore *s, const char *id, struct err *e);

/** Each row of a tag (NULL: all) in order of being added: `fn` gets it with its fate, OK or CORRUPT
 * (id and tag are there then, the rest is not), and returns false to stop. Rows are read one at a
 * time; `with_state` false leaves states unread. */
must_check enum status idstore_each(struct idstore *s, const char *tag, bool with_state,
                                    bool (*fn)(void *arg, const struct idstore_row *row,
                                               enum status fate),
                                    void *arg, struct err *e);
/** How many there are of a tag (NULL: all). */
uint64_t idstore_count(struct idstore *s, const char *tag);

/* --- leases --- */

/** The next identity of the tag (NULL: any) that is whole and nobody has; strings in `a`. BUSY: all
 * are leased. NOT_FOUND: there is none. Damaged rows are passed over with a warning. After
 * idstore_lock. */
must_check enum status idstore_lease(struct idstore *s, const char *tag, struct arena *a,
                                     struct idstore_row *out, struct err *e);
/** After idstore_become of a leased identity: the lease is now that of `next`. */
void idstore_moved(struct idstore *s, const char *id, const char *next);
/** Gives it back. Saves of it that wait are still done. */
void idstore_release(struct idstore *s, const char *id);

/** Exactly once, on the loop, never from inside the call: OK when it is durable. */
typedef void idstore_saved_fn(void *arg, enum status s, const struct err *e);
/** Saves the state of a leased identity; copies it. A save that waits is replaced by a later one of
 * the same identity: both are answered when the later one is durable. TOO_LARGE, BUSY (too much
 * waits), INVALID (not leased), NOT_FOUND, NO_SPACE, IO. `done` may be NULL. */
void idstore_save(struct idstore *s, const char *id, struct str state, idstore_saved_fn *done,
                  void *arg);
/** idstore_become of a leased identity, as a save: the lease is then next->id's. No save of it may
 * wait. INVALID, EXISTS, and what idstore_save says. */
void idstore_turn(struct idstore *s, const char *id, const struct idstore_row *next,
                  idstore_saved_fn *done, void *arg);

#endif
