#include "browser/flow/verb_flow.h"

#include "browser/flow/flow.h"
#include "core/base/file.h"

static const struct cli_option check_options[] = {
    {"json", 0, NULL, "print the result as JSON"},
    {NULL, 0, NULL, NULL},
};

static int tell(struct cli *c, const struct flow *f)
{
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    struct json *j, *warnings;
    struct json_strs w = flow_warnings(f);
    int code = EXIT_OK;

    flow_explain(f, &text);
    if (!cli_has(c, "json")) {
        fputs(text.ptr, stdout);
        buf_deinit(&text);
        return code;
    }
    warnings = json_new_array();
    for (size_t i = 0; i < w.n; i++)
        json_push(warnings, json_new_str(str_from(w.v[i])));
    j = json_add_bool(json_new_object(), "ok", true);
    json_add_str(j, "title", flow_title(f));
    json_add_num(j, "steps", (double)flow_len(f));
    json_add(j, "warnings", warnings);
    json_add(j, "explained", json_new_str(buf_str(&text)));
    code = cli_print_json(c, j);
    json_destroy(&j);
    buf_deinit(&text);
    return code;
}

static int tell_errors(const struct json_decode *d, const char *path)
{
    struct buf text = BUF_INIT(BUF_MAX_FILE);

    json_decode_report(d, path, &text);
    fputs(text.ptr, stderr);
    buf_deinit(&text);
    return status_exit(STATUS_INVALID);
}

static int check_text(struct cli *c, const char *path, struct str text)
{
    struct arena *a = arena_create(NULL, 0);
    struct err e = ERR_INIT;
    struct json *j = json_parse(text, false, &e);
    struct json_decode d;
    struct flow *f;
    int code;

    if (j == NULL) {
        err_prefix(&e, "%s", path);
        code = cli_fail(c, &e);
    } else {
        json_decode_init(&d, a, NULL);
        f = flow_decode(a, j, &d);
        code = f != NULL ? tell(c, f) : tell_errors(&d, path);
    }
    json_destroy(&j);
    arena_destroy(&a);
    return code;
}

static int check(struct cli *c)
{
    const char *path = cli_arg(c, 0);
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    struct err e = ERR_INIT;
    int code;

    if (file_read(path, &text, &e) == STATUS_OK) {
        code = check_text(c, path, buf_str(&text));
    } else {
        e.status = STATUS_INVALID; /* the command line names a file that cannot be read */
        code = cli_fail(c, &e);
    }
    buf_deinit(&text);
    return code;
}

const struct cli_verb verb_flow_check = {
    .name = "flow check",
    .summary = "Check a flow, and say in words what it will do",
    .usage = "FILE",
    .options = check_options,
    .min_args = 1,
    .max_args = 1,
    .details =
        "FILE is a flow: Chrome DevTools Recorder's JSON, with Fleet's own steps. Nothing is "
        "run and no browser is needed.\nSelectors are checked as far as that goes without a "
        "page. \"config check\" checks a flow together with its campaign: also the columns that "
        "it\n"
        "asks for. Exit code 3: errors, each with its place.",
    .run = check,
};
