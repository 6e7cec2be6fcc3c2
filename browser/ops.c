#include "browser/ops.h"

#include "browser/ops_capture.h"
#include "browser/ops_files.h"
#include "browser/ops_flow.h"
#include "browser/ops_network.h"
#include "browser/ops_page.h"
#include "browser/ops_record.h"
#include "browser/ops_state.h"
#include "browser/ops_traffic.h"

void ops_add_browser(struct op_table *t)
{
    op_table_add(t, ops_page, n_ops_page);
    op_table_add(t, ops_capture, n_ops_capture);
    op_table_add(t, ops_files, n_ops_files);
    op_table_add(t, ops_flow, n_ops_flow);
    op_table_add(t, ops_network, n_ops_network);
    op_table_add(t, ops_record, n_ops_record);
    op_table_add(t, ops_state, n_ops_state);
    op_table_add(t, ops_traffic, n_ops_traffic);
}
