/* What store.c, store_key.c and store_lease.c share. */
#ifndef FINGERPRINTS_STORE_INTERNAL_H
#define FINGERPRINTS_STORE_INTERNAL_H

#include <sodium.h>
#include <sqlite3.h>

#include "core/base/buf.h"
#include "core/base/map.h"
#include "fingerprints/store.h"

enum {
    KEY_BYTES = crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
    NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    SALT_BYTES = crypto_pwhash_SALTBYTES,
};

struct save_group;

struct idstore {
    struct loop *loop;
    char *path;
    sqlite3 *db;
    unsigned char *key; /* of sodium_malloc, read only */
    int lock_fd;        /* -1: not locked */

    struct map *leased;  /* id -> this store: a set */
    struct map *pending; /* id -> struct save */
    size_t pending_bytes;
    sqlite3_stmt *lease_st;    /* kept: parsing takes longer than the row */
    int64_t last_leased;       /* n of it: the next lease looks behind it first */
    struct save_group *flying; /* under way; NULL: none */
    sqlite3 *save_db; /* the saves' own connection; a worker's while a group is under way */
};

/* How the key is derived from a passphrase: kept in the store. */
struct kdf {
    unsigned char salt[SALT_BYTES];
    uint64_t opslimit, memlimit;
};
void kdf_make(struct kdf *k);

/** The key of `spec` into s->key. `fresh`: the store is new, a key file may be made. */
must_check enum status store_key_load(struct idstore *s, const char *spec, const struct kdf *k,
                                      bool fresh, struct err *e);

/** Any thread. Appends the box of `text`. */
void store_seal(const struct idstore *s, const char *id, const char *kind, struct str text,
                struct buf *out);
/** False: the box is damaged, or of another key, row or kind. `out` in `a`, NUL behind it. */
must_check bool store_unseal(const struct idstore *s, const char *id, const char *kind,
                             struct str box, struct arena *a, struct str *out);

/** INVALID or TOO_LARGE: no row may be like that. */
must_check enum status store_check_row(const struct idstore_row *r, struct err *e);
/** idstore_become on this connection; *fate says what is the row's own: OK, NOT_FOUND, EXISTS. The
 * thread that has the connection. */
must_check enum status store_become(const struct idstore *s, sqlite3 *db, const char *id,
                                    const struct idstore_row *next, enum status *fate,
                                    struct err *e);

must_check enum status store_connect(const char *path, bool create, sqlite3 **out, struct err *e);
enum status store_sql_error(sqlite3 *db, struct err *e, const char *what);
/** The row that `st` stands on; the columns are id, tag, record, saves, and state when with_state.
 * CORRUPT when a box cannot be opened. */
enum status store_row(struct idstore *s, sqlite3_stmt *st, bool with_state, struct arena *a,
                      struct idstore_row *out);

#endif
