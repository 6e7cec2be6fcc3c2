/* The keys of a campaign file, in one table: decoding, flags, variables, `config show` and the
 * documentation come from it. */
#include "core/conf/conf_internal.h"
#include "core/guard/hook.h"

/* Of the enumerators in campaign.h, in their order. */
const char *const coordinator_names[] = {"batch", "broadcast", "plan", "pipeline", NULL};
static const char *const isolation_names[] = {"process", "context", NULL};
static const char *const browser_names[] = {"auto", "chromium", "headless-shell", NULL};
static const char *const context_names[] = {"kept", "fresh", NULL};
static const char *const sandbox_names[] = {"require", "prefer", "off", NULL};
static const char *const enforce_names[] = {"hold", "charge", NULL};
static const char *const blocked_names[] = {"end", "wait", NULL};
static const char *const sign_names[] = {"each", "checkpoint", NULL};
static const char *const none_names[] = {"wait", "fail", NULL};
static const char *const group_names[] = {"host", "site", NULL};
static const char *const rotate_hit_names[] = {"429", "403", "captcha", NULL};
static const char *const har_names[] = {"off", "omit", "embed", NULL};
static const char *const console_names[] = {"off", "errors", "all", NULL};

enum { DAY_MS = 24 * 60 * 60 * 1000, WEEK_MS = 7 * DAY_MS, HANDOFF_DEFAULT_MS = 300000 };

/* --- values that take more than one form --- */

/* A path, or null for none. */
static bool path_or_null(struct json_decode *d, const struct json *j, void *field)
{
    const char *s = json_str(j, NULL);

    if (json_type(j) != JSON_NULL && (!s || !s[0]))
        return json_fail(d, NULL, "found %s, expected a path or null",
                         s ? "an empty string" : json_type_name(json_type(j)));
    *(const char **)field = s ? arena_strdup(d->arena, s) : NULL;
    return true;
}

static bool private_networks(struct json_decode *d, const struct json *j, void *field)
{
    enum policy_private *out = field;

    if (json_type(j) == JSON_BOOL)
        *out = json_bool(j, false) ? POLICY_PRIVATE_YES : POLICY_PRIVATE_NO;
    else if (strcmp(json_str(j, ""), "listed") == 0)
        *out = POLICY_PRIVATE_LISTED;
    else
        return json_fail(d, NULL, "found %s, expected true, false or \"listed\"",
                         json_type_name(json_type(j)));
    return true;
}

/* --- objects inside --- */

#define IN(T, m) .offset = offsetof(struct T, m)

static const struct json_field identities_fields[] = {
    {.name = "seed",
     .kind = JK_STR,
     IN(conf_members, seed),
     .min = 1,
     .max = 256,
     .doc =
         "what all identities grow from: the same seed gives the same identities; default: drawn "
         "once for each state directory"},
    {.name = "os",
     .kind = JK_STRS,
     IN(conf_members, os),
     .one_is_array = true,
     .doc = "operating systems that members show: linux, windows, macos, android; default: this "
            "machine's"},
    {.name = "locales",
     .kind = JK_STRS,
     IN(conf_members, locales),
     .one_is_array = true,
     .doc = "locales to choose from, such as en-GB, de-DE; default: en-US"},
    {.name = "timezones",
     .kind = JK_STRS,
     IN(conf_members, timezones),
     .one_is_array = true,
     .doc = "IANA time zones to choose from; default: those of the locale's country"},
    {.name = "honest",
     .kind = JK_BOOL,
     IN(conf_members, honest),
     .doc = "declare automation openly: the browser's own user agent, no overrides but locale and "
            "time zone; default: false"},
    {.name = "noise",
     .kind = JK_BOOL,
     IN(conf_members, noise),
     .doc = "small differences in what canvas, WebGL and audio give back, each identity's and "
            "site's own; false: exact pixels; default: true"},
    {.name = "own_gpu",
     .kind = JK_BOOL,
     IN(conf_members, own_gpu),
     .doc = "WebGL names what this machine draws with, instead of a GPU chosen with the identity; "
            "default: false"},
    {.name = "viewport",
     .kind = JK_STR,
     IN(conf_members, viewport),
     .min = 1,
     .max = 16,
     .doc = "size of the page in CSS pixels, such as 1280x800; default: chosen with the identity"},
};
static const struct json_schema identities_schema = {
    .name = "members.identities",
    .fields = identities_fields,
    .n = ARRAY_LEN(identities_fields),
    .size = sizeof(struct conf_members),
};

