#include "browser/page/har_text.h"

#include <math.h>

#include "core/base/clock.h"

/* --- headers --- */

static const char *const secret_headers[] = {"authorization", "cookie", "set-cookie"};
/* Between the browser and its way out: nobody's business. */
static const char *const proxy_headers[] = {"proxy-authorization", "proxy-authenticate",
                                            "proxy-authentication-info"};

static bool is_one_of(struct str name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq_nocase(name, str_from(names[i])))
            return true;
    return false;
}

static void add_member(struct buf *out, const char *name, struct str value)
{
    buf_addf(out, "\"%s\":", name);
    json_print_str(value, out);
}

static void add_pair(struct buf *out, struct str name, struct str value)
{
    if (out->len > 0 && out->ptr[out->len - 1] == '}')
        buf_addc(out, ',');
    buf_addc(out, '{');
    add_member(out, "name", name);
    buf_addc(out, ',');
    add_member(out, "value", value);
}

size_t har_add_headers(struct buf *out, const struct json *headers, bool secrets)
{
    size_t bytes = 0;

    buf_addc(out, '[');
    for (const struct json *h = json_first(headers); h != NULL; h = json_next(h)) {
        struct str name = str_from(json_key(h)), rest = str_from(json_str(h, ""));
        bool hide = !secrets && is_one_of(name, secret_headers, ARRAY_LEN(secret_headers));

        if (is_one_of(name, proxy_headers, ARRAY_LEN(proxy_headers)))
            continue;
        if (str_eq_nocase(name, STR("proxy-connection"))) /* what the server gets of it */
            name = STR("Connection");
        while (rest.ptr != NULL) {
            struct str value = str_cut(&rest, '\n');

            bytes += name.len + value.len + 4;
            add_pair(out, name, hide ? STR(HAR_LEFT_OUT) : value);
            buf_addc(out, '}');
        }
    }
    buf_addc(out, ']');
    return bytes;
}

const char *har_header(const struct json *headers, const char *name)
{
    for (const struct json *h = json_first(headers); h != NULL; h = json_next(h))
        if (json_key(h) != NULL && str_eq_nocase(str_from(json_key(h)), str_from(name)))
            return json_str(h, NULL);
    return NULL;
}

/* --- cookies --- */

static void add_expiry(struct buf *out, double at_s)
{
    char text[CLOCK_RFC3339_MAX];

    /* Years 1970 to 9999: what RFC 3339 can say. */
    if (!(at_s > 0 && at_s < 253402300799.0))
        return;
    buf_addf(out, ",\"expires\":\"%s\"", clock_rfc3339((uint64_t)(at_s * 1000), text));
}

void har_add_sent_cookies(struct buf *out, const struct json *associated, bool secrets)
{
    buf_addc(out, '[');
    for (const struct json *a = json_first(associated); a != NULL; a = json_next(a)) {
        const struct json *c = json_get(a, "cookie");

        if (json_len(json_get(a, "blockedReasons")) > 0 || json_type(c) != JSON_OBJECT)
            continue;
        add_pair(out, str_from(json_str(json_get(c, "name"), "")),
                 str_from(secrets ? json_str(json_get(c, "value"), "") : HAR_LEFT_OUT));
        buf_addc(out, ',');
        add_member(out, "path", str_from(json_str(json_get(c, "path"), "")));
        buf_addc(out, ',');
        add_member(out, "domain", str_from(json_str(json_get(c, "domain"), "")));
        add_expiry(out, json_num(json_get(c, "expires"), -1));
        buf_addf(out, ",\"httpOnly\":%s,\"secure\":%s}",
                 json_bool(json_get(c, "httpOnly"), false) ? "true" : "false",
                 json_bool(json_get(c, "secure"), false) ? "true" : "false");
    }
    buf_addc(out, ']');
}

struct set_cookie {
    struct str name, value, path, domain, same_site;
    double expires_s;
    bool http_only, secure;
};

static void read_attribute(struct set_cookie *c, struct str part)
{
    struct str value = part, name = str_trim(str_cut(&value, '='));
    char date[64];
    int64_t at_s;

    value = value.ptr != NULL ? str_trim(value) : STR("");
    if (str_eq_nocase(name, STR("path")))
        c->path = value;
    else if (str_eq_nocase(name, STR("domain")))
        c->domain = value;
    else if (str_eq_nocase(name, STR("samesite")))
        c->same_site = value;
    else if (str_eq_nocase(name, STR("httponly")))
        c->http_only = true;
    else if (str_eq_nocase(name, STR("secure")))
        c->secure = true;
    else if (str_eq_nocase(name, STR("expires")) && value.len < sizeof date) {
        memcpy(date, value.ptr, value.len);
        date[value.len] = '\0';
        for (char *z = date; z - date < 12 && *z != '\0'; z++)
            if (*z == '-') /* "01-Jan-2030" with a year of four digits: as cookies have it */
                *z = ' ';
        if (clock_parse_http_date(date, &at_s) == 0)
            c->expires_s = (double)at_s;
    }
}

