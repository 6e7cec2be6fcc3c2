#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/json.h"

/* --- the grammar --- */

static const char *const good[] = {
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-12.5e-3",
    "1E+2",
    "\"\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u20AC\"",
    "\"\xe2\x82\xac \xf0\x9f\x98\x80 \x7f\"",
    "\"\\ud83d\\ude00\"",
    "[]",
    "{}",
    " \t\r\n[ 1 , [ ] , { } ] \n",
    "{\"a\":{\"a\":[{\"b\":null}]},\"\":1}",
    "\xef\xbb\xbf[1]",
    "9007199254740993",
    "123456789012345678901234567890123456789012345678901234567890123",
    "\"eight bytes and then some more, so that the fast path is walked\"",
};

static void test_good_texts(void **state maybe_unused)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct err e = ERR_INIT;
        struct json *j = json_parse(str_from(good[i]), true, &e);

        assert_string_equal(e.text, "");
        assert_non_null(j);
        json_destroy(&j);
        assert_null(j);
    }
}

static const struct {
    const char *text, *error;
} bad[] = {
    {"", "line 1, column 1: found nothing, expected a value"},
    {" \n ", "line 2, column 2: found the end of the text, expected a value"},
    {"{\n  \"a\": 1,\n}", "line 3, column 1: found '}', expected a member's name in double quotes"},
    {"[1,]", "line 1, column 4: found ']', expected a value"},
    {"[1 2]", "line 1, column 4: found '2', expected ',' or ']'"},
    {"[1", "line 1, column 3: found the end of the text, expected ',' or ']'"},
    {"{\"a\" 1}", "line 1, column 6: found '1', expected ':' after the member's name"},
    {"{\"a\":1]", "line 1, column 7: found ']', expected ',' or '}'"},
    {"{a:1}", "line 1, column 2: found 'a', expected a member's name in double quotes"},
    {"{'a':1}", "line 1, column 2: found a single quote (JSON has double quotes), expected a "
                "member's name in double quotes"},
    {"[1] // x", "line 1, column 5: found a comment (JSON has none), expected nothing after "
                 "the value"},
    {"1 2", "line 1, column 3: found '2', expected nothing after the value"},
    {"nul", "line 1, column 1: found 'nul', expected a value"},
    {"True", "line 1, column 1: found 'True', expected a value"},
    {"undefined", "line 1, column 1: found 'undefined', expected a value"},
    {"01", "line 1, column 1: found '01', expected a number such as 12, -0.5 or 1e9"},
    {"[1.]", "line 1, column 2: found '1.', expected a number such as 12, -0.5 or 1e9"},
    {"-", "line 1, column 1: found '-', expected a number such as 12, -0.5 or 1e9"},
    {"+1", "line 1, column 1: found '+1', expected a value"},
    {".5", "line 1, column 1: found '.5', expected a value"},
    {"0x10", "line 1, column 1: found '0x10', expected a number such as 12, -0.5 or 1e9"},
    {"1e999", "line 1, column 1: number 1e999 is out of range"},
    {"1234567890123456789012345678901234567890123456789012345678901234",
     "line 1, column 1: this number has more than 63 characters"},
    {"[\"\xc3\xa4\", \"b", "line 1, column 7: this string has no closing quote"},
    {"\"a\nb\"", "line 1, column 3: a control character in a string is written as \\u000a"},
    {"\"\xff\"", "line 1, column 2: byte 0xff is no UTF-8"},
    {"\"12345678\xed\xa0\x80\"", "line 1, column 10: byte 0xed is no UTF-8"},
    {"\"\\x\"",
     "line 1, column 2: a backslash in a string is followed by one of \" \\ / b f n r t u"},
    {"\"\\u12g4\"", "line 1, column 2: \\u wants four hexadecimal digits"},
    {"\"\\u12", "line 1, column 2: \\u wants four hexadecimal digits"},
    {"\"\\", "line 1, column 2: a backslash in a string is followed by one of \" \\ / b f n r t u"},
    {"\x01", "line 1, column 1: found byte 0x01, expected a value"},
    {"{\"a\":1,\"b\":{\"a\":2,\n\"\\u0061\":3}}",
     "line 2, column 1: member \"\\u0061\" is there twice"},
    {"\"\\u0000\"", "line 1, column 2: \\u0000 is a NUL, which no string here can hold"},
    {"\"\\ud800\"", "line 1, column 2: \\ud800 is half of a surrogate pair"},
    {"\"\\uDC00\"", "line 1, column 2: \\uDC00 is half of a surrogate pair"},
    {"\"\\ud800\\u0041\"", "line 1, column 2: \\ud800 is half of a surrogate pair"},
};

