/* The tree against the published vectors of Certificate Transparency, and against a plain recursive
 * definition. */
#include "tests/support/testing.h"

#include "core/base/buf.h"
#include "core/record/merkle.h"

static const char *const entries[8] = {
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
};
static const char *const roots[9] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static struct merkle_hash hash_of(const char *hex)
{
    struct merkle_hash h;

    assert_true(hex_decode(str_from(hex), h.b, MERKLE_HASH));
    return h;
}

static struct merkle_hash entry_leaf(size_t i)
{
    unsigned char bytes[16];
    struct merkle_hash h;
    size_t n = strlen(entries[i]) / 2;

    assert_true(hex_decode(str_from(entries[i]), bytes, n));
    merkle_leaf(bytes, n, &h);
    return h;
}

static bool vector_leaf(void *arg maybe_unused, uint64_t i, struct merkle_hash *out)
{
    *out = entry_leaf((size_t)i);
    return true;
}

static bool number_leaf(void *arg maybe_unused, uint64_t i, struct merkle_hash *out)
{
    merkle_leaf(&i, sizeof(i), out);
    return true;
}

/* MTH of RFC 6962 §2.1, word for word. */
static struct merkle_hash mth(uint64_t lo, uint64_t hi)
{
    struct merkle_hash l, r, out;
    uint64_t k = 1;

    if (hi == lo) {
        merkle_sha256("", 0, &out);
        return out;
    }
    if (hi - lo == 1) {
        (void)number_leaf(NULL, lo, &out);
        return out;
    }
    while (k * 2 < hi - lo)
        k *= 2;
    l = mth(lo, lo + k);
    r = mth(lo + k, hi);
    merkle_node(&l, &r, &out);
    return out;
}

static void test_vectors(void **state maybe_unused)
{
    struct merkle_range r;
    struct merkle_hash root, want;

    merkle_range_init(&r);
    for (size_t i = 0; i <= 8; i++) {
        want = hash_of(roots[i]);
        merkle_range_root(&r, &root);
        assert_true(merkle_eq(&root, &want));
        if (i < 8) {
            struct merkle_hash leaf = entry_leaf(i);

            merkle_range_add(&r, &leaf);
        }
    }
}

static void assert_proof(const struct merkle_proof *p, const char *const *want, size_t n)
{
    assert_int_equal(p->n, n);
    for (size_t i = 0; i < n; i++) {
        struct merkle_hash h = hash_of(want[i]);

        assert_true(merkle_eq(&p->hash[i], &h));
    }
}

static void test_proof_vectors(void **state maybe_unused)
{
    static const char *const first[] = {
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    };
    static const char *const six_to_eight[] = {
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    };
    struct merkle_proof p;

    assert_true(merkle_prove_inclusion(vector_leaf, NULL, 0, 8, &p, NULL));
    assert_proof(&p, first, 3);
    assert_true(merkle_prove_consistency(vector_leaf, NULL, 1, 8, &p, NULL, NULL));
    assert_proof(&p, first, 3);
    assert_true(merkle_prove_consistency(vector_leaf, NULL, 6, 8, &p, NULL, NULL));
    assert_proof(&p, six_to_eight, 3);
}

static void test_all_inclusions(void **state maybe_unused)
{
    for (uint64_t size = 1; size <= 33; size++) {
        struct merkle_hash want = mth(0, size), root, leaf;
        struct merkle_proof p;

        for (uint64_t i = 0; i < size; i++) {
            assert_true(merkle_prove_inclusion(number_leaf, NULL, i, size, &p, &root));
            assert_true(merkle_eq(&root, &want));
            (void)number_leaf(NULL, i, &leaf);
            assert_true(merkle_check_inclusion(&p, &leaf, i, size, &root));
            assert_false(merkle_check_inclusion(&p, &leaf, i + 1, size, &root) && size > 1);
            assert_false(merkle_check_inclusion(&p, &want, i, size, &root) && size > 1);
            if (p.n > 0) {
                p.hash[p.n / 2].b[7] ^= 1;
                assert_false(merkle_check_inclusion(&p, &leaf, i, size, &root));
                p.hash[p.n / 2].b[7] ^= 1;
                p.n--;
                assert_false(merkle_check_inclusion(&p, &leaf, i, size, &root));
            }
        }
        assert_false(merkle_prove_inclusion(number_leaf, NULL, size, size, &p, &root));
    }
}

static void test_all_consistencies(void **state maybe_unused)
{
    for (uint64_t to = 0; to <= 33; to++) {
        for (uint64_t from = 0; from <= to; from++) {
            struct merkle_hash want_from = mth(0, from), want_to = mth(0, to), a, b;
            struct merkle_proof p;

            assert_true(merkle_prove_consistency(number_leaf, NULL, from, to, &p, &a, &b));
            assert_true(merkle_eq(&a, &want_from));
            assert_true(merkle_eq(&b, &want_to));
            assert_true(merkle_check_consistency(&p, from, &a, to, &b));
            if (from > 0 && from < to) {
                assert_false(merkle_check_consistency(&p, from, &b, to, &a));
                p.hash[0].b[0] ^= 1;
                assert_false(merkle_check_consistency(&p, from, &a, to, &b));
            }
        }
    }
}

static void test_load(void **state maybe_unused)
{
    struct merkle_range r, again;
    struct merkle_hash leaf;

    merkle_range_init(&r);
    for (uint64_t i = 0; i < 100; i++) {
        (void)number_leaf(NULL, i, &leaf);
        merkle_range_add(&r, &leaf);
    }
    assert_int_equal(merkle_range_len(&r), 3); /* 64 + 32 + 4 */
    assert_true(merkle_range_load(&again, 100, r.node, 3 * MERKLE_HASH));
    assert_memory_equal(again.node, r.node, 3 * MERKLE_HASH);
    assert_false(merkle_range_load(&again, 100, r.node, 2 * MERKLE_HASH));
    assert_false(merkle_range_load(&again, 101, r.node, 3 * MERKLE_HASH));
    assert_false(merkle_range_load(&again, UINT64_MAX, r.node, 63 * MERKLE_HASH));
}

