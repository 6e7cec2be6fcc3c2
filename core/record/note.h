/* Signed notes and checkpoints as C2SP has them (c2sp.org/signed-note, c2sp.org/tlog-checkpoint),
 * with Ed25519 keys (type 0x01).
 *
 *   fleet/01J...            origin, also the name of the key
 *   1024                    records covered
 *   sFodV/vSp5O8n9a8...=    root of the tree
 *
 *   — fleet/01J... <base64 of 4 bytes key id and 64 bytes signature over the text, its last newline
 * included>
 *
 * Pure; any thread. */
#ifndef CORE_RECORD_NOTE_H
#define CORE_RECORD_NOTE_H

#include "core/base/buf.h"
#include "core/record/merkle.h"

struct sign_key;

enum {
    NOTE_MAX = 8 * 1024,      /* bytes of a note */
    NOTE_NAME_MAX = 128,      /* bytes of a key name or origin with NUL */
    NOTE_SIGNATURES_MAX = 16, /* lines that are looked at */
    NOTE_VKEY_MAX = NOTE_NAME_MAX + 1 + 8 + 1 + 45,
};

struct checkpoint {
    char origin[NOTE_NAME_MAX];
    uint64_t size;
    struct merkle_hash root;
};

/** The text of a checkpoint: three lines. */
void checkpoint_write(const struct checkpoint *c, struct buf *out);
/** Takes the three lines from a note's text; further lines (extensions) are ignored. False when it
 * is no checkpoint. */
must_check bool checkpoint_parse(struct str text, struct checkpoint *out);

/** "name+hexid+base64(0x01 || public key)" into out[NOTE_VKEY_MAX]; returns out. */
char *note_vkey(const char *name, const unsigned char public_key[32], char *out);
/** The public key in a vkey; false when it is malformed or its id is wrong. `name` (NOTE_NAME_MAX,
 * may be NULL) gets the name. */
must_check bool note_vkey_parse(struct str vkey, char *name, unsigned char public_key[32]);

/** Appends `text` (ends with a newline), an empty line, and one signature line for each key. */
void note_sign(struct str text, const char *name, const struct sign_key *const *keys, size_t n,
               struct buf *out);

enum note_verdict {
    NOTE_OK,            /* a signature by this key is there and verifies */
    NOTE_OTHER_KEY,     /* no signature by this name and key */
    NOTE_BAD_SIGNATURE, /* a line carries this key's name and id, and does not verify */
    NOTE_MALFORMED,     /* no signed note */
};
/** The text of a note (with its last newline); false when malformed. Borrowed from `note`. */
must_check bool note_text(struct str note, struct str *text);
/** Looks for the signature of (name, public_key). Hostile bytes are fine. */
must_check enum note_verdict note_check(struct str note, const char *name,
                                        const unsigned char public_key[32]);

#endif
