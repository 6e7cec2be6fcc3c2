/* What can be asked of a batch, and how one is made from JSON. */
#include "core/coord/batch.h"

#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/work.h"
#include "core/coord/engine_internal.h"

const char *batch_state_name(enum batch_state s)
{
    static const char *const names[] = {
        [BATCH_PENDING] = "pending",     [BATCH_PROCESSING] = "processing",
        [BATCH_COMPLETED] = "completed", [BATCH_FAILED] = "failed",
        [BATCH_PARTIAL] = "partial",     [BATCH_CANCELLED] = "cancelled",
    };
    _Static_assert(ARRAY_LEN(names) == BATCH_STATE_COUNT, "a name for each state");

    BUG_ON((unsigned)s >= BATCH_STATE_COUNT);
    return names[s];
}

bool batch_is_over(enum batch_state s)
{
    return s >= BATCH_COMPLETED;
}

/* --- one batch --- */

enum batch_state batch_state(const struct batch *b)
{
    return b->state;
}

const char *batch_id(const struct batch *b)
{
    return b->id;
}

void batch_info(const struct batch *b, struct batch_info *out)
{
    uint64_t left = b->total - b->finished;

    *out = (struct batch_info){
        .id = b->id,
        .name = b->name,
        .key = b->key,
        .state = b->state,
        .coordinator = b->coordinator,
        .priority = b->priority,
        .total = b->total,
        .finished = b->finished,
        .succeeded = b->succeeded,
        .failed = b->finished - b->succeeded,
        .running = b->running,
        .waiting = left > b->running + b->n_settling ? left - b->running - b->n_settling : 0,
        .progress = b->total ? (double)b->finished / (double)b->total : 1,
        .opened_wall_ms = b->opened_ms,
        .closed_wall_ms = b->closed_ms,
        .cancelling = b->cancelling,
        .resumed = b->resumed,
        .brings_engine = b->brings_engine,
    };
    snprintf(out->open, sizeof(out->open), "%s", b->open);
    snprintf(out->close, sizeof(out->close), "%s", b->close);
}

static void add_time(struct json *j, const char *name, uint64_t wall_ms)
{
    char text[CLOCK_RFC3339_MAX];

    json_add_str(j, name, wall_ms ? clock_rfc3339(wall_ms, text) : NULL);
}

struct json *batch_to_json(const struct batch *b)
{
    struct json *j = json_new_object();
    struct batch_info i;

    batch_info(b, &i);
    json_add_str(j, "id", i.id);
    json_add_str(j, "name", i.name);
    json_add_str(j, "key", i.key);
    json_add_str(j, "state", batch_state_name(i.state));
    json_add_str(j, "coordinator", coordinator_names[i.coordinator]);
    json_add_num(j, "priority", i.priority);
    json_add_num(j, "total", (double)i.total);
    json_add_num(j, "finished", (double)i.finished);
    json_add_num(j, "completed", (double)i.succeeded);
    json_add_num(j, "failed", (double)i.failed);
    json_add_num(j, "running", (double)i.running);
    json_add_num(j, "waiting", (double)i.waiting);
    json_add_num(j, "progress", i.progress);
    add_time(j, "opened", i.opened_wall_ms);
    add_time(j, "closed", i.closed_wall_ms);
    json_add_bool(j, "cancelling", i.cancelling);
    json_add_bool(j, "resumed", i.resumed);
    json_add_str(j, "open_receipt", i.open[0] ? i.open : NULL);
    return json_add_str(j, "close_receipt", i.close[0] ? i.close : NULL);
}

struct json *batch_summary(const struct batch *b)
{
    struct json *j = b->summary ? json_parse(str_from(b->summary), false, NULL) : NULL, *counts,
                *errors, *targets, *tasks;

