#include "browser/page/selector_check.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

/* What is open where the text is being read. */
struct nest {
    char open[DEPTH_MAX];
    size_t at[DEPTH_MAX];
    size_t depth;
};

static bool wrong(char why[SELECTOR_WHY_MAX], const char *what, char c, size_t at)
{
    snprintf(why, SELECTOR_WHY_MAX, "%s %c at character %zu", what, c, at + 1);
    return false;
}

static char partner(char c)
{
    return (char)(c == ')' ? '(' : c == ']' ? '[' : '\0');
}

/* A bracket at `i`. */
static bool bracket(struct nest *n, char c, size_t i, char why[SELECTOR_WHY_MAX])
{
    if (c == '(' || c == '[') {
        if (n->depth == DEPTH_MAX)
            return wrong(why, "too many brackets within one another, the last is", c, i);
        n->open[n->depth] = c;
        n->at[n->depth++] = i;
        return true;
    }
    if (n->depth == 0)
        return wrong(why, "nothing is open that could be closed by", c, i);
    if (n->open[n->depth - 1] != partner(c))
        return wrong(why, "another bracket is open before the", c, i);
    n->depth--;
    return true;
}

/* From the quote at `i` to the one that ends it; the length of the text when none does. */
static size_t skip_quoted(struct str s, size_t i, bool escapes)
{
    char quote = s.ptr[i++];

    for (; i < s.len && s.ptr[i] != quote; i++)
        if (escapes && s.ptr[i] == '\\')
            i++;
    return i < s.len ? i : s.len;
}

static bool is_balanced(struct str s, bool escapes, char why[SELECTOR_WHY_MAX])
{
    struct nest n = {.depth = 0};

    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (escapes && c == '\\') {
            i++;
        } else if (c == '"' || c == '\'') {
            size_t end = skip_quoted(s, i, escapes);

            if (end == s.len)
                return wrong(why, "no end to the quote", c, i);
            i = end;
        } else if (strchr("()[]", c) != NULL && c != '\0' && !bracket(&n, c, i, why)) {
            return false;
        }
    }
    if (n.depth > 0)
        return wrong(why, "no end to the", n.open[n.depth - 1], n.at[n.depth - 1]);
    return true;
}

static bool has_variable(struct str s)
{
    return str_find(s, STR("{{")) >= 0;
}

/* Outside of brackets and quotes: characters that no selector has, and names that CSS does not let
 * begin with a digit. */
static bool css_character(struct str s, size_t i, char why[SELECTOR_WHY_MAX])
{
    char c = s.ptr[i], next = (char)(i + 1 < s.len ? s.ptr[i + 1] : '\0');

    if (strchr("{};@!$%^?=<\"", c) != NULL)
        return wrong(why, "no selector has a", c, i);
    if ((c == '#' || c == '.') && isdigit((unsigned char)next)) {
        snprintf(
            why, SELECTOR_WHY_MAX,
            "a name cannot begin with a digit (character %zu): write %c\\3%c , or [id=\"...\"]",
            i + 2, c, next);
        return false;
    }
    if ((c == '#' || c == '.') && (next == '\0' || strchr(" ,>+~#.:[", next) != NULL))
        return wrong(why, "no name after", c, i);
    if (c == ':' && (next == '\0' || strchr(" ,>+~#.[", next) != NULL))
        return wrong(why, "no name after", c, i);
    return true;
}

static bool css_plain(struct str s, char why[SELECTOR_WHY_MAX])
{
    size_t depth = 0;

    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (c == '\\')
            i++;
        else if (c == '"' || c == '\'')
            i = skip_quoted(s, i, true);
        else if (c == '(' || c == '[')
            depth++;
        else if (c == ')' || c == ']')
            depth--;
        else if (depth == 0 && !css_character(s, i, why))
            return false;
    }
    return true;
}

