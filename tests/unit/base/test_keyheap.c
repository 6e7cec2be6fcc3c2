#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/base/keyheap.h"
#include "core/base/rng.h"

struct item {
    struct keyheap_node node;
    uint64_t key;
};

static void test_empty(void **state maybe_unused)
{
    struct item it = {.key = 1};
    struct keyheap h = {0};

    assert_null(keyheap_peek(&h));
    assert_true(keyheap_least(&h) == UINT64_MAX);
    keyheap_remove(&h, &it.node);
    keyheap_push(&h, &it.node, it.key);
    assert_true(keyheap_least(&h) == 1);
    assert_true(keyheap_has(&it.node));
    keyheap_deinit(&h);
    assert_false(keyheap_has(&it.node));
}

static const struct item *least(const struct item *v, size_t n)
{
    const struct item *best = NULL;

    for (size_t i = 0; i < n; i++) {
        if (keyheap_has(&v[i].node) && (!best || v[i].key < best->key))
            best = &v[i];
    }
    return best;
}

/* Random pushes, pops, removals and changes of keys against a linear search. */
static void test_against_a_model(void **state maybe_unused)
{
    static struct item v[200];
    struct keyheap h = {0};
    struct rng r;
    size_t in = 0;

    rng_seed_u64(&r, 7);
    for (int step = 0; step < 20000; step++) {
        struct item *it = &v[rng_below(&r, ARRAY_LEN(v))];
        const struct item *want;

        if (!keyheap_has(&it->node)) {
            it->key = rng_below(&r, 50);
            keyheap_push(&h, &it->node, it->key);
            in++;
        } else if (rng_below(&r, 2)) {
            it->key = rng_below(&r, 50);
            keyheap_update(&h, &it->node, it->key);
        } else if (rng_below(&r, 2)) {
            keyheap_remove(&h, &it->node);
            in--;
        } else {
            struct keyheap_node *n = keyheap_peek(&h);

            keyheap_remove(&h, n);
            assert_false(keyheap_has(n));
            in--;
        }
        want = least(v, ARRAY_LEN(v));
        assert_int_equal(h.len, in);
        if (want) {
            assert_true(container_of(keyheap_peek(&h), struct item, node)->key == want->key);
            assert_true(keyheap_least(&h) == want->key);
        } else {
            assert_null(keyheap_peek(&h));
        }
    }
    keyheap_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_against_a_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