static const struct json_field rotate_fields[] = {
    {.name = "every_s",
     .kind = JK_UINT,
     IN(conf_rotate, every_s),
     .min = 0,
     .max = 365L * 24 * 60 * 60,
     .doc = "seconds after which a member becomes somebody else, before its next task: another "
            "identity, grown from the one before, without cookies; 0: never; default: 0"},
    {.name = "every_tasks",
     .kind = JK_UINT,
     IN(conf_rotate, every_tasks),
     .min = 0,
     .max = 1000000000,
     .doc = "tasks after which it does so; 0: never; default: 0"},
    {.name = "on",
     .kind = JK_STRS,
     IN(conf_rotate, on),
     .one_is_array = true,
     .names = rotate_hit_names,
     .doc = "what of a target's answers makes it do so after the task: 429, 403, captcha; default: "
            "none"},
};
static const struct json_schema rotate_schema = {
    .name = "members.rotate",
    .fields = rotate_fields,
    .n = ARRAY_LEN(rotate_fields),
    .size = sizeof(struct conf_rotate),
};

static const struct json_field members_fields[] = {
    {.name = "count",
     .kind = JK_UINT,
     IN(conf_members, count),
     .min = 1,
     .max = CONF_MEMBERS_MAX,
     .doc = "how many members there are, 1..100000; default: 1, or with members.store all that it "
            "has of the tag"},
    {.name = "identities",
     .kind = JK_OBJECT,
     .offset = 0,
     .sub = &identities_schema,
     .doc = "how their identities are made"},
    {.name = "store",
     .kind = JK_STR,
     IN(conf_members, store),
     .min = 1,
     .max = 64,
     .doc = "take members from the identity store by this tag, instead of making them; their "
            "cookies and local storage are saved there after each task"},
    {.name = "key",
     .kind = JK_STR,
     IN(conf_members, key),
     .min = 1,
     .max = 4096,
     .doc = "key of the identity store: file:PATH (relative to the state directory), env:NAME or "
            "passphrase:NAME; default: file:keys/identities.key"},
    {.name = "rotate",
     .kind = JK_OBJECT,
     IN(conf_members, rotate),
     .sub = &rotate_schema,
     .doc = "when members become somebody else"},
};
static const struct json_schema members_schema = {
    .name = "members",
    .fields = members_fields,
    .n = ARRAY_LEN(members_fields),
    .size = sizeof(struct conf_members),
};

static const struct json_field proxies_fields[] = {
    {.name = "file",
     .kind = JK_STR,
     IN(conf_proxies, file),
     .min = 1,
     .max = 4096,
     .doc = "file with one proxy a line: scheme://user:password@host:port#tag"},
    {.name = "list",
     .kind = JK_STRS,
     IN(conf_proxies, list),
     .one_is_array = true,
     .doc = "the same lines written here"},
    {.name = "pick",
     .kind = JK_ENUM,
     IN(conf_proxies, pick),
     .names = roster_pick_names,
     .doc = "how a member's proxy is chosen; default: round-robin"},
    {.name = "max_failures",
     .kind = JK_UINT,
     IN(conf_proxies, max_failures),
     .min = 1,
     .max = 1000,
     .doc = "failures in a row after which a proxy rests; default: 3"},
    {.name = "max_demerits",
     .kind = JK_UINT,
     IN(conf_proxies, max_demerits),
     .min = 1,
     .max = 1000000,
     .doc = "points after which a proxy rests: a 429 is 1, a 403 is 2, a CAPTCHA is 3, and one is "
            "forgiven every two minutes; default: 6"},
    {.name = "cooldown_s",
     .kind = JK_UINT,
     IN(conf_proxies, cooldown_s),
     .min = 1,
     .max = 86400,
     .doc = "how long it rests at first, in seconds; default: 60"},
    {.name = "required",
     .kind = JK_BOOL,
     IN(conf_proxies, required),
     .doc = "refuse to start without a proxy; default: false"},
    {.name = "country",
     .kind = JK_STR,
     IN(conf_proxies, country),
     .min = 2,
     .max = 2,
     .doc = "only proxies whose line names this country (country=de); default: all"},
    {.name = "probe",
     .kind = JK_STR,
     IN(conf_proxies, probe),
     .min = 1,
     .max = 4096,
     .doc = "URL that is asked for through a proxy that has rested, before a member goes out by it "
            "again; one that does not answer rests twice as long; default: the next op tries"},
    {.name = "on_none",
     .kind = JK_ENUM,
     IN(conf_proxies, on_none),
     .names = none_names,
     .doc = "when no proxy is fit: ops wait for the next one as long as their time lasts, or fail "
            "at once; default: wait"},
};
static const struct json_schema proxies_schema = {
    .name = "proxies",
    .fields = proxies_fields,
    .n = ARRAY_LEN(proxies_fields),
    .size = sizeof(struct conf_proxies),
};

