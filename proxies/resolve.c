#include "proxies/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>

#include "core/base/map.h"
#include "core/base/work.h"

/* What is known of a name. Lives in the map of its resolver from the first question; while `job`
 * runs, questions wait. */
struct name {
    struct addrs addrs;
    uint64_t until_ms;
    struct list waiting; /* resolve.link */
    struct job *job;     /* NULL: not under way */
};

/* A look-up on its worker thread. Owned by `work`; `resolver` is NULL once that is gone. */
struct job {
    struct resolver *resolver;
    struct list link; /* resolver.jobs */
    struct addrs addrs;
    int gai_error;
    char host[];
};

struct resolver {
    struct loop *loop;
    struct map *names; /* host -> name */
    struct list jobs;
};

/* --- addresses --- */

socklen_t net_addr_len(const union net_addr *a)
{
    return a->sa.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
}

void net_addr_set_port(union net_addr *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET6)
        a->v6.sin6_port = htons(port);
    else
        a->v4.sin_port = htons(port);
}

bool net_addr_parse(const char *host, uint16_t port, union net_addr *out)
{
    *out = (union net_addr){.v6 = {0}};
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1)
        out->v4.sin_family = AF_INET;
    else if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1)
        out->v6.sin6_family = AF_INET6;
    else
        return false;
    net_addr_set_port(out, port);
    return true;
}

/* --- the worker thread --- */

static bool copy_addr(const struct addrinfo *ai, int family, union net_addr *out)
{
    if (ai->ai_family != family || ai->ai_addrlen > sizeof(*out))
        return false;
    *out = (union net_addr){.v6 = {0}};
    memcpy(out, ai->ai_addr, ai->ai_addrlen);
    return true;
}

/* The next of that family from *ai on; false when there is none. */
static bool next_of(const struct addrinfo **ai, int family, union net_addr *out)
{
    while (*ai) {
        const struct addrinfo *a = *ai;

        *ai = a->ai_next;
        if (copy_addr(a, family, out))
            return true;
    }
    return false;
}

static void interleave(const struct addrinfo *list, struct addrs *out)
{
    int family = list->ai_family == AF_INET6 ? AF_INET6 : AF_INET;
    int other = family == AF_INET6 ? AF_INET : AF_INET6;
    const struct addrinfo *a = list, *b = list;

    out->n = 0;
    while (out->n < ADDRS_MAX) {
        size_t before = out->n;

        out->n += next_of(&a, family, &out->v[out->n]);
        if (out->n < ADDRS_MAX)
            out->n += next_of(&b, other, &out->v[out->n]);
        if (out->n == before)
            break;
    }
}

static void run_job(void *arg)
{
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct job *j = arg;
    struct addrinfo *list = NULL;

    j->gai_error = getaddrinfo(j->host, NULL, &hints, &list);
    if (j->gai_error == 0)
        interleave(list, &j->addrs);
    if (j->gai_error == 0 && j->addrs.n == 0)
        j->gai_error = EAI_NONAME;
    if (list)
        freeaddrinfo(list);
}

/* --- the loop --- */

static void keep(struct resolver *r, const struct job *j, struct list *waiting)
{
    struct name *n = map_find(r->names, str_from(j->host));

    BUG_ON(!n || !n->job);
    n->job = NULL;
    n->addrs = j->addrs;
    n->until_ms = j->gai_error ? 0 : loop_now_ms(r->loop) + RESOLVE_TTL_MS;
    list_splice(waiting, &n->waiting);
}

static void job_done(void *arg)
{
    struct job *j = arg;
    struct list waiting = LIST_INIT(waiting);
    struct list *l;

    if (j->resolver) {
        list_remove(&j->link);
        keep(j->resolver, j, &waiting);
    }
    while ((l = list_pop(&waiting)) != NULL) { /* a callback may cancel others of the list */
        struct resolve *q = list_entry(l, struct resolve, link);

        q->addrs = j->addrs;
        q->gai_error = j->gai_error;
        q->fn(q);
    }
    free(j);
}

struct resolver *resolver_create(struct loop *l)
{
    struct resolver *r = xcalloc(1, sizeof(*r));

    r->loop = l;
    r->names = map_create();
    list_init(&r->jobs);
    return r;
}

void resolver_destroy(struct resolver **rp)
{
    struct resolver *r = steal_ptr(rp);
    struct list *l;
    struct name *n;
    size_t it = 0;

    if (!r)
        return;
    while ((l = list_pop(&r->jobs)) != NULL)
        list_entry(l, struct job, link)->resolver = NULL;
    while ((n = map_next(r->names, &it, NULL)) != NULL) {
        while (list_pop(&n->waiting))
            ;
    }
    map_destroy(&r->names, free);
    free(r);
}

/* Keeps the cache small: what has run out goes; when nothing has, all that nobody waits for. */
static void evict(struct resolver *r)
{
    uint64_t now = loop_now_ms(r->loop);

    for (int all = 0; all < 2 && map_len(r->names) >= RESOLVE_CACHE_MAX; all++) {
        struct str key;
        struct name *n;
        size_t it = 0;

        while ((n = map_next(r->names, &it, &key)) != NULL) {
            if (!n->job && (all || n->until_ms <= now))
                free(map_remove(r->names, key));
        }
    }
}

static struct name *name_of(struct resolver *r, const char *host)
{
    struct name *n = map_find(r->names, str_from(host));

    if (n)
        return n;
    evict(r);
    n = xcalloc(1, sizeof(*n));
    list_init(&n->waiting);
    map_put(r->names, str_from(host), n);
    return n;
}

static struct job *look_up(struct resolver *r, const char *host)
{
    size_t len = strlen(host);
    struct job *j = xcalloc(1, sizeof(*j) + len + 1);

    j->resolver = r;
    memcpy(j->host, host, len + 1);
    list_push(&r->jobs, &j->link);
    work_submit(r->loop, run_job, job_done, j);
    return j;
}

bool resolve_start(struct resolver *r, struct resolve *q, const char *host, resolve_fn *fn)
{
    struct name *n;

    list_init(&q->link);
    q->fn = fn;
    q->gai_error = 0;
    q->addrs.n = 0;
    if (net_addr_parse(host, 0, &q->addrs.v[0])) {
        q->addrs.n = 1;
        return true;
    }
    n = name_of(r, host);
    if (n->until_ms > loop_now_ms(r->loop)) {
        q->addrs = n->addrs;
        return true;
    }
    list_push(&n->waiting, &q->link);
    if (!n->job)
        n->job = look_up(r, host);
    return false;
}

void resolve_cancel(struct resolve *q)
{
    if (q->link.next)
        list_remove(&q->link);
}
