/* What flows do to elements: clicks and keys as real events, fields of every kind, all kinds of
 * selectors, elements that are late, covered, moving, disabled, in shadow roots, in frames of other
 * processes and in popups. Pages note what happens to them; flows end by reading that into their
 * output. */
#include <stdio.h>
#include <stdlib.h>

#include "core/base/attr.h"
#include "tests/integration/flow_pages.h"
#include "tests/support/testing.h"

/* --- clicks --- */

static void clicks(void **state)
{
    (void)state;
    flow_expect(GO("form.html") "{'type': 'click', 'selectors': [['#one']], 'offsetX': 5, "
                                "'offsetY': 6}" LOG,
                "{\"log\":\"mouseover:one mousedown:one:1 mouseup:one:1 click:one:1\"}");
    flow_expect(GO("form.html") "{'type': 'doubleClick', 'selectors': '#one'}" LOG,
                "{\"log\":\"mouseover:one mousedown:one:1 mouseup:one:1 click:one:1 "
                "mousedown:one:2 mouseup:one:2 "
                "click:one:2 dblclick:one:2\"}");
    flow_expect(
        GO("form.html") "{'type': 'click', 'selectors': ['#one'], 'button': 'secondary'}" LOG,
        "{\"log\":\"mouseover:one mousedown:one:1 contextmenu:one mouseup:one:1 auxclick:one:1\"}");
    flow_expect(GO("form.html") "{'type': 'click', 'selectors': ['#one'], 'button': 'auxiliary', "
                                "'duration': 120}" LOG,
                "{\"log\":\"mouseover:one mousedown:one:1 mouseup:one:1 auxclick:one:1\"}");
    assert_true(tried.took_ms >= 120);
    flow_expect(GO("form.html") "{'type': 'hover', 'selectors': ['#one']}" LOG,
                "{\"log\":\"mouseover:one\"}");
    /* The pointer is where it was in the document before: what lies there is told first. */
    assert_int_equal(flow_try(GO("form.html") "{'type': 'click', 'selectors': ['#below']}" LOG),
                     STATUS_OK);
    assert_non_null(
        strstr(tried.output, "mouseover:below mousedown:below:1 mouseup:below:1 click:below:1\"}"));
}

static void offsets_and_modifiers(void **state)
{
    (void)state;
    flow_expect(GO("form.html") "{'type': 'click', 'selectors': ['#target'], 'offsetX': 10, "
                                "'offsetY': 20}, "
                                "{'type': 'keyDown', 'key': 'Shift'}, {'type': 'click', "
                                "'selectors': ['#target']}, "
                                "{'type': 'keyUp', 'key': 'Shift'}, "
                                "{'type': 'set', 'name': 'log', 'expression': 'log.filter((l) => "
                                "l.startsWith(^at^)).join(^ ^)', 'output': true}",
                "{\"log\":\"at:8,18:false at:48,23:true\"}");
}

static void touches(void **state)
{
    (void)state;
    flow_expect(GO("form.html") "{'type': 'click', 'selectors': ['#one'], 'deviceType': 'touch'}, "
                                "{'type': 'set', 'name': 'log', 'expression': 'log.filter((l) => "
                                "/touch|click/.test(l)).join(^ ^)', 'output': true}",
                "{\"log\":\"touchstart:one click:one:1\"}");
}

/* The browser's own drag, and what a page draws itself, also to a place that is scrolled to. */
static void drags(void **state)
{
    (void)state;
    flow_expect(GO("drag.html") "{'type': 'drag', 'selectors': ['aria/none', '#card'], 'to': "
                                "['#to']}" LOG,
                "{\"log\":\"start drop:to end\"}");
    flow_expect(GO("drag.html") "{'type': 'drag', 'selectors': ['text/card'], 'to': ['#to'], "
                                "'to_offset_x': 250, 'to_offset_y': 30}" LOG,
                "{\"log\":\"start drop:to end\"}");
    flow_expect(GO("drag.html") "{'type': 'drag', 'selectors': ['#box'], 'to': ['#far']}" LOG,
                "{\"log\":\"box down up:far:0\"}");
    flow_expect(GO("drag.html") "{'type': 'drag', 'selectors': ['#knob'], 'by_x': 120}" LOG,
                "{\"log\":\"knob:120 up:knob:0\"}");
    flow_expect(GO("drag.html") "{'type': 'drag', 'selectors': ['#box'], 'to': ['#nowhere'], "
                                "'timeout': 300, 'optional': true}" LOG,
                "{\"log\":\"\"}");
    flow_expect_fail(
        GO("drag.html") "{'type': 'drag', 'selectors': ['#card'], 'to': ['#nowhere'], 'timeout': "
                        "300}",
        STATUS_ELEMENT_NOT_FOUND, "#nowhere");
}

