#include "proxies/proxy.h"

#include <stdio.h>

#include "proxies/proxy_internal.h"

struct proxy {
    struct proxy
        *self; /* from a const pointer to the count, which is no part of what is constant */
    size_t refs;
    enum proxy_scheme scheme;
    uint16_t port;
    uint32_t weight;
    char country[3];
    bool has_credentials;
    char *id, *label, *host;
    struct vault *vault;   /* NULL without credentials */
    unsigned char *secret; /* user, then password; in the vault */
    size_t user_len, password_len;
};

static const struct {
    const char *name;
    uint16_t port;
} schemes[PROXY_SCHEME_COUNT] = {
    [PROXY_HTTP] = {"http", 80},
    [PROXY_HTTPS] = {"https", 443},
    [PROXY_SOCKS5] = {"socks5", 1080},
};

static const char *scheme_name(enum proxy_scheme s)
{
    BUG_ON(s >= PROXY_SCHEME_COUNT);
    return schemes[s].name;
}

/* --- credentials --- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes onto out[0..PROXY_CREDENTIAL_MAX). */
static enum status decode_credential(struct str s, bool encoded, const char *what,
                                     unsigned char *out, size_t *n_out, struct err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        int c = (unsigned char)s.ptr[i];

        if (encoded && c == '%') {
            int hi = i + 2 < s.len ? hex_value(s.ptr[i + 1]) : -1;
            int lo = i + 2 < s.len ? hex_value(s.ptr[i + 2]) : -1;

            if (hi < 0 || lo < 0)
                return err_set(e, STATUS_INVALID,
                               "%s: a \"%%\" without two hexadecimal digits after it (write a "
                               "percent sign itself as %%25)",
                               what);
            c = hi * 16 + lo;
            i += 2;
        }
        if (c == 0)
            return err_set(e, STATUS_INVALID, "%s: holds a NUL byte", what);
        if (n == PROXY_CREDENTIAL_MAX)
            return err_set(e, STATUS_INVALID, "%s: longer than %d bytes", what,
                           PROXY_CREDENTIAL_MAX);
        out[n++] = (unsigned char)c;
    }
    *n_out = n;
    return STATUS_OK;
}

/* RFC 7617 §2: a colon ends the user. RFC 1929 §2: the user has 1 to 255 bytes. */
static enum status check_user(const struct proxy_draft *d, const unsigned char *user, size_t len,
                              struct err *e)
{
    if (d->scheme == PROXY_SOCKS5 && len == 0)
        return err_set(e, STATUS_INVALID, "user: empty, socks5 wants 1..%d bytes",
                       PROXY_CREDENTIAL_MAX);
    if (d->scheme != PROXY_SOCKS5 && len && memchr(user, ':', len))
        return err_set(e, STATUS_INVALID, "user: holds a colon, which Basic cannot carry");
    return STATUS_OK;
}

static enum status keep_credentials(struct proxy *p, const unsigned char *secret, size_t len,
                                    struct vault *v, struct err *e)
{
    unsigned char *to = v ? vault_take(v, len) : NULL;

    if (to) {
        p->vault = vault_ref(v);
    } else {
        p->vault = vault_open(len);
        to = p->vault ? vault_take(p->vault, len) : NULL;
        if (!to)
            return err_set(e, STATUS_NO_MEMORY, "no guarded memory for credentials");
    }
    memcpy(to, secret, len);
    p->secret = to;
    return STATUS_OK;
}

static enum status set_credentials(struct proxy *p, const struct proxy_draft *d, struct vault *v,
                                   struct err *e)
{
    unsigned char secret[2 * PROXY_CREDENTIAL_MAX];
    enum status s;

    s = decode_credential(d->user, d->encoded, "user", secret, &p->user_len, e);
    if (s == STATUS_OK)
        s = check_user(d, secret, p->user_len, e);
    if (s == STATUS_OK)
        s = decode_credential(d->password, d->encoded, "password", secret + p->user_len,
                              &p->password_len, e);
    if (s == STATUS_OK && p->user_len + p->password_len > 0) {
        s = keep_credentials(p, secret, p->user_len + p->password_len, v, e);
        p->has_credentials = s == STATUS_OK;
    }
    vault_wipe(secret, sizeof(secret));
    return s;
}

bool proxy_has_credentials(const struct proxy *p)
{
    return p->has_credentials;
}

