#include "browser/chromium/args.h"

#include <stdarg.h>
#include <stdlib.h>

#include "core/base/file.h"

/* Switches whose values are lists, and what separates them. */
static const char *const list_switches[] = {
    "--disable-features",      "--enable-features", "--disable-blink-features",
    "--enable-blink-features", "--blink-settings",
};

static bool is_list(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(list_switches); i++)
        if (str_eqz(name, list_switches[i]))
            return true;
    return false;
}

void args_init(struct args *a, struct arena *arena)
{
    *a = (struct args){.arena = arena};
}

static bool list_has(struct str list, struct str item)
{
    while (list.ptr != NULL)
        if (str_eq(str_cut(&list, ','), item))
            return true;
    return false;
}

static struct str list_merge(struct arena *arena, struct str old, struct str add)
{
    while (add.ptr != NULL) {
        struct str item = str_cut(&add, ',');

        if (item.len == 0 || list_has(old, item))
            continue;
        old = old.len == 0
                  ? arena_str(arena, item)
                  : str_from(arena_printf(arena, "%.*s,%.*s", STR_ARG(old), STR_ARG(item)));
    }
    return old;
}

void args_add(struct args *a, const char *arg)
{
    struct str rest = arena_str(a->arena, str_from(arg));
    struct str name = str_cut(&rest, '=');

    for (size_t i = 0; i < a->n; i++) {
        if (!str_eq(a->v[i].name, name))
            continue;
        a->v[i].value = is_list(name) ? list_merge(a->arena, a->v[i].value, rest) : rest;
        return;
    }
    BUG_ON(a->n == ARGS_MAX);
    a->v[a->n].name = name;
    a->v[a->n++].value = rest;
}

void args_addf(struct args *a, const char *fmt, ...)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    args_add(a, b.ptr != NULL ? b.ptr : "");
    buf_deinit(&b);
}

struct str args_get(const struct args *a, const char *name)
{
    for (size_t i = 0; i < a->n; i++)
        if (str_eqz(a->v[i].name, name))
            return a->v[i].value;
    return STR_NONE;
}

const char *const *args_list(const struct args *a, const char *program)
{
    const char **v = arena_array(a->arena, const char *, a->n + 2);

    v[0] = program;
    for (size_t i = 0; i < a->n; i++)
        v[i + 1] = a->v[i].value.ptr == NULL
                       ? arena_strndup(a->arena, a->v[i].name.ptr, a->v[i].name.len)
                       : arena_printf(a->arena, "%.*s=%.*s", STR_ARG(a->v[i].name),
                                      STR_ARG(a->v[i].value));
    v[a->n + 1] = NULL;
    return v;
}

/* --- what every instance gets --- */

enum { ON_SHELL = 1, ON_FULL = 2, ON_BOTH = 3 };

static const struct {
    int on;
    const char *arg;
} base_args[] = {
    {ON_BOTH, "--remote-debugging-pipe"}, /* no port to steal; its end ends the browser */
    {ON_FULL, "--headless=new"},
    {ON_BOTH, "--no-first-run"},
    {ON_BOTH, "--no-default-browser-check"},
    {ON_BOTH, "--no-service-autorun"},
    {ON_BOTH, "--no-pings"}, /* <a ping> */
    {ON_BOTH, "--disable-breakpad"},
    {ON_BOTH, "--disable-crash-reporter"},
    /* Nothing but the pages' own traffic. */
    {ON_BOTH, "--disable-background-networking"},
    {ON_BOTH, "--disable-component-update"},
    {ON_BOTH, "--disable-component-extensions-with-background-pages"},
    {ON_BOTH, "--disable-default-apps"},
    {ON_BOTH, "--disable-domain-reliability"},
    {ON_BOTH, "--disable-extensions"},
    {ON_BOTH, "--disable-sync"},
    {ON_BOTH, "--disable-client-side-phishing-detection"},
    {ON_BOTH, "--disable-search-engine-choice-screen"},
    {ON_BOTH, "--metrics-recording-only"},
    {ON_BOTH, "--password-store=basic"},
    {ON_BOTH, "--use-mock-keychain"},
    {ON_BOTH, "--mute-audio"},
    {ON_BOTH, "--hide-scrollbars"},
    /* Pages that nobody looks at are as quick as those in front. */
    {ON_BOTH, "--disable-background-timer-throttling"},
    {ON_BOTH, "--disable-backgrounding-occluded-windows"},
    {ON_BOTH, "--disable-renderer-backgrounding"},
    {ON_BOTH, "--disable-hang-monitor"}, /* Fleet has its own */
    {ON_BOTH, "--disable-prompt-on-repost"},
    {ON_BOTH, "--disable-popup-blocking"}, /* popups are pages of the member, held by the gate like
                                              any other */
    {ON_BOTH, "--disable-ipc-flooding-protection"},
    /* UDP does not pass the forwarder: QUIC and WebRTC would go around it. Each binary ignores the
       other's spelling. */
    {ON_BOTH, "--disable-quic"},
    {ON_BOTH, "--webrtc-ip-handling-policy=disable_non_proxied_udp"},
    {ON_BOTH, "--force-webrtc-ip-handling-policy=disable_non_proxied_udp"},
    {ON_BOTH, "--disable-blink-features=AutomationControlled"},
    /* Speculation rules fetch documents ahead, past the Fetch domain: the later navigation would
     * not be held. Nothing switches them off as a whole (156); with prerendering off and all queues
     * of length 0 none is ever started. tests/integration/test_documents.c watches it. */
    {ON_BOTH, "--disable-features=Prerender2,Prerender2FallbackPrefetchSpecRules,"
              "PrefetchPrerenderIntegration,"
              "PrefetchSchedulerBurstLimitPerPriority"},
    {ON_BOTH, "--enable-features=PrefetchMultipleActiveSetSizeLimitForBase:prefetch_multiple_"
              "active_set_size_limit_for_base_value/0,"
              "PrefetchSchedulerTesting:kPrefetchSchedulerTestingActiveSetSizeLimitForBurst/0/"
              "kPrefetchSchedulerTestingActiveSetSizeLimitForBase/0"},
    /* A renderer kept ready for a site that nobody has asked for yet: 15 % of an isolated page's
     * CPU and 21 % of a kept one's when the machine is full (medians of 5, headless-shell 156). */
    {ON_BOTH, "--disable-features=SpareRendererForSitePerProcess"},
    /* A new frame, with all that hangs on it, for each document of a page that is kept: a fifth of
     * a kept page's CPU (four pairs of runs, headless-shell 156). */
    {ON_BOTH, "--disable-features=RenderDocument"},
    /* Services that talk or take memory and that no page sees. */
    {ON_BOTH, "--disable-features=Translate,MediaRouter,DialMediaRouteProvider,OptimizationHints,"
              "OptimizationGuideModelDownloading,InterestFeedContentSuggestions,"
              "CertificateTransparencyComponentUpdater,"
              "AutofillServerCommunication,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,"
              "GlobalMediaControls,"
              "NetworkTimeServiceQuerying,DestroyProfileOnBrowserClose"},
    /* The window's own pages: half of what a context costs on the full browser. */
    {ON_FULL, "--disable-features=WebUIReloadButton,WebUIOmniboxPopup,WebUIOmniboxAimPopup"},
};

