#include "browser/ops_page.h"

#include "browser/page/network.h"
#include "browser/page/session.h"
#include "core/base/file.h"
#include "core/base/url.h"
#include "core/base/work.h"

/* --- what ops share --- */

/* The id of what is under way, for cancel. */
struct acting {
    struct page *page;
    uint64_t id;
};

static void act_cancel(struct op_call *call)
{
    struct acting *a = call->run_state;

    page_cancel(a->page, a->id, STATUS_CANCELLED);
}

static struct acting *act(struct op_call *call)
{
    struct acting *a = arena_new(call->arena, struct acting);

    a->page = session_of(call)->page;
    call->run_state = a;
    call->cancel = act_cancel;
    session_enter(session_of(call), call);
    return a;
}

/* --- page.navigate --- */

enum { NAVIGATE_TIMEOUT_MS = 30000 };

struct navigate_args {
    const char *url;
    const char *referrer;
    int until;
    uint32_t timeout;
};

static const char *const until_names[] = {"commit", "domcontentloaded", "load", "networkidle",
                                          NULL};

#define F(T, m) JF_COMMON(struct T, m)

static bool navigate_default_until(struct json_decode *d, const struct json *j, void *field);

static const struct json_field navigate_fields[] = {
    {F(navigate_args, url), .kind = JK_STR, .required = true, .min = 1, .max = URL_MAX,
     .doc = "Where to go: an absolute http or https URL."},
    {F(navigate_args, referrer), .kind = JK_STR, .max = URL_MAX, .min = 0,
     .doc = "Referer header; default none."},
    {.name = "wait",
     .offset = offsetof(struct navigate_args, until),
     .kind = JK_FN,
     .fn = navigate_default_until,
     .names = until_names,
     .doc = "How far: commit, domcontentloaded, load (default), networkidle."},
    {F(navigate_args, timeout), .kind = JK_UINT, .min = 1, .max = 600000,
     .doc = "Milliseconds from when the gate lets it go, 1..600000, default 30000."},
};

/* Stored one higher, so that a zeroed struct means the default. */
static bool navigate_default_until(struct json_decode *d, const struct json *j, void *field)
{
    const char *z = json_str(j, "");

    for (int i = 0; until_names[i] != NULL; i++)
        if (strcmp(z, until_names[i]) == 0) {
            *(int *)field = i + 1;
            return true;
        }
    return json_fail(d, NULL,
                     "found \"%s\", expected commit, domcontentloaded, load or networkidle", z);
}

static const struct json_schema navigate_schema = {
    .name = "page.navigate",
    .fields = navigate_fields,
    .n = ARRAY_LEN(navigate_fields),
    .size = sizeof(struct navigate_args),
};

static void navigated(void *arg, const struct page_nav *nav)
{
    struct op_call *call = arg;
    struct json *result = NULL;

    session_observe(call, nav);
    if (nav->status == STATUS_OK) {
        result = json_new_object();
        json_add_str(result, "url", nav->url);
        json_add_str(result, "title", nav->title);
        json_add_num(result, "status", nav->http_status);
    }
    session_finish(call, nav->status, &nav->err, result);
}

/* The gate admitted call->url; what the parameters name must be the same place. */
static bool is_admitted(struct op_call *call, const char *url)
{
    struct url u;

    return url_parse(call->arena, str_from(url), "http https", &u, NULL) == STATUS_OK &&
           str_eq(u.href, call->url);
}

/* Waiting for a token does not count. */
static uint64_t navigate_deadline(const struct op_call *call)
{
    const struct navigate_args *args = call->args;
    uint64_t at = loop_now_ms(session_of(call)->loop) +
                  (args->timeout > 0 ? args->timeout : NAVIGATE_TIMEOUT_MS);

    return at < call->deadline_ms ? at : call->deadline_ms;
}

static void navigate_run(struct op_call *call)
{
    const struct navigate_args *args = call->args;
    struct acting *a = act(call);
    const struct page_goto go = {
        .url = args->url,
        .referrer = args->referrer,
        .until = args->until > 0 ? (enum page_until)(args->until - 1) : UNTIL_LOAD,
        .admitted = is_admitted(call, args->url),
        .look = true,
        .deadline_ms = navigate_deadline(call),
    };

    a->id = page_navigate(a->page, &go, navigated, call);
}

