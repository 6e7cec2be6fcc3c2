#include "browser/flow/vars.h"

#include "tests/support/testing.h"

static struct {
    struct arena *arena;
    struct json *vars, *row, *member, *task;
    struct vars v;
} fx;

static struct json *parse(const char *text)
{
    struct json *j = json_parse(str_from(text), true, NULL);

    assert_non_null(j);
    return j;
}

static int setup(void **state)
{
    (void)state;
    fx.arena = arena_create(NULL, 0);
    fx.vars = parse("{\"items\":[{\"n\":\"first\"},{\"n\":\"second\"}],\"count\":3,\"yes\":true,"
                    "\"none\":null,\"q\":\"a'b\\\"c\\n`${d}\\\\\"}");
    fx.row = parse("{\"url\":\"http://a/\",\"sku\":\"007\",\"two words\":\"x\",\"count\":\"row\"}");
    fx.member = parse("{\"index\":2,\"id\":\"i-1\"}");
    fx.task = parse("{\"id\":\"t-9\"}");
    fx.v = (struct vars){fx.vars, fx.row, NULL, fx.member, fx.task, STR("seed")};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    json_destroy(&fx.vars);
    json_destroy(&fx.row);
    json_destroy(&fx.member);
    json_destroy(&fx.task);
    arena_destroy(&fx.arena);
    return 0;
}

static void texts(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"{{sku}}", "007"},
        {"<{{ sku }}>", "<007>"},
        {"{{row.sku}}-{{member.index}}-{{member.id}}-{{task.id}}", "007-2-i-1-t-9"},
        {"{{items[1].n}} {{vars.items[0].n}} {{items.1.n}}", "second first second"},
        {"{{count}} {{row.count}} {{yes}} {{none}}|", "3 row true |"},
        {"{{two words}}", "x"},
        {"{{nope|default text}}{{nope|}}{{none|null}}", "default textnull"},
        {"{{items}}", "[{\"n\":\"first\"},{\"n\":\"second\"}]"},
        {"\\{{sku}} {{sku}}", "{{sku}} 007"},
        {"a } b }} c { d", "a } b }} c { d"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        const char *out = NULL;

        if (vars_text(&fx.v, fx.arena, str_from(cases[i].in), false, &out, &e) != STATUS_OK)
            fail_msg("%s: %s", cases[i].in, e.text);
        assert_string_equal(out, cases[i].out);
    }
}

/* A value is never more than a value in a script, whatever is in it. */
static void scripts(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"x === '{{sku}}'", "x === '007'"},
        {"x === {{sku}}", "x === \"007\""},
        {"n > {{vars.count}} && {{yes}} && {{items}}.length",
         "n > 3 && true && [{\"n\":\"first\"},{\"n\":\"second\"}].length"},
        {"f('{{q}}')", "f('a\\'b\\\"c\\n\\`\\${d}\\\\')"},
        {"f(`{{q}}`, {{q}})", "f(`a\\'b\\\"c\\n\\`\\${d}\\\\`, \"a'b\\\"c\\n`${d}\\\\\")"},
        {"'it\\'s' + {{sku}}", "'it\\'s' + \"007\""},
        {"{{nope|0}} + '{{nope|0}}' + {{nope|abc}}", "0 + '0' + \"abc\""},
        {"{{none}}", "null"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        const char *out = NULL;

        if (vars_text(&fx.v, fx.arena, str_from(cases[i].in), true, &out, &e) != STATUS_OK)
            fail_msg("%s: %s", cases[i].in, e.text);
        assert_string_equal(out, cases[i].out);
    }
}

