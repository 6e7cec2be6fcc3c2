#include "fingerprints/identity_json.h"

#include <inttypes.h>
#include <stdio.h>

#include "fingerprints/catalog.h"

static const char *const os_names[] = {"linux", "windows", "macos", "android", NULL};

/* --- out --- */

static struct json *brands_json(const struct identity *id)
{
    struct json *arr = json_new_array();

    for (size_t i = 0; i < id->n_brands; i++) {
        struct json *b = json_new_object();

        json_add_str(b, "brand", id->brands[i].brand);
        json_add_str(b, "major", id->brands[i].major);
        json_push(arr, json_add_str(b, "version", id->brands[i].version));
    }
    return arr;
}

/* --- in --- */

/* As it stands in a file; strings that are absent are NULL. */
struct flat {
    struct identity id;
    const char *id_text, *noise;
    int os;
    struct json_strs languages;
    struct json_objects brands;
};

#define ID(m) .offset = offsetof(struct flat, id) + offsetof(struct identity, m)
#define TEXT(m)                                                                                    \
    {                                                                                              \
        .name = #m, .kind = JK_STR, ID(m), .min = 0, .max = 512                                    \
    }
#define SIZE(m)                                                                                    \
    {                                                                                              \
        .name = #m, .kind = JK_UINT, ID(m), .min = 0, .max = 16384                                 \
    }
#define FLAG(m)                                                                                    \
    {                                                                                              \
        .name = #m, .kind = JK_BOOL, ID(m)                                                         \
    }

static const struct json_field brand_fields[] = {
    {.name = "brand",
     .kind = JK_STR,
     .offset = offsetof(struct identity_brand, brand),
     .required = true,
     .max = 64},
    {.name = "major",
     .kind = JK_STR,
     .offset = offsetof(struct identity_brand, major),
     .required = true,
     .max = 16},
    {.name = "version",
     .kind = JK_STR,
     .offset = offsetof(struct identity_brand, version),
     .required = true,
     .max = 32},
};
static const struct json_schema brand_schema = {
    .name = "brand",
    .fields = brand_fields,
    .n = ARRAY_LEN(brand_fields),
    .size = sizeof(struct identity_brand),
};

static const struct json_field fields[] = {
    {.name = "id",
     .kind = JK_STR,
     .offset = offsetof(struct flat, id_text),
     .required = true,
     .min = 3,
     .max = IDENTITY_ID_MAX - 1},
    TEXT(seed),
    {.name = "os",
     .kind = JK_ENUM,
     .offset = offsetof(struct flat, os),
     .names = os_names,
     .required = true},
    FLAG(mobile),
    FLAG(honest),
    {.name = "user_agent", .kind = JK_STR, ID(user_agent), .required = true, .min = 1, .max = 512},
    TEXT(platform),
    {.name = "brands",
     .kind = JK_OBJECTS,
     .offset = offsetof(struct flat, brands),
     .sub = &brand_schema,
     .min = 0,
     .max = IDENTITY_BRANDS_MAX},
    TEXT(full_version),
    TEXT(ch_platform),
    TEXT(ch_platform_version),
    TEXT(ch_architecture),
    TEXT(ch_bitness),
    TEXT(ch_model),
    TEXT(ch_form_factor),
    FLAG(ch_wow64),
    TEXT(locale),
    {.name = "languages",
     .kind = JK_STRS,
     .offset = offsetof(struct flat, languages),
     .min = 0,
     .max = IDENTITY_LANGUAGES_MAX},
    TEXT(accept_language),
    TEXT(timezone),
    TEXT(country),
    SIZE(screen_w),
    SIZE(screen_h),
    SIZE(avail_x),
    SIZE(avail_y),
    SIZE(avail_w),
    SIZE(avail_h),
    SIZE(window_w),
    SIZE(window_h),
    SIZE(viewport_w),
    SIZE(viewport_h),
    {.name = "device_pixel_ratio",
     .kind = JK_DOUBLE,
     ID(device_pixel_ratio),
     .dmin = 0.5,
     .dmax = 8},
    SIZE(color_depth),
    SIZE(max_touch_points),
    SIZE(hardware_concurrency),
    {.name = "device_memory_gb",
     .kind = JK_DOUBLE,
     ID(device_memory_gb),
     .dmin = 0.25,
     .dmax = 1024},
    TEXT(webgl_vendor),
    TEXT(webgl_renderer),
    {.name = "noise_seed",
     .kind = JK_STR,
     .offset = offsetof(struct flat, noise),
     .min = 16,
     .max = 16},
    SIZE(marks),
};
static const struct json_schema schema = {
    .name = "identity",
    .fields = fields,
    .n = ARRAY_LEN(fields),
    .size = sizeof(struct flat),
};

