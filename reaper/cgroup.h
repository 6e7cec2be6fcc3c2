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

/** Finds out, by making a directory and removing it. */
void cgroup_find(struct cgroup_base *b);

/** One member's directories; the controllers of v1 have one each. */
struct cgroup {
    char dirs[CGROUP_CONTROLLERS + 1][CGROUP_PATH_MAX];
    int procs[CGROUP_CONTROLLERS + 1]; /* cgroup.procs, open: write "0" to enter */
    size_t n;
    char events[CGROUP_PATH_MAX + 32]; /* file that counts OOM kills; "" : none */
    char kill[CGROUP_PATH_MAX + 16];   /* cgroup.kill; "": none */
};

/** Makes directories called `name` and sets the spec's limits. With `limits` false only the v2
 * directory for killing. On failure nothing is left. */
bool cgroup_create(struct report *r, const struct cgroup_base *b, const char *name,
                   const struct wire_numbers *n, bool limits, struct cgroup *out);
/** In the member, before it becomes anything: moves the calling process in. */
bool cgroup_enter(struct report *r, const struct cgroup *c);
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
