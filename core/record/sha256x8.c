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
#include <immintrin.h>
#include <stdatomic.h>

enum { HAS_SHA = 1 << 29 }; /* CPUID leaf 7, EBX */

/* What the processor has. With AVX-512 a rotation is one instruction, and so is what three words
 * come to: half as many, on vectors of the same width (wider ones slow the whole processor down).
 */
enum means { MEANS_UNKNOWN, MEANS_NONE, MEANS_AVX2, MEANS_AVX512 };

static enum means ask(void)
{
    unsigned a, b, c, d;

    if (!__builtin_cpu_supports("avx2") || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return MEANS_NONE;
    if (b & HAS_SHA)
        return MEANS_NONE;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") ? MEANS_AVX512
                                                                                   : MEANS_AVX2;
}

/* CPUID leaves a virtual machine each time: asked once. */
static enum means means(void)
{
    static atomic_int known; /* always the same answer */
    int v = atomic_load_explicit(&known, memory_order_relaxed);

    if (v == MEANS_UNKNOWN) {
        v = (int)ask();
        atomic_store_explicit(&known, v, memory_order_relaxed);
    }
    return (enum means)v;
}

bool sha256x8_pays(void)
{
    return means() != MEANS_NONE;
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
#define ROUNDS(i, j)                                                                               \
    do {                                                                                           \
        ROUND(a, b, c, d, e, f, g, h, (i) + 0, w[(j) + 0]);                                        \
        ROUND(h, a, b, c, d, e, f, g, (i) + 1, w[(j) + 1]);                                        \
        ROUND(g, h, a, b, c, d, e, f, (i) + 2, w[(j) + 2]);                                        \
        ROUND(f, g, h, a, b, c, d, e, (i) + 3, w[(j) + 3]);                                        \
        ROUND(e, f, g, h, a, b, c, d, (i) + 4, w[(j) + 4]);                                        \
        ROUND(d, e, f, g, h, a, b, c, (i) + 5, w[(j) + 5]);                                        \
        ROUND(c, d, e, f, g, h, a, b, (i) + 6, w[(j) + 6]);                                        \
        ROUND(b, c, d, e, f, g, h, a, (i) + 7, w[(j) + 7]);                                        \
    } while (0)
#define NEXT_WORD(j)                                                                               \
    (w[j] += SIGMA1(w[((j) + 14) & 15]) + w[((j) + 9) & 15] + SIGMA0(w[((j) + 1) & 15]))
#define NEXT_WORDS(j) (NEXT_WORD(j), NEXT_WORD((j) + 1), NEXT_WORD((j) + 2), NEXT_WORD((j) + 3))

/* Inlined into one function for each means, and compiled for that. */
#define IN_EACH static inline __attribute__((always_inline, target("avx2")))

/* Word i of lane l at p[l] becomes lane l of w[i], for eight words. */
IN_EACH void transpose(const unsigned char *const p[8], size_t at, lanes w[8])
{
    const __m256i swap = _mm256_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3, 12,
                                         13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    __m256i r[8], t[8];

    for (int l = 0; l < 8; l++) {
        memcpy(&r[l], p[l] + at, sizeof(r[l]));
        r[l] = _mm256_shuffle_epi8(r[l], swap);
    }
    for (int l = 0; l < 8; l += 2) {
        t[l] = _mm256_unpacklo_epi32(r[l], r[l + 1]);
        t[l + 1] = _mm256_unpackhi_epi32(r[l], r[l + 1]);
    }
    for (int l = 0; l < 8; l += 4) {
        r[l] = _mm256_unpacklo_epi64(t[l], t[l + 2]);
        r[l + 1] = _mm256_unpackhi_epi64(t[l], t[l + 2]);
        r[l + 2] = _mm256_unpacklo_epi64(t[l + 1], t[l + 3]);
        r[l + 3] = _mm256_unpackhi_epi64(t[l + 1], t[l + 3]);
    }
    for (int i = 0; i < 4; i++) {
        w[i] = (lanes)_mm256_permute2x128_si256(r[i], r[i + 4], 0x20);
        w[i + 4] = (lanes)_mm256_permute2x128_si256(r[i], r[i + 4], 0x31);
    }
}

/* §6.2.2 on one block of each lane. */
IN_EACH void compress(lanes s[8], const unsigned char *const p[8])
{
    lanes a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
    lanes w[16];

    transpose(p, 0, w);
    transpose(p, SHA256_BLOCK / 2, w + 8);
    for (int i = 0;; i += 16) {
        ROUNDS(i, 0);
        ROUNDS(i + 8, 8);
        if (i == 48)
            break;
        NEXT_WORDS(0);
        NEXT_WORDS(4);
        NEXT_WORDS(8);
        NEXT_WORDS(12);
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

/* The hashes of the lanes whose last block was block n. */
IN_EACH void take(const lanes s[8], size_t n, const size_t blocks[8], unsigned char *const out[8])
{
    uint32_t word[8][8];

    memcpy(word, s, sizeof(word));
    for (size_t l = 0; l < SHA256_LANES; l++) {
        for (size_t i = 0; n + 1 == blocks[l] && i < 8; i++) {
            uint32_t v = __builtin_bswap32(word[i][l]);

            memcpy(out[l] + 4 * i, &v, sizeof(v));
        }
    }
}

/* A lane that is through goes on with its last block; its hash was taken before. */
IN_EACH void hash(const unsigned char *const p[8], const size_t blocks[8],
                  unsigned char *const out[8])
{
    const unsigned char *at[SHA256_LANES];
    size_t most = 0;
    lanes s[8];

    for (size_t i = 0; i < 8; i++)
        s[i] = (lanes){0} + initial[i];
    for (size_t l = 0; l < SHA256_LANES; l++)
        most = blocks[l] > most ? blocks[l] : most;
    for (size_t n = 0; n < most; n++) {
        bool ends = false;

        for (size_t l = 0; l < SHA256_LANES; l++) {
            at[l] = p[l] + (n < blocks[l] ? n : blocks[l] - 1) * SHA256_BLOCK;
            ends |= n + 1 == blocks[l];
        }
        compress(s, at);
        if (ends)
            take(s, n, blocks, out);
    }
}

__attribute__((target("avx2"))) static void
hash_avx2(const unsigned char *const p[8], const size_t blocks[8], unsigned char *const out[8])
{
    hash(p, blocks, out);
}

__attribute__((target("avx2,avx512f,avx512vl"))) static void
hash_avx512(const unsigned char *const p[8], const size_t blocks[8], unsigned char *const out[8])
{
    hash(p, blocks, out);
}

void sha256x8(const unsigned char *const p[SHA256_LANES], const size_t blocks[SHA256_LANES],
              unsigned char *const out[SHA256_LANES], bool only)
{
    if (only && means() == MEANS_AVX512)
        hash_avx512(p, blocks, out);
    else
        hash_avx2(p, blocks, out);
}

#else

bool sha256x8_pays(void)
{
    return false;
}

void sha256x8(const unsigned char *const p[SHA256_LANES], const size_t blocks[SHA256_LANES],
              unsigned char *const out[SHA256_LANES], bool only)
{
    (void)only;
    (void)p;
    (void)blocks;
    (void)out;
    BUG("eight messages at once without AVX2");
}

#endif
