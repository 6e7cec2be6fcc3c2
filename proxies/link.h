/* A way out to host:port: through a proxy (reached, TLS where it wants it, handshake) or directly
 * (resolved, allowed, connected). It makes one wire and is then done with. Only for siblings
 * (forward, probe); loop thread. */
#ifndef PROXIES_LINK_H
#define PROXIES_LINK_H

#include "core/base/loop.h"
#include "proxies/connect.h"
#include "proxies/dial.h"
#include "proxies/forward.h"
#include "proxies/wire.h"

struct link;

enum link_state { LINK_WAIT, LINK_READY, LINK_FAILED };

/** The link came to an end: link_take or link_error, then link_destroy. Called once, after
 * LINK_WAIT. */
typedef void link_fn(struct link *k, void *arg);

/** What links of one forwarder share. */
struct link_shared {
    struct loop *loop;
    struct resolver *resolver; /* NULL: made at the first name */
    struct tls_ctx *tls;       /* NULL: made from ca_file at the first https upstream */
    const char *ca_file;
};

struct link_opts {
    struct link_shared *shared;
    const struct proxy *proxy; /* NULL: direct */
    const char *host;          /* copied */
    uint16_t port;
    bool tunnel; /* false: with an http or https proxy, the wire to the proxy itself, for
                    absolute-form requests */
    uint64_t timeout_ms;
    forward_allow_fn *allow; /* asked for each resolved address when direct; may be NULL */
    void *allow_arg;
};

/** Starts. *state READY or FAILED may come at once, then `fn` is not called. Never NULL. */
struct link *link_create(const struct link_opts *o, link_fn *fn, void *arg,
                         enum link_state *state) must_check;
/** At any time; `fn` is not called any more. Closes the wire unless it was taken. Sets *k to NULL;
 * NULL is fine. */
void link_destroy(struct link **k);

enum link_state link_state(const struct link *k);
/** After READY: the wire, the caller's from now on. The first data of a tunnel that came along with
 * the handshake goes to `early` (initialised by the caller). */
void link_take(struct link *k, struct wire *out, struct buf *early);
/** After FAILED: why. status PROXY_AUTH, PROXY_FAILED, TIMEOUT, UNAVAILABLE, POLICY_DENIED or what
 * the hook said; peer_code as forward_result_fn. */
const struct err *link_error(const struct link *k);
/** After FAILED: it was the hook that refused. */
bool link_is_denied(const struct link *k);

/** Milliseconds since it was created, and the code that the proxy answered with, 0: none. */
uint64_t link_age_ms(const struct link *k);
int link_peer_code(const struct link *k);

#endif
