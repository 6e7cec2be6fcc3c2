#include "browser/page/input.h"

#include "browser/page/page_internal.h"

#include <inttypes.h>

struct input {
    struct page *page; /* referenced */
    struct loop *loop;
    struct input_click click;
    unsigned modifiers;
    struct frame_ref level; /* the frame whose offset is asked for now */
    bool crossed;           /* into another process */
    double x, y, w, h;      /* of the point, and of its viewport, as far as it is known */
    double to_x, to_y;      /* of a drop: where it ends */
    unsigned moves;         /* of a drop, so far */
    bool down;              /* of a drag: the button is held */
    uint64_t call, deadline_ms;
    struct loop_timer timer;
    enum status cancelled;
    input_fn *fn;
    void *arg;
};

static void input_over(struct input *i, enum status s, const struct err *e)
{
    struct err mine = *e;

    if (i->cancelled != STATUS_OK && s != STATUS_OK)
        s = i->cancelled;
    mine.status = s;
    loop_timer_stop(&i->timer);
    i->fn(i->arg, s, &mine);
    page_unref(i->page);
    free(i);
}

static struct input *input_new(struct page *p, struct loop *l, uint64_t deadline_ms, input_fn *fn,
                               void *arg)
{
    struct input *i = xcalloc(1, sizeof *i);

    i->page = p;
    page_ref(p);
    i->loop = l;
    i->deadline_ms = deadline_ms;
    i->fn = fn;
    i->arg = arg;
    return i;
}

void input_cancel(struct input *i, enum status why)
{
    i->cancelled = why;
    if (i->call != 0)
        page_cancel(i->page, i->call, why);
    else if (loop_timer_is_active(&i->timer))
        loop_timer_start(i->loop, &i->timer, 0, i->timer.fn);
}

/* --- events are carried out in order: only the answer to the last is waited for --- */

static void not_waited_for(void *arg, enum status s, const struct json *result, const struct err *e)
{
    (void)arg;
    (void)s;
    (void)result;
    (void)e;
}

static void last_answered(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct input *i = arg;

    (void)result;
    i->call = 0;
    input_over(i, s, e);
}

static void send(struct input *i, const char *method, const struct buf *params, bool last)
{
    uint64_t id = page_call(i->page, NULL, method, buf_str(params), i->deadline_ms,
                            last ? last_answered : not_waited_for, last ? i : NULL);

    if (last)
        i->call = id;
}

/* --- keys --- */

static void send_key(struct input *i, struct keys *keys, const char *name, bool down, bool last)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    key_event(keys, name, down, &b);
    send(i, "Input.dispatchKeyEvent", &b, last);
    buf_deinit(&b);
}

static void send_text(struct input *i, struct str text, bool last)
{
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    buf_adds(&b, "{\"text\":");
    json_print_str(text, &b);
    buf_addc(&b, '}');
    send(i, "Input.insertText", &b, last);
    buf_deinit(&b);
}

struct input *input_key(struct page *p, struct loop *l, struct keys *keys, const char *name,
                        bool down, uint64_t deadline_ms, input_fn *fn, void *arg)
{
    struct input *i = input_new(p, l, deadline_ms, fn, arg);

    send_key(i, keys, name, down, true);
    return i;
}

static void press(struct input *i, struct keys *keys, const char *name, bool last)
{
    send_key(i, keys, name, true, false);
    send_key(i, keys, name, false, last);
}

static void nothing_to_do(struct loop_timer *t)
{
    struct err ok = ERR_INIT;

    input_over(container_of(t, struct input, timer), STATUS_OK, &ok);
}

