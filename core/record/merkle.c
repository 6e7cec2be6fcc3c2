/* SHA-256 is libcrypto's through Init, Update and Final: with the processor's SHA extensions a node
 * costs half of what the one-shot call costs, which allocates (measured). The functions are marked
 * old by OpenSSL 3 and kept by it; hence the level asked for here. */
#define OPENSSL_API_COMPAT 0x10100000L
#include "core/record/merkle.h"

#include "core/record/sha256x8.h"

#include <openssl/sha.h>

void merkle_sha256(const void *p, size_t n, struct merkle_hash *out)
{
    SHA256_CTX c;

    SHA256_Init(&c);
    SHA256_Update(&c, p, n);
    SHA256_Final(out->b, &c);
}

void merkle_leaf(const void *entry, size_t n, struct merkle_hash *out)
{
    static const unsigned char prefix = 0x00;
    SHA256_CTX c;

    SHA256_Init(&c);
    SHA256_Update(&c, &prefix, 1);
    SHA256_Update(&c, entry, n);
    SHA256_Final(out->b, &c);
}

void merkle_node(const struct merkle_hash *left, const struct merkle_hash *right,
                 struct merkle_hash *out)
{
    unsigned char both[1 + 2 * MERKLE_HASH];
    SHA256_CTX c;

    both[0] = 0x01;
    memcpy(both + 1, left->b, MERKLE_HASH);
    memcpy(both + 1 + MERKLE_HASH, right->b, MERKLE_HASH);
    SHA256_Init(&c);
    SHA256_Update(&c, both, sizeof(both));
    SHA256_Final(out->b, &c);
}

/* --- eight at a time ---
 * Where the processor has SHA instructions libcrypto is as fast; so the lanes are used only where
 * it has none. */

enum { LEAF_LANE_MAX = 1024 }; /* bytes of an entry that goes into a lane: longer ones are rare */

struct batch {
    unsigned char text[SHA256_LANES][SHA256_PADDED(1 + LEAF_LANE_MAX)];
    size_t blocks[SHA256_LANES];
    unsigned char *out[SHA256_LANES];
    size_t n;
    bool only;
};

static void batch_run(struct batch *b)
{
    const unsigned char *p[SHA256_LANES];
    unsigned char none[SHA256_HASH];

    for (size_t i = 0; i < SHA256_LANES; i++) {
        if (i >= b->n) { /* a lane without a message repeats the first one's */
            b->out[i] = none;
            b->blocks[i] = 1;
        }
        p[i] = b->text[i < b->n ? i : 0];
    }
    sha256x8(p, b->blocks, b->out, b->only);
    b->n = 0;
}

/* `prefix` < 0: none. */
static void batch_add(struct batch *b, int prefix, const void *p, size_t n, struct merkle_hash *out)
{
    unsigned char *text = b->text[b->n];
    size_t before = prefix >= 0;

    text[0] = (unsigned char)prefix;
    memcpy(text + before, p, n);
    b->blocks[b->n] = sha256_pad(text, before + n);
    b->out[b->n++] = out->b;
    if (b->n == SHA256_LANES)
        batch_run(b);
}

void merkle_leaves(const struct str *entries, size_t n, bool only, struct merkle_hash *out)
{
    bool lanes = n > 2 && sha256x8_pays();
    struct batch b;

    b.n = 0;
    b.only = only;
    for (size_t i = 0; i < n; i++) {
        if (lanes && entries[i].len <= LEAF_LANE_MAX)
            batch_add(&b, 0x00, entries[i].ptr, entries[i].len, &out[i]);
        else
            merkle_leaf(entries[i].ptr, entries[i].len, &out[i]);
    }
    if (b.n > 0)
        batch_run(&b);
}

void merkle_sha256_many(const struct str *texts, size_t n, bool only,
                        struct merkle_hash *const *out)
{
    bool lanes = n > 2 && sha256x8_pays();
    struct batch b;

    b.n = 0;
    b.only = only;
    for (size_t i = 0; i < n; i++) {
        if (lanes && texts[i].len <= LEAF_LANE_MAX)
            batch_add(&b, -1, texts[i].ptr, texts[i].len, out[i]);
        else
            merkle_sha256(texts[i].ptr, texts[i].len, out[i]);
    }
    if (b.n > 0)
        batch_run(&b);
}

bool merkle_begin_pays(void)
{
    return sha256x8_pays();
}

