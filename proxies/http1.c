#include "proxies/http1.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { EXTENSION_MAX = 4096, TRAILER_MAX = 64 * 1024 };

/* RFC 9110 §5.6.2: token */
static bool is_token_byte(unsigned char c)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr(others, c));
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_token_byte((unsigned char)s.ptr[i]))
            return false;
    }
    return s.len > 0;
}

size_t http1_head_end(struct str bytes, size_t *scanned)
{
    size_t pos = *scanned;

    for (;;) {
        const char *nl = pos < bytes.len ? memchr(bytes.ptr + pos, '\n', bytes.len - pos) : NULL;
        size_t at;

        if (!nl) {
            *scanned = bytes.len;
            return 0;
        }
        at = (size_t)(nl - bytes.ptr);
        *scanned = at;
        if (at + 1 < bytes.len && nl[1] == '\n')
            return at + 2;
        if (at + 2 < bytes.len && nl[1] == '\r' && nl[2] == '\n')
            return at + 3;
        if (at + 1 >= bytes.len || (at + 2 >= bytes.len && nl[1] == '\r'))
            return 0; /* looked at again from this line end */
        pos = at + 1;
    }
}

/* Cuts a line off *rest, without its line end. */
static struct str cut_line(struct str *rest)
{
    struct str line = str_cut(rest, '\n');

    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

bool http1_next_field(struct str *fields, struct str *name, struct str *value)
{
    while (fields->ptr && fields->len) {
        struct str line = cut_line(fields);
        ptrdiff_t colon = str_chr(line, ':');

        if (colon <= 0 || line.ptr[0] == ' ' || line.ptr[0] == '\t')
            continue; /* a folded line of a response */
        *name = str_trim(str_n(line.ptr, (size_t)colon));
        *value = str_trim(str_skip(line, (size_t)colon + 1));
        return true;
    }
    return false;
}

/* --- fields that say how to go on --- */

struct facts {
    bool has_length, has_coding, chunked, chunked_last, other_coding, conflict, two_hosts;
    uint64_t length;
    bool close, keep_alive, upgrade, has_connection, has_host, proxy_close, proxy_keep_alive;
    bool names_ours;
};

static void see_length(struct facts *f, struct str v)
{
    while (v.ptr) {
        struct str one = str_trim(str_cut(&v, ','));
        uint64_t n;

        if (!str_to_u64(one, INT64_MAX, &n) || (f->has_length && n != f->length)) {
            f->conflict = true;
            return;
        }
        f->has_length = true;
        f->length = n;
    }
}

static void see_coding(struct facts *f, struct str v)
{
    f->has_coding = true;
    while (v.ptr) {
        struct str one = str_trim(str_cut(&v, ','));

        if (one.len == 0)
            continue;
        if (str_eq_nocase(one, STR("chunked"))) {
            f->conflict |= f->chunked; /* twice: RFC 9112 §6.1 */
            f->chunked = f->chunked_last = true;
        } else {
            f->other_coding = true;
            f->chunked_last = false;
        }
    }
}

static void see_connection(struct facts *f, struct str v)
{
    f->has_connection = true;
    while (v.ptr) {
        struct str one = str_trim(str_cut(&v, ','));

        f->close |= str_eq_nocase(one, STR("close"));
        f->keep_alive |= str_eq_nocase(one, STR("keep-alive"));
        f->upgrade |= str_eq_nocase(one, STR("upgrade"));
    }
}

static void see_proxy_connection(struct facts *f, struct str v)
{
    f->proxy_close |= str_eq_nocase(v, STR("close"));
    f->proxy_keep_alive |= str_eq_nocase(v, STR("keep-alive"));
}

static void see_host(struct facts *f, struct str v)
{
    (void)v;
    f->two_hosts |= f->has_host;
    f->has_host = true;
}

static const struct {
    struct str name;
    void (*see)(struct facts *f, struct str value);
} seen[] = {
    {{"content-length", 14}, see_length},
    {{"transfer-encoding", 17}, see_coding},
    {{"connection", 10}, see_connection},
    {{"proxy-connection", 16}, see_proxy_connection},
    {{"host", 4}, see_host},
};

/* True when the name is one whose value decides something. */
static bool see_field(struct facts *f, struct str name, struct str value)
{
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
        if (str_eq_nocase(name, seen[i].name)) {
            seen[i].see(f, value);
            return true;
        }
    }
    return false;
}

/* --- requests --- */

