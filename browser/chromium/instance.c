#include "browser/chromium/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "browser/cdp/pipe.h"
#include "browser/chromium/door.h"
#include "browser/chromium/memory.h"
#include "core/base/log.h"

/* Threads count as well, some 15 a renderer; against a member that forks without end. */
enum { PIDS_MAX = 8192 };
/* A line on standard error is of the page whose end is told so soon after it. */
enum { OOM_HEARD_MS = 3000 };
#define V8_SAYS         "V8 javascript OOM"
#define V8_PROCESS_SAYS "V8 process OOM"

struct instance {
    struct instance_opts opts;
    struct arena *arena;
    enum instance_state state;
    struct reaper_child *child;
    struct cdp_conn *conn;
    struct targets *targets;
    struct door *door; /* INSTANCE_TO_DOOR, else NULL */
    bool netns;
    int stderr_fd;
    struct loop_watch *stderr_watch;
    struct buf tail;
    struct loop_timer timer;
    char *version, *user_agent;
    uint64_t started_ms;
    uint64_t v8_oom_ms; /* when its standard error last told of a heap that was full; 0: never */
    uint64_t oom_kills; /* by the kernel, those that are known */
    uint32_t layers;
    bool asked, over_told;
    struct err why; /* of LOST */
};

/* --- states --- */

static const char *const state_names[INSTANCE_STATE_COUNT] = {
    "new", "launching", "ready", "draining", "closing", "gone", "failed",
};

const char *instance_state_name(enum instance_state s)
{
    return state_names[s];
}

/* Columns in the order of enum instance_event: launch, answer, drain, close, lost, exit. */
static const enum instance_state moves[INSTANCE_STATE_COUNT][INSTANCE_EVENT_COUNT] = {
    [INSTANCE_NEW] = {INSTANCE_LAUNCHING, INSTANCE_NEW, INSTANCE_NEW, INSTANCE_GONE,
                      INSTANCE_FAILED, INSTANCE_FAILED},
    [INSTANCE_LAUNCHING] = {INSTANCE_LAUNCHING, INSTANCE_READY, INSTANCE_LAUNCHING,
                            INSTANCE_CLOSING, INSTANCE_LAUNCHING, INSTANCE_FAILED},
    [INSTANCE_READY] = {INSTANCE_READY, INSTANCE_READY, INSTANCE_DRAINING, INSTANCE_CLOSING,
                        INSTANCE_CLOSING, INSTANCE_GONE},
    [INSTANCE_DRAINING] = {INSTANCE_DRAINING, INSTANCE_DRAINING, INSTANCE_DRAINING,
                           INSTANCE_CLOSING, INSTANCE_CLOSING, INSTANCE_GONE},
    [INSTANCE_CLOSING] = {INSTANCE_CLOSING, INSTANCE_CLOSING, INSTANCE_CLOSING, INSTANCE_CLOSING,
                          INSTANCE_CLOSING, INSTANCE_GONE},
    [INSTANCE_GONE] = {INSTANCE_GONE, INSTANCE_GONE, INSTANCE_GONE, INSTANCE_GONE, INSTANCE_GONE,
                       INSTANCE_GONE},
    [INSTANCE_FAILED] = {INSTANCE_FAILED, INSTANCE_FAILED, INSTANCE_FAILED, INSTANCE_FAILED,
                         INSTANCE_FAILED, INSTANCE_FAILED},
};

enum instance_state instance_next(enum instance_state s, enum instance_event ev)
{
    return moves[s][ev];
}

static void move(struct instance *i, enum instance_event ev)
{
    enum instance_state to = instance_next(i->state, ev);

    if (to == i->state)
        return;
    log_debug(NULL, "instance.state", LOG_STR("instance", i->opts.name),
              LOG_STR("from", state_names[i->state]), LOG_STR("to", state_names[to]));
    i->state = to;
}

/* --- standard error: the last of it explains a failed start --- */

/* No command and no event tells it. Where the words change, documents that fail one after the other
 * tell it later (pool_due.c). */
