/* The browser's rows of the op table that act on what is in a page: the steps of flows, and what
 * automations and agents do one by one. Each finds its element by itself and waits for it; see
 * browser/flow/README.md for the rules. call->session is a struct page_session. */
#ifndef BROWSER_OPS_FLOW_H
#define BROWSER_OPS_FLOW_H

#include "core/op/op.h"

/** page.assert, change, check, click, double_click, extract, find, hover, key_down, key_up, scroll,
 * set, sleep, wait_for_element, wait_for_expression. Static rows. */
extern const struct op ops_flow[];
extern const size_t n_ops_flow;

#endif
