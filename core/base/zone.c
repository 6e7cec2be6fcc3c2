/* Where an address belongs (IANA's special-purpose registries). What embeds an IPv4 address is
 * judged by that address. */
#include "core/base/url.h"
#include "core/base/url_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* First match counts. */
static const struct {
    uint32_t net;
    unsigned bits;
    enum net_zone zone;
} zones4[] = {
    {0x00000000, 32, NET_LOOPBACK},   /* 0.0.0.0: connecting to it reaches this machine */
    {0x00000000, 8, NET_RESERVED},    /* RFC 1122 §3.2.1.3 */
    {0x0a000000, 8, NET_PRIVATE},     /* RFC 1918 */
    {0x64400000, 10, NET_PRIVATE},    /* 100.64/10, RFC 6598 */
    {0x7f000000, 8, NET_LOOPBACK},    /* RFC 1122 */
    {0xa9fe0000, 16, NET_LINK_LOCAL}, /* 169.254/16, RFC 3927 */
    {0xac100000, 12, NET_PRIVATE},    /* 172.16/12 */
    {0xc0000000, 24, NET_RESERVED},   /* 192.0.0/24, RFC 6890 */
    {0xc0000200, 24, NET_RESERVED},   /* 192.0.2/24, documentation */
    {0xc0586300, 24, NET_RESERVED},   /* 192.88.99/24, RFC 7526 */
    {0xc0a80000, 16, NET_PRIVATE},    /* 192.168/16 */
    {0xc6120000, 15, NET_RESERVED},   /* 198.18/15, benchmarks */
    {0xc6336400, 24, NET_RESERVED},   /* 198.51.100/24, documentation */
    {0xcb007100, 24, NET_RESERVED},   /* 203.0.113/24, documentation */
    {0xe0000000, 4, NET_RESERVED},    /* multicast */
    {0xf0000000, 4, NET_RESERVED},    /* RFC 1112, broadcast */
};

/* `embeds`: the byte at which the prefix holds an IPv4 address that decides; 0: `zone` does. */
static const struct {
    unsigned char net[16];
    unsigned bits;
    enum net_zone zone;
    unsigned embeds;
} zones6[] = {
    {{0}, 128, NET_LOOPBACK, 0},                          /* ::, as 0.0.0.0 */
    {{[15] = 1}, 128, NET_LOOPBACK, 0},                   /* ::1 */
    {{[10] = 0xff, [11] = 0xff}, 96, NET_PUBLIC, 12},     /* ::ffff:0:0/96, v4-mapped */
    {{[8] = 0xff, [9] = 0xff}, 96, NET_PUBLIC, 12},       /* ::ffff:0:0:0/96, RFC 2765 */
    {{0}, 96, NET_PUBLIC, 12},                            /* ::/96, v4-compatible */
    {{0x00, 0x64, 0xff, 0x9b}, 96, NET_PUBLIC, 12},       /* NAT64, RFC 6052 */
    {{0x00, 0x64, 0xff, 0x9b, 0, 1}, 48, NET_PRIVATE, 0}, /* local NAT64, RFC 8215 */
    {{0x20, 0x02}, 16, NET_PUBLIC, 2},                    /* 6to4 */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, NET_RESERVED, 0},      /* documentation */
    {{0x20, 0x01}, 23, NET_RESERVED, 0},                  /* IETF protocols, Teredo */
    {{0x3f, 0xff}, 20, NET_RESERVED, 0},                  /* documentation, RFC 9637 */
    {{0x01}, 64, NET_RESERVED, 0},                        /* discard, RFC 6666 */
    {{0xfe, 0x80}, 10, NET_LINK_LOCAL, 0},                /* RFC 4291 */
    {{0xfe, 0xc0}, 10, NET_PRIVATE, 0},                   /* site-local, RFC 3879 */
    {{0xfc}, 7, NET_PRIVATE, 0},                          /* RFC 4193 */
    {{0xff}, 8, NET_RESERVED, 0},                         /* multicast */
};

static enum net_zone zone4(uint32_t addr)
{
    for (size_t i = 0; i < ARRAY_LEN(zones4); i++)
        if ((addr ^ zones4[i].net) >> (32 - zones4[i].bits) == 0)
            return zones4[i].zone;
    return NET_PUBLIC;
}

static bool has_prefix(const unsigned char *addr, const unsigned char *net, unsigned bits)
{
    unsigned bytes = bits / 8, rest = bits % 8;

    return memcmp(addr, net, bytes) == 0 &&
           (rest == 0 || (addr[bytes] ^ net[bytes]) >> (8 - rest) == 0);
}

static enum net_zone zone6(const unsigned char addr[16])
{
    for (size_t i = 0; i < ARRAY_LEN(zones6); i++) {
        const unsigned char *v4 = addr + zones6[i].embeds;

        if (!has_prefix(addr, zones6[i].net, zones6[i].bits))
            continue;
        if (zones6[i].embeds == 0)
            return zones6[i].zone;
        return zone4((uint32_t)v4[0] << 24 | (uint32_t)v4[1] << 16 | (uint32_t)v4[2] << 8 | v4[3]);
    }
    return NET_PUBLIC;
}

/* `name` itself or anything under it. */
static bool is_under(struct str host, struct str name)
{
    return host.len >= name.len &&
           (host.len == name.len || host.ptr[host.len - name.len - 1] == '.') &&
           str_eq_nocase(str_skip(host, host.len - name.len), name);
}

static enum net_zone zone_of_name(struct str host)
{
    if (is_under(host, STR("localhost")))
        return NET_LOOPBACK;
    if (is_under(host, STR("local")) || is_under(host, STR("internal")))
        return NET_PRIVATE;
    return NET_NAME;
}

enum net_zone net_zone_of(struct str host)
{
    unsigned char addr[16];
    char text[INET6_ADDRSTRLEN];
    uint32_t ip;

    if (host.len && host.ptr[host.len - 1] == '.')
        host.len--;
    if (host.len < sizeof(text) && str_chr(host, ':') >= 0) {
        memcpy(text, host.ptr, host.len);
        text[host.len] = '\0';
        if (inet_pton(AF_INET6, text, addr) == 1)
            return zone6(addr);
    }
    switch (ip4_parse(host, &ip)) {
    case IP4_OK:
        return zone4(ip);
    case IP4_BAD:
        return NET_RESERVED; /* neither an address nor a name: nothing public answers there */
    case IP4_NOT:
        break;
    }
    return zone_of_name(host);
}

enum net_zone net_zone_of_addr(const struct sockaddr *sa)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    switch (sa->sa_family) {
    case AF_INET:
        memcpy(&in, sa, sizeof(in));
        return zone4(ntohl(in.sin_addr.s_addr));
    case AF_INET6:
        memcpy(&in6, sa, sizeof(in6));
        return zone6(in6.sin6_addr.s6_addr);
    case AF_UNIX:
        return NET_LOOPBACK;
    default:
        return NET_RESERVED;
    }
}

bool net_zone_is_private(enum net_zone z)
{
    return z == NET_LOOPBACK || z == NET_PRIVATE || z == NET_LINK_LOCAL;
}
