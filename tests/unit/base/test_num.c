#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/num.h"
#include "core/base/rng.h"

static double from_bits(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof(v));
    return v;
}

static void test_scan(void **state maybe_unused)
{
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
        {"0", 1},    {"-0", 2},  {"12,", 2},      {"01", 1},  {"-", 0},     {"", 0},
        {"1.5", 3},  {"1.", 0},  {".5", 0},       {"1e5", 3}, {"1E+05", 5}, {"1e", 0},
        {"1e-", 0},  {"+1", 0},  {"-a", 0},       {"0.0", 3}, {"00", 1},    {"-12.25e-3x", 9},
        {"1.e5", 0}, {"0e0", 3}, {"Infinity", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(num_scan(cases[i].text, strlen(cases[i].text)), cases[i].len);
}

static void test_u64(void **state maybe_unused)
{
    static const struct {
        uint64_t v;
        const char *text;
    } cases[] = {{0, "0"},
                 {9, "9"},
                 {10, "10"},
                 {4294967296, "4294967296"},
                 {UINT64_MAX, "18446744073709551615"}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[NUM_U64_MAX];

        assert_int_equal(num_print_u64(cases[i].v, out), strlen(cases[i].text));
        assert_memory_equal(out, cases[i].text, strlen(cases[i].text));
    }
}

/* RFC 8785, appendix B; the last rows are ours: powers of two, where the nearest decimal of the
 * shortest length reads back as another double, and the edges of each notation. */
static void test_print(void **state maybe_unused)
{
    static const struct {
        uint64_t bits;
        const char *text;
    } cases[] = {
        {0x0000000000000000, "0"},
        {0x8000000000000000, "0"},
        {0x0000000000000001, "5e-324"},
        {0x8000000000000001, "-5e-324"},
        {0x7fefffffffffffff, "1.7976931348623157e+308"},
        {0xffefffffffffffff, "-1.7976931348623157e+308"},
        {0x4340000000000000, "9007199254740992"},
        {0xc340000000000000, "-9007199254740992"},
        {0x4430000000000000, "295147905179352830000"},
        {0x44b52d02c7e14af5, "9.999999999999997e+22"},
        {0x44b52d02c7e14af6, "1e+23"},
        {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
        {0x444b1ae4d6e2ef4e, "999999999999999700000"},
        {0x444b1ae4d6e2ef4f, "999999999999999900000"},
        {0x444b1ae4d6e2ef50, "1e+21"},
        {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
        {0x3eb0c6f7a0b5ed8d, "0.000001"},
        {0x41b3de4355555553, "333333333.3333332"},
        {0x41b3de4355555554, "333333333.33333325"},
        {0x41b3de4355555555, "333333333.3333333"},
        {0x41b3de4355555556, "333333333.3333334"},
        {0x41b3de4355555557, "333333333.33333343"},
        {0xbecbf647612f3696, "-0.0000033333333333333333"},
        {0x43143ff3c1cb0959, "1424953923781206.2"},
        {0x3d30000000000000, "5.684341886080802e-14"}, /* 2^-44 */
        {0x0010000000000000, "2.2250738585072014e-308"},
        {0x000fffffffffffff, "2.225073858507201e-308"},
        {0x433fffffffffffff, "9007199254740991"},
        {0x4340000000000001, "9007199254740994"},
        {0x3ff8000000000000, "1.5"},
        {0x3fb999999999999a, "0.1"},
        {0xc059000000000000, "-100"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[NUM_TEXT_MAX];
        size_t n = num_print(from_bits(cases[i].bits), text);

        assert_string_equal(text, cases[i].text);
        assert_int_equal(n, strlen(text));
    }
}

static void test_random_bits_read_back(void **state maybe_unused)
{
    char text[NUM_TEXT_MAX];
    struct rng r;

    rng_seed_u64(&r, 3);
    for (int i = 0; i < 20000; i++) {
        double v = from_bits(rng_u64(&r));

        if (!isfinite(v))
            continue;
        assert_true(num_print(v, text) < sizeof(text));
        assert_true(strtod(text, NULL) == v);
        assert_int_equal(num_scan(text, strlen(text)), strlen(text));
    }
    for (int e = -1074; e < 1024; e++) {
        num_print(ldexp(1, e), text);
        assert_true(strtod(text, NULL) == ldexp(1, e));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_u64),
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_random_bits_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
