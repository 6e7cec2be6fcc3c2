/* What real clients look like: tables with weights, their sources named in data/README.md. Static,
 * read only. */
#ifndef FINGERPRINTS_CATALOG_H
#define FINGERPRINTS_CATALOG_H

#include "core/base/str.h"
#include "fingerprints/identity.h"

struct catalog_screen {
    uint32_t w, h; /* CSS pixels */
    double dpr;
    double weight[OS_COUNT]; /* 0: not with this system */
};

/** Screen space that the desktop's own bars take, CSS pixels. */
struct catalog_bars {
    uint32_t top, bottom;
    double weight;
};

struct catalog_count {
    uint32_t n;
    double weight[OS_COUNT];
};

struct catalog_gpu {
    const char *vendor, *renderer; /* WEBGL_debug_renderer_info's */
    double weight;
};

/** A telephone: everything that its model fixes. */
struct catalog_phone {
    const char *model;   /* Sec-CH-UA-Model */
    const char *version; /* Sec-CH-UA-Platform-Version */
    uint32_t w, h;       /* screen, CSS pixels, upright */
    uint32_t viewport_h; /* what Chromium leaves of it to the page, bars shown */
    double dpr;
    uint32_t cores;
    struct catalog_gpu gpu; /* its weight is the phone's */
};

struct catalog_locale {
    const char *tag;       /* "de-DE": navigator.language and first of the languages */
    const char *ui;        /* Chromium's UI locale, which is Intl's: "de" */
    const char *languages; /* navigator.languages, comma-separated, best first */
    const char *country;   /* ISO 3166-1, lower case */
    const char *zones[4];  /* IANA zones of the country, most people first; NULL-terminated when
                              fewer */
    double weight;
};

enum { CATALOG_BARS_MAX = 4, CATALOG_VERSIONS_MAX = 4, CATALOG_GPUS_MAX = 12 };

/** How an operating system shows itself in user agent, client hints and WebGL. */
struct catalog_os {
    const char *name;        /* in configuration: "linux" */
    const char *ua_platform; /* inside the parentheses of the user agent */
    const char *platform;    /* navigator.platform */
    const char *ch_platform, *ch_architecture, *ch_bitness, *ch_form_factor;
    const char *ch_versions[CATALOG_VERSIONS_MAX]; /* Sec-CH-UA-Platform-Version; phones have their
                                                      own */
    struct catalog_bars bars[CATALOG_BARS_MAX];
    uint32_t window_chrome;  /* height of the browser's own tabs and bars, CSS pixels */
    const char *webgl_marks; /* one of these words, separated by '|', is in each renderer */
    struct catalog_gpu gpus[CATALOG_GPUS_MAX];
};

extern const struct catalog_screen catalog_screens[];
extern const size_t catalog_n_screens;
extern const struct catalog_count catalog_cores[];
extern const size_t catalog_n_cores;
extern const struct catalog_phone catalog_phones[];
extern const size_t catalog_n_phones;
extern const struct catalog_os catalog_oses[OS_COUNT];

/** NULL when there is no such locale ("de" finds "de-DE"). */
const struct catalog_locale *catalog_locale_find(struct str tag);
/** The country's most usual locale; NULL when the catalogue has none. */
const struct catalog_locale *catalog_country_find(struct str country);
must_check bool catalog_os_find(struct str name, enum identity_os *out);
/** The zone is one of the country's. */
bool catalog_zone_in(struct str country, struct str zone);

#endif
