/* A page of a member: one tab (or popup) with its frames, in process and out of process, and all
 * that lies between it and the browser's sessions. For flows and ops.
 *
 *   page:  new -> opening -> open -> gone
 *
 * new: no tab yet, the first navigation makes it with its final URL. gone: crashed, closed or
 * killed; the struct stays until its context ends.
 *
 * - `struct page *` is valid from page_session's start to its end (session.h), also when the page
 * is gone: calls on it then end with the reason (PAGE_CRASHED, PAGE_OUT_OF_MEMORY, PAGE_HUNG,
 * CLOSED, BROWSER_GONE).
 * - `struct frame *` is borrowed for this turn of the loop only; across turns keep page_frame_ref
 * and ask page_frame_find.
 * - Every callback runs exactly once, from the loop, never from inside the call that registered it;
 * also on deadline, cancel and the page's end. What a callback is given is borrowed until its
 * return.
 * - Document requests of every frame are held until the gate lets them go (network.c); nothing here
 * gets around that.
 *
 * Loop thread only. */
#ifndef BROWSER_PAGE_PAGE_H
#define BROWSER_PAGE_PAGE_H

#include <sys/types.h>

#include "browser/cdp/conn.h"
#include "core/base/json.h"
#include "core/base/loop.h"
#include "core/base/str.h"

struct page;
struct frame;

enum page_state { PAGE_NEW, PAGE_OPENING, PAGE_OPEN, PAGE_GONE };
enum page_state page_state(const struct page *p);
/** Why the page is gone; STATUS_OK while it is not. */
enum status page_gone_why(const struct page *p);
const struct err *page_gone_err(const struct page *p);

/* --- frames --- */

/** Names a frame across turns: 0 is none. Stays the same while the frame navigates and changes
 * process. */
struct frame_ref {
    uint64_t v;
};

/** The main frame: always there once the page is open, else NULL. */
struct frame *page_main_frame(struct page *p);
/** NULL when the frame is gone. {0} gives the main frame. */
struct frame *page_frame_find(struct page *p, struct frame_ref ref);
struct frame_ref frame_ref(const struct frame *f);
struct frame *frame_parent(const struct frame *f); /* NULL for the main frame */
struct frame *frame_child(const struct frame *f,
                          size_t i); /* in order of the document; NULL past the last */
/** The first frame, in depth, whose URL is `url`. NULL when none. */
struct frame *page_frame_by_url(struct page *p, struct str url);
const char *frame_url(const struct frame *f); /* of its document; "" before the first commit */
const char *frame_id(const struct frame *f);  /* DevTools' */
bool frame_is_local_root(
    const struct frame *f); /* has a session of its own: coordinates of input are relative to it */
/** Changes with every document of the frame: for "is this still the document I looked at?". */
uint32_t frame_document(const struct frame *f);

const char *page_url(const struct page *p); /* of the main frame */
/** Other pages of the same member's context (popups): in the order they were opened,
 * `page_session.main` first; NULL at the end. For the `target` of a flow's step. */
struct page *page_next_sibling(const struct page *p);

/* --- calls --- */

/** A DevTools command on the session of the frame (`f` NULL: the page's main session). A page that
 * is NEW is opened on about:blank first. `deadline_ms` monotonic, 0: 30 s. Returns an id for
 * page_cancel. The answer is as cdp_reply_fn says. */
uint64_t page_call(struct page *p, struct frame *f, const char *method, struct str params,
                   uint64_t deadline_ms, cdp_reply_fn *fn, void *arg);
/** As page_call, on the browser's own session, with the member's browserContextId beside `members`
 * (JSON text: "\"cookies\":[]", or empty). */
uint64_t page_context_call(struct page *p, const char *method, struct str members,
                           uint64_t deadline_ms, cdp_reply_fn *fn, void *arg);
/** The process of the page's browser, 0: not known. */
pid_t page_browser_pid(const struct page *p);
/** Makes what `id` names (a call, an evaluation, a navigation, a wait of this header) end soon with
 * `why`. Harmless when it is over. */
void page_cancel(struct page *p, uint64_t id, enum status why);

/* --- scripts --- */

enum page_world {
    PAGE_WORLD_ISOLATED, /* Fleet's own globals, the page's DOM: the page cannot see or change what
                            runs */
    PAGE_WORLD_MAIN,     /* the page's own globals */
};

struct page_eval {
    enum page_world world;
    struct str source; /* an expression, or a function declaration "function(a, b) {...}" or "(a, b)
                          => ..." when `function` */
    bool function;     /* called with `args`, then the handles */
    struct str args;   /* JSON text of an array of plain values; empty: none */
    const char *self;  /* objectId of `this` (the world is then the object's); NULL */
    const char *const *handles; /* objectIds passed after args; n_handles */
    size_t n_handles;
    bool by_handle;       /* want a handle (objectId) of the result instead of its JSON */
    bool user_gesture;    /* counts as done by the user */
    uint64_t deadline_ms; /* monotonic; 0: 30 s */
};

