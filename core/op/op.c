#include "core/op/op.h"

#include "core/base/map.h"

struct op_table {
    const struct op **rows; /* in order of name */
    size_t n, cap;
    struct map *by_name;
};

struct op_table *op_table_create(void)
{
    struct op_table *t = xcalloc(1, sizeof *t);

    t->by_name = map_create();
    return t;
}

void op_table_destroy(struct op_table **tp)
{
    if (*tp == NULL)
        return;
    map_destroy(&(*tp)->by_name, NULL);
    free((*tp)->rows);
    free(*tp);
    *tp = NULL;
}

void op_table_add(struct op_table *t, const struct op *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = t->n;

        if (t->n == t->cap) {
            t->cap = t->cap ? t->cap * 2 : 32;
            t->rows = realloc(t->rows, t->cap * sizeof *t->rows);
            BUG_ON(t->rows == NULL);
        }
        /* The map's values are not const; rows are only ever read through it. */
        if (map_put(t->by_name, str_from(rows[i].name), (void *)(uintptr_t)&rows[i]) != NULL)
            BUG("op %s is in the table twice", rows[i].name);
        for (; at > 0 && strcmp(t->rows[at - 1]->name, rows[i].name) > 0; at--)
            t->rows[at] = t->rows[at - 1];
        t->rows[at] = &rows[i];
        t->n++;
    }
}

const struct op *op_table_find(const struct op_table *t, struct str name)
{
    return map_find(t->by_name, name);
}

const struct op *op_table_next(const struct op_table *t, size_t *it)
{
    return *it < t->n ? t->rows[(*it)++] : NULL;
}

struct json *op_call_take_result(struct op_call *call)
{
    struct json *j = call->result;

    call->result = NULL;
    return j;
}
