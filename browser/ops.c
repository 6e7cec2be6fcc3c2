#include "browser/ops.h"

#include "browser/ops_flow.h"
#include "browser/ops_page.h"

void ops_add_browser(struct op_table *t)
{
    op_table_add(t, ops_page, n_ops_page);
    op_table_add(t, ops_flow, n_ops_flow);
}
