#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/base/str.h"

static void test_compare(void **state maybe_unused)
{
    assert_true(str_eq(STR("ab"), STR("ab")));
    assert_false(str_eq(STR("ab"), STR("aB")));
    assert_true(str_eq(STR_NONE, STR("")));
    assert_true(str_eqz(STR_NONE, ""));
    assert_true(str_eq_nocase(STR("Set-Cookie"), STR("sEt-cOOKIE")));
    assert_false(str_eq_nocase(STR("\xc3\x84"), STR("\xc3\xa4")));
    assert_false(str_eq_nocase(STR("@"), STR("`")));
    assert_true(str_starts(STR("http://x"), STR("http:")));
    assert_false(str_starts(STR("ht"), STR("http")));
    assert_true(str_starts_nocase(STR("HTTP://"), STR("http")));
    assert_true(str_ends(STR("a.json"), STR(".json")));
    assert_true(str_ends(STR("a"), STR("")));
}

static void test_cut_and_find(void **state maybe_unused)
{
    struct str rest = STR("a,,b"), part;
    const char *want[] = {"a", "", "b"};
    size_t n = 0;

    while (rest.ptr) {
        part = str_cut(&rest, ',');
        assert_true(n < 3 && str_eqz(part, want[n]));
        n++;
    }
    assert_int_equal(n, 3);
    assert_int_equal(str_chr(STR("abc"), 'c'), 2);
    assert_int_equal(str_chr(STR_NONE, 'c'), -1);
    assert_int_equal(str_find(STR("hello"), STR("ll")), 2);
    assert_int_equal(str_find(STR("hello"), STR("lol")), -1);
    assert_int_equal(str_find(STR(""), STR("")), 0);
    assert_true(str_eqz(str_trim(STR(" \t\r\n\v\fx y ")), "x y"));
    assert_int_equal(str_trim(STR("  ")).len, 0);
    assert_true(str_eqz(str_skip(STR("abc"), 1), "bc"));
    assert_int_equal(str_skip(STR("abc"), 9).len, 0);
    assert_true(str_eqz(str_head(STR("abc"), 2), "ab"));
    assert_true(str_eqz(str_head(STR("abc"), 3), "abc"));
    assert_true(str_eqz(str_head(STR("a\xc3\xa9"), 2), "a"));
    assert_true(str_eqz(str_head(STR("a\xe2\x82\xac"), 3), "a"));
    assert_int_equal(str_head(STR("\xe2\x82\xac"), 1).len, 0);
}

