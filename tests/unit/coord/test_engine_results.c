/* How a line of the results is known: by its task and the receipt that it ends with. */
#include "core/coord/engine_results.c"

#include "tests/support/testing.h"

static void test_leaf_of(void **state)
{
    const char *line = "{\"task\":\"t-000001\",\"receipt\":\""
                       "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}";
    unsigned char leaf[AUDIT_LEAF];

    (void)state;
    assert_true(leaf_of(str_from(line), leaf));
    assert_int_equal(leaf[1], 0x11);
    assert_false(leaf_of(str_n(line, strlen(line) - 1), leaf));
    assert_false(leaf_of(STR("{}"), leaf));
    assert_false(leaf_of(STR(""), leaf));
}

static void test_index_of(void **state)
{
    uint32_t index = 7;

    (void)state;
    assert_true(index_of(STR("{\"task\":\"t-000012\",\"x\":1}"), &index));
    assert_int_equal(index, 11);
    assert_false(index_of(STR("{\"task\":\"x-000012\"}"), &index));
    assert_false(index_of(STR(""), &index));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaf_of),
        cmocka_unit_test(test_index_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
