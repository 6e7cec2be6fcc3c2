/* What a process tree takes of the machine's memory (blocking, some milliseconds: for a worker
 * thread), and what the kernel had to take back. */
#ifndef BROWSER_CHROMIUM_MEMORY_H
#define BROWSER_CHROMIUM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** Proportional set size (smaps_rollup) of `pid` and all its descendants, in bytes; resident size
 * less shared pages where the kernel does not let the former be read. False when the process is
 * gone. Any thread. */
bool memory_of_tree(pid_t pid, uint64_t *bytes, unsigned *processes);

/** Processes that the kernel killed for lack of memory in the cgroup of `pid`, and below it, since
 * that was made; 0 where it is not told. Two small files: the loop may. */
uint64_t memory_oom_kills(pid_t pid);

#endif
