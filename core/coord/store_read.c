/* What is read of the engine's tables: by connections of their own, beside the writer. */
#include "core/coord/store_internal.h"

/* --- queries --- */

struct query {
    sqlite3 *db;
    sqlite3_stmt *st;
    const char *what;
};

/* Up to three integers are bound. */
static enum status query_open(struct query *q, const char *path, const char *sql, const char *what,
                              const uint64_t *values, int n, struct err *e)
{
    enum status s = STATUS_OK;

    if (!q->db)
        s = logdb_open_reader(path, &q->db, e);
    if (s != STATUS_OK)
        return s;
    q->what = what;
    if (sqlite3_prepare_v2(q->db, sql, -1, &q->st, NULL) != SQLITE_OK)
        return logdb_error(q->db, e, what);
    for (int i = 0; i < n; i++)
        (void)sqlite3_bind_int64(q->st, i + 1, (sqlite3_int64)values[i]);
    return STATUS_OK;
}

/* True: there is a row. False: the end, or *s says why not. */
static bool query_next(struct query *q, enum status *s, struct err *e)
{
    int rc;

    if (*s != STATUS_OK)
        return false;
    rc = sqlite3_step(q->st);
    if (rc == SQLITE_ROW)
        return true;
    if (rc != SQLITE_DONE)
        *s = logdb_error(q->db, e, q->what);
    return false;
}

static void query_end(struct query *q)
{
    (void)sqlite3_finalize(q->st);
    q->st = NULL;
}

static void query_close(struct query *q)
{
    query_end(q);
    (void)sqlite3_close_v2(q->db);
    q->db = NULL;
}

static uint64_t get_u64(const struct query *q, int at)
{
    return (uint64_t)sqlite3_column_int64(q->st, at);
}

static struct str get_blob(const struct query *q, int at)
{
    const void *p = sqlite3_column_blob(q->st, at);

    return p ? str_n(p, (size_t)sqlite3_column_bytes(q->st, at)) : str_n("", 0);
}

static const char *get_text(const struct query *q, int at, struct arena *a)
{
    struct str s = get_blob(q, at);

    return sqlite3_column_type(q->st, at) == SQLITE_NULL ? NULL : arena_strndup(a, s.ptr, s.len);
}

/* A number that must be below `limit`. */
static int get_enum(const struct query *q, int at, int limit, enum status *s, struct err *e)
{
    int v = sqlite3_column_int(q->st, at);

    if (v >= 0 && v < limit)
        return v;
    *s = err_set(e, STATUS_CORRUPT, "%s: found %d, expected 0..%d", q->what, v, limit - 1);
    return 0;
}

static void get_hash(const struct query *q, int at, unsigned char out[32])
{
    struct str s = get_blob(q, at);

    memset(out, 0, 32);
    if (s.len == 32)
        memcpy(out, s.ptr, 32);
}

/* --- batches --- */

enum { COORDINATORS = COORD_PIPELINE + 1 };

static void read_batch(const struct query *q, struct arena *a, struct store_batch *b,
                       enum status *s, struct err *e)
{
    struct str summary = get_blob(q, 15);

    *b = (struct store_batch){
        .n = (uint32_t)get_u64(q, 0),
        .key = get_text(q, 1, a),
        .name = get_text(q, 2, a),
        .coordinator = (enum coordinator)get_enum(q, 3, COORDINATORS, s, e),
        .brings_engine = get_u64(q, 4) != 0,
        .priority = (int16_t)sqlite3_column_int(q->st, 5),
        .total = (uint32_t)get_u64(q, 6),
        .state = (enum batch_state)get_enum(q, 7, BATCH_STATE_COUNT, s, e),
        .cancelling = get_u64(q, 8) != 0,
        .opened_ms = get_u64(q, 10),
        .closed_ms = get_u64(q, 11),
        .succeeded = get_u64(q, 12),
        .failed = get_u64(q, 13),
        .summary = arena_str(a, summary),
    };
    get_hash(q, 9, b->hash);
    get_hash(q, 14, b->open);
    get_hash(q, 16, b->close);
}

