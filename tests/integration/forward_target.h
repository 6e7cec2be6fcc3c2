/* What the tests of the forwarder have in common: a target that answers, requests for it, and
 * libcurl as the browser. */
#ifndef TESTS_INTEGRATION_FORWARD_TARGET_H
#define TESTS_INTEGRATION_FORWARD_TARGET_H

#include <curl/curl.h>

#include "tests/integration/forward_rig.h"

extern struct server target; /* serve_http */

/** Of a group of cases: the target answers meanwhile. */
int start_target(void **state);
int stop_target(void **state);

/** "GET http://127.0.0.1:<target><path>" and further lines; returns out. */
const char *get(char *out, size_t size, const char *path, const char *more);
/** The case fails unless `text` begins with `want`; has it in it. */
void expect_start(const char *text, const char *want);
void expect_in(const char *text, const char *want);

/** "http://127.0.0.1:<target><path>"; returns out. */
const char *url(char *out, size_t size, const char *path);

struct fetched {
    CURLcode rc;
    long code, proxy_code, connects;
    size_t bytes;
};
/** A download through the forwarder; `tunnel`: by CONNECT. */
struct fetched fetch(CURL *c, struct rig *r, const char *url, bool tunnel);
/** Through whatever upstream is set: small and large, plain and in a tunnel. `kept`: connections
 * are kept from request to request. */
void use_well(struct rig *r, bool kept);

#endif
