#include "reaper/ladder.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/attr.h"
#include "core/base/rng.h"
#include "tests/support/testing.h"

static void test_walks(void **state)
{
    static const struct {
        const char *name;
        enum ladder_event events[8];
        size_t n;
        enum ladder_state to;
        enum ladder_action last;
    } rows[] = {
        {"started", {LADDER_ON_STARTED}, 1, LADDER_RUNNING, LADDER_DO_NOTHING},
        {"asked", {LADDER_ON_STARTED, LADDER_ON_STOP}, 2, LADDER_ASKED, LADDER_DO_ASK},
        {"asked twice",
         {LADDER_ON_STARTED, LADDER_ON_STOP, LADDER_ON_STOP},
         3,
         LADDER_ASKED,
         LADDER_DO_NOTHING},
        {"deaf to asking",
         {LADDER_ON_STARTED, LADDER_ON_STOP, LADDER_ON_DEADLINE},
         3,
         LADDER_TERMED,
         LADDER_DO_TERM},
        {"deaf to TERM",
         {LADDER_ON_STARTED, LADDER_ON_TERM, LADDER_ON_DEADLINE},
         3,
         LADDER_KILLED,
         LADDER_DO_KILL},
        {"init deaf", {LADDER_ON_KILL, LADDER_ON_DEADLINE}, 2, LADDER_KILLED, LADDER_DO_KILL_INIT},
        {"not slowed down",
         {LADDER_ON_STARTED, LADDER_ON_TERM, LADDER_ON_STOP},
         3,
         LADDER_TERMED,
         LADDER_DO_NOTHING},
        {"killed while asked",
         {LADDER_ON_STARTED, LADDER_ON_STOP, LADDER_ON_KILL},
         3,
         LADDER_KILLED,
         LADDER_DO_KILL},
        {"stop while starting", {LADDER_ON_STOP}, 1, LADDER_KILLED, LADDER_DO_KILL},
        {"never started", {LADDER_ON_DEADLINE}, 1, LADDER_KILLED, LADDER_DO_KILL},
        {"ended by itself",
         {LADDER_ON_STARTED, LADDER_ON_EXITED},
         2,
         LADDER_ENDING,
         LADDER_DO_NOTHING},
        {"left something",
         {LADDER_ON_STARTED, LADDER_ON_EXITED, LADDER_ON_DEADLINE},
         3,
         LADDER_KILLED,
         LADDER_DO_KILL},
        {"gone is the end",
         {LADDER_ON_GONE, LADDER_ON_KILL, LADDER_ON_DEADLINE},
         3,
         LADDER_GONE,
         LADDER_DO_NOTHING},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ladder_move m = {LADDER_STARTING, LADDER_DO_NOTHING};

        for (size_t k = 0; k < rows[i].n; k++)
            m = ladder_next(m.to, rows[i].events[k]);
        if (m.to != rows[i].to || m.action != rows[i].last)
            fail_msg("%s: %s, action %d", rows[i].name, ladder_state_name(m.to), (int)m.action);
    }
}

/* How far a member is on its way out: it never goes back. */
static int rank(enum ladder_state s)
{
    static const int ranks[LADDER_STATES] = {0, 1, 2, 3, 5, 4, 6};

    return ranks[s];
}

static void test_never_goes_back(void **state)
{
    (void)state;
    for (unsigned s = 0; s < LADDER_STATES; s++)
        for (unsigned ev = 0; ev < LADDER_EVENTS; ev++) {
            struct ladder_move m = ladder_next((enum ladder_state)s, (enum ladder_event)ev);

            assert_true(rank(m.to) >= rank((enum ladder_state)s));
        }
}

/* Whatever happens, once a stop was asked for deadlines alone lead to the kill: no state waits for
 * ever but a running one. */
static void test_every_stop_ends(void **state)
{
    struct rng r;

    (void)state;
    rng_seed_u64(&r, 4);
    for (int round = 0; round < 2000; round++) {
        struct ladder_move m = {LADDER_STARTING, LADDER_DO_NOTHING};

        for (int i = 0; i < 6; i++)
            m = ladder_next(m.to, (enum ladder_event)rng_below(&r, LADDER_EVENTS));
        m = ladder_next(m.to, LADDER_ON_TERM);
        for (int i = 0; i < 4; i++)
            m = ladder_next(m.to, LADDER_ON_DEADLINE);
        assert_true(m.to == LADDER_KILLED || m.to == LADDER_GONE);
    }
}

static void test_deadlines(void **state)
{
    (void)state;
    for (unsigned s = 0; s < LADDER_STATES; s++) {
        bool waits = s == LADDER_RUNNING || s == LADDER_ASKED || s == LADDER_GONE;

        assert_int_equal(ladder_deadline_ms((enum ladder_state)s) == 0, waits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walks),
        cmocka_unit_test(test_never_goes_back),
        cmocka_unit_test(test_every_stop_ends),
        cmocka_unit_test(test_deadlines),
    };

    return cmocka_run_group_tests_name("ladder", tests, NULL, NULL);
}