/* A database in which no engine ever was has no tables of one. */
static bool has_tables(struct query *q, const char *path, enum status *s, struct err *e)
{
    bool found;

    *s = query_open(q, path, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'batch'",
                    "look for batches", NULL, 0, e);
    found = query_next(q, s, e);
    query_end(q);
    return found;
}

enum status store_read_batches(const char *db_path, uint32_t n, struct arena *a,
                               bool (*fn)(void *arg, const struct store_batch *b), void *arg,
                               struct err *e)
{
    static const char sql[] =
        "SELECT n, key, name, coordinator, brings_engine, priority, total, state, cancelling, hash,"
        " opened_ms, closed_ms, succeeded, failed, open, summary, close FROM batch WHERE ?1 = 0 OR "
        "n = ?1 ORDER BY n";
    struct query q = {0};
    const uint64_t one = n;
    enum status s = STATUS_OK;
    bool go_on = has_tables(&q, db_path, &s, e);

    if (go_on)
        s = query_open(&q, db_path, sql, "read the batches", &one, 1, e);
    while (go_on && query_next(&q, &s, e)) {
        struct store_batch b;

        read_batch(&q, a, &b, &s, e);
        go_on = s == STATUS_OK && fn(arg, &b);
    }
    query_close(&q);
    return s;
}

enum status store_read_ended(const char *db_path, uint32_t n, uint64_t before_ms,
                             void (*fn)(void *arg, const struct store_ended *b), void *arg,
                             struct err *e)
{
    const uint64_t values[] = {before_ms > INT64_MAX ? INT64_MAX : before_ms, n};
    struct query q = {0};
    enum status s = query_open(&q, db_path,
                               "SELECT n, key, open, close FROM batch WHERE closed_ms > 0 AND"
                               " closed_ms < ?1 AND (?2 = 0 OR n = ?2) ORDER BY n",
                               "read the batches", values, 2, e);

    while (query_next(&q, &s, e)) {
        const unsigned char *key = sqlite3_column_text(q.st, 1);
        struct store_ended b = {.n = (uint32_t)get_u64(&q, 0)};

        b.key = key ? xstrdup((const char *)key) : NULL;
        get_hash(&q, 2, b.open);
        get_hash(&q, 3, b.close);
        fn(arg, &b);
    }
    query_close(&q);
    return s;
}

enum status store_read_files(const char *db_path, uint32_t n, struct arena *a,
                             struct campaign_files *out, struct err *e)
{
    const uint64_t range[] = {(uint64_t)n << 16, ((uint64_t)n + 1) << 16};
    struct query q = {0};
    enum status s = query_open(&q, db_path,
                               "SELECT path, text FROM batch_file WHERE id >= ?1 AND id < ?2"
                               " ORDER BY id",
                               "read the batch's texts", range, 2, e);

    *out = (struct campaign_files){0};
    while (query_next(&q, &s, e)) {
        const char *path = get_text(&q, 0, a);

        campaign_files_add(a, out, path, arena_str(a, get_blob(&q, 1)));
    }
    query_close(&q);
    if (s == STATUS_OK && out->n == 0)
        return err_set(e, STATUS_NOT_FOUND, "the batch has no texts: it is over");
    return s;
}

/* --- tasks --- */

static void read_entries(const struct query *q, const struct store_reader *r, enum status *s,
                         struct err *e)
{
    uint64_t epoch = get_u64(q, 1);
    struct str bytes = get_blob(q, 2);

    if (bytes.len % STORE_ENTRY != 0)
        *s = err_set(e, STATUS_CORRUPT, "%s: a row of %zu bytes, expected a multiple of %d",
                     q->what, bytes.len, STORE_ENTRY);
    for (size_t i = 0; *s == STATUS_OK && i < bytes.len; i += STORE_ENTRY) {
        struct store_entry entry;

        store_entry_read((const unsigned char *)bytes.ptr + i, &entry);
        r->on_entry(r->arg, epoch, &entry);
    }
}

