/* What the files of the gateway share: gateway.c (leases, tickets, routes), want.c
 * (what is asked of a lease), lease.c (a lease's
 * life), lease_host.c (what its clients ask of the browser), client.c (sockets), hub.c (news of an
 * instance), discovery.c (/json/...),
 * files.c (uploads and downloads), deliver.c (downloads for clients on this machine), pages.c
 * (pages over HTTP), keep.c (cookies and storage of the store's members). */
#ifndef BROWSER_GATEWAY_GATEWAY_INTERNAL_H
#define BROWSER_GATEWAY_GATEWAY_INTERNAL_H

#include "browser/gateway/deliver.h"
#include "browser/gateway/files.h"
#include "browser/gateway/gateway.h"
#include "browser/gateway/keep.h"
#include "browser/gateway/lease.h"
#include "core/base/map.h"

enum { TICKETS_MAX = 1024, TICKET_MS = 60 * 1000, LEASES_MAX = 4096 };

struct gateway {
    struct gateway_deps deps;
    struct map *leases; /* id -> struct lease */
    struct list hubs, tickets;
    size_t n_tickets;
    struct list line; /* leases that wait for the machine to have room, oldest first */
    size_t n_begun;   /* leases that did not have to, or do not any more */
    bool stopping;
    void (*stopped)(void *arg);
    void *stopped_arg;
    struct loop_timer stop_timer, warm, look;
};

/** What holds new leases back; NULL: nothing does. */
const char *gateway_pressure(const struct gateway *g);

/** Sees to it that so many pages as the campaign says wait for the next leases. */
void gateway_warm_soon(struct gateway *g);

/** What an instance tells of its targets, for all leases that are on it. */
struct hub {
    struct list link;
    struct gateway *gateway;
    struct cdp_conn *conn;
    struct cdp_listener listener;
    struct list leases;
};
void hub_join(struct gateway *g, struct lease *l, struct cdp_conn *conn);
void hub_leave(struct lease *l);

/* A context of a lease: the member's own, or one that the client made. */
struct lease_context {
    struct list link;
    struct lease *lease;
    struct context *ctx;
    struct page_session session;
    struct mux_call *call; /* that asked for it, while it is being made */
    bool begun;
};

struct ready_waiter {
    struct list link;
    void (*fn)(void *arg, struct lease *l, enum status s, const struct err *e);
    void *arg;
};

struct lease {
    struct gateway *gateway;
    struct list hub_link;
    struct hub *hub;
    struct list line_link; /* gateway->line */
    bool begun;            /* its receipt and its context were asked for */
    char id[LEASE_ID_LEN + 1];
    enum lease_state state;
    struct lease_want want;
    struct member *member;
    struct pool_lease *pool_lease; /* NULL: given back, or never had */
    bool pool_held;
    struct arena *arena;
    struct attempt attempt;
    struct lease_context own; /* the default context */
    struct list contexts;     /* further ones */
    struct list openings;     /* pages that clients asked for (lease_host.c) */
    size_t n_making;
    struct context_watch watch;
    struct view view;
    struct policy_scope scope;
    struct limiter *limiter; /* of want.rate; NULL: none */
    struct lease_files files;
    struct deliver deliver;
    struct lease_keep *keep; /* storage is put in, or read; NULL: not now */
    struct json *seen;       /* origins of its own context's pages, as names; NULL: none */
    struct json *metrics;
    struct list clients;
    size_t n_clients;
    struct list waiters, asks; /* for it to be ready; for pages (pages.c) */
    unsigned char leaf[AUDIT_LEAF];
    bool is_open, lost; /* the opening receipt is durable; the browser went */
    bool first_late;    /* it is not waited for any longer */
    bool warm;          /* its context came with a page that waited for it */
    bool has_first;     /* a first page is there, or was given up */
    size_t n_recording; /* receipts on their way */
    uint64_t created_ms, begun_ms, heard_ms, alone_since_ms, expires_wall_ms;
    struct loop_timer timer, first_timer;
    struct err why;
    const char *ended_by;
    uint64_t n_acted, n_refused;
    char handoff[VIEW_ID_MAX]; /* "" when none is open */
    uint64_t handoff_until_ms;
    struct loop_timer handoff_timer;
};

