/* page.drag: pressed at one element, dropped at another one or so many pixels away. The mouse's own
 * events: pages that draw what is dragged themselves see them, and for what is draggable in HTML
 * the browser makes a drag of them. */
#include "browser/ops_flow_internal.h"

#include <stdio.h>

struct drag_args {
    struct common common;
    struct selectors to;
    double offsetX, offsetY, to_offset_x, to_offset_y, by_x, by_y;
    bool has_x, has_y, has_to_x, has_to_y, has_by_x, has_by_y;
};

static const struct json_field drag_fields[] = {
    COMMON_SELECTORS(drag_args, true),
    COMMON_FRAME(drag_args),
    COMMON_TIMEOUT(drag_args),
    COMMON_EVENTS(drag_args),
    {JF_COMMON(struct drag_args, to), .kind = JK_FN, .fn = selectors_decode,
     .doc = "Selectors of the element to drop it on, in the same frame; as selectors."},
    {JF_COMMON(struct drag_args, offsetX), .kind = JK_DOUBLE,
     .seen_offset = offsetof(struct drag_args, has_x),
     .doc = "CSS pixels from the left of the element's box, where it is pressed; default its "
            "middle."},
    {JF_COMMON(struct drag_args, offsetY), .kind = JK_DOUBLE,
     .seen_offset = offsetof(struct drag_args, has_y),
     .doc = "CSS pixels from the top of the element's box; default its middle."},
    {JF_COMMON(struct drag_args, to_offset_x), .kind = JK_DOUBLE,
     .seen_offset = offsetof(struct drag_args, has_to_x),
     .doc = "CSS pixels from the left of the box of \"to\", where it is dropped; default its "
            "middle."},
    {JF_COMMON(struct drag_args, to_offset_y), .kind = JK_DOUBLE,
     .seen_offset = offsetof(struct drag_args, has_to_y),
     .doc = "CSS pixels from the top of the box of \"to\"; default its middle."},
    {JF_COMMON(struct drag_args, by_x), .kind = JK_DOUBLE, .dmin = -1e5, .dmax = 1e5,
     .seen_offset = offsetof(struct drag_args, has_by_x),
     .doc = "Instead of \"to\": CSS pixels to the right."},
    {JF_COMMON(struct drag_args, by_y), .kind = JK_DOUBLE, .dmin = -1e5, .dmax = 1e5,
     .seen_offset = offsetof(struct drag_args, has_by_y),
     .doc = "Instead of \"to\": CSS pixels downwards."},
};

static void drag_check(struct json_decode *d, void *obj)
{
    const struct drag_args *a = obj;
    bool by = a->has_by_x || a->has_by_y;

    if ((a->to.n > 0) == by)
        json_fail(d, NULL,
                  "expected either \"to\": selectors of what it is dropped on, or by_x "
                  "and by_y: how far it is dragged");
    if (a->to.n == 0 && (a->has_to_x || a->has_to_y))
        json_fail(d, NULL, "expected to_offset_x and to_offset_y with \"to\" alone");
}

const struct json_schema ops_flow_drag_schema = {
    .name = "page.drag",
    .fields = drag_fields,
    .n = ARRAY_LEN(drag_fields),
    .size = sizeof(struct drag_args),
    .check = drag_check,
};

/* What is looked for: the op's own element, or what it is dropped on. */
static void find(struct doing *d, bool to, const char *need,
                 void (*next)(struct doing *d, const struct json *answer))
{
    const struct drag_args *a = d->call->args;
    struct common *c = arena_alloc(d->call->arena, sizeof *c);
    char more[160], at[96] = "";

    *c = a->common;
    if (to)
        c->sel = a->to;
    d->common = c;
    if (to && (a->has_to_x || a->has_to_y))
        (void)snprintf(at, sizeof at, ",\"ox\":%.6f,\"oy\":%.6f", a->to_offset_x, a->to_offset_y);
    if (!to && (a->has_x || a->has_y))
        (void)snprintf(at, sizeof at, ",\"ox\":%.6f,\"oy\":%.6f", a->offsetX, a->offsetY);
    (void)snprintf(more, sizeof more, "\"need\":\"%s\"%s", need, at);
    doing_query(d, "find", more, next);
}

static void dropped(void *arg, enum status s, const struct err *e)
{
    struct doing *d = arg;

    d->held = d->held && s != STATUS_OK;
    doing_acted(d, s, e);
}

static struct input_click drop_of(const struct doing *d)
{
    return (struct input_click){.part = MOUSE_DROP, .from_x = d->held_x, .from_y = d->held_y};
}

static void drop_found(struct doing *d, const struct json *answer)
{
    json_add_str(d->result, "to", json_str(json_get(answer, "what"), ""));
    doing_point(d, answer, drop_of(d), dropped);
}

/* In the main frame's viewport, as what was pressed. */
static void drop_away(struct doing *d)
{
    const struct drag_args *a = d->call->args;
    struct frame *main = page_main_frame(d->page);
    struct json *at = json_new_object();

    if (main != NULL)
        d->frame = frame_ref(main);
    json_add_num(at, "x", d->held_x + a->by_x);
    json_add_num(at, "y", d->held_y + a->by_y);
    doing_point(d, at, drop_of(d), dropped);
    json_destroy(&at);
}

static void pressed(void *arg, enum status s, const struct err *e)
{
    struct doing *d = arg;
    const struct drag_args *a = d->call->args;

    if (s != STATUS_OK) {
        doing_acted(d, s, e);
        return;
    }
    d->held = true;
    input_point(d->input, &d->held_x, &d->held_y);
    d->input = NULL;
    if (doing_is_cancelled(d))
        return;
    if (a->to.n > 0)
        find(d, true, "hover", drop_found);
    else
        drop_away(d);
}

static void found(struct doing *d, const struct json *answer)
{
    d->result = json_add_str(json_new_object(), "element", json_str(json_get(answer, "what"), ""));
    doing_watch(d);
    doing_point(d, answer, (struct input_click){.part = MOUSE_PRESS}, pressed);
}

/* Before anything is pressed: a page without a place to drop it is left as it is, and both are in
 * view at once where they can be. A drag of the browser's ends when the page is scrolled below it
 * before it was moved (156). */
static void there_is_a_place(struct doing *d, const struct json *answer)
{
    (void)answer;
    find(d, false, "hover", found);
}

void ops_flow_drag_run(struct op_call *call)
{
    const struct drag_args *a = call->args;
    struct doing *d = doing_begin(call, &a->common);

    if (a->to.n > 0)
        find(d, true, "hover", there_is_a_place);
    else
        find(d, false, "hover", found);
}
