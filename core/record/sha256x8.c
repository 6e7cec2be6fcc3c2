#include "core/record/sha256x8.h"

#include <stdint.h>
#include <string.h>

static void put_be(unsigned char *p, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (unsigned char)(v >> (8 * (bytes - 1 - i)));
}

size_t sha256_pad(unsigned char *p, size_t n)
{
    size_t padded = SHA256_PADDED(n);

    p[n] = 0x80;
    memset(p + n + 1, 0, padded - n - 9);
    put_be(p + padded - 8, (uint64_t)n * 8, 8);
    return padded / SHA256_BLOCK;
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdatomic.h>

enum { HAS_AVX2 = 1 << 5, HAS_SHA = 1 << 29 }; /* CPUID leaf 7, EBX */

static bool ask(void)
{
    unsigned a, b, c, d;

    return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           (b & HAS_AVX2) && !(b & HAS_SHA);
}

/* CPUID leaves a virtual machine each time: asked once. */
bool sha256x8_pays(void)
{
    static atomic_int known; /* 0: not yet, 1: no, 2: yes; always the same answer */
    int v = atomic_load_explicit(&known, memory_order_relaxed);

    if (v == 0) {
        v = ask() ? 2 : 1;
        atomic_store_explicit(&known, v, memory_order_relaxed);
    }
    return v == 2;
}

typedef uint32_t lanes __attribute__((vector_size(32)));

/* §4.2.2 */
static const uint32_t k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
/* §5.3.3 */
static const uint32_t initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

#define ROTR(x, n)   (((x) >> (n)) | ((x) << (32 - (n))))
#define SUM0(x)      (ROTR(x, 2) ^ ROTR(x, 13) ^ ROTR(x, 22))
#define SUM1(x)      (ROTR(x, 6) ^ ROTR(x, 11) ^ ROTR(x, 25))
#define SIGMA0(x)    (ROTR(x, 7) ^ ROTR(x, 18) ^ ((x) >> 3))
#define SIGMA1(x)    (ROTR(x, 17) ^ ROTR(x, 19) ^ ((x) >> 10))
#define CH(x, y, z)  ((z) ^ ((x) & ((y) ^ (z))))
#define MAJ(x, y, z) (((x) & (y)) | ((z) & ((x) | (y))))
#define ROUND(a, b, c, d, e, f, g, h, i, word)                                                     \
    do {                                                                                           \
        lanes t = (h) + SUM1(e) + CH(e, f, g) + k[i] + (word);                                     \
        (d) += t;                                                                                  \
        (h) = t + SUM0(a) + MAJ(a, b, c);                                                          \
    } while (0)

static uint32_t be32(const unsigned char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return __builtin_bswap32(v);
}

/* §6.2.2 on one block of each lane. */
__attribute__((target("avx2"))) static void compress(lanes s[8], const unsigned char *const p[8])
{
    lanes a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
    lanes w[16];

    for (int i = 0; i < 16; i++)
        w[i] =
            (lanes){be32(p[0] + 4 * i), be32(p[1] + 4 * i), be32(p[2] + 4 * i), be32(p[3] + 4 * i),
                    be32(p[4] + 4 * i), be32(p[5] + 4 * i), be32(p[6] + 4 * i), be32(p[7] + 4 * i)};
    for (int i = 0; i < 64; i += 8) {
        if (i >= 16)
            for (int j = i; j < i + 8; j++)
                w[j & 15] += SIGMA1(w[(j + 14) & 15]) + w[(j + 9) & 15] + SIGMA0(w[(j + 1) & 15]);
        ROUND(a, b, c, d, e, f, g, h, i + 0, w[(i + 0) & 15]);
        ROUND(h, a, b, c, d, e, f, g, i + 1, w[(i + 1) & 15]);
        ROUND(g, h, a, b, c, d, e, f, i + 2, w[(i + 2) & 15]);
        ROUND(f, g, h, a, b, c, d, e, i + 3, w[(i + 3) & 15]);
        ROUND(e, f, g, h, a, b, c, d, i + 4, w[(i + 4) & 15]);
        ROUND(d, e, f, g, h, a, b, c, i + 5, w[(i + 5) & 15]);
        ROUND(c, d, e, f, g, h, a, b, i + 6, w[(i + 6) & 15]);
        ROUND(b, c, d, e, f, g, h, a, i + 7, w[(i + 7) & 15]);
    }
    s[0] += a;
    s[1] += b;
    s[2] += c;
    s[3] += d;
    s[4] += e;
    s[5] += f;
    s[6] += g;
    s[7] += h;
}

/* A lane that is through goes on with its last block; its hash was taken before. */
__attribute__((target("avx2"))) void sha256x8(const unsigned char *const p[SHA256_LANES],
                                              const size_t blocks[SHA256_LANES],
                                              unsigned char *const out[SHA256_LANES])
{
    const unsigned char *at[SHA256_LANES];
    size_t most = 0;
    lanes s[8];

    for (size_t i = 0; i < 8; i++)
        s[i] = (lanes){0} + initial[i];
    for (size_t l = 0; l < SHA256_LANES; l++)
        most = blocks[l] > most ? blocks[l] : most;
    for (size_t n = 0; n < most; n++) {
        for (size_t l = 0; l < SHA256_LANES; l++)
            at[l] = p[l] + (n < blocks[l] ? n : blocks[l] - 1) * SHA256_BLOCK;
        compress(s, at);
        for (size_t l = 0; l < SHA256_LANES; l++)
            for (size_t i = 0; n + 1 == blocks[l] && i < 8; i++)
                put_be(out[l] + 4 * i, s[i][l], 4);
    }
}

#else

bool sha256x8_pays(void)
{
    return false;
}

void sha256x8(const unsigned char *const p[SHA256_LANES], const size_t blocks[SHA256_LANES],
              unsigned char *const out[SHA256_LANES])
{
    (void)p;
    (void)blocks;
    (void)out;
    BUG("eight messages at once without AVX2");
}

#endif
