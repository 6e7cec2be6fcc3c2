/* What Chromium calls net::ERR_..., in words. Pure. */
#ifndef BROWSER_PAGE_NETERROR_H
#define BROWSER_PAGE_NETERROR_H

#include "core/base/err.h"

/* As many hops as Chromium goes along with before it gives up (net::URLRequest). */
enum { REDIRECTS_MAX = 20 };

/** Fetch's error reason ("NameNotResolved") as Page.navigate spells it ("net::ERR_NAME_..."):
 * "net::ERR_FAILED" for one that is not known. Static. */
const char *neterror_of_reason(const char *reason);

/** The failure is this side's: the browser gave up, or failed without a word of the network's. It
 * says nothing about the target. `text` is the browser's own word, not one made of Fetch's reason,
 * which is "Failed" for most that a server can do wrong. `redirects` as below. */
bool neterror_is_own(const char *text, unsigned redirects);

/** Sets *e to the sentence for a navigation to `url` that ended with `text`: a net::ERR_ word, or a
 * sentence of its own. A word that is known is told in plain words with the word after them.
 * `redirects`: hops that were asked for since `first`, where it began (NULL: not known); when the
 * next one was the one too many for Chromium it is a redirect loop, whatever the word. */
void neterror_say(const char *text, const char *url, unsigned redirects, const char *first,
                  enum status s, struct err *e);

#endif
