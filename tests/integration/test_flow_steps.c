/* What flows lead to and what they bring back: navigations with and without assertions, refusals,
 * values, assertions, pictures, loops, retries; and that a run can be cancelled at any point, also
 * on a page that hangs. */
#include <stdio.h>

#include "core/base/attr.h"
#include "tests/integration/flow_pages.h"
#include "tests/support/testing.h"

/* --- navigations --- */

#define NAV "'assertedEvents': [{'type': 'navigation', 'url': 'http://x/', 'title': 'x'}]"
#define WHERE                                                                                      \
    ", {'type': 'set', 'name': 'at', 'expression': 'location.pathname + location.search', "        \
    "'output': true}"

static void navigations(void **state)
{
    (void)state;
    flow_expect(GO("nav.html") "{'type': 'click', 'selectors': ['#go']}" WHERE,
                "{\"at\":\"/second.html\"}");
    flow_expect(GO("nav.html") "{'type': 'click', 'selectors': ['#go'], " NAV "}" WHERE,
                "{\"at\":\"/second.html\"}");
    flow_expect(GO("nav.html") "{'type': 'click', 'selectors': ['#around'], " NAV "}" WHERE,
                "{\"at\":\"/second.html?around\"}");
    flow_expect(GO("nav.html") "{'type': 'click', 'selectors': ['#soon'], " NAV "}" WHERE,
                "{\"at\":\"/second.html?soon\"}");
    flow_expect(GO("nav.html") "{'type': 'click', 'selectors': ['#soon']}, {'type': "
                               "'waitForElement', 'selectors': ['#head']}" WHERE,
                "{\"at\":\"/second.html?soon\"}");
    flow_expect(GO("nav.html") "{'type': 'click', 'selectors': ['#route'], " NAV "}, "
                               "{'type': 'assert', 'url': '*/route/*', 'selectors': ['#view'], "
                               "'text': 'second view', 'title': 'N*v'}" WHERE,
                "{\"at\":\"/route/2\"}");
    flow_expect(GO("nav.html") "{'type': 'change', 'selectors': ['#q'], 'value': 'x y'}, "
                               "{'type': 'keyDown', 'key': 'Enter', " NAV "}, "
                               "{'type': 'keyUp', 'key': 'Enter'}" WHERE,
                "{\"at\":\"/second.html?q=x+y\"}");
    flow_expect(GO("nav.html") "{'type': 'change', 'selectors': ['#jump'], 'value': 'Jump'}" WHERE,
                "{\"at\":\"/second.html?jump\"}");
    flow_expect(GO("nav.html") "{'type': 'click', 'selectors': ['#missing']}" WHERE,
                "{\"at\":\"/missing\"}");
}

static void refused_navigations(void **state)
{
    (void)state;
    flow_expect_fail(
        GO("nav.html") "{'type': 'click', 'selectors': ['#nothing'], 'timeout': 300, " NAV "}",
        STATUS_TIMEOUT, "a navigation was expected, and none began within");
    flow_expect_fail(GO("nav.html") "{'type': 'click', 'selectors': ['#refused']}",
                     STATUS_POLICY_DENIED, "step 1 (click)");
    flow_expect_fail(GO("nav.html") "{'type': 'click', 'selectors': ['#blocked']}", STATUS_HTTP_429,
                     "step 1 (click)");
    flow_expect_fail("{'type': 'navigate', 'url': 'http://a.test/missing'}", STATUS_HTTP_4XX,
                     "answered HTTP 404");
    flow_expect(
        "{'type': 'navigate', 'url': 'http://a.test/missing', 'accept_status': [404]}" WHERE,
        "{\"at\":\"/missing\"}");
    flow_expect_fail("{'type': 'navigate', 'url': 'http://a.test/missing', 'accept_status': [410]}",
                     STATUS_HTTP_4XX, "HTTP 404");
    flow_expect_fail("{'type': 'navigate', 'url': 'http://a.test/slow', 'timeout': 400}",
                     STATUS_TIMEOUT, "step 0 (navigate)");
}

