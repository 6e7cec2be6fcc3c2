/* A screencast: frames of what a page shows, as the browser draws them, into files among the
 * attempt's artifacts while it goes on with other things. A page that does not change has one
 * frame.
 *
 *   cast:  running -> stopped (end, enough frames, the page is gone) -> given back
 *
 * The browser sends the next frame when the last but one was acknowledged
 * (Page.screencastFrameAck), which is not before the interval is over: so a busy page cannot flood
 * anybody. Frames are decoded and written on worker threads, a few at a time; what comes meanwhile
 * is dropped and counted.
 *
 * Loop thread only. */
#ifndef BROWSER_PAGE_CAST_H
#define BROWSER_PAGE_CAST_H

#include "browser/page/page.h"

enum {
    CAST_FRAMES = 100, /* defaults */
    CAST_FRAMES_MAX = 1000,
    CAST_INTERVAL_MS = 200,
    CAST_INTERVAL_MAX_MS = 60000,
    CAST_BYTES_MAX = 256 * 1024 * 1024, /* of all frames */
};

struct cast_want {
    const char *name;       /* part of the files' names */
    bool png;               /* else JPEG */
    int quality;            /* of JPEG, 1..100; 0: the browser's */
    uint32_t width, height; /* CSS pixels at most; 0: the page's own */
    uint32_t frames, interval_ms;
};

/** From now on. INVALID: one runs on this page already, or there is no directory for artifacts. The
 * strings are copied. Also on a NEW page. */
must_check enum status page_cast_begin(struct page *p, const struct cast_want *w, struct err *e);
/** The page of this member that has one, `p` first; NULL: none has. */
struct page *page_cast_find(struct page *p);
/** It runs, and no frame came yet. */
bool page_cast_is_blank(const struct page *p);
/** Stops it, so that only frames that are there already are still written. Harmless when none
 * runs. */
void page_cast_pause(struct page *p);
/** Frames that are being written. */
size_t page_cast_writing(const struct page *p);
/** Stops it and gives back what came of it: {"frames": [{"path", "at_ms"} ...], "dropped",
 * "bytes"}, at_ms since the first frame. IO and its like when a frame could not be written.
 * INVALID: none runs. */
must_check enum status page_cast_end(struct page *p, struct json **out, struct err *e);

#endif
