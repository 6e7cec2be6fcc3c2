#include "browser/page/session.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/url.h"

enum {
    REST_MS = 250, /* where the machine is busy a server beside us takes 100 ms as well */
    SILENT_MS = 2000,
};

void session_enter(struct page_session *s, struct op_call *call)
{
    s->running = call;
    s->entered_ms = loop_now_ms(s->loop);
    s->rests_since_ms = 0;
    heartbeat_start(&s->beat, s->page, s->heartbeat_ms);
}

static void session_leave(struct page_session *s, struct op_call *call)
{
    if (s->running != call)
        return;
    s->running = NULL;
    s->rests_since_ms = loop_now_ms(s->loop);
    heartbeat_stop(&s->beat);
}

void session_sleeps(struct page_session *s)
{
    s->rests_since_ms = loop_now_ms(s->loop);
}

bool session_rests(const struct page_session *s, uint64_t now_ms)
{
    uint64_t since = s->rests_since_ms, heard;

    if (since == 0 && s->page != NULL)
        since = page_waits_since(s->page);
    if (since > 0 || s->page == NULL)
        return since > 0 && now_ms >= since + REST_MS;
    heard = page_heard_ms(s->page);
    return now_ms >= (heard > s->entered_ms ? heard : s->entered_ms) + SILENT_MS;
}

void session_observe(struct op_call *call, const struct page_nav *nav)
{
    struct url url;

    call->seen.http_status = nav->http_status;
    call->seen.retry_after_ms = nav->retry_after_ms;
    call->seen.from_proxy = nav->from_proxy;
    call->seen.own_fault = nav->own_fault;
    call->seen.block = nav->block;
    /* A block page is news to the guards, also of an answer that they were told of. */
    call->seen.accounted = nav->accounted && nav->block == NULL;
    if (nav->navigated && !nav->from_proxy &&
        url_parse(call->arena, str_from(nav->url), "http https", &url, NULL) == STATUS_OK &&
        !str_eq(url.host, call->host))
        call->seen.host = url.host;
}

void session_refuse(struct page_session *s, const struct err *e)
{
    if (s->refused.status == STATUS_OK &&
        (e->status == STATUS_POLICY_DENIED || e->status == STATUS_ROBOTS_DENIED ||
         e->status == STATUS_BREAKER_OPEN))
        s->refused = *e;
}

/* --- the end of an op --- */

struct ending {
    struct op_call *call;
    struct err err;
    struct json *result;
};

/* A page that is gone tells more than that it was not let go elsewhere. */
static bool is_outranked(enum status s)
{
    return s != STATUS_PAGE_HUNG && s != STATUS_PAGE_CRASHED && s != STATUS_PAGE_OUT_OF_MEMORY &&
           s != STATUS_BROWSER_GONE && s != STATUS_SHUTTING_DOWN && s != STATUS_LEASE_LOST;
}

void session_lost(struct page_session *s, const struct page *p)
{
    if (s->running != NULL && s->running->cancel != NULL && s->page == p)
        s->running->cancel(s->running);
}

static void end_op(struct op_call *call, enum status s, const struct err *e, struct json *result)
{
    struct page_session *session = session_of(call);
    struct err refused = session->refused;
    enum status gone = page_gone_why(session->page);

    if (s == STATUS_CANCELLED && gone != STATUS_OK && gone != STATUS_CLOSED) {
        s = gone; /* it was cancelled for that, or might as well have been */
        e = page_gone_err(session->page);
    }

    session_leave(session, call);
    session->refused = (struct err)ERR_INIT;
    if (refused.status == STATUS_OK || !is_outranked(s)) {
        op_call_finish(call, s, e, result);
        return;
    }
    json_destroy(&result);
    op_call_finish(call, refused.status, &refused, NULL);
}

static void end_over(struct ending *end)
{
    end_op(end->call, end->err.status, &end->err, end->result);
    free(end);
}

/* What the step looked for is not there: because of a CAPTCHA that came meanwhile? */
static void looked(void *arg, enum status s, const char *block)
{
    struct ending *end = arg;
    struct op_call *call = end->call;
    struct url url;

    (void)s;
    if (block != NULL && call->seen.block == NULL) {
        call->seen.block = block;
        call->seen.accounted = false;
        if (url_parse(call->arena, str_from(page_url(session_of(call)->page)), "http https", &url,
                      NULL) == STATUS_OK)
            call->seen.host = url.host;
    }
    end_over(end);
}

