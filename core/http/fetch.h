/* HTTP requests of members on libcurl's multi interface, driven by the loop. A request goes out by
 * its member's forwarder or, where that has no upstream, directly with all that the forwarder
 * guarantees (README.md). The one place that includes curl. */
#ifndef CORE_HTTP_FETCH_H
#define CORE_HTTP_FETCH_H

#include "core/base/buf.h"
#include "core/base/json.h"
#include "core/base/loop.h"
#include "core/fleet/member.h"

struct http;

struct http_request {
    const char *method; /* "GET" */
    const char *url;
    struct str href;            /* the same as url_parse writes it: which host it leads to */
    const char *const *headers; /* "Name: value", NULL-terminated; added to the identity's */
    struct str body;
    uint64_t timeout_ms;
    size_t max_bytes;       /* of the decoded body; 0: 256 MiB */
    bool beginning_will_do; /* of a larger body these are taken, up to the last line end */
    struct member *member;  /* identity headers, cookie jar, forwarder */
};

struct http_response {
    int status;         /* 0: none */
    struct str headers; /* raw, of the last response */
    struct str body;
    const char *content_type;
    struct str retry_after; /* empty when absent */
    struct str location;    /* absolute; empty when absent */
    bool from_proxy;        /* the answer or the failure is the proxy's */
    uint64_t took_ms;
};

struct http_opts {
    /** PEM file of the authorities that targets are verified against; NULL: the system's. */
    const char *ca_file;
    /** Kept for their members' next requests, those under way among them; at most a quarter of the
     * descriptors that may be open. 0: 1024. */
    size_t connections;
};
/** `o` NULL: the defaults. ENVIRONMENT. */
must_check enum status http_create(struct loop *l, const struct http_opts *o, struct http **out,
                                   struct err *e);
/** Ends what is under way with CANCELLED. */
void http_destroy(struct http **h);
typedef void http_done_fn(void *arg, enum status s, const struct http_response *r,
                          const struct err *e);
/** `done` exactly once, never from inside; the response is borrowed until it returns. */
uint64_t http_start(struct http *h, const struct http_request *r, http_done_fn *done, void *arg);
/** By the id that http_start returned; harmless when it is over. `done` runs with CANCELLED. */
void http_cancel(struct http *h, uint64_t id);
/** The member's cookies as a storage state has them (fingerprints/cookies.h); the caller owns the
 * array. A jar that was never used is empty. */
must_check struct json *http_jar_export(struct member *m);
/** Fills the jar with the cookies of a storage state, before its first request. curl does not know
 * SameSite: it is not kept. */
void http_jar_import(struct member *m, const struct json *state);
/** Frees the member's cookie jar, and its kept connections are used no more: it becomes somebody
 * else, or goes. None of its requests may be under way. */
void http_jar_free(struct member *m);

#endif
