/* Values of a run: what parameters become, and where results go. */
#include "browser/flow/run_internal.h"

#include <stdio.h>
#include <string.h>

/* --- variables --- */

struct vars run_scope(const struct flow_run *r)
{
    return (struct vars){
        .vars = r->session->vars,
        .row = r->session->attempt->row,
        .input = r->session->attempt->input,
        .member = r->member,
        .task = r->task,
        .seed = str_from(json_str(json_get(r->task, "seed"), "")),
    };
}

const struct json_field *run_field_of(const struct op *op, const char *name)
{
    for (size_t i = 0; op->params != NULL && i < op->params->n; i++)
        if (strcmp(op->params->fields[i].name, name) == 0)
            return &op->params->fields[i];
    return NULL;
}

/* A string that came out of a variable, as the number or truth that the field wants. */
static struct json *typed_as(const struct json_field *f, struct json *j)
{
    struct str text = str_trim(str_from(json_str(j, "")));
    double v;
    bool is_number = f->kind == JK_INT || f->kind == JK_UINT || f->kind == JK_DOUBLE;

    if (json_type(j) != JSON_STRING)
        return j;
    if (is_number && str_to_double(text, &v)) {
        json_destroy(&j);
        return json_new_num(v);
    }
    if (f->kind == JK_BOOL && (str_eqz(text, "true") || str_eqz(text, "false"))) {
        bool yes = str_eqz(text, "true");

        json_destroy(&j);
        return json_new_bool(yes);
    }
    return j;
}

static enum status expand_member(const struct vars *v, struct arena *a, const struct json_field *f,
                                 const struct json *j, struct json **out, struct err *e)
{
    bool script = strcmp(json_key(j), "expression") == 0;
    const char *z;
    enum status s;

    if (f->kind == JK_STR && json_type(j) == JSON_STRING) {
        s = vars_text(v, a, str_from(json_str(j, "")), script, &z, e);
        if (s == STATUS_OK)
            *out = json_new_str(str_from(z));
        return s;
    }
    s = vars_tree(v, a, j,
                  f->kind != JK_FN || strcmp(f->name, "properties") == 0 ||
                      strcmp(f->name, "values") == 0,
                  out, e);
    if (s == STATUS_OK)
        *out = typed_as(f, *out);
    return s;
}

/* The parameters as they are to be, in r->params. */
enum status run_expand(struct flow_run *r, const struct op *op, const struct json *params,
                       struct err *e)
{
    struct vars v = run_scope(r);
    struct json *out = json_new_object();

    for (const struct json *c = json_first(params); c != NULL; c = json_next(c)) {
        const struct json_field *f = run_field_of(op, json_key(c));
        struct json *copy = NULL;

        if (f == NULL)
            continue;
        if (expand_member(&v, r->arena, f, c, &copy, e) != STATUS_OK) {
            json_destroy(&out);
            return STATUS_INVALID;
        }
        json_add(out, json_key(c), copy);
    }
    json_destroy(&r->params);
    r->params = out;
    return STATUS_OK;
}

struct json *run_describe_member(const struct member *m)
{
    struct json *j = json_new_object();
    const struct identity *id = m->identity;

    json_add_num(j, "index", m->index);
    json_add_num(j, "number", m->index + 1.0);
    if (id == NULL)
        return j;
    json_add_str(j, "id", id->id);
    json_add_str(j, "locale", id->locale);
    json_add_str(j, "timezone", id->timezone);
    json_add_str(j, "user_agent", id->user_agent);
    return j;
}

/* The seed of test data is that of the member, the task and nothing else: a second attempt types
 * the same. */
struct json *run_describe_task(const struct attempt *a)
{
    struct json *j = json_new_object();
    const struct identity *id = a->member->identity;
    char seed[160];

    (void)snprintf(seed, sizeof(seed), "%s %u %s", id != NULL ? id->id : "", a->member->index,
                   a->task_id);
    json_add_str(j, "id", a->task_id);
    json_add_num(j, "attempt", a->number);
    json_add_num(j, "stage", a->stage);
    json_add_num(j, "slot", a->slot);
    json_add_str(j, "seed", seed);
    return j;
}

/* --- results --- */

/* Lists of one name grow: pages of a catalogue become one list. */
static void add_or_grow(struct json *into, const char *name, const struct json *value)
{
    struct json *have = json_type(value) == JSON_ARRAY ? json_take(into, name) : NULL;

    if (json_type(have) == JSON_ARRAY) {
        for (const struct json *c = json_first(value); c != NULL; c = json_next(c))
            json_push(have, json_dup(c));
    } else {
        json_destroy(&have);
        have = json_dup(value);
    }
    json_add(into, name, have);
}

void run_take_extracted(struct flow_run *r, const struct json *data)
{
    const char *into = r->step->into;

    if (r->output == NULL)
        r->output = json_new_object();
    if (into != NULL) {
        add_or_grow(r->session->vars, into, data);
        add_or_grow(r->output, into, data);
        return;
    }
    for (const struct json *c = json_type(data) == JSON_OBJECT ? json_first(data) : NULL; c != NULL;
         c = json_next(c)) {
        json_add(r->session->vars, json_key(c), json_dup(c));
        json_add(r->output, json_key(c), json_dup(c));
    }
}

void run_take_set(struct flow_run *r, const struct json *values)
{
    if (r->step->to_output && r->output == NULL)
        r->output = json_new_object();
    for (const struct json *c = json_first(values); c != NULL; c = json_next(c)) {
        json_add(r->session->vars, json_key(c), json_dup(c));
        if (r->step->to_output)
            json_add(r->output, json_key(c), json_dup(c));
    }
}
