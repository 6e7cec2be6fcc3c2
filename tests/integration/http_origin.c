#include "tests/integration/http_origin.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "tests/support/testing.h"

/* --- bytes --- */

bool origin_send(struct origin_conn *c, const void *p, size_t n)
{
    const char *at = p;

    while (n > 0) {
        ssize_t w = c->tls ? SSL_write(c->tls, at, (int)n) : send(c->fd, at, n, MSG_NOSIGNAL);

        if (w <= 0)
            return false;
        at += w;
        n -= (size_t)w;
    }
    return true;
}

bool origin_puts(struct origin_conn *c, const char *text)
{
    return origin_send(c, text, strlen(text));
}

static ssize_t take(struct origin_conn *c, void *p, size_t n)
{
    return c->tls ? SSL_read(c->tls, p, (int)n) : recv(c->fd, p, n, 0);
}

static bool take_all(struct origin_conn *c, void *p, size_t n)
{
    char *at = p;

    while (n > 0) {
        ssize_t r = take(c, at, n);

        if (r <= 0)
            return false;
        at += r;
        n -= (size_t)r;
    }
    return true;
}

/* --- HTTP/1 --- */

static const char *find_field(const char *head, const char *name, size_t *len)
{
    size_t n = strlen(name);

    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n) != 0 || line[n] != ':')
            continue;
        line += n + 1;
        line += strspn(line, " ");
        *len = strcspn(line, "\r");
        return line;
    }
    return NULL;
}

const char *origin_header(struct origin *o, const char *name, char *out, size_t size)
{
    const char *v;
    size_t len = 0;

    pthread_mutex_lock(&o->lock);
    v = find_field(o->head, name, &len);
    (void)snprintf(out, size, "%.*s", v ? (int)len : 0, v ? v : "");
    if (v && find_field(v, name, &len))
        (void)snprintf(out, size, "(twice)");
    pthread_mutex_unlock(&o->lock);
    return out;
}

