/* CSV as RFC 4180 has it: fields in quotes may hold commas, line ends and "" for a quote; lines end
 * in CRLF or LF; the last may lack its end. Pure; works on borrowed text. */
#ifndef CORE_CONF_CSV_H
#define CORE_CONF_CSV_H

#include "core/base/err.h"
#include "core/base/str.h"

struct csv {
    struct str rest; /* what is still to be read; ptr NULL at the end */
    uint32_t line;   /* of the next record, 1-based */
};

void csv_init(struct csv *c, struct str text);
/** The next record as it stands (without its line end) and the line it begins in; blank lines are
 *  skipped. False at the end. INVALID in *s: a quote that is never closed (the text is then over).
 */
bool csv_record(struct csv *c, struct str *record, uint32_t *line, enum status *s, struct err *e);
/** Cuts the next field off *record: the field as it stands, quotes and all. False after the last.
 * Begin with *more = true. INVALID in *s: a quote inside an unquoted field, or text behind a
 * closing quote. */
bool csv_field(struct str *record, bool *more, struct str *field, enum status *s, struct err *e);
/** The field's value: without the quotes, "" as one quote. Writes at most field.len bytes to out
 *  (not NUL-terminated) and returns how many. */
size_t csv_value(struct str field, char *out);

#endif
