/* Ops about a page as a whole, as steps of flows: what is kept of it, what it may ask for, what it
 * says, and the state of its member. */
#include "tests/integration/flow_pages.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/testing.h"

#define PAGE(text) "<!doctype html><title>t</title><p>here" text

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void ok(const char *steps)
{
    if (flow_try(steps) != STATUS_OK)
        fail_msg("%s: %s", status_name(tried.status), tried.text);
}

static void kept(void **state)
{
    (void)state;
    ok(GO("form.html") "{'type': 'html', 'name': 'dom'}, {'type': 'mhtml'}");
    has(tried.artifacts, "-dom.html");
    has(tried.artifacts, "-page.mhtml");
}

static void failures(void **state)
{
    (void)state;
    flow_expect_fail(GO("form.html") "{'type': 'click', 'selectors': ['#none'], 'timeout': 200}",
                     STATUS_ELEMENT_NOT_FOUND, "#none");
    has(tried.artifacts, "-failed.png");
    has(tried.artifacts, "-failed.html");
}

static void blocked(void **state)
{
    static const char look[] =
        "{'type': 'waitForExpression', 'expression': 'window.seen'}, {'type': 'set', 'name': 's', "
        "'expression': 'seen', 'output': true}";
    char steps[600];

    (void)state;
    flow_serve("/pic.svg", 200, "Content-Type: image/svg+xml\r\n",
               "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>");
    flow_serve("/pics", 200, "",
               PAGE("<img src=http://b.test/pic.svg onload=\"seen='yes'\" onerror=\"seen='no'\">"));
    (void)snprintf(steps, sizeof steps, GO("pics") "%s", look);
    flow_expect(steps, "{\"s\":\"yes\"}");
    (void)snprintf(steps, sizeof steps, "{'type': 'block', 'types': ['Image']}, " GO("pics") "%s",
                   look);
    flow_expect(steps, "{\"s\":\"no\"}");
    (void)snprintf(steps, sizeof steps,
                   "{'type': 'block', 'hosts': ['b.test']}, " GO(
                       "pics") "%s, {'type': 'block'}, " GO("pics") "%s",
                   look, look);
    flow_expect(steps, "{\"s\":\"yes\"}");
    (void)snprintf(steps, sizeof steps,
                   "{'type': 'block', 'patterns': '*/pic.*'}, " GO("pics") "%s", look);
    flow_expect(steps, "{\"s\":\"no\"}");
}

static void said(void **state)
{
    (void)state;
    flow_serve("/says", 200, "",
               PAGE("<script>console.log('one', 2, {a: 3});console.warn('two');"
                    "setTimeout(()=>{throw new Error('three')})</script>"));
    ok("{'type': 'console'}, " GO("says") "{'type': 'sleep', 'ms': 100}, {'type': 'console', "
                                          "'into': 'said'}");
    has(tried.output, "{\"type\":\"log\",\"text\":\"one 2 Object\"");
    has(tried.output, "{\"type\":\"warning\",\"text\":\"two\"");
    has(tried.output, "{\"type\":\"pageerror\",\"text\":\"Error: three");
    has(tried.artifacts, "-console.ndjson");
    ok(GO("says") "{'type': 'sleep', 'ms': 1}"); /* nobody asked */
    assert_string_equal(tried.artifacts, "[]");
    flow_serve("/asks", 200, "", PAGE("<script>confirm('sure?')</script>"));
    ok(GO("asks") "{'type': 'console', 'into': 'said'}"); /* dialogs are always noted */
    has(tried.output, "{\"type\":\"confirm\",\"text\":\"sure?\"");
}

static void dialogs(void **state)
{
    static const char ask[] = "{'type': 'set', 'name': 'r', 'expression': "
                              "'[confirm(1), prompt(2, ^as is^)].join()', 'output': true}";
    char steps[600];

    (void)state;
    flow_serve("/asks", 200, "", PAGE("<p>asks</p>"));
    (void)snprintf(steps, sizeof steps, GO("asks") "%s", ask);
    flow_expect(steps, "{\"r\":\"false,\"}");
    (void)snprintf(steps, sizeof steps, "{'type': 'dialogs', 'accept': true}, " GO("asks") "%s",
                   ask);
    flow_expect(steps, "{\"r\":\"true,as is\"}");
    (void)snprintf(steps, sizeof steps,
                   GO("asks") "{'type': 'dialogs', 'accept': true, 'text': '{{row.word}}'}, %s",
                   ask);
    flow_expect(steps, "{\"r\":\"true,green\"}");
}

