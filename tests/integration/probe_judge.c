#include "tests/integration/probe_judge.h"

#include <stdio.h>

#include "tests/support/testing.h"

const char *const probe_class_names[PROBE_CLASSES] = {
    "realm missing",  "realm vs realm",  "first script", "claimed",
    "internal logic", "header vs claim", "header order", "real-value leak",
    "patch visible",  "restart",         "collision",
};

unsigned probe_total(const struct probe_count *c)
{
    unsigned n = 0;

    for (size_t i = 0; i < PROBE_CLASSES; i++)
        n += c->wrong[i];
    return n;
}

static void check(struct probe_count *c, enum probe_class k, bool ok, const char *where,
                  const char *name, const char *got, const char *want)
{
    c->checked[k]++;
    if (ok)
        return;
    c->wrong[k]++;
    if (c->verbose)
        print_message("    %s: %s %s: %.160s, expected %.160s\n", probe_class_names[k], where, name,
                      got != NULL ? got : "nothing", want != NULL ? want : "nothing");
}

static void check_same(struct probe_count *c, enum probe_class k, const char *where,
                       const char *name, const char *got, const char *want)
{
    check(c, k, got != NULL && want != NULL && strcmp(got, want) == 0, where, name, got, want);
}

/* --- claims --- */

static const char *brands_text(struct arena *a, const struct identity *id, bool full)
{
    const char *s = "";

    for (size_t i = 0; i < id->n_brands; i++)
        s = arena_printf(a, "%s%s%s/%s", s, i > 0 ? "," : "", id->brands[i].brand,
                         full ? id->brands[i].version : id->brands[i].major);
    return s;
}

static const char *languages_text(struct arena *a, const struct identity *id)
{
    const char *s = "[";

    for (size_t i = 0; i < id->n_languages; i++)
        s = arena_printf(a, "%s%s\"%s\"", s, i > 0 ? "," : "", id->languages[i]);
    return arena_printf(a, "%s]", s);
}

static void screen_claims(struct arena *a, const struct identity *id, struct json *j)
{
    json_add_str(j, "screen", arena_printf(a, "%ux%u", id->screen_w, id->screen_h));
    json_add_str(
        j, "avail",
        arena_printf(a, "%u,%u,%u,%u", id->avail_x, id->avail_y, id->avail_w, id->avail_h));
    json_add_str(j, "depth", arena_printf(a, "%u", id->color_depth));
    json_add_str(j, "dpr", arena_printf(a, "%.6g", id->device_pixel_ratio));
    json_add_str(j, "media", id->mobile ? "01000" : "10111");
    json_add_str(j, "touchPoints", arena_printf(a, "%u", id->max_touch_points));
    json_add_str(j, "touchEvents", id->mobile ? "true" : "false");
    json_add_str(j, "webdriver", "false");
}

/* Name -> text as the probe posts it. */
static struct json *claims_of(struct arena *a, const struct identity *id)
{
    struct json *j = json_new_object();

    json_add_str(j, "userAgent", id->user_agent);
    json_add_str(j, "appVersion", id->user_agent + 8);
    json_add_str(j, "platform", id->platform);
    json_add_str(j, "language", id->languages[0]);
    json_add_str(j, "languages", languages_text(a, id));
    json_add_str(j, "hardwareConcurrency", arena_printf(a, "%u", id->hardware_concurrency));
    json_add_str(j, "deviceMemory", arena_printf(a, "%.6g", id->device_memory_gb));
    json_add_str(j, "brands", brands_text(a, id, false));
    json_add_str(j, "fullVersions", brands_text(a, id, true));
    json_add_str(j, "uaMobile", id->mobile ? "true" : "false");
    json_add_str(j, "uaPlatform", id->ch_platform);
    json_add_str(j, "high",
                 arena_printf(a, "%s/%s/%s/%s/%s/%s", id->ch_architecture, id->ch_bitness,
                              id->ch_model, id->ch_platform_version,
                              id->ch_wow64 ? "true" : "false", id->ch_form_factor));
    json_add_str(j, "timeZone", id->timezone);
    json_add_str(j, "locale", id->locale);
    if (id->webgl_renderer[0] != '\0')
        json_add_str(j, "gl", arena_printf(a, "%s | %s", id->webgl_vendor, id->webgl_renderer));
    screen_claims(a, id, j);
    return j;
}

/* --- realms --- */

static bool is_report(const char *realm)
{
    static const char *const others[] = {"window", "tamper", "ids"};

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (strcmp(realm, others[i]) == 0)
            return false;
    return true;
}

static void judge_missing(struct probe_count *c, const struct probe_visit *v, bool popups)
{
    for (size_t i = 0; probe_realms[i] != NULL; i++)
        check(c, PROBE_MISSING, json_get(v->realms, probe_realms[i]) != NULL, probe_realms[i], "",
              NULL, "a report");
    for (size_t i = 0; popups && probe_popup_realms[i] != NULL; i++)
        check(c, PROBE_MISSING, json_get(v->realms, probe_popup_realms[i]) != NULL,
              probe_popup_realms[i], "", NULL, "a report");
}

