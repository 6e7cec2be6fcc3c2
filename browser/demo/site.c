#include "browser/demo/site.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libwebsockets.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "core/base/buf.h"
#include "core/base/embed.h"
#include "core/base/str.h"

enum {
    BODY_MAX = 16 * 1024, /* of a form */
    REPLY_MAX = 512 * 1024,
    BUSY_AFTER = 6,
    RETRY_AFTER_S = 2,
    PORT_TRIES = 20,
    HEADERS_MAX = 2048,
    CHUNK = 32 * 1024,
};

static const struct {
    const char *name, *address;
} sites[SITE_COUNT] = {
    [SITE_SHOP] = {"shop", "127.0.1.1"},       [SITE_NEWS] = {"news", "127.0.1.2"},
    [SITE_CLUB] = {"club", "127.0.1.3"},       [SITE_BUSY] = {"busy", "127.0.1.4"},
    [SITE_GUARDED] = {"guarded", "127.0.1.5"}, [SITE_SLOW] = {"slow", "127.0.1.6"},
    [SITE_STUCK] = {"stuck", "127.0.1.7"},
};

const char *site_name(enum site_kind k)
{
    return sites[k].name;
}

const char *site_address(enum site_kind k)
{
    return sites[k].address;
}

struct server {
    struct site_opts opts;
    struct lws_context *context;
    enum site_kind kinds[SITE_COUNT]; /* vhost user data points in here */
    uint32_t busy_requests, members;
    time_t busy_until; /* 0: it answers */
};

/* One HTTP exchange. */
struct exchange {
    struct buf body; /* of the request */
    struct buf reply;
    size_t sent;
    unsigned status;
    const char *type;
    char extra[256]; /* a further header: "name:\0value" */
    bool never_ends;
    char path[256];
};

static struct server *server_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

static enum site_kind kind_of(struct lws *wsi)
{
    return *(enum site_kind *)lws_vhost_user(lws_get_vhost(wsi));
}

/* --- replies --- */

static void reply_text(struct exchange *x, unsigned status, const char *type, struct str text)
{
    x->status = status;
    x->type = type;
    buf_addstr(&x->reply, text);
}

static const char *type_of(struct str path)
{
    static const struct {
        struct str ending;
        const char *type;
    } types[] = {
        {STR(".html"), "text/html; charset=utf-8"},
        {STR(".js"), "text/javascript; charset=utf-8"},
        {STR(".css"), "text/css; charset=utf-8"},
        {STR(".json"), "application/json"},
        {STR(".svg"), "image/svg+xml"},
    };

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_ends(path, types[i].ending))
            return types[i].type;
    return "application/octet-stream";
}

static bool file_find(const char *name, struct str *out)
{
    for (size_t i = 0; i < embed_site_len; i++) {
        if (strcmp(embed_site[i].path, name) != 0)
            continue;
        *out = str_n((const char *)embed_site[i].data, embed_site[i].len);
        return true;
    }
    return false;
}

/* "/": index.html of the site; "/article/3": article/3.html; "/shared/...": for all. */
static void reply_file(struct exchange *x, const char *site)
{
    const char *path = strcmp(x->path, "/") == 0 ? "/index.html" : x->path;
    bool shared = strncmp(path, "/shared/", 8) == 0;
    char name[512];
    struct str file;

    snprintf(name, sizeof name, "%s%s", shared ? "" : site, shared ? path + 1 : path);
    if (!file_find(name, &file)) {
        snprintf(name, sizeof name, "%s%s.html", shared ? "" : site, path);
        if (!file_find(name, &file)) {
            reply_text(x, 404, "text/plain", STR("No such page.\n"));
            return;
        }
    }
    reply_text(x, 200, type_of(str_from(name)), file);
}

static void query_get(struct str query, const char *name, struct buf *out)
{
    while (query.ptr != NULL) {
        struct str value = str_cut(&query, '&');
        struct str key = str_cut(&value, '=');

        if (!str_eqz(key, name) || value.ptr == NULL)
            continue;
        for (size_t i = 0; i < value.len; i++) {
            unsigned char c;

            if (value.ptr[i] == '%' && i + 2 < value.len &&
                hex_decode(str_n(value.ptr + i + 1, 2), &c, 1)) {
                buf_addc(out, (char)c);
                i += 2;
            } else {
                buf_addc(out, (char)(value.ptr[i] == '+' ? ' ' : value.ptr[i]));
            }
        }
        return;
    }
}

