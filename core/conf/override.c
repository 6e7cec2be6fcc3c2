#include "core/conf/override.h"

#include <ctype.h>
#include <stdio.h>

enum { ENV_SLIPS_MAX = 2 };

/* A key of the schema, and what was said of it from outside, if anything was. */
struct key {
    char *path;
    char *flag; /* "--limits.max-requests" */
    char *env;
    const struct json_field *field;
    struct override said; /* value NULL: nothing */
    char *name;           /* of `said`: owned */
};

struct overrides {
    struct key *keys;
    const char **flags; /* of the keys, in order: for suggestions */
    size_t n;
};

/* --- the keys of a schema --- */

static void walk(const struct json_schema *schema, const char *prefix,
                 void (*fn)(void *arg, const char *path, const struct json_field *f), void *arg)
{
    char path[JSON_PATH_MAX];

    for (size_t i = 0; i < schema->n; i++) {
        const struct json_field *f = &schema->fields[i];
        int n = snprintf(path, sizeof(path), "%s/%s", prefix, f->name);

        BUG_ON(n < 0 || (size_t)n >= sizeof(path));
        if (f->kind == JK_OBJECT)
            walk(f->sub, path, fn, arg);
        else
            fn(arg, path, f);
    }
}

void schema_walk(const struct json_schema *schema,
                 void (*fn)(void *arg, const char *path, const struct json_field *f), void *arg)
{
    walk(schema, "", fn, arg);
}

char *override_flag_name(const char *path, char out[JSON_PATH_MAX])
{
    size_t i = 0;

    for (const char *p = path + (path[0] == '/'); *p && i + 1 < JSON_PATH_MAX; p++)
        out[i++] = (char)(*p == '/' ? '.' : *p == '_' ? '-' : *p);
    out[i] = '\0';
    return out;
}

/* "FLEET_LIMITS_MAX_REQUESTS"; returns out. */
static char *env_name(const char *path, char out[JSON_PATH_MAX])
{
    size_t i = (size_t)snprintf(out, JSON_PATH_MAX, "FLEET_");

    for (const char *p = path + (path[0] == '/'); *p && i + 1 < JSON_PATH_MAX; p++)
        out[i++] = (char)(*p == '/' ? '_' : toupper((unsigned char)*p));
    out[i] = '\0';
    return out;
}

static void key_add(void *arg, const char *path, const struct json_field *f)
{
    struct overrides *o = arg;
    char name[JSON_PATH_MAX], flag[JSON_PATH_MAX + 2];

    o->keys = xreallocarray(o->keys, o->n + 1, sizeof(*o->keys));
    o->flags = xreallocarray(o->flags, o->n + 1, sizeof(*o->flags));
    snprintf(flag, sizeof(flag), "--%s", override_flag_name(path, name));
    o->keys[o->n] = (struct key){
        .path = xstrdup(path),
        .flag = xstrdup(flag),
        .env = xstrdup(env_name(path, name)),
        .field = f,
    };
    o->flags[o->n] = o->keys[o->n].flag;
    o->n++;
}

struct overrides *overrides_create(const struct json_schema *schema)
{
    struct overrides *o = xcalloc(1, sizeof(*o));

    schema_walk(schema, key_add, o);
    return o;
}

void overrides_destroy(struct overrides **op)
{
    struct overrides *o = *op;

    if (!o)
        return;
    for (size_t i = 0; i < o->n; i++) {
        json_destroy(&o->keys[i].said.value);
        free(o->keys[i].path);
        free(o->keys[i].flag);
        free(o->keys[i].env);
        free(o->keys[i].name);
    }
    free(o->keys);
    free(o->flags);
    free(o);
    *op = NULL;
}

/* --- texts to values --- */

static struct json *text_bool(const char *text)
{
    static const char *const yes[] = {"true", "1", "yes", "on"}, *const no[] = {"false", "0", "no",
                                                                                "off"};

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (str_eq_nocase(str_from(text), str_from(yes[i])))
            return json_new_bool(true);
        if (str_eq_nocase(str_from(text), str_from(no[i])))
            return json_new_bool(false);
    }
    return json_new_str(str_from(text));
}

static struct json *text_number(const char *text)
{
    double v;

    if (str_to_double(str_trim(str_from(text)), &v))
        return json_new_num(v);
    return json_new_str(str_from(text));
}

static struct json *text_list(const char *text)
{
    struct json *list = json_new_array();
    struct str rest = str_from(text);

    while (rest.ptr) {
        struct str one = str_trim(str_cut(&rest, ','));

        if (one.len > 0)
            json_push(list, json_new_str(one));
    }
    return list;
}

/* What does not fit its key becomes a string, so that the decoder says what was expected. */
static struct json *text_value(const struct json_field *f, const char *text, struct err *e)
{
    struct str s = str_trim(str_from(text));
    bool is_json = s.len > 0 && (s.ptr[0] == '{' || s.ptr[0] == '[');

    switch (f->kind) {
    case JK_BOOL:
        return text_bool(text);
    case JK_INT:
    case JK_UINT:
    case JK_DOUBLE:
        return text_number(text);
    case JK_STR:
    case JK_ENUM:
        return json_new_str(str_from(text));
    case JK_STRS:
        return is_json ? json_parse(s, true, e) : text_list(text);
    default:
        if (is_json)
            return json_parse(s, true, e);
        if (str_eqz(s, "null"))
            return json_new_null();
        if (str_eqz(s, "true") || str_eqz(s, "false"))
            return text_bool(text);
        return json_new_str(str_from(text));
    }
}

/* --- flags and variables --- */

