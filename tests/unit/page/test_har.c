/* HAR files of recorded events: a visit of a real browser (tests/fuzz/corpus/har/visit), and what
 * such a visit does not have. */
#include "browser/page/har.h"

#include <stdlib.h>

#include "browser/page/har_text.h"
#include "tests/support/testing.h"
#include "tests/support/traffic_play.h"

static struct json *har;

static const struct json *entries(void)
{
    return json_at(har, "log", "entries", NULL);
}

/* Plays lines; ' stands for ". */
static void play_with(const char *lines, const struct traffic_opts *opts)
{
    static const struct har_about about = {"Chromium", "156.0", NULL, false};
    struct traffic *t = traffic_create(opts);
    struct buf out = BUF_INIT(BUF_MAX_FILE);
    char *z = xstrdup(lines);

    for (char *c = z; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    traffic_play(t, str_from(z), "M");
    har_print(t, &about, &out);
    assert_int_equal(buf_status(&out), STATUS_OK);
    json_destroy(&har);
    har = json_parse(buf_str(&out), true, NULL);
    assert_non_null(har);
    buf_deinit(&out);
    traffic_destroy(&t);
    free(z);
}

static void play(const char *lines)
{
    const struct traffic_opts opts = {.headers = true};

    play_with(lines, &opts);
}

static const struct json *entry(size_t i)
{
    const struct json *e = json_first(entries());

    while (i-- > 0 && e != NULL)
        e = json_next(e);
    assert_non_null(e);
    return e;
}

static const struct json *entry_of(const char *url, int status)
{
    for (const struct json *e = json_first(entries()); e != NULL; e = json_next(e))
        if (strcmp(json_str(json_at(e, "request", "url", NULL), ""), url) == 0 &&
            json_int(json_at(e, "response", "status", NULL), -1) == status)
            return e;
    fail_msg("no %s that answered %d", url, status);
    return NULL;
}

static const char *value_of(const struct json *list, const char *name)
{
    for (const struct json *j = json_first(list); j != NULL; j = json_next(j))
        if (strcmp(json_str(json_get(j, "name"), ""), name) == 0)
            return json_str(json_get(j, "value"), NULL);
    return NULL;
}

static int teardown(void **state)
{
    (void)state;
    json_destroy(&har);
    return 0;
}

/* --- the visit --- */

#define SITE "http://127.0.0.1:8199"

static void visit(bool secrets)
{
    const struct traffic_opts opts = {.headers = true, .secrets = secrets};
    struct traffic *t = traffic_create(&opts);
    const struct har_about about = {"Chromium", "156.0", NULL, false};
    struct buf out = BUF_INIT(BUF_MAX_FILE);
    char *text = test_read_file(test_source("tests/fuzz/corpus/har/visit"), NULL);

    traffic_play(t, str_from(text), "FBD3723C906DB1D7365248A97CF51F0A");
    har_print(t, &about, &out);
    json_destroy(&har);
    har = json_parse(buf_str(&out), true, NULL);
    assert_non_null(har);
    buf_deinit(&out);
    traffic_destroy(&t);
    free(text);
}

static void test_visit(void **state)
{
    static const struct {
        const char *url;
        int status;
        const char *mime, *type;
        int size;
    } rows[] = {
        {SITE "/start", 302, "x-unknown", "document", 0},
        {SITE "/home?a=1&b=x%20y", 200, "text/html", "document", 3213},
        {SITE "/s.css", 200, "text/css", "stylesheet", 12},
        {SITE "/p.png", 200, "image/png", "image", 70},
        {SITE "/p.png?2", 200, "image/png", "image", 70},
        {SITE "/missing.png", 404, "text/plain", "image", 2},
        {SITE "/a.js", 200, "text/javascript", "script", 401},
        {"http://localhost:8199/frame", 200, "text/html", "document", 41},
        {SITE "/api/list?q=1", 200, "application/json", "fetch", 40},
        {SITE "/redir", 307, "x-unknown", "fetch", 0},
        {"http://127.0.0.1:1/dead", 0, "x-unknown", "fetch", 0},
        {"ws://127.0.0.1:8199/ws", 0, "x-unknown", "websocket", 0},
        {"http://localhost:8199/api/frame", 200, "application/json", "fetch", 37},
        {SITE "/api/end", 200, "application/json", "fetch", 35},
        {SITE "/second", 200, "text/html", "document", 76},
        {SITE "/s.css", 304, "text/css", "stylesheet", 12},
    };

    (void)state;
    visit(false);
    assert_int_equal(json_len(entries()), 18); /* with the worker's script, and one from a cache */
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct json *e = entry_of(rows[i].url, rows[i].status);
        const struct json *c = json_at(e, "response", "content", NULL);

        assert_string_equal(json_str(json_get(c, "mimeType"), ""), rows[i].mime);
        assert_string_equal(json_str(json_get(e, "_resourceType"), ""), rows[i].type);
        assert_int_equal(json_int(json_get(c, "size"), -1), rows[i].size);
    }
}

