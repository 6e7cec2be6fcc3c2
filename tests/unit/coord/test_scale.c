/* How many slots there should be, as a table; and what is read of /proc. */
#include "core/coord/scale.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
        struct autoscaler a = {.conf = {2, 16, 0, 10, 10, 0}, .idle = rows[i].idle};
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
    struct autoscaler a = {.conf = {3, 20, 0, 10, 10, 0}};
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

/* Period by period: so many were in use, this was seen, so many may be in use. */
static void test_admission(void **state)
{
    static const struct scale_conf conf = {.min = 1, .cpu = 50, .memory = 10, .available = 10};
    static const struct {
        uint64_t active;
        double cpu, memory, available;
        uint32_t admitted;
        const char *why; /* "": no pressure */
    } periods[] = {
        {0, 0, 0, 50, 16, ""},
        {12, 50, 10, 10, 16, ""}, /* at the bounds, not past them */
        {12, 51, 0, 50, 12, "processor pressure: something waited for it in 51.0 %"},
        {12, 99, 0, 50, 12, "processor"}, /* those there are go on */
        {12, 99, 11, 50, 9, "memory pressure: something waited for it in 11.0 %"},
        {12, 0, 0, 9.5, 7, "little memory is left: 9.5 % of it is available, expected 10 %"},
        {9, 0, 90, 1, 6, "memory"},
        {6, 0, 90, 1, 5, "memory"},
        {6, 0, 90, 1, 4, "memory"},
        {6, 0, 90, 1, 3, "memory"},
        {6, 0, 90, 1, 2, "memory"},
        {6, 0, 90, 1, 1, "memory"},
        {6, 0, 90, 1, 1, "memory"}, /* one always may */
        {1, 0, 0, 50, 2, ""},
        {2, 0, 0, 50, 3, ""},
        {2, 51, 0, 50, 3, "processor"},
        {2, -1, -1, -1, 4, ""}, /* the machine does not say */
        {2, 0, 0, 50, 6, ""},
        {2, 0, 0, 50, 9, ""},
        {2, 0, 0, 50, 13, ""},
        {2, 0, 0, 50, 16, ""},
        {0, 0, 90, 50, 1, "memory"}, /* nothing had begun */
    };
    struct admission a = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(periods); i++) {
        const struct scale_seen s = {.slots = 16,
                                     .active = periods[i].active,
                                     .cpu_pressure = periods[i].cpu,
                                     .memory_pressure = periods[i].memory,
                                     .available = periods[i].available};
        char text[SCALE_TEXT_MAX];
        const char *why = scale_pressure(&conf, &s, text);
        uint32_t n = scale_admit(&a, &conf, &s);

        if (n != periods[i].admitted || !strstr(why ? why : "", periods[i].why) ||
            (why == NULL) != (periods[i].why[0] == '\0'))
            fail_msg("period %zu: %u (%s), expected %u (%s)", i, n, why ? why : "",
                     periods[i].admitted, periods[i].why);
    }
}

/* What is not given holds nothing back: processors, unless there is an autoscaler. */
static void test_bounds_of_pressure(void **state)
{
    static const struct scale_seen busy = {
        .cpu_pressure = 99.9, .memory_pressure = 99.9, .available = 0.1};
    char text[SCALE_TEXT_MAX];
    struct scale_conf c = {.min = 1, .memory = 100, .available = 0};

    (void)state;
    assert_null(scale_pressure(&c, &busy, text));
    c.max = 8;
    assert_non_null(strstr(scale_pressure(&c, &busy, text), "expected 60 % or less"));
    c.cpu = 100;
    assert_null(scale_pressure(&c, &busy, text));
    c.available = 1;
    assert_non_null(scale_pressure(&c, &busy, text));
}

static void put(const char *dir, const char *file, const char *text)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static const char *make(const char *root, const char *name)
{
    static char path[512];

    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0700), 0);
    return path;
}

static struct scale_seen seen_in(const char *root, const char *own)
{
    struct scale_seen s = {.cpu_pressure = 5, .memory_pressure = -1, .available = 80};

    scale_look_cgroup(str_from(own), root, &s);
    return s;
}

