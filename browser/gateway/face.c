#include "browser/gateway/face.h"

#include <stdio.h>

#include "browser/executor.h"
#include "browser/gateway/gateway.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rng.h"
#include "core/coord/engine.h"

enum { TOKEN_MIN = 8, TOKEN_BYTES = 24 };

struct face {
    const struct cli *cli;
    struct engine *engine;
    struct gateway *gateway;
    struct server *tcp, *local;
    char *token, *base, *socket;
    bool token_is_made, stopping, stopped, closing;
    unsigned n_closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

char *gateway_socket_path(const char *state_dir)
{
    return file_join(state_dir, "run/gateway.sock");
}

enum status gateway_parse_listen(const char *text, char **host, uint16_t *port, struct err *e)
{
    struct str s = str_from(text), name = STR("127.0.0.1"), number = s;
    uint64_t n;

    for (size_t i = s.len; i > 0; i--) {
        if (s.ptr[i - 1] != ':')
            continue;
        name = str_n(s.ptr, i - 1);
        number = str_skip(s, i);
        break;
    }
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = str_n(name.ptr + 1, name.len - 2);
    if (name.len == 0 || !str_to_u64(number, UINT16_MAX, &n))
        return err_set(e, STATUS_INVALID, "--listen: found \"%s\", expected ADDRESS:PORT", text);
    *host = xcalloc(1, name.len + 1);
    memcpy(*host, name.ptr, name.len);
    *port = (uint16_t)n;
    return STATUS_OK;
}

/* --- members --- */

static bool fits(const struct member *m, const char *identity, const char *proxy)
{
    return (identity == NULL || strcmp(m->identity->id, identity) == 0) &&
           (proxy == NULL || strcmp(m->proxy_id, proxy) == 0);
}

static bool is_warm(const struct face *f, const struct member *m)
{
    const struct pool *p = browser_executor_pool(engine_executor(f->engine));

    return p != NULL && pool_is_warm(p, m);
}

/* Those whose page is there already come first. */
static struct member *idle(void *arg, size_t i)
{
    struct face *f = arg;
    struct member **members;
    size_t n;

    members = engine_members(f->engine, &n);
    for (int warm = 1; warm >= 0; warm--)
        for (size_t k = 0; k < n; k++)
            if (!members[k]->busy && is_warm(f, members[k]) == (warm == 1) && i-- == 0)
                return members[k];
    return NULL;
}

static bool take_one(struct face *f, struct sched *s, struct member *m, bool warm)
{
    return (!warm || is_warm(f, m)) && sched_member_take(s, m);
}

static enum status take(void *arg, const char *identity, const char *proxy, struct member **out,
                        struct err *e)
{
    struct face *f = arg;
    struct sched *s = engine_sched(f->engine);
    struct member **members;
    size_t n, n_fit = 0;

