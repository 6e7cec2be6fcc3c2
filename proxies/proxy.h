/* One upstream proxy: its address, what a campaign calls it, and its credentials, which nothing
 * prints.
 *
 * A proxy is written on one line as
 *
 *     scheme://user:password@host:port#tag;weight=3;country=de
 *
 * scheme: http, https (HTTP inside TLS to the proxy), socks5 (socks5h is the same: names are always
 * resolved by the proxy). User and password are optional and percent-decoded; an IPv6 host stands
 * in brackets; the port may be left out (80, 443, 1080). The fragment is optional, in any order: a
 * tag of 1..64 of [A-Za-z0-9._-], `weight` 1..1000, `country` two letters (ISO 3166-1). As JSON:
 *
 *     {"scheme": "http", "host": "h", "port": 8080, "user": "u", "password": "p", "tag": "t",
 * "weight": 3, "country": "de"}
 *     {"url": "http://u:p@h:8080#t;weight=3"}        or just the string
 *
 * A proxy's id is its tag, or "p1", "p2", ... by its place in the list. The id is what receipts,
 * logs and status show. A proxy never changes after it was parsed and is counted: proxy_ref for
 * each holder, proxy_unref when done. One thread. */
#ifndef PROXIES_PROXY_H
#define PROXIES_PROXY_H

#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/str.h"

enum proxy_scheme { PROXY_HTTP, PROXY_HTTPS, PROXY_SOCKS5, PROXY_SCHEME_COUNT };

enum {
    PROXY_ID_MAX = 64,
    PROXY_HOST_MAX = 255,
    PROXY_CREDENTIAL_MAX = 255, /* RFC 1929 §2: one length byte; the same for all schemes */
    PROXY_WEIGHT_MAX = 1000,
    PROXY_LINE_MAX = 4096,
    PROXY_LIST_MAX = 100000, /* proxies in a list */
};

struct proxy;

/** Parses one line (white space around it is ignored). `id` is used when the line has no tag; NULL:
 * a tag is then required. INVALID with a sentence that says what was found and what was expected
 * and never quotes what may hold a credential. *out is owned by the caller (one reference) and
 * untouched on failure. */
must_check enum status proxy_parse(struct str line, const char *id, struct proxy **out,
                                   struct err *e);
/** As proxy_parse, for the JSON forms above. The sentence names the member: "/port: ...". */
must_check enum status proxy_from_json(const struct json *j, const char *id, struct proxy **out,
                                       struct err *e);

/** Another holder; returns `p`. */
struct proxy *proxy_ref(const struct proxy *p);
/** Gives one reference back and sets *p to NULL; with the last one the credentials are wiped. NULL
 * is fine. */
void proxy_unref(struct proxy **p);

/* What may be shown. Strings are borrowed and live as long as the proxy. */
const char *proxy_id(const struct proxy *p);
/** "socks5://host:1080#tag": the printable form, without credentials ("#tag" only when it has one).
 */
const char *proxy_label(const struct proxy *p);
enum proxy_scheme proxy_scheme(const struct proxy *p);
/** Name or address, lower case, IPv6 without brackets. */
const char *proxy_host(const struct proxy *p);
uint16_t proxy_port(const struct proxy *p);
uint32_t proxy_weight(const struct proxy *p);     /* 1..PROXY_WEIGHT_MAX; 1 when not given */
const char *proxy_country(const struct proxy *p); /* "de", lower case; "" when not given */

/* Credentials: for the handshakes only. */
bool proxy_has_credentials(const struct proxy *p);
/** Borrowed from memory of libsodium that is wiped with the proxy; both empty when it has none.
 * Copy only into memory that is wiped. */
void proxy_credentials(const struct proxy *p, struct str *user, struct str *password);
/** Appends "Basic <base64(user:password)>" (RFC 7617); nothing when it has none. The caller wipes
 * the buffer. */
void proxy_add_basic(const struct proxy *p, struct buf *out);

/** A list of proxies; each entry is one reference. */
struct proxy_list {
    struct proxy **v;
    size_t n;
};
#define PROXY_LIST_INIT                                                                            \
    {                                                                                              \
        NULL, 0                                                                                    \
    }

/** Reads a whole list: lines (blank ones and those that begin with "#" are skipped), or a JSON
 * array when the first byte that is no white space is "[". `name` (a file name, or "FLEET_PROXIES")
 * begins each sentence: "proxies.txt:3: port \"99999\": ...". All faults are told, not only the
 * first: each as a line in `faults` (may be NULL); `e` holds the first, and how many there are. Two
 * proxies with one id are a fault. INVALID, TOO_LARGE (more than PROXY_LIST_MAX); an empty list is
 * OK. *out is untouched on failure. */
must_check enum status proxy_list_parse(struct str text, const char *name, struct proxy_list *out,
                                        struct buf *faults, struct err *e);
void proxy_list_deinit(struct proxy_list *l);

#endif
