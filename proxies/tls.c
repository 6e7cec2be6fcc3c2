#include "proxies/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* Both are OpenSSL's own objects under our names. */
static SSL_CTX *ctx_of(struct tls_ctx *c)
{
    return (SSL_CTX *)(void *)c;
}

static SSL *ssl_of(struct tls *t)
{
    return (SSL *)(void *)t;
}

static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    return text ? text : "no reason given";
}

static enum status load_authorities(SSL_CTX *ctx, const char *ca_file, struct err *e)
{
    if (!ca_file) {
        if (SSL_CTX_set_default_verify_paths(ctx) == 1)
            return STATUS_OK;
        return err_set(e, STATUS_ENVIRONMENT, "the system's certificate authorities: %s", reason());
    }
    if (access(ca_file, R_OK) != 0)
        return err_set(e, STATUS_NOT_FOUND, "%s: certificate authorities cannot be read", ca_file);
    if (SSL_CTX_load_verify_locations(ctx, ca_file, NULL) != 1)
        return err_set(e, STATUS_INVALID, "%s: expected certificates in PEM: %s", ca_file,
                       reason());
    return STATUS_OK;
}

enum status tls_ctx_open(const char *ca_file, struct tls_ctx **out, struct err *e)
{
    SSL_CTX *ctx;
    enum status s;

    ERR_clear_error();
    ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        return err_set(e, STATUS_NO_MEMORY, "TLS: %s", reason());
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    s = load_authorities(ctx, ca_file, e);
    if (s != STATUS_OK) {
        SSL_CTX_free(ctx);
        return s;
    }
    *out = (struct tls_ctx *)(void *)ctx;
    return STATUS_OK;
}

void tls_ctx_close(struct tls_ctx **c)
{
    struct tls_ctx *ctx = steal_ptr(c);

    if (ctx)
        SSL_CTX_free(ctx_of(ctx));
}

/* RFC 6066 §3: no server name for addresses. */
static bool set_host(SSL *ssl, const char *host)
{
    unsigned char address[16];
    char name[256]; /* OpenSSL's macro wants it without const */

    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    snprintf(name, sizeof(name), "%s", host);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

enum status tls_open(struct tls_ctx *c, int fd, const char *host, struct tls **out, struct err *e)
{
    SSL *ssl;

    ERR_clear_error();
    ssl = SSL_new(ctx_of(c));
    if (!ssl || !set_host(ssl, host) || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return err_set(e, STATUS_NO_MEMORY, "TLS: %s", reason());
    }
    SSL_set_connect_state(ssl);
    *out = (struct tls *)(void *)ssl;
    return STATUS_OK;
}

void tls_close(struct tls **t)
{
    struct tls *tls = steal_ptr(t);

    if (tls)
        SSL_free(ssl_of(tls));
}

static int meaning(struct tls *t, int rc)
{
    switch (SSL_get_error(ssl_of(t), rc)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_EOF;
    default:
        return TLS_ERROR;
    }
}

int tls_handshake(struct tls *t, struct err *e)
{
    long verified;
    int rc;

    ERR_clear_error();
    rc = SSL_do_handshake(ssl_of(t));
    if (rc == 1)
        return 1;
    rc = meaning(t, rc);
    if (rc == TLS_WANT_READ || rc == TLS_WANT_WRITE)
        return rc;
    verified = SSL_get_verify_result(ssl_of(t));
    if (verified != X509_V_OK)
        err_set(e, STATUS_PROXY_FAILED, "TLS: the proxy's certificate: %s",
                X509_verify_cert_error_string(verified));
    else
        err_set(e, STATUS_PROXY_FAILED, "TLS: the handshake failed: %s", reason());
    return TLS_ERROR;
}

ssize_t tls_read(struct tls *t, void *p, size_t n)
{
    int rc;

    ERR_clear_error();
    rc = SSL_read(ssl_of(t), p, n > INT32_MAX ? INT32_MAX : (int)n);
    return rc > 0 ? rc : meaning(t, rc);
}

ssize_t tls_write(struct tls *t, const void *p, size_t n)
{
    int rc;

    ERR_clear_error();
    rc = SSL_write(ssl_of(t), p, n > INT32_MAX ? INT32_MAX : (int)n);
    if (rc > 0)
        return rc;
    rc = meaning(t, rc);
    return rc == TLS_EOF ? TLS_ERROR : rc;
}

bool tls_has_pending(const struct tls *t)
{
    return SSL_has_pending((const SSL *)(const void *)t) == 1;
}

void tls_shutdown(struct tls *t)
{
    ERR_clear_error();
    (void)SSL_shutdown(ssl_of(t)); /* the peer's answer, if any, comes with what is read */
}
