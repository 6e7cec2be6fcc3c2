/* The demo from beginning to end:
 *
 *   take the directory -> sites and proxies -> write the files -> run the campaign -> look at what
 * it left -> list
 *
 * The loop is shared with the run. Before and after the run signals end the demo; during it they
 * are the run's. */
#include "browser/demo/verb_demo.h"

#include <signal.h>
#include <stdio.h>

#include "browser/chromium/args.h"
#include "browser/demo/files.h"
#include "browser/demo/left.h"
#include "browser/demo/promise.h"
#include "browser/demo/site.h"
#include "browser/demo/stage.h"
#include "core/base/file.h"
#include "core/cli/stop.h"
#include "core/record/verify.h"
#include "reaper/reaper.h"

enum { MEMBER_UIDS = 1000, MEMBER_UID_FIRST = 64000 };

struct demo {
    struct cli *cli;
    const char *dir;
    char *state_dir;
    uint16_t port;
    struct loop *loop;
    struct reaper *reaper;
    struct stage *stage;
    int lock;
    bool is_ready, is_gone;
    int signal;      /* that ends it, 0: none */
    struct err lost; /* of the stage; OK: it stands */
    struct promises promises;
};

/* --- waiting --- */

static void on_ready(void *arg, struct stage *s)
{
    struct demo *d = arg;

    (void)s;
    d->is_ready = true;
}

static void on_lost(void *arg, struct stage *s, const struct err *e)
{
    struct demo *d = arg;

    (void)s;
    d->lost = *e;
}

static void on_signal(void *arg, int signum)
{
    struct demo *d = arg;

    if (d->signal != 0)
        _exit(stop_exit_code(d->signal)); /* what runs in sandboxes ends with this process */
    d->signal = signum;
}

static enum status watch_signals(struct demo *d, bool on, struct err *e)
{
    enum status s = loop_signal(d->loop, SIGINT, on ? on_signal : NULL, d, e);

    return s == STATUS_OK ? loop_signal(d->loop, SIGTERM, on ? on_signal : NULL, d, e) : s;
}

static void wait_for(struct demo *d, const bool *done)
{
    while (!*done && d->signal == 0 && d->lost.status == STATUS_OK)
        loop_run_once(d->loop, 100);
}

/* --- the stage --- */

static enum status check_environment(struct err *e)
{
    struct arena *a = arena_create(NULL, 0);
    struct browser_program program;
    enum status s = browser_find(a, BROWSER_AUTO, &program, e);

    arena_destroy(&a);
    return s == STATUS_OK ? stage_check_programs(e) : s;
}

static enum status raise_stage(struct demo *d, struct err *e)
{
    const struct reaper_opts ro = {.state_dir = d->state_dir, .subreaper = true};
    const struct stage_opts so = {
        .site_port = d->port, .on_ready = on_ready, .on_lost = on_lost, .arg = d};
    struct stage_opts opts = so;
    enum status s = file_mkdirs(d->state_dir, 0700, e);

    if (s == STATUS_OK)
        s = reaper_start(d->loop, &ro, &d->reaper, e);
    if (s != STATUS_OK)
        return s;
    opts.loop = d->loop;
    opts.reaper = d->reaper;
    s = stage_start(&opts, &d->stage, e);
    if (s != STATUS_OK)
        return s;
    wait_for(d, &d->is_ready);
    if (d->lost.status != STATUS_OK)
        *e = d->lost;
    return d->lost.status;
}

static void on_gone(void *arg)
{
    *(bool *)arg = true;
}

/* Nothing interrupts this: it is short, and a second signal ends everything anyway. */
static void until(struct demo *d, const bool *done)
{
    while (!*done)
        loop_run_once(d->loop, 100);
}

static void strike_stage(struct demo *d)
{
    bool stage_gone = d->stage == NULL, reaper_gone = d->reaper == NULL;

    if (d->stage != NULL)
        stage_stop(d->stage, on_gone, &stage_gone);
    d->stage = NULL;
    until(d, &stage_gone);
    if (d->reaper != NULL)
        reaper_stop(d->reaper, on_gone, &reaper_gone);
    d->reaper = NULL;
    until(d, &reaper_gone);
}

/* --- telling --- */

