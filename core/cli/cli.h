/* The command line: a table of verbs. A program (core/main.c, browser/main.c) registers the verbs
 * it has and calls cli_main; --help of each, shell completion and the manual page come from the
 * table.
 *
 *   fleet [--log LEVEL] [--state-dir DIR] VERB [options] [arguments]
 *
 * A verb may be two words ("audit verify"). Options are --name, --name=value, --name value, -x;
 * "--" ends them. */
#ifndef CORE_CLI_CLI_H
#define CORE_CLI_CLI_H

#include <stdio.h>

#include "core/base/err.h"
#include "core/base/json.h"
#include "core/conf/override.h"
#include "core/coord/run.h"

struct cli;
struct doctor;
struct serve_face;

struct cli_option {
    const char *name;  /* "json", without dashes */
    char letter;       /* 0: none */
    const char *value; /* what stands for the value in the help: "FILE"; NULL: it takes none */
    const char *doc;   /* one line */
};

struct cli_verb {
    const char *name;    /* "run", "audit verify" */
    const char *summary; /* one line, no full stop */
    const char *usage;   /* arguments: "FILE" or "" */
    const struct cli_option
        *options; /* beside --help, ended by a row with name NULL; may be NULL */
    unsigned min_args, max_args;
    bool hidden;         /* for the program itself: not listed, suggested or completed */
    bool takes_config;   /* every key of a campaign is an option as well */
    int fail_exit;       /* what cli_fail and cli_usage return where 1 to 4 mean something else for
                            this verb; 0: the codes of statuses */
    const char *details; /* paragraphs below the options in --help; may be NULL */
    /** Returns the exit code. */
    int (*run)(struct cli *c);
};

/** What a program is. */
struct cli_program {
    const char *name; /* "fleet" */
    const char *summary;
    const struct cli_verb *const *verbs; /* ended by NULL */
    const struct run_kit *kit;
    void (*const *checks)(struct doctor *d); /* its own of `doctor` (doctor.h), ended by NULL */
    const struct serve_face *const *faces;   /* of `serve` beside the control API (serve.h), ended
                                                by NULL; NULL: none */
};

/** Parses and runs. Returns the exit code. */
int cli_main(const struct cli_program *p, int argc, char **argv);

/* --- for verbs --- */
const struct cli_program *cli_program(const struct cli *c);
const struct cli_verb *cli_verb(const struct cli *c);
/** Value of an option of the verb ("" for one without a value), or NULL when it was not given. */
const char *cli_get(const struct cli *c, const char *option);
static inline bool cli_has(const struct cli *c, const char *option)
{
    return cli_get(c, option) != NULL;
}
size_t cli_n_args(const struct cli *c);
const char *cli_arg(const struct cli *c, size_t i);
/** Keys given as flags and in the environment (takes_config). */
struct overrides *cli_overrides(const struct cli *c);
/** --state-dir, FLEET_STATE_DIR, or ".fleet". */
const char *cli_state_dir(const struct cli *c);
/** "fleet: <sentence>" to standard error; returns the exit code of its status, or the verb's
 * fail_exit. */
int cli_fail(const struct cli *c, const struct err *e);
/** A usage error: the sentence, and where help is. Returns EXIT_USAGE, or the verb's fail_exit. */
int cli_usage(const struct cli *c, const char *fmt, ...) printf_like(2, 3);
/** The tree, pretty, to standard output. Returns EXIT_OK, or EXIT_ENVIRONMENT when it cannot be
 * written. */
int cli_print_json(const struct cli *c, const struct json *j);

/** Runs a loaded campaign with progress and summary on this terminal until its end; signals drain
 * it. What `fleet run` and `fleet demo` do. `extra` (may be NULL) looks on as well. Returns the
 * exit code. */
struct cli_run_opts {
    const struct campaign_conf *conf;
    const struct campaign_files *files; /* what it was loaded from; NULL: it cannot be resumed */
    const char *resume;                 /* id of the batch to go on with; NULL: a new one */
    bool abandon;                       /* with `resume`: cancel what is left of it */
    const char *state_dir;
    bool quiet, json;
    const struct run_watch *extra;
    /** Called when the run is over, before it is destroyed; may be NULL. */
    void (*on_over)(void *arg, struct run *r);
    void *arg;
    struct loop *loop; /* NULL: one of its own */
};
int cli_run(const struct cli *c, const struct cli_run_opts *opts);

/* The verbs that need no browser, */
extern const struct cli_verb verb_run, verb_resume, verb_config_show, verb_config_check,
    verb_audit_verify, verb_audit_prove, verb_audit_consistency, verb_audit_export,
    verb_audit_rotate, verb_breaker_list, verb_breaker_reset, verb_proxy_list, verb_identity_new,
    verb_identity_list, verb_identity_show, verb_identity_import, verb_identity_export,
    verb_identity_rotate, verb_identity_remove, verb_identity_check, verb_proxy_check, verb_serve,
    verb_status, verb_scale, verb_pause, verb_unpause, verb_drain, verb_config_set,
    verb_batch_submit, verb_batch_list, verb_batch_status, verb_batch_results, verb_batch_cancel,
    verb_batch_remove, verb_version, verb_completion, verb_ops;

/* and their rows in a program's table, in the order of its help: a program has them all, and puts
 * its own between the groups. */
/* clang-format off */
#define CLI_VERBS_RUN                                                                              \
    &verb_run, &verb_resume
#define CLI_VERBS_ENGINE                                                                           \
    &verb_serve, &verb_status,                                                                     \
    &verb_batch_submit, &verb_batch_list, &verb_batch_status, &verb_batch_results,                 \
    &verb_batch_cancel, &verb_batch_remove,                                                        \
    &verb_scale, &verb_pause, &verb_unpause, &verb_drain
#define CLI_VERBS_FILES                                                                            \
    &verb_config_show, &verb_config_check, &verb_config_set,                                       \
    &verb_audit_verify, &verb_audit_prove, &verb_audit_consistency, &verb_audit_export,            \
    &verb_audit_rotate,                                                                            \
    &verb_breaker_list, &verb_breaker_reset,                                                       \
    &verb_identity_new, &verb_identity_list, &verb_identity_show, &verb_identity_import,           \
    &verb_identity_export, &verb_identity_rotate, &verb_identity_remove, &verb_identity_check,     \
    &verb_proxy_list, &verb_proxy_check
#define CLI_VERBS_PROGRAM                                                                          \
    &verb_ops, &verb_completion, &verb_version
/* clang-format on */

#endif
