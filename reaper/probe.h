/* Which layers this machine offers: each is tried in a child that then ends. Runs in the spawner.
 * Linked into the launcher. */
#ifndef REAPER_PROBE_H
#define REAPER_PROBE_H

#include "reaper/cgroup.h"

struct probe {
    uint32_t layers;                    /* bits */
    int32_t errnos[REAPER_LAYER_COUNT]; /* why not */
    unsigned long
        clone_flags; /* CLONE_NEW* to be had at once: with CLONE_NEWUSER when that is the way */
    bool is_root;    /* ids can be changed freely */
    bool userns;     /* clone_flags has CLONE_NEWUSER */
    bool masked_proc;
    struct cgroup_base cgroups;
};

/** `test_uid`: an unprivileged uid to try as when root. A few milliseconds. */
void probe_run(struct probe *p, unsigned test_uid);
/** The inside id of a member in a user namespace: never 0, which a browser refuses. */
unsigned probe_inside_id(unsigned outside);

#endif
