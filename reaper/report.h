/* How code that runs before a member's execve says what failed. Steps are tried with TRY; the first
 * failure is kept with its errno and what it was about, and later sent to whoever asked. Linked
 * into the launcher. */
#ifndef REAPER_REPORT_H
#define REAPER_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "reaper/wire.h"

struct report {
    struct wire_failed failed; /* step STEP_NONE: nothing failed yet */
    uint32_t calls;            /* tried so far */
    uint32_t fail_at;          /* tests: this one fails; 0: none */
    int fail_errno;
};

void report_init(struct report *r, uint32_t id, const struct wire_numbers *n);
/** Notes the failure unless there is one already; returns false. `detail` is copied, may be NULL.
 */
bool report_fail(struct report *r, enum step s, const char *detail, int errnum);
/** True when this call is the one that a test makes fail; then it is noted. */
bool report_is_fault(struct report *r, enum step s, const char *detail);
/** rc < 0: notes errno, false. */
bool report_rc(struct report *r, enum step s, const char *detail, long rc);
/** Forgets the failure: what failed can be done without. */
void report_clear(struct report *r);

/** Tries a system call: true when it went well. Stops counting at nothing else, so that every call
 * can be made to fail in turn. */
#define TRY(r, step, detail, call)                                                                 \
    (!report_is_fault((r), (step), (detail)) && report_rc((r), (step), (detail), (long)(call)))

#endif