static const struct json_field limits_fields[] = {
    {.name = "max_requests",
     .kind = JK_DOUBLE,
     IN(conf_limits, rate.max_requests),
     .doc = "requests to one target in a window, shared by all members and proxies; default: 2. It "
            "cannot be switched off; more than 10 a second only for private or authorized targets"},
    {.name = "window_ms",
     .kind = JK_INT,
     IN(conf_limits, rate.window_ms),
     .min = 1,
     .max = DAY_MS,
     .doc = "the window in milliseconds; default: 1000"},
    {.name = "group_by",
     .kind = JK_ENUM,
     IN(conf_limits, group_by),
     .names = group_names,
     .doc = "what a target is: the host, or the site (registrable domain); default: host"},
    {.name = "robots",
     .kind = JK_BOOL,
     IN(conf_limits, robots),
     .doc = "heed robots.txt; default: true"},
    {.name = "enforce",
     .kind = JK_ENUM,
     IN(conf_limits, enforce),
     .names = enforce_names,
     .doc = "pages that clicks and redirects lead to: hold them until the gate lets them go, or "
            "charge them afterwards; default: hold"},
    {.name = "authorized",
     .kind = JK_STRS,
     IN(conf_limits, authorized),
     .one_is_array = true,
     .doc = "hosts that are the operator's own or have agreed to more than 10 requests a second"},
    {.name = "concurrency",
     .kind = JK_UINT,
     IN(conf_limits, concurrency),
     .min = 0,
     .max = CONF_SLOTS_MAX,
     .doc = "tasks of one target that run at a time; 0: no limit but the rate; default: 0"},
    {.name = "on_blocked",
     .kind = JK_ENUM,
     IN(conf_limits, on_blocked),
     .names = blocked_names,
     .doc = "tasks of a target whose breaker is open: end blocked, or wait for its reset; default: "
            "end"},
};
static const struct json_schema limits_schema = {
    .name = "limits",
    .fields = limits_fields,
    .n = ARRAY_LEN(limits_fields),
    .size = sizeof(struct conf_limits),
};

