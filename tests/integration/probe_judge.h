/* What the probe's visits say against an identity: mismatches, counted by class. */
#ifndef TESTS_INTEGRATION_PROBE_JUDGE_H
#define TESTS_INTEGRATION_PROBE_JUDGE_H

#include "fingerprints/identity.h"
#include "tests/integration/probe_rig.h"

enum probe_class {
    PROBE_MISSING,   /* a realm did not report */
    PROBE_REALM,     /* a realm says otherwise than the page */
    PROBE_FIRST,     /* a value changed after the first script */
    PROBE_CLAIMED,   /* the page says otherwise than the identity */
    PROBE_LOGIC,     /* values that contradict one another */
    PROBE_HEADER,    /* a request's headers say otherwise than the identity */
    PROBE_ORDER,     /* headers' order, case or number is not that of a browser without identity */
    PROBE_LEAK,      /* a word of what really runs */
    PROBE_TAMPER,    /* a function that is not as in a browser without identity */
    PROBE_RESTART,   /* the same identity, another value */
    PROBE_COLLISION, /* another identity, the same value */
    PROBE_CLASSES
};
extern const char *const probe_class_names[PROBE_CLASSES];

struct probe_count {
    unsigned wrong[PROBE_CLASSES], checked[PROBE_CLASSES];
    bool verbose; /* each mismatch is printed */
};
unsigned probe_total(const struct probe_count *c);

/** One visit: all classes but the last two. `plain` is a visit of the same browser without an
 * identity. */
void probe_judge(struct probe_count *c, const struct probe_visit *v, const struct identity *id,
                 const struct probe_visit *plain, bool popups);
/** Two visits of one identity, with a restart of the browser between them. */
void probe_judge_restart(struct probe_count *c, const struct probe_visit *a,
                         const struct probe_visit *b);
/** Two visits of two identities: what noise and ids must make different. */
void probe_judge_collision(struct probe_count *c, const struct probe_visit *a,
                           const struct probe_visit *b);
void probe_print(const struct probe_count *c, const char *title, unsigned visits);

#endif
