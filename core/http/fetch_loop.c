/* libcurl's multi interface on the loop: curl says which sockets and which timer it wants, the loop
 * tells it what is ready. */
#include <sys/socket.h>
#include <unistd.h>

#include "core/http/fetch_internal.h"
#include "proxies/direct.h"

enum { IDLE_MAX_MS = 60000, SWEEP_EVERY_MS = 1000 };

static struct sock *sock_at(struct http *h, curl_socket_t fd)
{
    size_t n = (size_t)fd + 1, old = h->n_socks;

    if (n > old) {
        h->n_socks = n < 2 * old ? 2 * old : n;
        h->socks = xreallocarray(h->socks, h->n_socks, sizeof(*h->socks));
        memset(h->socks + old, 0, (h->n_socks - old) * sizeof(*h->socks));
    }
    return &h->socks[fd];
}

static void sock_ready(void *arg, int fd, int events)
{
    struct http *h = arg;
    struct sock *s = sock_at(h, fd);
    int running;
    int mask = ((events & LOOP_READ) != 0 ? CURL_CSELECT_IN : 0) |
               ((events & LOOP_WRITE) != 0 ? CURL_CSELECT_OUT : 0);

    if (!s->wanted) { /* its end, most likely: curl looks when it wants to use it again */
        loop_watch_set(s->watch, 0);
        return;
    }
    curl_multi_socket_action(h->multi, fd, mask, &running);
    multi_reap(h);
}

static void sock_let_go(struct http *h, struct sock *s)
{
    s->wanted = false;
    s->idle_ms = loop_now_ms(h->loop);
    if (!s->dialled)
        loop_watch_close(&s->watch);
    else if (s->watch != NULL && loop_watch_events(s->watch) != LOOP_READ)
        loop_watch_set(s->watch, 0);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sock_arg)
{
    struct http *h = arg;
    struct sock *s = sock_at(h, fd);
    int events = (what == CURL_POLL_IN || what == CURL_POLL_INOUT ? LOOP_READ : 0) |
                 (what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? LOOP_WRITE : 0);

    (void)easy;
    (void)sock_arg;
    if (what == CURL_POLL_REMOVE) {
        sock_let_go(h, s);
        return 0;
    }
    s->wanted = true;
    if (s->watch != NULL)
        loop_watch_set(s->watch, events);
    else if (loop_watch_open(h->loop, fd, events, sock_ready, h, &s->watch, NULL) != STATUS_OK)
        return -1;
    return 0;
}

/* --- sockets that we dialled --- */

/* Those that nobody wanted for long are closed: curl finds them at its end, within a second. */
static void sweep(struct http *h)
{
    uint64_t now = loop_now_ms(h->loop);

    if (now - h->swept_ms < SWEEP_EVERY_MS)
        return;
    h->swept_ms = now;
    for (size_t fd = 0; fd < h->n_socks; fd++) {
        const struct sock *s = &h->socks[fd];

        if (s->dialled && !s->wanted && s->idle_ms > 0 && now - s->idle_ms >= IDLE_MAX_MS)
            shutdown((int)fd, SHUT_RDWR);
    }
}

/* curl would make room by a search through all connections for the oldest, at each new one: rather,
 * those that come when there are enough are not kept. */
void sock_dialled(struct request *q, int fd, struct direct *d)
{
    struct http *h = q->http;

    *sock_at(h, fd) = (struct sock){.dialled = true, .direct = d};
    q->dialled = true;
    if (++h->n_dialled <= h->n_kept_max)
        return;
    curl_easy_setopt(q->easy, CURLOPT_FORBID_REUSE, 1L);
    sweep(h);
}

int sock_close(void *arg, curl_socket_t fd)
{
    struct http *h = arg;
    struct sock *s = sock_at(h, fd);
    struct direct *d = s->direct;

    h->n_dialled--;
    loop_watch_close(&s->watch);
    *s = (struct sock){.watch = NULL};
    if (d == NULL)
        return close(fd);
    direct_close(&d);
    return 0;
}

static void timer_fired(struct loop_timer *t)
{
    struct http *h = container_of(t, struct http, timer);
    int running;

    curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    multi_reap(h);
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct http *h = arg;

    (void)multi;
    if (timeout_ms < 0)
        loop_timer_stop(&h->timer);
    else
        loop_timer_start(h->loop, &h->timer, (uint64_t)timeout_ms, timer_fired);
    return 0;
}

void multi_watch(struct http *h)
{
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
}
