/* The browser's rows of the op table about what a member keeps: cookies and local storage, in
 * Playwright's JSON. call->session is a struct page_session. */
#ifndef BROWSER_OPS_STATE_H
#define BROWSER_OPS_STATE_H

#include "core/op/op.h"

/** member.state.export, member.state.import. Static rows. */
extern const struct op ops_state[];
extern const size_t n_ops_state;

#endif
