#include "core/cli/batch_file.h"

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/conf/comments.h"
#include "core/conf/targets.h"

struct reading {
    struct arena *arena;
    char *dir; /* what paths are relative to */
    struct buf *errors;
};

static void free_text(void *p)
{
    free(p);
}

static enum status read_text(struct reading *r, const char *path, struct str *out, struct err *e)
{
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    enum status s = file_read(path, &text, e);
    char *p;

    if (s != STATUS_OK) {
        buf_deinit(&text);
        return s;
    }
    p = buf_take(&text, &out->len);
    out->ptr = p ? p : "";
    if (p)
        arena_on_reset(r->arena, free_text, p);
    return STATUS_OK;
}

static struct json *read_json(const char *path, struct err *e)
{
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    struct json *j = NULL;
    enum status s;

    s = file_read(path, &text, e);
    if (s == STATUS_OK) {
        s = text.len > 0 ? comments_blank(text.ptr, text.len, e) : STATUS_OK;
        if (s == STATUS_OK)
            j = json_parse(buf_str(&text), true, e);
        if (!j) {
            err_prefix(e, "%s", path);
            e->status = STATUS_INVALID;
        }
    }
    buf_deinit(&text);
    return j;
}

/* --- parts that are files --- */

static enum status put_flow(struct reading *r, struct json *batch, struct err *e)
{
    const char *name = json_str(json_get(batch, "flow"), NULL);
    cleanup_free char *path = NULL;
    struct json *flow;

    if (!name)
        return STATUS_OK;
    path = file_join(r->dir, name);
    flow = read_json(path, e);
    if (!flow)
        return e->status;
    json_add(batch, "flow", flow);
    return STATUS_OK;
}

static enum status put_stages(struct reading *r, struct json *batch, struct err *e)
{
    const struct json *given = json_get(batch, "stages");
    struct json *stages;

    if (json_type(given) != JSON_ARRAY)
        return STATUS_OK;
    stages = json_new_array();
    for (const struct json *s = json_first(given); s; s = json_next(s)) {
        const char *name = json_str(s, NULL);
        cleanup_free char *path = name ? file_join(r->dir, name) : NULL;
        struct json *stage = name ? read_json(path, e) : json_dup(s);

        if (!stage) {
            json_destroy(&stages);
            return e->status;
        }
        json_push(stages, stage);
    }
    json_add(batch, "stages", stages);
    return STATUS_OK;
}

static enum status put_rows(const struct target_list *list, struct json *batch, const char *path,
                            struct err *e)
{
    struct json *rows;

    if (list->n_flows > 0)
        return err_set(e, STATUS_INVALID,
                       "%s: found a column \"$flow\", expected none: a batch that is submitted has "
                       "one flow",
                       path);
    rows = json_new_array();
    for (size_t i = 0; i < list->n; i++) {
        struct json *row = target_row_json(&list->rows[i]);

        if (list->rows[i].member >= 0)
            json_add_num(row, "$member", list->rows[i].member);
        json_push(rows, row);
    }
    json_add(batch, "targets", rows);
    return STATUS_OK;
}

static enum status put_targets(struct reading *r, struct json *batch, struct err *e)
{
    const char *name = json_str(json_get(batch, "targets"), NULL);
    cleanup_free char *path = NULL;
    struct target_list list;
    struct str text;
    enum status s;

    if (!name)
        return STATUS_OK;
    path = strcmp(name, "-") == 0 ? xstrdup(name) : file_join(r->dir, name);
    s = read_text(r, path, &text, e);
    if (s != STATUS_OK)
        return s;
    if (!targets_parse(r->arena, path, targets_form(path, text), text, &list, r->errors))
        return err_set(e, STATUS_INVALID, "%s: the list of targets is not valid", path);
    return put_rows(&list, batch, path, e);
}

enum status batch_file_read(const char *path, struct buf *out, struct buf *errors, struct err *e)
{
    bool is_stdin = strcmp(path, "-") == 0;
    struct reading r = {
        .arena = arena_create(NULL, 0),
        .dir = is_stdin ? xstrdup("") : file_dirname(path),
        .errors = errors,
    };
    struct err why = ERR_INIT;
    struct json *batch = read_json(path, &why);
    enum status s = batch ? STATUS_OK : why.status;

    if (s == STATUS_OK && json_type(batch) != JSON_OBJECT)
        s = err_set(&why, STATUS_INVALID, "%s: found %s, expected an object", path,
                    json_type_name(json_type(batch)));
    if (s == STATUS_OK)
        s = put_flow(&r, batch, &why);
    if (s == STATUS_OK)
        s = put_stages(&r, batch, &why);
    if (s == STATUS_OK)
        s = put_targets(&r, batch, &why);
    if (s == STATUS_OK) {
        json_print(batch, 0, out);
        s = buf_status(out);
    }
    if (s != STATUS_OK && e)
        *e = why;
    json_destroy(&batch);
    free(r.dir);
    arena_destroy(&r.arena);
    return s;
}
