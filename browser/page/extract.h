/* What page.extract takes out of a page: parameters to the script's "extract"
 * (browser/assets/flow.js). */
#ifndef BROWSER_PAGE_EXTRACT_H
#define BROWSER_PAGE_EXTRACT_H

#include "browser/page/query.h"

/* Index into extract_types. */
enum extract_type {
    EXTRACT_TEXT, /* white space squeezed */
    EXTRACT_RAW,  /* as it stands */
    /* the first number in it: "£1,234.50" is 1234.5, "12,50 €" 12.5 */
    EXTRACT_NUMBER,
    EXTRACT_INTEGER,
    EXTRACT_BOOLEAN,
    EXTRACT_URL,  /* absolute */
    EXTRACT_HTML, /* of what is inside */
    EXTRACT_JSON,
    EXTRACT_DATE, /* 2026-01-02, or with a time RFC 3339 in UTC */
};
extern const char *const extract_types[]; /* NULL-terminated */

/** How a value is taken from its element, and for an object with `fields` the record below it. */
struct extract_field {
    const char *name;
    struct selectors sel;             /* alternatives; none: the record itself */
    const char *attribute, *property; /* instead of the text; a path in properties "a.b" */
    int type;                         /* enum extract_type */
    bool required, many;
    const struct json *otherwise;        /* "default"; NULL: null */
    const struct extract_fields *fields; /* nested */
};
struct extract_fields {
    struct extract_field *v;
    size_t n;
};

struct extract {
    struct selectors each; /* records, one an element */
    bool list;
    const struct extract_fields *fields; /* NULL: the value of the element itself */
    int type;
    const char *attribute, *property;
    uint32_t min, max;
    bool has_min, has_max;
};

bool extract_fields_decode(struct json_decode *d, const struct json *j, void *field);
/** What the fields must be together. */
void extract_check(struct json_decode *d, const struct extract *x, bool has_selectors);
/** Appends the members of the call's spec. */
void extract_spec(const struct extract *x, struct buf *b);

#define EXTRACT_FIELDS(T, m)                                                                       \
    {.name = "each",                                                                               \
     .kind = JK_FN,                                                                                \
     .fn = selectors_decode,                                                                       \
     .offset = offsetof(T, m.each),                                                                \
     .doc = "Selectors whose every element is a record: a list."},                                 \
        {.name = "list",                                                                           \
         .kind = JK_BOOL,                                                                          \
         .offset = offsetof(T, m.list),                                                            \
         .doc = "Every element of `selectors` is a record; default false, the first alone."},      \
        {.name = "fields",                                                                         \
         .kind = JK_FN,                                                                            \
         .fn = extract_fields_decode,                                                              \
         .offset = offsetof(T, m.fields),                                                          \
         .doc =                                                                                    \
             "Object: name of a value to a selector within the record, or {selector, attribute, "  \
             "property, type, required, many, default, fields}."},                                 \
        {.name = "as",                                                                             \
         .kind = JK_ENUM,                                                                          \
         .names = extract_types,                                                                   \
         .offset = offsetof(T, m.type),                                                            \
         .doc = "Without fields: text (default), raw, number, integer, boolean, url, html, json, " \
                "date."},                                                                          \
        {.name = "attribute",                                                                      \
         .kind = JK_STR,                                                                           \
         .offset = offsetof(T, m.attribute),                                                       \
         .doc = "Without fields: the attribute that holds the value."},                            \
        {.name = "property",                                                                       \
         .kind = JK_STR,                                                                           \
         .offset = offsetof(T, m.property),                                                        \
         .doc = "Without fields: the property that holds the value."},                             \
        {.name = "min",                                                                            \
         .kind = JK_UINT,                                                                          \
         .offset = offsetof(T, m.min),                                                             \
         .seen_offset = offsetof(T, m.has_min),                                                    \
         .doc = "Fewest records that are waited for, default 1; 0 takes what is there."},          \
    {                                                                                              \
        .name = "max", .kind = JK_UINT, .offset = offsetof(T, m.max),                              \
        .seen_offset = offsetof(T, m.has_max), .min = 1, .max = 1000000,                           \
        .doc = "Most records, default 100000."                                                     \
    }

#endif
