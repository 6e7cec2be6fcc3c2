/* Is a page alive, and what is done with one that is not.
 *
 * An op that waits watches for signs of life: any message of the page's session is one. After half
 * of heartbeat_ms of silence the page is asked ("1" is evaluated), and after the other half it is
 * killed. While the browser waits for the network on the page's behalf, in the gate or at the
 * server, the page owes no sign: Page.navigate holds every other command back until it is answered.
 *
 * Ladder: the page is crashed and its target closed; when the browser does not answer that, its
 * context is disposed of; when it does not answer that either, the instance is killed. */
#include <inttypes.h>
#include <stdio.h>

#include "browser/page/page_internal.h"
#include "browser/page/session.h"

enum {
    RUNG_MS = 2000, /* for the browser to answer on each rung of the ladder */
    BEATS = 8,      /* looks within heartbeat_ms */
    BEAT_MIN_MS = 20,
};

#define ASK "{\"expression\":\"1\",\"returnByValue\":true}" /* Runtime.evaluate */

/* --- the ladder --- */

struct killing {
    struct page *page; /* a reference: keeps targets as well */
    char context[DEVTOOLS_ID_MAX];
};

static void killing_over(struct killing *k)
{
    page_unref(k->page);
    free(k);
}

static void on_disposed(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct killing *k = arg;
    struct targets *t = k->page->targets;

    (void)result;
    (void)e;
    if (s == STATUS_TIMEOUT && !t->destroyed && t->opts.on_stuck != NULL)
        t->opts.on_stuck(t->opts.home);
    killing_over(k);
}

static void on_closed(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct killing *k = arg;
    struct targets *t = k->page->targets;
    struct context *c =
        t->destroyed || s != STATUS_TIMEOUT ? NULL : context_by_id(t, str_from(k->context));

    (void)result;
    (void)e;
    if (c == NULL) {
        killing_over(k);
        return;
    }
    targets_tell(t, "context killed", c->member, "the browser does not close its page");
    cdp_callf(cdp_conn_root(t->conn), "Target.disposeBrowserContext",
              loop_now_ms(t->loop) + RUNG_MS, on_disposed, k, "{\"browserContextId\":\"%s\"}",
              k->context);
    context_lost(c);
}

/* Page.crash ends a renderer in an endless loop within milliseconds (156); the target is closed
 * after it. */
void page_kill(struct page *p, const char *sentence)
{
    struct context *c = p->ctx;
    struct killing *k;
    char url[200];

    if (p->state == PAGE_GONE)
        return;
    snprintf(url, sizeof url, "%s", page_url(p));
    if (p->main_realm.session != NULL && c != NULL) {
        k = xcalloc(1, sizeof *k);
        k->page = p;
        page_ref(p);
        snprintf(k->context, sizeof k->context, "%s", c->id);
        cdp_tell(p->main_realm.session, "Page.crash", STR_NONE);
        cdp_callf(cdp_conn_root(p->targets->conn), "Target.closeTarget",
                  loop_now_ms(p->targets->loop) + RUNG_MS, on_closed, k, "{\"targetId\":\"%s\"}",
                  p->target);
    }
    page_lost(p, STATUS_PAGE_HUNG, sentence);
    if (c != NULL)
        targets_tell(p->targets, "page killed", c->member, url);
}

/* --- asking --- */

/* The browser waits for the gate or the server, not the page for its script. Without Fetch (enforce
 * "charge") the answer's head is not seen: then all of the start counts. */
bool page_is_waiting(const struct page *p)
{
    const struct frame *f = p->main;
    bool sees = p->targets->opts.gate != NULL && p->targets->opts.enforce == ENFORCE_HOLD;

    if (p->state != PAGE_OPEN || f == NULL)
        return true; /* opening has a deadline of its own */
    return f->document == 0 || !list_empty(&f->holds) || (!sees && f->started);
}

uint64_t page_heard_ms(const struct page *p)
{
    return p->main_realm.session != NULL ? cdp_session_heard_ms(p->main_realm.session) : 0;
}

struct ping {
    void (*fn)(void *arg, bool alive);
    void *arg;
};

