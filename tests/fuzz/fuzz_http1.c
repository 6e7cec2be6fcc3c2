/* Heads of requests and responses, and the framing of what follows them. A request that is taken
 * must, as it goes on, be taken again and mean the same: whatever we read in one way, the next one
 * does not read in another. */
#include <stdint.h>
#include <stdlib.h>

#include "proxies/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(enum http1_framing f, uint64_t length, struct str rest)
{
    struct http1_body whole, cut;
    enum http1_body_state w, c = HTTP1_BODY_MORE;
    size_t used_whole, used = 0;

    http1_body_init(&whole, f, length);
    http1_body_init(&cut, f, length);
    w = http1_body_feed(&whole, rest.ptr, rest.len, &used_whole);
    BUG_ON(used_whole > rest.len);
    if (http1_body_is_over(&cut))
        c = HTTP1_BODY_END;
    while (used < rest.len && c == HTTP1_BODY_MORE) {
        size_t one;

        c = http1_body_feed(&cut, rest.ptr + used, 1, &one);
        used += one;
    }
    BUG_ON(rest.len && (w != c || (w == HTTP1_BODY_END && used != used_whole)));
}

static void check_onward(const struct http1_request *r, bool absolute)
{
    struct http1_onward how = {.absolute = absolute};
    struct buf out = BUF_INIT(BUF_MAX_FILE);
    struct http1_request again;
    struct err e = ERR_INIT;
    size_t scanned = 0;

    http1_write_request(r, &how, &out);
    BUG_ON(buf_status(&out) != STATUS_OK);
    BUG_ON(http1_head_end(buf_str(&out), &scanned) != out.len);
    if (absolute) {
        enum status s = http1_parse_request(buf_str(&out), &again, &e);

        BUG_ON(s != STATUS_OK && s != STATUS_TOO_LARGE);
        BUG_ON(s == STATUS_OK && (again.framing != r->framing || again.length != r->length ||
                                  again.port != r->port || !str_eq(again.host, r->host)));
    }
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_n((const char *)data, size), head, rest;
    struct http1_request q;
    struct http1_response a;
    size_t scanned = 0, n = http1_head_end(text, &scanned);

    if (!n)
        return 0;
    head = str_n(text.ptr, n);
    rest = str_skip(text, n);
    if (http1_parse_request(head, &q, NULL) == STATUS_OK) {
        feed(q.framing, q.length, rest);
        if (!q.is_connect) {
            check_onward(&q, true);
            check_onward(&q, false);
        }
    }
    if (http1_parse_response(head, size & 1, &a, NULL) == STATUS_OK)
        feed(a.framing, a.length, rest);
    return 0;
}
