#include "tests/integration/forward_target.h"

#include "tests/support/testing.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "proxies/tls.h"
#include "tests/integration/forward_rig.h"

struct server target;

int start_target(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    curl_global_init(CURL_GLOBAL_ALL);
    server_start(&target, serve_http, NULL);
    return 0;
}

int stop_target(void **state)
{
    (void)state;
    server_stop(&target);
    curl_global_cleanup();
    return 0;
}

/* "GET http://127.0.0.1:<target><path>" and further lines. */
const char *get(char *out, size_t size, const char *path, const char *more)
{
    snprintf(out, size, "GET http://127.0.0.1:%u%s HTTP/1.1\r\nHost: x\r\n%s\r\n", target.port,
             path, more);
    return out;
}

void expect_start(const char *text, const char *want)
{
    if (strncmp(text, want, strlen(want)) != 0)
        fail_msg("expected %s, got %.300s", want, text);
}

void expect_in(const char *text, const char *want)
{
    if (!strstr(text, want))
        fail_msg("expected %s in %.300s", want, text);
}

/* --- libcurl as the browser --- */

static size_t swallow(char *p, size_t size, size_t n, void *arg)
{
    (void)p;
    *(size_t *)arg += size * n;
    return size * n;
}

struct fetched fetch(CURL *c, struct rig *r, const char *url, bool tunnel)
{
    struct fetched f = {0};
    char proxy[64];

    snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", r->port);
    curl_easy_setopt(c, CURLOPT_PROXY, proxy);
    curl_easy_setopt(c, CURLOPT_HTTPPROXYTUNNEL, tunnel ? 1L : 0L);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, swallow);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &f.bytes);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 15000L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    f.rc = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &f.code);
    curl_easy_getinfo(c, CURLINFO_HTTP_CONNECTCODE, &f.proxy_code);
    curl_easy_getinfo(c, CURLINFO_NUM_CONNECTS, &f.connects);
    return f;
}

const char *url(char *out, size_t size, const char *path)
{
    snprintf(out, size, "http://127.0.0.1:%u%s", target.port, path);
    return out;
}

void use_well(struct rig *r, bool kept)
{
    CURL *c = curl_easy_init();
    char u[128];

    for (int tunnel = 0; tunnel < 2; tunnel++) {
        for (int i = 0; i < 5; i++) {
            struct fetched f = fetch(c, r, url(u, sizeof(u), "/hello"), tunnel);

            if (f.rc != CURLE_OK || f.code != 200)
                fail_msg("%s: %ld", curl_easy_strerror(f.rc), f.code);
            assert_int_equal(f.bytes, 5);
            if ((kept || tunnel) && i > 0)
                assert_int_equal(f.connects, 0);
        }
        assert_int_equal(fetch(c, r, url(u, sizeof(u), "/n=3000000"), tunnel).bytes, 3000000);
    }
    curl_easy_cleanup(c);
}
