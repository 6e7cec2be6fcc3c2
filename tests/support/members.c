#include "tests/support/members.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/loop.h"

enum { STEP_MS = 20, STOP_MS = 10000 };

void members_open(struct members *m, const char *state_dir, const char *program, uint32_t without)
{
    struct err e = ERR_INIT;
    struct reaper_opts o = {.without = without};

    memset(m, 0, sizeof(*m));
    m->own_dir = state_dir == NULL;
    m->state_dir = state_dir ? strdup(state_dir) : test_mkdir();
    o.state_dir = m->state_dir;
    o.program = program ? program : test_program("fleet-reaper");
    assert_int_equal(loop_create(&m->loop, NULL, &e), STATUS_OK);
    if (reaper_start(m->loop, &o, &m->reaper, &e) != STATUS_OK)
        fail_msg("reaper_start: %s", err_text(&e));
}

static void on_stopped(void *arg)
{
    bool *stopped = arg;

    *stopped = true;
}

void members_close(struct members *m)
{
    uint64_t until = test_now_ms() + STOP_MS;
    bool stopped = false;

    reaper_stop(m->reaper, on_stopped, &stopped);
    while (!stopped && test_now_ms() < until)
        loop_run_once(m->loop, STEP_MS);
    assert_true(stopped);
    loop_destroy(&m->loop);
    if (m->own_dir) {
        char run[PATH_MAX];

        snprintf(run, sizeof(run), "%s/run", m->state_dir);
        if (rmdir(run) < 0 && errno != ENOENT)
            fail_msg("something is left in %s", run);
        test_rmdir(&m->state_dir);
    }
    free(m->state_dir);
}

static void on_started(struct reaper_child *c, const struct reaper_started *s, void *arg)
{
    struct member *x = arg;

    (void)c;
    x->started = *s;
    x->is_started = true;
    for (size_t i = 0; i < s->n_listeners; i++)
        x->listeners[i] = s->listeners[i];
    x->started.listeners = x->listeners;
}

static void on_exit_of(struct reaper_child *c, const struct reaper_exit *e, void *arg)
{
    struct member *x = arg;

    (void)c;
    assert_false(x->is_gone);
    x->exit = *e;
    x->is_gone = true;
    x->child = NULL;
}

static void on_ask(struct reaper_child *c, void *arg)
{
    struct member *x = arg;

    (void)c;
    x->was_asked = true;
    if (x->to >= 0)
        member_say(x, "{\"id\":99,\"method\":\"Browser.close\"}");
}

void member_launch(struct members *m, struct member *x, const struct reaper_spec *spec,
                   bool with_pipe)
{
    struct reaper_callbacks cb = {
        .on_started = on_started, .on_exit = on_exit_of, .on_ask = on_ask, .arg = x};
    struct reaper_spec s = *spec;
    struct reaper_fd fds[2];
    struct err e = ERR_INIT;
    int in[2] = {-1, -1}, out[2] = {-1, -1};

    memset(x, 0, sizeof(*x));
    x->of = m;
    x->to = x->from = -1;
    if (with_pipe) {
        assert_int_equal(pipe2(in, O_CLOEXEC), 0);
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        fds[0] = (struct reaper_fd){in[0], 3};
        fds[1] = (struct reaper_fd){out[1], 4};
        s.fds = fds;
        s.n_fds = 2;
        x->to = in[1];
        x->from = out[0];
        assert_int_equal(fcntl(x->from, F_SETFL, O_NONBLOCK), 0);
    }
    if (reaper_launch(m->reaper, &s, &cb, &x->child, &e) != STATUS_OK)
        fail_msg("reaper_launch: %s", err_text(&e));
    if (with_pipe) {
        close(in[0]);
        close(out[1]);
    }
}

bool member_wait_started(struct member *x, unsigned timeout_ms)
{
    uint64_t until = test_now_ms() + timeout_ms;

    while (!x->is_started && !x->is_gone && test_now_ms() < until)
        loop_run_once(x->of->loop, STEP_MS);
    return x->is_started;
}

bool member_wait_gone(struct member *x, unsigned timeout_ms)
{
    uint64_t until = test_now_ms() + timeout_ms;

    while (!x->is_gone && test_now_ms() < until)
        loop_run_once(x->of->loop, STEP_MS);
    return x->is_gone;
}

void member_say(struct member *x, const char *text)
{
    size_t n = strlen(text) + 1;

    if (write(x->to, text, n) != (ssize_t)n)
        print_message("member does not read: %s\n", strerror(errno));
}

