/* What tests of the browser's lower floors stand on: a loop that the test turns, a reaper, a site
 * that answers for all host names since it is also the members' proxy, a gate in which denied.test
 * is refused by policy, and one browser behind it. Each step fails the running case. */
#ifndef TESTS_INTEGRATION_BROWSER_RIG_H
#define TESTS_INTEGRATION_BROWSER_RIG_H

#include "browser/chromium/instance.h"
#include "core/guard/breaker.h"
#include "core/guard/limit.h"
#include "core/guard/policy.h"
#include "core/guard/robots.h"
#include "core/op/gate.h"
#include "reaper/reaper.h"
#include "tests/integration/browser_site.h"

enum { RIG_SAMPLES = 1000 }; /* failures of a host until its breaker opens */

struct browser_rig {
    struct loop *loop;
    struct arena *arena;
    char *state; /* the state directory */
    struct site *site;
    struct reaper *reaper;
    /* from rig_make_gate on */
    struct op_table *ops;
    struct policy *policy;
    struct robots *robots; /* what it was given */
    struct breaker *breaker;
    struct limiter *limiter;
    struct gate *gate;
    /* from rig_start_browser on */
    struct browser_program program;
    struct instance *instance;
    bool ready, over;
    enum status over_why;
    struct err err; /* of the call that failed, or why the browser is over */
};

void rig_open(struct browser_rig *r);
/** `own` says robots (which the rig owns from here on), captcha and on_op. Hosts may be asked 1,000
 *  times a second. */
void rig_make_gate(struct browser_rig *r, const struct gate_deps *own);
/** Until it is ready. `targets` may leave gate and document out. The case is skipped when there is
 *  no such browser. */
void rig_start_browser(struct browser_rig *r, enum browser_kind kind,
                       const struct targets_opts *targets);
/** All that was opened; nothing may be in the gate, and no process left. Contexts are gone before.
 */
void rig_close(struct browser_rig *r);

#endif