static void test_parts(void **state)
{
    const struct json *e;

    (void)state;
    visit(true);
    e = entry_of(SITE "/start", 302);
    assert_string_equal(json_str(json_at(e, "response", "redirectURL", NULL), ""),
                        SITE "/home?a=1&b=x%20y");
    assert_string_equal(json_str(json_get(e, "serverIPAddress"), ""), "127.0.0.1");
    assert_string_equal(json_str(json_at(e, "request", "httpVersion", NULL), ""), "HTTP/1.1");
    e = entry_of(SITE "/home?a=1&b=x%20y", 200);
    assert_string_equal(value_of(json_at(e, "request", "queryString", NULL), "b"), "x y");
    assert_int_equal(json_int(json_at(e, "response", "bodySize", NULL), 0), 172); /* gzip */
    assert_int_equal(json_int(json_at(e, "response", "content", "compression", NULL), 0), 3041);
    assert_int_equal(json_len(json_at(e, "response", "cookies", NULL)), 2);
    assert_string_equal(value_of(json_at(e, "response", "cookies", NULL), "sid"), "secret1");
    assert_string_equal(
        json_str(json_get(json_first(json_at(e, "response", "cookies", NULL)), "expires"), ""),
        "2038-01-01T00:00:00.000Z");
    e = entry_of(SITE "/api/list?q=1", 200);
    assert_string_equal(value_of(json_at(e, "request", "cookies", NULL), "sid"), "secret1");
    assert_string_equal(value_of(json_at(e, "request", "headers", NULL), "Cookie"),
                        "sid=secret1; t=2");
    assert_string_equal(value_of(json_at(e, "request", "headers", NULL), "authorization"),
                        "Bearer tok123");
    assert_string_equal(value_of(json_at(e, "request", "postData", "params", NULL), "z"), "a b");
    assert_string_equal(json_str(json_at(e, "request", "postData", "text", NULL), ""), "k=v&z=a+b");
    assert_int_equal(json_int(json_at(e, "request", "bodySize", NULL), 0), 9);
    e = entry_of("http://127.0.0.1:1/dead", 0);
    assert_string_equal(json_str(json_at(e, "response", "_error", NULL), ""),
                        "net::ERR_UNSAFE_PORT");
}

/* What a person signs in with is not in a file that is passed around. */
static void test_secrets(void **state)
{
    struct buf out = BUF_INIT(BUF_MAX_FILE);

    (void)state;
    visit(false);
    json_print(har, 0, &out);
    assert_null(strstr(out.ptr, "secret1"));
    assert_null(strstr(out.ptr, "tok123"));
    assert_non_null(strstr(out.ptr, "\"authorization\",\"value\":\"" HAR_LEFT_OUT));
    buf_deinit(&out);
}

static void test_pages(void **state)
{
    const struct json *p, *e;

    (void)state;
    visit(false);
    assert_int_equal(json_len(json_at(har, "log", "pages", NULL)), 2);
    p = json_first(json_at(har, "log", "pages", NULL));
    assert_string_equal(json_str(json_get(p, "id"), ""), "page_1");
    assert_string_equal(json_str(json_get(p, "title"), ""), SITE "/start");
    assert_true(json_num(json_at(p, "pageTimings", "onContentLoad", NULL), -1) > 0);
    assert_true(json_num(json_at(p, "pageTimings", "onLoad", NULL), -1) >=
                json_num(json_at(p, "pageTimings", "onContentLoad", NULL), -1));
    e = entry_of(SITE "/second", 200);
    assert_string_equal(json_str(json_get(e, "pageref"), ""), "page_2");
    assert_string_equal(json_str(json_get(entry_of(SITE "/a.js", 200), "pageref"), ""), "page_1");
}

