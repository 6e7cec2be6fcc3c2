#include "core/fleet/persona.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/rng.h"

enum { SEED_BYTES = 16, NAMES_MAX = 64 };

/* Its id does not depend on the browser. */
static const char any_version[] = "156.0.0.0";

static const struct json_field fields[] = {
    {JF_COMMON(struct persona, seed), .kind = JK_STR, .required = true, .min = 1, .max = 256},
    {JF_COMMON(struct persona, os), .kind = JK_STRS, .max = NAMES_MAX},
    {JF_COMMON(struct persona, locales), .kind = JK_STRS, .max = NAMES_MAX},
    {JF_COMMON(struct persona, timezones), .kind = JK_STRS, .max = NAMES_MAX},
    {JF_COMMON(struct persona, honest), .kind = JK_BOOL},
    {JF_COMMON(struct persona, noise), .kind = JK_BOOL},
    {JF_COMMON(struct persona, own_gpu), .kind = JK_BOOL},
    {JF_COMMON(struct persona, created), .kind = JK_STR, .max = 64},
    {JF_COMMON(struct persona, rotations), .kind = JK_UINT},
};

static const struct json_schema schema = {
    .name = "identity",
    .fields = fields,
    .n = ARRAY_LEN(fields),
    .size = sizeof(struct persona),
    .ignore_unknown = true, /* a newer version's */
};

void persona_init(struct persona *p, struct arena *a)
{
    unsigned char bytes[SEED_BYTES];
    struct buf hex = BUF_INIT(2 * SEED_BYTES + 1);
    char when[CLOCK_RFC3339_MAX];

    rng_bytes(bytes, sizeof(bytes));
    buf_add_hex(&hex, bytes, sizeof(bytes));
    *p = (struct persona){
        .seed = arena_strndup(a, hex.ptr, hex.len),
        .noise = true,
        .created = arena_strdup(a, clock_rfc3339(clock_wall_ms(clock_system()), when)),
    };
    buf_deinit(&hex);
}

static struct identity_params params_of(const struct persona *p, const char *version)
{
    long pages = sysconf(_SC_PHYS_PAGES);

    return (struct identity_params){
        .seed = p->seed,
        .browser_version = version,
        .os = p->os,
        .locales = p->locales,
        .timezones = p->timezones,
        .honest = p->honest,
        .no_noise = !p->noise,
        .own_gpu = p->own_gpu,
        .memory_bytes = pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0,
    };
}

enum status persona_check(const struct persona *p, struct err *e)
{
    const struct identity_params params = params_of(p, any_version);

    return identity_params_check(&params, e);
}

enum status persona_id(const struct persona *p, struct arena *a, const char **out, struct err *e)
{
    const struct identity_params params = params_of(p, any_version);
    const struct identity *id;
    enum status s = identity_generate(a, &params, 0, &id, e);

    if (s == STATUS_OK)
        *out = id->id;
    return s;
}

const char *persona_next_seed(const char *seed, struct arena *a)
{
    struct rng r;
    uint64_t high, low;

    rng_seed(&r, str_from(seed), STR("rotation"));
    high = rng_u64(&r);
    low = rng_u64(&r);
    return arena_printf(a, "%016" PRIx64 "%016" PRIx64, high, low);
}

enum status persona_rotate(struct persona *p, struct arena *a, const char **id, struct err *e)
{
    char when[CLOCK_RFC3339_MAX];

    p->seed = persona_next_seed(p->seed, a);
    p->created = arena_strdup(a, clock_rfc3339(clock_wall_ms(clock_system()), when));
    p->rotations++;
    return persona_id(p, a, id, e);
}

static void add_list(struct json *j, const char *name, const struct json_strs *v)
{
    struct json *list = json_new_array();

    for (size_t i = 0; i < v->n; i++)
        json_push(list, json_new_str(str_from(v->v[i])));
    json_add(j, name, list);
}

void persona_write(const struct persona *p, struct buf *out)
{
    struct json *j = json_new_object();

    json_add_str(j, "seed", p->seed);
    add_list(j, "os", &p->os);
    add_list(j, "locales", &p->locales);
    add_list(j, "timezones", &p->timezones);
    json_add_bool(j, "honest", p->honest);
    json_add_bool(j, "noise", p->noise);
    json_add_bool(j, "own_gpu", p->own_gpu);
    json_add_str(j, "created", p->created ? p->created : "");
    json_add_num(j, "rotations", p->rotations);
    json_print(j, 0, out);
    json_destroy(&j);
}

enum status persona_read(struct str record, const char *id, struct arena *a, struct persona *out,
                         struct err *e)
{
    struct json_decode d;
    struct json *j = json_parse(record, false, e);
    enum status s = STATUS_INVALID;

    if (!j) {
        err_prefix(e, "identity %s: its record", id);
        return STATUS_INVALID;
    }
    *out = (struct persona){.noise = true};
    json_decode_init(&d, a, NULL);
    (void)json_decode(&d, &schema, j, out);
    s = json_decode_status(&d, id, e);
    json_destroy(&j);
    return s == STATUS_OK ? persona_check(out, e) : s;
}

enum status persona_identity(const struct persona *p, const char *id, const char *browser_version,
                             struct arena *a, const struct identity **out, struct err *e)
{
    const struct identity_params params = params_of(p, browser_version);
    const struct identity *made;
    struct identity *own;
    enum status s = identity_generate(a, &params, 0, &made, e);

    if (s != STATUS_OK)
        return err_prefix(e, "identity %s", id);
    own = arena_new(a, struct identity);
    *own = *made;
    snprintf(own->id, sizeof(own->id), "%s", id);
    *out = own;
    return STATUS_OK;
}

const char *persona_store_path(struct arena *a, const char *state_dir)
{
    return arena_printf(a, "%s/identities.db", state_dir);
}

const char *persona_store_key(struct arena *a, const char *state_dir, const char *spec)
{
    if (!spec)
        spec = "file:keys/identities.key";
    if (strncmp(spec, "file:", 5) == 0 && spec[5] != '/')
        return arena_printf(a, "file:%s/%s", state_dir, spec + 5);
    return arena_strdup(a, spec);
}
