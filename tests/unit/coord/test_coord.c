/* What each coordinator asks for, and when a pipeline's stages begin. */
#include "core/coord/coord.h"

#include <string.h>

#include "tests/support/testing.h"

enum { WORKS = 64 };

static struct coord_work works[WORKS];
static size_t n;

static void emit(void *arg, const struct coord_work *w)
{
    (void)arg;
    assert_true(n < WORKS);
    works[n++] = *w;
}

static struct coord *begin(enum coordinator kind, uint32_t rows, uint32_t members, uint32_t stages)
{
    const struct coord_shape shape = {
        .kind = kind, .rows = rows, .members = members, .stages = stages};
    struct coord *c = coord_create(&shape);

    n = 0;
    coord_start(c, emit, NULL);
    assert_int_equal(n, coord_total(c));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(works[i].index, i);
    return c;
}

static void test_batch(void **state)
{
    struct coord *c = begin(COORD_BATCH, 5, 2, 1);

    (void)state;
    assert_int_equal(n, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(works[i].row, i);
        assert_int_equal(works[i].pin, -1);
        assert_true(coord_finished(c, i, 0, i % 2, NULL, emit, NULL));
    }
    assert_int_equal(n, 5);
    coord_destroy(&c);
}

static void test_broadcast(void **state)
{
    struct coord *c = begin(COORD_BROADCAST, 2, 3, 1);
    unsigned seen[2][3] = {{0}};

    (void)state;
    for (size_t i = 0; i < n; i++)
        seen[works[i].row][works[i].pin]++;
    for (int r = 0; r < 2; r++) {
        for (int m = 0; m < 3; m++)
            assert_int_equal(seen[r][m], 1);
    }
    coord_destroy(&c);
}

static void test_plan(void **state)
{
    struct coord *c = begin(COORD_PLAN, 5, 3, 1);

    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(works[i].row, i);
        assert_int_equal(works[i].pin, i % 3);
    }
    coord_destroy(&c);
    c = begin(COORD_PLAN, 1, 3, 1); /* one row is for everybody */
    assert_int_equal(n, 3);
    assert_int_equal(works[2].row, 0);
    assert_int_equal(works[2].pin, 2);
    coord_destroy(&c);
}

static struct json *output(double v)
{
    return json_new_num(v);
}

static void test_pipeline(void **state)
{
    struct coord *c = begin(COORD_PIPELINE, 3, 3, 3);

    (void)state;
    assert_null(works[0].input);
    assert_false(coord_finished(c, 2, 0, true, output(2), emit, NULL));
    assert_true(coord_finished(c, 1, 0, false, NULL, emit, NULL)); /* stops there */
    assert_int_equal(n, 3);                                        /* the stage is not over */
    assert_false(coord_finished(c, 0, 0, true, output(0), emit, NULL));
    assert_int_equal(n, 5);
    assert_int_equal(works[3].index, 0);
    assert_int_equal(works[3].stage, 1);
    assert_int_equal(works[4].index, 2);
    assert_int_equal(works[4].pin, 2);
    assert_int_equal(json_int(works[4].input, -1), 2);
    assert_false(coord_finished(c, 2, 1, true, output(22), emit, NULL));
    assert_true(coord_finished(c, 0, 1, false, NULL, emit, NULL));
    assert_int_equal(n, 6);
    assert_int_equal(works[5].stage, 2);
    assert_int_equal(json_int(works[5].input, -1), 22);
    assert_true(coord_finished(c, 2, 2, true, NULL, emit, NULL));
    assert_int_equal(n, 6);
    coord_destroy(&c);
}

/* Of one that goes on: what is done is not asked for, and a pipeline waits for its slowest. */
static void test_restored(void **state)
{
    const struct coord_shape batch = {.kind = COORD_BATCH, .rows = 4, .members = 2, .stages = 1};
    const struct coord_shape line = {.kind = COORD_PIPELINE, .rows = 1, .members = 4, .stages = 3};
    struct coord *c = coord_create(&batch);

    (void)state;
    n = 0;
    coord_restore(c, 1, 0, true, NULL);
    coord_restore(c, 3, 0, true, NULL);
    coord_start(c, emit, NULL);
    assert_int_equal(n, 2);
    assert_int_equal(works[0].index, 0);
    assert_int_equal(works[1].index, 2);
    coord_destroy(&c);

    c = coord_create(&line);
    n = 0;
    coord_restore(c, 0, 2, false, output(7)); /* through two stages */
    coord_restore(c, 1, 0, true, NULL);       /* failed, or done */
    coord_restore(c, 2, 1, false, output(8)); /* through one, as the next */
    coord_restore(c, 3, 1, false, NULL);
    coord_start(c, emit, NULL);
    assert_int_equal(n, 2);
    assert_int_equal(works[0].index, 2);
    assert_int_equal(works[0].stage, 1);
    assert_int_equal(json_int(works[0].input, -1), 8);
    assert_false(coord_finished(c, 2, 1, true, output(9), emit, NULL));
    assert_true(coord_finished(c, 3, 1, false, NULL, emit, NULL));
    assert_int_equal(n, 4);
    assert_int_equal(works[2].index, 0);
    assert_int_equal(works[2].stage, 2);
    assert_int_equal(json_int(works[2].input, -1), 7);
    assert_int_equal(works[3].index, 2);
    assert_true(coord_finished(c, 0, 2, true, NULL, emit, NULL));
    assert_true(coord_finished(c, 2, 2, true, NULL, emit, NULL));
    assert_int_equal(n, 4);
    coord_destroy(&c);
}

static void test_pipeline_may_fail_whole(void **state)
{
    struct coord *c = begin(COORD_PIPELINE, 1, 2, 2);

    (void)state;
    assert_true(coord_finished(c, 0, 0, false, NULL, emit, NULL));
    assert_true(coord_finished(c, 1, 0, false, NULL, emit, NULL));
    assert_int_equal(n, 2);
    coord_destroy(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch),    cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_plan),     cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_restored), cmocka_unit_test(test_pipeline_may_fail_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
