/* Files that pass between us and an instance, which lives in a file system of its own: through
 * /proc/PID/root, into its profile's directory. Whatever is in there is the member's and not to be
 * trusted: no symbolic link is followed, only regular files are taken.
 *
 * Blocking: for worker threads. */
#ifndef BROWSER_CHROMIUM_ROOM_H
#define BROWSER_CHROMIUM_ROOM_H

#include <sys/types.h>

#include "core/base/buf.h"
#include "core/base/err.h"

enum { ROOM_PATH_MAX = 512 };

/** The profile's directory as the instance sees it. ENVIRONMENT: the process is gone, or is no
 * Chromium. */
must_check enum status room_profile(pid_t pid, char out[ROOM_PATH_MAX], struct err *e);

/** Moves the file `inside` (a path as the instance sees it) to the file `to`, which is made
 * anew. `*bytes` is its size. TOO_LARGE when it is larger than `max_bytes`; INVALID when it is no
 * regular file; ENVIRONMENT. */
must_check enum status room_take(pid_t pid, const char *inside, const char *to, uint64_t max_bytes,
                                 uint64_t *bytes, struct err *e);

/** Copies the file `from` to `inside`, whose directory is made (one level). The instance may read
 * it. INVALID, TOO_LARGE, ENVIRONMENT. */
must_check enum status room_put(pid_t pid, const char *from, const char *inside, uint64_t max_bytes,
                                struct err *e);

/** The file `inside` onto `out`; it stays where it is. NOT_FOUND; TOO_LARGE, INVALID, ENVIRONMENT.
 */
must_check enum status room_read(pid_t pid, const char *inside, uint64_t max_bytes, struct buf *out,
                                 struct err *e);
/** As room_put, from memory. A file that could not be written whole is removed again. */
must_check enum status room_write(pid_t pid, struct str data, const char *inside, struct err *e);
/** Removes the directory `inside` with the files in it (one level). Harmless when it is not there,
 * or the instance is gone. */
void room_clear(pid_t pid, const char *inside);

#endif
