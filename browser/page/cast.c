#include "browser/page/cast.h"

#include <stdio.h>
#include <stdlib.h>

#include "browser/page/page_internal.h"
#include "browser/page/session.h"
#include "core/base/file.h"
#include "core/base/work.h"

enum { WRITING_MAX = 4 };

struct cast {
    struct page *page; /* NULL: let go of, and only writes are waited for */
    unsigned refs;
    struct cast_want want;
    char *name;
    struct cdp_listener listener;
    struct loop_timer ack;
    unsigned n_unacked;
    int64_t session; /* the browser's number of the screencast */
    char *held;      /* the newest frame that came too early, base64 */
    bool stopped;
    size_t n_frames, n_writing;
    uint64_t n_dropped, bytes, first_ms, last_ms;
    struct json *frames;
    struct err err; /* of the first write that failed */
};

static void cast_unref(struct cast *c)
{
    if (--c->refs > 0)
        return;
    json_destroy(&c->frames);
    free(c->held);
    free(c->name);
    free(c);
}

/* --- a frame into its file --- */

struct frame_job {
    struct cast *cast;
    char *base64, *path;
    size_t bytes;
    struct err err;
};

static void frame_write(void *arg)
{
    struct frame_job *j = arg;
    struct buf bytes = BUF_INIT(BUF_MAX_MESSAGE);

    if (buf_add_unbase64(&bytes, str_from(j->base64)) != STATUS_OK || bytes.len == 0)
        j->err.status = err_set(&j->err, STATUS_PROTOCOL, "a frame of the screencast is no base64");
    else
        j->err.status = file_replace(j->path, buf_str(&bytes), 0644, &j->err);
    j->bytes = bytes.len;
    buf_deinit(&bytes);
}

static void frame_written(void *arg)
{
    struct frame_job *j = arg;
    struct cast *c = j->cast;

    c->n_writing--;
    c->bytes += j->bytes;
    if (j->err.status != STATUS_OK && c->err.status == STATUS_OK)
        c->err = j->err;
    free(j->base64);
    free(j->path);
    free(j);
    cast_unref(c);
}

/* Takes the held frame. */
static void keep_held(struct cast *c)
{
    struct page_session *s = c->page->ctx != NULL ? c->page->ctx->session : NULL;
    uint64_t now_ms = loop_now_ms(c->page->targets->loop);
    struct frame_job *j;
    const char *path;
    char name[160];

    (void)snprintf(name, sizeof name, "%.100s-%04zu", c->name, c->n_frames + 1);
    path = s != NULL ? session_add_artifact(s, name, c->want.png ? "png" : "jpg") : NULL;
    if (path == NULL)
        return;
    j = xcalloc(1, sizeof *j);
    j->cast = c;
    j->base64 = steal_ptr(&c->held);
    j->path = xstrdup(path);
    c->refs++;
    c->n_writing++;
    if (c->n_frames++ == 0)
        c->first_ms = now_ms;
    c->last_ms = now_ms;
    json_push(c->frames, json_add_num(json_add_str(json_new_object(), "path", path), "at_ms",
                                      (double)(now_ms - c->first_ms)));
    work_submit(s->loop, frame_write, frame_written, j);
}

/* --- events --- */

static struct cdp_session *session_of_page(const struct cast *c)
{
    return c->page != NULL ? c->page->main_realm.session : NULL;
}

static void stop(struct cast *c)
{
    if (c->stopped)
        return;
    c->stopped = true;
    loop_timer_stop(&c->ack);
    cdp_unlisten(&c->listener);
    if (session_of_page(c) != NULL)
        cdp_tell(session_of_page(c), "Page.stopScreencast", STR_NONE);
}

static bool is_enough(const struct cast *c)
{
    return c->n_frames >= c->want.frames || c->bytes >= CAST_BYTES_MAX;
}

/* What a page showed last is kept, also when it came too early and nothing came after it. */
static void on_interval(struct loop_timer *t)
{
    struct cast *c = container_of(t, struct cast, ack);

    if (c->held != NULL && c->n_writing < WRITING_MAX)
        keep_held(c);
    for (; c->n_unacked > 0 && session_of_page(c) != NULL; c->n_unacked--)
        cdp_callf(session_of_page(c), "Page.screencastFrameAck", 0, NULL, NULL,
                  "{\"sessionId\":%lld}", (long long)c->session);
    if (is_enough(c))
        stop(c);
    else if (c->held != NULL)
        loop_timer_start(c->page->targets->loop, t, c->want.interval_ms, on_interval);
}