    if (j)
        return j;
    j = json_new_object();
    json_add_str(j, "batch", b->id);
    json_add_str(j, "name", b->name);
    json_add_str(j, "state", batch_state_name(b->state));
    json_add_num(j, "total", b->total);
    json_add_num(j, "finished", (double)b->finished);
    json_add_num(j, "completed", (double)b->succeeded);
    json_add_num(j, "failed", (double)(b->finished - b->succeeded));
    json_add(j, "success_rate",
             b->finished ? json_new_num((double)b->succeeded / (double)b->finished)
                         : json_new_null());
    if (!b->has_tally)
        return j;
    counts = tally_to_json(&b->tally);
    tasks = json_take(counts, "tasks");
    errors = json_take(counts, "errors");
    targets = json_take(counts, "targets");
    json_destroy(&counts);
    json_add(j, "tasks", tasks);
    json_add_num(j, "attempts", (double)b->tally.attempts);
    json_add_num(j, "retries", (double)b->tally.retries);
    json_add(j, "duration_ms", tally_durations_json(&b->tally));
    json_add(j, "errors", errors);
    return json_add(j, "targets", targets);
}

/* --- pages of results --- */

struct paging {
    struct loop *loop;
    char *path;
    uint32_t n;
    uint64_t from;
    size_t max;
    struct buf text;
    size_t *ends;
    size_t n_lines;
    uint64_t next;
    enum status status;
    struct err err;
    batch_page_fn *done;
    void *arg;
};

static void read_page(void *arg)
{
    struct paging *p = arg;

    if (p->n == 0)
        p->status = err_set(&p->err, STATUS_NOT_FOUND, "there is no such batch");
    else
        p->status = store_read_page(p->path, p->n, p->from, p->max, &p->text, p->ends, &p->n_lines,
                                    &p->next, &p->err);
}

static void page_read(void *arg)
{
    struct paging *p = arg;
    struct str *lines = xcalloc(p->n_lines + 1, sizeof(*lines));
    struct batch_page page = {.lines = lines, .n = p->n_lines, .next = p->next};
    size_t from = 0;

    for (size_t i = 0; i < p->n_lines; i++) {
        lines[i] = str_n(p->text.ptr + from, p->ends[i] - from);
        from = p->ends[i] + 1;
    }
    p->done(p->arg, p->status, p->status == STATUS_OK ? &page : NULL, &p->err);
    free(lines);
    buf_deinit(&p->text);
    free(p->ends);
    free(p->path);
    free(p);
}

void engine_results(struct engine *e, const char *id, uint64_t from, size_t max,
                    batch_page_fn *done, void *arg)
{
    struct paging *p = xcalloc(1, sizeof(*p));
    const struct batch *b = engine_find(e, id);

    BUG_ON(max < 1 || max > BATCH_PAGE_MAX || !e->logdb);
    *p = (struct paging){
        .loop = e->loop,
        .path = xstrdup(logdb_path(e->logdb)),
        .n = b ? b->n : 0,
        .from = from,
        .max = max,
        .ends = xcalloc(max, sizeof(*p->ends)),
        .done = done,
        .arg = arg,
    };
    buf_init(&p->text, STORE_TEXT_MAX);
    work_submit(e->loop, read_page, page_read, p);
}

/* --- a batch from JSON --- */

static const char *const spec_keys[] = {"name", "key",    "priority", "coordinator",
                                        "flow", "stages", "targets"};

struct reading {
    const struct engine *engine;
    struct arena *arena;
    struct json *doc; /* what was given, then what is decoded */
    struct buf *errors;
};

static bool is_spec_key(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(spec_keys); i++) {
        if (strcmp(spec_keys[i], name) == 0)
            return true;
    }
    return false;
}

