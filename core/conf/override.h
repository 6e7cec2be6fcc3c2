/* Every key of a schema as a flag and as an environment variable.
 *
 *   /limits/max_requests   --limits.max-requests=5   FLEET_LIMITS_MAX_REQUESTS=5
 *
 * The text is turned into JSON by the key's kind: numbers and true/false as they are, lists either
 * as JSON or separated by commas, strings without quotes; where a key takes several forms (targets,
 * flow), text that begins with { or [ is JSON, other text a string. */
#ifndef CORE_CONF_OVERRIDE_H
#define CORE_CONF_OVERRIDE_H

#include "core/base/arena.h"
#include "core/base/json.h"

enum override_origin { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_ENV, ORIGIN_FLAG };

struct override {
    char path[JSON_PATH_MAX]; /* "/limits/max_requests" */
    const struct json_field *field;
    const char *name;   /* as the person wrote it: "--limits.max-requests" */
    struct json *value; /* private */
    enum override_origin origin;
};

struct overrides;

struct overrides *overrides_create(const struct json_schema *schema);
void overrides_destroy(struct overrides **o);

/** Is `name` ("limits.max-requests", "limits.max_requests") a key? *takes_value is false for
 *  booleans, which may stand without one. Otherwise false, and *suggestion (may be NULL; borrowed
 * from `o` until the next call) is the nearest key as a flag, or NULL. */
must_check bool overrides_has(struct overrides *o, struct str name, bool *takes_value,
                              const char **suggestion);
/** A flag. `value` NULL: true. USAGE: no such key (with a suggestion), or the text does not fit. */
must_check enum status overrides_flag(struct overrides *o, struct str name, const char *value,
                                      struct err *e);
/** All FLEET_* variables of `env` ("K=V", NULL-terminated) that name a key. INVALID: a text that
 * does not fit, or a name that is one or two slips away from a key's (others are somebody else's).
 * A flag for the same key is kept. */
must_check enum status overrides_env(struct overrides *o, const char *const *env, struct err *e);

/** Lays them over a tree, making objects on the way. */
void overrides_apply(const struct overrides *o, struct json *tree);
/** The one that governs a path of an error (it or a part of it), or NULL. Borrowed. */
const struct override *overrides_at(const struct overrides *o, const char *path);

/** Calls fn for each leaf of a schema in order: its path "/a/b", its field. */
void schema_walk(const struct json_schema *schema,
                 void (*fn)(void *arg, const char *path, const struct json_field *f), void *arg);
/** "/limits/max_requests" -> "limits.max-requests"; returns out. */
char *override_flag_name(const char *path, char out[JSON_PATH_MAX]);

#endif
