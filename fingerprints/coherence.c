/* A rule is a question about one identity whose "no" a page or a server could see. The generator
 * draws what belongs together from one row of the catalogue, so rules do not repeat how it chooses:
 * they state what is true of real clients, also for identities that people write or import. */
#include "fingerprints/coherence.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fingerprints/catalog.h"
#include "fingerprints/generate.h"

/* A rule writes what contradicts what into `why` when it does not hold. */
typedef bool rule_fn(const struct identity *id, const struct coherence_machine *m, struct buf *why);

static const struct catalog_os *os_of(const struct identity *id)
{
    return &catalog_oses[id->os];
}

static bool same(struct buf *why, const char *field, const char *got, const char *want)
{
    if (strcmp(got, want) == 0)
        return true;
    buf_addf(why, "%s is \"%s\", expected \"%s\"", field, got, want);
    return false;
}

/* --- user agent --- */

static bool ua_platform(const struct identity *id, const struct coherence_machine *m,
                        struct buf *why)
{
    char want[64];

    (void)m;
    snprintf(want, sizeof want, "(%s)", os_of(id)->ua_platform);
    if (strstr(id->user_agent, want) != NULL)
        return true;
    buf_addf(why, "user_agent \"%s\" has no \"%s\" of os %s", id->user_agent, want,
             os_of(id)->name);
    return false;
}

static bool ua_version(const struct identity *id, const struct coherence_machine *m,
                       struct buf *why)
{
    char want[32];

    (void)m;
    snprintf(want, sizeof want, "Chrome/%u.0.0.0 ", identity_major(id->full_version));
    if (strstr(id->user_agent, want) != NULL)
        return true;
    buf_addf(why, "user_agent \"%s\" has no \"%s\" of full_version %s", id->user_agent, want,
             id->full_version);
    return false;
}

static bool ua_automation(const struct identity *id, const struct coherence_machine *m,
                          struct buf *why)
{
    bool says = strstr(id->user_agent, "Headless") != NULL;

    (void)m;
    if (says != id->honest)
        buf_addf(why, "honest is %s and user_agent says %s", id->honest ? "true" : "false",
                 says ? "HeadlessChrome" : "Chrome");
    return says == id->honest;
}

static bool ua_mobile(const struct identity *id, const struct coherence_machine *m, struct buf *why)
{
    bool says = strstr(id->user_agent, " Mobile ") != NULL, is = id->os == OS_ANDROID;

    (void)m;
    if (says != id->mobile || is != id->mobile)
        buf_addf(why, "mobile is %s, os is %s and user_agent %s \"Mobile\"",
                 id->mobile ? "true" : "false", os_of(id)->name, says ? "says" : "does not say");
    return says == id->mobile && is == id->mobile;
}

static bool js_platform(const struct identity *id, const struct coherence_machine *m,
                        struct buf *why)
{
    (void)m;
    return same(why, "platform", id->platform, os_of(id)->platform);
}

/* --- client hints --- */

static bool ch_platform(const struct identity *id, const struct coherence_machine *m,
                        struct buf *why)
{
    (void)m;
    return same(why, "ch_platform", id->ch_platform, os_of(id)->ch_platform);
}

static bool ch_version(const struct identity *id, const struct coherence_machine *m,
                       struct buf *why)
{
    struct str rest = str_from(id->ch_platform_version);
    uint64_t v;
    size_t n = 0;

    (void)m;
    if (id->os == OS_LINUX)
        return same(why, "ch_platform_version", id->ch_platform_version, "");
    while (rest.ptr != NULL && str_to_u64(str_cut(&rest, '.'), UINT32_MAX, &v))
        n++;
    if (n == 3 && rest.ptr == NULL)
        return true;
    buf_addf(why, "ch_platform_version is \"%s\", expected three numbers on %s",
             id->ch_platform_version, os_of(id)->name);
    return false;
}

static bool ch_processor(const struct identity *id, const struct coherence_machine *m,
                         struct buf *why)
{
    (void)m;
    return same(why, "ch_architecture", id->ch_architecture, os_of(id)->ch_architecture) &&
           same(why, "ch_bitness", id->ch_bitness, os_of(id)->ch_bitness);
}

