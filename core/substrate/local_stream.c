/* Streams: rows of entries between `trimmed` and `last`, and a row for each cursor. The sums are
 * kept in the stream's row, so that a put looks at one row and writes two. */
#include "core/substrate/local_internal.h"

#include "core/record/merkle.h"

#include <inttypes.h>

enum {
    SEQ_BITS = 40,
    READ_BYTES = 4 * 1024 * 1024, /* of one answer */
    WAIT_MIN_MS = 10,
    WAIT_UNKNOWN_MS = 100, /* nobody has read yet */
    WAIT_MAX_MS = 5000,
    KEY_BYTES = 16,
};

struct stream {
    uint64_t id, high_items, high_bytes, last, trimmed, bytes;
    uint64_t per_s; /* how fast it was trimmed of late: entries in 1,000 s */
    uint64_t trimmed_ms;
    const char *type;
};

/* NOT_FOUND when there is none. */
static enum status find(struct local *l, sqlite3 *db, struct call *c, struct stream *out,
                        struct err *e)
{
    sqlite3_stmt *row;
    enum status s = local_row(l, db, e, &row, SQL_STREAM_GET, "z", c->name);

    *out = (struct stream){.id = 0};
    if (s != STATUS_OK)
        return s;
    if (!row)
        return err_set(e, STATUS_NOT_FOUND, "stream %s: there is none", c->name);
    *out = (struct stream){.id = local_u64(row, 0),
                           .type = local_text(c, row, 1),
                           .high_items = local_u64(row, 2),
                           .high_bytes = local_u64(row, 3),
                           .last = local_u64(row, 4),
                           .trimmed = local_u64(row, 5),
                           .bytes = local_u64(row, 6),
                           .per_s = local_u64(row, 7),
                           .trimmed_ms = local_u64(row, 8)};
    local_end(&row);
    return STATUS_OK;
}

static int64_t row_id(const struct stream *st, uint64_t seq)
{
    return (int64_t)(st->id << SEQ_BITS | seq);
}

static uint64_t seq_of(uint64_t id)
{
    return id & ((1ull << SEQ_BITS) - 1);
}

static enum status save(struct local *l, sqlite3 *db, const struct stream *st, struct err *e)
{
    return local_exec(l, db, e, SQL_STREAM_TOTALS, "iiiiii", (int64_t)st->id, (int64_t)st->last,
                      (int64_t)st->trimmed, (int64_t)st->bytes, (int64_t)st->per_s,
                      (int64_t)st->trimmed_ms);
}

enum status run_stream_open(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    struct err none = ERR_INIT;
    struct stream st;
    enum status s = find(l, db, c, &st, &none);

    if (s == STATUS_NOT_FOUND)
        return local_exec(l, db, e, SQL_STREAM_PUT, "zzii", c->name, c->type,
                          (int64_t)c->high_items, (int64_t)c->high_bytes);
    if (s != STATUS_OK) {
        *e = none;
        return s;
    }
    if (!st.type || strcmp(st.type, c->type) != 0)
        return err_set(e, STATUS_EXISTS, "stream %s has entries of type \"%s\", not \"%s\"",
                       c->name, st.type ? st.type : "", c->type);
    return local_exec(l, db, e, SQL_STREAM_MARKS, "iii", (int64_t)st.id, (int64_t)c->high_items,
                      (int64_t)c->high_bytes);
}

/* --- put --- */

static struct str key_of(const struct stream *st, struct call *c)
{
    const char *text = arena_printf(c->arena, "%" PRIu64 " %s", st->id, c->id);
    struct merkle_hash h;

    merkle_sha256(text, strlen(text), &h);
    return arena_str(c->arena, str_n((const char *)h.b, KEY_BYTES));
}

/* Until an eighth of the room will have been read. */
static uint64_t estimate_wait(const struct stream *st)
{
    uint64_t n = st->high_items / 8 + 1, ms;

    if (st->per_s == 0)
        return WAIT_UNKNOWN_MS;
    ms = n > UINT64_MAX / 1000000 ? WAIT_MAX_MS : n * 1000000 / st->per_s;
    return ms < WAIT_MIN_MS ? WAIT_MIN_MS : ms > WAIT_MAX_MS ? WAIT_MAX_MS : ms;
}

static enum status find_duplicate(struct local *l, sqlite3 *db, struct call *c, struct str key,
                                  struct err *e)
{
    sqlite3_stmt *row;
    enum status s = local_row(l, db, e, &row, SQL_ENTRY_FIND, "b", key);

    if (s != STATUS_OK || !row)
        return s;
    c->duplicate = true;
    c->value = seq_of(local_u64(row, 0));
    local_end(&row);
    return STATUS_OK;
}

enum status run_put(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    struct str key = STR_NONE;
    struct stream st;
    enum status s = find(l, db, c, &st, e);

    if (s == STATUS_OK && c->id) {
        key = key_of(&st, c);
        s = find_duplicate(l, db, c, key, e);
    }
    if (s != STATUS_OK || c->duplicate)
        return s;
    if (st.last - st.trimmed >= st.high_items || st.bytes >= st.high_bytes) {
        c->wait_ms = estimate_wait(&st);
        return err_set(e, STATUS_BUSY,
                       "stream %s is full: %" PRIu64 " entries of %" PRIu64 ", %" PRIu64
                       " bytes of %" PRIu64 "; ask again in %" PRIu64 " ms",
                       c->name, st.last - st.trimmed, st.high_items, st.bytes, st.high_bytes,
                       c->wait_ms);
    }
    c->value = ++st.last;
    st.bytes += c->bytes.len;
    s = local_exec(l, db, e, SQL_ENTRY_PUT, key.ptr ? "ibb" : "inb", row_id(&st, c->value),
                   key.ptr ? key : c->bytes, c->bytes);
    return s == STATUS_OK ? save(l, db, &st, e) : s;
}

