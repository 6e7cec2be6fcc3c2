/* What the identity store keeps of an identity: how it is made, so that it is made again with the
 * browser that is there.
 *
 *   {"seed": "...", "os": ["linux"], "locales": ["de-DE"], "timezones": [], "honest": false,
 *    "noise": true, "own_gpu": false, "created": "2026-...", "rotations": 0}
 *
 * A rotation makes it another: a seed that grows from its own, so that the whole line of identities
 * is known from the first, the id that this seed gives, the same tag, no cookies. */
#ifndef CORE_FLEET_PERSONA_H
#define CORE_FLEET_PERSONA_H

#include "core/base/buf.h"
#include "core/base/json.h"
#include "fingerprints/generate.h"

struct persona {
    const char *seed;
    struct json_strs os, locales, timezones;
    bool honest, noise, own_gpu;
    const char *created; /* RFC 3339 */
    uint32_t rotations;
};

/** A persona that is made now, of a random seed (in `a`). The lists are empty. */
void persona_init(struct persona *p, struct arena *a);
/** Checks what was said of it: INVALID as identity_params_check. */
must_check enum status persona_check(const struct persona *p, struct err *e);
/** The id that its seed gives: "i-" and 16 digits. */
must_check enum status persona_id(const struct persona *p, struct arena *a, const char **out,
                                  struct err *e);

/** The seed of what `seed` rotates to. In `a`. */
const char *persona_next_seed(const char *seed, struct arena *a);
/** Becomes the persona that it rotates to; *id: its id. Strings in `a`. */
must_check enum status persona_rotate(struct persona *p, struct arena *a, const char **id,
                                      struct err *e);

/** The record of the store. */
void persona_write(const struct persona *p, struct buf *out);
/** Reads one; strings in `a`. INVALID names `id` and what is wrong. */
must_check enum status persona_read(struct str record, const char *id, struct arena *a,
                                    struct persona *out, struct err *e);
/** The identity, under the id that the store knows it by. Lives in `a`. */
must_check enum status persona_identity(const struct persona *p, const char *id,
                                        const char *browser_version, struct arena *a,
                                        const struct identity **out, struct err *e);

/** Where the store of a state directory is, and its key: `spec` as idstore_opts has it, a path in
 * it relative to the state directory; NULL: "file:keys/identities.key". In `a`. */
const char *persona_store_path(struct arena *a, const char *state_dir);
const char *persona_store_key(struct arena *a, const char *state_dir, const char *spec);

#endif