static bool ch_model(const struct identity *id, const struct coherence_machine *m, struct buf *why)
{
    (void)m;
    if ((id->ch_model[0] != '\0') == id->mobile)
        return true;
    buf_addf(why, "ch_model is \"%s\" and mobile is %s", id->ch_model,
             id->mobile ? "true" : "false");
    return false;
}

static bool ch_form(const struct identity *id, const struct coherence_machine *m, struct buf *why)
{
    (void)m;
    return same(why, "ch_form_factor", id->ch_form_factor, os_of(id)->ch_form_factor);
}

static bool ch_brands(const struct identity *id, const struct coherence_machine *m, struct buf *why)
{
    struct arena *a = arena_create(NULL, 0);
    struct identity_brand want[IDENTITY_BRANDS_MAX];
    size_t n = identity_brands(a, identity_major(id->full_version), id->full_version, want);
    bool ok = n == id->n_brands;

    (void)m;
    for (size_t i = 0; ok && i < n; i++)
        ok = strcmp(want[i].brand, id->brands[i].brand) == 0 &&
             strcmp(want[i].major, id->brands[i].major) == 0 &&
             strcmp(want[i].version, id->brands[i].version) == 0;
    if (!ok)
        buf_addf(why, "brands are not \"%s\", \"%s\" as Chromium %u greases them", want[0].brand,
                 want[1].brand, identity_major(id->full_version));
    arena_destroy(&a);
    return ok;
}

/* --- languages and place --- */

static bool lang_header(const struct identity *id, const struct coherence_machine *m,
                        struct buf *why)
{
    struct arena *a = arena_create(NULL, 0);
    bool ok = same(why, "accept_language", id->accept_language,
                   identity_accept_language(a, id->languages, id->n_languages));

    (void)m;
    arena_destroy(&a);
    return ok;
}

static bool lang_locale(const struct identity *id, const struct coherence_machine *m,
                        struct buf *why)
{
    const struct catalog_locale *l =
        id->n_languages > 0 ? catalog_locale_find(str_from(id->languages[0])) : NULL;

    (void)m;
    if (l != NULL)
        return same(why, "locale", id->locale, l->ui);
    buf_addf(why, "languages begin with \"%s\", which is no locale of the catalogue",
             id->n_languages > 0 ? id->languages[0] : "");
    return false;
}

static bool zone_place(const struct identity *id, const struct coherence_machine *m,
                       struct buf *why)
{
    (void)m;
    if (id->country[0] == '\0' || catalog_zone_in(str_from(id->country), str_from(id->timezone)))
        return true;
    buf_addf(why, "timezone %s is not in country %s", id->timezone, id->country);
    return false;
}

/* --- screen --- */

static bool inside(struct buf *why, const char *inner, uint32_t w, uint32_t h, const char *outer,
                   uint32_t max_w, uint32_t max_h)
{
    if (w > 0 && h > 0 && w <= max_w && h <= max_h)
        return true;
    buf_addf(why, "%s %ux%u does not fit into %s %ux%u", inner, w, h, outer, max_w, max_h);
    return false;
}

static bool screen_nested(const struct identity *id, const struct coherence_machine *m,
                          struct buf *why)
{
    (void)m;
    return inside(why, "work area", id->avail_x + id->avail_w, id->avail_y + id->avail_h, "screen",
                  id->screen_w, id->screen_h) &&
           inside(why, "window", id->window_w, id->window_h, "work area", id->avail_w,
                  id->avail_h) &&
           inside(why, "viewport", id->viewport_w, id->viewport_h, "window", id->window_w,
                  id->window_h);
}

static bool screen_window(const struct identity *id, const struct coherence_machine *m,
                          struct buf *why)
{
    uint32_t chrome = id->window_h - id->viewport_h;

    (void)m;
    if (chrome == os_of(id)->window_chrome && id->window_w == id->viewport_w)
        return true;
    buf_addf(why, "window %ux%u around viewport %ux%u, expected %u of height for tabs and bars",
             id->window_w, id->window_h, id->viewport_w, id->viewport_h, os_of(id)->window_chrome);
    return false;
}

static bool screen_turned(const struct identity *id, const struct coherence_machine *m,
                          struct buf *why)
{
    (void)m;
    if ((id->screen_h > id->screen_w) == id->mobile)
        return true;
    buf_addf(why, "screen %ux%u and mobile is %s", id->screen_w, id->screen_h,
             id->mobile ? "true" : "false");
    return false;
}

