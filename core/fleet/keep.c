#include "core/fleet/keep.h"

#include <stdio.h>

#include "core/base/log.h"
#include "core/fleet/persona.h"
#include "fingerprints/store.h"

struct keeper {
    struct idstore *store;
    const struct members_env *env;
    const char *tag;
};

/* A member's. In the arena of the members. */
struct keep {
    struct keeper *keeper;
    char id[64];
};

/* --- opening and leasing --- */

static enum status count(const struct keeper *k, uint32_t *n, struct err *e)
{
    const struct campaign_conf *c = k->env->conf;
    uint64_t there = idstore_count(k->store, k->tag);

    if (there == 0)
        return err_set(e, STATUS_NOT_FOUND,
                       "members.store: there is no identity of tag \"%s\" in the store", k->tag);
    if (there < c->members.count)
        return err_set(e, STATUS_INVALID,
                       "members.count: found %u, but the store has %llu identities of tag \"%s\"",
                       c->members.count, (unsigned long long)there, k->tag);
    *n = c->members.count > 0       ? c->members.count
         : there > CONF_MEMBERS_MAX ? CONF_MEMBERS_MAX
                                    : (uint32_t)there;
    if (c->coordinator == COORD_BROADCAST && c->n_targets > CONF_TASKS_MAX / *n)
        return err_set(e, STATUS_INVALID,
                       "members.store: found %zu targets for each of %u members, expected at most "
                       "%d tasks",
                       c->n_targets, *n, CONF_TASKS_MAX);
    return STATUS_OK;
}

enum status keeper_open(struct arena *a, const struct members_env *env, uint32_t *n,
                        struct keeper **out, struct err *e)
{
    const struct conf_members *m = &env->conf->members;
    struct keeper *k = xcalloc(1, sizeof(*k));
    const struct idstore_opts o = {
        .loop = env->loop,
        .path = persona_store_path(a, env->state_dir),
        .key = persona_store_key(a, env->state_dir, m->key),
    };
    enum status s = idstore_open(&o, &k->store, e);

    k->env = env;
    k->tag = m->store;
    if (s != STATUS_OK)
        (void)err_prefix(e, "members.store");
    if (s == STATUS_OK)
        s = idstore_lock(k->store, e);
    if (s == STATUS_OK)
        s = count(k, n, e);
    if (s != STATUS_OK)
        keeper_close(&k);
    *out = k;
    return s;
}

static enum status next_persona(struct str record, const char *id, struct arena *a,
                                struct persona *out, const char **next, struct err *e)
{
    enum status s = persona_read(record, id, a, out, e);

    return s == STATUS_OK ? persona_rotate(out, a, next, e) : s;
}

static struct str record_of(const struct persona *p, struct arena *a)
{
    struct buf b = BUF_INIT(IDSTORE_RECORD_MAX + 1);
    struct str s;

    persona_write(p, &b);
    s = arena_str(a, buf_str(&b));
    buf_deinit(&b);
    return s;
}

/* It was to rotate when the process before this one was killed: the log has it, the store has not.
 * What is in the store by that name already is another matter: somebody brought the old one back.
 */
static enum status finish_rotation(const struct keeper *k, struct idstore_row *row, struct arena *a,
                                   struct member *m, struct err *e)
{
    const struct members_env *env = k->env;
    const char *next = env->next_of ? env->next_of(env->arg, row->id, &m->since_ms) : NULL,
               *id = NULL;
    struct idstore_row turned = {.tag = row->tag};
    struct persona p;
    enum status s;

    if (!next || next_persona(row->record, row->id, a, &p, &id, NULL) != STATUS_OK ||
        strcmp(id, next) != 0)
        return STATUS_OK;
    turned.id = id;
    turned.record = record_of(&p, a);
    s = idstore_become(k->store, row->id, &turned, e);
    if (s == STATUS_EXISTS)
        return STATUS_OK;
    if (s == STATUS_OK) {
        idstore_moved(k->store, row->id, id);
        log_info(NULL, "identity.rotated", LOG_STR("from", row->id), LOG_STR("to", id));
        *row = turned;
    }
    return s;
}

/* A row that opens, but whose record is not one, is as good as damaged. */
static enum status make_identity(const struct keeper *k, const struct idstore_row *row,
                                 struct arena *a, struct member *m)
{
    struct err e = ERR_INIT;
    struct persona p;
    enum status s = persona_read(row->record, row->id, a, &p, &e);

    if (s == STATUS_OK)
        s = persona_identity(&p, row->id, k->env->browser_version, a, &m->identity, &e);
    if (s != STATUS_OK)
        log_warn(NULL, "identity.damaged", LOG_STR("id", row->id), LOG_ERR(&e));
    return s;
}

enum status keeper_lease(struct keeper *k, struct arena *a, struct member *m, struct err *e)
{
    struct arena *row_arena = arena_create(NULL, 0); /* states are not kept */
    struct idstore_row row;
    enum status s;