struct input *input_type(struct page *p, struct loop *l, struct keys *keys, struct str text,
                         bool erase, uint64_t deadline_ms, input_fn *fn, void *arg)
{
    struct input *i = input_new(p, l, deadline_ms, fn, arg);

    if (erase) {
        press(i, keys, "Backspace", true);
    } else if (text.len >= INPUT_TYPED_MAX) {
        send_text(i, text, true);
    } else if (text.len == 0) {
        loop_timer_start(l, &i->timer, 0, nothing_to_do);
    }
    while (text.len > 0 && text.len < INPUT_TYPED_MAX && !erase) {
        size_t n = str_utf8_len(text.ptr, text.len);
        char name[8] = {0};

        n = n > 0 ? n : 1;
        memcpy(name, text.ptr, n);
        if (key_is_known(name))
            press(i, keys, name, text.len == n);
        else
            send_text(i, str_n(name, n), text.len == n);
        text = str_skip(text, n);
    }
    return i;
}

/* --- the pointer ---
 *
 * Points have six decimals: Chromium lays out in units of 1/64 px, and a point that is cut off is
 * one whole pixel short in the events of the mouse, which have whole ones. */

static const char *const button_names[] = {"left", "middle", "right", "back", "forward"};
static const unsigned button_bits[] = {1, 4, 2, 8, 16};

static void add_mouse(const struct input *i, const char *type, unsigned count, struct buf *b)
{
    const struct input_click *c = &i->click;
    bool pressed = strcmp(type, "mousePressed") == 0, moved = strcmp(type, "mouseMoved") == 0;
    bool held = pressed || (moved && i->down);

    buf_addf(
        b,
        "{\"type\":\"%s\",\"x\":%.6f,\"y\":%.6f,\"modifiers\":%u,\"button\":\"%s\",\"buttons\":%u,"
        "\"clickCount\":%u,\"pointerType\":\"%s\"}",
        type, i->x, i->y, i->modifiers, moved && !held ? "none" : button_names[c->button],
        held ? button_bits[c->button] : 0, count, c->pointer == POINTER_PEN ? "pen" : "mouse");
}

static void send_mouse(struct input *i, const char *type, unsigned count, bool last)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    add_mouse(i, type, count, &b);
    send(i, "Input.dispatchMouseEvent", &b, last);
    buf_deinit(&b);
}

static void send_touch(struct input *i, bool down, bool last)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    if (down)
        buf_addf(
            &b,
            "{\"type\":\"touchStart\",\"touchPoints\":[{\"x\":%.6f,\"y\":%.6f}],\"modifiers\":%u}",
            i->x, i->y, i->modifiers);
    else
        buf_addf(&b, "{\"type\":\"touchEnd\",\"touchPoints\":[],\"modifiers\":%u}", i->modifiers);
    send(i, "Input.dispatchTouchEvent", &b, last);
    buf_deinit(&b);
}

static void release(struct input *i)
{
    if (i->click.pointer == POINTER_TOUCH)
        send_touch(i, false, true);
    else
        send_mouse(i, "mouseReleased", i->click.count, true);
}

static void hold_over(struct loop_timer *t)
{
    release(container_of(t, struct input, timer));
}

/* --- drag and drop ---
 *
 * Each move is answered before the next one: the browser begins a drag of its own in between, and
 * what comes before it has begun is lost to it. */

enum { DROP_MOVES = 5 };

static void drop_step(struct input *i);

static void on_dropped_step(void *arg, enum status s, const struct json *result,
                            const struct err *e)
{
    struct input *i = arg;

    (void)result;
    i->call = 0;
    if (s != STATUS_OK || i->cancelled != STATUS_OK)
        input_over(i, s != STATUS_OK ? s : i->cancelled, e);
    else
        drop_step(i);
}

/* The last move goes nowhere: some pages take the first one over a place for its beginning. */
static void drop_step(struct input *i)
{
    const struct input_click *c = &i->click;
    double share = i->moves < DROP_MOVES ? (double)(i->moves + 1) / DROP_MOVES : 1;
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    i->x = c->from_x + (i->to_x - c->from_x) * share;
    i->y = c->from_y + (i->to_y - c->from_y) * share;
    if (i->moves++ > DROP_MOVES) {
        send_mouse(i, "mouseReleased", 1, true);
        return;
    }
    add_mouse(i, "mouseMoved", 0, &b);
    i->call = page_call(i->page, NULL, "Input.dispatchMouseEvent", buf_str(&b), i->deadline_ms,
                        on_dropped_step, i);
    buf_deinit(&b);
}

