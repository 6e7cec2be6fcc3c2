#include "core/op/block.h"

#include <ctype.h>
#include <string.h>

/* --- the table ---
 *
 * A row holds when its needle is found in what it looks at (without case), `unless` is not found in
 * the same line, the document came with its status where one is given, and, for what ordinary pages
 * say too, when the page says little besides: an article about CAPTCHAs is no CAPTCHA.
 *
 * Scripts of the vendors stand on many ordinary pages; so do widgets that nobody sees (badges,
 * score-based ones, challenges held ready). What stops a member is what is shown, or what came in
 * place of the page. */
enum look { LOOK_URL, LOOK_TITLE, LOOK_TEXT, LOOK_FRAME, LOOK_INNER, LOOK_SCRIPT, LOOK_SELECTOR };

enum { BRIEF_BYTES = 1500, ERROR_STATUS = -1 };

struct row {
    const char *name;
    enum look look;
    const char *needle; /* lower case, but selectors */
    int status;         /* 0: any; ERROR_STATUS: 400 and above */
    const char *unless; /* NULL: nothing */
    bool brief;         /* only on a page of few words */
};

static const struct row rows[] = {
    {"recaptcha", LOOK_FRAME, "/recaptcha/api2/anchor", 0, "size=invisible", false},
    {"recaptcha", LOOK_FRAME, "/recaptcha/enterprise/anchor", 0, "size=invisible", false},
    {"recaptcha", LOOK_FRAME, "/recaptcha/api2/bframe", 0, NULL, false},
    {"recaptcha", LOOK_FRAME, "/recaptcha/enterprise/bframe", 0, NULL, false},
    {"google-sorry", LOOK_URL, "google.com/sorry/", 0, NULL, false},
    {"hcaptcha", LOOK_FRAME, "hcaptcha.com/captcha/", 0, "checkbox-invisible", false},
    {"turnstile", LOOK_FRAME, "challenges.cloudflare.com/", 0, "/invisible/", false},
    {"turnstile", LOOK_INNER, "challenges.cloudflare.com/", 0, "/invisible/", false},
    {"turnstile", LOOK_INNER, "/challenge-platform/h/b/turnstile/", 0, "/invisible/", false},
    {"turnstile", LOOK_INNER, "/challenge-platform/h/g/turnstile/", 0, "/invisible/", false},
    {"cloudflare-challenge", LOOK_SCRIPT, "/cdn-cgi/challenge-platform/", ERROR_STATUS, NULL,
     false},
    {"cloudflare-challenge", LOOK_TITLE, "just a moment...", 0, NULL, true},
    {"cloudflare-block", LOOK_TITLE, "attention required! | cloudflare", 0, NULL, false},
    {"arkose", LOOK_FRAME, "arkoselabs.com/", 0, NULL, false},
    {"arkose", LOOK_FRAME, "funcaptcha.com/", 0, NULL, false},
    {"geetest", LOOK_FRAME, "geetest.com/", 0, NULL, false},
    {"geetest", LOOK_SELECTOR, ".geetest_holder,.geetest_captcha,.geetest_panel_box", 0, NULL,
     false},
    {"datadome", LOOK_FRAME, "captcha-delivery.com/", 0, NULL, false},
    {"datadome", LOOK_SCRIPT, "captcha-delivery.com/", ERROR_STATUS, NULL, false},
    {"perimeterx", LOOK_SELECTOR, "#px-captcha,#px-captcha-wrapper", 0, NULL, false},
    {"perimeterx", LOOK_SCRIPT, "captcha.px-cdn.net/", ERROR_STATUS, NULL, false},
    {"perimeterx", LOOK_SCRIPT, "captcha.px-cloud.net/", ERROR_STATUS, NULL, false},
    {"perimeterx", LOOK_TEXT, "press & hold to confirm you are", 0, NULL, true},
    {"perimeterx", LOOK_TITLE, "access to this page has been denied", 0, NULL, true},
    {"aws-waf", LOOK_SELECTOR, "awswaf-captcha", 0, NULL, false},
    {"aws-waf", LOOK_SCRIPT, ".captcha.awswaf.com/", 0, NULL, true},
    {"aws-waf", LOOK_SCRIPT, ".token.awswaf.com/", 202, NULL, false},
    {"aws-waf", LOOK_SCRIPT, ".token.awswaf.com/", ERROR_STATUS, NULL, false},
    {"amazon", LOOK_SELECTOR, "form[action*='/errors/validateCaptcha']", 0, NULL, false},
    {"akamai", LOOK_SELECTOR, "#sec-if-cpt-container,#sec-cpt-if", 0, NULL, false},
    {"akamai", LOOK_SCRIPT, "/_sec/cp_challenge/", ERROR_STATUS, NULL, false},
    {"akamai", LOOK_TEXT, "errors.edgesuite.net", ERROR_STATUS, NULL, true},
    {"imperva", LOOK_FRAME, "/_incapsula_resource", 0, NULL, false},
    {"imperva", LOOK_TEXT, "incapsula incident id", 0, NULL, true},
    {"kasada", LOOK_SCRIPT, "/149e9513-01fa-4fb0-aad4-566afd725d1b/", ERROR_STATUS, NULL, false},
    {"sucuri", LOOK_TITLE, "sucuri website firewall - access denied", 0, NULL, false},
    {"yandex-smartcaptcha", LOOK_URL, "/showcaptcha?", 0, NULL, false},
    {"yandex-smartcaptcha", LOOK_FRAME, "smartcaptcha.yandexcloud.net/", 0, "/invisible", false},
    {"friendly-captcha", LOOK_SELECTOR, ".frc-captcha", 0, NULL, false},
    {"mtcaptcha", LOOK_FRAME, "service.mtcaptcha.com/", 0, NULL, false},
    {"captcha-page", LOOK_URL, "/captcha", ERROR_STATUS, NULL, false},
    {"captcha-page", LOOK_TITLE, "are you a robot", 0, NULL, true},
    {"captcha-page", LOOK_TITLE, "are you human", 0, NULL, true},
    {"captcha-page", LOOK_TITLE, "robot check", 0, NULL, true},
    {"captcha-page", LOOK_TITLE, "human verification", 0, NULL, true},
    {"captcha-page", LOOK_TITLE, "verify you are human", 0, NULL, true},
    {"captcha-page", LOOK_TITLE, "security check", 0, NULL, true},
    {"captcha-page", LOOK_TEXT, "verify you are human", 0, NULL, true},
    {"captcha-page", LOOK_TEXT, "verify that you are human", 0, NULL, true},
    {"captcha-page", LOOK_TEXT, "confirm you are not a robot", 0, NULL, true},
    {"captcha-page", LOOK_TEXT, "prove you are not a robot", 0, NULL, true},
    {"captcha-page", LOOK_TEXT, "unusual traffic from your computer network", 0, NULL, true},
    {"access-denied", LOOK_TITLE, "access denied", 0, NULL, true},
};

