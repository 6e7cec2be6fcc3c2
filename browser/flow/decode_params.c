/* The members of a step that are its op's: their names, and their values against the op's schema,
 * which is what the gate will check again when the variables are in. Values with {{variables}} are
 * not known yet: where the schema wants a number or one of some words, any will do for the check.
 */
#include "browser/flow/decode_internal.h"

#include "browser/flow/vars.h"

#include <stdio.h>
#include <string.h>

enum { NAMES_ROOM = 80 };

/* --- members and their names --- */

static bool is_listed(const char *const *names, const char *name)
{
    for (; names != NULL && *names != NULL; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

/* The op's parameter for a member: its own name, or what the step's type calls it. */
static const char *param_of(const struct step_type *t, const char *member)
{
    for (const char *const *r = t->renamed; r != NULL && *r != NULL; r += 2)
        if (strcmp(r[0], member) == 0)
            return r[1];
    return member;
}

const struct json_field *op_field(const struct op *op, const char *name)
{
    for (size_t i = 0; op != NULL && op->params != NULL && i < op->params->n; i++)
        if (strcmp(op->params->fields[i].name, name) == 0)
            return &op->params->fields[i];
    return NULL;
}

static size_t add_all(const char **out, size_t n, const char *const *names, size_t stride)
{
    for (; names != NULL && *names != NULL && n < NAMES_ROOM; names += stride)
        out[n++] = *names;
    return n;
}

/* All members a step of the type may have. */
static size_t known_names(const struct step_type *t, const struct op *op, const char **out)
{
    size_t n = add_all(out, 0, t->own, 1);

    n = add_all(out, n, t->renamed, 2);
    n = add_all(out, n, step_members, 1);
    for (size_t i = 0; t->kind == STEP_OP && op != NULL && op->params != NULL &&
                       i < op->params->n && n < NAMES_ROOM;
         i++)
        out[n++] = op->params->fields[i].name;
    return n;
}

/* Later versions of Recorder may know more than we do; a slip of the pen is something else. */
void decode_member_name(struct decoding *dec, const struct step_type *t, const struct op *op,
                        const char *name)
{
    const char *names[NAMES_ROOM], *near;
    size_t n = known_names(t, op, names), m;

    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return;
    near = str_suggest(str_from(name), names, n);
    if (near != NULL) {
        m = json_enter(dec->d, name, 0);
        json_fail(dec->d, NULL, "unknown member of a %s step, did you mean \"%s\"?", t->name, near);
        json_leave(dec->d, m);
    } else {
        decode_warn(dec, "a %s step knows no member \"%s\", which is left out", t->name, name);
    }
}

/* --- strings with variables --- */

void decode_strings(struct json_decode *d, const struct json *j)
{
    struct err e = ERR_INIT;
    size_t i = 0;

    if (json_type(j) == JSON_STRING && vars_check(str_from(json_str(j, "")), &e) != STATUS_OK)
        json_fail(d, NULL, "%s", e.text);
    for (const struct json *c = json_type(j) >= JSON_ARRAY ? json_first(j) : NULL; c != NULL;
         c = json_next(c), i++) {
        size_t m = json_enter(d, json_key(c), i);

        decode_strings(d, c);
        json_leave(d, m);
    }
}

/* A value that the field takes, instead of one that is not known before the run. */
static struct json *stand_in(const struct json_field *f)
{
    switch (f->kind) {
    case JK_BOOL:
        return json_new_bool(true);
    case JK_INT:
    case JK_UINT:
        return json_new_num((double)(f->min > 0 ? f->min : 0));
    case JK_DOUBLE:
        return json_new_num(f->dmin < f->dmax ? f->dmin : 0);
    default:
        return json_new_str(str_from(f->names != NULL ? f->names[0] : ""));
    }
}

static bool is_late(const struct json_field *f, const struct json *j)
{
    bool fixed = f->kind == JK_BOOL || f->kind == JK_INT || f->kind == JK_UINT ||
                 f->kind == JK_DOUBLE || f->names != NULL || f->kind == JK_ENUM;

    return fixed && json_type(j) == JSON_STRING && vars_has(str_from(json_str(j, "")));
}

/* What a schema cannot say of a member that it decodes by a function. */
static bool is_complete(struct decoding *dec, const struct op *op, const struct json *params)
{
    static const char *const expected[][2] = {{"selectors", "the selectors of an element"},
                                              {"key", "the name of a key"}};
    bool ok = true;

    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const struct json_field *f = op_field(op, expected[i][0]);
        char path[32];

        if (f == NULL || !f->required || json_get(params, f->name) != NULL)
            continue;
        (void)snprintf(path, sizeof(path), "/%s", f->name);
        ok = json_fail(dec->d, path, "missing, expected %s", expected[i][1]);
    }
    return ok;
}

/* The op's parameters of a step: in *params as they stand, and checked against its schema. */
void decode_params(struct decoding *dec, const struct op *op, const struct json *params)
{
    struct json *probe = json_new_object();
    void *args;

    if (op->params == NULL || !is_complete(dec, op, params)) {
        json_destroy(&probe);
        return;
    }
    args = arena_alloc(dec->arena, op->params->size);
    for (const struct json *c = json_first(params); c != NULL; c = json_next(c)) {
        const struct json_field *f = op_field(op, json_key(c));

        json_add(probe, json_key(c), f != NULL && is_late(f, c) ? stand_in(f) : json_dup(c));
    }
    (void)json_decode(dec->d, op->params, probe, args);
    decode_keep(dec, probe); /* args may point into it, and nobody reads them */
}

/* The members that are the op's, under the op's names. */
struct json *decode_op_params(const struct step_type *t, const struct op *op, const struct json *j)
{
    struct json *params = json_new_object();

    for (const struct json *c = json_first(j); c != NULL; c = json_next(c)) {
        const char *name = param_of(t, json_key(c));

        if (json_type(c) != JSON_NULL && strcmp(json_key(c), "type") != 0 &&
            !is_listed(t->own, json_key(c)) && op_field(op, name) != NULL)
            json_add(params, name, json_dup(c));
    }
    return params;
}
