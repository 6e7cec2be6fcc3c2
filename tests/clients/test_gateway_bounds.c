/* Where the gateway ends: a machine without room for more leases, and bytes that are no
 * WebSocket's.
 */
#include "tests/clients/gateway_rig.h"
#include "tests/support/testing.h"

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_SUITE(pressed),
        RIG_SUITE(frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
