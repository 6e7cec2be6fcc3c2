#include "proxies/proxy_internal.h"

typedef enum status member_fn(const struct json *j, struct proxy_draft *d, struct err *e);

static enum status want_str(const struct json *j, struct str *out, struct err *e)
{
    if (json_type(j) != JSON_STRING)
        return err_set(e, STATUS_INVALID, "found %s, expected string",
                       json_type_name(json_type(j)));
    *out = str_from(json_str(j, ""));
    return STATUS_OK;
}

static enum status want_int(const struct json *j, int64_t max, int64_t *out, struct err *e)
{
    *out = json_int(j, -1);
    if (*out < 1 || *out > max)
        return err_set(e, STATUS_INVALID, "expected an integer 1..%lld", (long long)max);
    return STATUS_OK;
}

static enum status on_url(const struct json *j, struct proxy_draft *d, struct err *e)
{
    struct str s = STR_NONE;
    enum status st = want_str(j, &s, e);

    return st == STATUS_OK ? proxy_read_line(s, d, e) : st;
}

static enum status on_scheme(const struct json *j, struct proxy_draft *d, struct err *e)
{
    struct str s = STR_NONE;
    enum status st = want_str(j, &s, e);

    return st == STATUS_OK ? proxy_read_scheme(s, &d->scheme, e) : st;
}

static enum status on_host(const struct json *j, struct proxy_draft *d, struct err *e)
{
    struct str s = STR_NONE;
    enum status st = want_str(j, &s, e);

    if (st == STATUS_OK && s.len > 1 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']')
        s = str_n(s.ptr + 1, s.len - 2);
    return st == STATUS_OK ? proxy_read_host(s, true, d, e) : st;
}

static enum status on_port(const struct json *j, struct proxy_draft *d, struct err *e)
{
    int64_t v = 0;
    enum status st = want_int(j, 65535, &v, e);

    if (st == STATUS_OK)
        d->port = (uint16_t)v;
    return st;
}

static enum status on_user(const struct json *j, struct proxy_draft *d, struct err *e)
{
    d->has_credentials = true;
    return want_str(j, &d->user, e);
}

static enum status on_password(const struct json *j, struct proxy_draft *d, struct err *e)
{
    d->has_credentials = true;
    return want_str(j, &d->password, e);
}

static enum status on_tag(const struct json *j, struct proxy_draft *d, struct err *e)
{
    struct str s = STR_NONE;
    enum status st = want_str(j, &s, e);

    return st == STATUS_OK ? proxy_read_tag(s, d, e) : st;
}

static enum status on_weight(const struct json *j, struct proxy_draft *d, struct err *e)
{
    int64_t v = 0;
    enum status st = want_int(j, PROXY_WEIGHT_MAX, &v, e);

    if (st == STATUS_OK)
        d->weight = (uint32_t)v;
    return st;
}

static enum status on_country(const struct json *j, struct proxy_draft *d, struct err *e)
{
    struct str s = STR_NONE;
    enum status st = want_str(j, &s, e);

    return st == STATUS_OK ? proxy_read_country(s, d, e) : st;
}

/* `address`: a part of what "url" says as a whole. */
static const struct {
    const char *name;
    member_fn *fn;
    bool address;
} members[] = {
    {"url", on_url, false},  {"scheme", on_scheme, true},  {"host", on_host, true},
    {"port", on_port, true}, {"user", on_user, true},      {"password", on_password, true},
    {"tag", on_tag, false},  {"weight", on_weight, false}, {"country", on_country, false},
};

static enum status read_member(const struct json *j, struct proxy_draft *d, struct err *e)
{
    const char *names[ARRAY_LEN(members)], *near;

    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        names[i] = members[i].name;
        if (strcmp(json_key(j), names[i]) == 0) {
            enum status s = members[i].fn(j, d, e);

            if (s != STATUS_OK)
                err_prefix(e, "/%s", names[i]);
            return s;
        }
    }
    near = str_suggest(str_from(json_key(j)), names, ARRAY_LEN(names));
    return err_set(e, STATUS_INVALID, "/%.64s: unknown member%s%s%s", json_key(j),
                   near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* "url" says scheme, host, port and credentials; each of these beside it would be said twice. */
static enum status check_shape(const struct json *j, bool has_url, struct err *e)
{
    for (size_t i = 0; has_url && i < ARRAY_LEN(members); i++) {
        if (members[i].address && json_get(j, members[i].name))
            return err_set(e, STATUS_INVALID, "/%s: not beside \"url\", which says it already",
                           members[i].name);
    }
    if (!has_url && !json_get(j, "scheme"))
        return err_set(e, STATUS_INVALID, "/scheme: missing, expected http, https or socks5");
    if (!has_url && !json_get(j, "host"))
        return err_set(e, STATUS_INVALID, "/host: missing");
    return STATUS_OK;
}

enum status proxy_read_json(const struct json *j, struct proxy_draft *d, struct err *e)
{
    const struct json *url = json_get(j, "url");
    enum status s;

    if (json_type(j) == JSON_STRING)
        return proxy_read_line(str_from(json_str(j, "")), d, e);
    if (json_type(j) != JSON_OBJECT)
        return err_set(e, STATUS_INVALID, "found %s, expected an object or a proxy line",
                       json_type_name(json_type(j)));
    s = check_shape(j, url != NULL, e);
    if (s == STATUS_OK && url)
        s = read_member(url, d, e); /* first, so that tag, weight and country beside it win */
    for (const struct json *m = json_first(j); m && s == STATUS_OK; m = json_next(m)) {
        if (m != url)
            s = read_member(m, d, e);
    }
    return s;
}
