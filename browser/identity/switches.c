#include "browser/identity/switches.h"

#include "core/base/buf.h"

static void add_screen(const struct identity *id, struct args *args)
{
    double dpr = id->device_pixel_ratio > 0 ? id->device_pixel_ratio : 1;
    uint32_t below = id->avail_y + id->avail_h;

    /* Physical pixels; the work area is what the desktop's bars leave. */
    args_addf(args,
              "--screen-info={0,0 %.0fx%.0f devicePixelRatio=%.4g colorDepth=%u workAreaTop=%.0f "
              "workAreaBottom=%.0f}",
              id->screen_w * dpr, id->screen_h * dpr, dpr,
              id->color_depth > 0 ? id->color_depth : 24, id->avail_y * dpr,
              (id->avail_h > 0 && id->screen_h > below ? id->screen_h - below : 0) * dpr);
    args_addf(args, "--window-size=%u,%u", id->window_w, id->window_h);
    if (dpr < 1 || dpr > 1)
        args_add(args, "--disable-font-subpixel-positioning");
}

/* Headless has no pointer at all: a mouse, or a finger. */
static void add_pointer(bool touch, struct args *args)
{
    args_add(args, touch ? "--blink-settings=primaryPointerType=2,availablePointerTypes=2,"
                           "primaryHoverType=1,availableHoverTypes=1,maxTouchPoints=5"
                         : "--blink-settings=primaryPointerType=4,availablePointerTypes=4,"
                           "primaryHoverType=2,availableHoverTypes=2");
    if (touch)
        args_add(args, "--touch-events=enabled");
}

static const char *zone(const struct identity *id, struct args *args)
{
    return id->timezone != NULL && id->timezone[0] != '\0'
               ? arena_printf(args->arena, "TZ=%s", id->timezone)
               : NULL;
}

const char *identity_add_args(const struct identity *id, struct args *args)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    if (!id->honest && id->user_agent != NULL)
        args_addf(args, "--user-agent=%s", id->user_agent);
    for (size_t i = 0; i < id->n_languages; i++)
        buf_addf(&b, "%s%s", i > 0 ? "," : "", id->languages[i]);
    if (b.len > 0)
        args_addf(args, "--accept-lang=%s", b.ptr);
    buf_deinit(&b);
    if (id->screen_w > 0 && id->screen_h > 0)
        add_screen(id, args);
    add_pointer(id->max_touch_points > 0, args);
    return zone(id, args);
}

/* --- in common --- */

static bool same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static bool same_screen(const struct identity *a, const struct identity *b)
{
    return a->screen_w == b->screen_w && a->screen_h == b->screen_h && a->avail_y == b->avail_y &&
           a->avail_h == b->avail_h && a->window_w == b->window_w && a->window_h == b->window_h &&
           a->color_depth == b->color_depth &&
           !(a->device_pixel_ratio < b->device_pixel_ratio ||
             a->device_pixel_ratio > b->device_pixel_ratio);
}

const char *identity_add_shared_args(const struct identity *const *ids, size_t n, struct args *args)
{
    bool agent = n > 0, touch = n > 0, screen = n > 0, where = n > 0;

    for (size_t i = 0; i < n; i++) {
        agent &= !ids[i]->honest && same_text(ids[i]->user_agent, ids[0]->user_agent);
        touch &= (ids[i]->max_touch_points > 0) == (ids[0]->max_touch_points > 0);
        screen &= same_screen(ids[i], ids[0]);
        where &= same_text(ids[i]->timezone, ids[0]->timezone);
    }
    if (agent && ids[0]->user_agent != NULL)
        args_addf(args, "--user-agent=%s", ids[0]->user_agent);
    if (touch)
        add_pointer(ids[0]->max_touch_points > 0, args);
    if (screen && ids[0]->screen_w > 0)
        add_screen(ids[0], args);
    return where ? zone(ids[0], args) : NULL;
}