/* Whatever part of an entry was known, in groups of all sizes; short and very long ones too. */
static void test_begun(void **state maybe_unused)
{
    enum { N = 300 };
    static char text[N][1600];
    static struct merkle_begun begun[N], *out[N];
    struct merkle_hash got, want;
    struct str head[N];
    size_t n, begun_some = 0;

    for (size_t i = 0; i < N; i++) {
        memset(text[i], (int)(i * 7), sizeof(text[i]));
        head[i] = str_n(text[i], i % 50 == 49 ? 900 + i * 2 : i);
        out[i] = &begun[i];
    }
    for (size_t from = 0; from < N; from += n) {
        n = 1 + from % 19;
        n = n < N - from ? n : N - from;
        merkle_begin(head + from, n, out + from);
    }
    for (size_t i = 0; i < N; i++) {
        begun_some += begun[i].n > 0;
        for (size_t more = 0; more < 90; more += 1 + i % 7) {
            merkle_finish(&begun[i], text[i], head[i].len + more, &got);
            merkle_leaf(text[i], head[i].len + more, &want);
            if (!merkle_eq(&got, &want))
                fail_msg("entry of %zu bytes, %zu known", head[i].len + more, head[i].len);
        }
    }
    assert_true(begun_some > N / 2);
}

/* Entries of every length around the block's, and longer ones than a lane takes; alone and in
 * groups of all sizes. */
static void test_many_at_once(void **state maybe_unused)
{
    enum { N = 300 };
    static char text[N][1500];
    static struct str entry[N];
    static struct merkle_hash got[N], *out[N], want;
    size_t n;

    for (size_t i = 0; i < N; i++) {
        entry[i] = str_n(text[i], i % 50 == 49 ? 900 + i * 2 : i);
        memset(text[i], (int)(i * 7), entry[i].len);
    }
    for (size_t from = 0; from < N; from += n) {
        n = 1 + from % 19;
        n = n < N - from ? n : N - from;
        merkle_leaves(entry + from, n, from % 2 == 0, got + from);
    }
    for (size_t i = 0; i < N; i++) {
        merkle_leaf(entry[i].ptr, entry[i].len, &want);
        if (!merkle_eq(&got[i], &want))
            fail_msg("entry %zu of %zu bytes", i, entry[i].len);
    }
    for (size_t i = 0; i < N; i++)
        out[i] = &got[N - 1 - i];
    merkle_sha256_many(entry, N, true, out);
    for (size_t i = 0; i < N; i++) {
        merkle_sha256(entry[i].ptr, entry[i].len, &want);
        assert_memory_equal(out[i]->b, want.b, MERKLE_HASH);
    }
}

static void test_ranges_agree(void **state maybe_unused)
{
    struct merkle_range one, many;
    struct merkle_builder b = {.n = 0}, lots = {.n = 0};
    struct merkle_hash leaf[200], r1, r2, r3, r4;
    uint64_t n = 0;

    merkle_range_init(&one);
    merkle_range_init(&many);
    for (size_t step = 0; step < 200; step += 1 + step / 9) {
        for (size_t i = 0; i < step; i++) {
            (void)number_leaf(NULL, n++, &leaf[i]);
            merkle_range_add(&one, &leaf[i]);
            merkle_builder_add(&b, &leaf[i]);
        }
        merkle_range_add_many(&many, leaf, step);
        merkle_builder_add_many(&lots, leaf, step);
        assert_int_equal(merkle_builder_size(&b), n);
        merkle_range_root(&one, &r1);
        merkle_range_root(&many, &r2);
        merkle_range_root(merkle_builder_range(&b), &r3);
        if (step % 2) /* else it goes on holding some */
            merkle_range_root(merkle_builder_range(&lots), &r4);
        assert_true(step % 2 == 0 || merkle_eq(&r1, &r4));
        assert_int_equal(merkle_builder_size(&lots), n);
        assert_true(merkle_eq(&r1, &r2));
        assert_true(merkle_eq(&r1, &r3));
        assert_int_equal(many.size, n);
    }
}

/* Leaves by the subtree, as those who have its root ready add them. */
static void test_ready_roots(void **state maybe_unused)
{
    struct merkle_builder one = {.n = 0}, b = {.n = 0};
    struct merkle_hash leaf[MERKLE_HELD], root, r1, r2;
    uint64_t n = 0;

    for (size_t round = 0; round < 9; round++) {
        for (size_t i = 0; i < MERKLE_HELD; i++) {
            (void)number_leaf(NULL, n++, &leaf[i]);
            merkle_builder_add(&one, &leaf[i]);
        }
        merkle_held_root(leaf, round % 2 == 0, &root);
        if (round % 3 == 2)
            merkle_builder_add_many(&b, leaf, MERKLE_HELD);
        else
            merkle_builder_add_root(&b, &root);
        assert_int_equal(merkle_builder_size(&b), n);
        merkle_range_root(merkle_builder_range(&one), &r1);
        merkle_range_root(merkle_builder_range(&b), &r2);
        assert_true(merkle_eq(&r1, &r2));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),        cmocka_unit_test(test_proof_vectors),
        cmocka_unit_test(test_all_inclusions), cmocka_unit_test(test_all_consistencies),
        cmocka_unit_test(test_load),           cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_begun),          cmocka_unit_test(test_ranges_agree),
        cmocka_unit_test(test_ready_roots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
