/* A campaign file (design.md §10): read, checked whole before anything starts, with defaults.
 *
 * Where a value comes from, first one wins: a flag of the command line (--limits.max-requests=5),
 * the environment (FLEET_LIMITS_MAX_REQUESTS), the file, the default. One mechanism serves every
 * key of the schema (override.h): flags and variables are laid into the file's tree before it is
 * decoded, so they are checked by the same rules.
 *
 * The file is JSON; comments of both C forms are accepted where white space is. Paths are relative
 * to the file (to the working directory when it is standard input). */
#ifndef CORE_CONF_CAMPAIGN_H
#define CORE_CONF_CAMPAIGN_H

#include "core/base/arena.h"
#include "core/base/json.h"
#include "core/coord/scale.h"
#include "core/guard/breaker.h"
#include "core/guard/limit.h"
#include "core/guard/policy.h"
#include "core/op/block.h"
#include "core/record/audit.h"
#include "proxies/roster.h"

enum coordinator { COORD_BATCH, COORD_BROADCAST, COORD_PLAN, COORD_PIPELINE };
enum isolation { ISOLATION_PROCESS, ISOLATION_CONTEXT };
enum browser_kind { BROWSER_AUTO, BROWSER_CHROMIUM, BROWSER_HEADLESS_SHELL };
enum context_life { CONTEXT_KEPT, CONTEXT_FRESH };
enum sandbox_want { SANDBOX_REQUIRE, SANDBOX_PREFER, SANDBOX_OFF };
enum enforce { ENFORCE_HOLD, ENFORCE_CHARGE };
enum on_blocked { BLOCKED_END, BLOCKED_WAIT };
enum on_none { NONE_WAIT, NONE_FAIL };
enum group_by { GROUP_HOST, GROUP_SITE };
enum har_kept { HAR_KEPT_OFF, HAR_KEPT_OMIT, HAR_KEPT_EMBED };
enum console_kept { CONSOLE_KEPT_OFF, CONSOLE_KEPT_ERRORS, CONSOLE_KEPT_ALL };

extern const char *const coordinator_names[]; /* of enum coordinator; ended by NULL */

enum {
    CONF_TARGETS_MAX = 1000000, /* rows of a target list */
    CONF_TASKS_MAX = 10000000,  /* rows times members of a broadcast */
    CONF_MEMBERS_MAX = 100000,
    CONF_SLOTS_MAX = 1024,
    CONF_WARM_MAX = 64,
    CONF_FILE_MAX = 16 * 1024 * 1024, /* bytes of a campaign or flow file */
    CONF_COLUMNS_MAX = 1000,          /* of a CSV file */
};

struct target_table; /* columns and form of the list that a row came from; targets.h */

/** One row of the target list. The row's variables are made when they are needed:
 * target_row_json. */
struct target_row {
    const char *url;
    const char *told;                 /* url without a password (url_shown): what is told of it */
    struct str host;                  /* lower case, no port */
    struct str text;                  /* the row as it stands in its list; private */
    const struct target_table *table; /* private */
    uint32_t line;                    /* in the file, 1-based; 0 for inline ones */
    uint32_t flow;                    /* "$flow": row_flows[flow - 1]; 0: the campaign's own */
    int32_t member;                   /* "$member": the only one that may run it; -1: any */
};

/** A flow that rows ask for by their column "$flow". */
struct row_flow {
    const char *name;        /* as the row has it */
    const char *path;        /* relative to the campaign's file */
    const struct json *json; /* NULL while it is not read */
    uint32_t row;            /* the first that asks for it */
};

/** The row as an object: "url" and its other columns, for {{variables}}. The caller owns it. */
must_check struct json *target_row_json(const struct target_row *row);

/** When a member becomes somebody else, between two of its tasks. */
struct conf_rotate {
    uint32_t every_s;     /* since it became who it is; 0: never */
    uint32_t every_tasks; /* attempts of tasks it ran; 0: never */
    struct json_strs on;  /* reputation hits: rotate_hit_names */
};

struct conf_members {
    uint32_t count;   /* default 1; 0: all that the store has of the tag */
    const char *seed; /* NULL: drawn once for each state directory */
    struct json_strs os, locales, timezones;
    bool honest, noise, own_gpu;
    const char *viewport;            /* "1280x800" or NULL: from the identity */
    uint32_t viewport_w, viewport_h; /* decoded; 0: from the identity */
    const char *store;               /* tag; NULL */
    const char *key;                 /* of the store, as idstore_opts has it; NULL: its default */
    struct conf_rotate rotate;
};

struct conf_proxies {
    const char *file;      /* NULL */
    struct json_strs list; /* inline lines: with credentials, never shown */
    int pick;              /* enum roster_pick */
    uint32_t max_failures;
    uint32_t max_demerits; /* points: a 429 is 1, a 403 is 2, a CAPTCHA is 3 */
    uint32_t cooldown_s;
    bool required;
    const char *country; /* only proxies that name it; NULL: all */
    const char *probe;   /* URL that is asked for through a proxy that has cooled; NULL: none */
    enum on_none on_none;
    bool given;               /* the key was there */
    struct proxy_list parsed; /* of file and list; given back with the arena */
};

struct conf_limits {
    struct limit_rate rate;
    enum group_by group_by;
    bool robots;
    enum enforce enforce;
    struct json_strs authorized; /* hosts; lower case, `*` allowed as in policy */
    uint32_t concurrency;        /* tasks of one target that run at a time; 0: no limit */
    enum on_blocked on_blocked;  /* "end" (default): tasks of an open target end blocked; "wait" */
};

