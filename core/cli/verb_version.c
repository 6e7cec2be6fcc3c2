#include <stdio.h>

#include "core/cli/cli.h"
#include "version.h"

static int run(struct cli *c)
{
    printf("%s %s\n", cli_program(c)->name, FLEET_VERSION);
    return EXIT_OK;
}

const struct cli_verb verb_version = {
    .name = "version",
    .summary = "Print the version",
    .usage = "",
    .run = run,
};