/* --- read --- */

enum status run_stream_read(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    sqlite3_stmt *row = NULL;
    struct stream st;
    size_t bytes = 0;
    enum status s = find(l, db, c, &st, e);

    if (s != STATUS_OK || c->after >= st.last)
        return s;
    c->entries = arena_array(c->arena, struct substrate_entry, c->max);
    s = local_row(l, db, e, &row, SQL_ENTRY_READ, "iii", row_id(&st, c->after),
                  row_id(&st, st.last), (int64_t)c->max);
    while (s == STATUS_OK && row && (c->n == 0 || bytes < READ_BYTES)) {
        struct substrate_entry *x = &c->entries[c->n++];

        x->seq = seq_of(local_u64(row, 0));
        x->bytes = local_blob(c, row, 1);
        bytes += x->bytes.len;
        s = local_next(db, &row, e);
    }
    local_end(&row);
    return s;
}

/* --- cursors --- */

/* What all cursors have passed goes; how fast that happens says how long a writer should wait. */
static enum status trim(struct local *l, sqlite3 *db, struct stream *st, uint64_t now_ms,
                        struct err *e)
{
    sqlite3_stmt *row;
    uint64_t to = 0, n, rate, took;
    enum status s = local_row(l, db, e, &row, SQL_CURSOR_MIN, "i", (int64_t)st->id);

    if (s != STATUS_OK)
        return s;
    if (row)
        to = local_u64(row, 0); /* no cursor: NULL, read as 0 */
    local_end(&row);
    if (to <= st->trimmed)
        return STATUS_OK;
    s = local_row(l, db, e, &row, SQL_ENTRY_SUM, "ii", row_id(st, st->trimmed), row_id(st, to));
    if (s != STATUS_OK)
        return s;
    st->bytes -= row ? local_u64(row, 0) : 0;
    local_end(&row);
    s = local_exec(l, db, e, SQL_ENTRY_TRIM, "ii", row_id(st, st->trimmed), row_id(st, to));
    n = to - st->trimmed;
    took = st->trimmed_ms && now_ms > st->trimmed_ms ? now_ms - st->trimmed_ms : 1;
    rate = (n < 1000000 ? n : 1000000) * 1000000 / took;
    st->per_s = st->per_s ? (3 * st->per_s + rate) / 4 : st->trimmed_ms ? rate : 0;
    st->trimmed_ms = now_ms;
    st->trimmed = to;
    return s == STATUS_OK ? save(l, db, st, e) : s;
}

/* The reader's place; *there is false when it has none. */
static enum status read_cursor(struct local *l, sqlite3 *db, struct call *c,
                               const struct stream *st, bool *there, struct err *e)
{
    sqlite3_stmt *row;
    enum status s = local_row(l, db, e, &row, SQL_CURSOR_GET, "iz", (int64_t)st->id, c->name2);

    *there = s == STATUS_OK && row;
    if (*there)
        c->value = local_u64(row, 0);
    local_end(&row);
    return s;
}

enum status run_cursor_open(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    struct stream st;
    bool there = false;
    enum status s = find(l, db, c, &st, e);

    if (s == STATUS_OK)
        s = read_cursor(l, db, c, &st, &there, e);
    if (s != STATUS_OK || there)
        return s;
    c->value = st.trimmed;
    return local_exec(l, db, e, SQL_CURSOR_PUT, "izi", (int64_t)st.id, c->name2, (int64_t)c->value);
}

/* Stream and place of a reader that has one. */
static enum status find_cursor(struct local *l, sqlite3 *db, struct call *c, struct stream *st,
                               struct err *e)
{
    bool there = false;
    enum status s = find(l, db, c, st, e);

    if (s == STATUS_OK)
        s = read_cursor(l, db, c, st, &there, e);
    if (s != STATUS_OK || there)
        return s;
    return err_set(e, STATUS_NOT_FOUND, "stream %s: %s has no cursor", c->name, c->name2);
}

enum status run_cursor_ack(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    struct stream st;
    enum status s = find_cursor(l, db, c, &st, e);

    if (s != STATUS_OK)
        return s;
    if (c->after > st.last)
        return err_set(e, STATUS_INVALID,
                       "stream %s: %s has read entry %" PRIu64 ", the newest is %" PRIu64, c->name,
                       c->name2, c->after, st.last);
    if (c->after <= c->value)
        return STATUS_OK;
    c->value = c->after;
    s = local_exec(l, db, e, SQL_CURSOR_PUT, "izi", (int64_t)st.id, c->name2, (int64_t)c->value);
    return s == STATUS_OK ? trim(l, db, &st, c->now_ms, e) : s;
}

enum status run_cursor_drop(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    struct stream st;
    enum status s = find_cursor(l, db, c, &st, e);

    if (s != STATUS_OK)
        return s;
    s = local_exec(l, db, e, SQL_CURSOR_DROP, "iz", (int64_t)st.id, c->name2);
    return s == STATUS_OK ? trim(l, db, &st, c->now_ms, e) : s;
}
