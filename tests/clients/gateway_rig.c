#include "tests/clients/gateway_rig.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "browser/chromium/version.h"
#include "browser/ops.h"
#include "browser/ops_page.h"
#include "core/fleet/members.h"
#include "core/guard/breaker.h"
#include "core/guard/policy.h"
#include "core/record/audit.h"
#include "reaper/reaper.h"
#include "tests/clients/gateway_site.h"
#include "tests/support/testing.h"

enum { SOON_MS = 20000, SUITE_MS = 60000 };

struct rig {
    struct loop *loop;
    struct arena *arena;
    char *state;
    struct campaign_conf conf;
    struct browser_program program;
    char version[32];
    struct audit *audit;
    struct policy *policy;
    struct breaker *breaker;
    struct limiter *limiter;
    struct op_table *table;
    struct gate *gate;
    struct members_env env; /* outlives the members */
    struct members members;
    struct reaper *reaper;
    struct pool *pool;
    struct gateway *gateway;
    struct server *server;
    struct httpd *site;
    bool ready, flag;
    struct err err;
};

static const char token[] = "a-token-of-the-tests";

extern char **environ;

static bool turn_until(struct rig *r, const bool *flag, unsigned ms)
{
    uint64_t end = test_now_ms() + ms;

    while (!*flag && test_now_ms() < end)
        loop_run_once(r->loop, 50);
    return *flag;
}

static void on_flag(void *arg)
{
    *(bool *)arg = true;
}

static void on_ready(void *arg, enum status s, const struct err *e)
{
    struct rig *r = arg;

    r->ready = true;
    r->err = *e;
    r->err.status = s;
}

static enum status take(void *arg, const char *identity, const char *proxy, struct member **out,
                        struct err *e)
{
    struct rig *r = arg;

    for (size_t i = 0; i < r->members.n; i++) {
        struct member *m = r->members.v[i];

        if (m->busy || (identity != NULL && strcmp(m->identity->id, identity) != 0) ||
            (proxy != NULL && strcmp(m->proxy_id, proxy) != 0))
            continue;
        m->busy = true;
        *out = m;
        return STATUS_OK;
    }
    return err_set(e, STATUS_BUSY, "all members are in use");
}

static void give(void *arg, struct member *m)
{
    (void)arg;
    m->busy = false;
}

static struct member *idle(void *arg, size_t i)
{
    struct rig *r = arg;

    for (size_t k = 0; k < r->members.n; k++)
        if (!r->members.v[k]->busy && i-- == 0)
            return r->members.v[k];
    return NULL;
}

static const char *pressure(void *arg)
{
    static char path[4096];

    snprintf(path, sizeof path, "%s/pressed", ((struct rig *)arg)->state);
    return access(path, F_OK) == 0 ? "little memory is left" : NULL;
}

static bool before(struct exchange *x, void *arg)
{
    const char *given = exchange_token(x);

    (void)arg;
    if (gateway_path_is_own(exchange_path(x)) || (given != NULL && token_eq(given, token)))
        return true;
    exchange_fail(x, STATUS_PERMISSION, "a token is wanted: Authorization: Bearer ..., or ?token=");
    return false;
}

static void must(enum status s, const struct err *e)
{
    if (s != STATUS_OK)
        fail_msg("%s", err_text(e));
}

static void open_guards(struct rig *r)
{
    must(policy_create(&r->conf.policy, &r->policy, &r->err), &r->err);
    must(breaker_open_store(&r->conf.breaker, NULL, &r->breaker, &r->err), &r->err);
    r->limiter = limiter_create(r->conf.limits.rate);
    limiter_trust(r->limiter, STR("127.0.0.1"));
    limiter_trust(r->limiter, STR("localhost"));
}

