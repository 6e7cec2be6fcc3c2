/* What is shown: a head line, a line for each of the busiest targets, one for proxies. On a
 * terminal they are drawn over again some times a second; elsewhere a line is printed every few
 * seconds and whenever something happens that a person should know. */
#include "core/cli/progress.h"

#include <sys/ioctl.h>
#include <stdio.h>

#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/guard/limit.h"

enum {
    DRAW_MS = 150,
    LINE_MS = 5000,
    TARGETS_SHOWN = 6,
    PROXIES_SHOWN = 4,
    NEWS_SHOWN = 3,
    NEWS_MAX = 160,
    SPEED_SPAN = 32, /* draws that tasks/s is taken over */
    SENTENCE_MAX = 200,
};

struct progress {
    struct progress_opts opts;
    struct run *run;
    bool live, colour, running;
    struct loop_timer timer;
    unsigned drawn; /* lines on the screen */
    unsigned turn;
    char news[NEWS_SHOWN][NEWS_MAX]; /* the newest last */
    unsigned again;                  /* how often the newest came in a row */
    struct {
        uint64_t at_ms, finished;
    } speed[SPEED_SPAN];
    char *first[STATUS_COUNT]; /* "t-000003: <sentence>" of the first task that ended so */
};

enum ink { INK_NONE, INK_BOLD, INK_DIM, INK_GREEN, INK_RED, INK_YELLOW, INK_CYAN };

static const char *ink(const struct progress *p, enum ink i)
{
    static const char *const codes[] = {
        [INK_NONE] = "\033[0m",   [INK_BOLD] = "\033[1m", [INK_DIM] = "\033[2m",
        [INK_GREEN] = "\033[32m", [INK_RED] = "\033[31m", [INK_YELLOW] = "\033[33m",
        [INK_CYAN] = "\033[36m",
    };

    return p->colour ? codes[i] : "";
}

static unsigned width(const struct progress *p)
{
    struct winsize w;

    if (ioctl(p->opts.fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
        return w.ws_col;
    return 80;
}

/* Text for people is best effort: a terminal that is gone is no reason to stop. */
static void put(const struct progress *p, struct str s)
{
    while (s.len > 0) {
        ssize_t n = write(p->opts.fd, s.ptr, s.len);

        if (n <= 0)
            return;
        s = str_skip(s, (size_t)n);
    }
}

/* --- lines --- */

/* Appends a line cut to the terminal's width; colour codes take no room. */
static void add_line(struct progress *p, struct buf *out, struct str line)
{
    unsigned room = width(p) - 1, used = 0;

    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];

        if (c == '\033') {
            while (i < line.len && line.ptr[i] != 'm')
                buf_addc(out, line.ptr[i++]);
            buf_addc(out, 'm');
            continue;
        }
        if ((c & 0xc0) != 0x80 && used++ >= room)
            break;
        buf_addc(out, (char)(c < 0x20 || c == 0x7f ? ' ' : c));
    }
    buf_adds(out, ink(p, INK_NONE));
    buf_adds(out, "\033[K\n");
    p->drawn++;
}

/* Over the last draws; before there are so many, since the beginning: speed[0] is that. */
static double tasks_per_s(struct progress *p)
{
    const struct tally *t = run_tally(p->run);
    unsigned at = p->turn % SPEED_SPAN, from = (p->turn + 1) % SPEED_SPAN;
    uint64_t span;

    p->speed[at].at_ms = run_age_ms(p->run);
    p->speed[at].finished = t->finished;
    if (p->turn < SPEED_SPAN)
        from = 0;
    p->turn++;
    span = p->speed[at].at_ms - p->speed[from].at_ms;
    if (span == 0)
        return 0;
    return (double)(p->speed[at].finished - p->speed[from].finished) * 1000.0 / (double)span;
}

