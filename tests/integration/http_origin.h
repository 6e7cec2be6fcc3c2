/* A target that sends what a test wants sent, byte for byte: over TCP, over TLS, or as HTTP/2 over
 * TLS. A thread a connection; not a server to copy. */
#ifndef TESTS_INTEGRATION_HTTP_ORIGIN_H
#define TESTS_INTEGRATION_HTTP_ORIGIN_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "tests/integration/forward_rig.h"

enum origin_kind { ORIGIN_PLAIN, ORIGIN_TLS, ORIGIN_H2 };

/* How the next requests of HTTP/2 are answered. */
enum origin_h2 { H2_ANSWER, H2_RESET, H2_SILENT, H2_GOAWAY };

struct origin_conn {
    struct origin *origin;
    SSL *tls;
    int fd;
    unsigned number; /* from 1 */
    unsigned served; /* requests of this connection before this one */
};

/** One request of HTTP/1: `head` with its empty line, the body read. False: the connection is
 * closed. On the connection's thread. */
typedef bool origin_fn(struct origin_conn *c, const char *path, const char *head, const char *body);

struct origin {
    struct server server;
    enum origin_kind kind;
    origin_fn *fn;
    SSL_CTX *tls;
    char ca_file[512]; /* the certificate, which is its own authority; of 127.0.0.1 */
    char *dir;
    atomic_uint connections, requests, sessions_resumed, streams_reset;
    atomic_int h2;        /* enum origin_h2 */
    pthread_mutex_t lock; /* guards `head` and `body` */
    char head[8192];      /* of the last request of HTTP/1 */
    char body[1024];
};

void origin_start(struct origin *o, enum origin_kind kind, origin_fn *fn);
void origin_stop(struct origin *o);
bool origin_send(struct origin_conn *c, const void *p, size_t n);
bool origin_puts(struct origin_conn *c, const char *text);
/** A field of the last request, "" when it is absent; "(twice)" when it is there more than once. */
const char *origin_header(struct origin *o, const char *name, char *out, size_t size);

#endif
