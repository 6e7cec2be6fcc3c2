/* Where the gateway ends: a machine without room for more leases. */
#include "tests/clients/gateway_rig.h"
#include "tests/support/testing.h"

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_SUITE(pressed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
