/* DevTools over two descriptors (--remote-debugging-pipe): JSON messages, each followed by a NUL
 * byte. */
#ifndef BROWSER_CDP_PIPE_H
#define BROWSER_CDP_PIPE_H

#include "browser/cdp/transport.h"
#include "core/base/loop.h"

/** `read_fd` and `write_fd` are ours from now on, also on failure; they are made non-blocking. IO.
 */
must_check enum status pipe_open(struct loop *l, int read_fd, int write_fd, struct transport **out,
                                 struct err *e);

/** The two pipes of a browser to be launched. theirs[0] becomes its descriptor 3, theirs[1] its
 * descriptor 4. All close-on-exec. */
struct pipe_ends {
    int read_fd, write_fd; /* ours: for pipe_open */
    int theirs[2];         /* for the launch; the caller closes them afterwards */
};
must_check enum status pipe_make(struct pipe_ends *out, struct err *e);

#endif
