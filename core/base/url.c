/* The normal form is the one browsers compute (WHATWG URL), because policy and limits judge the
 * text that a browser will go to: backslashes are slashes, "0x7f.1" is 127.0.0.1, "%2e%2e" is "..".
 * What WHATWG repairs silently and people only write by mistake (control characters inside, missing
 * slashes, no host) is refused. Sentences never show credentials. */
#include "core/base/url.h"
#include "core/base/buf.h"
#include "core/base/url_internal.h"

#include <string.h>

static const struct scheme {
    const char *name;
    uint16_t port;
    bool is_web; /* "special" in WHATWG's words */
} known_schemes[] = {
    {"http", 80, true},     {"https", 443, true},    {"ws", 80, true},
    {"wss", 443, true},     {"socks5", 1080, false}, {"socks5h", 1080, false},
    {"redis", 6379, false}, {"rediss", 6379, false},
};

struct parse {
    struct str rest; /* what is still to be read */
    struct scheme scheme;
    struct str name; /* of the scheme, as given */
    struct str authority, userinfo;
    bool has_userinfo;
    uint16_t port;
    struct host host;
    struct buf out; /* href, then user and password */
    size_t host_at, path_at, href_len;
    struct err *e;
};

#define invalid(p, ...) err_set((p)->e, STATUS_INVALID, __VA_ARGS__)

/* --- pieces --- */

static enum status check_text(struct parse *p)
{
    if (p->rest.len == 0)
        return invalid(p, "empty: expected a URL");
    if (p->rest.len > URL_MAX)
        return err_set(p->e, STATUS_TOO_LARGE, "URL of %zu bytes: expected at most %d", p->rest.len,
                       URL_MAX);
    for (size_t i = 0; i < p->rest.len; i++) {
        unsigned char c = (unsigned char)p->rest.ptr[i];

        if (c < ' ' || c == 0x7f)
            return invalid(p, "control character 0x%02x at position %zu of the URL", c, i + 1);
    }
    if (!str_is_utf8(p->rest))
        return invalid(p, "the URL is not UTF-8");
    return STATUS_OK;
}

static bool is_listed(const char *schemes, struct str name)
{
    struct str rest = str_from(schemes);

    while (rest.ptr)
        if (str_eq_nocase(str_cut(&rest, ' '), name))
            return true;
    return false;
}

static bool is_slash(const struct parse *p, char c)
{
    return c == '/' || (c == '\\' && p->scheme.is_web);
}

static enum status parse_scheme(struct parse *p, const char *schemes)
{
    ptrdiff_t colon = str_chr(p->rest, ':');
    struct str name = str_n(p->rest.ptr, colon > 0 ? (size_t)colon : 0);

    p->rest = str_skip(p->rest, name.len + 1);
    p->scheme = (struct scheme){0};
    for (size_t i = 0; i < ARRAY_LEN(known_schemes); i++)
        if (str_eq_nocase(name, str_from(known_schemes[i].name)))
            p->scheme = known_schemes[i];
    p->name = name;
    if (name.len && is_listed(schemes, name)) {
        if (p->rest.len < 2 || !is_slash(p, p->rest.ptr[0]) || !is_slash(p, p->rest.ptr[1]))
            return invalid(p, "\"//\" is missing after \"%.*s:\"", STR_ARG(name));
        p->rest = str_skip(p->rest, 2);
        return STATUS_OK;
    }
    if (name.len && str_starts(p->rest, STR("//")))
        return invalid(p, "scheme \"%.*s\": expected one of: %s", STR_ARG(name), schemes);
    return invalid(p, "no scheme: expected one of: %s, then \"://\"", schemes);
}

static void cut_authority(struct parse *p)
{
    size_t end = 0;
    ptrdiff_t hash = str_chr(p->rest, '#');

    if (hash >= 0)
        p->rest.len = (size_t)hash;
    while (end < p->rest.len && !is_slash(p, p->rest.ptr[end]) && p->rest.ptr[end] != '?')
        end++;
    p->authority = str_n(p->rest.ptr, end);
    p->rest = str_n(p->rest.ptr + end, p->rest.len - end);
    for (size_t i = 0; i < end; i++) /* the last "@" divides */
        if (p->authority.ptr[i] == '@') {
            p->userinfo = str_n(p->authority.ptr, i);
            p->has_userinfo = true;
        }
    if (p->has_userinfo)
        p->authority = str_n(p->authority.ptr + p->userinfo.len + 1, end - p->userinfo.len - 1);
}

/* The colon before the port; not one inside the brackets of IPv6. */
static size_t host_end(struct str authority)
{
    for (size_t i = authority.len; i-- > 0;) {
        if (authority.ptr[i] == ']')
            break;
        if (authority.ptr[i] == ':')
            return i;
    }
    return authority.len;
}

static enum status parse_port(struct parse *p, struct str s)
{
    uint64_t port;

