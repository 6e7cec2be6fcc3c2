/* TLS to https upstreams, over a non-blocking socket that stays the caller's. The one pair of files
 * that includes OpenSSL. Certificates are always verified, by name or address of the proxy: what
 * goes over it are credentials. */
#ifndef PROXIES_TLS_H
#define PROXIES_TLS_H

#include <sys/types.h>

#include "core/base/err.h"

struct tls_ctx;
struct tls;

/** `ca_file`: PEM file of authorities, NULL: the system's. NOT_FOUND, INVALID, NO_MEMORY. */
must_check enum status tls_ctx_open(const char *ca_file, struct tls_ctx **out, struct err *e);
void tls_ctx_close(struct tls_ctx **c);

/** A client on `fd` that will want `host` (name or address) in the certificate. */
must_check enum status tls_open(struct tls_ctx *c, int fd, const char *host, struct tls **out,
                                struct err *e);
/** Frees; sends nothing. NULL is fine. */
void tls_close(struct tls **t);

enum { TLS_EOF = 0, TLS_WANT_READ = -1, TLS_WANT_WRITE = -2, TLS_ERROR = -3 };
/** Goes on with the handshake: 1 when it is done, or one of the above (not EOF). */
int tls_handshake(struct tls *t, struct err *e);
/** Bytes read, or one of the above. */
ssize_t tls_read(struct tls *t, void *p, size_t n);
/** Bytes written (maybe fewer than n), or one of the above (not EOF). After a want, the same bytes
 * come again. */
ssize_t tls_write(struct tls *t, const void *p, size_t n);
/** Bytes that can be read without the socket. */
bool tls_has_pending(const struct tls *t);
/** Says that nothing more will be written (close_notify). */
void tls_shutdown(struct tls *t);

#endif
