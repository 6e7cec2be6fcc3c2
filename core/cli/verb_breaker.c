#include <pwd.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/jcs.h"
#include "core/base/loop.h"
#include "core/cli/remote.h"
#include "core/guard/breaker.h"
#include "core/record/audit.h"

static const struct cli_option options[] = {
    {"json", 0, NULL, "print the result as JSON"},
    {NULL, 0, NULL, NULL},
};

static const struct breaker_conf defaults = {
    .failure_rate = 0.10,
    .window_ms = 60000,
    .min_samples = 20,
};

/* --- list --- */

static int print_list(struct cli *c, const struct json *all)
{
    if (cli_has(c, "json"))
        return cli_print_json(c, all);
    for (const struct json *b = json_first(all); b; b = json_next(b))
        printf("%-40s open since %s: %.0f of %.0f failed, last %s\n",
               json_str(json_get(b, "target"), ""), json_str(json_get(b, "opened"), ""),
               json_num(json_get(b, "failures"), 0), json_num(json_get(b, "samples"), 0),
               json_str(json_get(b, "why"), ""));
    if (json_len(all) == 0)
        printf("no breaker is open\n");
    return EXIT_OK;
}

/* Of the engine that runs here. */
static int list_remote(struct cli *c)
{
    struct json *j;
    int code = remote_call(c, "GET", "/v1/breakers", STR_NONE, &j);

    if (code == EXIT_OK)
        code = print_list(c, json_get(j, "breakers"));
    json_destroy(&j);
    return code;
}

/* Where none runs: of the state directory. */
static int list_here(struct cli *c)
{
    struct json *all = json_new_array();
    struct breaker *b = NULL;
    struct breaker_state s;
    struct err e = ERR_INIT;
    size_t it = 0;
    int code;

    if (breaker_open_store(&defaults, cli_state_dir(c), &b, &e) != STATUS_OK) {
        json_destroy(&all);
        return cli_fail(c, &e);
    }
    while (breaker_next(b, &it, 0, &s)) {
        if (s.open)
            json_push(all, breaker_state_json(&s));
    }
    code = print_list(c, all);
    breaker_close_store(&b);
    json_destroy(&all);
    return code;
}

static int list(struct cli *c)
{
    return remote_is_there(c) ? list_remote(c) : list_here(c);
}

/* --- reset --- */

struct reset {
    struct loop *loop;
    bool told, closed;
    enum status status;
    struct err err;
    char receipt[AUDIT_HEX_MAX];
};

static void on_receipt(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                       const struct err *e)
{
    struct reset *r = arg;

    (void)seq;
    r->told = true;
    r->status = s;
    if (s == STATUS_OK)
        audit_hex(leaf, r->receipt);
    else
        r->err = *e;
}

static void on_closed(void *arg)
{
    struct reset *r = arg;

    r->closed = true;
}

static void append(struct reset *r, struct audit *a, const char *target)
{
    struct json *j = json_new_object();
    struct buf payload = BUF_INIT(BUF_MAX_LINE);
    struct passwd pw, *found = NULL;
    char names[1024];
    struct receipt receipt = {.kind = "breaker.reset", .target = target, .outcome = "ok"};

    if (getpwuid_r(getuid(), &pw, names, sizeof(names), &found) != 0)
        found = NULL;
    json_add_str(j, "operator", found ? found->pw_name : NULL);
    json_add_num(j, "uid", getuid());
    if (jcs_write(j, &payload, NULL) == STATUS_OK)
        receipt.payload = buf_str(&payload);
    audit_append(a, &receipt, on_receipt, r);
    while (!r->told)
        loop_run_once(r->loop, 100);
    buf_deinit(&payload);
    json_destroy(&j);
}

/* The receipt first: a reset that cannot be proved does not happen. */
static enum status reset_with(struct reset *r, struct breaker *b, const char *state_dir,
                              const char *target)
{
    struct audit *a;
    enum status s;

    if (breaker_allow(b, str_from(target)))
        return err_set(&r->err, STATUS_NOT_FOUND, "the breaker of %s is not open", target);
    s = audit_open(r->loop, state_dir, NULL, &a, &r->err);
    if (s != STATUS_OK)
        return s;
    append(r, a, target);
    s = r->status;
    if (s == STATUS_OK)
        s = breaker_reset(b, str_from(target), &r->err);
    audit_close(a, on_closed, r);
    while (!r->closed)
        loop_run_once(r->loop, 100);
    return s;
}

static int reset_remote(struct cli *c)
{
    cleanup_free char *path = remote_path("/v1/breakers/", cli_arg(c, 0), "/reset");
    struct json *j;
    int code = remote_call(c, "POST", path, STR_NONE, &j);

    if (code == EXIT_OK && cli_has(c, "json"))
        code = cli_print_json(c, j);
    else if (code == EXIT_OK)
        printf("the breaker of %s is closed; receipt %s\n", cli_arg(c, 0),
               json_str(json_get(j, "receipt"), "?"));
    json_destroy(&j);
    return code;
}

static int reset_here(struct cli *c)
{
    struct reset r = {0};
    struct breaker *b = NULL;
    enum status s = loop_create(&r.loop, NULL, &r.err);

    if (s == STATUS_OK)
        s = breaker_open_store(&defaults, cli_state_dir(c), &b, &r.err);
    if (s == STATUS_OK)
        s = reset_with(&r, b, cli_state_dir(c), cli_arg(c, 0));
    breaker_close_store(&b);
    if (r.loop)
        loop_destroy(&r.loop);
    if (s != STATUS_OK)
        return cli_fail(c, &r.err);
    if (cli_has(c, "json"))
        printf("{\"target\":\"%s\",\"receipt\":\"%s\"}\n", cli_arg(c, 0), r.receipt);
    else
        printf("the breaker of %s is closed; receipt %s\n", cli_arg(c, 0), r.receipt);
    return EXIT_OK;
}

static int reset(struct cli *c)
{
    return remote_is_there(c) ? reset_remote(c) : reset_here(c);
}

const struct cli_verb verb_breaker_list = {
    .name = "breaker list",
    .summary = "List the targets whose circuit breaker is open",
    .usage = "",
    .options = options,
    .run = list,
};

const struct cli_verb verb_breaker_reset = {
    .name = "breaker reset",
    .summary = "Close the circuit breaker of a target, with a signed receipt",
    .usage = "TARGET",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = reset,
};