/* Noise goes with the top-level site: these realms are another site's. */
static bool is_elsewhere(const char *realm, const char *name)
{
    static const char *const noisy[] = {"canvas", "offscreen", "glPixels", "audio"};

    if (strcmp(name, "offscreen") == 0 &&
        (strstr(realm, "shared") || strcmp(realm, "service") == 0))
        return true; /* processes of their own draw text otherwise, also without an identity */
    if (strcmp(realm, "popup-cross") != 0 && strcmp(realm, "cross-shared") != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(noisy); i++)
        if (strcmp(name, noisy[i]) == 0)
            return true;
    return false;
}

/* Every realm against what is claimed and what the page itself says. Values that a realm does not
 * have are not compared: workers have no screen, insecure ones no hints. */
static void judge_realms(struct probe_count *c, const struct probe_visit *v,
                         const struct json *claims)
{
    for (const struct json *r = json_first(v->realms); r != NULL; r = json_next(r)) {
        const char *realm = json_key(r);

        if (!is_report(realm))
            continue;
        for (const struct json *x = json_first(r); x != NULL; x = json_next(x)) {
            const char *name = json_key(x), *text = json_str(x, NULL);
            const char *want = json_str(json_get(claims, name), NULL);
            const char *page = probe_value(v, "top", name);

            if (strcmp(name, "again") == 0)
                check_same(c, PROBE_FIRST, realm, name, text, "[]");
            else if (strcmp(realm, "top") == 0 && want != NULL)
                check_same(c, PROBE_CLAIMED, realm, name, text, want);
            else if (page != NULL && strcmp(realm, "top") != 0 && !is_elsewhere(realm, name))
                check_same(c, PROBE_REALM, realm, name, text, page);
        }
    }
}

static void logic_is(struct probe_count *c, const struct probe_visit *v, const char *realm,
                     const char *name, const char *want)
{
    check_same(c, PROBE_LOGIC, realm, name, probe_value(v, realm, name), want);
}

static void judge_logic(struct probe_count *c, const struct probe_visit *v,
                        const struct identity *id)
{
    char window[64];

    snprintf(window, sizeof window, "%u,%u,%u,%u", id->window_w, id->window_h, id->viewport_w,
             id->viewport_h);
    logic_is(c, v, "window", "inner", window);
    logic_is(c, v, "window", "permission", "default/prompt");
    for (const struct json *r = json_first(v->realms); r != NULL; r = json_next(r)) {
        const char *realm = json_key(r);

        if (probe_value(v, realm, "screen") == NULL)
            continue;
        logic_is(c, v, realm, "deviceWidth", "true");
        logic_is(c, v, realm, "resolution", "true");
        logic_is(c, v, realm, "lastModified", "true");
        logic_is(c, v, realm, "pdf", id->mobile ? "false" : "true");
        logic_is(c, v, realm, "plugins", id->mobile ? "0" : "5");
        logic_is(c, v, realm, "chrome", "object");
    }
}

/* --- requests --- */

static const struct probe_request *request_find(const struct probe_visit *v, const char *key)
{
    for (size_t i = 0; i < v->n_requests; i++)
        if (strcmp(v->requests[i].key, key) == 0)
            return &v->requests[i];
    return NULL;
}

/* The value of a header, ptr NULL when absent. */
static struct str header_of(const struct probe_request *q, const char *name)
{
    struct str rest = str_from(q->headers);

    while (rest.ptr != NULL) {
        struct str line = str_trim(str_cut(&rest, '\n')), key = str_cut(&line, ':');

        if (str_eq_nocase(key, str_from(name)) && line.ptr != NULL)
            return str_trim(line);
    }
    return STR_NONE;
}

static void header_is(struct probe_count *c, const struct probe_request *q, const char *name,
                      const char *want)
{
    struct str got = header_of(q, name);
    char text[300];

    if (got.ptr == NULL)
        return;
    snprintf(text, sizeof text, "%.*s", STR_ARG(got));
    check_same(c, PROBE_HEADER, q->key, name, text, want);
}

static const char *brand_header(struct arena *a, const struct identity *id, bool full)
{
    const char *s = "";

    for (size_t i = 0; i < id->n_brands; i++)
        s = arena_printf(a, "%s%s\"%s\";v=\"%s\"", s, i > 0 ? ", " : "", id->brands[i].brand,
                         full ? id->brands[i].version : id->brands[i].major);
    return s;
}

