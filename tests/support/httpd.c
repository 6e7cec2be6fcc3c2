#include "tests/support/httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/testing.h"

enum { CONNECTIONS_MAX = 512, REQUEST_MAX = 256 * 1024 };

struct httpd {
    int fd;
    uint16_t port;
    char address[64];
    httpd_fn *fn;
    void *arg;
    pthread_t acceptor;
    pthread_mutex_t lock; /* guards the table below */
    struct connection *connections[CONNECTIONS_MAX];
    atomic_uint count;
    unsigned accepted; /* of the acceptor's thread */
    atomic_bool stopping;
};

struct connection {
    struct httpd *h;
    int fd;
    unsigned number; /* from 1 */
    pthread_t thread;
};

const char *httpd_header(const struct httpd_request *q, const char *name, char *out, size_t size)
{
    size_t n = strlen(name);

    out[0] = '\0';
    for (const char *p = q->headers; p != NULL && *p != '\r' && *p != '\0';) {
        const char *end = strstr(p, "\r\n");

        if (end == NULL)
            break;
        if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
            p += n + 1;
            while (*p == ' ')
                p++;
            snprintf(out, size, "%.*s", (int)(end - p), p);
            return out;
        }
        p = end + 2;
    }
    return out;
}

static void send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = send(fd, p, n, MSG_NOSIGNAL);

        if (w <= 0)
            return;
        p += w;
        n -= (size_t)w;
    }
}

static const char *reason(int status)
{
    return status < 300 ? "OK" : status < 400 ? "Moved" : "Not this time";
}

/* False: the connection is over. */
static bool answer(struct connection *c, struct httpd_request *q)
{
    struct httpd_reply a = {.status = 200};
    char head[4096];

    c->h->fn(c->h->arg, q, &a);
    atomic_fetch_add(&c->h->count, 1);
    for (unsigned waited = 0; waited < a.delay_ms && !c->h->stopping; waited += 10)
        test_sleep_ms(10);
    if (a.status == 0)
        return false;
    if (a.status < 0) {
        while (!c->h->stopping && recv(c->fd, head, sizeof head, 0) > 0)
            ;
        return false;
    }
    if (a.body_len == 0 && a.body != NULL)
        a.body_len = strlen(a.body);
    snprintf(head, sizeof head,
             "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n", a.status,
             reason(a.status), a.type != NULL ? a.type : "text/html; charset=utf-8", a.body_len,
             a.headers != NULL ? a.headers : "");
    send_all(c->fd, head, strlen(head));
    if (strcmp(q->method, "HEAD") != 0)
        send_all(c->fd, a.body, a.body_len);
    return true;
}

static void parse(struct httpd_request *q, char *head, const char *local)
{
    char url[1024] = "", *path = url;

    memset(q, 0, sizeof *q);
    sscanf(head, "%15s %1023s", q->method, url);
    if (strncmp(url, "http://", 7) == 0) {
        path = strchr(url + 7, '/');
        if (path == NULL)
            path = memcpy(url, "/", 2);
    }
    snprintf(q->path, sizeof q->path, "%s", path);
    q->headers = strstr(head, "\r\n") + 2;
    httpd_header(q, "host", q->host, sizeof q->host);
    q->local = local;
}

static void *serve(void *arg)
{
    struct connection *c = arg;
    char *in = malloc(REQUEST_MAX + 1);
    size_t len = 0;

    for (;;) {
        struct httpd_request q;
        char length[32];
        char *end;
        size_t head_len, body_len;
        ssize_t r;

        in[len] = '\0';
        end = strstr(in, "\r\n\r\n");
        if (end == NULL) {
            r = len < REQUEST_MAX ? recv(c->fd, in + len, REQUEST_MAX - len, 0) : 0;
            if (r <= 0)
                break;
            len += (size_t)r;
            continue;
        }
        parse(&q, in, c->h->address);
        q.connection = c->number;
        head_len = (size_t)(end - in) + 4;
        body_len =
            (size_t)strtoul(httpd_header(&q, "content-length", length, sizeof length), NULL, 10);
        if (len < head_len + body_len) {
            r = head_len + body_len <= REQUEST_MAX ? recv(c->fd, in + len, REQUEST_MAX - len, 0)
                                                   : 0;
            if (r <= 0)
                break;
            len += (size_t)r;
            continue;
        }
        q.body = in + head_len;
        q.body_len = body_len;
        if (!answer(c, &q))
            break;
        memmove(in, in + head_len + body_len, len - head_len - body_len);
        len -= head_len + body_len;
    }
    free(in);
    shutdown(c->fd, SHUT_RDWR);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct httpd *h = arg;

    while (!h->stopping) {
        int fd = accept(h->fd, NULL, NULL);
        struct connection *c;
        size_t i = 0;

        if (fd < 0)
            break;
        c = calloc(1, sizeof *c);
        c->h = h;
        c->fd = fd;
        c->number = ++h->accepted;
        pthread_mutex_lock(&h->lock);
        while (i < CONNECTIONS_MAX && h->connections[i] != NULL)
            i++;
        if (i < CONNECTIONS_MAX && pthread_create(&c->thread, NULL, serve, c) == 0)
            h->connections[i] = c;
        else
            close(fd), free(c);
        pthread_mutex_unlock(&h->lock);
    }
    return NULL;
}

struct httpd *httpd_start(const char *address, uint16_t port, httpd_fn *fn, void *arg)
{
    struct httpd *h = calloc(1, sizeof *h);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof sa;
    int one = 1;

    assert_non_null(h);
    snprintf(h->address, sizeof h->address, "%s", address != NULL ? address : "127.0.0.1");
    h->fn = fn;
    h->arg = arg;
    pthread_mutex_init(&h->lock, NULL);
    assert_int_equal(inet_pton(AF_INET, h->address, &sa.sin_addr), 1);
    h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(h->fd >= 0);
    setsockopt(h->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    assert_int_equal(bind(h->fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(h->fd, 128), 0);
    assert_int_equal(getsockname(h->fd, (struct sockaddr *)&sa, &len), 0);
    h->port = ntohs(sa.sin_port);
    assert_int_equal(pthread_create(&h->acceptor, NULL, accept_all, h), 0);
    return h;
}

uint16_t httpd_port(const struct httpd *h)
{
    return h->port;
}

unsigned httpd_count(const struct httpd *h)
{
    return h->count;
}

void httpd_stop(struct httpd **hp)
{
    struct httpd *h = *hp;

    h->stopping = true;
    shutdown(h->fd, SHUT_RDWR);
    pthread_join(h->acceptor, NULL);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *c = h->connections[i];

        if (c == NULL)
            continue;
        shutdown(c->fd, SHUT_RDWR);
        pthread_join(c->thread, NULL);
        close(c->fd);
        free(c);
    }
    close(h->fd);
    pthread_mutex_destroy(&h->lock);
    free(h);
    *hp = NULL;
}
