#include <stdio.h>

#include "core/base/file.h"
#include "core/cli/cli.h"
#include "core/record/verify.h"

static const struct cli_option options[] = {
    {"key", 'k', "FILE", "the trusted public key (PEM); default: the .pub beside the log"},
    {"anchor", 'a', "FILE", "a signed checkpoint that was kept elsewhere"},
    {"campaign", 0, NULL, "the file is the export of one campaign"},
    {"json", 0, NULL, "print the verdict as JSON"},
    {NULL, 0, NULL, NULL},
};

static int verify(struct cli *c)
{
    cleanup_free char *log = file_join(cli_state_dir(c), "log.sqlite");
    const char *key = cli_get(c, "key"), *anchor = cli_get(c, "anchor");
    const struct audit_verify_opts opts = {
        .path = cli_arg(c, 0) ? cli_arg(c, 0) : log,
        .keys = &key,
        .n_keys = key ? 1 : 0,
        .anchors = &anchor,
        .n_anchors = anchor ? 1 : 0,
        .campaign = cli_has(c, "campaign"),
    };
    struct buf text = BUF_INIT(BUF_MAX_LINE);
    struct audit_verdict v;
    struct err e = ERR_INIT;

    if (audit_verify(&opts, &v, &e) != STATUS_OK)
        return cli_fail(c, &e);
    audit_verdict_print(&v, cli_has(c, "json"), &text);
    fputs(text.ptr, stdout);
    if (text.len > 0 && text.ptr[text.len - 1] != '\n')
        putchar('\n');
    buf_deinit(&text);
    return v.exit_code;
}

const struct cli_verb verb_audit_verify = {
    .name = "audit verify",
    .summary = "Verify the audit log, or a copy of it",
    .usage = "[FILE]",
    .options = options,
    .max_args = 1,
    .details = "FILE is log.sqlite or its NDJSON copy; default: the log of the state directory.\n"
               "Exit codes: 0 all of it is covered by signatures, 1 tampered with, 2 truncated or\n"
               "rolled back, 3 sound but for an unsigned tail, 4 no trusted key, 5 nothing is\n"
               "said: the log cannot be read, or the command line is wrong.",
    .fail_exit = AUDIT_EXIT_UNREAD,
    .run = verify,
};
