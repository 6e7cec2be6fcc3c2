/* What ops of core/http need to run: op table, gate, robots.txt, forwarder, libcurl, and an audit
 * log on disk, for one member; and how a test runs one. */
#ifndef TESTS_INTEGRATION_HTTP_RIG_H
#define TESTS_INTEGRATION_HTTP_RIG_H

#include "core/fleet/member.h"
#include "core/guard/breaker.h"
#include "core/guard/limit.h"
#include "core/guard/policy.h"
#include "core/http/fetch.h"
#include "core/http/ops.h"
#include "core/record/audit.h"
#include "proxies/forward.h"

struct http_rig {
    char *dir;
    struct loop *loop;
    struct arena *arena;
    struct op_table *table;
    struct limiter *limiter;
    struct breaker *breaker;
    struct policy *policy;
    struct robots *robots;
    struct http *http;
    struct audit *audit;
    struct gate *gate;
    struct identity identity;
    struct member member;
    struct forward *forward; /* the member's */
    bool strict;             /* its addresses must be public ones */
    uint16_t port;           /* of 127.0.0.1: where URLs that begin with "/" lead */
    const char *scheme;      /* theirs: "http" */
    bool closed;
};

struct http_rig_opts {
    const struct clock *clock; /* NULL: the system's */
    const char *ca_file;       /* NULL: the system's */
    size_t connections;        /* kept; 0: as many as usual */
    bool by_proxy;             /* the forwarder as any other proxy: every request goes through it */
    bool audit;                /* receipts are written */
    bool robots;               /* robots.txt is asked for */
};

void http_rig_open(struct http_rig *w, const struct http_rig_opts *o);
void http_rig_close(struct http_rig *w);
/** Policy and limits let the host pass at any rate. */
void http_rig_list(struct http_rig *w, const char *host);

/** {"url": url}, to be added to. */
struct json *http_rig_get(const char *url);
/** Starts an op, which takes the parameters over. */
struct op_call *http_rig_start(struct http_rig *w, const char *op, struct json *params,
                               uint64_t deadline_ms);
bool http_rig_is_over(const struct op_call *c);
/** Turns the loop until the op is over; fails the test when it is not after 10 s. */
void http_rig_wait(struct http_rig *w, const struct op_call *c);
/** Both. */
struct op_call *http_rig_run(struct http_rig *w, const char *op, struct json *params,
                             uint64_t deadline_ms);
/** Frees what the op has. */
void http_rig_finish(struct op_call *c);
/** The outcome of a GET. */
enum status http_rig_status(struct http_rig *w, const char *url);

#endif
