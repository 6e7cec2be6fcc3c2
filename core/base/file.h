/* Files: whole reads with a cap, writes that leave the old content or the new, locks, directories.
 * Blocking: for start-up and worker threads. */
#ifndef CORE_BASE_FILE_H
#define CORE_BASE_FILE_H

#include <sys/types.h>

#include "core/base/buf.h"
#include "core/base/err.h"

/** Reads all of `path` ("-": standard input) onto the end of `out`. NOT_FOUND, PERMISSION,
 * TOO_LARGE (the buffer's cap), INVALID (a directory), IO. On failure nothing is added; a buffer
 * whose cap was passed stays failed. */
must_check enum status file_read(const char *path, struct buf *out, struct err *e);
/** Replaces `path` in one step: temporary file beside it, fsync, rename, fsync of the directory. On
 * failure the old file is untouched and nothing is left beside it; only when the directory's fsync
 * fails is the new content in place, and the sentence says so. A symbolic link at `path` is itself
 * replaced. `mode` is exact (no umask). Fault points: file.write, file.fsync, file.rename. */
must_check enum status file_replace(const char *path, struct str content, mode_t mode,
                                    struct err *e);
/** Creates the directory and its parents (mode, less the umask, for each that is made). Existing is
 * fine; a file in its place is INVALID. The names of those that are made are synced, so that what
 * is synced in them survives a power cut. */
must_check enum status file_mkdirs(const char *path, mode_t mode, struct err *e);
/** Removes a tree without following links, all it can of it; the first failure is reported. A
 * missing path is fine. More than 200 levels are not removed (INVALID). */
must_check enum status file_remove_tree(const char *path, struct err *e);
/** Takes a POSIX record lock on `path` (made with mode 0600); the descriptor that holds it goes to
 * *fd. With `wait_ms` 0 it does not wait. BUSY when another process holds it, with its pid in the
 * sentence. The lock ends with the process or close(fd), and also when the process closes any other
 * descriptor of that file: open it nowhere else. The same process gets it twice. */
must_check enum status file_lock(const char *path, unsigned wait_ms, int *fd, struct err *e);
/** All of the bytes, through short writes and EINTR; `name` is for the sentence. For blocking
 * descriptors. CLOSED: nobody reads the pipe. */
must_check enum status file_write_all(int fd, const void *p, size_t n, const char *name,
                                      struct err *e);
/** "dir/rel", or rel when it is absolute; dir "" or NULL: rel. Malloc'ed, never NULL. */
char *file_join(const char *dir, const char *rel) must_check;
/** Directory part of a path: "" when there is none. Malloc'ed, never NULL. */
char *file_dirname(const char *path) must_check;
/** O_NONBLOCK and FD_CLOEXEC. */
must_check enum status file_nonblock(int fd, struct err *e);

#endif
