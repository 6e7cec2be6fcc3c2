/* URLs from people, pages and proxy lists. The first byte picks what is fuzzed: the parser, or a
 * reference against a base.
 *
 * What must hold for whatever parses: the normal form parses to itself, its parts are where they
 * say they are, and the zone of the host is the same both times (policy judges the normal form; the
 * browser goes there). */
#include "core/base/url.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char schemes[] = "http https ws wss socks5";

static void check(struct arena *a, const struct url *u)
{
    struct err e = ERR_INIT;
    struct url again;

    BUG_ON(u->host.len == 0 || u->path.len == 0 || u->path.ptr[0] != '/' || u->port == 0);
    BUG_ON(!str_starts(u->href, u->scheme) || !str_ends(u->href, u->path));
    for (size_t i = 0; i < u->href.len; i++)
        BUG_ON(u->href.ptr[i] <= ' ' || u->href.ptr[i] > '~' || u->href.ptr[i] == '#');
    if (u->href.len > URL_MAX) /* encoding made it longer than is accepted */
        return;
    if (url_parse(a, u->href, schemes, &again, &e) != STATUS_OK)
        BUG("%.*s does not parse again: %s", STR_ARG(u->href), err_text(&e));
    BUG_ON(!str_eq(again.href, u->href) || !str_eq(again.host, u->host));
    BUG_ON(again.port != u->port || again.is_ip != u->is_ip || again.user.ptr ||
           again.password.ptr);
    BUG_ON(net_zone_of(u->host) != net_zone_of(again.host));
    BUG_ON(u->is_ip && net_zone_of(u->host) == NET_NAME);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_create(NULL, 1024 * 1024);
    struct err e = ERR_INIT;
    struct url base, u;
    struct str text;

    if (size == 0) {
        arena_destroy(&a);
        return 0;
    }
    text = str_n((const char *)data + 1, size - 1);
    (void)net_zone_of(text);
    if (data[0] % 2 == 0) {
        if (url_parse(a, text, schemes, &u, &e) == STATUS_OK)
            check(a, &u);
        else
            BUG_ON(e.text[0] == '\0');
    } else {
        if (url_parse(a, STR("http://u:p@h:81/a/b?c#d"), schemes, &base, &e) != STATUS_OK)
            BUG("base");
        if (url_resolve(a, &base, text, schemes, &u, &e) == STATUS_OK)
            check(a, &u);
    }
    arena_destroy(&a);
    return 0;
}