static void open_gate(struct rig *r)
{
    const struct audit_opts ao = {.sign = AUDIT_SIGN_CHECKPOINT, .sink = r->conf.audit.sink};
    struct gate_deps d = {.loop = r->loop};

    must(audit_open(r->loop, r->state, &ao, &r->audit, &r->err), &r->err);
    open_guards(r);
    r->table = op_table_create();
    ops_add_browser(r->table);
    d.table = r->table;
    d.policy = r->policy;
    d.breaker = r->breaker;
    d.limiter = r->limiter;
    d.audit = r->audit;
    r->gate = gate_create(&d);
}

static void open_members(struct rig *r)
{
    r->env = (struct members_env){
        .loop = r->loop,
        .conf = &r->conf,
        .state_dir = r->state,
        .browser_version = r->version,
        .policy = r->policy,
        .gate = r->gate,
    };
    must(members_create(r->arena, &r->env, &r->members, &r->err), &r->err);
}

static void open_pool(struct rig *r)
{
    const struct reaper_opts ro = {.program = test_program("fleet-reaper"), .state_dir = r->state};
    const struct pool_opts o = {
        .loop = r->loop,
        .program = &r->program,
        .isolation = r->conf.isolation,
        .context = r->conf.context,
        .sandbox = r->conf.sandbox,
        .slots = r->conf.slots,
        .members = r->members.v,
        .n_members = r->members.n,
        .targets = {.gate = r->gate,
                    .document = ops_page_document(),
                    .enforce = r->conf.limits.enforce},
    };
    struct pool_opts with = o;

    must(reaper_start(r->loop, &ro, &r->reaper, &r->err), &r->err);
    with.reaper = r->reaper;
    r->pool = pool_create(&with);
    pool_start(r->pool, on_ready, r);
    assert_true(turn_until(r, &r->ready, SOON_MS));
    must(r->err.status, &r->err);
}

static void open_server(struct rig *r)
{
    static const char *const headers[] = {"x-forwarded-host", "x-forwarded-proto", NULL};
    const struct gateway_deps d = {
        .loop = r->loop,
        .pool = r->pool,
        .gate = r->gate,
        .audit = r->audit,
        .ops = r->table,
        .conf = &r->conf,
        .take = take,
        .give = give,
        .idle = idle,
        .pressure = pressure,
        .arg = r,
        .version = r->version,
    };
    struct server_opts so = {.loop = r->loop,
                             .routes = gateway_routes,
                             .before = before,
                             .headers = headers,
                             .body_max = GATEWAY_BODY_MAX,
                             .request_ms = GATEWAY_REQUEST_MS};

    so.arg = r->gateway = gateway_create(&d);
    must(server_open(&so, &r->server, &r->err), &r->err);
}

struct rig *rig_open(const struct rig_opts *o)
{
    struct rig *r = xcalloc(1, sizeof *r);

    r->arena = arena_create(NULL, 0);
    r->state = test_mkdir();
    must(loop_create(&r->loop, NULL, &r->err), &r->err);
    campaign_defaults(&r->conf);
    r->conf.name = "gateway";
    r->conf.members.count = o->members;
    r->conf.members.seed = "the gateway's tests";
    r->conf.slots = o->members;
    r->conf.isolation = o->isolation;
    r->conf.browser = o->browser;
    r->conf.sandbox = SANDBOX_PREFER;
    r->conf.limits.rate = (struct limit_rate){o->max_requests, 1000};
    r->conf.policy.private_networks =
        o->private_networks_no ? POLICY_PRIVATE_NO : POLICY_PRIVATE_YES;
    r->conf.audit.sink = arena_printf(r->arena, "%s/audit.ndjson", r->state);
    if (browser_find(r->arena, r->conf.browser, &r->program, &r->err) != STATUS_OK)
        test_skip("%s", r->err.text);
    must(browser_version_of(r->program.path, r->state, r->version, &r->err), &r->err);
    r->site = gateway_site_start();
    open_gate(r);
    open_members(r);
    open_pool(r);
    open_server(r);
    return r;
}

