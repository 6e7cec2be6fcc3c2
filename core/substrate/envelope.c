/* The envelope of events: written by hand, member by member in RFC 8785 order, since it is written
 * for each event; taken apart by the JSON parser, since it may come from anywhere. */
#include "core/substrate/substrate_internal.h"

#include "core/base/jcs.h"
#include "core/record/eventlog.h"

#include <inttypes.h>

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool envelope_is_type(const char *z)
{
    size_t words = 0, in_word = 0, n = 0;

    if (!z)
        return false;
    for (; z[n]; n++) {
        if (n >= SUBSTRATE_NAME_MAX || (!is_word_char(z[n]) && z[n] != '.'))
            return false;
        if (z[n] == '.' && in_word == 0)
            return false;
        words += z[n] == '.';
        in_word = z[n] == '.' ? 0 : in_word + 1;
    }
    return words >= 1 && in_word > 0;
}

/* --- writing --- */

static void add_meta_str(struct buf *out, const char *key, const char *z)
{
    buf_addf(out, ",\"fleet/%s\":", key);
    jcs_add_str(out, str_from(z));
}

static void add_meta(const struct substrate_envelope *v, struct buf *out)
{
    buf_adds(out, "{");
    if (v->clamped)
        buf_adds(out, "\"fleet/clamped\":true,");
    buf_addf(out, "\"fleet/hlc\":[%" PRIu64 ",%" PRIu32 "]", v->at.ms, v->at.counter);
    if (v->id)
        add_meta_str(out, "id", v->id);
    add_meta_str(out, "node", v->node);
    if (v->has_origin)
        buf_addf(out, ",\"fleet/origin\":[%" PRIu64 ",%" PRIu32 "]", v->origin.ms,
                 v->origin.counter);
    if (v->policy)
        add_meta_str(out, "policy", v->policy);
    buf_addc(out, '}');
}

