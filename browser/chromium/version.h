/* The version of a browser, without starting it: identities are made before the first instance
 * answers. */
#ifndef BROWSER_CHROMIUM_VERSION_H
#define BROWSER_CHROMIUM_VERSION_H

#include "core/base/err.h"

/** Reads it out of the program's file ("156.0.8078.79"; some 0.1 s), or, when the file is the one
 * of last time, out of
 *  `<state_dir>/cache/browser-version` (NULL: nothing is kept). FLEET_BROWSER_VERSION goes before
 * both. Blocking. ENVIRONMENT when the file holds none. */
must_check enum status browser_version_of(const char *path, const char *state_dir, char out[32],
                                          struct err *e);

#endif
