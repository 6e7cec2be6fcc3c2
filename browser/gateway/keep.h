/* What a member of the identity store has besides its identity: cookies and local storage. Cookies
 * are in a context before the lease gets it (pool); storage is put in before the first page is
 * there, and both are saved when the lease ends, before its context goes.
 *
 *   restore:  lease has its context -> a page of ours at each origin -> done
 *   save:     clients are gone -> cookies -> a page of ours at each origin that was seen -> saved
 *
 * Storage can only be reached from a document of its origin. Ours are empty ones that are never
 * asked for: their requests are fulfilled before they leave. Clients do not see the page. Of the
 * lease's own context only: a context that a client makes begins empty and is forgotten, as the
 * client expects. Loop thread only. */
#ifndef BROWSER_GATEWAY_KEEP_H
#define BROWSER_GATEWAY_KEEP_H

#include "core/base/json.h"

struct lease;
struct lease_keep;

enum { KEEP_ORIGINS_MAX = 64, KEEP_MS = 10 * 1000 };

/** Nothing to do for members that are not of the store, and for contexts that are not new. done(l)
 * once, also from inside the call. */
void keep_restore(struct lease *l, void (*done)(struct lease *l));
/** The same for the end; what cannot be read is told (keep_lost) and stays as it was. */
void keep_store(struct lease *l, void (*done)(struct lease *l));
/** A page of the lease's own context is there. */
void keep_saw(struct lease *l, const char *url);
/** The target is the page of ours. */
bool keep_is_own(const struct lease *l, const char *target);
/** The browser went. */
void keep_lose(struct lease *l);
void keep_deinit(struct lease *l);

#endif
