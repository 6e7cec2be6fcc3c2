#include "proxies/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>

#include "core/base/file.h"
#include "core/base/url.h"
#include "proxies/forward_internal.h"

enum {
    CONNECT_MS = 10000,
    IDLE_MS = 5 * 60 * 1000,
    TOTAL_MS = 12 * 3600 * 1000,
    CONNECTIONS = 8192,
    ACCEPTS_A_TURN = 64,
    ACCEPT_RETRY_MS = 100,
};

static void on_accept(void *arg, int fd, int events);

/* --- policy --- */

static enum status ask(struct forward_run *f, const char *host, uint16_t port,
                       const struct sockaddr *resolved)
{
    return f->opts.allow ? f->opts.allow(f->opts.arg, host, port, resolved) : STATUS_OK;
}

enum status forward_ask_host(struct forward_run *f, const char *host, uint16_t port)
{
    union net_addr a;
    enum status s = ask(f, host, port, NULL);

    if (s == STATUS_OK && net_addr_parse(host, port, &a))
        s = ask(f, host, port, &a.sa);
    return s;
}

enum status forward_allow_public(void *arg, const char *host, uint16_t port,
                                 const struct sockaddr *resolved)
{
    enum net_zone z = resolved ? net_zone_of_addr(resolved) : net_zone_of(str_from(host));

    (void)arg;
    (void)port;
    return z == NET_PUBLIC || z == NET_NAME ? STATUS_OK : STATUS_POLICY_DENIED;
}

/* --- accounts --- */

struct host_count *forward_count_host(struct forward_run *f, const char *host)
{
    struct host_count *h;
    size_t len;

    if (!f->hosts)
        f->hosts = map_create();
    h = map_find(f->hosts, str_from(host));
    if (h)
        return h;
    if (map_len(f->hosts) >= FORWARD_HOSTS_MAX && strcmp(host, "*") != 0)
        return forward_count_host(f, "*");
    len = strlen(host);
    h = xcalloc(1, sizeof(*h) + len + 1);
    memcpy(h->host, host, len + 1);
    h->n.host = h->host;
    map_put(f->hosts, str_from(host), h);
    return h;
}

void forward_stats(const struct forward *f, struct forward_stats *out)
{
    *out = f->run ? f->run->stats : (struct forward_stats){0};
}

bool forward_host_next(const struct forward *f, size_t *it, struct forward_host *out)
{
    const struct map *hosts = f->run ? f->run->hosts : NULL;
    const struct host_count *h = hosts ? map_next(hosts, it, NULL) : NULL;

    if (h)
        *out = h->n;
    return h != NULL;
}