bool member_hear(struct member *x, const char *needle, unsigned timeout_ms)
{
    uint64_t until = test_now_ms() + timeout_ms;
    size_t len = x->heard ? strlen(x->heard) : 0;
    char part[4096];

    for (;;) {
        ssize_t n = read(x->from, part, sizeof(part));

        for (ssize_t i = 0; i < n; i++)
            part[i] = part[i] ? part[i] : '\n';
        if (n > 0) {
            x->heard = realloc(x->heard, len + (size_t)n + 1);
            assert_non_null(x->heard);
            memcpy(x->heard + len, part, (size_t)n);
            len += (size_t)n;
            x->heard[len] = '\0';
        }
        if (x->heard && strstr(x->heard, needle))
            return true;
        if (n == 0 || test_now_ms() >= until)
            return false;
        loop_run_once(x->of->loop, 5);
    }
}

void member_close(struct member *x)
{
    assert_true(x->is_gone);
    for (size_t i = 0; i < x->started.n_listeners; i++)
        close(x->listeners[i]);
    if (x->to >= 0)
        close(x->to);
    if (x->from >= 0)
        close(x->from);
    free(x->heard);
    x->heard = NULL;
}

const char *member_browser(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "/usr/lib/chromium/%s", name);
    return access(path, X_OK) == 0 ? path : NULL;
}

/* --- ground truth --- */

struct ground {
    char dir[PATH_MAX];
};

/* The freezer first: the reaper makes no directories there. */
static const char *const hierarchies[] = {"/sys/fs/cgroup/freezer", "/sys/fs/cgroup/unified",
                                          "/sys/fs/cgroup"};

struct ground *ground_create(void)
{
    static unsigned n;
    struct ground *g = calloc(1, sizeof(*g));

    assert_non_null(g);
    n++;
    for (size_t i = 0; i < sizeof(hierarchies) / sizeof(hierarchies[0]); i++) {
        char procs[PATH_MAX + 16];

        snprintf(g->dir, sizeof(g->dir), "%s/test-%d-%u", hierarchies[i], (int)getpid(), n);
        snprintf(procs, sizeof(procs), "%s/cgroup.procs", g->dir);
        if (mkdir(g->dir, 0755) == 0 && access(procs, W_OK) == 0)
            return g;
        rmdir(g->dir);
    }
    free(g);
    return NULL;
}

void ground_enter(const struct ground *g)
{
    char path[PATH_MAX + 16];
    int fd;

    snprintf(path, sizeof(path), "%s/cgroup.procs", g->dir);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1)
        _exit(99);
    close(fd);
}

static bool is_alive(int pid)
{
    char path[64], line[512];
    const char *p = NULL;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    f = fopen(path, "re");
    if (!f)
        return false;
    if (fgets(line, sizeof(line), f))
        p = strrchr(line, ')');
    fclose(f);
    return p && strlen(p) > 2 && p[2] != 'Z' && p[2] != 'X';
}

/* What nftw calls; it has no argument to pass. */
static struct {
    void (*fn)(pid_t pid, void *arg);
    void *arg;
} walk;

static int look_at(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    const char *name = path + ftw->base;
    int pid;
    FILE *f;

    (void)st;
    if (type != FTW_F || strcmp(name, "cgroup.procs") != 0 || !(f = fopen(path, "re")))
        return 0;
    while (fscanf(f, "%d", &pid) == 1)
        if (is_alive(pid))
            walk.fn(pid, walk.arg);
    fclose(f);
    return 0;
}

void ground_each(const struct ground *g, void (*fn)(pid_t pid, void *arg), void *arg)
{
    walk.fn = fn;
    walk.arg = arg;
    nftw(g->dir, look_at, 16, FTW_PHYS);
}

static void count_one(pid_t pid, void *arg)
{
    size_t *n = arg;

    (void)pid;
    (*n)++;
}

size_t ground_count(const struct ground *g)
{
    size_t n = 0;

    ground_each(g, count_one, &n);
    return n;
}

static void kill_one(pid_t pid, void *arg)
{
    size_t *n = arg;

    kill(pid, SIGKILL);
    (*n)++;
}

void ground_kill(const struct ground *g)
{
    size_t n = 1;

    for (int i = 0; i < 400 && n > 0; i++) {
        n = 0;
        ground_each(g, kill_one, &n);
        if (n > 0)
            test_sleep_ms(5);
    }
}

static int remove_dir(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    if (type == FTW_DP)
        rmdir(path);
    return 0;
}

void ground_destroy(struct ground **g)
{
    if (!*g)
        return;
    for (int i = 0; i < 200 && access((*g)->dir, F_OK) == 0; i++) {
        nftw((*g)->dir, remove_dir, 16, FTW_PHYS | FTW_DEPTH);
        test_sleep_ms(i == 0 ? 0 : 5);
    }
    free(*g);
    *g = NULL;
}