struct conf_audit {
    const char *sink; /* NULL: none */
    enum audit_sign sign;
    const char *key; /* "file:..." or "env:NAME"; NULL: <state>/keys/audit.key */
};

struct conf_deadlines {
    uint64_t queued_ms, run_ms, heartbeat_ms, total_ms; /* 0: none */
};

/** When a browser instance is due. */
struct conf_recycle {
    uint64_t memory_mb; /* PSS of its processes, MiB */
    uint64_t age_s;
    uint64_t pages;
};

struct conf_retry {
    uint32_t max; /* retries after the first attempt */
    uint64_t base_ms, cap_ms;
};

struct conf_output {
    const char *results;
    const char *artifacts;     /* directory */
    const char *report;        /* default: report.html beside the results */
    enum har_kept har;         /* of each attempt of a browser: off, without or with bodies */
    bool har_sensitive;        /* with the values of Authorization, Cookie and Set-Cookie */
    enum console_kept console; /* of its pages: nothing, errors, all they write */
};

/** Paths are absolute, or relative to the working directory. All memory is the arena's. */
struct campaign_conf {
    const char *path; /* of the file; NULL for standard input */
    const char *dir;  /* what its paths are relative to; "" for the working directory */
    const char *name;
    enum coordinator coordinator;

    const char *flow;             /* path; NULL when written inline or when there are stages */
    const struct json *flow_json; /* tree of the flow (of the first stage); NULL with `automation`,
                                     or when every row has its own */
    struct json_strs stages;      /* pipeline: paths, "" for one that is written inline */
    const struct json **stages_json; /* stages.n trees */
    const char *automation;
    const struct json *config; /* for the automation */

    struct target_row *targets;
    size_t n_targets;
    struct row_flow *row_flows; /* each file once, however many rows ask for it */
    size_t n_row_flows;

    struct conf_members members;
    uint32_t slots;          /* default: the fewer of members.count and 1.5 times the cores */
    uint32_t warm;           /* pages that wait ready for leases */
    struct scale_conf scale; /* "autoscale"; max 0: off */
    enum isolation isolation;
    enum browser_kind browser;
    enum context_life context;
    enum sandbox_want sandbox;
    struct conf_proxies proxies;
    struct conf_limits limits;
    struct breaker_conf breaker;
    struct block_conf captcha;
    struct policy_conf policy;
    struct conf_audit audit;
    struct conf_deadlines deadlines;
    struct conf_retry retry;
    struct conf_recycle recycle;
    struct conf_output output;

    const struct json *tree; /* file, environment and flags together, as decoded; borrowed */
};

struct executor_ops;
struct overrides;

/* A check by the executor enters "flow", "stages/I" or "row_flows/I" (json_enter) for the errors of
 * those trees: they are told with the names of their files. */

/** The texts of a campaign's files, the campaign itself first: what it takes to load it again when
 * the files are gone or others. Entries and texts are in the arena of the load that filled it. */
struct campaign_files {
    struct campaign_text {
        const char *path; /* absolute; "-": standard input */
        struct str text;
    } * v;
    size_t n, cap;
};
/** Appends; both strings live as long as the arena. */
void campaign_files_add(struct arena *a, struct campaign_files *files, const char *path,
                        struct str text);

/** What to load. Zero, but for path, is a plain file without flags and variables. */
struct campaign_source {
    /** Filled with what was read; the campaign's own text has flags and variables laid over, and
     * its name. May be NULL. */
    struct campaign_files *keep;
    /** Nothing is read from the disk: all comes from here, and `path` is not looked at. A file that
     * is not in it is told as missing. NULL: the disk. */
    const struct campaign_files *from;
    const char *path;                    /* "-": standard input; NULL: no file (config show) */
    const struct overrides *overrides;   /* flags and variables; NULL: none */
    const struct executor_ops *executor; /* its check() runs with the others; NULL: none does */
    bool lenient; /* targets and flow may be missing, and files are not read: for `config show` */
    bool serve;   /* what an engine that waits for batches is made of: flow, stages, automation and
                     targets are refused, as each batch brings its own */
};

/** Reads and checks a campaign with all it names. All errors are collected in `errors` (lines of
 *  "file: /path: found ..., expected ...", "targets.csv:3: ..."; up to JSON_ERRORS_MAX for each
 *  file), which is empty on success. INVALID; NOT_FOUND and IO of the campaign file itself. `e` has
 *  the first sentence. Blocking. */
must_check enum status campaign_load_from(struct arena *a, const struct campaign_source *source,
                                          struct campaign_conf *out, struct buf *errors,
                                          struct err *e);
/** The same for a file by itself. */
must_check enum status campaign_load(struct arena *a, const char *path, struct campaign_conf *out,
                                     struct buf *errors, struct err *e);

/** The schema, for `config show`, flags and documentation. */
const struct json_schema *campaign_schema(void);
/** What a campaign is when its file says nothing. */
void campaign_defaults(struct campaign_conf *out);

/** The effective configuration as an object: every key with its value, without credentials; the
 *  caller owns it. Its canonical form's hash is the campaign's version. */
must_check struct json *campaign_to_json(const struct campaign_conf *c);

/** The flow that is carried out at a row, in a pipeline's stage (0 otherwise). */
const struct json *campaign_flow(const struct campaign_conf *c, size_t row, uint32_t stage);

/** The target is the operator's own: on a private network by its name or address, or listed in
 *  limits.authorized. */
bool campaign_is_trusted(const struct campaign_conf *c, struct str host);

#endif
