/* The pieces of reaper_sweep. Internal to the reaper. */
#ifndef REAPER_SWEEP_H
#define REAPER_SWEEP_H

#include <sys/types.h>

#include "core/base/str.h"

/** What a lock file says; points into its text. */
struct sweep_notes {
    struct str name, tmp, cgroups[8];
    size_t n_cgroups;
    uid_t uid; /* 0: none of its own */
    bool orphans;
};
void sweep_parse(struct str text, struct sweep_notes *out);
bool sweep_is_lock_name(const char *name);

/** <state_dir>/run, absolute; malloc'ed. */
char *sweep_run_dir(const char *state_dir) must_check;

#endif