static void tell_stage(const struct demo *d)
{
    const struct stage_info *i = stage_info(d->stage);

    printf("Sites     127.0.1.1-%d, port %u:", SITE_COUNT, i->site_port);
    for (size_t k = 0; k < SITE_COUNT; k++)
        printf(" %s", site_name((enum site_kind)k));
    printf("\nProxies   tinyproxy http://127.0.0.1:%u, microsocks socks5://127.0.0.1:%u, with "
           "credentials\n",
           i->http_port, i->socks_port);
    printf("Campaign  %s/campaign.json\n\n", d->dir);
    fflush(stdout);
}

static void tell_serving(const struct demo *d)
{
    printf("Serving until Ctrl-C. In another terminal:\n\n"
           "  fleet run %s/campaign.json\n\n"
           "or open http://%s:%u/ in a browser. A breaker that a run opened stays open until\n"
           "  fleet breaker reset %s\n",
           d->dir, site_address(SITE_SHOP), stage_info(d->stage)->site_port,
           site_address(SITE_GUARDED));
    fflush(stdout);
}

/* --- the run and what comes after --- */

static int run_campaign(struct demo *d)
{
    cleanup_free char *path = file_join(d->dir, "campaign.json");
    const struct campaign_source source = {
        .path = path,
        .executor = cli_program(d->cli)->kit->executor,
    };
    struct run_watch watch = promises_watch(&d->promises, d->loop);
    struct arena *a = arena_create(NULL, 0);
    struct buf errors = BUF_INIT(BUF_MAX_MESSAGE);
    struct campaign_conf conf;
    struct err e = ERR_INIT;
    int code;

    if (campaign_load_from(a, &source, &conf, &errors, &e) == STATUS_OK) {
        const struct cli_run_opts opts = {
            .conf = &conf, .state_dir = d->state_dir, .extra = &watch, .loop = d->loop};

        code = cli_run(d->cli, &opts);
    } else {
        fputs(errors.len > 0 ? errors.ptr : err_text(&e), stderr);
        code = status_exit(e.status);
    }
    buf_deinit(&errors);
    arena_destroy(&a);
    return code;
}

static void check_chain(struct demo *d)
{
    cleanup_free char *path = file_join(d->dir, "audit.ndjson");
    const struct audit_verify_opts opts = {.path = path};
    struct audit_verdict v = {.exit_code = AUDIT_EXIT_NO_KEY};
    struct err e = ERR_INIT;

    if (audit_verify(&opts, &v, &e) != STATUS_OK)
        snprintf(v.reason, sizeof v.reason, "%s", err_text(&e));
    promises_add(&d->promises, "audit chain", v.exit_code == AUDIT_EXIT_OK, "%s", v.reason);
}

static void check_left(struct demo *d)
{
    struct left left;

    left_count(d->state_dir, MEMBER_UID_FIRST, geteuid() == 0 ? MEMBER_UIDS : 0, &left);
    promises_add(&d->promises, "nothing left", left.processes == 0 && left.dirs == 0,
                 "%u processes, %u directories%s%s", left.processes, left.dirs,
                 left.names.len > 0 ? ": " : "", buf_str(&left.names).ptr);
    left_deinit(&left);
}

/* Did the run come to its end? Failed tasks and an open breaker are what the demo is for. */
static bool ran(int code)
{
    return code == EXIT_OK || code == EXIT_PARTIAL || code == EXIT_BREAKER;
}

static int judge(struct demo *d)
{
    struct err e = ERR_INIT;
    bool all;

    if (promises_check(&d->promises, d->dir, &e) != STATUS_OK)
        return cli_fail(d->cli, &e);
    check_chain(d);
    printf("  pictures %s/out/\n\n", d->dir);
    fflush(stdout);
    if (cli_has(d->cli, "keep")) {
        tell_serving(d);
        wait_for(d, &d->is_gone);
    }
    strike_stage(d);
    check_left(d);
    printf("What the demo promises, and what was seen:\n");
    promises_print(&d->promises);
    all = promises_all_kept(&d->promises);
    printf("\n%s\n", all ? "All that the demo promises was seen."
                         : "Something that the demo promises was not seen.");
    return all ? EXIT_OK : EXIT_INTERNAL;
}

