#include "tests/integration/probe_rig.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "browser/page/session.h"
#include "core/base/file.h"
#include "core/base/url.h"
#include "tests/integration/probe_pages.h"
#include "tests/support/testing.h"

enum { SOON_MS = 20000, VISIT_MS = 25000, QUIET_MS = 400 };

const char *const probe_realms[] = {"top",
                                    "window",
                                    "tamper",
                                    "ids",
                                    "same",
                                    "cross",
                                    "cross-inner",
                                    "cross-worker",
                                    "cross-worker-nested",
                                    "cross-shared",
                                    "sandboxed",
                                    "srcdoc",
                                    "blob",
                                    "data",
                                    "blank",
                                    "written",
                                    "object",
                                    "worker",
                                    "worker-nested",
                                    "module",
                                    "blob-worker",
                                    "data-worker",
                                    "shared",
                                    "service",
                                    NULL};
const char *const probe_popup_realms[] = {"popup", "popup-cross", "popup-noopener", "popup-blank",
                                          NULL};

const struct identity probe_nobody = {
    .id = "i-0", .seed = "", .honest = true, .device_pixel_ratio = 1};

struct probe_rig {
    struct loop *loop;
    struct reaper *reaper;
    struct arena *arena;
    char *state;
    struct browser_program program;
    struct member member[PROBE_MEMBERS_MAX];
    struct member *members[PROBE_MEMBERS_MAX];
    struct pool *pool;
    struct httpd *httpd;
    bool ready, stopped, reaper_stopped;
    enum status ready_status;
    struct err err;
    /* under `lock`: what the server's threads write */
    pthread_mutex_t lock;
    struct probe_visit *visit;
    char number[16];
    unsigned n_visits;
    uint64_t heard_ms;
    char *posted;
    char wanted[40]; /* "": nothing */
    probe_answer_fn *answer;
    void *arg;
};

/* --- the server's side --- */

static void key_of(const struct httpd_request *q, char *out, size_t size)
{
    struct arena *a = arena_create(NULL, 0);
    char n[40] = "", k[40] = "";

    probe_query(q->path, "n", n, sizeof n);
    probe_query(q->path, "k", k, sizeof k);
    if (strcmp(q->method, "OPTIONS") == 0)
        snprintf(out, size, "preflight");
    else if (k[0] != '\0')
        snprintf(out, size, "%s", k);
    else if (strncmp(q->path, "/r?", 3) == 0)
        snprintf(out, size, "post-%s", n);
    else if (strstr(q->path, ".js") != NULL)
        snprintf(out, size, "script-%s", n);
    else
        snprintf(out, size, "doc-%s", n[0] != '\0' ? n : "top");
    arena_destroy(&a);
}

static void keep_request(struct probe_rig *rig, const struct httpd_request *q)
{
    struct probe_request *r = &rig->visit->requests[rig->visit->n_requests];
    struct str rest = str_from(q->headers);
    size_t n = 0;

    if (rig->visit->n_requests == PROBE_REQUESTS_MAX)
        return;
    rig->visit->n_requests++;
    memset(r, 0, sizeof *r);
    key_of(q, r->key, sizeof r->key);
    snprintf(r->headers, sizeof r->headers, "%s", q->headers);
    while (rest.ptr != NULL) {
        struct str line = str_cut(&rest, '\n'), name = str_cut(&line, ':');

        if (line.ptr == NULL)
            break;
        n += (size_t)snprintf(r->names + n, sizeof r->names - n, "%s%.*s", n > 0 ? "," : "",
                              STR_ARG(name));
        if (n >= sizeof r->names)
            break;
    }
}

static void keep_post(struct probe_rig *rig, const struct httpd_request *q)
{
    char name[40];
    struct json *j = json_parse(str_n(q->body, q->body_len), false, NULL);

    probe_query(q->path, "n", name, sizeof name);
    if (name[0] != '\0' && strcmp(name, rig->wanted) == 0) {
        free(rig->posted);
        rig->posted = strndup(q->body, q->body_len);
    }
    if (rig->visit == NULL || j == NULL) {
        json_destroy(&j);
        return;
    }
    json_add(rig->visit->realms, name, j);
}

static void on_request(void *arg, const struct httpd_request *q, struct httpd_reply *a)
{
    struct probe_rig *rig = arg;
    probe_answer_fn *answer;
    char v[16];

    probe_query(q->path, "v", v, sizeof v);
    pthread_mutex_lock(&rig->lock);
    if (rig->visit != NULL && strcmp(v, rig->number) == 0) {
        rig->heard_ms = test_now_ms();
        keep_request(rig, q);
    }
    if (strncmp(q->path, "/r?", 3) == 0 && q->body_len > 0 && strcmp(v, rig->number) == 0)
        keep_post(rig, q);
    answer = rig->answer;
    pthread_mutex_unlock(&rig->lock);
    if (answer == NULL || !answer(rig->arg, q, a))
        probe_page(q, a);
}