static void check_keys(const struct reading *r)
{
    for (const struct json *c = json_first(r->doc); c; c = json_next(c)) {
        const char *name = json_key(c), *near;

        if (is_spec_key(name))
            continue;
        near = str_suggest(str_from(name), spec_keys, ARRAY_LEN(spec_keys));
        buf_addf(r->errors,
                 "batch: /%s: unknown%s%s%s; a batch has name, key, priority, "
                 "coordinator, flow or stages, and targets\n",
                 name, near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
    }
}

/* Key and priority: of the batch, not of the campaign. */
static void take_own(struct reading *r, struct batch_spec *out)
{
    struct json *key = json_take(r->doc, "key"), *priority = json_take(r->doc, "priority");
    const char *text = json_str(key, NULL);
    int64_t p = json_int(priority, TASK_PRIORITY_MAX + 1);

    if (text && text[0] && strlen(text) <= BATCH_KEY_MAX)
        out->key = arena_strdup(r->arena, text);
    else if (key && json_type(key) != JSON_NULL)
        buf_addf(r->errors, "batch: /key: found %s, expected a string of 1..%d bytes\n",
                 json_type_name(json_type(key)), (int)BATCH_KEY_MAX);
    if (priority && (p < -TASK_PRIORITY_MAX || p > TASK_PRIORITY_MAX))
        buf_addf(r->errors, "batch: /priority: expected an integer, %d..%d\n", -TASK_PRIORITY_MAX,
                 TASK_PRIORITY_MAX);
    else if (priority)
        out->priority = (int16_t)p;
    json_destroy(&key);
    json_destroy(&priority);
}

/* What the engine lays down for all its batches. */
static void add_engine_keys(const struct reading *r)
{
    struct json *conf = campaign_to_json(r->engine->conf), *members = json_new_object();

    json_add_num(members, "count", (double)r->engine->members.n);
    json_add(r->doc, "members", members);
    json_add(r->doc, "limits", json_take(conf, "limits"));
    json_add(r->doc, "policy", json_take(conf, "policy"));
    if (!json_get(r->doc, "name"))
        json_add_str(r->doc, "name", "batch");
    json_destroy(&conf);
}

static enum status read_conf(struct reading *r, struct campaign_conf *conf, struct err *er)
{
    struct campaign_files from = {0};
    const struct campaign_source source = {
        .from = &from,
        .executor = r->engine->opts.kit->executor,
    };
    struct buf text = BUF_INIT((size_t)BATCH_SPEC_MAX * 2);
    enum status s;

    json_print(r->doc, 0, &text);
    if (buf_status(&text) != STATUS_OK) {
        s = err_set(er, STATUS_TOO_LARGE, "a batch of more than %d bytes", (int)BATCH_SPEC_MAX);
    } else {
        campaign_files_add(r->arena, &from, "batch", arena_str(r->arena, buf_str(&text)));
        s = campaign_load_from(r->arena, &source, conf, r->errors, er);
    }
    buf_deinit(&text);
    return s;
}

static enum status first_line(const struct buf *errors, struct err *er)
{
    struct str rest = buf_str(errors), first = str_cut(&rest, '\n');

    return err_set(er, STATUS_INVALID, "%.*s%s", STR_ARG(first),
                   rest.ptr && rest.len > 0 ? " (and more)" : "");
}

static enum status decode(struct reading *r, struct str json, struct batch_spec *out,
                          struct err *er)
{
    struct campaign_conf *conf = arena_new(r->arena, struct campaign_conf);
    struct campaign_files *files = arena_new(r->arena, struct campaign_files);
    enum status s;

    check_keys(r);
    take_own(r, out);
    add_engine_keys(r);
    s = read_conf(r, conf, er);
    if (r->errors->len > 0)
        s = first_line(r->errors, er);
    campaign_files_add(r->arena, files, "batch", arena_str(r->arena, json));
    out->conf = conf;
    out->files = files;
    return s;
}

enum status batch_spec_decode(const struct engine *e, struct str json, struct batch_spec *out,
                              struct buf *errors, struct err *er)
{
    struct reading r = {.engine = e, .errors = errors};
    enum status s = STATUS_OK;

    *out = (struct batch_spec){0};
    if (json.len > BATCH_SPEC_MAX)
        return err_set(er, STATUS_TOO_LARGE, "a batch of %zu bytes, expected at most %d", json.len,
                       (int)BATCH_SPEC_MAX);
    r.doc = json_parse(json, true, er);
    if (!r.doc || json_type(r.doc) != JSON_OBJECT) {
        if (r.doc)
            err_set(er, STATUS_INVALID, "found %s, expected an object",
                    json_type_name(json_type(r.doc)));
        json_destroy(&r.doc);
        err_prefix(er, "batch");
        buf_addf(errors, "%s\n", er ? err_text(er) : "batch: no JSON");
        return er ? er->status : STATUS_INVALID;
    }
    r.arena = out->arena = arena_create(NULL, 0);
    s = decode(&r, json, out, er);
    json_destroy(&r.doc);
    if (s != STATUS_OK)
        batch_spec_deinit(out);
    return s;
}

void batch_spec_deinit(struct batch_spec *s)
{
    arena_destroy(&s->arena);
    *s = (struct batch_spec){0};
}
