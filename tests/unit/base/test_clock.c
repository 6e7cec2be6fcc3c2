#include "core/base/clock.h"
#include "core/base/clock.c" /* full_year: the century depends on today */

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_rfc3339(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {951782400123, "2000-02-29T00:00:00.123Z"},
        {1767323045678, "2026-01-02T03:04:05.678Z"},
        {4107542399999, "2100-02-28T23:59:59.999Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {UINT64_MAX, "9999-12-31T23:59:59.999Z"},
    };
    char out[CLOCK_RFC3339_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(clock_rfc3339(cases[i].ms, out), cases[i].text);
}

static void test_http_date(void **state)
{
    static const struct {
        const char *text;
        int64_t at_s; /* -1: not a date */
    } cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Wed Nov 16 08:49:37 1994", 784975777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800}, /* a leap second */
        {"Sun, 29 Feb 2100 00:00:00 GMT", -1},
        {"Sun, 31 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 00 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 24:00:00 GMT", -1},
        {"Sun, 06 Nov 1994 08:60:00 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:61 GMT", -1},
        {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:37", -1},
        {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT ", -1},
        {"Sun, 06 nov 1994 08:49:37 GMT", -1},
        {"Sun, 06-Nov-94 08:49:37 GMT", -1},
        {"Son, 06 Nov 1994 08:49:37 GMT", -1},
        {"Sun Nov 6 08:49:37 1994", -1},
        {"120", -1},
        {"", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t at_s = -1;
        int rc = clock_parse_http_date(cases[i].text, &at_s);

        if (at_s != cases[i].at_s || (rc == 0) != (cases[i].at_s >= 0))
            fail_msg("\"%s\": %d, %lld", cases[i].text, rc, (long long)at_s);
    }
}

static void test_full_year(void **state)
{
    (void)state;
    assert_int_equal(full_year(94, 2026), 1994);
    assert_int_equal(full_year(26, 2026), 2026);
    assert_int_equal(full_year(76, 2026), 2076);
    assert_int_equal(full_year(77, 2026), 1977);
}

/* Every day of 400 years there and back. */
static void test_calendar(void **state)
{
    (void)state;
    for (int64_t day = -200000; day < 200000; day += 1) {
        int y, m, d;

        civil_from_days(day, &y, &m, &d);
        assert_int_equal(days_from_civil(y, m, d), day);
    }
}

static void test_fake(void **state)
{
    struct clock_fake f;
    uint64_t mono;

    (void)state;
    clock_fake_init(&f, 5000);
    mono = clock_mono_ms(&f.clock);
    assert_int_equal(clock_wall_ms(&f.clock), 5000);
    clock_fake_advance_ms(&f, 25);
    assert_int_equal(clock_wall_ms(&f.clock), 5025);
    assert_int_equal(clock_mono_ms(&f.clock), mono + 25);
    f.wall = 0; /* the wall may jump, alone */
    assert_int_equal(clock_mono_ms(&f.clock), mono + 25);
}

static void test_system(void **state)
{
    uint64_t a = clock_system()->mono_ns(clock_system());
    uint64_t b = clock_system()->mono_ns(clock_system());

    (void)state;
    assert_true(b >= a);
    assert_true(clock_wall_ms(clock_system()) > 1700000000000u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc3339),   cmocka_unit_test(test_http_date),
        cmocka_unit_test(test_full_year), cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_fake),      cmocka_unit_test(test_system),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