static bool screen_scale(const struct identity *id, const struct coherence_machine *m,
                         struct buf *why)
{
    double w = id->screen_w * id->device_pixel_ratio;
    bool known = id->mobile ? id->device_pixel_ratio >= 1.5 : id->device_pixel_ratio >= 1;

    (void)m;
    if (known && id->device_pixel_ratio <= 4 && fabs(w - round(w)) <= id->device_pixel_ratio)
        return true;
    buf_addf(why, "device_pixel_ratio %g on a screen %u wide", id->device_pixel_ratio,
             id->screen_w);
    return false;
}

static bool screen_depth(const struct identity *id, const struct coherence_machine *m,
                         struct buf *why)
{
    (void)m;
    if (id->color_depth == 24 || (id->color_depth == 30 && id->os == OS_MACOS))
        return true;
    buf_addf(why, "color_depth %u on %s", id->color_depth, os_of(id)->name);
    return false;
}

static bool input_touch(const struct identity *id, const struct coherence_machine *m,
                        struct buf *why)
{
    (void)m;
    if ((id->max_touch_points > 0) == id->mobile && id->max_touch_points <= 10)
        return true;
    buf_addf(why, "max_touch_points %u and mobile is %s", id->max_touch_points,
             id->mobile ? "true" : "false");
    return false;
}

/* --- hardware --- */

static bool cores_possible(const struct identity *id, const struct coherence_machine *m,
                           struct buf *why)
{
    uint32_t least = id->mobile ? 4 : 1, most = id->mobile ? 12 : 128;

    (void)m;
    if (id->hardware_concurrency >= least && id->hardware_concurrency <= most)
        return true;
    buf_addf(why, "hardware_concurrency %u, expected %u..%u on %s", id->hardware_concurrency, least,
             most, os_of(id)->name);
    return false;
}

static bool memory_class(const struct identity *id, const struct coherence_machine *m,
                         struct buf *why)
{
    double gb = id->device_memory_gb;

    (void)m;
    for (double c = 0.25; c <= 32; c *= 2)
        if (fabs(gb - c) < 1e-9)
            return true;
    buf_addf(why, "device_memory_gb %g, expected a power of two of 0.25..32", gb);
    return false;
}

static bool memory_real(const struct identity *id, const struct coherence_machine *m,
                        struct buf *why)
{
    double real = identity_memory_class(m->memory_bytes);

    if (m->memory_bytes == 0 || fabs(id->device_memory_gb - real) < 1e-9)
        return true;
    buf_addf(why, "device_memory_gb %g, and this machine's browser sends %g", id->device_memory_gb,
             real);
    return false;
}

static bool browser_real(const struct identity *id, const struct coherence_machine *m,
                         struct buf *why)
{
    if (m->browser_version == NULL)
        return true;
    return same(why, "full_version", id->full_version, m->browser_version);
}

static bool gpu_system(const struct identity *id, const struct coherence_machine *m,
                       struct buf *why)
{
    struct str rest = str_from(os_of(id)->webgl_marks), renderer = str_from(id->webgl_renderer);

    (void)m;
    if (renderer.len == 0)
        return true;
    while (rest.ptr != NULL)
        if (str_find(renderer, str_cut(&rest, '|')) >= 0)
            return true;
    buf_addf(why, "webgl_renderer \"%s\" has none of %s, which os %s draws with",
             id->webgl_renderer, os_of(id)->webgl_marks, os_of(id)->name);
    return false;
}

static bool gpu_vendor(const struct identity *id, const struct coherence_machine *m,
                       struct buf *why)
{
    struct str vendor = str_from(id->webgl_vendor), renderer = str_from(id->webgl_renderer);
    struct str maker = vendor;

    (void)m;
    if (vendor.len == 0 && renderer.len == 0)
        return true;
    if (str_starts(vendor, STR("Google Inc. (")) && str_ends(vendor, STR(")")))
        maker = str_n(vendor.ptr + 13, vendor.len - 14);
    if (maker.len > 0 && str_starts(renderer, STR("ANGLE (")) &&
        str_starts(str_skip(renderer, 7), maker))
        return true;
    if (id->mobile && vendor.len > 0 && renderer.len > 0 && str_find(renderer, STR("ANGLE")) < 0)
        return true;
    buf_addf(why, "webgl_vendor \"%s\" with webgl_renderer \"%s\"", id->webgl_vendor,
             id->webgl_renderer);
    return false;
}