static const struct json_field scale_fields[] = {
    {.name = "min",
     .kind = JK_UINT,
     IN(scale_conf, min),
     .min = 1,
     .max = CONF_SLOTS_MAX,
     .doc = "slots that there always are; default: 1"},
    {.name = "max",
     .kind = JK_UINT,
     IN(scale_conf, max),
     .min = 0,
     .max = CONF_SLOTS_MAX,
     .doc = "slots at most; 0: the number stays as \"slots\" says; default: 0"},
    {.name = "cpu_pressure",
     .kind = JK_UINT,
     IN(scale_conf, cpu),
     .min = 0,
     .max = 100,
     .doc = "percent of the last 10 s in which something waited for a processor; above it slots "
            "and leases are held back; 100: never; default: 0: 60 with \"max\", without it never"},
    {.name = "memory_pressure",
     .kind = JK_UINT,
     IN(scale_conf, memory),
     .min = 1,
     .max = 100,
     .doc = "percent of the last 10 s in which something waited for memory; above it slots and "
            "leases are held back, also without \"max\"; 100: never; default: 10"},
    {.name = "memory_available",
     .kind = JK_UINT,
     IN(scale_conf, available),
     .min = 0,
     .max = 100,
     .doc = "percent of memory, the machine's or its cgroup's, that is to be available; below it "
            "slots and leases are held back, also without \"max\"; 0: never; default: 10"},
    {.name = "per_cpu",
     .kind = JK_UINT,
     IN(scale_conf, per_cpu),
     .min = 0,
     .max = CONF_SLOTS_MAX,
     .doc = "tasks with a page at work, for each processor (or as many as the cgroup's quota "
            "is); another one begins beside them only while the processors have room. Those that "
            "wait for a server, a limit, a timer or a person are not counted; 0: no bound; "
            "default: 2"},
};
static const struct json_schema scale_schema = {
    .name = "autoscale",
    .fields = scale_fields,
    .n = ARRAY_LEN(scale_fields),
    .size = sizeof(struct scale_conf),
};

static const struct json_field breaker_fields[] = {
    {.name = "failure_rate",
     .kind = JK_DOUBLE,
     IN(breaker_conf, failure_rate),
     .dmin = 0.001,
     .dmax = 1,
     .doc = "share of failures above which a target's breaker opens; default: 0.1"},
    {.name = "window_ms",
     .kind = JK_INT,
     IN(breaker_conf, window_ms),
     .min = 1000,
     .max = DAY_MS,
     .doc = "over how long, in milliseconds; default: 60000"},
    {.name = "min_samples",
     .kind = JK_UINT,
     IN(breaker_conf, min_samples),
     .min = 1,
     .max = 100000,
     .doc = "and at least so many answers; default: 20"},
};
static const struct json_schema breaker_schema = {
    .name = "breaker",
    .fields = breaker_fields,
    .n = ARRAY_LEN(breaker_fields),
    .size = sizeof(struct breaker_conf),
};

static const struct json_field policy_fields[] = {
    {.name = "allow",
     .kind = JK_STRS,
     IN(policy_conf, allow),
     .one_is_array = true,
     .doc = "hosts that members may visit, with `*`; default: every host"},
    {.name = "deny",
     .kind = JK_STRS,
     IN(policy_conf, deny),
     .one_is_array = true,
     .doc = "hosts that they may not; outranks allow"},
    {.name = "private_networks",
     .kind = JK_FN,
     IN(policy_conf, private_networks),
     .fn = private_networks,
     .doc = "addresses on private networks: true, false, or \"listed\": only those that are "
            "targets themselves; default: listed"},
    {.name = "tags",
     .kind = JK_STRS,
     IN(policy_conf, tags),
     .one_is_array = true,
     .seen_offset = offsetof(struct policy_conf, has_tags),
     .doc = "what is granted: \"fleet:op\" (run ops), \"target:<host>\" (visit hosts of this "
            "pattern), \"fleet:policy\" (change the policy); default: everything"},
    {.name = "hook",
     .kind = JK_STRS,
     IN(policy_conf, hook),
     .one_is_array = true,
     .doc = "program, with its arguments, that is asked about each op: a JSON object a line on its "
            "standard input, an answer a line on its standard output; default: none"},
    {.name = "hook_ms",
     .kind = JK_UINT,
     IN(policy_conf, hook_ms),
     .min = 1,
     .max = 60000,
     .doc =
         "how long it may take to answer, in milliseconds; then the answer is no; default: 2000"},
};
static const struct json_schema policy_schema = {
    .name = "policy",
    .fields = policy_fields,
    .n = ARRAY_LEN(policy_fields),
    .size = sizeof(struct policy_conf),
};