/** The machine has room for it. */
void lease_begin(struct lease *l);
void lease_moved(struct lease *l, enum lease_state to);
/** Looks whether it may go on: READY, or OVER. */
void lease_settle(struct lease *l);
void lease_fail(struct lease *l, enum status s, const struct err *e);
void lease_heard(struct lease *l);
/** A receipt of the lease's, whose end waits for it; nothing where there is no audit. */
void lease_record(struct lease *l, const struct receipt *r);
/* lease_host.c */
void lease_host(struct lease *l, struct mux_host *out, void *client);
struct lease_context *lease_context_find(struct lease *l, const char *id);
void lease_context_drop(struct lease_context *lc);
void lease_target_news(struct lease *l, const struct json *info, bool created);
void lease_target_gone(struct lease *l, const char *id);
extern const struct context_watch lease_watch;
/** A page is led to an address once it runs. */
void lease_lead_to(struct lease *l, const char *target, const char *url);
/** The receipt of a command that acts. `url`: of the target it acted on, "" when none. */
void lease_acted(struct lease *l, const char *method, const unsigned char hash[32], const char *url,
                 enum status s);

void lease_run_target(struct lease *l, struct view_target *t, struct mux_call *call);
void lease_fill_session(struct lease *l, struct page_session *s);
void lease_clients_changed(struct lease *l);
/** Something that held its end back is done. */
void lease_release_check(struct lease *l);

/* pages.c: /devtools/browser/{id}/json/new?URL, activate/{page}, close/{page} */
void pages_new(struct exchange *x, void *gateway);
void pages_activate(struct exchange *x, void *gateway);
void pages_close(struct exchange *x, void *gateway);
/** A page became ready, or went, or the lease ends: who asked for it is answered. */
void pages_settle(struct lease *l);

/* client.c */
struct client {
    struct list link;
    struct lease *lease;
    struct gateway *gateway;
    struct ws *ws; /* NULL: closed */
    struct mux *mux;
    struct map *adopted;      /* session id -> struct cdp_session */
    struct cdp_session *root; /* the lease's browser session of this client */
    bool ready, closing, posted, paused;
    bool overrun;              /* it does not read, and is about to be closed */
    struct cdp_room_wait room; /* for the instance to read what waits for it */
    char *page;
    struct list inbox;
    size_t inbox_bytes, turn_left;
    unsigned refs;
};
struct client *client_create(struct lease *l, const char *page);
void client_unref(struct client *c);
void client_start(struct client *c);
/** The browser went: sessions are forgotten, nothing is sent any more. */
void client_lose(struct client *c);
void client_close(struct client *c, unsigned code, const char *reason);
struct cdp_session *client_session(struct client *c, const char *id);
bool client_adopt(void *arg, const char *id);
void client_forget(void *arg, const char *id);

/* want.c: what is asked of a new lease; the usual where nothing is said. INVALID, NOT_FOUND,
 * TOO_LARGE name the place. Strings of `out` are the exchange's. */
must_check enum status want_of_body(const struct gateway *g, struct exchange *x,
                                    struct lease_want *out, struct err *e);
must_check enum status want_of_query(const struct exchange *x, struct lease_want *out,
                                     struct err *e);

/* discovery.c: texts of /json/... `base`: "127.0.0.1:8730"; `ws`: the whole address. */
void discovery_version(const struct gateway *g, const char *ws, struct buf *out);
void discovery_target(const struct lease *l, const struct view_target *t, const char *base,
                      bool tls, struct buf *out);
void discovery_list(const struct lease *l, const char *base, bool tls, struct buf *out);
void discovery_protocol_print(struct buf *out);

/** The lease that {id} of the path names; NULL: answered that there is none. */
struct lease *gateway_lease_of(struct exchange *x, struct gateway *g);
/** This server as the client sees it: "127.0.0.1:8730", and whether by TLS. */
const char *gateway_base_of(const struct gateway *g, const struct exchange *x);
bool gateway_is_tls(const struct exchange *x);
void gateway_lease_over(struct gateway *g, struct lease *l);

#endif
