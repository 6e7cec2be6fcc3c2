#include "core/conf/comments.h"

#include <stdbool.h>
#include <string.h>

/* The offset just behind the string that begins at `i`, or `len`: what is wrong with it is the
 * parser's to say. */
static size_t skip_string(const char *text, size_t len, size_t i)
{
    for (i++; i < len && text[i] != '"' && text[i] != '\n'; i++) {
        if (text[i] == '\\')
            i++;
    }
    return i < len ? i + 1 : len;
}

static void blank(char *text, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (text[i] != '\n' && text[i] != '\r')
            text[i] = ' ';
    }
}

static enum status fail_at(const char *text, size_t at, struct err *e)
{
    size_t line = 1, column = 1;

    for (size_t i = 0; i < at; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    return err_set(e, STATUS_INVALID,
                   "line %zu, column %zu: found a comment that does not end, expected \"*/\"", line,
                   column);
}

/* The end of the comment that begins at `i`; 0: it has none. */
static size_t comment_end(const char *text, size_t len, size_t i)
{
    const char *end;

    if (text[i + 1] == '/') {
        end = memchr(text + i, '\n', len - i);
        return end ? (size_t)(end - text) : len;
    }
    end = memmem(text + i + 2, len - i - 2, "*/", 2);
    return end ? (size_t)(end - text) + 2 : 0;
}

enum status comments_blank(char *text, size_t len, struct err *e)
{
    for (size_t i = 0; i < len;) {
        if (text[i] == '"') {
            i = skip_string(text, len, i);
        } else if (text[i] == '/' && i + 1 < len && (text[i + 1] == '/' || text[i + 1] == '*')) {
            size_t end = comment_end(text, len, i);

            if (end == 0)
                return fail_at(text, i, e);
            blank(text, i, end);
            i = end;
        } else {
            i++;
        }
    }
    return STATUS_OK;
}
