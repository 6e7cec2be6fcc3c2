/* The browser's rows of the op table that make files of what a page shows. call->session is a
 * struct page_session. */
#ifndef BROWSER_OPS_CAPTURE_H
#define BROWSER_OPS_CAPTURE_H

#include "core/op/op.h"

/** page.html, page.mhtml, page.pdf, page.screenshot. Static rows. */
extern const struct op ops_capture[];
extern const size_t n_ops_capture;

#endif
