#include "browser/gateway/view.h"

#include <stdio.h>
#include <string.h>

#include "core/base/rng.h"

void view_new_id(char out[VIEW_ID_MAX])
{
    unsigned char bytes[16];

    rng_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(out + 2 * i, 3, "%02X", bytes[i]);
}

void view_init(struct view *v, const char *lease)
{
    *v = (struct view){0};
    snprintf(v->lease, sizeof v->lease, "%s", lease);
    list_init(&v->targets);
}

void view_deinit(struct view *v)
{
    while (!list_empty(&v->targets))
        view_remove(v, list_entry(v->targets.next, struct view_target, link));
}

/* --- contexts --- */

bool view_has_context(const struct view *v, const char *id)
{
    for (size_t i = 0; i < v->n_contexts; i++)
        if (strcmp(v->contexts[i], id) == 0)
            return true;
    return false;
}

bool view_add_context(struct view *v, const char *id)
{
    if (v->n_contexts == VIEW_CONTEXTS_MAX || strlen(id) >= VIEW_ID_MAX)
        return false;
    snprintf(v->contexts[v->n_contexts++], VIEW_ID_MAX, "%s", id);
    return true;
}

void view_drop_context(struct view *v, const char *id)
{
    for (size_t i = 0; i < v->n_contexts; i++) {
        if (strcmp(v->contexts[i], id) != 0)
            continue;
        v->n_contexts--;
        memmove(v->contexts[i], v->contexts[i + 1], (v->n_contexts - i) * VIEW_ID_MAX);
        return;
    }
}

/* --- targets --- */

struct view_target *view_find(const struct view *v, const char *id)
{
    list_for_each (l, &v->targets) {
        struct view_target *t = list_entry(l, struct view_target, link);

        if (strcmp(t->id, id) == 0)
            return t;
    }
    return NULL;
}

struct view_target *view_find_tab(const struct view *v, const char *tab)
{
    list_for_each (l, &v->targets) {
        struct view_target *t = list_entry(l, struct view_target, link);

        if (t->tab[0] != '\0' && strcmp(t->tab, tab) == 0)
            return t;
    }
    return NULL;
}

static const char *text_of(const struct json *info, const char *name)
{
    return json_str(json_get(info, name), "");
}

static struct view_target *target_new(struct view *v, const struct json *info)
{
    struct view_target *t = xcalloc(1, sizeof *t);

    snprintf(t->id, sizeof t->id, "%s", text_of(info, "targetId"));
    snprintf(t->type, sizeof t->type, "%s", text_of(info, "type"));
    snprintf(t->context, sizeof t->context, "%s", text_of(info, "browserContextId"));
    if (view_is_page(t))
        view_new_id(t->tab);
    list_push(&v->targets, &t->link);
    return t;
}

static void show_blank(struct view_target *t)
{
    if (t->blank && text_of(t->info, "url")[0] == '\0')
        json_add_str(t->info, "url", "about:blank");
}

struct view_target *view_update(struct view *v, const struct json *info)
{
    struct view_target *t = view_find(v, text_of(info, "targetId"));

    if (t == NULL &&
        (!view_has_context(v, text_of(info, "browserContextId")) ||
         text_of(info, "targetId")[0] == '\0' || strlen(text_of(info, "targetId")) >= VIEW_ID_MAX))
        return NULL;
    if (t == NULL)
        t = target_new(v, info);
    json_destroy(&t->info);
    t->info = json_dup(info);
    show_blank(t);
    return t;
}

void view_mark_blank(struct view_target *t)
{
    t->blank = true;
    show_blank(t);
}

static void remember(struct view *v, const char *id)
{
    if (id[0] != '\0')
        snprintf(v->gone[v->n_gone++ % VIEW_GONE_MAX], VIEW_ID_MAX, "%s", id);
}

bool view_was(const struct view *v, const char *id)
{
    for (size_t i = 0; id[0] != '\0' && i < VIEW_GONE_MAX; i++)
        if (strcmp(v->gone[i], id) == 0)
            return true;
    return false;
}

void view_remove(struct view *v, struct view_target *t)
{
    remember(v, t->id);
    remember(v, t->tab);
    list_remove(&t->link);
    json_destroy(&t->info);
    free(t->lead);
    free(t);
}

/* --- as clients are shown them --- */

void view_print(const struct view_target *t, struct buf *out)
{
    json_add_bool(t->info, "attached", t->n_sessions > 0);
    json_print(t->info, 0, out);
}

void view_print_tab(const struct view_target *t, struct buf *out)
{
    buf_addf(out, "{\"targetId\":\"%s\",\"type\":\"tab\",\"title\":", t->tab);
    json_print_str(str_from(text_of(t->info, "title")), out);
    buf_adds(out, ",\"url\":");
    json_print_str(str_from(text_of(t->info, "url")), out);
    buf_addf(out, ",\"attached\":%s,\"canAccessOpener\":false,\"browserContextId\":\"%s\"}",
             t->n_sessions > 0 ? "true" : "false", t->context);
}

void view_print_browser(const struct view *v, struct buf *out)
{
    buf_addf(out,
             "{\"targetId\":\"%s\",\"type\":\"browser\",\"title\":\"\",\"url\":\"\","
             "\"attached\":true,\"canAccessOpener\":false}",
             v->lease);
}
