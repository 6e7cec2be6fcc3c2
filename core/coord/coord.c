#include "core/coord/coord.h"

/* One index of a pipeline. */
struct line {
    struct json *output; /* of the last stage that it went through */
    bool failed;
    uint32_t next; /* stage, restored: those before it are through */
};

struct coord_kind {
    uint32_t (*total)(const struct coord_shape *shape);
    /** Row and member of an index. */
    void (*place)(const struct coord_shape *shape, uint32_t index, struct coord_work *w);
};

struct coord {
    struct coord_shape shape;
    const struct coord_kind *kind;
    uint32_t total;
    /* pipeline */
    struct line *lines;
    uint32_t stage;   /* that runs now */
    uint32_t pending; /* of it */

    bool *is_done; /* restored: by index; NULL: nothing is */
};

/* --- kinds --- */

static uint32_t total_rows(const struct coord_shape *s)
{
    return s->rows;
}

static uint32_t total_product(const struct coord_shape *s)
{
    return s->rows * s->members;
}

/* One row is for everybody; of several each is one member's, round and round. */
static uint32_t total_plan(const struct coord_shape *s)
{
    return s->rows == 1 ? s->members : s->rows;
}

static void place_batch(const struct coord_shape *s, uint32_t index, struct coord_work *w)
{
    (void)s;
    w->row = index;
    w->pin = -1;
}

static void place_broadcast(const struct coord_shape *s, uint32_t index, struct coord_work *w)
{
    w->row = index / s->members;
    w->pin = (int32_t)(index % s->members);
}

static void place_plan(const struct coord_shape *s, uint32_t index, struct coord_work *w)
{
    w->row = s->rows == 1 ? 0 : index;
    w->pin = (int32_t)(index % s->members);
}

static const struct coord_kind kinds[] = {
    [COORD_BATCH] = {total_rows, place_batch},
    [COORD_BROADCAST] = {total_product, place_broadcast},
    [COORD_PLAN] = {total_plan, place_plan},
    [COORD_PIPELINE] = {total_plan, place_plan},
};

/* --- making --- */

struct coord *coord_create(const struct coord_shape *shape)
{
    struct coord *c = xcalloc(1, sizeof(*c));

    BUG_ON((unsigned)shape->kind >= ARRAY_LEN(kinds) || !shape->rows || !shape->members ||
           !shape->stages);
    c->shape = *shape;
    c->kind = &kinds[shape->kind];
    c->total = c->kind->total(shape);
    if (shape->kind == COORD_PIPELINE)
        c->lines = xcalloc(c->total, sizeof(*c->lines));
    return c;
}

void coord_destroy(struct coord **cp)
{
    struct coord *c = *cp;

    if (!c)
        return;
    for (uint32_t i = 0; c->lines && i < c->total; i++)
        json_destroy(&c->lines[i].output);
    free(c->lines);
    free(c->is_done);
    free(c);
    *cp = NULL;
}

uint32_t coord_total(const struct coord *c)
{
    return c->total;
}

/* --- what comes next --- */

static void emit_one(struct coord *c, uint32_t index, coord_emit_fn *emit, void *arg)
{
    struct coord_work w = {.index = index, .stage = c->stage};

    c->kind->place(&c->shape, index, &w);
    if (c->lines)
        w.input = c->lines[index].output;
    c->pending++;
    emit(arg, &w);
}

void coord_restore(struct coord *c, uint32_t index, uint32_t stage, bool is_final,
                   struct json *output)
{
    BUG_ON(index >= c->total || (stage > 0 && (!c->lines || stage >= c->shape.stages)));
    if (!c->is_done)
        c->is_done = xcalloc(c->total, sizeof(*c->is_done));
    c->is_done[index] = is_final;
    if (!c->lines)
        return;
    json_destroy(&c->lines[index].output);
    c->lines[index].output = output;
    c->lines[index].next = stage;
    c->lines[index].failed = is_final;
}

static bool is_open(const struct coord *c, uint32_t index)
{
    return !c->is_done || !c->is_done[index];
}

/* The first stage that somebody is still in. */
static uint32_t first_stage(const struct coord *c)
{
    uint32_t stage = UINT32_MAX;

    for (uint32_t i = 0; c->lines && i < c->total; i++) {
        if (is_open(c, i) && c->lines[i].next < stage)
            stage = c->lines[i].next;
    }
    return stage == UINT32_MAX ? 0 : stage;
}

void coord_start(struct coord *c, coord_emit_fn *emit, void *arg)
{
    c->stage = first_stage(c);
    for (uint32_t i = 0; i < c->total; i++) {
        if (is_open(c, i) && (!c->lines || c->lines[i].next == c->stage))
            emit_one(c, i, emit, arg);
    }
}

/* All of a stage have finished: those that came through go on. */
static void next_stage(struct coord *c, coord_emit_fn *emit, void *arg)
{
    c->stage++;
    for (uint32_t i = 0; i < c->total; i++) {
        if (!c->lines[i].failed)
            emit_one(c, i, emit, arg);
    }
}

bool coord_finished(struct coord *c, uint32_t index, uint32_t stage, bool ok, struct json *output,
                    coord_emit_fn *emit, void *arg)
{
    bool is_last = !c->lines || !ok || stage + 1 == c->shape.stages;

    BUG_ON(index >= c->total || stage != c->stage || c->pending == 0);
    c->pending--;
    if (!is_last) {
        json_destroy(&c->lines[index].output);
        c->lines[index].output = output;
    } else if (c->lines) {
        c->lines[index].failed = true; /* or done: nothing goes on with it */
    }
    if (c->lines && c->pending == 0 && stage + 1 < c->shape.stages)
        next_stage(c, emit, arg);
    return is_last;
}
