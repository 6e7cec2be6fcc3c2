/* Target lists: inline, .txt, .csv (RFC 4180), .ndjson, standard input. Fit for a million rows: a
 * row keeps its text, and becomes an object when it is wanted.
 *
 * Columns (members of an object) are variables of the flow. Names that begin with "$" are the
 * campaign's: "$flow", a flow file for this row, and "$member", the index of the only member that
 * may run it; both may be empty. Any other such name is a fault. */
#ifndef CORE_CONF_TARGETS_H
#define CORE_CONF_TARGETS_H

#include "core/conf/campaign.h"

enum target_form { TARGETS_TXT, TARGETS_CSV, TARGETS_NDJSON, TARGETS_INLINE };

struct target_table {
    enum target_form form;
    struct json_strs columns; /* CSV: names in order */
    size_t url_column;
    size_t flow_column, member_column; /* columns.n: there is none */
};

struct target_list {
    struct target_row *rows; /* of the arena */
    size_t n;
    struct row_flow *flows; /* that rows name: name and row are set. Of the arena */
    size_t n_flows;
};

/** By the name's ending, or, where that says nothing ("-"), by the first line. */
enum target_form targets_form(const char *name, struct str text);

/** Parses the content of a list. `text` must live as long as the arena. Each fault is a line of
 *  `faults`: "name:line: found ..., expected ..."; at most JSON_ERRORS_MAX, then how many more.
 * True when there was none; an empty list is a fault. */
must_check bool targets_parse(struct arena *a, const char *name, enum target_form form,
                              struct str text, struct target_list *out, struct buf *faults);

/** An inline list: array of strings and objects. Faults go to the decode. */
must_check bool targets_inline(struct json_decode *d, const struct json *array,
                               struct target_list *out);

#endif