static int perform(struct demo *d)
{
    struct err e = ERR_INIT;
    int code;

    if (raise_stage(d, &e) != STATUS_OK)
        return cli_fail(d->cli, &e);
    if (d->signal != 0)
        return stop_exit_code(d->signal);
    if (files_write(d->dir, stage_info(d->stage), &e) != STATUS_OK)
        return cli_fail(d->cli, &e);
    tell_stage(d);
    if (cli_has(d->cli, "serve-only")) {
        tell_serving(d);
        wait_for(d, &d->is_gone);
        return d->signal != 0 ? stop_exit_code(d->signal) : cli_fail(d->cli, &d->lost);
    }
    code = run_campaign(d);
    if (watch_signals(d, true, &e) != STATUS_OK)
        return cli_fail(d->cli, &e);
    return ran(code) ? judge(d) : code;
}

static int play(struct demo *d)
{
    struct err e = ERR_INIT;
    int code;

    if (loop_create(&d->loop, NULL, &e) != STATUS_OK)
        return cli_fail(d->cli, &e);
    if (watch_signals(d, true, &e) == STATUS_OK)
        code = perform(d);
    else
        code = cli_fail(d->cli, &e);
    strike_stage(d);
    if (watch_signals(d, false, &e) != STATUS_OK)
        code = cli_fail(d->cli, &e);
    loop_destroy(&d->loop);
    return code;
}

static bool port_of(const struct cli *c, uint16_t *out)
{
    const char *text = cli_get(c, "port");
    uint64_t port = 0;

    if (text != NULL && !str_to_u64(str_from(text), UINT16_MAX, &port))
        return false;
    *out = (uint16_t)port;
    return true;
}

static int demo(struct cli *c)
{
    struct demo d = {.cli = c, .dir = cli_get(c, "dir"), .lock = -1};
    struct err e = ERR_INIT;
    int code;

    if (d.dir == NULL)
        d.dir = "fleet-demo";
    if (!port_of(c, &d.port))
        return cli_usage(c, "--port: found \"%s\", expected 0..65535", cli_get(c, "port"));
    if (check_environment(&e) != STATUS_OK || files_take_dir(d.dir, &d.lock, &e) != STATUS_OK)
        return cli_fail(c, &e);
    d.state_dir = file_join(d.dir, ".fleet");
    code = play(&d);
    free(d.state_dir);
    close(d.lock);
    return code;
}

static const struct cli_option demo_options[] = {
    {"dir", 'd', "DIR",
     "where campaign, flows, results and report are written; default: fleet-demo"},
    {"port", 'p', "N",
     "port of the sites on 127.0.1.1 to 127.0.1.7; default: 8087, or one that is free"},
    {"serve-only", 0, NULL,
     "write the files and serve sites and proxies until Ctrl-C; run nothing"},
    {"keep", 0, NULL, "go on serving after the campaign, until Ctrl-C"},
    {NULL, 0, NULL, NULL},
};

const struct cli_verb verb_demo = {
    .name = "demo",
    .summary = "Run a campaign against sites and proxies of its own",
    .usage = "",
    .options = demo_options,
    .details =
        "57 tasks by 8 members on 4 slots, through two real proxies with credentials: a catalogue "
        "is\n"
        "read, articles are photographed, every member signs up; one site answers 429, one asks "
        "for\n"
        "a person, one never finishes loading, one hangs. Then it says of each thing that a "
        "campaign\n"
        "is protected by whether it was really seen. Exit codes: 0 all was seen, 1 not all, 9 a\n"
        "browser or a proxy program is not installed, 130 and 143 stopped by a signal.",
    .run = demo,
};

static int demo_site(struct cli *c)
{
    uint64_t preferred = 0;
    uint16_t port;

    if (!port_of(c, &port) || (cli_get(c, "prefer") != NULL &&
                               !str_to_u64(str_from(cli_get(c, "prefer")), UINT16_MAX, &preferred)))
        return cli_usage(c, "a port is expected to be 0..65535");
    return stage_site_main(port, (uint16_t)preferred);
}

static const struct cli_option site_options[] = {
    {"port", 'p', "N", "port of the sites; 0: any"},
    {"prefer", 0, "N", "port that is tried first"},
    {NULL, 0, NULL, NULL},
};

const struct cli_verb verb_demo_site = {
    .name = "demo-site",
    .summary = "Serve the demo's sites; tells its port on descriptor 3",
    .hidden = true,
    .usage = "",
    .options = site_options,
    .run = demo_site,
};
