/* URLs of targets, proxies and requests (RFC 3986 with the WHATWG rules that matter for http and
 * https), and network addresses. */
#ifndef CORE_BASE_URL_H
#define CORE_BASE_URL_H

#include "core/base/arena.h"
#include "core/base/err.h"

/** All parts point into one arena copy. Scheme and host are lower case; the host of an IPv6 address
 * is without brackets. */
struct url {
    struct str href;           /* the whole, normalised, without fragment and without credentials */
    struct str scheme;         /* "https" */
    struct str user, password; /* percent-decoded; ptr NULL when absent */
    struct str host; /* never empty; ASCII: letters outside ASCII are INVALID and the sentence asks
                        for the xn-- form */
    struct str path; /* begins with "/"; with query: "/a?b" */
    uint16_t port; /* absent: the scheme's own (http 80, https 443, socks5 1080, ws 80, wss 443) */
    bool has_port; /* the port is not the scheme's own */
    bool is_ip;    /* host is an IPv4 or IPv6 address */
};

enum { URL_MAX = 8192 };

/** Parses an absolute URL whose scheme is in `schemes` (space-separated, e.g. "http https"), white
 * space around it aside. INVALID says what is wrong and where, without showing credentials;
 * TOO_LARGE past URL_MAX. The normal form is that of browsers: lower case, dot segments resolved,
 * "\\" as "/", addresses in their plain form; a name's dot at the end is dropped. Port 0 is
 * refused. On failure *out is untouched. */
must_check enum status url_parse(struct arena *a, struct str s, const char *schemes,
                                 struct url *out, struct err *e);

/** `ref` as it stands in a Location header or a link, seen from `base` (RFC 3986 §5.2): absolute,
 * "//host/x", "/x", "x/../y", "?q". Credentials of `base` are not carried over. */
must_check enum status url_resolve(struct arena *a, const struct url *base, struct str ref,
                                   const char *schemes, struct url *out, struct err *e);

/** The URL as it may be told to anybody: before the host "joe:***@" for a name with a password, and
 * "***@" for a name alone, which may be a token. Without either the text as it is,
 * borrowed; otherwise in `a`. Any text is taken. */
struct str url_shown(struct arena *a, struct str url);

/** Where an address belongs. Names that say so by themselves ("localhost", "*.localhost",
 * "*.local", "*.internal") count as such. */
enum net_zone {
    NET_PUBLIC,
    NET_LOOPBACK, /* 127/8, ::1, localhost; 0.0.0.0 and ::, which reach this machine when connected
                     to */
    NET_PRIVATE,  /* RFC 1918, fc00::/7, 100.64/10 (RFC 6598) */
    NET_LINK_LOCAL, /* 169.254/16 (cloud metadata), fe80::/10 */
    NET_RESERVED, /* 0/8, multicast, broadcast, documentation. IPv6 that embeds IPv4 (mapped, NAT64,
                     6to4) is looked through */
    NET_NAME,     /* a name that says nothing; resolve it */
};
/** `host` as in struct url; integer, octal and short forms of IPv4 ("127.1", "0x7f000001") are read
 * as browsers read them (WHATWG). */
enum net_zone net_zone_of(struct str host);
struct sockaddr;
enum net_zone net_zone_of_addr(const struct sockaddr *sa);
/** True for loopback, private and link-local. */
bool net_zone_is_private(enum net_zone z);

#endif