static void look_then_end(struct ending *end)
{
    struct page *p = session_of(end->call)->page;
    enum status s = end->err.status;

    if ((s == STATUS_TIMEOUT || s == STATUS_ELEMENT_NOT_FOUND || s == STATUS_ASSERTION_FAILED) &&
        page_state(p) == PAGE_OPEN && !page_is_waiting(p) && end->call->seen.block == NULL &&
        strcmp(end->call->op->name, "page.navigate") != 0)
        page_look(p, looked, end);
    else
        end_over(end);
}

static void verdict_known(void *arg, enum status verdict)
{
    struct ending *end = arg;

    if (verdict != end->err.status)
        err_set(&end->err, verdict, "the page stopped answering and was killed");
    look_then_end(end);
}

static void say_waiting(const struct page *p, struct err *e)
{
    if (page_state(p) == PAGE_OPEN && page_is_waiting(p))
        err_set(e, STATUS_TIMEOUT,
                "the page is on its way from %.200s to a document that no server answered yet",
                page_url(p));
}

void session_finish(struct op_call *call, enum status s, const struct err *e, struct json *result)
{
    struct ending *end;

    if (s != STATUS_TIMEOUT && s != STATUS_CANCELLED && s != STATUS_ELEMENT_NOT_FOUND &&
        s != STATUS_ASSERTION_FAILED) {
        end_op(call, s, e, result);
        return;
    }
    call->cancel = NULL; /* what is asked now is short */
    end = xcalloc(1, sizeof *end);
    end->call = call;
    end->result = result;
    if (e != NULL)
        end->err = *e;
    end->err.status = s;
    if (s == STATUS_ELEMENT_NOT_FOUND || s == STATUS_ASSERTION_FAILED) {
        look_then_end(end);
        return;
    }
    if (s == STATUS_TIMEOUT && strcmp(call->op->name, "page.navigate") != 0)
        say_waiting(session_of(call)->page, &end->err);
    page_verdict(session_of(call)->page, s, verdict_known, end);
}

/* --- artifacts --- */

/* Letters, digits, "-", "_" and "." of the name; others become "-". */
static char *safe_name(struct arena *a, const char *name)
{
    char *z = arena_strdup(a, name);

    for (char *c = z; *c != '\0'; c++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", *c) == NULL)
            *c = '-';
    return z[0] == '.' || z[0] == '\0' ? arena_printf(a, "file%s", z) : z;
}

static bool is_listed(const struct json *list, const char *path)
{
    for (const struct json *j = json_first(list); j != NULL; j = json_next(j))
        if (strcmp(json_str(j, ""), path) == 0)
            return true;
    return false;
}

/* What a reader of the results file finds from where that is. */
static const char *relative(const struct page_session *s, const char *path)
{
    const char *results = s->conf != NULL ? s->conf->output.results : NULL;
    cleanup_free char *dir = results != NULL ? file_dirname(results) : NULL;
    cleanup_free char *real = dir != NULL ? realpath(dir[0] != '\0' ? dir : ".", NULL) : NULL;
    size_t n = real != NULL ? strlen(real) : 0;

    return n > 1 && strncmp(path, real, n) == 0 && path[n] == '/' ? path + n + 1 : path;
}

const char *session_add_artifact(struct page_session *s, const char *name, const char *ext)
{
    const char *task = s->attempt != NULL ? s->attempt->task_id : "task";
    unsigned number = s->attempt != NULL ? s->attempt->number : 1;
    const char *safe, *path, *shown;

    if (s->artifacts_dir == NULL || s->artifacts == NULL)
        return NULL;
    safe = safe_name(s->arena, name);
    for (unsigned k = 1;; k++) {
        path = k == 1 ? arena_printf(s->arena, "%s/%s-%u-%s.%s", s->artifacts_dir, task, number,
                                     safe, ext)
                      : arena_printf(s->arena, "%s/%s-%u-%s-%u.%s", s->artifacts_dir, task, number,
                                     safe, k, ext);
        shown = relative(s, path);
        if (!is_listed(s->artifacts, shown))
            break;
    }
    json_push(s->artifacts, json_new_str(str_from(shown)));
    return path;
}
