/* Eight messages at once give what one after the other gives, whatever the processor has: each
 * means that is here is tried, also one that would not be chosen. */
#include "tests/support/testing.h"

#include "core/record/merkle.h"
#include "core/record/sha256x8.c"

#if defined(__x86_64__)

enum { LONGEST = 300, ROUNDS_TRIED = 200 };

typedef void hash_fn(const unsigned char *const p[8], const size_t blocks[8],
                     unsigned char *const out[8]);

static unsigned char text[8][SHA256_PADDED(LONGEST)];

static void try_lengths(hash_fn *fn, const size_t len[8])
{
    const unsigned char *p[8];
    unsigned char *out[8];
    struct merkle_hash got[8], want;
    size_t blocks[8];

    for (size_t l = 0; l < 8; l++) {
        for (size_t i = 0; i < len[l]; i++)
            text[l][i] = (unsigned char)(31 * l + 7 * i + len[l]);
        blocks[l] = sha256_pad(text[l], len[l]);
        p[l] = text[l];
        out[l] = got[l].b;
    }
    fn(p, blocks, out);
    for (size_t l = 0; l < 8; l++) {
        merkle_sha256(text[l], len[l], &want);
        if (!merkle_eq(&want, &got[l]))
            fail_msg("lane %zu of %zu bytes", l, len[l]);
    }
}

static void try_means(hash_fn *fn)
{
    size_t len[8];

    for (size_t n = 0; n < ROUNDS_TRIED; n++) {
        for (size_t l = 0; l < 8; l++)
            len[l] = (n * (l + 1) + 53 * l) % (LONGEST + 1);
        try_lengths(fn, len);
    }
    for (size_t n = 0; n <= LONGEST; n++) { /* all end together */
        for (size_t l = 0; l < 8; l++)
            len[l] = n;
        try_lengths(fn, len);
    }
}

static void test_means(void **state)
{
    (void)state;
    if (__builtin_cpu_supports("avx2"))
        try_means(hash_avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
        try_means(hash_avx512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_means)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 0;
}

#endif
