/* A line of the audit log. What is taken for a record has its parts within the line, and its
 * signature cut out leaves a record again. */
#include <stdint.h>
#include <stdlib.h>

#include "core/record/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(struct str line, struct str part)
{
    BUG_ON(part.ptr && (part.ptr < line.ptr || part.ptr + part.len > line.ptr + line.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str line = str_n((const char *)data, size);
    char cut[AUDIT_LINE_MAX + 1];
    struct record_fault fault = {0};
    struct record r, again;

    if (!record_decode(line, &r, &fault)) {
        BUG_ON(!fault.what || fault.at > size);
        return 0;
    }
    BUG_ON(size > AUDIT_LINE_MAX || r.seq > RECORD_INT_MAX || r.fence > RECORD_INT_MAX);
    check_within(line, r.kind);
    check_within(line, r.id);
    check_within(line, r.log);
    check_within(line, r.member);
    check_within(line, r.vkey);
    if (!r.has_sig)
        return 0;
    BUG_ON(r.sig_at + RECORD_SIG_TEXT + 1 != size);
    memcpy(cut, line.ptr, r.sig_at);
    cut[r.sig_at] = '}';
    BUG_ON(!record_decode(str_n(cut, r.sig_at + 1), &again, &fault));
    BUG_ON(again.has_sig || again.seq != r.seq);
    return 0;
}
