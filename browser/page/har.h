/* HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec/) of what was recorded: a page each
 * document of a tab's main frame, an entry each request. Members that begin with "_" are those of
 * Chrome's own export. Pure. */
#ifndef BROWSER_PAGE_HAR_H
#define BROWSER_PAGE_HAR_H

#include "browser/page/traffic.h"

struct har_about {
    const char *browser, *browser_version; /* "Chromium", "156.0.8078.79"; NULL: not known */
    const char *comment;                   /* NULL: none */
    /** Pages go out by a proxy: the browser knows its address and not the server's. */
    bool proxied;
};

/** Appends the whole file. What was left out is told in log.comment, and in the comment of what is
 * cut. */
void har_print(const struct traffic *t, const struct har_about *about, struct buf *out);

#endif
