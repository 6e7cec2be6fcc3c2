/* Recorder's selectors as they are written: decoding, and aria/ taken apart. */
#include "browser/page/query.h"

#include "browser/page/selector_check.h"

#include <ctype.h>
#include <string.h>

static const char *const kinds[] = {"aria", "text", "xpath", "pierce"};

/* "word/" in front of a part; empty when there is none, as in CSS. */
static struct str kind_of(struct str part)
{
    size_t n = 0;

    while (n < part.len && isalpha((unsigned char)part.ptr[n]))
        n++;
    return n > 0 && n < part.len && part.ptr[n] == '/' ? str_n(part.ptr, n) : STR_NONE;
}

static bool is_kind(struct str kind)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eqz(kind, kinds[i]))
            return true;
    return false;
}

static bool css_check(struct json_decode *d, const char *part, struct str css)
{
    char why[SELECTOR_WHY_MAX];

    return selector_css_sound(css, why) ||
           json_fail(d, NULL, "found \"%s\", which is no CSS selector: %s", part, why);
}

static bool part_check(struct json_decode *d, const char *part)
{
    struct str s = str_from(part), kind = kind_of(s);
    char why[SELECTOR_WHY_MAX];
    const char *near;

    if (s.len == 0)
        return json_fail(d, NULL, "found an empty selector");
    if (part[0] == '/' || (part[0] == '(' && part[1] == '/'))
        return json_fail(d, NULL, "found \"%s\", expected \"xpath/%s\" for an XPath", part, part);
    if (kind.ptr == NULL)
        return css_check(d, part, s);
    if (!is_kind(kind)) {
        near = str_suggest(kind, kinds, ARRAY_LEN(kinds));
        return json_fail(d, NULL,
                         "unknown kind of selector \"%.*s/\"%s%s%s; expected CSS, aria/, text/, "
                         "xpath/ or pierce/",
                         STR_ARG(kind), near != NULL ? ", did you mean \"" : "",
                         near != NULL ? near : "", near != NULL ? "/\"?" : "");
    }
    if (s.len == kind.len + 1)
        return json_fail(d, NULL, "found nothing after \"%s\"", part);
    s = str_skip(s, kind.len + 1);
    if (str_eqz(kind, "pierce"))
        return css_check(d, part, s);
    if (str_eqz(kind, "aria") && !selector_aria_sound(s, why))
        return json_fail(d, NULL, "found \"%s\", which is no aria/ selector: %s", part, why);
    if (str_eqz(kind, "xpath") && !selector_xpath_sound(s, why))
        return json_fail(d, NULL, "found \"%s\", which is no XPath: %s", part, why);
    return true;
}

static const char *copy(struct json_decode *d, const struct json *j)
{
    const char *z = json_str(j, NULL);
    size_t n = z != NULL ? strlen(z) : 0;
    char *out;

    if (z == NULL) {
        json_fail(d, NULL, "found %s, expected a selector: a string", json_type_name(json_type(j)));
        return NULL;
    }
    out = arena_try_alloc(d->arena, n + 1);
    if (out == NULL) {
        json_fail(d, NULL, "no memory for a selector of %zu bytes", n);
        return NULL;
    }
    return memcpy(out, z, n + 1);
}

static bool decode_part(struct json_decode *d, const struct json *j, struct chain *c)
{
    const char *part = copy(d, j);

    if (part == NULL || !part_check(d, part))
        return false;
    c->parts[c->n++] = part;
    return true;
}

static bool decode_chain(struct json_decode *d, const struct json *j, struct chain *out)
{
    size_t n = json_type(j) == JSON_ARRAY ? json_len(j) : 1, i = 0;
    bool ok = true;

    if (n == 0 || n > CHAIN_MAX)
        return json_fail(d, NULL, "found a selector of %zu parts, expected 1..%d", n, CHAIN_MAX);
    out->parts = arena_array(d->arena, const char *, n);
    out->n = 0;
    if (json_type(j) != JSON_ARRAY)
        return decode_part(d, j, out);
    for (const struct json *c = json_first(j); c != NULL; c = json_next(c), i++) {
        size_t m = json_enter(d, NULL, i);

        ok = decode_part(d, c, out) && ok;
        json_leave(d, m);
    }
    return ok;
}

bool selectors_decode(struct json_decode *d, const struct json *j, void *field)
{
    size_t n = json_type(j) == JSON_ARRAY ? json_len(j) : 1, i = 0;
    struct selectors s = {0};
    bool ok = true;

    if (json_type(j) != JSON_ARRAY && json_type(j) != JSON_STRING)
        return json_fail(d, NULL, "found %s, expected an array of selectors",
                         json_type_name(json_type(j)));
    if (n == 0 || n > SELECTORS_MAX)
        return json_fail(d, NULL, "found %zu selectors, expected 1..%d", n, SELECTORS_MAX);
    s.alts = arena_array(d->arena, struct chain, n);
    if (json_type(j) == JSON_STRING) {
        ok = decode_chain(d, j, &s.alts[s.n++]);
    } else {
        for (const struct json *c = json_first(j); c != NULL; c = json_next(c), i++) {
            size_t m = json_enter(d, NULL, i);

            ok = decode_chain(d, c, &s.alts[s.n++]) && ok;
            json_leave(d, m);
        }
    }
    if (ok)
        *(struct selectors *)field = s;
    return ok;
}

/* --- aria/ --- */

/* Runs of white space become one space, as in the accessibility tree. */
static const char *squeeze(struct arena *a, struct str s)
{
    char *out = arena_alloc(a, s.len + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        bool space = isspace((unsigned char)s.ptr[i]) != 0;

        if (!space)
            out[n++] = s.ptr[i];
        else if (n > 0 && out[n - 1] != ' ')
            out[n++] = ' ';
    }
    while (n > 0 && out[n - 1] == ' ')
        n--;
    out[n] = '\0';
    return out;
}

bool aria_parse(struct arena *a, const char *part, struct aria *out)
{
    struct str s = str_from(part), name, value, given = STR_NONE;
    char *text;
    size_t n = 0;

    if (!str_starts(s, STR("aria/")))
        return false;
    s = str_skip(s, 5);
    text = arena_alloc(a, s.len + 1);
    out->role = "";
    while (s.len > 0) {
        if (s.ptr[0] == '[' && selector_take_attribute(&s, &name, &value)) {
            if (str_eqz(name, "role"))
                out->role = squeeze(a, value);
            else if (str_eqz(name, "name"))
                given = value;
            continue;
        }
        text[n++] = s.ptr[0];
        s = str_skip(s, 1);
    }
    out->name = squeeze(a, given.ptr != NULL ? given : str_n(text, n));
    return true;
}