static const struct json_field audit_fields[] = {
    {.name = "sink",
     .kind = JK_FN,
     IN(conf_audit, sink),
     .fn = path_or_null,
     .doc = "file that receipts are copied to, one a line, with the public key beside it; null: "
            "none; default: audit.ndjson"},
    {.name = "sign",
     .kind = JK_ENUM,
     IN(conf_audit, sign),
     .names = sign_names,
     .doc = "sign each receipt, or the checkpoints that cover them; default: each"},
    {.name = "key",
     .kind = JK_STR,
     IN(conf_audit, key),
     .min = 1,
     .max = 4096,
     .doc = "the signing key: file:PATH (relative to the state directory) or env:NAME; default: "
            "file:keys/audit.key, made when absent"},
};
static const struct json_schema audit_schema = {
    .name = "audit",
    .fields = audit_fields,
    .n = ARRAY_LEN(audit_fields),
    .size = sizeof(struct conf_audit),
};

static const struct json_field recycle_fields[] = {
    {.name = "memory_mb",
     .kind = JK_INT,
     IN(conf_recycle, memory_mb),
     .min = 64,
     .max = 1024L * 1024,
     .doc =
         "an instance whose processes take more memory (PSS, in MiB) is replaced; default: 1536"},
    {.name = "age_s",
     .kind = JK_INT,
     IN(conf_recycle, age_s),
     .min = 1,
     .max = WEEK_MS / 1000,
     .doc = "an instance that is older is replaced; default: 14400"},
    {.name = "pages",
     .kind = JK_INT,
     IN(conf_recycle, pages),
     .min = 1,
     .max = 1000L * 1000 * 1000,
     .doc = "an instance that showed more documents is replaced; default: 20000"},
};
static const struct json_schema recycle_schema = {
    .name = "recycle",
    .fields = recycle_fields,
    .n = ARRAY_LEN(recycle_fields),
    .size = sizeof(struct conf_recycle),
};

static const struct json_field deadlines_fields[] = {
    {.name = "queued_ms",
     .kind = JK_INT,
     IN(conf_deadlines, queued_ms),
     .min = 0,
     .max = WEEK_MS,
     .doc = "how long a task may wait for its first run, in milliseconds; 0: for ever; default: 0"},
    {.name = "run_ms",
     .kind = JK_INT,
     IN(conf_deadlines, run_ms),
     .min = 0,
     .max = DAY_MS,
     .doc = "how long an attempt may take; 0: a day; default: 60000"},
    {.name = "heartbeat_ms",
     .kind = JK_INT,
     IN(conf_deadlines, heartbeat_ms),
     .min = 0,
     .max = DAY_MS,
     .doc = "how long a page may be without a sign of life; 0: as long as it likes; default: "
            "10000"},
    {.name = "total_ms",
     .kind = JK_INT,
     IN(conf_deadlines, total_ms),
     .min = 0,
     .max = WEEK_MS,
     .doc = "how long a task may take with all its attempts and waits; 0: for ever; default: 0"},
};
static const struct json_schema deadlines_schema = {
    .name = "deadlines",
    .fields = deadlines_fields,
    .n = ARRAY_LEN(deadlines_fields),
    .size = sizeof(struct conf_deadlines),
};

static const struct json_field retry_fields[] = {
    {.name = "max",
     .kind = JK_UINT,
     IN(conf_retry, max),
     .min = 0,
     .max = 100,
     .doc = "attempts after the first, where another can help; default: 2"},
    {.name = "base_ms",
     .kind = JK_INT,
     IN(conf_retry, base_ms),
     .min = 1,
     .max = DAY_MS,
     .doc = "longest wait before the first of them, doubled each time; default: 500"},
    {.name = "cap_ms",
     .kind = JK_INT,
     IN(conf_retry, cap_ms),
     .min = 1,
     .max = DAY_MS,
     .doc = "longest wait of all; default: 30000"},
};
static const struct json_schema retry_schema = {
    .name = "retry",
    .fields = retry_fields,
    .n = ARRAY_LEN(retry_fields),
    .size = sizeof(struct conf_retry),
};

