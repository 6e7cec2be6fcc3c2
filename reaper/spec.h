/* A member's specification: checked, completed with what the launcher cannot look up, and encoded
 * for it. Internal to the reaper. */
#ifndef REAPER_SPEC_H
#define REAPER_SPEC_H

#include "core/base/buf.h"
#include "reaper/reaper.h"
#include "reaper/wire.h"

/** What the reaper adds to a spec. */
struct spec_extra {
    const char *run_dir;
    uint32_t without; /* besides the spec's own */
    uint32_t uid_base, uid_count, uid_hint;
    struct str filter; /* struct sock_filter[]; empty: none */
    uint32_t fail_at, fail_errno;
};

/** INVALID names the field and the rule; NOT_FOUND the file. */
must_check enum status spec_check(const struct reaper_spec *s, struct err *e);

/** Layers the member wants, and which of them it cannot do without. */
void spec_layers(const struct reaper_spec *s, uint32_t without, uint32_t *wanted,
                 uint32_t *required);

/** Appends the encoded spec, whose check went well. TOO_LARGE past REAPER_SPEC_MAX. */
must_check enum status spec_encode(const struct reaper_spec *s, const struct spec_extra *x,
                                   struct buf *out, struct err *e);

#endif