    members = engine_members(f->engine, &n);
    for (size_t i = 0; i < 2 * n && s != NULL; i++) {
        struct member *m = members[i % n];

        if (!fits(m, identity, proxy))
            continue;
        n_fit += i >= n;
        if (!take_one(f, s, m, i < n))
            continue;
        *out = m;
        return STATUS_OK;
    }
    if (n_fit == 0 && n > 0)
        return err_set(e, STATUS_NOT_FOUND, "no member %s%s%s%s%s",
                       identity != NULL ? "has the identity " : "",
                       identity != NULL ? identity : "",
                       identity != NULL && proxy != NULL ? " and " : "",
                       proxy != NULL ? "goes out by the proxy " : "", proxy != NULL ? proxy : "");
    return err_set(e, STATUS_BUSY, "all %zu members%s are in use", n_fit,
                   proxy != NULL ? " of that proxy" : "");
}

static const char *pressure(void *arg)
{
    return engine_pressure(((struct face *)arg)->engine);
}

static void give(void *arg, struct member *m)
{
    struct face *f = arg;

    if (engine_sched(f->engine) != NULL)
        sched_member_give(engine_sched(f->engine), m);
}

/* --- life --- */

static void on_stopped(void *arg);

static void stop(struct face *f)
{
    if (f->stopping)
        return;
    f->stopping = true;
    gateway_stop(f->gateway, on_stopped, f);
}

static void tell(const struct face *f)
{
    if (cli_has(f->cli, "json")) {
        printf("{\"gateway\":\"http://%s\"%s%s%s}\n", f->base,
               f->token_is_made ? ",\"token\":\"" : "", f->token_is_made ? f->token : "",
               f->token_is_made ? "\"" : "");
        fflush(stdout);
    } else {
        fprintf(stderr, "%s: gateway on http://%s%s%s\n", cli_program(f->cli)->name, f->base,
                f->token_is_made ? ", token " : ", token of FLEET_TOKEN",
                f->token_is_made ? f->token : "");
    }
}

static void on_state(void *arg, struct engine *e, enum engine_state s)
{
    struct face *f = arg;

    if (s == ENGINE_READY) {
        gateway_begin(f->gateway, browser_executor_pool(engine_executor(e)));
        tell(f);
    } else if (s > ENGINE_READY) {
        stop(f);
    }
}

static void settle(struct face *f)
{
    struct face gone = *f;

    if (!f->closing || !f->stopped || f->n_closing > 0)
        return;
    gateway_destroy(&f->gateway);
    free(f->token);
    free(f->base);
    free(f->socket);
    free(f);
    gone.closed(gone.closed_arg);
}

static void on_stopped(void *arg)
{
    struct face *f = arg;

    f->stopped = true;
    settle(f);
}

static void on_server_closed(void *arg)
{
    struct face *f = arg;

    f->n_closing--;
    settle(f);
}

static void face_close(void *face, void (*closed)(void *arg), void *arg)
{
    struct face *f = face;

    f->closing = true;
    f->closed = closed;
    f->closed_arg = arg;
    f->n_closing = (f->tcp != NULL ? 1u : 0u) + (f->local != NULL ? 1u : 0u);
    if (f->tcp != NULL)
        server_close(f->tcp, on_server_closed, f);
    if (f->local != NULL)
        server_close(f->local, on_server_closed, f);
    stop(f);
}

static void face_drain(void *face)
{
    stop(face);
}

static void make_token(struct face *f)
{
    const char *given = getenv("FLEET_TOKEN");
    unsigned char bytes[TOKEN_BYTES];
    struct buf hex = BUF_INIT(TOKEN_BYTES * 2 + 1);

    if (given != NULL && given[0] != '\0') {
        f->token = xstrdup(given);
        return;
    }
    rng_bytes(bytes, sizeof bytes);
    buf_add_hex(&hex, bytes, sizeof bytes);
    f->token = buf_take(&hex, NULL);
    f->token_is_made = true;
}

static bool before(struct exchange *x, void *arg)
{
    const struct face *f = gateway_arg(arg);
    const char *given = exchange_token(x);

    if (gateway_path_is_own(exchange_path(x)) || (given != NULL && token_eq(given, f->token)))
        return true;
    exchange_set_header(x, "www-authenticate", "Bearer");
    exchange_fail(x, STATUS_PERMISSION,
                  "a token is wanted: \"Authorization: Bearer ...\" or ?token=");
    return false;
}

static enum status open_servers(struct face *f, const char *listen, struct err *e)
{
    static const char *const headers[] = {"x-forwarded-host", "x-forwarded-proto", NULL};
    cleanup_free char *dir = file_dirname(f->socket);
    cleanup_free char *host = NULL;
    struct server_opts o = {.loop = engine_loop(f->engine),
                            .routes = gateway_routes,
                            .arg = f->gateway,
                            .headers = headers,
                            .body_max = GATEWAY_BODY_MAX,
                            .request_ms = GATEWAY_REQUEST_MS};
    struct buf base = BUF_INIT(512);
    enum status s = gateway_parse_listen(listen, &host, &o.port, e);

    o.host = host;
    o.before = before;
    if (s == STATUS_OK)
        s = server_open(&o, &f->tcp, e);
    if (s == STATUS_OK)
        s = file_mkdirs(dir, 0700, e);
    if (s != STATUS_OK)
        return s;
    buf_addf(&base, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, server_port(f->tcp));
    f->base = buf_take(&base, NULL);
    gateway_set_base(f->gateway, f->base);
    o.before = NULL;
    o.host = NULL;
    o.port = 0;
    o.unix_path = f->socket;
    return server_open(&o, &f->local, e);
}

static void make_gateway(struct face *f)
{
    struct gate *gate = engine_gate(f->engine);
    size_t n;
    struct member **members = engine_members(f->engine, &n);
    const struct gateway_deps d = {
        .loop = engine_loop(f->engine),
        .gate = gate,
        .audit = engine_audit(f->engine),
        .ops = gate_deps(gate)->table,
        .conf = engine_conf(f->engine),
        .take = take,
        .give = give,
        .idle = idle,
        .pressure = pressure,
        .arg = f,
        .version = n > 0 ? members[0]->identity->full_version : NULL,
    };

    f->gateway = gateway_create(&d);
}

static void closed_at_once(void *arg)
{
    *(bool *)arg = true;
}

static enum status face_open(const struct cli *c, struct engine *e, const char *listen, void **out,
                             struct err *er)
{
    struct face *f;
    struct engine_watch w = {.on_state = on_state};
    enum status s;

    *out = NULL;
    if (listen == NULL)
        return STATUS_OK;
    f = xcalloc(1, sizeof *f);
    f->cli = c;
    f->engine = e;
    f->socket = gateway_socket_path(engine_state_dir(e));
    make_token(f);
    make_gateway(f);
    if (strlen(f->token) < TOKEN_MIN)
        s = err_set(er, STATUS_INVALID, "FLEET_TOKEN: found %zu characters, expected %d or more",
                    strlen(f->token), TOKEN_MIN);
    else
        s = open_servers(f, listen, er);
    if (s != STATUS_OK) {
        bool closed = false;

        face_close(f, closed_at_once, &closed);
        while (!closed)
            loop_run_once(engine_loop(e), 100);
        return s;
    }
    w.arg = f;
    engine_watch_add(e, &w);
    *out = f;
    return STATUS_OK;
}

const struct serve_face gateway_face = {
    .name = "gateway",
    .open = face_open,
    .drain = face_drain,
    .close = face_close,
};
