/* What the files of browser/page share. Who owns what:
 *
 *   targets (one an instance) -> contexts (one a member) -> pages -> frames, tasks
 *
 * A page is freed when its context lets go of it and no answer that names it is on its way (refs).
 * A task is one call of page.h under way; it ends in task_end, once. Ids of DevTools are kept as
 * text in fixed arrays: they have 32 hexadecimal digits. */
#ifndef BROWSER_PAGE_PAGE_INTERNAL_H
#define BROWSER_PAGE_PAGE_INTERNAL_H

#include "browser/identity/apply.h"
#include "browser/page/context.h"
#include "browser/page/page.h"
#include "browser/page/session.h"
#include "core/base/map.h"

enum { DEVTOOLS_ID_MAX = 48 };

/* --- targets: everything attached of one browser (target.c) --- */

struct targets {
    struct targets_opts opts;
    struct cdp_conn *conn;
    struct loop *loop;
    struct cdp_listener listener;
    struct list contexts;
    struct map *frames; /* DevTools frame id -> struct frame */
    struct map *holds;  /* Fetch request id -> struct hold */
    struct list doomed; /* tasks that end at the end of this turn */
    struct list strays; /* requests that wait for their frame (stray.c) */
    size_t n_strays;
    size_t n_holds;    /* also those whose receipt is being written */
    size_t n_refs;     /* contexts and pages that are not freed yet */
    uint64_t next_id;  /* of tasks and frames */
    unsigned crashes;  /* pages that crashed since one showed a document */
    unsigned failures; /* documents that failed for no reason since a server answered one */
    bool network_lost; /* the browser said that its network service died */
    bool doom_posted, destroyed;
    char version[32]; /* the browser's, "" before somebody asked */
};

/* --- contexts (context.c) --- */

struct context {
    struct list link;
    struct targets *targets;
    struct member *member;
    const struct applied *applied;
    char id[DEVTOOLS_ID_MAX];
    struct list pages;                 /* main first, then popups in order */
    struct page_session *session;      /* the attempt that has it, or NULL: then nothing may ask the
                                          network for a document */
    const struct context_watch *watch; /* NULL: nobody else */
    context_fn *ready;
    void *ready_arg;
    struct err err; /* why it could not be asked for */
    struct loop_timer idle;
    size_t n_pages_made, n_documents; /* tabs; what they showed, but about:blank */
    struct downloads *downloads;      /* NULL: denied */
    struct netlog *net;               /* NULL: nothing is recorded of what its pages ask for */
    size_t n_strays; /* tabs that were asked for by pages that are dropped; tabs come in the order
                        they are asked for */
    bool destroyed;  /* a session still has it */
};

/* --- frames (frame.c) --- */

/* What the network said of a document. */
struct response {
    int http_status; /* 0: none seen */
    int64_t retry_after_ms;
    bool from_proxy;   /* it is the proxy's failure */
    enum status proxy; /* what the forwarder answered by itself, OK: nothing */
    char failure[120]; /* Fetch's error reason: "ConnectionRefused", or with `proxy` the forwarder's
                          sentence; "" when none */
    char error[64];    /* the browser's own word: "net::ERR_CERT_DATE_INVALID", "" when not told */
    bool download;     /* Content-Disposition: attachment */
    bool accounted;    /* it was a page.document's, which told the guards */
};

struct frame {
    struct page *page;
    struct frame *parent;
    struct list link, children;
    struct frame_ref ref;
    char id[DEVTOOLS_ID_MAX];
    char loader[DEVTOOLS_ID_MAX]; /* of the document that is there */
    char *url;
    struct cdp_session *session; /* that hears of it: its own, or its nearest ancestor's with one */
    struct frame_realm
        *realm; /* when the session is its own and it is not the main frame; else NULL */
    int64_t isolated_context, main_context; /* execution contexts, 0: not made (known) yet */
    uint32_t document;                      /* counts commits */
    bool dcl, loaded, idle;                 /* of the document that is there */
    bool stopped;                           /* nothing more of it comes, loaded or not */
    bool unreachable;                       /* it is an error page */
    /* the navigation under way */
    bool requested, scheduled, started;
    char starting[DEVTOOLS_ID_MAX]; /* its loader */
    struct response pending, current;
    unsigned redirects;    /* hops of the last document request, from redirected_from */
    char *redirected_from; /* NULL: none */
    uint64_t committed_at, same_document_at, requested_at; /* page's clock: counts events */
    struct list holds;
};

/* The session of a frame in a process of its own, of a worker, or of a page's main target. */
struct frame_realm {
    struct page *page;
    struct list link;
    struct cdp_session *session;
    struct cdp_listener listener;
    char target[DEVTOOLS_ID_MAX];
    bool is_frame;
    bool runtime;                /* Runtime.enable was sent */
    struct cdp_listener network; /* netlog.c's */
    bool listens;
    bool says; /* Console.enable was sent */
};

