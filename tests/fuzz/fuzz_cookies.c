/* A cookies.txt, or a storage state, of any bytes: what is taken is a good state, and what is
 * written of it is read as the same. */
#include <stdint.h>
#include <stdlib.h>

#include "fingerprints/cookies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_state(struct str text)
{
    struct buf faults = BUF_INIT(BUF_MAX_MESSAGE), out = BUF_INIT(BUF_MAX_FILE);
    struct json *j = json_parse(text, false, NULL), *again;

    if (j && state_check(j, "f", &faults)) {
        cookies_to_netscape(j, &out);
        again = cookies_from_netscape(buf_str(&out), "f", &faults);
        json_destroy(&again);
    } else if (j && faults.len == 0) {
        abort();
    }
    json_destroy(&j);
    buf_deinit(&faults);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_n((const char *)data, size);
    struct buf faults = BUF_INIT(BUF_MAX_MESSAGE), out = BUF_INIT(BUF_MAX_FILE);
    struct json *j = size > 0 ? cookies_from_netscape(text, "f", &faults) : NULL, *again;

    (void)cookies_is_netscape(text);
    if (j) {
        if (faults.len > 0 || !state_check(j, "f", &faults))
            abort();
        cookies_to_netscape(j, &out);
        again = cookies_from_netscape(buf_str(&out), "f", &faults);
        if (!again)
            abort();
        json_destroy(&again);
    }
    json_destroy(&j);
    buf_deinit(&faults);
    buf_deinit(&out);
    try_state(text);
    return 0;
}
