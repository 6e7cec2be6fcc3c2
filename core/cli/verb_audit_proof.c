/* audit prove, audit consistency, audit export: what others are given to check for themselves. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/cli/cli.h"
#include "core/base/json.h"
#include "core/record/keyfile.h"
#include "core/record/verify.h"

/* The log named by argument `i`, or that of the state directory. Malloc'ed. */
static char *log_path(const struct cli *c, size_t i)
{
    return cli_arg(c, i) ? xstrdup(cli_arg(c, i)) : file_join(cli_state_dir(c), "log.sqlite");
}

static int print(struct cli *c, struct buf *text)
{
    struct err e = ERR_INIT;
    enum status s =
        file_write_all(STDOUT_FILENO, buf_str(text).ptr, text->len, "standard output", &e);

    buf_deinit(text);
    return s == STATUS_OK ? EXIT_OK : cli_fail(c, &e);
}

/* --- prove --- */

static const struct cli_option prove_options[] = {
    {"check", 0, "PROOF", "check the proof in this file instead of making one"},
    {"key", 'k', "FILE", "with --check: the trusted public key (PEM)"},
    {"json", 0, NULL, "print record and proof as JSON"},
    {NULL, 0, NULL, NULL},
};

static enum status load_keys(const struct cli *c, unsigned char (*keys)[SIGN_PUBLIC], size_t *n,
                             struct err *e)
{
    struct buf pem = BUF_INIT(BUF_MAX_LINE);
    cleanup_free char *path =
        cli_has(c, "key") ? xstrdup(cli_get(c, "key")) : file_join(cli_state_dir(c), "audit.pub");
    enum status s = file_read(path, &pem, e);

    if (s == STATUS_OK)
        s = public_key_parse(buf_str(&pem), path, keys, KEYFILE_PUBLIC_MAX, n, e);
    buf_deinit(&pem);
    return s;
}

/* The record's line comes on standard input, so that the log itself is not needed. */
static int check_proof(struct cli *c, uint64_t seq)
{
    unsigned char keys[KEYFILE_PUBLIC_MAX][SIGN_PUBLIC];
    struct buf proof = BUF_INIT(BUF_MAX_LINE), line = BUF_INIT(BUF_MAX_LINE);
    struct err e = ERR_INIT;
    uint64_t index = 0;
    size_t n = 0;
    enum status s = load_keys(c, keys, &n, &e);

    if (s == STATUS_OK)
        s = file_read(cli_get(c, "check"), &proof, &e);
    if (s == STATUS_OK)
        s = file_read("-", &line, &e);
    if (s == STATUS_OK && line.len > 0 && line.ptr[line.len - 1] == '\n')
        buf_truncate(&line, line.len - 1);
    if (s == STATUS_OK && !audit_check_proof(buf_str(&proof), buf_str(&line),
                                             (const unsigned char(*)[32])keys, n, &index, &e))
        s = e.status;
    if (s == STATUS_OK && index != seq)
        s = err_set(&e, STATUS_AUDIT_INVALID,
                    "the proof is of record %" PRIu64 ", not of record %" PRIu64, index, seq);
    buf_deinit(&proof);
    buf_deinit(&line);
    if (s != STATUS_OK)
        return cli_fail(c, &e);
    (void)printf("ok: the record is number %" PRIu64 " of the log\n", index);
    return EXIT_OK;
}

static int prove(struct cli *c)
{
    cleanup_free char *path = log_path(c, 1);
    struct buf proof = BUF_INIT(BUF_MAX_LINE), line = BUF_INIT(BUF_MAX_LINE);
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    struct err e = ERR_INIT;
    enum status s;
    uint64_t seq;

    if (!str_to_u64(str_from(cli_arg(c, 0)), INT64_MAX, &seq))
        return cli_usage(c, "found \"%s\", expected the number of a record", cli_arg(c, 0));
    if (cli_has(c, "check"))
        return check_proof(c, seq);
    s = audit_prove(path, seq, &proof, &line, &e);
    if (s == STATUS_OK && cli_has(c, "json")) {
        buf_addf(&text, "{\"seq\":%" PRIu64 ",\"record\":", seq);
        json_print_str(buf_str(&line), &text);
        buf_adds(&text, ",\"proof\":");
        json_print_str(buf_str(&proof), &text);
        buf_adds(&text, "}\n");
    } else if (s == STATUS_OK) {
        buf_addstr(&text, buf_str(&proof));
    }
    buf_deinit(&proof);
    buf_deinit(&line);
    if (s == STATUS_OK)
        return print(c, &text);
    buf_deinit(&text);
    return cli_fail(c, &e);
}

