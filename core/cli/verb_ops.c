/* The op table in words: what flows, automations and faces can do, with all parameters. */
#include <stdio.h>

#include "core/cli/cli.h"
#include "core/http/ops.h"
#include "core/op/op.h"

static const struct cli_option options[] = {
    {"json", 0, NULL, "print the list as JSON"},
    {NULL, 0, NULL, NULL},
};

static const char *const kinds[] = {
    [JK_BOOL] = "boolean",  [JK_INT] = "integer", [JK_UINT] = "integer",
    [JK_DOUBLE] = "number", [JK_STR] = "string",  [JK_ENUM] = "one of",
};

static const char *kind_of(const struct json_field *f)
{
    const char *z = (size_t)f->kind < ARRAY_LEN(kinds) ? kinds[f->kind] : NULL;

    return z != NULL ? z : "value";
}

static void add_names(const struct json_field *f, struct buf *b)
{
    const char *comma = " ";

    for (const char *const *n = f->kind == JK_ENUM ? f->names : NULL; n != NULL && *n != NULL;
         n++) {
        buf_addf(b, "%s%s", comma, *n);
        comma = ", ";
    }
}

static void add_range(const struct json_field *f, struct buf *b)
{
    if (f->kind == JK_DOUBLE && (f->dmin != 0 || f->dmax != 0))
        buf_addf(b, " %g..%g", f->dmin, f->dmax);
    else if (f->kind == JK_STR && f->max > 0)
        buf_addf(b, " of %lld..%lld bytes", (long long)f->min, (long long)f->max);
    else if (f->kind != JK_STR && f->max == INT64_MAX)
        buf_addf(b, " >= %lld", (long long)f->min);
    else if (f->kind != JK_STR && (f->min != 0 || f->max != 0))
        buf_addf(b, " %lld..%lld", (long long)f->min, (long long)f->max);
}

/* "integer 1..600000", "one of png, jpeg". */
static void add_type(const struct json_field *f, struct buf *b)
{
    buf_adds(b, kind_of(f));
    add_names(f, b);
    add_range(f, b);
}

static const char *touches(const struct op *op)
{
    return (op->flags & OP_TOUCHES_TARGET) != 0 ? "asks a target: robots, breaker and limit apply"
                                                : NULL;
}

static void print_op(const struct op *op)
{
    printf("%s\n    %s\n", op->name, op->summary);
    if (touches(op) != NULL)
        printf("    (%s)\n", touches(op));
    for (size_t i = 0; op->params != NULL && i < op->params->n; i++) {
        const struct json_field *f = &op->params->fields[i];
        struct buf type = BUF_INIT(BUF_MAX_LINE);

        add_type(f, &type);
        printf("    %-20s %s%s\n%s%s%s", f->name, type.ptr, f->required ? ", required" : "",
               f->doc != NULL ? "                         " : "", f->doc != NULL ? f->doc : "",
               f->doc != NULL ? "\n" : "");
        buf_deinit(&type);
    }
    putchar('\n');
}

static struct json *param_json(const struct json_field *f)
{
    struct json *j = json_add_str(json_new_object(), "name", f->name);
    struct buf type = BUF_INIT(BUF_MAX_LINE);

    add_type(f, &type);
    json_add_str(j, "type", type.ptr);
    json_add_bool(j, "required", f->required);
    if (f->doc != NULL)
        json_add_str(j, "doc", f->doc);
    buf_deinit(&type);
    return j;
}

static struct json *op_json(const struct op *op)
{
    struct json *j = json_add_str(json_new_object(), "name", op->name);
    struct json *params = json_new_array();

    json_add_str(j, "summary", op->summary);
    json_add_bool(j, "touches_target", touches(op) != NULL);
    for (size_t i = 0; op->params != NULL && i < op->params->n; i++)
        json_push(params, param_json(&op->params->fields[i]));
    json_add(j, "params", params);
    return j;
}

static bool is_wanted(const struct cli *c, const struct op *op)
{
    const char *word = cli_n_args(c) > 0 ? cli_arg(c, 0) : "";

    return (op->flags & OP_INTERNAL) == 0 && str_starts(str_from(op->name), str_from(word));
}

static int run(struct cli *c)
{
    struct op_table *table = op_table_create();
    struct json *all = cli_has(c, "json") ? json_new_array() : NULL;
    const struct op *op;
    size_t it = 0, n = 0;
    int code = EXIT_OK;

    http_ops_add(table);
    if (cli_program(c)->kit->add_ops != NULL)
        cli_program(c)->kit->add_ops(table);
    while ((op = op_table_next(table, &it)) != NULL) {
        if (!is_wanted(c, op))
            continue;
        n++;
        if (all != NULL)
            json_push(all, op_json(op));
        else
            print_op(op);
    }
    if (n == 0)
        code = cli_usage(c, "ops: no op's name begins with \"%s\"", cli_arg(c, 0));
    else if (all != NULL)
        code = cli_print_json(c, all);
    json_destroy(&all);
    op_table_destroy(&table);
    return code;
}

const struct cli_verb verb_ops = {
    .name = "ops",
    .summary = "List the ops: what flows and automations can do, with their parameters",
    .usage = "[NAME]",
    .options = options,
    .max_args = 1,
    .details = "NAME lists only ops whose name begins with it: \"page.\", \"http.get\".",
    .run = run,
};
