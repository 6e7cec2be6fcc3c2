/* What was acknowledged is in the log, whatever happens to the process: a writer appends as fast as
 * it can and tells each acknowledgement through a pipe; it is killed (SIGKILL) at a random moment.
 * Then the chain must verify, hold every record that was acknowledged, with the hash that was told,
 * and the next writer goes on from there. The acknowledgement travels through a pipe that outlives
 * the writer, so that nothing it said is lost with it. A control drops one acknowledged record and
 * expects the check to notice.
 *
 *     test_audit_kill write DIR N each|checkpoint      makes a log of N receipts in DIR, for
 * scripts
 */
#include "tests/support/testing.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rng.h"
#include "core/record/audit.h"
#include "core/record/record.h"
#include "core/record/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 20, WINDOW = 400 };

struct ack {
    uint64_t seq;
    unsigned char leaf[AUDIT_LEAF];
};

/* --- the writer --- */

struct writer {
    struct loop *loop;
    struct audit *audit;
    uint64_t sent, done, want;
    int fd; /* acknowledgements go here; -1: nowhere */
    enum status status;
    bool closed;
};

static void send_more(struct writer *w);

static void on_appended(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                        const struct err *e maybe_unused)
{
    struct writer *w = arg;

    w->done++;
    if (s != STATUS_OK) {
        w->status = s;
        return;
    }
    if (w->fd >= 0) {
        struct ack a = {.seq = seq};

        memcpy(a.leaf, leaf, AUDIT_LEAF);
        if (write(w->fd, &a, sizeof(a)) != (ssize_t)sizeof(a)) /* below PIPE_BUF: whole or not */
            _exit(9);
    }
    send_more(w);
}

static void send_more(struct writer *w)
{
    char op[40];

    while (w->status == STATUS_OK && w->sent < w->want && w->sent - w->done < WINDOW) {
        struct receipt r = {.kind = "op",
                            .op = op,
                            .target = "a.example",
                            .outcome = "ok",
                            .payload = STR("{\"status\":200}")};

        (void)snprintf(op, sizeof(op), "op.%d.%llu", (int)getpid(), (unsigned long long)w->sent);
        w->sent++;
        audit_append(w->audit, &r, on_appended, w);
    }
}

static void on_closed(void *arg)
{
    ((struct writer *)arg)->closed = true;
}

/* Opens, appends `want` receipts, closes. The status of the first that failed. */
static enum status write_log(const char *dir, uint64_t want, enum audit_sign sign, int fd)
{
    struct writer w = {.want = want, .fd = fd};
    cleanup_free char *sink = file_join(dir, "audit.ndjson");
    cleanup_free char *state = file_join(dir, "state");
    const struct audit_opts opts = {.sign = sign, .sink = sink};
    struct err e = ERR_INIT;
    enum status s = loop_create(&w.loop, NULL, &e);

    if (s == STATUS_OK)
        s = audit_open(w.loop, state, &opts, &w.audit, &e);
    if (s != STATUS_OK) {
        (void)fprintf(stderr, "# open: %s\n", err_text(&e));
        return s;
    }
    send_more(&w);
    while (w.done < w.sent)
        loop_run_once(w.loop, 1000);
    audit_close(w.audit, on_closed, &w);
    while (!w.closed)
        loop_run_once(w.loop, 1000);
    loop_destroy(&w.loop);
    return w.status;
}

/* --- the judge --- */

struct acks {
    struct ack *v;
    size_t n, cap;
};

static void add_ack(struct acks *a, const struct ack *one)
{
    if (a->n == a->cap) {
        a->cap = a->cap ? a->cap * 2 : 1024;
        a->v = realloc(a->v, a->cap * sizeof(a->v[0]));
        assert_non_null(a->v);
    }
    a->v[a->n++] = *one;
}

/* Acknowledged records that are not in the copy as they were acknowledged. */
static size_t count_missing(const char *sink, const struct acks *a)
{
    char *text = test_read_file(sink, NULL), *p = text, *nl;
    size_t found = 0, n_lines = 0, cap = 1024;
    struct merkle_hash *leaf = xcalloc(cap, sizeof(*leaf));

    for (; (nl = strchr(p, '\n')); p = nl + 1) {
        if (n_lines == cap) {
            cap *= 2;
            leaf = realloc(leaf, cap * sizeof(*leaf));
            assert_non_null(leaf);
        }
        merkle_leaf(p, (size_t)(nl - p), &leaf[n_lines++]);
    }
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].seq < n_lines && memcmp(leaf[a->v[i].seq].b, a->v[i].leaf, AUDIT_LEAF) == 0)
            found++;
    free(leaf);
    free(text);
    return a->n - found;
}

static struct audit_verdict verify(const char *path)
{
    const struct audit_verify_opts o = {.path = path};
    struct audit_verdict v;
    struct err e = ERR_INIT;

    if (audit_verify(&o, &v, &e) != STATUS_OK)
        fail_msg("verify: %s", err_text(&e));
    return v;
}

