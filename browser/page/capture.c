/* Screenshots and PDF. A capture is one command whose answer carries base64; the whole page and an
 * element first ask for their box. */
#include "browser/page/page_internal.h"

/* Chromium's rasteriser gives up on more: a page longer than that is cut. */
enum { SHOT_MAX_PX = 16384 };

struct shot_task {
    struct task base;
    struct page_shot shot;
    char *node;
    const char *format;
    bool pdf;
    char *params; /* pdf */
    page_bytes_fn *fn;
    void *arg;
};

static struct shot_task *shot_of(struct task *t)
{
    return container_of(t, struct shot_task, base);
}

static void shot_over(struct shot_task *c, enum status s, struct str bytes, const struct err *e)
{
    struct err mine = *e;

    if (s == STATUS_TIMEOUT)
        err_set(&mine, s, "the page was not drawn by the deadline");
    c->fn(c->arg, s, bytes, &mine);
}

static void shot_fail(struct task *t, enum status s, const struct err *e)
{
    shot_over(shot_of(t), s, STR_NONE, e);
}

static void shot_free(struct task *t)
{
    free(shot_of(t)->node);
    free(shot_of(t)->params);
}

static void shot_answered(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct shot_task *c = arg;
    struct task *t = &c->base;
    struct buf bytes = BUF_INIT(BUF_MAX_MESSAGE);
    struct err mine = *e;

    t->call = 0;
    list_remove(&t->link);
    if (s == STATUS_OK &&
        buf_add_unbase64(&bytes, str_from(json_str(json_get(result, "data"), ""))) != STATUS_OK)
        s = err_set(&mine, STATUS_PROTOCOL, "the picture is no base64");
    if (s == STATUS_OK && bytes.len == 0)
        s = err_set(&mine, STATUS_PROTOCOL, "the picture is empty");
    shot_over(c, s, s == STATUS_OK ? buf_str(&bytes) : STR_NONE, &mine);
    buf_deinit(&bytes);
    task_end(&t);
}

struct box {
    double x, y, w, h;
};

static void shoot(struct shot_task *c, const struct box *clip)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    buf_addf(&b, "{\"format\":\"%s\"", c->format);
    if (c->shot.quality >= 0 && strcmp(c->format, "png") != 0)
        buf_addf(&b, ",\"quality\":%d", c->shot.quality);
    if (clip != NULL)
        buf_addf(&b,
                 ",\"captureBeyondViewport\":true,\"clip\":{\"x\":%.2f,\"y\":%.2f,\"width\":%.2f,"
                 "\"height\":%.2f,\"scale\":1}",
                 clip->x, clip->y, clip->w, clip->h);
    buf_adds(&b, ",\"optimizeForSpeed\":true}");
    task_call(&c->base, c->base.page->main_realm.session, "Page.captureScreenshot", buf_str(&b),
              shot_answered);
    buf_deinit(&b);
}

static double bounded(double v)
{
    return v < 1 ? 1 : v > SHOT_MAX_PX ? SHOT_MAX_PX : v;
}

static void page_measured(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct shot_task *c = arg;
    const struct json *size = json_get(result, "cssContentSize");
    struct box box = {0, 0, bounded(json_num(json_get(size, "width"), 0)),
                      bounded(json_num(json_get(size, "height"), 0))};

    c->base.call = 0;
    if (s != STATUS_OK)
        task_fail(&c->base, s, e);
    else
        shoot(c, &box);
}

/* In coordinates of the document; a frame in a process of its own is captured through its place in
 * the page, which its own session does not know: the script walks up as far as it may. */
static const char box_script[] =
    "function(){var r=this.getBoundingClientRect(),x=r.left,y=r.top,w=window,f;"
    "try{while((f=w.frameElement)){var q=f.getBoundingClientRect();"
    "x+=q.left+f.clientLeft;y+=q.top+f.clientTop;w=w.parent}}catch(_){}"
    "return{x:x+w.scrollX,y:y+w.scrollY,w:r.width,h:r.height}}";

