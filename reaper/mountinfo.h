/* /proc/self/mountinfo (proc(5)), as far as the launcher needs it: lines taken apart, mounts below
 * a path, where cgroup hierarchies are. Linked into the launcher. */
#ifndef REAPER_MOUNTINFO_H
#define REAPER_MOUNTINFO_H

#include <stdbool.h>
#include <stddef.h>

struct mountinfo {
    char root[4096];   /* of the mount within its file system, octal escapes undone */
    char point[4096];  /* where it is */
    char options[512]; /* per mount: "ro,nosuid,relatime" */
    char type[64];     /* "cgroup2" */
    char super[1024];  /* per file system: "rw,memory" */
};

/** Takes one line (without its newline) apart. False when it is not of the form, or a part is too
 * long. */
bool mountinfo_parse(const char *line, struct mountinfo *out);
/** True when `word` is one of the comma-separated `options`. */
bool mountinfo_has_option(const char *options, const char *word);
/** Calls fn for each line of /proc/self/mountinfo until it returns false. -1 with errno when it
 * cannot be read. */
int mountinfo_each(bool (*fn)(const struct mountinfo *m, void *arg), void *arg);
/** Adds the MS_* flags to every mount at and below `path`, keeping what is set. -1 with errno. For
 * kernels without mount_setattr. */
int mountinfo_remount(const char *path, unsigned long flags);

#endif
