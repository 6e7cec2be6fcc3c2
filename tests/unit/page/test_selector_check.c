#include "browser/page/selector_check.h"

#include <string.h>

#include "tests/support/testing.h"

static void test_css(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"a", NULL},
        {"#main > .item:nth-child(2n + 1) ~ a[href^='/x?a=1&b={2}']", NULL},
        {"input[name=\"a]b\"]", NULL},
        {"svg|a, *|b", NULL},
        {".\\31 0", NULL},
        {"#a\\:b\\>", NULL},
        {":is(h1, h2):not(.x > .y)", NULL},
        {"::-p-text(Save)", NULL},
        {"a >>> b", NULL},
        {"a >>>> b", NULL},
        {"#item-{{sku}", NULL},
        {"[data-x='{{a}}", NULL}, /* not known yet */
        {"\xc3\xa9l\xc3\xa9ment", NULL},
        {"a[href", "no end to the [ at character 2"},
        {"a[href='x]", "no end to the quote ' at character 8"},
        {":is(a", "no end to the ( at character 4"},
        {"a)", "nothing is open that could be closed by ) at character 2"},
        {"a[b)c]", "another bracket is open before the ) at character 4"},
        {"#1a", "a name cannot begin with a digit (character 2)"},
        {"a,", "nothing follows the , at character 2"},
        {"a >", "nothing follows the > at character 3"},
        {", a", "nothing stands before the , at character 1"},
        {"a. b", "no name after . at character 2"},
        {"a{color:red}", "no selector has a { at character 2"},
        {"div:", "no name after : at character 4"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char why[SELECTOR_WHY_MAX] = "";
        bool ok = selector_css_sound(str_from(cases[i].text), why);

        if (ok != (cases[i].why == NULL) ||
            (cases[i].why != NULL && strncmp(why, cases[i].why, strlen(cases[i].why)) != 0))
            fail_msg("%s: %s", cases[i].text, ok ? "passed" : why);
    }
}

static void test_xpath(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"//a[contains(text(), \"it's\")]/@href", NULL},
        {"/", NULL},
        {".", NULL},
        {"..", NULL},
        {"//*[@id='x'][2]", NULL},
        {"(//a)[1]", NULL},
        {"count(//a) > 1", NULL},
        {"//a[", "no end to the [ at character 4"},
        {"//a[@x='y]", "no end to the quote ' at character 8"},
        {"//a[]", "nothing within the [ at character 4"},
        {"//a/", "nothing follows the / at character 4"},
        {"//a)", "nothing is open that could be closed by ) at character 4"},
        {"child::", "nothing follows the : at character 7"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char why[SELECTOR_WHY_MAX] = "";
        bool ok = selector_xpath_sound(str_from(cases[i].text), why);

        if (ok != (cases[i].why == NULL) ||
            (cases[i].why != NULL && strcmp(why, cases[i].why) != 0))
            fail_msg("%s: %s", cases[i].text, ok ? "passed" : why);
    }
}

static void test_aria(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"Save", NULL},
        {"Save[role=\"button\"]", NULL},
        {"[role='button']", NULL},
        {"[ name = \"a ] b\" ][ role = \"link\" ]", NULL},
        {"[name=\"say \\\"hi\\\"\"]", NULL},
        {"Item [3]", NULL}, /* a name with brackets in it */
        {"Filter [x=1]", NULL},
        {"[name]", NULL},
        {"[role={{kind}}", NULL}, /* not known yet */
        {"[role=button\"]", "expected [role=\"...\"] or [name=\"...\"] at character 1"},
        {"[role=button]", "expected [role=\"...\"] or [name=\"...\"] at character 1"},
        {"Save[role=\"button\"", "expected [role=\"...\"] or [name=\"...\"] at character 5"},
        {"Save[role=\"button]", "expected [role=\"...\"] or [name=\"...\"] at character 5"},
        {"Save[role=]", "expected [role=\"...\"] or [name=\"...\"] at character 5"},
        {"[name=\"a\" x]", "expected [role=\"...\"] or [name=\"...\"] at character 1"},
        {"Save[label=\"x\"]", "unknown attribute \"label\" (character 5), expected role or name"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char why[SELECTOR_WHY_MAX] = "";
        bool ok = selector_aria_sound(str_from(cases[i].text), why);

        if (ok != (cases[i].why == NULL) ||
            (cases[i].why != NULL && strncmp(why, cases[i].why, strlen(cases[i].why)) != 0))
            fail_msg("%s: %s", cases[i].text, ok ? "passed" : why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_css),
        cmocka_unit_test(test_xpath),
        cmocka_unit_test(test_aria),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
