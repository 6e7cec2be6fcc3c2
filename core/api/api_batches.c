/* Batches: submit, look, results, cancel, remove. */
#include <inttypes.h>
#include <stdio.h>

#include "core/api/api_internal.h"

static const char *const no_query[] = {NULL};

static struct batch *find(struct exchange *x, struct api *a)
{
    const char *id = exchange_param(x, "id");
    struct batch *b = engine_find(a->engine, id);

    if (!b)
        exchange_fail(x, STATUS_NOT_FOUND, "no batch %.64s is known to this engine", id);
    return b;
}

/* --- submit --- */

/* The key of the header goes for the body's. False: answered. */
static bool take_key(struct exchange *x, struct batch_spec *spec)
{
    const char *key = exchange_header(x, "idempotency-key");

    if (!key)
        return true;
    if (!key[0] || strlen(key) > BATCH_KEY_MAX) {
        exchange_fail(x, STATUS_INVALID, "idempotency-key: found %zu bytes, expected 1..%d",
                      strlen(key), (int)BATCH_KEY_MAX);
        return false;
    }
    if (spec->key && strcmp(spec->key, key) != 0) {
        exchange_fail(x, STATUS_INVALID,
                      "idempotency-key: found another one than /key of the body, expected one "
                      "of them");
        return false;
    }
    spec->key = arena_strdup(spec->arena, key);
    return true;
}

struct submit {
    struct exchange *x;
    uint64_t at_wall_ms;
};

static void on_submitted(void *arg, enum status s, struct batch *b, const struct err *e)
{
    struct submit sub = *(struct submit *)arg;
    struct batch_info info;
    char location[64];

    free(arg);
    if (s != STATUS_OK) {
        exchange_answer_err(sub.x, e);
        return;
    }
    batch_info(b, &info);
    snprintf(location, sizeof(location), "/v1/batches/%s", info.id);
    exchange_set_header(sub.x, "location", location);
    /* one from before was found by its key */
    exchange_answer_json(sub.x, info.opened_wall_ms < sub.at_wall_ms ? 200 : 201, batch_to_json(b));
}

void api_batch_submit(struct exchange *x, void *arg)
{
    struct api *a = arg;
    struct buf errors = BUF_INIT(BUF_MAX_MESSAGE);
    struct batch_spec spec;
    struct err e = ERR_INIT;

    if (!api_check_query(x, no_query))
        return;
    if (batch_spec_decode(a->engine, exchange_body(x), &spec, &errors, &e) != STATUS_OK) {
        api_answer_errors(x, &e, &errors);
    } else if (!take_key(x, &spec)) {
        batch_spec_deinit(&spec);
    } else {
        struct submit *sub = xcalloc(1, sizeof(*sub));

        *sub = (struct submit){x, loop_wall_ms(engine_loop(a->engine))};
        engine_submit(a->engine, &spec, on_submitted, sub);
    }
    buf_deinit(&errors);
}

/* --- looking --- */

void api_batches(struct exchange *x, void *arg)
{
    static const char *const known[] = {"state", NULL};
    struct api *a = arg;
    const char *state = exchange_query(x, "state");
    struct json *all;
    struct batch *b;
    size_t it = 0;
    int s = 0;

    if (!api_check_query(x, known))
        return;
    while (state && s < BATCH_STATE_COUNT &&
           strcmp(batch_state_name((enum batch_state)s), state) != 0)
        s++;
    if (s == BATCH_STATE_COUNT) {
        exchange_fail(x, STATUS_INVALID,
                      "query: state: found \"%.64s\", expected pending, processing, completed, "
                      "failed, partial or cancelled",
                      state);
        return;
    }
    all = json_new_array();
    while ((b = engine_next(a->engine, &it))) {
        if (!state || (int)batch_state(b) == s)
            json_push(all, batch_to_json(b));
    }
    exchange_answer_json(x, 200, json_add(json_new_object(), "batches", all));
}

void api_batch(struct exchange *x, void *arg)
{
    struct batch *b;

    if (api_check_query(x, no_query) && (b = find(x, arg)))
        exchange_answer_json(x, 200, batch_to_json(b));
}

