/* Two members of one campaign visit one site at the same time. The first leaves a trace in all that
 * a browser keeps; the second must find none of it, on contexts of one instance as in processes of
 * their own. The same member a second time finds its traces: the probe would see what is shared. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fingerprints/generate.h"
#include "tests/integration/probe_pages.h"
#include "tests/integration/probe_rig.h"
#include "tests/support/testing.h"

enum { CONNECTIONS_MAX = 256, MEMBERS = 2 };

/* What the server has seen; its threads write it, under `lock`. */
static struct seen {
    pthread_mutex_t lock;
    char blob[200];
    bool matched[MEMBERS];               /* the member's last request for /etag knew the tag */
    unsigned char used[CONNECTIONS_MAX]; /* bit i: member i sent a request over it */
    unsigned requests[MEMBERS], fresh;
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define NO_STORE "Cache-Control: no-store\r\n"

static void serve_auth(const struct httpd_request *q, struct httpd_reply *a)
{
    char word[64];

    httpd_header(q, "authorization", word, sizeof word);
    a->headers = NO_STORE;
    a->body = "known";
    if (word[0] != '\0')
        return;
    a->status = 401;
    a->headers = NO_STORE "WWW-Authenticate: Basic realm=\"traces\"\r\n";
    a->body = "unknown";
}

static void serve_etag(const struct httpd_request *q, struct httpd_reply *a, size_t who)
{
    char tag[64];

    httpd_header(q, "if-none-match", tag, sizeof tag);
    seen.matched[who] = strcmp(tag, "\"trace\"") == 0;
    a->status = seen.matched[who] ? 304 : 200;
    a->headers = "ETag: \"trace\"\r\nCache-Control: no-cache\r\n";
    a->body = "etag";
}

static void serve_blob(const struct httpd_request *q, struct httpd_reply *a)
{
    static char copy[MEMBERS * 100][sizeof seen.blob];
    static size_t next;

    a->headers = NO_STORE;
    a->type = "text/plain";
    if (strcmp(q->method, "POST") == 0)
        snprintf(seen.blob, sizeof seen.blob, "%.*s", (int)q->body_len, q->body);
    next = (next + 1) % (MEMBERS * 100);
    memcpy(copy[next], seen.blob, sizeof seen.blob);
    a->body = copy[next][0] != '\0' ? copy[next] : " ";
}

static bool on_request(void *arg, const struct httpd_request *q, struct httpd_reply *a)
{
    char name[8];
    size_t who = probe_query(q->path, "who", name, sizeof name)[0] == 'b';
    bool mine = true;

    (void)arg;
    pthread_mutex_lock(&seen.lock);
    if (name[0] != '\0' && q->connection < CONNECTIONS_MAX) {
        seen.used[q->connection] |= (unsigned char)(1U << who);
        seen.requests[who]++;
    }
    if (strncmp(q->path, "/isolation/auth", 15) == 0) {
        serve_auth(q, a);
    } else if (strncmp(q->path, "/isolation/etag", 15) == 0) {
        serve_etag(q, a, who);
    } else if (strncmp(q->path, "/isolation/blob", 15) == 0) {
        serve_blob(q, a);
    } else if (strncmp(q->path, "/isolation/matched", 18) == 0) {
        a->headers = NO_STORE;
        a->body = seen.matched[who] ? "yes" : "no";
    } else if (strncmp(q->path, "/isolation/fresh", 16) == 0) {
        seen.fresh++;
        a->headers = "Cache-Control: max-age=3600\r\n";
        a->body = "fresh";
    } else {
        mine = false;
    }
    pthread_mutex_unlock(&seen.lock);
    return mine;
}

/* --- what a page said --- */

/* What is there or not; the rest of a page's words are lists. */
static const char *const traces[] = {"cookie", "localStorage",  "indexedDB", "cacheApi", "opfs",
                                     "lock",   "serviceWorker", "auth",      "etag",     "blob"};

static struct json *said(struct probe_rig *rig, const char *what)
{
    struct json *j = json_parse(str_from(probe_said(rig)), false, NULL);
    const char *error = j != NULL ? json_str(json_get(j, "error"), NULL) : "nothing within 25 s";

