/* A target list of any bytes, in the form that the first byte chooses: rows have a URL and become
 * objects, or there is a fault. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf/targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf faults = BUF_INIT(BUF_MAX_MESSAGE);
    struct target_list list;
    struct arena *a;
    bool ok;

    if (size < 1)
        return 0;
    a = arena_create(NULL, 0);
    ok = targets_parse(a, "f", (enum target_form)(data[0] % TARGETS_INLINE),
                       str_n((const char *)data + 1, size - 1), &list, &faults);
    if (ok != (faults.len == 0) || (list.n > 0) != ok)
        abort();
    for (size_t i = 0; i < list.n && i < 1000; i++) {
        struct json *row = target_row_json(&list.rows[i]);

        if (!json_str(json_get(row, "url"), NULL) || list.rows[i].host.len == 0)
            abort();
        json_destroy(&row);
    }
    buf_deinit(&faults);
    arena_destroy(&a);
    return 0;
}
