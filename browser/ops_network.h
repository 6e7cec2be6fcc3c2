/* The browser's rows of the op table about what a page asks for and says. call->session is a struct
 * page_session. */
#ifndef BROWSER_OPS_NETWORK_H
#define BROWSER_OPS_NETWORK_H

#include "core/op/op.h"

/** page.block, page.console, page.dialogs. Static rows. */
extern const struct op ops_network[];
extern const size_t n_ops_network;

#endif
