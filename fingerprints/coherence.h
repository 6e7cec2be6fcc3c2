/* What must hold between the fields of an identity, as rows of a table, each with its reason. Pure.
 */
#ifndef FINGERPRINTS_COHERENCE_H
#define FINGERPRINTS_COHERENCE_H

#include "core/base/buf.h"
#include "fingerprints/identity.h"

/** What the identity is going to run on. */
struct coherence_machine {
    const char *browser_version; /* "156.0.8078.79"; NULL: not known, not compared */
    uint64_t memory_bytes;       /* 0: not known, not compared */
};

/** One rule that does not hold. Borrowed for the call. */
struct contradiction {
    const char *rule;   /* "ua-platform" */
    const char *what;   /* what contradicts what, with the values */
    const char *reason; /* why a page or server would see it */
};
typedef void contradiction_fn(void *arg, const struct contradiction *c);

/** Calls `fn` (may be NULL) for each rule that does not hold, in the order of the table; returns
 * how many. */
size_t coherence_check(const struct identity *id, const struct coherence_machine *m,
                       contradiction_fn *fn, void *arg);

/** How many rules there are. */
size_t coherence_count(void);

/** What the identity names and the machine's rendering cannot show: the sentence of the bit `mark`
 * (IDENTITY_MARK_*), NULL when there is no such bit. */
const char *coherence_mark(uint32_t mark);

#endif