/* --- the browser's side --- */

static bool turn_until(struct probe_rig *rig, const bool *flag)
{
    uint64_t end = test_now_ms() + SOON_MS;

    while (!*flag && test_now_ms() < end)
        loop_run_once(rig->loop, 20);
    return *flag;
}

static void on_flag(void *arg)
{
    *(bool *)arg = true;
}

static void on_ready(void *arg, enum status s, const struct err *e)
{
    struct probe_rig *rig = arg;

    rig->ready = true;
    rig->ready_status = s;
    rig->err = *e;
}

static void open_pool(struct probe_rig *rig, enum isolation isolation, size_t n)
{
    const struct pool_opts o = {
        .loop = rig->loop,
        .reaper = rig->reaper,
        .program = &rig->program,
        .isolation = isolation,
        .context = CONTEXT_KEPT,
        .sandbox = SANDBOX_PREFER,
        .slots = (uint32_t)n,
        .members = rig->members,
        .n_members = n,
    };

    rig->pool = pool_create(&o);
    pool_start(rig->pool, on_ready, rig);
    assert_true(turn_until(rig, &rig->ready));
    if (rig->ready_status != STATUS_OK)
        fail_msg("%s", rig->err.text);
}

struct probe_rig *probe_open(enum browser_kind kind, enum isolation isolation,
                             const struct identity *const *ids, size_t n)
{
    struct probe_rig *rig = calloc(1, sizeof *rig);
    struct reaper_opts ro = {.program = test_program("fleet-reaper")};

    assert_non_null(rig);
    assert_true(n <= PROBE_MEMBERS_MAX);
    pthread_mutex_init(&rig->lock, NULL);
    rig->arena = arena_create(NULL, 0);
    if (browser_find(rig->arena, kind, &rig->program, &rig->err) != STATUS_OK)
        test_skip("%s", rig->err.text);
    rig->state = test_mkdir();
    ro.state_dir = rig->state;
    assert_int_equal(loop_create(&rig->loop, NULL, &rig->err), STATUS_OK);
    if (reaper_start(rig->loop, &ro, &rig->reaper, &rig->err) != STATUS_OK)
        fail_msg("%s", rig->err.text);
    for (size_t i = 0; i < n; i++) {
        rig->member[i] = (struct member){.index = (uint32_t)i, .identity = ids[i]};
        list_init(&rig->member[i].idle_link);
        rig->members[i] = &rig->member[i];
    }
    rig->httpd = httpd_start(NULL, 0, on_request, rig);
    open_pool(rig, isolation, n);
    return rig;
}

void probe_close(struct probe_rig **rp)
{
    struct probe_rig *rig = *rp;

    *rp = NULL;
    pool_stop(rig->pool, on_flag, &rig->stopped);
    assert_true(turn_until(rig, &rig->stopped));
    pool_destroy(&rig->pool);
    reaper_stop(rig->reaper, on_flag, &rig->reaper_stopped);
    assert_true(turn_until(rig, &rig->reaper_stopped));
    loop_destroy(&rig->loop);
    httpd_stop(&rig->httpd);
    arena_destroy(&rig->arena);
    test_rmdir(&rig->state);
    free(rig->posted);
    free(rig);
}

struct use {
    struct probe_rig *rig;
    struct pool_lease *lease;
    struct page_session session;
    bool answered, navigated;
    enum status status;
    struct err err;
};

static void on_lease(void *arg, struct context *c, enum status s, const struct err *e)
{
    struct use *u = arg;

    u->answered = true;
    u->status = s;
    u->err = *e;
    if (s != STATUS_OK)
        return;
    u->session = (struct page_session){.loop = u->rig->loop, .arena = u->rig->arena};
    context_begin(c, &u->session);
}

static void on_nav(void *arg, const struct page_nav *n)
{
    struct use *u = arg;

    u->navigated = true;
    u->status = n->status;
}

static void begin(struct probe_rig *rig, size_t member, struct use *u)
{
    *u = (struct use){.rig = rig};
    u->lease = pool_acquire(rig->pool, rig->members[member], on_lease, u);
    assert_true(turn_until(rig, &u->answered));
    if (u->status != STATUS_OK)
        fail_msg("%s", u->err.text);
}

