/* What browser/ops_flow.c (acting, taking and setting values, the rows), browser/ops_flow_drag.c
 * (drag and drop) and browser/ops_flow_wait.c (what is to hold) share. */
#ifndef BROWSER_OPS_FLOW_INTERNAL_H
#define BROWSER_OPS_FLOW_INTERNAL_H

#include "browser/doing.h"
#include "browser/ops_flow.h"

enum { POLL_FIRST_MS = 20 }; /* the first rounds of what is looked at again and again */

#define SCHEMA(rows, T, title)                                                                     \
    {                                                                                              \
        .name = (title), .fields = (rows), .n = ARRAY_LEN(rows), .size = sizeof(struct T)          \
    }

/** A field that holds any object: JK_FN, borrowed from the parameters. */
bool ops_flow_object(struct json_decode *d, const struct json *j, void *field);

/** page.drag */
extern const struct json_schema ops_flow_drag_schema;
void ops_flow_drag_run(struct op_call *call);

/** page.wait_for_element */
extern const struct json_schema ops_flow_wait_schema;
void ops_flow_wait_run(struct op_call *call);

/** page.assert and page.check; page.wait_for_expression. They run alike. */
extern const struct json_schema ops_flow_assert_schema, ops_flow_expression_schema;
void ops_flow_holds_run(struct op_call *call);

#endif