static struct set_cookie read_cookie(struct str line)
{
    struct str rest = line, first = str_cut(&rest, ';'), value = first;
    struct set_cookie c = {.path = STR(""), .domain = STR("")};

    c.name = str_trim(str_cut(&value, '='));
    c.value = value.ptr != NULL ? str_trim(value) : STR("");
    if (value.ptr == NULL) { /* no "=": all of it is the value (RFC 6265bis §5.6) */
        c.value = c.name;
        c.name = STR("");
    }
    while (rest.ptr != NULL)
        read_attribute(&c, str_cut(&rest, ';'));
    return c;
}

static void add_set_cookie(struct buf *out, const struct set_cookie *c, bool secrets)
{
    add_pair(out, c->name, secrets ? c->value : STR(HAR_LEFT_OUT));
    if (c->path.len > 0) {
        buf_addc(out, ',');
        add_member(out, "path", c->path);
    }
    if (c->domain.len > 0) {
        buf_addc(out, ',');
        add_member(out, "domain", c->domain);
    }
    if (c->same_site.len > 0) {
        buf_addc(out, ',');
        add_member(out, "sameSite", c->same_site);
    }
    add_expiry(out, c->expires_s);
    buf_addf(out, ",\"httpOnly\":%s,\"secure\":%s}", c->http_only ? "true" : "false",
             c->secure ? "true" : "false");
}

void har_add_set_cookies(struct buf *out, const struct json *headers, bool secrets)
{
    struct str rest = str_from(har_header(headers, "set-cookie"));

    buf_addc(out, '[');
    while (rest.ptr != NULL) {
        struct set_cookie c = read_cookie(str_cut(&rest, '\n'));

        add_set_cookie(out, &c, secrets);
    }
    buf_addc(out, ']');
}

/* --- URLs and posted data --- */

static int hex_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* application/x-www-form-urlencoded: "+" is a space; what is no escape stays. */
static void add_decoded(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        bool escape = s.ptr[i] == '%' && i + 2 < s.len && hex_of(s.ptr[i + 1]) >= 0 &&
                      hex_of(s.ptr[i + 2]) >= 0;

        if (escape) {
            buf_addc(out, (char)(hex_of(s.ptr[i + 1]) * 16 + hex_of(s.ptr[i + 2])));
            i += 2;
        } else {
            buf_addc(out, s.ptr[i] == '+' ? ' ' : s.ptr[i]);
        }
    }
}

static void add_fields(struct buf *out, struct str fields)
{
    struct buf name = BUF_INIT(BUF_MAX_MESSAGE), value = BUF_INIT(BUF_MAX_MESSAGE);

    buf_addc(out, '[');
    while (fields.ptr != NULL && fields.len > 0) {
        struct str v = str_cut(&fields, '&'), n = str_cut(&v, '=');

        if (n.len == 0 && v.len == 0)
            continue;
        buf_reset(&name);
        buf_reset(&value);
        add_decoded(&name, n);
        add_decoded(&value, v);
        add_pair(out, buf_str(&name), buf_str(&value));
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
    buf_deinit(&name);
    buf_deinit(&value);
}

void har_add_query(struct buf *out, struct str url)
{
    struct str fragment = url, before = str_cut(&fragment, '#'), query = before;

    (void)str_cut(&query, '?');
    add_fields(out, query);
}

/* What of the data is text as it was sent: DevTools gives that; bytes that are none are lost. */
void har_add_post(struct buf *out, const struct json *request, const char *mime)
{
    const char *text = json_str(json_get(request, "postData"), NULL);
    struct str kind = str_from(mime != NULL ? mime : "");

    if (text == NULL && !json_bool(json_get(request, "hasPostData"), false))
        return;
    buf_addc(out, '{');
    add_member(out, "mimeType", kind);
    if (text == NULL) {
        buf_adds(out, ",\"text\":\"\",\"comment\":\"what was posted is left out: the browser does "
                      "not tell more than 64 KiB, nor files\"}");
        return;
    }
    buf_addc(out, ',');
    add_member(out, "text", str_from(text));
    if (str_starts_nocase(kind, STR("application/x-www-form-urlencoded"))) {
        buf_adds(out, ",\"params\":");
        add_fields(out, str_from(text));
    }
    buf_addc(out, '}');
}

void har_add_url(struct buf *out, struct str url)
{
    ptrdiff_t scheme = str_find(url, STR("://"));
    struct str rest, authority;
    size_t end = 0, user = 0;

    if (scheme < 0) {
        json_print_str(url, out);
        return;
    }
    rest = str_skip(url, (size_t)scheme + 3);
    while (end < rest.len && strchr("/?#", rest.ptr[end]) == NULL)
        end++;
    authority = str_n(rest.ptr, end);
    for (size_t i = 0; i < authority.len; i++)
        if (authority.ptr[i] == '@')
            user = i + 1;
    if (user == 0) {
        json_print_str(url, out);
    } else {
        struct buf b = BUF_INIT(BUF_MAX_FILE);

        buf_add(&b, url.ptr, (size_t)scheme + 3);
        buf_addstr(&b, str_skip(rest, user));
        json_print_str(buf_str(&b), out);
        buf_deinit(&b);
    }
}
