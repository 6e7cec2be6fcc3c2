#include <stdio.h>

#include "core/cli/cli.h"
#include "core/conf/campaign.h"

static const struct cli_option show_options[] = {
    {"json", 0, NULL, "print the result as JSON"},
    {"origin", 0, NULL, "tell where each value comes from"},
    {NULL, 0, NULL, NULL},
};
static const struct cli_option check_options[] = {
    {"json", 0, NULL, "print the result as JSON"},
    {NULL, 0, NULL, NULL},
};

struct show {
    const struct cli *cli;
    const struct campaign_conf *conf;
    const struct json *tree; /* effective */
    struct json *out;        /* with --json --origin: {"/path": {"value", "origin"}} */
};

static const struct json *at_path(const struct json *j, const char *path)
{
    struct str rest = str_from(path + 1);

    while (rest.ptr && j) {
        struct str name = str_cut(&rest, '/');
        char key[JSON_PATH_MAX];

        snprintf(key, sizeof(key), "%.*s", STR_ARG(name));
        j = json_get(j, key);
    }
    return j;
}

static const char *origin_of(const struct show *s, const char *path)
{
    const struct override *o = overrides_at(cli_overrides(s->cli), path);

    if (o)
        return o->name;
    if (at_path(s->conf->tree, path))
        return s->conf->path ? s->conf->path : "standard input";
    return "default";
}

static void show_key(void *arg, const char *path, const struct json_field *f)
{
    struct show *s = arg;
    const struct json *v = at_path(s->tree, path);
    struct buf text = BUF_INIT(BUF_MAX_LINE);
    char name[JSON_PATH_MAX];

    (void)f;
    if (!v)
        return;
    if (s->out) {
        struct json *one = json_add(json_new_object(), "value", json_dup(v));

        json_add(s->out, path, json_add_str(one, "origin", origin_of(s, path)));
        return;
    }
    json_print(v, 0, &text);
    snprintf(name, sizeof(name), "%s", path + 1);
    for (char *p = name; *p; p++)
        *p = *p == '/' ? '.' : *p;
    if (cli_has(s->cli, "origin"))
        printf("%-36s %-28s %s\n", name, text.ptr, origin_of(s, path));
    else
        printf("%-36s %s\n", name, text.ptr);
    buf_deinit(&text);
}

static int print(struct cli *c, const struct campaign_conf *conf)
{
    struct json *tree = campaign_to_json(conf);
    struct show s = {.cli = c, .conf = conf, .tree = tree};
    int code = EXIT_OK;

    if (cli_has(c, "json") && !cli_has(c, "origin")) {
        code = cli_print_json(c, tree);
    } else {
        if (cli_has(c, "json"))
            s.out = json_new_object();
        schema_walk(campaign_schema(), show_key, &s);
        if (s.out)
            code = cli_print_json(c, s.out);
        json_destroy(&s.out);
    }
    json_destroy(&tree);
    return code;
}

static int load(struct cli *c, bool lenient,
                int (*then)(struct cli *c, const struct campaign_conf *))
{
    const struct campaign_source source = {
        .path = cli_arg(c, 0),
        .overrides = cli_overrides(c),
        .executor = lenient ? NULL : cli_program(c)->kit->executor,
        .lenient = lenient,
    };
    struct arena *a = arena_create(NULL, 0);
    struct buf errors = BUF_INIT(BUF_MAX_MESSAGE);
    struct campaign_conf conf;
    struct err e = ERR_INIT;
    enum status s = campaign_load_from(a, &source, &conf, &errors, &e);
    int code = status_exit(s);

    if (s == STATUS_OK)
        code = then(c, &conf);
    else
        fputs(errors.ptr, stderr);
    buf_deinit(&errors);
    arena_destroy(&a);
    return code;
}

static int show(struct cli *c)
{
    return load(c, true, print);
}

static int tell_ok(struct cli *c, const struct campaign_conf *conf)
{
    struct json *j;
    int code;

    if (!cli_has(c, "json") && conf->members.count == 0) {
        printf("%s: ok: %zu targets, members of the store's tag \"%s\", %u slots\n", cli_arg(c, 0),
               conf->n_targets, conf->members.store, conf->slots);
        return EXIT_OK;
    }
    if (!cli_has(c, "json")) {
        printf("%s: ok: %zu targets, %u members, %u slots\n", cli_arg(c, 0), conf->n_targets,
               conf->members.count, conf->slots);
        return EXIT_OK;
    }
    j = json_add_bool(json_new_object(), "ok", true);
    json_add_num(j, "targets", (double)conf->n_targets);
    code = cli_print_json(c, j);
    json_destroy(&j);
    return code;
}

static int check(struct cli *c)
{
    return load(c, false, tell_ok);
}

const struct cli_verb verb_config_show = {
    .name = "config show",
    .summary = "Print the effective configuration",
    .usage = "[FILE]",
    .options = show_options,
    .max_args = 1,
    .takes_config = true,
    .run = show,
};

const struct cli_verb verb_config_check = {
    .name = "config check",
    .summary = "Check a campaign with all the files it names, and run nothing",
    .usage = "FILE",
    .options = check_options,
    .min_args = 1,
    .max_args = 1,
    .takes_config = true,
    .run = check,
};