void merkle_begin(const struct str *heads, size_t n, struct merkle_begun *const *out)
{
    struct batch b;

    b.n = 0;
    b.only = false;
    for (size_t i = 0; i < n; i++) {
        size_t blocks = (1 + heads[i].len) / SHA256_BLOCK;
        unsigned char *text = b.text[b.n];

        if (blocks == 0 || heads[i].len > LEAF_LANE_MAX)
            continue;
        text[0] = 0x00;
        memcpy(text + 1, heads[i].ptr, blocks * SHA256_BLOCK - 1);
        out[i]->n = blocks * SHA256_BLOCK;
        b.blocks[b.n] = blocks;
        b.out[b.n++] = out[i]->state;
        if (b.n == SHA256_LANES)
            batch_run(&b);
    }
    if (b.n > 0)
        batch_run(&b);
}

void merkle_finish(const struct merkle_begun *b, const void *entry, size_t n,
                   struct merkle_hash *out)
{
    SHA256_CTX c;

    if (b->n == 0) {
        merkle_leaf(entry, n, out);
        return;
    }
    SHA256_Init(&c);
    for (size_t i = 0; i < ARRAY_LEN(c.h); i++) {
        const unsigned char *p = b->state + 4 * i;

        c.h[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    c.Nl = (SHA_LONG)(b->n * 8);
    SHA256_Update(&c, (const unsigned char *)entry + b->n - 1, n - (b->n - 1));
    SHA256_Final(out->b, &c);
}

/* h[0..n) = the nodes over h[0..2n). In place: a node is written after both its children, and those
 * of its neighbours in the batch, were read. */
static void halve(struct merkle_hash *h, size_t n, bool only)
{
    bool lanes = n > 2 && sha256x8_pays();
    struct batch b;

    b.n = 0;
    b.only = only;
    for (size_t i = 0; i < n; i++) {
        if (lanes)
            batch_add(&b, 0x01, h[2 * i].b, 2 * sizeof(h[0]), &h[i]);
        else
            merkle_node(&h[2 * i], &h[2 * i + 1], &h[i]);
    }
    if (b.n > 0)
        batch_run(&b);
}

/* --- compact ranges --- */

void merkle_range_init(struct merkle_range *r)
{
    memset(r, 0, sizeof(*r));
}

size_t merkle_range_len(const struct merkle_range *r)
{
    return (size_t)__builtin_popcountll(r->size);
}

/* Appends a perfect subtree of 2^level leaves; size is a multiple of that. */
static void add_subtree(struct merkle_range *r, struct merkle_hash h, unsigned level)
{
    size_t n = merkle_range_len(r);

    /* As with binary addition: each trailing one bit is a subtree that the carry merges with. */
    for (uint64_t s = r->size >> level; s & 1; s >>= 1) {
        n--;
        merkle_node(&r->node[n], &h, &h);
    }
    BUG_ON(n >= MERKLE_MAX_LEVEL);
    r->node[n] = h;
    r->size += (uint64_t)1 << level;
}

void merkle_range_add(struct merkle_range *r, const struct merkle_hash *leaf)
{
    add_subtree(r, *leaf, 0);
}

enum { HELD_LEVEL = 6 };
_Static_assert(MERKLE_HELD == 1 << HELD_LEVEL, "what is held is one subtree");

/* Root of 2^level leaves, level by level. */
static void subtree_root(const struct merkle_hash *leaves, unsigned level, bool only,
                         struct merkle_hash *out)
{
    struct merkle_hash h[1 << HELD_LEVEL];

    memcpy(h, leaves, sizeof(h[0]) << level);
    for (unsigned i = level; i > 0; i--)
        halve(h, (size_t)1 << (i - 1), only);
    *out = h[0];
}

/* Takes the largest perfect subtrees that fit next. */
void merkle_range_add_many(struct merkle_range *r, const struct merkle_hash *leaves, size_t n)
{
    struct merkle_hash root;

    while (n > 0) {
        unsigned level = 0;

        while (level < HELD_LEVEL && !(r->size >> level & 1) && n >= (size_t)2 << level)
            level++;
        subtree_root(leaves, level, false, &root);
        add_subtree(r, root, level);
        leaves += (size_t)1 << level;
        n -= (size_t)1 << level;
    }
}

void merkle_builder_add(struct merkle_builder *b, const struct merkle_hash *leaf)
{
    b->held[b->n++] = *leaf;
    /* so that the range ends at a multiple: then all that is held is one subtree */
    if (b->n == MERKLE_HELD || (b->range.size + b->n) % MERKLE_HELD == 0)
        (void)merkle_builder_range(b);
}

void merkle_builder_add_many(struct merkle_builder *b, const struct merkle_hash *leaves, size_t n)
{
    for (; n > 0 && merkle_builder_size(b) % MERKLE_HELD != 0; n--)
        merkle_builder_add(b, leaves++);
    if (n >= MERKLE_HELD) {
        size_t whole = n - n % MERKLE_HELD;

        merkle_range_add_many(&b->range, leaves, whole);
        leaves += whole;
        n -= whole;
    }
    for (; n > 0; n--)
        merkle_builder_add(b, leaves++);
}

void merkle_held_root(const struct merkle_hash leaves[MERKLE_HELD], bool only,
                      struct merkle_hash *out)
{
    subtree_root(leaves, HELD_LEVEL, only, out);
}

void merkle_builder_add_root(struct merkle_builder *b, const struct merkle_hash *root)
{
    BUG_ON(b->n > 0 || b->range.size % MERKLE_HELD != 0);
    add_subtree(&b->range, *root, HELD_LEVEL);
}

const struct merkle_range *merkle_builder_range(struct merkle_builder *b)
{
    merkle_range_add_many(&b->range, b->held, b->n);
    b->n = 0;
    return &b->range;
}

void merkle_range_root(const struct merkle_range *r, struct merkle_hash *out)
{
    size_t n = merkle_range_len(r);

    if (n == 0) {
        merkle_sha256("", 0, out);
        return;
    }
    *out = r->node[--n];
    while (n > 0)
        merkle_node(&r->node[--n], out, out);
}

bool merkle_range_load(struct merkle_range *r, uint64_t size, const void *p, size_t len)
{
    if (size >> MERKLE_MAX_LEVEL)
        return false;
    merkle_range_init(r);
    r->size = size;
    if (len != merkle_range_len(r) * MERKLE_HASH)
        return false;
    if (len > 0)
        memcpy(r->node, p, len);
    return true;
}

/* --- proofs ---
 * A proof is a list of roots of sub-ranges which, with the leaf or the older tree, cover all leaves
 * once. So: first the list of ranges, then one pass over the leaves in order. */

struct span {
    uint64_t lo, hi;
    size_t slot; /* index in the proof, or NO_SLOT: covered, not part of it */
};
enum { NO_SLOT = MERKLE_PROOF_MAX };

struct spans {
    size_t n, slots;
    struct span v[MERKLE_PROOF_MAX + 1];
};

static void add_span(struct spans *s, uint64_t lo, uint64_t hi, bool in_proof)
{
    BUG_ON(s->n >= ARRAY_LEN(s->v));
    s->v[s->n++] = (struct span){lo, hi, in_proof ? s->slots++ : (size_t)NO_SLOT};
}

/* Largest power of two smaller than n; n >= 2. */
static uint64_t split(uint64_t n)
{
    return (uint64_t)1 << (63 - __builtin_clzll(n - 1));
}

/* PATH(m, D[lo:hi]) of RFC 6962 §2.1.1. */
static void inclusion_spans(struct spans *s, uint64_t index, uint64_t lo, uint64_t hi)
{
    uint64_t k;

    if (hi - lo == 1) {
        add_span(s, lo, hi, false);
        return;
    }
    k = lo + split(hi - lo);
    if (index < k) {
        inclusion_spans(s, index, lo, k);
        add_span(s, k, hi, true);
    } else {
        inclusion_spans(s, index, k, hi);
        add_span(s, lo, k, true);
    }
}

/* SUBPROOF(m - lo, D[lo:hi], whole) of RFC 6962 §2.1.2. */
static void consistency_spans(struct spans *s, uint64_t m, uint64_t lo, uint64_t hi, bool whole)
{
    uint64_t k;

    if (m == hi) {
        add_span(s, lo, hi, !whole);
        return;
    }
    k = lo + split(hi - lo);
    if (m <= k) {
        consistency_spans(s, m, lo, k, whole);
        add_span(s, k, hi, true);
    } else {
        consistency_spans(s, m, k, hi, false);
        add_span(s, lo, k, true);
    }
}

static const struct span *span_at(const struct spans *s, uint64_t lo)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].lo == lo)
            return &s->v[i];
    BUG("no range begins at leaf %llu", (unsigned long long)lo);
}

