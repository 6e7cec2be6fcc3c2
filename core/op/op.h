/* Ops: one action of one member. The op table is the single source for steps of flows, methods of
 * the automation protocol, tools of the MCP server, routes of the API and their documentation. An
 * op is run by gate_run (gate.h) and by nothing else.
 *
 *   op_call: new -> admitting -> running -> recording -> done   (the gate moves it; loop thread)
 */
#ifndef CORE_OP_OP_H
#define CORE_OP_OP_H

#include "core/base/arena.h"
#include "core/base/json.h"
#include "core/base/list.h"
#include "core/base/loop.h"
#include "core/fleet/member.h"

enum op_flags {
    /** Asks a target for something: robots, breaker and limiter apply before it runs. */
    OP_TOUCHES_TARGET = 1,
    OP_INTERNAL = 2, /* not offered to flows, automations and faces (page.document) */
    /** The result may be large (screenshot): only its hash goes into the receipt's payload. */
    OP_HOLDS_RESULT = 8,
    OP_NO_ROBOTS = 16, /* robots.txt itself */
};

struct gate;
struct op_call;

/** One row. Static; `run` starts the work and returns, op_call_finish ends it. */
struct op {
    const char *name;    /* "page.navigate" */
    const char *summary; /* one sentence, for documentation */
    /** NULL: takes none. Every field has a doc with unit, range and default. */
    const struct json_schema *params;
    unsigned flags;
    /** Runs on the loop; call->args is the decoded parameter struct. Must end, once, in
     * op_call_finish, also after op_call->cancel. */
    void (*run)(struct op_call *call);
};

struct limiter;
struct op_table;
struct op_table *op_table_create(void);
void op_table_destroy(struct op_table **t);
/** Adds rows (static memory). A name that is there already is a BUG. */
void op_table_add(struct op_table *t, const struct op *rows, size_t n);
const struct op *op_table_find(const struct op_table *t, struct str name);
/** Rows in order of name: for documentation. */
const struct op *op_table_next(const struct op_table *t, size_t *it);

enum op_state { OP_NEW, OP_ADMITTING, OP_RUNNING, OP_RECORDING, OP_DONE };

/** What the response of a target looked like, for classification. Filled by run as far as it is
 * known. */
struct op_observed {
    int http_status;        /* 0: no response seen */
    int64_t retry_after_ms; /* -1: no such header; both forms (RFC 9110 §10.2.3) are already turned
                               into a delay */
    const char *block; /* a block page or CAPTCHA was recognised: its rule's name (static or in the
                          call's arena), else NULL */
    bool from_proxy;   /* the failure is the proxy's or the forwarder's, not the target's */
    bool own_fault;    /* the failure is this side's, such as a browser whose network process died:
                          it says nothing about the target */
    bool accounted; /* the answer was another op's (a redirect's page.document), which told breaker,
                       limiter and proxy of it */
    struct str host; /* who answered, when it was not the call's own target (redirect, click); ptr
                        NULL: the call's own */
};

/** One run of an op. The caller fills the first part, zeroes the rest, and keeps it until
 * on_done. */
struct op_call {
    const struct op *op;
    struct member *member;
    struct arena *arena;       /* the attempt's: parameters and small results live here */
    const struct json *params; /* an object or NULL; the gate checks and decodes it into args */
    struct str url;            /* what a touching op asks for; "" for others */
    struct str host;           /* of that URL, lower case, no port; "" when the op has none */
    uint64_t deadline_ms;      /* monotonic; waiting for a token counts */
    void *session; /* what the executor gave the attempt: the browser's page session, ... */
    void *ctx;     /* the caller's */
    const unsigned char *parent; /* 32 bytes: leaf hash of the parent receipt, NULL when none */
    const char *task_id;         /* "t-000012", for payload and logs; NULL when none */
    bool *credit; /* true: a token was taken at dispatch for the target of credit_host; the first op
                     of that target uses it */
    struct str credit_host;
    struct limiter *own; /* a slower limit of the caller's own, whose token is taken before that of
                            the target; NULL: none */
    bool accept_4xx;     /* a client error (not 403, 429) is no failure of the op */
    /** The caller does nothing and gives nothing out after this op but by a receipt of its own in
     * the same log, which stands for this one's: on_done may come before that is durable. */
    bool ahead;
    void (*on_done)(struct op_call *call); /* once, from the loop, after the receipt is durable (but
                                              see `ahead`); the call may be freed in it */

    /* filled by run */
    void *args; /* decoded parameters (zeroed struct of op->params->size) */
    struct op_observed seen;
    struct json *result; /* owned by the call; the caller of gate_run takes it in on_done with
                            op_call_take_result */
    void (*cancel)(struct op_call *call); /* set by run when it can be interrupted: makes
                                             op_call_finish come soon */
    void *run_state;                      /* run's own */

    /* filled by the gate */
    struct gate *gate; /* the one it is in, for ops that lead to further ones */
    struct str target; /* key of limits and breaker: the host or its registrable domain; "" when the
                          op touches none */
    enum op_state state;
    enum status status; /* the outcome: STATUS_OK, or why not */
    struct err err;
    unsigned char receipt[32]; /* its leaf hash; zeros when it was not waited for (`ahead`) */
    uint64_t started_ms, waited_ms, took_ms;
    struct loop_timer timer;
    struct list link;
    void *gate_state;
};

/** Ends the run: `s` STATUS_OK or the failure, `e` its sentence (may be NULL), `result` (may be
 * NULL) becomes the call's. Called by run's code exactly once, never from inside `run` itself
 * before it returned unless through loop_defer; the gate defers for itself, so calling it inside
 * run is allowed. */
void op_call_finish(struct op_call *call, enum status s, const struct err *e, struct json *result);
struct json *op_call_take_result(struct op_call *call);

#endif