static void test_bad_texts_say_where(void **state maybe_unused)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = ERR_INIT;

        assert_null(json_parse(str_from(bad[i].text), true, &e));
        assert_int_equal(e.status, STATUS_INVALID);
        assert_string_equal(e.text, bad[i].error);
        assert_null(json_parse(str_from(bad[i].text), true, NULL));
    }
}

/* Every text that is broken off is refused, and nothing is read behind its end (the memory ends
 * there). */
static void test_broken_off_texts(void **state maybe_unused)
{
    static const char text[] =
        "{\"a\":[1,true,null,\"\\u20ac\\ud83d\\ude00\xe2\x82\xac twelve bytes\"],\"b\":{}}";

    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        char *copy = malloc(n ? n : 1);

        assert_non_null(copy);
        memcpy(copy, text, n);
        assert_null(json_parse(str_n(copy, n), false, NULL));
        free(copy);
    }
}

static void test_depth(void **state maybe_unused)
{
    char text[2 * (JSON_MAX_DEPTH + 1)];

    for (size_t n = JSON_MAX_DEPTH; n <= JSON_MAX_DEPTH + 1; n++) {
        struct err e = ERR_INIT;
        struct json *j;

        memset(text, '[', n);
        memset(text + n, ']', n);
        j = json_parse(str_n(text, 2 * n), true, &e);
        assert_int_equal(e.status, n > JSON_MAX_DEPTH ? STATUS_TOO_LARGE : STATUS_OK);
        assert_int_equal(j == NULL, n > JSON_MAX_DEPTH);
        json_destroy(&j);
    }
}

static void test_messages_are_taken_as_they_come(void **state maybe_unused)
{
    static const struct {
        const char *text, *value;
    } cases[] = {
        {"{\"a\":\"x\",\"a\":\"y\"}", "x"},
        {"{\"a\":\"1\\u00002\"}", "1\xef\xbf\xbd"
                                  "2"},
        {"{\"a\":\"\\ud800 \\udc00\\ud83d\\ude00\"}", "\xef\xbf\xbd \xef\xbf\xbd\xf0\x9f\x98\x80"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json *j = json_parse(str_from(cases[i].text), false, NULL);

        assert_string_equal(json_str(json_get(j, "a"), ""), cases[i].value);
        json_destroy(&j);
    }
}

/* --- trees --- */

static void assert_prints(const struct json *j, unsigned indent, const char *want)
{
    struct buf b = BUF_INIT(4096);

    json_print(j, indent, &b);
    assert_string_equal(buf_str(&b).ptr, want);
    buf_deinit(&b);
}

static void test_reading(void **state maybe_unused)
{
    struct json *j =
        json_parse(STR("{\"id\":7,\"x\":{\"y\":[1.5,\"s\",true,null,9007199254740993]},"
                       "\"big\":1e300}"),
                   true, NULL);
    const struct json *y = json_at(j, "x", "y", NULL), *c = json_first(y);

    assert_int_equal(json_int(json_get(j, "id"), -1), 7);
    assert_int_equal(json_int(json_get(j, "big"), -1), -1);
    assert_int_equal(json_int(json_get(j, "none"), -1), -1);
    assert_null(json_at(j, "x", "z", "q", NULL));
    assert_null(json_get(y, "x"));
    assert_null(json_get(NULL, "x"));
    assert_int_equal(json_len(y), 5);
    assert_null(json_key(c));
    assert_true(json_num(c, 0) == 1.5);
    assert_int_equal(json_int(c, -1), -1);
    c = json_next(c);
    assert_string_equal(json_str(c, NULL), "s");
    assert_true(json_num(c, 4) == 4);
    c = json_next(c);
    assert_true(json_bool(c, false));
    assert_string_equal(json_type_name(json_type(c)), "boolean");
    c = json_next(c);
    assert_int_equal(json_type(c), JSON_NULL);
    assert_int_equal(json_type(NULL), JSON_NULL);
    assert_string_equal(json_key(json_first(j)), "id");
    assert_null(json_first(c));
    json_destroy(&j);
}

static void test_building(void **state maybe_unused)
{
    struct json *list = json_new_array(), *j = json_new_object(), *taken;

    json_push(json_push(list, json_new_num(1)), json_new_str(STR("a\"\n\0\xff")));
    json_add_num(json_add_str(json_add(j, "list", list), "s", NULL), "n", 0.0 / 0.0);
    json_add_bool(json_add_num(j, "n", 9007199254740991.0), "ok", true);
    json_add_str(j, "list2", "x");
    assert_prints(j, 0,
                  "{\"list\":[1,\"a\\\"\\n\xef\xbf\xbd\xef\xbf\xbd\"],\"s\":null,"
                  "\"n\":9007199254740991,\"ok\":true,\"list2\":\"x\"}");
    taken = json_take(j, "list2");
    assert_null(json_key(taken));
    list = json_push(json_new_array(), taken);
    assert_null(json_key(json_first(list)));
    json_add(j, "list", list); /* replaces */
    assert_null(json_take(j, "none"));
    assert_null(json_take(list, "none"));
    assert_prints(j, 2,
                  "{\n  \"list\": [\n    \"x\"\n  ],\n  \"s\": null,\n  \"n\": 9007199254740991,\n"
                  "  \"ok\": true\n}");
    json_destroy(&j);
    j = json_dup(NULL);
    assert_prints(j, 0, "null");
    json_destroy(&j);
    json_destroy(&j);
}

static void test_equality(void **state maybe_unused)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"{\"a\":1,\"b\":[true,null]}", "{\"b\":[true,null],\"a\":1.0}", true},
        {"{\"a\":1}", "{\"A\":1}", false},
        {"{\"a\":1}", "{\"a\":1,\"b\":1}", false},
        {"{\"a\":1,\"a\":1}", "{\"a\":1,\"b\":1}", false},
        {"[1,2]", "[2,1]", false},
        {"[1,2]", "[1,2,3]", false},
        {"[1,2,3]", "[1,2]", false},
        {"0", "-0", true},
        {"0", "false", false},
        {"\"a\"", "\"b\"", false},
        {"[]", "{}", false},
        {"true", "false", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json *a = json_parse(str_from(cases[i].a), false, NULL);
        struct json *b = json_parse(str_from(cases[i].b), false, NULL);
        struct json *copy = json_dup(a);

        assert_int_equal(json_eq(a, b), cases[i].equal);
        assert_int_equal(json_eq(b, a), cases[i].equal);
        assert_true(json_eq(a, copy));
        json_destroy(&a);
        json_destroy(&b);
        json_destroy(&copy);
    }
}

