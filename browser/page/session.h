/* What one attempt of a task has of the browser: op_call.session points to one of these. Made by the executor when the member's context is
 * ready, ended by it when the attempt ends. Loop thread only. */
#ifndef BROWSER_PAGE_SESSION_H
#define BROWSER_PAGE_SESSION_H

#include "browser/page/page.h"
#include "core/base/loop.h"
#include "core/conf/campaign.h"
#include "core/fleet/member.h"
#include "core/op/gate.h"
#include "core/sched/executor.h"

struct page_session {
    struct page *page; /* what ops act on: `main`, or the page that the step's `target` chose. Set by the flow */
    struct page *main; /* the attempt's own page; never NULL */
    struct member *member;
    struct attempt *attempt;
    const struct campaign_conf *conf;
    struct gate *gate;
    struct op_table *ops;
    struct loop *loop;
    struct arena *arena;        /* the attempt's */
    const char *artifacts_dir;  /* absolute, exists; NULL: none are written */
    struct json *artifacts;     /* array of paths, made by the executor; session_add_artifact appends */
    struct json *vars;          /* object: values that steps set and extract; owned by the session, filled by the flow */
    uint64_t timeout_ms;        /* default timeout of a step: 5000 unless the flow says otherwise */
    struct op_call *running;    /* the op that acts on the page now, or NULL: whose doing document requests are */
    void *flow;                 /* the flow engine's own */
};

/** The session of a call of one of the browser's ops. */
static inline struct page_session *session_of(const struct op_call *call)
{
    return call->session;
}

/** A new path in artifacts_dir, "<dir>/<task>-<attempt>-<name>.<ext>", unique within the attempt; added to artifacts (relative to the
 *  results file's directory). Lives in the arena. NULL when the campaign writes none. */
const char *session_add_artifact(struct page_session *s, const char *name, const char *ext);

#endif
