#include <stdio.h>

#include "core/base/map.h"
#include "proxies/proxy_internal.h"

enum { VAULT_CHUNK = 16 * 1024 };

/* A list being read. */
struct reading {
    const char *name;
    struct proxy_list list;
    size_t cap;
    struct map *ids;     /* id -> proxy */
    struct vault *vault; /* the one being filled; NULL before the first */
    struct buf *faults;
    size_t n_faults;
    struct err first;
};

static void fault(struct reading *r, const char *place, size_t at, const struct err *e)
{
    if (r->n_faults++ == 0) {
        r->first = *e;
        err_prefix(&r->first, "%s%s%zu", r->name, place, at);
    }
    if (r->faults)
        buf_addf(r->faults, "%s%s%zu: %s\n", r->name, place, at, err_text(e));
}

static void list_push_proxy(struct reading *r, struct proxy *p)
{
    if (r->list.n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 16;
        struct proxy **v = xcalloc(cap, sizeof(*v));

        if (r->list.n)
            memcpy(v, r->list.v, r->list.n * sizeof(*v));
        free(r->list.v);
        r->list.v = v;
        r->cap = cap;
    }
    r->list.v[r->list.n++] = p;
}

static struct vault *vault_with_room(struct reading *r)
{
    if (!r->vault || vault_room(r->vault) < 2 * (size_t)PROXY_CREDENTIAL_MAX) {
        vault_unref(&r->vault);
        r->vault = vault_open(VAULT_CHUNK);
    }
    return r->vault;
}

static enum status add_draft(struct reading *r, const struct proxy_draft *d, struct err *e)
{
    struct proxy *p = NULL;
    char id[32];
    enum status s;

    if (r->list.n == PROXY_LIST_MAX)
        return err_set(e, STATUS_TOO_LARGE, "more than %d proxies", PROXY_LIST_MAX);
    snprintf(id, sizeof(id), "p%zu", r->list.n + 1);
    s = proxy_build(d, id, d->has_credentials ? vault_with_room(r) : NULL, &p, e);
    if (s != STATUS_OK)
        return s;
    if (map_find(r->ids, str_from(proxy_id(p)))) {
        s = err_set(e, STATUS_INVALID,
                    "id \"%s\" is taken by an earlier proxy, expected another tag", proxy_id(p));
        proxy_unref(&p);
        return s;
    }
    map_put(r->ids, str_from(proxy_id(p)), p);
    list_push_proxy(r, p);
    return STATUS_OK;
}

static void read_lines(struct reading *r, struct str text)
{
    for (size_t n = 1; text.ptr; n++) {
        struct str line = str_trim(str_cut(&text, '\n'));
        struct proxy_draft d;
        struct err e = ERR_INIT;

        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        proxy_draft_init(&d);
        if (proxy_read_line(line, &d, &e) != STATUS_OK || add_draft(r, &d, &e) != STATUS_OK)
            fault(r, ":", n, &e);
        if (e.status == STATUS_TOO_LARGE && r->list.n == PROXY_LIST_MAX)
            return;
    }
}

static enum status read_array(struct reading *r, struct str text, struct err *e)
{
    struct json *root = json_parse(text, true, e);
    size_t n = 0;

    if (!root)
        return err_prefix(e, "%s", r->name);
    for (const struct json *j = json_first(root); j; j = json_next(j), n++) {
        struct proxy_draft d;
        struct err fe = ERR_INIT;

        proxy_draft_init(&d);
        if (proxy_read_json(j, &d, &fe) != STATUS_OK || add_draft(r, &d, &fe) != STATUS_OK)
            fault(r, ": /", n, &fe);
        if (fe.status == STATUS_TOO_LARGE && r->list.n == PROXY_LIST_MAX)
            break;
    }
    json_destroy(&root);
    return STATUS_OK;
}

static enum status settle(const struct reading *r, struct err *e)
{
    if (r->n_faults == 0)
        return STATUS_OK;
    if (r->n_faults == 1)
        return err_set(e, r->first.status, "%s", err_text(&r->first));
    return err_set(e, r->first.status, "%s (and %zu more)", err_text(&r->first), r->n_faults - 1);
}

enum status proxy_list_parse(struct str text, const char *name, struct proxy_list *out,
                             struct buf *faults, struct err *e)
{
    struct reading r = {.name = name, .faults = faults, .ids = map_create()};
    struct err json_err = ERR_INIT;
    enum status s = STATUS_OK;

    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = str_skip(text, 3);
    if (str_starts(str_trim(text), STR("["))) {
        s = read_array(&r, text, &json_err);
        if (s != STATUS_OK) {
            s = err_set(e, json_err.status, "%s", err_text(&json_err));
            if (faults)
                buf_addf(faults, "%s\n", err_text(&json_err));
        }
    } else {
        read_lines(&r, text);
    }
    if (s == STATUS_OK)
        s = settle(&r, e);
    if (s == STATUS_OK)
        *out = r.list;
    else
        proxy_list_deinit(&r.list);
    map_destroy(&r.ids, NULL);
    vault_unref(&r.vault);
    return s;
}

void proxy_list_deinit(struct proxy_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        proxy_unref(&l->v[i]);
    free(l->v);
    *l = (struct proxy_list)PROXY_LIST_INIT;
}
