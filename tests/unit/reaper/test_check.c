#include "reaper/check.h"

#include "core/base/attr.h"
#include "tests/support/testing.h"

static void test_parses_status(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int parent;
        unsigned filters, depth;
    } rows[] = {
        {"Name:\tx\nPPid:\t7\nNSpid:\t10\t3\t1\nSeccomp_filters:\t2\n", true, 7, 2, 3},
        {"Name:\tPPid:\nPPid:\t1\nNSpid:\t10\n", true, 1, 0, 1},
        {"PPid:\t1\n", false, 0, 0, 0},
        {"NSpid:\t1\n", false, 0, 0, 0},
        {"PPid:\tx\nNSpid:\t1\n", false, 0, 0, 0},
        {"", false, 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct check_status s;
        bool ok = check_parse_status(str_from(rows[i].text), &s);

        assert_int_equal(ok, rows[i].ok);
        if (!ok)
            continue;
        assert_int_equal(s.parent, rows[i].parent);
        assert_int_equal(s.filters, rows[i].filters);
        assert_int_equal(s.depth, rows[i].depth);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parses_status),
    };

    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
