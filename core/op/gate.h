/* The gate: every op passes it and leaves one receipt (design.md §3). In order: shutting down?
 * policy, robots.txt, breaker and limiter of the target, the member's proxy, run, classify, tell
 * breaker, limiter and proxy, receipt; then, when the receipt is durable, on_done. Of callers whose
 * own receipt stands for the op's as well (op_call.ahead) up to GATE_AHEAD_MAX need not wait for
 * that.
 *
 * A page that a member is led to by a click, a redirect or a frame is an op as well (page.document,
 * internal): the browser holds the request at the network layer, calls gate_run with it, and lets
 * it go in run. Loop thread only. */
#ifndef CORE_OP_GATE_H
#define CORE_OP_GATE_H

#include "core/op/op.h"

struct audit;
struct block_conf;
struct breaker;
struct http;
struct limiter;
struct policy;
struct robots;
struct roster;
struct gate;

struct gate_deps {
    struct loop *loop;
    struct op_table *table;
    struct policy *policy;
    struct robots *robots; /* NULL: the campaign turned robots.txt off */
    struct breaker *breaker;
    struct limiter *limiter;
    struct roster *roster; /* NULL: no proxies configured */
    const char *country;   /* of proxies that may be picked; NULL: any */
    bool proxy_or_fail;    /* no fit proxy: the call ends at once, instead of waiting */
    bool group_by_site;    /* the target is the registrable domain (libpsl), not the host */
    struct http *http;     /* for the http ops and robots.txt; may be NULL where neither is used */
    const struct block_conf *captcha; /* NULL: the table alone, and block pages just count */
    struct audit *audit;              /* NULL: no receipts (unit tests of executors) */
    /** What a watcher wants to know (progress, metrics, report); any may be NULL. */
    void (*on_op)(void *arg, const struct op_call *call); /* finished, receipt written */
    void (*on_breaker)(void *arg, struct str target, bool open);
    void (*on_slowed)(void *arg, struct str target, uint64_t until_ms, const char *why);
    void (*on_rotated)(void *arg, const struct member *m, const char *from_id, const char *to_id,
                       enum status why);
    void *arg;
};

enum { GATE_AHEAD_MAX = 256 };

struct gate *gate_create(const struct gate_deps *deps);
/** No call may be in it. */
void gate_destroy(struct gate **g);

/** Takes the call through. on_done runs exactly once, from the loop, never from inside this
 * call. */
void gate_run(struct gate *g, struct op_call *call);
/** Makes a call end soon with `why` (CANCELLED, TIMEOUT, SHUTTING_DOWN, PAGE_HUNG ...): waiting
 * ones at once, running ones through call->cancel. */
void gate_cancel(struct gate *g, struct op_call *call, enum status why);
/** From now on new calls end SHUTTING_DOWN; those inside go on. */
void gate_shut(struct gate *g);
/** Calls that are not over, and receipts that are not durable though nobody waits for them. */
size_t gate_inside(const struct gate *g);
/** What the gate was given; borrowed. For the ops' own code. */
const struct gate_deps *gate_deps(const struct gate *g);

/** The key of limits, breaker and policy for a URL's host: the host itself, or its registrable
 * domain with group_by "site" (libpsl). */
struct str gate_target_of(struct gate *g, struct arena *a, struct str host);
/** The breaker of the host's target is open: nothing is to go there, also not for the pictures of
 * another target's page. */
bool gate_rests(const struct gate *g, const char *host);

#endif
