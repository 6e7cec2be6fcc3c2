/* Killing what a member left, where no PID namespace does it. Linked into the launcher. */
#ifndef REAPER_KILLTREE_H
#define REAPER_KILLTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** Calls fn for each child of process `pid` (kernel's children files, or all of /proc where there
 * are none). */
void killtree_children(pid_t pid, void (*fn)(pid_t child, void *arg), void *arg);
/** SIGKILL to all descendants of `pid` (not itself), top down; returns how many there were. */
size_t killtree_kill(pid_t pid);
/** As init or subreaper: kills all descendants and reaps, until none is left or `max_ms` have
 * passed. With `by_uid` (the caller runs as a uid that it shares with nobody) the kernel is asked
 * to kill all of that uid at once. Returns true when none is left. */
bool killtree_end(bool by_uid, unsigned max_ms);

#endif
