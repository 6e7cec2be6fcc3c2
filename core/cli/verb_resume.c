/* `resume`: goes on with a campaign that a crash or a signal left unfinished. All it takes is in
 * the state directory: the campaign's file may be gone. */
#include <stdio.h>

#include "core/base/file.h"
#include "core/cli/cli.h"
#include "core/coord/store.h"

static const struct cli_option options[] = {
    {"abandon", 0, NULL, "cancel what is left of CAMPAIGN and close it"},
    {"json", 0, NULL, "print the summary as JSON on standard output"},
    {"quiet", 'q', NULL, "no progress and no summary on standard error"},
    {NULL, 0, NULL, NULL},
};

/* What is looked for among the batches, and what was found. */
struct search {
    const char *id; /* NULL: the newest that can be resumed */
    struct store_batch batch;
    bool found;
};

static void id_of(const struct store_batch *b, char out[BATCH_ID_MAX])
{
    snprintf(out, BATCH_ID_MAX, "b-%07u", b->n);
}

static bool look(void *arg, const struct store_batch *b)
{
    struct search *s = arg;
    char id[BATCH_ID_MAX];

    id_of(b, id);
    if (s->id ? strcmp(s->id, id) == 0 : b->brings_engine && !batch_is_over(b->state)) {
        s->batch = *b;
        s->found = true;
    }
    return true;
}

/* EXIT_OK with *go_on true: there is one to go on with. Otherwise it was said why not. */
static int find(struct cli *c, struct search *s, const char *path, struct arena *a, bool *go_on)
{
    const char *program = cli_program(c)->name;
    struct err e = ERR_INIT;
    enum status st = STATUS_OK;

    *go_on = false;
    if (access(path, F_OK) == 0)
        st = store_read_batches(path, 0, a, look, s, &e);
    if (st != STATUS_OK)
        return cli_fail(c, &e);
    if (!s->found && s->id) {
        err_set(&e, STATUS_NOT_FOUND, "there is no campaign %s in %s", s->id, cli_state_dir(c));
        return cli_fail(c, &e);
    }
    if (!s->found) {
        if (!cli_has(c, "quiet"))
            fprintf(stderr, "%s: nothing to resume: no campaign in %s is unfinished\n", program,
                    cli_state_dir(c));
        return EXIT_OK;
    }
    if (batch_is_over(s->batch.state)) {
        if (!cli_has(c, "quiet"))
            fprintf(stderr, "%s: nothing to resume: %s is %s\n", program, s->id,
                    batch_state_name(s->batch.state));
        return EXIT_OK;
    }
    if (!s->batch.brings_engine) {
        err_set(&e, STATUS_INVALID,
                "%s was submitted to a server: \"%s serve\" goes on with it when it starts", s->id,
                program);
        return cli_fail(c, &e);
    }
    *go_on = true;
    return EXIT_OK;
}

static int go_on_with(struct cli *c, const struct store_batch *b, const char *path, struct arena *a)
{
    struct campaign_files files;
    const struct campaign_source source = {
        .from = &files,
        .executor = cli_has(c, "abandon") ? NULL : cli_program(c)->kit->executor,
    };
    struct buf errors = BUF_INIT(BUF_MAX_MESSAGE);
    struct campaign_conf conf;
    struct err e = ERR_INIT;
    char id[BATCH_ID_MAX];
    int code;

    id_of(b, id);
    if (store_read_files(path, b->n, a, &files, &e) != STATUS_OK) {
        err_prefix(&e, "%s", id);
        code = cli_fail(c, &e);
    } else if (campaign_load_from(a, &source, &conf, &errors, &e) != STATUS_OK) {
        fputs(errors.ptr, stderr);
        code = status_exit(e.status);
    } else {
        const struct cli_run_opts opts = {
            .conf = &conf,
            .files = &files,
            .resume = id,
            .abandon = cli_has(c, "abandon"),
            .state_dir = cli_state_dir(c),
            .quiet = cli_has(c, "quiet"),
            .json = cli_has(c, "json"),
        };

        code = cli_run(c, &opts);
    }
    buf_deinit(&errors);
    return code;
}

static int run(struct cli *c)
{
    cleanup_free char *path = file_join(cli_state_dir(c), "log.sqlite");
    struct search s = {.id = cli_n_args(c) > 0 ? cli_arg(c, 0) : NULL};
    struct err e = ERR_INIT;
    struct arena *a;
    bool go_on;
    int code;

    if (cli_has(c, "abandon") && !s.id) {
        err_set(&e, STATUS_USAGE, "--abandon: expected the id of a campaign, such as b-0000012");
        return cli_fail(c, &e);
    }
    a = arena_create(NULL, 0);
    code = find(c, &s, path, a, &go_on);
    if (go_on)
        code = go_on_with(c, &s.batch, path, a);
    arena_destroy(&a);
    return code;
}

const struct cli_verb verb_resume = {
    .name = "resume",
    .summary = "Go on with a campaign that was not finished",
    .usage = "[CAMPAIGN]",
    .options = options,
    .max_args = 1,
    .details =
        "CAMPAIGN is the id that \"run\" told, such as b-0000012; default: the newest that is not\n"
        "finished. What is done is not done again; results, receipts and attempts go on where "
        "they\n"
        "were. A task that was about to do what cannot be repeated when everything stopped ends\n"
        "unknown; one with which the program went down three times ends dead. The campaign is as "
        "it\n"
        "was when it began: its files are not read again. Exit codes are those of \"run\"; with\n"
        "nothing to resume 0, and 3 when there is no such campaign.\n"
        "\n"
        "With --abandon CAMPAIGN nothing runs any more: what is left of it is cancelled, each task "
        "with\n"
        "its receipt and its line, and the campaign is closed. Exit code 0.",
    .run = run,
};
