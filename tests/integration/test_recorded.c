/* What is recorded of pages while a flow goes on: HAR files, bodies of responses, screencasts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/json.h"
#include "core/conf/campaign.h"
#include "tests/integration/flow_pages.h"
#include "tests/support/testing.h"

#define PAGE(text) "<!doctype html><title>t</title><p>here" text
#define BODY(more) "{'type': 'responseBody', 'into': 'b', " more "}"

static void ok(const char *steps)
{
    if (flow_try(steps) != STATUS_OK)
        fail_msg("%s: %s", status_name(tried.status), tried.text);
}

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void serve(void)
{
    flow_serve("/shop", 200, "Set-Cookie: sid=secret; Path=/\r\n",
               PAGE("<link rel=stylesheet href=/shop.css><img src=/dot.svg>"
                    "<iframe src=http://b.test/inner></iframe><script>fetch('/api/items?page=1',{"
                    "method:'POST',body:'a=1'}).then(r=>r.json()).then(j=>{got=j.n})</script>"));
    flow_serve("/shop.css", 200, "Content-Type: text/css\r\n", "p{color:red}");
    flow_serve("/dot.svg", 200, "Content-Type: image/svg+xml\r\n",
               "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>");
    flow_serve("/inner", 200, "", PAGE("<script>fetch('/api/inner')</script>"));
    flow_serve("/api/items", 200, "Content-Type: application/json\r\n", "{\"n\":7,\"é\":[1]}");
    flow_serve("/api/inner", 200, "Content-Type: application/json\r\n", "{}");
    flow_serve("/hop", 302, "Location: /shop\r\n", "");
    flow_serve("/plain", 200, "", PAGE(""));
}

#define SHOP GO("hop") "{'type': 'waitForExpression', 'expression': 'window.got'}, "

/* --- HAR --- */

static struct json *har;

static void read_har(const char *path)
{
    size_t n = strlen(path);
    char *text;

    if (n < 4 || strcmp(path + n - 4, ".har") != 0)
        return;
    text = test_read_file(path, NULL);
    json_destroy(&har);
    har = json_parse(str_from(text), true, NULL);
    free(text);
}

static const struct json *entry_of(const char *url)
{
    for (const struct json *e = json_first(json_at(har, "log", "entries", NULL)); e != NULL;
         e = json_next(e))
        if (strcmp(json_str(json_at(e, "request", "url", NULL), ""), url) == 0)
            return e;
    fail_msg("%s is not in the HAR", url);
    return NULL;
}

static void expect_entry(const char *url, int status, const char *mime, const char *text)
{
    const struct json *e = entry_of(url), *c = json_at(e, "response", "content", NULL);

    assert_int_equal(json_int(json_at(e, "response", "status", NULL), -1), status);
    assert_string_equal(json_str(json_get(c, "mimeType"), ""), mime);
    if (text != NULL)
        assert_string_equal(json_str(json_get(c, "text"), "(none)"), text);
    else
        assert_null(json_get(c, "text"));
}

static void test_har(void **state)
{
    (void)state;
    serve();
    flow_look(read_har);
    ok("{'type': 'har', 'content': 'embed'}, " SHOP BODY("'url': '*/api/inner'") ", " GO(
        "plain") "{'type': 'har', 'end': true, 'name': 'visit', 'into': 'file'}");
    has(tried.artifacts, "-visit.har");
    has(tried.output, "-visit.har");
    assert_non_null(har);
    expect_entry("http://a.test/hop", 302, "text/html", NULL);
    assert_string_equal(
        json_str(json_at(entry_of("http://a.test/hop"), "response", "redirectURL", NULL), ""),
        "http://a.test/shop");
    expect_entry("http://a.test/shop.css", 200, "text/css", "p{color:red}");
    expect_entry("http://a.test/api/items?page=1", 200, "application/json", "{\"n\":7,\"é\":[1]}");
    expect_entry("http://b.test/inner", 200, "text/html",
                 PAGE("<script>fetch('/api/inner')</script>"));
    expect_entry("http://b.test/api/inner", 200, "application/json", "{}");
    expect_entry("http://a.test/plain", 200, "text/html", PAGE(""));
    assert_string_equal(json_str(json_at(entry_of("http://a.test/api/items?page=1"), "request",
                                         "postData", "text", NULL),
                                 ""),
                        "a=1");
    assert_int_equal(json_len(json_at(har, "log", "pages", NULL)), 2);
    assert_null(json_get(entry_of("http://a.test/plain"), "serverIPAddress")); /* the door's */
    json_destroy(&har);
}

