/* audit rotate: a new signing key, which the old one vouches for. */
#include <stdio.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/loop.h"
#include "core/cli/cli.h"
#include "core/record/audit.h"

static const struct cli_option options[] = {
    {"key", 'k', "SOURCE",
     "the signing key, as audit.key: file:PATH; default: file:keys/audit.key"},
    {"sink", 0, "FILE", "bring this copy up to date as well, and the public keys beside it"},
    {NULL, 0, NULL, NULL},
};

struct rotation {
    struct loop *loop;
    bool told, closed;
    enum status status;
    uint64_t seq;
    struct err err;
};

static void on_receipt(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                       const struct err *e)
{
    struct rotation *r = arg;

    (void)leaf;
    r->told = true;
    r->status = s;
    r->seq = seq;
    if (s != STATUS_OK)
        r->err = *e;
}

static void on_closed(void *arg)
{
    struct rotation *r = arg;

    r->closed = true;
}

static enum status rotate_with(struct cli *c, struct rotation *r)
{
    const struct audit_opts opts = {.sink = cli_get(c, "sink"), .key = cli_get(c, "key")};
    struct audit *a;
    enum status s = audit_open(r->loop, cli_state_dir(c), &opts, &a, &r->err);

    if (s != STATUS_OK)
        return s;
    audit_rotate(a, on_receipt, r);
    while (!r->told)
        loop_run_once(r->loop, 100);
    audit_close(a, on_closed, r);
    while (!r->closed)
        loop_run_once(r->loop, 100);
    return r->status;
}

static int rotate(struct cli *c)
{
    cleanup_free char *log = file_join(cli_state_dir(c), "log.sqlite");
    struct rotation r = {0};
    enum status s;

    if (access(log, F_OK) != 0) {
        err_set(&r.err, STATUS_NOT_FOUND, "there is no audit log in %s", cli_state_dir(c));
        return cli_fail(c, &r.err);
    }
    s = loop_create(&r.loop, NULL, &r.err);
    if (s == STATUS_OK)
        s = rotate_with(c, &r);
    if (r.loop)
        loop_destroy(&r.loop);
    if (s != STATUS_OK)
        return cli_fail(c, &r.err);
    printf("a new key signs from record %llu on; %s/audit.pub has all of them\n",
           (unsigned long long)r.seq + 1, cli_state_dir(c));
    return EXIT_OK;
}

const struct cli_verb verb_audit_rotate = {
    .name = "audit rotate",
    .summary = "Replace the key that signs the audit log",
    .usage = "",
    .options = options,
    .details =
        "Makes a new key. The receipt \"key.rotate\" has it and is signed by the old one, which "
        "is\n"
        "then overwritten: whoever trusts the old key follows to the new one. While a campaign\n"
        "or \"serve\" runs on the state directory it is in use, and nothing is changed.",
    .run = rotate,
};
