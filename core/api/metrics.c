#include "core/api/metrics.h"

#include <string.h>

#include "core/base/attr.h"
#include "reaper/level.h"

/* A family of samples: one number of the status, or one of each object of a list. */
struct family {
    const char *name, *type, *help;
    const char *key; /* where the number stands, in the row */
};

static void begin(struct buf *b, const struct family *f)
{
    buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, f->type);
}

/* A label's value: backslash, quote and line feed are escaped. */
static void add_value(struct buf *b, const char *text)
{
    for (; *text; text++)
        if (*text == '\n')
            buf_adds(b, "\\n");
        else if (*text == '\\' || *text == '"')
            buf_addf(b, "\\%c", *text);
        else
            buf_addc(b, *text);
}

/* labels: pairs of name and value, ended by NULL. */
static void sample(struct buf *b, const char *name, const char *const *labels, double value)
{
    const char *between = "{";

    buf_adds(b, name);
    for (; labels[0]; labels += 2) {
        buf_addf(b, "%s%s=\"", between, labels[0]);
        add_value(b, labels[1]);
        buf_adds(b, "\"");
        between = ",";
    }
    buf_addf(b, "%s %.15g\n", *between == ',' ? "}" : "", value);
}

static double num(const struct json *j)
{
    return json_num(j, 0);
}

static const char *text_of(const struct json *j, const char *key)
{
    return json_str(json_get(j, key), "");
}

/* --- the engine --- */

static const struct family engine_families[] = {
    {"fleet_members", "gauge", "Members of the fleet.", "members"},
    {"fleet_slots", "gauge", "Slots there are.", "slots"},
    {"fleet_slots_admitted", "gauge",
     "Slots that may be in use: fewer than there are under pressure of memory or processors.",
     "admitted"},
    {"fleet_slots_busy", "gauge", "Slots with a task.", "busy"},
    {"fleet_receipts_total", "counter", "Receipts of the audit log, by this process.", "receipts"},
};

static const struct family total_families[] = {
    {"fleet_attempts_total", "counter", "Attempts at tasks that were begun.", "attempts"},
    {"fleet_retries_total", "counter", "Attempts after the first.", "retries"},
    {"fleet_ops_total", "counter", "Operations that passed the gate.", "ops"},
    {"fleet_ops_failed_total", "counter", "Operations that failed.", "ops_failed"},
    {"fleet_proxy_rotations_total", "counter", "Changes of a member's proxy.", "rotations"},
    {"fleet_identities_rotated_total", "counter", "Changes of a member's identity.",
     "identities_rotated"},
};

static void each_key(struct buf *b, const struct json *row, const struct family *f, size_t n)
{
    static const char *const none[] = {NULL};

    for (size_t i = 0; i < n; i++) {
        const struct json *v = json_get(row, f[i].key);

        if (!v)
            continue;
        begin(b, &f[i]);
        sample(b, f[i].name, none, num(v));
    }
}

/* An object of numbers: its keys become values of `label`. */
static void by_key(struct buf *b, const struct json *object, const struct family *f,
                   const char *label)
{
    if (json_len(object) == 0)
        return;
    begin(b, f);
    for (const struct json *v = json_first(object); v; v = json_next(v)) {
        const char *labels[] = {label, json_key(v), NULL};

        sample(b, f->name, labels, num(v));
    }
}

static void write_engine(struct buf *b, const struct json *status)
{
    static const struct family now = {"fleet_tasks", "gauge", "Tasks that are not over.", NULL};
    static const struct family over = {"fleet_tasks_total", "counter", "Tasks that are over.",
                                       NULL};
    const struct json *engine = json_get(status, "engine");
    const struct json *totals = json_get(engine, "totals");

    each_key(b, engine, engine_families, ARRAY_LEN(engine_families));
    by_key(b, json_get(engine, "tasks"), &now, "state");
    by_key(b, json_get(totals, "tasks"), &over, "state");
    each_key(b, totals, total_families, ARRAY_LEN(total_families));
}

/* --- lists --- */