static bool is_clean_value(struct str v)
{
    for (size_t i = 0; i < v.len; i++) {
        unsigned char c = (unsigned char)v.ptr[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static enum status read_request_fields(struct str fields, struct facts *f, struct err *e)
{
    for (size_t n = 1; fields.len; n++) {
        const char *start = fields.ptr;
        struct str line = str_cut(&fields, '\n');
        ptrdiff_t colon;

        if (line.len == 0 || line.ptr[line.len - 1] != '\r')
            return err_set(e, STATUS_INVALID, "field line %zu: ends without CR LF", n);
        line.len--;
        colon = str_chr(line, ':');
        if (*start == ' ' || *start == '\t')
            return err_set(e, STATUS_INVALID, "field line %zu: folded", n);
        if (colon <= 0 || !is_token(str_n(line.ptr, (size_t)colon)))
            return err_set(e, STATUS_INVALID, "field line %zu: expected \"name: value\"", n);
        if (!is_clean_value(str_skip(line, (size_t)colon + 1)))
            return err_set(e, STATUS_INVALID, "field line %zu: a control character", n);
        if (n > HTTP1_FIELDS_MAX)
            return err_set(e, STATUS_TOO_LARGE, "more than %d field lines", HTTP1_FIELDS_MAX);
        see_field(f, str_n(line.ptr, (size_t)colon), str_trim(str_skip(line, (size_t)colon + 1)));
    }
    return STATUS_OK;
}

static bool is_host_byte(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~' || c == '%' || c == '!' || c == '$' || c == '&' ||
           c == '\'' || c == '(' || c == ')' || c == '*' || c == '+' || c == ',' || c == ';' ||
           c == '=';
}

static bool is_host(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_host_byte((unsigned char)s.ptr[i]))
            return false;
    }
    return s.len > 0 && s.len <= HTTP1_HOST_MAX;
}

static bool is_ipv6(struct str s)
{
    struct in6_addr a;
    char z[INET6_ADDRSTRLEN];

    if (s.len >= sizeof(z))
        return false;
    memcpy(z, s.ptr, s.len);
    z[s.len] = '\0';
    return inet_pton(AF_INET6, z, &a) == 1;
}

/* host [":" port]; port 0 when there is none (RFC 3986 §3.2, without userinfo) */
static bool split_authority(struct str a, struct str *host, uint16_t *port)
{
    struct str rest;
    uint64_t n = 0;

    if (a.len && a.ptr[0] == '[') {
        ptrdiff_t end = str_chr(a, ']');

        if (end < 0)
            return false;
        *host = str_n(a.ptr + 1, (size_t)end - 1);
        if (!is_ipv6(*host))
            return false;
        rest = str_skip(a, (size_t)end + 1);
    } else {
        ptrdiff_t colon = str_chr(a, ':');

        *host = colon < 0 ? a : str_n(a.ptr, (size_t)colon);
        if (!is_host(*host))
            return false;
        rest = str_skip(a, host->len);
    }
    if (rest.len && (rest.ptr[0] != ':' || !str_to_u64(str_skip(rest, 1), 65535, &n) || n == 0))
        return rest.len == 1 && rest.ptr[0] == ':' && (*port = 0, true);
    *port = (uint16_t)n;
    return true;
}

static enum status read_absolute(struct str target, struct http1_request *r, struct err *e)
{
    ptrdiff_t colon = str_find(target, STR("://"));
    struct str rest;
    size_t end = 0;

    if (colon <= 0)
        return err_set(e, STATUS_INVALID,
                       "the target is not absolute: this is a proxy, expected "
                       "\"http://host/...\" or CONNECT host:port");
    if (!str_eq_nocase(str_n(target.ptr, (size_t)colon), STR("http")))
        return err_set(e, STATUS_UNSUPPORTED,
                       "scheme of the target: expected http (others go "
                       "by CONNECT)");
    rest = str_skip(target, (size_t)colon + 3);
    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?')
        end++;
    r->authority = str_n(rest.ptr, end);
    r->path = str_skip(rest, end);
    if (!split_authority(r->authority, &r->host, &r->port))
        return err_set(e, STATUS_INVALID, "host of the target: expected host or host:port");
    if (r->port == 0)
        r->port = 80;
    return STATUS_OK;
}

static enum status read_target(struct str target, struct http1_request *r, struct err *e)
{
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.ptr[i];

        if (c <= 0x20 || c == 0x7f || c == '#')
            return err_set(e, STATUS_INVALID, "target: byte %zu is not allowed there", i + 1);
    }
    if (!r->is_connect)
        return read_absolute(target, r, e);
    r->authority = target;
    if (!split_authority(target, &r->host, &r->port) || r->port == 0)
        return err_set(e, STATUS_INVALID, "target of CONNECT: expected host:port");
    return STATUS_OK;
}

