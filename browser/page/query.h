/* Finding elements in a page by Recorder's selectors, and what is done with what was found: one
 * call of the script browser/assets/flow.js in the frame's document, which waits there. A document
 * that goes away under the wait is replaced by the next one; aria/ parts are looked up in the
 * accessibility tree between calls.
 *
 *   query: frame -> (aria lookups) -> call -> over, or round again until the deadline
 *
 * Loop thread only. */
#ifndef BROWSER_PAGE_QUERY_H
#define BROWSER_PAGE_QUERY_H

#include "browser/page/page.h"
#include "core/base/arena.h"

/** One alternative: parts, each found inside the shadow root, frame or element of the part before.
 */
struct chain {
    const char **parts;
    size_t n;
};

/** Alternatives, tried in order. */
struct selectors {
    struct chain *alts;
    size_t n;
};

enum { SELECTORS_MAX = 50, CHAIN_MAX = 20 };

/** Field decoder (JK_FN; the field is a struct selectors): an array of alternatives, each a string
 * or an array of strings; a single string is an alternative by itself. Kinds: CSS, aria/, text/,
 * xpath/, pierce/. */
bool selectors_decode(struct json_decode *d, const struct json *j, void *field);
/** Appends the JSON text of the alternatives: [["#a","b"],["text/x"]]. */
void selectors_print(const struct selectors *s, struct buf *out);
/** Appends them as a person wrote them: "#a" >> "b", "text/x". */
void selectors_show(const struct selectors *s, struct buf *out);

/** "aria/Name[role=\"button\"]" in its parts (Puppeteer's syntax); name or role may be "". The
 * strings live in the arena. */
struct aria {
    const char *name, *role;
};
must_check bool aria_parse(struct arena *a, const char *part, struct aria *out);

/** Which frame of the page: `url` (NULL: the main frame), from there by child indexes. Waited for.
 */
struct frame_path {
    const char *url;
    const uint32_t *path;
    size_t n;
};

struct query_spec {
    struct frame_path frame;
    const struct selectors *sel; /* NULL or empty: the call needs none */
    const char *door;            /* what to do: "find", "held", "count", "extract" ... (flow.js) */
    const char
        *more; /* further members of the call as JSON text: "\"need\":\"click\",\"ox\":3"; NULL */
    bool main_world; /* run among the page's own globals: for properties that its script made */
    uint64_t deadline_ms; /* monotonic */
    uint64_t wanted_ms;   /* how long was waited in all, for the sentence */
};

/** OK: `answer` is what the script returned, with "ok" true; `frame` is where it was.
 *  ELEMENT_NOT_FOUND: not by the deadline; the sentence says for each alternative what was there
 * instead, `answer` may be NULL. INVALID: no alternative is a valid selector. SCRIPT_FAILED,
 * PAGE_*, CLOSED, BROWSER_GONE, CANCELLED; TIMEOUT: the page did not answer. Borrowed until the
 * return. */
typedef void query_fn(void *arg, enum status s, const struct json *answer, struct frame_ref frame,
                      const struct err *e);

struct query;
/** `spec` and what it points to must live until the callback. */
struct query *query_start(struct page *p, struct loop *l, const struct query_spec *spec,
                          query_fn *fn, void *arg);
/** The callback comes soon, with `why`. */
void query_cancel(struct query *q, enum status why);

/** The element of the last "find" in that frame as a handle (objectId), for commands that take one;
 * by page_eval_fn. */
uint64_t query_element(struct page *p, struct frame_ref frame, uint64_t deadline_ms,
                       page_eval_fn *fn, void *arg);

#endif
