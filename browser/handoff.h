/* A live view of pages that wait for a person ("captcha": {"on_detected": "handoff"}): a small page
 * on a loopback port that shows what the member's page shows and hands on what the person does
 * there. Nothing listens until the first page waits. The address with its token is in
 * <state>/run/handoff, for this user alone, for as long as the executor runs:
 *
 *   GET  /                               the view; its scripts take the token from the address
 *   GET  /v1/handoffs {"handoffs":[{"task","member","identity","url","waits_ms"}]} GET
 * /v1/handoffs/{task}/screen      the page as it is, JPEG POST /v1/handoffs/{task}/input
 * {"type":"click","x","y"} (shares of the page, 0..1),
 *                                        {"type":"wheel","x","y","by"} (pixels),
 * {"type":"text","text"},
 *                                        {"type":"key","key":"Enter"}: 204
 *   POST /v1/handoffs/{task}/give-up     nobody will come: 204
 *
 * What the person does is a person's, on the page of the member: documents that it leads to pass
 * the gate like any other. Loop thread only. */
#ifndef BROWSER_HANDOFF_H
#define BROWSER_HANDOFF_H

#include "browser/page/page.h"
#include "core/fleet/member.h"

struct handoffs; /* of an executor */
struct handoff;  /* a page that waits */

struct handoffs_opts {
    struct loop *loop;
    const char *state_dir; /* borrowed */
    /** executor_env.on_event: "person wanted" with where the address is. May be NULL. */
    void (*on_event)(void *arg, const char *what, const struct member *m, const char *text);
    void *arg;
};

struct handoffs *handoffs_create(const struct handoffs_opts *o);
/** Stops listening; no page may wait. `closed` once, from the loop. */
void handoffs_close(struct handoffs *h, void (*closed)(void *arg), void *arg);
/** After closed. Sets *h to NULL; NULL is fine. */
void handoffs_destroy(struct handoffs **h);

struct handoff_opts {
    struct page *page; /* stays until handoff_close */
    const struct member *member;
    const char *task; /* "t-000012"; borrowed */
    uint64_t until_ms;
    void (*give_up)(void *arg); /* the person says that nobody will do it */
    void *arg;
};

/** The page is shown from now on. */
struct handoff *handoff_open(struct handoffs *h, const struct handoff_opts *o);
/** How often the person did something. */
unsigned handoff_inputs(const struct handoff *x);
/** Sets *x to NULL; NULL is fine. */
void handoff_close(struct handoff **x);

#endif
