/* Contexts: a member's own browser context (cookies, storage, cache, proxy) in an instance; and
 * targets, what is attached of an instance.
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
struct door;
struct page;
struct page_session;
struct targets;

struct targets_opts {
    struct gate *gate;         /* NULL: nothing is held and nothing charged (doctor, tests) */
    const struct op *document; /* the row page.document */
    enum enforce enforce;
    bool url_at_creation; /* headless-shell: a target may be created with its final URL */
    struct door *door;    /* the instance's, by which members reach their forwarders; NULL: by
                             127.0.0.1 and forward_port */
    /** "page killed", "context killed", "page crashed", "page out of memory", "popup opened": words
     * of the table in browser/README.md. May be NULL. */
    void (*on_event)(void *arg, const char *what, const struct member *m, const char *text);
    void *arg;
    /** The browser answers nothing any more, not even that a context is to go: it must be killed.
     * May be NULL. */
    void (*on_stuck)(void *arg);
    /** The browser's process, or the init above it; for files that pass (chromium/room.h). NULL:
     * none do. */
    pid_t (*pid)(void *arg);
    void *home; /* argument of the two */
    /** A page's process has just ended by itself: did it run out of memory? The sentence, borrowed;
     * NULL: not as far as can be told. May be NULL. */
    const char *(*out_of_memory)(void *arg);
    void *instance; /* its argument */
    /** May be NULL: counts documents that are in the gate, also those of targets that are
     * destroyed; when it falls to 0, on_quiet(quiet_arg) is called: only then may the gate go. */
    size_t *n_holds;
    void (*on_quiet)(void *arg);
    void *quiet_arg;
};

/** Listens on the connection's root and sends the commands that begin everything (auto-attach,
 * Fetch). */
struct targets *targets_create(struct cdp_conn *c, const struct targets_opts *opts);
/** All contexts end with BROWSER_GONE. The connection must be closed or unused afterwards. Document
 * requests may still be in the gate: the memory goes with the last. Sets *t to
 * NULL. */
void targets_destroy(struct targets **t);
/** Pages that crashed since one of the browser's showed a document. */
unsigned targets_crashes(const struct targets *t);
/** Documents that failed as "Failed" and of which nothing better is known, since one was answered:
 * its network service is gone. */
unsigned targets_failures(const struct targets *t);
/** The browser's network service died. Documents fail, and in contexts that had it they go on
 * failing; none of it says anything about a target. */
void targets_lose_network(struct targets *t);
bool targets_lost_network(const struct targets *t);

typedef void context_fn(void *arg, struct context *c, enum status s, const struct err *e);

/** A new browser context of the member, whose traffic goes to its forwarder. `ready` once, from the
 * loop; with a failure the context is destroyed before (c NULL). `applied` lives as long as the
 * context. */
struct context *context_create(struct targets *t, struct member *m, const struct applied *applied,
                               context_fn *ready, void *arg);
/** Disposes it: all pages end, `ready` is not called any more. A session that has it goes on with
 * pages that are gone, and must still be ended with context_end, which frees the rest. Sets *c to
 * NULL; NULL is fine. */
void context_destroy(struct context **c);
const char *context_id(const struct context *c); /* DevTools' browserContextId */
/** The browser is there and has it. */
bool context_is_usable(const struct context *c);

/** Opens its main page on about:blank before anybody takes it, so that it is there then. */
void context_warm(struct context *c);
/** That page is open. */
bool context_is_warm(const struct context *c);
/** Gives the watch the pages that were open before it was set. False: it took none. */
bool context_show(struct context *c);

/** An attempt takes the context: s->member, attempt, gate ... are filled in by the caller, main and
 * page here. */
void context_begin(struct context *c, struct page_session *s);
/** The attempt gives it back: what is under way on its pages ends CANCELLED, popups are closed.
 * `keep`: the main page stays for the next attempt, with its settings reset; when that does not
 * come within a quarter of a second the page is sent to about:blank, so that no script of an idle
 * member runs on, and killed when it does not answer. Otherwise it is closed. The context, its
 * cookies and storage stay. */
void context_end(struct context *c, bool keep);
/** Who else looks at a context while an attempt or a lease has it: the gateway. From the loop. */
struct context_watch {
    /** A page, or a worker that belongs to none, is attached and has the identity; our `session`
     * keeps it paused. True: it stays so until context_run. `info` is DevTools' TargetInfo,
     * borrowed. */
    bool (*on_target)(void *arg, struct context *c, const struct json *info, const char *session);
    /** A dialog opens on a page. True: somebody else answers it. */
    bool (*on_dialog)(void *arg, struct context *c);
    /** The context ends under it, with its browser. The connection can still be called. */
    void (*on_lost)(void *arg, struct context *c);
    void *arg;
};
/** `w` is borrowed, until it is NULL again; the end of the session also ends it. */
void context_set_watch(struct context *c, const struct context_watch *w);
/** Lets a target run that on_target kept. `fn` (may be NULL) when it does: a navigation that begins
 * earlier shows the browser's own identity to its first script (156). False: it is gone, and `fn`
 * is not called. */
bool context_run(struct context *c, const char *session, cdp_text_fn *fn, void *arg);
/** A command on one of our sessions on its targets that nobody waits for. Harmless when that is
 * gone. */
void context_tell(struct context *c, const char *session, const char *method, struct str params);
struct targets *context_targets(struct context *c);
/** As page_browser_pid. */
pid_t context_browser_pid(const struct context *c);
struct cdp_conn *context_conn(struct context *c);
const struct applied *context_applied(const struct context *c);

/** Documents that its tabs showed so far: for recycling. */
size_t context_pages_made(const struct context *c);

#endif
