/* Comments in JSON that people write. */
#ifndef CORE_CONF_COMMENTS_H
#define CORE_CONF_COMMENTS_H

#include "core/base/err.h"

/** Overwrites comments of both C forms outside strings with spaces, in place; line ends stay, so
 * that lines and columns of later errors are those of the file. INVALID ("line L, column C: ...")
 * for a comment that does not end. */
must_check enum status comments_blank(char *text, size_t len, struct err *e);

#endif
