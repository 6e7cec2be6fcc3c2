/* The body of a submitted batch, of any bytes: a spec that is whole, or errors that have lines. */
#include <stdint.h>
#include <stdlib.h>

#include "core/coord/engine_internal.h"
#include "core/http/executor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct run_kit kit = {.executor = &http_executor};
    static struct campaign_conf conf;
    static struct engine engine;
    struct buf errors = BUF_INIT(BUF_MAX_MESSAGE);
    struct batch_spec spec;
    struct err e = ERR_INIT;

    if (!engine.conf) {
        campaign_defaults(&conf);
        engine.conf = &conf;
        engine.opts.kit = &kit;
        engine.members.n = 4;
    }
    if (batch_spec_decode(&engine, str_n((const char *)data, size), &spec, &errors, &e) ==
        STATUS_OK) {
        if (errors.len > 0 || spec.conf->n_targets == 0 || !spec.files || !spec.arena)
            abort();
        if (spec.priority < -TASK_PRIORITY_MAX || spec.priority > TASK_PRIORITY_MAX)
            abort();
        if (spec.key && (!spec.key[0] || strlen(spec.key) > BATCH_KEY_MAX))
            abort();
        batch_spec_deinit(&spec);
    } else if (err_text(&e)[0] == '\0') {
        abort();
    }
    buf_deinit(&errors);
    return 0;
}
