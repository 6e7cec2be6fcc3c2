/* What the files of the mux share: mux.c (messages in and out), mux_target.c (commands of the
 * Target domain), mux_attach.c (targets that are told of and attached), mux_browser.c (the rest
 * that is answered here). */
#ifndef BROWSER_GATEWAY_MUX_INTERNAL_H
#define BROWSER_GATEWAY_MUX_INTERNAL_H

#include "browser/gateway/mux.h"
#include "core/base/map.h"

enum { FILTER_MAX = 16 };

/** Target.TargetFilter: the first entry that fits decides. */
struct filter {
    struct {
        char type[VIEW_TYPE_MAX]; /* "": any */
        bool exclude;
    } v[FILTER_MAX];
    size_t n;
};

enum session_kind {
    SESSION_BROWSER, /* played: the browser target */
    SESSION_TAB,     /* played: a tab, whose one child is its page */
    SESSION_REAL,    /* the browser's own */
};

struct mux_session {
    struct list link;
    enum session_kind kind;
    char id[VIEW_ID_MAX];     /* "" for the connection's own */
    char parent[VIEW_ID_MAX]; /* whose Target.attachedToTarget told of it */
    char
        upstream[VIEW_ID_MAX]; /* REAL: on which the browser takes its detachment; "" the lease's */
    char target[VIEW_ID_MAX];  /* the page's id, for tabs as well; "" for the browser */
    bool counted;              /* in the target's n_sessions */
    bool dressed;              /* it set the page's screen */
    bool waits;                /* one of the target's waiters */
    /* played ones */
    bool discover, auto_attach, wait;
    struct filter discover_filter, attach_filter;
    unsigned attaching; /* attachments under way */
};

struct mux {
    struct view *view;
    const struct policy_scope *scope;
    struct mux_host host;
    struct map *by_id; /* session id -> struct mux_session */
    struct list sessions, calls;
    size_t n_calls, n_sessions, bytes;
    struct mux_session root;
    char main[VIEW_ID_MAX]; /* of a page's connection: the session behind it */
    bool is_page, attached; /* and it is there */
    struct list early;      /* messages that came before */
};

/* mux.c */
void mux_reply(struct mux_call *c, struct str result); /* OK, and the call is over */
void mux_refuse(struct mux_call *c, int code, const char *fmt, ...) printf_like(3, 4);
/** A call of ours. */
struct mux_call *mux_call_new(struct mux *m, const char *method);
void mux_call_free(struct mux_call *c);
/** {"method":...,"params":...} on a session of the client's. */
void mux_emit(struct mux *m, const char *session, const char *method, struct str params);
struct mux_session *mux_session_find(struct mux *m, const char *id);
struct mux_session *mux_session_add(struct mux *m, enum session_kind k, const char *id,
                                    const char *parent, const char *target);
/** Takes it and what is played below it out; what it waited for may run. */
void mux_session_remove(struct mux *m, struct mux_session *s);

/* mux_target.c, mux_browser.c: commands that are answered here. True: done (answered, or it will
 * be). */
typedef void own_fn(struct mux *m, struct mux_session *s, struct mux_call *c,
                    const struct json *params);
own_fn *mux_own_target(const char *method);
own_fn *mux_own_browser(const char *method);
void mux_attach_main(struct mux *m, const char *page);
void mux_main_ready(struct mux *m); /* what came early is dealt with */
void mux_attached(struct mux *m, struct mux_call *c, enum status s, struct str text);
void mux_opened(struct mux *m, struct mux_call *c, struct str text);
bool mux_is_attach(const struct mux_call *c);
/** Target.getTargetInfo of a page: asked of the browser, and its answer. */
void mux_ask_info(struct mux *m, struct mux_call *c, const char *target);
void mux_informed(struct mux *m, struct mux_call *c, struct str text);
void mux_unpark(struct mux *m);
/** Events about sessions below an adopted one. */
void mux_child_event(struct mux *m, struct mux_session *s, struct str method, struct str params);
/* mux_attach.c */
void mux_filter_read(const struct json *j, struct filter *f);
bool mux_filter_has(const struct filter *f, const char *type);
void mux_say_created(struct mux *m, struct mux_session *s, void *target);
void mux_tell_detached(struct mux *m, const char *parent, const char *session, const char *target);
bool mux_has_session(const struct mux *m, enum session_kind k, const char *parent,
                     const char *target);
void mux_ask_attach(struct mux *m, struct mux_call *c, const char *target);
void mux_attach_page(struct mux *m, struct mux_session *s, struct view_target *t);
void mux_auto_attach(struct mux *m, struct mux_session *s, void *target);
/** Its answer waits until the attachments that go before it are told. */
void mux_park(struct mux_call *c, struct str result);
/** Its target is not waited for by this session any more. `c` (may be NULL): answered in time. */
void mux_let_run(struct mux *m, struct mux_session *s, struct mux_call *c);

enum {
    MUX_SESSION_GONE = -32001,
    MUX_REFUSED = -32000,
    MUX_NO_METHOD = -32601,
    MUX_PARAMS = -32602
};

#endif
