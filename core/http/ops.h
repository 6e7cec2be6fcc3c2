/* The rows of the op table that plain HTTP brings, and the fetcher of robots.txt. */
#ifndef CORE_HTTP_OPS_H
#define CORE_HTTP_OPS_H

#include "core/guard/robots.h"
#include "core/op/gate.h"

/** http.get, http.head, http.post, http.put, http.delete, and the internal http.hop (a redirect)
 * and http.robots. */
void http_ops_add(struct op_table *t);

/** For robots_create; its fetch_arg is a pointer to the `struct gate *` variable (robots is made
 * before the gate is). Follows up to five redirects, each through the gate. */
robots_fetch_fn http_robots_fetch;

/** What a caller of gate_run must fill in for an op of these: url and host from the parameters.
 * INVALID when the URL is none. */
must_check enum status http_op_target(struct op_call *call);

#endif
