/* API.md has the routes that there are, in the order of the table; paths find their rows. */
#include <stdio.h>

#include "core/api/api.h"
#include "tests/support/testing.h"

/* "### GET /v1/x" -> "GET /v1/x"; the next heading of a route. */
static bool next_heading(struct str *rest, struct str *out)
{
    while (rest->ptr) {
        struct str line = str_cut(rest, '\n');

        if (!str_starts(line, STR("### ")))
            continue;
        *out = str_trim(str_skip(line, 4));
        return true;
    }
    return false;
}

static void test_every_route_is_told(void **state)
{
    char *text = test_read_file(test_source("core/api/API.md"), NULL);
    struct str rest = str_from(text), heading;

    (void)state;
    for (const struct route *r = api_routes(); r->pattern; r++) {
        char want[128];

        snprintf(want, sizeof(want), "%s %s", http_method_name(r->method), r->pattern);
        if (!next_heading(&rest, &heading))
            fail_msg("API.md ends before %s", want);
        if (!str_eqz(heading, want))
            fail_msg("API.md: found \"%.*s\", expected \"%s\"", STR_ARG(heading), want);
        assert_non_null(r->doc);
        assert_non_null(r->fn);
    }
    if (next_heading(&rest, &heading))
        fail_msg("API.md tells of \"%.*s\", which is no route", STR_ARG(heading));
    free(text);
}

static void test_patterns(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool fits;
        const char *first; /* value of the first parameter */
    } cases[] = {
        {"/", "/", true, NULL},
        {"/v1", "/v1", true, NULL},
        {"/v1", "/v1/", true, NULL},
        {"/v1", "/v1/x", false, NULL},
        {"/v1", "/v", false, NULL},
        {"/v1", "", false, NULL},
        {"/v1/batches/{id}", "/v1/batches/b-1", true, "b-1"},
        {"/v1/batches/{id}", "/v1/batches/", false, NULL},
        {"/v1/batches/{id}", "/v1/batches", false, NULL},
        {"/v1/batches/{id}", "/v1/batches/a/b", false, NULL},
        {"/v1/batches/{id}/results", "/v1/batches/a/results", true, "a"},
        {"/v1/batches/{id}/results", "/v1/batches//results", false, NULL},
        {"/files/{rest*}", "/files/a/b", true, "a/b"},
        {"/files/{rest*}", "/files/", true, ""},
        {"/files/{rest*}", "/files", false, NULL},
        {"/{a}/{b}", "/x/y", true, "x"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct route_param p[ROUTE_PARAMS_MAX];
        size_t n;

        if (route_match(cases[i].pattern, cases[i].path, p, &n) != cases[i].fits)
            fail_msg("%s %s: expected it to fit: %d", cases[i].pattern, cases[i].path,
                     cases[i].fits);
        if (cases[i].first)
            assert_true(n > 0 && str_eqz(p[0].value, cases[i].first));
    }
}

static void test_tokens(void **state)
{
    (void)state;
    assert_true(token_eq("abc", "abc"));
    assert_false(token_eq("abc", "abd"));
    assert_false(token_eq("abc", "ab"));
    assert_false(token_eq("", "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_route_is_told),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
