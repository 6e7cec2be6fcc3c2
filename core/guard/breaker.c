#include "core/guard/breaker.h"

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/map.h"

/* The window is a ring of slices: SLICES counters of window/SLICES milliseconds each, so that a
 * sample costs the same however many there are. What is in the oldest slice leaves together, a
 * sixtieth of the window at a time. */
enum { SLICES = 60, STORE_VERSION = 1, STORE_MAX_BYTES = 16 * 1024 * 1024 };

struct slice {
    uint64_t number; /* now_ms / slice_ms of its samples */
    uint32_t samples, failures;
};

struct breaker_target {
    char *name;
    bool open;
    uint64_t opened_wall_ms;
    uint32_t open_samples, open_failures;
    enum status why;
    struct slice *ring; /* SLICES of them, from the first sample on; NULL: none yet */
};

struct breaker {
    struct breaker_conf conf;
    uint64_t slice_ms;
    char *path; /* NULL: kept nowhere */
    struct map *targets;
};

static void target_free(void *p)
{
    struct breaker_target *t = p;

    free(t->name);
    free(t->ring);
    free(t);
}

static struct breaker_target *target_get(struct breaker *b, struct str name)
{
    struct breaker_target *t = map_find(b->targets, name);

    if (t == NULL) {
        t = xcalloc(1, sizeof *t);
        t->name = xcalloc(1, name.len + 1);
        memcpy(t->name, name.ptr, name.len);
        map_put(b->targets, name, t);
    }
    return t;
}

/* --- the file --- */

struct stored {
    const char *target;
    int64_t opened_ms;
    uint32_t samples, failures;
    const char *why;
};

struct stored_file {
    int64_t version;
    struct json_objects open;
};

static const struct json_field stored_fields[] = {
    {JF_COMMON(struct stored, target), .kind = JK_STR, .required = true, .min = 1, .max = 255},
    {JF_COMMON(struct stored, opened_ms), .kind = JK_INT, .required = true, .min = 1,
     .max = INT64_C(1) << 52},
    {JF_COMMON(struct stored, samples), .kind = JK_UINT},
    {JF_COMMON(struct stored, failures), .kind = JK_UINT},
    {JF_COMMON(struct stored, why), .kind = JK_STR},
};
static const struct json_schema stored_schema = {
    .name = "open breaker",
    .fields = stored_fields,
    .n = ARRAY_LEN(stored_fields),
    .size = sizeof(struct stored),
};
static const struct json_field file_fields[] = {
    {JF_COMMON(struct stored_file, version), .kind = JK_INT, .required = true, .min = STORE_VERSION,
     .max = STORE_VERSION},
    {JF_COMMON(struct stored_file, open), .kind = JK_OBJECTS, .required = true,
     .sub = &stored_schema},
};
static const struct json_schema file_schema = {
    .name = "breakers",
    .fields = file_fields,
    .n = ARRAY_LEN(file_fields),
    .size = sizeof(struct stored_file),
};

static enum status store_decode(struct breaker *b, const struct json *j, struct err *e)
{
    struct arena *a = arena_create(NULL, STORE_MAX_BYTES);
    struct stored_file f = {0};
    struct json_decode d;
    enum status s;

    json_decode_init(&d, a, NULL);
    json_decode(&d, &file_schema, j, &f);
    s = json_decode_status(&d, b->path, e);
    for (size_t i = 0; s == STATUS_OK && i < f.open.n; i++) {
        const struct stored *in = (const struct stored *)f.open.v + i;
        struct breaker_target *t = target_get(b, str_from(in->target));

        t->open = true;
        t->opened_wall_ms = (uint64_t)in->opened_ms;
        t->open_samples = in->samples;
        t->open_failures = in->failures;
        if (in->why == NULL || !status_find(in->why, &t->why))
            t->why = STATUS_UNAVAILABLE;
    }
    arena_destroy(&a);
    return s;
}