static void drop(struct input *i)
{
    i->down = true;
    i->to_x = i->x;
    i->to_y = i->y;
    drop_step(i);
}

void input_point(const struct input *i, double *x, double *y)
{
    *x = i->x;
    *y = i->y;
}

void input_let_go(struct page *p, double x, double y)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    buf_addf(&b,
             "{\"type\":\"mouseReleased\",\"x\":%.6f,\"y\":%.6f,\"button\":\"left\","
             "\"buttons\":0,\"clickCount\":0}",
             x, y);
    page_call(p, NULL, "Input.dispatchMouseEvent", buf_str(&b), 0, not_waited_for, NULL);
    buf_deinit(&b);
}

/* All clicks but the last are short; the last is held as long as it is to be. */
static void act(struct input *i)
{
    const struct input_click *c = &i->click;

    if (c->part == MOUSE_DROP) {
        drop(i);
        return;
    }
    if (c->pointer != POINTER_TOUCH || c->count == 0)
        send_mouse(i, "mouseMoved", 0, c->count == 0 && c->part == MOUSE_CLICK);
    if (c->part == MOUSE_PRESS)
        send_mouse(i, "mousePressed", 1, true);
    if (c->count == 0)
        return;
    for (unsigned n = 1; n <= c->count; n++) {
        if (c->pointer == POINTER_TOUCH)
            send_touch(i, true, false);
        else
            send_mouse(i, "mousePressed", n, false);
        if (n < c->count && c->pointer == POINTER_TOUCH)
            send_touch(i, false, false);
        else if (n < c->count)
            send_mouse(i, "mouseReleased", n, false);
    }
    if (c->hold_ms > 0)
        loop_timer_start(i->loop, &i->timer, c->hold_ms, hold_over);
    else
        release(i);
}

/* --- from a frame's viewport to the page's ---
 *
 * A frame's owner element lies somewhere in the viewport of its parent's local root: its content
 * quad says where, also when it is scaled or turned. From there on with the local root. */

static void locate(struct input *i);

static struct frame *local_root(struct frame *f)
{
    while (f != NULL && !frame_is_local_root(f))
        f = frame_parent(f);
    return f;
}

static double number_at(const struct json *array, size_t n)
{
    const struct json *j = json_first(array);

    while (j != NULL && n-- > 0)
        j = json_next(j);
    return json_num(j, 0);
}

static void on_box(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct input *i = arg;
    const struct json *q = json_at(result, "model", "content", NULL);
    struct frame *f = page_frame_find(i->page, i->level);
    double x0 = number_at(q, 0), y0 = number_at(q, 1), x1 = number_at(q, 2), y1 = number_at(q, 3);
    double x3 = number_at(q, 6), y3 = number_at(q, 7);
    double across, down;

    i->call = 0;
    if (s != STATUS_OK || f == NULL || json_len(q) < 8) {
        input_over(i, s != STATUS_OK && s != STATUS_PROTOCOL ? s : STATUS_CLOSED, e);
        return;
    }
    across = i->w > 0 ? i->x / i->w : 0;
    down = i->h > 0 ? i->y / i->h : 0;
    i->crossed = i->crossed || frame_is_local_root(f);
    i->x = x0 + (x1 - x0) * across + (x3 - x0) * down;
    i->y = y0 + (y1 - y0) * across + (y3 - y0) * down;
    f = local_root(frame_parent(f));
    i->w = i->h = 0; /* asked for when there is a further level */
    i->level = f != NULL ? frame_ref(f) : (struct frame_ref){0};
    locate(i);
}

