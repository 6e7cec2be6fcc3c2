/* The gateway: members on lease to DevTools clients (Playwright, Puppeteer, chromedp ...) that know
 * nothing of Fleet. A client sees a browser of its own; below it are the member's identity, proxy,
 * limits, breaker, policy and receipts. README.md has what is refused and why. Loop thread only. */
#ifndef BROWSER_GATEWAY_GATEWAY_H
#define BROWSER_GATEWAY_GATEWAY_H

#include "browser/pool.h"
#include "core/api/http.h"
#include "core/op/gate.h"

struct gateway;
struct audit;

enum {
    GATEWAY_BODY_MAX = 64 * 1024 * 1024,      /* of a request, for the server's body_max: a file */
    GATEWAY_DOWNLOAD_MAX = 100 * 1024 * 1024, /* of one file; larger downloads are cancelled */
    GATEWAY_FILES_MAX = 512 * 1024 * 1024,    /* of all files of a lease */
    GATEWAY_REQUEST_MS = 30 * 1000,           /* for the server's request_ms */
};

struct gateway_deps {
    struct loop *loop;
    struct pool *pool; /* NULL: gateway_begin follows */
    struct gate *gate;
    struct audit *audit;
    struct op_table *ops;
    const struct campaign_conf *conf;
    /** A member nobody uses; `identity` is one's id, `proxy` that of the way out it has, or NULL
     * for any. BUSY: all are in use; NOT_FOUND. */
    enum status (*take)(void *arg, const char *identity, const char *proxy, struct member **out,
                        struct err *e);
    void (*give)(void *arg, struct member *m);
    /** The i-th of the members that nobody uses, those first that take gives first; NULL: there are
     * not so many. For pages that are ready before they are asked for; may be NULL. */
    struct member *(*idle)(void *arg, size_t i);
    /** What the machine is short of, as a sentence; NULL: nothing. New leases wait meanwhile,
     * unless there is no other. Borrowed until the loop turns. May be NULL. */
    const char *(*pressure)(void *arg);
    void *arg;
    /** What Browser.getVersion's product is in /json/version before a browser was asked:
     * "156.0.8078.79". */
    const char *version;
    const char *base; /* "127.0.0.1:8730": what clients that ask over a Unix socket are told */
};

struct gateway *gateway_create(const struct gateway_deps *deps);
/** Leases are given out from now on: when deps.pool was not there yet. */
void gateway_begin(struct gateway *g, struct pool *pool);
/** Ends all leases; `stopped` once, from the loop, when all are over. No new ones from now on. */
void gateway_stop(struct gateway *g, void (*stopped)(void *arg), void *arg);
/** After stopped. Sets *g to NULL; NULL is fine. */
void gateway_destroy(struct gateway **g);
/** What deps.arg is. */
void *gateway_arg(const struct gateway *g);
/** deps.base, when it was not known before; borrowed. */
void gateway_set_base(struct gateway *g, const char *base);

/** Its rows for a server's table of routes; `arg` of the handlers is the gateway. Ended by a row
 * with pattern NULL. */
extern const struct route gateway_routes[];
/** True for paths that carry their own right, /devtools/... with the id of a lease or ticket, and
 * for the protocol, which is the same for all. All others want the server's token. */
bool gateway_path_is_own(const char *path);

#endif
