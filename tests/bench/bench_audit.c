/* Rates of the audit log: receipts appended durably, in both modes, with a window of receipts under
 * way; then the log is verified. Prints one line a figure. Arguments: receipts in checkpoint mode
 * (default 1,000,000) and signed each (default 200,000), directory. */
#include "core/base/file.h"
#include "core/record/audit.h"
#include "core/record/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WINDOW = 8192 };

struct run {
    struct loop *loop;
    struct audit *audit;
    uint64_t want, sent, done, failed;
    bool closed;
};

static void send_more(struct run *r);

static void on_appended(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                        const struct err *e)
{
    struct run *r = arg;

    (void)leaf;
    (void)seq;
    r->done++;
    if (s != STATUS_OK && r->failed++ == 0)
        (void)fprintf(stderr, "append: %s\n", err_text(e));
    send_more(r);
}

static void send_more(struct run *r)
{
    static const unsigned char parent[AUDIT_LEAF] = {1, 2, 3};
    char id[32], member[16];

    while (r->sent < r->want && r->sent - r->done < WINDOW) {
        struct receipt receipt = {
            .kind = "op",
            .id = id,
            .member = member,
            .op = "page.navigate",
            .target = "shop.example.org",
            .proxy = "px-7",
            .outcome = "ok",
            .fence = 1 + r->sent,
            .parent = parent,
            .payload = STR("{\"status\":200,\"url\":\"https://shop.example.org/item/1\"}"),
        };

        (void)snprintf(id, sizeof(id), "op-%012" PRIu64, r->sent);
        (void)snprintf(member, sizeof(member), "%" PRIu64, r->sent % 100);
        audit_append(r->audit, &receipt, on_appended, r);
        r->sent++;
    }
}

static void on_closed(void *arg)
{
    ((struct run *)arg)->closed = true;
}

static double seconds(void)
{
    return (double)clock_system()->mono_ns(clock_system()) / 1e9;
}

static void verify(const char *what, const char *path)
{
    const struct audit_verify_opts opts = {.path = path};
    struct audit_verdict v;
    struct err e = ERR_INIT;
    double t = seconds();

    if (audit_verify(&opts, &v, &e) != STATUS_OK) {
        (void)printf("%-34s %s\n", what, err_text(&e));
        return;
    }
    t = seconds() - t;
    (void)printf("%-34s %12.0f /s   exit %d, %" PRIu64 " covered, %" PRIu64 " signatures\n", what,
                 (double)v.size / t, v.exit_code, v.covered, v.signatures);
}

static int measure(const char *name, const char *dir, enum audit_sign sign, uint64_t n, bool copy)
{
    struct run r = {.want = n};
    cleanup_free char *sink = file_join(dir, "audit.ndjson");
    cleanup_free char *db = file_join(dir, "log.sqlite");
    struct audit_opts opts = {.sign = sign, .sink = copy ? sink : NULL};
    struct err e = ERR_INIT;
    double t;

    if (file_remove_tree(dir, &e) != STATUS_OK || loop_create(&r.loop, NULL, &e) != STATUS_OK ||
        audit_open(r.loop, dir, &opts, &r.audit, &e) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", err_text(&e));
        return 1;
    }
    t = seconds();
    send_more(&r);
    while (r.done < r.want)
        loop_run_once(r.loop, 1000);
    t = seconds() - t;
    (void)printf("%-34s %12.0f /s%s\n", name, (double)n / t, r.failed ? "   FAILED" : "");
    audit_close(r.audit, on_closed, &r);
    while (!r.closed)
        loop_run_once(r.loop, 1000);
    loop_destroy(&r.loop);
    verify("  verify log.sqlite", db);
    if (copy)
        verify("  verify audit.ndjson", sink);
    return r.failed > 0;
}

int main(int argc, char **argv)
{
    uint64_t checkpoint = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    uint64_t each = argc > 2 ? strtoull(argv[2], NULL, 10) : 200000;
    const char *dir = argc > 3 ? argv[3] : "build/bench-audit";
    struct err e = ERR_INIT;
    int rc;

    rc = measure("append, checkpoint mode", dir, AUDIT_SIGN_CHECKPOINT, checkpoint, false);
    rc |= measure("append, checkpoint mode + copy", dir, AUDIT_SIGN_CHECKPOINT, checkpoint, true);
    rc |= measure("append, signed each + copy", dir, AUDIT_SIGN_EACH, each, true);
    if (file_remove_tree(dir, &e) != STATUS_OK)
        (void)fprintf(stderr, "%s\n", err_text(&e));
    return rc;
}