/* --- the club: a form, a cookie, a confirmation --- */

static void reply_member(struct server *s, struct exchange *x)
{
    struct buf name = BUF_INIT(256), boat = BUF_INIT(256);
    char json[128];

    query_get(buf_str(&x->body), "name", &name);
    query_get(buf_str(&x->body), "boat", &boat);
    if (name.len < 3 || boat.len == 0) {
        reply_text(x, 422, "application/json", STR("{\"error\":\"name and boat are required\"}"));
    } else {
        unsigned member = 1000 + ++s->members;
        struct buf cookie = BUF_INIT(180);

        buf_addf(&cookie, "membership=%u.", member);
        buf_add_percent(&cookie, str_n(buf_str(&name).ptr, name.len < 40 ? name.len : 40));
        buf_addc(&cookie, '.');
        buf_add_percent(&cookie, str_n(buf_str(&boat).ptr, boat.len < 20 ? boat.len : 20));
        buf_adds(&cookie, "; Path=/; HttpOnly; SameSite=Lax");
        snprintf(x->extra, sizeof x->extra, "set-cookie:%s", buf_str(&cookie).ptr);
        snprintf(json, sizeof json, "{\"member\":%u}", member);
        reply_text(x, 201, "application/json", str_from(json));
        buf_deinit(&cookie);
    }
    buf_deinit(&name);
    buf_deinit(&boat);
}

static void add_unescaped_html(struct buf *out, struct str s)
{
    struct buf plain = BUF_INIT(256);
    struct str pair = s;

    for (size_t i = 0; i < pair.len; i++) {
        unsigned char c;

        if (pair.ptr[i] == '%' && i + 2 < pair.len &&
            hex_decode(str_n(pair.ptr + i + 1, 2), &c, 1)) {
            buf_addc(&plain, (char)c);
            i += 2;
        } else {
            buf_addc(&plain, pair.ptr[i]);
        }
    }
    buf_add_html(out, buf_str(&plain));
    buf_deinit(&plain);
}

/* The page greets whom the cookie names: without it there is no welcome. */
static void reply_welcome(struct exchange *x, struct str cookie)
{
    ptrdiff_t at = str_find(cookie, STR("membership="));
    struct str rest = at >= 0 ? str_skip(cookie, (size_t)at + 11) : STR_NONE;
    struct str value = str_cut(&rest, ';');
    struct str member = str_cut(&value, '.'), name = str_cut(&value, '.');
    struct str page;

    if (at < 0 || !file_find("club/welcome.html", &page)) {
        reply_text(x, 401, "text/plain", STR("Only members are welcomed here.\n"));
        return;
    }
    x->status = 200;
    x->type = "text/html; charset=utf-8";
    while (page.ptr != NULL) {
        ptrdiff_t open = str_find(page, STR("{{"));

        if (open < 0) {
            buf_addstr(&x->reply, page);
            break;
        }
        buf_addstr(&x->reply, str_n(page.ptr, (size_t)open));
        page = str_skip(page, (size_t)open + 2);
        add_unescaped_html(&x->reply, str_starts(page, STR("name"))     ? name
                                      : str_starts(page, STR("member")) ? member
                                                                        : value);
        page = str_skip(page, (size_t)str_find(page, STR("}}")) + 2);
    }
}

/* --- the sites --- */

/* Answers `busy_after` requests, then refuses until the time that its Retry-After named has passed
 * since the first refusal. */
static void reply_busy(struct server *s, struct exchange *x)
{
    time_t now = time(NULL);

    if (s->busy_until != 0 && now > s->busy_until) {
        s->busy_requests = 0;
        s->busy_until = 0;
    }
    if (strncmp(x->path, "/shared/", 8) != 0 && ++s->busy_requests > s->opts.busy_after) {
        if (s->busy_until == 0)
            s->busy_until = now + s->opts.retry_after_s;
        snprintf(x->extra, sizeof x->extra, "retry-after:%u", s->opts.retry_after_s);
        reply_text(x, 429, "text/plain", STR("Too many requests.\n"));
        return;
    }
    reply_file(x, "busy");
}