static void on_owner(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct input *i = arg;
    int64_t node = json_int(json_get(result, "backendNodeId"), 0);
    struct frame *f = page_frame_find(i->page, i->level);
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    i->call = 0;
    if (s != STATUS_OK || f == NULL || frame_parent(f) == NULL) {
        input_over(i, s != STATUS_OK && s != STATUS_PROTOCOL ? s : STATUS_CLOSED, e);
        return;
    }
    buf_addf(&b, "{\"backendNodeId\":%" PRId64 "}", node);
    i->call = page_call(i->page, frame_parent(f), "DOM.getBoxModel", buf_str(&b), i->deadline_ms,
                        on_box, i);
    buf_deinit(&b);
}

static void ask_owner(struct input *i, struct frame *f)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    buf_addf(&b, "{\"frameId\":\"%s\"}", frame_id(f));
    i->call = page_call(i->page, frame_parent(f), "DOM.getFrameOwner", buf_str(&b), i->deadline_ms,
                        on_owner, i);
    buf_deinit(&b);
}

static void on_size(void *arg, enum status s, const struct json *value, const char *handle,
                    const struct err *e)
{
    struct input *i = arg;
    struct frame *f = page_frame_find(i->page, i->level);

    (void)handle;
    i->call = 0;
    if (s != STATUS_OK || f == NULL || frame_parent(f) == NULL) {
        input_over(i, s != STATUS_OK ? s : STATUS_CLOSED, e);
        return;
    }
    i->w = number_at(value, 0);
    i->h = number_at(value, 1);
    ask_owner(i, f);
}

/* The browser itself decides which process gets the event, by what was last drawn: after scrolling,
 * frames of other processes are there two frames of the page later (Chromium 156). */
static void on_drawn(void *arg, enum status s, const struct json *value, const char *handle,
                     const struct err *e)
{
    struct input *i = arg;

    (void)value;
    (void)handle;
    i->call = 0;
    if (s != STATUS_OK)
        input_over(i, s, e);
    else
        act(i);
}

static void act_when_drawn(struct input *i)
{
    const struct page_eval ev = {
        .source = STR(
            "new Promise(r=>{let f=requestAnimationFrame;f(()=>f(()=>f(r)));setTimeout(r,200)})"),
        .deadline_ms = i->deadline_ms,
    };

    i->call = page_evaluate(i->page, NULL, &ev, on_drawn, i);
}

/* One level outwards; at the main frame the point is known. */
static void locate(struct input *i)
{
    struct frame *f = page_frame_find(i->page, i->level);
    struct err e = ERR_INIT;
    struct page_eval ev = {.source = STR("[innerWidth,innerHeight]"),
                           .deadline_ms = i->deadline_ms};

    if (f == NULL) {
        err_set(&e, STATUS_CLOSED, "the frame went away");
        input_over(i, STATUS_CLOSED, &e);
    } else if (frame_parent(f) == NULL && i->crossed) {
        act_when_drawn(i);
    } else if (frame_parent(f) == NULL) {
        act(i);
    } else if (i->w > 0) {
        ask_owner(i, f);
    } else {
        i->call = page_evaluate(i->page, f, &ev, on_size, i);
    }
}

static void start(struct loop_timer *t)
{
    struct input *i = container_of(t, struct input, timer);
    struct err e = ERR_INIT;

    if (i->cancelled != STATUS_OK)
        input_over(i, i->cancelled, &e);
    else
        locate(i);
}

struct input *input_click(struct page *p, struct loop *l, const struct input_click *c,
                          const struct keys *keys, input_fn *fn, void *arg)
{
    struct input *i = input_new(p, l, c->deadline_ms, fn, arg);
    struct frame *f = page_frame_find(p, c->frame);

    i->click = *c;
    i->modifiers = keys->modifiers;
    i->level = c->frame;
    i->x = c->x;
    i->y = c->y;
    i->w = c->frame_w;
    i->h = c->frame_h;
    if (f != NULL && frame_parent(f) == NULL)
        act(i);
    else
        loop_timer_start(l, &i->timer, 0, start);
    return i;
}
