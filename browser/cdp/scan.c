/* The scan of a message's outside. Chromium puts id or method first and sessionId last, so the
 * payload between must be walked over; this walks it once without building anything: strings by
 * memchr-like loops, nesting by a depth count. */
#include "browser/cdp/conn.h"

struct scan {
    const char *p, *end;
};

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

/* Past a string, whose first quote is at s->p. *out is what stands between the quotes. */
static bool skip_string(struct scan *s, struct str *out)
{
    const char *from = ++s->p;

    for (;;) {
        const char *quote = memchr(s->p, '"', (size_t)(s->end - s->p));
        const char *back;
        size_t slashes = 0;

        if (quote == NULL)
            return false;
        for (back = quote; back > from && back[-1] == '\\'; back--)
            slashes++;
        s->p = quote + 1;
        if (slashes % 2 == 0) {
            *out = str_n(from, (size_t)(quote - from));
            return true;
        }
    }
}

static bool skip_nested(struct scan *s)
{
    size_t depth = 0;
    struct str ignored;

    while (s->p < s->end) {
        switch (*s->p) {
        case '"':
            if (!skip_string(s, &ignored))
                return false;
            continue;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            if (--depth == 0) {
                s->p++;
                return true;
            }
            break;
        default:
            break;
        }
        s->p++;
    }
    return false;
}

static bool skip_plain(struct scan *s)
{
    const char *from = s->p;

    while (s->p < s->end && strchr(",}] \t\r\n", *s->p) == NULL)
        s->p++;
    return s->p > from;
}

static bool skip_value(struct scan *s, struct str *out)
{
    const char *from = s->p;
    struct str inner;
    bool ok;

    if (s->p >= s->end)
        return false;
    if (*s->p == '"')
        ok = skip_string(s, &inner);
    else if (*s->p == '{' || *s->p == '[')
        ok = skip_nested(s);
    else
        ok = skip_plain(s);
    *out = str_n(from, (size_t)(s->p - from));
    return ok;
}

static struct str unquote(struct str s)
{
    return s.len >= 2 && s.ptr[0] == '"' ? str_n(s.ptr + 1, s.len - 2) : STR_NONE;
}

static bool take_member(struct str name, struct str value, struct cdp_envelope *out)
{
    if (str_eq(name, STR("id"))) {
        out->has_id = str_to_u64(value, UINT64_MAX, &out->id);
        return out->has_id;
    }
    if (str_eq(name, STR("method")))
        out->method = unquote(value);
    else if (str_eq(name, STR("sessionId")))
        out->session_id = unquote(value);
    else if (str_eq(name, STR("params")))
        out->params = value;
    else if (str_eq(name, STR("result")))
        out->result = value;
    else if (str_eq(name, STR("error")))
        out->error = value;
    return true;
}

static bool scan_member(struct scan *s, struct cdp_envelope *out)
{
    struct str name, value;

    skip_space(s);
    if (s->p >= s->end || *s->p != '"' || !skip_string(s, &name))
        return false;
    skip_space(s);
    if (s->p >= s->end || *s->p++ != ':')
        return false;
    skip_space(s);
    return skip_value(s, &value) && take_member(name, value, out);
}

bool cdp_is_object(struct str text)
{
    struct scan s = {text.ptr, text.ptr + text.len};

    return text.len > 0 && text.ptr[0] == '{' && skip_nested(&s) && s.p == s.end;
}

bool cdp_scan(struct str message, struct cdp_envelope *out)
{
    struct scan s = {message.ptr, message.ptr + message.len};

    *out = (struct cdp_envelope){0};
    skip_space(&s);
    if (s.p >= s.end || *s.p++ != '{')
        return false;
    skip_space(&s);
    if (s.p < s.end && *s.p == '}')
        return true;
    for (;;) {
        if (!scan_member(&s, out))
            return false;
        skip_space(&s);
        if (s.p >= s.end)
            return false;
        if (*s.p == '}')
            return true;
        if (*s.p++ != ',')
            return false;
    }
}
