/* The file system a member sees. Runs in init, inside the mount namespace, with the capabilities
 * for it. Linked into the launcher. */
#ifndef REAPER_MOUNTS_H
#define REAPER_MOUNTS_H

#include <sys/types.h>

#include "reaper/report.h"

/** Who the member is, and where it was launched. */
struct mounts_who {
    uid_t uid; /* inside */
    gid_t gid;
    uid_t owner_uid; /* whose the files of writable binds become; same as uid: no mapping needed */
    gid_t owner_gid;
    bool own_procfs; /* a new PID namespace: mount its own /proc (or bind the old where that is
                        masked) */
};

/** Builds the view of `s` and makes it the root: everything else is detached. *masked_proc is set
 * when the old /proc had to serve. */
bool mounts_enter(struct report *r, const struct wire_spec *s, const struct mounts_who *who,
                  bool *masked_proc);

/** Whether a tmpfs and a proc can be mounted here: 0, or errno. For the probe; changes the
 * namespace it runs in. */
int mounts_probe(bool *masked_proc);

#endif