/** The browser let go of the context, or is about to: its pages are gone, and it is not usable any
 * more. The struct stays its owner's. */
void context_lost(struct context *c);

/* --- pages (page.c) --- */

struct refusal {
    uint64_t at; /* page's clock; 0: none */
    struct err err;
};

struct page {
    struct list link;
    struct context *ctx; /* NULL when let go of */
    struct targets *targets;
    unsigned refs;
    uint32_t number; /* of the pages that its context had, from 1 */
    enum page_state state;
    struct err gone; /* status OK while it is not */
    char target[DEVTOOLS_ID_MAX];
    char opener[DEVTOOLS_ID_MAX];
    struct frame_realm main_realm; /* session NULL unless OPEN */
    struct list realms;            /* frames' and workers' */
    struct frame *main;
    struct list tasks;
    uint64_t clock; /* counts events that navigations are told by */
    bool blank;     /* opened on about:blank */
    bool placed;    /* opened on a URL: nobody sees its initial empty document */
    bool explains; /* the Network domain is on until the first document is there, to tell why not */
    char stray_in[DEVTOOLS_ID_MAX]; /* context that it was dropped from before its tab was there */
    bool lifecycle_events;
    /* the grant of an op that the gate admitted: the first document request of the main frame to
     * this place goes on at once */
    bool granted;
    char *grant_url;
    struct refusal refused, popup_refused;
    bool has_viewport, has_conditions, viewport_changed;
    struct page_viewport viewport;
    struct page_conditions conditions;
    bool console;      /* Runtime.enable was asked for */
    struct cast *cast; /* NULL: none */
    char *blocked;     /* Fetch patterns; NULL: none */
    char *seed;        /* params of a script for new documents; NULL: none */
    char seed_id[32];
    bool dialog_accept;
    char *dialog_text; /* for prompts */
    const char *dialog_type;
    char *dialog_message;
    uint64_t proxy_failed_before; /* the forwarder's count when the last navigation began */
};

/* --- tasks (task.c) --- */

struct task;
struct task_kind {
    size_t size;
    /** The page is open: go on (send the first command). */
    void (*begin)(struct task *t);
    /** It ends with `s`, which is not OK: call the caller's callback. The task is freed after it.
     */
    void (*fail)(struct task *t, enum status s, const struct err *e);
    /** Optional: frees what it holds. */
    void (*free)(struct task *t);
};

struct task {
    const struct task_kind *kind;
    struct page *page; /* holds a reference */
    struct list link;  /* in page->tasks or targets->doomed */
    uint64_t id;
    uint64_t call; /* DevTools call under way, 0: none; its answer ends or goes on with the task */
    uint64_t deadline_ms;
    struct loop_timer timer;
    struct err doom;
    bool begun;
};

/** A zeroed task of the kind, in the page's list. Opens a NEW page on `open_url` (NULL:
 * about:blank); begin is called as soon as the page is open, at once when it is. A page that is
 * gone: it fails at the end of this turn. */
struct task *task_create(struct page *p, const struct task_kind *kind, uint64_t deadline_ms);
void task_start(struct task *t, const char *open_url);
/** Takes it out of all lists and frees it. */
void task_end(struct task **t);
/** Makes it fail at the end of this turn. */
void task_doom(struct task *t, enum status why, const char *sentence);
/** Calls kind->fail and ends it. */
void task_fail(struct task *t, enum status s, const struct err *e);
/** A timer to its deadline that fails it with TIMEOUT and the sentence "<what> ...". For tasks that
 * wait for events. */
void task_wait(struct task *t);
/** cdp_call on a session; `fn` gets the task, whose `call` is 0 by then. */
void task_call(struct task *t, struct cdp_session *s, const char *method, struct str params,
               cdp_reply_fn *fn);
void task_begin_all(struct page *p);
void task_doom_all(struct page *p, enum status why, const char *sentence);

/* --- page.c --- */

struct page *page_create(struct context *ctx);
void page_ref(struct page *p);
void page_unref(struct page *p);
void page_open(struct page *p, const char *url);
/** The target of `p` is there: commands of the identity, then it runs. */
void page_attached(struct page *p, struct cdp_session *s, const char *target_id);
/** A server answered its first document: no more is asked of the Network domain. */
void page_is_answered(struct page *p);
/** The page is over: sessions, frames and tasks end with `why`. */
void page_lost(struct page *p, enum status why, const char *sentence);
/** Its process ended by itself: PAGE_OUT_OF_MEMORY where that can be told, else PAGE_CRASHED. */
void page_crashed(struct page *p);
/** Lets go of it (session's end, context's end): it is out of its context and freed when nothing
 * names it. */
