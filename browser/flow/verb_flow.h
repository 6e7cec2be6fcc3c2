/* `fleet flow check`: a flow in words, and what is wrong with it, without running it. */
#ifndef BROWSER_FLOW_VERB_FLOW_H
#define BROWSER_FLOW_VERB_FLOW_H

#include "core/cli/cli.h"

extern const struct cli_verb verb_flow_check;

#endif
