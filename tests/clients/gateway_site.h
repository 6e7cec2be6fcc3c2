/* The pages that clients of the gateway visit. */
#ifndef TESTS_CLIENTS_GATEWAY_SITE_H
#define TESTS_CLIENTS_GATEWAY_SITE_H

#include "tests/support/httpd.h"

struct httpd *gateway_site_start(void);
/** Requests for pages so far (not for scripts and images). */
unsigned gateway_site_documents(const struct httpd *h);

#endif
