#include "core/base/json_internal.h"

#include <string.h>

#include "core/base/num.h"

/* What stands behind the backslash; 0: the six of \u00xx. */
static char short_escape(unsigned char ch)
{
    switch (ch) {
    case '"':
    case '\\':
        return (char)ch;
    case '\b':
        return 'b';
    case '\t':
        return 't';
    case '\n':
        return 'n';
    case '\f':
        return 'f';
    case '\r':
        return 'r';
    default:
        return 0;
    }
}

static void print_escape(unsigned char ch, struct buf *out)
{
    const char both[2] = {'\\', short_escape(ch)};

    if (both[1] != 0)
        buf_add(out, both, sizeof(both));
    else
        buf_addf(out, "\\u%04x", ch);
}

/* What needs no change goes out in runs. */
void json_print_str(struct str s, struct buf *out)
{
    size_t run = 0, i = str_json_plain(s.ptr, s.len);

    buf_addc(out, '"');
    while (i < s.len) {
        unsigned char ch = (unsigned char)s.ptr[i];
        size_t n = ch < 0x80 ? 1 : str_utf8_len(s.ptr + i, s.len - i);

        if (n > 0 && ch >= 0x20 && ch != '"' && ch != '\\') {
            i += n;
            continue;
        }
        buf_add(out, s.ptr + run, i - run);
        if (n > 0)
            print_escape(ch, out);
        else
            buf_adds(out, "\xef\xbf\xbd"); /* U+FFFD */
        run = ++i;
        i += str_json_plain(s.ptr + i, s.len - i);
    }
    if (i > run)
        buf_add(out, s.ptr + run, i - run);
    buf_addc(out, '"');
}

static void print_num(double v, struct buf *out)
{
    char text[NUM_TEXT_MAX];

    buf_add(out, text, num_print(v, text));
}

static void new_line(unsigned indent, unsigned level, struct buf *out)
{
    if (indent == 0)
        return;
    buf_addc(out, '\n');
    for (unsigned i = 0; i < indent * level; i++)
        buf_addc(out, ' ');
}

static void print_value(const struct json *j, unsigned indent, unsigned level, struct buf *out);

static void print_children(const struct json *j, unsigned indent, unsigned level, struct buf *out)
{
    bool object = json_type(j) == JSON_OBJECT;

    buf_addc(out, object ? '{' : '[');
    for (const struct json *c = json_first(j); c; c = json_next(c)) {
        if (c != json_first(j))
            buf_addc(out, ',');
        new_line(indent, level + 1, out);
        if (object) {
            json_print_str(str_from(json_key(c)), out);
            buf_adds(out, indent ? ": " : ":");
        }
        print_value(c, indent, level + 1, out);
    }
    if (json_first(j))
        new_line(indent, level, out);
    buf_addc(out, object ? '}' : ']');
}

static void print_value(const struct json *j, unsigned indent, unsigned level, struct buf *out)
{
    switch (json_type(j)) {
    case JSON_NULL:
        buf_adds(out, "null");
        break;
    case JSON_BOOL:
        buf_adds(out, json_bool(j, false) ? "true" : "false");
        break;
    case JSON_NUMBER:
        print_num(json_num(j, 0), out);
        break;
    case JSON_STRING:
        json_print_str(str_from(json_str(j, "")), out);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        print_children(j, indent, level, out);
        break;
    }
}

void json_print(const struct json *j, unsigned indent, struct buf *out)
{
    print_value(j, indent, 0, out);
}
