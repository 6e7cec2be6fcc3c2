/* What the files of the server share: http.c (its life), conn.c (a connection, libwebsockets'
 * callbacks), exchange.c (a request and its answer), ws.c (a WebSocket), route.c. */
#ifndef CORE_API_HTTP_INTERNAL_H
#define CORE_API_HTTP_INTERNAL_H

#include "core/api/http.h"
#include "core/api/listener.h"
#include "core/base/list.h"

struct lws;
struct lws_context;
struct lws_protocols;
struct lws_vhost;

enum {
    HEAD_MAX = 16 * 1024,
    CHUNK_MAX = 32 * 1024, /* of an answer's body, written at a time */
    DISCARD_MAX =
        16 * 1024 * 1024,      /* of a body that nobody wants, read so that the answer arrives */
    ANSWER_HEADERS_MAX = 4096, /* bytes of an answer's head */
    CLOSE_GRACE_MS = 1000,     /* of server_close, for close frames */
    LOOK_MS = 250,             /* how often a waiting client is looked for */
    WS_CLOSE_GRACE_MS = 5000,  /* of ws_close, for what is queued */
};

struct server {
    struct server_opts opts;
    struct listener listener;
    struct loop_watch *watch; /* of the listener; NULL: stopped */
    struct lws_context *context;
    struct lws_vhost *vhost; /* NULL: its end has begun */
    void *handles[4];        /* libwebsockets' own on the loop, for as long as the context */
    size_t n_handles;
    struct list conns; /* oldest first */
    uint32_t n_conns;
    bool accepting; /* the watch waits for connections */
    bool closing;
    uint64_t close_by_ms;
    struct loop_timer closer;
    void (*closed)(void *arg);
    void *closed_arg;
};

/** One connection: before its request, with an exchange, or a WebSocket. Lives as long as its lws.
 */
struct conn {
    struct server *server;
    struct lws *wsi;
    struct list link;
    struct exchange *x; /* NULL: none at the moment */
    struct ws *ws;
    bool close_after; /* what still comes of the body is not wanted */
    struct loop_timer deadline;
};

struct name_value {
    const char *name, *value;
};
struct pairs {
    struct name_value *v;
    size_t n, cap;
};

struct exchange {
    struct conn *conn; /* NULL: the client has gone */
    struct server *server;
    struct arena *arena;
    enum http_method method;
    const char *path;
    struct pairs query, headers, answer_headers;
    struct route_param params[ROUTE_PARAMS_MAX];
    size_t n_params;
    const struct route *route;
    struct buf body;
    uint64_t body_left;
    bool reading, discarding, upgrade;
    struct ws *accepted;
    void (*on_gone)(void *arg, struct exchange *x);
    void *on_gone_arg;

    bool answered, head_sent;
    unsigned code;
    const char *type;
    struct buf reply;
    size_t sent;
};

/* http.c */
void server_conn_closed(struct server *s, struct conn *c);

/* conn.c: the only callers of libwebsockets besides http.c and ws.c */
const struct lws_protocols *server_protocols(void);
/** Takes the accepted descriptor over; closes it on failure. */
void http_conn_open(struct server *s, int fd);
/** The exchange has its answer: to be written when the connection is ready for it. */
void conn_answer_ready(struct conn *c);
/** Ends the connection soon, from the loop. */
void http_conn_kill(struct conn *c);

/* exchange.c */
struct exchange *http_exchange_create(struct conn *c, enum http_method m,
                                      const char *path) must_check;
/** Frees it when it has been answered; otherwise its client has gone. */
void exchange_leave(struct exchange *x);
void pairs_add(struct arena *a, struct pairs *p, const char *name, const char *value);
/** `before`, and the route; true: the handler may run once the body is there. */
must_check bool exchange_find_route(struct exchange *x);

/* ws.c */
struct ws *ws_create(struct conn *c, const struct ws_opts *o) must_check;
/** The handshake is done: reads from now on. */
void ws_opened(struct ws *w);
/** Writes what it can; false: the connection is to be closed. */
must_check bool ws_write(struct ws *w);
/** The connection is gone: on_close, frees. */
void ws_end(struct ws *w);

#endif