void proxy_credentials(const struct proxy *p, struct str *user, struct str *password)
{
    const char *secret = (const char *)p->secret;

    *user = p->has_credentials ? str_n(secret, p->user_len) : STR("");
    *password = p->has_credentials ? str_n(secret + p->user_len, p->password_len) : STR("");
}

void proxy_add_basic(const struct proxy *p, struct buf *out)
{
    unsigned char pair[2 * PROXY_CREDENTIAL_MAX + 1];
    size_t n = p->user_len;

    if (!p->has_credentials)
        return;
    memcpy(pair, p->secret, p->user_len);
    pair[n++] = ':';
    memcpy(pair + n, p->secret + p->user_len, p->password_len);
    n += p->password_len;
    buf_adds(out, "Basic ");
    buf_add_base64(out, pair, n);
    vault_wipe(pair, sizeof(pair));
}

/* --- making and counting --- */

static char *dup_str(struct str s)
{
    char *z = xcalloc(1, s.len + 1);

    memcpy(z, s.ptr, s.len);
    return z;
}

static char *make_label(const struct proxy *p, bool tagged)
{
    bool v6 = strchr(p->host, ':') != NULL;
    size_t cap = strlen(p->host) + PROXY_ID_MAX + 32;
    char *label = xcalloc(1, cap);

    snprintf(label, cap, "%s://%s%s%s:%u%s%s", scheme_name(p->scheme), v6 ? "[" : "", p->host,
             v6 ? "]" : "", p->port, tagged ? "#" : "", tagged ? p->id : "");
    return label;
}

static void proxy_destroy(struct proxy *p)
{
    vault_wipe(p->secret, p->vault ? p->user_len + p->password_len : 0);
    vault_unref(&p->vault);
    free(p->id);
    free(p->label);
    free(p->host);
    free(p);
}

enum status proxy_build(const struct proxy_draft *d, const char *id, struct vault *v,
                        struct proxy **out, struct err *e)
{
    bool tagged = d->tag.len > 0;
    struct proxy *p;
    enum status s = STATUS_OK;

    if (!tagged && (!id || !*id))
        return err_set(e, STATUS_INVALID, "no tag: found none, expected \"#tag\" at the end");
    p = xcalloc(1, sizeof(*p));
    p->self = p;
    p->refs = 1;
    p->scheme = d->scheme;
    p->port = d->port ? d->port : schemes[d->scheme].port;
    p->weight = d->weight;
    memcpy(p->country, d->country, sizeof(p->country));
    p->id = dup_str(tagged ? d->tag : str_from(id));
    p->host = dup_str(d->host);
    for (char *c = p->host; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    }
    p->label = make_label(p, tagged);
    if (d->has_credentials)
        s = set_credentials(p, d, v, e);
    if (s != STATUS_OK) {
        proxy_destroy(p);
        return s;
    }
    *out = p;
    return STATUS_OK;
}

enum status proxy_parse(struct str line, const char *id, struct proxy **out, struct err *e)
{
    struct proxy_draft d;
    enum status s;

    proxy_draft_init(&d);
    s = proxy_read_line(line, &d, e);
    return s == STATUS_OK ? proxy_build(&d, id, NULL, out, e) : s;
}

enum status proxy_from_json(const struct json *j, const char *id, struct proxy **out, struct err *e)
{
    struct proxy_draft d;
    enum status s;

    proxy_draft_init(&d);
    s = proxy_read_json(j, &d, e);
    return s == STATUS_OK ? proxy_build(&d, id, NULL, out, e) : s;
}

struct proxy *proxy_ref(const struct proxy *p)
{
    p->self->refs++;
    return p->self;
}

void proxy_unref(struct proxy **pp)
{
    struct proxy *p = steal_ptr(pp);

    if (p && --p->refs == 0)
        proxy_destroy(p);
}

/* --- what may be shown --- */

const char *proxy_id(const struct proxy *p)
{
    return p->id;
}

const char *proxy_label(const struct proxy *p)
{
    return p->label;
}

enum proxy_scheme proxy_scheme(const struct proxy *p)
{
    return p->scheme;
}

const char *proxy_host(const struct proxy *p)
{
    return p->host;
}

uint16_t proxy_port(const struct proxy *p)
{
    return p->port;
}

uint32_t proxy_weight(const struct proxy *p)
{
    return p->weight;
}

const char *proxy_country(const struct proxy *p)
{
    return p->country;
}