/* One pass over the leaves 0..size: fills the proof, and the roots at `mark` and at the end. */
static bool fill(const struct spans *s, merkle_leaf_fn *leaf_at, void *arg, uint64_t size,
                 struct merkle_proof *out, uint64_t mark, struct merkle_hash *mark_root,
                 struct merkle_hash *root)
{
    struct merkle_range all, part;
    struct merkle_hash h;

    merkle_range_init(&all);
    for (uint64_t i = 0; i < size;) {
        const struct span *sp = span_at(s, i);

        merkle_range_init(&part);
        for (; i < sp->hi; i++) {
            if (!leaf_at(arg, i, &h))
                return false;
            merkle_range_add(&part, &h);
            merkle_range_add(&all, &h);
            if (i + 1 == mark && mark_root)
                merkle_range_root(&all, mark_root);
        }
        if (sp->slot != NO_SLOT)
            merkle_range_root(&part, &out->hash[sp->slot]);
    }
    out->n = s->slots;
    if (root)
        merkle_range_root(&all, root);
    return true;
}

bool merkle_prove_inclusion(merkle_leaf_fn *leaf_at, void *arg, uint64_t index, uint64_t size,
                            struct merkle_proof *out, struct merkle_hash *root)
{
    struct spans s = {0};

    out->n = 0;
    if (index >= size || size >> MERKLE_MAX_LEVEL)
        return false;
    inclusion_spans(&s, index, 0, size);
    return fill(&s, leaf_at, arg, size, out, 0, NULL, root);
}

