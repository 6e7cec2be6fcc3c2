#include "browser/identity/patch.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/base/embed.h"
#include "core/base/json.h"
#include "core/base/rng.h"

static struct str script_text(void)
{
    for (size_t i = 0; i < embed_assets_len; i++)
        if (strcmp(embed_assets[i].path, "browser/assets/identity.js") == 0)
            return str_n((const char *)embed_assets[i].data, embed_assets[i].len);
    BUG("browser/assets/identity.js is not embedded");
}

/* Comments and white space at the beginnings of lines go: the text is sent with every page. */
static void add_script(struct buf *out, const char *secret)
{
    struct str rest = str_trim(script_text());

    if (str_ends(rest, STR(";")))
        rest.len--;
    while (rest.ptr != NULL) {
        struct str line = str_trim(str_cut(&rest, '\n'));

        if (line.len == 0 || str_starts(line, STR("//")))
            continue;
        for (ptrdiff_t at; (at = str_find(line, STR("@SECRET@"))) >= 0;
             line = str_skip(line, (size_t)at + 8)) {
            buf_add(out, line.ptr, (size_t)at);
            buf_adds(out, secret);
        }
        buf_addstr(out, line);
        buf_addc(out, '\n');
    }
}

/* navigator's, for realms where no command reaches them. */
static struct json *navigator_json(const struct identity *id)
{
    struct json *j = json_new_object();

    if (id->platform != NULL && id->platform[0] != '\0')
        json_add_str(j, "platform", id->platform);
    if (id->user_agent != NULL && id->user_agent[0] != '\0') {
        json_add_str(j, "userAgent", id->user_agent);
        if (str_starts(str_from(id->user_agent), STR("Mozilla/")))
            json_add_str(j, "appVersion", id->user_agent + 8);
    }
    if (id->device_memory_gb > 0)
        json_add_num(j, "deviceMemory", id->device_memory_gb);
    return j;
}

/* Metrics overrides know neither a work area nor a window's own bars. */
static void add_screen(const struct identity *id, struct json *j)
{
    struct json *screen = json_new_object(), *window = json_new_object();

    json_add_num(screen, "availLeft", id->avail_x);
    json_add_num(screen, "availTop", id->avail_y);
    json_add_num(screen, "availWidth", id->avail_w);
    json_add_num(screen, "availHeight", id->avail_h);
    json_add_num(window, "outerWidth", id->window_w);
    json_add_num(window, "outerHeight", id->window_h);
    json_add(j, "screen", screen);
    json_add(j, "window", window);
}

void patch_name(const struct identity *id, char out[PATCH_NAME_LEN + 1])
{
    struct rng r;

    rng_seed(&r, str_from(id->id), STR("patch"));
    snprintf(out, PATCH_NAME_LEN + 1, "%016" PRIx64, rng_u64(&r));
}

void patch_write(const struct identity *id, bool own_process, struct buf *head, struct buf *tail)
{
    struct json *j, *gpu;
    char secret[PATCH_NAME_LEN + 1], noise[17];

    BUG_ON(id->honest);
    patch_name(id, secret);
    snprintf(noise, sizeof noise, "%016" PRIx64, id->noise_seed);
    j = json_add_str(json_new_object(), "secret", secret);
    json_add(j, "navigator", navigator_json(id));
    if (id->noise_seed != 0)
        json_add_str(j, "noise", noise);
    if (id->webgl_renderer != NULL && id->webgl_renderer[0] != '\0') {
        gpu = json_push(json_new_array(), json_new_str(str_from(id->webgl_vendor)));
        json_add(j, "gpu", json_push(gpu, json_new_str(str_from(id->webgl_renderer))));
    }
    if (!own_process && id->avail_w > 0)
        add_screen(id, j);
    else if (id->window_h > id->viewport_h)
        json_add_num(j, "bars", id->window_h - id->viewport_h);
    add_script(head, secret);
    buf_truncate(head, head->len - 1);
    buf_addc(head, '(');
    json_print(j, 0, head);
    buf_addc(head, ',');
    json_destroy(&j);
    /* The name by which the script finds its own lines in a stack. */
    buf_addf(tail, ")\n//# sourceURL=%s", secret);
}
