#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/buf.h"

static void test_grows_and_stays_terminated(void **state maybe_unused)
{
    struct buf b = BUF_INIT(1 << 20);

    assert_null(b.ptr);
    assert_string_equal(buf_str(&b).ptr, "");
    for (int i = 0; i < 10000; i++) {
        buf_addf(&b, "%d,", i % 10);
        assert_int_equal(b.ptr[b.len], '\0');
    }
    assert_int_equal(b.len, 20000);
    assert_memory_equal(b.ptr, "0,1,2,3,4,5,6,7,8,9,0,", 22);
    buf_consume(&b, 19998);
    assert_string_equal(b.ptr, "9,");
    buf_truncate(&b, 1);
    buf_addc(&b, '!');
    buf_add_u64(&b, 18446744073709551615u);
    buf_truncate(&b, b.len - 20);
    buf_addstr(&b, STR("ok"));
    buf_adds(&b, "");
    assert_string_equal(b.ptr, "9!ok");
    buf_reset(&b);
    assert_string_equal(b.ptr, "");
    buf_deinit(&b);
    assert_null(b.ptr);
}

static void test_cap_is_sticky(void **state maybe_unused)
{
    struct buf b;

    buf_init(&b, 8);
    buf_adds(&b, "12345678");
    assert_int_equal(buf_status(&b), STATUS_OK);
    buf_addc(&b, '9');
    assert_int_equal(buf_status(&b), STATUS_TOO_LARGE);
    buf_truncate(&b, 0);
    buf_adds(&b, "x"); /* would fit, but a hole is worse than an end */
    assert_string_equal(b.ptr, "");
    buf_reset(&b);
    assert_int_equal(buf_status(&b), STATUS_OK);
    buf_addf(&b, "%s", "123456789");
    assert_int_equal(buf_status(&b), STATUS_TOO_LARGE);
    assert_string_equal(b.ptr, "");
    assert_null(buf_reserve(&b, 1));
    buf_deinit(&b);
}

static void test_formatted_text_at_the_edges_of_the_room(void **state maybe_unused)
{
    char text[300];

    for (size_t n = 0; n < 200; n++) {
        struct buf b = BUF_INIT(1000);

        memset(text, 'x', n);
        text[n] = '\0';
        buf_addf(&b, "%s", text);
        buf_addf(&b, "%s|", text);
        assert_int_equal(b.len, 2 * n + 1);
        assert_int_equal(strspn(b.ptr, "x"), 2 * n);
        buf_deinit(&b);
    }
}

static void test_reserve_and_take(void **state maybe_unused)
{
    struct buf b = BUF_INIT(100);
    size_t len = 9;
    char *p = buf_reserve(&b, 100);

    assert_non_null(p);
    memset(p, 'y', 100);
    buf_commit(&b, 3);
    p = buf_take(&b, &len);
    assert_string_equal(p, "yyy");
    assert_int_equal(len, 3);
    free(p);
    assert_null(buf_take(&b, NULL));
    buf_deinit(&b);
}

/* RFC 4648 §10 */
static void test_base64(void **state maybe_unused)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    static const char *const bad[] = {
        "Z", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm9v=", "Zg==Zg==", "Zm-_", "Zm 9"};
    struct buf b = BUF_INIT(100);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str coded = str_from(cases[i][1]);

        buf_reset(&b);
        buf_add_base64(&b, cases[i][0], strlen(cases[i][0]));
        assert_true(str_eq(buf_str(&b), coded));
        buf_reset(&b);
        assert_int_equal(buf_add_unbase64(&b, coded), STATUS_OK);
        assert_true(str_eqz(buf_str(&b), cases[i][0]));
        while (coded.len && coded.ptr[coded.len - 1] == '=')
            coded.len--;
        buf_reset(&b);
        assert_int_equal(buf_add_unbase64(&b, coded), STATUS_OK);
        assert_true(str_eqz(buf_str(&b), cases[i][0]));
    }
    buf_reset(&b);
    buf_adds(&b, "kept");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(buf_add_unbase64(&b, str_from(bad[i])), STATUS_INVALID);
        assert_string_equal(b.ptr, "kept");
    }
    buf_deinit(&b);
}

static void test_hex_percent_html(void **state maybe_unused)
{
    struct buf b = BUF_INIT(1000);
    unsigned char out[3] = {9, 9, 9};

    buf_add_hex(&b, "\x00\xab\xff", 3);
    assert_string_equal(b.ptr, "00abff");
    assert_true(hex_decode(STR("00aBfF"), out, 3));
    assert_memory_equal(out, "\x00\xab\xff", 3);
    assert_false(hex_decode(STR("00abf"), out, 3));
    assert_false(hex_decode(STR("00abfg"), out, 3));
    buf_reset(&b);
    buf_add_percent(&b, STR("a-z.0_~ /?\xc3\xa4"));
    assert_string_equal(b.ptr, "a-z.0_~%20%2F%3F%C3%A4");
    buf_reset(&b);
    buf_add_html(&b, STR("<a href=\"x\">'&'</a>"));
    assert_string_equal(b.ptr, "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_and_stays_terminated),
        cmocka_unit_test(test_cap_is_sticky),
        cmocka_unit_test(test_formatted_text_at_the_edges_of_the_room),
        cmocka_unit_test(test_reserve_and_take),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_hex_percent_html),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
