/* What real clients look like: tables with weights, their sources named in data/README.md. Static, read only. */
#ifndef FINGERPRINTS_CATALOG_H
#define FINGERPRINTS_CATALOG_H

#include "fingerprints/identity.h"

struct catalog_screen {
    uint32_t w, h; /* CSS pixels */
    double dpr;
    double weight;
};

struct catalog_locale {
    const char *tag;       /* "de-DE": navigator.language and first of the languages */
    const char *ui;        /* Chromium's UI locale, which is Intl's: "de" */
    const char *languages; /* navigator.languages, comma-separated, best first */
    const char *country;   /* ISO 3166-1, lower case */
    const char *zones[4];  /* IANA zones of the country, most people first; NULL-terminated when fewer */
    double weight;
};

/** How an operating system shows itself in user agent and client hints. */
struct catalog_os {
    const char *name;        /* in configuration: "linux" */
    const char *ua_platform; /* inside the parentheses of the user agent */
    const char *platform;    /* navigator.platform */
    const char *ch_platform, *ch_platform_version, *ch_architecture, *ch_bitness;
    uint32_t bar_top, bar_bottom; /* screen space that the desktop's own bars take, CSS pixels */
    double window_chrome;         /* height of the browser's own tabs and bars, CSS pixels */
};

extern const struct catalog_screen catalog_screens[];
extern const size_t catalog_n_screens;
extern const struct catalog_locale catalog_locales[];
extern const size_t catalog_n_locales;
extern const struct catalog_os catalog_oses[OS_COUNT];

/** NULL when there is no such locale ("de" finds "de-DE"). */
const struct catalog_locale *catalog_locale_find(struct str tag);
must_check bool catalog_os_find(struct str name, enum identity_os *out);

#endif
