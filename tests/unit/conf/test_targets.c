/* Target lists in every form: rows, their variables, and the place of each fault. */
#include "tests/support/testing.h"

#include <stdio.h>
#include <string.h>

#include "core/conf/csv.h"
#include "core/conf/targets.h"

static struct arena *arena;
static struct buf faults;
static struct target_list list;

static int set_up(void **state)
{
    (void)state;
    arena = arena_create(NULL, 0);
    buf_init(&faults, BUF_MAX_LINE * 16);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_deinit(&faults);
    arena_destroy(&arena);
    return 0;
}

static bool parse(enum target_form form, const char *text)
{
    buf_reset(&faults);
    return targets_parse(arena, "f", form, str_from(text), &list, &faults);
}

static void row_is(size_t i, const char *want)
{
    struct json *got = target_row_json(&list.rows[i]), *j = json_parse(str_from(want), true, NULL);
    struct buf text = BUF_INIT(BUF_MAX_LINE);

    json_print(got, 0, &text);
    if (!json_eq(got, j))
        fail_msg("row %zu is %s, expected %s", i, text.ptr, want);
    buf_deinit(&text);
    json_destroy(&got);
    json_destroy(&j);
}

static void test_txt(void **state)
{
    (void)state;
    assert_true(parse(TARGETS_TXT, "\xef\xbb\xbf# list\r\n\nhttps://A.example.org/x#y\r\n"
                                   "  http://b.example.org:81  "));
    assert_int_equal(list.n, 2);
    assert_string_equal(list.rows[0].url, "https://A.example.org/x#y");
    assert_true(str_eqz(list.rows[0].host, "a.example.org"));
    assert_int_equal(list.rows[0].line, 3);
    assert_int_equal(list.rows[1].line, 4);
    row_is(1, "{\"url\":\"http://b.example.org:81\"}");
}

static void test_csv(void **state)
{
    (void)state;
    assert_true(parse(TARGETS_CSV, "sku,URL,note\r\n7,http://a/,\"say \"\"hi\"\", then\nleave\"\r\n"
                                   "\r\n8,\"http://b/\",\r\n"));
    assert_int_equal(list.n, 2);
    assert_int_equal(list.rows[0].line, 2);
    assert_int_equal(list.rows[1].line, 5);
    row_is(0, "{\"url\":\"http://a/\",\"sku\":\"7\",\"URL\":\"http://a/\","
              "\"note\":\"say \\\"hi\\\", then\\nleave\"}");
    row_is(1, "{\"url\":\"http://b/\",\"sku\":\"8\",\"URL\":\"http://b/\",\"note\":\"\"}");
    assert_true(parse(TARGETS_CSV, "name,link\nx,https://c/\ny,https://d/\n"));
    row_is(1, "{\"url\":\"https://d/\",\"name\":\"y\",\"link\":\"https://d/\"}");
}

static void test_ndjson(void **state)
{
    (void)state;
    assert_true(parse(TARGETS_NDJSON, "{\"url\":\"http://a/\",\"n\":{\"x\":[1]}}\n\n"
                                      "\"http://b/\"\n"));
    assert_int_equal(list.n, 2);
    row_is(0, "{\"url\":\"http://a/\",\"n\":{\"x\":[1]}}");
    row_is(1, "{\"url\":\"http://b/\"}");
    assert_int_equal(list.rows[1].line, 3);
}

static const struct {
    enum target_form form;
    const char *text, *told;
} bad[] = {
    {TARGETS_TXT, "", "f: found no target, expected at least one\n"},
    {TARGETS_TXT, "# nothing\n", "f: found no target, expected at least one\n"},
    {TARGETS_TXT, "http://a/\nb\n",
     "f:2: found \"b\", expected an http or https URL: no scheme: "
     "expected one of: http https, then \"://\"\n"},
    {TARGETS_TXT, "http://a/\n\xff\n", "f:2: found bytes that are no UTF-8 text, expected UTF-8\n"},
    {TARGETS_CSV, "", "f: found no target, expected at least one\n"},
    {TARGETS_CSV, "url\n", "f: found no target, expected at least one\n"},
    {TARGETS_CSV, "http://a/\nhttp://b/\n",
     "f:1: found the URL http://a/ in the first row, expected the names of columns\n"},
    {TARGETS_CSV, "url;note\nhttp://a/;x\n",
     "f:1: found one column \"url;note\", expected columns separated by commas\n"},
    {TARGETS_CSV, "url,a,a\nhttp://x/,1,2\n", "f:1: found the column \"a\" twice\n"},
    {TARGETS_CSV, "url,a\nhttp://x/\n", "f:2: found 1 fields, expected 2 as in the first row\n"},
    {TARGETS_CSV, "a,b\n1,2\n",
     "f:2: found no URL, expected a column \"url\" or one that holds http or https URLs\n"},
    {TARGETS_CSV, "url\n\"http://x/\n",
     "f:2: found a quoted field that does not end, expected a "
     "closing \"\n"},
    {TARGETS_CSV, "url,a\nhttp://x/,b\"c\n",
     "f:2: found a quote inside a field, expected the whole field in quotes, with \"\" for each "
     "quote inside\n"},
    {TARGETS_CSV, "url,a\nhttp://x/,\"b\"c\n",
     "f:2: found text behind a closing quote, expected a comma\n"},
    {TARGETS_NDJSON, "{\"url\":\"http://a/\"}\n{\"u\":1}\n",
     "f:2: found an object without it, expected a string or an object with \"url\"\n"},
    {TARGETS_NDJSON, "{\"url\":5}\n", "f:1: /url: found number, expected a string\n"},
    {TARGETS_NDJSON, "[1]\n", "f:1: found array, expected a string or an object with \"url\"\n"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(parse(bad[i].form, bad[i].text));
        if (strcmp(faults.ptr, bad[i].told) != 0)
            fail_msg("%s\n  told:     %s  expected: %s", bad[i].text, faults.ptr, bad[i].told);
        assert_int_equal(list.n, 0);
    }
}

