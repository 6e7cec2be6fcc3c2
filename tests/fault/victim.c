#include "tests/fault/victim.h"

#include "core/base/log.h"
#include "core/record/audit.h"
#include "core/substrate/substrate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW = 40, EXIT_REFUSED = 3 };

struct victim {
    struct loop *loop;
    struct audit *audit;
    struct substrate *s;
    uint64_t steps, sent, done;
    size_t n_schedules, n_timers;
    enum status status;
    unsigned closed;
};

static void tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *fmt, ...)
{
    char line[256]; /* below PIPE_BUF: whole or not at all */
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (write(STDOUT_FILENO, line, (size_t)n) != n)
        _exit(9);
}

static void step(struct victim *v);

static bool answered(struct victim *v, enum status s, const struct err *e)
{
    v->done++;
    if (s != STATUS_OK && v->status == STATUS_OK) {
        v->status = s;
        (void)fprintf(stderr, "# %s\n", e ? err_text(e) : status_text(s));
    }
    return s == STATUS_OK;
}

static void on_receipt(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                       const struct err *e)
{
    char hex[AUDIT_HEX_MAX];

    if (answered(arg, s, e))
        tell("R %" PRIu64 " %s\n", seq, audit_hex(leaf, hex));
    step(arg);
}

/* An event's subject is told with it; it is kept beside the call. */
struct emitted {
    struct victim *v;
    char subject[48];
};

static void on_event(void *arg, enum status s, uint64_t seq, bool duplicate maybe_unused,
                     const struct err *e)
{
    struct emitted *x = arg;

    if (answered(x->v, s, e))
        tell("E %" PRIu64 " %s\n", seq, x->subject);
    step(x->v);
    free(x);
}

static void on_count(void *arg, enum status s, int64_t value, const struct err *e)
{
    if (answered(arg, s, e))
        tell("C %" PRId64 "\n", value);
    step(arg);
}

static void on_put(void *arg, enum status s, uint64_t seq, uint64_t wait_ms maybe_unused,
                   const struct err *e)
{
    if (answered(arg, s, e))
        tell("P %" PRIu64 "\n", seq);
    step(arg);
}

static void on_fences(void *arg, enum status s, uint64_t first, const struct err *e)
{
    if (answered(arg, s, e))
        tell("F %" PRIu64 "\n", first);
    step(arg);
}

static void on_released(void *arg, enum status s, const struct err *e)
{
    (void)answered(arg, s == STATUS_LEASE_LOST ? STATUS_OK : s, e); /* it lasts a millisecond */
    step(arg);
}

static void on_lease(void *arg, enum status s, const struct substrate_lease *l, const struct err *e)
{
    struct victim *v = arg;

    if (s == STATUS_BUSY) { /* the one before us has it yet */
        v->done++;
        step(v);
        return;
    }
    if (answered(v, s, e)) {
        tell("L %" PRIu64 "\n", l->fence);
        v->sent++;
        substrate_lease_release(v->s, "l", l->fence, on_released, v);
    }
    step(v);
}

static void on_scheduled(void *arg, enum status s, const struct err *e)
{
    struct emitted *x = arg;

    if (answered(x->v, s, e))
        tell("S %s\n", x->subject);
    step(x->v);
    free(x);
}

static struct emitted *subject_of(struct victim *v, const char *kind)
{
    struct emitted *x = xcalloc(1, sizeof(*x));

    x->v = v;
    (void)snprintf(x->subject, sizeof(x->subject), "%s-%d-%" PRIu64, kind, (int)getpid(), v->sent);
    return x;
}

/* --- what it does --- */

static void do_receipt(struct victim *v)
{
    char op[40];
    const struct receipt r = {.kind = "op",
                              .op = op,
                              .target = "a.example",
                              .outcome = "ok",
                              .payload = STR("{\"status\":200}")};

    (void)snprintf(op, sizeof(op), "op.%" PRIu64, v->sent);
    audit_append(v->audit, &r, on_receipt, v);
}

