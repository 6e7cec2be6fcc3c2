#include "browser/doing.h"

#include <inttypes.h>

enum { ANSWER_GRACE_MS = 1000 };

/* --- parameters --- */

bool common_frame(struct json_decode *d, const struct json *j, void *field)
{
    struct frame_path *f = field;
    size_t n = json_len(j), i = 0;
    uint32_t *path;

    if (json_type(j) != JSON_ARRAY || n > 32)
        return json_fail(d, NULL, "found %s, expected an array of at most 32 indexes of frames",
                         json_type_name(json_type(j)));
    path = arena_array(d->arena, uint32_t, n + 1);
    for (const struct json *c = json_first(j); c != NULL; c = json_next(c), i++) {
        int64_t v = json_int(c, -1);

        if (v < 0 || v > 10000)
            return json_fail(d, NULL, "element %zu: expected an index of a frame, 0..10000", i);
        path[i] = (uint32_t)v;
    }
    f->path = path;
    f->n = n;
    return true;
}

bool common_events(struct json_decode *d, const struct json *j, void *field)
{
    size_t i = 0;

    if (json_type(j) != JSON_ARRAY)
        return json_fail(d, NULL, "found %s, expected an array of events",
                         json_type_name(json_type(j)));
    for (const struct json *c = json_first(j); c != NULL; c = json_next(c), i++) {
        const char *type = json_str(json_get(c, "type"), "");

        if (strcmp(type, "navigation") != 0)
            return json_fail(
                d, NULL, "element %zu: found the event \"%s\", expected {\"type\": \"navigation\"}",
                i, type);
        *(bool *)field = true;
    }
    return true;
}

/* --- begin and end --- */

static void doing_cancel(struct op_call *call)
{
    struct doing *d = call->run_state;

    d->cancelled = STATUS_CANCELLED;
    if (d->query != NULL)
        query_cancel(d->query, STATUS_CANCELLED);
    else if (d->input != NULL)
        input_cancel(d->input, STATUS_CANCELLED);
    else if (d->page_id != 0)
        page_cancel(d->page, d->page_id, STATUS_CANCELLED);
    else if (loop_timer_is_active(&d->timer))
        loop_timer_start(d->loop, &d->timer, 0, d->timer.fn);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return b != 0 && b < a ? b : a;
}

struct doing *doing_begin(struct op_call *call, const struct common *c)
{
    struct doing *d = xcalloc(1, sizeof *d);
    struct page_session *s = session_of(call);
    uint64_t timeout = c->has_timeout      ? c->timeout
                       : s->timeout_ms > 0 ? s->timeout_ms
                                           : STEP_TIMEOUT_MS;

    d->call = call;
    d->session = s;
    d->page = s->page;
    d->loop = s->loop;
    d->common = c;
    d->begun_ms = loop_now_ms(d->loop);
    d->deadline_ms = sooner(d->begun_ms + timeout, call->deadline_ms);
    call->run_state = d;
    call->cancel = doing_cancel;
    session_enter(s, call);
    return d;
}

static void deliver(struct doing *d)
{
    struct err e = d->end;

    loop_timer_stop(&d->timer);
    d->call->cancel = NULL;
    session_finish(d->call, e.status, &e, d->result);
    free(d);
}

void doing_end(struct doing *d, enum status s, const struct err *e, struct json *result)
{
    if (d->held && page_state(d->page) == PAGE_OPEN)
        input_let_go(d->page, d->held_x, d->held_y);
    d->ended = true;
    d->end = e != NULL ? *e : (struct err)ERR_INIT;
    d->end.status = s;
    if (result != d->result)
        json_destroy(&d->result);
    d->result = result;
    if (s != STATUS_OK)
        json_destroy(&d->result);
    loop_timer_stop(&d->timer);
    if (d->wait_id != 0)
        page_cancel(d->page, d->wait_id, STATUS_CANCELLED); /* its callback delivers */
    else
        deliver(d);
}

bool doing_is_cancelled(struct doing *d)
{
    struct err e = ERR_INIT;

    if (d->cancelled == STATUS_OK)
        return false;
    err_set(&e, d->cancelled, "%s", status_text(d->cancelled));
    doing_end(d, d->cancelled, &e, NULL);
    return true;
}

uint64_t doing_left_ms(const struct doing *d)
{
    uint64_t now = loop_now_ms(d->loop);

    return d->deadline_ms > now ? d->deadline_ms - now : 0;
}

