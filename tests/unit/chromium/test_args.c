#include "browser/chromium/args.h"

#include "browser/chromium/instance.h"
#include "tests/support/testing.h"

static void test_lists_are_merged(void **state)
{
    struct arena *arena = arena_create(NULL, 0);
    struct args a;

    (void)state;
    args_init(&a, arena);
    args_add(&a, "--disable-features=A,B");
    args_add(&a, "--x=1");
    args_add(&a, "--disable-features=B,C");
    args_add(&a, "--flag");
    args_add(&a, "--x=2");
    args_add(&a, "--flag");
    args_addf(&a, "--enable-features=%s", "F:p/0,G");
    args_add(&a, "--enable-features=G");
    assert_true(str_eqz(args_get(&a, "--disable-features"), "A,B,C"));
    assert_true(str_eqz(args_get(&a, "--x"), "2"));
    assert_null(args_get(&a, "--flag").ptr);
    assert_true(str_eqz(args_get(&a, "--enable-features"), "F:p/0,G"));
    assert_string_equal(args_list(&a, "/bin/x")[0], "/bin/x");
    assert_string_equal(args_list(&a, "/bin/x")[1], "--disable-features=A,B,C");
    assert_string_equal(args_list(&a, "/bin/x")[3], "--flag");
    assert_null(args_list(&a, "/bin/x")[5]);
    arena_destroy(&arena);
}

static void test_base_has_each_switch_once(void **state)
{
    static const enum browser_kind kinds[] = {BROWSER_HEADLESS_SHELL, BROWSER_CHROMIUM};
    struct arena *arena = arena_create(NULL, 0);

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        struct args a;

        args_init(&a, arena);
        args_add_base(&a, kinds[k]);
        for (size_t i = 0; i < a.n; i++)
            for (size_t j = 0; j < i; j++)
                assert_false(str_eq(a.v[i].name, a.v[j].name));
        assert_true(str_find(args_get(&a, "--disable-features"), STR("Prerender2")) >= 0);
        assert_int_equal(args_get(&a, "--headless").ptr != NULL, kinds[k] == BROWSER_CHROMIUM);
    }
    arena_destroy(&arena);
}

static void test_program_by_variable(void **state)
{
    struct arena *arena = arena_create(NULL, 0);
    struct browser_program p;
    struct err e = ERR_INIT;

    (void)state;
    setenv("FLEET_HEADLESS_SHELL", "/bin/sh", 1);
    assert_int_equal(browser_find(arena, BROWSER_AUTO, &p, &e), STATUS_OK);
    assert_string_equal(p.path, "/bin/sh");
    assert_int_equal(p.kind, BROWSER_HEADLESS_SHELL);
    setenv("FLEET_HEADLESS_SHELL", "/nowhere", 1);
    assert_int_equal(browser_find(arena, BROWSER_HEADLESS_SHELL, &p, &e), STATUS_ENVIRONMENT);
    assert_string_equal(
        e.text, "FLEET_HEADLESS_SHELL is \"/nowhere\", which is no program that can be run");
    unsetenv("FLEET_HEADLESS_SHELL");
    arena_destroy(&arena);
}

/* The drawing of instance.h, as a table of what each event does to each state. */
static void test_moves_of_an_instance(void **state)
{
    static const struct {
        enum instance_state from;
        enum instance_event on;
        enum instance_state to;
    } cases[] = {
        {INSTANCE_NEW, INSTANCE_ON_LAUNCH, INSTANCE_LAUNCHING},
        {INSTANCE_LAUNCHING, INSTANCE_ON_ANSWER, INSTANCE_READY},
        {INSTANCE_LAUNCHING, INSTANCE_ON_EXIT, INSTANCE_FAILED},
        {INSTANCE_LAUNCHING, INSTANCE_ON_CLOSE, INSTANCE_CLOSING},
        {INSTANCE_READY, INSTANCE_ON_DRAIN, INSTANCE_DRAINING},
        {INSTANCE_READY, INSTANCE_ON_LOST, INSTANCE_CLOSING},
        {INSTANCE_READY, INSTANCE_ON_EXIT, INSTANCE_GONE},
        {INSTANCE_DRAINING, INSTANCE_ON_CLOSE, INSTANCE_CLOSING},
        {INSTANCE_CLOSING, INSTANCE_ON_ANSWER, INSTANCE_CLOSING},
        {INSTANCE_CLOSING, INSTANCE_ON_EXIT, INSTANCE_GONE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(instance_next(cases[i].from, cases[i].on), cases[i].to);
    for (int ev = 0; ev < INSTANCE_EVENT_COUNT; ev++) { /* the ends are ends */
        assert_int_equal(instance_next(INSTANCE_GONE, (enum instance_event)ev), INSTANCE_GONE);
        assert_int_equal(instance_next(INSTANCE_FAILED, (enum instance_event)ev), INSTANCE_FAILED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_are_merged),
        cmocka_unit_test(test_base_has_each_switch_once),
        cmocka_unit_test(test_program_by_variable),
        cmocka_unit_test(test_moves_of_an_instance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
