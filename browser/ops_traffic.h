/* The row of the op table about what a page was answered: page.response_body. call->session is a
 * struct page_session. */
#ifndef BROWSER_OPS_TRAFFIC_H
#define BROWSER_OPS_TRAFFIC_H

#include "core/op/op.h"

extern const struct op ops_traffic[];
extern const size_t n_ops_traffic;

#endif