static void reply_make(struct lws *wsi, struct server *s, struct exchange *x)
{
    char cookie[512] = "";

    if (strcmp(x->path, "/robots.txt") == 0) {
        reply_text(x, 200, "text/plain", STR("User-agent: *\nDisallow: /private/\n"));
        return;
    }
    switch (kind_of(wsi)) {
    case SITE_SHOP:
        reply_file(x, "shop");
        break;
    case SITE_NEWS:
        reply_file(x, "news");
        break;
    case SITE_CLUB:
        if (lws_hdr_copy(wsi, cookie, sizeof cookie, WSI_TOKEN_HTTP_COOKIE) < 0)
            cookie[0] = '\0';
        if (strcmp(x->path, "/api/members") == 0)
            reply_member(s, x);
        else if (strcmp(x->path, "/welcome") == 0)
            reply_welcome(x, str_from(cookie));
        else
            reply_file(x, "club");
        break;
    case SITE_BUSY:
        reply_busy(s, x);
        break;
    case SITE_GUARDED:
        if (strncmp(x->path, "/shared/", 8) != 0)
            snprintf(x->path, sizeof x->path, "/");
        reply_file(x, "guarded");
        break;
    case SITE_SLOW:
        x->never_ends = true;
        reply_text(x, 200, "text/html; charset=utf-8",
                   STR("<!doctype html><title>Still loading</title><p>The end of this page "
                       "never comes.</p>\n"));
        break;
    case SITE_STUCK:
    default:
        if (strcmp(x->path, "/") == 0)
            snprintf(x->path, sizeof x->path, "/hang.html");
        reply_file(x, "broken");
        break;
    }
}

/* --- libwebsockets --- */

static int headers_send(struct lws *wsi, struct exchange *x)
{
    unsigned char raw[LWS_PRE + HEADERS_MAX];
    unsigned char *start = raw + LWS_PRE, *p = start, *end = raw + sizeof raw - 1;
    lws_filepos_t len = x->never_ends ? LWS_ILLEGAL_HTTP_CONTENT_LEN : x->reply.len;
    char *value = strchr(x->extra, ':');

    if (lws_add_http_common_headers(wsi, x->status, x->type, len, &p, end) != 0)
        return 1;
    if (value != NULL) {
        char name[64];

        snprintf(name, sizeof name, "%.*s:", (int)(value - x->extra), x->extra);
        value++;
        if (lws_add_http_header_by_name(wsi, (unsigned char *)name, (unsigned char *)value,
                                        (int)strlen(value), &p, end) != 0)
            return 1;
    }
    return lws_finalize_write_http_header(wsi, start, &p, end);
}

static int begin_reply(struct lws *wsi, struct exchange *x)
{
    reply_make(wsi, server_of(wsi), x);
    if (buf_status(&x->reply) != STATUS_OK || headers_send(wsi, x) != 0)
        return 1;
    if (x->never_ends) /* otherwise the library would end it after some seconds */
        lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    lws_callback_on_writable(wsi);
    return 0;
}

