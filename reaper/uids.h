/* Who uses which uid, for all fleets of the machine: byte n of a file is locked by the process that
 * has uid n. A lock ends with its process (fcntl(2)), whatever happens to it. Only root gives uids.
 */
#ifndef REAPER_UIDS_H
#define REAPER_UIDS_H

#include <stdbool.h>
#include <sys/types.h>

/** The file, or -1. One descriptor a process: closing another one of it would end its locks. */
int uids_open(void);
/** False when another process has it. errno is then EAGAIN or EACCES; anything else is a failure.
 */
bool uids_take(int fd, uid_t uid);
void uids_give(int fd, uid_t uid);

#endif