/* --- fields --- */

static void fields(void **state)
{
    (void)state;
    flow_expect(
        GO("form.html") "{'type': 'change', 'selectors': ['#name'], 'value': 'Ada'}" LOG VALUE(
            "name"),
        "{\"log\":\"key:A input:name key:d input:name key:a input:name\",\"name\":\"Ada\"}");
    flow_expect(GO("form.html") "{'type': 'change', 'selectors': ['#mail'], 'value': "
                                "'ada@example.com'}" VALUE("mail"),
                "{\"mail\":\"ada@example.com\"}");
    flow_expect(
        GO("form.html") "{'type': 'change', 'selectors': ['#old'], 'value': 'new'}" VALUE("old"),
        "{\"old\":\"new\"}");
    flow_expect(
        GO("form.html") "{'type': 'change', 'selectors': ['#old'], 'value': ''}" VALUE("old"),
        "{\"old\":\"\"}");
    flow_expect(
        GO("form.html") "{'type': 'change', 'selectors': ['#count'], 'value': '42'}" VALUE("count"),
        "{\"count\":\"42\"}");
    flow_expect(
        GO("form.html") "{'type': 'change', 'selectors': ['#day'], 'value': '2026-01-02'}" LOG
            VALUE("day"),
        "{\"log\":\"input:day change:day\",\"day\":\"2026-01-02\"}");
    flow_expect(
        GO("form.html") "{'type': 'change', 'selectors': ['#colour'], 'value': '#ff0000'}" VALUE(
            "colour"),
        "{\"colour\":\"#ff0000\"}");
    flow_expect(
        GO("form.html") "{'type': 'change', 'selectors': ['#range'], 'value': '7'}" LOG VALUE(
            "range"),
        "{\"log\":\"input:range change:range\",\"range\":\"7\"}");
    flow_expect(
        GO("form.html") "{'type': 'change', 'selectors': ['#locked'], 'value': 'set'}" VALUE(
            "locked"),
        "{\"locked\":\"set\"}");
    flow_expect(
        GO("form.html") "{'type': 'change', 'selectors': ['aria/Name'], 'value': 'né€😀'}" VALUE(
            "name"),
        "{\"name\":\"né€😀\"}");
}

static void more_fields(void **state)
{
    (void)state;
    flow_expect(
        GO("form.html") "{'type': 'change', 'selectors': ['#text'], 'value': 'two\\nlines'}" VALUE(
            "text"),
        "{\"text\":\"two\\nlines\"}");
    flow_expect(
        GO("form.html") "{'type': 'change', 'selectors': ['#text'], 'value': '{{row.word}} "
                        "0123456789012345678901234567890123456789"
                        "0123456789012345678901234567890123456789012345678901234567890123456789'}, "
                        "{'type': 'set', 'name': 'n', 'expression': 'text.value.length', 'output': "
                        "true}" LOG,
        "{\"n\":116,\"log\":\"input:text change:text\"}");
    flow_expect(
        GO("form.html") "{'type': 'change', 'selectors': ['#size'], 'value': 'm'}" LOG VALUE(
            "size"),
        "{\"log\":\"input:size change:size\",\"size\":\"m\"}");
    flow_expect(
        GO("form.html") "{'type': 'change', 'selectors': ['#size'], 'value': 'Large'}" VALUE(
            "size"),
        "{\"size\":\"l\"}");
    flow_expect(
        GO("form.html") "{'type': 'change', 'selectors': ['#late'], 'value': 'Bee'}" VALUE("late"),
        "{\"late\":\"b\"}");
    flow_expect(GO("form.html") "{'type': 'change', 'selectors': ['#terms'], 'value': 'on'}, "
                                "{'type': 'change', 'selectors': ['#news'], 'value': 'false'}, "
                                "{'type': 'set', 'name': 'both', 'expression': '[terms.checked, "
                                "news.checked]', 'output': true}",
                "{\"both\":[true,false]}");
    flow_expect(
        GO("form.html") "{'type': 'change', 'selectors': ['#rich'], 'value': 'new words'}, "
                        "{'type': 'set', 'name': 't', 'expression': 'rich.innerText', 'output': "
                        "true}",
        "{\"t\":\"new words\"}");
    flow_expect_fail(GO("form.html") "{'type': 'change', 'selectors': ['#size'], 'value': 'xxl', "
                                     "'timeout': 300}",
                     STATUS_ELEMENT_NOT_FOUND, "no option \"xxl\" among \"s\", \"m\", \"l\"");
    flow_expect_fail(
        GO("form.html") "{'type': 'change', 'selectors': ['#box'], 'value': 'x', 'timeout': 300}",
        STATUS_ELEMENT_NOT_FOUND, "<div id=box> is no field");
}

