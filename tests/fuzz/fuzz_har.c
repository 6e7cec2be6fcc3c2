/* What a browser says of requests, a line an event: the HAR that is made of it is JSON, whatever it
 * was. */
#include <stdint.h>

#include "browser/page/har.h"
#include "tests/support/traffic_play.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct har_about about = {.browser = "Chromium", .browser_version = "1.2"};

    for (unsigned i = 0; i < 3; i++) {
        const struct traffic_opts opts = {
            .headers = i < 2, .secrets = i == 0, .ring = i == 2, .entries_max = i == 2 ? 3 : 0};
        struct traffic *t = traffic_create(&opts);
        struct buf out = BUF_INIT(BUF_MAX_MESSAGE);
        struct json *j;

        traffic_play(t, str_n((const char *)data, size), "M");
        har_print(t, &about, &out);
        j = buf_status(&out) == STATUS_OK ? json_parse(buf_str(&out), true, NULL) : NULL;
        BUG_ON(j == NULL);
        BUG_ON(json_len(json_at(j, "log", "entries", NULL)) != t->n_entries);
        json_destroy(&j);
        buf_deinit(&out);
        traffic_destroy(&t);
    }
    return 0;
}
