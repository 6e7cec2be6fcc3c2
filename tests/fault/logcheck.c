#include "tests/fault/logcheck.h"

#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- helpers --- */

static bool fail(struct logcheck *c, size_t bad, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static bool fail(struct logcheck *c, size_t bad, const char *fmt, ...)
{
    va_list ap;

    c->bad = bad;
    va_start(ap, fmt);
    (void)vsnprintf(c->why, sizeof(c->why), fmt, ap);
    va_end(ap);
    return false;
}

static void sha256(const void *a, size_t na, const void *b, size_t nb, const void *d, size_t nd,
                   unsigned char out[LOGCHECK_HASH])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(ctx, a, na) != 1 || EVP_DigestUpdate(ctx, b, nb) != 1 ||
        EVP_DigestUpdate(ctx, d, nd) != 1 || EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
}

static void hex(const unsigned char *p, char out[2 * LOGCHECK_HASH + 1])
{
    for (size_t i = 0; i < LOGCHECK_HASH; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", p[i]);
}

static bool unbase64(const char *text, size_t n, unsigned char *out, size_t want)
{
    unsigned char whole[256];
    int got;
    size_t pad = 0;

    while (pad < n && pad < 2 && text[n - 1 - pad] == '=')
        pad++;
    if (n > 300 || n % 4 != 0)
        return false;
    got = EVP_DecodeBlock(whole, (const unsigned char *)text, (int)n);
    if (got < 0 || (size_t)got - pad != want)
        return false;
    memcpy(out, whole, want);
    return true;
}

static EVP_PKEY *read_key(const char *path)
{
    FILE *f = fopen(path, "re");
    EVP_PKEY *key = f ? PEM_read_PUBKEY(f, NULL, NULL, NULL) : NULL;

    if (f)
        (void)fclose(f);
    return key;
}

static bool verify(EVP_PKEY *key, const void *text, size_t n, const unsigned char sig[64])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestVerify(ctx, sig, 64, text, n) == 1;

    EVP_MD_CTX_free(ctx);
    return ok;
}

/* --- records --- */

bool logcheck_member(const char *line, const char *name, char *out, size_t size)
{
    char key[64];
    const char *p;
    size_t n;

    (void)snprintf(key, sizeof(key), "\"%s\":", name);
    p = strstr(line, key);
    if (!p)
        return false;
    p += strlen(key);
    if (*p == '"')
        p++;
    n = strcspn(p, p[-1] == '"' ? "\"" : ",}]");
    (void)snprintf(out, size, "%.*s", (int)n, p);
    return true;
}

uint64_t logcheck_number(const char *line, const char *name, uint64_t otherwise)
{
    char text[32];

    return logcheck_member(line, name, text, sizeof(text)) ? strtoull(text, NULL, 10) : otherwise;
}

size_t logcheck_count(const struct logcheck *c, const char *kind, const char *name,
                      const char *value)
{
    char k[128], v[128];
    size_t n = 0;

    for (size_t i = 0; i < c->n; i++)
        n += logcheck_member(c->line[i], "kind", k, sizeof(k)) && strcmp(k, kind) == 0 &&
             c->payload[i] && logcheck_member(c->payload[i], name, v, sizeof(v)) &&
             strcmp(v, value) == 0;
    return n;
}

void logcheck_leaf_hex(const struct logcheck *c, size_t i, char out[2 * LOGCHECK_HASH + 1])
{
    hex(c->leaf[i], out);
}

static bool check_signature(struct logcheck *c, const char *line, size_t n, EVP_PKEY *key)
{
    const char *z = strstr(line, ",\"zsig\":\"");
    unsigned char sig[64];
    char *body;
    bool ok;

    if (!z)
        return true;
    if (!unbase64(z + 9, n - (size_t)(z - line) - 11, sig, 64))
        return fail(c, c->n, "record %zu: zsig is no signature", c->n);
    body = malloc(n);
    if (!body)
        abort();
    memcpy(body, line, (size_t)(z - line));
    body[z - line] = '}';
    ok = verify(key, body, (size_t)(z - line) + 1, sig);
    free(body);
    return ok || fail(c, c->n, "record %zu: its signature does not verify", c->n);
}

