/* A gateway on a loopback port with real Chromium, members with identities and forwarders, guards
 * and a log, and a web site beside it; for tests that drive it with other people's clients. */
#ifndef TESTS_CLIENTS_GATEWAY_RIG_H
#define TESTS_CLIENTS_GATEWAY_RIG_H

#include "browser/gateway/gateway.h"
#include "core/guard/limit.h"
#include "tests/support/httpd.h"

struct rig_opts {
    uint32_t members;
    double max_requests; /* documents a second of one host */
    enum isolation isolation;
    enum browser_kind browser;
    bool private_networks_no; /* policy.private_networks false */
};

struct rig;

/** Skips the case when there is no browser. */
struct rig *rig_open(const struct rig_opts *o);
void rig_close(struct rig **r);
struct loop *rig_loop(struct rig *r);
struct gateway *rig_gateway(struct rig *r);
uint16_t rig_port(const struct rig *r);      /* of the gateway */
uint16_t rig_site_port(const struct rig *r); /* of the site */
const char *rig_token(const struct rig *r);
const char *rig_state(const struct rig *r); /* state directory, with audit.ndjson */
/* While the file "pressed" is in the state directory the machine is short of memory. */
/** Requests that the site was asked so far. */
unsigned rig_site_count(const struct rig *r);

/** Runs `node tests/clients/NAME` with FLEET_URL, FLEET_TOKEN, SITE (http://127.0.0.1:port), SITE2
 * (the same by another name), PRESSED (the path of that file) set, and the loop meanwhile. Returns
 * its exit code; fails the case after `timeout_ms`. */
int rig_node(struct rig *r, const char *name, unsigned timeout_ms);
/** A case that is a script and no more: RIG_SUITE(puppeteer) runs puppeteer.mjs on `rig_usual`. */
extern const struct rig_opts rig_usual;
void rig_suite(void **state);
#define RIG_SUITE(name)                                                                            \
    {                                                                                              \
        "test_" #name, rig_suite, NULL, NULL, (void *)(uintptr_t)("tests/clients/" #name ".mjs")   \
    }
/** The log has `n` lines or more with this text (both NUL-terminated); waits for it. */
bool rig_log_has(struct rig *r, const char *text, unsigned n);

#endif
