#include "browser/ops_capture.h"

#include "browser/acting.h"
#include "browser/doing.h"

#define F(T, m) JF_COMMON(struct T, m)

enum { CAPTURE_TIMEOUT_MS = 30000 };

#define TIMEOUT_FIELD(T)                                                                           \
    {                                                                                              \
        F(T, timeout), .kind = JK_UINT, .min = 1, .max = STEP_TIMEOUT_MAX_MS,                      \
                       .doc = "Milliseconds it may take, 1..600000, default 30000."                \
    }

/* A page that draws nothing, or has too much to draw, costs no more than that. */
static uint64_t deadline_of(const struct op_call *call, uint32_t timeout)
{
    uint64_t at =
        loop_now_ms(session_of(call)->loop) + (timeout > 0 ? timeout : CAPTURE_TIMEOUT_MS);

    return at < call->deadline_ms ? at : call->deadline_ms;
}

/* --- page.screenshot --- */

struct screenshot_args {
    const char *name;
    bool full_page;
    const char *node; /* an objectId: flows find the element and fill it in */
    int64_t frame;
    int format;
    int64_t quality;
    uint32_t timeout;
};

static const char *const format_names[] = {"png", "jpeg", "webp", NULL};
static const char *const format_exts[] = {"png", "jpg", "webp"};

static const struct json_field screenshot_fields[] = {
    {F(screenshot_args, name), .kind = JK_STR, .max = 100,
     .doc = "Part of the file's name; default \"screenshot\"."},
    {F(screenshot_args, full_page), .kind = JK_BOOL,
     .doc = "The whole page instead of the viewport; default false."},
    {F(screenshot_args, node), .kind = JK_STR, .max = 256,
     .doc = "Handle of an element to clip to."},
    {F(screenshot_args, frame), .kind = JK_INT, .min = 0, .max = INT64_MAX,
     .doc = "Frame of the element; default the main frame."},
    {F(screenshot_args, format), .kind = JK_ENUM, .names = format_names,
     .doc = "png (default), jpeg or webp."},
    {F(screenshot_args, quality), .kind = JK_INT, .min = 0, .max = 100,
     .doc = "Of jpeg and webp, 1..100; 0: the browser's default."},
    TIMEOUT_FIELD(screenshot_args),
};

static const struct json_schema screenshot_schema = {
    .name = "page.screenshot",
    .fields = screenshot_fields,
    .n = ARRAY_LEN(screenshot_fields),
    .size = sizeof(struct screenshot_args),
};

static void screenshot_done(void *arg, enum status s, struct str bytes, const struct err *e)
{
    struct op_call *call = arg;
    const struct screenshot_args *args = call->args;

    acting_save(call, s, bytes, e, args->name != NULL ? args->name : "screenshot",
                format_exts[args->format]);
}

static void screenshot_run(struct op_call *call)
{
    const struct screenshot_args *args = call->args;
    struct acting *a = acting_begin(call);
    const struct page_shot shot = {
        .full_page = args->full_page,
        .node = args->node,
        .frame = {(uint64_t)args->frame},
        .format = format_names[args->format],
        .quality = args->quality > 0 ? (int)args->quality : -1,
        .deadline_ms = deadline_of(call, args->timeout),
    };

    a->id = page_screenshot(a->page, &shot, screenshot_done, call);
}

/* --- page.pdf --- */

struct pdf_args {
    const char *name;
    bool landscape, background;
    double width_in, height_in, scale;
    uint32_t timeout;
};

static const struct json_field pdf_fields[] = {
    {F(pdf_args, name), .kind = JK_STR, .max = 100,
     .doc = "Part of the file's name; default \"page\"."},
    {F(pdf_args, landscape), .kind = JK_BOOL, .doc = "Default false."},
    {F(pdf_args, background), .kind = JK_BOOL, .doc = "Print backgrounds; default false."},
    {F(pdf_args, width_in), .kind = JK_DOUBLE, .dmin = 0, .dmax = 200,
     .doc = "Paper's width in inches; default 8.27 (A4)."},
    {F(pdf_args, height_in), .kind = JK_DOUBLE, .dmin = 0, .dmax = 200,
     .doc = "Paper's height in inches; default 11.69 (A4)."},
    {F(pdf_args, scale), .kind = JK_DOUBLE, .dmin = 0.1, .dmax = 2, .doc = "0.1..2, default 1."},
    TIMEOUT_FIELD(pdf_args),
};

static const struct json_schema pdf_schema = {
    .name = "page.pdf",
    .fields = pdf_fields,
    .n = ARRAY_LEN(pdf_fields),
    .size = sizeof(struct pdf_args),
};

