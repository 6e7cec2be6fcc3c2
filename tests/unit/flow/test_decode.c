/* Flow files, good and bad: what is accepted, and what exactly is said of the rest. */
#include "browser/flow/flow.h"

#include "tests/support/testing.h"

static struct {
    struct arena *arena;
    struct json *j;
    struct json_decode d;
    struct flow *flow;
    char report[4096];
} fx;

static int setup(void **state)
{
    (void)state;
    memset(&fx, 0, sizeof(fx));
    fx.arena = arena_create(NULL, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    json_destroy(&fx.j);
    arena_destroy(&fx.arena);
    return 0;
}

/* Single quotes stand for double ones. */
static struct flow *decode(const char *text)
{
    char *z = arena_strdup(fx.arena, text);
    struct buf b = BUF_INIT(sizeof(fx.report) - 1);
    struct err e = ERR_INIT;

    for (char *c = z; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    json_destroy(&fx.j);
    fx.j = json_parse(str_from(z), true, &e);
    if (fx.j == NULL)
        fail_msg("%s: %s", e.text, z);
    json_decode_init(&fx.d, fx.arena, NULL);
    fx.flow = flow_decode(fx.arena, fx.j, &fx.d);
    json_decode_report(&fx.d, "flow", &b);
    (void)snprintf(fx.report, sizeof(fx.report), "%s", b.ptr != NULL ? b.ptr : "");
    buf_deinit(&b);
    assert_int_equal(fx.flow == NULL, fx.d.n_errors > 0);
    return fx.flow;
}

#define STEPS(steps) "{'title': 't', 'steps': [" steps "]}"

/* --- good ones --- */

/* As Chrome exports it, with all that it puts in. */
static void recorded_flow(void **state)
{
    (void)state;
    assert_non_null(decode(
        "{'title': 'Recording 1/2/2026', 'timeout': 7000, 'selectorAttribute': 'data-test', "
        "'steps': ["
        "{'type': 'setViewport', 'width': 1280, 'height': 720, 'deviceScaleFactor': 1, 'isMobile': "
        "false, 'hasTouch': false,"
        " 'isLandscape': false},"
        "{'type': 'navigate', 'url': 'https://example.com/', 'assertedEvents': [{'type': "
        "'navigation',"
        " 'url': 'https://example.com/', 'title': 'Example Domain'}]},"
        "{'type': 'click', 'target': 'main', 'selectors': [['aria/More information...'], ['p > a'],"
        " ['xpath///html/body/div/p[2]/a'], ['pierce/p > a'], ['text/More information']], "
        "'offsetY': 9, 'offsetX': 68.5,"
        " 'assertedEvents': [{'type': 'navigation', 'url': '', 'title': ''}]},"
        "{'type': 'change', 'value': 'x', 'selectors': [['#a', '#b']], 'target': "
        "'https://example.com/frame', 'frame': [0, 1]},"
        "{'type': 'keyDown', 'target': 'main', 'key': 'Enter'}, {'type': 'keyUp', 'key': 'Enter', "
        "'target': 'main'},"
        "{'type': 'doubleClick', 'selectors': ['#x'], 'offsetX': 1, 'offsetY': 1, 'button': "
        "'secondary', 'deviceType': 'touch',"
        " 'duration': 50},"
        "{'type': 'hover', 'selectors': ['#x']}, {'type': 'scroll', 'x': 0, 'y': 100}, {'type': "
        "'scroll', 'selectors': ['#x'], 'y': 5},"
        "{'type': 'waitForElement', 'selectors': ['#x'], 'operator': '==', 'count': 2, 'visible': "
        "true, 'attributes': {'a': 'b'},"
        " 'properties': {'c': {'d': 1}}},"
        "{'type': 'waitForExpression', 'expression': 'true', 'timeout': 30000},"
        "{'type': 'emulateNetworkConditions', 'download': 1000, 'upload': 1000, 'latency': 10},"
        "{'type': 'customStep', 'name': 'x', 'parameters': {'any': ['thing']}}, {'type': 'close', "
        "'target': 'main'}]}"));
    assert_string_equal(fx.report, "");
    assert_string_equal(flow_title(fx.flow), "Recording 1/2/2026");
    assert_int_equal(flow_len(fx.flow), 15);
    assert_int_equal(flow_warnings(fx.flow).n, 0);
}

static void own_steps(void **state)
{
    (void)state;
    assert_non_null(decode(STEPS(
        "{'type': 'extract', 'each': '.item', 'into': 'list', 'fields': {'a': 'h2', 'b': "
        "{'selector': ['x-a', 'i'], 'type': 'number',"
        " 'required': true, 'many': false, 'default': 0, 'attribute': 'c'}, 'n': {'selector': "
        "'.n', 'fields': {'x': ''}}}},"
        "{'type': 'assert', 'selectors': ['p'], 'text': 'x', 'count': '{{n}}', 'message': 'm'},"
        "{'type': 'screenshot', 'name': 'a', 'fullPage': true, 'format': 'webp', 'quality': 50},"
        "{'type': 'screenshot', 'selectors': ['p']}, {'type': 'pdf'}, {'type': 'sleep', 'ms': "
        "'{{ms|10}}'},"
        "{'type': 'set', 'name': 'x', 'value': {'any': '{{y}}'}, 'output': true}, {'type': 'set', "
        "'values': {'a': 1}},"
        "{'type': 'click', 'selectors': ['p'], 'optional': true, 'retries': 3, 'retry_delay_ms': "
        "10},"
        "{'type': 'click', 'selectors': ['p'], 'irreversible': true},"
        "{'type': 'if', 'selectors': ['p'], 'steps': [{'type': 'sleep', 'ms': 1}], 'else': "
        "[{'type': 'sleep', 'ms': 1}]},"
        "{'type': 'repeat', 'while': 'x', 'steps': [{'type': 'sleep', 'ms': 1}]},"
        "{'type': 'repeat', 'until': {'url': '*/end'}, 'max': 9, 'steps': [{'type': 'sleep', 'ms': "
        "1}]},"
        "{'type': 'paginate', 'next': ['.next'], 'steps': [{'type': 'sleep', 'ms': 1}]}")));
    assert_string_equal(fx.report, "");
}

static void unknown_members_are_left_out(void **state)
{
    (void)state;
    assert_non_null(decode("{'title': 't', 'recordedBy': 'x', 'steps': [{'type': 'click', "
                           "'selectors': ['p'], 'modifierKeys': [1]},"
                           "{'type': 'navigate', 'url': 'chrome://new-tab-page/'}]}"));
    assert_int_equal(flow_warnings(fx.flow).n, 3);
    assert_string_equal(flow_warnings(fx.flow).v[0],
                        ": a flow knows no member \"recordedBy\", which is left out");
    assert_string_equal(
        flow_warnings(fx.flow).v[1],
        "/steps/0: a click step knows no member \"modifierKeys\", which is left out");
    assert_string_equal(
        flow_warnings(fx.flow).v[2],
        "/steps/1: navigate to \"chrome://new-tab-page/\" is left out: only targets are visited");
}

/* As @puppeteer/replay takes it; here there is a page to go to. */
static void empty_flow(void **state)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    (void)state;
    assert_non_null(decode("{'title': 't', 'steps': []}"));
    assert_int_equal(flow_len(fx.flow), 0);
    flow_explain(fx.flow, &b);
    assert_non_null(strstr(b.ptr, "navigate (implied)"));
    buf_deinit(&b);
}

/* --- bad ones --- */

static const struct {
    const char *text, *report;
} bad[] = {
    {"[]", "flow: found array, expected a flow: an object with steps\n"},
    {"{}", "flow: /steps: missing, expected an array of steps\n"},
    {"{'steps': {}}", "flow: /steps: found object, expected an array of steps\n"},
    {STEPS("{'type': 'repeat', 'times': 2, 'steps': []}"),
     "flow: /steps/0/steps: found no steps, expected at least one\n"},
    {"{'titel': 't', 'steps': [{'type': 'sleep', 'ms': 1}]}",
     "flow: /titel: unknown member, did you mean \"title\"?\n"},
    {"{'timeout': 'x', 'steps': [{'type': 'sleep', 'ms': 1}]}",
     "flow: /timeout: found string, expected an integer 1..600000\n"},
    {STEPS("7"), "flow: /steps/0: found number, expected a step: an object\n"},
    {STEPS("{}"), "flow: /steps/0: /type: missing, expected the type of the step\n"},
    {STEPS("{'type': 3}"), "flow: /steps/0/type: found number, expected a string\n"},
    {STEPS("{'type': 'sleep', 'ms': 1}, {'type': 'clik', 'selectors': ['p']}"),
     "flow: /steps/1/type: unknown type of step \"clik\", did you mean \"click\"?\n"},
    {STEPS("{'type': 'wibble'}"), "flow: /steps/0/type: unknown type of step \"wibble\"; README.md "
                                  "of browser/flow lists them\n"},
    {STEPS("{'type': 'click'}"),
     "flow: /steps/0/selectors: missing, expected the selectors of an element\n"},
    {STEPS("{'type': 'click', 'selectors': []}"),
     "flow: /steps/0/selectors: found 0 selectors, expected 1..50\n"},
    {STEPS("{'type': 'click', 'selectors': [[]]}"),
     "flow: /steps/0/selectors/0: found a selector of 0 parts, expected 1..20\n"},
    {STEPS("{'type': 'click', 'selectors': [['a', 3]]}"),
     "flow: /steps/0/selectors/0/1: found number, expected a selector: a string\n"},
    {STEPS("{'type': 'click', 'selectors': ['']}"),
     "flow: /steps/0/selectors/0: found an empty selector\n"},
    {STEPS("{'type': 'click', 'selectors': ['arai/Name']}"),
     "flow: /steps/0/selectors/0: unknown kind of selector \"arai/\", did you mean \"aria/\"?; "
     "expected CSS, aria/, text/, "
     "xpath/ or pierce/\n"},
    {STEPS("{'type': 'click', 'selectors': ['//div']}"),
     "flow: /steps/0/selectors/0: found \"//div\", expected \"xpath///div\" for an XPath\n"},
    {STEPS("{'type': 'click', 'selectors': ['aria/']}"),
     "flow: /steps/0/selectors/0: found nothing after \"aria/\"\n"},
    {STEPS("{'type': 'click', 'selector': ['p'], 'selectors': ['p']}"),
     "flow: /steps/0/selector: unknown member of a click step, did you mean \"selectors\"?\n"},
    {STEPS("{'type': 'click', 'selectors': ['p'], 'offsetX': 'left'}"),
     "flow: /steps/0/offsetX: found \"left\", expected a number\n"},
    {STEPS("{'type': 'click', 'selectors': ['p'], 'button': 'first'}"),
     "flow: /steps/0/button: found \"first\", expected one of primary, auxiliary, secondary, back "
     "or forward\n"},
    {STEPS("{'type': 'click', 'selectors': ['p'], 'frame': ['a']}"),
     "flow: /steps/0/frame: element 0: expected an index of a frame, 0..10000\n"},
    {STEPS("{'type': 'click', 'selectors': ['p'], 'timeout': 0}"),
     "flow: /steps/0/timeout: found 0, expected an integer 1..600000\n"},
    {STEPS("{'type': 'click', 'selectors': ['p'], 'assertedEvents': [{'type': 'load'}]}"),
     "flow: /steps/0/assertedEvents: element 0: found the event \"load\", expected {\"type\": "
     "\"navigation\"}\n"},
    {STEPS("{'type': 'keyDown', 'key': 'Entre'}"),
     "flow: /steps/0/key: found \"Entre\", which is no key, did you mean \"Enter\"?\n"},
    {STEPS("{'type': 'navigate', 'url': 'file:///etc/passwd'}"),
     "flow: /steps/0/url: found \"file:///etc/passwd\", expected an http or https URL\n"},
    {STEPS("{'type': 'navigate', 'url': 'http://a/', 'accept_status': [429]}"),
     "flow: /steps/0/accept_status: expected HTTP statuses 400..499 but 403 and 429, which are the "
     "target's refusals\n"},
    {STEPS("{'type': 'change', 'selectors': ['p'], 'value': '{{a'}"),
     "flow: /steps/0/value: \"{{a\" has a {{ without a name and }}; a plain {{ is written \\{{\n"},
    {STEPS("{'type': 'change', 'selectors': ['p'], 'value': '{{row.}}'}"),
     "flow: /steps/0/value: found \"{{row.}}\", expected a name after \"row.\"\n"},
    {STEPS("{'type': 'click', 'selectors': ['aria/[role=button]']}"),
     "flow: /steps/0/selectors/0: found \"aria/[role=button]\", which is no aria/ "
     "selector: "
     "expected [role=\"...\"] or [name=\"...\"] at character 1, in quotes and closed\n"},
    {STEPS("{'type': 'drag', 'selectors': ['p']}"),
     "flow: /steps/0: expected either \"to\": selectors of what it is dropped on, or by_x and "
     "by_y: "
     "how far it is dragged\n"},
    {STEPS("{'type': 'drag', 'selectors': ['p'], 'to': ['q'], 'by_x': 5}"),
     "flow: /steps/0: expected either \"to\": selectors of what it is dropped on, or by_x and "
     "by_y: "
     "how far it is dragged\n"},
    {STEPS("{'type': 'drag', 'selectors': ['p'], 'by_y': 5, 'to_offset_x': 5}"),
     "flow: /steps/0: expected to_offset_x and to_offset_y with \"to\" alone\n"},
    {STEPS("{'type': 'waitForElement', 'selectors': ['p'], 'operator': '>'}"),
     "flow: /steps/0/operator: found \">\", expected one of >=, == or <=\n"},
    {STEPS("{'type': 'waitForElement', 'selectors': ['p'], 'attributes': {'a': 1}}"),
     "flow: /steps/0/attributes: \"a\": found number, expected a string\n"},
    {STEPS("{'type': 'extract'}"),
     "flow: /steps/0/into: missing, expected the name of the value\n"
     "flow: /steps/0: expected selectors, each or fields: what to extract\n"},
    {STEPS("{'type': 'extract', 'fields': {'a': {'type': 'money'}}}"),
     "flow: /steps/0/fields/a/type: found \"money\", expected one of text, raw, number, integer, "
     "boolean, url, html, json "
     "or date\n"},
    {STEPS("{'type': 'assert', 'message': 'm'}"),
     "flow: /steps/0: expected one of expression, selectors, url and title\n"},
    {STEPS("{'type': 'set', 'name': 'a'}"),
     "flow: /steps/0: expected either value or expression for the name \"a\"\n"},
    {STEPS("{'type': 'sleep', 'ms': 100000}"),
     "flow: /steps/0/ms: found 100000, expected a number 0..60000\n"},
    {STEPS("{'type': 'click', 'selectors': ['p'], 'irreversible': true, 'retries': 1}"),
     "flow: /steps/0/retries: an irreversible step is not repeated\n"},
    {STEPS("{'type': 'repeat', 'times': 2, 'while': 'x', 'steps': [{'type': 'sleep', 'ms': 1}]}"),
     "flow: /steps/0: expected one of times, while and until\n"},
    {STEPS("{'type': 'repeat', 'times': 2, 'steps': [{'type': 'sleep', 'ms': 1}, {'type': "
           "'clack'}]}"),
     "flow: /steps/0/steps/1/type: unknown type of step \"clack\", did you mean \"click\"?\n"},
    {STEPS("{'type': 'paginate', 'steps': [{'type': 'sleep', 'ms': 1}]}"),
     "flow: /steps/0/next: missing, expected the selectors of what leads to the next page\n"},
    {STEPS("{'type': 'click'}, {'type': 'sleep', 'ms': 'x'}"),
     "flow: /steps/0/selectors: missing, expected the selectors of an element\nflow: /steps/1/ms: "
     "found \"x\", expected a number "
     "0..60000\n"},
};

static void bad_flows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        decode(bad[i].text);
        if (strcmp(fx.report, bad[i].report) != 0)
            fail_msg("%s:\n%s instead of\n%s", bad[i].text, fx.report, bad[i].report);
    }
}

/* --- in words --- */

static void explained(void **state)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    (void)state;
    assert_non_null(decode(STEPS("{'type': 'click', 'selectors': [['aria/Go'], ['#go']], "
                                 "'assertedEvents': [{'type': 'navigation'}]},"
                                 "{'type': 'repeat', 'times': 2, 'steps': [{'type': 'change', "
                                 "'selectors': ['x-a', 'b'], 'value': 'v',"
                                 " 'timeout': 9}]}")));
    flow_explain(fx.flow, &b);
    assert_string_equal(
        b.ptr, "t: 2 steps, timeout 5000 ms\n"
               "-  navigate (implied): the row's URL\n"
               "0  click: clicks an element aria/Go (or 1 more), and waits for the navigation\n"
               "1  repeat: takes its steps again and again\n"
               "  0  change: gives a field a value x-a (or 1 more), value \"v\", at most 9 ms\n");
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(recorded_flow, setup, teardown),
        cmocka_unit_test_setup_teardown(own_steps, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_members_are_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_flow, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_flows, setup, teardown),
        cmocka_unit_test_setup_teardown(explained, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