static void on_frame(void *arg, struct cdp_session *s, const struct json *params)
{
    struct cast *c = arg;
    struct loop *l = c->page->targets->loop;

    (void)s;
    c->session = json_int(json_get(params, "sessionId"), 0);
    c->n_unacked++;
    if (c->held != NULL)
        c->n_dropped++;
    free(c->held);
    c->held = xstrdup(json_str(json_get(params, "data"), ""));
    if (c->n_writing < WRITING_MAX &&
        (c->n_frames == 0 || loop_now_ms(l) - c->last_ms >= c->want.interval_ms))
        keep_held(c);
    if (is_enough(c))
        stop(c);
    else if (!loop_timer_is_active(&c->ack))
        loop_timer_start(l, &c->ack, c->want.interval_ms, on_interval);
}

static const struct cdp_handler handlers[] = {{"Page.screencastFrame", on_frame}};

void cast_send(struct page *p)
{
    struct cast *c = p->cast;
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    if (c == NULL || c->stopped || p->main_realm.session == NULL)
        return;
    cdp_listen(p->main_realm.session, &c->listener, handlers, ARRAY_LEN(handlers), c);
    buf_addf(&b, "{\"format\":\"%s\"", c->want.png ? "png" : "jpeg");
    if (!c->want.png && c->want.quality > 0)
        buf_addf(&b, ",\"quality\":%d", c->want.quality);
    if (c->want.width > 0)
        buf_addf(&b, ",\"maxWidth\":%u", c->want.width);
    if (c->want.height > 0)
        buf_addf(&b, ",\"maxHeight\":%u", c->want.height);
    buf_addc(&b, '}');
    cdp_tell(p->main_realm.session, "Page.startScreencast", buf_str(&b));
    buf_deinit(&b);
}

void cast_stop(struct page *p)
{
    if (p->cast != NULL)
        stop(p->cast);
}

void cast_drop(struct page *p)
{
    struct cast *c = steal_ptr(&p->cast);

    if (c == NULL)
        return;
    stop(c);
    c->page = NULL;
    cast_unref(c);
}

/* --- begin and end --- */

enum status page_cast_begin(struct page *p, const struct cast_want *w, struct err *e)
{
    const struct page_session *s = p->ctx != NULL ? p->ctx->session : NULL;
    struct cast *c;

    if (s == NULL || p->state == PAGE_GONE)
        return err_set(e, STATUS_CLOSED, "the page was closed");
    if (p->cast != NULL)
        return err_set(e, STATUS_INVALID, "a screencast of this page runs already");
    if (s->artifacts_dir == NULL)
        return err_set(e, STATUS_INVALID, "a screencast needs output.artifacts, where it is kept");
    c = xcalloc(1, sizeof *c);
    c->refs = 1;
    c->page = p;
    c->want = *w;
    c->name = xstrdup(w->name);
    c->frames = json_new_array();
    p->cast = c;
    cast_send(p);
    return STATUS_OK;
}

struct page *page_cast_find(struct page *p)
{
    if (p->cast != NULL || p->ctx == NULL)
        return p->cast != NULL ? p : NULL;
    list_for_each (l, &p->ctx->pages) {
        struct page *other = list_entry(l, struct page, link);

        if (other->cast != NULL)
            return other;
    }
    return NULL;
}

bool page_cast_is_blank(const struct page *p)
{
    const struct cast *c = p->cast;

    return c != NULL && !c->stopped && c->n_frames == 0 && p->main_realm.session != NULL;
}

void page_cast_pause(struct page *p)
{
    if (p->cast == NULL || p->cast->stopped)
        return;
    if (p->cast->held != NULL)
        keep_held(p->cast);
    cast_stop(p);
}

size_t page_cast_writing(const struct page *p)
{
    return p->cast != NULL ? p->cast->n_writing : 0;
}

enum status page_cast_end(struct page *p, struct json **out, struct err *e)
{
    struct cast *c = p->cast;
    enum status s = STATUS_OK;

    if (c == NULL)
        return err_set(e, STATUS_INVALID, "no screencast runs: it is begun first");
    stop(c);
    if (c->err.status != STATUS_OK) {
        *e = c->err;
        s = c->err.status;
    } else {
        *out = json_add(json_new_object(), "frames", steal_ptr(&c->frames));
        json_add_num(*out, "dropped", (double)c->n_dropped);
        json_add_num(*out, "bytes", (double)c->bytes);
    }
    cast_drop(p);
    return s;
}
