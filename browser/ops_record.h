/* The browser's rows of the op table that record while other ops go on: each call of one begins or
 * ends it, and so does the attempt's end. call->session is a struct page_session. */
#ifndef BROWSER_OPS_RECORD_H
#define BROWSER_OPS_RECORD_H

#include "core/op/op.h"

/** page.har, page.screencast. Static rows. */
extern const struct op ops_record[];
extern const size_t n_ops_record;

#endif
