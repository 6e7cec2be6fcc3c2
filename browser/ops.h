/* All of the browser's rows of the op table. */
#ifndef BROWSER_OPS_H
#define BROWSER_OPS_H

#include "core/op/op.h"

void ops_add_browser(struct op_table *t);

#endif
