/* What the files of module json share. json.c holds the tree, json_check.c the grammar,
 * json_print.c the writer, json_decode.c the typed decoder, json_explain.c its
 * messages; only json.c knows cJSON. */
#ifndef CORE_BASE_JSON_INTERNAL_H
#define CORE_BASE_JSON_INTERNAL_H

#include "core/base/json.h"

/** Checks that all of `text` is one JSON value as json_parse promises. One pass, no recursion, no
 * memory but for *mended. INVALID, TOO_LARGE or NO_MEMORY with line and column. When escapes had to
 * be replaced by \ufffd (not `strict`), *mended is a copy of the text with that done, as long as
 * the text, for the caller to free; NULL otherwise. */
must_check enum status json_check(struct str text, bool strict, char **mended, struct err *e);

/** Makes the error of the n-th member name (from 1, in the order of the text) being there twice in
 * its object. The text has passed json_check. Returns INVALID. */
enum status json_check_twice(struct str text, size_t n, struct err *e);

enum { JSON_FIELDS_MAX = 128 }; /* of one schema */

/* Each records an error: */
/** "found ..., expected ...", at the current path; suggests where `f` has names. */
void json_fail_field(struct json_decode *d, const struct json_field *f, const struct json *j);
/** The current path ends in a member that `s` does not have. */
void json_fail_unknown(struct json_decode *d, const struct json_schema *s);
/** The value at the current path lacks the member `f`. */
void json_fail_missing(struct json_decode *d, const struct json_field *f);

#endif
