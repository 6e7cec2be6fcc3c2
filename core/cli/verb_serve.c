/* `serve`: engine, control API, further faces, signals, end. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/api/api.h"
#include "core/api/listener.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/cli/cli.h"
#include "core/cli/serve.h"
#include "core/cli/stop.h"

enum { FACES_MAX = 4, RUN_DIR_MODE = 0700 };

static const struct cli_option options[] = {
    {"config", 'c', "FILE",
     "a campaign's keys without flow and targets; - is standard input; default: none"},
    {"listen", 0, "ADDRESS:PORT", "where clients of the DevTools gateway connect"},
    {"json", 0, NULL, "print one line of JSON once it serves"},
    {"quiet", 'q', NULL, "say nothing but errors"},
    {NULL, 0, NULL, NULL},
};

struct serve {
    struct cli *cli;
    struct loop *loop;
    struct engine *engine;
    struct api *api;
    char *socket;
    void *faces[FACES_MAX];
    struct stop stop;
    size_t resumed;
    unsigned n_closing;
    bool draining, is_over, is_closed;
    struct err failed; /* to start */
};

static void say(const struct serve *s, const char *fmt, ...) printf_like(2, 3);
static void say(const struct serve *s, const char *fmt, ...)
{
    va_list ap;

    if (cli_has(s->cli, "quiet") || cli_has(s->cli, "json"))
        return;
    fprintf(stderr, "%s: ", cli_program(s->cli)->name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

static size_t n_faces(const struct serve *s)
{
    const struct serve_face *const *v = cli_program(s->cli)->faces;
    size_t n = 0;

    while (v && v[n])
        n++;
    BUG_ON(n > FACES_MAX);
    return n;
}

static const struct serve_face *face(const struct serve *s, size_t i)
{
    return cli_program(s->cli)->faces[i];
}

/* --- drain --- */

static void drain(void *arg, const char *why)
{
    struct serve *s = arg;

    if (!s->draining)
        say(s, "%s: what runs is finished, nothing new is taken", why);
    s->draining = true;
    for (size_t i = 0; i < n_faces(s); i++) {
        if (s->faces[i])
            face(s, i)->drain(s->faces[i]);
    }
    engine_drain(s->engine, why);
}

static void on_api_drain(void *arg)
{
    struct serve *s = arg;

    if (!s->draining)
        drain(s, "drain was asked for");
}

/* --- start --- */

static void on_trouble(void *arg, const struct err *e)
{
    const struct serve *s = arg;

    fprintf(stderr, "%s: %s\n", cli_program(s->cli)->name, err_text(e));
}

static void on_event(void *arg, const char *what, const struct member *m, const char *text)
{
    (void)arg;
    (void)m;
    log_info(NULL, "engine.event", LOG_STR("what", what), LOG_STR("text", text));
}

static void tell_ready(const struct serve *s)
{
    struct buf line = BUF_INIT(BUF_MAX_LINE);

    if (cli_has(s->cli, "json")) {
        buf_adds(&line, "{\"socket\":");
        json_print_str(str_from(s->socket), &line);
        buf_addf(&line, ",\"pid\":%d,\"resumed\":%zu}\n", (int)getpid(), s->resumed);
        fputs(line.ptr, stdout);
        fflush(stdout);
    }
    buf_deinit(&line);
    if (s->resumed)
        say(s, "goes on with %zu batch%s of before", s->resumed, s->resumed == 1 ? "" : "es");
    say(s, "serves on %s, process %d; Ctrl-C drains", s->socket, (int)getpid());
}

static void on_ready(void *arg, enum status st, const struct err *e)
{
    struct serve *s = arg;

    if (st == STATUS_OK)
        tell_ready(s);
    else
        s->failed = *e;
}

static enum status open_faces(struct serve *s, struct err *e)
{
    const char *listen = cli_get(s->cli, "listen");

    for (size_t i = 0; i < n_faces(s); i++) {
        enum status st = face(s, i)->open(s->cli, s->engine, listen, &s->faces[i], e);

        if (st != STATUS_OK)
            return err_prefix(e, "%s", face(s, i)->name);
    }
    return STATUS_OK;
}

static enum status open_api(struct serve *s, struct err *e)
{
    cleanup_free char *dir = file_dirname(s->socket);
    const struct api_opts opts = {
        .engine = s->engine,
        .socket = s->socket,
        .on_drain = on_api_drain,
        .arg = s,
    };
    enum status st = file_mkdirs(dir, RUN_DIR_MODE, e);

    return st == STATUS_OK ? api_open(&opts, &s->api, e) : st;
}

/* --- end --- */

static void on_one_closed(void *arg)
{
    struct serve *s = arg;

    if (--s->n_closing == 0)
        s->is_closed = true;
}

static void close_faces(struct serve *s)
{
    s->n_closing = 1;
    if (s->api) {
        s->n_closing++;
        api_close(s->api, on_one_closed, s);
    }
    for (size_t i = 0; i < n_faces(s); i++) {
        if (!s->faces[i])
            continue;
        s->n_closing++;
        face(s, i)->close(s->faces[i], on_one_closed, s);
    }
    on_one_closed(s);
    while (!s->is_closed)
        loop_run_once(s->loop, 100);
}

static void on_over(void *arg, struct engine *e)
{
    struct serve *s = arg;

    (void)e;
    s->is_over = true;
    loop_stop(s->loop);
}

static int exit_code(struct serve *s, struct err *e)
{
    if (s->failed.status != STATUS_OK)
        *e = s->failed;
    else
        (void)engine_trouble(s->engine, e);
    if (e->status != STATUS_OK)
        return cli_fail(s->cli, e);
    return s->stop.signal ? stop_exit_code(s->stop.signal) : EXIT_OK;
}

static int serve_until_over(struct serve *s)
{
    struct err e = ERR_INIT;

    engine_start(s->engine, on_ready, on_over, s);
    while (!s->is_over)
        loop_run(s->loop);
    if (s->api)
        api_stop(s->api);
    return exit_code(s, &e);
}

/* --- the whole --- */

/* The log's lock would tell as well, but not of what is to be done. */
static enum status check_alone(const struct serve *s, struct err *e)
{
    pid_t pid;
    int fd;

    if (unix_connect(s->socket, &fd, &pid, NULL) != STATUS_OK)
        return STATUS_OK;
    close(fd);
    return err_set(e, STATUS_BUSY,
                   "an engine runs here already: process %d serves on %s; another one takes "
                   "another --state-dir",
                   (int)pid, s->socket);
}

static enum status make(struct serve *s, const struct campaign_conf *conf, struct err *e)
{
    struct engine_opts opts = {
        .loop = s->loop,
        .conf = conf,
        .kit = cli_program(s->cli)->kit,
        .state_dir = cli_state_dir(s->cli),
        .watch = {{.on_trouble = on_trouble, .on_event = on_event, .arg = s}},
        .n_watch = 1,
        .events = true,
    };
    enum status st = check_alone(s, e);

    if (st == STATUS_OK)
        st = engine_create(&opts, &s->engine, e);
    if (st == STATUS_OK)
        st = engine_resume_all(s->engine, &s->resumed, e);
    if (st == STATUS_OK)
        st = open_api(s, e);
    if (st == STATUS_OK)
        st = open_faces(s, e);
    if (st == STATUS_OK)
        st = stop_watch(&s->stop, s->loop, drain, s, e);
    return st;
}

static int serve(struct cli *c, const struct campaign_conf *conf)
{
    struct serve s = {.cli = c, .socket = api_socket_path(cli_state_dir(c))};
    cleanup_free char *dir = file_dirname(s.socket);
    struct err e = ERR_INIT;
    enum status st = loop_create(&s.loop, NULL, &e);
    int code;

    if (st == STATUS_OK)
        st = make(&s, conf, &e);
    code = st == STATUS_OK ? serve_until_over(&s) : cli_fail(c, &e);
    if (s.loop) {
        close_faces(&s);
        stop_unwatch(&s.stop);
    }
    if (s.engine)
        engine_destroy(&s.engine);
    loop_destroy(&s.loop);
    (void)rmdir(dir); /* when it is empty */
    free(s.socket);
    return code;
}

static int run(struct cli *c)
{
    const struct campaign_source source = {
        .path = cli_get(c, "config"),
        .overrides = cli_overrides(c),
        .executor = cli_program(c)->kit->executor,
        .serve = true,
    };
    struct arena *a;
    struct buf errors = BUF_INIT(BUF_MAX_MESSAGE);
    struct campaign_conf conf;
    struct err e = ERR_INIT;
    enum status s;
    int code;

    if (cli_has(c, "listen") && !cli_program(c)->faces)
        return cli_usage(c, "--listen: %s has no DevTools gateway, as it runs no browser",
                         cli_program(c)->name);
    a = arena_create(NULL, 0);
    s = campaign_load_from(a, &source, &conf, &errors, &e);
    code = status_exit(s);
    if (s == STATUS_OK)
        code = serve(c, &conf);
    else
        fputs(errors.ptr, stderr);
    buf_deinit(&errors);
    arena_destroy(&a);
    return code;
}

const struct cli_verb verb_serve = {
    .name = "serve",
    .summary = "Keep an engine running that takes batches",
    .usage = "",
    .options = options,
    .takes_config = true,
    .details =
        "Listens on STATE/run/control.sock, which only its owner may open; \"batch\", \"status\",\n"
        "\"scale\" and \"breaker\" talk to it. Batches that an earlier process on the same state\n"
        "directory did not finish are gone on with. The first Ctrl-C or SIGTERM lets what runs\n"
        "finish, the second stops it at once; batches that are not through wait for the next "
        "serve.",
    .run = run,
};