static void test_integers(void **state maybe_unused)
{
    static const struct {
        const char *text;
        bool u64, i64;
        uint64_t u;
        int64_t i;
    } cases[] = {
        {"0", true, true, 0, 0},
        {"007", true, true, 7, 7},
        {"18446744073709551615", true, false, UINT64_MAX, 0},
        {"18446744073709551616", false, false, 0, 0},
        {"99999999999999999999", false, false, 0, 0},
        {"9223372036854775807", true, true, INT64_MAX, INT64_MAX},
        {"9223372036854775808", true, false, UINT64_C(9223372036854775808), 0},
        {"-9223372036854775808", false, true, 0, INT64_MIN},
        {"-9223372036854775809", false, false, 0, 0},
        {"-1", false, true, 0, -1},
        {"+1", false, false, 0, 0},
        {" 1", false, false, 0, 0},
        {"1 ", false, false, 0, 0},
        {"", false, false, 0, 0},
        {"-", false, false, 0, 0},
        {"1a", false, false, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t u = 0;
        int64_t v = 0;

        assert_int_equal(str_to_u64(str_from(cases[i].text), UINT64_MAX, &u), cases[i].u64);
        assert_true(u == cases[i].u);
        assert_int_equal(str_to_i64(str_from(cases[i].text), &v), cases[i].i64);
        assert_true(v == cases[i].i);
    }
    assert_false(str_to_u64(STR("65536"), 65535, &(uint64_t){0}));
}

static void test_double(void **state maybe_unused)
{
    static const char *const bad[] = {"",    "-",   "+1",    ".5", "1.", "1e",  "01", "inf",
                                      "0x1", "nan", "1e999", " 1", "1 ", "1,5", "1e+"};
    double v = 0;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(str_to_double(str_from(bad[i]), &v));
    assert_true(str_to_double(STR("-12.5e-1"), &v) && v == -1.25);
    assert_true(str_to_double(STR("0"), &v) && v == 0);
}

static void test_glob(void **state maybe_unused)
{
    static const struct {
        const char *pattern, *text;
        bool match;
    } cases[] = {
        {"*", "", true},
        {"", "", true},
        {"", "a", false},
        {"*.example.org", "Shop.EXAMPLE.org", true},
        {"*.example.org", "example.org", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"*a*b", "xxaxxbxb", true},
        {"*a*b", "xxaxxbxc", false},
        {"**", "x", true},
        {"a*", "a", true},
        {"*aaaaaaaaaaaaaaaaab", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(str_glob_nocase(str_from(cases[i].pattern), str_from(cases[i].text)),
                         cases[i].match);
}

static void test_distance_and_suggest(void **state maybe_unused)
{
    static const char *const names[] = {"limits", "breaker", "max_requests", "url", "pdf"};

    assert_int_equal(str_distance(STR(""), STR("abc")), 3);
    assert_int_equal(str_distance(STR("kitten"), STR("sitting")), 3);
    assert_int_equal(str_distance(STR("ab"), STR("ba")), 1);
    assert_int_equal(str_distance(STR("limits"), STR("limtis")), 1);
    assert_int_equal(
        str_distance(str_n("0123456789012345678901234567890123456789012345678901234567890"
                           "12345",
                           66),
                     STR("a")),
        SIZE_MAX);
    assert_string_equal(str_suggest(STR("limts"), names, ARRAY_LEN(names)), "limits");
    assert_string_equal(str_suggest(STR("max_request_s"), names, ARRAY_LEN(names)), "max_requests");
    assert_string_equal(str_suggest(STR("brekaer"), names, ARRAY_LEN(names)), "breaker");
    assert_null(str_suggest(STR("xy"), names, ARRAY_LEN(names)));
    assert_null(str_suggest(STR("zzz"), names, ARRAY_LEN(names)));
    assert_null(str_suggest(STR("x"), NULL, 0));
}

static void test_utf8(void **state maybe_unused)
{
    static const struct {
        struct str s;
        size_t len; /* of the first character */
    } cases[] = {
        {{"", 0}, 0},
        {{"a", 1}, 1},
        {{"\0", 1}, 1},
        {{"\x7f", 1}, 1},
        {{"\x80", 1}, 0},
        {{"\xc0\x80", 2}, 0},         /* overlong */
        {{"\xc1\xbf", 2}, 0},         /* overlong */
        {{"\xc2\x80", 2}, 2},         /* U+0080 */
        {{"\xdf\xbf", 2}, 2},         /* U+07FF */
        {{"\xc3", 1}, 0},             /* broken off */
        {{"\xc3(", 2}, 0},            /* no continuation */
        {{"\xe0\x9f\xbf", 3}, 0},     /* overlong */
        {{"\xe0\xa0\x80", 3}, 3},     /* U+0800 */
        {{"\xed\x9f\xbf", 3}, 3},     /* U+D7FF */
        {{"\xed\xa0\x80", 3}, 0},     /* U+D800 */
        {{"\xed\xbf\xbf", 3}, 0},     /* U+DFFF */
        {{"\xef\xbf\xbf", 3}, 3},     /* U+FFFF */
        {{"\xe2\x82", 2}, 0},         /* broken off */
        {{"\xf0\x8f\xbf\xbf", 4}, 0}, /* overlong */
        {{"\xf0\x90\x80\x80", 4}, 4}, /* U+10000 */
        {{"\xf4\x8f\xbf\xbf", 4}, 4}, /* U+10FFFF */
        {{"\xf4\x90\x80\x80", 4}, 0}, /* past the end */
        {{"\xf5\x80\x80\x80", 4}, 0},
        {{"\xff", 1}, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(str_utf8_len(cases[i].s.ptr, cases[i].s.len), cases[i].len);
        if (cases[i].s.len)
            assert_int_equal(str_is_utf8(cases[i].s), cases[i].len == cases[i].s.len);
    }
    assert_true(str_is_utf8(STR_NONE));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t at = 0; at < 20 && cases[i].s.len > 0; at++) { /* within a longer text */
            char text[32];

            memset(text, 'a', sizeof(text));
            memcpy(text + at, cases[i].s.ptr, cases[i].s.len);
            assert_int_equal(str_is_utf8(str_n(text, sizeof(text))),
                             cases[i].len == cases[i].s.len);
        }
    }
}

/* Every byte at every place of a text of several words. */
static void test_json_plain(void **state maybe_unused)
{
    for (size_t at = 0; at < 20; at++) {
        for (unsigned c = 0; c < 256; c++) {
            char text[20];
            bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';

            memset(text, '~', sizeof(text));
            text[at] = (char)c;
            assert_int_equal(str_json_plain(text, sizeof(text)), plain ? sizeof(text) : at);
        }
    }
    assert_int_equal(str_json_plain(NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),  cmocka_unit_test(test_cut_and_find),
        cmocka_unit_test(test_integers), cmocka_unit_test(test_double),
        cmocka_unit_test(test_glob),     cmocka_unit_test(test_distance_and_suggest),
        cmocka_unit_test(test_utf8),     cmocka_unit_test(test_json_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