void args_add_base(struct args *a, enum browser_kind kind)
{
    int on = kind == BROWSER_CHROMIUM ? ON_FULL : ON_SHELL;

    for (size_t i = 0; i < ARRAY_LEN(base_args); i++)
        if ((base_args[i].on & on) != 0)
            args_add(a, base_args[i].arg);
}

/* --- finding the program --- */

struct place {
    enum browser_kind kind;
    const char *variable; /* environment */
    const char *package;
    const char *paths[6]; /* with "/": as it is; else looked up in PATH. The binary comes before the
                             distribution's wrapper script */
};

static const struct place places[] = {
    {BROWSER_HEADLESS_SHELL,
     "FLEET_HEADLESS_SHELL",
     "chromium-headless-shell",
     {"/usr/lib/chromium/chromium-headless-shell", "chromium-headless-shell",
      "chrome-headless-shell", "headless_shell"}},
    {BROWSER_CHROMIUM,
     "FLEET_CHROMIUM",
     "chromium",
     {"/usr/lib/chromium/chromium", "chromium", "chromium-browser", "google-chrome-stable",
      "google-chrome"}},
};

static const char *in_path(struct arena *arena, const char *name)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    struct str rest = str_from(getenv("PATH"));

    if (strchr(name, '/') != NULL)
        return access(name, X_OK) == 0 ? arena_strdup(arena, name) : NULL;
    while (rest.ptr != NULL) {
        struct str dir = str_cut(&rest, ':');
        char *path = arena_printf(arena, "%.*s/%s", STR_ARG(dir), name);

        if (dir.len > 0 && dir.ptr[0] == '/' && access(path, X_OK) == 0)
            return path;
    }
    return NULL;
}

static enum status place_find(struct arena *arena, const struct place *p,
                              struct browser_program *out, struct err *e)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    const char *told = getenv(p->variable);

    out->kind = p->kind;
    if (told != NULL && told[0] != '\0') {
        out->path = in_path(arena, told);
        if (out->path != NULL)
            return STATUS_OK;
        return err_set(e, STATUS_ENVIRONMENT, "%s is \"%s\", which is no program that can be run",
                       p->variable, told);
    }
    for (size_t i = 0; i < ARRAY_LEN(p->paths) && p->paths[i] != NULL; i++) {
        out->path = in_path(arena, p->paths[i]);
        if (out->path != NULL)
            return STATUS_OK;
    }
    return err_set(e, STATUS_ENVIRONMENT,
                   "no %s found: install it (Debian: apt-get install %s) or set %s to its path",
                   p->package, p->package, p->variable);
}

enum status browser_find(struct arena *arena, enum browser_kind want, struct browser_program *out,
                         struct err *e)
{
    struct err first = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct err mine = ERR_INIT;

        if (want != BROWSER_AUTO && want != places[i].kind)
            continue;
        if (place_find(arena, &places[i], out, &mine) == STATUS_OK)
            return STATUS_OK;
        if (first.status == STATUS_OK)
            first = mine;
    }
    return err_set(e, first.status, "%s", first.text);
}
