/* How many pages are begun at a time, in a real browser. Pages that are at work are no more than
 * the processors can serve, unless these have room; but a page that waits for its server is not at
 * work, however busy the machine is, nor is one that waits for something else in silence: the site
 * below answers nobody before as many requests are there as there are slots, so that the campaign
 * gets through only if all its slots are in use at once. */
#include "tests/support/testing.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/json.h"
#include "tests/support/httpd.h"

enum { SLOTS = 9, SILENT_SLOTS = 4, DEADLINE_MS = 60000, POLL_MS = 10 };

static struct {
    pthread_mutex_t lock;
    const char *late; /* beginning of the paths that are answered late */
    unsigned inside, wanted;
    struct httpd *server;
    char *dir;
} w = {.lock = PTHREAD_MUTEX_INITIALIZER};

static unsigned inside(unsigned more)
{
    unsigned n;

    pthread_mutex_lock(&w.lock);
    n = w.inside += more;
    pthread_mutex_unlock(&w.lock);
    return n;
}

/* On the connection's own thread. */
static void answer(void *arg, const struct httpd_request *q, struct httpd_reply *a)
{
    (void)arg;
    a->status = 200;
    a->body = "<title>at last</title><script src=\"/script.js\"></script>";
    if (strncmp(q->path, "/script", 7) == 0) {
        a->type = "text/javascript";
        a->body = "";
    }
    if (strncmp(q->path, w.late, strlen(w.late)) != 0)
        return;
    (void)inside(1);
    for (unsigned ms = 0; inside(0) < w.wanted && ms < DEADLINE_MS; ms += POLL_MS)
        usleep(POLL_MS * 1000);
}

static int set_up(void **state)
{
    (void)state;
    w.inside = 0;
    w.dir = test_mkdir();
    w.server = httpd_start(NULL, 0, answer, NULL);
    return chdir(w.dir);
}

static int tear_down(void **state)
{
    (void)state;
    (void)inside(SLOTS);
    httpd_stop(&w.server);
    assert_int_equal(chdir(".."), 0);
    test_rmdir(&w.dir);
    return 0;
}

static void write_campaign(unsigned slots)
{
    FILE *f = fopen("campaign.json", "w");

    assert_non_null(f);
    fprintf(f,
            "{\"flow\":{\"title\":\"wait\",\"steps\":[{\"type\":\"navigate\",\"url\":\"{{url}}\","
            "\"timeout\":%d}]},\"slots\":%u,\"members\":{\"count\":%u},\"context\":\"fresh\","
            "\"autoscale\":{\"per_cpu\":1,\"memory_available\":0,\"memory_pressure\":100},"
            "\"deadlines\":{\"run_ms\":%d},\"retry\":{\"max\":0},\"sandbox\":\"prefer\","
            "\"limits\":{\"max_requests\":1000,\"robots\":false},"
            "\"policy\":{\"private_networks\":true},"
            "\"output\":{\"results\":\"results.ndjson\"},\"targets\":[",
            DEADLINE_MS, slots, slots, DEADLINE_MS);
    for (unsigned i = 0; i < slots; i++)
        fprintf(f, "%s\"http://127.0.0.1:%u/page/%u\"", i > 0 ? "," : "", httpd_port(w.server), i);
    fprintf(f, "]}");
    assert_int_equal(fclose(f), 0);
}

struct waiting {
    pid_t pid;
    int status;
};

static bool is_gone(void *arg)
{
    struct waiting *x = arg;

    return waitpid(x->pid, &x->status, WNOHANG) == x->pid;
}

static void all_at_once(unsigned slots, const char *late)
{
    const char *fleet = test_program("fleet");
    struct waiting x = {0};

    if (access("/usr/bin/chromium-headless-shell", X_OK) != 0)
        test_skip("no chromium-headless-shell");
    w.late = late;
    w.wanted = slots;
    write_campaign(slots);
    x.pid = fork();
    if (x.pid == 0) {
        setenv("FLEET_STATE_DIR", "state", 1);
        execl(fleet, fleet, "run", "campaign.json", "--quiet", "--browser=headless-shell",
              (char *)NULL);
        _exit(127);
    }
    if (!test_wait_until(is_gone, &x, DEADLINE_MS)) {
        kill(x.pid, SIGTERM);
        waitpid(x.pid, NULL, 0);
        fail_msg("%u of %u pages asked for %s at a time", inside(0), slots, late);
    }
    assert_true(WIFEXITED(x.status));
    assert_int_equal(WEXITSTATUS(x.status), 0);
    assert_int_equal(inside(0), slots);
}

static void test_waiting_pages_leave_room(void **state)
{
    (void)state;
    all_at_once(SLOTS, "/page");
}

/* Their documents are there; nothing is told of what they wait for. */
static void test_silent_pages_leave_room(void **state)
{
    (void)state;
    all_at_once(SILENT_SLOTS, "/script");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_waiting_pages_leave_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_silent_pages_leave_room, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