/* [ms,counter] of this record after that of the one before. */
static bool check_time(struct logcheck *c, const char *line)
{
    unsigned long long ms[2] = {0, 0}, n[2] = {0, 0};
    const char *now = strstr(line, "\"hlc\":["),
               *was = c->n ? strstr(c->line[c->n - 1], "\"hlc\":[") : NULL;

    if (!now || sscanf(now, "\"hlc\":[%llu,%llu]", &ms[1], &n[1]) != 2)
        return fail(c, c->n, "record %zu: no hlc", c->n);
    if (was && sscanf(was, "\"hlc\":[%llu,%llu]", &ms[0], &n[0]) == 2 &&
        (ms[1] < ms[0] || (ms[1] == ms[0] && n[1] <= n[0])))
        return fail(c, c->n, "record %zu: its time [%llu,%llu] is not after [%llu,%llu]", c->n,
                    ms[1], n[1], ms[0], n[0]);
    return true;
}

/* "ph" is the hash of the stored payload. */
static bool check_payload(struct logcheck *c, const char *line, const char *payload, size_t n)
{
    unsigned char hash[LOGCHECK_HASH];
    char want[2 * LOGCHECK_HASH + 1], have[80];

    if (!payload)
        return true;
    sha256(payload, n, "", 0, "", 0, hash);
    hex(hash, want);
    if (logcheck_member(line, "ph", have, sizeof(have)) && strcmp(have, want) == 0)
        return true;
    return fail(c, c->n, "record %zu: its payload is not what it has the hash of", c->n);
}

static bool add_record(struct logcheck *c, const char *line, size_t n, const char *payload,
                       size_t n_payload, EVP_PKEY *key)
{
    char prev[80], want[2 * LOGCHECK_HASH + 1];
    size_t cap = c->n == 0 ? 64 : c->n;
    unsigned char zero = 0;

    if ((c->n & (c->n - 1)) == 0 || c->n == 0) { /* at 0 and at powers of two */
        c->line = realloc(c->line, (cap < 64 ? 64 : cap * 2) * sizeof(c->line[0]));
        c->leaf = realloc(c->leaf, (cap < 64 ? 64 : cap * 2) * sizeof(c->leaf[0]));
        c->payload = realloc(c->payload, (cap < 64 ? 64 : cap * 2) * sizeof(c->payload[0]));
        if (!c->line || !c->leaf || !c->payload)
            abort();
    }
    if (memchr(line, '\0', n) || n < 2 || line[0] != '{' || line[n - 1] != '}')
        return fail(c, c->n, "record %zu: no object on a line", c->n);
    c->line[c->n] = strndup(line, n);
    line = c->line[c->n];
    memset(want, '0', sizeof(want) - 1);
    want[sizeof(want) - 1] = '\0';
    if (c->n > 0)
        hex(c->leaf[c->n - 1], want);
    if (logcheck_number(line, "seq", UINT64_MAX) != c->n)
        (void)fail(c, c->n, "record %zu: its seq is another", c->n);
    else if (!logcheck_member(line, "prev", prev, sizeof(prev)) || strcmp(prev, want) != 0)
        (void)fail(c, c->n, "record %zu: prev is not the hash of the one before", c->n);
    else if (check_signature(c, line, n, key) && check_time(c, line) &&
             check_payload(c, line, payload, n_payload)) {
        sha256(&zero, 1, line, n, "", 0, c->leaf[c->n]);
        c->payload[c->n] = payload ? strndup(payload, n_payload) : NULL;
        c->n++;
        return true;
    }
    free(c->line[c->n]);
    return false;
}

void logcheck_free(struct logcheck *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->line[i]);
        free(c->payload[i]);
    }
    free(c->line);
    free(c->payload);
    free(c->leaf);
    *c = (struct logcheck){.n = 0};
}

