/* A member's only door: a proxy on loopback that its browser is pointed at (--proxy-server, or a
 * context's proxyServer). It takes CONNECT and absolute-form HTTP/1.1 (RFC 9110 §7.1, §9.3.6; RFC
 * 9112 §3.2.2) and goes on through whichever upstream is set at that moment, adding the upstream's
 * credentials, so that the browser never holds any and a rotation needs no restart.
 *
 * With an upstream, names are resolved by the upstream only. Without one and without
 * `allow_direct`, every request is answered 503 PROXY_NONE: there is no silent direct connection,
 * also not before the first forward_set_upstream.
 *
 * The answer when something fails: 502 or 504 (503 PROXY_NONE, 403 when policy refuses, 400 for a
 * request that is none) with "x-fleet-error: <status name>", behind it "x-fleet-why: <sentence>",
 * and a short text without credentials. The forwarder alone says the first: in what others answer
 * it is left out (what comes out of a tunnel is the target's, whatever it says). A browser
 * (forward_adopt) gets it for a document or CONNECT; other requests end without an answer, so that
 * a page's script sees a network error.
 *
 * All calls and callbacks on the loop's thread. Callbacks run from the loop, except that
 * forward_cut_all and forward_close call on_upstream_bytes for what was not told yet. Inside a
 * callback every function below may be called except forward_close. Callbacks never hold
 * credentials. */
#ifndef PROXIES_FORWARD_H
#define PROXIES_FORWARD_H

#include <stdint.h>

#include "core/base/err.h"
#include "core/base/loop.h"
#include "proxies/proxy.h"

struct forward;
struct sockaddr;
struct tls_ctx;

/** May the member go to host:port? Asked before anything is connected (`resolved` NULL), and again
 * for each address that the name turned out to have (direct), or that the host is by itself
 * (always): a name that resolves to a private address is caught there. `host` is lower case without
 * brackets. OK lets pass; anything else is shown to the browser as x-fleet-error (POLICY_DENIED,
 * BREAKER_OPEN). */
typedef enum status forward_allow_fn(void *arg, const char *host, uint16_t port,
                                     const struct sockaddr *resolved);
/** A ready-made hook: refuses (POLICY_DENIED) loopback, private, link-local and reserved places, by
 * name and by address. */
enum status forward_allow_public(void *arg, const char *host, uint16_t port,
                                 const struct sockaddr *resolved);

/** One attempt to use an upstream ended: OK; PROXY_AUTH (407, or RFC 1929 refused); PROXY_FAILED
 * (not reached, refused, broke the protocol or would not serve); TIMEOUT (connect deadline);
 * UNAVAILABLE (it said that it could not reach the target). `latency_ms` from the start of the
 * attempt to its end. `peer_code` is the HTTP status, the SOCKS reply (RFC 1928 §6), or errno of
 * the connection; 0 when none. Fits roster_report. Not called for direct connections nor for
 * attempts that the browser gave up. */
typedef void forward_result_fn(void *arg, const char *proxy_id, enum status s, uint64_t latency_ms,
                               int peer_code);
/** Bytes that went through an upstream connection; called when it ends and at least every 10 s
 * while it lives. Fits roster_bytes. */
typedef void forward_bytes_fn(void *arg, const char *proxy_id, uint64_t in, uint64_t out);

struct forward_opts {
    /** A bound, listening TCP socket; taken over on success. -1: 127.0.0.1, a port of the system's
     * choice. */
    int listen_fd;
    /** For many that are alike: the options are not copied but outlive them all, and each takes
     * memory for what it is used for when it is. Only with `dialled_only` and without `ca_file`. */
    bool is_shared;
    /** There is no listener before forward_listen (`listen_fd` is not looked at), and that one
     * answers only sockets of forward_dial; of other processes it closes them: any user of the
     * machine can reach a port on loopback. */
    bool dialled_only;
    /** An upstream of NULL means direct; false: it means PROXY_NONE. */
    bool allow_direct;
    /** PEM file of the authorities that https upstreams are verified against; NULL: the system's.
     */
    const char *ca_file;
    /** Made once by tls_ctx_open (proxies/tls.h) and shared by all forwarders and probes: reading
     * the system's authorities takes some 40 ms and 1 MiB. Borrowed, and instead of ca_file. NULL:
     * each forwarder reads its own at its first https upstream, on the loop. */
    struct tls_ctx *tls;
    /** From the request until the way out stands: names, connection, TLS and handshake; 0: 10 s. */
    uint64_t connect_ms;
    /** No byte in either direction, also while a response is waited for; 0: 5 min. */
    uint64_t idle_ms;
    /** Life of a browser connection; 0: 12 h. */
    uint64_t total_ms;
    /** Of the browser; more wait in the listen queue; 0: 8192. */
    uint32_t max_connections;
    forward_allow_fn *allow;               /* NULL: everything is allowed */
    forward_result_fn *on_upstream_result; /* may be NULL */
    forward_bytes_fn *on_upstream_bytes;   /* may be NULL */
    void *arg;                             /* for the three */
};
#define FORWARD_OPTS_INIT                                                                          \
    {                                                                                              \
        .listen_fd = -1                                                                            \
    }