static const struct json_field output_fields[] = {
    {.name = "results",
     .kind = JK_STR,
     IN(conf_output, results),
     .min = 1,
     .max = 4096,
     .doc = "file for the results, one a line in order of completion; default: results.ndjson"},
    {.name = "artifacts",
     .kind = JK_STR,
     IN(conf_output, artifacts),
     .min = 1,
     .max = 4096,
     .doc = "directory for screenshots and documents; default: out/"},
    {.name = "report",
     .kind = JK_STR,
     IN(conf_output, report),
     .min = 1,
     .max = 4096,
     .doc = "file for the report; default: report.html beside the results"},
    {.name = "har",
     .kind = JK_ENUM,
     IN(conf_output, har),
     .names = har_names,
     .doc = "HAR 1.2 file of each attempt among the artifacts: \"off\", \"omit\" (without the "
            "bodies of responses) or \"embed\" (with them); default: off"},
    {.name = "har_sensitive",
     .kind = JK_BOOL,
     IN(conf_output, har_sensitive),
     .doc = "keep the values of Authorization, Cookie and Set-Cookie in it; default: false"},
    {.name = "console",
     .kind = JK_ENUM,
     IN(conf_output, console),
     .names = console_names,
     .doc = "what pages say that is kept among the artifacts: \"errors\" (what they log as "
            "errors), \"all\" (all they log, and uncaught errors; a page can notice that) or "
            "\"off\"; default: errors"},
};
static const struct json_schema output_schema = {
    .name = "output",
    .fields = output_fields,
    .n = ARRAY_LEN(output_fields),
    .size = sizeof(struct conf_output),
};

/* --- the whole --- */

#define CONF(m) .offset = offsetof(struct campaign_file, conf.m)

static const struct json_field fields[] = {
    {.name = "name",
     .kind = JK_STR,
     CONF(name),
     .min = 1,
     .max = 100,
     .doc = "what the campaign is called; default: the file's name"},
    {.name = "coordinator",
     .kind = JK_ENUM,
     CONF(coordinator),
     .names = coordinator_names,
     .doc = "batch: members share the targets; broadcast: every member visits every target; plan: "
            "member i gets row i; pipeline: as plan, in stages; default: batch"},
    {.name = "flow",
     .kind = JK_ANY,
     .offset = offsetof(struct campaign_file, flow),
     .doc = "what is done at a target: a file in Chrome DevTools Recorder's JSON, or the flow "
            "itself"},
    {.name = "stages",
     .kind = JK_ANY,
     .offset = offsetof(struct campaign_file, stages),
     .doc = "pipeline: the flows of its stages, in order"},
    {.name = "automation",
     .kind = JK_STR,
     CONF(automation),
     .min = 1,
     .max = 4096,
     .doc = "a program that carries out the tasks, instead of a flow"},
    {.name = "config", .kind = JK_ANY, CONF(config), .doc = "what the automation is given"},
    {.name = "targets",
     .kind = JK_ANY,
     .offset = offsetof(struct campaign_file, targets),
     .doc = "the URLs to visit: a .txt, .csv or .ndjson file, - for standard input, or an array; "
            "columns are variables of the flow; $flow names another flow for a row, $member the "
            "only member that may run it"},
    {.name = "members",
     .kind = JK_OBJECT,
     CONF(members),
     .sub = &members_schema,
     .doc = "who visits them"},
    {.name = "slots",
     .kind = JK_UINT,
     CONF(slots),
     .min = 1,
     .max = CONF_SLOTS_MAX,
     .doc = "how many members run at a time; default: the fewer of members.count and 1.5 times the "
            "cores"},
    {.name = "warm",
     .kind = JK_UINT,
     CONF(warm),
     .min = 0,
     .max = CONF_WARM_MAX,
     .doc = "how many pages wait ready for the next leases of fleet serve, each of some 13 MB; "
            "default: 1"},
    {.name = "recycle",
     .kind = JK_OBJECT,
     CONF(recycle),
     .sub = &recycle_schema,
     .doc = "when a browser instance is replaced by a new one: it is drained first"},
    {.name = "autoscale",
     .kind = JK_OBJECT,
     CONF(scale),
     .sub = &scale_schema,
     .doc = "let the number of slots follow what waits and what the machine bears; and when new "
            "slots and leases are held back"},
    {.name = "isolation",
     .kind = JK_ENUM,
     CONF(isolation),
     .names = isolation_names,
     .doc = "context: members share browser processes, one browser context each; process: one "
            "each; default: context"},
    {.name = "browser",
     .kind = JK_ENUM,
     CONF(browser),
     .names = browser_names,
     .doc = "which browser; default: auto: headless-shell, or chromium where that is missing"},
    {.name = "context",
     .kind = JK_ENUM,
     CONF(context),
     .names = context_names,
     .doc = "a member keeps its browser context between its tasks, or has a fresh one for each; "
            "default: kept"},
    {.name = "sandbox",
     .kind = JK_ENUM,
     CONF(sandbox),
     .names = sandbox_names,
     .doc = "require: do not start without it; prefer: as much as can be had; off: none; default: "
            "require"},
    {.name = "proxies",
     .kind = JK_OBJECT,
     CONF(proxies),
     .sub = &proxies_schema,
     .seen_offset = offsetof(struct campaign_file, conf.proxies.given),
     .doc = "the ways out; default: none, direct"},
    {.name = "limits",
     .kind = JK_OBJECT,
     CONF(limits),
     .sub = &limits_schema,
     .doc = "how often a target is asked"},
    {.name = "breaker",
     .kind = JK_OBJECT,
     CONF(breaker),
     .sub = &breaker_schema,
     .doc = "when a target is left alone"},
    {.name = "captcha",
     .kind = JK_OBJECT,
     CONF(captcha),
     .sub = &captcha_schema,
     .doc = "block pages and CAPTCHAs: what they look like, and what is done then"},
    {.name = "policy",
     .kind = JK_OBJECT,
     CONF(policy),
     .sub = &policy_schema,
     .doc = "where members may go"},
    {.name = "audit",
     .kind = JK_OBJECT,
     CONF(audit),
     .sub = &audit_schema,
     .doc = "the signed receipts"},
    {.name = "deadlines",
     .kind = JK_OBJECT,
     CONF(deadlines),
     .sub = &deadlines_schema,
     .doc = "how long things may take"},
    {.name = "retry",
     .kind = JK_OBJECT,
     CONF(retry),
     .sub = &retry_schema,
     .doc = "when a failed attempt is repeated"},
    {.name = "output",
     .kind = JK_OBJECT,
     CONF(output),
     .sub = &output_schema,
     .doc = "what is written"},
};

