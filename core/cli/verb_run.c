#include <stdio.h>

#include "core/cli/cli.h"

static const struct cli_option options[] = {
    {"json", 0, NULL, "print the summary as JSON on standard output"},
    {"quiet", 'q', NULL, "no progress and no summary on standard error"},
    {NULL, 0, NULL, NULL},
};

static int run(struct cli *c)
{
    struct campaign_files files = {0};
    const struct campaign_source source = {
        .path = cli_arg(c, 0),
        .keep = &files,
        .overrides = cli_overrides(c),
        .executor = cli_program(c)->kit->executor,
    };
    struct arena *a = arena_create(NULL, 0);
    struct buf errors = BUF_INIT(BUF_MAX_MESSAGE);
    struct campaign_conf conf;
    struct err e = ERR_INIT;
    enum status s = campaign_load_from(a, &source, &conf, &errors, &e);
    int code = status_exit(s);

    if (s == STATUS_OK) {
        const struct cli_run_opts opts = {
            .conf = &conf,
            .files = &files,
            .state_dir = cli_state_dir(c),
            .quiet = cli_has(c, "quiet"),
            .json = cli_has(c, "json"),
        };

        code = cli_run(c, &opts);
    } else {
        fputs(errors.ptr, stderr);
    }
    buf_deinit(&errors);
    arena_destroy(&a);
    return code;
}

const struct cli_verb verb_run = {
    .name = "run",
    .summary = "Run a campaign",
    .usage = "FILE",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .takes_config = true,
    .details =
        "FILE is a campaign; - is standard input. It is checked whole before anything starts.\n"
        "The first Ctrl-C or SIGTERM lets what runs finish, the second stops it at once. What is "
        "left\n"
        "then, or after a crash, \"resume\" goes on with.\n"
        "Exit codes: 0 all tasks succeeded, 2 usage, 3 the campaign is not valid, 4 some tasks\n"
        "failed, 5 all did, 6 a breaker opened, 7 a person is wanted, 8 the audit chain does not\n"
        "verify, 9 the machine lacks something, 130 and 143 stopped by a signal.",
    .run = run,
};
