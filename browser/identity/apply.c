#include "browser/identity/apply.h"

#include "browser/identity/patch.h"
#include "core/base/buf.h"
#include "core/base/url.h"

static void add(struct applied *a, enum realm_kind realm, const char *method,
                const struct buf *params)
{
    size_t i = a->realms[realm].n++;

    BUG_ON(i >= ARRAY_LEN(a->realms[realm].v));
    a->realms[realm].v[i].method = method;
    a->realms[realm].v[i].params = arena_str(a->arena, buf_str(params));
}

static void add_text(struct applied *a, enum realm_kind realm, const char *method,
                     const char *params)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    buf_adds(&b, params);
    add(a, realm, method, &b);
    buf_deinit(&b);
}

/* One member with one string. */
static void add_one(struct applied *a, enum realm_kind realm, const char *method, const char *name,
                    const char *value)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    buf_addf(&b, "{\"%s\":", name);
    json_print_str(str_from(value), &b);
    buf_addc(&b, '}');
    add(a, realm, method, &b);
    buf_deinit(&b);
}

static void member(struct buf *b, const char *name, const char *value)
{
    buf_addf(b, ",\"%s\":", name);
    json_print_str(str_from(value != NULL ? value : ""), b);
}

static void brands(struct buf *b, const char *name, const struct identity *id, bool full)
{
    buf_addf(b, "\"%s\":[", name);
    for (size_t i = 0; i < id->n_brands; i++) {
        buf_adds(b, i > 0 ? ",{\"brand\":" : "{\"brand\":");
        json_print_str(str_from(id->brands[i].brand), b);
        member(b, "version", full ? id->brands[i].version : id->brands[i].major);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

/* Emulation.UserAgentMetadata. Without it the client hints would be those of no browser at all. */
static void metadata(struct buf *b, const struct identity *id)
{
    buf_adds(b, ",\"userAgentMetadata\":{");
    brands(b, "brands", id, false);
    buf_addc(b, ',');
    brands(b, "fullVersionList", id, true);
    if (id->ch_form_factor != NULL && id->ch_form_factor[0] != '\0')
        buf_addf(b, ",\"formFactors\":[\"%s\"]", id->ch_form_factor);
    member(b, "fullVersion", id->full_version);
    member(b, "platform", id->ch_platform);
    member(b, "platformVersion", id->ch_platform_version);
    member(b, "architecture", id->ch_architecture);
    member(b, "model", id->ch_model);
    member(b, "bitness", id->ch_bitness);
    buf_addf(b, ",\"mobile\":%s,\"wow64\":%s}", id->mobile ? "true" : "false",
             id->ch_wow64 ? "true" : "false");
}

static void languages(struct buf *b, const struct identity *id)
{
    for (size_t i = 0; i < id->n_languages; i++) {
        if (i > 0)
            buf_addc(b, ',');
        buf_adds(b, id->languages[i]);
    }
}

static void user_agent(struct buf *b, const struct identity *id, bool with_languages)
{
    buf_adds(b, "{\"userAgent\":");
    json_print_str(str_from(id->user_agent), b);
    if (with_languages && id->n_languages > 0) {
        buf_adds(b, ",\"acceptLanguage\":\"");
        languages(b, id); /* Chromium makes the header's q values */
        buf_addc(b, '"');
    }
    if (!id->honest) {
        member(b, "platform", id->platform);
        metadata(b, id);
    }
    buf_addc(b, '}');
}

static struct str metrics(struct arena *arena, const struct identity *id)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);
    struct str s;

    buf_addf(
        &b,
        "{\"width\":%u,\"height\":%u,\"deviceScaleFactor\":%.4g,\"mobile\":%s,\"screenWidth\":%u,"
        "\"screenHeight\":%u,\"positionX\":0,\"positionY\":0}",
        id->viewport_w, id->viewport_h, id->device_pixel_ratio > 0 ? id->device_pixel_ratio : 1,
        id->mobile ? "true" : "false", id->screen_w, id->screen_h);
    s = arena_str(arena, buf_str(&b));
    buf_deinit(&b);
    return s;
}

static void prepare_realm(struct applied *a, enum realm_kind realm, const struct identity *id,
                          const struct buf *agent)
{
    if (agent->len > 0)
        add(a, realm, "Emulation.setUserAgentOverride", agent);
    if (id->locale != NULL && id->locale[0] != '\0')
        add_one(a, realm, "Emulation.setLocaleOverride", "locale", id->locale);
    if (id->timezone != NULL && id->timezone[0] != '\0')
        add_one(a, realm, "Emulation.setTimezoneOverride", "timezoneId", id->timezone);
    if (!id->honest && id->hardware_concurrency > 0) {
        struct buf b = BUF_INIT(BUF_MAX_LINE);

        buf_addf(&b, "{\"hardwareConcurrency\":%u}", id->hardware_concurrency);
        add(a, realm, "Emulation.setHardwareConcurrencyOverride", &b);
        buf_deinit(&b);
    }
}

