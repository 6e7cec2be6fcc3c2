#include "browser/ops_traffic.h"

#include <sodium.h>

#include "browser/acting.h"
#include "browser/doing.h"
#include "browser/page/netlog.h"
#include "core/base/work.h"

#define F(T, m) JF_COMMON(struct T, m)

/* --- page.response_body --- */

enum body_form { BODY_TEXT, BODY_JSON, BODY_BASE64, BODY_FILE };

struct body_args {
    const char *url, *method, *name;
    int64_t nth;
    int as;
    uint32_t max_bytes, timeout;
    bool has_timeout;
};

static const char *const form_names[] = {"text", "json", "base64", "file", NULL};

static const struct json_field body_fields[] = {
    {F(body_args, url), .kind = JK_STR, .required = true, .min = 1, .max = 2000,
     .doc = "URL of the response, where * stands for anything."},
    {F(body_args, method), .kind = JK_STR, .min = 1, .max = 20,
     .doc = "Method of the request; default any."},
    {F(body_args, nth), .kind = JK_INT, .min = -1000, .max = 1000,
     .doc = "Of several: 1 is the first, -1 (default) the last."},
    {F(body_args, as), .kind = JK_ENUM, .names = form_names,
     .doc = "text (default), json (the value in it), base64, or file: an artifact."},
    {F(body_args, name), .kind = JK_STR, .max = 100,
     .doc = "Of the file: part of its name; default \"body\"."},
    {F(body_args, max_bytes), .kind = JK_UINT, .min = 1, .max = BODY_BYTES_MAX,
     .doc = "A longer one is an error, 1..16777216, default 4194304."},
    {F(body_args, timeout), .kind = JK_UINT, .max = STEP_TIMEOUT_MAX_MS,
     .seen_offset = offsetof(struct body_args, has_timeout),
     .doc = "Milliseconds to wait for it, 0..600000, default 5000."},
};

static const struct json_schema body_schema = {
    .name = "page.response_body",
    .fields = body_fields,
    .n = ARRAY_LEN(body_fields),
    .size = sizeof(struct body_args),
};

/* What was got: hashed on a worker thread, then shown or kept. */
struct got {
    struct op_call *call;
    struct buf bytes;
    struct json *about;
    const char *mime;
    bool is_text;
    unsigned char sha256[crypto_hash_sha256_BYTES];
};

static const char *ext_of(const char *mime)
{
    static const char *const known[][2] = {
        {"text/html", "html"},
        {"application/json", "json"},
        {"text/css", "css"},
        {"text/javascript", "js"},
        {"image/png", "png"},
        {"image/jpeg", "jpg"},
        {"image/gif", "gif"},
        {"image/webp", "webp"},
        {"image/svg+xml", "svg"},
        {"image/avif", "avif"},
        {"text/plain", "txt"},
        {"application/pdf", "pdf"},
        {"application/xml", "xml"},
        {"text/xml", "xml"},
        {"font/woff2", "woff2"},
        {"application/zip", "zip"},
        {"text/csv", "csv"},
        {"application/javascript", "js"},
        {"application/xhtml+xml", "xhtml"},
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(mime, known[i][0]) == 0)
            return known[i][1];
    return "bin";
}

static enum status body_shown(const struct got *g, enum body_form form, struct json **out,
                              struct err *e)
{
    struct str bytes = buf_str(&g->bytes);
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    const char *url = json_str(json_get(g->about, "url"), "");

    if (form == BODY_BASE64) {
        buf_add_base64(&text, bytes.ptr, bytes.len);
        *out = json_new_str(buf_str(&text));
        buf_deinit(&text);
        return STATUS_OK;
    }
    if (!g->is_text && !str_is_utf8(bytes))
        return err_set(e, STATUS_INVALID,
                       "%.200s: the body is no text but %s; take it as \"base64\" or \"file\"", url,
                       g->mime[0] != '\0' ? g->mime : "of an unknown kind");
    if (form == BODY_TEXT) {
        *out = json_new_str(bytes);
        return STATUS_OK;
    }
    *out = json_parse(bytes, false, e);
    if (*out == NULL)
        err_prefix(e, "%.200s: the body (%s) is no JSON", url, g->mime);
    return *out != NULL ? STATUS_OK : STATUS_INVALID;
}

static void got_hash(void *arg)
{
    struct got *g = arg;

    (void)crypto_hash_sha256(g->sha256, (const unsigned char *)buf_str(&g->bytes).ptr,
                             g->bytes.len);
}

static void got_hashed(void *arg)
{
    struct got *g = arg;
    struct op_call *call = g->call;
    const struct body_args *args = call->args;
    struct json *body = NULL, *result;
    char hex[2 * sizeof g->sha256 + 1];
    struct err e = ERR_INIT;

    sodium_bin2hex(hex, sizeof hex, g->sha256, sizeof g->sha256);
    json_add_str(g->about, "sha256", hex);
    if (args->as == BODY_FILE) {
        acting_save_all(call, &g->bytes, args->name != NULL ? args->name : "body", ext_of(g->mime),
                        g->about);
        return;
    }
    result = json_new_object();
    if (body_shown(g, (enum body_form)args->as, &body, &e) == STATUS_OK) {
        json_add(result, "body", body);
        json_add_num(result, "bytes", (double)g->bytes.len);
        for (const struct json *m = json_first(g->about); m != NULL; m = json_next(m))
            json_add(result, json_key(m), json_dup(m));
    } else {
        json_destroy(&result);
    }
    json_destroy(&g->about);
    buf_deinit(&g->bytes);
    session_finish(call, e.status, &e, result);
}

static void body_got(void *arg, enum status s, const struct page_body *b, const struct err *e)
{
    struct op_call *call = arg;
    struct got *g;

    if (s != STATUS_OK) {
        session_finish(call, s, e, NULL);
        return;
    }
    g = arena_new(call->arena, struct got);
    g->call = call;
    g->is_text = b->is_text;
    g->mime = arena_strdup(call->arena, b->mime != NULL ? b->mime : "");
    buf_init(&g->bytes, BUF_MAX_FILE);
    buf_addstr(&g->bytes, b->bytes);
    g->about = json_add_str(json_new_object(), "url", b->url != NULL ? b->url : "");
    json_add_str(g->about, "method", b->method != NULL ? b->method : "");
    json_add_num(g->about, "status", b->status);
    json_add_str(g->about, "mime", g->mime);
    call->cancel = NULL; /* what is left is short */
    work_submit(session_of(call)->loop, got_hash, got_hashed, g);
}

static void body_run(struct op_call *call)
{
    const struct body_args *args = call->args;
    struct acting *a = acting_begin(call);
    uint64_t now = loop_now_ms(session_of(call)->loop);
    const struct body_want want = {
        .url = args->url,
        .method = args->method,
        .nth = args->nth != 0 ? args->nth : -1,
        .max_bytes = args->max_bytes > 0 ? args->max_bytes : BODY_BYTES,
        .give_up_ms = now + (args->has_timeout ? args->timeout : session_of(call)->timeout_ms),
        .deadline_ms = call->deadline_ms,
    };

    a->id = page_response_body(a->page, &want, body_got, call);
}

/* --- the rows --- */

const struct op ops_traffic[] = {
    {"page.response_body",
     "The body of a response that the page got: the last one whose URL matches, or one to come.",
     &body_schema, OP_HOLDS_RESULT, body_run},
};
const size_t n_ops_traffic = ARRAY_LEN(ops_traffic);