static void add_bar(struct progress *p, struct buf *b, double share)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int cells = 24, full = (int)(share * cells), rest = (int)(share * cells * 8) % 8;

    buf_adds(b, ink(p, INK_CYAN));
    for (int i = 0; i < full; i++)
        buf_adds(b, "█");
    if (full < cells) {
        buf_adds(b, eighths[rest]);
        for (int i = full + (rest > 0); i < cells; i++)
            buf_adds(b, "·");
    }
    buf_adds(b, ink(p, INK_NONE));
}

static void add_counts(struct progress *p, struct buf *b, const uint64_t *done)
{
    static const struct {
        enum task_state state;
        enum ink ink;
        const char *name;
    } rows[] = {
        {TASK_SUCCEEDED, INK_GREEN, "ok"},      {TASK_FAILED, INK_RED, "failed"},
        {TASK_BLOCKED, INK_YELLOW, "blocked"},  {TASK_UNKNOWN, INK_RED, "unknown"},
        {TASK_CANCELLED, INK_DIM, "cancelled"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (done[rows[i].state] > 0 || i == 0)
            buf_addf(b, "  %s%5llu %s%s", ink(p, rows[i].ink),
                     (unsigned long long)done[rows[i].state], rows[i].name, ink(p, INK_NONE));
    }
}

static void head_line(struct progress *p, struct buf *b)
{
    const struct tally *t = run_tally(p->run);
    struct sched *s = run_sched(p->run);
    double share = t->total ? (double)t->finished / (double)t->total : 0;

    buf_addf(b, "%s%s%s ", ink(p, INK_BOLD), run_conf(p->run)->name, ink(p, INK_NONE));
    add_bar(p, b, share);
    buf_addf(b, " %llu/%llu", (unsigned long long)t->finished, (unsigned long long)t->total);
    add_counts(p, b, t->done);
    buf_addf(b, "  %.1f/s  %llu s", tasks_per_s(p),
             (unsigned long long)(run_age_ms(p->run) / 1000));
    (void)s;
}

static void members_line(struct progress *p, struct buf *b)
{
    const struct tally *t = run_tally(p->run);
    struct sched *s = run_sched(p->run);
    size_t members;

    (void)run_members(p->run, &members);
    buf_addf(b, "  members %zu  slots %zu/%u busy  waiting %zu", members, s ? sched_running(s) : 0,
             run_conf(p->run)->slots, s ? sched_waiting(s) : 0);
    if (s && sched_delayed(s) > 0)
        buf_addf(b, "  retrying %zu", sched_delayed(s));
    buf_addf(b, "  ops %llu", (unsigned long long)t->ops);
    if (t->rotations > 0)
        buf_addf(b, "  rotations %llu", (unsigned long long)t->rotations);
}

static void target_line(struct progress *p, struct buf *b, const struct tally_target *t)
{
    struct limit_state l;
    uint64_t now = loop_now_ms(p->opts.loop);

    buf_addf(b, "  %-32.32s", t->name);
    add_counts(p, b, t->tasks);
    if (limiter_get(run_limiter(p->run), str_from(t->name), now, &l)) {
        buf_addf(b, "  %s%g/s%s", ink(p, INK_DIM), l.rate_per_s, ink(p, INK_NONE));
        if (l.slowed_until_ms > now)
            buf_addf(b, "  %sslowed %.1f s%s", ink(p, INK_YELLOW),
                     (double)(l.slowed_until_ms - now) / 1000, ink(p, INK_NONE));
    }
    if (t->hits_429 > 0)
        buf_addf(b, "  429×%llu", (unsigned long long)t->hits_429);
    if (t->hits_captcha > 0)
        buf_addf(b, "  captcha×%llu", (unsigned long long)t->hits_captcha);
    if (t->breaker_open)
        buf_addf(b, "  %sbreaker open%s", ink(p, INK_RED), ink(p, INK_NONE));
}

/* The busiest first, among those the ones that need a look. */
static bool is_before(const struct tally_target *a, const struct tally_target *b)
{
    if (!b || a->breaker_open != b->breaker_open)
        return !b || a->breaker_open;
    return a->ops > b->ops;
}

static size_t choose_targets(const struct tally *t, const struct tally_target **top)
{
    const struct tally_target *x;
    size_t it = 0, n = 0;

    while ((x = tally_target_next(t, &it))) {
        size_t at = n < TARGETS_SHOWN ? n : TARGETS_SHOWN;

        while (at > 0 && is_before(x, top[at - 1]))
            at--;
        if (at >= TARGETS_SHOWN)
            continue;
        if (n < TARGETS_SHOWN)
            n++;
        memmove(&top[at + 1], &top[at], (n - at - 1) * sizeof(*top));
        top[at] = x;
    }
    return n;
}

static void proxy_line(struct progress *p, struct buf *b)
{
    struct roster *r = run_roster(p->run);
    size_t n = roster_len(r);

    buf_adds(b, "  proxies");
    for (size_t i = 0; i < n && i < PROXIES_SHOWN; i++) {
        struct roster_info info;
        enum ink colour;

        roster_info(r, i, loop_now_ms(p->opts.loop), &info);
        colour = info.state == ROSTER_READY ? INK_GREEN : INK_YELLOW;
        buf_addf(b, "  %s %s%s%s %llu ok", info.id, ink(p, colour), roster_state_name(info.state),
                 ink(p, INK_NONE), (unsigned long long)info.ok);
        if (info.failed > 0)
            buf_addf(b, " %llu failed", (unsigned long long)info.failed);
    }
    if (n > PROXIES_SHOWN)
        buf_addf(b, "  and %zu more", n - PROXIES_SHOWN);
}

/* --- drawing --- */

static void erase(struct progress *p)
{
    char up[32];

    if (p->drawn == 0)
        return;
    snprintf(up, sizeof(up), "\033[%uA\r\033[J", p->drawn);
    put(p, str_from(up));
    p->drawn = 0;
}

static void emit(struct progress *p, struct buf *frame, struct buf *line)
{
    add_line(p, frame, buf_str(line));
    buf_reset(line);
}

static void draw(struct progress *p)
{
    const struct tally_target *top[TARGETS_SHOWN + 1] = {0};
    struct buf frame = BUF_INIT(BUF_MAX_LINE), line = BUF_INIT(BUF_MAX_LINE);
    size_t n = choose_targets(run_tally(p->run), top);

    if (p->drawn > 0)
        buf_addf(&frame, "\033[%uA\r", p->drawn);
    p->drawn = 0;
    head_line(p, &line);
    emit(p, &frame, &line);
    members_line(p, &line);
    emit(p, &frame, &line);
    for (size_t i = 0; i < n; i++) {
        target_line(p, &line, top[i]);
        emit(p, &frame, &line);
    }
    if (tally_targets(run_tally(p->run)) > n) {
        buf_addf(&line, "  and %zu targets more", tally_targets(run_tally(p->run)) - n);
        emit(p, &frame, &line);
    }
    if (run_roster(p->run)) {
        proxy_line(p, &line);
        emit(p, &frame, &line);
    }
    for (size_t i = 0; i < NEWS_SHOWN; i++) {
        if (!p->news[i][0])
            continue;
        buf_addf(&line, "  %s%s", ink(p, INK_DIM), p->news[i]);
        if (i + 1 == NEWS_SHOWN && p->again > 1)
            buf_addf(&line, " (%u times)", p->again);
        emit(p, &frame, &line);
    }
    buf_adds(&frame, "\033[J");
    put(p, buf_str(&frame));
    buf_deinit(&frame);
    buf_deinit(&line);
}

static void plain_line(struct progress *p)
{
    const struct tally *t = run_tally(p->run);
    struct sched *s = run_sched(p->run);
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    buf_addf(&b, "%s: %llu of %llu tasks", run_conf(p->run)->name, (unsigned long long)t->finished,
             (unsigned long long)t->total);
    add_counts(p, &b, t->done);
    buf_addf(&b, "  running %zu  waiting %zu  %.1f/s  %llu s\n", s ? sched_running(s) : 0,
             s ? sched_waiting(s) : 0, tasks_per_s(p),
             (unsigned long long)(run_age_ms(p->run) / 1000));
    put(p, buf_str(&b));
    buf_deinit(&b);
}

static void on_timer(struct loop_timer *timer)
{
    struct progress *p = container_of(timer, struct progress, timer);

    if (p->live)
        draw(p);
    else
        plain_line(p);
    loop_timer_start(p->opts.loop, &p->timer, p->live ? DRAW_MS : LINE_MS, on_timer);
}

/* A log line comes: the drawing makes room. */
static void on_log(void *arg, struct str line)
{
    struct progress *p = arg;

    erase(p);
    put(p, line);
    put(p, STR("\n"));
}

/* --- what happens --- */

static void news(struct progress *p, const char *fmt, ...) printf_like(2, 3);
static void news(struct progress *p, const char *fmt, ...)
{
    struct buf b = BUF_INIT(NEWS_MAX);
    va_list ap;

    if (p->opts.quiet)
        return;
    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    if (p->live && str_eqz(buf_str(&b), p->news[NEWS_SHOWN - 1])) {
        p->again++;
    } else if (p->live) {
        p->again = 1;
        memmove(p->news[0], p->news[1], sizeof(p->news) - sizeof(p->news[0]));
        snprintf(p->news[NEWS_SHOWN - 1], NEWS_MAX, "%.*s", STR_ARG(buf_str(&b)));
    } else {
        buf_addc(&b, '\n');
        put(p, buf_str(&b));
    }
    buf_deinit(&b);
}

static void on_breaker(void *arg, struct str target, bool open)
{
    news(arg, "breaker of %.*s %s", STR_ARG(target),
         open ? "opened: the target is left alone" : "closed");
}

static void on_slowed(void *arg, struct str target, uint64_t until_ms, const char *why)
{
    struct progress *p = arg;
    uint64_t now = loop_now_ms(p->opts.loop);

    news(p, "%.*s slowed for everybody: %s, next request in %.1f s", STR_ARG(target), why,
         until_ms > now ? (double)(until_ms - now) / 1000 : 0);
}

static void on_rotated(void *arg, const struct member *m, const char *from, const char *to,
                       enum status why)
{
    if (why != STATUS_OK)
        news(arg, "member %u: proxy %s -> %s after %s", m->index, from, to, status_name(why));
}

static void on_event(void *arg, const char *what, const struct member *m, const char *text)
{
    if (m)
        news(arg, "%s: member %u: %s", what, m->index, text ? text : "");
    else
        news(arg, "%s: %s", what, text ? text : "");
}

static void on_task(void *arg, const struct batch_task *t)
{
    struct progress *p = arg;
    char text[SENTENCE_MAX];

    if (t->status == STATUS_OK || p->first[t->status] || !t->error)
        return;
    snprintf(text, sizeof(text), "%s: %s", t->id, t->error);
    for (char *c = text; *c; c++) { /* it may quote a page */
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    }
    p->first[t->status] = xstrdup(text);
}

static void on_trouble(void *arg, const struct err *e)
{
    news(arg, "stopping: %s", err_text(e));
}

static void on_drain(void *arg, const char *why)
{
    news(arg, "%s: no new tasks; those running finish first", why);
}

struct run_watch progress_watch(struct progress *p)
{
    return (struct run_watch){
        .on_breaker = on_breaker,
        .on_slowed = on_slowed,
        .on_rotated = on_rotated,
        .on_task = on_task,
        .on_event = on_event,
        .on_trouble = on_trouble,
        .on_drain = on_drain,
        .arg = p,
    };
}

/* --- start and end --- */

static bool env_is(const char *name, const char *value)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    const char *v = getenv(name);

    return v && (value ? strcmp(v, value) == 0 : v[0] != '\0');
}

