/* `scale`, `pause`, `unpause`, `drain` and `config set`: the running engine is changed. */
#include <stdio.h>

#include "core/cli/remote.h"

static const struct cli_option options[] = {
    {"json", 0, NULL, "print the engine's answer as JSON"},
    {NULL, 0, NULL, NULL},
};

static int change(struct cli *c, const char *method, const char *path, struct json **body,
                  struct json **answer)
{
    struct buf text = BUF_INIT(BUF_MAX_LINE);
    int code;

    if (*body)
        json_print(*body, 0, &text);
    json_destroy(body);
    code = remote_call(c, method, path, buf_str(&text), answer);
    buf_deinit(&text);
    if (code == EXIT_OK && cli_has(c, "json"))
        code = cli_print_json(c, *answer);
    return code;
}

static int scale(struct cli *c)
{
    struct json *body = json_new_object(), *j;
    uint64_t n;
    int code;

    if (!str_to_u64(str_from(cli_arg(c, 0)), UINT32_MAX, &n)) {
        json_destroy(&body);
        return cli_usage(c, "scale: found \"%s\", expected a number of slots", cli_arg(c, 0));
    }
    json_add_num(body, "slots", (double)n);
    code = change(c, "POST", "/v1/scale", &body, &j);
    if (code == EXIT_OK && !cli_has(c, "json"))
        printf("%.0f slots from now on\n", json_num(json_at(j, "settings", "slots", NULL), 0));
    json_destroy(&j);
    return code;
}

/* --- config set --- */

/* "retry.max=3" -> {"retry":{"max":3}}; text that is no JSON goes as a string, for the engine to
 * say what it expected. */
static struct json *setting(const char *text)
{
    struct str value = str_from(text), key = str_cut(&value, '=');
    struct json *j = json_new_object(), *v, *inner;
    struct str second = key, first = str_cut(&second, '.');
    char name[128];

    v = json_parse(value, true, NULL);
    if (!v)
        v = json_new_str(value);
    if (second.ptr) {
        snprintf(name, sizeof(name), "%.*s", STR_ARG(second));
        inner = json_add(json_new_object(), name, v);
        v = inner;
    }
    snprintf(name, sizeof(name), "%.*s", STR_ARG(first));
    return json_add(j, name, v);
}

static int config_set(struct cli *c)
{
    struct json *body, *j;
    int code;

    if (!strchr(cli_arg(c, 0), '='))
        return cli_usage(c, "config set: found \"%s\", expected KEY=VALUE", cli_arg(c, 0));
    body = setting(cli_arg(c, 0));
    code = change(c, "PATCH", "/v1/config", &body, &j);
    if (code == EXIT_OK && !cli_has(c, "json"))
        printf("%s, for attempts that begin from now on\n", cli_arg(c, 0));
    json_destroy(&j);
    return code;
}

/* --- pause, unpause, drain --- */

static int post(struct cli *c, const char *path, const char *said)
{
    struct json *none = NULL, *j;
    int code = change(c, "POST", path, &none, &j);

    if (code == EXIT_OK && !cli_has(c, "json"))
        puts(said);
    json_destroy(&j);
    return code;
}

static int pause_engine(struct cli *c)
{
    return post(c, "/v1/pause", "no new task begins; those that run go on");
}

static int unpause(struct cli *c)
{
    return post(c, "/v1/resume", "tasks begin again");
}

static int drain(struct cli *c)
{
    return post(c, "/v1/drain", "what runs is finished, then the engine ends");
}

const struct cli_verb verb_scale = {
    .name = "scale",
    .summary = "Change the number of slots of the running engine",
    .usage = "N",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = scale,
};

const struct cli_verb verb_config_set = {
    .name = "config set",
    .summary = "Change a setting of the running engine",
    .usage = "KEY=VALUE",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .details =
        "KEY is slots, target_concurrency, deadlines.queued_ms, deadlines.run_ms,\n"
        "deadlines.total_ms, retry.max, retry.base_ms, retry.cap_ms, autoscale.cpu_pressure,\n"
        "autoscale.memory_pressure, autoscale.memory_available or autoscale.per_cpu. It holds for\n"
        "attempts that begin from now on, until the engine ends.",
    .run = config_set,
};

const struct cli_verb verb_pause = {
    .name = "pause",
    .summary = "Hold back new tasks of the running engine",
    .usage = "",
    .options = options,
    .run = pause_engine,
};

const struct cli_verb verb_unpause = {
    .name = "unpause",
    .summary = "Let tasks of the paused engine begin again",
    .usage = "",
    .options = options,
    .run = unpause,
};

const struct cli_verb verb_drain = {
    .name = "drain",
    .summary = "Let the running engine finish what runs, and end",
    .usage = "",
    .options = options,
    .run = drain,
};
