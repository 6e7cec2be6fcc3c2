/* The browser's rows of the op table about files that pages give and take. call->session is a
 * struct page_session. */
#ifndef BROWSER_OPS_FILES_H
#define BROWSER_OPS_FILES_H

#include "core/op/op.h"

/** page.allow_downloads, page.download, page.upload. Static rows. */
extern const struct op ops_files[];
extern const size_t n_ops_files;

#endif