static void node_measured(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct shot_task *c = arg;
    const struct json *v = json_at(result, "result", "value", NULL);
    struct box box = {json_num(json_get(v, "x"), 0), json_num(json_get(v, "y"), 0),
                      json_num(json_get(v, "w"), 0), json_num(json_get(v, "h"), 0)};
    struct err mine = *e;

    c->base.call = 0;
    if (s == STATUS_OK && (box.w < 1 || box.h < 1))
        s = err_set(&mine, STATUS_INVALID, "the element has no area to take a picture of");
    if (s != STATUS_OK) {
        task_fail(&c->base, s, &mine);
        return;
    }
    box.w = bounded(box.w);
    box.h = bounded(box.h);
    shoot(c, &box);
}

static void measure_node(struct shot_task *c)
{
    struct frame *f = page_frame_find(c->base.page, c->shot.frame);
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    if (f == NULL) {
        task_doom(&c->base, STATUS_CLOSED, "the frame went away");
        return;
    }
    buf_adds(&b, "{\"returnByValue\":true,\"objectId\":");
    json_print_str(str_from(c->node), &b);
    buf_adds(&b, ",\"functionDeclaration\":");
    json_print_str(str_from(box_script), &b);
    buf_addc(&b, '}');
    task_call(&c->base, f->session, "Runtime.callFunctionOn", buf_str(&b), node_measured);
    buf_deinit(&b);
}

static void shot_aim(struct shot_task *c)
{
    struct task *t = &c->base;

    if (c->pdf)
        task_call(t, t->page->main_realm.session, "Page.printToPDF", str_from(c->params),
                  shot_answered);
    else if (c->node != NULL)
        measure_node(c);
    else if (c->shot.full_page)
        task_call(t, t->page->main_realm.session, "Page.getLayoutMetrics", STR_NONE, page_measured);
    else
        shoot(c, NULL);
}

static void blank_there(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct shot_task *c = arg;

    (void)result;
    c->base.call = 0;
    if (s != STATUS_OK)
        task_fail(&c->base, s, e);
    else
        shot_aim(c);
}

/* A tab that was made with a URL whose answer is no document (204, a download) is never drawn
 * (156): it is given an empty one. */
static void shot_begin(struct task *t)
{
    struct page *p = t->page;

    if (p->placed && p->main != NULL && p->main->document == 0)
        task_call(t, p->main_realm.session, "Page.navigate", STR("{\"url\":\"about:blank\"}"),
                  blank_there);
    else
        shot_aim(shot_of(t));
}

static const struct task_kind shot_kind = {sizeof(struct shot_task), shot_begin, shot_fail,
                                           shot_free};

static const char *format_of(const char *z)
{
    static const char *const formats[] = {"png", "jpeg", "webp"};

    for (size_t i = 0; z != NULL && i < ARRAY_LEN(formats); i++)
        if (strcmp(z, formats[i]) == 0)
            return formats[i];
    return "png";
}

uint64_t page_screenshot(struct page *p, const struct page_shot *shot, page_bytes_fn *fn, void *arg)
{
    struct task *t = task_create(p, &shot_kind, shot->deadline_ms);
    struct shot_task *c = shot_of(t);
    uint64_t id = t->id;

    c->shot = *shot;
    c->format = format_of(shot->format);
    c->node = shot->node != NULL ? xstrdup(shot->node) : NULL;
    c->fn = fn;
    c->arg = arg;
    task_start(t, NULL);
    return id;
}

uint64_t page_pdf(struct page *p, const struct page_pdf *pdf, page_bytes_fn *fn, void *arg)
{
    struct task *t = task_create(p, &shot_kind, pdf->deadline_ms);
    struct shot_task *c = shot_of(t);
    struct buf b = BUF_INIT(BUF_MAX_LINE);
    uint64_t id = t->id;

    buf_addf(&b,
             "{\"landscape\":%s,\"printBackground\":%s,\"scale\":%.3f,\"paperWidth\":%.3f,"
             "\"paperHeight\":%.3f}",
             pdf->landscape ? "true" : "false", pdf->background ? "true" : "false",
             pdf->scale > 0 ? pdf->scale : 1, pdf->width_in > 0 ? pdf->width_in : 8.27,
             pdf->height_in > 0 ? pdf->height_in : 11.69);
    c->pdf = true;
    c->params = buf_take(&b, NULL);
    c->fn = fn;
    c->arg = arg;
    task_start(t, NULL);
    return id;
}
