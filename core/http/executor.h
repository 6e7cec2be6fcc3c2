/* core's executor over plain HTTP: what fleet-core runs. A flow is a list of requests:
 *
 *   {"steps": [{"type": "http.get", "url": "{{url}}", "headers": {"accept": "application/json"},
 * "name": "item"},
 *              {"type": "http.post", "url": "{{base}}/orders", "json": {"sku": "{{sku}}"}}]}
 *
 * `type` is a row of the op table, the step's other members are its parameters (`name` aside).
 * {{a.b}} in any string is a value of the target row, `member.index`, `member.identity`, `input`
 * (plan and pipeline), or what an earlier step answered, by its name. A step that fails ends the
 * task. The output is an object of the answers by name; of steps without one only the last is kept,
 * as "response".
 *
 * A step with "irreversible": true is confirmed before it is sent (executor.h), and when nobody can
 * say whether it was done, for a lost connection or a crash, the task ends unknown and is not
 * repeated. */
#ifndef CORE_HTTP_EXECUTOR_H
#define CORE_HTTP_EXECUTOR_H

#include "core/sched/executor.h"

/* Identities show this browser where none runs. */
#define HTTP_EXECUTOR_BROWSER_VERSION "156.0.8078.79"

extern const struct executor_ops http_executor;

#endif
