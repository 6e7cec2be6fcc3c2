/* A client's connection: text in, text out. To the client it looks like a browser of its own that
 * holds what its lease has (view.h), and nothing else.
 *
 *   - Ids of commands are the client's; ours towards the browser are made by whoever sends them.
 *   - Sessions are looked up among the client's own. The browser's session, the tabs around pages,
 * and who is attached to what on the browser's session are played here; a page's session is the
 *     browser's own, and so is what is attached below it.
 *   - Each command is looked up in the policy; one that acts is told with its outcome.
 *   - A target that comes paused stays so until each client that asked to be waited for has let it
 * go.
 *
 * What it needs of the world it asks through struct mux_host. Loop thread only; the host's
 * functions never call back from inside. */
#ifndef BROWSER_GATEWAY_MUX_H
#define BROWSER_GATEWAY_MUX_H

#include "browser/gateway/policy.h"
#include "browser/gateway/view.h"
#include "core/base/loop.h"

struct mux;

enum {
    MUX_METHOD_MAX = 96,
    MUX_CALLS_MAX = 4096, /* under way; further ones are refused */
    MUX_SESSIONS_MAX = 4096,
    MUX_BYTES_MAX = 128 * 1024 * 1024, /* of parameters of calls under way */
};

/** A command under way. The host keeps the pointer and gives it to mux_answered once. */
struct mux_call {
    struct list link; /* in the mux, while it is there */
    struct mux *mux;  /* NULL: the client went */
    const struct rule *rule;
    uint64_t id;               /* the client's */
    char session[VIEW_ID_MAX]; /* the client's, "" for the browser's */
    char method[MUX_METHOD_MAX];
    char target[VIEW_ID_MAX]; /* what it is about: attach, open, close */
    char context[VIEW_ID_MAX];
    size_t bytes;
    unsigned char hash[32]; /* SHA-256 of the parameters, of those that act */
    bool silent;            /* ours: no answer goes to the client */
    bool parked;            /* answered, and waits for the target's attachment */
    char *answer;           /* of a parked one */
};

struct mux_host {
    /** A whole message to the client. */
    void (*to_client)(void *arg, struct str message);
    /** c->method with these parameters on a session ("": the lease's own browser session). */
    void (*to_browser)(void *arg, struct mux_call *c, const char *session, struct str params);
    /** Events of the session are wanted from now on (mux_event). False: it is gone. */
    bool (*adopt)(void *arg, const char *session);
    void (*forget)(void *arg, const char *session);
    /** Nobody waits for it any more: it runs. `c` (may be NULL) is answered {} when it does. */
    void (*run)(void *arg, struct view_target *t, struct mux_call *c);
    /** A session that had set the page's screen went: it is the identity's again. */
    void (*redress)(void *arg, const char *target);
    /** Opens a page; answered with {"targetId":...}, after mux_ready of it. */
    void (*open)(void *arg, struct mux_call *c, const char *context, const char *url);
    /** Answered with {"browserContextId":...}; and with {}. */
    void (*make_context)(void *arg, struct mux_call *c);
    void (*drop_context)(void *arg, struct mux_call *c, const char *context);
    /** Fleet.*: answered in time. `params` is borrowed. */
    void (*fleet)(void *arg, struct mux_call *c, const struct json *params);
    /** A page's connection: the page went, and the connection ends after what was said. */
    void (*over)(void *arg);
    /** Browser.close: the lease is given back once the answer is out. */
    void (*release)(void *arg);
    /** A command that acts came to its end. `url`: of the target it acted on, "" when none. */
    void (*acted)(void *arg, const struct mux_call *c, const char *url, enum status s);
    void *arg;
};

/** `page`: the connection is one of a page (/devtools/page/<id>): its session is the connection
 * itself; NULL: the browser. */
struct mux *mux_create(struct view *v, const struct policy_scope *scope,
                       const struct mux_host *host, const char *page);
/** What the client holds is let go: paused targets run, sessions are detached. Calls under way are
 * still answered by the host, to nobody. Sets *m to NULL. */
void mux_destroy(struct mux **m);

/** A message of the client. */
void mux_message(struct mux *m, struct str text);
/** The answer to a call: `text` is JSON of its result (OK), or of DevTools' error object when `s`
 * is not OK and it is not empty; else `e` says why. */
void mux_answered(struct mux_call *c, enum status s, struct str text, const struct err *e);
/** An event of an adopted session; `session` "": of the lease's browser session. */
void mux_event(struct mux *m, const char *session, struct str method, struct str params);
/** An event of ours, on the browser's session: "Fleet.handoffComplete". */
void mux_tell(struct mux *m, const char *method, struct str params);

/* --- news of the view --- */

void mux_created(struct mux *m, struct view_target *t); /* a target that is not a page */
/** A page or worker is attached, dressed and paused (t->hold). True: the client waits for it. */
bool mux_ready(struct mux *m, struct view_target *t);
void mux_running(struct mux *m);
void mux_changed(struct mux *m, struct view_target *t);
void mux_gone(struct mux *m, struct view_target *t); /* before view_remove */

#endif