    for (;;) {
        s = idstore_lease(k->store, k->tag, row_arena, &row, e);
        if (s == STATUS_OK)
            s = finish_rotation(k, &row, row_arena, m, e);
        if (s != STATUS_OK || make_identity(k, &row, a, m) == STATUS_OK)
            break;
        arena_reset(row_arena);
    }
    if (s == STATUS_OK) {
        m->keep = arena_new(a, struct keep);
        m->keep->keeper = k;
        keeper_turned(m, m->identity->id);
    } else if (s == STATUS_BUSY || s == STATUS_NOT_FOUND) {
        s = err_set(e, STATUS_NOT_FOUND,
                    "members.store: the store has %u whole identities of tag \"%s\"", m->index,
                    k->tag);
    }
    arena_destroy(&row_arena);
    return s;
}

enum status keeper_next(const struct member *m, struct arena *a, struct str *record,
                        const struct identity **out, struct err *e)
{
    const struct keeper *k = m->keep->keeper;
    struct idstore_row row;
    struct persona p;
    const char *id = NULL;
    enum status s = idstore_get(k->store, m->keep->id, a, &row, e);

    if (s == STATUS_OK)
        s = next_persona(row.record, row.id, a, &p, &id, e);
    if (s == STATUS_OK)
        s = persona_identity(&p, id, k->env->browser_version, a, out, e);
    if (s == STATUS_OK)
        *record = record_of(&p, a);
    return s;
}

void keeper_turn(const struct member *m, const char *id, struct str record,
                 void (*done)(void *arg, enum status s, const struct err *e), void *arg)
{
    const struct idstore_row next = {.id = id, .record = record};

    idstore_turn(m->keep->keeper->store, m->keep->id, &next, done, arg);
}

void keeper_turned(const struct member *m, const char *id)
{
    snprintf(m->keep->id, sizeof(m->keep->id), "%s", id);
}

void keeper_close(struct keeper **kp)
{
    struct keeper *k = *kp;

    if (!k)
        return;
    idstore_close(&k->store);
    free(k);
    *kp = NULL;
}

/* --- states --- */

void keep_lost(const struct member *m, const struct err *why)
{
    const struct members_env *env = m->keep->keeper->env;

    log_warn(NULL, "identity.unsaved", LOG_STR("id", m->keep->id), LOG_ERR(why));
    if (env->on_unsaved)
        env->on_unsaved(env->arg, m, why);
}

struct json *keep_state(const struct member *m)
{
    struct arena *a;
    struct idstore_row row;
    struct err e = ERR_INIT;
    struct json *j = NULL;

    if (!m->keep)
        return NULL;
    a = arena_create(NULL, 0);
    if (idstore_get(m->keep->keeper->store, m->keep->id, a, &row, &e) != STATUS_OK)
        log_warn(NULL, "identity.unread", LOG_STR("id", m->keep->id), LOG_ERR(&e));
    else if (row.state.ptr && !(j = json_parse(row.state, false, &e)))
        log_warn(NULL, "identity.unread", LOG_STR("id", m->keep->id), LOG_ERR(&e));
    arena_destroy(&a);
    return j;
}

static const struct json *find_origin(const struct json *list, const char *origin)
{
    for (const struct json *o = json_first(list); o; o = json_next(o))
        if (strcmp(json_str(json_get(o, "origin"), ""), origin) == 0)
            return o;
    return NULL;
}

/* The origins that were seen, then those of before that were not. Takes `seen`. */
static struct json *merge_origins(const struct json *before, struct json *seen)
{
    struct json *out = json_new_array();

    for (const struct json *o = json_first(seen); o; o = json_next(o))
        if (json_len(json_get(o, "localStorage")) > 0)
            json_push(out, json_dup(o));
    for (const struct json *o = json_first(before); o; o = json_next(o))
        if (!find_origin(seen, json_str(json_get(o, "origin"), "")))
            json_push(out, json_dup(o));
    json_destroy(&seen);
    return out;
}

struct saving {
    struct member *member;
    void (*done)(void *arg);
    void *arg;
};

static void on_saved(void *arg, enum status s, const struct err *e)
{
    struct saving v = *(struct saving *)arg;

    free(arg);
    if (s != STATUS_OK)
        keep_lost(v.member, e);
    v.done(v.arg);
}

void keep_save(struct member *m, struct json *cookies, struct json *origins,
               void (*done)(void *arg), void *arg)
{
    struct json *state = keep_state(m), *all;
    struct buf text = BUF_INIT(IDSTORE_STATE_MAX + 1); /* one more: the store says that it is */
    struct saving *v = xcalloc(1, sizeof(*v));

    *v = (struct saving){m, done, arg};
    all = merge_origins(json_get(state, "origins"), origins);
    json_destroy(&state);
    state = json_add(json_new_object(), "cookies", cookies);
    json_add(state, "origins", all);
    json_print(state, 0, &text);
    json_destroy(&state);
    /* cut off at the limit: of no use, and refused by the store for its size */
    idstore_save(m->keep->keeper->store, m->keep->id,
                 buf_status(&text) == STATUS_OK ? buf_str(&text) : STR_NONE, on_saved, v);
    buf_deinit(&text);
}
