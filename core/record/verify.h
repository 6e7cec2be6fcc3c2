/* Verifying the audit log, and proofs out of it: reads `log.sqlite` or an NDJSON copy alone, never
 * re-serialises a record, needs public keys only. Every byte read is taken as hostile. Blocking, on
 * the caller's thread and on threads of its own: for the command line and for tests.
 *
 * What is checked: each line is canonical; seq counts from 0 without gaps; prev is the hash of the
 * line before; all are of one log; signatures ("zsig") verify under the key that is current,
 * following "key.rotate"; checkpoints are signed and their roots are those of the tree; close
 * receipts count their children and hold their root; stored payloads have the hash "ph"; anchors
 * agree. */
#ifndef CORE_RECORD_VERIFY_H
#define CORE_RECORD_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/record/merkle.h"
#include "core/record/note.h"

/** Exit codes of `fleet audit verify` (design.md §6). */
enum audit_exit {
    AUDIT_EXIT_OK = 0,        /* all records are covered by signatures */
    AUDIT_EXIT_TAMPERED = 1,  /* a record, a signature or a checkpoint is not what was written */
    AUDIT_EXIT_TRUNCATED = 2, /* records are missing that a checkpoint or an anchor speaks of, or
                                 the log was rolled back and went on */
    AUDIT_EXIT_TAIL = 3,   /* as OK, but the last `tail` records are not covered by a signature yet,
                              or the last line is torn */
    AUDIT_EXIT_NO_KEY = 4, /* no trusted public key, or the log, a checkpoint beside it or an anchor
                              is signed by none of them */
    AUDIT_EXIT_UNREAD = 5, /* of the program only: there is no verdict, the log cannot be read */
};

struct audit_verify_opts {
    const char *path; /* log.sqlite, an NDJSON copy, or "-" for NDJSON on standard input */
    /** PEM files of trusted public keys. None: X.pub beside X.ndjson, audit.pub beside log.sqlite.
     */
    const char *const *keys;
    size_t n_keys;
    /** Signed checkpoints that were kept elsewhere. X.checkpoint beside X.ndjson is looked at in
     * any case. */
    const char *const *anchors;
    size_t n_anchors;
    unsigned threads; /* for decoding, hashing, signatures; 0: one a processor */
    bool campaign;    /* the file is the export of one campaign (audit_export): gaps are fine, the
                         close receipts must hold */
    bool by_record;   /* every record is followed by itself, also where nothing is out of the
                         ordinary: slower and the same, for tests */
};

struct audit_verdict {
    int exit_code;    /* enum audit_exit */
    uint64_t size;    /* whole records read */
    uint64_t covered; /* of these, the first so many are covered by a verified signature */
    uint64_t tail;    /* size - covered, and the torn line if there is one */
    bool torn;        /* the last line has no end */
    bool has_bad;
    uint64_t bad_seq; /* TAMPERED, TRUNCATED: place of the first record that is wrong or missing */
    uint64_t signatures, checkpoints, anchors, forests, payloads, rotations; /* verified */
    char log_id[64];
    struct merkle_hash root;   /* over `size` records, when all of them fit */
    char key_path[512];        /* where the first trusted key came from */
    char reason[ERR_TEXT_MAX]; /* one sentence; never empty */
};

/** Verifies. STATUS_OK: there is a verdict, good or bad. Otherwise the log could not be read:
 * NOT_FOUND, PERMISSION, IO, INVALID (an anchor that is none). */
must_check enum status audit_verify(const struct audit_verify_opts *opts, struct audit_verdict *out,
                                    struct err *e);
/** Appends the verdict for people (a few lines) or as one JSON object. */
void audit_verdict_print(const struct audit_verdict *v, bool json, struct buf *out);

/** Appends a proof that record `seq` is in the log, as c2sp.org/tlog-proof: index, inclusion proof,
 * newest checkpoint that covers it. The record's line goes to `line` (may be NULL). `path` as for
 * audit_verify. NOT_FOUND: no such record, or no checkpoint covers it; AUDIT_INVALID: the
 *  checkpoint does not fit the records. */
must_check enum status audit_prove(const char *path, uint64_t seq, struct buf *out,
                                   struct buf *line, struct err *e);
/** True when `proof` shows `line` under a checkpoint that one of the keys signed; *index tells its
 * place. False with the reason in `e`. */
must_check bool audit_check_proof(struct str proof, struct str line,
                                  const unsigned char (*keys)[32], size_t n_keys, uint64_t *index,
                                  struct err *e);

/** Roots at sizes `from` and `to`, and the proof that the second tree is a continuation of the
 * first, from <= to. NOT_FOUND: the log is shorter. */
struct audit_consistency {
    uint64_t from, to;
    struct merkle_hash from_root, to_root;
    struct merkle_proof proof;
};
must_check enum status audit_consistency(const char *path, uint64_t from, uint64_t to,
                                         struct audit_consistency *out, struct err *e);
void audit_consistency_print(const struct audit_consistency *c, bool json, struct buf *out);

/** Writes records as NDJSON to `fd`: all, or with `campaign` (id of an open receipt) that receipt,
 * all receipts under it, and their close receipts, which verify alone (audit_verify_opts.campaign).
 * *n counts lines. NOT_FOUND: no open receipt of that id. */
must_check enum status audit_export(const char *path, const char *campaign, int fd, uint64_t *n,
                                    struct err *e);

#endif
