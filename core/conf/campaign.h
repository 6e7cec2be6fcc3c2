/* A campaign file (design.md §10): decoded, checked whole before anything starts, with defaults. */
#ifndef CORE_CONF_CAMPAIGN_H
#define CORE_CONF_CAMPAIGN_H

#include "core/base/arena.h"
#include "core/base/json.h"
#include "core/guard/breaker.h"
#include "core/guard/limit.h"
#include "core/guard/policy.h"
#include "core/record/audit.h"

enum coordinator { COORD_BATCH, COORD_BROADCAST, COORD_PLAN, COORD_PIPELINE };
enum isolation { ISOLATION_PROCESS, ISOLATION_CONTEXT };
enum browser_kind { BROWSER_AUTO, BROWSER_CHROMIUM, BROWSER_HEADLESS_SHELL };
enum context_life { CONTEXT_KEPT, CONTEXT_FRESH };
enum sandbox_want { SANDBOX_REQUIRE, SANDBOX_PREFER, SANDBOX_OFF };
enum enforce { ENFORCE_HOLD, ENFORCE_CHARGE };
enum on_blocked { BLOCKED_END, BLOCKED_WAIT };
enum group_by { GROUP_HOST, GROUP_SITE };

/** One row of the target list. */
struct target_row {
    const char *url;
    struct str host;        /* lower case, no port */
    const struct json *row; /* object: "url" and the row's other columns, for {{variables}} */
    uint32_t line;          /* in the file, 1-based; 0 for inline ones */
};

struct campaign_conf {
    const char *path; /* of the file; NULL for standard input */
    const char *dir;  /* what its paths are relative to */
    const char *name;
    enum coordinator coordinator;

    const char *flow;             /* path; NULL when `flow_inline` or stages */
    const struct json *flow_json; /* decoded tree of the (first) flow */
    struct json_strs stages;      /* pipeline: paths */
    const struct json **stages_json;
    const char *automation;
    const struct json *config; /* for the automation */

    struct target_row *targets;
    size_t n_targets;

    struct {
        uint32_t count;
        const char *seed;
        struct json_strs os, locales, timezones;
        bool honest;
        const char *viewport; /* "1280x800" or NULL: from the identity */
        const char *store; /* tag; NULL */
    } members;
    uint32_t slots;
    enum isolation isolation;
    enum browser_kind browser;
    enum context_life context;
    enum sandbox_want sandbox;

    struct {
        const char *file;        /* absolute; NULL */
        struct json_strs list;   /* inline lines */
        int pick;                /* index into roster's names */
        uint32_t max_failures;
        uint32_t cooldown_s;
        bool required;
        bool given; /* the key was there */
    } proxies;

    struct {
        struct limit_rate rate;
        enum group_by group_by;
        bool robots;
        enum enforce enforce;
        struct json_strs authorized;
        enum on_blocked on_blocked; /* "end" (default): tasks of an open target end blocked; "wait" */
    } limits;
    struct breaker_conf breaker;
    struct policy_conf policy;

    struct {
        const char *sink; /* absolute; NULL: none */
        enum audit_sign sign;
        const char *key; /* "file:..." or "env:NAME"; NULL: <state>/keys/audit.key */
    } audit;

    struct {
        uint64_t queued_ms, run_ms, heartbeat_ms, total_ms; /* 0: none */
    } deadlines;
    struct {
        uint32_t max;
        uint64_t base_ms, cap_ms;
    } retry;
    struct {
        const char *results;   /* absolute */
        const char *artifacts; /* absolute directory */
        const char *report;    /* absolute; NULL: beside the results */
    } output;
};

/** Reads and checks `path` ("-": standard input) with everything it names. All errors are collected in `errors` (a buffer of lines
 *  "file: /path: found ..., expected ..."), which is empty on success. INVALID, NOT_FOUND, IO. */
must_check enum status campaign_load(struct arena *a, const char *path, struct campaign_conf *out, struct buf *errors, struct err *e);

/** The schema, for `config show` and documentation. */
const struct json_schema *campaign_schema(void);

#endif
