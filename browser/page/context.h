/* Contexts: a member's own browser context (cookies, storage, cache, proxy) in an instance; and targets, what is attached of an instance.
 *
 *   context:  making -> ready -> (session) -> ready ... -> disposed
 *
 * Loop thread only. */
#ifndef BROWSER_PAGE_CONTEXT_H
#define BROWSER_PAGE_CONTEXT_H

#include "browser/cdp/conn.h"
#include "browser/identity/apply.h"
#include "core/conf/campaign.h"
#include "core/fleet/member.h"
#include "core/op/gate.h"

struct context;
struct page;
struct page_session;
struct targets;

struct targets_opts {
    struct gate *gate;          /* NULL: nothing is held and nothing charged (doctor, tests) */
    const struct op *document;  /* the row page.document */
    enum enforce enforce;
    bool url_at_creation;       /* headless-shell: a target may be created with its final URL */
    /** "page killed", "page crashed", "popup opened": words of the table in browser/README.md. May be NULL. */
    void (*on_event)(void *arg, const char *what, const struct member *m, const char *text);
    void *arg;
};

/** Listens on the connection's root and sends the commands that begin everything (auto-attach, Fetch). */
struct targets *targets_create(struct cdp_conn *c, const struct targets_opts *opts);
/** All contexts end with BROWSER_GONE. The connection must be closed or unused afterwards. Document requests may still be in the gate
 *  (targets_holds): the memory goes with the last. Sets *t to NULL. */
void targets_destroy(struct targets **t);
size_t targets_holds(const struct targets *t);

typedef void context_fn(void *arg, struct context *c, enum status s, const struct err *e);

/** A new browser context of the member, whose traffic goes to its forwarder. `ready` once, from the loop; with a failure the context is
 *  destroyed before (c NULL). `applied` lives as long as the context. */
struct context *context_create(struct targets *t, struct member *m, const struct applied *applied,
                               context_fn *ready, void *arg);
/** Disposes it: all pages end, `ready` is not called any more. Sets *c to NULL; NULL is fine. */
void context_destroy(struct context **c);
struct member *context_member(const struct context *c);
/** The browser is there and has it. */
bool context_is_usable(const struct context *c);

/** An attempt takes the context: s->member, attempt, gate ... are filled in by the caller, main and page here. */
void context_begin(struct context *c, struct page_session *s);
/** The attempt gives it back. Popups are closed. `keep`: the main page stays for the next attempt with its settings reset (a page that does
 *  not answer, or that is asked for nothing within a quarter of a second, is sent to about:blank or closed); otherwise it is closed. */
void context_end(struct context *c, bool keep);
/** Pages made so far: for recycling. */
size_t context_pages_made(const struct context *c);

#endif
