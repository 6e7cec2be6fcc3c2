/* Questions wait in the order they were asked, so their deadlines come in that order: one timer, at
 * the head. An answer finds its question by its id; one that comes too late finds none and is
 * ignored.
 *
 *   ALIVE --end of the stream, error, no answer on a line--> DEAD (denies) */
#include "core/guard/hook.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "core/base/buf.h"
#include "core/base/json.h"
#include "core/base/list.h"
#include "core/base/log.h"
#include "core/base/map.h"

enum { OUT_MAX = 32 * 1024 * 1024 };

struct hook_wait {
    struct policy_hook *hook;
    struct list link;
    uint64_t id, deadline_ms;
    bool refused; /* is answered by a deferred call */
    hook_fn *fn;
    void *arg;
};

struct policy_hook {
    struct loop *loop;
    struct loop_watch *watch;
    int fd;
    uint64_t timeout_ms, next_id;
    struct map *by_id;
    struct list waiting;
    struct loop_timer timer;    /* of the head of `waiting` */
    struct loop_timer refusals; /* answers those in `refused` */
    struct list refused;
    struct buf in, out;
    char dead[160]; /* why it is, "" while it is not */
};

static void answer(struct hook_wait *w, bool allow, const char *why)
{
    hook_fn *fn = w->fn;
    void *arg = w->arg;

    (void)map_remove_u64(w->hook->by_id, w->id);
    list_remove(&w->link);
    free(w);
    fn(arg, allow, why);
}

/* --- deadlines --- */

static void on_late(struct loop_timer *t);

static void arm(struct policy_hook *h)
{
    struct hook_wait *w = list_first(&h->waiting, struct hook_wait, link);
    uint64_t now = loop_now_ms(h->loop);

    if (w)
        loop_timer_start(h->loop, &h->timer, w->deadline_ms > now ? w->deadline_ms - now : 0,
                         on_late);
    else
        loop_timer_stop(&h->timer);
}

static void on_late(struct loop_timer *t)
{
    struct policy_hook *h = container_of(t, struct policy_hook, timer);
    struct hook_wait *w = list_first(&h->waiting, struct hook_wait, link);
    char why[80];

    if (w && w->deadline_ms <= loop_now_ms(h->loop)) {
        snprintf(why, sizeof(why), "the policy's program did not answer within %llu ms",
                 (unsigned long long)h->timeout_ms);
        answer(w, false, why);
    }
    arm(h);
}

static void on_refusals(struct loop_timer *t)
{
    struct policy_hook *h = container_of(t, struct policy_hook, refusals);
    struct list now = LIST_INIT(now);
    const char *why = h->dead[0] ? h->dead : "too many questions wait for the policy's program";
    struct list *link;

    list_splice(&now, &h->refused);
    while ((link = list_pop(&now)))
        answer(list_entry(link, struct hook_wait, link), false, why);
}

static void refuse(struct policy_hook *h, struct hook_wait *w)
{
    list_remove(&w->link);
    list_push(&h->refused, &w->link);
    loop_timer_start(h->loop, &h->refusals, 0, on_refusals);
}

static void die(struct policy_hook *h, const char *why)
{
    struct hook_wait *w;

    snprintf(h->dead, sizeof(h->dead), "the policy's program %s", why);
    log_error(NULL, "policy.hook", LOG_STR("why", h->dead));
    loop_watch_close(&h->watch);
    while ((w = list_first(&h->waiting, struct hook_wait, link)))
        refuse(h, w);
    arm(h);
}

/* --- the stream --- */

static bool take_line(struct policy_hook *h, struct str line)
{
    struct json *j = json_parse(line, false, NULL);
    const struct json *allow = json_get(j, "allow");
    int64_t id = json_int(json_get(j, "id"), -1);
    struct hook_wait *w;

    if (id < 0 || json_type(allow) != JSON_BOOL) {
        json_destroy(&j);
        die(h, "said what is no answer: expected {\"id\":number,\"allow\":true or false}");
        return false;
    }
    w = map_find_u64(h->by_id, (uint64_t)id);
    if (w && !w->refused)
        answer(w, json_bool(allow, false), json_str(json_get(j, "why"), ""));
    json_destroy(&j);
    return true;
}

static void take_lines(struct policy_hook *h)
{
    ptrdiff_t end;

    while ((end = str_chr(buf_str(&h->in), '\n')) >= 0) {
        char line[HOOK_LINE_MAX];
        size_t n = (size_t)end;

        memcpy(line, h->in.ptr, n); /* below HOOK_LINE_MAX, as the buffer is */
        buf_consume(&h->in, n + 1);
        if (!take_line(h, str_n(line, n)))
            return;
    }
    if (h->in.len >= HOOK_LINE_MAX - 1)
        die(h, "said a line without an end");
    arm(h);
}

