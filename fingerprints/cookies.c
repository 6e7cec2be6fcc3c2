#include "fingerprints/cookies.h"

enum { FIELDS = 7 };

static const char http_only[] = "#HttpOnly_";

/* --- Netscape --- */

/* Fields between tabs; the last takes the rest. Returns how many there were. */
static size_t split(struct str line, struct str out[FIELDS])
{
    size_t n = 0;

    while (n < FIELDS - 1 && line.ptr)
        out[n++] = str_cut(&line, '\t');
    if (line.ptr)
        out[n++] = line;
    return n;
}

static bool is_truth(struct str s)
{
    return str_eqz(s, "TRUE") || str_eqz(s, "FALSE");
}

/* A line without its end. Empty: nothing is to be read there. */
static struct str content(struct str line)
{
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len > 0 && line.ptr[0] == '#' && !str_starts(line, str_from(http_only)))
        line.len = 0;
    return line;
}

bool cookies_is_netscape(struct str text)
{
    struct str f[FIELDS];

    while (text.ptr) {
        struct str line = content(str_cut(&text, '\n'));

        if (line.len > 0)
            return split(line, f) == FIELDS && is_truth(f[1]) && is_truth(f[3]);
    }
    return false;
}

static const char *fault_of(const struct str f[FIELDS], size_t n, uint64_t *expires)
{
    if (n != FIELDS)
        return "expected seven fields between tabs";
    if (f[0].len == 0 || f[0].len > 255)
        return "domain: expected 1 to 255 bytes";
    if (!is_truth(f[1]) || !is_truth(f[3]))
        return "second and fourth field: expected TRUE or FALSE";
    if (f[2].len == 0 || f[2].ptr[0] != '/')
        return "path: expected one that begins with /";
    if (!str_to_u64(f[4], 1ull << 53, expires))
        return "expires: expected seconds since 1970, or 0";
    if (f[5].len == 0)
        return "name: expected at least one byte";
    return NULL;
}

static struct json *cookie_of(const struct str f[FIELDS], bool script_hidden, uint64_t expires)
{
    struct json *j = json_add(json_new_object(), "name", json_new_str(f[5]));

    json_add(j, "value", json_new_str(f[6]));
    json_add(j, "domain", json_new_str(f[0]));
    json_add(j, "path", json_new_str(f[2]));
    json_add_num(j, "expires", expires ? (double)expires : -1);
    json_add_bool(j, "httpOnly", script_hidden);
    json_add_bool(j, "secure", str_eqz(f[3], "TRUE"));
    return json_add_str(j, "sameSite", "Lax");
}

struct json *cookies_from_netscape(struct str text, const char *name, struct buf *faults)
{
    struct json *cookies = json_new_array(), *state;
    size_t n_faults = 0, n_cookies = 0;

    for (size_t at = 1; text.ptr; at++) {
        struct str line = content(str_cut(&text, '\n')), f[FIELDS] = {{0}};
        bool hidden = str_starts(line, str_from(http_only));
        const char *fault;
        uint64_t expires = 0;

        if (line.len == 0)
            continue;
        fault =
            fault_of(f, split(hidden ? str_skip(line, sizeof(http_only) - 1) : line, f), &expires);
        if (!fault && ++n_cookies > COOKIES_MAX)
            fault = "more cookies than 100000";
        if (fault) {
            n_faults++;
            buf_addf(faults, "%s:%zu: %s\n", name, at, fault);
        } else {
            json_push(cookies, cookie_of(f, hidden, expires));
        }
    }
    state = json_add(json_new_object(), "cookies", cookies);
    json_add(state, "origins", json_new_array());
    if (n_faults > 0)
        json_destroy(&state);
    return state;
}

/* A tab or the end of a line would be another field or line. */
static bool fits(const char *text)
{
    return text[strcspn(text, "\t\r\n")] == '\0';
}

void cookies_to_netscape(const struct json *state, struct buf *out)
{
    buf_adds(out, "# Netscape HTTP Cookie File\n");
    for (const struct json *c = json_first(json_get(state, "cookies")); c; c = json_next(c)) {
        const char *domain = json_str(json_get(c, "domain"), "");
        const char *name = json_str(json_get(c, "name"), "");
        const char *value = json_str(json_get(c, "value"), "");
        double expires = json_num(json_get(c, "expires"), -1);

        if (!fits(domain) || !fits(name) || !fits(value))
            continue;
        buf_addf(out, "%s%s\t%s\t%s\t%s\t%.0f\t%s\t%s\n",
                 json_bool(json_get(c, "httpOnly"), false) ? http_only : "", domain,
                 domain[0] == '.' ? "TRUE" : "FALSE", json_str(json_get(c, "path"), "/"),
                 json_bool(json_get(c, "secure"), false) ? "TRUE" : "FALSE",
                 expires > 0 ? expires : 0, name, value);
    }
}

/* --- storage state --- */

static bool said(struct buf *faults, const char *name, const char *list, size_t i, const char *what)
{
    buf_addf(faults, "%s: /%s/%zu: %s\n", name, list, i, what);
    return false;
}

static bool has_text(const struct json *j, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (json_type(json_get(j, names[i])) != JSON_STRING)
            return false;
    return true;
}

static bool cookie_check(const struct json *c, const char *name, size_t i, struct buf *faults)
{
    static const char *const wanted[] = {"name", "value", "domain"};
    const struct json *expires = json_get(c, "expires");

    if (!has_text(c, wanted, ARRAY_LEN(wanted)))
        return said(faults, name, "cookies", i, "expected the strings name, value and domain");
    if (expires && json_type(expires) != JSON_NUMBER)
        return said(faults, name, "cookies", i, "expires: expected seconds since 1970, or -1");
    return true;
}

static bool origin_check(const struct json *o, const char *name, size_t i, struct buf *faults)
{
    static const char *const wanted[] = {"name", "value"};
    const char *origin = json_str(json_get(o, "origin"), "");
    const struct json *items = json_get(o, "localStorage");

    if (strncmp(origin, "http://", 7) != 0 && strncmp(origin, "https://", 8) != 0)
        return said(faults, name, "origins", i, "origin: expected one of http or https");
    if (items && json_type(items) != JSON_ARRAY)
        return said(faults, name, "origins", i, "localStorage: expected a list");
    for (const struct json *x = json_first(items); x; x = json_next(x))
        if (!has_text(x, wanted, ARRAY_LEN(wanted)))
            return said(faults, name, "origins", i,
                        "localStorage: expected the strings name and value in each");
    return true;
}

bool state_check(const struct json *state, const char *name, struct buf *faults)
{
    const struct json *cookies = json_get(state, "cookies"), *origins = json_get(state, "origins");
    bool good = true;
    size_t i = 0;

    if (json_type(state) != JSON_OBJECT || json_type(cookies) != JSON_ARRAY ||
        (origins && json_type(origins) != JSON_ARRAY)) {
        buf_addf(faults, "%s: expected an object with the lists cookies and origins\n", name);
        return false;
    }
    for (const struct json *c = json_first(cookies); c; c = json_next(c), i++)
        good = cookie_check(c, name, i, faults) && good;
    i = 0;
    for (const struct json *o = json_first(origins); o; o = json_next(o), i++)
        good = origin_check(o, name, i, faults) && good;
    return good;
}