static enum status read_request_line(struct str line, struct http1_request *r, struct err *e)
{
    struct str rest = line, target;

    r->method = str_cut(&rest, ' ');
    if (!is_token(r->method) || r->method.len > HTTP1_METHOD_MAX || !rest.ptr)
        return err_set(e, STATUS_INVALID, "request line: expected \"METHOD target HTTP/1.1\"");
    target = str_cut(&rest, ' ');
    if (str_eqz(rest, "HTTP/1.1"))
        r->minor = 1;
    else if (str_eqz(rest, "HTTP/1.0"))
        r->minor = 0;
    else
        return err_set(e, STATUS_INVALID, "request line: expected HTTP/1.1 or HTTP/1.0 at its end");
    r->is_connect = str_eqz(r->method, "CONNECT");
    r->is_head = str_eqz(r->method, "HEAD");
    r->is_idempotent = r->is_head || str_eqz(r->method, "GET") || str_eqz(r->method, "PUT") ||
                       str_eqz(r->method, "DELETE") || str_eqz(r->method, "OPTIONS") ||
                       str_eqz(r->method, "TRACE");
    return read_target(target, r, e);
}

static enum status request_framing(const struct facts *f, struct http1_request *r, struct err *e)
{
    if (f->conflict || f->two_hosts)
        return err_set(e, STATUS_INVALID,
                       "Content-Length, Transfer-Encoding or Host: several, or none that can be "
                       "read");
    if (f->has_coding && f->has_length)
        return err_set(e, STATUS_INVALID, "both Content-Length and Transfer-Encoding");
    if (f->has_coding && (f->other_coding || !f->chunked || r->minor == 0))
        return err_set(e, STATUS_UNSUPPORTED,
                       "Transfer-Encoding: expected chunked alone, in "
                       "HTTP/1.1");
    if (f->has_coding)
        r->framing = HTTP1_CHUNKED;
    else
        r->framing = f->has_length && f->length ? HTTP1_LENGTH : HTTP1_EMPTY;
    r->length = f->length;
    if (r->is_connect && r->framing != HTTP1_EMPTY)
        return err_set(e, STATUS_INVALID, "CONNECT with a body");
    return STATUS_OK;
}

enum status http1_parse_request(struct str head, struct http1_request *out, struct err *e)
{
    struct facts f = {0};
    struct str rest = head, line;
    enum status s;

    *out = (struct http1_request){0};
    line = str_cut(&rest, '\n');
    if (line.len == 0 || line.ptr[line.len - 1] != '\r' || !str_ends(head, STR("\r\n\r\n")))
        return err_set(e, STATUS_INVALID, "request line: ends without CR LF");
    line.len--;
    s = read_request_line(line, out, e);
    if (s != STATUS_OK)
        return s;
    out->fields = str_n(rest.ptr, rest.len - 2);
    s = read_request_fields(out->fields, &f, e);
    if (s != STATUS_OK)
        return s;
    out->has_host = f.has_host;
    out->has_connection = f.has_connection;
    out->upgrade = f.upgrade;
    out->keep_alive =
        !f.close && !f.proxy_close && (out->minor == 1 || f.keep_alive || f.proxy_keep_alive);
    return request_framing(&f, out, e);
}

bool http1_asks_document(const struct http1_request *r)
{
    struct str fields = r->fields, name, value;
    bool upgrades = false, wants_html = false;

    while (http1_next_field(&fields, &name, &value)) {
        upgrades |= str_eq_nocase(name, STR("upgrade-insecure-requests"));
        wants_html |=
            str_eq_nocase(name, STR("accept")) && str_starts_nocase(value, STR("text/html"));
    }
    return upgrades && wants_html;
}

static void add_target(const struct http1_request *r, bool absolute, struct buf *out)
{
    bool bare = r->path.len == 0;

    if (absolute) {
        buf_adds(out, "http://");
        buf_addstr(out, r->authority);
    }
    if (bare && str_eqz(r->method, "OPTIONS"))
        buf_adds(out, absolute ? "" : "*");
    else if (bare || r->path.ptr[0] == '?')
        buf_addc(out, '/');
    buf_addstr(out, r->path);
}

