/* What a run left behind, as the machine tells it: nothing of our own bookkeeping is asked. */
#ifndef BROWSER_DEMO_LEFT_H
#define BROWSER_DEMO_LEFT_H

#include <stdint.h>
#include <sys/types.h>

#include "core/base/buf.h"

struct left {
    unsigned processes; /* descendants of this process in /proc at any depth, zombies included */
    unsigned dirs; /* what of members is in <state_dir>/run ("m-..."), and entries of TMPDIR, /tmp
                      and /dev/shm that belong to a member's uid */
    struct buf names; /* of the first few: "pid 41 (chrome)", "/tmp/x", separated by ", " */
};

/** Counts. `this process` adopts the orphans of its descendants (PR_SET_CHILD_SUBREAPER, which the
 * reaper sets), so whatever was started and detached itself is found. `uid_from`..: uids given to
 * members as root, uid_count 0: none. Blocking, a few milliseconds. */
void left_count(const char *state_dir, uid_t uid_from, uid_t uid_count, struct left *out);
void left_deinit(struct left *l);

#endif