static enum status store_read(struct breaker *b, struct err *e)
{
    struct buf text = BUF_INIT(STORE_MAX_BYTES);
    struct json *j = NULL;
    enum status s = file_read(b->path, &text, e);

    if (s == STATUS_NOT_FOUND) {
        err_clear(e);
        buf_deinit(&text);
        return STATUS_OK;
    }
    if (s == STATUS_OK) {
        j = json_parse(buf_str(&text), true, e);
        s = j != NULL ? store_decode(b, j, e) : STATUS_INVALID;
        /* Guessing which targets were open would open a way round: nothing runs until a person has
         * looked. */
        if (s != STATUS_OK)
            err_set(
                e, STATUS_CORRUPT,
                "%s is damaged, so it is not known which targets' breakers are open: mend it, or "
                "remove it to close them all",
                b->path);
        s = s != STATUS_OK ? STATUS_CORRUPT : STATUS_OK;
    }
    json_destroy(&j);
    buf_deinit(&text);
    return s;
}

static enum status store_write(const struct breaker *b, struct err *e)
{
    struct buf text = BUF_INIT(STORE_MAX_BYTES);
    struct json *root, *open;
    struct breaker_target *t;
    enum status s;
    size_t it = 0;

    if (b->path == NULL)
        return STATUS_OK;
    open = json_new_array();
    while ((t = map_next(b->targets, &it, NULL)) != NULL) {
        struct json *o;

        if (!t->open)
            continue;
        o = json_new_object();
        json_add_str(o, "target", t->name);
        json_add_num(o, "opened_ms", (double)t->opened_wall_ms);
        json_add_num(o, "samples", t->open_samples);
        json_add_num(o, "failures", t->open_failures);
        json_add_str(o, "why", status_name(t->why));
        json_push(open, o);
    }
    root = json_new_object();
    json_add_num(root, "version", STORE_VERSION);
    json_add(root, "open", open);
    json_print(root, 2, &text);
    buf_addc(&text, '\n');
    s = buf_status(&text);
    if (s == STATUS_OK)
        s = file_replace(b->path, buf_str(&text), 0600, e);
    json_destroy(&root);
    buf_deinit(&text);
    return s;
}

/* --- the calls --- */

enum status breaker_open_store(const struct breaker_conf *c, const char *state_dir,
                               struct breaker **out, struct err *e)
{
    struct breaker *b;
    enum status s = STATUS_OK;

    *out = NULL;
    if (!(c->failure_rate > 0 && c->failure_rate <= 1) || c->window_ms < SLICES ||
        c->min_samples == 0)
        return err_set(e, STATUS_INVALID,
                       "breaker: expected failure_rate above 0 up to 1, window_ms of at least %d, "
                       "min_samples of at least 1",
                       SLICES);
    b = xcalloc(1, sizeof *b);
    b->conf = *c;
    b->slice_ms = c->window_ms / SLICES;
    b->targets = map_create();
    if (state_dir != NULL) {
        b->path = file_join(state_dir, "breakers.json");
        s = store_read(b, e);
    }
    if (s != STATUS_OK) {
        breaker_close_store(&b);
        return s;
    }
    *out = b;
    return STATUS_OK;
}

void breaker_close_store(struct breaker **bp)
{
    if (*bp == NULL)
        return;
    map_destroy(&(*bp)->targets, target_free);
    free((*bp)->path);
    free(*bp);
    *bp = NULL;
}

bool breaker_allow(struct breaker *b, struct str target)
{
    const struct breaker_target *t = map_find(b->targets, target);

    return t == NULL || !t->open;
}

const struct breaker_target *breaker_target(struct breaker *b, struct str target)
{
    return target_get(b, target);
}

bool breaker_target_allow(const struct breaker_target *t)
{
    return !t->open;
}

