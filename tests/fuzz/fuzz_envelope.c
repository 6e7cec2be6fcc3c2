/* Event envelopes of other nodes: what is taken must be written again to the same value. */
#include "core/substrate/substrate_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_create(NULL, 0);
    struct substrate_envelope v, w;
    struct buf first = BUF_INIT(8 * 1024 * 1024), second = BUF_INIT(8 * 1024 * 1024);
    struct err e = ERR_INIT;

    if (substrate_envelope_decode(str_n((const char *)data, size), a, &v, &e) == STATUS_OK) {
        envelope_write(&v, &first);
        if (first.len < 1024 * 1024) {
            BUG_ON(substrate_envelope_decode(buf_str(&first), a, &w, &e) != STATUS_OK);
            envelope_write(&w, &second);
            BUG_ON(!str_eq(buf_str(&first), buf_str(&second)));
        }
    } else {
        BUG_ON(e.status == STATUS_OK || e.text[0] == '\0');
    }
    buf_deinit(&first);
    buf_deinit(&second);
    arena_destroy(&a);
    return 0;
}
