#include "reaper/level.h"

#include <errno.h>
#include <string.h>

#include "core/base/attr.h"
#include "tests/support/testing.h"

#define BIT(l) REAPER_LAYER_BIT(REAPER_LAYER_##l)
#define ALL    (REAPER_LAYER_BIT(REAPER_LAYER_COUNT) - 1u)

static void test_guarantees(void **state)
{
    static const struct {
        uint32_t layers;
        bool root;
        enum reaper_guarantee expected;
    } rows[] = {
        {ALL, true, REAPER_GUARANTEE_KERNEL},
        {BIT(PIDNS), false, REAPER_GUARANTEE_KERNEL},
        {ALL & ~BIT(PIDNS), true, REAPER_GUARANTEE_CGROUP},
        {BIT(UID), true, REAPER_GUARANTEE_UID},
        {BIT(UID), false, REAPER_GUARANTEE_BEST_EFFORT},
        {0, true, REAPER_GUARANTEE_BEST_EFFORT},
    };
    static const int none[REAPER_LAYER_COUNT];
    struct reaper_level l;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        reaper_level_fill(&l, rows[i].layers, rows[i].root, false, none);
        assert_int_equal(l.guarantee, rows[i].expected);
        assert_true(strlen(reaper_guarantee_text(l.guarantee)) > 10);
    }
}

static void test_rows(void **state)
{
    int errnos[REAPER_LAYER_COUNT];
    struct reaper_level l;

    (void)state;
    for (size_t i = 0; i < REAPER_LAYER_COUNT; i++)
        errnos[i] = EPERM;
    reaper_level_fill(&l, 0, false, false, errnos);
    for (size_t i = 0; i < REAPER_LAYER_COUNT; i++) {
        assert_int_equal(l.rows[i].layer, i);
        assert_int_not_equal(l.rows[i].state, REAPER_ROW_OK);
        assert_int_equal(l.rows[i].sys_errno, EPERM);
        assert_true(strlen(l.rows[i].cost) > 0);
        assert_true(strlen(reaper_layer_title(l.rows[i].layer)) > 0);
    }
    assert_int_equal(l.rows[REAPER_LAYER_CHROMIUM].state, REAPER_ROW_MISSING);
    assert_int_equal(l.rows[REAPER_LAYER_LANDLOCK].state, REAPER_ROW_DEGRADED);
    reaper_level_fill(&l, ALL, true, false, errnos);
    for (size_t i = 0; i < REAPER_LAYER_COUNT; i++) {
        assert_int_equal(l.rows[i].state, REAPER_ROW_OK);
        assert_int_equal(l.rows[i].sys_errno, 0);
        assert_string_equal(l.rows[i].cost, "");
    }
}

static void test_text(void **state)
{
    char out[REAPER_LAYERS_TEXT_MAX];

    (void)state;
    assert_string_equal(reaper_layers_text(0, out), "none");
    assert_string_equal(reaper_layers_text(BIT(PIDNS) | BIT(SECCOMP), out),
                        "pid-namespace,seccomp");
    assert_true(strlen(reaper_layers_text(ALL, out)) < REAPER_LAYERS_TEXT_MAX - 1);
    assert_non_null(strstr(out, "cgroup-kill"));
}

static void test_check(void **state)
{
    struct err e = ERR_INIT;

    (void)state;
    assert_true(reaper_level_check(ALL, REAPER_LAYERS_REQUIRED, &e));
    assert_false(
        reaper_level_check(ALL & ~BIT(CHROMIUM) & ~BIT(SECCOMP), REAPER_LAYERS_REQUIRED, &e));
    assert_int_equal(e.status, STATUS_ENVIRONMENT);
    assert_non_null(strstr(e.text, "chromium-sandbox, seccomp"));
    assert_non_null(strstr(e.text, "fleet doctor"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guarantees),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_check),
    };

    return cmocka_run_group_tests_name("level", tests, NULL, NULL);
}
