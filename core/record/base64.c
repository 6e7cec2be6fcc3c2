#include "core/record/base64.h"

#include <sodium.h>

bool base64_exact(struct str s, const char *ignore, void *out, size_t n)
{
    unsigned char high = 0;
    const char *end = NULL;
    size_t got = 0;

    /* libsodium 1.0.18 takes bytes from 0x80 on for digits: its comparison in constant time is made
     * for positive numbers, and char is signed. A signature would have many spellings. */
    for (size_t i = 0; i < s.len; i++)
        high |= (unsigned char)s.ptr[i];
    return high < 0x80 && s.len > 0 &&
           sodium_base642bin(out, n, s.ptr, s.len, ignore, &got, &end,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           got == n && end == s.ptr + s.len;
}
