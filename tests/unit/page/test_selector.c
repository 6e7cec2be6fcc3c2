#include "browser/page/query.h"

#include "tests/support/testing.h"

static void aria(void **state)
{
    static const struct {
        const char *part, *name, *role;
    } cases[] = {
        {"aria/Save", "Save", ""},
        {"aria/  Save \n all ", "Save all", ""},
        {"aria/Save[role=\"button\"]", "Save", "button"},
        {"aria/[role='button']", "", "button"},
        {"aria/[name=\"x y\"][ role = \"link\" ]", "x y", "link"},
        {"aria/a[b]c", "a[b]c", ""},
        {"aria/[other=\"x\"]z", "z", ""},
        {"aria/open [", "open [", ""},
        {"aria/x[role=\"a", "x[role=\"a", ""},
    };
    struct arena *a = arena_create(NULL, 0);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct aria out;

        assert_true(aria_parse(a, cases[i].part, &out));
        assert_string_equal(out.name, cases[i].name);
        assert_string_equal(out.role, cases[i].role);
    }
    assert_false(aria_parse(a, "text/x", &(struct aria){0}));
    arena_destroy(&a);
}

static void decoded(void **state)
{
    static const struct {
        const char *in, *printed, *shown;
    } cases[] = {
        {"\"#a\"", "[[\"#a\"]]", "\"#a\""},
        {"[\"#a\"]", "[[\"#a\"]]", "\"#a\""},
        {"[[\"x-a\",\"b\"],\"text/c\"]", "[[\"x-a\",\"b\"],[\"text/c\"]]",
         "\"x-a\" >> \"b\", \"text/c\""},
    };
    struct arena *a = arena_create(NULL, 0);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json *j = json_parse(str_from(cases[i].in), true, NULL);
        struct buf b = BUF_INIT(1000);
        struct selectors s = {0};
        struct json_decode d;

        json_decode_init(&d, a, NULL);
        assert_true(selectors_decode(&d, j, &s));
        selectors_print(&s, &b);
        assert_string_equal(b.ptr, cases[i].printed);
        buf_reset(&b);
        selectors_show(&s, &b);
        assert_string_equal(b.ptr, cases[i].shown);
        buf_deinit(&b);
        json_destroy(&j);
    }
    arena_destroy(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(aria), cmocka_unit_test(decoded)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