/* The table serves both ways: what has a plain place in the struct is printed from it. */
static void add_field(struct json *j, const struct json_field *f, const void *base)
{
    const char *at = (const char *)base + f->offset;
    const char *text;
    uint32_t n;
    double d;
    bool b;

    switch (f->kind) {
    case JK_STR:
        memcpy(&text, at, sizeof text);
        json_add_str(j, f->name, text != NULL ? text : "");
        break;
    case JK_UINT:
        memcpy(&n, at, sizeof n);
        json_add_num(j, f->name, n);
        break;
    case JK_DOUBLE:
        memcpy(&d, at, sizeof d);
        json_add_num(j, f->name, d);
        break;
    case JK_BOOL:
        memcpy(&b, at, sizeof b);
        json_add_bool(j, f->name, b);
        break;
    default:
        break;
    }
}

struct json *identity_to_json(const struct identity *id)
{
    struct json *j = json_new_object(), *languages = json_new_array();
    char noise[17];
    struct flat flat = {.id = *id, .id_text = id->id, .noise = noise};

    snprintf(noise, sizeof noise, "%016" PRIx64, id->noise_seed);
    for (size_t i = 0; i < id->n_languages; i++)
        json_push(languages, json_new_str(str_from(id->languages[i])));
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (strcmp(fields[i].name, "os") == 0)
            json_add_str(j, "os", os_names[id->os]);
        else if (strcmp(fields[i].name, "brands") == 0)
            json_add(j, "brands", brands_json(id));
        else if (strcmp(fields[i].name, "languages") == 0)
            json_add(j, "languages", languages);
        else
            add_field(j, &fields[i], &flat);
    }
    return j;
}

static void fill_lists(struct identity *id, const struct flat *flat)
{
    const struct identity_brand *brands = flat->brands.v;

    id->n_brands = flat->brands.n;
    for (size_t i = 0; i < id->n_brands; i++)
        id->brands[i] = brands[i];
    id->n_languages = flat->languages.n;
    for (size_t i = 0; i < id->n_languages; i++)
        id->languages[i] = flat->languages.v[i];
}

/* No string of an identity is NULL. */
static void fill_texts(struct flat *flat)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const char **at = (const char **)(void *)((char *)flat + fields[i].offset);

        if (fields[i].kind == JK_STR && *at == NULL)
            *at = "";
    }
}

enum status identity_from_json(struct arena *a, const struct json *j, const char *name,
                               const struct identity **out, struct err *e)
{
    struct flat flat = {.id = {.device_pixel_ratio = 1, .color_depth = 24}};
    struct json_decode d;
    unsigned char noise[8] = {0};
    struct identity *id;

    *out = NULL;
    json_decode_init(&d, a, NULL);
    if (json_decode(&d, &schema, j, &flat) && flat.noise != NULL &&
        !hex_decode(str_from(flat.noise), noise, sizeof noise))
        json_fail(&d, "/noise_seed", "found \"%s\", expected 16 hexadecimal digits", flat.noise);
    if (d.n_errors > 0)
        return json_decode_status(&d, name, e);
    fill_texts(&flat);
    id = arena_new(a, struct identity);
    *id = flat.id;
    id->os = (enum identity_os)flat.os;
    snprintf(id->id, sizeof id->id, "%s", flat.id_text);
    fill_lists(id, &flat);
    for (size_t i = 0; i < sizeof noise; i++)
        id->noise_seed = id->noise_seed << 8 | noise[i];
    *out = id;
    return STATUS_OK;
}
