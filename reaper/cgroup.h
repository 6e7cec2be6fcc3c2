/* A cgroup for a member: limits of memory, processes and CPU, v2 or v1, and on v2 a way to kill all
 * of it at once. Where directories cannot be made there is none. Runs in the spawner. Linked into
 * the launcher. */
#ifndef REAPER_CGROUP_H
#define REAPER_CGROUP_H

#include "reaper/report.h"

enum cgroup_controller { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU, CGROUP_CONTROLLERS };
enum { CGROUP_PATH_MAX = 384 };

/** Where members' cgroups can be made: our own place in each hierarchy. */
struct cgroup_base {
    char v1[CGROUP_CONTROLLERS][CGROUP_PATH_MAX]; /* "" : none */
    char v2[CGROUP_PATH_MAX];                     /* "" : none */
    bool v2_has[CGROUP_CONTROLLERS];              /* a directory made there has the controller */
    int limits_errno; /* why there is no memory and pids controller to be had; 0: there is */
    int kill_errno;   /* why there is no v2 directory; 0: there is */
};

/** Finds out, by making a directory and removing it; and removes such directories of spawners that
 * were killed before they could. */
void cgroup_find(struct cgroup_base *b);

/** One member's directories; the controllers of v1 have one each, v2 one, which is the first. */
struct cgroup {
    char dirs[CGROUP_CONTROLLERS + 1][CGROUP_PATH_MAX];
    int enter[CGROUP_CONTROLLERS + 1]; /* a file of each, open: write "0" to enter */
    size_t n;
    bool has_v2;
    int v2;                            /* that directory, for CLONE_INTO_CGROUP; -1: none */
    char events[CGROUP_PATH_MAX + 32]; /* file that counts OOM kills; "" : none */
    char kill[CGROUP_PATH_MAX + 16];   /* cgroup.kill; "": none */
};

/** What a member's cgroup is for. */
enum { CGROUP_FOR_LIMITS = 1, CGROUP_FOR_KILL = 2 };

/** Makes directories called `name` where they are needed for `uses`, and sets the spec's limits. On
 * failure nothing is left. */
bool cgroup_create(struct report *r, const struct cgroup_base *b, const char *name,
                   const struct wire_numbers *n, unsigned uses, struct cgroup *out);
/** In the member, while it has one thread and before it becomes anything: moves the calling process
 * in. in_v2: it was cloned into that one. Moving is dear where the kernel has to stop all forks and
 * exits of the machine for it (cgroup.procs: 13 ms, a grace period of RCU); a clone into v2, and
 * one thread by itself in v1, go without. */
bool cgroup_enter(struct report *r, const struct cgroup *c, bool in_v2);
/** The spawner's descriptors are not needed once the member is in. */
void cgroup_close(struct cgroup *c);
/** Processes killed for memory so far. */
unsigned cgroup_oom_kills(const struct cgroup *c);
/** Kills all that is in it (v2 only). */
void cgroup_kill(const struct cgroup *c);
/** Removes the directories; true when none is left. Fails for a while after the last process has
 * gone: call again. */
bool cgroup_remove(struct cgroup *c);

#endif
