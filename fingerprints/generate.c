#include "fingerprints/generate.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/rng.h"
#include "fingerprints/catalog.h"

enum { SCREENS_MAX = 32, CORES_MAX = 16, PHONES_MAX = 16 };

static bool zone_exists(const char *zone)
{
    char path[256];
    struct stat st;

    if (strstr(zone, "..") != NULL || zone[0] == '/' || strlen(zone) > 64 || zone[0] == '\0')
        return false;
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", zone);
    if (stat("/usr/share/zoneinfo", &st) != 0)
        return true; /* a machine without the data base: the browser has its own and will say */
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

enum status identity_params_check(const struct identity_params *p, struct err *e)
{
    enum identity_os os;

    if (p->seed == NULL || p->seed[0] == '\0')
        return err_set(e, STATUS_INVALID, "seed: empty, expected some text");
    for (size_t i = 0; i < p->os.n; i++)
        if (!catalog_os_find(str_from(p->os.v[i]), &os))
            return err_set(e, STATUS_INVALID,
                           "os/%zu: \"%s\", expected linux, windows, macos or android", i,
                           p->os.v[i]);
    for (size_t i = 0; i < p->locales.n; i++)
        if (catalog_locale_find(str_from(p->locales.v[i])) == NULL)
            return err_set(e, STATUS_INVALID,
                           "locales/%zu: \"%s\" is not known, expected a tag such as en-US, de-DE "
                           "or fr-FR",
                           i, p->locales.v[i]);
    for (size_t i = 0; i < p->timezones.n; i++)
        if (!zone_exists(p->timezones.v[i]))
            return err_set(e, STATUS_INVALID,
                           "timezones/%zu: \"%s\" is no IANA time zone, expected one such as "
                           "Europe/Berlin",
                           i, p->timezones.v[i]);
    return STATUS_OK;
}

uint32_t identity_major(const char *browser_version)
{
    struct str rest = str_from(browser_version);
    uint64_t major;

    return str_to_u64(str_cut(&rest, '.'), UINT32_MAX, &major) ? (uint32_t)major : 0;
}

size_t identity_brands(struct arena *a, uint32_t major, const char *full_version,
                       struct identity_brand out[IDENTITY_BRANDS_MAX])
{
    static const char *const chars[] = {" ", "(", ":", "-", ".", "/", ")", ";", "=", "?", "_"};
    static const char *const versions[] = {"8", "99", "24"};
    const char *grease_version = versions[major % ARRAY_LEN(versions)];
    /* Two brands have two orders; which one is chosen by the version as well. */
    size_t at_grease = major % 2 == 0 ? 0 : 1;

    out[at_grease] = (struct identity_brand){
        arena_printf(a, "Not%sA%sBrand", chars[major % ARRAY_LEN(chars)],
                     chars[(major + 1) % ARRAY_LEN(chars)]),
        grease_version,
        arena_printf(a, "%s.0.0.0", grease_version),
    };
    out[1 - at_grease] =
        (struct identity_brand){"Chromium", arena_printf(a, "%u", major), full_version};
    return 2;
}

const char *identity_accept_language(struct arena *a, const char *const *languages, size_t n)
{
    struct buf b = BUF_INIT(1024);
    const char *out;

    for (size_t i = 0; i < n; i++) {
        if (i == 0)
            buf_adds(&b, languages[i]);
        else
            buf_addf(&b, ",%s;q=0.%zu", languages[i], i < 9 ? 10 - i : 1);
    }
    out = arena_strndup(a, buf_str(&b).ptr, b.len);
    buf_deinit(&b);
    return out;
}

static const struct catalog_locale *locale_choose(const struct identity_params *p, struct rng *r)
{
    if (p->locales.n == 0)
        return catalog_locale_find(STR("en-US"));
    return catalog_locale_find(str_from(p->locales.v[rng_below(r, p->locales.n)]));
}

static bool has_languages(const struct identity *like, const struct catalog_locale *l)
{
    struct str rest = str_from(l->languages);
    size_t n = 0;

    while (like && rest.ptr != NULL && n < IDENTITY_LANGUAGES_MAX) {
        if (n == like->n_languages || !str_eqz(str_cut(&rest, ','), like->languages[n]))
            return false;
        n++;
    }
    return like && n == like->n_languages;
}

static void languages_set(struct arena *a, struct identity *id, const struct catalog_locale *l,
                          const struct identity *like)
{
    struct str rest = str_from(l->languages);

    id->locale = l->ui;
    if (has_languages(like, l)) {
        memcpy(id->languages, like->languages, sizeof(id->languages));
        id->n_languages = like->n_languages;
        id->accept_language = like->accept_language;
        return;
    }
    while (rest.ptr != NULL && id->n_languages < IDENTITY_LANGUAGES_MAX) {
        struct str one = str_cut(&rest, ',');

        id->languages[id->n_languages++] = arena_strndup(a, one.ptr, one.len);
    }
    id->accept_language = identity_accept_language(a, id->languages, id->n_languages);
}

/* Where the member is: what it names itself, else its proxy's country, else the locale's. */
static void place_set(struct arena *a, const struct identity_params *p,
                      const struct catalog_locale *l, struct identity *id, struct rng *r)
{
    size_t n = 0;

    if (p->timezones.n > 0) {
        id->timezone = arena_strdup(a, p->timezones.v[rng_below(r, p->timezones.n)]);
        id->country =
            catalog_zone_in(str_from(l->country), str_from(id->timezone)) ? l->country : "";
        return;
    }
    if (p->country != NULL && catalog_country_find(str_from(p->country)) != NULL &&
        !str_eq_nocase(str_from(p->country), str_from(l->country)))
        l = catalog_country_find(str_from(p->country));
    while (n < ARRAY_LEN(l->zones) && l->zones[n] != NULL)
        n++;
    id->timezone = l->zones[rng_below(r, n)];
    id->country = l->country;
}

/* --- desktop screens --- */

static const struct catalog_bars *bars_choose(const struct catalog_os *os, struct rng *r)
{
    double weights[CATALOG_BARS_MAX];

    for (size_t i = 0; i < CATALOG_BARS_MAX; i++)
        weights[i] = os->bars[i].weight;
    return &os->bars[rng_weighted(r, weights, CATALOG_BARS_MAX)];
}

/* Weights of the screens on which the viewport fits that was asked for; false when there is none.
 */
static bool screen_weights(const struct identity_params *p, enum identity_os os,
                           const struct catalog_bars *bars, double *weights)
{
    uint32_t around = catalog_oses[os].window_chrome + bars->top + bars->bottom;
    bool any = false;

    for (size_t i = 0; i < catalog_n_screens; i++) {
        const struct catalog_screen *c = &catalog_screens[i];
        bool fits = p->viewport_w <= c->w && p->viewport_h + around <= c->h;

        weights[i] = fits ? c->weight[os] : 0;
        any |= weights[i] > 0;
    }
    return any;
}

static enum status screen_set(const struct identity_params *p, struct identity *id, struct rng *r,
                              struct err *e)
{
    const struct catalog_os *os = &catalog_oses[id->os];
    const struct catalog_bars *bars = bars_choose(os, r);
    const struct catalog_screen *s;
    double weights[SCREENS_MAX];

    BUG_ON(catalog_n_screens > SCREENS_MAX);
    if (!screen_weights(p, id->os, bars, weights))
        return err_set(e, STATUS_INVALID, "viewport: %ux%u, expected at most 3840x1961",
                       p->viewport_w, p->viewport_h);
    s = &catalog_screens[rng_weighted(r, weights, catalog_n_screens)];
    id->screen_w = s->w;
    id->screen_h = s->h;
    id->device_pixel_ratio = s->dpr;
    id->avail_y = bars->top;
    id->avail_w = s->w;
    id->avail_h = s->h - bars->top - bars->bottom;
    id->window_w = id->avail_w;
    id->window_h = id->avail_h;
    if (p->viewport_w > 0) {
        id->window_w = p->viewport_w;
        id->window_h = p->viewport_h + os->window_chrome;
    }
    id->viewport_w = id->window_w;
    id->viewport_h = id->window_h - os->window_chrome;
    return STATUS_OK;
}

static void desktop_hardware(const struct identity_params *p, struct identity *id, struct rng *r)
{
    const struct catalog_os *os = &catalog_oses[id->os];
    double cores[CORES_MAX], gpus[CATALOG_GPUS_MAX];
    const struct catalog_gpu *gpu;

    BUG_ON(catalog_n_cores > CORES_MAX);
    for (size_t i = 0; i < catalog_n_cores; i++)
        cores[i] = catalog_cores[i].weight[id->os];
    for (size_t i = 0; i < CATALOG_GPUS_MAX; i++)
        gpus[i] = os->gpus[i].weight;
    id->hardware_concurrency = catalog_cores[rng_weighted(r, cores, catalog_n_cores)].n;
    gpu = &os->gpus[rng_weighted(r, gpus, CATALOG_GPUS_MAX)];
    id->webgl_vendor = p->own_gpu ? "" : gpu->vendor;
    id->webgl_renderer = p->own_gpu ? "" : gpu->renderer;
    id->ch_model = "";
    id->ch_platform_version = os->ch_versions[0];
    if (os->ch_versions[1] != NULL)
        id->ch_platform_version = os->ch_versions[rng_below(r, CATALOG_VERSIONS_MAX)];
}

/* --- telephones --- */

static enum status phone_set(const struct identity_params *p, struct identity *id, struct rng *r,
                             struct err *e)
{
    const struct catalog_phone *phone;
    double weights[PHONES_MAX];

    BUG_ON(catalog_n_phones > PHONES_MAX);
    for (size_t i = 0; i < catalog_n_phones; i++)
        weights[i] = catalog_phones[i].gpu.weight;
    phone = &catalog_phones[rng_weighted(r, weights, catalog_n_phones)];
    if (p->viewport_w > phone->w || p->viewport_h > phone->h)
        return err_set(e, STATUS_INVALID,
                       "viewport: %ux%u, expected at most %ux%u for the telephone %s",
                       p->viewport_w, p->viewport_h, phone->w, phone->h, phone->model);
    id->screen_w = id->avail_w = phone->w;
    id->screen_h = id->avail_h = phone->h;
    id->viewport_w = p->viewport_w > 0 ? p->viewport_w : phone->w;
    id->viewport_h = p->viewport_h > 0 ? p->viewport_h : phone->viewport_h;
    id->window_w = id->viewport_w;
    id->window_h = id->viewport_h;
    id->device_pixel_ratio = phone->dpr;
    id->hardware_concurrency = phone->cores;
    id->max_touch_points = 5;
    id->ch_model = phone->model;
    id->ch_platform_version = phone->version;
    id->webgl_vendor = p->own_gpu ? "" : phone->gpu.vendor;
    id->webgl_renderer = p->own_gpu ? "" : phone->gpu.renderer;
    return STATUS_OK;
}

/* --- the whole --- */

double identity_memory_class(uint64_t bytes)
{
    double gib = (double)bytes / (1024.0 * 1024 * 1024), lower = 2;

    while (lower < 32 && gib - lower > 2 * lower - gib)
        lower *= 2;
    return lower;
}

static void agent_texts(struct arena *a, struct identity *id, const char *version, uint32_t major)
{
    id->full_version = arena_strdup(a, version);
    id->user_agent = arena_printf(
        a, "Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) %s/%u.0.0.0 %sSafari/537.36",
        catalog_oses[id->os].ua_platform, id->honest ? "HeadlessChrome" : "Chrome", major,
        id->mobile ? "Mobile " : "");
    id->n_brands = identity_brands(a, major, id->full_version, id->brands);
}

static void agent_set(struct arena *a, struct identity *id, const struct identity_params *p,
                      uint32_t major)
{
    const struct catalog_os *os = &catalog_oses[id->os];
    const struct identity *like = p->like;

    id->mobile = id->os == OS_ANDROID;
    id->platform = os->platform;
    if (like && like->os == id->os && like->honest == id->honest &&
        strcmp(like->full_version, p->browser_version) == 0) {
        id->full_version = like->full_version;
        id->user_agent = like->user_agent;
        memcpy(id->brands, like->brands, sizeof(id->brands));
        id->n_brands = like->n_brands;
    } else {
        agent_texts(a, id, p->browser_version, major);
    }
    id->ch_platform = os->ch_platform;
    id->ch_architecture = os->ch_architecture;
    id->ch_bitness = os->ch_bitness;
    id->ch_form_factor = os->ch_form_factor;
}

static uint32_t marks_of(const struct identity *id)
{
    uint32_t marks = 0;

    if (id->honest)
        return 0;
    if (id->os != OS_LINUX)
        marks |= IDENTITY_MARK_FONTS;
    if (id->webgl_renderer[0] != '\0')
        marks |= IDENTITY_MARK_GPU;
    if (id->mobile)
        marks |= IDENTITY_MARK_DEVICE;
    return marks;
}

/* What this machine and its browser are. An honest identity names nothing else. */
static void honest_set(struct identity *id)
{
    id->webgl_vendor = id->webgl_renderer = "";
    id->noise_seed = 0;
}

static enum status version_check(const struct identity_params *p, uint32_t *major, struct err *e)
{
    *major = p->browser_version != NULL ? identity_major(p->browser_version) : 0;
    if (*major < 90 || *major > 9999)
        return err_set(e, STATUS_INVALID,
                       "browser version \"%s\", expected one such as 156.0.8078.79",
                       p->browser_version != NULL ? p->browser_version : "");
    return STATUS_OK;
}

enum status identity_generate(struct arena *a, const struct identity_params *p, uint32_t index,
                              const struct identity **out, struct err *e)
{
    struct identity *id;
    const struct catalog_locale *locale;
    struct rng r;
    uint32_t major;

    *out = NULL;
    if (identity_params_check(p, e) != STATUS_OK || version_check(p, &major, e) != STATUS_OK)
        return STATUS_INVALID;
    id = arena_new(a, struct identity);
    id->seed = arena_printf(a, "%s/%u", p->seed, index);
    rng_seed(&r, str_from(id->seed), STR("identity"));
    snprintf(id->id, sizeof id->id, "i-%016llx", (unsigned long long)rng_u64(&r));
    id->honest = p->honest;
    id->os = OS_LINUX;
    if (p->os.n > 0 && !catalog_os_find(str_from(p->os.v[rng_below(&r, p->os.n)]), &id->os))
        BUG("os was checked");
    agent_set(a, id, p, major);
    locale = locale_choose(p, &r);
    languages_set(a, id, locale, p->like);
    place_set(a, p, locale, id, &r);
    id->color_depth = 24;
    if ((id->mobile ? phone_set(p, id, &r, e) : screen_set(p, id, &r, e)) != STATUS_OK)
        return STATUS_INVALID;
    if (!id->mobile)
        desktop_hardware(p, id, &r);
    id->device_memory_gb = identity_memory_class(p->memory_bytes);
    id->noise_seed = p->no_noise ? 0 : rng_u64(&r) | 1;
    if (id->honest)
        honest_set(id);
    id->marks = marks_of(id);
    *out = id;
    return STATUS_OK;
}