static void pdf_done(void *arg, enum status s, struct str bytes, const struct err *e)
{
    struct op_call *call = arg;
    const struct pdf_args *args = call->args;

    acting_save(call, s, bytes, e, args->name != NULL ? args->name : "page", "pdf");
}

static void pdf_run(struct op_call *call)
{
    const struct pdf_args *args = call->args;
    struct acting *a = acting_begin(call);
    const struct page_pdf pdf = {
        .landscape = args->landscape,
        .background = args->background,
        .width_in = args->width_in,
        .height_in = args->height_in,
        .scale = args->scale,
        .deadline_ms = deadline_of(call, args->timeout),
    };

    a->id = page_pdf(a->page, &pdf, pdf_done, call);
}

/* --- page.html --- */

enum { HTML_BYTES = 4 * 1024 * 1024, HTML_BYTES_MAX = 64 * 1024 * 1024 };

struct html_args {
    const char *name;
    uint32_t max_bytes, timeout;
};

static const struct json_field html_fields[] = {
    {F(html_args, name), .kind = JK_STR, .max = 100,
     .doc = "Part of the file's name; default \"page\"."},
    {F(html_args, max_bytes), .kind = JK_UINT, .min = 1, .max = HTML_BYTES_MAX,
     .doc = "What is longer is cut there, 1..67108864 characters, default 4194304."},
    TIMEOUT_FIELD(html_args),
};

static const struct json_schema html_schema = {
    .name = "page.html",
    .fields = html_fields,
    .n = ARRAY_LEN(html_fields),
    .size = sizeof(struct html_args),
};

static void html_done(void *arg, enum status s, const struct json *value, const char *handle,
                      const struct err *e)
{
    struct op_call *call = arg;
    const struct html_args *args = call->args;

    (void)handle;
    acting_save(call, s, str_from(json_str(value, "")), e, args->name != NULL ? args->name : "page",
                "html");
}

/* The DOM as it is now, open shadow roots left out. */
static void html_run(struct op_call *call)
{
    const struct html_args *args = call->args;
    struct acting *a = acting_begin(call);
    const char *bound =
        arena_printf(call->arena, "[%u]", args->max_bytes > 0 ? args->max_bytes : HTML_BYTES);
    const struct page_eval ev = {
        .source = STR("function(n){const t=document.doctype;"
                      "return((t?new XMLSerializer().serializeToString(t)+'\\n':'')+"
                      "(document.documentElement?document.documentElement.outerHTML:''))"
                      ".slice(0,n)}"),
        .function = true,
        .args = str_from(bound),
        .deadline_ms = deadline_of(call, args->timeout),
    };

    a->id = page_evaluate(a->page, NULL, &ev, html_done, call);
}

/* --- page.mhtml --- */

struct mhtml_args {
    const char *name;
    uint32_t timeout;
};

static const struct json_field mhtml_fields[] = {
    {F(mhtml_args, name), .kind = JK_STR, .max = 100,
     .doc = "Part of the file's name; default \"page\"."},
    TIMEOUT_FIELD(mhtml_args),
};

static const struct json_schema mhtml_schema = {
    .name = "page.mhtml",
    .fields = mhtml_fields,
    .n = ARRAY_LEN(mhtml_fields),
    .size = sizeof(struct mhtml_args),
};

static void mhtml_done(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct op_call *call = arg;
    const struct mhtml_args *args = call->args;

    acting_save(call, s, str_from(json_str(json_get(result, "data"), "")), e,
                args->name != NULL ? args->name : "page", "mhtml");
}

static void mhtml_run(struct op_call *call)
{
    const struct mhtml_args *args = call->args;
    struct acting *a = acting_begin(call);

    a->id = page_call(a->page, NULL, "Page.captureSnapshot", STR("{\"format\":\"mhtml\"}"),
                      deadline_of(call, args->timeout), mhtml_done, call);
}

/* --- the rows --- */

const struct op ops_capture[] = {
    {"page.html", "The page's DOM as it is now, as HTML.", &html_schema, OP_HOLDS_RESULT, html_run},
    {"page.mhtml", "The page with its images and styles in one file (RFC 2557).", &mhtml_schema,
     OP_HOLDS_RESULT, mhtml_run},
    {"page.pdf", "Prints the page to PDF.", &pdf_schema, OP_HOLDS_RESULT, pdf_run},
    {"page.screenshot", "A picture of the viewport, the whole page or an element.",
     &screenshot_schema, OP_HOLDS_RESULT, screenshot_run},
};
const size_t n_ops_capture = ARRAY_LEN(ops_capture);