static void go(struct use *u, const char *path)
{
    char url[1200];
    struct page_goto g = {.url = url,
                          .until = UNTIL_LOAD,
                          .admitted = true,
                          .deadline_ms = loop_now_ms(u->rig->loop) + SOON_MS};

    snprintf(url, sizeof url, "http://127.0.0.1:%u/%s", httpd_port(u->rig->httpd), path);
    u->navigated = false;
    page_navigate(u->session.page, &g, on_nav, u);
    assert_true(turn_until(u->rig, &u->navigated));
    if (u->status != STATUS_OK)
        fail_msg("%s: %s", url, status_name(u->status));
}

static bool is_complete(struct probe_rig *rig, bool popups)
{
    bool all = true;

    pthread_mutex_lock(&rig->lock);
    for (size_t i = 0; probe_realms[i] != NULL; i++)
        all &= json_get(rig->visit->realms, probe_realms[i]) != NULL;
    for (size_t i = 0; popups && probe_popup_realms[i] != NULL; i++)
        all &= json_get(rig->visit->realms, probe_popup_realms[i]) != NULL;
    all &= test_now_ms() - rig->heard_ms > QUIET_MS;
    pthread_mutex_unlock(&rig->lock);
    return all;
}

void probe_visit(struct probe_rig *rig, size_t member, bool popups, struct probe_visit *out)
{
    uint64_t end = test_now_ms() + VISIT_MS;
    struct use u;
    char path[200];

    *out = (struct probe_visit){.realms = json_new_object()};
    out->requests = calloc(PROBE_REQUESTS_MAX, sizeof *out->requests);
    assert_non_null(out->requests);
    begin(rig, member, &u);
    pthread_mutex_lock(&rig->lock);
    rig->visit = out;
    snprintf(rig->number, sizeof rig->number, "%u", ++rig->n_visits);
    pthread_mutex_unlock(&rig->lock);
    snprintf(path, sizeof path, "probe/index.html?v=%s&x=http://localhost:%u%s", rig->number,
             httpd_port(rig->httpd), popups ? "&pop=scnb" : "");
    go(&u, path);
    while (!is_complete(rig, popups) && test_now_ms() < end)
        loop_run_once(rig->loop, 20);
    pthread_mutex_lock(&rig->lock);
    rig->visit = NULL;
    pthread_mutex_unlock(&rig->lock);
    pool_release(u.lease, false);
}

void probe_visit_free(struct probe_visit *v)
{
    json_destroy(&v->realms);
    free(v->requests);
    *v = (struct probe_visit){0};
}

const char *probe_value(const struct probe_visit *v, const char *realm, const char *name)
{
    return json_str(json_get(json_get(v->realms, realm), name), NULL);
}

static bool has_posted(struct probe_rig *rig)
{
    bool has;

    pthread_mutex_lock(&rig->lock);
    has = rig->posted != NULL;
    pthread_mutex_unlock(&rig->lock);
    return has;
}

static void want(struct probe_rig *rig, const char *until)
{
    pthread_mutex_lock(&rig->lock);
    snprintf(rig->wanted, sizeof rig->wanted, "%s", until != NULL ? until : "");
    snprintf(rig->number, sizeof rig->number, "%u", ++rig->n_visits);
    free(rig->posted);
    rig->posted = NULL;
    pthread_mutex_unlock(&rig->lock);
}

struct probe_page {
    struct use use;
};

struct probe_page *probe_page_open(struct probe_rig *rig, size_t member, const char *path,
                                   const char *until)
{
    uint64_t end = test_now_ms() + VISIT_MS;
    struct probe_page *p = calloc(1, sizeof *p);
    char full[1024];

    assert_non_null(p);
    begin(rig, member, &p->use);
    want(rig, until);
    snprintf(full, sizeof full, "%s%cv=%s", path, strchr(path, '?') != NULL ? '&' : '?',
             rig->number);
    go(&p->use, full);
    while (until != NULL && !has_posted(rig) && test_now_ms() < end)
        loop_run_once(rig->loop, 20);
    pthread_mutex_lock(&rig->lock);
    rig->wanted[0] = '\0';
    pthread_mutex_unlock(&rig->lock);
    return p;
}

void probe_page_close(struct probe_page **page)
{
    if (*page != NULL)
        pool_release((*page)->use.lease, true);
    free(*page);
    *page = NULL;
}

const char *probe_said(const struct probe_rig *rig)
{
    return rig->posted != NULL ? rig->posted : "";
}

const char *probe_open_page(struct probe_rig *rig, size_t member, const char *path,
                            const char *until)
{
    struct probe_page *p = probe_page_open(rig, member, path, until);

    probe_page_close(&p);
    return probe_said(rig);
}

void probe_serve(struct probe_rig *rig, probe_answer_fn *fn, void *arg)
{
    pthread_mutex_lock(&rig->lock);
    rig->answer = fn;
    rig->arg = arg;
    pthread_mutex_unlock(&rig->lock);
}
