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