struct progress *progress_create(const struct progress_opts *o)
{
    struct progress *p = xcalloc(1, sizeof(*p));

    p->opts = *o;
    p->live = !o->quiet && isatty(o->fd) && !env_is("TERM", "dumb");
    p->colour = p->live && !env_is("NO_COLOR", NULL);
    p->turn = 1;
    return p;
}

void progress_start(struct progress *p, struct run *r)
{
    p->run = r;
    if (p->opts.quiet)
        return;
    p->running = true;
    if (p->live)
        log_set_sink(on_log, p);
    loop_timer_start(p->opts.loop, &p->timer, p->live ? 0 : LINE_MS, on_timer);
}

static void stop(struct progress *p)
{
    if (!p->running)
        return;
    p->running = false;
    loop_timer_stop(&p->timer);
    if (p->live) {
        erase(p);
        log_set_sink(NULL, NULL);
    }
}

void progress_destroy(struct progress **pp)
{
    struct progress *p = *pp;

    if (!p)
        return;
    stop(p);
    for (size_t i = 0; i < ARRAY_LEN(p->first); i++)
        free(p->first[i]);
    free(p);
    *pp = NULL;
}

/* --- the summary --- */

/* Each kind of failure with its number, and in full the first that was met. */
static void summary_errors(struct progress *p, struct buf *b)
{
    const struct tally *t = run_tally(p->run);

    for (int i = STATUS_OK + 1; i < STATUS_COUNT; i++) {
        if (!t->by_status[i])
            continue;
        buf_addf(b, "  %-20s %llu  %s%s%s\n", status_name((enum status)i),
                 (unsigned long long)t->by_status[i], ink(p, INK_DIM), status_text((enum status)i),
                 ink(p, INK_NONE));
        if (p->first[i])
            buf_addf(b, "    %s\n", p->first[i]);
    }
}

