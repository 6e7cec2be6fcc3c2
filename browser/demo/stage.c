#include "browser/demo/stage.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "browser/demo/site.h"
#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rng.h"
#include "reaper/reaper.h"

enum {
    SITE_FD = 3,   /* on which the sites tell their port */
    CONFIG_FD = 3, /* on which tinyproxy is given its configuration */
    TELL_MAX = 600,
    PROBE_MS = 30,
};

enum part_kind { PART_SITE, PART_HTTP, PART_SOCKS, PART_COUNT };

/* How a part is known to answer, and by whom it is brought. */
static const struct {
    const char *name, *program, *package;
    enum reaper_kind kind;
} kinds[PART_COUNT] = {
    [PART_SITE] = {"demo-sites", NULL, NULL, REAPER_SITE},
    [PART_HTTP] = {"demo-proxy-http", "tinyproxy", "tinyproxy", REAPER_PROXY},
    [PART_SOCKS] = {"demo-proxy-socks", "microsocks", "microsocks", REAPER_PROXY},
};

struct part {
    struct stage *stage;
    enum part_kind kind;
    struct reaper_child *child; /* NULL: not started, or gone */
    bool answers;
    int fd; /* the sites' tale, or a connection to the proxy; -1: none */
    struct loop_watch *watch;
    struct loop_timer probe;
    char told[TELL_MAX];
    size_t n_told;
};

struct stage {
    struct stage_opts opts;
    struct stage_info info;
    struct part parts[PART_COUNT];
    struct loop_timer deadline;
    bool ready, lost, stopping;
    unsigned n_left; /* parts that are not gone */
    void (*stopped)(void *arg);
    void *stopped_arg;
};

/* --- the sites' side --- */

static void tell_port(void *arg, uint16_t port)
{
    char line[32];
    int n = snprintf(line, sizeof line, "port %u\n", port);

    (void)arg;
    if (write(SITE_FD, line, (size_t)n) != n)
        _exit(EXIT_INTERNAL); /* nobody waits for it any more */
    close(SITE_FD);
}

int stage_site_main(uint16_t port, uint16_t preferred)
{
    const struct site_opts o = {.port = port, .preferred_port = preferred, .ready = tell_port};
    struct err e = ERR_INIT;
    enum status s = site_serve(&o, &e);

    if (s == STATUS_OK)
        return EXIT_OK;
    dprintf(SITE_FD, "error %s\n", err_text(&e));
    return status_exit(s);
}

/* --- ports and secrets --- */

static bool port_is_free(uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1;
    cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0;
}

/* `wanted` when it is free, else one that the system chooses. The proxies bind it themselves: that
 * somebody else is quicker is told by their end. */
static uint16_t port_for(uint16_t wanted)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t len = sizeof sa;
    cleanup_fd int fd = -1;

    if (port_is_free(wanted))
        return wanted;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) != 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
        return wanted;
    return ntohs(sa.sin_port);
}

static void draw_secrets(struct stage_info *i)
{
    unsigned char bytes[12];
    struct buf hex = BUF_INIT(STAGE_SECRET_MAX);

    rng_bytes(bytes, sizeof bytes);
    buf_add_hex(&hex, bytes, sizeof bytes);
    snprintf(i->user, sizeof i->user, "demo");
    snprintf(i->password, sizeof i->password, "%s", buf_str(&hex).ptr);
    buf_deinit(&hex);
}

/* --- the ends of it --- */

static void part_close(struct part *p)
{
    loop_timer_stop(&p->probe);
    loop_watch_close(&p->watch);
    if (p->fd >= 0)
        close(steal_fd(&p->fd));
}

static void freed(struct stage *s)
{
    void (*stopped)(void *arg) = s->stopped;
    void *arg = s->stopped_arg;

    free(s);
    stopped(arg);
}

static void all_gone(void *arg)
{
    freed(arg);
}

