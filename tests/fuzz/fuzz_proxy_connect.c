/* Answers of a proxy to CONNECT and of a SOCKS5 server, whole and in pieces: the cut of the stream
 * must not matter. The first byte chooses the scheme, credentials and the pieces. */
#include <stdint.h>
#include <stdlib.h>

#include "proxies/connect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum connect_state state;
    enum status status;
    int code;
    size_t used;
};

static struct outcome run(const struct proxy *p, const uint8_t *data, size_t size, size_t step)
{
    struct connect c;
    struct err e = ERR_INIT;
    struct outcome o = {.state = CONNECT_MORE};

    if (connect_begin(&c, p, "example.org", 443, NULL) != STATUS_OK)
        abort();
    while (o.used < size && o.state == CONNECT_MORE) {
        size_t n = size - o.used < step ? size - o.used : step, used;

        o.state = connect_feed(&c, data + o.used, n, &used, &e);
        BUG_ON(used > n || (used < n && o.state == CONNECT_MORE));
        o.used += used;
    }
    BUG_ON(o.state != c.state || buf_status(&c.out) != STATUS_OK);
    o.status = e.status;
    o.code = c.peer_code;
    connect_end(&c);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const lines[] = {"http://h", "http://user:pass@h", "socks5://h",
                                        "socks5://user:pass@h"};
    struct proxy *p = NULL;
    struct outcome whole, cut;

    if (size < 1)
        return 0;
    if (proxy_parse(str_from(lines[data[0] % 4]), "id", &p, NULL) != STATUS_OK)
        abort();
    whole = run(p, data + 1, size - 1, size);
    cut = run(p, data + 1, size - 1, 1 + (data[0] >> 2) % 7);
    proxy_unref(&p);
    BUG_ON(whole.state != cut.state || whole.status != cut.status || whole.code != cut.code);
    BUG_ON(whole.state == CONNECT_DONE && whole.used != cut.used);
    return 0;
}
