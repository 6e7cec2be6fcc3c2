/* A small HTTP/1.1 server on a Unix socket or a TCP port, for the faces of this program: the
 * control API, the DevTools gateway. libwebsockets is behind it and joins the loop.
 *
 *     accept -> head -> `before` -> route -> [body] -> handler -> answer (now or later) -> next
 * request
 *                                      \-> WebSocket (ws.h)
 *
 * Everything is for the loop's own thread. Handlers run from the loop. Bounded: connections, head
 * (16 KiB), body, time until a request is there, queue of each connection. A connection that sends
 * slowly, or does not read, costs its own slot and no one else's.
 *
 * Errors have one form, {"error":{"code":"NOT_FOUND","message":"..."}}, with the HTTP code of the
 * status table (core/base/err.h). What libwebsockets refuses by itself (a head that is no HTTP or
 * too large) is closed, or answered with its own plain 4xx. */
#ifndef CORE_API_HTTP_H
#define CORE_API_HTTP_H

#include "core/api/ws.h"
#include "core/base/arena.h"
#include "core/base/json.h"
#include "core/base/loop.h"

struct server;
struct exchange; /* one request with its answer */

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_METHOD_COUNT
};
const char *http_method_name(enum http_method m); /* "GET" */

typedef void route_fn(struct exchange *x, void *arg);

/** A row of the table of routes. The first row that fits counts. */
struct route {
    enum http_method method; /* a GET serves HEAD too */
    /** Segments as they are, "{id}" for any one segment (not empty), a last "{rest*}" for all that
     *  follows (may be empty). "/json/version" also fits "/json/version/". */
    const char *pattern;
    route_fn *fn;
    /** The row wants a WebSocket (method GET): `fn` runs before the handshake is answered and must,
     *  before it returns, either call exchange_accept or answer with a refusal. A plain GET of it
     *  is answered 426, unless a later row fits. */
    bool upgrade;
    const char *doc; /* for the documentation; may be NULL */
};

struct server_opts {
    struct loop *loop;
    /** A Unix socket at this path (mode 0600; at most 107 bytes; its directory must be there), or
     *  NULL: TCP. A socket that a dead process left is replaced; one that answers is BUSY. */
    const char *unix_path;
    const char *host;           /* TCP: an address, "127.0.0.1" or "::1"; NULL: 127.0.0.1 */
    uint16_t port;              /* TCP: 0: any, see server_port */
    const struct route *routes; /* ended by a row with pattern NULL; outlives the server */
    void *arg;                  /* for handlers and `before` */
    /** Runs on every request before its route is looked for and before its body is read (tokens,
     *  Host and Origin). False: it has answered. May be NULL. */
    bool (*before)(struct exchange *x, void *arg);
    /** Header names outside of the common ones that handlers want to see, lower case, ended by
     *  NULL; may be NULL. libwebsockets tells the values of unknown headers by name only. */
    const char *const *headers;
    size_t body_max;          /* bytes of a request's body; 0: 1 MiB */
    uint32_t connections_max; /* further ones wait in the backlog; 0: 1,024 */
    uint64_t request_ms;      /* from the first byte until head and body are there; 0: 10,000 */
    uint64_t idle_ms;         /* of a client that does not read its answer; 0: 60,000 */
};

/** Listens and serves from now on. BUSY: the port is in use, or the socket is a living process'
 *  (with its pid where it can be told); INVALID: no such address, or a path that is too long;
 *  PERMISSION, IO, ENVIRONMENT. */
must_check enum status server_open(const struct server_opts *o, struct server **out, struct err *e);
uint16_t server_port(const struct server *s); /* 0 for a Unix socket */
/** Connections that are open now. */
uint32_t server_connections(const struct server *s);
/** No new connections: the socket is closed and its file removed; requests that are being answered
 *  go on. Harmless the second time. */
void server_stop(struct server *s);
/** Closes everything; WebSockets get close code 1001 and their on_close. Answers to exchanges that
 *  are still open go nowhere. `closed` runs once, from the loop, when nothing is left. */
void server_close(struct server *s, void (*closed)(void *arg), void *arg);

