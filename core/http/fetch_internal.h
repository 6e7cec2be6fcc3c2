/* A request's inside: fetch.c (what it asks for and its end), fetch_way.c (how it gets out),
 * fetch_loop.c (libcurl on the loop), jar.c (cookies). The files of this folder are the only ones
 * that include curl. */
#ifndef CORE_HTTP_FETCH_INTERNAL_H
#define CORE_HTTP_FETCH_INTERNAL_H

#include <curl/curl.h>

#include "core/http/fetch.h"

struct direct;
struct host_count;
struct map;

enum { EASIES_KEPT = 64 };

/* A socket that curl uses. curl lets go of it between requests and asks for it again at the next
 * one; the watch of a connection that we dialled stays, so that this costs no system calls. */
struct sock {
    struct loop_watch *watch; /* NULL: none yet */
    struct direct *direct;    /* whose socket it is; NULL: one to a forwarder */
    uint64_t idle_ms;         /* since when nobody wants it */
    bool dialled;             /* ours until sock_close */
    bool wanted;              /* by curl, at the moment */
};

struct http {
    struct loop *loop;
    CURLM *multi;
    struct sock *socks; /* by descriptor */
    size_t n_socks;
    size_t n_dialled, n_kept_max;
    uint64_t swept_ms;
    struct loop_timer timer;
    char *ca_file;
    int features;         /* libcurl's: CURL_VERSION_... */
    struct map *requests; /* id -> struct request */
    uint64_t next_id;
    uint32_t n_doors; /* given to members */
    CURL *spare[EASIES_KEPT];
    size_t n_spare;
};

struct request {
    struct http *http;
    uint64_t id;
    CURL *easy; /* NULL: out of curl's hands */
    struct member *member;
    struct buf lines; /* the request's fields, each ended by a NUL */
    struct curl_slist *headers;
    struct buf head; /* of the last response */
    struct buf body;
    char error[CURL_ERROR_SIZE];
    char *content_type, *retry_after, *fleet_error;
    bool too_large, is_head, secure, body_began;
    bool beginning_will_do, is_cut; /* enough of the body is there */
    size_t max_bytes;
    uint64_t started_ms, timeout_ms;
    http_done_fn *done;
    void *arg;
    struct loop_timer ending; /* it is over, and not told yet */
    enum status cancelled;    /* OK: it is not */
    struct err *failure;      /* found by us; NULL: what curl says holds */
    bool direct;              /* no upstream: curl speaks to the target */
    bool dialled;             /* a connection was made for it */
    bool head_ended;          /* the response's head is whole */
    bool parked;              /* direct: not curl's while `way` is being made */
    unsigned interim;         /* direct: 1xx heads so far */
    uint16_t port;
    char *host;         /* direct: the target's */
    struct direct *way; /* a connection for it, until curl takes it */
    struct host_count *accounts;
    struct curl_slist to; /* CURLOPT_CONNECT_TO */
    char to_text[48];
};

/* fetch.c */
/** What curl has ended is told. */
void multi_reap(struct http *h);
void request_over(struct request *q, CURLcode rc);

/* fetch_loop.c */
/** A connection that we made for the request: `d` is the owner of the socket, NULL: `fd` itself. */
void sock_dialled(struct request *q, int fd, struct direct *d);
/** CURLOPT_CLOSESOCKETFUNCTION of sockets that we dialled; `arg` is the http. */
int sock_close(void *arg, curl_socket_t fd);
/** Puts the multi handle on the loop. */
void multi_watch(struct http *h);

/* fetch_way.c */
/** Sets the options for the way out. False: refused, q->failure says why. */
must_check bool way_set_up(struct request *q, const struct http_request *r);
/** curl ended with `rc`. True when it did so for want of a connection that is being made: the
 * request goes on. */
must_check bool way_goes_on(struct request *q, CURLcode rc);
/** The head of a response ended. False when it is one that a forwarder would not pass (directly,
 * plain HTTP). */
must_check bool way_take_head(struct request *q);
/** The request has ended: counts it, and looks at what curl takes for an end and a forwarder does
 * not. Once. */
void way_settle(struct request *q, CURLcode rc);
/** The status that the forwarder named; false: it named none. */
must_check bool way_said(const struct request *q, enum status *s);

/* jar.c */
void jar_use(CURL *easy, struct member *m);

#endif
