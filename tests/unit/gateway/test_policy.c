#include "browser/gateway/face.h"
#include "browser/gateway/policy.h"
#include "tests/support/testing.h"

#include <string.h>

static void test_rows_are_in_order(void **state)
{
    (void)state;
    for (size_t i = 1; policy_row(i) != NULL; i++) {
        const struct rule *r = policy_row(i);

        if (strcmp(policy_row(i - 1)->method, r->method) >= 0)
            fail_msg("%s stands behind %s", r->method, policy_row(i - 1)->method);
        assert_ptr_equal(policy_rule(str_from(r->method)), r);
        if (r->act == RULE_REFUSE || r->act == RULE_IGNORE)
            assert_non_null(r->why);
        assert_int_equal(r->act == RULE_MEND, r->mend != NULL);
    }
}

static void test_rules(void **state)
{
    static const struct {
        const char *method;
        enum rule_do act;
        bool acts;
    } rows[] = {
        {"Page.navigate", RULE_MEND, true},
        {"Page.enable", RULE_PASS, false},
        {"Input.insertText", RULE_PASS, true},
        {"Runtime.evaluate", RULE_PASS, true},
        {"Runtime.enable", RULE_PASS, false},
        {"Browser.crash", RULE_REFUSE, false},
        {"Browser.somethingNew", RULE_REFUSE, 0},
        {"SystemInfo.getInfo", RULE_REFUSE, 0},
        {"Nothing.known", RULE_REFUSE, false},
        {"Page", RULE_REFUSE, false},
        {"Page.", RULE_PASS, false},
        {"", RULE_REFUSE, false},
        {".", RULE_REFUSE, false},
        {"page.navigate", RULE_REFUSE, false},
        {"Target.somethingNew", RULE_REFUSE, 0},
        {"Emulation.setUserAgentOverride", RULE_IGNORE, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct rule *r = policy_rule(str_from(rows[i].method));

        if (r->act != rows[i].act || ((r->flags & RULE_ACTS) != 0) != rows[i].acts)
            fail_msg("%s: found %d %x", rows[i].method, (int)r->act, r->flags);
    }
}

static void test_addresses(void **state)
{
    static const char *const fine[] = {"http://a/",    "HTTPS://a/",       "about:blank",
                                       "about:srcdoc", "data:text/html,x", "blob:http://a/1",
                                       " http://a/"};
    static const char *const refused[] = {"",
                                          "file:///etc/passwd",
                                          "FILE:///x",
                                          " file:///x",
                                          ("\x01"
                                           "file:///x"),
                                          "fi\nle:///",
                                          "ht\ntp://a/",
                                          "chrome://",
                                          "view-source:http:/",
                                          "javascript:1",
                                          "about:x",
                                          "devtools://x",
                                          "//a/",
                                          "a.example/",
                                          "filesystem:http://a/"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fine); i++)
        if (!policy_url_ok(fine[i]))
            fail_msg("%s is refused", fine[i]);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (policy_url_ok(refused[i]))
            fail_msg("%s is let through", refused[i]);
}

static void test_json(void **state)
{
    static const char *const good[] = {"{}",
                                       "[]",
                                       " 1 ",
                                       "-0.5e+3",
                                       "\"\\u00e9\\n\"",
                                       "null",
                                       "{\"a\":[1,{\"b\":[]},true]}",
                                       "\"\\ud800\""};
    static const char *const bad[] = {
        "",     "{",    "{]",       "[}",       "{\"a\"}", "{\"a\":1,}",
        "[1,]", "01",   "1.",       "tru",      "\"\\x\"", "\"\\u12\"",
        "\"",   "{}{}", "\"\x01\"", "\"\xff\"", "{a:1}",   "{\"a\":1 \"b\":2}",
        "-",    "[1 2]"};
    char deep[2 * POLICY_JSON_DEPTH + 8];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (!policy_json_ok(str_from(good[i])))
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (policy_json_ok(str_from(bad[i])))
            fail_msg("%s is let through", bad[i]);
    memset(deep, '[', POLICY_JSON_DEPTH);
    memset(deep + POLICY_JSON_DEPTH, ']', POLICY_JSON_DEPTH);
    assert_true(policy_json_ok(str_n(deep, 2 * POLICY_JSON_DEPTH)));
    memset(deep, '[', POLICY_JSON_DEPTH + 1);
    memset(deep + POLICY_JSON_DEPTH + 1, ']', POLICY_JSON_DEPTH + 1);
    assert_false(policy_json_ok(str_n(deep, 2 * POLICY_JSON_DEPTH + 2)));
}

static void test_listen_address(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
    } rows[] = {{"127.0.0.1:8730", "127.0.0.1", 8730},
                {"[::1]:0", "::1", 0},
                {"8730", "127.0.0.1", 8730},
                {"localhost", NULL, 0},
                {":80", NULL, 0},
                {"a:70000", NULL, 0}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = ERR_INIT;
        char *host = NULL;
        uint16_t port = 0;
        enum status s = gateway_parse_listen(rows[i].text, &host, &port, &e);

        assert_int_equal(s == STATUS_OK, rows[i].host != NULL);
        if (s == STATUS_OK) {
            assert_string_equal(host, rows[i].host);
            assert_int_equal(port, rows[i].port);
        }
        free(host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_in_order), cmocka_unit_test(test_rules),
        cmocka_unit_test(test_addresses),         cmocka_unit_test(test_json),
        cmocka_unit_test(test_listen_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