void doing_again(struct doing *d, uint64_t ms, loop_timer_fn *fn)
{
    loop_timer_start(d->loop, &d->timer, d->cancelled != STATUS_OK ? 0 : ms, fn);
}

/* --- finding --- */

static void on_answer(void *arg, enum status s, const struct json *answer, struct frame_ref frame,
                      const struct err *e)
{
    struct doing *d = arg;

    d->query = NULL;
    d->frame = frame;
    if (s != STATUS_OK)
        doing_end(d, s, e, NULL);
    else
        d->next(d, answer);
}

void doing_query(struct doing *d, const char *door, const char *more,
                 void (*next)(struct doing *d, const struct json *answer))
{
    d->next = next;
    d->spec.frame = d->common->frame;
    d->spec.sel = &d->common->sel;
    d->spec.door = door;
    d->spec.more = more != NULL ? arena_strdup(d->call->arena, more) : NULL;
    d->spec.deadline_ms = d->deadline_ms;
    d->spec.wanted_ms = d->deadline_ms - d->begun_ms;
    d->query = query_start(d->page, d->loop, &d->spec, on_answer, d);
}

/* --- what the action led to --- */

static void settle(struct doing *d);

static void on_wait_over(struct loop_timer *t)
{
    struct doing *d = container_of(t, struct doing, timer);

    if (doing_is_cancelled(d))
        return;
    d->checking = true; /* none has ended in its time: has one begun? */
    settle(d);
}

static void on_asserted(void *arg, const struct page_nav *nav)
{
    struct doing *d = arg;

    d->wait_id = 0;
    if (d->ended) {
        deliver(d);
        return;
    }
    d->waited = true;
    if (nav->status != STATUS_OK && d->last.status == STATUS_OK) {
        d->last = nav->err;
        d->last.status = nav->status;
    }
    if (d->input == NULL && d->page_id == 0 && d->acted_ms != 0)
        settle(d);
}

void doing_watch(struct doing *d)
{
    uint64_t now = loop_now_ms(d->loop);
    uint64_t until =
        sooner(now + NAVIGATION_TIMEOUT_MS + STEP_TIMEOUT_MAX_MS, d->call->deadline_ms);

    d->mark = page_mark(d->page);
    if (d->common->navigates)
        d->wait_id = page_wait_navigation(d->page, page_frame_find(d->page, d->frame), UNTIL_LOAD,
                                          until, on_asserted, d);
}

static bool is_gone(const struct doing *d)
{
    return page_state(d->page) == PAGE_GONE && page_gone_why(d->page) == STATUS_CLOSED;
}

static struct json *result_of(struct doing *d)
{
    if (d->result == NULL)
        d->result = json_new_object();
    return d->result;
}

static void no_navigation(struct doing *d)
{
    struct err e = ERR_INIT;

    err_set(&e, STATUS_TIMEOUT,
            "a navigation was expected, and none began within %" PRIu64 " ms; the page is still %s",
            loop_now_ms(d->loop) - d->acted_ms, page_url(d->page));
    doing_end(d, STATUS_TIMEOUT, &e, NULL);
}

/* Is the failure of a navigation that nobody asserted the op's? A load that does not end, and a
 * download, are not: Puppeteer does not wait for either. */
static bool is_failure(const struct doing *d, const struct page_nav *nav)
{
    if (nav->status == STATUS_OK || nav->download)
        return false;
    if (d->cancelled != STATUS_OK || d->common->navigates)
        return true;
    return nav->status != STATUS_TIMEOUT && nav->status != STATUS_CLOSED;
}

/* It took long: a navigation, or a page whose script lets nothing through? */
static void on_verdict(void *arg, enum status verdict)
{
    struct doing *d = arg;
    struct err e = ERR_INIT;

    if (verdict == STATUS_PAGE_HUNG) {
        err_set(&e, verdict, "the page stopped answering after the action and was killed");
        doing_end(d, verdict, &e, NULL);
    } else if (!doing_is_cancelled(d)) {
        settle(d);
    }
}