void api_batch_summary(struct exchange *x, void *arg)
{
    struct batch *b;

    if (api_check_query(x, no_query) && (b = find(x, arg)))
        exchange_answer_json(x, 200, batch_summary(b));
}

/* --- results --- */

static void on_page(void *arg, enum status s, const struct batch_page *page, const struct err *e)
{
    struct exchange *x = arg;
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    char next[24];

    if (s != STATUS_OK) {
        exchange_answer_err(x, e);
        return;
    }
    for (size_t i = 0; i < page->n; i++) {
        buf_addstr(&text, page->lines[i]);
        buf_addc(&text, '\n');
    }
    if (page->next != UINT64_MAX && page->next > 0) {
        snprintf(next, sizeof(next), "%" PRIu64, page->next - 1);
        exchange_set_header(x, "fleet-next-after", next);
    }
    exchange_answer_buf(x, 200, "application/x-ndjson", &text);
}

void api_batch_results(struct exchange *x, void *arg)
{
    static const char *const known[] = {"after", "max", NULL};
    struct api *a = arg;
    struct err e = ERR_INIT;
    uint64_t after, max;

    if (!api_check_query(x, known))
        return;
    if (exchange_query_u64(x, "after", 0, UINT32_MAX, UINT64_MAX, &after, &e) != STATUS_OK ||
        exchange_query_u64(x, "max", 1, BATCH_PAGE_MAX, BATCH_PAGE_MAX, &max, &e) != STATUS_OK) {
        exchange_answer_err(x, &e);
        return;
    }
    /* without `after`: from the first, 0 */
    engine_results(a->engine, exchange_param(x, "id"), after + 1, (size_t)max, on_page, x);
}

/* --- cancel --- */

struct cancel {
    struct exchange *x;
    struct engine *engine;
    char id[BATCH_ID_MAX];
};

static void on_cancelled(void *arg, enum status s, const struct err *e)
{
    struct cancel c = *(struct cancel *)arg;
    struct batch *b = engine_find(c.engine, c.id);

    free(arg);
    if (s != STATUS_OK)
        exchange_answer_err(c.x, e);
    else if (b)
        exchange_answer_json(c.x, 202, batch_to_json(b));
    else
        exchange_answer_none(c.x);
}

void api_batch_cancel(struct exchange *x, void *arg)
{
    struct api *a = arg;
    struct batch *b;
    struct cancel *c;

    if (!api_no_body(x) || !(b = find(x, a)))
        return;
    if (batch_is_over(batch_state(b))) {
        exchange_answer_json(x, 200, batch_to_json(b));
        return;
    }
    c = xcalloc(1, sizeof(*c));
    c->x = x;
    c->engine = a->engine;
    snprintf(c->id, sizeof(c->id), "%s", batch_id(b));
    batch_cancel(b, on_cancelled, c);
}

/* --- remove --- */

static void on_removed(void *arg, enum status s, size_t n, const struct err *e)
{
    struct exchange *x = arg;

    if (s != STATUS_OK)
        exchange_answer_err(x, e);
    else
        exchange_answer_json(x, 200, json_add_num(json_new_object(), "removed", (double)n));
}

void api_batch_remove(struct exchange *x, void *arg)
{
    struct api *a = arg;

    if (api_no_body(x))
        engine_remove(a->engine, exchange_param(x, "id"), on_removed, x);
}

struct removal {
    int64_t older_than_ms;
};

void api_batches_remove(struct exchange *x, void *arg)
{
    static const struct json_field fields[] = {
        {JF_COMMON(struct removal, older_than_ms), .kind = JK_INT, .required = true,
         .max = (int64_t)100 * 366 * 86400 * 1000},
    };
    static const struct json_schema schema = {
        .name = "body", .fields = fields, .n = ARRAY_LEN(fields), .size = sizeof(struct removal)};
    struct api *a = arg;
    struct removal r = {0};
    int64_t now_ms = (int64_t)loop_wall_ms(engine_loop(a->engine));

    if (!api_check_query(x, no_query) || !api_decode(x, &schema, &r))
        return;
    engine_remove_older(a->engine,
                        r.older_than_ms < now_ms ? (uint64_t)(now_ms - r.older_than_ms) : 0,
                        on_removed, x);
}