/* What is not to be had where the selectors look is said as that. */
static void out_of_reach(void **state)
{
    (void)state;
    flow_serve(
        "/slots", 200, "Content-Type: text/html\r\n",
        "<title>x</title><x-panel><button slot=foot onclick=\"out.textContent='hit'\">Say so"
        "</button></x-panel><p id=out></p><iframe id=far src=http://b.test/inner.html></iframe>"
        "<script>customElements.define('x-panel', class extends HTMLElement {"
        "constructor() { super().attachShadow({mode: 'open'}).innerHTML = "
        "'<p style=height:300px>panel</p><slot name=foot></slot>' }})</script>");
    flow_expect(GO("slots") "{'type': 'click', 'selectors': ['text/Say so']}, {'type': 'set', "
                            "'name': 'out', 'expression': 'out.textContent', 'output': true}",
                "{\"out\":\"hit\"}");
    flow_expect_fail(GO("slots") "{'type': 'click', 'selectors': [['#far', '#b']], 'timeout': 300}",
                     STATUS_ELEMENT_NOT_FOUND, "is of another origin: \"frame_url\"");
    for (size_t i = 0; i < 3; i++) {
        static const char *const next[] = {
            "{'type': 'click', 'selectors': ['p']}",
            "{'type': 'waitForExpression', 'expression': 'true'}",
            "{'type': 'set', 'name': 'a', 'expression': '1'}",
        };
        char steps[400];

        snprintf(steps, sizeof steps,
                 GO("slots") "{'type': 'set', 'name': 'c', 'expression': 'setTimeout(close)'}, "
                             "{'type': 'sleep', 'ms': 200}, %s",
                 next[i]);
        flow_expect_fail(steps, STATUS_CLOSED, "page");
    }
}

/* --- Fleet's own steps --- */

static void extracts(void **state)
{
    (void)state;
    flow_expect(
        GO("extract.html") "{'type': 'extract', 'each': ['article'], 'fields': {'name': 'h2', "
                           "'id': {'attribute': 'data-id', 'type': 'integer'}, "
                           "'price': {'selector': '.p', 'type': 'number'}, "
                           "'stock': {'selector': 'em', 'default': 'none'}, "
                           "'link': {'selector': 'xpath/.//a', 'type': 'url'}, "
                           "'tags': {'selector': 'i', 'many': true}}}",
        "{\"items\":[{\"name\":\"Tea\",\"id\":1,\"price\":2.1,\"stock\":\"stock\",\"link\":\"http:/"
        "/a.test/shop/item/0\",\"tags\":[\"t0\",\"u0\"]},"
        "{\"name\":\"Salt\",\"id\":2,\"price\":0.95,\"stock\":\"none\",\"link\":\"http://a.test/"
        "shop/item/1\",\"tags\":[\"t1\",\"u1\"]},"
        "{\"name\":\"Rice\",\"id\":3,\"price\":null,\"stock\":\"stock\",\"link\":\"http://a.test/"
        "shop/item/2\",\"tags\":[\"t2\",\"u2\"]}]}");
    flow_expect(
        GO("extract.html") "{'type': 'extract', 'fields': {'h': 'h1', 'gbp': {'selector': '#gbp', "
                           "'type': 'number'}, "
                           "'eur': {'selector': '#eur', 'type': 'number'}, 'usd': {'selector': "
                           "'#usd', 'type': 'number'}, "
                           "'chf': {'selector': '#chf', 'type': 'number'}, 'thousand': "
                           "{'selector': '#thousand', 'type': 'integer'}, "
                           "'comma': {'selector': '#comma', 'type': 'number'}, 'minus': "
                           "{'selector': '#minus', 'type': 'number'}, "
                           "'words': {'selector': '#words', 'type': 'number'}}}",
        "{\"h\":\"Our "
        "things\",\"gbp\":12.5,\"eur\":1234.56,\"usd\":1234.56,\"chf\":1234.5,\"thousand\":1234,"
        "\"comma\":3.5,\"minus\":-4.25,\"words\":null}");
    flow_expect(GO("extract.html") "{'type': 'extract', 'into': 'r', 'fields': {'t': "
                                   "{'selector': '#time', 'type': 'date'}, "
                                   "'d': {'selector': '#day', 'type': 'date'}, 'on': "
                                   "{'selector': '#ticked', 'type': 'boolean'}, "
                                   "'u': {'selector': '#link', 'type': 'url'}, 'j': {'selector': "
                                   "'#data', 'type': 'json'}, "
                                   "'m': '#meta', 'raw': {'selector': '#raw', 'property': "
                                   "'textContent', 'type': 'raw'}, "
                                   "'html': {'selector': 'h1', 'type': 'html'}}}",
                "{\"r\":{\"t\":\"2026-03-04T05:06:07.000Z\",\"d\":\"2026-03-04\",\"on\":true,"
                "\"u\":\"http://a.test/up?x=1#f\","
                "\"j\":{\"sku\":[1,2]},\"m\":\"from meta\",\"raw\":\"  a   b  \",\"html\":\" Our "
                "  <b>things</b> \"}}");
    flow_expect_fail(
        GO("extract.html") "{'type': 'extract', 'timeout': 400, 'fields': {'h': 'h1', 'x': "
                           "{'selector': '#none', 'required': true}}}",
        STATUS_ELEMENT_NOT_FOUND, "field x: no element");
    flow_expect_fail(GO("extract.html") "{'type': 'extract', 'timeout': 300, 'each': '.nothing', "
                                        "'fields': {'h': 'h1'}}",
                     STATUS_ELEMENT_NOT_FOUND, "\".nothing\": no such element");
    flow_expect(GO("extract.html") "{'type': 'extract', 'min': 0, 'each': '.nothing', 'fields': "
                                   "{'h': 'h1'}}",
                "{\"items\":[]}");
}