    if (error != NULL)
        fail_msg("%s: the page said %s", what, error);
    return j;
}

/* How many traces are not as expected; `but` (NULL: none) may be either way. */
static unsigned count_wrong(const struct json *j, const char *what, bool expected,
                            const char *const *but)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < ARRAY_LEN(traces); i++) {
        bool either = false;

        for (size_t k = 0; but != NULL && but[k] != NULL; k++)
            either |= strcmp(but[k], traces[i]) == 0;
        if (either || json_bool(json_get(j, traces[i]), !expected) == expected)
            continue;
        print_message("%s: %s %s\n", what, traces[i], expected ? "is not there" : "is shared");
        wrong++;
    }
    return wrong;
}

static void check_list(const struct json *j, const char *name, const char *expected)
{
    const char *got = json_str(json_get(j, name), "nothing");

    if (strcmp(got, expected) != 0)
        fail_msg("%s: reached %s, expected %s", name, got, expected);
}

static void check_connections(void)
{
    unsigned own[MEMBERS] = {0}, both = 0;

    pthread_mutex_lock(&seen.lock);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        both += seen.used[i] == 3;
        own[0] += seen.used[i] == 1;
        own[1] += seen.used[i] == 2;
    }
    pthread_mutex_unlock(&seen.lock);
    print_message("connections: %u and %u, %u shared; %u and %u requests\n", own[0], own[1], both,
                  seen.requests[0], seen.requests[1]);
    assert_int_equal(both, 0);
    assert_true(own[0] < seen.requests[0]); /* a member does share with itself */
    assert_true(own[1] < seen.requests[1]);
}

/* --- the cases --- */

static void visit_both(struct probe_rig *rig)
{
    struct probe_page *a, *b;
    struct json *j;

    a = probe_page_open(rig, 0, "isolation/index.html?who=a&act=write", "done");
    j = said(rig, "first member, writing");
    assert_int_equal(count_wrong(j, "first member, writing", true, NULL), 0);
    check_list(j, "channel", "a-frame");
    check_list(j, "sharedWorker", "a");
    json_destroy(&j);
    assert_int_equal(seen.fresh, 1);

    b = probe_page_open(rig, 1, "isolation/index.html?who=b&act=read", "done");
    j = said(rig, "second member");
    assert_int_equal(count_wrong(j, "second member", false, NULL), 0);
    check_list(j, "channel", "b-frame");
    check_list(j, "sharedWorker", "b");
    json_destroy(&j);
    assert_int_equal(seen.fresh, 2);
    check_connections();
    probe_page_close(&b);
    probe_page_close(&a);
}

/* What goes with the page that made it. */
static const char *const of_the_page[] = {"lock", "blob", NULL};

static void visit_again(struct probe_rig *rig)
{
    struct probe_page *a = probe_page_open(rig, 0, "isolation/index.html?who=a&act=read", "done");
    struct json *j = said(rig, "first member again");

    assert_int_equal(count_wrong(j, "first member again", true, of_the_page), 0);
    json_destroy(&j);
    assert_int_equal(seen.fresh, 2);
    probe_page_close(&a);
}

static void check_tier(enum browser_kind kind, enum isolation isolation)
{
    const struct identity_params params = {
        .seed = "isolation", .browser_version = "156.0.8078.79", .memory_bytes = 8ULL << 30};
    struct arena *arena = arena_create(NULL, 0);
    const struct identity *ids[MEMBERS];
    struct probe_rig *rig;

    for (uint32_t i = 0; i < MEMBERS; i++)
        assert_int_equal(identity_generate(arena, &params, i, &ids[i], NULL), STATUS_OK);
    memset(seen.used, 0, sizeof seen.used);
    memset(seen.requests, 0, sizeof seen.requests);
    memset(seen.matched, 0, sizeof seen.matched);
    seen.blob[0] = '\0';
    seen.fresh = 0;
    rig = probe_open(kind, isolation, ids, MEMBERS);
    probe_serve(rig, on_request, NULL);
    visit_both(rig);
    visit_again(rig);
    probe_close(&rig);
    arena_destroy(&arena);
}

static void test_contexts_share_nothing(void **state)
{
    (void)state;
    check_tier(BROWSER_HEADLESS_SHELL, ISOLATION_CONTEXT);
}

static void test_processes_share_nothing(void **state)
{
    (void)state;
    check_tier(BROWSER_CHROMIUM, ISOLATION_PROCESS);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contexts_share_nothing),
        cmocka_unit_test(test_processes_share_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
