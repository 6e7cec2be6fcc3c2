/* Finding and starting fleet-reaper. Internal to the reaper. */
#ifndef REAPER_START_H
#define REAPER_START_H

#include <sys/types.h>

#include "core/base/err.h"

/** Path of fleet-reaper, malloc'ed: `given`, else FLEET_REAPER, beside the running executable,
 * ../libexec/fleet, LIBEXECDIR. ENVIRONMENT names every place that was looked at. */
must_check enum status start_find(const char *given, char **out, struct err *e);

/** Runs it with its end of a new control socket; *sock is ours (close-on-exec, non-blocking). */
must_check enum status start_spawner(const char *program, unsigned uid_base, int *sock, pid_t *pid,
                                     struct err *e);

#endif
