/* A configuration as JSON again: the decoder's table read backwards. */
#include "core/base/buf.h"
#include "core/conf/conf_internal.h"

static struct json *strs(const struct json_strs *v)
{
    struct json *list = json_new_array();

    for (size_t i = 0; i < v->n; i++)
        json_push(list, json_new_str(str_from(v->v[i])));
    return list;
}

static struct json *object(const struct json_schema *schema, const char *obj,
                           const struct json *tree);

/* NULL for kinds whose form in the file cannot be told from the struct: what the tree has is
 * taken. */
static struct json *value(const struct json_field *f, const char *at, const struct json *tree)
{
    const char *const *text;
    uint32_t u;
    int64_t i;
    double v;
    bool b;

    switch (f->kind) {
    case JK_BOOL:
        memcpy(&b, at, sizeof(b));
        return json_new_bool(b);
    case JK_INT:
        memcpy(&i, at, sizeof(i));
        return json_new_num((double)i);
    case JK_UINT:
        memcpy(&u, at, sizeof(u));
        return json_new_num(u);
    case JK_DOUBLE:
        memcpy(&v, at, sizeof(v));
        return json_new_num(v);
    case JK_ENUM:
        memcpy(&u, at, sizeof(u));
        return json_new_str(str_from(f->names[u]));
    case JK_STR:
        text = (const void *)at;
        return *text ? json_new_str(str_from(*text)) : json_new_null();
    case JK_STRS:
        return strs((const void *)at);
    case JK_OBJECT:
        return object(f->sub, at, tree);
    default:
        return tree ? json_dup(tree) : NULL;
    }
}

static struct json *object(const struct json_schema *schema, const char *obj,
                           const struct json *tree)
{
    struct json *out = json_new_object();

    for (size_t i = 0; i < schema->n; i++) {
        const struct json_field *f = &schema->fields[i];
        struct json *v = value(f, obj + f->offset, json_get(tree, f->name));

        if (v)
            json_add(out, f->name, v);
    }
    return out;
}

/* Replaces a member of a member. */
static void set(struct json *tree, const char *name, const char *member, struct json *v)
{
    struct json *inner = json_take(tree, name);

    json_add(inner, member, v);
    json_add(tree, name, inner);
}

static void drop(struct json *tree, const char *name, const char *member)
{
    struct json *inner = json_take(tree, name), *gone = json_take(inner, member);

    json_destroy(&gone);
    json_add(tree, name, inner);
}

struct json *campaign_to_json(const struct campaign_conf *c)
{
    static const char *const private_names[] = {"listed", NULL, NULL};
    struct campaign_file file = {.conf = *c};
    struct json *tree = object(campaign_schema(), (const char *)&file, c->tree);
    const char *private_name = private_names[c->policy.private_networks];
    struct json *labels = json_new_array();

    for (size_t i = 0; i < c->proxies.parsed.n; i++)
        json_push(labels, json_new_str(str_from(proxy_label(c->proxies.parsed.v[i]))));
    set(tree, "proxies", "list", labels);
    set(tree, "policy", "private_networks",
        private_name ? json_new_str(str_from(private_name))
                     : json_new_bool(c->policy.private_networks == POLICY_PRIVATE_YES));
    if (c->members.store && c->members.count == 0)
        drop(tree, "members", "count");                 /* all of the tag: what its absence says */
    if (!c->policy.has_tags && c->policy.tags.n == 0) { /* without any, everything is granted */
        struct json *all = json_new_array();

        json_push(all, json_new_str(STR("fleet:op")));
        json_push(all, json_new_str(STR("fleet:policy")));
        json_push(all, json_new_str(STR("target:*")));
        set(tree, "policy", "tags", all);
    }
    set(tree, "audit", "sink",
        c->audit.sink ? json_new_str(str_from(c->audit.sink)) : json_new_null());
    return tree;
}
