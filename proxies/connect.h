/* Asking an upstream proxy for a tunnel: HTTP CONNECT (RFC 9110 §9.3.6) and SOCKS5 (RFC 1928, RFC
 * 1929), as pure incremental parsers: no socket, no clock. Bytes received go in by connect_feed,
 * bytes to send come out in connect_out; any cut of the stream gives the same.
 *
 *   connect_begin; send connect_out; then: receive, connect_feed, send connect_out, until it is not
 * CONNECT_MORE; connect_end */
#ifndef PROXIES_CONNECT_H
#define PROXIES_CONNECT_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "proxies/proxy.h"

enum connect_state {
    CONNECT_MORE,   /* send what is in connect_out, then wait for more */
    CONNECT_DONE,   /* the tunnel stands */
    CONNECT_FAILED, /* the error says why */
};

enum { CONNECT_HEAD_MAX = 64 * 1024, CONNECT_INTERIM_MAX = 8 };

struct connect {
    const struct proxy *proxy; /* borrowed from connect_begin to connect_end */
    struct buf out; /* to be sent; holds credentials: it is wiped at each feed and at the end */
    int peer_code;  /* HTTP status or SOCKS reply; 0 before there was one. Read only */
    enum connect_state state; /* read only */
    /* private */
    struct buf in;
    size_t scanned;
    unsigned interim;
    int step;
    char host[PROXY_HOST_MAX + 1];
    uint16_t port;
};

/** Prepares the first bytes to send. `host` is a name or an address (IPv6 without brackets) for the
 * proxy to resolve; it is copied. INVALID when it is empty or longer than PROXY_HOST_MAX or holds a
 * byte that no host has. connect_end is due in any case. */
must_check enum status connect_begin(struct connect *c, const struct proxy *p, const char *host,
                                     uint16_t port, struct err *e);
/** Takes `n` received bytes. *used says how many belonged to the handshake: fewer than `n` only
 * with DONE, the rest is the tunnel's first data. FAILED with e->status PROXY_AUTH (407 or 401; RFC
 * 1929 status; no acceptable method), UNAVAILABLE (5xx but 501 and 505; SOCKS replies 1, 3 to 6:
 * the target was not reached), or PROXY_FAILED (anything else, also garbage), and e->peer_code. */
enum connect_state connect_feed(struct connect *c, const void *p, size_t n, size_t *used,
                                struct err *e);
/** Bytes to send now; empty when it is the proxy's turn. Valid until the next call. */
static inline struct str connect_out(const struct connect *c)
{
    return buf_str(&c->out);
}
/** Wipes and frees. */
void connect_end(struct connect *c);

/** An answer to a request that went to an HTTP proxy as a whole: is it the proxy's refusal of the
 * credentials? 407; and a 401 that tinyproxy (1.11) gives in its own name when they are wrong. */
bool connect_is_refusal(struct str head, int code);

#endif