static void keys(void **state)
{
    (void)state;
    flow_expect(
        GO("form.html") "{'type': 'click', 'selectors': ['#name']}, {'type': 'keyDown', 'key': "
                        "'a'}, {'type': 'keyUp', 'key': 'a'}, "
                        "{'type': 'keyDown', 'key': 'Shift'}, {'type': 'keyDown', 'key': 'KeyB'}, "
                        "{'type': 'keyUp', 'key': 'KeyB'}, "
                        "{'type': 'keyUp', 'key': 'Shift'}, {'type': 'keyDown', 'key': 'Digit5'}, "
                        "{'type': 'keyUp', 'key': 'Digit5'}, "
                        "{'type': 'keyDown', 'key': 'Backspace'}, {'type': 'keyUp', 'key': "
                        "'Backspace'}, "
                        "{'type': 'keyDown', 'key': 'Enter'}, {'type': 'keyUp', 'key': 'Enter'}" LOG
                            VALUE("name"),
        "{\"log\":\"key:a input:name key:Shift key:B input:name key:5 input:name key:Backspace "
        "input:name "
        "key:Enter change:name submit\",\"name\":\"aB\"}");
    /* A chord: all of it selected, then replaced. */
    flow_expect(
        GO("form.html") "{'type': 'click', 'selectors': ['#old']}, {'type': 'keyDown', 'key': "
                        "'Control'}, "
                        "{'type': 'keyDown', 'key': 'a'}, {'type': 'keyUp', 'key': 'a'}, {'type': "
                        "'keyUp', 'key': 'Control'}, "
                        "{'type': 'keyDown', 'key': 'z'}, {'type': 'keyUp', 'key': 'z'}" VALUE(
                            "old"),
        "{\"old\":\"z\"}");
}

static void scrolling(void **state)
{
    (void)state;
    flow_expect(GO("form.html") "{'type': 'scroll', 'selectors': ['#box'], 'x': 40, 'y': 70}, "
                                "{'type': 'scroll', 'y': 333}, "
                                "{'type': 'set', 'name': 'at', 'expression': '[box.scrollLeft, "
                                "box.scrollTop, scrollY]', 'output': true}",
                "{\"at\":[40,70,333]}");
}

/* --- selectors --- */

#define CLICKED(sel, what)                                                                         \
    {                                                                                              \
        GO("selectors.html")                                                                       \
        "{'type': 'click', 'selectors': [" sel "]}" LOG, "{\"log\":\"" what "\"}"                  \
    }

static void selectors(void **state)
{
    static const struct {
        const char *steps, *output;
    } cases[] = {
        CLICKED("['#css']", "css"),
        CLICKED("['aria/Close dialog']", "aria"),
        CLICKED("['aria/Save[role=\\'button\\']']", "button-save"),
        CLICKED("['aria/Save[role=\\'link\\']']", "link"),
        CLICKED("['aria/[name=\\'Save\\'][role=\\'button\\']']", "button-save"),
        CLICKED("['text/text here']", "italic bold"),
        CLICKED("['text/deep text']", "bold"),
        CLICKED("['text/my value']", "value"),
        CLICKED("['text/shadow words']", "shadow-text"),
        CLICKED("['xpath///li[2]']", "two"),
        CLICKED("['xpath//html/body/ul/li[contains(., \\'tw\\')]']", "two"),
        CLICKED("['pierce/#inner']", "inner"),
        CLICKED("['x-outer', 'x-inner', '#inner']", "inner"),
        CLICKED("['x-outer', 'section > x-inner', 'text/Inner']", "inner"),
        CLICKED("['x-outer', 'xpath///x-inner', 'xpath///button']", "inner"),
        CLICKED("['x-outer', 'x-inner', 'aria/Inner button']", "inner"),
        CLICKED("['.many']", "many"),
        CLICKED("['#inside', '#deep']", "frame"),
        CLICKED("['#nowhere'], ['aria/Nobody'], ['text/never'], ['#css']", "css"),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *steps = strdup(cases[i].steps);

        for (char *c = strstr(steps, "\\'"); c != NULL; c = strstr(c, "\\'"))
            memcpy(c, "\\\"", 2);
        flow_expect(steps, cases[i].output);
        free(steps);
    }
}

