/* HTTP/1 heads and body framing (RFC 9110, RFC 9112), as the forwarder needs them: pure, strict
 * with what the browser sends (an ambiguous request is refused, never guessed at), and with answers
 * strict where framing depends on it. Bodies are not decoded: http1_body only finds where they end.
 */
#ifndef PROXIES_HTTP1_H
#define PROXIES_HTTP1_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/str.h"

enum { HTTP1_FIELDS_MAX = 256, HTTP1_METHOD_MAX = 32, HTTP1_HOST_MAX = 255 };

/** Length of the head at the front of `bytes`, with its empty line; 0 when it is not whole yet.
 * *scanned (0 at first) remembers how far was looked, so that feeding byte by byte is not
 * quadratic. */
size_t http1_head_end(struct str bytes, size_t *scanned);

enum http1_framing {
    HTTP1_EMPTY,       /* no body */
    HTTP1_LENGTH,      /* `length` bytes */
    HTTP1_CHUNKED,     /* RFC 9112 §7.1 */
    HTTP1_UNTIL_CLOSE, /* responses only */
};

/** All texts point into the head that was parsed. */
struct http1_request {
    struct str method;
    bool is_connect, is_head;
    bool is_idempotent;   /* RFC 9110 §9.2.2: may be sent again */
    int minor;            /* HTTP/1.<minor>: 0 or 1 */
    struct str authority; /* as written: "Example.org:8080", "[::1]" */
    struct str host;      /* without brackets, as written */
    uint16_t port;        /* 80 when an absolute-form target names none */
    struct str path; /* with query; begins with "/", or is empty (then "/", or "*" for OPTIONS) or
                        begins with "?" */
    enum http1_framing framing;
    uint64_t length;
    bool keep_alive; /* the browser wants the connection kept */
    bool upgrade;    /* asks for another protocol */
    bool has_host;
    bool has_connection;
    struct str fields; /* the field lines, with their line ends, without the empty line */
};

/** `head` as http1_head_end measured it. Takes the authority-form of CONNECT and the absolute-form
 * of http: (RFC 9112 §3.2.2, §3.2.3). INVALID says what is wrong: anything else, and what could be
 * read in two ways (both Content-Length and Transfer-Encoding, folded lines, bare CR or LF...).
 * UNSUPPORTED for a scheme or transfer coding that is none of ours. */
must_check enum status http1_parse_request(struct str head, struct http1_request *out,
                                           struct err *e);

/** Does a browser ask for a document (a page or a frame's)? By what it sends for these and, of
 * itself, for nothing else: Upgrade-Insecure-Requests (Upgrade Insecure Requests §3.2.1) and an
 * Accept that begins with text/html. A script may write the same. */
bool http1_asks_document(const struct http1_request *r);

/** How the request goes on. */
struct http1_onward {
    bool absolute; /* to an HTTP proxy: absolute-form, Proxy-Connection stays. Otherwise
                      origin-form, and Proxy-Connection becomes Connection in its place, as a
                      browser without a proxy sends it */
    struct str proxy_authorization; /* value of that field; ptr NULL: none. The browser's own is
                                       always dropped */
};
/** Appends the head as it goes on. Host is made to agree with the target (RFC 9112 §3.2.2). */
void http1_write_request(const struct http1_request *r, const struct http1_onward *how,
                         struct buf *out);

struct http1_response {
    int status, minor;
    bool interim; /* 1xx but 101: another head follows */
    enum http1_framing framing;
    uint64_t length;
    bool keep_alive; /* the connection may carry another request once the body has ended */
    bool names_ours; /* a field is named x-fleet-error, which is the forwarder's alone */
};
/** `to_head`: the answer to a HEAD request, which has no body (RFC 9112 §6.3). PROTOCOL when it is
 * no HTTP/1 response or its framing is ambiguous. */
must_check enum status http1_parse_response(struct str head, bool to_head,
                                            struct http1_response *out, struct err *e);

/** Cuts the next field off *fields (checked lines). Value without white space around it. False at
 * the end. */
bool http1_next_field(struct str *fields, struct str *name, struct str *value);

/** Finds the end of a body in a stream of pieces. */
struct http1_body {
    enum http1_framing framing;
    uint64_t left;  /* of the length, or of the chunk; private */
    int step;       /* private */
    uint32_t extra; /* bytes of chunk extensions or trailers seen; private */
};
void http1_body_init(struct http1_body *b, enum http1_framing f, uint64_t length);
enum http1_body_state { HTTP1_BODY_MORE, HTTP1_BODY_END, HTTP1_BODY_BAD };
/** How much of the piece belongs to the body: *used <= n, == n with MORE. After END it uses nothing
 * more. UNTIL_CLOSE never ends. */
enum http1_body_state http1_body_feed(struct http1_body *b, const void *p, size_t n, size_t *used);
bool http1_body_is_over(const struct http1_body *b);

#endif
