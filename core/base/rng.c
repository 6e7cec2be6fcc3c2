#include "core/base/rng.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/random.h>

void rng_bytes(void *out, size_t n)
{
    unsigned char *p = out;

    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            BUG("getrandom: %s", strerrordesc_np(errno));
        p += got;
        n -= (size_t)got;
    }
}

/* --- streams: xoshiro256** 1.0 (Blackman and Vigna), output and state as in the reference --- */

static uint64_t get_le64(const unsigned char *p)
{
    uint64_t v = 0;

    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static void put_le64(unsigned char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++, v >>= 8)
        p[i] = (unsigned char)v;
}

static void hash_add(crypto_hash_sha256_state *h, struct str s)
{
    if (s.len)
        crypto_hash_sha256_update(h, (const unsigned char *)s.ptr, s.len);
}

void rng_seed(struct rng *r, struct str seed, struct str label)
{
    crypto_hash_sha256_state h;
    unsigned char digest[crypto_hash_sha256_BYTES];
    unsigned char len[8];

    /* the length in front keeps ("ab", "c") and ("a", "bc") apart */
    put_le64(len, seed.len);
    crypto_hash_sha256_init(&h);
    crypto_hash_sha256_update(&h, len, sizeof(len));
    hash_add(&h, seed);
    hash_add(&h, label);
    crypto_hash_sha256_final(&h, digest);
    for (size_t i = 0; i < ARRAY_LEN(r->s); i++)
        r->s[i] = get_le64(digest + 8 * i);
}

void rng_seed_u64(struct rng *r, uint64_t seed)
{
    unsigned char bytes[8];

    put_le64(bytes, seed);
    rng_seed(r, str_n((const char *)bytes, sizeof(bytes)), STR(""));
}

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    uint64_t first, v;

    BUG_ON(n == 0);
    first =
        (UINT64_MAX - n + 1) % n; /* 2^64 mod n: below it the remainders are not evenly spread */
    do
        v = rng_u64(r);
    while (v < first);
    return v % n;
}

double rng_double(struct rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

size_t rng_weighted(struct rng *r, const double *weights, size_t n)
{
    double sum = 0, x;
    size_t last = 0;

    for (size_t i = 0; i < n; i++) {
        BUG_ON(!(weights[i] >= 0));
        sum += weights[i];
    }
    BUG_ON(!(sum > 0));
    x = rng_double(r) * sum;
    for (size_t i = 0; i < n; i++) {
        if (weights[i] <= 0)
            continue;
        if (x < weights[i])
            return i;
        x -= weights[i];
        last = i;
    }
    return last; /* rounding left x at the very end */
}

enum { ID_RANDOM = 10 };

/* Eight characters of five bits from each five bytes. */
static char *write_id(uint64_t wall_ms, const unsigned char random[ID_RANDOM], char *out)
{
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    char *at = out + 10;

    for (size_t i = 0; i < 10; i++)
        out[i] = alphabet[(wall_ms & 0xffffffffffffu) >> (45 - 5 * i) & 31];
    for (const unsigned char *p = random; p < random + ID_RANDOM; p += 5) {
        uint64_t bits = (uint64_t)p[0] << 32 | (uint64_t)p[1] << 24 | (uint64_t)p[2] << 16 |
                        (uint64_t)p[3] << 8 | p[4];

        for (int shift = 35; shift >= 0; shift -= 5)
            *at++ = alphabet[bits >> shift & 31];
    }
    *at = '\0';
    return out;
}

char *rng_id(uint64_t wall_ms, char out[RNG_ID_MAX])
{
    unsigned char random[ID_RANDOM];

    rng_bytes(random, sizeof(random));
    return write_id(wall_ms, random, out);
}

char *rng_pool_id(struct rng_pool *p, uint64_t wall_ms, char out[RNG_ID_MAX])
{
    if (p->left < ID_RANDOM) {
        rng_bytes(p->bytes, sizeof(p->bytes));
        p->left = sizeof(p->bytes);
    }
    p->left -= ID_RANDOM;
    return write_id(wall_ms, p->bytes + p->left, out);
}