/* The worst of the machine, the cgroup and those above it. */
static void test_cgroups(void **state)
{
    char *root = test_mkdir();
    struct scale_seen s;
    const char *dir;

    (void)state;
    dir = make(root, "box"); /* version 2 */
    put(dir, "memory.max", "1000\n");
    put(dir, "memory.current", "700\n");
    put(dir, "memory.stat", "anon 5\ninactive_file 60\nactive_file 40\nslab 9\n");
    put(dir, "cpu.pressure", "some avg10=70.50 avg60=1.00\n");
    put(dir, "memory.pressure", "some avg10=3.00 avg60=1.00\n");
    dir = make(root, "box/in");
    put(dir, "memory.max", "max\n");
    put(dir, "memory.current", "600\n");
    s = seen_in(root, "0::/box/in\n");
    assert_true(s.available == 40 && s.cpu_pressure == 70.5 && s.memory_pressure == 3);
    s = seen_in(root,
                "12:cpu:/box\n0::/other\n"); /* where it is not shown, its root is looked at */
    assert_true(s.available == 80 && s.cpu_pressure == 5);
    s = seen_in(root, "0::/../box\n");
    assert_true(s.available == 80);

    (void)make(root, "memory"); /* version 1 */
    dir = make(root, "memory/box");
    put(dir, "memory.limit_in_bytes", "2000\n");
    put(dir, "memory.usage_in_bytes", "2000\n");
    put(dir, "memory.stat",
        "cache 2\ninactive_file 1\ntotal_inactive_file 300\ntotal_active_file 200\n");
    s = seen_in(root, "4:memory:/box\n");
    assert_true(s.available == 25 && s.cpu_pressure == 5);
    put(dir, "memory.limit_in_bytes", "9223372036854771712\n"); /* none */
    s = seen_in(root, "4:memory:/box\n");
    assert_true(s.available == 80);
    test_rmdir(&root);
}

/* --- room at the processors --- */