static void read_some(struct policy_hook *h)
{
    char block[HOOK_LINE_MAX];
    size_t room = HOOK_LINE_MAX - 1 - h->in.len;
    ssize_t n = recv(h->fd, block, room, 0);

    if (n > 0) {
        buf_add(&h->in, block, (size_t)n);
        take_lines(h);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        die(h, "has ended");
    }
}

static void write_some(struct policy_hook *h)
{
    ssize_t n = h->out.len ? send(h->fd, h->out.ptr, h->out.len, MSG_NOSIGNAL) : 0;

    if (n > 0)
        buf_consume(&h->out, (size_t)n);
    else if (n < 0 && errno != EAGAIN && errno != EINTR) {
        die(h, "has ended");
        return;
    }
    loop_watch_set(h->watch, h->out.len ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void on_ready(void *arg, int fd maybe_unused, int events)
{
    struct policy_hook *h = arg;

    if (events & LOOP_READ)
        read_some(h);
    if (h->watch && (events & LOOP_WRITE))
        write_some(h);
}

/* --- questions --- */

static void add_member(struct buf *out, const char *name, struct str v)
{
    if (v.len == 0)
        return;
    buf_addf(out, ",\"%s\":", name);
    json_print_str(v, out);
}

struct hook_wait *policy_hook_ask(struct policy_hook *h, const struct hook_question *q, hook_fn *fn,
                                  void *arg)
{
    struct hook_wait *w = xcalloc(1, sizeof(*w));

    *w = (struct hook_wait){.hook = h, .id = ++h->next_id, .fn = fn, .arg = arg};
    w->deadline_ms = loop_now_ms(h->loop) + h->timeout_ms;
    list_init(&w->link);
    w->refused = h->dead[0] || map_len(h->by_id) >= HOOK_PENDING_MAX;
    (void)map_put_u64(h->by_id, w->id, w);
    if (w->refused) {
        refuse(h, w);
        return w;
    }
    list_push(&h->waiting, &w->link);
    buf_addf(&h->out, "{\"id\":%llu", (unsigned long long)w->id);
    add_member(&h->out, "member", str_from(q->member));
    add_member(&h->out, "op", q->op);
    add_member(&h->out, "target", q->target);
    add_member(&h->out, "url", q->url);
    buf_adds(&h->out, "}\n");
    if (buf_status(&h->out) != STATUS_OK)
        die(h, "does not read its questions");
    else
        loop_watch_set(h->watch, LOOP_READ | LOOP_WRITE);
    if (!loop_timer_is_active(&h->timer))
        arm(h);
    return w;
}

void policy_hook_cancel(struct hook_wait **pw)
{
    struct hook_wait *w = *pw;

    if (!w)
        return;
    *pw = NULL;
    (void)map_remove_u64(w->hook->by_id, w->id);
    list_remove(&w->link);
    arm(w->hook);
    free(w);
}

/* --- life --- */

enum status policy_hook_create(struct loop *l, int fd, uint64_t timeout_ms,
                               struct policy_hook **out, struct err *e)
{
    struct policy_hook *h = xcalloc(1, sizeof(*h));
    enum status s;

    *out = NULL;
    h->loop = l;
    h->fd = fd;
    h->timeout_ms = timeout_ms ? timeout_ms : HOOK_TIMEOUT_MS;
    h->by_id = map_create();
    list_init(&h->waiting);
    list_init(&h->refused);
    buf_init(&h->in, HOOK_LINE_MAX);
    buf_init(&h->out, OUT_MAX);
    s = loop_watch_open(l, fd, LOOP_READ, on_ready, h, &h->watch, e);
    if (s != STATUS_OK) {
        h->fd = -1; /* is the caller's yet */
        policy_hook_destroy(&h);
        return s;
    }
    *out = h;
    return STATUS_OK;
}

void policy_hook_destroy(struct policy_hook **ph)
{
    struct policy_hook *h = *ph;

    if (!h)
        return;
    loop_watch_close(&h->watch);
    loop_timer_stop(&h->timer);
    loop_timer_stop(&h->refusals);
    map_destroy(&h->by_id, free);
    buf_deinit(&h->in);
    buf_deinit(&h->out);
    if (h->fd >= 0)
        close(h->fd);
    free(h);
    *ph = NULL;
}