static void waiting(void **state)
{
    (void)state;
    flow_expect(
        GO("selectors.html") "{'type': 'waitForElement', 'selectors': ['li'], 'count': 3, "
                             "'operator': '=='}, "
                             "{'type': 'waitForElement', 'selectors': [['#none'], ['ul']], "
                             "'visible': true}, "
                             "{'type': 'waitForElement', 'selectors': ['#none'], 'visible': "
                             "false}, "
                             "{'type': 'waitForElement', 'selectors': ['li'], 'operator': '<=', "
                             "'count': 5}, "
                             "{'type': 'waitForElement', 'selectors': ['aria/Save'], 'count': 2}, "
                             "{'type': 'waitForElement', 'selectors': ['#css'], 'attributes': "
                             "{'class': 'b'}}, "
                             "{'type': 'waitForElement', 'selectors': ['x-outer'], 'properties': "
                             "{'state': {'level': 3}}}, "
                             "{'type': 'waitForElement', 'selectors': ['aria/First'], "
                             "'properties': {'id': 'css'}}, "
                             "{'type': 'waitForExpression', 'expression': 'document.readyState === "
                             "^complete^'}, "
                             "{'type': 'waitForExpression', 'expression': 'new Promise((r) => "
                             "setTimeout(() => r(true), 50))'}, "
                             "{'type': 'set', 'values': {'ok': '{{row.n}}', 'text': 'n is {{n}}'}, "
                             "'output': true}",
        "{\"ok\":7,\"text\":\"n is 7\"}");
    flow_expect_fail(
        GO("selectors.html") "{'type': 'waitForElement', 'selectors': ['li'], 'count': 4, "
                             "'timeout': 200}",
        STATUS_ELEMENT_NOT_FOUND,
        "step 1 (waitForElement): after 200 ms: \"li\": 3 found, expected >= 4");
    flow_expect_fail(
        GO("selectors.html") "{'type': 'waitForElement', 'selectors': [['#gone'], ['li']], "
                             "'visible': false, 'timeout': 200}",
        STATUS_ELEMENT_NOT_FOUND,
        "after 200 ms: \"li\": 3 found, expected this not to hold (visible: false)");
    flow_expect_fail(GO("selectors.html") "{'type': 'waitForElement', 'selectors': ['#css'], "
                                          "'attributes': {'class': 'c'}, 'timeout': 200}",
                     STATUS_ELEMENT_NOT_FOUND,
                     "attribute class of <button id=css class=\"b\"> is \"b\"");
    flow_expect_fail(
        GO("selectors.html") "{'type': 'waitForExpression', 'expression': 'window.never', "
                             "'timeout': 200}",
        STATUS_TIMEOUT, "after 200 ms the expression is not true: window.never");
    flow_expect_fail(
        GO("selectors.html") "{'type': 'waitForExpression', 'expression': 'no.such.name', "
                             "'timeout': 200}",
        STATUS_SCRIPT_FAILED, "no is not defined");
    flow_expect_fail(GO("selectors.html") "{'type': 'waitForExpression', 'expression': 'if (', "
                                          "'timeout': 20000}",
                     STATUS_SCRIPT_FAILED, "SyntaxError");
    flow_expect_fail(
        GO("selectors.html") "{'type': 'click', 'selectors': ['li:nope', 'p::nope(1)']}",
        STATUS_INVALID, "no valid selector");
}

/* --- elements that are not ready --- */

static void hard(void **state)
{
    (void)state;
    flow_expect(GO("hard.html") "{'type': 'click', 'selectors': ['#mover']}, {'type': 'click', "
                                "'selectors': ['#behind']}, "
                                "{'type': 'click', 'selectors': ['#off']}, {'type': 'click', "
                                "'selectors': ['#late']}, "
                                "{'type': 'click', 'selectors': ['#bottom']}" LOG,
                "{\"log\":\"mover behind off late bottom\"}");
    flow_expect_fail(
        GO("hard.html") "{'type': 'click', 'selectors': ['#always'], 'timeout': 300}",
        STATUS_ELEMENT_NOT_FOUND,
        "step 1 (click): after 300 ms: \"#always\": found but covered by <div id=cover "
        "class=\"veil dark\">");
    assert_int_equal(tried.error_step, 1);
    flow_expect_fail(GO("hard.html") "{'type': 'click', 'selectors': ['#never'], 'timeout': 300}",
                     STATUS_ELEMENT_NOT_FOUND, "\"#never\": found but disabled");
    flow_expect_fail(GO("hard.html") "{'type': 'click', 'selectors': ['#set'], 'timeout': 300}",
                     STATUS_ELEMENT_NOT_FOUND, "found but disabled");
    flow_expect_fail(GO("hard.html") "{'type': 'click', 'selectors': [['.gone'], ['aria/No one']], "
                                     "'timeout': 300}",
                     STATUS_ELEMENT_NOT_FOUND,
                     "\".gone\": 3 elements, none visible, the first is visible (display: none); "
                     "\"aria/No one\": no such element");
    assert_non_null(strstr(tried.artifacts, "t-000001-1-failed.png"));
}

