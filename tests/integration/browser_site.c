#include "tests/integration/browser_site.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#include "core/base/buf.h"
#include "core/base/list.h"
#include "tests/support/testing.h"

enum { ANSWERS_MAX = 64, HITS_MAX = 512 };

struct answer {
    const char *path, *headers, *body;
    int status;
};

struct visit {
    struct list link;
    struct site *site;
    int fd;
    struct loop_watch *watch;
    struct buf in;
};

struct site {
    struct loop *loop;
    int fd;
    uint16_t port;
    struct loop_watch *watch;
    struct list visits;
    struct answer answers[ANSWERS_MAX];
    size_t n_answers;
    struct site_hit hits[HITS_MAX];
    size_t n_hits;
};

static void visit_close(struct visit *v)
{
    loop_watch_close(&v->watch);
    close(v->fd);
    list_remove(&v->link);
    buf_deinit(&v->in);
    free(v);
}

static void copy(char *out, size_t size, struct str s)
{
    snprintf(out, size, "%.*s", STR_ARG(s));
}

static struct str header(struct str head, const char *name)
{
    while (head.ptr != NULL) {
        struct str line = str_trim(str_cut(&head, '\n'));
        struct str key = str_cut(&line, ':');

        if (str_eq_nocase(key, str_from(name)))
            return str_trim(line);
    }
    return STR("");
}

static const struct answer *find(const struct site *s, const char *path)
{
    struct str rest = str_from(path);
    struct str bare = str_cut(&rest, '?');

    for (size_t i = s->n_answers; i-- > 0;)
        if (str_eqz(bare, s->answers[i].path))
            return &s->answers[i];
    return NULL;
}

static void reply(struct visit *v, const char *path)
{
    const struct answer *a = find(v->site, path);
    struct buf out = BUF_INIT(1 << 20);
    const char *body = a != NULL ? a->body : NULL;
    bool never = body != NULL && strcmp(body, "@never") == 0;
    char page[300];

    if (body != NULL && strcmp(body, "@silent") == 0) {
        buf_reset(&v->in);
        return;
    }
    if (body != NULL && strcmp(body, "@close") == 0) {
        visit_close(v);
        return;
    }

    snprintf(page, sizeof page, "<!doctype html><title>%s</title><p>%s</p>", path, path);
    if (body == NULL)
        body = page;
    buf_addf(&out,
             "HTTP/1.1 %d X\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n%s",
             a != NULL ? a->status : 200, a != NULL ? a->headers : "");
    if (never)
        buf_adds(&out, "\r\n<!doctype html><title>never</title><p>begun");
    else
        buf_addf(&out, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
    if (send(v->fd, out.ptr, out.len, MSG_NOSIGNAL) < 0 || !never) {
        buf_deinit(&out);
        visit_close(v);
        return;
    }
    buf_deinit(&out);
    buf_reset(&v->in);
}

static void take(struct visit *v, size_t head_len)
{
    struct site *s = v->site;
    struct str head = str_n(v->in.ptr, head_len), rest = head, line, method, target;
    struct site_hit *h = &s->hits[s->n_hits < HITS_MAX ? s->n_hits++ : HITS_MAX - 1];
    char path[128];

    *h = (struct site_hit){0};
    line = str_cut(&rest, '\n');
    method = str_cut(&line, ' ');
    target = str_cut(&line, ' ');
    copy(h->method, sizeof h->method, method);
    copy(h->host, sizeof h->host, header(head, "host"));
    h->host[strcspn(h->host, ":")] = '\0';
    if (str_starts(target, STR("http://"))) {
        ptrdiff_t slash = str_chr(str_skip(target, 7), '/');

        target = slash < 0 ? STR("/") : str_skip(target, 7 + (size_t)slash);
    }
    copy(h->path, sizeof h->path, target);
    copy(h->user_agent, sizeof h->user_agent, header(head, "user-agent"));
    copy(h->languages, sizeof h->languages, header(head, "accept-language"));
    copy(h->cookie, sizeof h->cookie, header(head, "cookie"));
    copy(h->platform, sizeof h->platform, header(head, "sec-ch-ua-platform"));
    copy(path, sizeof path, target);
    if (str_eqz(method, "CONNECT")) {
        visit_close(v);
        return;
    }
    reply(v, path);
}

static void on_visit(void *arg, int fd, int events)
{
    struct visit *v = arg;
    char *room = buf_reserve(&v->in, 8192);
    ssize_t n = recv(fd, room, 8192, 0);
    ptrdiff_t end;

    (void)events;
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        visit_close(v);
        return;
    }
    buf_commit(&v->in, (size_t)n);
    end = str_find(buf_str(&v->in), STR("\r\n\r\n"));
    if (end >= 0)
        take(v, (size_t)end + 2);
}

static void on_accept(void *arg, int fd, int events)
{
    struct site *s = arg;
    int c = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct visit *v;

    (void)events;
    if (c < 0)
        return;
    v = xcalloc(1, sizeof *v);
    v->site = s;
    v->fd = c;
    buf_init(&v->in, 1 << 20);
    list_push(&s->visits, &v->link);
    assert_int_equal(loop_watch_open(s->loop, c, LOOP_READ, on_visit, v, &v->watch, NULL), 0);
}

struct site *site_open(struct loop *l)
{
    struct site *s = xcalloc(1, sizeof *s);

    s->loop = l;
    list_init(&s->visits);
    s->fd = test_listen(&s->port);
    assert_int_equal(fcntl(s->fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(loop_watch_open(l, s->fd, LOOP_READ, on_accept, s, &s->watch, NULL), 0);
    return s;
}

void site_close(struct site **sp)
{
    struct site *s = *sp;

    if (s == NULL)
        return;
    while (!list_empty(&s->visits))
        visit_close(list_entry(s->visits.next, struct visit, link));
    loop_watch_close(&s->watch);
    close(s->fd);
    free(s);
    *sp = NULL;
}

uint16_t site_port(const struct site *s)
{
    return s->port;
}

void site_answer(struct site *s, const char *path, int status, const char *headers,
                 const char *body)
{
    assert_true(s->n_answers < ANSWERS_MAX);
    s->answers[s->n_answers++] = (struct answer){path, headers, body, status};
}

size_t site_hits(const struct site *s)
{
    return s->n_hits;
}

const struct site_hit *site_hit(const struct site *s, size_t i)
{
    return &s->hits[i];
}

size_t site_count(const struct site *s, const char *host, const char *path)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_hits; i++)
        if (strcmp(s->hits[i].path, path) == 0 &&
            (host == NULL || strcmp(s->hits[i].host, host) == 0))
            n++;
    return n;
}

const struct site_hit *site_last(const struct site *s, const char *path)
{
    for (size_t i = s->n_hits; i-- > 0;)
        if (strcmp(s->hits[i].path, path) == 0)
            return &s->hits[i];
    return NULL;
}

void site_forget(struct site *s)
{
    s->n_hits = 0;
}