static void pinged(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct ping *ping = arg;

    (void)result;
    (void)e;
    /* A document that goes away under it answers, too. */
    ping->fn(ping->arg, s != STATUS_TIMEOUT);
    free(ping);
}

/* Is the page alive? One evaluation of "1". fn(arg, true) or, when no answer came `within_ms`,
 * fn(arg, false). */
static void page_ping(struct page *p, uint64_t within_ms, void (*fn)(void *arg, bool alive),
                      void *arg)
{
    struct ping *ping = xcalloc(1, sizeof *ping);

    ping->fn = fn;
    ping->arg = arg;
    page_call(p, NULL, "Runtime.evaluate", STR(ASK), loop_now_ms(p->targets->loop) + within_ms,
              pinged, ping);
}

struct verdict {
    struct page *page;
    enum status why;
    void (*fn)(void *arg, enum status verdict);
    void *arg;
};

static void verdict_known(void *arg, bool alive)
{
    struct verdict *v = arg;

    if (!alive)
        page_kill(v->page, "the page did not answer and was killed");
    v->fn(v->arg, alive ? v->why : STATUS_PAGE_HUNG);
    page_unref(v->page);
    free(v);
}

static void verdict_alive(void *arg)
{
    verdict_known(arg, true);
}

/* While a navigation waits for its answer the browser holds back every command to the page (156),
 * so that a ping would say nothing. */
void page_verdict(struct page *p, enum status why, void (*fn)(void *arg, enum status verdict),
                  void *arg)
{
    struct verdict *v = xcalloc(1, sizeof *v);

    *v = (struct verdict){p, why, fn, arg};
    page_ref(p);
    if (!page_is_waiting(p))
        page_ping(p, PAGE_PING_MS, verdict_known, v);
    else
        loop_defer(p->targets->loop, verdict_alive, v);
}

/* --- the heartbeat --- */

static void on_beat(struct loop_timer *t);

static void beat_again(struct heartbeat *b)
{
    uint64_t every = b->every_ms / BEATS;

    every = every > BEAT_MIN_MS ? every : BEAT_MIN_MS;
    b->due_ms = loop_now_ms(b->page->targets->loop) + every;
    loop_timer_start(b->page->targets->loop, &b->timer, every, on_beat);
}

static void beat_kill(struct heartbeat *b, uint64_t silent_ms)
{
    char sentence[200];

    /* which of the two it was cannot be asked any more */
    snprintf(sentence, sizeof sentence,
             "the page did not answer for %" PRIu64
             " ms and was killed: a script that does not end, or more than it can show in "
             "that time (deadlines.heartbeat_ms)",
             silent_ms);
    page_kill(b->page, sentence);
}

static void on_beat(struct loop_timer *t)
{
    struct heartbeat *b = container_of(t, struct heartbeat, timer);
    struct page *p = b->page;
    uint64_t now = loop_now_ms(p->targets->loop), half = b->every_ms / 2, heard;

    if (p->state == PAGE_GONE)
        return;
    /* A look that comes late says that this process was held up itself: what the page said
     * meanwhile is still unread. */
    if (page_is_waiting(p) || now > b->due_ms + half)
        b->alive_ms = now;
    heard = page_heard_ms(p);
    if (heard > b->alive_ms)
        b->alive_ms = heard;
    if (b->asked_ms < b->alive_ms)
        b->asked_ms = 0;
    if (b->asked_ms == 0 && now - b->alive_ms >= half) {
        b->asked_ms = now;
        cdp_call(p->main_realm.session, "Runtime.evaluate", STR(ASK), now + 2 * b->every_ms, NULL,
                 NULL);
    } else if (b->asked_ms != 0 && now - b->asked_ms >= half) {
        beat_kill(b, now - b->alive_ms);
        return;
    }
    beat_again(b);
}

void heartbeat_start(struct heartbeat *b, struct page *p, uint64_t every_ms)
{
    if (every_ms == 0)
        return;
    b->page = p;
    b->every_ms = every_ms;
    b->alive_ms = loop_now_ms(p->targets->loop);
    b->asked_ms = 0;
    beat_again(b);
}

void heartbeat_stop(struct heartbeat *b)
{
    loop_timer_stop(&b->timer);
}
