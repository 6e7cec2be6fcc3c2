/* User flows: Chrome DevTools Recorder's JSON, and Fleet's own steps. A flow is decoded and checked
 * once and shared by all attempts; a run takes one attempt through its steps. Every step that acts
 * is an op that passes the gate (browser/ops_flow.h, browser/ops_page.h); steps run one after the
 * other.
 *
 *   flow_run: started -> step by step -> (a picture of the failure) -> done
 *
 * README.md has the steps, the order in which things are tried, and what is added to Recorder's
 * format. Loop thread only. */
#ifndef BROWSER_FLOW_FLOW_H
#define BROWSER_FLOW_FLOW_H

#include "browser/page/session.h"
#include "core/base/arena.h"
#include "core/base/json.h"

struct flow;
struct flow_run;

/** Decodes and checks the tree of a flow file. Errors go to `d`, all of them, each with the path of
 * its step ("/steps/3/selectors"); the result is NULL when there was one. Nothing of `j` is kept.
 * The flow lives in `a`. */
struct flow *flow_decode(struct arena *a, const struct json *j, struct json_decode *d);

const char *flow_title(const struct flow *f);
/** Steps at the top level. */
size_t flow_len(const struct flow *f);
/** What was accepted although nobody here knows it: members of later versions of Recorder, steps
 * that do nothing. Sentences that begin with their path. */
struct json_strs flow_warnings(const struct flow *f);
/** The flow in words, a line a step, for `fleet flow check`. */
void flow_explain(const struct flow *f, struct buf *out);

/** Runs `f` for the session's attempt. At the end s->attempt has status, err, error_step (index of
 * the top-level step from 0, -1: none), output (an object, or NULL when the flow made none) and
 * may_have_happened; then done(arg) is called once, from the loop, never from inside this call. `f`
 * must live until then. */
struct flow_run *flow_run(const struct flow *f, struct page_session *s, void (*done)(void *arg),
                          void *arg);
/** Makes the run end soon, within 2 s whatever the page does, with `why` (CANCELLED, TIMEOUT,
 * SHUTTING_DOWN, LEASE_LOST ...). No picture is made. Harmless when it is about to end by itself;
 * not after done. */
void flow_cancel(struct flow_run *r, enum status why);

#endif
