/* Names to addresses, on a worker thread, with a small cache. Only for siblings; loop thread. */
#ifndef PROXIES_RESOLVE_H
#define PROXIES_RESOLVE_H

#include <netinet/in.h>

#include "core/base/list.h"
#include "core/base/loop.h"
#include "core/base/str.h"

union net_addr {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};
socklen_t net_addr_len(const union net_addr *a);
/** Reads an address (IPv6 without brackets); false when `host` is a name. */
bool net_addr_parse(const char *host, uint16_t port, union net_addr *out);
void net_addr_set_port(union net_addr *a, uint16_t port);

enum { ADDRS_MAX = 8, RESOLVE_TTL_MS = 30000, RESOLVE_CACHE_MAX = 512 };

/** In the order they are to be tried: families take turns (RFC 8305 §4), the resolver's first
 * choice first. */
struct addrs {
    union net_addr v[ADDRS_MAX];
    size_t n;
};

struct resolver;
struct resolver *resolver_create(struct loop *l) must_check;
/** Answers nobody any more; look-ups under way end unseen. */
void resolver_destroy(struct resolver **r);

struct resolve;
typedef void resolve_fn(struct resolve *q);
/** A question; embedded in its owner, zeroed before. */
struct resolve {
    struct addrs addrs; /* the answer, ports 0; n 0: there is none */
    int gai_error;      /* of getaddrinfo, 0 when answered */
    struct list link;   /* private */
    resolve_fn *fn;
};
/** True when the answer is there at once (an address, or cached). Otherwise `fn` is called once,
 * later. */
must_check bool resolve_start(struct resolver *r, struct resolve *q, const char *host,
                              resolve_fn *fn);
/** `fn` will not be called. Harmless when nothing is under way. */
void resolve_cancel(struct resolve *q);

#endif
