/* Evaluation in a frame's world. The main world of a session's own frame needs no context id and so
 * no round trip; an isolated world is made once a document; the main world of a frame inside
 * another's process is known only with the Runtime domain on, which is switched on the first time
 * somebody wants it. */
#include "browser/page/page_internal.h"

#include <inttypes.h>

struct eval_task {
    struct task base;
    struct frame_ref frame;
    uint32_t document;
    enum page_world world;
    bool function, by_handle, user_gesture;
    char *source, *args, *self;
    char **handles;
    size_t n_handles;
    page_eval_fn *fn;
    void *arg;
};

static struct eval_task *eval_of(struct task *t)
{
    return container_of(t, struct eval_task, base);
}

static char *dup_str(struct str s)
{
    char *z = xcalloc(1, s.len + 1);

    if (s.len > 0)
        memcpy(z, s.ptr, s.len);
    return z;
}

static void eval_fail(struct task *t, enum status s, const struct err *e)
{
    struct eval_task *ev = eval_of(t);

    ev->fn(ev->arg, s, NULL, NULL, e);
}

static void eval_free(struct task *t)
{
    struct eval_task *ev = eval_of(t);

    for (size_t i = 0; i < ev->n_handles; i++)
        free(ev->handles[i]);
    free(ev->handles);
    free(ev->source);
    free(ev->args);
    free(ev->self);
}

/* --- the answer --- */

/* "Error: text\n at ..." -> the first line; a thrown plain value as it is. */
static void exception_text(const struct json *details, struct err *e)
{
    const struct json *ex = json_get(details, "exception");
    const char *text = json_str(json_get(ex, "description"), NULL);
    const struct json *value = json_get(ex, "value");
    struct buf b = BUF_INIT(4096);

    if (text != NULL) {
        struct str rest = str_from(text);

        buf_addstr(&b, str_cut(&rest, '\n'));
    } else if (value != NULL) {
        json_print(value, 0, &b);
    } else {
        buf_adds(&b, json_str(json_get(details, "text"), "the script threw"));
    }
    err_set(e, STATUS_SCRIPT_FAILED, "%s", b.ptr != NULL ? b.ptr : "the script threw");
    buf_deinit(&b);
}

/* DevTools refuses evaluation in a document that is being replaced in several words. */
static bool is_document_gone(const struct err *e)
{
    static const char *const words[] = {
        "Cannot find context",        "Execution context was destroyed",
        "Inspected target navigated", "Could not find object",
        "No frame for given id",      "Cannot find default execution"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strstr(e->text, words[i]) != NULL)
            return true;
    return false;
}

static void eval_answered(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct eval_task *ev = arg;
    struct task *t = &ev->base;
    const struct json *details = json_get(result, "exceptionDetails");
    const struct json *value = json_get(result, "result");
    struct err mine = *e;

    t->call = 0;
    if (s == STATUS_PROTOCOL && is_document_gone(e)) {
        struct frame *f = page_frame_find(t->page, ev->frame);

        if (f != NULL && f->document == ev->document)
            f->isolated_context = 0; /* made anew the next time */
        s = STATUS_CLOSED;
    }
    if (s == STATUS_OK && details != NULL) {
        exception_text(details, &mine);
        s = STATUS_SCRIPT_FAILED;
    }
    list_remove(&t->link);
    mine.status = s;
    if (s != STATUS_OK)
        ev->fn(ev->arg, s, NULL, NULL, &mine);
    else if (ev->by_handle)
        ev->fn(ev->arg, s, NULL, json_str(json_get(value, "objectId"), NULL), &mine);
    else
        ev->fn(ev->arg, s, json_get(value, "value"), NULL, &mine);
    task_end(&t);
}

/* --- the command --- */

static void add_flags(struct buf *b, const struct eval_task *ev)
{
    buf_addf(b, ",\"awaitPromise\":true,\"returnByValue\":%s%s}", ev->by_handle ? "false" : "true",
             ev->user_gesture ? ",\"userGesture\":true" : "");
}

/* Elements of the caller's JSON array as DevTools call arguments. */
static void add_arguments(struct buf *b, const struct eval_task *ev)
{
    struct json *args = json_parse(str_from(ev->args), false, NULL);
    const char *comma = "";

    buf_adds(b, ",\"arguments\":[");
    for (const struct json *a = json_first(args); a != NULL; a = json_next(a)) {
        buf_addf(b, "%s{\"value\":", comma);
        json_print(a, 0, b);
        buf_addc(b, '}');
        comma = ",";
    }
    for (size_t i = 0; i < ev->n_handles; i++) {
        buf_addf(b, "%s{\"objectId\":", comma);
        json_print_str(str_from(ev->handles[i]), b);
        buf_addc(b, '}');
        comma = ",";
    }
    buf_addc(b, ']');
    json_destroy(&args);
}

static void call_function(struct eval_task *ev, struct frame *f, int64_t context)
{
    struct buf b = BUF_INIT(BUF_MAX_MESSAGE);

    buf_adds(&b, "{\"functionDeclaration\":");
    json_print_str(str_from(ev->source), &b);
    if (ev->self != NULL || ev->n_handles > 0) {
        buf_adds(&b, ",\"objectId\":");
        json_print_str(str_from(ev->self != NULL ? ev->self : ev->handles[0]), &b);
    } else {
        buf_addf(&b, ",\"executionContextId\":%" PRId64, context);
    }
    add_arguments(&b, ev);
    add_flags(&b, ev);
    task_call(&ev->base, f->session, "Runtime.callFunctionOn", buf_str(&b), eval_answered);
    buf_deinit(&b);
}

