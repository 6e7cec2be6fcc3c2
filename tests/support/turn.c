#include "tests/support/turn.h"

#include "tests/support/testing.h"

bool turn_until(struct loop *l, const bool *flag, unsigned ms)
{
    uint64_t end = test_now_ms() + ms;

    while (!*flag && test_now_ms() < end)
        loop_run_once(l, 50);
    return *flag;
}

void turn_for(struct loop *l, unsigned ms)
{
    uint64_t end = test_now_ms() + ms;

    while (test_now_ms() < end)
        loop_run_once(l, 10);
}

void turn_flag(void *flag)
{
    *(bool *)flag = true;
}