/* --- files: written on a worker thread --- */

struct file_job {
    struct op_call *call;
    char *bytes;
    size_t len;
    const char *path; /* the arena's */
    struct err err;
};

static void file_write_job(void *arg)
{
    struct file_job *job = arg;

    job->err.status = file_replace(job->path, str_n(job->bytes, job->len), 0644, &job->err);
}

static void file_written(void *arg)
{
    struct file_job *job = arg;
    struct op_call *call = job->call;
    struct json *result = NULL;

    if (job->err.status == STATUS_OK) {
        result = json_new_object();
        json_add_str(result, "path", job->path);
        json_add_num(result, "bytes", (double)job->len);
    }
    session_finish(call, job->err.status, &job->err, result);
    free(job->bytes);
    free(job);
}

static void write_file(struct op_call *call, struct str bytes, const char *path)
{
    struct file_job *job = xcalloc(1, sizeof *job);

    call->cancel = NULL; /* the write is short, and is not left half done */
    job->call = call;
    job->path = path;
    job->len = bytes.len;
    job->bytes = xcalloc(1, bytes.len + 1);
    memcpy(job->bytes, bytes.ptr, bytes.len);
    work_submit(session_of(call)->loop, file_write_job, file_written, job);
}

/* Without an artifacts directory the bytes themselves are the result. */
static void captured(struct op_call *call, enum status s, struct str bytes, const struct err *e,
                     const char *name, const char *ext)
{
    const char *path = s == STATUS_OK ? session_add_artifact(session_of(call), name, ext) : NULL;
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    struct json *result;

    if (s != STATUS_OK) {
        session_finish(call, s, e, NULL);
        return;
    }
    if (path != NULL) {
        write_file(call, bytes, path);
        return;
    }
    buf_add_base64(&text, bytes.ptr, bytes.len);
    result = json_new_object();
    json_add(result, "base64", json_new_str(buf_str(&text)));
    json_add_num(result, "bytes", (double)bytes.len);
    buf_deinit(&text);
    session_finish(call, STATUS_OK, e, result);
}

/* --- page.screenshot --- */

struct screenshot_args {
    const char *name;
    bool full_page;
    const char *node; /* an objectId: flows find the element and fill it in */
    int64_t frame;
    int format;
    int64_t quality;
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

    captured(call, s, bytes, e, args->name != NULL ? args->name : "screenshot",
             format_exts[args->format]);
}

static void screenshot_run(struct op_call *call)
{
    const struct screenshot_args *args = call->args;
    struct acting *a = act(call);
    const struct page_shot shot = {
        .full_page = args->full_page,
        .node = args->node,
        .frame = {(uint64_t)args->frame},
        .format = format_names[args->format],
        .quality = args->quality > 0 ? (int)args->quality : -1,
        .deadline_ms = call->deadline_ms,
    };

    a->id = page_screenshot(a->page, &shot, screenshot_done, call);
}

/* --- page.pdf --- */

struct pdf_args {
    const char *name;
    bool landscape, background;
    double width_in, height_in, scale;
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

    captured(call, s, bytes, e, args->name != NULL ? args->name : "page", "pdf");
}

static void pdf_run(struct op_call *call)
{
    const struct pdf_args *args = call->args;
    struct acting *a = act(call);
    const struct page_pdf pdf = {
        .landscape = args->landscape,
        .background = args->background,
        .width_in = args->width_in,
        .height_in = args->height_in,
        .scale = args->scale,
        .deadline_ms = call->deadline_ms,
    };

    a->id = page_pdf(a->page, &pdf, pdf_done, call);
}

/* --- page.set_viewport, page.emulate_network: nothing is waited for --- */

struct viewport_args {
    uint32_t width, height;
    double deviceScaleFactor;
    bool isMobile, hasTouch, isLandscape;
};

