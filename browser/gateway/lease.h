/* A lease: a member with its identity and proxy for one client of the gateway, for a time.
 *
 *   ASKED -> READY <-> CONNECTED
 *     |        |           |
 *     |      HELD <--------+      the socket is lost: kept for the grace
 *     +--------+-----------+--> ENDING -> OVER
 *
 *   ASKED      it waits for a machine that has room, wait_ms at most; then the opening receipt, the
 *              member's context and a first page are on their way
 *   READY      nobody has connected yet; ends when nobody does within the grace
 *   CONNECTED  one client or more
 *   HELD       nobody is connected any more; a client that comes within the grace finds all as it
 * was ENDING     contexts are given back, documents in the gate end, the closing receipt is written
 *
 * It ends when it is released (DELETE, Browser.close, the end of the program), at its total
 * deadline, when nothing was heard of its clients for the idle time, when its grace is over, or
 * with its browser. Loop thread only; callbacks come from the loop. */
#ifndef BROWSER_GATEWAY_LEASE_H
#define BROWSER_GATEWAY_LEASE_H

#include "browser/gateway/mux.h"
#include "browser/page/session.h"
#include "browser/pool.h"
#include "core/guard/limit.h"
#include "core/record/audit.h"

struct gateway;
struct hub;
struct lease;
struct exchange;

enum lease_state {
    LEASE_ASKED,
    LEASE_READY,
    LEASE_CONNECTED,
    LEASE_HELD_FOR, /* HELD */
    LEASE_ENDING,
    LEASE_OVER,
    LEASE_STATE_COUNT
};
const char *lease_state_name(enum lease_state s); /* "connected" */

enum {
    LEASE_ID_LEN = 32, /* hexadecimal digits: 128 random bits, the right to connect */
    LEASE_TTL_MS = 30 * 60 * 1000,
    LEASE_TTL_MAX_MS = 24 * 60 * 60 * 1000,
    LEASE_IDLE_MS = 5 * 60 * 1000,
    LEASE_GRACE_MS = 60 * 1000,
    LEASE_WAIT_MS = 10 * 1000,
    LEASE_WAIT_MAX_MS = 60 * 1000,
    LEASE_CLIENTS_MAX = 16,
};

/** What may be asked for. */
struct lease_want {
    uint64_t ttl_ms, idle_ms, grace_ms;
    uint64_t wait_ms; /* for a machine that is short of memory or processors: UNAVAILABLE then */
    const char *identity;   /* id of a member's identity; NULL: any member that is free */
    const char *proxy;      /* id of the proxy that the member goes out by; NULL: any */
    struct limit_rate rate; /* of documents of one host; max_requests 0: the server's alone */
    bool keep;              /* context "kept": cookies stay with the member after it */
};

/** A member and the slot that goes with it. Nothing is begun yet. */
struct lease *lease_create(struct gateway *g, struct member *m, const struct lease_want *want,
                           const char *id);
/** `fn` once, from the loop, when it is READY or over: s says which. May be asked several times. */
void lease_when_ready(struct lease *l,
                      void (*fn)(void *arg, struct lease *l, enum status s, const struct err *e),
                      void *arg);
void lease_release(struct lease *l, const char *why);

/** {"id","state","member","identity","expires",...} without addresses. */
must_check struct json *lease_describe(const struct lease *l);

/** For a row with `upgrade`: the exchange becomes a client. `page`: NULL, or the id of the one page
 * it is about. */
void lease_connect(struct lease *l, struct exchange *x, const char *page);
bool lease_has_room(const struct lease *l);

/** A hand-over to a person that the client asked for is over. NOT_FOUND: there is none. */
must_check enum status lease_handed_back(struct lease *l, bool success, const char *reason,
                                         struct err *e);

#endif