static void states(void **state)
{
    (void)state;
    flow_serve("/keep", 200, "Set-Cookie: a=1; Path=/; HttpOnly\r\n",
               PAGE("<script>localStorage.setItem('k','v')</script>"));
    ok(GO("keep") "{'type': 'exportState', 'into': 'state'}");
    has(tried.output, "{\"name\":\"a\",\"value\":\"1\",\"domain\":\"a.test\",\"path\":\"/\","
                      "\"expires\":-1,\"httpOnly\":true,\"secure\":false,\"sameSite\":\"Lax\"}");
    has(tried.output, "\"origins\":[{\"origin\":\"http://a.test\",\"localStorage\":"
                      "[{\"name\":\"k\",\"value\":\"v\"}]}]");
    flow_expect("{'type': 'importState', 'state': {'cookies': [{'name': 'c', 'value': '2', "
                "'domain': 'b.test', 'path': '/', 'expires': -1, 'sameSite': 'Lax'}], 'origins': "
                "[{'origin': 'http://b.test', 'localStorage': [{'name': 'k2', 'value': 'v2'}]}]}}, "
                "{'type': 'navigate', 'url': 'http://b.test/x'}, {'type': 'set', 'name': 's', "
                "'expression': 'document.cookie + ^ ^ + localStorage.getItem(^k2^)', 'output': "
                "true}",
                "{\"s\":\"c=2 v2\"}");
    flow_expect_fail("{'type': 'importState', 'state': {'cookies': [{'name': 'c', 'value': '2', "
                     "'domain': '', 'url': 'nonsense'}]}}",
                     STATUS_PROTOCOL, "importState");
}

static void downloads(void **state)
{
    (void)state;
    flow_serve("/file", 200, "Content-Disposition: attachment; filename=\"../r p.csv\"\r\n",
               "a,b\n1,2\n");
    flow_serve("/get", 200, "", PAGE("<a href=/file id=get>get</a>"));
    ok("{'type': 'allowDownloads'}, " GO("get") "{'type': 'click', 'selectors': ['#get']}, "
                                                "{'type': 'waitForDownload', 'timeout': 9000}");
    has(tried.artifacts, "r-p.csv");
    ok("{'type': 'allowDownloads'}, " GO("get") "{'type': 'click', 'selectors': ['#get']}, "
                                                "{'type': 'waitForDownload', 'timeout': 9000}");
    has(tried.artifacts, "1-_r-p.csv"); /* in the place of the one of before */
    flow_expect_fail("{'type': 'allowDownloads', 'max_bytes': 3}, " GO(
                         "get") "{'type': 'click', 'selectors': ['#get']}, "
                                "{'type': 'waitForDownload', 'timeout': 9000}",
                     STATUS_TOO_LARGE, "larger than 3 bytes");
    /* Nobody wants it: denied, and nothing waits. */
    ok(GO("get") "{'type': 'click', 'selectors': ['#get']}");
    assert_string_equal(tried.artifacts, "[]");
    flow_expect_fail("{'type': 'waitForDownload', 'timeout': 9000}", STATUS_INVALID,
                     "allowDownloads comes first");
    /* A tab that never had a document can be drawn. */
    ok("{'type': 'allowDownloads'}, " GO("file") "{'type': 'waitForDownload', 'timeout': 9000}, "
                                                 "{'type': 'screenshot', 'timeout': 9000}");
}

static void uploads(void **state)
{
    (void)state;
    flow_serve("/up", 200, "",
               PAGE("<input type=file id=f hidden multiple onchange=\"(async()=>{window.got='';for("
                    "const x of f.files)got+=x.name+':'+await x.text()+';'})()\">"));
    test_write_file("up load.txt", "hello", 5);
    flow_expect(GO("up") "{'type': 'upload', 'selectors': ['#f'], 'files': ['up load.txt']}, "
                         "{'type': 'waitForExpression', 'expression': 'window.got'}, {'type': "
                         "'set', 'name': 'g', 'expression': 'got', 'output': true}",
                "{\"g\":\"up load.txt:hello;\"}");
    flow_expect_fail(GO("up") "{'type': 'upload', 'selectors': ['body'], 'files': ['up load.txt']}",
                     STATUS_INVALID, "no file field");
    (void)remove("up load.txt");
    flow_expect_fail(GO("up") "{'type': 'upload', 'selectors': ['#f'], 'files': "
                              "['../../../../../../../../etc/passwd']}",
                     STATUS_INVALID, "outside of the campaign's directory");
    flow_expect_fail(GO("up") "{'type': 'upload', 'selectors': ['#f'], 'files': ['no.txt']}",
                     STATUS_INVALID, "no such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_CASE(kept),   FLOW_CASE(failures),  FLOW_CASE(blocked), FLOW_CASE(said),
        FLOW_CASE(states), FLOW_CASE(downloads), FLOW_CASE(dialogs), FLOW_CASE(uploads),
    };

    return cmocka_run_group_tests(tests, flow_setup_all, flow_teardown_all);
}
