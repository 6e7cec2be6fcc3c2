/* One campaign on this terminal: loop, signals, progress, report, exit code. */
#include <stdio.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/cli/cli_internal.h"
#include "core/cli/progress.h"
#include "core/cli/stop.h"
#include "core/record/verify.h"
#include "core/report/report.h"

enum {
    VERIFY_MAX = 20000, /* receipts; some 50 us each: longer logs are left to `audit verify` */
};

struct session {
    const struct cli *cli;
    const struct cli_run_opts *opts;
    struct loop *loop;
    struct run *run;
    struct progress *progress;
    struct report *report;
    struct stop stop;
    bool is_over;
};

static void drain(void *arg, const char *why)
{
    struct session *s = arg;

    run_drain(s->run, why);
}

/* --- the end --- */

/* Checks the chain as `audit verify` does. False: it does not verify. */
static bool verify(const struct session *s, struct audit_verdict *v)
{
    cleanup_free char *path = file_join(run_state_dir(s->run), "log.sqlite");
    const struct audit_verify_opts opts = {.path = path};
    struct err e = ERR_INIT;

    *v = (struct audit_verdict){0};
    if (run_end(s->run)->receipts > VERIFY_MAX) {
        v->exit_code = AUDIT_EXIT_NO_KEY;
        snprintf(v->reason, sizeof(v->reason),
                 "not checked at the end of a run, for its %llu receipts: \"%s audit verify\" does",
                 (unsigned long long)run_end(s->run)->receipts, s->cli->program->name);
        return true;
    }
    if (audit_verify(&opts, v, &e) != STATUS_OK) {
        v->exit_code = AUDIT_EXIT_NO_KEY;
        snprintf(v->reason, sizeof(v->reason), "%s", err_text(&e));
        return true; /* not readable is not broken; the reason is told */
    }
    return v->exit_code != AUDIT_EXIT_TAMPERED && v->exit_code != AUDIT_EXIT_TRUNCATED;
}

/* False when it could not be written, which was said. */
static bool write_report(struct session *s, const struct audit_verdict *v, bool verified)
{
    const char *path = s->opts->conf->output.report;
    struct buf html = BUF_INIT(BUF_MAX_FILE);
    struct err e = ERR_INIT;

    report_render(s->report, s->run, v->reason, verified && v->exit_code != AUDIT_EXIT_NO_KEY,
                  &html);
    if (buf_status(&html) != STATUS_OK)
        err_set(&e, STATUS_TOO_LARGE, "%s: more than %d bytes", path, BUF_MAX_FILE);
    else
        (void)!file_replace(path, buf_str(&html), 0644, &e);
    if (e.status != STATUS_OK)
        fprintf(stderr, "%s: report: %s\n", s->cli->program->name, err_text(&e));
    buf_deinit(&html);
    return e.status == STATUS_OK;
}

static struct json *summary_json(struct session *s, const struct audit_verdict *v, int code)
{
    const struct run_end *end = run_end(s->run);
    const struct campaign_conf *c = s->opts->conf;
    struct json *j = tally_to_json(run_tally(s->run)), *audit = json_new_object();

    json_add_str(j, "campaign", c->name);
    json_add_num(j, "took_ms", (double)end->took_ms);
    json_add_str(j, "batch", end->batch);
    json_add_num(j, "before", (double)end->before);
    json_add_bool(j, "drained", end->drained);
    json_add_str(j, "trouble", end->status == STATUS_OK ? NULL : err_text(&end->err));
    json_add_str(j, "results", c->output.results);
    json_add_str(j, "report", c->output.report);
    json_add_num(audit, "receipts", (double)end->receipts);
    json_add_str(audit, "open", end->open);
    json_add_str(audit, "close", end->close);
    json_add_str(audit, "verdict", v->reason);
    json_add(j, "audit", audit);
    if (end->executor)
        json_add(j, "executor", json_dup(end->executor));
    return json_add_num(j, "exit_code", code);
}

static int exit_code(const struct session *s, bool verified)
{
    if (s->stop.signal)
        return stop_exit_code(s->stop.signal);
    if (!verified)
        return EXIT_AUDIT;
    return run_exit_code(s->run);
}

/* --- campaigns that are not finished --- */