enum status store_read_tasks(const char *db_path, uint32_t n, const struct store_reader *r,
                             uint32_t *log_rows, struct err *e)
{
    const uint64_t range[] = {(uint64_t)n << 32, ((uint64_t)n + 1) << 32};
    struct query q = {0};
    enum status s = query_open(&q, db_path,
                               "SELECT id, epoch, entries FROM task_log WHERE id >= ?1 AND id < ?2"
                               " ORDER BY id",
                               "read attempts", range, 2, e);

    *log_rows = 0;
    while (query_next(&q, &s, e)) {
        *log_rows = (uint32_t)get_u64(&q, 0) + 1;
        read_entries(&q, r, &s, e);
    }
    query_end(&q);
    if (s == STATUS_OK)
        s = query_open(&q, db_path,
                       "SELECT id, stage, output FROM task_stage WHERE id >= ?1 AND id < ?2"
                       " ORDER BY id",
                       "read outputs of stages", range, 2, e);
    while (query_next(&q, &s, e))
        r->on_stage(r->arg, (uint32_t)get_u64(&q, 0), (uint32_t)get_u64(&q, 1), get_blob(&q, 2));
    query_end(&q);
    if (s == STATUS_OK)
        s = query_open(&q, db_path,
                       "SELECT id, state, attempts, line FROM task_done WHERE id >= ?1 AND id < ?2"
                       " ORDER BY id",
                       "read results", range, 2, e);
    while (query_next(&q, &s, e)) {
        int state = get_enum(&q, 1, TASK_STATE_COUNT, &s, e);

        if (s == STATUS_OK)
            r->on_done(r->arg, (uint32_t)get_u64(&q, 0), (enum task_state)state,
                       (uint32_t)get_u64(&q, 2), get_blob(&q, 3));
    }
    query_close(&q);
    return s;
}

/* --- lines of results --- */

void store_line(struct str line, const unsigned char leaf[AUDIT_LEAF], struct buf *out)
{
    buf_addstr(out, line);
    buf_adds(out, ",\"receipt\":\"");
    buf_add_hex(out, leaf, AUDIT_LEAF);
    buf_adds(out, "\"}");
}

static bool batch_is_there(struct query *q, const char *path, uint32_t n, enum status *s,
                           struct err *e)
{
    const uint64_t number = n;
    bool found;

    *s = query_open(q, path, "SELECT 1 FROM batch WHERE n = ?1", "look for the batch", &number, 1,
                    e);
    found = query_next(q, s, e);
    query_end(q);
    return found;
}

enum { PAGE_BYTES = 8 * 1024 * 1024 }; /* a page that has more is cut */

enum status store_read_page(const char *db_path, uint32_t n, uint64_t from, size_t max,
                            struct buf *out, size_t *ends, size_t *n_out, uint64_t *next,
                            struct err *e)
{
    uint64_t values[] = {((uint64_t)n << 32) + (from > UINT32_MAX ? UINT32_MAX : from),
                         ((uint64_t)n + 1) << 32, max + 1};
    struct query q = {0};
    enum status s = STATUS_OK;

    *n_out = 0;
    *next = UINT64_MAX;
    if (!batch_is_there(&q, db_path, n, &s, e)) {
        query_close(&q);
        return s == STATUS_OK ? err_set(e, STATUS_NOT_FOUND, "there is no batch b-%07u", n) : s;
    }
    s = query_open(&q, db_path,
                   "SELECT id, leaf, line FROM task_done WHERE id >= ?1 AND id < ?2 ORDER BY id"
                   " LIMIT ?3",
                   "read results", values, 3, e);
    while (query_next(&q, &s, e)) {
        unsigned char leaf[AUDIT_LEAF];

        if (*n_out == max || (*n_out > 0 && out->len > PAGE_BYTES)) {
            *next = (uint32_t)get_u64(&q, 0);
            break;
        }
        get_hash(&q, 1, leaf);
        store_line(get_blob(&q, 2), leaf, out);
        ends[(*n_out)++] = out->len;
        buf_addc(out, '\n');
    }
    query_close(&q);
    return s == STATUS_OK && buf_status(out) != STATUS_OK
               ? err_set(e, buf_status(out), "a page of results of more than %zu bytes", out->max)
               : s;
}