const struct json_schema *campaign_schema(void)
{
    static const struct json_schema schema = {
        .name = "campaign",
        .fields = fields,
        .n = ARRAY_LEN(fields),
        .size = sizeof(struct campaign_file),
    };

    return &schema;
}

void campaign_defaults(struct campaign_conf *out)
{
    *out = (struct campaign_conf){
        .dir = "",
        .name = "campaign",
        .members = {.count = 1, .noise = true},
        .isolation = ISOLATION_CONTEXT,
        .proxies = {.max_failures = 3, .max_demerits = 6, .cooldown_s = 60},
        .limits = {.rate = {LIMIT_DEFAULT_MAX_REQUESTS, LIMIT_DEFAULT_WINDOW_MS}, .robots = true},
        .breaker = {.failure_rate = 0.10, .window_ms = 60000, .min_samples = 20},
        .captcha = {.handoff_ms = HANDOFF_DEFAULT_MS},
        .policy = {.hook_ms = HOOK_TIMEOUT_MS},
        .audit = {.sink = "audit.ndjson"},
        .deadlines = {.run_ms = 60000, .heartbeat_ms = 10000},
        .retry = {.max = 2, .base_ms = 500, .cap_ms = 30000},
        .scale = {.min = 1,
                  .memory = SCALE_MEMORY_HIGH,
                  .available = SCALE_AVAILABLE_LOW,
                  .per_cpu = SCALE_PER_CPU},
        .warm = 1,
        .recycle = {.memory_mb = 1536, .age_s = 4UL * 60 * 60, .pages = 20000},
        .output = {.results = "results.ndjson",
                   .artifacts = "out/",
                   .console = CONSOLE_KEPT_ERRORS},
    };
}