static void summary_targets(struct progress *p, struct buf *b)
{
    const struct tally *t = run_tally(p->run);
    const struct tally_target *x;
    size_t it = 0;

    if (tally_targets(t) > 20)
        return;
    while ((x = tally_target_next(t, &it))) {
        target_line(p, b, x);
        buf_addc(b, '\n');
    }
}

static void summary_files(struct progress *p, bool reported, struct buf *b)
{
    const struct campaign_conf *c = run_conf(p->run);
    const struct run_end *end = run_end(p->run);

    buf_addf(b, "  results  %s\n", c->output.results);
    if (reported)
        buf_addf(b, "  report   %s\n", c->output.report);
    if (c->audit.sink)
        buf_addf(b, "  receipts %s (%llu in the log)\n", c->audit.sink,
                 (unsigned long long)end->receipts);
}

void progress_finish(struct progress *p, struct run *r, bool reported)
{
    const struct tally *t = run_tally(r);
    const struct run_end *end = run_end(r);
    struct buf b = BUF_INIT(4 * (size_t)BUF_MAX_LINE);
    uint64_t left = t->total - t->finished;

    stop(p);
    if (p->opts.quiet)
        return;
    buf_addf(&b, "%s%s%s: %llu of %llu tasks in %.1f s", ink(p, INK_BOLD), run_conf(r)->name,
             ink(p, INK_NONE), (unsigned long long)t->finished, (unsigned long long)t->total,
             (double)end->took_ms / 1000);
    add_counts(p, &b, t->done);
    if (t->retries > 0)
        buf_addf(&b, "  %llu retries", (unsigned long long)t->retries);
    if (left > 0)
        buf_addf(&b, "  %s%llu not done%s", ink(p, INK_YELLOW), (unsigned long long)left,
                 ink(p, INK_NONE));
    buf_addf(&b, "\n  median %llu ms, 95%% below %llu ms\n",
             (unsigned long long)tally_quantile_ms(t, 0.5),
             (unsigned long long)tally_quantile_ms(t, 0.95));
    summary_errors(p, &b);
    summary_targets(p, &b);
    summary_files(p, reported, &b);
    put(p, buf_str(&b));
    buf_deinit(&b);
}