/* --- looking --- */

static bool contains(struct str hay, const char *needle)
{
    size_t n = strlen(needle);
    int first = n > 0 ? tolower((unsigned char)needle[0]) : 0;

    for (size_t i = 0; n > 0 && i + n <= hay.len; i++)
        if (tolower((unsigned char)hay.ptr[i]) == first &&
            str_eq_nocase(str_n(hay.ptr + i, n), str_n(needle, n)))
            return true;
    return false;
}

/* A line that has the needle, and not what it is not to have. */
static bool has_line(struct str lines, const char *needle, const char *unless)
{
    while (lines.ptr != NULL && lines.len > 0) {
        struct str line = str_cut(&lines, '\n');

        if (contains(line, needle) && (unless == NULL || !contains(line, unless)))
            return true;
    }
    return false;
}

static bool is_listed(struct str lines, const char *line)
{
    while (lines.ptr != NULL && lines.len > 0)
        if (str_eqz(str_cut(&lines, '\n'), line))
            return true;
    return false;
}

static bool row_holds(const struct row *r, const struct block_page *p)
{
    const struct str looked[] = {
        [LOOK_URL] = p->url,      [LOOK_TITLE] = p->title, [LOOK_TEXT] = p->text,
        [LOOK_FRAME] = p->frames, [LOOK_INNER] = p->inner, [LOOK_SCRIPT] = p->scripts,
    };
    bool error = p->http_status >= 400;

    if (r->status == ERROR_STATUS ? !error : r->status != 0 && r->status != p->http_status)
        return false;
    if (r->brief && !error && p->text.len > BRIEF_BYTES)
        return false;
    if (r->look == LOOK_SELECTOR)
        return is_listed(p->matched, r->needle);
    return has_line(looked[r->look], r->needle, r->unless);
}

static bool rule_holds(const struct block_rule *r, const struct block_page *p)
{
    return (r->status == 0 || (int)r->status == p->http_status) &&
           (r->url == NULL || contains(p->url, r->url)) &&
           (r->title == NULL || contains(p->title, r->title)) &&
           (r->text == NULL || contains(p->text, r->text)) &&
           (r->frame == NULL || contains(p->frames, r->frame) || contains(p->inner, r->frame)) &&
           (r->script == NULL || contains(p->scripts, r->script)) &&
           (r->selector == NULL || is_listed(p->matched, r->selector));
}

static bool is_ignored(const struct block_conf *c, const char *name)
{
    for (size_t i = 0; c != NULL && i < c->ignore.n; i++)
        if (strcmp(c->ignore.v[i], name) == 0)
            return true;
    return false;
}

