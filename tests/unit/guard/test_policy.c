#include "core/guard/policy.h"

#include <arpa/inet.h>

#include "tests/support/testing.h"

static struct policy *made(const char **allow, size_t n_allow, const char **deny, size_t n_deny,
                           enum policy_private private_networks)
{
    struct policy_conf c = {
        .allow = {allow, n_allow}, .deny = {deny, n_deny}, .private_networks = private_networks};
    struct policy *p = NULL;
    struct err e = ERR_INIT;

    assert_int_equal(policy_create(&c, &p, &e), STATUS_OK);
    return p;
}

static enum status check(const struct policy *p, const char *host)
{
    return policy_check(p, STR("page.navigate"), str_from(host), NULL);
}

static void test_lists(void **state)
{
    const char *allow[] = {"*.example.org", "shop.test"};
    const char *deny[] = {"admin.example.org"};
    struct policy *p = made(allow, 2, deny, 1, POLICY_PRIVATE_LISTED);
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(check(p, "a.example.org"), STATUS_OK);
    assert_int_equal(check(p, "example.org"), STATUS_OK);
    assert_int_equal(check(p, "shop.test"), STATUS_OK);
    assert_int_equal(check(p, "www.shop.test"), STATUS_POLICY_DENIED);
    assert_int_equal(check(p, "badexample.org"), STATUS_POLICY_DENIED);
    assert_int_equal(check(p, "admin.example.org"), STATUS_POLICY_DENIED);
    assert_int_equal(check(p, ""), STATUS_OK);
    assert_int_equal(policy_check(p, STR("page.navigate"), STR("admin.example.org"), &e),
                     STATUS_POLICY_DENIED);
    assert_non_null(strstr(e.text, "policy.deny"));
    policy_destroy(&p);
}

static void test_private_networks(void **state)
{
    static const struct {
        const char *host;
        enum status listed, no, yes;
    } cases[] = {
        {"public.example", STATUS_OK, STATUS_OK, STATUS_OK},
        {"127.0.0.1", STATUS_OK, STATUS_POLICY_DENIED, STATUS_OK}, /* it is listed below */
        {"127.0.0.2", STATUS_POLICY_DENIED, STATUS_POLICY_DENIED, STATUS_OK},
        {"10.1.2.3", STATUS_POLICY_DENIED, STATUS_POLICY_DENIED, STATUS_OK},
        {"169.254.169.254", STATUS_POLICY_DENIED, STATUS_POLICY_DENIED, STATUS_OK},
        {"localhost", STATUS_POLICY_DENIED, STATUS_POLICY_DENIED, STATUS_OK},
        {"::1", STATUS_POLICY_DENIED, STATUS_POLICY_DENIED, STATUS_OK},
        {"224.0.0.1", STATUS_POLICY_DENIED, STATUS_POLICY_DENIED, STATUS_POLICY_DENIED},
        {"8.8.8.8", STATUS_OK, STATUS_OK, STATUS_OK},
    };

    (void)state;
    for (int how = 0; how < 3; how++) {
        struct policy *p = made(NULL, 0, NULL, 0, (enum policy_private)how);

        policy_list_target(p, STR("127.0.0.1"));
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            enum status want = how == POLICY_PRIVATE_LISTED ? cases[i].listed
                               : how == POLICY_PRIVATE_NO   ? cases[i].no
                                                            : cases[i].yes;

            if (check(p, cases[i].host) != want)
                fail_msg("%s with private_networks %d", cases[i].host, how);
        }
        policy_destroy(&p);
    }
}

static void test_a_name_that_turns_private_is_refused(void **state)
{
    struct policy *p = made(NULL, 0, NULL, 0, POLICY_PRIVATE_LISTED);
    struct sockaddr_in sa = {.sin_family = AF_INET};

    (void)state;
    inet_pton(AF_INET, "192.168.1.1", &sa.sin_addr);
    assert_int_equal(policy_check_connect(p, STR("rebind.example"), 80, NULL, NULL), STATUS_OK);
    assert_int_equal(
        policy_check_connect(p, STR("rebind.example"), 80, (struct sockaddr *)&sa, NULL),
        STATUS_POLICY_DENIED);
    inet_pton(AF_INET, "93.184.216.34", &sa.sin_addr);
    assert_int_equal(
        policy_check_connect(p, STR("rebind.example"), 80, (struct sockaddr *)&sa, NULL),
        STATUS_OK);
    policy_destroy(&p);
}

static void test_patterns_that_are_none(void **state)
{
    static const char *const bad[] = {"", "https://x.org", "x.org/path", "a b", "x?y"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const char *v[] = {bad[i]};
        struct policy_conf c = {.deny = {v, 1}};
        struct policy *p = NULL;
        struct err e = ERR_INIT;

        assert_int_equal(policy_create(&c, &p, &e), STATUS_INVALID);
        assert_non_null(strstr(e.text, "policy.deny"));
        assert_null(p);
    }
}

static void test_tags(void **state)
{
    static const char *const cases[][5] = {
        /* tags, ...; op; host; the answer ("" OK) */
        {"fleet:op", "target:*.example.org", "http.get", "shop.example.org", ""},
        {"fleet:op", "target:*.example.org", "http.get", "other.example", "target:other.example"},
        {"fleet:op", "target:a.example", "flow.wait", "", ""},
        {"target:a.example", "fleet:policy", "http.get", "a.example", "fleet:op"},
        {"fleet:op", "fleet:policy", "http.get", "a.example", "target:a.example"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *tags[] = {cases[i][0], cases[i][1]};
        const struct policy_conf c = {.tags = {tags, 2}, .has_tags = true};
        struct policy *p;
        struct err e = ERR_INIT;
        enum status s;

        assert_int_equal(policy_create(&c, &p, &e), STATUS_OK);
        s = policy_check(p, str_from(cases[i][2]), str_from(cases[i][3]), &e);
        assert_int_equal(s, cases[i][4][0] ? STATUS_POLICY_DENIED : STATUS_OK);
        assert_non_null(strstr(e.text, cases[i][4]));
        policy_destroy(&p);
    }
}

static void test_no_tags(void **state)
{
    static const char *const bad[] = {"fleet:ops", "target:", "target:http://a", ""};
    struct policy_conf c = {.has_tags = true};
    struct policy *p;
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(policy_create(&c, &p, &e), STATUS_OK); /* given, and empty: nothing granted */
    assert_int_equal(policy_check(p, STR("http.get"), STR("a.example"), &e), STATUS_POLICY_DENIED);
    assert_int_equal(policy_check_change(p, &e), STATUS_POLICY_DENIED);
    policy_destroy(&p);
    c.has_tags = false;
    assert_int_equal(policy_create(&c, &p, &e), STATUS_OK);
    assert_int_equal(policy_check(p, STR("http.get"), STR("a.example"), &e), STATUS_OK);
    assert_int_equal(policy_check_change(p, &e), STATUS_OK);
    policy_destroy(&p);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const char *tags[] = {bad[i]};

        c.tags = (struct json_strs){tags, 1};
        assert_int_equal(policy_create(&c, &p, &e), STATUS_INVALID);
        assert_null(p);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_no_tags),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_private_networks),
        cmocka_unit_test(test_a_name_that_turns_private_is_refused),
        cmocka_unit_test(test_patterns_that_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
