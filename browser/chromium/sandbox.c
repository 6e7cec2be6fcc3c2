#include "browser/chromium/sandbox.h"

#include <stdio.h>

#include "core/base/jcs.h"
#include "core/base/log.h"
#include "core/record/audit.h"

enum { PAYLOAD_MAX = 4096 };

#define BIT(l) REAPER_LAYER_BIT(REAPER_LAYER_##l)
/* Its cgroup.kill directory is made only where there is no PID namespace, which does better. */
#define ALL ((REAPER_LAYER_BIT(REAPER_LAYER_COUNT) - 1u) & ~BIT(CGROUP_KILL))

char *sandbox_words(uint32_t layers, char out[SANDBOX_WORDS_MAX])
{
    uint32_t missing = ALL & ~layers;
    char text[REAPER_LAYERS_TEXT_MAX];

    if (missing == 0)
        snprintf(out, SANDBOX_WORDS_MAX, "all layers");
    else
        snprintf(out, SANDBOX_WORDS_MAX, "without %s", reaper_layers_text(missing, text));
    return out;
}

uint32_t sandbox_lacks(uint32_t layers)
{
    return (REAPER_LAYERS_REQUIRED | BIT(NETNS)) & ~layers;
}

void sandbox_describe(uint32_t layers, struct json *into)
{
    struct json *names = json_new_array();

    for (unsigned l = 0; l < REAPER_LAYER_COUNT; l++)
        if ((layers & REAPER_LAYER_BIT(l)) != 0)
            json_push(names, json_new_str(str_from(reaper_layer_name((enum reaper_layer)l))));
    json_add_str(into, "guarantee", reaper_guarantee_name(reaper_guarantee_of(layers)));
    json_add(into, "layers", names);
}

void sandbox_receipt(struct audit *log, const struct instance *i, const struct member *m)
{
    struct receipt r = {.kind = "instance", .member = m->identity->id, .outcome = "ok"};
    struct buf payload = BUF_INIT(PAYLOAD_MAX);
    struct json *j;
    struct err e = ERR_INIT;

    if (log == NULL)
        return;
    j = json_new_object();
    json_add_str(j, "browser", instance_version(i));
    json_add_str(j, "instance", instance_name(i));
    sandbox_describe(instance_layers(i), j);
    if (jcs_write(j, &payload, &e) != STATUS_OK)
        log_error(NULL, "sandbox.receipt", LOG_ERR(&e));
    r.payload = buf_str(&payload);
    audit_append(log, &r, NULL, NULL);
    buf_deinit(&payload);
    json_destroy(&j);
}
