/* Files packed into the programs at build time (the Makefile's "Embedded files").
 *
 * embed_site:   what is below tests/site/, the demo's pages; paths relative to it
 * ("catalogue/index.html"). Only in programs with the browser add-on, and their tests.
 * embed_assets: what is below core/assets/ and browser/assets/ (report template, dashboard); paths
 * from the root of the source tree ("core/assets/report.html"). fleet-core has those of core alone.
 *
 * Tables are sorted by path in byte order, and end with a row whose path is NULL that the length
 * does not count. The bytes are const, live as long as the program, and a NUL stands behind them
 * that `len` does not count, so text can be used as a string. Any thread. */
#ifndef CORE_BASE_EMBED_H
#define CORE_BASE_EMBED_H

#include <stddef.h>

struct embed_file {
    const char *path;
    const unsigned char *data;
    size_t len;
};

extern const struct embed_file embed_site[];
extern const size_t embed_site_len;
extern const struct embed_file embed_assets[];
extern const size_t embed_assets_len;

#endif
