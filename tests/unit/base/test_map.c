#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/base/map.h"
#include "core/base/rng.h"

static int values[1000];

static void test_bytes(void **state maybe_unused)
{
    struct map *m = map_create();
    char key[64] = "a key of more than sixteen bytes";

    assert_null(map_find(m, STR("a")));
    assert_null(map_remove(m, STR("a")));
    assert_null(map_put(m, STR("a"), &values[0]));
    assert_null(map_put(m, STR("a\0b"), &values[1]));
    assert_null(map_put(m, STR(""), &values[2]));
    assert_null(map_put(m, str_from(key), &values[3]));
    key[0] = 'A'; /* keys are copied */
    assert_ptr_equal(map_find(m, STR("a")), &values[0]);
    assert_ptr_equal(map_find(m, STR("a\0b")), &values[1]);
    assert_ptr_equal(map_find(m, STR_NONE), &values[2]);
    assert_ptr_equal(map_find(m, STR("a key of more than sixteen bytes")), &values[3]);
    assert_null(map_find(m, str_from(key)));
    assert_ptr_equal(map_put(m, STR("a"), &values[4]), &values[0]);
    assert_int_equal(map_len(m), 4);
    assert_ptr_equal(map_remove(m, STR("a")), &values[4]);
    assert_null(map_remove(m, STR("a")));
    assert_int_equal(map_len(m), 3);
    map_destroy(&m, NULL);
    assert_null(m);
    map_destroy(&m, NULL);
}

static void test_order_is_of_insertion(void **state maybe_unused)
{
    struct map *m = map_create();
    size_t it = 0, n = 0;
    struct str key;
    char text[64];
    int *v;

    for (size_t i = 0; i < 1000; i++) {
        (void)snprintf(text, sizeof(text), "some long key number %zu", i);
        map_put(m, str_from(text), &values[i]);
    }
    while ((v = map_next(m, &it, &key))) {
        (void)snprintf(text, sizeof(text), "some long key number %zu", n);
        assert_ptr_equal(v, &values[n++]);
        assert_true(str_eqz(key, text));
        if (n % 2)
            assert_ptr_equal(map_remove(m, key), v);
    }
    assert_int_equal(n, 1000);
    assert_int_equal(map_len(m), 500);
    for (it = 0, n = 1; (v = map_next(m, &it, NULL)); n += 2)
        assert_ptr_equal(v, &values[n]);
    map_destroy(&m, NULL);
}

static void test_integers_against_a_model(void **state maybe_unused)
{
    struct map *m = map_create();
    void *model[300] = {0};
    size_t len = 0;
    struct rng r;

    rng_seed_u64(&r, 1);
    for (int step = 0; step < 50000; step++) {
        uint64_t i = rng_below(&r, ARRAY_LEN(model)), key = i * UINT64_C(0x100000001);

        switch (rng_below(&r, 3)) {
        case 0:
            assert_ptr_equal(map_put_u64(m, key, &values[step % 1000]), model[i]);
            len += !model[i];
            model[i] = &values[step % 1000];
            break;
        case 1:
            assert_ptr_equal(map_remove_u64(m, key), model[i]);
            len -= model[i] != NULL;
            model[i] = NULL;
            break;
        default:
            assert_ptr_equal(map_find_u64(m, key), model[i]);
        }
        assert_int_equal(map_len(m), len);
    }
    map_destroy(&m, NULL);
}

static void test_values_are_freed(void **state maybe_unused)
{
    struct map *m = map_create();

    for (uint64_t i = 0; i < 100; i++)
        assert_null(map_put_u64(m, i, xstrdup("value")));
    free(map_remove_u64(m, 5));
    map_destroy(&m, free); /* the leak checker counts */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_order_is_of_insertion),
        cmocka_unit_test(test_integers_against_a_model),
        cmocka_unit_test(test_values_are_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