/* --- frames and pages --- */

#define SAID ", {'type': 'extract', 'into': 'said', 'selectors': ['#said'], 'frame': "

static void frames(void **state)
{
    (void)state;
    flow_expect(GO("frames.html") "{'type': 'click', 'selectors': ['#in'], 'frame': [0]}" SAID
                                  "[0]}",
                "{\"said\":\"clicked true\"}");
    flow_expect(GO("frames.html") "{'type': 'click', 'selectors': ['#in'], 'frame': [1]}" SAID
                                  "[1]}",
                "{\"said\":\"clicked true\"}");
    flow_expect(
        GO("frames.html") "{'type': 'click', 'selectors': ['aria/Inside'], 'frame': [2, 0]}" SAID
                          "[2, 0]}",
        "{\"said\":\"clicked true\"}");
    flow_expect(
        GO("frames.html") "{'type': 'change', 'selectors': ['#field'], 'frame': [1], 'value': "
                          "'abc'}, "
                          "{'type': 'extract', 'into': 'v', 'selectors': ['#field'], 'frame': [1]}",
        "{\"v\":\"abc\"}");
    flow_expect(GO("frames.html") "{'type': 'click', 'selectors': ['#in'], 'target': "
                                  "'http://b.test/inner.html?far'}, "
                                  "{'type': 'extract', 'into': 'said', 'selectors': ['#said'], "
                                  "'target': 'http://b.test/inner.html?far'}",
                "{\"said\":\"clicked true\"}");
    flow_expect(GO("frames.html") "{'type': 'set', 'name': 'w', 'expression': 'location.host', "
                                  "'frame': [2, 0], 'output': true}",
                "{\"w\":\"a.test\"}");
    flow_expect_fail(
        GO("frames.html") "{'type': 'click', 'selectors': ['#in'], 'frame': [7], 'timeout': 200}",
        STATUS_ELEMENT_NOT_FOUND, "the page has no such frame after 200 ms");
}

static void popups(void **state)
{
    (void)state;
    flow_expect(
        GO("popup.html") "{'type': 'click', 'selectors': ['#open']}, "
                         "{'type': 'change', 'target': 'http://a.test/child.html', 'selectors': "
                         "['#word'], 'value': 'hello {{word}}'}, "
                         "{'type': 'click', 'target': 'http://a.test/child.html', 'selectors': "
                         "['#tell']}, "
                         "{'type': 'assert', 'selectors': ['#got'], 'text': 'hello green'}, "
                         "{'type': 'click', 'target': 'http://a.test/child.html', 'selectors': "
                         "['#close']}, "
                         "{'type': 'extract', 'into': 'got', 'selectors': '#got'}",
        "{\"got\":\"hello green\"}");
    flow_expect(GO("popup.html") "{'type': 'click', 'selectors': ['#blank']}, "
                                 "{'type': 'waitForElement', 'target': "
                                 "'http://a.test/child.html?blank', 'selectors': ['#word']}, "
                                 "{'type': 'close', 'target': 'http://a.test/child.html?blank'}, "
                                 "{'type': 'set', 'name': 't', 'expression': 'document.title', "
                                 "'output': true}",
                "{\"t\":\"Opener\"}");
    flow_expect_fail(
        GO("popup.html") "{'type': 'click', 'target': 'http://a.test/other', 'selectors': "
                         "['#word'], 'timeout': 150}",
        STATUS_ELEMENT_NOT_FOUND,
        "no page or frame with the URL http://a.test/other is open; the page is at "
        "http://a.test/popup.html");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_CASE(clicks),    FLOW_CASE(offsets_and_modifiers),
        FLOW_CASE(touches),   FLOW_CASE(drags),
        FLOW_CASE(fields),    FLOW_CASE(more_fields),
        FLOW_CASE(keys),      FLOW_CASE(scrolling),
        FLOW_CASE(selectors), FLOW_CASE(waiting),
        FLOW_CASE(hard),      FLOW_CASE(frames),
        FLOW_CASE(popups),
    };

    return cmocka_run_group_tests(tests, flow_setup_all, flow_teardown_all);
}