static const struct family target_families[] = {
    {"fleet_target_ops_total", "counter", "Operations on a target.", "ops"},
    {"fleet_target_ops_failed_total", "counter", "Operations on a target that failed.",
     "ops_failed"},
    {"fleet_target_hits_429_total", "counter", "Answers 429.", "hits_429"},
    {"fleet_target_hits_403_total", "counter", "Answers 403.", "hits_403"},
    {"fleet_target_hits_captcha_total", "counter", "CAPTCHAs met.", "hits_captcha"},
};

static const struct family instance_families[] = {
    {"fleet_instance_memory_bytes", "gauge", "Memory of a browser instance (PSS).", "memory_bytes"},
    {"fleet_instance_processes", "gauge", "Processes of a browser instance.", "processes"},
    {"fleet_instance_pages", "gauge", "Pages that an instance has shown.", "pages"},
    {"fleet_instance_leases", "gauge", "Members at work on an instance.", "leases"},
};

static void each_row(struct buf *b, const struct json *rows, const struct family *f, size_t n,
                     const char *label, const char *key)
{
    for (size_t i = 0; i < n && json_len(rows) > 0; i++) {
        begin(b, &f[i]);
        for (const struct json *r = json_first(rows); r; r = json_next(r)) {
            const char *labels[] = {label, text_of(r, key), NULL};

            if (json_get(r, f[i].key))
                sample(b, f[i].name, labels, num(json_get(r, f[i].key)));
        }
    }
}

static void write_breakers(struct buf *b, const struct json *targets)
{
    static const struct family f = {"fleet_target_breaker_open", "gauge",
                                    "1: the target's breaker is open.", NULL};

    if (json_len(targets) == 0)
        return;
    begin(b, &f);
    for (const struct json *t = json_first(targets); t; t = json_next(t)) {
        const char *labels[] = {"target", text_of(t, "target"), NULL};

        sample(b, f.name, labels, strcmp(text_of(t, "breaker"), "open") == 0);
    }
}

/* --- the level of the sandbox --- */

static bool has_word(const struct json *words, const char *word)
{
    for (const struct json *w = json_first(words); w; w = json_next(w))
        if (strcmp(json_str(w, ""), word) == 0)
            return true;
    return false;
}

/* It has started: until then it is on no layer, and no member is on it. */
static bool is_known(const struct json *instance)
{
    return json_len(json_get(instance, "layers")) > 0;
}

/* A row for each layer there is, 1 or 0: what a member lacks is to be seen, not to be missed. */
static void write_layers(struct buf *b, const struct json *instances)
{
    static const struct family layer = {
        "fleet_sandbox_layer", "gauge",
        "1: the instance, and every member on it, runs inside this layer of the sandbox.", NULL};
    static const struct family guarantee = {
        "fleet_sandbox_guarantee", "gauge",
        "1: what guarantees that the instance ends with its controller.", NULL};

    if (json_len(instances) == 0)
        return;
    begin(b, &layer);
    for (const struct json *i = json_first(instances); i; i = json_next(i))
        for (unsigned l = 0; l < REAPER_LAYER_COUNT && is_known(i); l++) {
            const char *name = reaper_layer_name((enum reaper_layer)l);
            const char *labels[] = {"instance", text_of(i, "name"), "layer", name, NULL};

            sample(b, layer.name, labels, has_word(json_get(i, "layers"), name));
        }
    begin(b, &guarantee);
    for (const struct json *i = json_first(instances); i; i = json_next(i)) {
        const char *labels[] = {"instance", text_of(i, "name"), "guarantee",
                                text_of(i, "guarantee"), NULL};

        if (is_known(i))
            sample(b, guarantee.name, labels, 1);
    }
}

void metrics_write(const struct json *status, struct buf *out)
{
    const struct json *targets = json_get(status, "targets");
    const struct json *instances = json_get(json_get(status, "executor"), "instances");

    write_engine(out, status);
    each_row(out, targets, target_families, ARRAY_LEN(target_families), "target", "target");
    write_breakers(out, targets);
    each_row(out, instances, instance_families, ARRAY_LEN(instance_families), "instance", "name");
    write_layers(out, instances);
}
