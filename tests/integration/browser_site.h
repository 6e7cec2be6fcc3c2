/* A web site for the browser tests, on the test's own loop: it answers for every host name, because
 * it is also the proxy that the pages are fetched through (absolute-form requests; CONNECT is
 * refused). Every request is kept. */
#ifndef TESTS_INTEGRATION_BROWSER_SITE_H
#define TESTS_INTEGRATION_BROWSER_SITE_H

#include <stdbool.h>

#include "core/base/loop.h"
#include "core/base/str.h"

struct site;

struct site_hit {
    char host[64], path[128], user_agent[256], languages[128], cookie[128], platform[32];
    char method[8];
};

struct site *site_open(struct loop *l);
void site_close(struct site **s);
uint16_t site_port(const struct site *s);
/** What `path` (without query) answers; "" for headers or body: none. Headers are lines ended by
 * \r\n. A body of "@never" is begun and never ended, with
 * "@silent" nothing is ever answered, with "@close" the connection is closed instead. The strings
 * are borrowed. Unknown paths answer 200 with a small page named after the path. */
void site_answer(struct site *s, const char *path, int status, const char *headers,
                 const char *body);
size_t site_hits(const struct site *s);
const struct site_hit *site_hit(const struct site *s, size_t i);
/** Requests for host (NULL: any) and path so far. */
size_t site_count(const struct site *s, const char *host, const char *path);
const struct site_hit *site_last(const struct site *s, const char *path);
void site_forget(struct site *s);

#endif
