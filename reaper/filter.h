/* seccomp filters, compiled once with libseccomp and handed to the launcher as bytes. README.md has
 * where the lists come from. */
#ifndef REAPER_FILTER_H
#define REAPER_FILTER_H

#include "core/base/buf.h"
#include "core/base/err.h"

enum filter_kind {
    FILTER_BROWSER,            /* allow-list; Chromium's own sandbox works within it */
    FILTER_BROWSER_NO_SANDBOX, /* the same less what only that sandbox needs: no namespaces, no
                                  chroot */
    FILTER_PROGRAM,            /* anything else: what a program can do without is denied */
    FILTER_COUNT
};

/** Appends the filter's instructions (struct sock_filter[]). UNSUPPORTED where libseccomp does not
 * know the machine. */
must_check enum status filter_compile(enum filter_kind k, struct buf *out, struct err *e);

/** The system calls the browser's list allows without looking at arguments; *n their count. For
 * tests and the documentation. */
const char *const *filter_allowed(size_t *n);
/** Those the program's list denies. */
const char *const *filter_denied(size_t *n);

#endif