const char *block_match(const struct block_conf *c, const struct block_page *p)
{
    const struct block_rule *own = c != NULL ? c->rules.v : NULL;

    for (size_t i = 0; own != NULL && i < c->rules.n; i++)
        if (rule_holds(&own[i], p))
            return own[i].name;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (row_holds(&rows[i], p) && !is_ignored(c, rows[i].name))
            return rows[i].name;
    return NULL;
}

void block_selectors(const struct block_conf *c, struct buf *out)
{
    const struct block_rule *own = c != NULL ? c->rules.v : NULL;
    const char *sep = "";

    buf_addc(out, '[');
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].look != LOOK_SELECTOR)
            continue;
        buf_adds(out, sep);
        json_print_str(str_from(rows[i].needle), out);
        sep = ",";
    }
    for (size_t i = 0; own != NULL && i < c->rules.n; i++) {
        if (own[i].selector == NULL)
            continue;
        buf_adds(out, sep);
        json_print_str(str_from(own[i].selector), out);
        sep = ",";
    }
    buf_addc(out, ']');
}

/* --- as campaigns write it --- */

static const char *const reaction_names[] = {"count", "stop", "slow", "handoff", NULL};

static void rule_check(struct json_decode *d, void *obj)
{
    const struct block_rule *r = obj;

    if (r->url == NULL && r->title == NULL && r->text == NULL && r->frame == NULL &&
        r->script == NULL && r->selector == NULL)
        json_fail(d, NULL,
                  "expected at least one of url, title, text, frame, script and selector to "
                  "look for");
}

#define PART(member, what)                                                                         \
    {                                                                                              \
        JF_COMMON(struct block_rule, member), .kind = JK_STR, .min = 3, .max = 500, .doc = what    \
    }

static const struct json_field rule_fields[] = {
    {JF_COMMON(struct block_rule, name), .kind = JK_STR, .required = true, .min = 1, .max = 60,
     .doc = "what it is called in results and receipts"},
    PART(url, "part of the document's URL"),
    PART(title, "part of its title"),
    PART(text, "part of the first 4 KiB of its text"),
    PART(frame, "part of the URL of a frame in it"),
    PART(script, "part of the URL of a script in it"),
    PART(selector, "CSS selector of an element that is shown"),
    {JF_COMMON(struct block_rule, status), .kind = JK_UINT, .min = 100, .max = 599,
     .doc = "the HTTP status it came with; default: any"},
};

static const struct json_schema rule_schema = {
    .name = "captcha.rules",
    .fields = rule_fields,
    .n = ARRAY_LEN(rule_fields),
    .size = sizeof(struct block_rule),
    .check = rule_check,
};

/* A name that no row has is a slip. */
static void conf_check(struct json_decode *d, void *obj)
{
    const struct block_conf *c = obj;

    for (size_t i = 0; i < c->ignore.n; i++) {
        const char *names[ARRAY_LEN(rows)], *near;
        size_t m;

        for (m = 0; m < ARRAY_LEN(rows); m++)
            names[m] = rows[m].name;
        near = str_suggest(str_from(c->ignore.v[i]), names, ARRAY_LEN(rows));
        if (near != NULL && strcmp(near, c->ignore.v[i]) == 0)
            continue;
        m = json_enter(d, "ignore", 0);
        json_fail(d, NULL, "found \"%s\", which is the name of no rule%s%s%s", c->ignore.v[i],
                  near != NULL ? ", did you mean \"" : "", near != NULL ? near : "",
                  near != NULL ? "\"?" : "");
        json_leave(d, m);
    }
}

static const struct json_field conf_fields[] = {
    {JF_COMMON(struct block_conf, on_detected), .kind = JK_ENUM, .names = reaction_names,
     .doc = "what a CAPTCHA or block page leads to: count: a failure, as the target's breaker "
            "counts them; stop: the breaker opens at once; slow: the target's rate is halved for "
            "everybody; handoff: the member waits for a person, who sees its page at the address "
            "that is in run/handoff of the state directory; default: count"},
    {JF_COMMON(struct block_conf, handoff_ms), .kind = JK_INT, .min = 1000, .max = 86400000,
     .doc = "how long a person is waited for, in milliseconds; default: 300000"},
    {JF_COMMON(struct block_conf, rules), .kind = JK_OBJECTS, .sub = &rule_schema, .min = 0,
     .max = BLOCK_RULES_MAX,
     .doc = "further rules: {\"name\", and what is looked for: \"url\", \"title\", \"text\", "
            "\"frame\", \"script\", \"selector\", \"status\"}; all of it must hold"},
    {JF_COMMON(struct block_conf, ignore), .kind = JK_STRS, .one_is_array = true,
     .doc = "names of rules that do not count here, such as turnstile"},
};
const struct json_schema captcha_schema = {
    .name = "captcha",
    .fields = conf_fields,
    .n = ARRAY_LEN(conf_fields),
    .size = sizeof(struct block_conf),
    .check = conf_check,
};
