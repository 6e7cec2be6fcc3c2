/* Giving up privileges: ids, capabilities, limits, filters. Each runs in the process it changes.
 * Linked into the launcher. */
#ifndef REAPER_PRIVS_H
#define REAPER_PRIVS_H

#include <sys/types.h>

#include "reaper/report.h"

/** Writes setgroups, uid_map and gid_map of this process: outside id -> inside id, nothing else.
 * Right after CLONE_NEWUSER. */
bool privs_map_ids(struct report *r, uid_t inside, gid_t inside_gid, uid_t outside,
                   gid_t outside_gid);
/** Makes all permitted capabilities survive the next execve although no uid is 0 (ambient set). */
bool privs_keep_caps(struct report *r);
/** Empties the bounding set: before the change of ids, which takes CAP_SETPCAP away. An
 * unprivileged process cannot, and gains nothing. */
bool privs_drop_bounding(struct report *r);
/** No capability is left, none can come back (ambient and inheritable sets), and no_new_privs is
 * set. */
bool privs_drop_caps(struct report *r);
/** Changes to `uid` and `gid` for good, without supplementary groups. Nothing to do where they hold
 * already. */
bool privs_change_ids(struct report *r, uid_t uid, gid_t gid);
/** RLIMIT_CORE 0 and the spec's own; oom_score_adj. */
bool privs_limit(struct report *r, const struct wire_spec *s);
bool privs_filter(struct report *r, const struct wire_spec *s);
/** Whether this process, as it is, may make user namespaces and chroot in them: what Chromium's own
 * sandbox needs. 0 or errno. Changes the process: for a probe. */
int privs_probe_userns(void);

#endif