static void do_event(struct victim *v)
{
    struct emitted *x = subject_of(v, "e");
    const struct substrate_event ev = {.type = "task.succeeded",
                                       .subject = x->subject,
                                       .id = x->subject,
                                       .data = STR("{\"ok\":true}")};

    substrate_emit(v->s, &ev, on_event, x);
}

static void do_schedule(struct victim *v)
{
    struct emitted *x = subject_of(v, "s");
    const struct substrate_event ev = {
        .type = "alarm.rang", .subject = x->subject, .id = x->subject};

    substrate_schedule(v->s, &ev, 0, v->sent % 30, on_scheduled, x);
}

static void do_count(struct victim *v)
{
    substrate_count(v->s, "n", 1, on_count, v);
}

static void do_put(struct victim *v)
{
    substrate_stream_put(v->s, "out", NULL, STR("an entry of the stream"), on_put, v);
}

static void do_fences(struct victim *v)
{
    substrate_fences(v->s, 3, on_fences, v);
}

static void do_lease(struct victim *v)
{
    char holder[32];

    (void)snprintf(holder, sizeof(holder), "victim-%d-%" PRIu64, (int)getpid(), v->sent);
    substrate_lease_acquire(v->s, "l", holder, 1, on_lease, v);
}

static void step(struct victim *v)
{
    static void (*const todo[])(struct victim *) = {do_receipt, do_event, do_receipt, do_count,
                                                    do_receipt, do_put,   do_fences,  do_lease,
                                                    do_receipt, do_event, do_schedule};

    while (v->status == STATUS_OK && (v->steps == 0 || v->sent < v->steps) &&
           v->sent - v->done < WINDOW) {
        size_t i = (size_t)(v->sent++ % ARRAY_LEN(todo));

        todo[i](v);
    }
}

/* --- life --- */

static void on_closed(void *arg)
{
    ((struct victim *)arg)->closed++;
}

static void on_stream(void *arg, enum status s, const struct err *e)
{
    struct victim *v = arg;

    if (answered(v, s, e))
        tell("O\n");
    step(v);
}

static int refuse(const char *what, enum status s, const struct err *e)
{
    tell("X %s\n", status_name(s));
    (void)fprintf(stderr, "# %s: %s\n", what, err_text(e));
    return EXIT_REFUSED;
}

int victim_main(int argc, char **argv)
{
    const struct substrate_stream_conf conf = {.type = "entry-1", .high_items = 1ull << 40};
    struct victim v = {.steps = argc > 4 ? strtoull(argv[4], NULL, 10) : 0};
    struct audit_opts ao = {.sink = argc > 2 && strcmp(argv[2], "-") != 0 ? argv[2] : NULL};
    struct substrate_opts so = {.node = "victim"};
    struct err e = ERR_INIT;
    enum status s;

    if (argc < 5)
        return 2;
    log_set(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    ao.sign = strcmp(argv[3], "each") == 0 ? AUDIT_SIGN_EACH : AUDIT_SIGN_CHECKPOINT;
    s = loop_create(&v.loop, NULL, &e);
    if (s == STATUS_OK)
        s = audit_open(v.loop, argv[1], &ao, &v.audit, &e);
    if (s != STATUS_OK)
        return refuse("open the log", s, &e);
    so.hlc = audit_hlc(v.audit);
    s = substrate_open_local(v.loop, audit_db(v.audit), &so, &v.s, &e);
    if (s != STATUS_OK)
        return refuse("open the substrate", s, &e);
    v.sent++;
    substrate_stream_open(v.s, "out", &conf, on_stream, &v);
    while (v.done < v.sent)
        loop_run_once(v.loop, 1000);
    if (v.status != STATUS_OK)
        tell("X %s\n", status_name(v.status));
    substrate_close(v.s, on_closed, &v);
    while (v.closed < 1)
        loop_run_once(v.loop, 1000);
    audit_close(v.audit, on_closed, &v);
    while (v.closed < 2)
        loop_run_once(v.loop, 1000);
    loop_destroy(&v.loop);
    return v.status == STATUS_OK ? 0 : EXIT_REFUSED;
}
