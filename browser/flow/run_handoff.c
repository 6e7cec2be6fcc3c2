/* Handing a block page or CAPTCHA over to a person: the member is parked on the page, which is
 * looked at again and again. Many challenges also go away by themselves.
 *
 *   met -> waiting -> gone: the flow goes on | handoff_ms over: HANDOFF | cancelled
 *
 * Both ends are receipts: handoff.open and handoff.close, which says how often the person did
 * something in the live view (browser/handoff.h). */
#include "browser/flow/run_internal.h"

#include "browser/handoff.h"
#include "core/base/log.h"
#include "core/base/url.h"
#include "core/op/block.h"
#include "core/record/audit.h"
#include "core/base/jcs.h"

enum { LOOK_AGAIN_MS = 500 };

static const struct block_conf *conf_of(const struct flow_run *r)
{
    return gate_deps(r->session->gate)->captcha;
}

bool run_wants_person(const struct flow_run *r, enum status s)
{
    const struct block_conf *c = conf_of(r);

    return s == STATUS_CAPTCHA_DETECTED && c != NULL && c->on_detected == BLOCK_HANDOFF &&
           r->cancelled == STATUS_OK && page_state(r->session->page) == PAGE_OPEN;
}

static void record(struct flow_run *r, const char *kind, const char *outcome)
{
    const struct page_session *s = r->session;
    const char *url = page_url(s->page);
    struct buf payload = BUF_INIT(BUF_MAX_LINE);
    struct json *j = json_add_str(json_new_object(), "task", s->attempt->task_id);
    struct url u = {0};
    struct receipt receipt = {.kind = kind,
                              .member = s->member->identity != NULL ? s->member->identity->id : "",
                              .outcome = outcome,
                              .parent = s->attempt->parent};

    json_add_str(j, "step", r->step->path);
    if (outcome != NULL)
        json_add_num(j, "inputs", handoff_inputs(r->handoff));
    json_add(j, "url", json_new_str(str_head(str_from(url), 1000)));
    if (url_parse(r->arena, str_from(url), "http https", &u, NULL) == STATUS_OK)
        receipt.target = arena_strndup(r->arena, u.host.ptr, u.host.len);
    if (jcs_write(j, &payload, NULL) == STATUS_OK)
        receipt.payload = buf_str(&payload);
    if (gate_deps(s->gate)->audit != NULL)
        audit_append(gate_deps(s->gate)->audit, &receipt, NULL, NULL);
    json_destroy(&j);
    buf_deinit(&payload);
}

static void over(struct flow_run *r, enum status s)
{
    uint64_t waited = conf_of(r)->handoff_ms;
    bool given_up = r->handoff_until_ms == 0;
    struct err e = ERR_INIT;

    record(r, "handoff.close", s == STATUS_OK ? "ok" : status_name(s));
    log_info(NULL, "handoff.close", LOG_STR("task", r->session->attempt->task_id),
             LOG_STR("outcome", s == STATUS_OK ? "ok" : status_name(s)));
    r->handoff_until_ms = 0;
    handoff_close(&r->handoff);
    if (s == STATUS_OK && r->handoff_again) {
        run_step_begin(r);
    } else if (s == STATUS_OK) {
        run_next(r);
    } else if (s == STATUS_HANDOFF && given_up) {
        err_set(&e, s, "%.300s shows a block page or CAPTCHA, and who looked at it gave it up",
                page_url(r->session->page));
        run_fail(r, &e);
    } else if (s == STATUS_HANDOFF) {
        err_set(&e, s, "%.300s shows a block page or CAPTCHA, and nobody dealt with it in %llu ms",
                page_url(r->session->page), (unsigned long long)waited);
        run_fail(r, &e);
    } else {
        err_set(&e, s, "%s", status_text(s));
        run_fail(r, &e);
    }
}

static void on_again(struct loop_timer *t);

static void on_look(void *arg, enum status s, const char *block)
{
    struct flow_run *r = arg;

    if (r->cancelled != STATUS_OK)
        over(r, r->cancelled);
    else if (page_state(r->session->page) != PAGE_OPEN)
        over(r, page_gone_why(r->session->page) != STATUS_OK ? page_gone_why(r->session->page)
                                                             : STATUS_CLOSED);
    else if (s == STATUS_OK && block == NULL && !page_is_waiting(r->session->page))
        over(r, STATUS_OK);
    else if (loop_now_ms(r->session->loop) >= r->handoff_until_ms)
        over(r, STATUS_HANDOFF);
    else
        loop_timer_start(r->session->loop, &r->timer, LOOK_AGAIN_MS, on_again);
}

static void on_again(struct loop_timer *t)
{
    struct flow_run *r = container_of(t, struct flow_run, timer);

    if (r->cancelled != STATUS_OK)
        over(r, r->cancelled);
    else
        page_look(r->session->page, on_look, r);
}

static void on_give_up(void *arg)
{
    ((struct flow_run *)arg)->handoff_until_ms = 0; /* the next look is the last */
}

static void show(struct flow_run *r)
{
    const struct page_session *s = r->session;
    const struct handoff_opts o = {.page = s->page,
                                   .member = s->member,
                                   .task = s->attempt->task_id,
                                   .until_ms = r->handoff_until_ms,
                                   .give_up = on_give_up,
                                   .arg = r};

    if (s->handoffs != NULL)
        r->handoff = handoff_open(s->handoffs, &o);
}

void run_hand_over(struct flow_run *r)
{
    const struct page_session *s = r->session;

    r->handoff_until_ms = loop_now_ms(s->loop) + conf_of(r)->handoff_ms;
    r->handoff_again = r->call.seen.http_status == 0; /* it was met by a step that failed */
    record(r, "handoff.open", NULL);
    log_warn(NULL, "handoff.open", LOG_STR("task", s->attempt->task_id),
             LOG_STR("url", page_url(s->page)),
             LOG_STR("why", r->call.seen.block != NULL ? r->call.seen.block : ""),
             LOG_U64("wait_ms", conf_of(r)->handoff_ms));
    show(r);
    loop_timer_start(s->loop, &r->timer, LOOK_AGAIN_MS, on_again);
}