static void window_sum(const struct breaker *b, const struct breaker_target *t, uint64_t now_ms,
                       uint32_t *samples, uint32_t *failures)
{
    uint64_t number = now_ms / b->slice_ms;

    *samples = *failures = 0;
    for (size_t i = 0; t->ring != NULL && i < SLICES; i++) {
        const struct slice *s = &t->ring[i];

        if (s->number + SLICES <= number || s->number > number)
            continue;
        *samples += s->samples;
        *failures += s->failures;
    }
}

static void target_open(struct breaker *b, struct breaker_target *t, uint32_t samples,
                        uint32_t failures, uint64_t wall_ms, struct err *e)
{
    t->open = true;
    t->opened_wall_ms = wall_ms > 0 ? wall_ms : 1;
    t->open_samples = samples;
    t->open_failures = failures;
    if (store_write(b, e) != STATUS_OK)
        err_prefix(e, "the breaker of %s is open, but that could not be saved", t->name);
}

bool breaker_record(struct breaker *b, struct str target, bool failed, enum status why,
                    uint64_t now_ms, uint64_t wall_ms, struct err *e)
{
    struct breaker_target *t = target_get(b, target);
    uint64_t number = now_ms / b->slice_ms;
    uint32_t samples, failures;
    struct slice *s;

    err_clear(e);
    if (t->open)
        return false;
    if (t->ring == NULL)
        t->ring = xcalloc(SLICES, sizeof *t->ring);
    s = &t->ring[number % SLICES];
    if (s->number != number)
        *s = (struct slice){.number = number};
    s->samples++;
    if (failed) {
        s->failures++;
        t->why = why;
    }
    window_sum(b, t, now_ms, &samples, &failures);
    if (samples < b->conf.min_samples ||
        (double)failures <= b->conf.failure_rate * (double)samples + 1e-9)
        return false;
    target_open(b, t, samples, failures, wall_ms, e);
    return true;
}

bool breaker_trip(struct breaker *b, struct str target, enum status why, uint64_t now_ms,
                  uint64_t wall_ms, struct err *e)
{
    struct breaker_target *t = target_get(b, target);
    uint32_t samples, failures;

    err_clear(e);
    if (t->open)
        return false;
    t->why = why;
    window_sum(b, t, now_ms, &samples, &failures);
    target_open(b, t, samples, failures, wall_ms, e);
    return true;
}

enum status breaker_reset(struct breaker *b, struct str target, struct err *e)
{
    struct breaker_target *t = map_find(b->targets, target);
    enum status s;

    if (t == NULL || !t->open)
        return err_set(e, STATUS_NOT_FOUND, "no open breaker for target %.*s", STR_ARG(target));
    t->open = false;
    s = store_write(b, e);
    if (s != STATUS_OK) {
        t->open = true;
        return s;
    }
    free(t->ring);
    t->ring = NULL;
    return STATUS_OK;
}

bool breaker_next(const struct breaker *b, size_t *it, uint64_t now_ms, struct breaker_state *out)
{
    const struct breaker_target *t = map_next(b->targets, it, NULL);

    while (t != NULL && t->ring == NULL && !t->open)
        t = map_next(b->targets, it, NULL);
    if (t == NULL)
        return false;
    *out = (struct breaker_state){
        .target = str_from(t->name),
        .open = t->open,
        .opened_wall_ms = t->opened_wall_ms,
        .samples = t->open_samples,
        .failures = t->open_failures,
        .why = t->why,
    };
    if (!t->open)
        window_sum(b, t, now_ms, &out->samples, &out->failures);
    return true;
}

struct json *breaker_state_json(const struct breaker_state *s)
{
    struct json *j = json_new_object();
    char when[CLOCK_RFC3339_MAX];

    json_add(j, "target", json_new_str(s->target));
    json_add_str(j, "opened", clock_rfc3339(s->opened_wall_ms, when));
    json_add_num(j, "samples", s->samples);
    json_add_num(j, "failures", s->failures);
    return json_add_str(j, "why", status_name(s->why));
}
