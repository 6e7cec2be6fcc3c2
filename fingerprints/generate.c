#include "fingerprints/generate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/rng.h"
#include "fingerprints/catalog.h"

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

static void languages_set(struct arena *a, struct identity *id, const struct catalog_locale *l)
{
    struct str rest = str_from(l->languages);

    id->locale = l->ui;
    while (rest.ptr != NULL && id->n_languages < IDENTITY_LANGUAGES_MAX) {
        struct str one = str_cut(&rest, ',');

        id->languages[id->n_languages++] = arena_strndup(a, one.ptr, one.len);
    }
    id->accept_language = identity_accept_language(a, id->languages, id->n_languages);
}

static const char *zone_choose(const struct identity_params *p, const struct catalog_locale *l,
                               struct rng *r)
{
    size_t n = 0;

    if (p->timezones.n > 0)
        return p->timezones.v[rng_below(r, p->timezones.n)];
    while (n < ARRAY_LEN(l->zones) && l->zones[n] != NULL)
        n++;
    return l->zones[rng_below(r, n)];
}

static void screen_set(const struct identity_params *p, struct identity *id, struct rng *r)
{
    const struct catalog_os *os = &catalog_oses[id->os];
    double weights[32];
    const struct catalog_screen *s;

    BUG_ON(catalog_n_screens > ARRAY_LEN(weights));
    for (size_t i = 0; i < catalog_n_screens; i++) {
        const struct catalog_screen *c = &catalog_screens[i];

        /* A viewport that was asked for must fit on the screen. */
        weights[i] =
            p->viewport_w <= c->w && p->viewport_h + os->window_chrome <= c->h ? c->weight : 0;
    }
    weights[0] = weights[0] > 0 || p->viewport_w == 0 ? weights[0] : 0;
    s = &catalog_screens[rng_weighted(r, weights, catalog_n_screens)];
    id->screen_w = s->w;
    id->screen_h = s->h;
    id->device_pixel_ratio = s->dpr;
    id->color_depth = 24;
    id->avail_w = s->w;
    id->avail_h = s->h - os->bar_top - os->bar_bottom;
    id->window_w = id->avail_w;
    id->window_h = id->avail_h;
    id->viewport_w = id->window_w;
    id->viewport_h = id->window_h - (uint32_t)os->window_chrome;
    if (p->viewport_w == 0)
        return;
    id->viewport_w = p->viewport_w;
    id->viewport_h = p->viewport_h;
    id->window_w = p->viewport_w;
    id->window_h = p->viewport_h + (uint32_t)os->window_chrome;
}

static bool viewport_fits(const struct identity_params *p)
{
    for (size_t i = 0; i < catalog_n_screens; i++)
        if (p->viewport_w <= catalog_screens[i].w && p->viewport_h + 87 <= catalog_screens[i].h)
            return true;
    return false;
}

/* navigator.deviceMemory: a power of two, 0.25 to 8 (Device Memory API §3). */
static double memory_class(uint64_t bytes)
{
    double gb = (double)bytes / (1024.0 * 1024 * 1024);
    double p = exp2(round(log2(gb > 0.25 ? gb : 0.25)));

    return p < 0.25 ? 0.25 : p > 8 ? 8 : p;
}

static void agent_set(struct arena *a, struct identity *id, const char *version, uint32_t major)
{
    const struct catalog_os *os = &catalog_oses[id->os];

    id->mobile = id->os == OS_ANDROID;
    id->platform = os->platform;
    id->full_version = arena_strdup(a, version);
    id->user_agent = arena_printf(
        a, "Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) %s/%u.0.0.0 %sSafari/537.36",
        os->ua_platform, id->honest ? "HeadlessChrome" : "Chrome", major,
        id->mobile ? "Mobile " : "");
    id->n_brands = identity_brands(a, major, id->full_version, id->brands);
    id->ch_platform = os->ch_platform;
    id->ch_platform_version = os->ch_platform_version;
    id->ch_architecture = os->ch_architecture;
    id->ch_bitness = os->ch_bitness;
    id->ch_model = id->mobile ? "K" : "";
    id->max_touch_points = id->mobile ? 5 : 0;
}

enum status identity_generate(struct arena *a, const struct identity_params *p, uint32_t index,
                              const struct identity **out, struct err *e)
{
    struct identity *id;
    const struct catalog_locale *locale;
    struct rng r;
    unsigned major;

    *out = NULL;
    if (identity_params_check(p, e) != STATUS_OK)
        return STATUS_INVALID;
    if (p->browser_version == NULL || sscanf(p->browser_version, "%u.", &major) != 1 ||
        major < 90 || major > 9999)
        return err_set(e, STATUS_INVALID,
                       "browser version \"%s\", expected one such as 156.0.8078.79",
                       p->browser_version != NULL ? p->browser_version : "");
    if (p->viewport_w > 0 && !viewport_fits(p))
        return err_set(e, STATUS_INVALID, "viewport: %ux%u, expected at most 2560x1353",
                       p->viewport_w, p->viewport_h);
    id = arena_new(a, struct identity);
    id->seed = arena_printf(a, "%s/%u", p->seed, index);
    rng_seed(&r, str_from(id->seed), STR("identity"));
    snprintf(id->id, sizeof id->id, "i-%016llx", (unsigned long long)rng_u64(&r));
    id->honest = p->honest;
    id->os = OS_LINUX;
    if (p->os.n > 0 && !catalog_os_find(str_from(p->os.v[rng_below(&r, p->os.n)]), &id->os))
        BUG("os was checked");
    agent_set(a, id, p->browser_version, major);
    locale = locale_choose(p, &r);
    languages_set(a, id, locale);
    id->timezone = arena_strdup(a, zone_choose(p, locale, &r));
    screen_set(p, id, &r);
    id->hardware_concurrency = p->cpu_count > 0 ? p->cpu_count : 1;
    id->device_memory_gb = memory_class(p->memory_bytes);
    id->noise_seed = rng_u64(&r);
    *out = id;
    return STATUS_OK;
}