/** Promises are awaited. OK: `value` is the JSON of the result (NULL for undefined), or with
 * by_handle `handle` is the objectId, NULL when the result is null, undefined or a plain value.
 *  SCRIPT_FAILED: it threw, with the exception's text. CLOSED: the document or frame went away
 * under it (try again on the new one). TIMEOUT, PAGE_CRASHED, PAGE_HUNG, BROWSER_GONE. */
typedef void page_eval_fn(void *arg, enum status s, const struct json *value, const char *handle,
                          const struct err *e);
/** `f` NULL: the main frame. */
uint64_t page_evaluate(struct page *p, struct frame *f, const struct page_eval *ev,
                       page_eval_fn *fn, void *arg);
/** Gives handles back (nobody waits). Handles end by themselves with their document. */
void page_release(struct page *p, struct frame *f, const char *handle);

/** What a look at the page gave: the name of the rule (core/op/block.h) that says it is a block
 * page or CAPTCHA, NULL when there is none or the page could not be looked at (status). */
typedef void page_look_fn(void *arg, enum status s, const char *block);
/** Within 2 s. */
void page_look(struct page *p, page_look_fn *fn, void *arg);

/* --- navigation --- */

enum page_until { UNTIL_COMMIT, UNTIL_DOMCONTENTLOADED, UNTIL_LOAD, UNTIL_NETWORKIDLE };

/** How a navigation ended. Borrowed until the callback returns. */
struct page_nav {
    enum status
        status; /* OK; NAVIGATION_FAILED (net::ERR_..., a download), PROXY_FAILED, PROXY_AUTH,
                   POLICY_DENIED, ROBOTS_DENIED, BREAKER_OPEN, RATE_LIMITED: what the gate or the
                   forwarder said of a hop; TIMEOUT, PAGE_*, CANCELLED */
    struct err err;
    bool navigated; /* a document committed (also an error page's) or a same-document navigation
                       happened */
    bool same_document;
    bool download;
    const char *url;        /* of the frame now */
    int http_status;        /* of the last response, 0: none seen */
    int64_t retry_after_ms; /* -1: none */
    bool from_proxy;
    bool own_fault; /* NAVIGATION_FAILED: the browser's own doing, not the target's */
    bool accounted; /* the answer was that of a page.document (redirect, click), which told breaker,
                       limiter and proxy of it */
    const char *block; /* name of the block page's rule that matched (static), NULL: none */
    const char *title; /* of the main document after load; "" when not looked at */
};
typedef void page_nav_fn(void *arg, const struct page_nav *nav);

struct page_goto {
    const char *url;       /* absolute */
    const char *referrer;  /* NULL: none */
    enum page_until until; /* default UNTIL_LOAD is 2: say it */
    bool admitted; /* the gate has admitted this very URL for the op at hand: its first request goes
                      on at once. Only for the run function of an op that touches the target */
    bool look;     /* look for a block page after the load (one evaluation) */
    uint64_t deadline_ms;
};
/** The main frame goes to a URL. Opens the page when it is NEW. A navigation under way is
 * superseded and ends CANCELLED. */
uint64_t page_navigate(struct page *p, const struct page_goto *go, page_nav_fn *fn, void *arg);

/** Waits for the next navigation of the frame (`f` NULL: main) that starts or has started after
 * this call: ask for it before the click. Ends when it reached `until`, failed, or TIMEOUT when
 * none came. For assertedEvents. */
uint64_t page_wait_navigation(struct page *p, struct frame *f, enum page_until until,
                              uint64_t deadline_ms, page_nav_fn *fn, void *arg);

/** After an action (click, key, change): when it started a navigation of the main frame, waits
 * until that reached `until`, looks for a block page, and tells how it ended, also when the gate
 * refused it or the document of a popup (status POLICY_DENIED, BREAKER_OPEN
 *  ...). When it started none, ends after one round trip with OK and navigated false. page_mark
 * goes before the action, this after its reply. Frames that are refused inside a page fail nothing.
 */
struct page_mark {
    uint64_t v;
};
struct page_mark page_mark(struct page *p);
uint64_t page_settle(struct page *p, struct page_mark since, enum page_until until,
                     uint64_t deadline_ms, page_nav_fn *fn, void *arg);

/* --- what the page shows --- */

struct page_viewport {
    uint32_t width, height; /* CSS pixels, 1..10000 */
    double scale;           /* device pixels per CSS pixel, 0: the identity's */
    bool mobile, touch, landscape;
};
/** In force at once and for all documents of this page until page_session_end. Also on a NEW page.
 */
