/* Payloads of a batch's own receipts: what it is to do, on what authority, and what it came to. */
#include <sodium.h>

#include "core/base/jcs.h"
#include "core/coord/engine_internal.h"

static void add_hex(struct json *j, const char *name, const unsigned char hash[32])
{
    struct buf hex = BUF_INIT(65);

    buf_add_hex(&hex, hash, 32);
    json_add(j, name, json_new_str(buf_str(&hex)));
    buf_deinit(&hex);
}

static void add_flow_hash(struct json *j, const struct campaign_conf *c)
{
    struct json *flows = json_new_array();
    unsigned char hash[32];

    for (size_t i = 0; i < c->stages.n; i++)
        json_push(flows, json_dup(c->stages_json[i]));
    if (c->stages.n == 0 && c->flow_json)
        json_push(flows, json_dup(c->flow_json));
    for (size_t i = 0; i < c->n_row_flows; i++)
        json_push(flows, json_dup(c->row_flows[i].json));
    if (jcs_sha256(flows, hash, NULL) == STATUS_OK)
        add_hex(j, "flows_sha256", hash);
    json_destroy(&flows);
}

static void add_targets_hash(struct json *j, const struct campaign_conf *c)
{
    crypto_hash_sha256_state sha;
    unsigned char hash[32];

    crypto_hash_sha256_init(&sha);
    for (size_t i = 0; i < c->n_targets; i++) {
        crypto_hash_sha256_update(&sha, (const unsigned char *)c->targets[i].url,
                                  strlen(c->targets[i].url));
        crypto_hash_sha256_update(&sha, (const unsigned char *)"\n", 1);
    }
    crypto_hash_sha256_final(&sha, hash);
    json_add_num(j, "targets", (double)c->n_targets);
    add_hex(j, "targets_sha256", hash);
}

static void write_payload(struct json *j, struct buf *out)
{
    if (jcs_write(j, out, NULL) != STATUS_OK)
        buf_reset(out);
    json_destroy(&j);
}

void batch_payload_open(const struct batch *b, struct buf *out)
{
    const struct campaign_conf *c = b->conf;
    struct json *j = json_new_object(), *conf = campaign_to_json(b->engine->conf);
    unsigned char hash[32];

    json_add_str(j, "batch", b->id);
    json_add_str(j, "name", b->name);
    if (b->key)
        json_add_str(j, "key", b->key);
    if (jcs_sha256(conf, hash, NULL) == STATUS_OK)
        add_hex(j, "config_sha256", hash);
    add_flow_hash(j, c);
    add_targets_hash(j, c);
    json_add_num(j, "members", (double)b->engine->members.n);
    json_destroy(&conf);
    write_payload(j, out);
}

void batch_payload_authorized(const struct campaign_conf *c, struct buf *out)
{
    struct json *j = json_new_object(), *hosts = json_new_array();

    for (size_t i = 0; i < c->limits.authorized.n; i++)
        json_push(hosts, json_new_str(str_from(c->limits.authorized.v[i])));
    json_add(j, "authorized", hosts);
    json_add_num(j, "max_requests", c->limits.rate.max_requests);
    json_add_num(j, "window_ms", (double)c->limits.rate.window_ms);
    write_payload(j, out);
}

void batch_payload_counts(const struct batch *b, bool drained, struct buf *out)
{
    struct json *j = tally_to_json(b->brings_engine ? &b->engine->tally : &b->tally);
    struct json *targets = json_take(j, "targets");

    json_destroy(&targets); /* there may be very many */
    json_add_str(j, "batch", b->id);
    json_add_bool(j, "drained", drained);
    write_payload(j, out);
}
