/* A flow file from anybody: decoding ends with a flow or with errors that have a path; what was
 * decoded can be explained; and its variables go in, or are refused with a sentence. */
#include "browser/flow/flow.h"

#include "browser/flow/vars.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expand(struct arena *a, const struct json *j)
{
    struct vars v = {.row = j, .vars = j, .seed = STR("seed")};
    struct err e = ERR_INIT;
    struct json *out = NULL;
    const char *text;

    if (vars_tree(&v, a, j, true, &out, &e) != STATUS_OK)
        BUG_ON(e.text[0] == '\0' || !str_is_utf8(str_from(e.text)));
    json_destroy(&out);
    for (const struct json *c = json_type(j) >= JSON_ARRAY ? json_first(j) : NULL; c != NULL;
         c = json_next(c))
        if (json_type(c) == JSON_STRING &&
            vars_text(&v, a, str_from(json_str(c, "")), true, &text, &e) != STATUS_OK)
            BUG_ON(e.text[0] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json *j = json_parse(str_n((const char *)data, size), true, NULL);
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    struct json_decode d;
    struct arena *a;
    struct flow *f;

    if (j == NULL)
        return 0;
    a = arena_create(NULL, 0);
    json_decode_init(&d, a, NULL);
    f = flow_decode(a, j, &d);
    BUG_ON((f == NULL) != (d.n_errors > 0));
    if (f != NULL) {
        flow_explain(f, &b);
        BUG_ON(b.len == 0);
    } else {
        json_decode_report(&d, "flow", &b);
    }
    expand(a, j);
    buf_deinit(&b);
    arena_destroy(&a);
    json_destroy(&j);
    return 0;
}