static uint16_t port_of(int fd)
{
    union net_addr a = {.v6 = {0}};
    socklen_t len = sizeof(a);

    if (getsockname(fd, &a.sa, &len) != 0)
        return 0;
    return ntohs(a.sa.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

/* --- clients within this process: known by the port they are bound to, which nobody else can
 * have meanwhile --- */

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A socket that was never connected has given its port back: it is forgotten in time. */
static void forget_dialled(struct forward_run *f)
{
    uint64_t now = loop_now_ms(f->loop);
    struct list *l;

    while ((l = f->dialled.next) != &f->dialled) {
        struct dialled *d = list_entry(l, struct dialled, link);

        if (now - d->at_ms <= FORWARD_DIAL_MS)
            return;
        list_remove(l);
        free(d);
    }
}

static bool take_dialled(struct forward_run *f, const struct sockaddr_in *peer)
{
    forget_dialled(f);
    if (peer->sin_family != AF_INET || peer->sin_addr.s_addr != htonl(INADDR_LOOPBACK))
        return false;
    list_for_each (l, &f->dialled) {
        struct dialled *d = list_entry(l, struct dialled, link);

        if (d->port != ntohs(peer->sin_port))
            continue;
        list_remove(l);
        free(d);
        return true;
    }
    return false;
}

enum status forward_dial(struct forward *of, int *out, struct err *e)
{
    struct forward_run *f = forward_run_of(of);
    cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = loopback(0);
    struct dialled *d;

    if (fd < 0)
        return err_set_errno(e, STATUS_IO, errno, "forwarder: socket");
    if (bind(fd, (struct sockaddr *)(void *)&a, sizeof(a)) != 0)
        return err_set_errno(e, STATUS_IO, errno, "forwarder: bind 127.0.0.1");
    forget_dialled(f);
    d = xcalloc(1, sizeof(*d));
    d->port = port_of(fd);
    d->at_ms = loop_now_ms(f->loop);
    list_init(&d->link);
    list_push(&f->dialled, &d->link);
    *out = steal_fd(&fd);
    return STATUS_OK;
}

/* --- listening --- */

static bool is_full(const struct forward_run *f)
{
    return f->stats.open >= f->opts.max_connections;
}

static void on_retry(struct loop_timer *t)
{
    forward_resume_accept(container_of(t, struct forward_run, retry));
}

void forward_resume_accept(struct forward_run *f)
{
    if (f->watch && !is_full(f) && !loop_timer_is_active(&f->retry))
        loop_watch_set(f->watch, LOOP_READ);
}

static bool is_passing(int err)
{
    return err == EINTR || err == ECONNABORTED || err == EPROTO || err == EPERM;
}

static bool adopt(struct forward_run *f, int fd, bool of_browser)
{
    static const int on = 1;

    if (is_full(f)) {
        close(fd);
        return false;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    conn_open(f, fd, of_browser);
    return true;
}

static void on_accept(void *arg, int fd, int events)
{
    struct forward_run *f = arg;

    (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN && !is_full(f); i++) {
        struct sockaddr_in peer = {.sin_family = AF_UNSPEC};
        socklen_t len = sizeof(peer);
        int c = accept4(fd, (struct sockaddr *)(void *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (c >= 0 && f->opts.dialled_only && !take_dialled(f, &peer)) {
            close(c);
        } else if (c >= 0) {
            (void)adopt(f, c, false);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (!is_passing(errno)) { /* out of descriptors or memory: later */
            loop_watch_set(f->watch, 0);
            loop_timer_start(f->loop, &f->retry, ACCEPT_RETRY_MS, on_retry);
            return;
        }
    }
    if (is_full(f))
        loop_watch_set(f->watch, 0);
}

static void on_reap(struct loop_timer *t)
{
    struct forward_run *f = container_of(t, struct forward_run, reap);
    struct list *l;

    while ((l = list_pop(&f->dead)) != NULL)
        conn_free(list_entry(l, struct conn, link));
}

void forward_reap_later(struct forward_run *f)
{
    if (!loop_timer_is_active(&f->reap))
        loop_timer_start(f->loop, &f->reap, 0, on_reap);
}

static enum status listen_loopback(int *out, struct err *e)
{
    struct sockaddr_in a = loopback(0);
    cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_set_errno(e, STATUS_IO, errno, "forwarder: socket");
    if (bind(fd, (struct sockaddr *)(void *)&a, sizeof(a)) != 0)
        return err_set_errno(e, STATUS_IO, errno, "forwarder: bind 127.0.0.1");
    if (listen(fd, SOMAXCONN) != 0)
        return err_set_errno(e, STATUS_IO, errno, "forwarder: listen");
    *out = steal_fd(&fd);
    return STATUS_OK;
}

static enum status check_listener(int fd, struct err *e)
{
    socklen_t len = sizeof(int);
    int listening = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) != 0 || !listening)
        return err_set(e, STATUS_INVALID, "forwarder: descriptor %d is no listening socket", fd);
    return file_nonblock(fd, e);
}

/* --- life --- */

static void set_opts(struct forward_run *f, const struct forward_opts *o)
{
    f->opts = *o;
    f->opts.connect_ms = o->connect_ms ? o->connect_ms : CONNECT_MS;
    f->opts.idle_ms = o->idle_ms ? o->idle_ms : IDLE_MS;
    f->opts.total_ms = o->total_ms ? o->total_ms : TOTAL_MS;
    f->opts.max_connections = o->max_connections ? o->max_connections : CONNECTIONS;
    f->ca_file = o->ca_file ? xstrdup(o->ca_file) : NULL;
    f->shared.ca_file = f->opts.ca_file = f->ca_file;
    f->shared.tls = o->tls;
}

static struct forward_run *run_create(struct forward *of, const struct forward_opts *o)
{
    struct forward_run *f = xcalloc(1, sizeof(*f));

    f->of = of;
    f->loop = f->shared.loop = of->loop;
    f->fd = -1;
    list_init(&f->conns);
    list_init(&f->dead);
    list_init(&f->dialled);
    list_init(&f->direct);
    set_opts(f, o);
    return f;
}

struct forward_run *forward_run_of(struct forward *f)
{
    if (!f->run)
        f->run = run_create(f, f->opts);
    return f->run;
}

static void run_destroy(struct forward_run *f)
{
    struct list *l;

    loop_watch_close(&f->watch);
    while (!list_empty(&f->direct))
        direct_orphan(list_first(&f->direct, struct direct, link));
    while (!list_empty(&f->conns))
        conn_kill(list_first(&f->conns, struct conn, link), true);
    while ((l = list_pop(&f->dead)) != NULL)
        conn_free(list_entry(l, struct conn, link));
    while ((l = list_pop(&f->dialled)) != NULL)
        free(list_entry(l, struct dialled, link));
    loop_timer_stop(&f->reap);
    loop_timer_stop(&f->retry);
    if (f->fd >= 0)
        close(f->fd);
    resolver_destroy(&f->shared.resolver);
    if (!f->opts.tls)
        tls_ctx_close(&f->shared.tls);
    map_destroy(&f->hosts, free);
    free(f->ca_file);
    free(f->scratch);
    free(f);
}

/* splice(2) has no MSG_NOSIGNAL. */
static void ignore_sigpipe(void)
{
    struct sigaction now;

    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

static enum status start_listening(struct forward_run *f, int given, struct err *e)
{
    int fd = given;
    enum status s = fd >= 0 ? check_listener(fd, e) : listen_loopback(&fd, e);

    if (s == STATUS_OK)
        s = loop_watch_open(f->loop, fd, LOOP_READ, on_accept, f, &f->watch, e);
    if (s != STATUS_OK) {
        if (given < 0 && fd >= 0)
            close(fd);
        return s;
    }
    f->fd = fd;
    f->port = port_of(fd);
    return STATUS_OK;
}

enum status forward_listen(struct forward *f, struct err *e)
{
    struct forward_run *run = forward_run_of(f);

    return run->fd < 0 ? start_listening(run, -1, e) : STATUS_OK;
}

/* What cannot wait for the first use, and what it needs of the options. */
static enum status begin(struct forward *f, const struct forward_opts *o, struct err *e)
{
    struct forward_run *run = f->run = run_create(f, o);
    enum status s = STATUS_OK;

    f->opts = &run->opts;
    if (run->ca_file && !run->shared.tls)
        s = tls_ctx_open(run->ca_file, &run->shared.tls, e);
    if (s == STATUS_OK && !o->dialled_only)
        s = start_listening(run, o->listen_fd, e);
    return s;
}

enum status forward_open(struct loop *l, const struct forward_opts *opts, struct forward **out,
                         struct err *e)
{
    struct forward *f = xcalloc(1, sizeof(*f));
    enum status s = STATUS_OK;

    BUG_ON(opts->is_shared && (!opts->dialled_only || opts->ca_file));
    ignore_sigpipe();
    f->loop = l;
    f->opts = opts;
    if (!opts->is_shared)
        s = begin(f, opts, e);
    if (s == STATUS_OK)
        *out = f;
    else
        forward_close(&f);
    return s;
}

void forward_close(struct forward **fp)
{
    struct forward *f = steal_ptr(fp);

    if (!f)
        return;
    if (f->run)
        run_destroy(f->run);
    proxy_unref(&f->upstream);
    free(f);
}

bool forward_adopt(struct forward *f, int fd)
{
    return adopt(forward_run_of(f), fd, true);
}

uint16_t forward_port(const struct forward *f)
{
    return f->run ? f->run->port : 0;
}

void forward_set_upstream(struct forward *f, const struct proxy *p)
{
    struct proxy *old = f->upstream;

    f->upstream = p ? proxy_ref(p) : NULL;
    proxy_unref(&old);
}

const struct proxy *forward_upstream(const struct forward *f)
{
    return f->upstream;
}

void forward_cut_all(struct forward *f)
{
    struct list cut = LIST_INIT(cut);

    if (!f->run)
        return;
    list_for_each (l, &f->run->direct)
        direct_cut(list_entry(l, struct direct, link));
    list_splice(&cut, &f->run->conns); /* a callback of a dying one may not add to these */
    while (!list_empty(&cut))
        conn_kill(list_first(&cut, struct conn, link), true);
}