/* Two looks, 250 ms apart. */
static void test_room_between_looks(void **state)
{
    static const struct {
        const char *what;
        struct cpu_seen before, now;
        bool room;
    } rows[] = {
        {"nothing waited", {2, 900, -1, -1, -1}, {2, 900, -1, -1, -1}, true},
        {"little waited", {2, 900, -1, -1, -1}, {2, 962, -1, -1, -1}, true},
        {"something waited", {2, 900, -1, -1, -1}, {2, 963, -1, -1, -1}, false},
        {"pressure before idle time", {2, 0, 0, -1, -1}, {2, 200, 500, -1, -1}, false},
        {"idle", {2, -1, 0, -1, -1}, {2, -1, 126, -1, -1}, true},
        {"busy", {2, -1, 0, -1, -1}, {2, -1, 125, -1, -1}, false},
        {"a quota with some left", {1.5, 0, -1, 0, 7}, {1.5, 0, -1, 281, 7}, true},
        {"a quota that is used", {1.5, 0, -1, 0, 7}, {1.5, 0, -1, 282, 7}, false},
        {"a quota that throttled", {1.5, 0, -1, 0, 7}, {1.5, 0, -1, 10, 8}, false},
        {"no more than a quota is told", {1, -1, -1, 50, 0}, {1, -1, -1, 60, 0}, true},
        {"it has just been told", {2, -1, -1, -1, -1}, {2, 0, -1, -1, -1}, false},
        {"nothing is told", {2, -1, -1, -1, -1}, {2, -1, -1, -1, -1}, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (scale_has_room(&rows[i].before, &rows[i].now, 250) != rows[i].room)
            fail_msg("%s: expected %s", rows[i].what, rows[i].room ? "room" : "none");
    assert_false(scale_has_room(&rows[0].before, &rows[0].now, 0));
}

static void test_bound(void **state)
{
    static const struct {
        uint32_t per_cpu;
        double cpus;
        uint32_t bound;
    } rows[] = {{2, 2, 4},    {2, 1.5, 3}, {2, 0.25, 1},       {1, 2.2, 3},
                {2, 64, 128}, {2, 0, 2},   {0, 2, UINT32_MAX}, {1024, 1e9, UINT32_MAX}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scale_conf c = {.per_cpu = rows[i].per_cpu};

        assert_int_equal(scale_bound(&c, rows[i].cpus), rows[i].bound);
    }
}

/* Look by look, on two processors. */
static void test_room(void **state)
{
    static const struct scale_conf conf = {.per_cpu = 2};
    static const struct {
        uint64_t at_ms;
        double waited_ms;
        bool wanted;
        uint32_t may; /* so many may work */
    } looks[] = {
        {1000, 5000, true, 4}, /* nothing is known yet */
        {1100, 5000, true, 4}, /* too soon */
        {1250, 5000, true, 6},  {1500, 5000, true, 8}, {1750, 5000, false, 8}, /* it is enough */
        {2000, 5010, true, 10}, {2250, 5260, true, 7},                         /* 250 of 250 ms */
        {2500, 5510, true, 5},  {2750, 5760, true, 4}, {3000, 5760, true, 6},
        {4001, 5760, true, 4}, /* what was known is old */
        {4251, 5760, true, 6},
    };
    struct room r = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
        const struct cpu_seen seen = {2, looks[i].waited_ms, -1, -1, -1};
        uint32_t may = 0;

        scale_room_look(&r, &conf, &seen, looks[i].wanted, looks[i].at_ms);
        while (may < 99 && scale_may_begin(&r, &conf, 16, may))
            may++;
        if (may != looks[i].may)
            fail_msg("look %zu: %u may work, expected %u", i, may, looks[i].may);
    }
    assert_true(scale_may_begin(&r, &conf, 0, 99)); /* one always may */
    assert_true(scale_may_begin(&r, &(struct scale_conf){.per_cpu = 0}, 99, 99));
}

static struct cpu_seen cpu_seen_in(const char *root, const char *own)
{
    struct cpu_seen s = {.cpus = 4, .waited_ms = 5, .idle_ms = -1, .used_ms = -1, -1};

    scale_look_cpu_cgroup(str_from(own), root, &s);
    return s;
}

static void test_cpu_cgroups(void **state)
{
    char *root = test_mkdir();
    struct cpu_seen s;
    const char *dir;

    (void)state;
    dir = make(root, "box"); /* version 2 */
    put(dir, "cpu.max", "150000 100000\n");
    put(dir, "cpu.stat", "usage_usec 7000\nuser_usec 1\nthrottled_usec 3000\n");
    put(dir, "cpu.pressure", "some avg10=1.00 avg60=1.00 avg300=0.00 total=8000\n");
    dir = make(root, "box/in");
    put(dir, "cpu.max", "max 100000\n");
    put(dir, "cpu.stat", "usage_usec 1\n");
    put(dir, "cpu.pressure", "some avg10=1.00 avg60=1.00 avg300=0.00 total=9000\nfull total=4\n");
    s = cpu_seen_in(root, "0::/box/in\n");
    assert_true(s.cpus == 1.5 && s.used_ms == 7 && s.throttled_ms == 3 && s.waited_ms == 9);
    s = cpu_seen_in(root, "0::/elsewhere\n");
    assert_true(s.cpus == 4 && s.used_ms < 0 && s.throttled_ms < 0 && s.waited_ms == 5);

    (void)make(root, "cpu"); /* version 1 */
    dir = make(root, "cpu/box");
    put(dir, "cpu.cfs_quota_us", "50000\n");
    put(dir, "cpu.cfs_period_us", "100000\n");
    put(dir, "cpuacct.usage", "2000000\n");
    put(dir, "cpu.stat", "nr_periods 1\nnr_throttled 1\nthrottled_time 4000000\n");
    s = cpu_seen_in(root, "9:cpuset:/\n4:cpu,cpuacct:/box\n2:memory:/box\n");
    assert_true(s.cpus == 0.5 && s.used_ms == 2 && s.throttled_ms == 4 && s.waited_ms == 5);
    put(dir, "cpu.cfs_quota_us", "-1\n"); /* none */
    s = cpu_seen_in(root, "4:cpu,cpuacct:/box\n");
    assert_true(s.cpus == 4 && s.throttled_ms < 0);
    test_rmdir(&root);
}

static void test_cpu_proc(void **state)
{
    struct cpu_seen s;
    char text[64];

    (void)state;
    assert_true(scale_parse_waited(STR("some avg10=1.50 avg300=0.00 total=2500\nfull total=9")) ==
                2.5);
    assert_true(scale_parse_waited(STR("full avg10=1.50 total=2500\n")) < 0);
    assert_true(scale_parse_waited(STR("")) < 0);
    snprintf(text, sizeof(text), "cpu  1 2 3 %ld 5 6\ncpu0 1 2 3 4\n", sysconf(_SC_CLK_TCK));
    assert_true(scale_parse_idle(str_from(text)) == 1000);
    assert_true(scale_parse_idle(STR("intr 1 2 3 4")) < 0);
    assert_true(scale_parse_idle(STR("")) < 0);
    scale_look_cpu(&s);
    assert_true(s.cpus > 0);
    assert_true(s.waited_ms >= 0 || s.idle_ms >= 0); /* of any Linux */
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
        cmocka_unit_test(test_room_between_looks),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_cpu_cgroups),
        cmocka_unit_test(test_cpu_proc),
        cmocka_unit_test(test_admission),
        cmocka_unit_test(test_bounds_of_pressure),
        cmocka_unit_test(test_cgroups),
        cmocka_unit_test(test_proc),
        cmocka_unit_test(test_histogram),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
