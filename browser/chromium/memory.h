/* What a process tree takes of the machine's memory. Blocking, some milliseconds: for a worker
 * thread. */
#ifndef BROWSER_CHROMIUM_MEMORY_H
#define BROWSER_CHROMIUM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** Proportional set size (smaps_rollup) of `pid` and all its descendants, in bytes; resident size
 * less shared pages where the kernel does not let the former be read. False when the process is
 * gone. Any thread. */
bool memory_of_tree(pid_t pid, uint64_t *bytes, unsigned *processes);

#endif
