#include "browser/ops_record.h"

#include "browser/acting.h"
#include "browser/page/cast.h"
#include "browser/page/netlog.h"

#define F(T, m) JF_COMMON(struct T, m)

/* --- the end of a recording: what is still on its way comes within a moment, or is left out --- */

enum { ENDING_POLL_MS = 10, ENDING_WAIT_MS = 700 };

struct ending {
    struct op_call *call;
    struct loop_timer timer;
    uint64_t until_ms;
    bool (*waits)(struct op_call *call);
    void (*over)(struct op_call *call);
};

static void ending_poll(struct loop_timer *t)
{
    struct ending *end = container_of(t, struct ending, timer);
    struct loop *l = session_of(end->call)->loop;

    if (end->waits(end->call) && loop_now_ms(l) < end->until_ms) {
        loop_timer_start(l, &end->timer, ENDING_POLL_MS, ending_poll);
        return;
    }
    end->call->cancel = NULL;
    end->over(end->call);
}

/* A recording is kept all the same. */
static void ending_cancel(struct op_call *call)
{
    struct ending *end = call->run_state;

    end->until_ms = 0;
    loop_timer_start(session_of(call)->loop, &end->timer, 0, ending_poll);
}

static void ending_begin(struct op_call *call, bool (*waits)(struct op_call *call),
                         void (*over)(struct op_call *call))
{
    struct page_session *s = session_of(call);
    struct ending *end = arena_new(call->arena, struct ending);

    end->call = call;
    end->waits = waits;
    end->over = over;
    end->until_ms = loop_now_ms(s->loop) + ENDING_WAIT_MS;
    call->run_state = end;
    call->cancel = ending_cancel;
    session_enter(s, call);
    loop_timer_start(s->loop, &end->timer, 0, ending_poll);
}

/* --- page.har --- */

struct har_args {
    bool end, sensitive;
    const char *name;
    int content;
    uint32_t body_bytes;
};

static const char *const content_names[] = {"omit", "embed", NULL};

static const struct json_field har_fields[] = {
    {F(har_args, end), .kind = JK_BOOL,
     .doc = "Ends the recording and keeps it; default false: begins one. The task's end ends it as "
            "well."},
    {F(har_args, name), .kind = JK_STR, .max = 100,
     .doc = "With end: part of the file's name; default \"traffic\"."},
    {F(har_args, content), .kind = JK_ENUM, .names = content_names,
     .doc = "Bodies of responses: omit (default) or embed."},
    {F(har_args, sensitive), .kind = JK_BOOL,
     .doc = "Keeps the values of Authorization, Cookie and Set-Cookie; default false."},
    {F(har_args, body_bytes), .kind = JK_UINT, .min = 1, .max = HAR_BODY_BYTES_MAX,
     .doc = "Bytes of the longest body that is embedded, 1..8388608, default 1048576; all together "
            "16777216."},
};

static const struct json_schema har_schema = {
    .name = "page.har",
    .fields = har_fields,
    .n = ARRAY_LEN(har_fields),
    .size = sizeof(struct har_args),
};

/* Bodies that are on their way. */
static bool har_waits(struct op_call *call)
{
    return page_har_fetching(session_of(call)->page) > 0;
}

static void har_over(struct op_call *call)
{
    const struct har_args *args = call->args;
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    struct har_sums sums;
    struct err e = ERR_INIT;
    struct json *more;

    if (page_har_end(session_of(call)->page, &text, &sums, &e) != STATUS_OK) {
        buf_deinit(&text);
        session_finish(call, e.status, &e, NULL);
        return;
    }
    more = json_add_num(json_new_object(), "entries", (double)sums.entries);
    json_add_num(more, "pages", (double)sums.pages);
    if (sums.left_out > 0)
        json_add_num(more, "left_out", (double)sums.left_out);
    acting_save_all(call, &text, args->name != NULL ? args->name : "traffic", "har", more);
}

