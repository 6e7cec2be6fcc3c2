/* The event log: a page of it, or, where there is nothing new, the first event that comes within
 * `wait_ms`. */
#include <inttypes.h>

#include "core/api/api_internal.h"
#include "core/substrate/substrate.h"

enum { WAIT_MAX_MS = 60000 };

struct wanted {
    struct exchange *x;
    struct engine *engine;
    uint64_t after, wait_ms;
    const char *type;
};

static void answer(struct exchange *x, const struct substrate_logged *v, size_t n)
{
    struct buf text = BUF_INIT(BUF_MAX_FILE);

    for (size_t i = 0; i < n; i++) {
        buf_addf(&text, "{\"seq\":%" PRIu64 ",\"event\":", v[i].seq);
        buf_addstr(&text, v[i].envelope);
        buf_adds(&text, "}\n");
    }
    exchange_answer_buf(x, 200, "application/x-ndjson", &text);
}

static void on_awaited(void *arg, enum status s, const struct substrate_logged *v, size_t n,
                       const struct err *e)
{
    if (s == STATUS_OK || s == STATUS_TIMEOUT)
        answer(arg, v, s == STATUS_OK ? n : 0);
    else
        exchange_answer_err(arg, e);
}

static void on_events(void *arg, enum status s, const struct substrate_logged *v, size_t n,
                      const struct err *e)
{
    struct wanted w = *(struct wanted *)arg;
    struct substrate *sub = engine_substrate(w.engine);

    free(arg);
    if (s != STATUS_OK) {
        exchange_answer_err(w.x, e);
    } else if (n == 0 && w.wait_ms > 0 && sub) {
        const struct substrate_match match = {.type = w.type, .after = w.after};

        (void)substrate_await(sub, &match, w.wait_ms, on_awaited, w.x);
    } else {
        answer(w.x, v, n);
    }
}

void api_events(struct exchange *x, void *arg)
{
    static const char *const known[] = {"after", "type", "max", "wait_ms", NULL};
    struct api *a = arg;
    struct substrate *sub = engine_substrate(a->engine);
    struct wanted *w, want = {.x = x, .engine = a->engine, .type = exchange_query(x, "type")};
    struct err e = ERR_INIT;
    uint64_t max;

    if (!api_check_query(x, known))
        return;
    if (exchange_query_u64(x, "after", 0, 1ull << 53, 0, &want.after, &e) != STATUS_OK ||
        exchange_query_u64(x, "max", 1, SUBSTRATE_READ_MAX, 100, &max, &e) != STATUS_OK ||
        exchange_query_u64(x, "wait_ms", 0, WAIT_MAX_MS, 0, &want.wait_ms, &e) != STATUS_OK) {
        exchange_answer_err(x, &e);
        return;
    }
    if (!sub) {
        exchange_fail(x, STATUS_SHUTTING_DOWN, "the event log is closed");
        return;
    }
    w = xcalloc(1, sizeof(*w));
    *w = want;
    substrate_read(sub, want.after, want.type, (size_t)max, on_events, w);
}
