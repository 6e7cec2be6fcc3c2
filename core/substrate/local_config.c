/* Configuration: blobs by their hash, and for each name its versions, the newest of which is the
 * current one. */
#include "core/substrate/local_internal.h"

#include <inttypes.h>

static struct str sha_of(const struct call *c)
{
    return str_n((const char *)c->config.sha256, SUBSTRATE_SHA256);
}

/* Fills in version and hash of the name's current one; version 0: not set yet. */
static enum status read_current(struct local *l, sqlite3 *db, const struct call *c,
                                struct substrate_config *out, struct err *e)
{
    sqlite3_stmt *row;
    enum status s = local_row(l, db, e, &row, SQL_CONFIG_CURRENT, "z", c->name);

    *out = (struct substrate_config){.version = 0};
    if (s != STATUS_OK || !row)
        return s;
    out->version = local_u64(row, 0);
    if (sqlite3_column_bytes(row, 1) == SUBSTRATE_SHA256)
        memcpy(out->sha256, sqlite3_column_blob(row, 1), SUBSTRATE_SHA256);
    local_end(&row);
    return STATUS_OK;
}

static enum status prune(struct local *l, sqlite3 *db, const struct call *c, struct err *e)
{
    int64_t keep = (int64_t)c->config.version - SUBSTRATE_CONFIG_KEEP;
    enum status s;

    if (keep <= 0)
        return STATUS_OK;
    s = local_exec(l, db, e, SQL_CONFIG_PRUNE, "zi", c->name, keep);
    return s == STATUS_OK && sqlite3_changes(db) > 0 ? local_exec(l, db, e, SQL_BLOB_PRUNE, "") : s;
}

enum status run_config_set(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    struct substrate_config was;
    enum status s = read_current(l, db, c, &was, e);

    if (s != STATUS_OK)
        return s;
    c->has_config = true;
    if (c->after != SUBSTRATE_ANY && c->after != was.version) {
        c->config = was;
        return err_set(e, STATUS_EXISTS,
                       "configuration %s has version %" PRIu64 ", expected %" PRIu64, c->name,
                       was.version, c->after);
    }
    c->config.version = was.version;
    if (was.version > 0 && memcmp(was.sha256, c->config.sha256, SUBSTRATE_SHA256) == 0)
        return STATUS_OK;
    c->config.version++;
    s = local_exec(l, db, e, SQL_BLOB_PUT, "bb", sha_of(c), c->bytes);
    if (s == STATUS_OK)
        s = local_exec(l, db, e, SQL_CONFIG_PUT, "zib", c->name, (int64_t)c->config.version,
                       sha_of(c));
    return s == STATUS_OK ? prune(l, db, c, e) : s;
}

static enum status read_blob(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    sqlite3_stmt *row;
    enum status s = local_row(l, db, e, &row, SQL_BLOB_GET, "b", sha_of(c));

    if (s != STATUS_OK)
        return s;
    if (!row)
        return err_set(e, STATUS_NOT_FOUND, "configuration: no blob of that hash");
    c->config.blob = local_blob(c, row, 0);
    c->has_config = true;
    local_end(&row);
    return STATUS_OK;
}

enum status run_config_get(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    enum status s = read_current(l, db, c, &c->config, e);

    if (s != STATUS_OK)
        return s;
    if (c->config.version == 0)
        return err_set(e, STATUS_NOT_FOUND, "configuration %s was never set", c->name);
    return read_blob(l, db, c, e);
}

enum status run_config_blob(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    return read_blob(l, db, c, e);
}
