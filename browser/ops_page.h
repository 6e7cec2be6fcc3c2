/* The browser's rows of the op table that are about a page as a whole. call->session is a struct
 * page_session (browser/page/session.h). */
#ifndef BROWSER_OPS_PAGE_H
#define BROWSER_OPS_PAGE_H

#include "core/op/op.h"

/** page.navigate, page.set_viewport, page.emulate_network, page.close,
 * page.document. Static rows. */
extern const struct op ops_page[];
extern const size_t n_ops_page;

/** The row page.document within them: for the pool. */
const struct op *ops_page_document(void);

#endif
