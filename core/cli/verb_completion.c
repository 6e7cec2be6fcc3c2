/* Shell completion, from the table of verbs. */
#include <stdio.h>

#include "core/cli/cli_internal.h"
#include "core/conf/campaign.h"

static void config_key(void *arg, const char *path, const struct json_field *f)
{
    char name[JSON_PATH_MAX];

    fprintf(arg, " --%s%s", override_flag_name(path, name), f->kind == JK_BOOL ? "" : "=");
}

static void verb_options(const struct cli_verb *v)
{
    for (size_t i = 0; i < cli_options_len(v); i++)
        printf(" --%s%s", v->options[i].name, v->options[i].value ? "=" : "");
    printf(" --help --log= --state-dir=");
    if (v->takes_config)
        schema_walk(campaign_schema(), config_key, stdout);
}

static void second_words(const struct cli_program *p)
{
    for (size_t i = 0; p->verbs[i]; i++) {
        const char *space = strchr(p->verbs[i]->name, ' ');

        if (space)
            printf("        \"%.*s \"*) words+=\" %s\" ;;&\n", (int)(space - p->verbs[i]->name),
                   p->verbs[i]->name, space + 1);
    }
}

static int run(struct cli *c)
{
    const struct cli_program *p = cli_program(c);

    if (strcmp(cli_arg(c, 0), "bash") != 0)
        return cli_usage(c, "completion: found \"%s\", expected bash", cli_arg(c, 0));
    printf("# bash completion of %s; source it, or put it into "
           "/etc/bash_completion.d/%s\n_%.*s_complete() {\n",
           p->name, p->name, (int)strcspn(p->name, "-"), p->name);
    printf("    local word=${COMP_WORDS[COMP_CWORD]} said=\"${COMP_WORDS[*]:1:COMP_CWORD-1} \" "
           "words=\"\"\n    case $said in\n        \" \")");
    printf(" words=\"");
    for (size_t i = 0; p->verbs[i]; i++) {
        if (!p->verbs[i]->hidden)
            printf("%.*s ", (int)strcspn(p->verbs[i]->name, " "), p->verbs[i]->name);
    }
    printf("\" ;;\n    esac\n    case $said in\n");
    second_words(p);
    for (size_t i = 0; p->verbs[i]; i++) {
        if (p->verbs[i]->hidden)
            continue;
        printf("        \"%s \"*) words+=\"", p->verbs[i]->name);
        verb_options(p->verbs[i]);
        printf("\" ;;&\n");
    }
    printf("    esac\n    COMPREPLY=($(compgen -W \"$words\" -f -- \"$word\"))\n}\n"
           "complete -o nospace -F _%.*s_complete %s\n",
           (int)strcspn(p->name, "-"), p->name, p->name);
    return EXIT_OK;
}

const struct cli_verb verb_completion = {
    .name = "completion",
    .summary = "Print a script that completes verbs and options in a shell",
    .usage = "bash",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