static void test_broken_json_has_its_line(void **state)
{
    (void)state;
    assert_false(parse(TARGETS_NDJSON, "\"http://a/\"\n{\"url\":}\n"));
    assert_memory_equal(faults.ptr, "f:2: ", 5);
}

static void test_many_faults_are_counted(void **state)
{
    struct buf text = BUF_INIT(BUF_MAX_LINE);

    (void)state;
    for (int i = 0; i < 60; i++)
        buf_adds(&text, "x\n");
    assert_false(parse(TARGETS_TXT, text.ptr));
    assert_non_null(strstr(faults.ptr, "f:50: "));
    assert_null(strstr(faults.ptr, "f:51: "));
    assert_non_null(strstr(faults.ptr, "f: and 10 errors more\n"));
    buf_deinit(&text);
}

static void test_form(void **state)
{
    static const struct {
        const char *name, *text;
        enum target_form form;
    } rows[] = {
        {"a.csv", "", TARGETS_CSV},
        {"a.TXT", "", TARGETS_TXT},
        {"a.ndjson", "", TARGETS_NDJSON},
        {"a.jsonl", "", TARGETS_NDJSON},
        {"-", "{\"url\":1}\n", TARGETS_NDJSON},
        {"-", "http://a/,b\n", TARGETS_TXT},
        {"-", "sku,url\n1,http://a/\n", TARGETS_CSV},
        {"-", "url\nhttp://a/\n", TARGETS_CSV},
        {"-", "# a, b\nhttp://a/\n", TARGETS_TXT},
        {"list", "", TARGETS_TXT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(targets_form(rows[i].name, str_from(rows[i].text)), rows[i].form);
}

/* A list that is ten times as long takes some ten times as long, not a hundred. */
static uint64_t time_of(size_t n)
{
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    uint64_t from;

    buf_adds(&text, "url,sku\n");
    for (size_t i = 0; i < n; i++)
        buf_addf(&text, "http://h%zu.example.org/%zu,%zu\n", i % 1000, i, i);
    from = test_now_ms();
    assert_true(targets_parse(arena, "f", TARGETS_CSV, buf_str(&text), &list, &faults));
    assert_int_equal(list.n, n);
    from = test_now_ms() - from;
    list = (struct target_list){0};
    arena_reset(arena);
    buf_deinit(&text);
    return from;
}

static void test_long_lists_are_linear(void **state)
{
    uint64_t some, many;

    (void)state;
    some = time_of(5000);
    many = time_of(50000);
    assert_true(many < 40 * (some + 5));
}

static void test_csv_fields(void **state)
{
    struct str record = STR(",\"a\"\"b\",,c"), field;
    static const char *const want[] = {"", "a\"b", "", "c"};
    enum status s = STATUS_OK;
    bool more = true;
    size_t n = 0;
    char out[16];

    (void)state;
    while (csv_field(&record, &more, &field, &s, NULL)) {
        size_t len = csv_value(field, out);

        assert_true(n < ARRAY_LEN(want));
        assert_int_equal(len, strlen(want[n]));
        assert_memory_equal(out, want[n], len);
        n++;
    }
    assert_int_equal(n, 4);
    assert_int_equal(s, STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_txt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_csv, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ndjson, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_broken_json_has_its_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_faults_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_form, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_lists_are_linear, set_up, tear_down),
        cmocka_unit_test(test_csv_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
