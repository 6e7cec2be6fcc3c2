/* More of other people's clients, each suite a script of its own in this folder: what people do
 * with them besides loading pages, clients of other languages by what they send, an agent's tools,
 * and clients that mean harm. */
#include "tests/clients/gateway_rig.h"
#include "tests/support/testing.h"

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_SUITE(puppeteer_more),
        RIG_SUITE(playwright_more),
        RIG_SUITE(cri),
        RIG_SUITE(go),
        RIG_SUITE(hostile_more),
        RIG_SUITE(mcp),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
