/* Merkle trees of RFC 6962 §2.1 (same in RFC 9162 §2.1): hashes, compact ranges, inclusion and
 * consistency proofs.
 *
 *   leaf  = SHA-256(0x00 || entry)          node = SHA-256(0x01 || left || right)         empty
 * tree = SHA-256()
 *
 * A compact range is the list of the roots of the perfect subtrees that a tree of n leaves is made
 * of (one for each bit set in n, largest first): all that is needed to append and to know the root.
 * Any thread; no global state. */
#ifndef CORE_RECORD_MERKLE_H
#define CORE_RECORD_MERKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/attr.h"
#include "core/base/str.h"

enum {
    MERKLE_HASH = 32,      /* bytes of a hash */
    MERKLE_MAX_LEVEL = 63, /* a tree has fewer than 2^63 leaves */
    MERKLE_HELD = 64,      /* leaves a builder holds back */
    MERKLE_PROOF_MAX = 2 * MERKLE_MAX_LEVEL + 2,
};

struct merkle_hash {
    unsigned char b[MERKLE_HASH];
};

/** SHA-256 of plain bytes (FIPS 180-4). */
void merkle_sha256(const void *p, size_t n, struct merkle_hash *out);
void merkle_leaf(const void *entry, size_t n, struct merkle_hash *out);
void merkle_node(const struct merkle_hash *left, const struct merkle_hash *right,
                 struct merkle_hash *out);

/** Leaf hashes of n entries: as merkle_leaf of each, faster where the processor has no SHA
 * instructions. `only`: the calling thread does little but hash for a while (sha256x8.h). */
void merkle_leaves(const struct str *entries, size_t n, bool only, struct merkle_hash *out);

/** A leaf hash that was begun before the end of its entry was known. All zero: not begun yet. */
struct merkle_begun {
    size_t n; /* private from here: bytes hashed, whole blocks, of 0x00 || entry */
    unsigned char state[MERKLE_HASH];
};
/** Whether it pays here to begin: where eight are as quick as two. */
must_check bool merkle_begin_pays(void);
/** Begins the leaf hashes of n entries, of which the heads are known. Those that are short or very
 * long are left as they are, not begun. */
void merkle_begin(const struct str *heads, size_t n, struct merkle_begun *const *out);
/** As merkle_leaf; `entry` begins with the head that *b was begun with. */
void merkle_finish(const struct merkle_begun *b, const void *entry, size_t n,
                   struct merkle_hash *out);

/** SHA-256 of n texts: as merkle_sha256 of each into *out[i], faster likewise. */
void merkle_sha256_many(const struct str *texts, size_t n, bool only,
                        struct merkle_hash *const *out);

struct merkle_range {
    uint64_t size; /* leaves; read only */
    struct merkle_hash
        node[MERKLE_MAX_LEVEL]; /* node[0..popcount(size)), largest subtree first; read only */
};

void merkle_range_init(struct merkle_range *r);
/** Number of hashes in use: the bits set in size. */
size_t merkle_range_len(const struct merkle_range *r);
/** Appends a leaf (its leaf hash). Amortised two hashes. */
void merkle_range_add(struct merkle_range *r, const struct merkle_hash *leaf);
/** Appends n leaves: as merkle_range_add of each, faster for many. */
void merkle_range_add_many(struct merkle_range *r, const struct merkle_hash *leaves, size_t n);
/** Root of the tree: at most 62 hashes. */
void merkle_range_root(const struct merkle_range *r, struct merkle_hash *out);
/** A range as stored: `size` leaves and len bytes of hashes. False when `len` does not fit `size`.
 */
must_check bool merkle_range_load(struct merkle_range *r, uint64_t size, const void *p, size_t len);

/** A range that takes leaves one by one and hashes them by the dozen: what it holds back is added
 * when the range is asked for. All zero is empty. */
struct merkle_builder {
    struct merkle_range range; /* private from here */
    size_t n;
    struct merkle_hash held[MERKLE_HELD];
};
void merkle_builder_add(struct merkle_builder *b, const struct merkle_hash *leaf);
/** As merkle_builder_add of each. */
void merkle_builder_add_many(struct merkle_builder *b, const struct merkle_hash *leaves, size_t n);
/** Root of the MERKLE_HELD leaves, for merkle_builder_add_root: any thread may have it ready. */
void merkle_held_root(const struct merkle_hash leaves[MERKLE_HELD], bool only,
                      struct merkle_hash *out);
/** The same as adding the MERKLE_HELD leaves that have this root; when the number of leaves so far
 * is a multiple of MERKLE_HELD. */
void merkle_builder_add_root(struct merkle_builder *b, const struct merkle_hash *root);
/** Leaves added so far. */
static inline uint64_t merkle_builder_size(const struct merkle_builder *b)
{
    return b->range.size + b->n;
}
/** The range of all leaves added so far; borrowed until the next add. */
const struct merkle_range *merkle_builder_range(struct merkle_builder *b);

/** Where proofs are made from: gives the hash of the leaf `index`; false stops and makes the whole
 * call fail. Asked in ascending order. */
typedef bool merkle_leaf_fn(void *arg, uint64_t index, struct merkle_hash *out);

/** A proof: hashes from the bottom to the top. */
struct merkle_proof {
    size_t n;
    struct merkle_hash hash[MERKLE_PROOF_MAX];
};

/** Inclusion proof of leaf `index` in the tree of the first `size` leaves (RFC 6962 §2.1.1); reads
 * `size` leaves, memory is O(log size). False when index >= size or `leaf_at` failed. `root` may be
 * NULL. */
must_check bool merkle_prove_inclusion(merkle_leaf_fn *leaf_at, void *arg, uint64_t index,
                                       uint64_t size, struct merkle_proof *out,
                                       struct merkle_hash *root);
/** Consistency proof between the trees of `from` and `to` leaves, from <= to (RFC 6962 §2.1.2).
 * Empty when from is 0 or equals to. */
must_check bool merkle_prove_consistency(merkle_leaf_fn *leaf_at, void *arg, uint64_t from,
                                         uint64_t to, struct merkle_proof *out,
                                         struct merkle_hash *from_root,
                                         struct merkle_hash *to_root);

/** RFC 9162 §2.1.3.2: true when `proof` shows `leaf` at `index` under `root` of a tree of `size`
 * leaves. */
must_check bool merkle_check_inclusion(const struct merkle_proof *proof,
                                       const struct merkle_hash *leaf, uint64_t index,
                                       uint64_t size, const struct merkle_hash *root);
/** RFC 9162 §2.1.4.2: true when `proof` shows that the tree (from, from_root) is a beginning of
 * (to, to_root). */
must_check bool merkle_check_consistency(const struct merkle_proof *proof, uint64_t from,
                                         const struct merkle_hash *from_root, uint64_t to,
                                         const struct merkle_hash *to_root);

static inline bool merkle_eq(const struct merkle_hash *a, const struct merkle_hash *b)
{
    return memcmp(a->b, b->b, MERKLE_HASH) == 0;
}

#endif