const struct cli_verb verb_audit_prove = {
    .name = "audit prove",
    .summary = "Prove that a record is in the audit log",
    .usage = "N [FILE]",
    .options = prove_options,
    .min_args = 1,
    .max_args = 2,
    .details =
        "Prints a c2sp.org/tlog-proof@v1 of record N (from 0): inclusion proof and the newest\n"
        "signed checkpoint. FILE is log.sqlite or its NDJSON copy. With --check the record's\n"
        "line is read from standard input and no log is needed.",
    .run = prove,
};

/* --- consistency --- */

static const struct cli_option json_option[] = {
    {"json", 0, NULL, "print roots and proof as JSON"},
    {NULL, 0, NULL, NULL},
};

/* A size, or a file with a checkpoint, whose root is then compared. */
static enum status read_head(const char *arg, struct checkpoint *out, bool *has_root, struct err *e)
{
    struct buf note = BUF_INIT(NOTE_MAX);
    struct str text;
    enum status s;

    *out = (struct checkpoint){0};
    *has_root = false;
    if (str_to_u64(str_from(arg), INT64_MAX, &out->size))
        return STATUS_OK;
    s = file_read(arg, &note, e);
    if (s == STATUS_OK && (!note_text(buf_str(&note), &text) || !checkpoint_parse(text, out)))
        s = err_set(e, STATUS_INVALID,
                    "%s: expected a number of records or a file with a checkpoint", arg);
    *has_root = s == STATUS_OK;
    buf_deinit(&note);
    return s;
}

static int consistency(struct cli *c)
{
    cleanup_free char *path = log_path(c, 2);
    struct buf text = BUF_INIT(BUF_MAX_LINE);
    struct checkpoint head[2];
    struct audit_consistency k;
    struct err e = ERR_INIT;
    enum status s = STATUS_OK;
    bool has_root[2];

    for (size_t i = 0; i < 2 && s == STATUS_OK; i++)
        s = read_head(cli_arg(c, i), &head[i], &has_root[i], &e);
    if (s == STATUS_OK)
        s = audit_consistency(path, head[0].size, head[1].size, &k, &e);
    if (s != STATUS_OK)
        return cli_fail(c, &e);
    if ((has_root[0] && !merkle_eq(&head[0].root, &k.from_root)) ||
        (has_root[1] && !merkle_eq(&head[1].root, &k.to_root))) {
        err_set(
            &e, STATUS_AUDIT_INVALID,
            "%s: the first %" PRIu64 " or %" PRIu64
            " records do not have the root of the checkpoint: the log was rolled back or changed",
            path, head[0].size, head[1].size);
        return cli_fail(c, &e);
    }
    audit_consistency_print(&k, cli_has(c, "json"), &text);
    return print(c, &text);
}

const struct cli_verb verb_audit_consistency = {
    .name = "audit consistency",
    .summary = "Prove that one state of the audit log continues another",
    .usage = "A B [FILE]",
    .options = json_option,
    .min_args = 2,
    .max_args = 3,
    .details =
        "A and B are numbers of records, A <= B, or files with checkpoints, whose roots are then\n"
        "compared with the log's. Prints both roots and the proof (RFC 6962, 2.1.2). Signatures\n"
        "of checkpoints are checked by \"audit verify --anchor\".",
    .run = consistency,
};

/* --- export --- */

static const struct cli_option export_options[] = {
    {"campaign", 0, "ID", "only the campaign with this id, with its stages and close receipts"},
    {"output", 'o', "FILE", "where to; default: standard output"},
    {NULL, 0, NULL, NULL},
};

static int export(struct cli *c)
{
    cleanup_free char *path = log_path(c, 0);
    const char *output = cli_get(c, "output");
    cleanup_fd int file = -1;
    struct err e = ERR_INIT;
    enum status s = STATUS_OK;
    uint64_t n = 0;

    if (output) {
        file = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (file < 0)
            s = err_set_errno(&e, STATUS_IO, errno, "open %s", output);
    }
    if (s == STATUS_OK)
        s = audit_export(path, cli_get(c, "campaign"), output ? file : STDOUT_FILENO, &n, &e);
    if (s != STATUS_OK)
        return cli_fail(c, &e);
    if (output)
        (void)fprintf(stderr, "%" PRIu64 " records\n", n);
    return EXIT_OK;
}

const struct cli_verb verb_audit_export = {
    .name = "audit export",
    .summary = "Write the audit log, or one campaign of it, as NDJSON",
    .usage = "[FILE]",
    .options = export_options,
    .max_args = 1,
    .details =
        "FILE is log.sqlite or its NDJSON copy. The export of a campaign verifies alone, with\n"
        "\"audit verify --campaign --key audit.pub EXPORT\".",
    .run = export,
};