static const struct json_field viewport_fields[] = {
    {F(viewport_args, width), .kind = JK_UINT, .required = true, .min = 1, .max = 10000,
     .doc = "CSS pixels, 1..10000."},
    {F(viewport_args, height), .kind = JK_UINT, .required = true, .min = 1, .max = 10000,
     .doc = "CSS pixels, 1..10000."},
    {F(viewport_args, deviceScaleFactor), .kind = JK_DOUBLE, .dmin = 0, .dmax = 10,
     .doc = "Device pixels per CSS pixel; 0 (default): the browser's."},
    {F(viewport_args, isMobile), .kind = JK_BOOL,
     .doc = "Viewport meta tags count; default false."},
    {F(viewport_args, hasTouch), .kind = JK_BOOL, .doc = "Default false."},
    {F(viewport_args, isLandscape), .kind = JK_BOOL, .doc = "Default false."},
};

static const struct json_schema viewport_schema = {
    .name = "page.set_viewport",
    .fields = viewport_fields,
    .n = ARRAY_LEN(viewport_fields),
    .size = sizeof(struct viewport_args),
};

static void viewport_run(struct op_call *call)
{
    const struct viewport_args *args = call->args;
    const struct page_viewport v = {
        .width = args->width,
        .height = args->height,
        .scale = args->deviceScaleFactor,
        .mobile = args->isMobile,
        .touch = args->hasTouch,
        .landscape = args->isLandscape,
    };

    page_set_viewport(session_of(call)->page, &v);
    op_call_finish(call, STATUS_OK, NULL, NULL);
}

struct network_args {
    bool offline;
    double download, upload, latency;
};

static const struct json_field network_fields[] = {
    {F(network_args, offline), .kind = JK_BOOL, .doc = "No network at all; default false."},
    {F(network_args, download), .kind = JK_DOUBLE,
     .doc = "Bytes per second; <= 0 (default): not limited."},
    {F(network_args, upload), .kind = JK_DOUBLE,
     .doc = "Bytes per second; <= 0 (default): not limited."},
    {F(network_args, latency), .kind = JK_DOUBLE, .dmin = 0, .dmax = 60000,
     .doc = "Least milliseconds from request to answer, 0..60000, default 0."},
};

static const struct json_schema network_schema = {
    .name = "page.emulate_network",
    .fields = network_fields,
    .n = ARRAY_LEN(network_fields),
    .size = sizeof(struct network_args),
};

static void network_run(struct op_call *call)
{
    const struct network_args *args = call->args;
    const struct page_conditions c = {args->offline, args->latency, args->download, args->upload};

    page_set_conditions(session_of(call)->page, &c);
    op_call_finish(call, STATUS_OK, NULL, NULL);
}

/* --- page.close --- */

static void closed(void *arg, enum status s)
{
    session_finish(arg, s, NULL, NULL);
}

static void close_run(struct op_call *call)
{
    struct acting *a = act(call);

    a->id = page_close(a->page, call->deadline_ms, closed, call);
}

/* --- the rows --- */

enum { ROW_DOCUMENT = 0 };

const struct op ops_page[] = {
    [ROW_DOCUMENT] =
        {"page.document",
         "A document that a member is led to: redirect, click, script, form, frame or popup.", NULL,
         OP_TOUCHES_TARGET | OP_INTERNAL, network_document_run},
    {"page.close", "Closes the page.", NULL, 0, close_run},
    {"page.emulate_network", "Offline, latency and throughput of the page from now on.",
     &network_schema, 0, network_run},
    {"page.navigate", "Goes to a URL and waits until it is loaded.", &navigate_schema,
     OP_TOUCHES_TARGET, navigate_run},
    {"page.pdf", "Prints the page to PDF.", &pdf_schema, OP_HOLDS_RESULT, pdf_run},
    {"page.screenshot", "A picture of the viewport, the whole page or an element.",
     &screenshot_schema, OP_HOLDS_RESULT, screenshot_run},
    {"page.set_viewport", "Size and kind of the page's screen from now on.", &viewport_schema, 0,
     viewport_run},
};
const size_t n_ops_page = ARRAY_LEN(ops_page);

const struct op *ops_page_document(void)
{
    return &ops_page[ROW_DOCUMENT];
}