/* Declared openly: the switch that hides it stands for all browsers. */
static void prepare_honest(struct applied *a)
{
    add_text(a, REALM_PAGE, "Emulation.setAutomationOverride", "{\"enabled\":true}");
    add_text(a, REALM_PLACED, "Emulation.setAutomationOverride", "{\"enabled\":true}");
    add_text(a, REALM_FRAME, "Emulation.setAutomationOverride", "{\"enabled\":true}");
}

static void prepare_patch(struct applied *a, const struct identity *id, bool own_process)
{
    struct buf head = BUF_INIT(BUF_MAX_FILE), tail = BUF_INIT(BUF_MAX_LINE);
    struct buf params = BUF_INIT(BUF_MAX_FILE);

    patch_write(id, own_process, &head, &tail);
    buf_adds(&params, "{\"expression\":");
    json_print_str(buf_str(&head), &params);
    buf_truncate(&params, params.len - 1); /* its quote: goes on with the site's name */
    a->worker_head = arena_str(a->arena, buf_str(&params));
    buf_reset(&params);
    json_print_str(buf_str(&tail), &params);
    buf_addc(&params, '}');
    a->worker_tail = arena_str(a->arena, str_skip(buf_str(&params), 1));

    buf_adds(&head, "\"\""); /* documents know their site */
    buf_addstr(&head, buf_str(&tail));
    buf_reset(&params);
    buf_adds(&params, "{\"source\":");
    json_print_str(buf_str(&head), &params);
    buf_addc(&params, '}');
    add(a, REALM_PLACED, "Page.addScriptToEvaluateOnNewDocument", &params);
    buf_truncate(&params, params.len - 1);
    buf_adds(&params, ",\"runImmediately\":true}");
    add(a, REALM_PAGE, "Page.addScriptToEvaluateOnNewDocument", &params);
    add(a, REALM_FRAME, "Page.addScriptToEvaluateOnNewDocument", &params);
    buf_deinit(&params);
    buf_deinit(&tail);
    buf_deinit(&head);
}

void identity_prepare(struct arena *arena, const struct identity *id, bool own_process,
                      struct applied *out)
{
    struct buf agent = BUF_INIT(BUF_MAX_LINE);

    *out = (struct applied){.arena = arena};
    if (!own_process || id->mobile)
        out->metrics = metrics(arena, id);
    if (id->user_agent != NULL && id->user_agent[0] != '\0')
        user_agent(&agent, id, !own_process);
    for (int r = 0; r < REALM_COUNT; r++)
        prepare_realm(out, (enum realm_kind)r, id, &agent);
    buf_deinit(&agent);
    add_text(out, REALM_PAGE, "Emulation.setFocusEmulationEnabled", "{\"enabled\":true}");
    add_text(out, REALM_PLACED, "Emulation.setFocusEmulationEnabled", "{\"enabled\":true}");
    if (id->max_touch_points > 0) {
        struct buf b = BUF_INIT(BUF_MAX_LINE);

        buf_addf(&b, "{\"enabled\":true,\"maxTouchPoints\":%u}", id->max_touch_points);
        add(out, REALM_PAGE, "Emulation.setTouchEmulationEnabled", &b);
        add(out, REALM_PLACED, "Emulation.setTouchEmulationEnabled", &b);
        buf_deinit(&b);
    }
    if (id->honest)
        prepare_honest(out);
    else
        prepare_patch(out, id, own_process);
}

static void evaluate_in_worker(const struct applied *a, struct cdp_session *s, const char *page_url)
{
    struct arena *tmp = arena_create(NULL, 0);
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    struct url url = {0};

    if (page_url == NULL ||
        url_parse(tmp, str_from(page_url), "http https", &url, NULL) != STATUS_OK)
        url.host = STR("");
    buf_addstr(&b, a->worker_head);
    buf_addf(&b, "\\\"%.*s\\\"", STR_ARG(url.host));
    buf_addstr(&b, a->worker_tail);
    cdp_tell(s, "Runtime.evaluate", buf_str(&b));
    buf_deinit(&b);
    arena_destroy(&tmp);
}

void identity_apply(const struct applied *a, enum realm_kind realm, struct cdp_session *s,
                    const char *page_url)
{
    for (size_t i = 0; i < a->realms[realm].n; i++)
        cdp_tell(s, a->realms[realm].v[i].method, a->realms[realm].v[i].params);
    if (realm == REALM_WORKER && a->worker_head.len > 0)
        evaluate_in_worker(a, s, page_url);
}
