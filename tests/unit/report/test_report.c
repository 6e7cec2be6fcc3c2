/* The report of a run: what was told is in it, and nothing of it is markup. The run is a real one
 * of plain HTTP whose only target refuses connections, so that URLs and errors hold what an
 * attacker would put there. */
#include "core/report/report.h"

#include <stdio.h>
#include <string.h>

#include "core/http/executor.h"
#include "tests/support/testing.h"

static bool is_over;

static void on_over(void *arg, struct run *r)
{
    (void)arg;
    (void)r;
    is_over = true;
}

static enum status version(const struct campaign_conf *c, const char *state_dir, char out[32],
                           struct err *e)
{
    (void)c;
    (void)state_dir;
    (void)e;
    snprintf(out, 32, "%s", HTTP_EXECUTOR_BROWSER_VERSION);
    return STATUS_OK;
}

static void render(const char *dir, const char *text, struct buf *out)
{
    static const struct run_kit kit = {.executor = &http_executor, .browser_version = version};
    struct report *report = report_create();
    struct arena *a = arena_create(NULL, 0);
    struct buf errors = BUF_INIT(BUF_MAX_LINE);
    struct run_opts opts = {.kit = &kit, .n_watch = 1};
    struct campaign_conf conf;
    struct run *run = NULL;
    struct err e = ERR_INIT;
    char path[256], state[256];

    snprintf(path, sizeof(path), "%s/c.json", dir);
    snprintf(state, sizeof(state), "%s/state", dir);
    test_write_file(path, text, strlen(text));
    assert_int_equal(loop_create(&opts.loop, NULL, &e), STATUS_OK);
    if (campaign_load(a, path, &conf, &errors, &e) != STATUS_OK)
        fail_msg("%s", errors.ptr);
    opts.conf = &conf;
    opts.state_dir = state;
    opts.watch[0] = report_watch(report);
    if (run_create(&opts, &run, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    is_over = false;
    run_start(run, on_over, NULL);
    while (!is_over)
        loop_run_once(opts.loop, 100);
    report_render(report, run, "all <b>records</b> verify", true, out);
    run_destroy(&run);
    loop_destroy(&opts.loop);
    report_destroy(&report);
    buf_deinit(&errors);
    arena_destroy(&a);
}

static void test_escapes(void **state)
{
    char *dir = test_mkdir();
    struct buf out = BUF_INIT(BUF_MAX_FILE);

    (void)state;
    render(dir,
           "{\"name\":\"<script>alert(1)</script>\",\"retry\":{\"max\":0},"
           "\"flow\":{\"steps\":[{\"type\":\"http.get\",\"url\":\"{{url}}\"}]},"
           "\"limits\":{\"robots\":false},"
           "\"targets\":[\"http://127.0.0.1:1/?q=%22><img src=x onerror=alert(2)>\"]}",
           &out);
    assert_int_equal(buf_status(&out), STATUS_OK);
    assert_null(strstr(out.ptr, "<script>alert"));
    assert_null(strstr(out.ptr, "<img src=x"));
    assert_null(strstr(out.ptr, "<b>records"));
    assert_non_null(strstr(out.ptr, "&lt;script&gt;alert(1)"));
    assert_non_null(strstr(out.ptr, "all &lt;b&gt;records&lt;/b&gt; verify"));
    assert_non_null(strstr(out.ptr, "no task succeeded"));
    assert_non_null(strstr(out.ptr, "t-000001"));
    assert_non_null(strstr(out.ptr, "--card:")); /* its styles are inside */
    assert_null(strstr(out.ptr, "<link"));
    buf_deinit(&out);
    test_rmdir(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_escapes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
