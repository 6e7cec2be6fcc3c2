/* Reading a proxy line. Nothing here quotes a text that may hold a credential: before the user and
 * password are known to be cut off, and where a "@" may have been forgotten, the sentence says only
 * what was expected. */
#include <arpa/inet.h>
#include <stdio.h>

#include "proxies/proxy_internal.h"

#define EXPECTED "expected scheme://user:password@host:port#tag"

void proxy_draft_init(struct proxy_draft *d)
{
    *d = (struct proxy_draft){.weight = 1};
}

/* --- scheme --- */

static const struct {
    const char *name;
    enum proxy_scheme scheme;
} scheme_names[] = {
    {"http", PROXY_HTTP},
    {"https", PROXY_HTTPS},
    {"socks5", PROXY_SOCKS5},
    {"socks5h", PROXY_SOCKS5},
};

enum status proxy_read_scheme(struct str s, enum proxy_scheme *out, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(scheme_names); i++) {
        if (str_eq_nocase(s, str_from(scheme_names[i].name))) {
            *out = scheme_names[i].scheme;
            return STATUS_OK;
        }
    }
    if (s.len > 16 || str_chr(s, ':') >= 0 || str_chr(s, '@') >= 0)
        return err_set(e, STATUS_INVALID,
                       "scheme: found none that is known, expected http, "
                       "https or socks5");
    return err_set(e, STATUS_INVALID, "scheme \"%.*s\": expected http, https or socks5",
                   STR_ARG(s));
}

/* --- host and port --- */

static enum status read_port(struct str s, bool quotable, struct proxy_draft *d, struct err *e)
{
    uint64_t port;

    if (str_to_u64(s, 65535, &port) && port > 0) {
        d->port = (uint16_t)port;
        return STATUS_OK;
    }
    if (!quotable || s.len > 32)
        return err_set(e, STATUS_INVALID,
                       "port: expected 1..65535 after the last colon (user and password stand "
                       "before the host: user:password@host:port)");
    return err_set(e, STATUS_INVALID, "port \"%.*s\": expected 1..65535", STR_ARG(s));
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

enum status proxy_read_host(struct str s, bool quotable, struct proxy_draft *d, struct err *e)
{
    struct in6_addr v6;
    char z[PROXY_HOST_MAX + 1];

    if (s.len == 0)
        return err_set(e, STATUS_INVALID, "host: missing, " EXPECTED);
    if (s.len > PROXY_HOST_MAX)
        return err_set(e, STATUS_INVALID, "host: longer than %d bytes", PROXY_HOST_MAX);
    memcpy(z, s.ptr, s.len);
    z[s.len] = '\0';
    d->host = s;
    if (str_chr(s, ':') >= 0) {
        if (inet_pton(AF_INET6, z, &v6) == 1)
            return STATUS_OK;
        return err_set(e, STATUS_INVALID, "host: not an IPv6 address, expected one like [::1]");
    }
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] >= 0x80)
            return err_set(e, STATUS_INVALID,
                           "host: letters outside ASCII, expected the xn-- form");
        if (!is_name_byte(s.ptr[i]) && quotable)
            return err_set(e, STATUS_INVALID,
                           "host \"%s\": expected letters, digits, \"-\" and \".\", or an IPv6 "
                           "address in brackets",
                           z);
        if (!is_name_byte(s.ptr[i]))
            return err_set(e, STATUS_INVALID, "host: expected letters, digits, \"-\" and \".\"");
    }
    return STATUS_OK;
}

/* "host", "host:port", "[v6]", "[v6]:port" */
static enum status read_host_port(struct str s, bool quotable, struct proxy_draft *d, struct err *e)
{
    struct str host = s, port = STR_NONE;
    enum status st;

    if (s.len && s.ptr[0] == '[') {
        ptrdiff_t end = str_chr(s, ']');

        if (end < 0)
            return err_set(e, STATUS_INVALID, "host: \"[\" without \"]\"");
        host = str_n(s.ptr + 1, (size_t)end - 1);
        if (str_chr(host, ':') < 0)
            return err_set(e, STATUS_INVALID, "host: no IPv6 address in the brackets");
        s = str_skip(s, (size_t)end + 1);
        if (s.len && s.ptr[0] != ':')
            return err_set(e, STATUS_INVALID, "host: expected \":port\" after \"]\"");
        port = s.len ? str_skip(s, 1) : STR_NONE;
    } else {
        ptrdiff_t colon = str_chr(s, ':');

        if (colon >= 0) {
            host = str_n(s.ptr, (size_t)colon);
            port = str_skip(s, (size_t)colon + 1);
        }
    }
    st = proxy_read_host(host, quotable, d, e);
    return st == STATUS_OK && port.ptr ? read_port(port, quotable, d, e) : st;
}

/* --- fragment --- */

