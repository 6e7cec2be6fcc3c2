/* Identities from a seed: the same seed, index and browser version give the same identity, in every
 * run, on every machine with as much memory. Pure. */
#ifndef FINGERPRINTS_GENERATE_H
#define FINGERPRINTS_GENERATE_H

#include "core/base/err.h"
#include "core/base/json.h"
#include "fingerprints/identity.h"

/** What the campaign wants of its members' identities, and what the machine really is. */
struct identity_params {
    const char *seed;            /* never NULL or "" */
    const char *browser_version; /* "156.0.8078.79": of the binary that will run */
    struct json_strs os;         /* names; empty: the host's own */
    struct json_strs locales;    /* tags; empty: en-US, as a plain installation has it */
    struct json_strs timezones;  /* IANA names; empty: of the country */
    const char *country; /* ISO 3166-1, where the member's proxy is; NULL, or one that the catalogue
                            has not: the locale's */
    uint32_t viewport_w, viewport_h; /* CSS pixels; 0: from the screen */
    bool honest;
    bool no_noise;         /* canvas, WebGL and audio as the browser draws them: pixel-exact */
    bool own_gpu;          /* WebGL says what the browser really draws with */
    uint64_t memory_bytes; /* the machine's */
    /** Another identity, which lives at least as long: texts that both have are not copied. NULL:
     * none. It changes nothing else. */
    const struct identity *like;
};

/** Checks everything but the version: INVALID names the member of `params` ("locales/1: ...") and
 * what was expected. */
must_check enum status identity_params_check(const struct identity_params *p, struct err *e);

/** Identity `index` of the seed. Lives in `a`. INVALID as above, or a version that is none. */
must_check enum status identity_generate(struct arena *a, const struct identity_params *p,
                                         uint32_t index, const struct identity **out,
                                         struct err *e);

/** The major version of "156.0.8078.79": 156; 0 when it does not begin with a number. */
uint32_t identity_major(const char *browser_version);

/** Chromium's own rule for the brand list of a major version (GenerateBrandVersionList in
 * components/embedder_support/user_agent_utils.cc): a greased brand and "Chromium", shuffled by the
 * version. Returns how many were written. */
size_t identity_brands(struct arena *a, uint32_t major, const char *full_version,
                       struct identity_brand out[IDENTITY_BRANDS_MAX]);

/** "de-DE,de,en" -> "de-DE,de;q=0.9,en;q=0.8", as Chromium expands a list for the header. */
const char *identity_accept_language(struct arena *a, const char *const *languages, size_t n);

/** navigator.deviceMemory of a machine: the nearest power of two, 2 to 32 GiB (Chromium 156). */
double identity_memory_class(uint64_t bytes);

#endif
