/* Downloads of a member's pages. Denied unless a flow wants them; then the browser writes them into
 * its own profile, under a name of its own, and whoever waits is told of each that is finished.
 * Loop thread only. */
#ifndef BROWSER_PAGE_DOWNLOAD_H
#define BROWSER_PAGE_DOWNLOAD_H

#include "browser/page/page.h"

/** A finished download. Borrowed until the callback returns. */
struct page_download {
    const char *url;
    const char *name;   /* what the server or the page called it: not to be trusted */
    const char *inside; /* the file's path as the browser sees it */
    uint64_t bytes;
};

/** From now on until the session's end downloads of the member go into the directory `dir` (as the
 * browser sees it); one that grows past `max_bytes` is cancelled. */
void page_allow_downloads(struct page *p, const char *dir, uint64_t max_bytes);
bool page_allows_downloads(const struct page *p);

/** OK: the oldest finished download that nobody was given yet. NAVIGATION_FAILED: one was cancelled
 * or broke off; TOO_LARGE; TIMEOUT: none; the rest as every call of page.h. */
typedef void page_download_fn(void *arg, enum status s, const struct page_download *d,
                              const struct err *e);
uint64_t page_wait_download(struct page *p, uint64_t deadline_ms, page_download_fn *fn, void *arg);

#endif
