/* Where the store's key comes from, and the boxes it makes. */
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "fingerprints/store_internal.h"

enum { KEY_FILE_MAX = 256, PASSPHRASE_MIN = 8 };

void kdf_make(struct kdf *k)
{
    randombytes_buf(k->salt, sizeof(k->salt));
    k->opslimit = crypto_pwhash_OPSLIMIT_INTERACTIVE;
    k->memlimit = crypto_pwhash_MEMLIMIT_INTERACTIVE;
}

static enum status digits_to_key(struct str text, unsigned char *key, const char *where,
                                 struct err *e)
{
    size_t n = 0;

    text = str_trim(text);
    if (text.len == (size_t)2 * KEY_BYTES &&
        sodium_hex2bin(key, KEY_BYTES, text.ptr, text.len, NULL, &n, NULL) == 0 && n == KEY_BYTES)
        return STATUS_OK;
    return err_set(e, STATUS_INVALID, "%s: found %zu characters, expected %d hexadecimal digits",
                   where, text.len, 2 * KEY_BYTES);
}

static enum status make_file(const char *path, unsigned char *key, struct err *e)
{
    cleanup_free char *dir = file_dirname(path);
    char text[2 * KEY_BYTES + 2];
    enum status s = file_mkdirs(dir[0] ? dir : ".", 0700, e);

    randombytes_buf(key, KEY_BYTES);
    sodium_bin2hex(text, sizeof(text), key, KEY_BYTES);
    text[sizeof(text) - 2] = '\n';
    if (s == STATUS_OK)
        s = file_replace(path, str_n(text, sizeof(text) - 1), 0600, e);
    sodium_memzero(text, sizeof(text));
    return s;
}

static enum status from_file(const char *path, bool fresh, unsigned char *key, struct err *e)
{
    struct buf text = BUF_INIT(KEY_FILE_MAX);
    enum status s = file_read(path, &text, e);

    if (s == STATUS_NOT_FOUND && fresh) {
        err_clear(e);
        s = make_file(path, key, e);
    } else if (s == STATUS_NOT_FOUND) {
        s = err_set(e, STATUS_PERMISSION, "the key of the identity store is not at %s", path);
    } else if (s == STATUS_OK) {
        s = digits_to_key(buf_str(&text), key, path, e);
    }
    if (text.ptr)
        sodium_memzero(text.ptr, text.len);
    buf_deinit(&text);
    return s;
}

static enum status from_env(const char *name, unsigned char *key, struct err *e)
{
    const char *text = getenv(name);

    if (!text || !text[0])
        return err_set(e, STATUS_PERMISSION,
                       "the key of the identity store is wanted in the variable %s", name);
    return digits_to_key(str_from(text), key, name, e);
}

static enum status from_passphrase(const char *name, const struct kdf *k, unsigned char *key,
                                   struct err *e)
{
    const char *text = getenv(name);

    if (!text || !text[0])
        return err_set(e, STATUS_PERMISSION,
                       "the passphrase of the identity store is wanted in the variable %s", name);
    if (strlen(text) < PASSPHRASE_MIN)
        return err_set(e, STATUS_INVALID, "%s: found %zu characters, expected at least %d", name,
                       strlen(text), PASSPHRASE_MIN);
    if (crypto_pwhash(key, KEY_BYTES, text, strlen(text), k->salt, k->opslimit, (size_t)k->memlimit,
                      crypto_pwhash_ALG_ARGON2ID13) != 0)
        return err_set(e, STATUS_NO_MEMORY, "the passphrase's key takes %llu MiB of memory",
                       (unsigned long long)(k->memlimit >> 20));
    return STATUS_OK;
}

enum status store_key_load(struct idstore *s, const char *spec, const struct kdf *k, bool fresh,
                           struct err *e)
{
    struct str text = str_from(spec);
    enum status st;

    s->key = sodium_malloc(KEY_BYTES);
    if (!s->key)
        return err_set(e, STATUS_NO_MEMORY, "no locked memory for the key of the identity store");
    if (str_starts(text, STR("file:")))
        st = from_file(spec + 5, fresh, s->key, e);
    else if (str_starts(text, STR("env:")))
        st = from_env(spec + 4, s->key, e);
    else if (str_starts(text, STR("passphrase:")))
        st = from_passphrase(spec + 11, k, s->key, e);
    else
        st = err_set(e, STATUS_INVALID,
                     "key of the identity store: found \"%s\", expected file:PATH, env:NAME or "
                     "passphrase:NAME",
                     spec);
    if (st == STATUS_OK)
        sodium_mprotect_readonly(s->key);
    return st;
}

/* --- boxes --- */

/* "fleet identity 1", id and kind, each with a NUL behind it. */
static void add_context(struct buf *b, const char *id, const char *kind)
{
    buf_add(b, "fleet identity 1", sizeof("fleet identity 1"));
    buf_add(b, id, strlen(id) + 1);
    buf_add(b, kind, strlen(kind) + 1);
}

void store_seal(const struct idstore *s, const char *id, const char *kind, struct str text,
                struct buf *out)
{
    struct buf context = BUF_INIT(BUF_MAX_LINE);
    size_t room = NONCE_BYTES + text.len + TAG_BYTES;
    unsigned char *box = xcalloc(1, room);

    add_context(&context, id, kind);
    randombytes_buf(box, NONCE_BYTES);
    crypto_aead_xchacha20poly1305_ietf_encrypt(
        box + NONCE_BYTES, NULL, (const unsigned char *)text.ptr, text.len,
        (const unsigned char *)context.ptr, context.len, NULL, box, s->key);
    buf_add(out, (const char *)box, room);
    free(box);
    buf_deinit(&context);
}

bool store_unseal(const struct idstore *s, const char *id, const char *kind, struct str box,
                  struct arena *a, struct str *out)
{
    struct buf context = BUF_INIT(BUF_MAX_LINE);
    const unsigned char *p = (const unsigned char *)box.ptr;
    unsigned char *text;
    bool good;

    if (box.len < NONCE_BYTES + TAG_BYTES)
        return false;
    add_context(&context, id, kind);
    text = arena_alloc(a, box.len - NONCE_BYTES - TAG_BYTES + 1);
    good = crypto_aead_xchacha20poly1305_ietf_decrypt(
               text, NULL, NULL, p + NONCE_BYTES, box.len - NONCE_BYTES,
               (const unsigned char *)context.ptr, context.len, p, s->key) == 0;
    text[box.len - NONCE_BYTES - TAG_BYTES] = '\0';
    *out = str_n((const char *)text, box.len - NONCE_BYTES - TAG_BYTES);
    buf_deinit(&context);
    return good;
}