static bool marks_told(const struct identity *id, const struct coherence_machine *m,
                       struct buf *why)
{
    bool fonts = id->os != OS_LINUX && !id->honest, gpu = id->webgl_renderer[0] != '\0';

    (void)m;
    if ((fonts && (id->marks & IDENTITY_MARK_FONTS) == 0) ||
        (gpu && (id->marks & IDENTITY_MARK_GPU) == 0) ||
        (id->mobile && !id->honest && (id->marks & IDENTITY_MARK_DEVICE) == 0)) {
        buf_addf(why, "marks are %u for os %s and GPU \"%s\"", id->marks, os_of(id)->name,
                 id->webgl_renderer);
        return false;
    }
    return true;
}

/* --- the table --- */

static const struct {
    const char *name;
    rule_fn *holds;
    const char *reason;
} rules[] = {
    {"ua-platform", ua_platform, "Chromium's user agent has one fixed text for each system"},
    {"ua-version", ua_version,
     "the user agent is reduced to the major version, which client hints give in full"},
    {"ua-automation", ua_automation,
     "an identity declares automation in all places or in none of them"},
    {"ua-mobile", ua_mobile, "the user agent of a telephone says Mobile, no other does"},
    {"js-platform", js_platform, "navigator.platform is fixed for each system"},
    {"ch-platform", ch_platform, "Sec-CH-UA-Platform names the user agent's system"},
    {"ch-platform-version", ch_version,
     "Chromium sends an empty version on Linux and three numbers elsewhere"},
    {"ch-processor", ch_processor,
     "architecture and bitness are the system's; Android sends neither"},
    {"ch-model", ch_model, "only telephones send a model"},
    {"ch-form-factor", ch_form, "Sec-CH-UA-Form-Factors follows Sec-CH-UA-Mobile"},
    {"ch-brands", ch_brands, "the brand list is made from the major version alone"},
    {"lang-header", lang_header,
     "Accept-Language is made of navigator.languages with falling weights"},
    {"lang-locale", lang_locale, "Intl speaks the language of the browser's menus"},
    {"zone-place", zone_place, "clock and address of a client are in one country"},
    {"screen-nested", screen_nested, "page, window, work area and screen lie in one another"},
    {"screen-window", screen_window, "tabs and bars of the browser have one height"},
    {"screen-turned", screen_turned, "telephones stand upright, desktops lie"},
    {"screen-scale", screen_scale, "a screen has a whole number of pixels"},
    {"screen-depth", screen_depth, "Chromium reports 24 bits, and 30 on some Macs"},
    {"input-touch", input_touch, "telephones are touched, desktops of the catalogue are not"},
    {"cores-possible", cores_possible, "the count is one that such a machine has"},
    {"memory-class", memory_class, "the Device Memory API knows powers of two only"},
    {"memory-real", memory_real, "the Device-Memory header cannot be changed: scripts must agree"},
    {"browser-real", browser_real,
     "features of the engine, TLS and HTTP/2 show the version that really runs"},
    {"gpu-system", gpu_system, "each system has its own way to the GPU, which WebGL names"},
    {"gpu-vendor", gpu_vendor, "vendor and renderer name one maker"},
    {"marks-told", marks_told, "what cannot be shown is said"},
};

size_t coherence_check(const struct identity *id, const struct coherence_machine *m,
                       contradiction_fn *fn, void *arg)
{
    struct buf why = BUF_INIT(BUF_MAX_LINE);
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        buf_reset(&why);
        if (rules[i].holds(id, m, &why))
            continue;
        n++;
        if (fn != NULL)
            fn(arg, &(struct contradiction){rules[i].name, buf_str(&why).ptr, rules[i].reason});
    }
    buf_deinit(&why);
    return n;
}

size_t coherence_count(void)
{
    return ARRAY_LEN(rules);
}

const char *coherence_mark(uint32_t mark)
{
    switch (mark) {
    case IDENTITY_MARK_FONTS:
        return "fonts and text are this machine's, which runs Linux";
    case IDENTITY_MARK_GPU:
        return "WebGL names a GPU that does not draw here: limits, extensions and exact pixels are "
               "those of this machine's renderer";
    case IDENTITY_MARK_DEVICE:
        return "sensors, codecs, battery and scrolling are a desktop's, not a telephone's";
    default:
        return NULL;
    }
}
