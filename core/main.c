/* fleet-core: the same verbs without the browser add-on. */
#include <stdio.h>

#include "core/cli/cli.h"
#include "core/cli/doctor.h"
#include "core/http/executor.h"

/* Identities need the version of a browser; plain HTTP shows none of its own. */
static enum status browser_version(const struct campaign_conf *c, const char *state_dir,
                                   char out[32], struct err *e)
{
    (void)c;
    (void)state_dir;
    (void)e;
    snprintf(out, 32, "%s", HTTP_EXECUTOR_BROWSER_VERSION);
    return STATUS_OK;
}

static const struct run_kit kit = {
    .executor = &http_executor,
    .browser_version = browser_version,
};

static const struct cli_verb *const verbs[] = {
    CLI_VERBS_RUN, CLI_VERBS_ENGINE, &verb_doctor, CLI_VERBS_FILES, CLI_VERBS_PROGRAM, NULL,
};

int main(int argc, char **argv)
{
    static const struct cli_program program = {
        .name = "fleet-core",
        .summary = "campaigns over plain HTTP that can be proved",
        .verbs = verbs,
        .kit = &kit,
    };

    return cli_main(&program, argc, argv);
}