static bool name_is(struct str name, const char *flag)
{
    size_t i = 0;

    flag += 2;
    if (strlen(flag) != name.len)
        return false;
    while (i < name.len && (name.ptr[i] == '_' ? '-' : name.ptr[i]) == flag[i])
        i++;
    return i == name.len;
}

static struct key *key_find(struct overrides *o, struct str name)
{
    for (size_t i = 0; i < o->n; i++) {
        if (name_is(name, o->keys[i].flag))
            return &o->keys[i];
    }
    return NULL;
}

static const char *suggest(struct overrides *o, struct str name)
{
    char flag[JSON_PATH_MAX];

    if (name.len + 3 > sizeof(flag))
        return NULL;
    snprintf(flag, sizeof(flag), "--%.*s", STR_ARG(name));
    for (char *p = flag; *p; p++)
        *p = (char)(*p == '_' ? '-' : *p);
    return str_suggest(str_from(flag), o->flags, o->n);
}

bool overrides_has(struct overrides *o, struct str name, bool *takes_value, const char **suggestion)
{
    const struct key *k = key_find(o, name);

    *takes_value = k && k->field->kind != JK_BOOL;
    if (suggestion)
        *suggestion = k ? NULL : suggest(o, name);
    return k != NULL;
}

static enum status say(struct key *k, const char *name, const char *text,
                       enum override_origin origin, struct err *e)
{
    struct json *v = text_value(k->field, text, e);

    if (!v)
        return err_prefix(e, "%s", name);
    json_destroy(&k->said.value);
    free(k->name);
    k->name = xstrdup(name);
    k->said = (struct override){.field = k->field, .name = k->name, .value = v, .origin = origin};
    snprintf(k->said.path, sizeof(k->said.path), "%s", k->path);
    return STATUS_OK;
}

enum status overrides_flag(struct overrides *o, struct str name, const char *value, struct err *e)
{
    struct key *k = key_find(o, name);
    const char *near;
    enum status s;

    if (!k) {
        near = suggest(o, name);
        return err_set(e, STATUS_USAGE, "unknown option --%.*s%s%s%s", STR_ARG(name),
                       near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
    }
    if (!value && k->field->kind != JK_BOOL)
        return err_set(e, STATUS_USAGE, "%s: expected a value", k->flag);
    s = say(k, k->flag, value ? value : "true", ORIGIN_FLAG, e);
    return s == STATUS_OK ? s : STATUS_USAGE;
}

/* What is no key, and so near to one that somebody meant it. A limit that is not in force because
 * of a slip of the finger would be told by nobody else. */
static const char *meant(const struct overrides *o, struct str name)
{
    static const char *const others[] = {
        "FLEET_STATE_DIR", "FLEET_LOG",         "FLEET_REAPER",          "FLEET_CHROMIUM",
        "FLEET_TOKEN",     "FLEET_CDP_URL",     "FLEET_HEADLESS_SHELL",  "FLEET_FAULT",
        "FLEET_NPM",       "FLEET_REAPER_FAIL", "FLEET_BROWSER_VERSION",
    };
    const char *near = NULL;

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (str_eqz(name, others[i]))
            return NULL;
    for (size_t i = 0; i < o->n && !near; i++)
        if (str_distance(name, str_from(o->keys[i].env)) <= ENV_SLIPS_MAX)
            near = o->keys[i].env;
    return near;
}

static struct key *env_key(struct overrides *o, struct str name)
{
    for (size_t i = 0; i < o->n; i++)
        if (str_eqz(name, o->keys[i].env))
            return &o->keys[i];
    return NULL;
}

enum status overrides_env(struct overrides *o, const char *const *env, struct err *e)
{
    for (; *env; env++) {
        struct str rest = str_from(*env), name = str_cut(&rest, '=');
        const char *near;
        struct key *k;
        enum status s = STATUS_OK;

        if (!rest.ptr || rest.len == 0 || !str_starts(name, STR("FLEET_")))
            continue;
        k = env_key(o, name);
        near = k ? NULL : meant(o, name);
        if (k && k->said.origin != ORIGIN_FLAG)
            s = say(k, k->env, rest.ptr, ORIGIN_ENV, e);
        else if (near)
            s = err_set(e, STATUS_INVALID,
                        "environment: %.*s is no key of a campaign, did you mean %s?",
                        STR_ARG(name), near);
        if (s != STATUS_OK)
            return s;
    }
    return STATUS_OK;
}

/* --- into the tree --- */

/* Puts `value` at `path` below `obj`. A value of the file that should be an object and is none
 * stays: the decoder says so. */
static void put(struct json *obj, struct str path, const struct json *value)
{
    struct str rest = str_skip(path, 1), name = str_cut(&rest, '/');
    char key[JSON_PATH_MAX];
    struct json *child;

    snprintf(key, sizeof(key), "%.*s", STR_ARG(name));
    if (!rest.ptr) {
        json_add(obj, key, json_dup(value));
        return;
    }
    child = json_take(obj, key);
    if (!child)
        child = json_new_object();
    if (json_type(child) == JSON_OBJECT)
        put(child, str_n(rest.ptr - 1, rest.len + 1), value);
    json_add(obj, key, child);
}

void overrides_apply(const struct overrides *o, struct json *tree)
{
    for (size_t i = 0; i < o->n; i++) {
        if (o->keys[i].said.value)
            put(tree, str_from(o->keys[i].path), o->keys[i].said.value);
    }
}

const struct override *overrides_at(const struct overrides *o, const char *path)
{
    for (size_t i = 0; i < o->n; i++) {
        size_t n = strlen(o->keys[i].path);

        if (o->keys[i].said.value && strncmp(path, o->keys[i].path, n) == 0 &&
            (path[n] == '\0' || path[n] == '/'))
            return &o->keys[i].said;
    }
    return NULL;
}