static void asserts(void **state)
{
    (void)state;
    flow_expect(GO("second.html?x=1") "{'type': 'assert', 'expression': 'document.title === "
                                      "^Second page^'}, "
                                      "{'type': 'assert', 'selectors': ['h1'], 'count': 1, "
                                      "'operator': '==', 'text': 'Second'}, "
                                      "{'type': 'assert', 'url': 'http://a.test/second.html*'}",
                "null");
    flow_expect_fail(GO("second.html") "{'type': 'assert', 'selectors': ['h1'], 'text': 'Third', "
                                       "'timeout': 200, 'message': 'the heading'}",
                     STATUS_ASSERTION_FAILED,
                     "the heading: after 200 ms: the text of <h1 id=head> is \"Second\"");
    flow_expect_fail(GO("second.html") "{'type': 'assert', 'url': '*/third', 'timeout': 200}",
                     STATUS_ASSERTION_FAILED,
                     "the URL is http://a.test/second.html, expected */third");
    flow_expect_fail(GO("second.html") "{'type': 'assert', 'title': 'Third*', 'timeout': 200}",
                     STATUS_ASSERTION_FAILED, "the title is \"Second page\"");
    flow_expect_fail(
        GO("second.html") "{'type': 'assert', 'expression': '1 > {{row.n}}', 'timeout': 200}",
        STATUS_ASSERTION_FAILED, "the expression is not true: 1 > 7");
}

static void pictures(void **state)
{
    (void)state;
    flow_expect(
        GO("second.html") "{'type': 'setViewport', 'width': 640, 'height': 480, "
                          "'deviceScaleFactor': 1, 'isMobile': false, "
                          "'hasTouch': false, 'isLandscape': false}, "
                          "{'type': 'screenshot', 'name': 'whole', 'fullPage': true}, "
                          "{'type': 'screenshot', 'name': 'head', 'selectors': ['#head'], "
                          "'format': 'jpeg', 'quality': 60}, "
                          "{'type': 'pdf', 'name': 'paper'}, {'type': 'sleep', 'ms': 10}, "
                          "{'type': 'set', 'name': 'w', 'expression': '[innerWidth, innerHeight]', "
                          "'output': true}",
        "{\"w\":[640,480]}");
    assert_non_null(strstr(tried.artifacts, "t-000001-1-whole.png"));
    assert_non_null(strstr(tried.artifacts, "t-000001-1-head.jpg"));
    assert_non_null(strstr(tried.artifacts, "t-000001-1-paper.pdf"));
}

static void conditions(void **state)
{
    (void)state;
    flow_expect(
        "{'type': 'emulateNetworkConditions', 'download': 0, 'upload': 0, 'latency': 0}, "
        "{'type': 'emulateNetworkConditions', 'download': 900000, 'upload': 900000, 'latency': "
        "5}, " GO("second.html") "{'type': 'customStep', 'name': 'x', 'parameters': {}}, "
                                 "{'type': 'set', 'name': 'on', 'expression': 'navigator.onLine', "
                                 "'output': true}",
        "{\"on\":true}");
}

static void implied_navigation(void **state)
{
    (void)state;
    flow_expect("{'type': 'set', 'name': 'who', 'value': "
                "'{{member.index}}/{{member.id}}/{{task.id}}/{{vars.none|-}}', 'output': true}, "
                "{'type': 'set', 'name': 'at', 'expression': 'location.href', 'output': true}",
                "{\"who\":\"3/i-0000000000000001/t-000001/-\",\"at\":\"http://a.test/form.html\"}");
    flow_expect_fail(
        "{'type': 'assert', 'selectors': ['{{nosuch}}']}", STATUS_INVALID,
        "step 0 (assert): {{nosuch}}: there is no such value; row: url, word, n; member: index");
}

