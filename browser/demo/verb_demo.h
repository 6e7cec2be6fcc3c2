/* `fleet demo`: a real campaign against sites and proxies of its own, and whether all that it
 * promises was seen. */
#ifndef BROWSER_DEMO_VERB_DEMO_H
#define BROWSER_DEMO_VERB_DEMO_H

#include "core/cli/cli.h"

/** verb_demo_site is the sites' own process, not listed in help. */
extern const struct cli_verb verb_demo, verb_demo_site;

#endif