static void lose(struct stage *s, const struct err *e)
{
    if (s->lost || s->stopping)
        return;
    s->lost = true;
    loop_timer_stop(&s->deadline);
    for (size_t i = 0; i < PART_COUNT; i++)
        part_close(&s->parts[i]);
    s->opts.on_lost(s->opts.arg, s, e);
}

static void check_ready(struct stage *s)
{
    for (size_t i = 0; i < PART_COUNT; i++)
        if (!s->parts[i].answers)
            return;
    if (s->ready || s->lost || s->stopping)
        return;
    s->ready = true;
    loop_timer_stop(&s->deadline);
    s->opts.on_ready(s->opts.arg, s);
}

static void on_deadline(struct loop_timer *t)
{
    struct stage *s = container_of(t, struct stage, deadline);
    struct err e = ERR_INIT;

    for (size_t i = 0; i < PART_COUNT; i++)
        if (!s->parts[i].answers) {
            err_set(&e, STATUS_TIMEOUT, "%s does not answer within %d s",
                    kinds[i].program != NULL ? kinds[i].program : "the demo's web server",
                    STAGE_READY_MS / 1000);
            lose(s, &e);
            return;
        }
}

static void on_exit_child(struct reaper_child *c, const struct reaper_exit *x, void *arg)
{
    struct part *p = arg;
    struct stage *s = p->stage;
    struct err e = x->err;

    (void)c;
    p->child = NULL;
    s->n_left--;
    /* What it told of its failure says more than its exit code, and may still be in the pipe. */
    if (p->kind != PART_SITE || p->answers || x->cause == REAPER_CAUSE_FAILED || p->fd < 0) {
        err_prefix(&e, "%s", kinds[p->kind].program ? kinds[p->kind].program : "web server");
        if (e.status == STATUS_OK || e.status == STATUS_INTERNAL)
            e.status = STATUS_UNAVAILABLE;
        lose(s, &e);
    }
    if (s->stopping && s->n_left == 0)
        loop_defer(s->opts.loop, all_gone, s);
}

/* --- asking the proxies --- */

static const char http_question[] = "GET http://127.0.1.1/robots.txt HTTP/1.0\r\n\r\n";
static const char socks_question[] = {5, 1, 2}; /* RFC 1928 §3: user and password, nothing else */

/* It answers, and insists on credentials. */
static bool answer_is_right(enum part_kind k, const char *got, size_t n)
{
    if (k == PART_SOCKS)
        return n >= 2 && got[0] == 5 && got[1] == 2;
    return n >= 12 && memcmp(got, "HTTP/1.", 7) == 0 && memcmp(got + 9, "407", 3) == 0;
}

static void on_probe(struct loop_timer *t);

static void probe_again(struct part *p)
{
    part_close(p);
    loop_timer_start(p->stage->opts.loop, &p->probe, PROBE_MS, on_probe);
}

static void on_proxy(void *arg, int fd, int events)
{
    struct part *p = arg;
    bool socks = p->kind == PART_SOCKS;
    const char *question = socks ? socks_question : http_question;
    size_t len = socks ? sizeof socks_question : sizeof http_question - 1;
    char got[64];
    ssize_t n;

    if ((events & LOOP_WRITE) != 0 && (loop_watch_events(p->watch) & LOOP_WRITE) != 0) {
        if (send(fd, question, len, MSG_NOSIGNAL) != (ssize_t)len)
            probe_again(p);
        else
            loop_watch_set(p->watch, LOOP_READ);
        return;
    }
    n = recv(fd, got, sizeof got, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || !answer_is_right(p->kind, got, (size_t)n)) {
        probe_again(p);
        return;
    }
    part_close(p);
    p->answers = true;
    check_ready(p->stage);
}