/* What an earlier process left, and how to go on with it. One line. */
static void tell_unfinished(const struct session *s)
{
    struct engine *e = run_engine(s->run);
    char newest[BATCH_ID_MAX] = "", name[64] = "";
    struct batch *b;
    size_t it = 0, n = 0;

    while ((b = engine_next(e, &it))) {
        struct batch_info info;

        batch_info(b, &info);
        if (batch_is_over(info.state) || !info.brings_engine ||
            (s->opts->resume && strcmp(info.id, s->opts->resume) == 0))
            continue;
        snprintf(newest, sizeof(newest), "%s", info.id);
        snprintf(name, sizeof(name), "%s", info.name);
        n++;
    }
    if (n == 0 || s->opts->quiet)
        return;
    fprintf(stderr, "%s: an earlier campaign is not finished: %s (%s)", s->cli->program->name,
            newest, name);
    if (n > 1)
        fprintf(stderr, ", and %zu more", n - 1);
    fprintf(stderr, "; \"%s resume %s\" goes on with it\n", s->cli->program->name, newest);
}

static void tell_resumable(const struct session *s)
{
    const struct run_end *end = run_end(s->run);

    if (end->batch[0] && !end->close[0] && s->opts->files && !s->opts->quiet)
        fprintf(stderr, "%s: \"%s resume %s\" goes on with what is left\n", s->cli->program->name,
                s->cli->program->name, end->batch);
}

static int finish(struct session *s)
{
    const struct run_end *end = run_end(s->run);
    struct audit_verdict v;
    bool verified = verify(s, &v);
    int code = exit_code(s, verified);

    progress_finish(s->progress, s->run, write_report(s, &v, verified));
    if (end->status != STATUS_OK)
        (void)cli_fail(s->cli, &end->err);
    tell_resumable(s);
    if (!verified)
        fprintf(stderr, "%s: the audit chain does not verify: %s\n", s->cli->program->name,
                v.reason);
    if (s->opts->on_over)
        s->opts->on_over(s->opts->arg, s->run);
    if (s->opts->json) {
        struct json *j = summary_json(s, &v, code);

        if (cli_print_json(s->cli, j) != EXIT_OK)
            code = EXIT_ENVIRONMENT;
        json_destroy(&j);
    }
    return code;
}

/* --- the whole --- */

static void on_over(void *arg, struct run *r)
{
    struct session *s = arg;

    (void)r;
    s->is_over = true;
    loop_stop(s->loop);
}

static enum status make(struct session *s, struct err *e)
{
    const struct progress_opts show = {
        .loop = s->loop,
        .fd = STDERR_FILENO,
        .quiet = s->opts->quiet || s->opts->json,
    };
    struct run_opts opts = {
        .loop = s->loop,
        .conf = s->opts->conf,
        .files = s->opts->files,
        .resume = s->opts->resume,
        .abandon = s->opts->abandon,
        .kit = s->cli->program->kit,
        .state_dir = s->opts->state_dir,
    };
    enum status st;

    s->report = report_create();
    s->progress = progress_create(&show);
    opts.watch[opts.n_watch++] = progress_watch(s->progress);
    opts.watch[opts.n_watch++] = report_watch(s->report);
    if (s->opts->extra)
        opts.watch[opts.n_watch++] = *s->opts->extra;
    st = run_create(&opts, &s->run, e);
    return st == STATUS_OK ? stop_watch(&s->stop, s->loop, drain, s, e) : st;
}

int cli_run(const struct cli *c, const struct cli_run_opts *opts)
{
    struct session s = {.cli = c, .opts = opts, .loop = opts->loop};
    struct err e = ERR_INIT;
    enum status st = STATUS_OK;
    int code;

    if (!s.loop)
        st = loop_create(&s.loop, NULL, &e);
    if (st == STATUS_OK)
        st = make(&s, &e);
    if (st == STATUS_OK) {
        tell_unfinished(&s);
        progress_start(s.progress, s.run);
        run_start(s.run, on_over, &s);
        while (!s.is_over)
            loop_run(s.loop);
        code = finish(&s);
    } else {
        code = cli_fail(c, &e);
    }
    stop_unwatch(&s.stop);
    progress_destroy(&s.progress);
    run_destroy(&s.run);
    report_destroy(&s.report);
    if (!opts->loop)
        loop_destroy(&s.loop);
    return code;
}