    p->port = p->scheme.port;
    if (s.len == 0 && p->port == 0)
        return invalid(p, "no port: expected one, %.*s has no port of its own", STR_ARG(p->name));
    if (s.len == 0)
        return STATUS_OK;
    for (size_t i = 0; i < s.len;
         i++) /* not shown: it may be part of a password with a "/" in it */
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return invalid(p, "port: expected a number 1..65535");
    while (s.len > 1 && s.ptr[0] == '0')
        s = str_skip(s, 1);
    if (!str_to_u64(s, UINT16_MAX, &port) || port == 0)
        return invalid(p, "port %.*s: expected 1..65535", STR_ARG(s));
    p->port = (uint16_t)port;
    return STATUS_OK;
}

static enum status parse_authority(struct parse *p)
{
    size_t end = host_end(p->authority);
    enum status st = host_parse(str_n(p->authority.ptr, end), &p->host, p->e);

    return st == STATUS_OK ? parse_port(p, str_skip(p->authority, end + 1)) : st;
}

/* --- the normal form --- */

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static void add_lower(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        buf_addc(out, lower(s.ptr[i]));
}

/* Percent-encodes what is not ASCII, spaces, and the characters of `set`. */
static void add_encoded(struct buf *out, struct str s, const char *set)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c <= ' ' || c >= 0x7f || strchr(set, c))
            buf_addf(out, "%%%02X", c);
        else
            buf_addc(out, (char)c);
    }
}

/* 1 for "." and 2 for "..", also as "%2e"; 0 for anything else. */
static int count_dots(struct str s)
{
    int n = 0;

    while (s.len > 0 && n < 3) {
        size_t step = s.ptr[0] == '.' ? 1 : str_starts_nocase(s, STR("%2e")) ? 3 : 0;

        if (step == 0)
            return 0;
        s = str_skip(s, step);
        n++;
    }
    return n < 3 ? n : 0;
}

/* Drops the last segment written, if any. */
static void drop_segment(struct parse *p)
{
    struct str written = buf_str(&p->out);
    size_t n = written.len;

    while (n > p->path_at && written.ptr[n - 1] != '/')
        n--;
    buf_truncate(&p->out, n > p->path_at ? n - 1 : n);
}

static void add_path(struct parse *p, struct str path)
{
    bool last = false;

    if (path.len)
        path = str_skip(path, 1); /* its slash */
    while (!last) {
        size_t n = 0;
        int dots;

        while (n < path.len && !is_slash(p, path.ptr[n]))
            n++;
        last = n == path.len;
        dots = count_dots(str_n(path.ptr, n));
        if (dots == 2)
            drop_segment(p);
        if (dots == 0 || last)
            buf_addc(&p->out, '/');
        if (dots == 0)
            add_encoded(&p->out, str_n(path.ptr, n), "\"#<>?`{}");
        path = str_skip(path, n + 1);
    }
}

static void add_href(struct parse *p)
{
    bool ip6 = p->host.kind == HOST_IP6;
    ptrdiff_t query = str_chr(p->rest, '?');
    size_t path_len = query < 0 ? p->rest.len : (size_t)query;

    add_lower(&p->out, p->name);
    buf_adds(&p->out, ip6 ? "://[" : "://");
    p->host_at = p->out.len;
    buf_add(&p->out, p->host.text, p->host.len);
    if (ip6)
        buf_addc(&p->out, ']');
    if (p->port != p->scheme.port)
        buf_addf(&p->out, ":%u", (unsigned)p->port);
    p->path_at = p->out.len;
    add_path(p, str_n(p->rest.ptr, path_len));
    if (query >= 0) {
        buf_addc(&p->out, '?');
        add_encoded(&p->out, str_skip(p->rest, path_len + 1),
                    p->scheme.is_web ? "\"#<>'" : "\"#<>");
    }
    p->href_len = p->out.len;
}

/* Percent-decoded onto the end of out. What is no escape stays as it is, as in WHATWG: passwords
 * with a bare "%" are common. */
static enum status add_decoded(struct parse *p, struct str s, const char *what)
{
    for (size_t i = 0; i < s.len; i++) {
        int pair = s.ptr[i] == '%' && i + 2 < s.len ? hex_pair(s.ptr + i + 1) : -1;
        char c = s.ptr[i];

        if (pair == 0)
            return invalid(p, "%s: %%00 is not allowed", what);
        if (pair > 0) {
            c = (char)pair;
            i += 2;
        }
        buf_addc(&p->out, c);
    }
    return STATUS_OK;
}

/* --- the whole --- */

/* Copies what was gathered into one piece of the arena and points the parts into it. */
static enum status deliver(struct parse *p, struct arena *a, size_t password_at, bool has_password,
                           struct url *out)
{
    size_t len = p->out.len;
    char *text;

    if (buf_status(&p->out) != STATUS_OK)
        return err_set(p->e, buf_status(&p->out), "URL");
    text = arena_try_alloc(a, len + 1);
    if (!text)
        return err_set(p->e, STATUS_NO_MEMORY, "URL of %zu bytes", len);
    memcpy(text, p->out.ptr, len);
    *out = (struct url){
        .href = str_n(text, p->href_len),
        .scheme = str_n(text, p->name.len),
        .host = str_n(text + p->host_at, p->host.len),
        .path = str_n(text + p->path_at, p->href_len - p->path_at),
        .port = p->port,
        .has_port = p->port != p->scheme.port,
        .is_ip = p->host.kind != HOST_NAME,
    };
    if (p->userinfo.len)
        out->user = str_n(text + p->href_len, password_at - p->href_len);
    if (has_password)
        out->password = str_n(text + password_at, len - password_at);
    return STATUS_OK;
}

