/* What one attempt of a task has of the browser: op_call.session points to one of these. Made by
 * the executor when the member's context is ready, ended by it when the attempt ends. Loop thread
 * only. */
#ifndef BROWSER_PAGE_SESSION_H
#define BROWSER_PAGE_SESSION_H

#include "browser/page/input.h"
#include "browser/page/page.h"
#include "core/base/loop.h"
#include "core/conf/campaign.h"
#include "core/fleet/member.h"
#include "core/op/gate.h"
#include "core/sched/executor.h"

struct page_session {
    struct page *page; /* what ops act on: `main`, or the page that the step's `target` chose. Set
                          by the flow */
    struct page *main; /* the attempt's own page; never NULL */
    struct member *member;
    struct attempt *attempt;
    const struct campaign_conf *conf;
    struct gate *gate;
    struct limiter *own; /* a slower limit for its documents; NULL: none. Outlives the session */
    struct op_table *ops;
    struct loop *loop;
    struct arena *arena;       /* the attempt's */
    const char *artifacts_dir; /* absolute, exists; NULL: none are written */
    struct json *artifacts; /* array of paths, made by the executor; session_add_artifact appends */
    struct json *vars; /* object: values that steps set and extract; owned by the session, filled by
                          the flow */
    uint64_t timeout_ms;   /* default timeout of a step: 5000 unless the flow says otherwise */
    uint64_t heartbeat_ms; /* deadlines.heartbeat_ms; 0: none */
    struct heartbeat beat; /* of the op at hand */
    struct json *console;  /* array of {"type", "text", "url"}: what its pages said (console.c),
                              NULL:  nothing; whoever owns the session destroys it */
    struct err refused; /* the gate's, of a document that a page was led to, until an op or the flow
                           has told it; status OK: none */
    struct op_call
        *running; /* the op that acts on the page now, or NULL: whose doing document requests are */
    uint64_t entered_ms;       /* the op that acts on the page began to */
    uint64_t rests_since_ms;   /* no op acts on a page since, or the one that does sleeps; 0: one is
                                  at work */
    struct keys keys;          /* held down by page.key_down until page.key_up */
    struct handoffs *handoffs; /* where a person sees pages that wait; NULL: nowhere */
    void *flow;                /* the flow engine's own */
};

/** The session of a call of one of the browser's ops. */
static inline struct page_session *session_of(const struct op_call *call)
{
    return call->session;
}

/** An op begins to act on the page (s->running): until it ends document requests have its deadline,
 * and the page must show signs of life. */
void session_enter(struct page_session *s, struct op_call *call);

/** The op that acts on the page does nothing but let time pass, until it ends. */
void session_sleeps(struct page_session *s);
/** Nothing of the attempt wants a processor, for a while already: its op waits in the gate, sleeps,
 * waits for a server's answer to the page's document, or a person is at it. Nor is one counted on
 * whose page says nothing for long: it waits for something that is not seen here, or hangs, and
 * nobody is to wait for that. */
bool session_rests(const struct page_session *s, uint64_t now_ms);

/** The gate refused a document that a page of the attempt was led to, by script, meta refresh or as
 * a popup: whatever the op at hand says, it ends with this; when none is at hand, the next one or
 * the flow does. Only what blocks a task counts: POLICY_DENIED, ROBOTS_DENIED, BREAKER_OPEN. */
void session_refuse(struct page_session *s, const struct err *e);

/** The page is gone: an op that waits for nothing of it (a sleep) ends as well. */
void session_lost(struct page_session *s, const struct page *p);

/** What a navigation showed goes into call->seen, for classification: HTTP status, Retry-After,
 * block page, the proxy's part in it, and whose answer it was. For page.navigate and for every op
 * after which page_settle said that the page navigated. */
void session_observe(struct op_call *call, const struct page_nav *nav);

/** Ends the op: as op_call_finish, but TIMEOUT and CANCELLED first ask whether the page's script
 * hangs (page_verdict), so that it may end PAGE_HUNG. `result` is the call's. For the end of every
 * op that works on a page. */
void session_finish(struct op_call *call, enum status s, const struct err *e, struct json *result);

/** A new path in artifacts_dir, "<dir>/<task>-<attempt>-<name>.<ext>", unique within the attempt;
 * added to artifacts (relative to the results file's directory). Lives in the arena. NULL when the
 * campaign writes none. */
const char *session_add_artifact(struct page_session *s, const char *name, const char *ext);

#endif
