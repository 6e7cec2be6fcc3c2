/* Is an upstream alive? One look at a URL through it: for `fleet proxy check`, and for proxies that
 * come back from cooling. Loop thread. */
#ifndef PROXIES_PROBE_H
#define PROXIES_PROBE_H

#include "core/base/loop.h"
#include "proxies/proxy.h"

struct probe;
struct tls_ctx;

struct probe_opts {
    const struct proxy *proxy; /* held by the probe; not NULL */
    /** http: a GET through the proxy, its response's head is waited for. https: a tunnel to its
     * host, no more. Copied. */
    const char *url;
    uint64_t timeout_ms; /* 0: 10 s */
    struct tls_ctx *tls; /* as in struct forward_opts */
    const char *ca_file; /* for https upstreams; NULL: the system's. Borrowed until the end */
};

struct probe_result {
    /** OK, or as forward_result_fn. The target's own status does not matter: an answer is an
     * answer. */
    enum status status;
    uint64_t connect_ms; /* until the way stood; 0 when it never did */
    uint64_t latency_ms; /* until the end */
    int http_status;     /* of the answer to a GET; 0: none */
    int peer_code;       /* as forward_result_fn */
    struct err err;      /* why not OK */
};
/** Called once, from the loop; the probe is gone then, `r` with the call. */
typedef void probe_fn(void *arg, const struct proxy *p, const struct probe_result *r);

/** Starts. INVALID when the URL is none. *out may be ignored by who never cancels; it is dead after
 * `fn`. */
must_check enum status probe_start(struct loop *l, const struct probe_opts *o, probe_fn *fn,
                                   void *arg, struct probe **out, struct err *e);
/** Gives up; `fn` is not called. Sets *p to NULL; NULL is fine. Not after `fn`. */
void probe_cancel(struct probe **p);

#endif