static void look_for_loss(struct instance *i, size_t added)
{
    struct str words = STR("Network service crashed"), all = buf_str(&i->tail);
    size_t back = added + words.len - 1; /* they may have come in two pieces */

    if (i->targets != NULL &&
        str_find(str_skip(all, all.len > back ? all.len - back : 0), words) >= 0)
        targets_lose_network(i->targets);
}

/* "V8 javascript OOM (Reached heap limit)." among what came last, also where two reads part it. */
static void note_oom(struct instance *i, size_t n)
{
    static const struct str words[] = {{V8_SAYS, sizeof V8_SAYS - 1},
                                       {V8_PROCESS_SAYS, sizeof V8_PROCESS_SAYS - 1}};
    size_t look = n + sizeof V8_SAYS;
    struct str last = str_skip(buf_str(&i->tail), i->tail.len > look ? i->tail.len - look : 0);

    for (size_t k = 0; k < ARRAY_LEN(words); k++)
        if (str_find(last, words[k]) >= 0)
            i->v8_oom_ms = loop_now_ms(i->opts.loop);
}

static void on_stderr(void *arg, int fd, int events)
{
    struct instance *i = arg;
    char piece[2048];
    ssize_t n = read(fd, piece, sizeof piece);

    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        loop_watch_close(&i->stderr_watch);
        return;
    }
    if (i->tail.len + (size_t)n > INSTANCE_TAIL_MAX)
        buf_consume(&i->tail, i->tail.len + (size_t)n - INSTANCE_TAIL_MAX < i->tail.len
                                  ? i->tail.len + (size_t)n - INSTANCE_TAIL_MAX
                                  : i->tail.len);
    buf_add(&i->tail, piece, (size_t)n);
    look_for_loss(i, (size_t)n);
    note_oom(i, (size_t)n);
    log_trace(NULL, "instance.stderr", LOG_STR("instance", i->opts.name),
              LOG_S("text", str_trim(str_n(piece, (size_t)n))));
}

static void drain_stderr(struct instance *i)
{
    while (i->stderr_watch != NULL) {
        size_t before = i->tail.len;

        on_stderr(i, i->stderr_fd, LOOP_READ);
        if (i->tail.len == before)
            return;
    }
}

/* A page's process ended. V8 says on standard error that a heap was full before it gives up, which
 * is here before the browser tells of the end; what the kernel killed its cgroup counts. An
 * allocation that fails outside of V8 is a trap like any other and cannot be told from a crash
 * (156). */
static const char *out_of_memory(void *arg)
{
    struct instance *i = arg;
    uint64_t now = loop_now_ms(i->opts.loop), kills, before = i->oom_kills;

    drain_stderr(i);
    if (i->v8_oom_ms != 0 && now - i->v8_oom_ms < OOM_HEARD_MS) {
        i->v8_oom_ms = 0; /* it was that page's */
        return "the page ran out of memory: the heap of its scripts was full";
    }
    if (instance_pid(i) == 0)
        return NULL;
    kills = memory_oom_kills(instance_pid(i));
    i->oom_kills = kills;
    return kills > before ? "the page ran out of memory: the kernel killed its process" : NULL;
}

/* The last line that says something; Chromium's own timestamps in brackets are cut. */
static struct str last_words(const struct instance *i)
{
    struct str rest = str_trim(buf_str(&i->tail)), found = STR_NONE;

    while (rest.ptr != NULL) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        ptrdiff_t end = line.len > 0 && line.ptr[0] == '[' ? str_find(line, STR("] ")) : -1;

        if (end >= 0)
            line = str_skip(line, (size_t)end + 2);
        if (line.len > 0)
            found = line;
    }
    return str_n(found.ptr, found.len < 300 ? found.len : 300);
}

/* --- the end --- */

static void tell_over(struct instance *i, enum status why, const struct err *e)
{
    if (i->over_told)
        return;
    i->over_told = true;
    loop_timer_stop(&i->timer);
    targets_destroy(&i->targets);
    cdp_conn_destroy(&i->conn);
    i->opts.on_over(i, why, e, i->opts.arg);
}

