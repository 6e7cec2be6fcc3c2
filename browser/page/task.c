/* One call of page.h under way. While it waits for an answer its end is that of the DevTools call
 * (cdp_cancel answers it); while it waits for an event it ends through the list of doomed tasks, at
 * the end of the turn. Either way it ends once, and never inside the call that made it end. */
#include "browser/page/page_internal.h"

struct task *task_create(struct page *p, const struct task_kind *kind, uint64_t deadline_ms)
{
    struct task *t = xcalloc(1, kind->size);

    t->kind = kind;
    t->page = p;
    t->id = ++p->targets->next_id;
    t->deadline_ms =
        deadline_ms != 0 ? deadline_ms : loop_now_ms(p->targets->loop) + CDP_TIMEOUT_MS;
    page_ref(p);
    list_push(&p->tasks, &t->link);
    return t;
}

static void begin(struct task *t)
{
    t->begun = true;
    loop_timer_stop(&t->timer);
    t->kind->begin(t);
}

void task_start(struct task *t, const char *open_url)
{
    struct page *p = t->page;

    if (p->state == PAGE_NEW && p->ctx != NULL)
        page_open(p, open_url);
    if (p->state == PAGE_GONE || p->ctx == NULL)
        task_doom(t, p->gone.status != STATUS_OK ? p->gone.status : STATUS_CLOSED, p->gone.text);
    else if (p->state == PAGE_OPEN)
        begin(t);
    else
        task_wait(t);
}

void task_begin_all(struct page *p)
{
    list_for_each_safe (l, &p->tasks) {
        struct task *t = list_entry(l, struct task, link);

        if (!t->begun)
            begin(t);
    }
}

void task_end(struct task **tp)
{
    struct task *t = *tp;
    struct page *p = t->page;

    *tp = NULL;
    loop_timer_stop(&t->timer);
    list_remove(&t->link);
    if (t->kind->free != NULL)
        t->kind->free(t);
    free(t);
    page_unref(p);
}

void task_fail(struct task *t, enum status s, const struct err *e)
{
    struct err mine = *e;

    mine.status = s;
    list_remove(&t->link); /* so that nothing in the callback finds it */
    loop_timer_stop(&t->timer);
    t->kind->fail(t, s, &mine);
    task_end(&t);
}

/* --- ends that are made at the end of the turn --- */

static void doom_step(void *arg)
{
    struct targets *t = arg;

    t->doom_posted = false;
    t->n_refs++; /* the last task may be the last to hold them */
    while (!list_empty(&t->doomed)) {
        struct task *task = list_entry(t->doomed.next, struct task, link);

        task_fail(task, task->doom.status, &task->doom);
    }
    t->n_refs--;
    targets_settle(t);
}

void task_doom(struct task *t, enum status why, const char *sentence)
{
    struct targets *targets = t->page->targets;

    if (t->doom.status != STATUS_OK)
        return;
    if (t->call != 0 && cdp_conn_is_open(targets->conn)) {
        cdp_cancel(targets->conn, t->call, why);
        return;
    }
    if (t->call != 0)
        return; /* the connection's end answers it */
    err_set(&t->doom, why, "%s", sentence != NULL ? sentence : "");
    loop_timer_stop(&t->timer);
    list_remove(&t->link);
    list_push(&targets->doomed, &t->link);
    if (!targets->doom_posted) {
        targets->doom_posted = true;
        loop_defer(targets->loop, doom_step, targets);
    }
}

void task_doom_all(struct page *p, enum status why, const char *sentence)
{
    list_for_each_safe (l, &p->tasks)
        task_doom(list_entry(l, struct task, link), why, sentence);
}

void page_cancel(struct page *p, uint64_t id, enum status why)
{
    list_for_each (l, &p->tasks) {
        struct task *t = list_entry(l, struct task, link);

        if (t->id != id)
            continue;
        task_doom(t, why, NULL);
        return;
    }
}

/* --- waiting --- */

static void on_deadline(struct loop_timer *timer)
{
    struct task *t = container_of(timer, struct task, timer);
    struct err e = ERR_INIT;

    if (t->call != 0) {
        cdp_cancel(t->page->targets->conn, t->call, STATUS_TIMEOUT);
        return;
    }
    err_set(&e, STATUS_TIMEOUT, "%s", t->begun ? "" : "the page did not open in time");
    task_fail(t, STATUS_TIMEOUT, &e);
}

void task_wait(struct task *t)
{
    struct loop *l = t->page->targets->loop;
    uint64_t now = loop_now_ms(l);

    loop_timer_start(l, &t->timer, t->deadline_ms > now ? t->deadline_ms - now : 0, on_deadline);
}

void task_call(struct task *t, struct cdp_session *s, const char *method, struct str params,
               cdp_reply_fn *fn)
{
    t->call = cdp_call(s, method, params, t->deadline_ms, fn, t);
}
