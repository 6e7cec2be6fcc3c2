#include "tests/support/engine_victim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/rng.h"
#include "tests/support/engines.h"

enum { TASKS_MAX = 40, OPEN_MAX = 6, EVERY_MS = 4, IDS_MAX = 64 };

struct victim {
    const struct victim_opts *opts;
    struct engine_rig rig;
    struct rng rng;
    struct loop_timer timer;
    unsigned submitted, unanswered;
    char specs[IDS_MAX][4096]; /* of the keys submitted in this life, to be submitted again */
    size_t n_specs;
    bool paused, over;
};

static void tell(struct victim *v, const char *fmt, ...) printf_like(2, 3);
static void tell(struct victim *v, const char *fmt, ...)
{
    char line[256];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (n <= 0 || (size_t)n >= sizeof(line) || write(v->opts->out, line, (size_t)n) != n)
        _exit(4);
}

/* --- what is told --- */

static void on_task(void *arg, struct batch *b, const struct batch_task *t)
{
    tell(arg, "T %s %u %s %s\n", batch_id(b), t->index, task_state_name(t->state), t->receipt);
}

static void on_batch(void *arg, struct batch *b, enum batch_state s)
{
    if (batch_is_over(s))
        tell(arg, "O %s %s\n", batch_id(b), batch_state_name(s));
}

static void on_trouble(void *arg, const struct err *e)
{
    tell(arg, "X %s %.150s\n", status_name(e->status), err_text(e));
}

/* --- operations --- */

static void on_submitted(void *arg, enum status s, struct batch *b, const struct err *e)
{
    struct victim *v = arg;
    struct batch_info info;

    v->unanswered--;
    if (s != STATUS_OK) {
        tell(v, "X %s %.150s\n", status_name(s), err_text(e));
        return;
    }
    batch_info(b, &info);
    tell(v, "B %s %llu %s\n", info.id, (unsigned long long)info.total, info.key);
}

static void submit_text(struct victim *v, const char *json)
{
    struct buf errors = BUF_INIT(BUF_MAX_LINE);
    struct err e = ERR_INIT;
    struct batch_spec spec;

    if (batch_spec_decode(v->rig.engine, str_from(json), &spec, &errors, &e) != STATUS_OK) {
        tell(v, "X INVALID %.150s\n", err_text(&e));
    } else {
        v->unanswered++;
        engine_submit(v->rig.engine, &spec, on_submitted, v);
    }
    buf_deinit(&errors);
}

static void add_targets(struct victim *v, struct buf *json)
{
    static const char *const whats[] = {"", "", "", "", "slow", "again", "fail", "once"};
    uint64_t n = 1 + rng_below(&v->rng, TASKS_MAX);

    buf_adds(json, ",\"targets\":[");
    for (uint64_t i = 0; i < n; i++)
        buf_addf(json, "%s{\"url\":\"http://127.0.0.%u/\",\"do\":\"%s\"}", i ? "," : "",
                 1 + (unsigned)rng_below(&v->rng, 3), whats[rng_below(&v->rng, ARRAY_LEN(whats))]);
    buf_addc(json, ']');
}

static void submit(struct victim *v)
{
    static const char *const kinds[] = {"batch", "batch", "plan", "broadcast", "pipeline"};
    const char *kind = kinds[rng_below(&v->rng, ARRAY_LEN(kinds))];
    struct buf json = BUF_INIT(BUF_MAX_LINE);

    buf_addf(&json, "{\"key\":\"%s%u\",\"coordinator\":\"%s\",\"priority\":%d,%s",
             v->opts->key_prefix, v->submitted, kind, (int)rng_below(&v->rng, 5) - 2,
             strcmp(kind, "pipeline") == 0 ? "\"stages\":[{},{},{}]" : "\"flow\":{}");
    add_targets(v, &json);
    buf_addc(&json, '}');
    if (v->n_specs < IDS_MAX && json.len < sizeof(v->specs[0]))
        memcpy(v->specs[v->n_specs++], json.ptr, json.len + 1);
    v->submitted++;
    submit_text(v, json.ptr);
    buf_deinit(&json);
}

struct wish {
    struct victim *victim;
    char id[BATCH_ID_MAX];
};

static void on_wish(void *arg, enum status s, const struct err *e)
{
    struct wish *w = arg;

    (void)e;
    if (s == STATUS_OK)
        tell(w->victim, "C %s\n", w->id);
    free(w);
}

static void cancel_one(struct victim *v)
{
    size_t it = 0;
    struct batch *b;

    while ((b = engine_next(v->rig.engine, &it))) {
        struct wish *w;

        if (batch_state(b) != BATCH_PROCESSING || rng_below(&v->rng, 3))
            continue;
        w = xcalloc(1, sizeof(*w));
        w->victim = v;
        snprintf(w->id, sizeof(w->id), "%s", batch_id(b));
        batch_cancel(b, on_wish, w);
        return;
    }
}

static bool is_done(struct victim *v)
{
    struct engine_stats s;

    engine_stats(v->rig.engine, &s);
    return v->opts->batches && v->submitted >= v->opts->batches && v->unanswered == 0 &&
           s.batches_open == 0;
}

static void act(struct victim *v)
{
    bool may_submit = !v->opts->batches || v->submitted < v->opts->batches;
    struct engine_stats s;

    engine_stats(v->rig.engine, &s);
    switch (rng_below(&v->rng, 12)) {
    case 0:
        v->paused = !v->paused;
        engine_pause(v->rig.engine, v->paused && may_submit);
        break;
    case 1:
        (void)!engine_scale(v->rig.engine, 1 + (uint32_t)rng_below(&v->rng, 8), NULL);
        break;
    case 2:
        if (rng_below(&v->rng, 4) == 0)
            cancel_one(v);
        break;
    case 3:
        if (v->n_specs > 0)
            submit_text(v, v->specs[rng_below(&v->rng, v->n_specs)]);
        break;
    default:
        if (may_submit && s.batches_open < OPEN_MAX)
            submit(v);
        break;
    }
    if (!may_submit && v->paused) {
        v->paused = false;
        engine_pause(v->rig.engine, false);
    }
}

static void on_time(struct loop_timer *t)
{
    struct victim *v = container_of(t, struct victim, timer);

    act(v);
    if (is_done(v) || v->rig.has_trouble)
        v->over = true;
    else
        loop_timer_start(v->rig.loop, &v->timer, EVERY_MS, on_time);
}

int engine_victim(const struct victim_opts *o)
{
    static struct victim v;
    const struct engine_watch watch = {
        .on_task = on_task, .on_batch = on_batch, .on_trouble = on_trouble, .arg = &v};
    struct err e = ERR_INIT;
    size_t n;

    memset(&v, 0, sizeof(v));
    v.opts = o;
    rng_seed_u64(&v.rng, o->seed);
    engine_rig_open(&v.rig, o->state_dir, "\"members\":{\"count\":3},\"slots\":3,");
    engine_watch_add(v.rig.engine, &watch);
    if (engine_resume_all(v.rig.engine, &n, &e) != STATUS_OK)
        tell(&v, "X %s %.150s\n", status_name(e.status), err_text(&e));
    engine_rig_start(&v.rig);
    tell(&v, "E %llu\n", (unsigned long long)engine_epoch(v.rig.engine));
    loop_timer_start(v.rig.loop, &v.timer, 0, on_time);
    while (!v.over)
        loop_run_once(v.rig.loop, 100);
    loop_timer_stop(&v.timer);
    engine_rig_close(&v.rig);
    return v.rig.has_trouble ? 3 : 0;
}
