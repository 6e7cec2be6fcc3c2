/* JSON: trees, and typed decoding from a table of fields. The one module that includes cJSON.h;
 * cJSON numbers are doubles, so 64-bit ids and nanoseconds travel as strings. Bytes that are hashed
 * or signed come from jcs.h, never from json_print. */
#ifndef CORE_BASE_JSON_H
#define CORE_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"

/* --- trees --- */

/** A JSON value. A tree is owned by whoever holds its root; children are borrowed from it. */
struct json;

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

enum { JSON_MAX_DEPTH = 64 };

/** Parses all of `s` (RFC 8259; UTF-8 checked; a byte order mark is skipped; trailing white space
 * only). NULL on failure: INVALID with "line L, column C: ..." , TOO_LARGE when nested deeper than
 * JSON_MAX_DEPTH, NO_MEMORY. `strict` is for what people write: duplicate keys, \u0000 and halves
 * of surrogate pairs (\ud800) are INVALID. Otherwise the first of equal keys counts, and these
 * escapes become U+FFFD: a page chooses the text in a DevTools message and must not be able to
 * break it. Numbers of more than 63 characters or beyond a double's range are INVALID. */
must_check struct json *json_parse(struct str s, bool strict, struct err *e);
/** Sets *j to NULL; NULL is fine. Not for a child. */
void json_destroy(struct json **j);
/** A copy of its own; of NULL a null. Out of memory stops the program. */
must_check struct json *json_dup(const struct json *j);
/** The same value: members of objects in any order. */
bool json_eq(const struct json *a, const struct json *b);

enum json_type json_type(const struct json *j); /* NULL counts as JSON_NULL */
const char *json_type_name(enum json_type t);   /* "string": for messages */
/** Member `name` of an object; NULL when absent or `j` is NULL or no object. Borrowed. */
const struct json *json_get(const struct json *j, const char *name);
/** As json_get, through several names: json_at(j, "params", "frame", "id", NULL). */
const struct json *json_at(const struct json *j, ...) __attribute__((sentinel));
/** Elements of an array or object in order: for (c = json_first(j); c; c = json_next(c)). */
const struct json *json_first(const struct json *j);
const struct json *json_next(const struct json *child);
const char *json_key(const struct json *child); /* name of an object's member; NULL in arrays */
size_t json_len(const struct json *j);
/* Leaf values; the second argument is returned when `j` is NULL or of another type. Strings are
 * borrowed and NUL-terminated. */
const char *json_str(const struct json *j, const char *otherwise);
double json_num(const struct json *j, double otherwise);
/** Also `otherwise` when not integral or beyond 2^53. */
int64_t json_int(const struct json *j, int64_t otherwise);
bool json_bool(const struct json *j, bool otherwise);

/* Builders: never NULL (out of memory stops the program). json_add takes ownership of `v` and
 * returns `obj`, so calls chain. */
must_check struct json *json_new_object(void);
must_check struct json *json_new_array(void);
/** A NUL and bytes that are no UTF-8 become U+FFFD. */
must_check struct json *json_new_str(struct str s);
/** NaN and infinities become null. */
must_check struct json *json_new_num(double v);
must_check struct json *json_new_bool(bool v);
must_check struct json *json_new_null(void);
/** Replaces a member of that name. */
struct json *json_add(struct json *obj, const char *name, struct json *v);
/** z NULL: adds null. */
struct json *json_add_str(struct json *obj, const char *name, const char *z);
struct json *json_add_num(struct json *obj, const char *name, double v);
struct json *json_add_bool(struct json *obj, const char *name, bool v);
struct json *json_push(struct json *arr, struct json *v);
/** Takes a member out of the object; NULL when absent. The caller owns it. */
must_check struct json *json_take(struct json *obj, const char *name);

/** Appends compact text; `indent` > 0: pretty, so many spaces. Numbers are the shortest text that
 * reads back the same (num.h). ASCII control characters, quotes and backslashes are escaped, the
 * rest is UTF-8. */
void json_print(const struct json *j, unsigned indent, struct buf *out);
/** Appends `s` as a quoted JSON string: for text built by hand. Bytes that are no UTF-8 become
 * U+FFFD; a NUL is written \u0000. */
void json_print_str(struct str s, struct buf *out);

/* --- typed decoding --- */

