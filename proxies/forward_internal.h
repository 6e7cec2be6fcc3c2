/* The forwarder's inside: forward.c (listener, accounts), conn.c (a browser connection: what it
 * asks for and its life), exchange.c (a request and its response on it), tunnel.c (bytes both
 * ways). */
#ifndef PROXIES_FORWARD_INTERNAL_H
#define PROXIES_FORWARD_INTERNAL_H

#include "core/base/list.h"
#include "core/base/map.h"
#include "proxies/direct.h"
#include "proxies/forward.h"
#include "proxies/http1.h"
#include "proxies/link.h"
#include "proxies/side.h"

enum {
    SCRATCH_SIZE = 64 * 1024,      /* of a read */
    IN_MAX = 4 * FORWARD_HEAD_MAX, /* read and not used, or written anew: a head and a read fit */
    PUMP_ROUNDS = 4,               /* reads of one connection before others get their turn */
    LINGER_MS = 2000,              /* for a browser to read a last answer */
    BYTES_EVERY_MS = 10000,
};

/* A socket of forward_dial that has not been accepted yet. */
struct dialled {
    struct list link; /* oldest first */
    uint16_t port;
    uint64_t at_ms;
};

/* What members have by the hundred thousand: as little as possible. */
struct forward {
    struct loop *loop;
    const struct forward_opts *opts; /* run->opts, or the caller's (is_shared) */
    struct proxy *upstream;
    struct forward_run *run; /* NULL: it was not used yet */
};

/* A forwarder that is used. */
struct forward_run {
    struct forward *of;
    struct loop *loop;
    struct forward_opts opts; /* with what 0 stands for */
    char *ca_file;
    int fd;
    uint16_t port;
    struct loop_watch *watch;
    struct loop_timer retry; /* of accept, after it ran out of descriptors */
    struct loop_timer reap;  /* frees `dead` */
    struct link_shared shared;
    struct list conns, dead, dialled;
    struct list direct; /* connections of direct.h */
    struct map *hosts;  /* host -> host_count; NULL before the first */
    struct forward_stats stats;
    char *
        scratch; /* SCRATCH_SIZE bytes, from the first connection on: members that rest have none */
};

struct host_count {
    struct forward_host n; /* host points behind the struct */
    char host[];
};

enum conn_state {
    CONN_HEAD,     /* waits for a request; `up` may be open and kept for it */
    CONN_LINK,     /* a way out is being made */
    CONN_EXCHANGE, /* request and response are under way */
    CONN_TUNNEL,
    CONN_LINGER, /* the last answer is given; what still comes is thrown away */
    CONN_DEAD,   /* all closed; waits to be freed */
};

/* A request and its response. */
struct exchange {
    struct http1_body request, response;
    struct buf sent; /* the head as it went on, until the first byte of a response; wiped */
    struct buf head; /* of the response, while it is not whole */
    size_t scanned;
    uint64_t started_ms;
    unsigned interim;
    bool is_connect, is_head, is_document, keep_alive, upgrade;
    bool may_repeat; /* no body and idempotent */
    bool reused;     /* over an upstream connection that was there */
    bool heard;      /* the upstream has said something */
    bool answered;   /* the browser has got something */
    bool has_head;
    bool response_keeps;
};

/* A connection of the browser. */
struct conn {
    struct forward_run *f;
    struct list link;
    enum conn_state state;
    struct side down, up; /* browser; upstream or target */
    struct buf in;        /* read from the browser, not yet used */
    size_t scanned;
    struct exchange *x;  /* in LINK and EXCHANGE */
    struct link *way;    /* in LINK */
    struct proxy *proxy; /* that `up` (or `way`) goes through; NULL: direct */
    struct host_count *host;
    char *up_host; /* where `up` leads */
    uint16_t up_port;
    bool of_browser; /* forward_adopt: pages' own requests come by it */
    struct loop_timer timer;
    uint64_t since_ms, last_ms, bytes_ms;
    uint64_t unsaid_in, unsaid_out; /* bytes not yet told to on_upstream_bytes */
};

/* A connection of direct.h. */
struct direct {
    struct forward_run *f; /* NULL: it was closed meanwhile */
    struct list link;      /* in f->direct */
    struct host_count *host;
    struct link *way; /* until the connection stands; stays when it failed */
    int fd;           /* -1: it does not stand */
    bool cut;         /* before it stood */
    direct_fn *fn;
    void *arg;
};

/* forward.c */
/** What it works with, made at its first use. */
struct forward_run *forward_run_of(struct forward *f);
void forward_reap_later(struct forward_run *f);
struct host_count *forward_count_host(struct forward_run *f, const char *host);
void forward_resume_accept(struct forward_run *f);
/** Asks the policy about the name, and about the address if it is one. */
enum status forward_ask_host(struct forward_run *f, const char *host, uint16_t port);
#define FORWARD_DENIED_TEXT "this host is refused by policy"

/* direct.c */
/** Ends it: its client sees that the connection is closed. */
void direct_cut(struct direct *d);
/** The forwarder goes: cuts it and lets go of it. It must not be under way. */
void direct_orphan(struct direct *d);

/* conn.c */
void conn_open(struct forward_run *f, int fd, bool of_browser);
/** Closes everything; the memory goes later. Callers look at the state after whatever may lead
 * here. */
void conn_kill(struct conn *c, bool reset);
void conn_free(struct conn *c);
/** Answers with an error of the forwarder's own and ends the connection. Where a page's own request
 * would see the answer, or a response has begun, it just ends. */
void conn_refuse(struct conn *c, enum status s, int code, const char *text);
/** Ends the connection once the browser has got all. */
void conn_finish(struct conn *c);
/** Closes the upstream side and settles its accounts. */
void conn_drop_up(struct conn *c);
void conn_report(struct conn *c, enum status s, uint64_t latency_ms, int code);
void conn_count(struct conn *c, size_t in, size_t out);
/** A way for c->x to `host`:`port` through c->proxy. */
void conn_start_link(struct conn *c);
/** Takes the next request out of c->in, if it is there. */
void conn_next_request(struct conn *c);

/* exchange.c */
struct exchange *exchange_create(const struct http1_request *r, uint64_t now_ms);
void exchange_destroy(struct exchange **x);
/** The way stands: sends the head and what there is of the body. */
void exchange_start(struct conn *c);
void exchange_from_down(struct conn *c);
void exchange_from_up(struct conn *c);

/* tunnel.c */
void tunnel_start(struct conn *c);
void tunnel_from_down(struct conn *c);
void tunnel_from_up(struct conn *c);

#endif
