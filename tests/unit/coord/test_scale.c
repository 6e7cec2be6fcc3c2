/* How many slots there should be, as a table; and what is read of /proc. */
#include "core/coord/scale.h"

#include <string.h>

#include "core/base/attr.h"
#include "core/coord/histogram.h"
#include "tests/support/testing.h"

static void test_decisions(void **state)
{
    static const struct {
        const char *what;
        struct scale_seen seen;
        uint32_t idle; /* periods before */
        uint32_t slots;
        const char *why;
    } rows[] = {
        {"busy, little waits", {4, 4, 8, 0, 0, 50}, 0, 4, ""},
        {"busy, much waits", {4, 4, 9, 0, 0, 50}, 0, 8, "twice"},
        {"up to the bound", {12, 12, 1000, 0, 0, 50}, 0, 16, "twice"},
        {"at the bound", {16, 16, 1000, 0, 0, 50}, 0, 16, ""},
        {"much waits for tokens, not for slots", {8, 3, 100, 0, 0, 50}, 0, 8, ""},
        {"idle for a while", {8, 1, 0, 0, 0, 50}, SCALE_IDLE_PERIODS - 1, 6, "half"},
        {"idle just now", {8, 1, 0, 0, 0, 50}, 0, 8, ""},
        {"idle at the bound", {2, 0, 0, 0, 0, 50}, SCALE_IDLE_PERIODS - 1, 2, ""},
        {"the processor is short", {8, 8, 100, 61, 0, 50}, 0, 6, "processor"},
        {"memory is short", {8, 8, 100, 0, 11, 50}, 0, 6, "memory"},
        {"memory is low", {8, 8, 100, 0, 0, 9}, 0, 6, "memory"},
        {"short at the bound", {2, 2, 100, 90, 90, 1}, 0, 2, ""},
        {"the machine does not say", {4, 4, 100, -1, -1, -1}, 0, 8, "twice"},
        {"below the bounds", {1, 0, 0, 0, 0, 50}, 0, 2, "bounds"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct autoscaler a = {.conf = {2, 16}, .idle = rows[i].idle};
        const char *why;
        uint32_t n = scale_decide(&a, &rows[i].seen, &why);

        if (n != rows[i].slots || !strstr(why, rows[i].why))
            fail_msg("%s: %u (%s), expected %u (%s)", rows[i].what, n, why, rows[i].slots,
                     rows[i].why);
    }
}

/* Whatever is seen, it stays within its bounds. */
static void test_bounds(void **state)
{
    struct autoscaler a = {.conf = {3, 20}};
    struct scale_seen s = {.slots = 3};
    const char *why;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        s.active = i * 7919 % 40;
        s.waiting = i * 104729 % 100;
        s.cpu_pressure = i % 13 == 0 ? 99 : 1;
        s.available = 50;
        s.slots = scale_decide(&a, &s, &why);
        assert_in_range(s.slots, 3, 20);
    }
}

static void test_proc(void **state)
{
    struct scale_seen s = {0};

    (void)state;
    assert_true(scale_parse_pressure(STR("some avg10=1.50 avg60=0.10 avg300=0.00 total=1\n"
                                         "full avg10=0.00")) == 1.5);
    assert_true(scale_parse_pressure(STR("")) < 0);
    assert_true(scale_parse_pressure(STR("some avg10=")) < 0);
    assert_true(
        scale_parse_meminfo(STR("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB")) == 25);
    assert_true(scale_parse_meminfo(STR("MemTotal: 0 kB\nMemAvailable: 250 kB")) < 0);
    assert_true(scale_parse_meminfo(STR("")) < 0);
    scale_look(&s);
    assert_true(s.available > 0 && s.available <= 100); /* of any Linux */
}

static void test_histogram(void **state)
{
    static struct histogram h;

    (void)state;
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    for (uint64_t v = 1; v <= 100000; v++)
        histogram_add(&h, v);
    assert_true(histogram_mean(&h) == 50000.5);
    for (double p = 0.01; p < 1; p += 0.01) {
        double got = (double)histogram_quantile(&h, p), want = p * 100000;

        if (got < want * 0.999 - 1 || got > want * (1 + 1.0 / 31) + 1)
            fail_msg("quantile %.2f: %.0f, expected about %.0f", p, got, want);
    }
    assert_int_equal(histogram_quantile(&h, 1), 100000);
    histogram_add(&h, UINT64_MAX / 2); /* more than it has places for */
    assert_true(histogram_quantile(&h, 1) == UINT64_MAX / 2);
    memset(&h, 0, sizeof(h));
    histogram_add(&h, 7);
    assert_int_equal(histogram_quantile(&h, 0.5), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decisions),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_proc),
        cmocka_unit_test(test_histogram),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
