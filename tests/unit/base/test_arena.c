#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/arena.h"

static void test_memory_is_zeroed_and_aligned(void **state maybe_unused)
{
    struct arena *a = arena_create(NULL, 0);

    for (int round = 0; round < 2; round++) {
        for (size_t size = 0; size < 40000; size = size * 2 + 1) {
            unsigned char *p = arena_alloc(a, size);

            assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0xee, size);
        }
        arena_reset(a); /* the second round gets used memory */
        assert_int_equal(arena_used(a), 0);
    }
    arena_destroy(&a);
    assert_null(a);
    arena_destroy(&a);
}

static void test_cap(void **state maybe_unused)
{
    struct arena *a = arena_create(NULL, 100000);

    assert_null(arena_try_alloc(a, 100001));
    assert_null(arena_try_alloc(a, SIZE_MAX));
    assert_non_null(arena_try_alloc(a, 60000));
    assert_null(arena_try_alloc(a, 40001));
    assert_non_null(arena_try_alloc(a, 40000));
    assert_null(arena_try_alloc(a, 1));
    arena_reset(a);
    assert_non_null(arena_try_alloc(a, 100000));
    arena_destroy(&a);
}

static void test_texts(void **state maybe_unused)
{
    struct arena *a = arena_create(NULL, 0);
    struct str s = arena_str(a, STR("abc"));

    assert_string_equal(arena_strdup(a, "hello"), "hello");
    assert_string_equal(arena_strndup(a, "hello", 2), "he");
    assert_string_equal(arena_strndup(a, NULL, 0), "");
    assert_string_equal(arena_printf(a, "%s-%d", "x", 12), "x-12");
    assert_true(str_eqz(s, "abc") && s.ptr[3] == '\0');
    assert_null(arena_str(a, STR_NONE).ptr);
    arena_destroy(&a);
}

static char trace[16];

static void note(void *arg)
{
    size_t n = strlen(trace);

    (void)snprintf(trace + n, sizeof(trace) - n, "%s", (const char *)arg);
}

static void test_cleanups_and_children(void **state maybe_unused)
{
    struct arena *a = arena_create(NULL, 0), *child = arena_create(a, 0);
    struct arena *early = arena_create(a, 0);

    trace[0] = '\0';
    arena_on_reset(a, note, arena_strdup(a, "1"));
    arena_on_reset(a, note, arena_strdup(a, "2"));
    arena_on_reset(child, note, arena_strdup(child, "c"));
    arena_on_reset(early, note, arena_strdup(early, "e"));
    arena_destroy(&early);
    assert_string_equal(trace, "e");
    arena_reset(a);
    assert_string_equal(trace, "e21c");
    arena_reset(a);
    arena_destroy(&a);
    assert_string_equal(trace, "e21c");
}

static void test_many_small_and_large(void **state maybe_unused)
{
    struct arena *a = arena_create(NULL, 0);
    char *first = arena_strdup(a, "first");

    for (size_t i = 0; i < 5000; i++) {
        char *p = arena_alloc(a, i % 100 == 0 ? 20000 : 24);

        memset(p, 1, i % 100 == 0 ? 20000 : 24);
    }
    assert_string_equal(first, "first");
    assert_int_equal(arena_used(a), 6 + 50 * 20000 + 4950 * 24);
    arena_destroy(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_zeroed_and_aligned),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_cleanups_and_children),
        cmocka_unit_test(test_many_small_and_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
