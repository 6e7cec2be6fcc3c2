/* What the files of the command line share. */
#ifndef CORE_CLI_CLI_INTERNAL_H
#define CORE_CLI_CLI_INTERNAL_H

#include "core/cli/cli.h"

enum { CLI_OPTIONS_MAX = 32 };

struct cli {
    const struct cli_program *program;
    const struct cli_verb *verb;         /* NULL: none was named */
    const char *values[CLI_OPTIONS_MAX]; /* of the verb's options, by index */
    const char **args;
    size_t n_args;
    struct overrides *overrides;
    const char *state_dir;
    const char *log;
    bool help, version;
};

size_t cli_options_len(const struct cli_verb *v);

/** "audit" of "audit verify". */
bool cli_is_first_word(const char *name, const char *word);

/* cli_help.c */
void cli_help_program(const struct cli_program *p, FILE *out);
/** Of the verbs whose first word is `word`. */
void cli_help_group(const struct cli_program *p, const char *word, FILE *out);
void cli_help_verb(const struct cli_program *p, const struct cli_verb *v, FILE *out);

#endif
