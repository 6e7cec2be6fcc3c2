/* Names in the {{ }} of flows that nothing can give: no column of the targets, no step. They would
 * be met only when their step is due, which may be behind one that cannot be taken back.
 *
 * What a step gives is not known here, as steps are the executor's: any string of the flow may be
 * the name of a variable, and so may a member of "fields" and "values". A name with a text for when
 * there is none ("|") is right in any case, and what the stage before put out is not known. */
#include <stdio.h>

#include "core/conf/conf_internal.h"
#include "core/conf/targets.h"

enum { ROWS_MAX = 10000, COLUMNS_SHOWN = 12 };

struct naming {
    struct load *l;
    const struct json *flow;
};

/* --- what there is --- */

static bool gives(const struct json *j, struct str name, bool named)
{
    const char *s = json_str(j, NULL);

    if (s)
        return str_eqz(name, s);
    for (const struct json *c = json_first(j); c; c = json_next(c)) {
        const char *key = json_key(c);

        if (named && key && str_eqz(name, key))
            return true;
        if (gives(c, name, key && (strcmp(key, "fields") == 0 || strcmp(key, "values") == 0)))
            return true;
    }
    return false;
}

static bool row_has(const struct json *row, struct str name)
{
    for (const struct json *c = json_first(row); c; c = json_next(c))
        if (str_eqz(name, json_key(c)))
            return true;
    return false;
}

/* Lists with columns have them all in the first row; of others, rows beyond ROWS_MAX may have what
 * the first have not. */
static bool is_column(const struct naming *n, struct str name)
{
    const struct campaign_conf *c = n->l->conf;
    bool alike =
        c->targets[0].table->form == TARGETS_CSV || c->targets[0].table->form == TARGETS_TXT;
    size_t rows = alike ? 1 : c->n_targets < ROWS_MAX ? c->n_targets : ROWS_MAX;
    bool found = rows < c->n_targets && !alike;

    for (size_t i = 0; i < rows && !found; i++) {
        struct json *row = target_row_json(&c->targets[i]);

        found = row_has(row, name);
        json_destroy(&row);
    }
    return found;
}

/* --- what is asked for --- */

static struct str first_of(struct str name)
{
    size_t n = 0;

    while (n < name.len && name.ptr[n] != '.' && name.ptr[n] != '[')
        n++;
    return str_n(name.ptr, n);
}

static void tell_unknown(const struct naming *n, struct str name, struct str part)
{
    struct json *row = target_row_json(&n->l->conf->targets[0]);
    struct buf columns = BUF_INIT(ERR_TEXT_MAX / 2);
    const char *names[CONF_COLUMNS_MAX], *near;
    size_t len = 0;

    for (const struct json *c = json_first(row); c && len < CONF_COLUMNS_MAX; c = json_next(c)) {
        if (len < COLUMNS_SHOWN)
            buf_addf(&columns, "%s%s", len > 0 ? ", " : "", json_key(c));
        names[len++] = json_key(c);
    }
    near = str_suggest(part, names, len);
    json_fail(n->l->d, NULL,
              "found \"{{%.*s}}\"%s%s%s, but the targets have %s%s and no step gives it",
              STR_ARG(str_head(name, 120)), near ? " (did you mean \"" : "", near ? near : "",
              near ? "\"?)" : "", columns.len > 0 ? columns.ptr : "no columns",
              len > COLUMNS_SHOWN ? ", ..." : "");
    buf_deinit(&columns);
    json_destroy(&row);
}

static void check_name(const struct naming *n, struct str name)
{
    static const char *const given[] = {"vars", "member", "task", "input", "random", "items"};
    struct str first = first_of(name);
    bool of_row = str_eqz(first, "row") && name.len > first.len && name.ptr[first.len] == '.';
    struct str whole = of_row ? str_skip(name, first.len + 1) : name, part = first_of(whole);

    for (size_t i = 0; i < ARRAY_LEN(given); i++)
        if (str_eqz(first, given[i]))
            return;
    if (part.len == 0 || str_eqz(whole, "row") || is_column(n, part) || is_column(n, whole))
        return;
    if (of_row || !gives(n->flow, part, false))
        tell_unknown(n, name, part);
}

static void check_text(const struct naming *n, struct str rest)
{
    ptrdiff_t at, end;

    while ((at = str_find(rest, STR("{{"))) >= 0) {
        bool escaped = at > 0 && rest.ptr[at - 1] == '\\';

        rest = str_skip(rest, (size_t)at + 2);
        end = str_find(rest, STR("}}"));
        if (escaped)
            continue;
        if (end < 0)
            return; /* the executor's to tell, if it is a fault */
        if (str_chr(str_n(rest.ptr, (size_t)end), '|') < 0)
            check_name(n, str_trim(str_n(rest.ptr, (size_t)end)));
        rest = str_skip(rest, (size_t)end + 2);
    }
}

static void check_tree(const struct naming *n, const struct json *j)
{
    size_t i = 0;

    if (json_type(j) == JSON_STRING)
        check_text(n, str_from(json_str(j, "")));
    for (const struct json *c = json_first(j); c; c = json_next(c), i++) {
        size_t mark;

        if (json_key(c) && strcmp(json_key(c), "comment") == 0)
            continue;
        mark = json_enter(n->l->d, json_key(c), i);
        check_tree(n, c);
        json_leave(n->l->d, mark);
    }
}

static void check_flow(struct load *l, const struct json *flow)
{
    const struct naming n = {.l = l, .flow = flow};
    size_t mark = json_enter(l->d, "steps", 0);

    check_tree(&n, json_get(flow, "steps"));
    json_leave(l->d, mark);
}

void campaign_check_vars(struct load *l)
{
    const struct campaign_conf *c = l->conf;
    size_t mark, inner;

    if (c->n_targets == 0)
        return;
    mark = json_enter(l->d, c->stages_json ? "stages" : "flow", 0);
    inner = c->stages_json ? json_enter(l->d, NULL, 0) : 0;
    check_flow(l, c->flow_json);
    if (c->stages_json)
        json_leave(l->d, inner);
    json_leave(l->d, mark);
    mark = json_enter(l->d, "row_flows", 0);
    for (size_t i = 0; i < c->n_row_flows; i++) {
        inner = json_enter(l->d, NULL, i);
        check_flow(l, c->row_flows[i].json);
        json_leave(l->d, inner);
    }
    json_leave(l->d, mark);
}