enum {
    FORWARD_HEAD_MAX = 64 * 1024, /* bytes of a request's or response's head */
    FORWARD_HOSTS_MAX = 4096,     /* hosts counted apart; further ones count together as "*" */
    FORWARD_INTERIM_MAX = 16,     /* 1xx heads before a response */
};

/** Listens. From then on SIGPIPE is ignored in the process, if it had its default action.
 * PERMISSION, IO, INVALID (`listen_fd` is no listening socket; ca_file holds no certificate),
 * NOT_FOUND (ca_file). */
must_check enum status forward_open(struct loop *l, const struct forward_opts *opts,
                                    struct forward **out, struct err *e);
/** Cuts everything and stops listening; nothing is called after it. Sets *f to NULL; NULL is fine.
 */
void forward_close(struct forward **f);

/** Takes over a connected, non-blocking stream socket of a browser as if it had been accepted: for
 * listeners that are kept elsewhere (a member's network namespace). False when max_connections are
 * open: it is then closed. */
bool forward_adopt(struct forward *f, int fd);
/** For a client within this process: *fd is a TCP socket, non-blocking, close-on-exec and the
 * caller's, bound to a port of 127.0.0.1 that the forwarder knows it by. To be connected to
 * 127.0.0.1:forward_port within FORWARD_DIAL_MS. IO. */
must_check enum status forward_dial(struct forward *f, int *fd, struct err *e);
enum { FORWARD_DIAL_MS = 15000 };

/** dialled_only: opens the listener that forward_dial leads to, if it is not open yet: members that
 * rest have none. IO. */
must_check enum status forward_listen(struct forward *f, struct err *e);
/** The port to point the browser at; dialled_only: 0 before forward_listen. */
uint16_t forward_port(const struct forward *f);
/** From now on new connections and new requests (also those on keep-alive connections that are
 * open) go through `p`, of which the forwarder holds a reference; NULL: see allow_direct. Tunnels
 * that stand go on through the old one. */
void forward_set_upstream(struct forward *f, const struct proxy *p);
/** Borrowed; NULL when none is set. */
const struct proxy *forward_upstream(const struct forward *f);
/** Cuts all of the member's connections at once (RST), tunnels too. Listening goes on. */
void forward_cut_all(struct forward *f);

struct forward_stats {
    uint64_t connections; /* of the browser, accepted since the start */
    uint64_t open;        /* now */
    uint64_t tunnels;     /* CONNECTs and upgrades that came to stand */
    uint64_t requests;    /* CONNECT and others, denied and failed ones too */
    uint64_t reused;      /* requests that went over an upstream connection that was there */
    uint64_t denied;      /* by the policy hook */
    uint64_t failed;      /* answered 5xx by the forwarder */
    uint64_t bytes_in;    /* from upstreams and targets */
    uint64_t bytes_out;   /* to them */
};
void forward_stats(const struct forward *f, struct forward_stats *out);

struct forward_host {
    const char
        *host; /* borrowed, lives as long as the forwarder; "*": those past FORWARD_HOSTS_MAX */
    uint64_t requests, denied, failed, bytes_in, bytes_out;
};
/** size_t it = 0; while (forward_host_next(f, &it, &h)) ... in no particular order; nothing else
 * may be called meanwhile. */
bool forward_host_next(const struct forward *f, size_t *it, struct forward_host *out);

#endif