static void get_line(const struct query *q, int leaf, int line, struct buf *out)
{
    unsigned char of[AUDIT_LEAF];

    get_hash(q, leaf, of);
    buf_reset(out);
    store_line(get_blob(q, line), of, out);
}

enum status store_read_lines(const char *db_path, uint32_t n,
                             void (*fn)(void *arg, uint32_t index, struct str line), void *arg,
                             struct err *e)
{
    const uint64_t range[] = {(uint64_t)n << 32, ((uint64_t)n + 1) << 32};
    struct buf line = BUF_INIT(STORE_TEXT_MAX);
    struct query q = {0};
    enum status s = query_open(&q, db_path,
                               "SELECT id, leaf, line FROM task_done WHERE id >= ?1 AND id < ?2"
                               " ORDER BY seq",
                               "read results", range, 2, e);

    while (query_next(&q, &s, e)) {
        get_line(&q, 1, 2, &line);
        fn(arg, (uint32_t)get_u64(&q, 0), buf_str(&line));
    }
    buf_deinit(&line);
    query_close(&q);
    return s;
}

struct store_lines {
    struct query one, any; /* on one connection */
    uint32_t n;
    struct buf line;
};

enum status store_lines_open(const char *db_path, uint32_t n, struct store_lines **out,
                             struct err *e)
{
    struct store_lines *l = xcalloc(1, sizeof(*l));
    enum status s = query_open(&l->one, db_path, "SELECT leaf, line FROM task_done WHERE id = ?1",
                               "read a result", NULL, 0, e);

    l->n = n;
    l->any.db = l->one.db;
    if (s == STATUS_OK)
        s = query_open(&l->any, db_path,
                       "SELECT d.leaf, d.line FROM batch AS b CROSS JOIN task_done AS d"
                       " ON d.id = (b.n << 32) + ?1 WHERE d.leaf = ?2",
                       "look for a result", NULL, 0, e);
    buf_init(&l->line, STORE_TEXT_MAX);
    *out = l;
    if (s != STATUS_OK)
        store_lines_close(out);
    return s;
}

static enum status one_line(struct store_lines *l, struct query *q, struct str *line, struct err *e)
{
    enum status s = STATUS_OK;

    buf_reset(&l->line);
    if (query_next(q, &s, e))
        get_line(q, 0, 1, &l->line);
    (void)sqlite3_reset(q->st);
    *line = buf_str(&l->line);
    return s;
}

enum status store_lines_get(struct store_lines *l, uint32_t index, struct str *line, struct err *e)
{
    (void)sqlite3_bind_int64(l->one.st, 1, (sqlite3_int64)store_task_id(l->n, index));
    return one_line(l, &l->one, line, e);
}

enum status store_lines_find(struct store_lines *l, uint32_t index,
                             const unsigned char leaf[AUDIT_LEAF], struct str *line, struct err *e)
{
    (void)sqlite3_bind_int64(l->any.st, 1, (sqlite3_int64)index);
    (void)sqlite3_bind_blob(l->any.st, 2, leaf, AUDIT_LEAF, SQLITE_STATIC);
    return one_line(l, &l->any, line, e);
}

void store_lines_close(struct store_lines **lp)
{
    struct store_lines *l = *lp;

    if (!l)
        return;
    *lp = NULL;
    query_end(&l->any);
    query_close(&l->one);
    buf_deinit(&l->line);
    free(l);
}

/* --- members --- */

enum status store_read_rotated(const char *db_path,
                               void (*fn)(void *arg, const char *id, const char *next,
                                          uint64_t at_ms),
                               void *arg, struct err *e)
{
    struct query q = {0};
    enum status s = query_open(&q, db_path, "SELECT id, next, at_ms FROM rotated",
                               "read whom identities rotated to", NULL, 0, e);

    while (query_next(&q, &s, e))
        fn(arg, (const char *)sqlite3_column_text(q.st, 0),
           (const char *)sqlite3_column_text(q.st, 1), get_u64(&q, 2));
    query_close(&q);
    return s;
}