/* In the session's own main world a function is called as an expression: its context has no id that
 * we know. */
static void evaluate(struct eval_task *ev, struct frame *f, int64_t context)
{
    struct buf b = BUF_INIT(BUF_MAX_MESSAGE), src = BUF_INIT(BUF_MAX_MESSAGE);

    if (ev->function) {
        struct str args = str_trim(str_from(ev->args));

        buf_addf(&src, "(%s)(", ev->source);
        if (args.len > 2)
            buf_addstr(&src, str_n(args.ptr + 1, args.len - 2));
        buf_addc(&src, ')');
    } else {
        buf_adds(&src, ev->source);
    }
    buf_adds(&b, "{\"expression\":");
    json_print_str(buf_str(&src), &b);
    if (context != 0)
        buf_addf(&b, ",\"contextId\":%" PRId64, context);
    add_flags(&b, ev);
    task_call(&ev->base, f->session, "Runtime.evaluate", buf_str(&b), eval_answered);
    buf_deinit(&b);
    buf_deinit(&src);
}

static void run_in(struct eval_task *ev, struct frame *f, int64_t context)
{
    if (ev->self != NULL || ev->n_handles > 0 || (ev->function && context != 0))
        call_function(ev, f, context);
    else
        evaluate(ev, f, context);
}

/* --- the world --- */

static struct frame *eval_frame(struct eval_task *ev)
{
    struct frame *f = page_frame_find(ev->base.page, ev->frame);

    if (f == NULL)
        task_doom(&ev->base, STATUS_CLOSED, "the frame went away");
    return f;
}

static void world_failed(struct eval_task *ev, enum status s, const struct err *e)
{
    task_fail(&ev->base, s == STATUS_PROTOCOL ? STATUS_CLOSED : s, e);
}

static void world_made(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct eval_task *ev = arg;
    struct frame *f;
    int64_t context = json_int(json_get(result, "executionContextId"), 0);

    ev->base.call = 0;
    if (s != STATUS_OK) {
        world_failed(ev, s, e);
        return;
    }
    f = eval_frame(ev);
    if (f == NULL)
        return;
    if (f->document != ev->document) {
        task_doom(&ev->base, STATUS_CLOSED, "the document was replaced");
        return;
    }
    f->isolated_context = context;
    run_in(ev, f, context);
}

static void make_world(struct eval_task *ev, struct frame *f)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    buf_addf(&b, "{\"frameId\":\"%s\",\"worldName\":\"fleet\",\"grantUniveralAccess\":false}",
             f->id); /* DevTools spells it so */
    task_call(&ev->base, f->session, "Page.createIsolatedWorld", buf_str(&b), world_made);
    buf_deinit(&b);
}

/* The contexts that exist are told before Runtime.enable is answered. */
static void contexts_known(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct eval_task *ev = arg;
    struct frame *f;

    (void)result;
    ev->base.call = 0;
    if (s != STATUS_OK) {
        world_failed(ev, s, e);
        return;
    }
    f = eval_frame(ev);
    if (f == NULL)
        return;
    if (f->main_context == 0)
        task_doom(&ev->base, STATUS_CLOSED, "the frame has no document to run in");
    else
        run_in(ev, f, f->main_context);
}

static void eval_begin(struct task *t)
{
    struct eval_task *ev = eval_of(t);
    struct frame *f = eval_frame(ev);

    if (f == NULL)
        return;
    ev->document = f->document;
    if (ev->self != NULL || ev->n_handles > 0 ||
        (ev->world == PAGE_WORLD_MAIN && frame_is_local_root(f)))
        run_in(ev, f, 0);
    else if (ev->world == PAGE_WORLD_ISOLATED && f->isolated_context != 0)
        run_in(ev, f, f->isolated_context);
    else if (ev->world == PAGE_WORLD_ISOLATED)
        make_world(ev, f);
    else if (f->main_context != 0)
        run_in(ev, f, f->main_context);
    else
        task_call(t, f->session, "Runtime.enable", STR_NONE, contexts_known);
}

static const struct task_kind eval_kind = {sizeof(struct eval_task), eval_begin, eval_fail,
                                           eval_free};

uint64_t page_evaluate(struct page *p, struct frame *f, const struct page_eval *e, page_eval_fn *fn,
                       void *arg)
{
    struct task *t = task_create(p, &eval_kind, e->deadline_ms);
    struct eval_task *ev = eval_of(t);
    uint64_t id = t->id;

    ev->frame = f != NULL ? f->ref : (struct frame_ref){0};
    ev->world = e->world;
    ev->function = e->function;
    ev->by_handle = e->by_handle;
    ev->user_gesture = e->user_gesture;
    ev->source = dup_str(e->source);
    ev->args = dup_str(e->args.len > 0 ? e->args : STR("[]"));
    ev->self = e->self != NULL ? xstrdup(e->self) : NULL;
    ev->n_handles = e->n_handles;
    ev->handles = xcalloc(e->n_handles + 1, sizeof *ev->handles);
    for (size_t i = 0; i < e->n_handles; i++)
        ev->handles[i] = xstrdup(e->handles[i]);
    ev->fn = fn;
    ev->arg = arg;
    task_start(t, NULL);
    return id;
}

void page_release(struct page *p, struct frame *f, const char *handle)
{
    struct cdp_session *s = f != NULL ? f->session : p->main_realm.session;
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    if (s == NULL || handle == NULL)
        return;
    buf_adds(&b, "{\"objectId\":");
    json_print_str(str_from(handle), &b);
    buf_addc(&b, '}');
    cdp_tell(s, "Runtime.releaseObject", buf_str(&b));
    buf_deinit(&b);
}
