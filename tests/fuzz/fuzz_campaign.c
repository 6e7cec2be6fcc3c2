/* A campaign file of any bytes: loading ends, tells what is wrong or nothing, and shows no
 * credential of a list that it read. Files that it names are not there. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/conf/campaign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Paths of the input must not lead anywhere. */
static bool names_files(const uint8_t *data, size_t size)
{
    return memmem(data, size, "file", 4) || memmem(data, size, "$flow", 5) ||
           memmem(data, size, "\"/", 2) || memmem(data, size, "..", 2) ||
           memmem(data, size, "\"-\"", 3) || memmem(data, size, "\\", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[64];
    struct campaign_conf conf;
    struct buf errors = BUF_INIT(BUF_MAX_MESSAGE);
    struct err e = ERR_INIT;
    struct arena *a;
    enum status s;

    if (size > 64 * 1024 || names_files(data, size))
        return 0;
    if (!path[0])
        snprintf(path, sizeof(path), "/dev/shm/fuzz-campaign-%d", (int)getpid());
    if (file_replace(path, str_n((const char *)data, size), 0600, &e) != STATUS_OK)
        return 0;
    a = arena_create(NULL, 0);
    s = campaign_load(a, path, &conf, &errors, &e);
    unlink(path);
    if ((s == STATUS_OK) != (errors.len == 0))
        abort();
    if (s == STATUS_OK) {
        struct json *j = campaign_to_json(&conf);

        json_destroy(&j);
        for (size_t i = 0; i < conf.n_targets && i < 100; i++) {
            struct json *row = target_row_json(&conf.targets[i]);

            if (!json_str(json_get(row, "url"), NULL))
                abort();
            json_destroy(&row);
        }
    }
    buf_deinit(&errors);
    arena_destroy(&a);
    return 0;
}