bool merkle_prove_consistency(merkle_leaf_fn *leaf_at, void *arg, uint64_t from, uint64_t to,
                              struct merkle_proof *out, struct merkle_hash *from_root,
                              struct merkle_hash *to_root)
{
    struct spans s = {0};

    out->n = 0;
    if (from > to || to >> MERKLE_MAX_LEVEL)
        return false;
    if (from == 0 && from_root)
        merkle_sha256("", 0, from_root);
    if (from == 0 && to > 0)
        add_span(&s, 0, to, false);
    else if (to > 0)
        consistency_spans(&s, from, 0, to, true);
    return fill(&s, leaf_at, arg, to, out, from, from_root, to_root);
}

bool merkle_check_inclusion(const struct merkle_proof *proof, const struct merkle_hash *leaf,
                            uint64_t index, uint64_t size, const struct merkle_hash *root)
{
    struct merkle_hash r = *leaf;
    uint64_t fn = index, sn;

    if (index >= size)
        return false;
    sn = size - 1;
    for (size_t i = 0; i < proof->n; i++) {
        if (sn == 0)
            return false;
        if ((fn & 1) || fn == sn) {
            merkle_node(&proof->hash[i], &r, &r);
            for (; !(fn & 1) && fn != 0; fn >>= 1)
                sn >>= 1;
        } else {
            merkle_node(&r, &proof->hash[i], &r);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && merkle_eq(&r, root);
}

/* RFC 9162 §2.1.4.2, steps 3 to 6: `h` are the hashes with the older root put first where the proof
 * leaves it out. */
static bool consistency_roots(const struct merkle_hash *h, size_t n, uint64_t from, uint64_t to,
                              struct merkle_hash *fr, struct merkle_hash *sr)
{
    uint64_t fn = from - 1, sn = to - 1;

    for (; fn & 1; fn >>= 1)
        sn >>= 1;
    *fr = *sr = h[0];
    for (size_t i = 1; i < n; i++) {
        if (sn == 0)
            return false;
        if ((fn & 1) || fn == sn) {
            merkle_node(&h[i], fr, fr);
            merkle_node(&h[i], sr, sr);
            for (; !(fn & 1) && fn != 0; fn >>= 1)
                sn >>= 1;
        } else {
            merkle_node(sr, &h[i], sr);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0;
}

bool merkle_check_consistency(const struct merkle_proof *proof, uint64_t from,
                              const struct merkle_hash *from_root, uint64_t to,
                              const struct merkle_hash *to_root)
{
    struct merkle_hash h[MERKLE_PROOF_MAX + 1], fr, sr, empty;
    size_t n = 0;

    if (from > to || proof->n > MERKLE_PROOF_MAX)
        return false;
    if (from == 0) {
        merkle_sha256("", 0, &empty);
        return proof->n == 0 && merkle_eq(from_root, &empty);
    }
    if (from == to)
        return proof->n == 0 && merkle_eq(from_root, to_root);
    if ((from & (from - 1)) == 0)
        h[n++] = *from_root;
    memcpy(h + n, proof->hash, proof->n * sizeof(h[0]));
    n += proof->n;
    if (n == 0 || !consistency_roots(h, n, from, to, &fr, &sr))
        return false;
    return merkle_eq(&fr, from_root) && merkle_eq(&sr, to_root);
}