static void on_probe(struct loop_timer *t)
{
    struct part *p = container_of(t, struct part, probe);
    const struct stage_info *info = &p->stage->info;
    struct sockaddr_in sa = {
        .sin_family = AF_INET,
        .sin_port = htons(p->kind == PART_SOCKS ? info->socks_port : info->http_port),
    };
    struct err e = ERR_INIT;

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->fd < 0 ||
        (connect(p->fd, (struct sockaddr *)&sa, sizeof sa) != 0 && errno != EINPROGRESS) ||
        loop_watch_open(p->stage->opts.loop, p->fd, LOOP_WRITE, on_proxy, p, &p->watch, &e) !=
            STATUS_OK)
        probe_again(p);
}

/* --- starting the parts --- */

static enum status launch(struct stage *s, enum part_kind k, const char *const *argv,
                          const struct reaper_fd *fds, size_t n_fds, struct err *e)
{
    const struct reaper_spec spec = {
        .name = kinds[k].name,
        .kind = kinds[k].kind,
        .argv = argv,
        .fds = fds,
        .n_fds = n_fds,
        .sandbox = REAPER_SANDBOX_PREFER,
    };
    const struct reaper_callbacks cb = {.on_exit = on_exit_child, .arg = &s->parts[k]};
    enum status st = reaper_launch(s->opts.reaper, &spec, &cb, &s->parts[k].child, e);

    if (st == STATUS_OK)
        s->n_left++;
    return st;
}

static enum status start_tinyproxy(struct stage *s, struct err *e)
{
    const char *const argv[] = {"tinyproxy", "-d", "-c", "/proc/self/fd/3", NULL};
    struct buf text = BUF_INIT(BUF_MAX_LINE);
    struct reaper_fd fd = {.target = CONFIG_FD};
    cleanup_fd int config = memfd_create("tinyproxy.conf", MFD_CLOEXEC);
    enum status st;

    /* In memory: the password is in no file of its own. */
    buf_addf(&text,
             "Port %u\nListen 127.0.0.1\nTimeout 60\nMaxClients 200\nAllow 127.0.0.1\n"
             "LogLevel Critical\nBasicAuth %s %s\n",
             s->info.http_port, s->info.user, s->info.password);
    if (config < 0)
        st = err_set_errno(e, STATUS_IO, errno, "tinyproxy's configuration");
    else
        st = file_write_all(config, text.ptr, text.len, "tinyproxy's configuration", e);
    buf_deinit(&text);
    if (st != STATUS_OK)
        return st;
    lseek(config, 0, SEEK_SET);
    fd.fd = config;
    return launch(s, PART_HTTP, argv, &fd, 1, e);
}

static enum status start_microsocks(struct stage *s, struct err *e)
{
    char port[8];
    const char *const argv[] = {"microsocks", "-i", "127.0.0.1",      "-p", port, "-u",
                                s->info.user, "-P", s->info.password, NULL};

    snprintf(port, sizeof port, "%u", s->info.socks_port);
    return launch(s, PART_SOCKS, argv, NULL, 0, e);
}

static void start_proxies(struct stage *s)
{
    struct err e = ERR_INIT;
    enum status st;

    s->info.http_port = port_for((uint16_t)(s->info.site_port + 1));
    do {
        s->info.socks_port = port_for((uint16_t)(s->info.site_port + 2));
    } while (s->info.socks_port == s->info.http_port);
    st = start_tinyproxy(s, &e);
    if (st == STATUS_OK)
        st = start_microsocks(s, &e);
    if (st != STATUS_OK) {
        lose(s, &e);
        return;
    }
    loop_timer_start(s->opts.loop, &s->parts[PART_HTTP].probe, PROBE_MS, on_probe);
    loop_timer_start(s->opts.loop, &s->parts[PART_SOCKS].probe, PROBE_MS, on_probe);
}

/* The sites said all they have to say. */
static void site_told(struct part *p)
{
    struct stage *s = p->stage;
    struct str line = str_trim(str_n(p->told, p->n_told)), rest = line;
    struct str word = str_cut(&rest, ' ');
    struct err e = ERR_INIT;
    uint64_t port = 0;

    part_close(p);
    if (str_eqz(word, "port") && str_to_u64(rest, UINT16_MAX, &port)) {
        s->info.site_port = (uint16_t)port;
        p->answers = true;
        start_proxies(s);
        return;
    }
    err_set(&e, STATUS_BUSY, "the demo's sites: %.*s",
            STR_ARG(str_eqz(word, "error") ? rest : STR("ended at start")));
    lose(s, &e);
}

