/* An identity: one coherent browser client. A plain struct, built once from a seed (generate.h) or
 * read from a file (identity_json.h), and never changed afterwards; what must hold between its
 * fields stands in coherence.c as rows with reasons. */
#ifndef FINGERPRINTS_IDENTITY_H
#define FINGERPRINTS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/arena.h"

enum identity_os { OS_LINUX, OS_WINDOWS, OS_MACOS, OS_ANDROID, OS_COUNT };

struct identity_brand {
    const char *brand;
    const char *major;   /* "156" */
    const char *version; /* "156.0.8078.79" */
};

enum { IDENTITY_BRANDS_MAX = 4, IDENTITY_LANGUAGES_MAX = 6, IDENTITY_ID_MAX = 24 };

/* What an identity names and this machine's rendering cannot show: bits of identity.marks. Each has
 * a sentence in coherence.c, which `fleet identity check` prints. */
enum {
    IDENTITY_MARK_FONTS = 1, /* fonts are those of another operating system */
    IDENTITY_MARK_GPU = 2,   /* WebGL names a GPU; limits and pixels are the machine's renderer's */
    IDENTITY_MARK_DEVICE = 4, /* a phone's codecs, sensors and scrolling on a desktop's browser */
};

/** All strings live in the arena it was generated into; none is NULL unless said. */
struct identity {
    char id[IDENTITY_ID_MAX]; /* "i-" and 16 hexadecimal digits: of the seed's hash; the name in
                                 receipts and results */
    const char *seed;
    enum identity_os os;
    bool mobile;
    bool honest; /* declares automation openly: the browser's own user agent and
                    navigator.webdriver, no overrides but locale and zone */

    const char *user_agent;
    const char *platform; /* navigator.platform: "Linux x86_64" */
    struct identity_brand
        brands[IDENTITY_BRANDS_MAX]; /* in the order that Chromium's greasing gives */
    size_t n_brands;
    const char *full_version; /* of the browser: "156.0.8078.79" */
    const char *ch_platform;  /* Sec-CH-UA-Platform: "Linux" */
    const char *ch_platform_version;
    const char *ch_architecture; /* "x86" */
    const char *ch_bitness;      /* "64" */
    const char *ch_model;        /* "" on desktops */
    const char *ch_form_factor;  /* "Desktop", "Mobile" */
    bool ch_wow64;

    const char *locale; /* Intl locale as Chromium's UI has it: "de", "en-GB" */
    const char *languages[IDENTITY_LANGUAGES_MAX]; /* navigator.languages, best first: "de-DE",
                                                      "de", "en-US", "en" */
    size_t n_languages;
    const char *accept_language; /* the header: "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7" */
    const char *timezone;        /* IANA: "Europe/Berlin" */
    const char *country;         /* ISO 3166-1, lower case: where the zone is; "" when the campaign
                                    names zones itself */

    uint32_t screen_w, screen_h;     /* CSS pixels */
    uint32_t avail_x, avail_y;       /* where the work area begins */
    uint32_t avail_w, avail_h;       /* screen without the desktop's bars */
    uint32_t window_w, window_h;     /* outer */
    uint32_t viewport_w, viewport_h; /* inner */
    double device_pixel_ratio;
    uint32_t color_depth;
    uint32_t max_touch_points; /* above 0: pointer coarse and no hover; 0: a mouse */

    uint32_t hardware_concurrency;
    double device_memory_gb;                   /* the machine's real one, in Chromium's classes */
    const char *webgl_vendor, *webgl_renderer; /* "": the browser's own are shown */
    uint64_t noise_seed;                       /* canvas, WebGL and audio; 0: no noise */
    uint32_t marks;                            /* IDENTITY_MARK_* */
};

#endif
