/* What the files of module json share. json.c holds the tree, json_check.c the grammar,
 * json_print.c the writer, json_decode.c the typed decoder; only json.c knows cJSON. */
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

#endif