enum json_kind {
    JK_BOOL,   /* bool */
    JK_INT,    /* int64_t, range min..max */
    JK_UINT,   /* uint32_t, range min..max */
    JK_DOUBLE, /* double, range dmin..dmax when dmin < dmax */
    JK_STR, /* const char *, NUL-terminated in the arena; length in bytes min..max when max > 0; one
               of `names` when given */
    JK_ENUM,       /* int; index into `names` (NULL-terminated) */
    JK_OBJECT,     /* struct at offset, decoded by `sub` */
    JK_OBJECT_PTR, /* pointer to a new struct, NULL when absent */
    JK_STRS,       /* struct json_strs: array of strings, each one of `names` when given; min..max
                      elements when max > 0; a single string where `one_is_array` */
    JK_OBJECTS,    /* struct json_objects: array of structs decoded by `sub`; the rest as JK_STRS */
    JK_ANY,        /* const struct json *: borrowed from the tree that is decoded */
    JK_FN,         /* `fn` decodes */
};

struct json_strs {
    const char **v;
    size_t n;
};
struct json_objects {
    void *v; /* n structs of sub->size bytes each */
    size_t n;
};

struct json_decode;
struct json_schema;

struct json_field {
    const char *name;
    enum json_kind kind;
    size_t offset;
    bool required;
    int64_t min, max; /* inclusive; both 0: no range */
    double dmin, dmax;
    const char *const *names;
    const struct json_schema *sub;
    bool one_is_array;
    /** JK_FN: decodes `j` into `field` (at offset). False when it reported (json_fail). */
    bool (*fn)(struct json_decode *d, const struct json *j, void *field);
    size_t seen_offset; /* when > 0: the bool there is set to true when the member was there */
    const char *doc;    /* one sentence with unit and default, for --help and documentation */
};

struct json_schema {
    const char *name; /* "campaign": for messages */
    const struct json_field *fields;
    size_t n;
    size_t size; /* of the struct */
    bool ignore_unknown;
    /** Optional: what a new struct (JK_OBJECT_PTR, JK_OBJECTS) begins as; NULL: zeros. */
    const void *defaults;
    /** Optional: checks the whole after its fields, when none of these had an error; reports
     * through json_fail. */
    void (*check)(struct json_decode *d, void *obj);
};

#define JSON_PATH_MAX 256
struct json_error {
    char path[JSON_PATH_MAX]; /* "/limits/max_requests"; "" is the whole */
    char text[ERR_TEXT_MAX];  /* what was found and what was expected */
};

enum { JSON_ERRORS_MAX = 50 };

/** A decode under way: where memory comes from and where errors go. */
struct json_decode {
    struct arena *arena;
    struct json_error *errors; /* [0..n_kept), in the arena */
    size_t n_errors;           /* all of them, also those that were only counted */
    size_t n_kept;             /* at most JSON_ERRORS_MAX, and what the arena has room for */
    char path[JSON_PATH_MAX];  /* of the value at hand */
    void *ctx;                 /* the caller's, for fn and check */
};

void json_decode_init(struct json_decode *d, struct arena *a, void *ctx);
/** Decodes `j` into `obj` (its defaults already filled in; members that are absent leave them). All
 * errors are collected, not only the first. Unknown members are errors with a suggestion unless the
 * schema ignores them. True when no error was added. */
bool json_decode(struct json_decode *d, const struct json_schema *schema, const struct json *j,
                 void *obj);
/** Records an error at the current path + suffix (may be NULL): "/flow": "found ..., expected ...".
 * Always returns false. */
bool json_fail(struct json_decode *d, const char *suffix, const char *fmt, ...) printf_like(3, 4);
/** Enters and leaves a member or an element, for fn: size_t m = json_enter(d, "name", i) ...
 * json_leave(d, m). name NULL: element i. */
size_t json_enter(struct json_decode *d, const char *name, size_t i);
void json_leave(struct json_decode *d, size_t mark);
/** STATUS_OK without errors; otherwise INVALID with "<name>: /path: text", or, of several, "<name>:
 * <n> errors: /path: text; ..." as far as it fits. */
enum status json_decode_status(const struct json_decode *d, const char *name, struct err *e);
/** Appends all errors, a line each: "<name>: /path: text"; nothing when there are none. */
void json_decode_report(const struct json_decode *d, const char *name, struct buf *out);

#define JF_COMMON(T, m) .name = #m, .offset = offsetof(T, m)

#endif
