#include "core/record/note.h"

#include "core/record/base64.h"
#include "core/record/keyfile.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

enum { ALG_ED25519 = 0x01, ID_BYTES = 4, SIG_BYTES = 64, PUBLIC_BYTES = 32 };

#define EM_DASH "\xe2\x80\x94"

void checkpoint_write(const struct checkpoint *c, struct buf *out)
{
    buf_addf(out, "%s\n%" PRIu64 "\n", c->origin, c->size);
    buf_add_base64(out, c->root.b, MERKLE_HASH);
    buf_addc(out, '\n');
}

static bool copy_name(struct str s, char *out)
{
    if (s.len == 0 || s.len >= NOTE_NAME_MAX || memchr(s.ptr, '\0', s.len))
        return false;
    memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    return true;
}

bool checkpoint_parse(struct str text, struct checkpoint *out)
{
    struct str origin = str_cut(&text, '\n'), size = str_cut(&text, '\n');
    struct str root = str_cut(&text, '\n');

    memset(out, 0, sizeof(*out));
    if (!text.ptr || !copy_name(origin, out->origin))
        return false;
    if (size.len == 0 || (size.len > 1 && size.ptr[0] == '0') ||
        !str_to_u64(size, INT64_MAX, &out->size))
        return false;
    return root.ptr && base64_exact(root, NULL, out->root.b, MERKLE_HASH);
}

/* The first four bytes of SHA-256(name || 0x0A || 0x01 || public key), big endian. */
static uint32_t key_id(const char *name, const unsigned char public_key[PUBLIC_BYTES])
{
    unsigned char in[NOTE_NAME_MAX + 2 + PUBLIC_BYTES];
    struct merkle_hash h;
    size_t n = strlen(name);

    BUG_ON(n >= NOTE_NAME_MAX);
    memcpy(in, name, n);
    in[n++] = '\n';
    in[n++] = ALG_ED25519;
    memcpy(in + n, public_key, PUBLIC_BYTES);
    merkle_sha256(in, n + PUBLIC_BYTES, &h);
    return (uint32_t)h.b[0] << 24 | (uint32_t)h.b[1] << 16 | (uint32_t)h.b[2] << 8 | h.b[3];
}

char *note_vkey(const char *name, const unsigned char public_key[PUBLIC_BYTES], char *out)
{
    unsigned char typed[1 + PUBLIC_BYTES];
    char b64[sodium_base64_ENCODED_LEN(sizeof(typed), sodium_base64_VARIANT_ORIGINAL)];

    typed[0] = ALG_ED25519;
    memcpy(typed + 1, public_key, PUBLIC_BYTES);
    sodium_bin2base64(b64, sizeof(b64), typed, sizeof(typed), sodium_base64_VARIANT_ORIGINAL);
    (void)snprintf(out, NOTE_VKEY_MAX, "%s+%08" PRIx32 "+%s", name, key_id(name, public_key), b64);
    return out;
}

bool note_vkey_parse(struct str vkey, char *name, unsigned char public_key[PUBLIC_BYTES])
{
    struct str n = str_cut(&vkey, '+'), id;
    unsigned char typed[1 + PUBLIC_BYTES];
    char text[NOTE_NAME_MAX], want[9];

    if (!vkey.ptr || !copy_name(n, text))
        return false;
    id = str_cut(&vkey, '+');
    if (!vkey.ptr || !base64_exact(vkey, NULL, typed, sizeof(typed)) || typed[0] != ALG_ED25519)
        return false;
    memcpy(public_key, typed + 1, PUBLIC_BYTES);
    (void)snprintf(want, sizeof(want), "%08" PRIx32, key_id(text, public_key));
    if (name)
        memcpy(name, text, sizeof(text));
    return str_eqz(id, want);
}

void note_sign(struct str text, const char *name, const struct sign_key *const *keys, size_t n,
               struct buf *out)
{
    buf_addstr(out, text);
    buf_addc(out, '\n');
    for (size_t i = 0; i < n; i++) {
        unsigned char sig[ID_BYTES + SIG_BYTES], public_key[PUBLIC_BYTES];
        uint32_t id;

        sign_key_public(keys[i], public_key);
        id = key_id(name, public_key);
        for (unsigned k = 0; k < ID_BYTES; k++)
            sig[k] = (unsigned char)(id >> (24 - 8 * k));
        sign_key_sign(keys[i], text.ptr, text.len, sig + ID_BYTES);
        buf_addf(out, EM_DASH " %s ", name);
        buf_add_base64(out, sig, sizeof(sig));
        buf_addc(out, '\n');
    }
}

/* Splits at the last empty line. Every line of a note, also the last, ends with a newline. */
static bool split(struct str note, struct str *text, struct str *signatures)
{
    if (note.len < 4 || note.len > NOTE_MAX || note.ptr[note.len - 1] != '\n' || !str_is_utf8(note))
        return false;
    for (size_t i = note.len - 2; i > 0; i--) {
        if (note.ptr[i] != '\n' || note.ptr[i - 1] != '\n')
            continue;
        *text = str_n(note.ptr, i);
        *signatures = str_skip(note, i + 1);
        return true;
    }
    return false;
}

bool note_text(struct str note, struct str *text)
{
    struct str signatures;

    return split(note, text, &signatures);
}

/* "— name base64": false when the line is none. */
static bool signature_line(struct str line, struct str *name,
                           unsigned char sig[ID_BYTES + SIG_BYTES], bool *is_ed25519)
{
    struct str b64;

    if (!str_starts(line, STR(EM_DASH " ")))
        return false;
    b64 = str_skip(line, sizeof(EM_DASH " ") - 1);
    *name = str_cut(&b64, ' ');
    if (!b64.ptr || name->len == 0 || b64.len == 0)
        return false;
    *is_ed25519 = base64_exact(b64, NULL, sig, ID_BYTES + SIG_BYTES);
    return true;
}

enum note_verdict note_check(struct str note, const char *name,
                             const unsigned char public_key[PUBLIC_BYTES])
{
    unsigned char sig[ID_BYTES + SIG_BYTES];
    uint32_t want = key_id(name, public_key);
    enum note_verdict verdict = NOTE_OTHER_KEY;
    struct str text, rest;

    if (!split(note, &text, &rest))
        return NOTE_MALFORMED;
    for (size_t i = 0; rest.len > 0; i++) {
        struct str line = str_cut(&rest, '\n'), signer;
        uint32_t id;
        bool ours;

        if (i == NOTE_SIGNATURES_MAX || !signature_line(line, &signer, sig, &ours))
            return NOTE_MALFORMED;
        id = (uint32_t)sig[0] << 24 | (uint32_t)sig[1] << 16 | (uint32_t)sig[2] << 8 | sig[3];
        if (!ours || !str_eqz(signer, name) || id != want)
            continue;
        if (crypto_sign_verify_detached(sig + ID_BYTES, (const unsigned char *)text.ptr, text.len,
                                        public_key) != 0)
            return NOTE_BAD_SIGNATURE;
        verdict = NOTE_OK;
    }
    return verdict;
}