/* --- the tree and its note --- */

/* RFC 6962 §2.1 as it is written there. */
static void tree_hash(unsigned char (*leaf)[LOGCHECK_HASH], size_t n,
                      unsigned char out[LOGCHECK_HASH])
{
    unsigned char one = 1, left[LOGCHECK_HASH], right[LOGCHECK_HASH];
    size_t k = 1;

    if (n == 0) {
        sha256("", 0, "", 0, "", 0, out);
        return;
    }
    if (n == 1) {
        memcpy(out, leaf[0], LOGCHECK_HASH);
        return;
    }
    while (k * 2 < n)
        k *= 2;
    tree_hash(leaf, k, left);
    tree_hash(leaf + k, n - k, right);
    sha256(&one, 1, left, sizeof(left), right, sizeof(right), out);
}

/* origin \n size \n root \n \n — name base64(4 bytes of id, signature) */
static bool check_note(struct logcheck *c, const char *note, EVP_PKEY *key)
{
    const char *blank = strstr(note, "\n\n"), *size = strchr(note, '\n');
    const char *root = size ? strchr(size + 1, '\n') : NULL,
               *sig = blank ? strrchr(note, ' ') : NULL;
    unsigned char raw[68], want[LOGCHECK_HASH], have[LOGCHECK_HASH];

    if (!blank || !root || !sig || root >= blank)
        return fail(c, c->n, "the checkpoint is no signed note");
    if (!unbase64(sig + 1, strcspn(sig + 1, "\n"), raw, sizeof(raw)) ||
        !verify(key, note, (size_t)(blank + 1 - note), raw + 4))
        return fail(c, c->n, "the checkpoint's signature does not verify");
    if (strtoull(size + 1, NULL, 10) != c->n)
        return fail(c, c->n, "the checkpoint is of %llu records, there are %zu",
                    strtoull(size + 1, NULL, 10), c->n);
    tree_hash(c->leaf, c->n, want);
    if (!unbase64(root + 1, strcspn(root + 1, "\n"), have, sizeof(have)) ||
        memcmp(have, want, sizeof(want)) != 0)
        return fail(c, c->n, "the checkpoint's root is not that of the records");
    return true;
}

/* --- the database --- */

static void copy_file(const char *from, const char *to)
{
    char block[65536];
    ssize_t n;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    while (out >= 0 && (n = read(in, block, sizeof(block))) > 0)
        if (write(out, block, (size_t)n) != n)
            abort();
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
}

sqlite3 *logcheck_open(const char *state_dir)
{
    const char *tmp = getenv("TMPDIR");
    char dir[256], from[PATH_MAX], to[PATH_MAX];
    sqlite3 *db = NULL;

    (void)snprintf(dir, sizeof(dir), "%s/check.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        abort();
    (void)snprintf(from, sizeof(from), "%s/log.sqlite-wal", state_dir);
    (void)snprintf(to, sizeof(to), "%s/log.sqlite-wal", dir);
    copy_file(from, to);
    (void)snprintf(from, sizeof(from), "%s/log.sqlite", state_dir);
    (void)snprintf(to, sizeof(to), "%s/log.sqlite", dir);
    copy_file(from, to);
    if (access(to, F_OK) != 0) {
        (void)rmdir(dir);
        return NULL;
    }
    if (sqlite3_open_v2(to, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        abort();
    (void)sqlite3_exec(db, "PRAGMA synchronous=OFF", NULL, NULL, NULL); /* only a copy */
    return db;
}

void logcheck_close(sqlite3 **db)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    char path[PATH_MAX], name[PATH_MAX + 8];

    if (!*db)
        return;
    (void)snprintf(path, sizeof(path), "%s", sqlite3_db_filename(*db, "main"));
    (void)sqlite3_close(*db);
    *db = NULL;
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, endings[i]);
        (void)unlink(name);
    }
    *strrchr(path, '/') = '\0';
    (void)rmdir(path);
}