static void add_field(struct buf *out, struct str name, struct str value)
{
    buf_addstr(out, name);
    buf_adds(out, ": ");
    buf_addstr(out, value);
    buf_adds(out, "\r\n");
}

void http1_write_request(const struct http1_request *r, const struct http1_onward *how,
                         struct buf *out)
{
    struct str fields = r->fields, name, value;

    buf_addstr(out, r->method);
    buf_addc(out, ' ');
    add_target(r, how->absolute, out);
    buf_adds(out, r->minor ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
    if (!r->has_host)
        add_field(out, STR("Host"), r->authority);
    while (http1_next_field(&fields, &name, &value)) {
        if (str_eq_nocase(name, STR("proxy-authorization")))
            continue;
        if (str_eq_nocase(name, STR("host")))
            value = r->authority;
        if (str_eq_nocase(name, STR("proxy-connection")) && !how->absolute) {
            if (r->has_connection)
                continue;
            name = STR("Connection");
        }
        add_field(out, name, value);
    }
    if (how->proxy_authorization.ptr)
        add_field(out, STR("Proxy-Authorization"), how->proxy_authorization);
    buf_adds(out, "\r\n");
}

/* --- responses --- */

static enum status read_status_line(struct str line, struct http1_response *r, struct err *e)
{
    uint64_t code;

    if (line.len < 12 || !str_starts(line, STR("HTTP/1.")) ||
        (line.ptr[7] != '0' && line.ptr[7] != '1') || line.ptr[8] != ' ' ||
        !str_to_u64(str_n(line.ptr + 9, 3), 999, &code) || code < 100 ||
        (line.len > 12 && line.ptr[12] != ' '))
        return err_set(e, STATUS_PROTOCOL, "no HTTP/1 status line");
    r->minor = line.ptr[7] - '0';
    r->status = (int)code;
    return STATUS_OK;
}

static enum status read_response_fields(struct str fields, struct facts *f, struct err *e)
{
    bool framed = false;

    while (fields.ptr && fields.len) {
        struct str line = cut_line(&fields);
        ptrdiff_t colon = str_chr(line, ':');
        struct str name;

        if (line.len && (memchr(line.ptr, '\0', line.len) || memchr(line.ptr, '\r', line.len)))
            return err_set(e, STATUS_PROTOCOL, "a NUL or a bare CR in the head of a response");
        if (line.len && (line.ptr[0] == ' ' || line.ptr[0] == '\t')) {
            if (framed)
                return err_set(e, STATUS_PROTOCOL, "a folded field that decides the framing");
            continue;
        }
        framed = false;
        if (colon <= 0)
            continue; /* a line that browsers skip */
        name = str_n(line.ptr, (size_t)colon);
        f->names_ours |= str_eq_nocase(str_trim(name), STR("x-fleet-error"));
        if (see_field(f, str_trim(name), str_trim(str_skip(line, (size_t)colon + 1)))) {
            framed = true;
            if (!is_token(name))
                return err_set(e, STATUS_PROTOCOL,
                               "white space around the name of a field that "
                               "decides the framing");
        }
    }
    return STATUS_OK;
}

/* RFC 9112 §6.3 */
static enum status response_framing(const struct facts *f, bool to_head, struct http1_response *r,
                                    struct err *e)
{
    r->keep_alive = !f->close && !f->proxy_close && (r->minor == 1 || f->keep_alive);
    if (to_head || r->status < 200 || r->status == 204 || r->status == 304) {
        r->framing = HTTP1_EMPTY;
        return STATUS_OK;
    }
    if (f->has_coding) {
        r->framing = f->chunked_last ? HTTP1_CHUNKED : HTTP1_UNTIL_CLOSE;
        r->keep_alive &= f->chunked_last && !f->has_length && !f->conflict && r->minor == 1;
        return STATUS_OK;
    }
    if (f->conflict)
        return err_set(e, STATUS_PROTOCOL, "Content-Length: several that disagree, or no number");
    r->framing = HTTP1_UNTIL_CLOSE;
    if (f->has_length) {
        r->framing = f->length ? HTTP1_LENGTH : HTTP1_EMPTY;
        r->length = f->length;
    }
    r->keep_alive &= f->has_length;
    return STATUS_OK;
}

enum status http1_parse_response(struct str head, bool to_head, struct http1_response *out,
                                 struct err *e)
{
    struct facts f = {0};
    struct str rest = head;
    enum status s;

