/* core's executor over the pool: an attempt is a flow run by a member in its own browser context.
 */
#ifndef BROWSER_EXECUTOR_H
#define BROWSER_EXECUTOR_H

#include "core/sched/executor.h"

extern const struct executor_ops browser_executor;

struct pool;
/** Where its members' contexts are: for the gateway. */
struct pool *browser_executor_pool(struct executor *x);

#endif
