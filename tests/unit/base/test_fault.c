#include "core/base/fault.h"

#include "core/base/attr.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#ifdef FLEET_FAULTS
static void test_nth_pass(void **state)
{
    (void)state;
    fault_set("a, b:3,c:0:28,d:2:5");
    assert_int_equal(fault_point("a"), EIO);
    assert_int_equal(fault_point("a"), 0);
    assert_int_equal(fault_point("b"), 0);
    assert_int_equal(fault_point("b"), 0);
    assert_int_equal(fault_point("b"), EIO);
    assert_int_equal(fault_point("b"), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fault_point("c"), ENOSPC);
    assert_int_equal(fault_point("other"), 0);
}

static void test_set_forgets(void **state)
{
    (void)state;
    fault_set("a:2");
    assert_int_equal(fault_point("a"), 0);
    fault_set("a:2");
    assert_int_equal(fault_point("a"), 0);
    assert_int_equal(fault_point("a"), EIO);
    fault_set("");
    assert_int_equal(fault_point("a"), 0);
}
#else
static void test_compiled_out(void **state)
{
    (void)state;
    fault_set("a:0");
    assert_int_equal(fault_point("a"), 0);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef FLEET_FAULTS
        cmocka_unit_test(test_nth_pass),
        cmocka_unit_test(test_set_forgets),
#else
        cmocka_unit_test(test_compiled_out),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