void page_set_viewport(struct page *p, const struct page_viewport *v);

/** The browser waits on the page's behalf, for the gate or for a server: until then the page
 * answers no command. Also while it is opened. */
bool page_is_waiting(const struct page *p);
/** When (monotonic) the document of its main frame was asked for that the gate did not let go yet
 * or no server answered; 0: there is none, or it is not seen (enforce "charge"). */
uint64_t page_waits_since(const struct page *p);
/** When (monotonic) its session said something last; 0: never. */
uint64_t page_heard_ms(const struct page *p);
/** Gives up the navigation that is under way, when there is one: the page stays where it is. */
void page_stop(struct page *p);

struct page_conditions {
    bool offline;
    double latency_ms;               /* least time from request to response headers */
    double download_bps, upload_bps; /* bytes per second; <= 0: not limited */
};
/** As page_set_viewport. */
void page_set_conditions(struct page *p, const struct page_conditions *c);

/** The page's requests that match fail from now on, until page_session_end. `patterns`: members of
 * Fetch.enable's list as JSON text, "" for none. Also on a NEW page. Frames in processes of their
 * own and workers are not looked at. */
void page_block(struct page *p, struct str patterns);
/** Params of Page.addScriptToEvaluateOnNewDocument as JSON text: carried out for each document of
 * the page to come, until page_session_end. A second call comes on top of the first, which
 * then stays until the page goes. */
void page_seed(struct page *p, struct str params);
/** What the page writes to its console is kept in page_session.console from now on. */
void page_listen_console(struct page *p);

/* Dialogs are answered by themselves, so that they hold nothing: alert and beforeunload accepted,
 * confirm and prompt as `accept` says (default: dismissed), prompt with the text (NULL: what the
 * page proposes). The last one is kept for the flow. */
struct page_dialog {
    const char *type; /* "alert", "confirm", "prompt", "beforeunload"; NULL: none yet */
    const char *message;
};
void page_dialog_policy(struct page *p, bool accept, const char *prompt_text);
struct page_dialog page_last_dialog(const struct page *p);

/* --- capture (capture.c) --- */

struct page_shot {
    bool full_page;
    const char *node; /* objectId of an element to clip to, NULL; `frame` is its frame */
    struct frame_ref frame;
    const char *format; /* "png" (default), "jpeg", "webp" */
    int quality;        /* 0..100 for jpeg and webp, -1: the browser's */
    uint64_t deadline_ms;
};
/** `bytes` are the decoded file, borrowed; empty unless OK. */
typedef void page_bytes_fn(void *arg, enum status s, struct str bytes, const struct err *e);
uint64_t page_screenshot(struct page *p, const struct page_shot *shot, page_bytes_fn *fn,
                         void *arg);

struct page_pdf {
    bool landscape, background;
    double width_in, height_in; /* inches; 0: 8.27 x 11.69 (A4) */
    double scale;               /* 0.1..2; 0: 1 */
    uint64_t deadline_ms;
};
uint64_t page_pdf(struct page *p, const struct page_pdf *pdf, page_bytes_fn *fn, void *arg);

/* --- the end of a page --- */

/** Closes the tab and calls fn(arg, status) when it is gone: asked (Page.close), and killed when it
 * does not go in time. */
uint64_t page_close(struct page *p, uint64_t deadline_ms, void (*fn)(void *arg, enum status s),
                    void *arg);

/** For an op that ends with TIMEOUT (or is cancelled) on a page: was it the page's script that
 * hangs? Pings it; one that does not answer is killed ("page killed") and the verdict is PAGE_HUNG,
 * otherwise `why`. At most PAGE_PING_MS. Also right for pages that are NEW or gone. */
void page_verdict(struct page *p, enum status why, void (*fn)(void *arg, enum status verdict),
                  void *arg);

enum { PAGE_PING_MS = 1500 };

/** Watches a page while an op waits on it. Zeroed before its first start; embedded in its owner. */
struct heartbeat {
    struct loop_timer timer; /* private from here */
    struct page *page;
    uint64_t every_ms;
    uint64_t alive_ms; /* the last sign of life */
    uint64_t asked_ms; /* since then it was asked for one; 0: not yet */
    uint64_t due_ms;   /* the next look */
};
/** A page that says nothing for `every_ms`, asked in the middle of it, is killed ("page killed"):
 * what is under way on it ends with PAGE_HUNG. Whatever its session says is a sign of life, and
 * while it waits for the gate or a server it owes none. 0: never. */
void heartbeat_start(struct heartbeat *b, struct page *p, uint64_t every_ms);
void heartbeat_stop(struct heartbeat *b);

#endif