/* --- typed decoding --- */

struct limits {
    uint32_t max_requests;
    double rate;
};

struct step {
    int type;
    const char *selector;
    int64_t offset;
};

struct campaign {
    const char *name;
    bool robots, robots_seen;
    struct limits limits;
    struct limits *extra;
    struct json_strs os;
    struct json_objects steps;
    const struct json *config;
    int odd;
};

static const struct json_field limits_fields[] = {
    {JF_COMMON(struct limits, max_requests), .kind = JK_UINT, .min = 1, .max = 1000},
    {JF_COMMON(struct limits, rate), .kind = JK_DOUBLE, .dmin = 0, .dmax = 1},
};
static const struct limits limits_defaults = {.max_requests = 2, .rate = 0.5};
static const struct json_schema limits_schema = {
    .name = "limits",
    .fields = limits_fields,
    .n = ARRAY_LEN(limits_fields),
    .size = sizeof(struct limits),
    .defaults = &limits_defaults,
};

static const char *const step_types[] = {"navigate", "click", "close", NULL};
static const struct json_field step_fields[] = {
    {JF_COMMON(struct step, type), .kind = JK_ENUM, .names = step_types, .required = true},
    {JF_COMMON(struct step, selector), .kind = JK_STR, .min = 1, .max = 10},
    {JF_COMMON(struct step, offset), .kind = JK_INT},
};
static const struct json_schema step_schema = {
    .name = "step",
    .fields = step_fields,
    .n = ARRAY_LEN(step_fields),
    .size = sizeof(struct step),
    .ignore_unknown = true,
};

static bool decode_odd(struct json_decode *d, const struct json *j, void *field)
{
    int64_t v = json_int(j, 0);
    size_t mark;

    if (v % 2 == 1) {
        *(int *)field = (int)v;
        return true;
    }
    mark = json_enter(d, "a/b~c", 0);
    json_fail(d, "/here", "found %lld, expected an odd number", (long long)v);
    json_leave(d, mark);
    return false;
}

static void check_campaign(struct json_decode *d, void *obj)
{
    const struct campaign *c = obj;

    if (c->steps.n == 2)
        json_fail(d, "/steps", "found two, which this test does not like");
}