static void on_child_exit(struct reaper_child *c, const struct reaper_exit *x, void *arg)
{
    struct instance *i = arg;
    bool launching = i->state == INSTANCE_LAUNCHING;
    struct str words;
    struct err e = ERR_INIT;

    (void)c;
    i->child = NULL;
    drain_stderr(i);
    words = last_words(i);
    move(i, INSTANCE_ON_EXIT);
    if (i->asked) {
        tell_over(i, STATUS_OK, &e);
        return;
    }
    if (launching)
        err_set(&e, STATUS_ENVIRONMENT, "Chromium ended at start: %s%s%.*s", err_text(&x->err),
                words.len > 0 ? ": " : "", STR_ARG(words));
    else
        err_set(&e, STATUS_BROWSER_GONE, "the browser ended (%s): %s%s%.*s",
                reaper_cause_name(x->cause), err_text(&x->err), words.len > 0 ? ": " : "",
                STR_ARG(words));
    if (launching && i->why.status == STATUS_TIMEOUT)
        err_set(&e, STATUS_ENVIRONMENT, "Chromium did not answer within %d s of its start%s%.*s",
                INSTANCE_START_MS / 1000, words.len > 0 ? ": " : "", STR_ARG(words));
    tell_over(i, e.status, &e);
}

static void on_started(struct reaper_child *c, const struct reaper_started *s, void *arg)
{
    struct instance *i = arg;

    struct err e = ERR_INIT;

    (void)c;
    i->layers = s->layers;
    i->oom_kills = memory_oom_kills(instance_pid(i));
    for (size_t n = 0; n < s->n_listeners; n++)
        if (door_listen(i->door, s->listeners[n], &e) != STATUS_OK)
            log_error(NULL, "instance.door", LOG_STR("instance", i->opts.name), LOG_ERR(&e));
    if (i->door != NULL && !i->netns)
        door_admit(i->door, s->uid);
}

/* reaper_child_stop begins, or we asked: the polite way first. */
static void on_ask(struct reaper_child *c, void *arg)
{
    struct instance *i = arg;

    (void)c;
    if (i->conn != NULL && cdp_conn_is_open(i->conn))
        cdp_tell(cdp_conn_root(i->conn), "Browser.close", STR_NONE);
}

static void on_conn_close(void *arg, enum status why, const struct err *e)
{
    struct instance *i = arg;

    i->why = *e;
    i->why.status = why;
    move(i, INSTANCE_ON_LOST);
    /* Its processes are what matters: on_exit tells. */
    if (i->child != NULL)
        reaper_child_stop(i->child, 500);
}

static void on_late(struct loop_timer *t)
{
    struct instance *i = container_of(t, struct instance, timer);

    err_set(&i->why, STATUS_TIMEOUT, "no answer");
    if (i->child != NULL)
        reaper_child_kill(i->child);
}

/* --- the beginning --- */

static void on_version(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct instance *i = arg;
    const char *product = json_str(json_get(result, "product"), "");
    const char *slash = strchr(product, '/');

    (void)e;
    if (s != STATUS_OK)
        return; /* the end of the connection or of the start tells */
    loop_timer_stop(&i->timer);
    free(i->version);
    free(i->user_agent);
    i->version = xstrdup(slash != NULL ? slash + 1 : product);
    i->user_agent = xstrdup(json_str(json_get(result, "userAgent"), ""));
    move(i, INSTANCE_ON_ANSWER);
    log_info(NULL, "instance.ready", LOG_STR("instance", i->opts.name), LOG_STR("product", product),
             LOG_U64("ms", loop_now_ms(i->opts.loop) - i->started_ms));
    if (i->state == INSTANCE_READY && i->opts.on_ready != NULL)
        i->opts.on_ready(i, i->opts.arg);
}

/* The browser's own traffic goes to its owner's forwarder, or nowhere: contexts have proxies of
 * their own. Names are for the forwarder to resolve, and without <-loopback> Chromium would contact
 * this machine's own addresses itself. */
static enum status add_proxy(struct instance *i, struct args *args, struct err *e)
{
    const struct member *owner = i->opts.owner;
    char proxy[DOOR_PROXY_MAX] = "http://127.0.0.1:9";
    enum status s = STATUS_OK;