static int on_request(struct lws *wsi, struct exchange *x, const char *path)
{
    char length[32];

    memset(x, 0, sizeof *x);
    buf_init(&x->body, BODY_MAX);
    buf_init(&x->reply, REPLY_MAX);
    snprintf(x->path, sizeof x->path, "%s", path);
    if (lws_hdr_copy(wsi, length, sizeof length, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 &&
        strcmp(length, "0") != 0)
        return 0; /* the body comes first */
    return begin_reply(wsi, x);
}

static int on_writable(struct lws *wsi, struct exchange *x)
{
    unsigned char raw[LWS_PRE + CHUNK];
    size_t left = x->reply.len - x->sent, n = left < CHUNK ? left : CHUNK;
    bool last = n == left && !x->never_ends;

    if (n > 0 || last) {
        if (n > 0)
            memcpy(raw + LWS_PRE, x->reply.ptr + x->sent, n);
        if (lws_write(wsi, raw + LWS_PRE, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
            return -1;
        x->sent += n;
    }
    if (last)
        return lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
    if (x->sent < x->reply.len)
        lws_callback_on_writable(wsi);
    return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct exchange *x = user;

    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return on_request(wsi, x, in);
    case LWS_CALLBACK_HTTP_BODY:
        buf_add(&x->body, in, len);
        return buf_status(&x->body) == STATUS_OK ? 0 : -1;
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return begin_reply(wsi, x);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return x != NULL && x->status != 0 ? on_writable(wsi, x) : 0;
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
    case LWS_CALLBACK_CLOSED_HTTP:
        if (x != NULL) {
            buf_deinit(&x->body);
            buf_deinit(&x->reply);
            memset(x, 0, sizeof *x);
        }
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {.name = "http", .callback = on_event, .per_session_data_size = sizeof(struct exchange)},
    {0},
};

/* A signal has no argument to carry state: this is the one static of the file. lws_cancel_service
 * writes to a pipe, which is safe in a handler. */
static struct lws_context *signalled;
static volatile sig_atomic_t ending;

static void on_signal(int sig)
{
    (void)sig;
    ending = 1;
    if (signalled != NULL)
        lws_cancel_service(signalled);
}

static bool port_is_free(enum site_kind k, uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1;
    cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || inet_pton(AF_INET, sites[k].address, &sa.sin_addr) != 1)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0;
}

static uint16_t port_from_system(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t len = sizeof sa;
    cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || inet_pton(AF_INET, sites[SITE_SHOP].address, &sa.sin_addr) != 1 ||
        bind(fd, (struct sockaddr *)&sa, sizeof sa) != 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
        return 0;
    return ntohs(sa.sin_port);
}

static enum status port_choose(uint16_t wanted, uint16_t preferred, uint16_t *out, struct err *e)
{
    for (int i = 0; i < PORT_TRIES; i++) {
        uint16_t port = wanted != 0                ? wanted
                        : i == 0 && preferred != 0 ? preferred
                                                   : port_from_system();
        size_t k = 0;

        while (port != 0 && k < SITE_COUNT && port_is_free((enum site_kind)k, port))
            k++;
        if (k == SITE_COUNT) {
            *out = port;
            return STATUS_OK;
        }
        if (wanted != 0)
            return err_set(e, STATUS_BUSY,
                           "port %u of %s is in use; another can be chosen with --port", wanted,
                           sites[k].address);
    }
    return err_set(e, STATUS_BUSY, "no port is free on all of %s to %s", sites[0].address,
                   sites[SITE_COUNT - 1].address);
}

static enum status vhosts_open(struct server *s, uint16_t port, struct err *e)
{
    for (size_t k = 0; k < SITE_COUNT; k++) {
        struct lws_context_creation_info v = {0};

        s->kinds[k] = (enum site_kind)k;
        v.port = port;
        v.iface = sites[k].address;
        v.vhost_name = sites[k].address; /* libwebsockets chooses among those of a port by Host */
        v.protocols = protocols;
        v.user = &s->kinds[k];
        v.keepalive_timeout = 60;
        v.options = LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND | LWS_SERVER_OPTION_DISABLE_IPV6;
        if (lws_create_vhost(s->context, &v) == NULL)
            return err_set(e, STATUS_BUSY, "%s:%u cannot be listened on", sites[k].address, port);
    }
    return STATUS_OK;
}

enum status site_serve(const struct site_opts *o, struct err *e)
{
    struct server s = {.opts = *o};
    struct lws_context_creation_info info = {0};
    struct sigaction sa = {.sa_handler = on_signal};
    uint16_t port = 0;
    enum status st = port_choose(o->port, o->preferred_port, &port, e);

    if (st != STATUS_OK)
        return st;
    if (s.opts.busy_after == 0)
        s.opts.busy_after = BUSY_AFTER;
    if (s.opts.retry_after_s == 0)
        s.opts.retry_after_s = RETRY_AFTER_S;
    lws_set_log_level(0, NULL);
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DISABLE_IPV6;
    info.user = &s;
    info.max_http_header_pool = 256;
    s.context = lws_create_context(&info);
    if (s.context == NULL)
        return err_set(e, STATUS_ENVIRONMENT, "libwebsockets could not be started");
    st = vhosts_open(&s, port, e);
    if (st == STATUS_OK) {
        signalled = s.context;
        sigaction(SIGTERM, &sa, NULL);
        sigaction(SIGINT, &sa, NULL);
        if (o->ready != NULL)
            o->ready(o->arg, port);
        while (!ending && lws_service(s.context, 0) >= 0)
            ;
    }
    signalled = NULL;
    lws_context_destroy(s.context);
    return st;
}
