/* What is left on this machine of members that are gone, looked up where the kernel tells it and
 * the reaper keeps no books: processes in a cgroup of the test's own, mounts, cgroups, directories,
 * sockets. */
#ifndef TESTS_FAULT_REAP_LEFT_H
#define TESTS_FAULT_REAP_LEFT_H

#include <time.h>

#include "tests/support/members.h"

struct left {
    size_t processes; /* in `ground`; zombies do not count */
    size_t mounts;    /* lines of mountinfo that name `dir` */
    size_t cgroups;   /* of any fleet-reaper that is dead, in every hierarchy, made since */
    size_t entries;   /* files and directories below `dir`, but <dir>/run itself */
    size_t sockets;   /* bound to a path below `dir` */
};
/** `dir` is the state directory and the TMPDIR of all that is looked for, which began at `since`
 * (wall clock, seconds). */
struct left left_of(const struct ground *ground, const char *dir, time_t since);
bool left_is_nothing(const struct left *l);
/** "2 processes, 1 cgroup"; "nothing". Good until the next call. */
const char *left_text(const struct left *l);

/** Its command line (NUL bytes read as spaces) has `word` and not `but` (may be NULL). */
bool left_is_called(pid_t pid, const char *word, const char *but);
/** The first living process in the ground that is called so; 0: none. */
pid_t left_find(const struct ground *ground, const char *word, const char *but);

#endif