/* One writer, killed after `ms`; its acknowledgements are added. */
static void run_and_kill(const char *dir, enum audit_sign sign, unsigned ms, struct acks *a)
{
    uint64_t until = test_now_ms() + ms;
    struct ack one;
    int fd[2], status;
    bool killed = false;
    pid_t pid;
    ssize_t n;

    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        close(fd[0]);
        _exit(write_log(dir, UINT64_MAX, sign, fd[1]) == STATUS_OK ? 0 : 1);
    }
    close(fd[1]);
    while ((n = read(fd[0], &one, sizeof(one))) == (ssize_t)sizeof(one)) {
        add_ack(a, &one);
        if (!killed && test_now_ms() >= until) {
            assert_int_equal(kill(pid, SIGKILL), 0);
            killed = true;
        }
    }
    assert_int_equal(n, 0);
    close(fd[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_kill(void **state maybe_unused)
{
    char *dir = test_mkdir();
    char *sink = file_join(dir, "audit.ndjson"), *db = file_join(dir, "state/log.sqlite");
    struct acks a = {0};
    struct rng rng;
    uint64_t size = 0;

    rng_seed_u64(&rng, test_now_ms());
    for (int round = 0; round < ROUNDS; round++) {
        unsigned ms = (unsigned)rng_below(&rng, round % 7 ? 12 : 80);
        struct audit_verdict v;
        size_t missing;

        run_and_kill(dir, round % 2 ? AUDIT_SIGN_CHECKPOINT : AUDIT_SIGN_EACH, ms, &a);
        v = verify(db);
        if (v.exit_code != 0)
            fail_msg("round %d: database: exit %d: %s", round, v.exit_code, v.reason);
        assert_true(v.size >= size);
        v = verify(sink); /* it may be behind, it may be torn; it is not wrong */
        if (v.exit_code != 0 && v.exit_code != 3)
            fail_msg("round %d: copy: exit %d: %s", round, v.exit_code, v.reason);
        assert_int_equal(write_log(dir, 1, AUDIT_SIGN_EACH, -1), STATUS_OK);
        v = verify(sink);
        if (v.exit_code != 0)
            fail_msg("round %d: copy, opened again: exit %d: %s", round, v.exit_code, v.reason);
        size = v.size;
        missing = count_missing(sink, &a);
        if (missing > 0)
            fail_msg("round %d: %zu of %zu acknowledged receipts are not in the log", round,
                     missing, a.n);
    }
    assert_true(a.n > 0);
    a.v[a.n / 2].leaf[0] ^= 1; /* the control: a receipt that is not in the log is missed */
    assert_int_equal(count_missing(sink, &a), 1);
    free(a.v);
    free(sink);
    free(db);
    test_rmdir(&dir);
}

/* --- a full disk --- */

/* On a file system of 3 MiB: the receipt that does not fit is refused with NO_SPACE, those before
 * it are kept, and with more room the log goes on. */
static void test_full_disk(void **state maybe_unused)
{
    char *dir = test_mkdir();
    char *sink = file_join(dir, "audit.ndjson"), *db = file_join(dir, "state/log.sqlite");
    struct acks a = {0};
    struct ack one;
    struct audit_verdict v;
    int fd[2], status;
    pid_t pid;

    if (mount("tmpfs", dir, "tmpfs", 0, "size=3m") != 0) {
        int errnum = errno;

        free(sink);
        free(db);
        test_rmdir(&dir);
        test_skip("a file system of its own cannot be mounted: errno %d", errnum);
    }
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        log_set(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
        close(fd[0]);
        if (!freopen("/dev/null", "w", stderr))
            _exit(8);
        _exit(write_log(dir, UINT64_MAX, AUDIT_SIGN_CHECKPOINT, fd[1]) == STATUS_NO_SPACE ? 0 : 1);
    }
    close(fd[1]);
    while (read(fd[0], &one, sizeof(one)) == (ssize_t)sizeof(one))
        add_ack(&a, &one);
    close(fd[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(a.n > 100);
    v = verify(db);
    if (v.exit_code != 0)
        fail_msg("database: exit %d: %s", v.exit_code, v.reason);
    assert_int_equal(mount("tmpfs", dir, "tmpfs", MS_REMOUNT, "size=64m"), 0);
    assert_int_equal(write_log(dir, 100, AUDIT_SIGN_EACH, -1), STATUS_OK);
    v = verify(sink);
    if (v.exit_code != 0)
        fail_msg("copy: exit %d: %s", v.exit_code, v.reason);
    assert_true(v.size >= a.n + 100);
    assert_int_equal(count_missing(sink, &a), 0);
    assert_int_equal(umount(dir), 0);
    free(a.v);
    free(sink);
    free(db);
    test_rmdir(&dir);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_full_disk),
    };

    log_set(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    if (argc == 5 && strcmp(argv[1], "write") == 0)
        return write_log(argv[2], strtoull(argv[3], NULL, 10),
                         strcmp(argv[4], "each") == 0 ? AUDIT_SIGN_EACH : AUDIT_SIGN_CHECKPOINT,
                         -1) != STATUS_OK;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
