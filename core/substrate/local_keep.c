/* Counters, fences and leases. */
#include "core/substrate/local_internal.h"

#include <inttypes.h>

/* --- counters --- */

enum status run_count(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    sqlite3_stmt *row;
    enum status s = local_row(l, db, e, &row, SQL_COUNT_GET, "z", c->name);
    int64_t was = 0;

    if (s != STATUS_OK)
        return s;
    if (row)
        was = sqlite3_column_int64(row, 0);
    local_end(&row);
    if (__builtin_add_overflow(was, c->delta, &c->total))
        return err_set(e, STATUS_INVALID,
                       "counter %s: %" PRId64 " and %" PRId64 " are beyond 64 bits", c->name, was,
                       c->delta);
    return c->delta == 0 ? STATUS_OK : local_exec(l, db, e, SQL_COUNT_PUT, "zi", c->name, c->total);
}

enum status run_fences(struct local *l, sqlite3 *db maybe_unused, struct call *c, struct err *e)
{
    return local_take_fences(l, (uint32_t)c->max, &c->value, e);
}

/* --- leases --- */

struct lease_row {
    bool there, is_free;
    const char *holder;
    uint64_t fence, until_ms;
};

static enum status read_lease(struct local *l, sqlite3 *db, struct call *c, struct lease_row *out,
                              struct err *e)
{
    sqlite3_stmt *row;
    enum status s = local_row(l, db, e, &row, SQL_LEASE_GET, "z", c->name);

    *out = (struct lease_row){.there = false};
    if (s != STATUS_OK || !row)
        return s;
    *out = (struct lease_row){.there = true,
                              .is_free = sqlite3_column_int64(row, 4) != 0,
                              .holder = local_text(c, row, 0),
                              .fence = local_u64(row, 1),
                              .until_ms = local_u64(row, 3)};
    local_end(&row);
    return STATUS_OK;
}

static bool is_held(const struct lease_row *r, const struct call *c)
{
    return r->there && !r->is_free && r->until_ms > c->now_ms;
}

static void tell(struct call *c, const char *holder, uint64_t fence, uint64_t left_ms)
{
    c->lease = (struct substrate_lease){.holder = holder, .fence = fence, .left_ms = left_ms};
    c->has_lease = true;
}

enum status run_acquire(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    struct lease_row r;
    uint64_t fence = 0;
    enum status s = read_lease(l, db, c, &r, e);

    if (s != STATUS_OK)
        return s;
    if (is_held(&r, c) && strcmp(r.holder, c->name2) != 0) {
        tell(c, r.holder, 0, r.until_ms - c->now_ms);
        return err_set(e, STATUS_BUSY, "lease %s is held by %s for another %" PRIu64 " ms", c->name,
                       r.holder, r.until_ms - c->now_ms);
    }
    if (is_held(&r, c))
        fence = r.fence;
    else
        s = local_take_fences(l, 1, &fence, e);
    if (s != STATUS_OK)
        return s;
    tell(c, c->name2, fence, c->ms);
    return local_exec(l, db, e, SQL_LEASE_PUT, "zziii", c->name, c->name2, (int64_t)fence,
                      (int64_t)c->ms, (int64_t)(c->now_ms + c->ms));
}

static enum status lost(const struct call *c, const struct lease_row *r, struct err *e)
{
    const char *how = !r->there || r->is_free ? "it is free"
                      : r->fence == c->fence  ? "it ran out"
                                              : "another has it";

    return err_set(e, STATUS_LEASE_LOST, "lease %s: fence %" PRIu64 " is not current: %s", c->name,
                   c->fence, how);
}

/* The lease when c->fence is its current one; LEASE_LOST. */
static enum status current(struct local *l, sqlite3 *db, struct call *c, struct lease_row *r,
                           struct err *e)
{
    enum status s = read_lease(l, db, c, r, e);

    if (s != STATUS_OK)
        return s;
    return is_held(r, c) && r->fence == c->fence ? STATUS_OK : lost(c, r, e);
}

enum status run_renew(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    struct lease_row r;
    enum status s = current(l, db, c, &r, e);

    if (s != STATUS_OK)
        return s;
    tell(c, r.holder, r.fence, c->ms);
    return local_exec(l, db, e, SQL_LEASE_RENEW, "zii", c->name, (int64_t)c->ms,
                      (int64_t)(c->now_ms + c->ms));
}

enum status run_check(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    struct lease_row r;
    enum status s = current(l, db, c, &r, e);

    if (s == STATUS_OK)
        tell(c, r.holder, r.fence, r.until_ms - c->now_ms);
    return s;
}

enum status run_release(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    struct lease_row r;
    enum status s = read_lease(l, db, c, &r, e);

    if (s != STATUS_OK)
        return s;
    if (r.there && r.is_free && r.fence == c->fence)
        return STATUS_OK;
    if (!is_held(&r, c) || r.fence != c->fence)
        return lost(c, &r, e);
    return local_exec(l, db, e, SQL_LEASE_FREE, "z", c->name);
}
