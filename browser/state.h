/* Storage state as Playwright writes it, out of a browser and into it:
 *
 *   {"cookies": [{"name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite"}],
 *    "origins": [{"origin", "localStorage": [{"name", "value"}]}]}
 *
 * Local storage can only be read where a document of the origin is. Loop thread only. */
#ifndef BROWSER_STATE_H
#define BROWSER_STATE_H

#include "browser/page/page.h"

/** The list of cookies from the answer to Storage.getCookies. */
must_check struct json *state_cookies(const struct json *result);

/** `origins` is the callee's, whatever the status: what was read so far. */
typedef void state_origins_fn(void *arg, enum status s, struct json *origins, const struct err *e);
/** The local storage of all origins that frames of the page are of, empty ones too. fn once, from
 * inside only when there is no frame. *id is that of the call under way, for page_cancel, until
 * then. What it needs is in `a`. */
void state_read_origins(struct page *p, struct arena *a, uint64_t deadline_ms, uint64_t *id,
                        state_origins_fn *fn, void *arg);

/** Appends the object of a cookie with these members of `c`, as they are, and leaves it open; one
 * of them at least is there. */
void state_open_cookie(struct buf *b, const struct json *c, const char *const *names, size_t n);
/** Appends the list as Storage.setCookies takes it. */
void state_print_cookies(struct buf *b, const struct json *cookies);
/** Local storage for the page's documents to come and for the one that is there, before the page's
 * own scripts and never over what is there already (page_seed). `first`: only where an origin has
 * no storage at all and the document was not come to from it, so that what a page removed stays so.
 */
void state_seed(struct page *p, const struct json *origins, bool first);

#endif
