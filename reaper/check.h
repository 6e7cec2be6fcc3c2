/* The pieces of reaper_check_renderers. Internal to the reaper. */
#ifndef REAPER_CHECK_H
#define REAPER_CHECK_H

#include <sys/types.h>

#include "core/base/str.h"

struct reaper_renderers;

struct check_status {
    pid_t parent;
    unsigned filters; /* seccomp filters, 0 where the kernel does not count them */
    unsigned depth;   /* PID namespaces it is in, 1: only ours */
};
/** Takes the text of /proc/<pid>/status apart; false when it is none. */
must_check bool check_parse_status(struct str text, struct check_status *out);

#endif