bool selector_css_sound(struct str text, char why[SELECTOR_WHY_MAX])
{
    struct str s = str_trim(text);

    if (s.len == 0 || has_variable(s))
        return true;
    if (!is_balanced(s, true, why) || !css_plain(s, why))
        return false;
    if (strchr(",>+~", s.ptr[s.len - 1]) != NULL && (s.len < 2 || s.ptr[s.len - 2] != '\\'))
        return wrong(why, "nothing follows the", s.ptr[s.len - 1], s.len - 1);
    if (s.ptr[0] == ',')
        return wrong(why, "nothing stands before the", ',', 0);
    return true;
}

bool selector_xpath_sound(struct str text, char why[SELECTOR_WHY_MAX])
{
    struct str s = str_trim(text);

    if (s.len == 0 || has_variable(s))
        return true;
    if (!is_balanced(s, false, why))
        return false;
    if (!str_eqz(s, "/") && strchr("/@:|=<>,+$!-", s.ptr[s.len - 1]) != NULL)
        return wrong(why, "nothing follows the", s.ptr[s.len - 1], s.len - 1);
    for (size_t i = 0; i + 1 < s.len; i++) {
        if (s.ptr[i] == '"' || s.ptr[i] == '\'')
            i = skip_quoted(s, i, false);
        else if (s.ptr[i] == '[' && s.ptr[i + 1] == ']')
            return wrong(why, "nothing within the", '[', i);
    }
    return true;
}

/* --- aria/ --- */

static struct str skip_space(struct str s)
{
    while (s.len > 0 && isspace((unsigned char)s.ptr[0]))
        s = str_skip(s, 1);
    return s;
}

bool selector_take_attribute(struct str *s, struct str *name, struct str *value)
{
    struct str r = skip_space(str_skip(*s, 1));
    size_t n = 0;
    char quote;

    while (n < r.len && isalnum((unsigned char)r.ptr[n]))
        n++;
    *name = str_n(r.ptr, n);
    r = skip_space(str_skip(r, n));
    if (n == 0 || r.len == 0 || r.ptr[0] != '=')
        return false;
    r = skip_space(str_skip(r, 1));
    if (r.len == 0 || (r.ptr[0] != '"' && r.ptr[0] != '\''))
        return false;
    quote = r.ptr[0];
    r = str_skip(r, 1);
    for (n = 0; n < r.len && r.ptr[n] != quote; n++)
        if (r.ptr[n] == '\\' && n + 1 < r.len)
            n++;
    *value = str_n(r.ptr, n);
    r = skip_space(str_skip(r, n + 1));
    if (r.len == 0 || r.ptr[0] != ']')
        return false;
    *s = str_skip(r, 1);
    return true;
}

/* At a '[': "role" or "name" and '=' follow, whatever comes then. */
static bool is_meant(struct str s)
{
    struct str r = skip_space(str_skip(s, 1));
    size_t n = 0;

    while (n < r.len && isalnum((unsigned char)r.ptr[n]))
        n++;
    s = skip_space(str_skip(r, n));
    r = str_n(r.ptr, n);
    return (str_eqz(r, "role") || str_eqz(r, "name")) && s.len > 0 && s.ptr[0] == '=';
}

bool selector_aria_sound(struct str text, char why[SELECTOR_WHY_MAX])
{
    struct str s = text, name, value;

    if (has_variable(text))
        return true;
    while (s.len > 0) {
        size_t at = (size_t)(s.ptr - text.ptr) + 1;

        if (s.ptr[0] != '[') {
            s = str_skip(s, 1);
        } else if (selector_take_attribute(&s, &name, &value)) {
            if (str_eqz(name, "role") || str_eqz(name, "name"))
                continue;
            snprintf(why, SELECTOR_WHY_MAX,
                     "unknown attribute \"%.*s\" (character %zu), expected role or name",
                     STR_ARG(str_head(name, 40)), at);
            return false;
        } else if (is_meant(s)) {
            snprintf(why, SELECTOR_WHY_MAX,
                     "expected [role=\"...\"] or [name=\"...\"] at character %zu, in quotes and "
                     "closed",
                     at);
            return false;
        } else {
            s = str_skip(s, 1);
        }
    }
    return true;
}
