#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/base/heap.h"
#include "core/base/rng.h"

struct item {
    struct heap_node node;
    uint64_t key;
};

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return container_of(a, struct item, node)->key < container_of(b, struct item, node)->key;
}

static void test_empty(void **state maybe_unused)
{
    struct item it = {.key = 1};
    struct heap h;

    heap_init(&h, before);
    assert_null(heap_peek(&h));
    assert_null(heap_pop(&h));
    heap_remove(&h, &it.node);
    heap_push(&h, &it.node);
    assert_true(heap_has(&it.node));
    heap_deinit(&h);
    assert_false(heap_has(&it.node));
}

static const struct item *least(const struct item *v, size_t n)
{
    const struct item *best = NULL;

    for (size_t i = 0; i < n; i++) {
        if (heap_has(&v[i].node) && (!best || v[i].key < best->key))
            best = &v[i];
    }
    return best;
}

/* Random pushes, pops, removals and changes of keys against a linear search. */
static void test_against_a_model(void **state maybe_unused)
{
    static struct item v[200];
    struct heap h;
    struct rng r;
    size_t in = 0;

    rng_seed_u64(&r, 7);
    heap_init(&h, before);
    for (int step = 0; step < 20000; step++) {
        struct item *it = &v[rng_below(&r, ARRAY_LEN(v))];
        const struct item *want;

        if (!heap_has(&it->node)) {
            it->key = rng_below(&r, 50);
            heap_push(&h, &it->node);
            in++;
        } else if (rng_below(&r, 2)) {
            it->key = rng_below(&r, 50);
            heap_update(&h, &it->node);
        } else if (rng_below(&r, 2)) {
            heap_remove(&h, &it->node);
            in--;
        } else {
            uint64_t key = least(v, ARRAY_LEN(v))->key;

            assert_true(container_of(heap_pop(&h), struct item, node)->key == key);
            in--;
        }
        want = least(v, ARRAY_LEN(v));
        assert_int_equal(h.len, in);
        if (want)
            assert_true(container_of(heap_peek(&h), struct item, node)->key == want->key);
        else
            assert_null(heap_peek(&h));
    }
    heap_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_against_a_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
