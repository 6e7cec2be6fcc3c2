/* {{variables}} in the strings of a flow.
 *
 *   {{sku}}  {{row.url}}  {{member.index}}  {{task.id}}  {{vars.items[0].name}}  {{coupon|none}}
 * \{{ is a plain {{
 *
 * A name is looked for as vars (what steps set and extracted), row, member, task and input; any
 * other as a variable, then as a column of the row, then as a member of the input. After "|" comes
 * the text for when there is none (or null). {{random.NAME}} are test data that come out the same
 * for the same member, task and place in the list of names: vars.c has them. Pure. */
#ifndef BROWSER_FLOW_VARS_H
#define BROWSER_FLOW_VARS_H

#include "core/base/arena.h"
#include "core/base/json.h"

struct vars {
    const struct json *vars; /* objects, or NULL */
    const struct json *row;
    const struct json *input;
    const struct json *member; /* {"index", "id", ...} */
    const struct json *task;   /* {"id", "attempt", ...} */
    struct str seed;           /* of {{random.…}} */
};

/** Checks the syntax alone: INVALID with a sentence. */
must_check enum status vars_check(struct str text, struct err *e);
/** Has it any {{? */
bool vars_has(struct str text);

/** The text with every variable in its place. `script`: it is JavaScript; a value within quotes is
 * escaped for them, and elsewhere is a literal. INVALID: a name that there is not; the sentence
 * lists what there is. *out lives in the arena. */
must_check enum status vars_text(const struct vars *v, struct arena *a, struct str text,
                                 bool script, const char **out, struct err *e);
/** A copy of the tree in which all strings are expanded; `typed`: strings that are one variable
 * become its value. The caller owns *out. */
must_check enum status vars_tree(const struct vars *v, struct arena *a, const struct json *j,
                                 bool typed, struct json **out, struct err *e);

#endif
