/* What a client says, a line a message, with a browser that answers all it is asked: lines that
 * begin with "!" are the browser's, "!answer {...}" to the oldest call, "!event SESSION METHOD
 * {...}", "!page ID". Whatever comes, what goes on to the browser is JSON, and names no session but
 * the client's. */
#include <stdint.h>

#include "tests/support/gateway_host.h"

static void check_asked(struct gateway_host *h)
{
    struct str rest = buf_str(&h->asked);

    while (rest.ptr != NULL && rest.len > 0) {
        struct str line = str_cut(&rest, '\n'), params = line;

        (void)str_cut(&params, ' ');
        (void)str_cut(&params, ' ');
        BUG_ON(params.len > 0 && !policy_json_ok(params));
    }
    buf_reset(&h->asked);
}

static bool is_id(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z')))
            return false;
    return s.len > 0 && s.len < 32;
}

static void from_browser(struct gateway_host *h, struct str line)
{
    struct str word = str_cut(&line, ' ');
    char text[64];

    if (str_eqz(word, "!answer") && line.len > 0) {
        struct buf b = BUF_INIT(1 << 20);

        buf_addstr(&b, line);
        gateway_host_answer(h, b.ptr);
        buf_deinit(&b);
    } else if (str_eqz(word, "!page") && is_id(line)) {
        memcpy(text, line.ptr, line.len);
        text[line.len] = '\0';
        if (view_find(&h->view, text) == NULL)
            gateway_host_page(h, text);
    } else if (str_eqz(word, "!event")) {
        struct str session = str_cut(&line, ' '), method = str_cut(&line, ' ');

        if (session.len >= sizeof text || line.ptr == NULL)
            return;
        memcpy(text, session.ptr, session.len);
        text[session.len] = '\0';
        mux_event(h->mux, strcmp(text, "-") == 0 ? "" : text, method, line);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_n((const char *)data, size);
    struct gateway_host h;

    gateway_host_open(&h, size > 0 && data[0] == 'p' ? "P0" : NULL);
    while (rest.ptr != NULL) {
        struct str line = str_cut(&rest, '\n');

        if (line.len > 0 && line.ptr[0] == '!')
            from_browser(&h, line);
        else
            mux_message(h.mux, line);
        check_asked(&h);
    }
    gateway_host_close(&h);
    return 0;
}
