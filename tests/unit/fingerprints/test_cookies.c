#include "fingerprints/cookies.h"

#include "tests/support/testing.h"

static const char jar[] = "# Netscape HTTP Cookie File\n"
                          "\n"
                          "example.org\tFALSE\t/\tTRUE\t1893456000\tsid\tabc=1; x\r\n"
                          "#HttpOnly_.shop.example\tTRUE\t/cart\tFALSE\t0\tcart\t\n";

static void test_netscape_both_ways(void **state)
{
    struct buf faults = BUF_INIT(BUF_MAX_LINE), out = BUF_INIT(BUF_MAX_LINE);
    struct json *j = cookies_from_netscape(str_from(jar), "jar", &faults), *again;
    const struct json *c;

    (void)state;
    assert_true(cookies_is_netscape(str_from(jar)));
    assert_false(cookies_is_netscape(STR("{\"cookies\":[]}")));
    assert_non_null(j);
    assert_int_equal(faults.len, 0);
    c = json_first(json_get(j, "cookies"));
    assert_string_equal(json_str(json_get(c, "value"), ""), "abc=1; x");
    assert_true(json_bool(json_get(c, "secure"), false));
    assert_true(json_num(json_get(c, "expires"), 0) == 1893456000);
    c = json_next(c);
    assert_string_equal(json_str(json_get(c, "domain"), ""), ".shop.example");
    assert_string_equal(json_str(json_get(c, "value"), "?"), "");
    assert_true(json_bool(json_get(c, "httpOnly"), false));
    assert_true(json_num(json_get(c, "expires"), 0) == -1);
    assert_true(state_check(j, "jar", &faults));
    cookies_to_netscape(j, &out);
    again = cookies_from_netscape(buf_str(&out), "again", &faults);
    assert_true(json_eq(j, again));
    json_destroy(&j);
    json_destroy(&again);
    buf_deinit(&out);
    buf_deinit(&faults);
}

static void test_faults_have_places(void **state)
{
    static const char bad[] = "a.org\tTRUE\t/\tFALSE\t0\tn\tv\n"
                              "only three\tfields\there\n"
                              "a.org\tyes\t/\tFALSE\t0\tn\tv\n"
                              "a.org\tTRUE\tcart\tFALSE\t0\tn\tv\n"
                              "a.org\tTRUE\t/\tFALSE\tsoon\tn\tv\n"
                              "a.org\tTRUE\t/\tFALSE\t0\t\tv\n"
                              "\tTRUE\t/\tFALSE\t0\tn\tv\n";
    static const char *const told[] = {"jar:2: expected seven fields",
                                       "jar:3: second and fourth field",
                                       "jar:4: path: ",
                                       "jar:5: expires: ",
                                       "jar:6: name: ",
                                       "jar:7: domain: "};
    struct buf faults = BUF_INIT(BUF_MAX_LINE);

    (void)state;
    assert_null(cookies_from_netscape(str_from(bad), "jar", &faults));
    for (size_t i = 0; i < ARRAY_LEN(told); i++)
        assert_non_null(strstr(faults.ptr, told[i]));
    buf_deinit(&faults);
}

static void test_storage_states(void **state)
{
    static const struct {
        const char *text, *told; /* NULL: it is good */
    } cases[] = {
        {"{\"cookies\":[]}", NULL},
        {"{\"cookies\":[],\"origins\":[{\"origin\":\"https://a.org\",\"localStorage\":[]}]}", NULL},
        {"[]", "x: expected an object"},
        {"{\"origins\":[]}", "x: expected an object"},
        {"{\"cookies\":[{\"name\":\"a\",\"value\":1,\"domain\":\"a.org\"}]}", "x: /cookies/0: "},
        {"{\"cookies\":[{\"name\":\"a\",\"value\":\"1\",\"domain\":\"a.org\",\"expires\":\"x\"}]}",
         "x: /cookies/0: expires"},
        {"{\"cookies\":[],\"origins\":[{\"origin\":\"file:///\"}]}", "x: /origins/0: origin"},
        {"{\"cookies\":[],\"origins\":[{\"origin\":\"http://a\",\"localStorage\":[{}]}]}",
         "x: /origins/0: localStorage"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf faults = BUF_INIT(BUF_MAX_LINE);
        struct json *j = json_parse(str_from(cases[i].text), false, NULL);

        assert_int_equal(state_check(j, "x", &faults), cases[i].told == NULL);
        if (cases[i].told)
            assert_non_null(strstr(faults.ptr, cases[i].told));
        json_destroy(&j);
        buf_deinit(&faults);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_netscape_both_ways),
        cmocka_unit_test(test_faults_have_places),
        cmocka_unit_test(test_storage_states),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
