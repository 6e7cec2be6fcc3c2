/* Landlock (kernel 5.13 and later): what the member may do with files, also where mounts cannot be
 * had. Linked into the launcher. */
#ifndef REAPER_LANDLOCK_H
#define REAPER_LANDLOCK_H

#include "reaper/report.h"

/** The kernel's ABI version, 0 where there is none. */
int landlock_abi(void);
/** Restricts this process (which has no_new_privs): reading and executing everywhere it sees;
 * writing under /tmp (or `own_dir`), /dev, /proc and the spec's writable binds only. From ABI 6: no
 * abstract sockets and no signals to processes outside. */
bool landlock_enter(struct report *r, const struct wire_spec *s, const char *own_dir);

#endif