enum status proxy_read_tag(struct str s, struct proxy_draft *d, struct err *e)
{
    if (s.len == 0 || s.len > PROXY_ID_MAX)
        return err_set(e, STATUS_INVALID, "tag: %zu bytes, expected 1..%d", s.len, PROXY_ID_MAX);
    for (size_t i = 0; i < s.len; i++) {
        if (!is_name_byte(s.ptr[i]))
            return err_set(e, STATUS_INVALID,
                           "tag: expected letters, digits, \".\", \"_\" and \"-\" (a \"#\" in a "
                           "password is written %%23)");
    }
    d->tag = s;
    return STATUS_OK;
}

enum status proxy_read_country(struct str s, struct proxy_draft *d, struct err *e)
{
    if (s.len != 2)
        return err_set(e, STATUS_INVALID, "country: expected two letters, like \"de\"");
    for (size_t i = 0; i < 2; i++) {
        char c = (char)(s.ptr[i] | 0x20);

        if (c < 'a' || c > 'z')
            return err_set(e, STATUS_INVALID, "country: expected two letters, like \"de\"");
        d->country[i] = c;
    }
    return STATUS_OK;
}

static enum status read_weight(struct str s, struct proxy_draft *d, struct err *e)
{
    uint64_t w;

    if (!str_to_u64(s, PROXY_WEIGHT_MAX, &w) || w == 0)
        return err_set(e, STATUS_INVALID, "weight: expected 1..%d", PROXY_WEIGHT_MAX);
    d->weight = (uint32_t)w;
    return STATUS_OK;
}

static const struct {
    struct str name;
    enum status (*read)(struct str value, struct proxy_draft *d, struct err *e);
} options[] = {
    {{"weight=", 7}, read_weight},
    {{"country=", 8}, proxy_read_country},
};

static enum status read_option(struct str s, struct proxy_draft *d, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (str_starts(s, options[i].name))
            return options[i].read(str_skip(s, options[i].name.len), d, e);
    }
    if (str_chr(s, '=') >= 0)
        return err_set(e, STATUS_INVALID,
                       "fragment: unknown option, expected weight=N or country=xx");
    if (d->tag.len)
        return err_set(e, STATUS_INVALID, "fragment: a second tag, expected one");
    return proxy_read_tag(s, d, e);
}

static enum status read_fragment(struct str s, struct proxy_draft *d, struct err *e)
{
    while (s.ptr) {
        enum status st = read_option(str_cut(&s, ';'), d, e);

        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

/* --- the line --- */

static ptrdiff_t last_chr(struct str s, char c)
{
    for (size_t i = s.len; i > 0; i--) {
        if (s.ptr[i - 1] == c)
            return (ptrdiff_t)i - 1;
    }
    return -1;
}

/* Cuts "user:password@" off the front of *s. */
static void cut_credentials(struct str *s, struct proxy_draft *d)
{
    ptrdiff_t at = last_chr(*s, '@');
    struct str info;

    if (at < 0)
        return;
    info = str_n(s->ptr, (size_t)at);
    *s = str_skip(*s, (size_t)at + 1);
    d->has_credentials = d->encoded = true;
    d->user = str_cut(&info, ':');
    d->password = info;
}

static enum status refuse_schemeless(struct str line, struct err *e)
{
    size_t colons = 0;

    for (size_t i = 0; i < line.len; i++)
        colons += line.ptr[i] == ':';
    if (colons == 3 && str_chr(line, '@') < 0 && str_chr(line, '[') < 0)
        return err_set(e, STATUS_INVALID,
                       "found what looks like host:port:user:password, " EXPECTED);
    return err_set(e, STATUS_INVALID, "found no \"://\", " EXPECTED);
}

static enum status check_bytes(struct str line, struct err *e)
{
    if (line.len == 0)
        return err_set(e, STATUS_INVALID, "found nothing, " EXPECTED);
    if (line.len > PROXY_LINE_MAX)
        return err_set(e, STATUS_TOO_LARGE, "%zu bytes, expected at most %d", line.len,
                       PROXY_LINE_MAX);
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];

        if (c <= 0x20 || c == 0x7f)
            return err_set(e, STATUS_INVALID, "byte %zu is %s, " EXPECTED, i + 1,
                           c == ' ' ? "a space" : "a control character");
    }
    return STATUS_OK;
}

enum status proxy_read_line(struct str line, struct proxy_draft *d, struct err *e)
{
    struct str rest, fragment = STR_NONE;
    ptrdiff_t at, hash;
    enum status s;

    line = str_trim(line);
    s = check_bytes(line, e);
    if (s != STATUS_OK)
        return s;
    at = str_find(line, STR("://"));
    if (at < 0)
        return refuse_schemeless(line, e);
    s = proxy_read_scheme(str_n(line.ptr, (size_t)at), &d->scheme, e);
    if (s != STATUS_OK)
        return s;
    rest = str_skip(line, (size_t)at + 3);
    hash = str_chr(rest, '#');
    if (hash >= 0) {
        fragment = str_skip(rest, (size_t)hash + 1);
        rest = str_n(rest.ptr, (size_t)hash);
    }
    cut_credentials(&rest, d);
    if (str_ends(rest, STR("/")))
        rest.len--;
    s = read_host_port(rest, d->has_credentials, d, e);
    return s == STATUS_OK && fragment.ptr ? read_fragment(fragment, d, e) : s;
}