/* All phases together are the entry's time; ssl is part of connect. */
static void test_timings(void **state)
{
    static const char *const phases[] = {"blocked", "dns", "connect", "send", "wait", "receive"};

    (void)state;
    visit(false);
    for (const struct json *e = json_first(entries()); e != NULL; e = json_next(e)) {
        double sum = 0;

        for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
            double ms = json_num(json_at(e, "timings", phases[i], NULL), -2);

            assert_true(ms >= -1);
            sum += ms > 0 ? ms : 0;
        }
        assert_true(json_num(json_at(e, "timings", "send", NULL), -1) >= 0);
        assert_true(json_num(json_at(e, "timings", "wait", NULL), -1) >= 0);
        assert_true(json_num(json_at(e, "timings", "receive", NULL), -1) >= 0);
        assert_true(sum - json_num(json_get(e, "time"), -1) < 0.01 &&
                    sum - json_num(json_get(e, "time"), -1) > -0.01);
    }
}

/* --- what that visit does not have --- */

#define SENT(id, url, more)                                                                        \
    "{'method':'Network.requestWillBeSent','params':{'requestId':'" id "','loaderId':'L',"         \
    "'frameId':'M','type':'Document','timestamp':10,'wallTime':1795257000.5,'request':{'url':"     \
    "'" url "','method':'GET','headers':{}}" more "}}\n"
#define ANSWERED(id, more)                                                                         \
    "{'method':'Network.responseReceived','params':{'requestId':'" id "','timestamp':10.25,"       \
    "'response':{'status':200,'mimeType':'text/html'," more "}}}\n"
#define FINISHED(id)                                                                               \
    "{'method':'Network.loadingFinished','params':{'requestId':'" id "','timestamp':10.5,"         \
    "'encodedDataLength':300}}\n"
#define EXTRA(id, host)                                                                            \
    "{'method':'Network.requestWillBeSentExtraInfo','params':{'requestId':'" id                    \
    "','headers':{'X-Hop':'" host "'},'associatedCookies':[]}}\n"

static const char *hop(size_t i)
{
    return value_of(json_at(entry(i), "request", "headers", NULL), "X-Hop");
}

/* Headers of the wire come when they like: before their request, all at once, or for one hop of
 * three, when the others came from a cache. */
static void test_extras(void **state)
{
    (void)state;
    play(EXTRA("1", "one") SENT("1", "http://a/1", "") ANSWERED("1", "'x':1") FINISHED("1"));
    assert_string_equal(hop(0), "one");
    play(SENT("1", "http://a/1", "") EXTRA("1", "one") EXTRA("1", "two") SENT(
        "1", "http://a/2", ",'redirectHasExtraInfo':true,'redirectResponse':{'status':301}"));
    assert_int_equal(json_len(entries()), 2);
    assert_string_equal(hop(0), "one");
    assert_string_equal(hop(1), "two");
    play(SENT("1", "http://a/1", "") EXTRA("1", "two") SENT(
        "1", "http://a/2", ",'redirectHasExtraInfo':false,'redirectResponse':{'status':301}"));
    assert_null(hop(0));
    assert_string_equal(hop(1), "two");
}

static void test_timing_marks(void **state)
{
    const struct json *t;

    (void)state;
    play(SENT("1", "https://a/", "") ANSWERED(
        "1", "'protocol':'h2','timing':{'requestTime':10.01,'dnsStart':1,'dnsEnd':3,"
             "'connectStart':3,'connectEnd':40,'sslStart':10,'sslEnd':40,'sendStart':41,"
             "'sendEnd':42,'receiveHeadersEnd':142}") FINISHED("1"));
    t = json_get(entry(0), "timings");
    assert_float_equal(json_num(json_get(t, "blocked"), 0), 11, 0.01);
    assert_float_equal(json_num(json_get(t, "dns"), 0), 2, 0.01);
    assert_float_equal(json_num(json_get(t, "connect"), 0), 37, 0.01);
    assert_float_equal(json_num(json_get(t, "ssl"), 0), 30, 0.01);
    assert_float_equal(json_num(json_get(t, "send"), 0), 2, 0.01);
    assert_float_equal(json_num(json_get(t, "wait"), 0), 100, 0.01);
    assert_float_equal(json_num(json_get(t, "receive"), 0), 348, 0.01);
    assert_float_equal(json_num(json_get(entry(0), "time"), 0), 500, 0.01);
    assert_string_equal(json_str(json_at(entry(0), "request", "httpVersion", NULL), ""),
                        "HTTP/2.0");
    assert_int_equal(json_int(json_at(entry(0), "request", "headersSize", NULL), 0), -1);
}

