#include "core/record/keyfile.h"

#include "core/base/file.h"
#include "core/record/base64.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    SEED = crypto_sign_SEEDBYTES,
    SECRET = crypto_sign_SECRETKEYBYTES,
    DER_PRIVATE = 48,
    DER_PUBLIC = 44
};

/* RFC 8410 §7: OneAsymmetricKey version 0, id-Ed25519, OCTET STRING in an OCTET STRING; and §4
 * SubjectPublicKeyInfo. */
static const unsigned char private_prefix[DER_PRIVATE - SEED] = {
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
static const unsigned char public_prefix[DER_PUBLIC - SIGN_PUBLIC] = {
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

#define BEGIN_PRIVATE "-----BEGIN PRIVATE KEY-----"
#define END_PRIVATE   "-----END PRIVATE KEY-----"
#define BEGIN_PUBLIC  "-----BEGIN PUBLIC KEY-----"
#define END_PUBLIC    "-----END PUBLIC KEY-----"

/* Allocated with sodium_malloc: locked, guard pages around it, wiped when freed. */
struct sign_key {
    unsigned char secret[SECRET];
    unsigned char public_key[SIGN_PUBLIC];
};

static void *locked_alloc(size_t n)
{
    void *p;

    if (sodium_init() < 0)
        BUG("libsodium does not start");
    p = sodium_malloc(n);
    if (!p)
        BUG("out of memory: %zu bytes of locked memory", n);
    return p;
}

static struct sign_key *key_from_seed(const unsigned char seed[SEED])
{
    struct sign_key *k = locked_alloc(sizeof(*k));

    (void)crypto_sign_seed_keypair(k->public_key, k->secret, seed);
    return k;
}

struct sign_key *sign_key_generate(void)
{
    unsigned char *seed = locked_alloc(SEED);
    struct sign_key *k;

    randombytes_buf(seed, SEED);
    k = key_from_seed(seed);
    sodium_free(seed);
    return k;
}

void sign_key_destroy(struct sign_key **k)
{
    if (*k)
        sodium_free(*k);
    *k = NULL;
}

void sign_key_public(const struct sign_key *k, unsigned char out[SIGN_PUBLIC])
{
    memcpy(out, k->public_key, SIGN_PUBLIC);
}

void sign_key_sign(const struct sign_key *k, const void *p, size_t n, unsigned char out[SIGN_SIG])
{
    (void)crypto_sign_detached(out, NULL, p, n, k->secret);
}

/* --- text forms --- */

/* The base64 between two marks; false when they are not there. *rest is what follows. */
static bool pem_body(struct str text, struct str begin, struct str end, struct str *body,
                     struct str *rest)
{
    ptrdiff_t at = str_find(text, begin), to;

    if (at < 0)
        return false;
    *body = str_skip(text, (size_t)at + begin.len);
    to = str_find(*body, end);
    if (to < 0)
        return false;
    *rest = str_skip(*body, (size_t)to + end.len);
    body->len = (size_t)to;
    return true;
}

/* Writes the seed that `text` holds; false with *what when it holds none. */
static bool decode_seed(struct str text, unsigned char seed[SEED], const char **what)
{
    struct str body, rest, line = str_trim(text);
    unsigned char *der;
    bool ok;

    if (line.len == 0) {
        *what = "it is empty";
        return false;
    }
    if (pem_body(text, STR(BEGIN_PRIVATE), STR(END_PRIVATE), &body, &rest)) {
        der = locked_alloc(DER_PRIVATE);
        ok = base64_exact(body, " \r\n\t", der, DER_PRIVATE) &&
             memcmp(der, private_prefix, sizeof(private_prefix)) == 0;
        memcpy(seed, der + sizeof(private_prefix), SEED);
        sodium_free(der);
        *what = "the PEM holds something else than an Ed25519 private key";
        return ok;
    }
    if (str_find(text, STR("-----BEGIN")) >= 0) {
        *what = "the PEM is cut short or of another kind";
        return false;
    }
    if (line.len == 2 * SEED)
        ok = hex_decode(line, seed, SEED);
    else
        ok = base64_exact(line, NULL, seed, SEED);
    *what = "the length or the characters are wrong";
    return ok;
}

struct sign_key *sign_key_parse(struct str text, const char *name, struct err *e)
{
    unsigned char *seed = locked_alloc(SEED);
    struct sign_key *k = NULL;
    const char *what = "";

    if (decode_seed(text, seed, &what))
        k = key_from_seed(seed);
    else
        err_set(e, STATUS_INVALID,
                "%s: %s (found %zu bytes); expected an Ed25519 key: PEM \"PRIVATE KEY\", or its 32 "
                "bytes as 64 hex digits or base64",
                name, what, text.len);
    sodium_free(seed);
    return k;
}

void public_key_pem(const unsigned char public_key[SIGN_PUBLIC], struct buf *out)
{
    unsigned char der[DER_PUBLIC];

    memcpy(der, public_prefix, sizeof(public_prefix));
    memcpy(der + sizeof(public_prefix), public_key, SIGN_PUBLIC);
    buf_adds(out, BEGIN_PUBLIC "\n");
    buf_add_base64(out, der, sizeof(der));
    buf_adds(out, "\n" END_PUBLIC "\n");
}

enum status public_key_parse(struct str text, const char *name, unsigned char (*out)[SIGN_PUBLIC],
                             size_t max, size_t *n, struct err *e)
{
    unsigned char der[DER_PUBLIC];
    struct str body;

    *n = 0;
    while (pem_body(text, STR(BEGIN_PUBLIC), STR(END_PUBLIC), &body, &text)) {
        if (!base64_exact(body, " \r\n\t", der, sizeof(der)) ||
            memcmp(der, public_prefix, sizeof(public_prefix)) != 0)
            return err_set(e, STATUS_INVALID, "%s: public key %zu is no Ed25519 key (RFC 8410)",
                           name, *n + 1);
        if (*n == max)
            return err_set(e, STATUS_TOO_LARGE, "%s: more than %zu public keys", name, max);
        memcpy(out[(*n)++], der + sizeof(public_prefix), SIGN_PUBLIC);
    }
    if (*n == 0)
        return err_set(e, STATUS_INVALID,
                       "%s: no public key; expected PEM, \"" BEGIN_PUBLIC "\" and so on", name);
    return STATUS_OK;
}

/* --- files and variables --- */

enum status sign_key_save(const struct sign_key *k, const char *path, struct err *e)
{
    enum { PEM_MAX = 256 };
    unsigned char *der = locked_alloc(DER_PRIVATE);
    char *pem = locked_alloc(PEM_MAX);
    char b64[sodium_base64_ENCODED_LEN(DER_PRIVATE, sodium_base64_VARIANT_ORIGINAL)];
    cleanup_free char *dir = file_dirname(path);
    enum status s = STATUS_OK;
    int n;

    memcpy(der, private_prefix, sizeof(private_prefix));
    memcpy(der + sizeof(private_prefix), k->secret, SEED);
    sodium_bin2base64(b64, sizeof(b64), der, DER_PRIVATE, sodium_base64_VARIANT_ORIGINAL);
    n = snprintf(pem, PEM_MAX, BEGIN_PRIVATE "\n%s\n" END_PRIVATE "\n", b64);
    if (dir[0])
        s = file_mkdirs(dir, 0700, e);
    if (s == STATUS_OK)
        s = file_replace(path, str_n(pem, (size_t)n), 0600, e);
    sodium_memzero(b64, sizeof(b64));
    sodium_free(pem);
    sodium_free(der);
    return s;
}

enum status key_source_parse(const char *spec, const char *dir, struct key_source *out,
                             struct err *e)
{
    struct str s = str_from(spec);

    *out = (struct key_source){0};
    if (str_starts(s, STR("env:")) && s.len > 4) {
        out->is_env = true;
        out->where = xstrdup(spec + 4);
        return STATUS_OK;
    }
    if (str_starts(s, STR("file:")) && s.len > 5) {
        out->where = file_join(dir, spec + 5);
        return STATUS_OK;
    }
    return err_set(e, STATUS_INVALID,
                   "found \"%s\" as place of the audit key, expected \"file:PATH\" or \"env:NAME\"",
                   spec);
}

void key_source_deinit(struct key_source *s)
{
    free(s->where);
    *s = (struct key_source){0};
}

static enum status check_mode(const char *path, const struct stat *st, struct err *e)
{
    if (!S_ISREG(st->st_mode))
        return err_set(e, STATUS_INVALID, "key file %s is not a regular file", path);
    if (st->st_mode & 077)
        return err_set(e, STATUS_PERMISSION,
                       "key file %s has mode %04o: others could read or change it; expected 0600 "
                       "(chmod 600 %s)",
                       path, (unsigned)st->st_mode & 07777, path);
    if (st->st_uid != geteuid() && geteuid() != 0)
        return err_set(e, STATUS_PERMISSION, "key file %s belongs to user %u, not to user %u", path,
                       (unsigned)st->st_uid, (unsigned)geteuid());
    return STATUS_OK;
}

static enum status read_secret(int fd, const char *path, char *out, size_t *len, struct err *e)
{
    size_t n = 0;

    for (;;) {
        ssize_t r = read(fd, out + n, KEYFILE_MAX + 1 - n);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_set_errno(e, STATUS_IO, errno, "read key file %s", path);
        if (r == 0)
            break;
        n += (size_t)r;
        if (n > KEYFILE_MAX)
            return err_set(e, STATUS_TOO_LARGE, "key file %s has more than %d bytes", path,
                           (int)KEYFILE_MAX);
    }
    *len = n;
    return STATUS_OK;
}

enum status keyfile_load(const char *path, struct sign_key **out, struct err *e)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    enum status s;
    char *text;
    size_t n = 0;

    *out = NULL;
    if (fd < 0 && errno == ENOENT)
        return err_set(e, STATUS_NOT_FOUND, "key file %s is not there", path);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_set_errno(e, STATUS_IO, errno, "open key file %s", path);
    s = check_mode(path, &st, e);
    if (s != STATUS_OK)
        return s;
    text = locked_alloc(KEYFILE_MAX + 1);
    s = read_secret(fd, path, text, &n, e);
    if (s == STATUS_OK) {
        *out = sign_key_parse(str_n(text, n), path, e);
        s = *out ? STATUS_OK : STATUS_INVALID;
    }
    sodium_free(text);
    return s;
}

static enum status key_from_env(const char *name, struct sign_key **out, struct err *e)
{
    const char *text = getenv(name);

    if (!text)
        return err_set(e, STATUS_NOT_FOUND, "the audit key is to come from %s, which is not set",
                       name);
    *out = sign_key_parse(str_from(text), name, e);
    return *out ? STATUS_OK : STATUS_INVALID;
}

enum status key_source_open(const struct key_source *source, struct sign_key **out, bool *created,
                            struct err *e)
{
    enum status s;

    *out = NULL;
    if (created)
        *created = false;
    if (source->is_env)
        return key_from_env(source->where, out, e);
    s = keyfile_load(source->where, out, e);
    if (s != STATUS_NOT_FOUND)
        return s;
    err_clear(e);
    *out = sign_key_generate();
    s = sign_key_save(*out, source->where, e);
    if (s != STATUS_OK)
        sign_key_destroy(out);
    else if (created)
        *created = true;
    return s;
}