static void values(void **state)
{
    static const struct {
        const char *in, *out;
        bool typed;
    } cases[] = {
        {"\"{{vars.count}}\"", "3", true},
        {"\"{{vars.count}}\"", "\"3\"", false},
        {"\" {{vars.count}}\"", "\" 3\"", true},
        {"{\"a\":[\"{{items}}\",1,null],\"b\":{\"c\":\"{{sku}}!\"}}",
         "{\"a\":[[{\"n\":\"first\"},{\"n\":\"second\"}],1,null],\"b\":{\"c\":\"007!\"}}", true},
        {"\"{{none}}\"", "null", true},
        {"\"{{none|d}}\"", "\"d\"", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json *in = parse(cases[i].in), *out = NULL;
        struct buf b = BUF_INIT(1000);

        assert_int_equal(vars_tree(&fx.v, fx.arena, in, cases[i].typed, &out, NULL), STATUS_OK);
        json_print(out, 0, &b);
        assert_string_equal(b.ptr, cases[i].out);
        buf_deinit(&b);
        json_destroy(&in);
        json_destroy(&out);
    }
}

static void errors(void **state)
{
    static const struct {
        const char *in, *text;
    } cases[] = {
        {"{{skuu}}", "{{skuu}}: there is no such value, did you mean \"sku\"?; row: url, sku, two "
                     "words, count; vars: items, "
                     "count, yes, none, q; member: index, id; task: id"},
        {"{{items[7].n}}", "{{items[7].n}}: there is no such value; row: url"},
        {"{{member.name}}", "{{member.name}}: there is no such value"},
        {"{{row.url.x}}", "{{row.url.x}}: there is no such value"},
        {"{{random.nothing}}", "{{random.nothing}}: there is no such value"},
        {"x {{", "\"x {{\" has a {{ without a name and }}; a plain {{ is written \\{{"},
        {"{{}}", "\"{{}}\" has a {{ without a name"},
        {"{{ |x}}", "has a {{ without a name"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        const char *out = NULL;

        assert_int_equal(vars_text(&fx.v, fx.arena, str_from(cases[i].in), false, &out, &e),
                         STATUS_INVALID);
        if (strstr(e.text, cases[i].text) == NULL)
            fail_msg("%s: %s", cases[i].in, e.text);
    }
}

/* What can be told before there is a row. */
static void unfinished(void **state)
{
    static const struct {
        const char *in, *text;
    } cases[] = {
        {"{{row.}}", "found \"{{row.}}\", expected a name after \"row.\""},
        {"a {{ row.a..b }} c", "found \"{{row.a..b}}\", expected a name after \"row.a.\""},
        {"{{member.}}", "expected a name after \"member.\""},
        {"{{vars.items.[0]}}", "expected a name after \"vars.items.\""},
        {"{{random.}}", "expected a name after \"random.\""},
        {"a {{random.emial.2}}", "found \"{{random.emial.2}}\", did you mean \"random.email\"?"},
        {"{{member.indx|0}}", "did you mean \"member.index\"?"},
        {"{{task.atempt}}", "did you mean \"task.attempt\"?"},
        {"{{task.|none}}", "expected a name after \"task.\""},
        {"{{row.sku", "without a name and }}"},
        {"{{row.url}}", NULL},
        {"{{row}}", NULL},
        {"{{No.}}", NULL}, /* a column's own name */
        {"{{rows.}}", NULL},
        {"\\{{row.}}", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        enum status s = vars_check(str_from(cases[i].in), &e);

        if ((s == STATUS_OK) != (cases[i].text == NULL) ||
            (cases[i].text != NULL && strstr(e.text, cases[i].text) == NULL))
            fail_msg("%s: %s", cases[i].in, s == STATUS_OK ? "passed" : e.text);
    }
}

static const char *random_value(const char *name)
{
    const char *out = NULL;

    assert_int_equal(vars_text(&fx.v, fx.arena, str_from(name), false, &out, NULL), STATUS_OK);
    return out;
}

/* The same member types the same again, another one something else. */
static void test_data(void **state)
{
    const char *mail = random_value("{{random.email}}");

    (void)state;
    assert_string_equal(mail, random_value("{{random.email}}"));
    assert_string_not_equal(mail, random_value("{{random.email.2}}"));
    assert_true(str_ends(str_from(mail), STR("@example.com")));
    fx.v.seed = STR("other");
    assert_string_not_equal(mail, random_value("{{random.email}}"));
    assert_int_equal(strlen(random_value("{{random.uuid}}")), 36);
    assert_int_equal(strlen(random_value("{{random.date}}")), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(texts, setup, teardown),
        cmocka_unit_test_setup_teardown(scripts, setup, teardown),
        cmocka_unit_test_setup_teardown(values, setup, teardown),
        cmocka_unit_test_setup_teardown(errors, setup, teardown),
        cmocka_unit_test_setup_teardown(unfinished, setup, teardown),
        cmocka_unit_test_setup_teardown(test_data, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