/* Reads up to the end of a head; false when the client is gone. */
static bool read_head(struct origin_conn *c, char *out, size_t size)
{
    size_t n = 0;

    while (n + 1 < size && take(c, out + n, 1) == 1) {
        out[++n] = '\0';
        if (n >= 4 && memcmp(out + n - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

static bool serve_one(struct origin_conn *c)
{
    struct origin *o = c->origin;
    char head[sizeof o->head], body[sizeof o->body] = "", path[256] = "";
    const char *length;
    size_t len = 0, n = 0;

    if (!read_head(c, head, sizeof head))
        return false;
    length = find_field(head, "content-length", &len);
    n = length ? strtoul(length, NULL, 10) : 0;
    if (n >= sizeof body || !take_all(c, body, n))
        return false;
    body[n] = '\0';
    (void)sscanf(head, "%*s %255s", path);
    pthread_mutex_lock(&o->lock);
    memcpy(o->head, head, sizeof head);
    memcpy(o->body, body, sizeof body);
    pthread_mutex_unlock(&o->lock);
    o->requests++;
    return o->fn(c, path, head, body);
}

/* --- HTTP/2, as much of it as one client needs (RFC 9113) --- */

enum { FRAME_DATA, FRAME_HEADERS, FRAME_RST = 3, FRAME_SETTINGS, FRAME_PING = 6, FRAME_GOAWAY };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

static bool frame_send(struct origin_conn *c, int type, int flags, uint32_t stream, const void *p,
                       size_t n)
{
    unsigned char h[9] = {0, (unsigned char)(n >> 8), (unsigned char)n, (unsigned char)type,
                          (unsigned char)flags};

    h[7] = (unsigned char)(stream >> 8);
    h[8] = (unsigned char)stream;
    return origin_send(c, h, sizeof h) && origin_send(c, p, n);
}

/* :status 200 of the static table, content-type as a literal of the name there (RFC 7541). */
static bool h2_answer(struct origin_conn *c, uint32_t stream)
{
    static const char head[] = "\x88\x0f\x10\x0atext/plain", body[] = "by streams";
    static const unsigned char internal_error[4] = {0, 0, 0, 2};
    unsigned char last[8] = {0};

    c->origin->requests++;
    switch ((enum origin_h2)c->origin->h2) {
    case H2_SILENT:
        return true;
    case H2_RESET:
        return frame_send(c, FRAME_RST, 0, stream, internal_error, sizeof internal_error);
    case H2_GOAWAY:
        last[3] = (unsigned char)stream;
        if (!frame_send(c, FRAME_GOAWAY, 0, 0, last, sizeof last))
            return false;
        break;
    case H2_ANSWER:
        break;
    }
    return frame_send(c, FRAME_HEADERS, END_HEADERS, stream, head, sizeof head - 1) &&
           frame_send(c, FRAME_DATA, END_STREAM, stream, body, sizeof body - 1);
}

static bool serve_frame(struct origin_conn *c)
{
    unsigned char h[9], payload[1 << 14];
    size_t n;
    uint32_t stream;

    if (!take_all(c, h, sizeof h))
        return false;
    n = (size_t)h[1] << 8 | h[2];
    stream = (uint32_t)h[7] << 8 | h[8];
    if (h[0] != 0 || n > sizeof payload || !take_all(c, payload, n))
        return false;
    switch (h[3]) {
    case FRAME_SETTINGS:
        return (h[4] & ACK) != 0 || frame_send(c, FRAME_SETTINGS, ACK, 0, "", 0);
    case FRAME_PING:
        return (h[4] & ACK) != 0 || frame_send(c, FRAME_PING, ACK, 0, payload, n);
    case FRAME_HEADERS:
    case FRAME_DATA:
        return (h[4] & END_STREAM) == 0 || h2_answer(c, stream);
    case FRAME_RST:
        c->origin->streams_reset++;
        return true;
    default:
        return h[3] != FRAME_GOAWAY;
    }
}

static void serve_h2(struct origin_conn *c)
{
    char preface[24];

    if (!take_all(c, preface, sizeof preface) || memcmp(preface, "PRI * HTTP/2.0", 14) != 0 ||
        !frame_send(c, FRAME_SETTINGS, 0, 0, "", 0))
        return;
    while (serve_frame(c))
        ;
}

/* --- TLS --- */

static int choose_h2(SSL *tls, const unsigned char **out, unsigned char *outlen,
                     const unsigned char *in, unsigned inlen, void *arg)
{
    static const unsigned char h2[] = "\x02h2";
    unsigned char *chosen;

    (void)tls;
    (void)arg;
    if (SSL_select_next_proto(&chosen, outlen, h2, 3, in, inlen) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void sign_for_loopback(X509 *x, EVP_PKEY *key)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    X509_NAME *name = X509_get_subject_name(x);

    assert_non_null(ext);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -86400);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"origin", -1, -1,
                               0);
    X509_set_issuer_name(x, name);
    X509_set_pubkey(x, key);
    X509_add_ext(x, ext, -1);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    X509_EXTENSION_free(ext);
}

static void make_tls(struct origin *o)
{
    EVP_PKEY *key = EVP_EC_gen("prime256v1");
    X509 *x = X509_new();
    FILE *f;

    assert_true(key && x);
    sign_for_loopback(x, key);
    o->dir = test_mkdir();
    (void)snprintf(o->ca_file, sizeof o->ca_file, "%s/ca.pem", o->dir);
    f = fopen(o->ca_file, "we");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, x), 1);
    assert_int_equal(fclose(f), 0);
    o->tls = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(o->tls, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(o->tls, key), 1);
    if (o->kind == ORIGIN_H2)
        SSL_CTX_set_alpn_select_cb(o->tls, choose_h2, NULL);
    X509_free(x);
    EVP_PKEY_free(key);
}

/* --- life --- */

static void serve_conn(int fd, void *arg)
{
    struct origin *o = arg;
    struct origin_conn c = {.origin = o, .fd = fd, .number = ++o->connections};
    bool open = true;

    if (o->tls) {
        c.tls = SSL_new(o->tls);
        SSL_set_fd(c.tls, fd);
        open = SSL_accept(c.tls) == 1;
        o->sessions_resumed += open && SSL_session_reused(c.tls);
    }
    if (open && o->kind == ORIGIN_H2)
        serve_h2(&c);
    for (; open && o->kind != ORIGIN_H2 && serve_one(&c); c.served++)
        ;
    SSL_free(c.tls);
}

void origin_start(struct origin *o, enum origin_kind kind, origin_fn *fn)
{
    memset(o, 0, sizeof *o);
    o->kind = kind;
    o->fn = fn;
    pthread_mutex_init(&o->lock, NULL);
    if (kind != ORIGIN_PLAIN)
        make_tls(o);
    server_start(&o->server, serve_conn, o);
}

void origin_stop(struct origin *o)
{
    server_stop(&o->server);
    SSL_CTX_free(o->tls);
    pthread_mutex_destroy(&o->lock);
    test_rmdir(&o->dir);
}
