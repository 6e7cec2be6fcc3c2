/* The record: one line of canonical JSON (design.md §6), built and taken apart. Pure; any thread.
 *
 * A line is built in two steps: record_prepare writes what is known when the receipt is appended;
 * record_build puts it together once the sequencer knows seq, prev and the rest. Decoding is
 * strict: a line that a canonical writer would not have written is refused. */
#ifndef CORE_RECORD_RECORD_H
#define CORE_RECORD_RECORD_H

#include "core/base/buf.h"
#include "core/record/audit.h"
#include "core/record/merkle.h"

enum {
    RECORD_SIG = 64,      /* bytes of an Ed25519 signature */
    RECORD_SIG_TEXT = 98, /* `,"zsig":"` + 88 characters of base64 + `"` */
    RECORD_PIECES = 4,
    RECORD_BUILD_MAX = AUDIT_LINE_MAX + 256, /* room for record_build and record_add_signature */
};
#define RECORD_INT_MAX 9007199254740991u /* 2^53 - 1 */

/** Ends of the four runs of members between which the sequencer's members go: fence | hlc..parent |
 * proxy | target. */
struct record_pieces {
    uint16_t end[RECORD_PIECES];
};

/** Appends the prepared members of `r` to `out` and tells where they end, counted from where `out`
 * ended before. `id` and `log_id` are written instead of r's. INVALID: no kind, fence out of range;
 * TOO_LARGE: the line would pass AUDIT_LINE_MAX. */
must_check enum status record_prepare(const struct receipt *r, struct hlc_time at, const char *id,
                                      const char *log_id, bool sign, struct buf *out,
                                      struct record_pieces *pieces, struct err *e);

/** What the sequencer adds; NULL members are left out. */
struct record_place {
    uint64_t seq;
    const struct merkle_hash *prev;
    const struct merkle_hash *payload; /* "ph" */
    const struct merkle_hash *forest;  /* "children" and "forest" */
    uint64_t children;
    const char *vkey; /* key.rotate: needs no escapes */
};
/** Writes the line without signature; returns its length (< RECORD_BUILD_MAX). Not NUL-terminated.
 */
must_check size_t record_build(char out[RECORD_BUILD_MAX], const char *text,
                               const struct record_pieces *pieces, const struct record_place *at);
/** Of that line only what stands before the value of `prev`, and does not depend on `prev` and
 * `seq`; returns its length. */
must_check size_t record_head(char out[RECORD_BUILD_MAX], const char *text,
                              const struct record_pieces *pieces, const struct record_place *at);
/** Puts `,"zsig":"..."` before the closing brace; returns the new length. */
must_check size_t record_add_signature(char out[RECORD_BUILD_MAX], size_t len,
                                       const unsigned char sig[RECORD_SIG]);

/** A decoded line. Strings are borrowed from the line, without quotes, escapes as they stand. */
struct record {
    uint64_t seq, fence, children;
    struct hlc_time hlc;
    struct str kind, id, log, member, op, target, proxy, outcome, vkey;
    struct merkle_hash prev, parent, of, forest, ph;
    unsigned char sig[RECORD_SIG];
    bool has_fence, has_children, has_parent, has_of, has_forest, has_ph, has_sig;
    size_t
        sig_at; /* offset of `,"zsig"` when has_sig: the signed bytes are line[0..sig_at) + "}" */
};

struct record_fault {
    const char *what; /* static sentence */
    size_t at;        /* byte of the line, from 0 */
};

/** False with *fault when `line` (without newline) is no canonical record of version 1. Hostile
 * bytes are fine. */
must_check bool record_decode(struct str line, struct record *out, struct record_fault *fault);

/** 64 lower case hex digits, no NUL. */
void record_hex(const unsigned char *hash, char *out);

#endif
