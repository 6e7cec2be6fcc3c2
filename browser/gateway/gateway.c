#include "browser/gateway/gateway.h"

#include <stdio.h>

#include "browser/gateway/gateway_internal.h"
#include "core/base/log.h"
#include "core/base/rng.h"

enum {
    STOP_POLL_MS = 10,
    WARM_MS = 20,      /* after a lease is ready or over: its client goes first */
    LOOK_MS = 250,     /* while leases wait: whether there is room again */
    RETRY_AFTER_S = 5, /* of 503 */
};

/* An id that /json/version gave out: whoever connects with it gets a lease of that id. */
struct ticket {
    struct list link;
    char id[LEASE_ID_LEN + 1];
    uint64_t until_ms;
    struct lease_want want;
};

static uint64_t now_ms(const struct gateway *g)
{
    return loop_now_ms(g->deps.loop);
}

static void new_id(char out[LEASE_ID_LEN + 1])
{
    unsigned char bytes[LEASE_ID_LEN / 2];

    rng_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* --- leases --- */

static struct lease *lease_find(struct gateway *g, const char *id)
{
    struct lease *l = map_find(g->leases, str_from(id));

    return l != NULL && l->state < LEASE_ENDING ? l : NULL;
}

const char *gateway_pressure(const struct gateway *g)
{
    return g->deps.pressure != NULL ? g->deps.pressure(g->deps.arg) : NULL;
}

/* One lease may always be: what waits for ever would be a gateway that does nothing. */
static bool has_room(const struct gateway *g)
{
    return g->n_begun == 0 || gateway_pressure(g) == NULL;
}

static void begin(struct gateway *g, struct lease *l)
{
    g->n_begun++;
    lease_begin(l);
}

/* A quarter as many as there are at a time: the machine tells of pressure with a delay. */
static void on_look(struct loop_timer *t)
{
    struct gateway *g = container_of(t, struct gateway, look);

    for (size_t n = 1 + g->n_begun / 4; n > 0 && !list_empty(&g->line) && has_room(g); n--)
        begin(g, list_first(&g->line, struct lease, line_link));
    if (!list_empty(&g->line))
        loop_timer_start(g->deps.loop, &g->look, LOOK_MS, on_look);
}

static void begin_or_wait(struct gateway *g, struct lease *l)
{
    const char *why = gateway_pressure(g);

    if (list_empty(&g->line) && has_room(g)) {
        begin(g, l);
        return;
    }
    log_info(NULL, "lease.waits", LOG_STR("member", l->member->identity->id),
             LOG_STR("why", why != NULL ? why : "others came first"));
    if (list_empty(&g->line))
        loop_timer_start(g->deps.loop, &g->look, LOOK_MS, on_look);
    list_push(&g->line, &l->line_link);
}

static enum status lease_open(struct gateway *g, const struct lease_want *want, const char *id,
                              struct lease **out, struct err *e)
{
    struct member *m;
    enum status s;

    if (g->stopping)
        return err_set(e, STATUS_SHUTTING_DOWN, "no new leases: shutting down");
    if (g->deps.pool == NULL)
        return err_set(e, STATUS_UNAVAILABLE, "the browser is not there yet");
    if (map_len(g->leases) >= LEASES_MAX)
        return err_set(e, STATUS_BUSY, "%d leases are held already", LEASES_MAX);
    s = g->deps.take(g->deps.arg, want->identity, want->proxy, &m, e);
    if (s != STATUS_OK)
        return s;
    *out = lease_create(g, m, want, id);
    map_put(g->leases, str_from(id), *out);
    begin_or_wait(g, *out);
    return STATUS_OK;
}

void gateway_lease_over(struct gateway *g, struct lease *l)
{
    map_remove(g->leases, str_from(l->id));
    g->n_begun -= l->begun;
    g->deps.give(g->deps.arg, l->member);
    gateway_warm_soon(g);
}

/* --- pages that are ready before they are asked for --- */

static void on_warm(struct loop_timer *t)
{
    struct gateway *g = container_of(t, struct gateway, warm);
    struct member *m;

    if (gateway_pressure(g) != NULL)
        return; /* the next lease's end or beginning looks again */
    for (size_t i = 0; i < g->deps.conf->warm && (m = g->deps.idle(g->deps.arg, i)) != NULL; i++)
        if (m->keep == NULL) /* a stored member's storage goes in before its first page */
            pool_warm(g->deps.pool, m);
}

void gateway_warm_soon(struct gateway *g)
{
    if (!g->stopping && g->deps.pool != NULL && g->deps.idle != NULL)
        loop_timer_start(g->deps.loop, &g->warm, WARM_MS, on_warm);
}

/* --- tickets --- */

static void ticket_free(struct gateway *g, struct ticket *t)
{
    list_remove(&t->link);
    g->n_tickets--;
    free(t);
}

static void tickets_sweep(struct gateway *g)
{
    while (!list_empty(&g->tickets)) {
        struct ticket *t = list_entry(g->tickets.next, struct ticket, link);

        if (t->until_ms > now_ms(g) && g->n_tickets < TICKETS_MAX)
            return;
        ticket_free(g, t);
    }
}

static struct ticket *ticket_make(struct gateway *g, const struct lease_want *want)
{
    struct ticket *t = xcalloc(1, sizeof *t);

    tickets_sweep(g);
    new_id(t->id);
    t->until_ms = now_ms(g) + TICKET_MS;
    t->want = *want;
    t->want.identity = t->want.proxy = NULL;
    list_push(&g->tickets, &t->link);
    g->n_tickets++;
    return t;
}

static struct ticket *ticket_find(struct gateway *g, const char *id)
{
    list_for_each (l, &g->tickets) {
        struct ticket *t = list_entry(l, struct ticket, link);

        if (strcmp(t->id, id) == 0 && t->until_ms > now_ms(g))
            return t;
    }
    return NULL;
}

/* --- addresses: as the client sees this server --- */

static bool is_host(const char *z)
{
    return z != NULL && z[0] != '\0' && strlen(z) < 256 &&
           strspn(z, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]_") ==
               strlen(z);
}

const char *gateway_base_of(const struct gateway *g, const struct exchange *x)
{
    const char *forwarded = exchange_header(x, "x-forwarded-host");
    const char *host = exchange_header(x, "host");

    if (server_port(exchange_server(x)) == 0)
        return g->deps.base;
    return is_host(forwarded) ? forwarded : is_host(host) ? host : "127.0.0.1";
}

bool gateway_is_tls(const struct exchange *x)
{
    const char *proto = exchange_header(x, "x-forwarded-proto");

    return proto != NULL && (strcmp(proto, "https") == 0 || strcmp(proto, "wss") == 0);
}

static const char *address_of(const struct gateway *g, struct exchange *x, const char *id)
{
    return arena_printf(exchange_arena(x), "%s://%s/devtools/browser/%s",
                        gateway_is_tls(x) ? "wss" : "ws", gateway_base_of(g, x), id);
}

/* --- /v1/leases --- */

struct posted {
    struct exchange *x;
    const char *url;
};

static struct json *describe(struct exchange *x, const struct lease *l)
{
    return json_add_str(lease_describe(l), "url", address_of(l->gateway, x, l->id));
}

/* Whoever is told that there is no room is told when to come again (RFC 9110 §10.2.3). */
static void answer_err(struct exchange *x, const struct err *e)
{
    char seconds[16];

    snprintf(seconds, sizeof seconds, "%d", RETRY_AFTER_S);
    if (status_http(e->status) == 503)
        exchange_set_header(x, "retry-after", seconds);
    exchange_answer_err(x, e);
}

static void on_posted(void *arg, struct lease *l, enum status s, const struct err *e)
{
    struct exchange *x = arg;

    if (s == STATUS_OK && exchange_is_gone(x))
        lease_release(l, "who asked for it went");
    if (s == STATUS_OK)
        exchange_answer_json(x, 201, describe(x, l));
    else
        answer_err(x, e);
}

static void post_lease(struct exchange *x, void *arg)
{
    struct gateway *g = arg;
    struct lease_want want;
    struct lease *l;
    struct err e = ERR_INIT;
    char id[LEASE_ID_LEN + 1];

    new_id(id);
    if (want_of_body(g, x, &want, &e) != STATUS_OK || lease_open(g, &want, id, &l, &e) != STATUS_OK)
        answer_err(x, &e);
    else
        lease_when_ready(l, on_posted, x);
}

static void list_leases(struct exchange *x, void *arg)
{
    struct gateway *g = arg;
    struct json *list = json_new_array();
    struct lease *l;
    size_t it = 0;

    while ((l = map_next(g->leases, &it, NULL)) != NULL)
        json_push(list, describe(x, l));
    exchange_answer_json(x, 200, json_add(json_new_object(), "leases", list));
}

struct lease *gateway_lease_of(struct exchange *x, struct gateway *g)
{
    const char *id = exchange_param(x, "id");
    struct lease *l = lease_find(g, id);

    if (l == NULL)
        exchange_fail(x, STATUS_NOT_FOUND, "there is no lease %.8s", id);
    return l;
}

/* Also one that is ending: its member is free when it is not found any more. */
static void get_lease(struct exchange *x, void *arg)
{
    struct gateway *g = arg;
    const char *id = exchange_param(x, "id");
    struct lease *l = map_find(g->leases, str_from(id));

    if (l != NULL)
        exchange_answer_json(x, 200, describe(x, l));
    else
        exchange_fail(x, STATUS_NOT_FOUND, "there is no lease %.8s", id);
}

static void delete_lease(struct exchange *x, void *arg)
{
    struct lease *l = gateway_lease_of(x, arg);

    if (l == NULL)
        return;
    lease_release(l, "released");
    exchange_answer_none(x);
}

static void post_handoff(struct exchange *x, void *arg)
{
    struct lease *l = gateway_lease_of(x, arg);
    struct err e = ERR_INIT;
    struct json *body = l != NULL ? exchange_json(x, &e) : NULL;

    if (l == NULL)
        return;
    if (body == NULL || lease_handed_back(l, json_bool(json_get(body, "success"), true),
                                          json_str(json_get(body, "reason"), ""), &e) != STATUS_OK)
        exchange_answer_err(x, &e);
    else
        exchange_answer_none(x);
    json_destroy(&body);
}

/* --- /json --- */

static void answer_text(struct exchange *x, struct buf *b)
{
    exchange_answer_buf(x, 200, "application/json; charset=UTF-8", b);
}

static void root_version(struct exchange *x, void *arg)
{
    struct gateway *g = arg;
    struct lease_want want;
    struct buf b = BUF_INIT(BUF_MAX_LINE);
    struct err e = ERR_INIT;

    if (want_of_query(x, &want, &e) != STATUS_OK) {
        exchange_answer_err(x, &e);
        return;
    }
    discovery_version(g, address_of(g, x, ticket_make(g, &want)->id), &b);
    answer_text(x, &b);
}

/* Nothing is open where nobody has a lease. */
static void root_list(struct exchange *x, void *arg)
{
    (void)arg;
    exchange_answer(x, 200, "application/json; charset=UTF-8", STR("[]\n"));
}

static void protocol(struct exchange *x, void *arg)
{
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    (void)arg;
    discovery_protocol_print(&b);
    answer_text(x, &b);
}

static void lease_version(struct exchange *x, void *arg)
{
    struct gateway *g = arg;
    const char *id = exchange_param(x, "id");
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    if (lease_find(g, id) == NULL && ticket_find(g, id) == NULL) {
        exchange_fail(x, STATUS_NOT_FOUND, "there is no lease %.8s", id);
        return;
    }
    discovery_version(g, address_of(g, x, id), &b);
    answer_text(x, &b);
}

static void lease_list(struct exchange *x, void *arg)
{
    struct lease *l = gateway_lease_of(x, arg);
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    if (l == NULL)
        return;
    discovery_list(l, gateway_base_of(l->gateway, x), gateway_is_tls(x), &b);
    answer_text(x, &b);
}

/* --- sockets --- */

static void connect_to(struct exchange *x, struct lease *l, const char *page)
{
    if (!lease_has_room(l))
        exchange_fail(x, STATUS_BUSY, "the lease has %d clients already", LEASE_CLIENTS_MAX);
    else
        lease_connect(l, x, page);
}

static void open_and_connect(struct exchange *x, struct gateway *g, const struct lease_want *want,
                             const char *id)
{
    struct err e = ERR_INIT;
    struct lease *l;

    if (lease_open(g, want, id, &l, &e) != STATUS_OK)
        answer_err(x, &e);
    else
        lease_connect(l, x, NULL);
}

static void browser_socket(struct exchange *x, void *arg)
{
    struct gateway *g = arg;
    const char *id = exchange_param(x, "id");
    struct lease *l = lease_find(g, id);
    struct ticket *t = l == NULL ? ticket_find(g, id) : NULL;
    struct ticket used;

    if (l != NULL) {
        connect_to(x, l, NULL);
    } else if (t != NULL) {
        used = *t;
        ticket_free(g, t);
        open_and_connect(x, g, &used.want, used.id);
    } else {
        exchange_fail(x, STATUS_NOT_FOUND, "there is no lease %.8s (it may be over)", id);
    }
}

static void page_socket(struct exchange *x, void *arg)
{
    struct gateway *g = arg;
    const char *page = exchange_param(x, "page"), *id = exchange_param(x, "id");
    struct lease *l;
    size_t it = 0;

    while ((l = map_next(g->leases, &it, NULL)) != NULL) {
        struct view_target *t = view_find(&l->view, page);

        if (l->state >= LEASE_ENDING || t == NULL || !t->ready ||
            (id != NULL && strcmp(id, l->id) != 0))
            continue;
        connect_to(x, l, page);
        return;
    }
    exchange_fail(x, STATUS_NOT_FOUND, "there is no page %.8s", page);
}

/* ws://host:port/: a lease for as long as the socket is there. */
static void root_socket(struct exchange *x, void *arg)
{
    struct lease_want want;
    struct err e = ERR_INIT;
    char id[LEASE_ID_LEN + 1];

    if (want_of_query(x, &want, &e) != STATUS_OK) {
        exchange_answer_err(x, &e);
        return;
    }
    want.grace_ms = 0;
    new_id(id);
    open_and_connect(x, arg, &want, id);
}

const struct route gateway_routes[] = {
    {HTTP_POST, "/v1/leases", post_lease, false, "A member on lease; answered when it is ready."},
    {HTTP_GET, "/v1/leases", list_leases, false, "The leases that are held."},
    {HTTP_GET, "/v1/leases/{id}", get_lease, false, "One lease."},
    {HTTP_DELETE, "/v1/leases/{id}", delete_lease, false, "Releases it."},
    {HTTP_POST, "/v1/leases/{id}/handoff", post_handoff, false,
     "A person is done: {\"success\", \"reason\"}."},
    {HTTP_PUT, "/v1/leases/{id}/files/{name}", files_put, false,
     "A file for pages of the lease; the answer's path is for DOM.setFileInputFiles."},
    {HTTP_GET, "/v1/leases/{id}/files/{name}", files_get, false,
     "A file of the lease: a download by its guid or name."},
    {HTTP_GET, "/v1/leases/{id}/files", files_list, false, "Its files."},
    {HTTP_GET, "/json/version", root_version, false, "DevTools discovery: a ticket for one lease."},
    {HTTP_GET, "/json", root_list, false, NULL},
    {HTTP_GET, "/json/list", root_list, false, NULL},
    {HTTP_GET, "/json/protocol", protocol, false, NULL},
    {HTTP_GET, "/devtools/browser/{id}/json/version", lease_version, false, NULL},
    {HTTP_GET, "/devtools/browser/{id}/json", lease_list, false, NULL},
    {HTTP_GET, "/devtools/browser/{id}/json/list", lease_list, false, NULL},
    {HTTP_GET, "/devtools/browser/{id}/json/protocol", protocol, false, NULL},
    {HTTP_PUT, "/devtools/browser/{id}/json/new", pages_new, false, "A page: ?URL."},
    {HTTP_GET, "/devtools/browser/{id}/json/activate/{page}", pages_activate, false, NULL},
    {HTTP_GET, "/devtools/browser/{id}/json/close/{page}", pages_close, false, NULL},
    {HTTP_GET, "/devtools/browser/{id}", browser_socket, true, "A client's connection."},
    {HTTP_GET, "/devtools/page/{id}/{page}", page_socket, true, NULL},
    {HTTP_GET, "/devtools/page/{page}", page_socket, true, NULL},
    {HTTP_GET, "/chromium", root_socket, true, NULL},
    {HTTP_GET, "/chrome", root_socket, true, NULL},
    {HTTP_GET, "/", root_socket, true, "A lease for as long as the socket is there."},
    {HTTP_GET, NULL, NULL, false, NULL},
};

bool gateway_path_is_own(const char *path)
{
    return strncmp(path, "/devtools/", 10) == 0 || strcmp(path, "/json/protocol") == 0 ||
           strcmp(path, "/json/protocol/") == 0;
}

/* --- life --- */

struct gateway *gateway_create(const struct gateway_deps *deps)
{
    struct gateway *g = xcalloc(1, sizeof *g);

    g->deps = *deps;
    g->leases = map_create();
    list_init(&g->hubs);
    list_init(&g->tickets);
    list_init(&g->line);
    return g;
}

void gateway_begin(struct gateway *g, struct pool *pool)
{
    g->deps.pool = pool;
    gateway_warm_soon(g);
}

void *gateway_arg(const struct gateway *g)
{
    return g->deps.arg;
}

void gateway_set_base(struct gateway *g, const char *base)
{
    g->deps.base = base;
}

static void on_stop_poll(struct loop_timer *t)
{
    struct gateway *g = container_of(t, struct gateway, stop_timer);

    if (map_len(g->leases) > 0)
        loop_timer_start(g->deps.loop, &g->stop_timer, STOP_POLL_MS, on_stop_poll);
    else
        g->stopped(g->stopped_arg);
}

void gateway_stop(struct gateway *g, void (*stopped)(void *arg), void *arg)
{
    struct lease *l;
    size_t it = 0;

    BUG_ON(g->stopping);
    g->stopping = true;
    loop_timer_stop(&g->warm);
    loop_timer_stop(&g->look);
    g->stopped = stopped;
    g->stopped_arg = arg;
    while ((l = map_next(g->leases, &it, NULL)) != NULL)
        lease_release(l, "shutting down");
    loop_timer_start(g->deps.loop, &g->stop_timer, 0, on_stop_poll);
}

void gateway_destroy(struct gateway **gp)
{
    struct gateway *g = *gp;

    if (g == NULL)
        return;
    *gp = NULL;
    BUG_ON(map_len(g->leases) > 0);
    loop_timer_stop(&g->stop_timer);
    while (!list_empty(&g->tickets))
        ticket_free(g, list_entry(g->tickets.next, struct ticket, link));
    map_destroy(&g->leases, NULL);
    free(g);
}
