/* What the pages of a member's context say to the network, recorded for one attempt: as a HAR, and
 * so that bodies of responses can be had. Pages, popups, frames in processes of their own and
 * dedicated workers, from the first request of those that come later on; service workers are not
 * listened to.
 *
 *   context:  silent -> listening (Network domain on) -> silent, with the attempt at the latest
 *
 * Loop thread only; callbacks as page.h has them. */
#ifndef BROWSER_PAGE_NETLOG_H
#define BROWSER_PAGE_NETLOG_H

#include "browser/page/page.h"
#include "core/base/buf.h"

/* --- HAR --- */

enum har_content {
    HAR_OMIT,  /* no bodies */
    HAR_EMBED, /* of responses, in the file: text as it is, what is none in base64 */
};

enum {
    HAR_BODY_BYTES = 1024 * 1024, /* default of har_want.body_bytes */
    HAR_BODY_BYTES_MAX = 8 * 1024 * 1024,
    HAR_BODIES_BYTES_MAX = 16 * 1024 * 1024, /* of all together */
};

struct har_want {
    enum har_content content;
    bool secrets;        /* Authorization, Cookie and Set-Cookie as they are */
    uint32_t body_bytes; /* a longer one is left out; 0: HAR_BODY_BYTES */
};

/** From now on. INVALID when it runs already; CLOSED when the page's context is gone. */
must_check enum status page_har_begin(struct page *p, const struct har_want *w, struct err *e);
bool page_har_runs(const struct page *p);
/** Bodies that the browser was asked for and has not given yet. */
size_t page_har_fetching(const struct page *p);
struct har_sums {
    size_t entries, pages;
    uint64_t left_out; /* requests that there was no room for */
};
/** Appends the file and ends it. INVALID when none runs. Also of pages that are gone. */
must_check enum status page_har_end(struct page *p, struct buf *out, struct har_sums *sums,
                                    struct err *e);

/* --- bodies of responses --- */

enum {
    BODY_BYTES = 4 * 1024 * 1024,      /* default */
    BODY_BYTES_MAX = 16 * 1024 * 1024, /* the browser keeps none that is longer */
};

/** The browser keeps bodies from now on, and page_response_body finds their responses. Harmless
 * when it does already. */
void page_listen_responses(struct page *p);

struct body_want {
    const char *url;      /* a pattern: * stands for anything */
    const char *method;   /* NULL: any */
    int64_t nth;          /* 1: the first since page_listen_responses, -1: the last ... */
    uint32_t max_bytes;   /* 1..BODY_BYTES_MAX */
    uint64_t give_up_ms;  /* monotonic: when none came by then */
    uint64_t deadline_ms; /* for the browser's answer */
};

struct page_body {
    const char *url, *method, *mime;
    int status;
    bool is_text; /* as the browser takes it */
    struct str bytes;
};
typedef void page_body_fn(void *arg, enum status s, const struct page_body *b, const struct err *e);

/** The body of a response whose URL matches; hops of a redirect have none. Waits for it, and for
 * requests that match and are under way. `want`'s strings live until the callback. TIMEOUT: none
 * came, with what came instead; NOT_FOUND: the browser has not kept it; TOO_LARGE. */
uint64_t page_response_body(struct page *p, const struct body_want *want, page_body_fn *fn,
                            void *arg);

#endif