    if (i->opts.way == INSTANCE_DIRECT)
        return STATUS_OK;
    if (owner != NULL && i->door != NULL)
        s = door_proxy(i->door, i->opts.owner, proxy, e);
    else if (owner != NULL)
        snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", owner->forward_port);
    args_add(args, "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.*.*.*");
    args_addf(args, "--proxy-server=%s", proxy);
    args_add(args, "--proxy-bypass-list=<-loopback>");
    return s;
}

static enum status make_args(struct instance *i, const char *const **argv, const char **tz,
                             struct err *e)
{
    const struct instance_opts *o = &i->opts;
    struct args args;
    enum status s;

    args_init(&args, i->arena);
    args_add_base(&args, o->program->kind);
    args_addf(&args, "--user-data-dir=@PROFILE@");
    if (o->program->kind == BROWSER_CHROMIUM)
        args_add(&args, "--no-startup-window");
    if (o->sandbox == SANDBOX_OFF)
        args_add(&args, "--no-sandbox");
    if (o->owner != NULL)
        *tz = identity_add_args(o->owner->identity, &args);
    else
        *tz = identity_add_shared_args(o->shared, o->n_shared, &args);
    s = add_proxy(i, &args, e);
    *argv = args_list(&args, o->program->path);
    return s;
}

static const char *const *make_env(struct instance *i, const char *tz)
{
    static const char *const names[] = {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "FONTCONFIG_PATH"};
    const char **v = arena_array(i->arena, const char *, ARRAY_LEN(names) + 2), *value;
    size_t n = 0;

    for (size_t k = 0; k < ARRAY_LEN(names); k++)
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
        if ((value = getenv(names[k])) != NULL)
            v[n++] = arena_printf(i->arena, "%s=%s", names[k], value);
    if (tz != NULL)
        v[n++] = tz;
    v[n] = NULL;
    return v;
}

/* Less than the machine has: a page that takes all it can ends its renderer, not what else runs
 * here. The pool recycles long before. */
static uint64_t memory_limit(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / 5 * 4 : 0;
}

static enum status launch(struct instance *i, const struct pipe_ends *ends, int stderr_w,
                          struct err *e)
{
    static const enum reaper_sandbox sandboxes[] = {
        [SANDBOX_REQUIRE] = REAPER_SANDBOX_REQUIRE,
        [SANDBOX_PREFER] = REAPER_SANDBOX_PREFER,
        [SANDBOX_OFF] = REAPER_SANDBOX_OFF,
    };
    const char *tz = NULL;
    const char *const *argv;
    enum status s = make_args(i, &argv, &tz, e);
    const struct reaper_fd fds[] = {{ends->theirs[0], 3}, {ends->theirs[1], 4}};
    const struct reaper_spec spec = {
        .name = i->opts.name,
        .kind = REAPER_BROWSER,
        .argv = argv,
        .envp = make_env(i, tz),
        .fds = fds,
        .n_fds = ARRAY_LEN(fds),
        .stderr_fd = stderr_w,
        .sandbox = sandboxes[i->opts.sandbox],
        .netns = i->netns,
        .n_listeners = i->netns ? 1 : 0,
        .memory_max_bytes = memory_limit(),
        .pids_max = PIDS_MAX,
        .oom_score_adj = 300,
    };
    const struct reaper_callbacks cb = {on_started, on_child_exit, on_ask, i};

    return s == STATUS_OK ? reaper_launch(i->opts.reaper, &spec, &cb, &i->child, e) : s;
}

/* A network namespace is asked for where it can be had, and where the campaign insists. */
static enum status open_door(struct instance *i, struct err *e)
{
    struct reaper_level level;
    enum status s;

    if (i->opts.way != INSTANCE_TO_DOOR)
        return STATUS_OK;
    s = reaper_level(i->opts.reaper, &level, e);
    if (s != STATUS_OK)
        return s;
    i->netns = i->opts.sandbox == SANDBOX_REQUIRE ||
               (level.layers & REAPER_LAYER_BIT(REAPER_LAYER_NETNS)) != 0;
    i->door = i->opts.targets.door = door_create(i->opts.loop, i->netns);
    return STATUS_OK;
}

