/* A small HTTP/1.1 server of a test: a thread, loopback, one answer function. Not a server to copy:
 * it knows just what tests ask of it. */
#ifndef TESTS_SUPPORT_HTTPD_H
#define TESTS_SUPPORT_HTTPD_H

#include <stddef.h>
#include <stdint.h>

struct httpd;

struct httpd_request {
    char method[16];
    char path[1024]; /* with query; of an absolute URL the path */
    char host[256];
    const char *headers; /* raw, from the first header to the empty line */
    const char *body;
    size_t body_len;
    const char *local;   /* address the client came to: "127.0.0.1" */
    unsigned connection; /* which one of the server's, from 1 */
};

struct httpd_reply {
    int status;          /* 0: the connection is closed without an answer; -1: kept open, silent */
    const char *type;    /* NULL: text/html */
    const char *headers; /* further ones, each ended by \r\n; NULL */
    const char *body;    /* borrowed until the next request of the connection */
    size_t body_len;     /* 0: strlen(body) */
    unsigned delay_ms;
};

/** Runs on a connection's thread: guard what is shared. */
typedef void httpd_fn(void *arg, const struct httpd_request *q, struct httpd_reply *a);

/** Listens on `address` ("127.0.0.1"; NULL the same), port 0: any. The running case fails when it
 * cannot. */
struct httpd *httpd_start(const char *address, uint16_t port, httpd_fn *fn, void *arg);
uint16_t httpd_port(const struct httpd *h);
/** Requests answered so far. */
unsigned httpd_count(const struct httpd *h);
/** Closes all connections, joins all threads. */
void httpd_stop(struct httpd **h);
/** Value of a header of the request into out, "" when absent. */
const char *httpd_header(const struct httpd_request *q, const char *name, char *out, size_t size);

#endif