static enum status add_userinfo(struct parse *p, size_t *password_at, bool *has_password)
{
    struct str password = p->userinfo;
    struct str user = str_cut(&password, ':');
    enum status st = add_decoded(p, user, "user");

    *password_at = p->out.len;
    *has_password = p->userinfo.len > 0 && password.ptr != NULL;
    return st == STATUS_OK ? add_decoded(p, password, "password") : st;
}

static enum status parse(struct parse *p, struct arena *a, const char *schemes, struct url *out)
{
    size_t password_at;
    bool has_password;
    enum status st = check_text(p);

    if (st == STATUS_OK)
        st = parse_scheme(p, schemes);
    if (st != STATUS_OK)
        return st;
    cut_authority(p);
    st = parse_authority(p);
    if (st != STATUS_OK)
        return st;
    add_href(p);
    st = add_userinfo(p, &password_at, &has_password);
    return st == STATUS_OK ? deliver(p, a, password_at, has_password, out) : st;
}

enum status url_parse(struct arena *a, struct str s, const char *schemes, struct url *out,
                      struct err *e)
{
    struct parse p = {.rest = str_trim(s), .e = e};
    enum status st;

    buf_init(&p.out, (size_t)4 * URL_MAX + HOST_MAX); /* every byte encoded, and the credentials */
    st = parse(&p, a, schemes, out);
    if (p.out.ptr)
        explicit_bzero(p.out.ptr, p.out.len);
    buf_deinit(&p.out);
    return st;
}

/* --- references --- */

static bool has_scheme(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = lower(s.ptr[i]);

        if (s.ptr[i] == ':')
            return i > 0;
        if (!(c >= 'a' && c <= 'z') && (i == 0 || !(c >= '0' && c <= '9')) &&
            (i == 0 || !strchr("+-.", s.ptr[i])))
            return false;
    }
    return false;
}

/* How much of base's href stays in front of `ref` (RFC 3986 §5.2.2). */
static size_t kept_of(const struct url *base, struct str ref)
{
    size_t path_at = (size_t)(base->path.ptr - base->href.ptr);
    ptrdiff_t query = str_chr(base->path, '?');
    size_t path_len = query < 0 ? base->path.len : (size_t)query;

    if (ref.len == 0 || ref.ptr[0] == '#')
        return base->href.len;
    if (ref.ptr[0] == '?')
        return path_at + path_len;
    if (ref.ptr[0] == '/' || ref.ptr[0] == '\\') {
        bool network = ref.len > 1 && (ref.ptr[1] == '/' || ref.ptr[1] == '\\');

        return network ? base->scheme.len + 1 : path_at;
    }
    while (base->path.ptr[path_len - 1] != '/')
        path_len--;
    return path_at + path_len;
}

enum status url_resolve(struct arena *a, const struct url *base, struct str ref,
                        const char *schemes, struct url *out, struct err *e)
{
    struct buf whole = BUF_INIT((size_t)5 * URL_MAX);
    enum status st;

    ref = str_trim(ref);
    if (has_scheme(ref))
        return url_parse(a, ref, schemes, out, e);
    if (ref.len > URL_MAX)
        return err_set(e, STATUS_TOO_LARGE, "URL of %zu bytes: expected at most %d", ref.len,
                       URL_MAX);
    buf_add(&whole, base->href.ptr, kept_of(base, ref));
    buf_addstr(&whole, ref);
    st = buf_status(&whole);
    if (st == STATUS_OK)
        st = url_parse(a, buf_str(&whole), schemes, out, e);
    else
        st = err_set(e, st, "URL");
    buf_deinit(&whole);
    return st;
}

struct str url_shown(struct arena *a, struct str url)
{
    ptrdiff_t scheme = str_chr(url, ':'), at = -1, colon;
    struct str user, behind;
    size_t begin = (size_t)(scheme + 3), n;
    char *out;

    if (scheme < 0 || begin > url.len || !memchr("/\\", url.ptr[begin - 2], 2) ||
        !memchr("/\\", url.ptr[begin - 1], 2))
        return url;
    for (size_t i = begin; i < url.len && !memchr("/\\?#", url.ptr[i], 4); i++)
        if (url.ptr[i] == '@')
            at = (ptrdiff_t)i;
    if (at < 0)
        return url;
    user = str_n(url.ptr + begin, (size_t)at - begin);
    behind = str_skip(url, (size_t)at);
    colon = str_chr(user, ':');
    n = begin + (colon < 0 ? 0 : (size_t)colon + 1);
    out = arena_alloc(a, n + 3 + behind.len + 1);
    memcpy(out, url.ptr, n);
    memcpy(out + n, "***", 3);
    memcpy(out + n + 3, behind.ptr, behind.len);
    out[n + 3 + behind.len] = '\0';
    return str_n(out, n + 3 + behind.len);
}