static void judge_headers(struct probe_count *c, const struct probe_visit *v,
                          const struct identity *id)
{
    struct arena *a = arena_create(NULL, 0);

    for (size_t i = 0; i < v->n_requests; i++) {
        const struct probe_request *q = &v->requests[i];

        header_is(c, q, "user-agent", id->user_agent);
        header_is(c, q, "accept-language", id->accept_language);
        header_is(c, q, "sec-ch-ua", brand_header(a, id, false));
        header_is(c, q, "sec-ch-ua-full-version-list", brand_header(a, id, true));
        header_is(c, q, "sec-ch-ua-mobile", id->mobile ? "?1" : "?0");
        header_is(c, q, "sec-ch-ua-platform", arena_printf(a, "\"%s\"", id->ch_platform));
        header_is(c, q, "sec-ch-ua-platform-version",
                  arena_printf(a, "\"%s\"", id->ch_platform_version));
        header_is(c, q, "sec-ch-ua-model", arena_printf(a, "\"%s\"", id->ch_model));
        header_is(c, q, "sec-ch-ua-arch", arena_printf(a, "\"%s\"", id->ch_architecture));
        header_is(c, q, "device-memory", arena_printf(a, "%.6g", id->device_memory_gb));
        header_is(c, q, "sec-ch-device-memory", arena_printf(a, "%.6g", id->device_memory_gb));
    }
    arena_destroy(&a);
}

static void judge_order(struct probe_count *c, const struct probe_visit *v,
                        const struct probe_visit *plain)
{
    for (size_t i = 0; i < v->n_requests; i++) {
        const struct probe_request *q = &v->requests[i], *p = request_find(plain, q->key);

        if (p != NULL)
            check_same(c, PROBE_ORDER, q->key, "", q->names, p->names);
    }
}

/* --- leaks and patches --- */

static void judge_leaks(struct probe_count *c, const struct probe_visit *v)
{
    static const char *const words[] = {"Headless", "SwiftShader"};

    for (size_t w = 0; w < ARRAY_LEN(words); w++) {
        for (const struct json *r = json_first(v->realms); r != NULL; r = json_next(r))
            for (const struct json *x = json_first(r); is_report(json_key(r)) && x != NULL;
                 x = json_next(x))
                check(c, PROBE_LEAK, strstr(json_str(x, ""), words[w]) == NULL, json_key(r),
                      json_key(x), json_str(x, ""), "no such word");
        for (size_t i = 0; i < v->n_requests; i++)
            check(c, PROBE_LEAK, strstr(v->requests[i].headers, words[w]) == NULL,
                  v->requests[i].key, "headers", words[w], "no such word");
    }
}

static void judge_tamper(struct probe_count *c, const struct probe_visit *v,
                         const struct probe_visit *plain)
{
    const struct json *want = json_get(plain->realms, "tamper");

    for (const struct json *x = json_first(want); x != NULL; x = json_next(x))
        check_same(c, PROBE_TAMPER, "top", json_key(x), probe_value(v, "tamper", json_key(x)),
                   json_str(x, ""));
}

void probe_judge(struct probe_count *c, const struct probe_visit *v, const struct identity *id,
                 const struct probe_visit *plain, bool popups)
{
    struct arena *a = arena_create(NULL, 0);
    struct json *claims = claims_of(a, id);

    judge_missing(c, v, popups);
    judge_realms(c, v, claims);
    judge_logic(c, v, id);
    judge_headers(c, v, id);
    judge_order(c, v, plain);
    judge_leaks(c, v);
    judge_tamper(c, v, plain);
    json_destroy(&claims);
    arena_destroy(&a);
}

/* --- between visits --- */

void probe_judge_restart(struct probe_count *c, const struct probe_visit *a,
                         const struct probe_visit *b)
{
    for (const struct json *r = json_first(a->realms); r != NULL; r = json_next(r))
        for (const struct json *x = json_first(r); strcmp(json_key(r), "tamper") != 0 && x != NULL;
             x = json_next(x)) {
            const char *now = probe_value(b, json_key(r), json_key(x));

            if (now != NULL)
                check_same(c, PROBE_RESTART, json_key(r), json_key(x), now, json_str(x, ""));
        }
}

void probe_judge_collision(struct probe_count *c, const struct probe_visit *a,
                           const struct probe_visit *b)
{
    static const char *const names[] = {"canvas", "offscreen", "glPixels", "audio"};
    static const char *const ids[] = {"fingerprintjs", "thumbmark"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *x = probe_value(a, "top", names[i]), *y = probe_value(b, "top", names[i]);

        check(c, PROBE_COLLISION, x != NULL && y != NULL && strcmp(x, y) != 0, "top", names[i], x,
              "another value");
    }
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        const char *x = probe_value(a, "ids", ids[i]), *y = probe_value(b, "ids", ids[i]);

        if (x != NULL || y != NULL)
            check(c, PROBE_COLLISION, x != NULL && y != NULL && strcmp(x, y) != 0, "ids", ids[i], x,
                  "another id");
    }
}

void probe_print(const struct probe_count *c, const char *title, unsigned visits)
{
    unsigned wrong = 0, checked = 0;

    print_message("%s, %u visits\n", title, visits);
    for (size_t i = 0; i < PROBE_CLASSES; i++) {
        print_message("    %-18s %6u of %u\n", probe_class_names[i], c->wrong[i], c->checked[i]);
        wrong += c->wrong[i];
        checked += c->checked[i];
    }
    print_message("    %-18s %6u of %u: %.1f a visit\n", "all", wrong, checked,
                  visits > 0 ? (double)wrong / visits : 0);
}