static const struct json_field campaign_fields[] = {
    {JF_COMMON(struct campaign, name), .kind = JK_STR, .required = true},
    {JF_COMMON(struct campaign, robots), .kind = JK_BOOL,
     .seen_offset = offsetof(struct campaign, robots_seen)},
    {JF_COMMON(struct campaign, limits), .kind = JK_OBJECT, .sub = &limits_schema},
    {JF_COMMON(struct campaign, extra), .kind = JK_OBJECT_PTR, .sub = &limits_schema},
    {JF_COMMON(struct campaign, os), .kind = JK_STRS, .one_is_array = true, .max = 3},
    {JF_COMMON(struct campaign, steps), .kind = JK_OBJECTS, .sub = &step_schema},
    {JF_COMMON(struct campaign, config), .kind = JK_ANY},
    {JF_COMMON(struct campaign, odd), .kind = JK_FN, .fn = decode_odd},
};
static const struct json_schema campaign_schema = {
    .name = "campaign",
    .fields = campaign_fields,
    .n = ARRAY_LEN(campaign_fields),
    .size = sizeof(struct campaign),
    .check = check_campaign,
};

static void test_decode_all_kinds(void **state maybe_unused)
{
    struct json *j = json_parse(STR("{\"name\":\"n\",\"robots\":false,\"limits\":{\"max_requests\":"
                                    "1000},\"extra\":{\"rate\":"
                                    "1},\"os\":\"linux\",\"steps\":[{\"type\":\"close\",\"offset\":"
                                    "-9007199254740992,\"more\":1"
                                    "}],\"config\":{\"k\":[1]},\"odd\":7}"),
                                true, NULL);
    struct campaign c = {.robots = true, .limits = {.rate = 0.25}};
    struct arena *a = arena_create(NULL, 0);
    const struct step *step;
    struct json_decode d;
    struct err e = ERR_INIT;

    json_decode_init(&d, a, NULL);
    assert_true(json_decode(&d, &campaign_schema, j, &c));
    assert_int_equal(json_decode_status(&d, "f", &e), STATUS_OK);
    assert_string_equal(c.name, "n");
    assert_true(!c.robots && c.robots_seen);
    assert_true(c.limits.max_requests == 1000 && c.limits.rate == 0.25);
    assert_true(c.extra->max_requests == 2 && c.extra->rate == 1);
    assert_int_equal(c.os.n, 1);
    assert_string_equal(c.os.v[0], "linux");
    assert_int_equal(c.steps.n, 1);
    step = c.steps.v;
    assert_int_equal(step->type, 2);
    assert_null(step->selector);
    assert_true(step->offset == -9007199254740992);
    assert_int_equal(json_len(c.config), 1);
    assert_int_equal(c.odd, 7);
    json_destroy(&j);
    arena_destroy(&a);
}

static const struct {
    const char *text, *report;
} decode_errors[] = {
    {"[]", "f: found an array of 0, expected an object\n"},
    {"{}", "f: /name: missing, expected a string\n"},
    {"{\"name\":5,\"limts\":{}}", "f: /name: found 5, expected a string\n"
                                  "f: /limts: unknown member, did you mean \"limits\"?\n"},
    {"{\"name\":\"\",\"qqqqqqq\":1}",
     "f: /qqqqqqq: unknown member, campaign has name, robots, limits, "
     "extra, os, steps, config or odd\n"},
    {"{\"name\":\"\",\"limits\":{\"max_requests\":0,\"rate\":1.5}}",
     "f: /limits/max_requests: found 0, expected an integer 1..1000\n"
     "f: /limits/rate: found 1.5, expected a number 0..1\n"},
    {"{\"name\":\"\",\"limits\":{\"max_requests\":1.5}}",
     "f: /limits/max_requests: found 1.5, expected an integer 1..1000\n"},
    {"{\"name\":\"\",\"steps\":[{\"type\":\"clik\"},{},3,{\"type\":\"close\",\"selector\":\"\"}]}",
     "f: /steps/0/type: found \"clik\", expected one of navigate, click or close (did you mean "
     "\"click\"?)\n"
     "f: /steps/1/type: missing, expected one of navigate, click or close\n"
     "f: /steps/2: found 3, expected an object\n"
     "f: /steps/3/selector: found \"\", expected a string of 1..10 bytes\n"},
    {"{\"name\":\"\",\"os\":[\"a\",1,null]}", "f: /os/1: found 1, expected a string\n"
                                              "f: /os/2: found null, expected a string\n"},
    {"{\"name\":\"\",\"os\":true,\"robots\":\"no\"}",
     "f: /os: found true, expected a string or an array of strings of 0..3 elements\n"
     "f: /robots: found \"no\", expected true or false\n"},
    {"{\"name\":\"\",\"os\":[\"1\",\"2\",\"3\",\"4\"]}",
     "f: /os: found an array of 4, expected a string or an array of strings of 0..3 elements\n"},
    {"{\"name\":\"\",\"odd\":4}", "f: /odd/a~1b~0c/here: found 4, expected an odd number\n"},
    {"{\"name\":\"\",\"steps\":[{\"type\":\"close\"},{\"type\":\"close\"}]}",
     "f: /steps: found two, which this test does not like\n"},
    {"{\"name\":\"\",\"robots\":\"0123456789012345678901234567890123456789012345678\\u20ac\"}",
     "f: /robots: found \"012345678901234567890123456789012345678901234567\"... (52 bytes), "
     "expected true or false\n"},
};