/* --- the request. Borrowed until it is answered --- */
enum http_method exchange_method(const struct exchange *x);
const char *exchange_path(const struct exchange *x); /* percent-decoded, without the query */
/** What "{name}" of the pattern stood for; NULL when the pattern has no such. */
const char *exchange_param(const struct exchange *x, const char *name);
/** Value of ?name=..., percent-decoded ("" for one without =); NULL when absent. */
const char *exchange_query(const struct exchange *x, const char *name);
/** Walks all query parameters: for (i = 0; exchange_query_at(x, i, &name, &value); i++). */
must_check bool exchange_query_at(const struct exchange *x, size_t i, const char **name,
                                  const char **value);
/** Value of a header, name in lower case without colon; NULL when absent. Common ones, and those
 *  of server_opts.headers. */
const char *exchange_header(const struct exchange *x, const char *name);
struct str exchange_body(const struct exchange *x);
/** The body as JSON, strict; an empty body is an empty object. NULL: INVALID, "body: line 1, ...".
 *  The caller owns it. */
must_check struct json *exchange_json(const struct exchange *x, struct err *e);
/** "a=1" style parameters checked: unknown ones are INVALID with a suggestion. `known` is ended by
 *  NULL. */
must_check enum status exchange_check_query(const struct exchange *x, const char *const *known,
                                            struct err *e);
/** An integer parameter in [min, max], or `otherwise` when absent. */
must_check enum status exchange_query_u64(const struct exchange *x, const char *name, uint64_t min,
                                          uint64_t max, uint64_t otherwise, uint64_t *out,
                                          struct err *e);
/** Memory that lives as long as the exchange. */
struct arena *exchange_arena(struct exchange *x);
struct server *exchange_server(const struct exchange *x);

/* --- the answer: exactly one for each exchange, from its handler or later; `x` must not be used
 *     afterwards. An exchange whose client has gone is still answered; it goes nowhere --- */
/** The client has gone (for work that would be in vain). */
bool exchange_is_gone(const struct exchange *x);
/** `fn` runs once from the loop if the client goes before the answer. NULL takes it back. */
void exchange_on_gone(struct exchange *x, void (*fn)(void *arg, struct exchange *x), void *arg);
/** A header of the answer, copied; before the answer. `name` in lower case without colon. */
void exchange_set_header(struct exchange *x, const char *name, const char *value);
/** Body of any type, copied. */
void exchange_answer(struct exchange *x, unsigned code, const char *type, struct str body);
/** As exchange_answer, and takes the buffer's memory over; a buffer that failed is answered 507. */
void exchange_answer_buf(struct exchange *x, unsigned code, const char *type, struct buf *body);
/** Compact JSON with a line's end; takes `j` over. */
void exchange_answer_json(struct exchange *x, unsigned code, struct json *j);
/** {"error":{"code","message"}} with the status' HTTP code. */
void exchange_answer_err(struct exchange *x, const struct err *e);
/** The same in one call. */
void exchange_fail(struct exchange *x, enum status s, const char *fmt, ...) printf_like(3, 4);
/** 204, no body. */
void exchange_answer_none(struct exchange *x);

/** For `fn` of a row with `upgrade`: the handshake is completed and `x` is at its end. Of several
 *  subprotocols asked for none is chosen. */
struct ws *exchange_accept(struct exchange *x, const struct ws_opts *o);

/** The bearer token of the request: "Authorization: Bearer T", or ?token=T; NULL when there is
 *  none. Compare with token_eq. */
const char *exchange_token(const struct exchange *x);
/** In constant time for texts of equal length. */
bool token_eq(const char *a, const char *b);

/** Does `path` fit the pattern? Up to ROUTE_PARAMS_MAX parameters go to the arena. For the server
 *  and tests. */
enum { ROUTE_PARAMS_MAX = 8 };
struct route_param {
    struct str name, value; /* borrowed from pattern and path */
};
must_check bool route_match(const char *pattern, const char *path,
                            struct route_param params[ROUTE_PARAMS_MAX], size_t *n);

#endif