static void har_run(struct op_call *call)
{
    const struct har_args *args = call->args;
    const struct har_want want = {(enum har_content)args->content, args->sensitive,
                                  args->body_bytes};
    struct page_session *s = session_of(call);
    struct err e = ERR_INIT;

    if (!args->end) {
        e.status = page_har_begin(s->page, &want, &e);
        op_call_finish(call, e.status, &e, NULL);
        return;
    }
    ending_begin(call, har_waits, har_over);
}

/* --- page.screencast --- */

struct cast_args {
    bool end;
    const char *name;
    int format;
    uint32_t quality, max_width, max_height, frames, interval_ms;
};

static const char *const cast_formats[] = {"jpeg", "png", NULL};

static const struct json_field cast_fields[] = {
    {F(cast_args, end), .kind = JK_BOOL,
     .doc = "Ends the screencast; default false: begins one. The task's end ends it as well."},
    {F(cast_args, name), .kind = JK_STR, .max = 100,
     .doc = "Part of the files' names; default \"frame\"."},
    {F(cast_args, format), .kind = JK_ENUM, .names = cast_formats, .doc = "jpeg (default) or png."},
    {F(cast_args, quality), .kind = JK_UINT, .min = 0, .max = 100,
     .doc = "Of jpeg, 1..100; 0: the browser's default."},
    {F(cast_args, max_width), .kind = JK_UINT, .min = 1, .max = 10000,
     .doc = "Pixels of a frame's width, 1..10000; default the page's own."},
    {F(cast_args, max_height), .kind = JK_UINT, .min = 1, .max = 10000,
     .doc = "Pixels of a frame's height, 1..10000; default the page's own."},
    {F(cast_args, frames), .kind = JK_UINT, .min = 1, .max = CAST_FRAMES_MAX,
     .doc = "Frames after which it ends by itself, 1..1000, default 100."},
    {F(cast_args, interval_ms), .kind = JK_UINT, .min = 1, .max = CAST_INTERVAL_MAX_MS,
     .doc = "Least milliseconds between two frames, 1..60000, default 200."},
};

static const struct json_schema cast_schema = {
    .name = "page.screencast",
    .fields = cast_fields,
    .n = ARRAY_LEN(cast_fields),
    .size = sizeof(struct cast_args),
};

static struct page *cast_page(struct op_call *call)
{
    struct page *p = session_of(call)->page, *has = page_cast_find(p);

    return has != NULL ? has : p;
}

/* One frame at least, however short it was. */
static bool cast_waits(struct op_call *call)
{
    struct page *p = cast_page(call);

    if (page_cast_is_blank(p))
        return true;
    page_cast_pause(p);
    return page_cast_writing(p) > 0;
}

static void cast_over(struct op_call *call)
{
    struct json *result = NULL;
    struct err e = ERR_INIT;

    e.status = page_cast_end(cast_page(call), &result, &e);
    session_finish(call, e.status, &e, result);
}

static void cast_run(struct op_call *call)
{
    const struct cast_args *args = call->args;
    const struct cast_want want = {
        .name = args->name != NULL ? args->name : "frame",
        .png = args->format == 1,
        .quality = (int)args->quality,
        .width = args->max_width,
        .height = args->max_height,
        .frames = args->frames > 0 ? args->frames : CAST_FRAMES,
        .interval_ms = args->interval_ms > 0 ? args->interval_ms : CAST_INTERVAL_MS,
    };
    struct err e = ERR_INIT;

    if (args->end) {
        ending_begin(call, cast_waits, cast_over);
        return;
    }
    e.status = page_cast_begin(session_of(call)->page, &want, &e);
    op_call_finish(call, e.status, &e, NULL);
}

/* --- the rows --- */

const struct op ops_record[] = {
    {"page.har",
     "Records what the member's pages ask the network for, and keeps it as a HAR 1.2 file.",
     &har_schema, OP_HOLDS_RESULT, har_run},
    {"page.screencast", "Keeps frames of what the page shows, as they change, until it is ended.",
     &cast_schema, OP_HOLDS_RESULT, cast_run},
};
const size_t n_ops_record = ARRAY_LEN(ops_record);