static void loops(void **state)
{
    (void)state;
    flow_expect(GO("pages.html") "{'type': 'paginate', 'next': ['#next'], 'timeout': 600, "
                                 "'steps': [{'type': 'extract', 'each': 'li', 'into': 'all'}]}",
                "{\"all\":[\"item 1.1\",\"item 1.2\",\"item 2.1\",\"item 2.2\",\"item "
                "3.1\",\"item 3.2\"]}");
    flow_expect(
        GO("pages.html") "{'type': 'repeat', 'until': '{{n|0}} > 1 && page === 3', 'steps': "
                         "[{'type': 'click', 'selectors': ['#next']}]}, "
                         "{'type': 'if', 'expression': 'page > 2', 'steps': [{'type': 'set', "
                         "'name': 'p', 'value': 'late', 'output': true}], "
                         "'else': [{'type': 'set', 'name': 'p', 'value': 'early', 'output': "
                         "true}]}, "
                         "{'type': 'if', 'selectors': ['#nowhere'], 'steps': [{'type': 'set', "
                         "'name': 'q', 'value': 'x', 'output': true}]}, "
                         "{'type': 'repeat', 'times': 3, 'steps': [{'type': 'set', 'name': "
                         "'count', 'expression': '({{count|0}}) + 1', 'output': true}]}",
        "{\"p\":\"late\",\"count\":3}");
    flow_expect_fail(
        GO("pages.html") "{'type': 'repeat', 'while': 'true', 'max': 3, 'steps': [{'type': "
                         "'set', 'name': 'x', 'value': 1}]}",
        STATUS_ASSERTION_FAILED, "step 1 (repeat): 3 rounds");
    flow_expect_fail(GO("pages.html") "{'type': 'repeat', 'times': 2, 'steps': [{'type': 'click', "
                                      "'selectors': ['#nope'], 'timeout': 100}]}",
                     STATUS_ELEMENT_NOT_FOUND, "step /steps/1/steps/0 (click): after 100 ms");
    assert_int_equal(tried.error_step, 1);
}

static void optional_and_retries(void **state)
{
    (void)state;
    flow_expect(GO("hard.html") "{'type': 'click', 'selectors': ['#nope'], 'timeout': 100, "
                                "'optional': true}, "
                                "{'type': 'click', 'selectors': ['#late'], 'timeout': 100, "
                                "'retries': 10, 'retry_delay_ms': 50}" LOG,
                "{\"log\":\"late\"}");
    assert_int_equal(
        flow_try(GO("form.html") "{'type': 'click', 'selectors': ['#nope'], 'timeout': "
                                 "100, 'irreversible': true}"),
        STATUS_ELEMENT_NOT_FOUND);
    assert_false(tried.may_have_happened);
    assert_int_equal(
        flow_try(GO("form.html") "{'type': 'click', 'selectors': ['#send'], 'irreversible': true}, "
                                 "{'type': 'click', 'selectors': ['#nope'], 'timeout': 100}"),
        STATUS_ELEMENT_NOT_FOUND);
    assert_true(tried.may_have_happened);
}

static void cancelled(void **state)
{
    static const char *const waits[] = {
        GO("form.html") "{'type': 'click', 'selectors': ['#nope'], 'timeout': 60000}",
        GO("form.html") "{'type': 'click', 'selectors': ['aria/Nope'], 'timeout': 60000}",
        GO("form.html") "{'type': 'click', 'selectors': ['#nope'], 'frame': [4], 'timeout': 60000}",
        GO("form.html") "{'type': 'waitForExpression', 'expression': 'false', 'timeout': 60000}",
        GO("form.html") "{'type': 'waitForExpression', 'expression': 'new Promise(() => 0)', "
                        "'timeout': 60000}",
        GO("form.html") "{'type': 'sleep', 'ms': 60000}",
        GO("form.html") "{'type': 'click', 'selectors': ['#name'], 'target': "
                        "'http://a.test/never', 'timeout': 60000}",
        GO("nav.html") "{'type': 'click', 'selectors': ['#slow'], 'assertedEvents': [{'type': "
                       "'navigation'}]}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
        /* they wait longer than the fixture does for the end of a flow */
        if (flow_try_with(waits[i], "{'url': 'http://a.test/'}", 200) != STATUS_CANCELLED)
            fail_msg("%s: %s: %s", waits[i], status_name(tried.status), tried.text);
    }
}

static void hung(void **state)
{
    (void)state;
    assert_int_equal(
        flow_try(GO("hang") "{'type': 'click', 'selectors': ['text/Hang'], 'timeout': 500}, "
                            "{'type': 'click', 'selectors': ['text/Hang'], 'timeout': 500}"),
        STATUS_PAGE_HUNG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_CASE(navigations),  FLOW_CASE(refused_navigations),
        FLOW_CASE(out_of_reach), FLOW_CASE(extracts),
        FLOW_CASE(asserts),      FLOW_CASE(pictures),
        FLOW_CASE(conditions),   FLOW_CASE(implied_navigation),
        FLOW_CASE(loops),        FLOW_CASE(optional_and_retries),
        FLOW_CASE(cancelled),    FLOW_CASE(hung),
    };

    return cmocka_run_group_tests(tests, flow_setup_all, flow_teardown_all);
}
