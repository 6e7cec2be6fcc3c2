#include "core/base/num.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

size_t num_print_u64(uint64_t v, char out[NUM_U64_MAX])
{
    char back[NUM_U64_MAX];
    size_t n = 0;

    do {
        back[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    for (size_t i = 0; i < n; i++)
        out[i] = back[n - 1 - i];
    return n;
}

static size_t digits(const char *p, size_t i, size_t n)
{
    while (i < n && p[i] >= '0' && p[i] <= '9')
        i++;
    return i;
}

size_t num_scan(const char *p, size_t n)
{
    size_t i = n > 0 && p[0] == '-', from = i;

    i = i < n && p[i] == '0' ? i + 1 : digits(p, i, n);
    if (i == from)
        return 0;
    if (i < n && p[i] == '.') {
        from = ++i;
        i = digits(p, i, n);
        if (i == from)
            return 0;
    }
    if (i < n && (p[i] == 'e' || p[i] == 'E')) {
        i++;
        if (i < n && (p[i] == '+' || p[i] == '-'))
            i++;
        from = i;
        i = digits(p, i, n);
        if (i == from)
            return 0;
    }
    return i;
}

/* A positive double in decimal: 0.d1d2d3... times 10^point, as Number::toString counts (n is
 * `point`). */
struct decimal {
    char d[DBL_DECIMAL_DIG + 1]; /* without trailing zeros */
    int len;
    int point;
};

static double decimal_value(const struct decimal *x)
{
    char text[48];

    (void)snprintf(text, sizeof(text), "0.%se%d", x->d, x->point);
    return strtod(text, NULL);
}

/* `v` rounded to n significant digits. */
static struct decimal decimal_of(double v, int n)
{
    struct decimal x = {.len = n};
    char text[48];

    (void)snprintf(text, sizeof(text), "%.*e", n - 1, v);
    x.d[0] = text[0];
    if (n > 1)
        memcpy(x.d + 1, text + 2, (size_t)n - 1);
    x.point = (int)strtol(strchr(text, 'e') + 1, NULL, 10) + 1;
    while (x.len > 1 && x.d[x.len - 1] == '0')
        x.d[--x.len] = '\0';
    return x;
}

/* The next decimal of n digits above x. */
static struct decimal decimal_above(struct decimal x, int n)
{
    int i;

    while (x.len < n)
        x.d[x.len++] = '0';
    for (i = n - 1; i >= 0 && x.d[i] == '9'; i--)
        x.d[i] = '\0';
    if (i < 0) {
        x.d[0] = '1';
        x.len = 1;
        x.point++;
    } else {
        x.d[i]++;
        x.len = i + 1;
    }
    x.d[x.len] = '\0';
    return x;
}

/* 15 digits always survive text -> double -> text, so when those of `v` read back they are, less
 * their trailing zeros, the shortest; that does not hold for subnormals, which try from 1. Below a
 * power of two doubles lie twice as dense as above, so there the nearest decimal may read back as
 * the neighbour below while the next one up reads back as v (2^-44 is 5.684341886080802e-14). */
static struct decimal shortest(double v)
{
    int exponent;
    bool is_power = frexp(v, &exponent) == 0.5;
    struct decimal x;

    for (int n = v < DBL_MIN ? 1 : DBL_DIG; n < DBL_DECIMAL_DIG; n++) {
        x = decimal_of(v, n);
        if (decimal_value(&x) == v)
            return x;
        if (is_power) {
            x = decimal_above(x, n);
            if (decimal_value(&x) == v)
                return x;
        }
    }
    return decimal_of(v, DBL_DECIMAL_DIG);
}

/* Number::toString steps 6 to 10: k digits, the point after digit n. */
static int print_decimal(const struct decimal *x, char *out)
{
    int k = x->len, n = x->point;

    if (k <= n && n <= 21)
        return snprintf(out, NUM_TEXT_MAX - 1, "%s%.*s", x->d, n - k, "00000000000000000000");
    if (0 < n && n <= 21)
        return snprintf(out, NUM_TEXT_MAX - 1, "%.*s.%s", n, x->d, x->d + n);
    if (-6 < n && n <= 0)
        return snprintf(out, NUM_TEXT_MAX - 1, "0.%.*s%s", -n, "00000", x->d);
    if (k == 1)
        return snprintf(out, NUM_TEXT_MAX - 1, "%se%+d", x->d, n - 1);
    return snprintf(out, NUM_TEXT_MAX - 1, "%c.%se%+d", x->d[0], x->d + 1, n - 1);
}

size_t num_print(double v, char out[NUM_TEXT_MAX])
{
    const double exact = 9007199254740992.0; /* 2^53 */
    struct decimal x;
    size_t sign = v < 0;

    BUG_ON(!isfinite(v));
    if (v >= -exact && v <= exact && v == (double)(long long)v)
        return (size_t)snprintf(out, NUM_TEXT_MAX, "%lld", (long long)v);
    out[0] = '-';
    x = shortest(fabs(v));
    return sign + (size_t)print_decimal(&x, out + sign);
}
