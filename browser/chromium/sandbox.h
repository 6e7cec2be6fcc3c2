/* The level that an instance runs at, told: in words, as JSON, as a receipt. */
#ifndef BROWSER_CHROMIUM_SANDBOX_H
#define BROWSER_CHROMIUM_SANDBOX_H

#include "browser/chromium/instance.h"
#include "core/base/json.h"

struct audit;

enum { SANDBOX_WORDS_MAX = REAPER_LAYERS_TEXT_MAX + 16 };
/** "all layers", or "without landlock,cgroup-limits": what this machine, or the configuration, kept
 * from it. Returns out. */
char *sandbox_words(uint32_t layers, char out[SANDBOX_WORDS_MAX]);
/** Layers that it should have and has not: those of REAPER_LAYERS_REQUIRED, and the network
 * namespace. */
uint32_t sandbox_lacks(uint32_t layers);
/** "guarantee" and "layers" (an array of names) into the object. */
void sandbox_describe(uint32_t layers, struct json *into);
/** A receipt of kind "instance": that `m` runs on `i`, and at which level; payload
 * {"browser","guarantee","instance","layers"}. `log` NULL: none. */
void sandbox_receipt(struct audit *log, const struct instance *i, const struct member *m);

#endif