/* Nobody ended it; the flow failed; and nothing of it is left for the next one. */
static void test_har_of_failure(void **state)
{
    (void)state;
    serve();
    flow_look(read_har);
    flow_expect_fail("{'type': 'har'}, " GO("shop") "{'type': 'click', 'selectors': ['#none'], "
                                                    "'timeout': 200}",
                     STATUS_ELEMENT_NOT_FOUND, "#none");
    has(tried.artifacts, "-failed.png");
    has(tried.artifacts, "-failed.html");
    has(tried.artifacts, "-traffic.har");
    expect_entry("http://a.test/shop.css", 200, "text/css", NULL);
    flow_look(NULL);
    json_destroy(&har);
    ok(GO("plain") "{'type': 'sleep', 'ms': 1}");
    assert_string_equal(tried.artifacts, "[]");
    flow_expect_fail("{'type': 'har', 'end': true}", STATUS_INVALID, "it is begun first");
    flow_expect_fail("{'type': 'har'}, {'type': 'har'}", STATUS_INVALID, "one at a time");
}

/* --- what the campaign asks for --- */

/* The values of what pages log are looked into by Runtime.enable alone: nobody's trap springs. */
static void test_campaign(void **state)
{
    static const struct campaign_conf conf = {
        .dir = "", .output = {.har = HAR_KEPT_OMIT, .console = CONSOLE_KEPT_ERRORS}};
    static const char steps[] =
        GO("logs") "{'type': 'waitForExpression', 'expression': 'window.got'}, {'type': 'set', "
                   "'name': 'seen', 'expression': 'seen', 'output': true}";
    char without[sizeof tried.output];

    (void)state;
    flow_serve("/logs", 200, "",
               PAGE("<script>seen='';const trap=new Proxy({},{get(t,k){seen+=String(k)+' '},"
                    "ownKeys(){seen+='keys ';return[]}}),e=new Error('x');Object.setPrototypeOf(e,"
                    "trap);console.log(e);console.error('bad',7);got=1</script>"));
    ok(steps);
    assert_string_equal(tried.artifacts, "[]");
    (void)snprintf(without, sizeof without, "%s", tried.output);
    flow_conf(&conf);
    flow_look(read_har);
    ok(steps);
    flow_conf(NULL);
    flow_look(NULL);
    has(tried.artifacts, "-console.ndjson");
    has(tried.artifacts, "-traffic.har");
    assert_string_equal(tried.output, without);
    expect_entry("http://a.test/logs", 200, "text/html", NULL);
    json_destroy(&har);
    ok(steps); /* the kept page says no more */
    assert_string_equal(tried.artifacts, "[]");
}

/* --- bodies --- */

static void test_bodies(void **state)
{
    (void)state;
    serve();
    flow_expect(SHOP BODY("'url': '*/api/items*', 'as': 'json'"), "{\"b\":{\"n\":7,\"é\":[1]}}");
    flow_expect(SHOP BODY("'url': '*.css'") ", " GO("plain") "{'type': 'responseBody', 'url': "
                                                             "'*/shop.css', 'into': 'c'}",
                "{\"b\":\"p{color:red}\",\"c\":\"p{color:red}\"}");
    ok(SHOP GO("plain") BODY("'url': 'http://a.test/shop'")); /* of a document that is gone */
    has(tried.output, "<link rel=stylesheet href=/shop.css>");
    ok(SHOP BODY("'url': '*/dot.svg', 'as': 'file', 'name': 'dot'"));
    has(tried.artifacts, "-dot.svg");
    flow_expect(SHOP BODY("'url': '*/api/inner', 'as': 'base64'"), "{\"b\":\"e30=\"}");
}