void rig_close(struct rig **rp)
{
    struct rig *r = *rp;

    *rp = NULL;
    r->flag = false;
    gateway_stop(r->gateway, on_flag, &r->flag);
    assert_true(turn_until(r, &r->flag, SOON_MS));
    r->flag = false;
    server_close(r->server, on_flag, &r->flag);
    assert_true(turn_until(r, &r->flag, SOON_MS));
    gateway_destroy(&r->gateway);
    r->flag = false;
    pool_stop(r->pool, on_flag, &r->flag);
    assert_true(turn_until(r, &r->flag, SOON_MS));
    pool_destroy(&r->pool);
    r->flag = false;
    reaper_stop(r->reaper, on_flag, &r->flag);
    assert_true(turn_until(r, &r->flag, SOON_MS));
    r->flag = false;
    audit_close(r->audit, on_flag, &r->flag);
    assert_true(turn_until(r, &r->flag, SOON_MS));
    members_destroy(&r->members);
    gate_destroy(&r->gate);
    op_table_destroy(&r->table);
    policy_destroy(&r->policy);
    limiter_destroy(&r->limiter);
    breaker_close_store(&r->breaker);
    httpd_stop(&r->site);
    loop_destroy(&r->loop);
    arena_destroy(&r->arena);
    test_rmdir(&r->state);
    free(r);
}

struct loop *rig_loop(struct rig *r)
{
    return r->loop;
}

struct gateway *rig_gateway(struct rig *r)
{
    return r->gateway;
}

uint16_t rig_port(const struct rig *r)
{
    return server_port(r->server);
}

uint16_t rig_site_port(const struct rig *r)
{
    return httpd_port(r->site);
}

const char *rig_token(const struct rig *r)
{
    (void)r;
    return token;
}

const char *rig_state(const struct rig *r)
{
    return r->state;
}

unsigned rig_site_count(const struct rig *r)
{
    return httpd_count(r->site);
}

/* --- node --- */

static void set(const char *name, const char *host, unsigned port)
{
    char value[200];

    snprintf(value, sizeof value, "http://%s:%u", host, port);
    setenv(name, value, 1);
}

int rig_node(struct rig *r, const char *name, unsigned timeout_ms)
{
    char script[4096];
    char *const argv[] = {(char *)(uintptr_t) "node", script, NULL};
    uint64_t end = test_now_ms() + timeout_ms;
    pid_t pid = -1;
    int status = 0;

    snprintf(script, sizeof script, "%s", test_source(name));
    set("FLEET_URL", "127.0.0.1", rig_port(r));
    set("SITE", "127.0.0.1", rig_site_port(r));
    set("SITE2", "localhost", rig_site_port(r));
    setenv("FLEET_TOKEN", token, 1);
    setenv("PRESSED", arena_printf(r->arena, "%s/pressed", r->state), 1);
    if (getenv("FLEET_NPM") == NULL)
        test_skip("FLEET_NPM is not set: run this with make");
    if (posix_spawnp(&pid, "node", NULL, NULL, argv, environ) != 0)
        test_skip("there is no node");
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (test_now_ms() > end) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            fail_msg("%s is not through after %u ms", name, timeout_ms);
        }
        loop_run_once(r->loop, 20);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const struct rig_opts rig_usual = {.members = 4,
                                   .max_requests = 1000,
                                   .isolation = ISOLATION_CONTEXT,
                                   .browser = BROWSER_HEADLESS_SHELL};

void rig_suite(void **state)
{
    struct rig *r = rig_open(&rig_usual);
    int code = rig_node(r, *state, SUITE_MS);

    rig_close(&r);
    assert_int_equal(code, 0);
}

/* --- the log --- */

static unsigned count(const char *text, const char *part)
{
    unsigned n = 0;

    for (const char *p = text; (p = strstr(p, part)) != NULL; p += strlen(part))
        n++;
    return n;
}

bool rig_log_has(struct rig *r, const char *text, unsigned n)
{
    uint64_t end = test_now_ms() + 5000;
    bool has = false;

    while (!has && test_now_ms() < end) {
        char *log = test_read_file(r->conf.audit.sink, NULL);

        has = count(log, text) >= n;
        free(log);
        loop_run_once(r->loop, 20);
    }
    return has;
}
