/* Hosts, for url and zone. */
#ifndef CORE_BASE_URL_INTERNAL_H
#define CORE_BASE_URL_INTERNAL_H

#include "core/base/err.h"
#include "core/base/str.h"

enum { HOST_MAX = 253 }; /* bytes of a name in text (RFC 1035 §2.3.4, less the root) */

enum host_kind { HOST_NAME, HOST_IP4, HOST_IP6 };

struct host {
    enum host_kind kind;
    char text[HOST_MAX + 1]; /* lower case, no brackets, no dot at the end */
    size_t len;
};

/** A host as it stands in a URL (IPv6 in brackets, percent-encoding allowed) in its normal form. */
must_check enum status host_parse(struct str s, struct host *out, struct err *e);

enum ip4 { IP4_NOT, IP4_BAD, IP4_OK };
/** IPv4 as browsers read it (WHATWG URL, "ends in a number" and the IPv4 parser): 1 to 4 parts,
 * decimal, octal or hexadecimal. NOT: a name; BAD: its last label is a number, so it is neither an
 * address nor a name. *out is in host order. */
enum ip4 ip4_parse(struct str s, uint32_t *out);

/** The byte that the two hexadecimal digits at p stand for, or -1. */
int hex_pair(const char *p);

#endif
