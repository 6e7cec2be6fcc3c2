#include "core/base/url_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { LABEL_MAX = 63 };

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

int hex_pair(const char *p)
{
    int high = hex_digit(p[0]);
    int low = high < 0 ? -1 : hex_digit(p[1]);

    return low < 0 ? -1 : high * 16 + low;
}

/* --- IPv4 --- */

static bool is_hex_prefixed(struct str s)
{
    return s.len >= 2 && s.ptr[0] == '0' && (s.ptr[1] | 0x20) == 'x';
}

/* A part: "10", "012", "0xa"; "0x" is 0. False when it is no number or past 32 bits. */
static bool ip4_part(struct str s, uint64_t *out)
{
    int base = 10;
    uint64_t v = 0;

    if (s.len == 0)
        return false;
    if (is_hex_prefixed(s)) {
        base = 16;
        s = str_skip(s, 2);
    } else if (s.len > 1 && s.ptr[0] == '0') {
        base = 8;
        s = str_skip(s, 1);
    }
    for (size_t i = 0; i < s.len; i++) {
        int digit = hex_digit(s.ptr[i]);

        if (digit < 0 || digit >= base)
            return false;
        v = v * (uint64_t)base + (uint64_t)digit;
        if (v > UINT32_MAX)
            return false;
    }
    *out = v;
    return true;
}

static bool ends_in_number(struct str s)
{
    struct str last = s;
    bool digits;

    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '.')
            last = str_skip(s, i + 1);
    digits = last.len > 0;
    for (size_t i = 0; i < last.len; i++)
        digits = digits && last.ptr[i] >= '0' && last.ptr[i] <= '9';
    if (!digits && is_hex_prefixed(last)) {
        digits = true;
        for (size_t i = 2; i < last.len; i++)
            digits = digits && hex_digit(last.ptr[i]) >= 0;
    }
    return digits;
}

enum ip4 ip4_parse(struct str s, uint32_t *out)
{
    struct str rest = s;
    uint64_t addr = 0, part = 0;
    unsigned n = 0;

    if (!ends_in_number(s))
        return IP4_NOT;
    while (rest.ptr) {
        if (n == 4 || (n > 0 && part > 255))
            return IP4_BAD;
        if (!ip4_part(str_cut(&rest, '.'), &part))
            return IP4_BAD;
        n++;
        if (rest.ptr)
            addr |= part << (32 - 8 * n);
    }
    if (part >> (8 * (5 - n)) != 0) /* the last part fills what is left */
        return IP4_BAD;
    *out = (uint32_t)(addr | part);
    return IP4_OK;
}

/* --- IPv6 --- */

/* The longest run of zero groups, the first of equals, at least two long; *len is 0 when there is
 * none. */
static size_t longest_zeros(const unsigned group[8], size_t *len)
{
    size_t best = 0;

    *len = 0;
    for (size_t i = 0; i < 8; i++) {
        size_t n = 0;

        while (i + n < 8 && group[i + n] == 0)
            n++;
        if (n > *len && n > 1) {
            best = i;
            *len = n;
        }
        i += n;
    }
    return best;
}

/* As WHATWG URL and RFC 5952 §4 write it, v4-mapped in hexadecimal too. Returns the length. */
static size_t ip6_print(const unsigned char addr[16], char *out, size_t size)
{
    unsigned group[8];
    size_t zeros, n_zeros, at = 0;

    for (size_t i = 0; i < 8; i++)
        group[i] = (unsigned)addr[2 * i] << 8 | addr[2 * i + 1];
    zeros = longest_zeros(group, &n_zeros);
    for (size_t i = 0; i < 8 && at < size; i++) {
        if (n_zeros && i == zeros) {
            at += (size_t)snprintf(out + at, size - at, "::");
            i += n_zeros - 1;
            continue;
        }
        at += (size_t)snprintf(out + at, size - at, "%s%x",
                               i == 0 || (n_zeros && i == zeros + n_zeros) ? "" : ":", group[i]);
    }
    return at;
}

static enum status parse_ip6(struct str s, struct host *out, struct err *e)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char addr[16];

    if (s.len >= 2 && s.ptr[s.len - 1] == ']' && s.len - 2 < sizeof(text)) {
        memcpy(text, s.ptr + 1, s.len - 2);
        text[s.len - 2] = '\0';
        if (inet_pton(AF_INET6, text, addr) == 1) {
            out->kind = HOST_IP6;
            out->len = ip6_print(addr, out->text, sizeof(out->text));
            return STATUS_OK;
        }
    }
    return err_set(e, STATUS_INVALID, "host \"%.*s\": expected an IPv6 address in brackets%s",
                   STR_ARG(s), str_chr(s, '%') >= 0 ? ", without a zone" : "");
}

/* --- names --- */

/* Percent-decoded and in lower case. */
static enum status decode_name(struct str s, struct host *out, struct err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        int c = (unsigned char)s.ptr[i];

        if (c == '%' && i + 2 < s.len && hex_pair(s.ptr + i + 1) >= 0) {
            c = hex_pair(s.ptr + i + 1);
            i += 2;
        }
        if (c >= 0x80)
            return err_set(e, STATUS_INVALID,
                           "host \"%.*s\": letters outside ASCII: expected the xn-- form",
                           STR_ARG(s));
        if (c <= ' ' || c == 0x7f || strchr("#/:<>?@[\\]^|%", c))
            return err_set(e, STATUS_INVALID,
                           "host \"%.*s\": character 0x%02x: expected a name or an address",
                           STR_ARG(s), (unsigned)c);
        if (n > HOST_MAX) /* one more than fits, for a dot at the end */
            return err_set(e, STATUS_INVALID, "host of more than %d characters", HOST_MAX);
        out->text[n++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    out->len = n;
    return STATUS_OK;
}

static enum status check_labels(const struct host *h, struct err *e)
{
    struct str rest = str_n(h->text, h->len);

    if (h->len == 0)
        return err_set(e, STATUS_INVALID, "host: expected a name or an address, found none");
    if (h->len > HOST_MAX)
        return err_set(e, STATUS_INVALID, "host of more than %d characters", HOST_MAX);
    while (rest.ptr) {
        struct str label = str_cut(&rest, '.');

        if (label.len == 0 || label.len > LABEL_MAX)
            return err_set(e, STATUS_INVALID, "host \"%.*s\": expected labels of 1..%d characters",
                           (int)h->len, h->text, LABEL_MAX);
    }
    return STATUS_OK;
}

enum status host_parse(struct str s, struct host *out, struct err *e)
{
    enum status st;
    uint32_t ip;

    memset(out, 0, sizeof(*out));
    if (s.len && s.ptr[0] == '[')
        return parse_ip6(s, out, e);
    st = decode_name(s, out, e);
    if (st != STATUS_OK)
        return st;
    if (out->len > 0 && out->text[out->len - 1] == '.')
        out->len--; /* the root's dot: the same host, and rules about hosts must see it as the same
                     */
    st = check_labels(out, e);
    if (st != STATUS_OK)
        return st;
    switch (ip4_parse(str_n(out->text, out->len), &ip)) {
    case IP4_NOT:
        out->kind = HOST_NAME;
        break;
    case IP4_BAD:
        return err_set(e, STATUS_INVALID, "host \"%.*s\": ends in a number but is no IPv4 address",
                       STR_ARG(s));
    case IP4_OK:
        out->kind = HOST_IP4;
        out->len = (size_t)snprintf(out->text, sizeof(out->text), "%u.%u.%u.%u", ip >> 24,
                                    ip >> 16 & 255, ip >> 8 & 255, ip & 255);
        break;
    }
    return STATUS_OK;
}