void envelope_write(const struct substrate_envelope *v, struct buf *out)
{
    buf_adds(out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/fleet/");
    for (const char *p = v->type; *p; p++)
        buf_addc(out, (char)(*p == '.' ? '/' : *p));
    buf_adds(out, "\",\"params\":{\"_meta\":");
    add_meta(v, out);
    buf_adds(out, ",\"data\":");
    buf_addstr(out, v->data.len > 0 ? v->data : STR("{}"));
    if (v->subject) {
        buf_adds(out, ",\"subject\":");
        jcs_add_str(out, str_from(v->subject));
    }
    buf_adds(out, ",\"type\":");
    jcs_add_str(out, str_from(v->type));
    buf_adds(out, "}}");
}

/* --- taking apart --- */

static enum status refuse(struct err *e, const char *where, const char *expected)
{
    return err_set(e, STATUS_INVALID, "event envelope: %s: expected %s", where, expected);
}

/* A name that may be absent. */
static enum status take_name(const struct json *meta, const char *key, bool required,
                             struct arena *a, const char **out, struct err *e)
{
    const struct json *j = json_get(meta, key);
    const char *z = json_str(j, NULL);

    *out = NULL;
    if (!j && !required)
        return STATUS_OK;
    if (!substrate_is_name(z))
        return refuse(e, key, "a name: 1..200 printable ASCII characters without spaces");
    *out = arena_strdup(a, z);
    return STATUS_OK;
}

static enum status take_time(const struct json *meta, const char *key, struct hlc_time *out,
                             struct err *e)
{
    const struct json *j = json_get(meta, key);
    const struct json *first = json_type(j) == JSON_ARRAY ? json_first(j) : NULL;
    int64_t ms = json_int(first, -1);
    int64_t counter = first ? json_int(json_next(first), -1) : -1;

    if (ms < 0 || counter < 0 || counter > HLC_MAX_COUNTER || json_len(j) != 2)
        return refuse(e, key, "[milliseconds, counter 0..16777215]");
    *out = (struct hlc_time){(uint64_t)ms, (uint32_t)counter};
    return STATUS_OK;
}

/* "notifications/fleet/task/succeeded" is the method of "task.succeeded". */
static bool method_fits(const char *method, const char *type)
{
    static const char prefix[] = "notifications/fleet/";
    size_t n = sizeof(prefix) - 1;

    if (!method || strncmp(method, prefix, n) != 0 || strlen(method + n) != strlen(type))
        return false;
    for (size_t i = 0; type[i]; i++)
        if (method[n + i] != (type[i] == '.' ? '/' : type[i]))
            return false;
    return true;
}

static enum status take_meta(const struct json *meta, struct arena *a,
                             struct substrate_envelope *out, struct err *e)
{
    const struct json *policy = json_get(meta, "fleet/policy");
    enum status s = take_time(meta, "fleet/hlc", &out->at, e);

    if (s == STATUS_OK)
        s = take_name(meta, "fleet/node", true, a, &out->node, e);
    if (s == STATUS_OK)
        s = take_name(meta, "fleet/id", false, a, &out->id, e);
    out->has_origin = json_get(meta, "fleet/origin") != NULL;
    if (s == STATUS_OK && out->has_origin)
        s = take_time(meta, "fleet/origin", &out->origin, e);
    if (s == STATUS_OK && policy) {
        if (json_type(policy) != JSON_STRING)
            return refuse(e, "fleet/policy", "a string");
        out->policy = arena_strdup(a, json_str(policy, ""));
    }
    out->clamped = json_bool(json_get(meta, "fleet/clamped"), false);
    return s;
}

static enum status take_data(const struct json *data, struct arena *a, struct str *out,
                             struct err *e)
{
    struct buf text = BUF_INIT(EVENT_BODY_MAX);
    enum status s = STATUS_OK;

    *out = STR("{}");
    if (!data)
        return STATUS_OK;
    if (json_type(data) != JSON_OBJECT)
        return refuse(e, "data", "an object");
    s = jcs_write(data, &text, e);
    if (s == STATUS_OK)
        *out = arena_str(a, buf_str(&text));
    buf_deinit(&text);
    return s;
}

static enum status take_params(const struct json *j, struct arena *a,
                               struct substrate_envelope *out, struct err *e)
{
    const struct json *params = json_get(j, "params");
    const struct json *subject = json_get(params, "subject");
    const char *type = json_str(json_get(params, "type"), NULL);
    enum status s;

    if (!envelope_is_type(type))
        return refuse(e, "type", "words of [a-z0-9_-] parted by dots, such as \"task.succeeded\"");
    out->type = arena_strdup(a, type);
    if (!method_fits(json_str(json_get(j, "method"), NULL), type))
        return refuse(e, "method", "\"notifications/fleet/\" and the type with / for dots");
    if (subject && !substrate_is_name(json_str(subject, NULL)))
        return refuse(e, "subject", "a name: 1..200 printable ASCII characters without spaces");
    out->subject = subject ? arena_strdup(a, json_str(subject, "")) : NULL;
    s = take_meta(json_get(params, "_meta"), a, out, e);
    return s == STATUS_OK ? take_data(json_get(params, "data"), a, &out->data, e) : s;
}

enum status substrate_envelope_decode(struct str text, struct arena *a,
                                      struct substrate_envelope *out, struct err *e)
{
    struct json *j = NULL;
    enum status s = STATUS_OK;

    *out = (struct substrate_envelope){.type = NULL};
    if (text.len > EVENT_BODY_MAX)
        return err_set(e, STATUS_TOO_LARGE, "event envelope: %zu bytes, the limit is %d", text.len,
                       EVENT_BODY_MAX);
    j = json_parse(text, true, e);
    if (!j) {
        if (e)
            err_prefix(e, "event envelope");
        return e ? e->status : STATUS_INVALID;
    }
    if (!str_eqz(str_from(json_str(json_get(j, "jsonrpc"), "")), "2.0"))
        s = refuse(e, "jsonrpc", "\"2.0\"");
    else if (json_get(j, "id"))
        s = refuse(e, "id", "none: a notification has no id");
    else
        s = take_params(j, a, out, e);
    json_destroy(&j);
    return s;
}
