#include "browser/ops_page.h"

#include "browser/acting.h"
#include "browser/page/network.h"
#include "core/base/url.h"

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
    struct acting *a = acting_begin(call);
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
    struct acting *a = acting_begin(call);

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
    {"page.set_viewport", "Size and kind of the page's screen from now on.", &viewport_schema, 0,
     viewport_run},
};
const size_t n_ops_page = ARRAY_LEN(ops_page);

const struct op *ops_page_document(void)
{
    return &ops_page[ROW_DOCUMENT];
}