    *out = (struct http1_response){0};
    s = read_status_line(cut_line(&rest), out, e);
    if (s != STATUS_OK)
        return s;
    out->interim = out->status < 200 && out->status != 101;
    s = read_response_fields(rest, &f, e);
    out->names_ours = f.names_ours;
    return s == STATUS_OK ? response_framing(&f, to_head, out, e) : s;
}

/* --- bodies --- */

enum body_step {
    BODY_DATA,    /* `left` bytes of the length or of a chunk */
    BODY_SIZE,    /* first digit of a chunk's size */
    BODY_DIGITS,  /* further digits */
    BODY_EXT,     /* chunk extension, up to LF */
    BODY_SIZE_LF, /* LF after the CR of the size line */
    BODY_DATA_CR, /* CR LF after a chunk's data */
    BODY_DATA_LF,
    BODY_TRAILER, /* first byte of a trailer line */
    BODY_FIELD,   /* inside of one */
    BODY_LAST_LF, /* LF of the empty line */
    BODY_OVER,
    BODY_BROKEN,
};

void http1_body_init(struct http1_body *b, enum http1_framing f, uint64_t length)
{
    *b = (struct http1_body){.framing = f, .left = length, .step = BODY_DATA};
    if (f == HTTP1_EMPTY || (f == HTTP1_LENGTH && length == 0))
        b->step = BODY_OVER;
    else if (f == HTTP1_CHUNKED)
        b->step = BODY_SIZE;
}

static int after_size(struct http1_body *b)
{
    b->extra = 0;
    return b->left ? BODY_DATA : BODY_TRAILER;
}

static int take_digit(struct http1_body *b, unsigned char c)
{
    unsigned d;

    if (c >= '0' && c <= '9')
        d = c - '0';
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        d = (c | 0x20u) - 'a' + 10;
    else
        return BODY_BROKEN;
    if (b->left >> 59)
        return BODY_BROKEN;
    b->left = b->left << 4 | d;
    return BODY_DIGITS;
}

/* One byte of chunked framing (not of a chunk's data). */
static int chunk_byte(struct http1_body *b, unsigned char c)
{
    switch (b->step) {
    case BODY_SIZE:
        b->left = 0;
        return take_digit(b, c);
    case BODY_DIGITS:
        if (c == '\r')
            return BODY_SIZE_LF;
        if (c == ';' || c == ' ' || c == '\t')
            return BODY_EXT;
        return take_digit(b, c);
    case BODY_EXT:
        if (c == '\r')
            return BODY_SIZE_LF;
        return c == '\n' || ++b->extra > EXTENSION_MAX ? BODY_BROKEN : BODY_EXT;
    case BODY_SIZE_LF:
        return c == '\n' ? after_size(b) : BODY_BROKEN;
    case BODY_DATA_CR:
        return c == '\r' ? BODY_DATA_LF : BODY_BROKEN;
    case BODY_DATA_LF:
        return c == '\n' ? BODY_SIZE : BODY_BROKEN;
    case BODY_TRAILER:
        if (c == '\r')
            return BODY_LAST_LF;
        return c == '\n' ? BODY_BROKEN : BODY_FIELD;
    case BODY_FIELD:
        if (++b->extra > TRAILER_MAX)
            return BODY_BROKEN;
        return c == '\n' ? BODY_TRAILER : BODY_FIELD;
    case BODY_LAST_LF:
        return c == '\n' ? BODY_OVER : BODY_BROKEN;
    default:
        BUG("chunked body in step %d", b->step);
    }
}

static size_t take_data(struct http1_body *b, size_t n)
{
    if (b->framing == HTTP1_UNTIL_CLOSE)
        return n;
    if (n > b->left)
        n = (size_t)b->left;
    b->left -= n;
    if (b->left == 0)
        b->step = b->framing == HTTP1_CHUNKED ? BODY_DATA_CR : BODY_OVER;
    return n;
}

enum http1_body_state http1_body_feed(struct http1_body *b, const void *p, size_t n, size_t *used)
{
    const unsigned char *c = p;
    size_t i = 0;

    while (i < n && b->step < BODY_OVER) {
        if (b->step == BODY_DATA)
            i += take_data(b, n - i);
        else
            b->step = chunk_byte(b, c[i++]);
    }
    *used = i;
    if (b->step == BODY_BROKEN)
        return HTTP1_BODY_BAD;
    return b->step == BODY_OVER ? HTTP1_BODY_END : HTTP1_BODY_MORE;
}

bool http1_body_is_over(const struct http1_body *b)
{
    return b->step == BODY_OVER;
}