void page_drop(struct page *p);
/** Kills what does not answer (alive.c); its calls end with PAGE_HUNG and the sentence. */
void page_kill(struct page *p, const char *sentence);
void page_send_viewport(struct page *p);
void page_send_conditions(struct page *p);
void page_reset(struct page *p);

/** Keeps an entry with the attempt (console.c); harmless without one. */
void console_add(struct page *p, const char *type, struct str text, const char *url);
void console_send(struct page *p);
void console_realm(struct frame_realm *r); /* a new session of a frame or worker */
void console_reset(struct page *p);
void page_send_rules(struct page *p); /* rules.c: what is blocked and seeded, on a new session */
void page_reset_rules(struct page *p);
/** For a session of a frame's process or a worker: what of it concerns these. */
void rules_send(struct page *p, struct cdp_session *s);

/* --- download.c --- */

void download_begins(struct targets *t, const struct json *params);
void download_progresses(struct targets *t, const struct json *params);
/** As a new context is to have them. */
void downloads_deny(struct context *c);
/** The session is over: denied again, and what was told forgotten. */
void downloads_end(struct context *c);

/* --- netlog.c --- */

/** A new session: listened to, and the Network domain turned on, when something is recorded. */
void netlog_realm(struct frame_realm *r);
bool netlog_is_on(const struct context *c);
/** The session is over. */
void netlog_end(struct context *c);

/* --- cast.c --- */

void cast_send(struct page *p); /* on a new session */
void cast_stop(struct page *p); /* the session is about to end */
void cast_drop(struct page *p);

/* --- frame.c, dialog.c: events of sessions; arg is the struct frame_realm --- */

cdp_event_fn frame_on_attached, frame_on_detached, frame_on_navigated, frame_on_same_document;
cdp_event_fn frame_on_requested, frame_on_scheduled, frame_on_unscheduled, frame_on_started;
cdp_event_fn frame_on_failed, frame_on_stopped, frame_on_dcl, frame_on_load, frame_on_lifecycle,
    frame_on_context;
cdp_event_fn dialog_on_opening, console_on_called, console_on_thrown, console_on_message,
    rules_on_paused;
cdp_event_fn rules_on_challenged;

struct frame *frame_new(struct page *p, struct frame *parent, struct str id, struct cdp_session *s);
void frame_free(struct frame *f); /* with its children; holds are abandoned */
struct frame *frame_of(struct targets *t, struct str id);
void frame_forget_documents(struct frame *f);

/* --- target.c --- */

/** Frees it when it was destroyed and nothing names it any more. */
void targets_settle(struct targets *t);
/** The last document that failed had a reason: it was not the browser. */
void targets_explained(struct targets *t);
void targets_tell(struct targets *t, const char *what, const struct member *m, const char *text);

extern const struct cdp_handler realm_handlers[];
extern const size_t n_realm_handlers;
void realm_release(struct frame_realm *r, enum status why, const char *sentence);
void realm_listen(struct frame_realm *r, struct cdp_session *s, const char *target);
struct page *page_by_target(struct context *c, struct str id);
struct context *context_by_id(struct targets *t, struct str id);

/* --- lifecycle.c: what happened to a frame; called by the handlers after the frame's state was
 * changed --- */

void lifecycle_changed(struct page *p, struct frame *f);
/** A navigation is watched that finds a refusal by itself. */
bool lifecycle_will_tell(const struct page *p);
/** A call of a navigation ended the frame's start without a commit (download, 204, stop). */
void lifecycle_stopped(struct page *p, struct frame *f);

/* --- network.c --- */

/** Commands that a new browser gets: Fetch for documents, when they are to be held. */
void network_start(struct targets *t);
void network_paused(struct targets *t, const struct json *params);
/** Once more, when its frame is known or does not come. */
void network_paused_again(struct targets *t, const struct json *params);
/** The frame gives up what it asked for. */
void network_abandon(struct frame *f);
/** A committed document that was not held (enforce "charge"): takes its token afterwards. */
void network_charge(struct frame *f);

/* --- stray.c --- */

/** Keeps a request whose frame is not known, paused, until stray_known of its frame or 5 s are
 * over; then network_paused_again, from the loop. False: it names no frame, or too many wait. */
bool stray_keep(struct targets *t, const struct json *params);
void stray_known(struct targets *t, const char *frame);
void strays_drop(struct targets *t);

/* --- look.c --- */

/** The expression that looks at a page for a block page or CAPTCHA. */
void look_expression(const struct page *p, struct buf *out);
/** What its value says: as page_look_fn. http_status 0: as the value says. */
const char *look_judge(const struct page *p, const struct json *v, int http_status);

#endif