static void test_unfinished(void **state)
{
    (void)state;
    play(SENT("1", "http://user:pass@a/x?q#f", "") SENT("2", "data:text/html,x", "")
             ANSWERED("9", "'x':1"));
    assert_int_equal(json_len(entries()), 1);
    assert_string_equal(json_str(json_at(entry(0), "request", "url", NULL), ""), "http://a/x?q#f");
    assert_non_null(json_get(entry(0), "comment"));
    play(SENT("1", "http://a/", "") SENT("1", "http://a/", "")); /* told by two sessions */
    assert_int_equal(json_len(entries()), 1);
}

static void test_bounds(void **state)
{
    const struct traffic_opts some = {.headers = true, .entries_max = 2};
    const struct traffic_opts ring = {.ring = true, .entries_max = 2};
    static const char three[] = SENT("1", "http://a/1", "") FINISHED("1")
        SENT("2", "http://a/2", "") FINISHED("2") SENT("3", "http://a/3", "") FINISHED("3");

    (void)state;
    play_with(three, &some);
    assert_int_equal(json_len(entries()), 2);
    assert_non_null(strstr(json_str(json_at(har, "log", "comment", NULL), ""),
                           "cut: 1 more requests are left out"));
    play_with(three, &ring);
    assert_int_equal(json_len(entries()), 2);
    assert_string_equal(json_str(json_at(entry(1), "request", "url", NULL), ""), "http://a/3");
}

/* --- texts --- */

static void test_texts(void **state)
{
    static const struct {
        const char *headers, *cookies;
    } rows[] = {
        {"{}", "[]"},
        {"{\"set-cookie\":\"a=b\"}",
         "[{\"name\":\"a\",\"value\":\"b\",\"httpOnly\":false,\"secure\":false}]"},
        {"{\"Set-Cookie\":\"a=b=c; Path=/x; Domain=d.test; Secure; HttpOnly; "
         "SameSite=Lax\\nonly\"}",
         "[{\"name\":\"a\",\"value\":\"b=c\",\"path\":\"/x\",\"domain\":\"d.test\","
         "\"sameSite\":\"Lax\",\"httpOnly\":true,\"secure\":true},"
         "{\"name\":\"\",\"value\":\"only\",\"httpOnly\":false,\"secure\":false}]"},
        {"{\"set-cookie\":\"a=b; Expires=Fri, 01-Jan-2038 00:00:00 GMT\"}",
         "[{\"name\":\"a\",\"value\":\"b\",\"expires\":\"2038-01-01T00:00:00.000Z\","
         "\"httpOnly\":false,\"secure\":false}]"},
        {"{\"set-cookie\":\"a=b; Expires=never; Path\"}",
         "[{\"name\":\"a\",\"value\":\"b\",\"httpOnly\":false,\"secure\":false}]"},
    };
    struct buf out = BUF_INIT(BUF_MAX_LINE);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json *j = json_parse(str_from(rows[i].headers), true, NULL);

        buf_reset(&out);
        har_add_set_cookies(&out, j, true);
        assert_string_equal(out.ptr, rows[i].cookies);
        json_destroy(&j);
    }
    buf_reset(&out);
    har_add_query(&out, STR("http://a/?x=%C3%A9&y&=z&%zz=1+2#?n=1"));
    assert_string_equal(out.ptr,
                        "[{\"name\":\"x\",\"value\":\"é\"},{\"name\":\"y\",\"value\":\"\"},"
                        "{\"name\":\"\",\"value\":\"z\"},"
                        "{\"name\":\"%zz\",\"value\":\"1 2\"}]");
    buf_deinit(&out);
}

/* Between the browser and its way out: never in the file. */
static void test_proxy_headers(void **state)
{
    struct json *j = json_parse(
        STR("{\"Proxy-Authorization\":\"Basic c2VjcmV0\",\"Proxy-Connection\":\"keep-alive\"}"),
        true, NULL);
    struct buf out = BUF_INIT(BUF_MAX_LINE);

    (void)state;
    (void)har_add_headers(&out, j, true);
    assert_string_equal(out.ptr, "[{\"name\":\"Connection\",\"value\":\"keep-alive\"}]");
    json_destroy(&j);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_visit, teardown),
        cmocka_unit_test_teardown(test_parts, teardown),
        cmocka_unit_test_teardown(test_secrets, teardown),
        cmocka_unit_test_teardown(test_pages, teardown),
        cmocka_unit_test_teardown(test_timings, teardown),
        cmocka_unit_test_teardown(test_extras, teardown),
        cmocka_unit_test_teardown(test_timing_marks, teardown),
        cmocka_unit_test_teardown(test_unfinished, teardown),
        cmocka_unit_test_teardown(test_bounds, teardown),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_proxy_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
