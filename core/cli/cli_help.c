/* Help, from the tables. */
#include <string.h>

#include "core/cli/cli_internal.h"
#include "core/conf/campaign.h"

enum { DOC_COLUMN = 30, WIDTH = 100 };

/* Words of `text` from `column` on, wrapped. */
static void wrap(FILE *out, const char *text, int column)
{
    int at = column;

    while (*text) {
        int n = (int)strcspn(text, " ");

        if (at > column && at + n > WIDTH) {
            fprintf(out, "\n%*s", column, "");
            at = column;
        } else if (at > column) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", n, text);
        at += n;
        text += n;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void line(FILE *out, const char *left, const char *doc)
{
    fprintf(out, "  %-*s", DOC_COLUMN - 3, left);
    if (strlen(left) > DOC_COLUMN - 3)
        fprintf(out, "\n%*s", DOC_COLUMN, "");
    else
        fputc(' ', out);
    wrap(out, doc, DOC_COLUMN);
}

static void option(FILE *out, const struct cli_option *o)
{
    char left[96];

    snprintf(left, sizeof(left), "%c%c%s--%s%s%s", o->letter ? '-' : ' ',
             o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name, o->value ? "=" : "",
             o->value ? o->value : "");
    line(out, left, o->doc);
}

static void add_value(const struct json_field *f, char *out, size_t max)
{
    size_t n = 0;

    if (f->kind == JK_ENUM) {
        for (size_t i = 0; f->names[i] && n < max; i++)
            n += (size_t)snprintf(out + n, max - n, "%s%s", i ? "|" : "=", f->names[i]);
    } else if (f->kind == JK_BOOL) {
        snprintf(out, max, "[=false]");
    } else if (f->kind == JK_STRS) {
        snprintf(out, max, "=A,B,...");
    } else {
        snprintf(out, max, "=%s",
                 f->kind == JK_INT || f->kind == JK_UINT || f->kind == JK_DOUBLE ? "N" : "TEXT");
    }
}

static void key(void *arg, const char *path, const struct json_field *f)
{
    char name[JSON_PATH_MAX], value[128], left[JSON_PATH_MAX + 136];

    add_value(f, value, sizeof(value));
    snprintf(left, sizeof(left), "--%s%s", override_flag_name(path, name), value);
    line(arg, left, f->doc);
}

static const struct cli_option globals[] = {
    {"state-dir", 0, "DIR", "where keys, log, breakers and seeds are kept; default: .fleet"},
    {"log", 0, "LEVEL",
     "what is logged to standard error: error, warn, info, debug or trace; "
     "default: warn"},
    {"help", 'h', NULL, "this text"},
};

void cli_help_verb(const struct cli_program *p, const struct cli_verb *v, FILE *out)
{
    fprintf(out, "%s %s%s%s%s\n\n%s.\n", p->name, v->name,
            cli_options_len(v) > 0 || v->takes_config ? " [options]" : "", v->usage[0] ? " " : "",
            v->usage, v->summary);
    if (v->details)
        fprintf(out, "\n%s\n", v->details);
    fprintf(out, "\nOptions:\n");
    for (size_t i = 0; i < cli_options_len(v); i++)
        option(out, &v->options[i]);
    for (size_t i = 0; i < ARRAY_LEN(globals); i++)
        option(out, &globals[i]);
    if (!v->takes_config)
        return;
    fprintf(out, "\nEvery key of a campaign file is an option as well, and a variable of the "
                 "environment\n(--limits.max-requests=5, FLEET_LIMITS_MAX_REQUESTS=5); an option "
                 "goes before a variable,\na variable before the file:\n");
    schema_walk(campaign_schema(), key, out);
}

/* Of a verb that is shown, and of `word` when there is one. */
static void verb_line(const struct cli_verb *v, const char *word, FILE *out)
{
    char left[96];

    if (v->hidden || (word && !cli_is_first_word(v->name, word)))
        return;
    snprintf(left, sizeof(left), "%s %s", v->name, v->usage);
    line(out, left, v->summary);
}

void cli_help_program(const struct cli_program *p, FILE *out)
{
    fprintf(out, "%s: %s.\n\nUsage: %s VERB [options] [arguments]\n\n", p->name, p->summary,
            p->name);
    for (size_t i = 0; p->verbs[i]; i++)
        verb_line(p->verbs[i], NULL, out);
    fprintf(out, "\n\"%s VERB --help\" tells more of each.\n", p->name);
}

void cli_help_group(const struct cli_program *p, const char *word, FILE *out)
{
    fprintf(out, "Usage: %s %s VERB [options] [arguments]\n\n", p->name, word);
    for (size_t i = 0; p->verbs[i]; i++)
        verb_line(p->verbs[i], word, out);
    fprintf(out, "\n\"%s %s VERB --help\" tells more of each.\n", p->name, word);
}