static void test_decode_errors(void **state maybe_unused)
{
    for (size_t i = 0; i < ARRAY_LEN(decode_errors); i++) {
        struct json *j = json_parse(str_from(decode_errors[i].text), true, NULL);
        struct arena *a = arena_create(NULL, 0);
        struct buf report = BUF_INIT(4096);
        struct campaign c = {0};
        struct json_decode d;

        assert_non_null(j);
        json_decode_init(&d, a, NULL);
        assert_false(json_decode(&d, &campaign_schema, j, &c));
        json_decode_report(&d, "f", &report);
        assert_string_equal(report.ptr, decode_errors[i].report);
        assert_null(c.os.v);
        assert_string_equal(d.path, "");
        buf_deinit(&report);
        json_destroy(&j);
        arena_destroy(&a);
    }
}

static void test_decode_status(void **state maybe_unused)
{
    struct arena *a = arena_create(NULL, 0);
    struct buf report = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct json_decode d;

    json_decode_init(&d, a, NULL);
    json_fail(&d, "/a", "one");
    assert_int_equal(json_decode_status(&d, "f.json", &e), STATUS_INVALID);
    assert_string_equal(e.text, "f.json: /a: one");
    for (int i = 1; i < 3 * JSON_ERRORS_MAX; i++)
        json_fail(&d, "/b", "%d", i);
    assert_int_equal(json_decode_status(&d, "f.json", &e), STATUS_INVALID);
    assert_memory_equal(e.text, "f.json: 150 errors: /a: one; /b: 1; /b: 2; ", 43);
    json_decode_report(&d, "f.json", &report);
    assert_non_null(strstr(report.ptr, "f.json: /b: 49\nf.json: and 100 errors more\n"));
    buf_deinit(&report);
    arena_destroy(&a);
}

static void test_long_paths_are_cut(void **state maybe_unused)
{
    struct arena *a = arena_create(NULL, 0);
    size_t marks[100];
    struct json_decode d;

    json_decode_init(&d, a, NULL);
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        marks[i] = json_enter(&d, i % 2 ? "name/" : NULL, i);
    json_fail(&d, "/suffix", "x");
    for (size_t i = ARRAY_LEN(marks); i-- > 0;)
        json_leave(&d, marks[i]);
    assert_string_equal(d.path, "");
    assert_int_equal(strlen(d.errors[0].path), JSON_PATH_MAX - 1);
    arena_destroy(&a);
}

static void test_decode_stays_within_the_arena(void **state maybe_unused)
{
    struct json *j =
        json_parse(STR("{\"name\":\"a name that does not fit\",\"os\":\"x\"}"), true, NULL);
    struct arena *a = arena_create(NULL, 16 + 4 * sizeof(struct json_error));
    struct campaign c = {0};
    struct json_decode d;

    json_decode_init(&d, a, NULL);
    json_fail(&d, NULL, "takes its room first");
    assert_false(json_decode(&d, &campaign_schema, j, &c));
    assert_string_equal(d.errors[1].text, "no memory for a string of 24 bytes");
    assert_null(c.name);
    json_destroy(&j);
    arena_destroy(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_texts),
        cmocka_unit_test(test_bad_texts_say_where),
        cmocka_unit_test(test_broken_off_texts),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_messages_are_taken_as_they_come),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_building),
        cmocka_unit_test(test_equality),
        cmocka_unit_test(test_decode_all_kinds),
        cmocka_unit_test(test_decode_errors),
        cmocka_unit_test(test_decode_status),
        cmocka_unit_test(test_long_paths_are_cut),
        cmocka_unit_test(test_decode_stays_within_the_arena),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