static void on_settled(void *arg, const struct page_nav *nav)
{
    struct doing *d = arg;
    bool checking = d->checking;

    d->page_id = 0;
    if (nav->status == STATUS_TIMEOUT && !d->patient && d->cancelled == STATUS_OK) {
        d->patient = true;
        page_verdict(d->page, STATUS_TIMEOUT, on_verdict, d);
        return;
    }
    d->checking = false;
    if (is_gone(d)) {
        json_add_bool(result_of(d), "closed", true);
        doing_end(d, STATUS_OK, NULL, d->result);
        return;
    }
    if (nav->navigated)
        session_observe(d->call, nav);
    if (is_failure(d, nav)) {
        doing_end(d, nav->status, &nav->err, NULL);
        return;
    }
    if (checking && !nav->navigated && !d->waited) {
        no_navigation(d);
        return;
    }
    if (d->last.status != STATUS_OK && !nav->navigated) {
        doing_end(d, d->last.status, &d->last, NULL);
        return;
    }
    if (nav->navigated)
        json_add_str(result_of(d), "url", nav->url);
    if (nav->download)
        json_add_bool(result_of(d), "download", true);
    if (!nav->navigated && d->settled != NULL) {
        d->settled(d);
        return;
    }
    doing_end(d, STATUS_OK, NULL, d->result);
}

/* How long a page that is well takes at most to answer. */
static uint64_t answer_ms(const struct doing *d)
{
    uint64_t own = d->deadline_ms - d->begun_ms;

    return own > STEP_TIMEOUT_MS ? own : STEP_TIMEOUT_MS;
}

static void settle(struct doing *d)
{
    uint64_t ms = d->patient ? NAVIGATION_TIMEOUT_MS : answer_ms(d);

    loop_timer_stop(&d->timer);
    d->page_id =
        page_settle(d->page, d->mark, d->common->navigates ? UNTIL_LOAD : UNTIL_DOMCONTENTLOADED,
                    sooner(loop_now_ms(d->loop) + ms, d->call->deadline_ms), on_settled, d);
}

void doing_acted(void *arg, enum status s, const struct err *e)
{
    struct doing *d = arg;

    d->input = NULL;
    d->acted_ms = loop_now_ms(d->loop);
    if (s == STATUS_CLOSED || is_gone(d))
        s = STATUS_OK; /* the action's own doing */
    if (s != STATUS_OK) {
        doing_end(d, s, e, NULL);
        return;
    }
    if (d->common->navigates && !d->waited) {
        doing_again(d, d->deadline_ms - d->begun_ms, on_wait_over);
        return;
    }
    settle(d);
}

/* --- acting --- */

void doing_point(struct doing *d, const struct json *answer, struct input_click click, input_fn *fn)
{
    click.frame = d->frame;
    click.x = json_num(json_get(answer, "x"), 0);
    click.y = json_num(json_get(answer, "y"), 0);
    click.frame_w = json_num(json_get(answer, "w"), 0);
    click.frame_h = json_num(json_get(answer, "h"), 0);
    click.deadline_ms =
        sooner(loop_now_ms(d->loop) + click.hold_ms + answer_ms(d), d->call->deadline_ms);
    d->input = input_click(d->page, d->loop, &click, &d->session->keys, fn, d);
}

void doing_click(struct doing *d, const struct json *answer, struct input_click click)
{
    json_add_str(result_of(d), "element", json_str(json_get(answer, "what"), ""));
    doing_watch(d);
    doing_point(d, answer, click, doing_acted);
}

/* --- expressions --- */

struct frame *doing_frame(const struct doing *d)
{
    const struct frame_path *fp = &d->common->frame;
    struct frame *f =
        fp->url != NULL ? page_frame_by_url(d->page, str_from(fp->url)) : page_main_frame(d->page);

    for (size_t i = 0; f != NULL && i < fp->n; i++)
        f = frame_child(f, fp->path[i]);
    return f;
}

/* On lines of its own, so that a comment at its end does no harm. */
struct str expression_source(struct arena *a, const char *expression, bool truth)
{
    struct str text = str_trim(str_from(expression));

    while (text.len > 0 && text.ptr[text.len - 1] == ';')
        text = str_trim(str_n(text.ptr, text.len - 1));
    return str_from(arena_printf(a, "(async()=>{return %s(\n%.*s\n)})()", truth ? "!!await" : "",
                                 STR_ARG(text)));
}

void doing_evaluate(struct doing *d, page_eval_fn *fn)
{
    const struct page_eval ev = {
        .world = PAGE_WORLD_MAIN,
        .source = d->source,
        .deadline_ms = loop_now_ms(d->loop) + doing_left_ms(d) + ANSWER_GRACE_MS,
    };

    d->page_id = page_evaluate(d->page, doing_frame(d), &ev, fn, d);
}
