/* Patterns of paths, tokens, names of methods: what needs no connection. */
#include <sodium.h>

#include "core/api/http_internal.h"

const char *http_method_name(enum http_method m)
{
    static const char *const names[HTTP_METHOD_COUNT] = {
        [HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
        [HTTP_PUT] = "PUT",         [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
        [HTTP_OPTIONS] = "OPTIONS",
    };

    BUG_ON((unsigned)m >= HTTP_METHOD_COUNT);
    return names[m];
}

/* "{name}" -> "name", "{rest*}" -> "rest" */
static struct str param_name(struct str segment, bool *rest)
{
    struct str name = str_n(segment.ptr + 1, segment.len - 2);

    *rest = name.len > 0 && name.ptr[name.len - 1] == '*';
    if (*rest)
        name.len--;
    return name;
}

static bool is_param(struct str segment)
{
    return segment.len > 2 && segment.ptr[0] == '{' && segment.ptr[segment.len - 1] == '}';
}

bool route_match(const char *pattern, const char *path, struct route_param params[ROUTE_PARAMS_MAX],
                 size_t *n)
{
    struct str want = str_from(pattern), have = str_from(path);

    *n = 0;
    while (want.ptr) {
        struct str whole = have, segment = str_cut(&want, '/'), part;
        bool rest;

        if (!whole.ptr)
            return false;
        part = str_cut(&have, '/');
        if (!is_param(segment)) {
            if (!str_eq(segment, part))
                return false;
            continue;
        }
        BUG_ON(*n == ROUTE_PARAMS_MAX);
        params[*n].name = param_name(segment, &rest);
        params[*n].value = rest ? whole : part;
        (*n)++;
        if (rest)
            return true;
        if (part.len == 0)
            return false;
    }
    return !have.ptr || (have.len == 0 && path[1]);
}

bool token_eq(const char *a, const char *b)
{
    size_t n = strlen(a);

    return strlen(b) == n && sodium_memcmp(a, b, n) == 0;
}
