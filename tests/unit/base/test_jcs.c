#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/jcs.h"

static const struct {
    const char *in, *out;
} vectors[] = {
    /* RFC 8785 §3.2.2 */
    {"{\"numbers\":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"
     "\"string\":\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\","
     "\"literals\":[null,true,false]}",
     "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
     "\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"},
    /* RFC 8785 §3.2.3 */
    {"{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\","
     "\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\"1\":\"One\","
     "\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\","
     "\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
     "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\","
     "\"\xc3\xb6\":\"Latin Small Letter O With Diaeresis\",\"\xe2\x82\xac\":\"Euro Sign\","
     "\"\xf0\x9f\x98\x80\":\"Emoji: Grinning Face\","
     "\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}"},
    /* shorter names first, at every level; escapes of ES6 */
    {" { \"b\" : { \"aa\" : [ ] , \"a\" : { } , \"\" : -0 } , \"A\" : \"\\b\\f\\u007f\\u001f\" } ",
     "{\"A\":\"\\b\\f\x7f\\u001f\",\"b\":{\"\":0,\"a\":{},\"aa\":[]}}"},
    {"[56,{\"d\":true,\"10\":null,\"1\":[]}]", "[56,{\"1\":[],\"10\":null,\"d\":true}]"},
    /* U+E000 and U+FFFF come after all surrogates, U+D7FF before */
    {"{\"\\uffff\":1,\"\\ue000\":2,\"\\ud7ff\":3,\"\\ud800\\udc00\":4,\"\\udbff\\udfff\":5}",
     "{\"\xed\x9f\xbf\":3,\"\xf0\x90\x80\x80\":4,\"\xf4\x8f\xbf\xbf\":5,\"\xee\x80\x80\":2,"
     "\"\xef\xbf\xbf\":1}"},
};

static void test_vectors(void **state maybe_unused)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        struct json *j = json_parse(str_from(vectors[i].in), true, NULL);
        struct buf b = BUF_INIT(4096);

        assert_non_null(j);
        assert_int_equal(jcs_write(j, &b, NULL), STATUS_OK);
        assert_string_equal(b.ptr, vectors[i].out);
        buf_deinit(&b);
        json_destroy(&j);
    }
}

static void test_failures_append_nothing(void **state maybe_unused)
{
    struct json *j = json_parse(STR("{\"b\":{\"a\":1,\"a\":2}}"), false, NULL), *deep;
    struct buf b = BUF_INIT(12);
    struct err e = ERR_INIT;

    buf_adds(&b, "kept");
    assert_int_equal(jcs_write(j, &b, &e), STATUS_INVALID);
    assert_non_null(strstr(e.text, "\"a\" is there twice"));
    assert_string_equal(b.ptr, "kept");
    json_destroy(&j);

    deep = json_new_null();
    for (int i = 0; i <= JSON_MAX_DEPTH; i++)
        deep = json_push(json_new_array(), deep);
    assert_int_equal(jcs_write(deep, &b, &e), STATUS_TOO_LARGE);
    assert_string_equal(b.ptr, "kept");
    json_destroy(&deep);

    j = json_parse(STR("\"longer than that\""), true, NULL);
    assert_int_equal(jcs_write(j, &b, &e), STATUS_TOO_LARGE);
    assert_string_equal(b.ptr, "kept");
    json_destroy(&j);
    buf_deinit(&b);
}

static void test_strings(void **state maybe_unused)
{
    struct buf b = BUF_INIT(100);

    jcs_add_str(&b, STR("a\0\xff\xc3\xa4/"));
    assert_string_equal(b.ptr, "\"a\\u0000\xef\xbf\xbd\xc3\xa4/\"");
    buf_deinit(&b);
}

static void assert_digest(const struct json *j, const char *hex)
{
    unsigned char digest[32], want[32];

    assert_true(hex_decode(str_from(hex), want, sizeof(want)));
    assert_int_equal(jcs_sha256(j, digest, NULL), STATUS_OK);
    assert_memory_equal(digest, want, sizeof(want));
}

static void test_sha256(void **state maybe_unused)
{
    struct json *j = json_parse(STR(" { } "), true, NULL);

    assert_digest(NULL, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_digest(j, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    json_destroy(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_failures_append_nothing),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_sha256),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
