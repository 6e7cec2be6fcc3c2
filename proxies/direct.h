/* A client of this process that speaks HTTP to targets itself (core/http), on connections of its
 * member: what a forwarder does for a request without an upstream, less the connection from the
 * client to the forwarder. What holds on both ways:
 *
 *   policy      asked about the name, then about every address it turned out to have; addresses
 *               that are refused are not connected to
 *   names       resolved by the forwarder's resolver, never by the client
 *   connection  several addresses are tried in turn, within `connect_ms`
 *   accounts    requests, denied, failed and bytes count for the forwarder and the host
 *   cut         forward_cut_all ends these connections too
 *   errors      the statuses and sentences that x-fleet-error and its body would have
 *
 * All calls and callbacks on the loop's thread. */
#ifndef PROXIES_DIRECT_H
#define PROXIES_DIRECT_H

#include "proxies/forward.h"

/** True when a request that begins now goes out without an upstream: none is set, and
 * `allow_direct`. */
bool direct_applies(const struct forward *f);

struct host_count; /* the accounts of one host; lives as long as the forwarder */
/** A request begins: it is counted, and policy is asked about `host` (lower case, without brackets)
 * and, if it is an address, about that. OK, or what the hook said. *out is set in any case. */
must_check enum status direct_ask(struct forward *f, const char *host, uint16_t port,
                                  struct host_count **out, struct err *e);
/** What came of it. */
struct direct_use {
    uint64_t in, out; /* bytes from and to the target, as HTTP has them: without TLS's own */
    bool reused;      /* over a connection that was there */
    bool failed;      /* as what the forwarder would have answered with 5xx itself */
};
void direct_count(struct forward *f, struct host_count *host, const struct direct_use *u);

/* A connection that is being made, and then for as long as it is open. */
struct direct;
enum direct_state { DIRECT_WAIT, DIRECT_READY, DIRECT_FAILED };

/** The connection stands or has failed; called once, after DIRECT_WAIT. */
typedef void direct_fn(struct direct *d, void *arg);
struct direct_to {
    const char *host; /* as for direct_ask, which allowed it */
    uint16_t port;
    uint64_t timeout_ms; /* at most connect_ms; 0: that */
    struct host_count *accounts;
};
/** Begins; READY and FAILED may come at once, then `fn` is not called. Never NULL. The forwarder
 * may be closed while it is READY: it is then cut, but stays to be closed. */
must_check struct direct *direct_open(struct forward *f, const struct direct_to *to, direct_fn *fn,
                                      void *arg);
enum direct_state direct_state(const struct direct *d);
/** READY: the socket, non-blocking, TCP_NODELAY. Closed by direct_close and by nobody else. */
int direct_fd(const struct direct *d);
/** FAILED: why: UNAVAILABLE, TIMEOUT, POLICY_DENIED or what the hook said. */
enum status direct_error(const struct direct *d, struct err *e);
/** At any time; `fn` is not called any more. Sets *d to NULL; NULL is fine. */
void direct_close(struct direct **d);

#endif
