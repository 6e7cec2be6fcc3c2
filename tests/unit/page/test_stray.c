/* Requests that come before their frame: looked at again when it is known, or when their time is
 * over; once each. */
#include "browser/page/stray.c"

#include "tests/support/testing.h"

static struct loop *loop;
static struct clock_fake fake;
static struct targets targets;
static char again[256];

void network_paused_again(struct targets *t, const struct json *params)
{
    size_t n = strlen(again);

    assert_ptr_equal(t, &targets);
    snprintf(again + n, sizeof again - n, "%s ", json_str(json_get(params, "requestId"), ""));
}

static int setup(void **state)
{
    (void)state;
    clock_fake_init(&fake, 1000000);
    assert_int_equal(loop_create(&loop, &fake.clock, NULL), STATUS_OK);
    targets = (struct targets){.loop = loop};
    list_init(&targets.strays);
    again[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    strays_drop(&targets);
    loop_destroy(&loop);
    return 0;
}

static bool keep(const char *request, const char *frame)
{
    struct json *params = json_add_str(json_new_object(), "requestId", request);
    bool kept = stray_keep(&targets, json_add_str(params, "frameId", frame));

    json_destroy(&params);
    return kept;
}

static void test_its_frame_comes(void **state)
{
    (void)state;
    assert_true(keep("r1", "F1"));
    assert_true(keep("r2", "F2"));
    assert_true(keep("r3", "F1"));
    stray_known(&targets, "F1");
    assert_string_equal(again, ""); /* not from inside the call */
    loop_run_once(loop, 0);
    assert_string_equal(again, "r1 r3 ");
    assert_int_equal(targets.n_strays, 1);
    stray_known(&targets, "F1");
    loop_run_once(loop, 0);
    assert_string_equal(again, "r1 r3 ");
}

static void test_its_frame_does_not_come(void **state)
{
    (void)state;
    assert_true(keep("r1", "F1"));
    clock_fake_advance_ms(&fake, STRAY_MS - 1);
    loop_run_once(loop, 0);
    assert_string_equal(again, "");
    clock_fake_advance_ms(&fake, 1);
    loop_run_once(loop, 0);
    assert_string_equal(again, "r1 ");
    assert_int_equal(targets.n_strays, 0);
}

static void test_bounds(void **state)
{
    (void)state;
    assert_false(keep("r", ""));
    for (int i = 0; i < STRAYS_MAX; i++)
        assert_true(keep("r", "F"));
    assert_false(keep("r", "F"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_its_frame_comes),
        CASE(test_its_frame_does_not_come),
        CASE(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
