/* Inside a member's network namespace. Linked into the launcher. */
#ifndef REAPER_NET_H
#define REAPER_NET_H

#include "reaper/report.h"

/** Brings `lo` up: 127.0.0.1 and ::1 work, and nothing else does. */
bool net_loopback_up(struct report *r);
/** Listens on first_port .. + n-1 of all addresses of 127.0.0.0/8; descriptors (close-on-exec,
 * non-blocking) to fds. */
bool net_listen(struct report *r, unsigned first_port, unsigned n, int *fds);

#endif