/* Everything of ours that can fail comes before the launch, whose callbacks name the instance. */
static enum status open_ends(struct instance *i, struct pipe_ends *ends, struct err *e)
{
    struct transport *t;
    enum status s = pipe_open(i->opts.loop, ends->read_fd, ends->write_fd, &t, e);

    if (s != STATUS_OK)
        return s;
    i->conn = cdp_conn_create(i->opts.loop, t, on_conn_close, i);
    /* Written before the browser is there to read: nothing is waited for. */
    i->targets = targets_create(i->conn, &i->opts.targets);
    cdp_call(cdp_conn_root(i->conn), "Browser.getVersion", STR_NONE, 0, on_version, i);
    return loop_watch_open(i->opts.loop, i->stderr_fd, LOOP_READ, on_stderr, i, &i->stderr_watch,
                           e);
}

static enum status start(struct instance *i, struct err *e)
{
    struct pipe_ends ends;
    int err_pipe[2];
    enum status s;

    if (pipe2(err_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return err_set_errno(e, STATUS_IO, errno, "make a pipe");
    i->stderr_fd = err_pipe[0];
    s = pipe_make(&ends, e);
    if (s == STATUS_OK) {
        s = open_ends(i, &ends, e);
        if (s == STATUS_OK)
            s = launch(i, &ends, err_pipe[1], e);
        close(ends.theirs[0]);
        close(ends.theirs[1]);
    }
    close(err_pipe[1]);
    return s;
}

enum status instance_start(const struct instance_opts *opts, struct instance **out, struct err *e)
{
    struct instance *i = xcalloc(1, sizeof *i);
    enum status s;

    i->opts = *opts;
    i->arena = arena_create(NULL, 0);
    i->opts.name = arena_strdup(i->arena, opts->name);
    i->opts.targets.out_of_memory = out_of_memory;
    i->opts.targets.instance = i;
    i->opts.targets.url_at_creation = opts->program->kind == BROWSER_HEADLESS_SHELL;
    i->stderr_fd = -1;
    buf_init(&i->tail, INSTANCE_TAIL_MAX + 4096);
    i->started_ms = loop_now_ms(opts->loop);
    s = open_door(i, e);
    if (s == STATUS_OK)
        s = start(i, e);
    if (s != STATUS_OK) {
        instance_destroy(&i);
        return err_prefix(e, "start %s", opts->program->path);
    }
    move(i, INSTANCE_ON_LAUNCH);
    loop_timer_start(opts->loop, &i->timer, INSTANCE_START_MS, on_late);
    *out = i;
    return STATUS_OK;
}

void instance_drain(struct instance *i)
{
    move(i, INSTANCE_ON_DRAIN);
}

void instance_stop(struct instance *i)
{
    bool again = i->asked;

    i->asked = true;
    move(i, INSTANCE_ON_CLOSE);
    if (i->child == NULL)
        return;
    if (again)
        reaper_child_kill(i->child);
    else
        reaper_child_stop(i->child, INSTANCE_CLOSE_MS);
}

void instance_destroy(struct instance **ip)
{
    struct instance *i = *ip;

    if (i == NULL)
        return;
    *ip = NULL;
    loop_timer_stop(&i->timer);
    targets_destroy(&i->targets);
    cdp_conn_destroy(&i->conn);
    door_destroy(&i->door);
    loop_watch_close(&i->stderr_watch);
    if (i->stderr_fd >= 0)
        close(i->stderr_fd);
    buf_deinit(&i->tail);
    free(i->version);
    free(i->user_agent);
    arena_destroy(&i->arena);
    free(i);
}

enum instance_state instance_state(const struct instance *i)
{
    return i->state;
}

const char *instance_name(const struct instance *i)
{
    return i->opts.name;
}

struct targets *instance_targets(struct instance *i)
{
    return i->targets;
}

struct cdp_conn *instance_conn(struct instance *i)
{
    return i->conn;
}

const char *instance_version(const struct instance *i)
{
    return i->version != NULL ? i->version : "";
}

pid_t instance_pid(const struct instance *i)
{
    return i->child != NULL ? reaper_child_pid(i->child) : 0;
}

uint32_t instance_layers(const struct instance *i)
{
    return i->layers;
}

uint64_t instance_started_ms(const struct instance *i)
{
    return i->started_ms;
}