static void test_bodies_to_come(void **state)
{
    (void)state;
    serve();
    flow_expect(GO("plain") "{'type': 'set', 'name': 'x', 'expression': 'void setTimeout(()=>fetch("
                            "^/api/items^), 300)'}, " BODY("'url': '*/api/items'"),
                "{\"b\":\"{\\\"n\\\":7,\\\"é\\\":[1]}\"}");
    flow_serve("/api/items2", 200, "", "second");
    flow_expect(
        SHOP "{'type': 'set', 'name': 'x', 'expression': 'fetch(^/api/items2^).then(r=>"
             "r.text()).then(()=>1)'}, " BODY(
                 "'url': '*/api/items*', 'nth': -1") ", "
                                                     "{'type': 'responseBody', 'url': "
                                                     "'*/api/items*', 'nth': 1, 'into': 'first'}",
        "{\"b\":\"second\",\"first\":\"{\\\"n\\\":7,\\\"é\\\":[1]}\"}");
}

static void test_bodies_missing(void **state)
{
    (void)state;
    serve();
    flow_expect_fail(SHOP BODY("'url': '*/nothing', 'timeout': 200"), STATUS_TIMEOUT,
                     "no response of \"*/nothing\" came");
    has(tried.text, "POST http://a.test/api/items?page=1 (200 application/json)");
    flow_expect_fail(SHOP BODY("'url': '*/shop', 'max_bytes': 10"), STATUS_TOO_LARGE,
                     "more than 10");
    flow_expect_fail(SHOP BODY("'url': '*.css', 'as': 'json'"), STATUS_INVALID, "is no JSON");
    flow_expect_fail(SHOP BODY("'url': '*/api/items*', 'method': 'GET', 'timeout': 200"),
                     STATUS_TIMEOUT, "no response");
}

/* --- screencasts --- */

static size_t frames;

static void see_frame(const char *path)
{
    size_t n = strlen(path), len;
    unsigned char *bytes;

    if (strstr(path, "-film-") == NULL || n < 4 || strcmp(path + n - 4, ".jpg") != 0)
        return;
    bytes = (unsigned char *)test_read_file(path, &len);
    assert_true(len > 100 && bytes[0] == 0xff && bytes[1] == 0xd8);
    free(bytes);
    frames++;
}

static void test_screencast(void **state)
{
    (void)state;
    flow_serve("/film", 200, "",
               PAGE("<script>let n=0;setInterval(()=>{document.body.style.background="
                    "`rgb(${n+=9},0,0)`},20)</script>"));
    frames = 0;
    flow_look(see_frame);
    ok("{'type': 'screencast', 'name': 'film', 'interval_ms': 50, 'frames': 3}, " GO(
        "film") "{'type': 'sleep', 'ms': 900}, {'type': 'screencast', 'end': true, 'into': 'f'}");
    assert_in_range(frames, 1, 3); /* enough, and no more */
    has(tried.output, "\"at_ms\":0");
    frames = 0;
    ok("{'type': 'screencast', 'name': 'film', 'interval_ms': 200}, " GO(
        "film") "{'type': 'sleep', "
                "'ms': 700}");
    assert_in_range(frames, 1, 6); /* the flow's end ended it */
    flow_look(NULL);
    flow_expect_fail("{'type': 'screencast', 'end': true}", STATUS_INVALID, "it is begun first");
    flow_expect_fail("{'type': 'screencast'}, {'type': 'screencast'}", STATUS_INVALID,
                     "runs already");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_CASE(test_har),        FLOW_CASE(test_har_of_failure), FLOW_CASE(test_campaign),
        FLOW_CASE(test_bodies),     FLOW_CASE(test_bodies_to_come), FLOW_CASE(test_bodies_missing),
        FLOW_CASE(test_screencast),
    };

    return cmocka_run_group_tests(tests, flow_setup_all, flow_teardown_all);
}
