/* What the probe's server answers. */
#ifndef TESTS_INTEGRATION_PROBE_PAGES_H
#define TESTS_INTEGRATION_PROBE_PAGES_H

#include "tests/support/httpd.h"

/** A file of tests/site/probe, a script of FLEET_NPM (/npm/fp.js, /npm/tm.js; empty when it is not
 * installed), or what stands for a kind of request (/probe/seen). Any thread. */
void probe_page(const struct httpd_request *q, struct httpd_reply *a);

/** The value of a query's field, undecoded; "" when absent. */
const char *probe_query(const char *path, const char *name, char *out, size_t size);

#endif
