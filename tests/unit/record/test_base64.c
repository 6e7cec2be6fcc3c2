/* One spelling only: whatever single byte of a text is changed, it is refused or decodes to other
 * bytes. */
#include "tests/support/testing.h"

#include "core/record/base64.h"

#include <sodium.h>

static void test_one_spelling(void **state maybe_unused)
{
    unsigned char bytes[64], got[64];
    char text[89];

    for (size_t n = 62; n <= 64; n++) {
        size_t len = (n + 2) / 3 * 4;

        for (size_t i = 0; i < n; i++)
            bytes[i] = (unsigned char)(i * 37 + n);
        sodium_bin2base64(text, sizeof(text), bytes, n, sodium_base64_VARIANT_ORIGINAL);
        assert_true(base64_exact(str_n(text, len), NULL, got, n));
        assert_memory_equal(got, bytes, n);
        assert_false(base64_exact(str_n(text, len - 1), NULL, got, n));
        assert_false(base64_exact(str_n(text, len), NULL, got, n - 1));
        for (size_t i = 0; i < len; i++) {
            char was = text[i];

            for (int c = 0; c < 256; c++) {
                text[i] = (char)c;
                if (text[i] != was && base64_exact(str_n(text, len), NULL, got, n) &&
                    memcmp(got, bytes, n) == 0)
                    fail_msg("%zu bytes: character %zu may be %02x as well", n, i, c);
            }
            text[i] = was;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_spelling)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
