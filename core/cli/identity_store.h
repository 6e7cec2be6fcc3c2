/* What the verbs of `fleet identity` share. */
#ifndef CORE_CLI_IDENTITY_STORE_H
#define CORE_CLI_IDENTITY_STORE_H

#include "core/cli/cli.h"
#include "core/fleet/persona.h"
#include "fingerprints/store.h"

/** Opens the store of the state directory with the key of --key. EXIT_OK, or it was told why
 * not. */
must_check int store_of(const struct cli *c, bool create, struct idstore **out);

#endif