static void on_site(void *arg, int fd, int events)
{
    struct part *p = arg;
    ssize_t n = read(fd, p->told + p->n_told, sizeof p->told - p->n_told);

    (void)events;
    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0)
        p->n_told += (size_t)n;
    if (n <= 0 || p->n_told == sizeof p->told)
        site_told(p);
}

static enum status start_site(struct stage *s, struct err *e)
{
    char self[4096], port[8], preferred[8];
    const char *const argv[] = {self, "demo-site", "--port", port, "--prefer", preferred, NULL};
    struct part *p = &s->parts[PART_SITE];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    cleanup_fd int end = -1;
    struct reaper_fd fd = {.target = SITE_FD};
    int pair[2];
    enum status st;

    if (n < 0 || pipe2(pair, O_CLOEXEC) != 0)
        return err_set_errno(e, STATUS_IO, errno, "the demo's sites");
    self[n] = '\0';
    p->fd = pair[0];
    end = pair[1];
    fd.fd = end;
    snprintf(port, sizeof port, "%u", s->opts.site_port);
    snprintf(preferred, sizeof preferred, "%d", STAGE_PORT);
    st = launch(s, PART_SITE, argv, &fd, 1, e);
    if (st != STATUS_OK)
        return st;
    return loop_watch_open(s->opts.loop, p->fd, LOOP_READ, on_site, p, &p->watch, e);
}

/* --- the whole --- */

static bool is_in_path(const char *name)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    const char *path = getenv("PATH");
    struct str rest = str_from(path != NULL ? path : "/usr/bin:/bin");

    while (rest.ptr != NULL) {
        struct str dir = str_cut(&rest, ':');
        char full[4096];

        snprintf(full, sizeof full, "%.*s/%s", STR_ARG(dir), name);
        if (access(full, X_OK) == 0)
            return true;
    }
    return false;
}

enum status stage_check_programs(struct err *e)
{
    for (size_t i = 0; i < PART_COUNT; i++)
        if (kinds[i].program != NULL && !is_in_path(kinds[i].program))
            return err_set(e, STATUS_ENVIRONMENT,
                           "%s, one of the demo's proxies, is not installed: Debian package %s "
                           "(apt-get install %s)",
                           kinds[i].program, kinds[i].package, kinds[i].package);
    return STATUS_OK;
}

static void stop_nobody(void *arg)
{
    (void)arg;
}

enum status stage_start(const struct stage_opts *opts, struct stage **out, struct err *e)
{
    struct stage *s = xcalloc(1, sizeof *s);
    enum status st;

    s->opts = *opts;
    for (size_t i = 0; i < PART_COUNT; i++)
        s->parts[i] = (struct part){.stage = s, .kind = (enum part_kind)i, .fd = -1};
    draw_secrets(&s->info);
    st = start_site(s, e);
    if (st != STATUS_OK) {
        stage_stop(s, stop_nobody, NULL);
        return st;
    }
    loop_timer_start(opts->loop, &s->deadline, STAGE_READY_MS, on_deadline);
    *out = s;
    return STATUS_OK;
}

const struct stage_info *stage_info(const struct stage *s)
{
    return &s->info;
}

void stage_stop(struct stage *s, void (*stopped)(void *arg), void *arg)
{
    s->stopping = true;
    s->stopped = stopped;
    s->stopped_arg = arg;
    loop_timer_stop(&s->deadline);
    for (size_t i = 0; i < PART_COUNT; i++) {
        part_close(&s->parts[i]);
        if (s->parts[i].child != NULL)
            reaper_child_kill(s->parts[i].child);
    }
    if (s->n_left == 0)
        loop_defer(s->opts.loop, all_gone, s);
}