static bool read_records(struct logcheck *c, sqlite3 *db, EVP_PKEY *key)
{
    sqlite3_stmt *st = NULL;
    bool ok = true;
    int rc = sqlite3_prepare_v2(db, "SELECT line, payload FROM audit_record ORDER BY seq", -1, &st,
                                NULL);

    while (ok && rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *line = sqlite3_column_blob(st, 0);
        size_t n = (size_t)sqlite3_column_bytes(st, 0);

        const char *payload = sqlite3_column_blob(st, 1);

        ok = add_record(c, line ? line : "", n, payload, (size_t)sqlite3_column_bytes(st, 1), key);
        rc = SQLITE_OK;
    }
    if (ok && rc != SQLITE_DONE)
        ok = fail(c, c->n, "the database: %s", sqlite3_errmsg(db));
    (void)sqlite3_finalize(st);
    return ok;
}

static bool read_checkpoint(struct logcheck *c, sqlite3 *db, EVP_PKEY *key)
{
    sqlite3_stmt *st = NULL;
    bool ok = true;

    if (sqlite3_prepare_v2(db, "SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1", -1,
                           &st, NULL) != SQLITE_OK)
        return fail(c, c->n, "the database: %s", sqlite3_errmsg(db));
    if (sqlite3_step(st) == SQLITE_ROW) {
        char *note =
            strndup((const char *)sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));

        ok = check_note(c, note, key);
        free(note);
    } else if (c->n > 0) {
        ok = fail(c, c->n, "%zu records and no checkpoint", c->n);
    }
    (void)sqlite3_finalize(st);
    return ok;
}

bool logcheck_database(const char *state_dir, struct logcheck *c)
{
    char pub[PATH_MAX];
    sqlite3 *db = logcheck_open(state_dir);
    EVP_PKEY *key;
    bool ok = true;

    *c = (struct logcheck){.n = 0};
    (void)snprintf(pub, sizeof(pub), "%s/audit.pub", state_dir);
    key = read_key(pub);
    if (!db)
        ok = fail(c, 0, "%s: no database", state_dir);
    else if (!key)
        ok = fail(c, 0, "%s: no public key", pub);
    ok = ok && read_records(c, db, key) && read_checkpoint(c, db, key);
    logcheck_close(&db);
    EVP_PKEY_free(key);
    return ok;
}

bool logcheck_ndjson(const char *path, const char *pub, struct logcheck *c)
{
    FILE *f = fopen(path, "re");
    EVP_PKEY *key = read_key(pub);
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    bool ok = true;

    *c = (struct logcheck){.n = 0};
    if (!f || !key)
        ok = fail(c, 0, "%s cannot be read", f ? pub : path);
    while (ok && (n = getline(&line, &cap, f)) > 0) {
        c->torn = line[n - 1] != '\n';
        ok = c->torn || add_record(c, line, (size_t)n - 1, NULL, 0, key);
    }
    free(line);
    if (f)
        (void)fclose(f);
    EVP_PKEY_free(key);
    return ok;
}

int64_t logcheck_query(sqlite3 *db, const char *sql, const char *text, uint64_t n,
                       int64_t otherwise)
{
    sqlite3_stmt *st = NULL;

    if (db && sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK) {
        (void)sqlite3_bind_text(st, 1, text, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(st, 2, (sqlite3_int64)n);
        if (sqlite3_step(st) == SQLITE_ROW)
            otherwise = sqlite3_column_int64(st, 0);
    }
    (void)sqlite3_finalize(st);
    return otherwise;
}

bool logcheck_text(sqlite3 *db, const char *sql, char *out, size_t size)
{
    sqlite3_stmt *st = NULL;
    bool found = db && sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK &&
                 sqlite3_step(st) == SQLITE_ROW;

    if (found)
        (void)snprintf(out, size, "%.*s", sqlite3_column_bytes(st, 0),
                       (const char *)sqlite3_column_blob(st, 0));
    (void)sqlite3_finalize(st);
    return found;
}
