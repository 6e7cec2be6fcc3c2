/* Ed25519 keys (RFC 8032) for signing: where they come from and where they stay. The secret lives
 * in sodium memory (locked, guarded, wiped).
 *
 * A key file is a PEM "PRIVATE KEY" (RFC 8410, PKCS #8), as `openssl genpkey -algorithm ed25519`
 * writes; the 32 bytes of the seed as 64 hex digits or as base64 on one line are taken as well,
 * which suits environment variables. Blocking: for start-up and worker threads. */
#ifndef CORE_RECORD_KEYFILE_H
#define CORE_RECORD_KEYFILE_H

#include "core/base/buf.h"
#include "core/base/err.h"

enum {
    SIGN_PUBLIC = 32,        /* bytes of a public key */
    SIGN_SIG = 64,           /* bytes of a signature */
    KEYFILE_MAX = 4096,      /* bytes of a key file */
    KEYFILE_PUBLIC_MAX = 64, /* public keys in one PEM file */
};

struct sign_key;

/** A new key from random bytes. Never fails. */
must_check struct sign_key *sign_key_generate(void);
/** From the text of a key file or variable. NULL with INVALID: "<name>: ..., expected ..."; the
 * text never appears in a message. */
must_check struct sign_key *sign_key_parse(struct str text, const char *name, struct err *e);
/** Wipes and frees; sets *k to NULL; NULL is fine. */
void sign_key_destroy(struct sign_key **k);
void sign_key_public(const struct sign_key *k, unsigned char out[SIGN_PUBLIC]);
/** Detached signature (RFC 8032 §5.1.6). Any thread. */
void sign_key_sign(const struct sign_key *k, const void *p, size_t n, unsigned char out[SIGN_SIG]);
/** Writes the key as PEM with mode 0600, in one step (file_replace); the directory is made (0700)
 * when absent. */
must_check enum status sign_key_save(const struct sign_key *k, const char *path, struct err *e);

/** Where a key is: "file:PATH" or "env:NAME". */
struct key_source {
    bool is_env;
    char *where; /* path (joined to `dir`) or name of the variable; free with key_source_deinit */
};
/** Decodes `spec`. INVALID when it is neither. */
must_check enum status key_source_parse(const char *spec, const char *dir, struct key_source *out,
                                        struct err *e);
void key_source_deinit(struct key_source *s);

/** Loads a key file. NOT_FOUND; PERMISSION when others than the owner may read or write it or it
 * belongs to another user (says how to mend it); INVALID for wrong length or content; TOO_LARGE;
 * IO. */
must_check enum status keyfile_load(const char *path, struct sign_key **out, struct err *e);
/** Loads from `source`; a file that is absent is made with a new key, *created tells (may be NULL).
 * A variable that is not set is NOT_FOUND. */
must_check enum status key_source_open(const struct key_source *source, struct sign_key **out,
                                       bool *created, struct err *e);

/** Appends "-----BEGIN PUBLIC KEY-----" (RFC 8410 SubjectPublicKeyInfo), as openssl reads it. */
void public_key_pem(const unsigned char public_key[SIGN_PUBLIC], struct buf *out);
/** Reads all PEM public keys in `text`, up to `max`; other text around them is ignored, other keys
 * are INVALID, none at all too. */
must_check enum status public_key_parse(struct str text, const char *name,
                                        unsigned char (*out)[SIGN_PUBLIC], size_t max, size_t *n,
                                        struct err *e);

#endif
