/* Loading: read, lay flags and variables over, decode, then what the table cannot say: files that
 * are named, and what must hold between keys. Each step goes on after errors as far as it can, so
 * that all are told at once. */
#include "core/conf/campaign.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "core/base/file.h"
#include "core/base/jcs.h"
#include "core/base/url.h"
#include "core/conf/comments.h"
#include "core/conf/conf_internal.h"
#include "core/conf/override.h"
#include "core/conf/targets.h"
#include "core/sched/executor.h"
#include "fingerprints/generate.h"

enum { UNTRUSTED_SHOWN = 3 };

struct load {
    const struct campaign_source *source;
    struct campaign_file *file;
    struct campaign_conf *conf;
    struct json_decode *d;
    struct buf *faults; /* lines of the files that are named */
    bool stdin_taken;
};

/* --- reading files --- */

static void free_tree(void *p)
{
    struct json *j = p;

    json_destroy(&j);
}

static void free_text(void *p)
{
    free(p);
}

static const char *join(const struct load *l, const char *rel)
{
    cleanup_free char *path = file_join(l->conf->dir, rel);

    return arena_strdup(l->d->arena, path);
}

void campaign_files_add(struct arena *a, struct campaign_files *files, const char *path,
                        struct str text)
{
    if (files->n == files->cap) {
        size_t cap = files->cap ? files->cap * 2 : 8;
        struct campaign_text *v = arena_array(a, struct campaign_text, cap);

        if (files->n > 0)
            memcpy(v, files->v, files->n * sizeof(*v));
        files->v = v;
        files->cap = cap;
    }
    files->v[files->n++] = (struct campaign_text){.path = path, .text = text};
}

/* The path under which a text is kept: one that does not depend on the working directory. */
static const char *absolute(struct arena *a, const char *path)
{
    cleanup_free char *cwd = NULL, *joined = NULL;

    if (path[0] == '/' || strcmp(path, "-") == 0)
        return arena_strdup(a, path);
    cwd = getcwd(NULL, 0);
    joined = file_join(cwd ? cwd : "", path);
    return arena_strdup(a, joined);
}

static enum status find_text(const struct campaign_files *files, const char *path, struct str *out,
                             struct err *e)
{
    for (size_t i = 1; i < files->n; i++) {
        if (strcmp(files->v[i].path, path) == 0) {
            *out = files->v[i].text;
            return STATUS_OK;
        }
    }
    return err_set(e, STATUS_NOT_FOUND,
                   "%s: files are not read here; write what it holds in its place", path);
}

/* The content as text that lives as long as the arena: from the disk, or from what was kept. */
static enum status read_text(struct arena *a, const struct campaign_source *source,
                             const char *path, size_t max, struct str *out, struct err *e)
{
    struct buf b = BUF_INIT(max);
    enum status s = source->from ? find_text(source->from, path, out, e) : file_read(path, &b, e);
    size_t len = 0;
    char *p;

    if (s != STATUS_OK || source->from) {
        buf_deinit(&b);
        return s;
    }
    p = buf_take(&b, &len);
    if (p)
        arena_on_reset(a, free_text, p);
    *out = str_n(p ? p : "", len);
    if (source->keep)
        campaign_files_add(a, source->keep, absolute(a, path), *out);
    return STATUS_OK;
}

/* JSON that people write: comments are fine, members that are there twice are not. */
static struct json *parse_text(struct str text, struct err *e)
{
    cleanup_free char *copy = xcalloc(1, text.len + 1);

    memcpy(copy, text.ptr, text.len);
    if (comments_blank(copy, text.len, e) != STATUS_OK)
        return NULL;
    return json_parse(str_n(copy, text.len), true, e);
}

static const struct json *keep_tree(struct arena *a, struct json *j)
{
    arena_on_reset(a, free_tree, j);
    return j;
}

/* --- flows --- */

/* A flow from its file. NULL when it was told: at the current path, or, what is in the file, with
 * its line. */
static const struct json *read_flow(struct load *l, const char *path)
{
    struct err e = ERR_INIT;
    struct json *tree;
    struct str text;

    if (read_text(l->d->arena, l->source, path, CONF_FILE_MAX, &text, &e) != STATUS_OK) {
        json_fail(l->d, NULL, "%s", err_text(&e));
        return NULL;
    }
    tree = parse_text(text, &e);
    if (!tree) {
        buf_addf(l->faults, "%s: %s\n", path, err_text(&e));
        return NULL;
    }
    return keep_tree(l->d->arena, tree);
}

/* A flow from where the key says: a file's name, or the tree itself. NULL when it was told. */
static const struct json *load_flow(struct load *l, const struct json *j, const char **path)
{
    *path = NULL;
    if (json_type(j) == JSON_OBJECT)
        return j;
    if (json_type(j) != JSON_STRING || !json_str(j, "")[0]) {
        json_fail(l->d, NULL, "found %s, expected the name of a flow file, or a flow",
                  json_type(j) == JSON_STRING ? "\"\"" : json_type_name(json_type(j)));
        return NULL;
    }
    *path = join(l, json_str(j, ""));
    return read_flow(l, *path);
}

static void load_stages(struct load *l)
{
    struct campaign_conf *c = l->conf;
    const struct json *j = l->file->stages;
    size_t n = json_len(j), mark = json_enter(l->d, "stages", 0);

    if (json_type(j) != JSON_ARRAY || n == 0 || n > 100) {
        json_fail(l->d, NULL, "found %s, expected an array of 1..100 flows",
                  json_type(j) == JSON_ARRAY ? (n ? "more" : "none")
                                             : json_type_name(json_type(j)));
        json_leave(l->d, mark);
        return;
    }
    c->stages.v = arena_array(l->d->arena, const char *, n);
    c->stages_json = arena_array(l->d->arena, const struct json *, n);
    for (const struct json *one = json_first(j); one; one = json_next(one)) {
        size_t inner = json_enter(l->d, NULL, c->stages.n);
        const char *path;

        c->stages_json[c->stages.n] = load_flow(l, one, &path);
        c->stages.v[c->stages.n++] = path ? path : "";
        json_leave(l->d, inner);
    }
    c->flow_json = c->stages_json[0];
    json_leave(l->d, mark);
}

static void load_flows(struct load *l)
{
    struct campaign_file *f = l->file;
    bool pipeline = l->conf->coordinator == COORD_PIPELINE;
    size_t mark;

    if (pipeline && f->flow)
        json_fail(l->d, "/flow", "found with coordinator \"pipeline\", expected \"stages\"");
    if (!pipeline && f->stages)
        json_fail(l->d, "/stages", "found with coordinator \"%s\", expected \"flow\"",
                  coordinator_names[l->conf->coordinator]);
    if (l->conf->automation)
        json_fail(l->d, "/automation",
                  "found \"%s\", expected \"flow\": this version carries out flows only",
                  l->conf->automation);
    if (pipeline && !f->stages)
        json_fail(l->d, "/stages", "missing, expected an array of flows");
    if (pipeline && f->stages)
        load_stages(l);
    if (!pipeline && f->flow) {
        mark = json_enter(l->d, "flow", 0);
        l->conf->flow_json = load_flow(l, f->flow, &l->conf->flow);
        json_leave(l->d, mark);
    }
}

/* --- targets --- */

static void load_target_file(struct load *l, const char *name, struct target_list *out)
{
    bool is_stdin = strcmp(name, "-") == 0;
    const char *path = is_stdin ? "-" : join(l, name);
    struct err e = ERR_INIT;
    struct str text;

    if (is_stdin && l->stdin_taken) {
        json_fail(l->d, NULL, "found \"-\", but standard input is the campaign itself");
        return;
    }
    if (read_text(l->d->arena, l->source, path, BUF_MAX_FILE, &text, &e) != STATUS_OK) {
        json_fail(l->d, NULL, "%s", err_text(&e));
        return;
    }
    /* The faults have lines of the list's own file. */
    if (!targets_parse(l->d->arena, is_stdin ? "standard input" : path, targets_form(path, text),
                       text, out, l->faults))
        *out = (struct target_list){0};
}

static void load_targets(struct load *l)
{
    const struct json *j = l->file->targets;
    size_t mark = json_enter(l->d, "targets", 0);
    struct target_list list = {0};
    bool is_ok maybe_unused = true; /* a failure is counted in d */

    if (!j)
        json_fail(l->d, NULL, "missing, expected the name of a list, or an array of URLs");
    else if (json_type(j) == JSON_STRING && json_str(j, "")[0])
        load_target_file(l, json_str(j, ""), &list);
    else if (json_type(j) == JSON_ARRAY)
        is_ok = targets_inline(l->d, j, &list);
    else
        json_fail(l->d, NULL, "found %s, expected the name of a list, or an array of URLs",
                  json_type(j) == JSON_STRING ? "\"\"" : json_type_name(json_type(j)));
    l->conf->targets = list.rows;
    l->conf->n_targets = list.n;
    l->conf->row_flows = list.flows;
    l->conf->n_row_flows = list.n_flows;
    json_leave(l->d, mark);
}

/* --- what rows ask for: $flow and $member --- */

/* Where a row stands, as the path of an error: "/targets/3/$flow", or with the line of its list. */
static void fail_row(struct load *l, const struct target_row *row, const char *name,
                     const char *sentence)
{
    char where[JSON_PATH_MAX];
    const char *list = json_str(l->file->targets, NULL);

    if (list) {
        buf_addf(l->faults, "%s:%u: %s: %s\n",
                 strcmp(list, "-") == 0 ? "standard input" : join(l, list), row->line, name,
                 sentence);
        return;
    }
    snprintf(where, sizeof(where), "/targets/%zu/%s", (size_t)(row - l->conf->targets), name);
    json_fail(l->d, where, "%s", sentence);
}

static void load_row_flow(struct load *l, struct row_flow *f)
{
    const struct target_row *row = &l->conf->targets[f->row];
    struct err e = ERR_INIT;

    f->path = join(l, f->name);
    if (access(f->path, R_OK) != 0) {
        err_set_errno(&e, STATUS_IO, errno, "%s cannot be read", f->path);
        fail_row(l, row, "$flow", err_text(&e));
    } else {
        f->json = read_flow(l, f->path);
    }
}

static void check_row_members(struct load *l)
{
    const struct campaign_conf *c = l->conf;
    struct err e = ERR_INIT;
    size_t told = 0;

    for (size_t i = 0; i < c->n_targets && told < JSON_ERRORS_MAX; i++) {
        int32_t m = c->targets[i].member;

        if (m < 0 || (c->coordinator == COORD_BATCH && (uint32_t)m < c->members.count))
            continue;
        if (c->coordinator != COORD_BATCH)
            err_set(&e, STATUS_INVALID, "found %d with coordinator \"%s\", expected \"batch\"", m,
                    coordinator_names[c->coordinator]);
        else if (c->members.count == 0)
            err_set(&e, STATUS_INVALID,
                    "found %d without members.count, which members.store needs beside it", m);
        else
            err_set(&e, STATUS_INVALID, "found %d, expected 0..%u (members.count is %u)", m,
                    c->members.count - 1, c->members.count);
        fail_row(l, &c->targets[i], "$member", err_text(&e));
        told++;
    }
}

static bool every_row_has_flow(const struct campaign_conf *c)
{
    for (size_t i = 0; i < c->n_targets; i++) {
        if (c->targets[i].flow == 0)
            return false;
    }
    return c->n_targets > 0;
}

static void load_rows(struct load *l)
{
    struct campaign_conf *c = l->conf;

    for (size_t i = 0; i < c->n_row_flows; i++) {
        if (c->coordinator == COORD_PIPELINE)
            fail_row(l, &c->targets[c->row_flows[i].row], "$flow",
                     "found with coordinator \"pipeline\", expected \"stages\"");
        else
            load_row_flow(l, &c->row_flows[i]);
    }
    check_row_members(l);
    if (c->coordinator != COORD_PIPELINE && !l->file->flow && !c->automation &&
        !every_row_has_flow(c))
        json_fail(l->d, "/flow", "missing, expected the name of a flow file, or a flow");
}

const struct json *campaign_flow(const struct campaign_conf *c, size_t row, uint32_t stage)
{
    if (c->stages_json)
        return c->stages_json[stage];
    return c->targets[row].flow ? c->row_flows[c->targets[row].flow - 1].json : c->flow_json;
}

/* --- proxies --- */

static void proxies_free(void *p)
{
    proxy_list_deinit(p);
}

static bool proxies_add(struct load *l, struct buf *text, const char *name, const char *suffix)
{
    struct proxy_list more = PROXY_LIST_INIT;
    struct err e = ERR_INIT;

    if (proxy_list_parse(buf_str(text), name, &more, suffix ? NULL : l->faults, &e) != STATUS_OK) {
        if (suffix)
            json_fail(l->d, suffix, "%s", err_text(&e));
        return false;
    }
    l->conf->proxies.parsed = more;
    return true;
}

static void check_proxies(struct load *l)
{
    const struct conf_proxies *p = &l->conf->proxies;
    struct err e = ERR_INIT;
    struct url url;
    size_t there = 0;

    for (size_t i = 0; p->country && i < p->parsed.n; i++)
        there += strcasecmp(proxy_country(p->parsed.v[i]), p->country) == 0;
    if (p->country && p->parsed.n > 0 && there == 0)
        json_fail(l->d, "/proxies/country", "found \"%s\", which none of the %zu proxies names",
                  p->country, p->parsed.n);
    if (p->probe && url_parse(l->d->arena, str_from(p->probe), "http https", &url, &e) != STATUS_OK)
        json_fail(l->d, "/proxies/probe", "%s", err_text(&e));
}

static void load_proxies(struct load *l)
{
    struct conf_proxies *p = &l->conf->proxies;
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    struct err e = ERR_INIT;
    bool ok = true;

    arena_on_reset(l->d->arena, proxies_free, &p->parsed);
    for (size_t i = 0; i < p->list.n; i++)
        buf_addf(&text, "%s\n", p->list.v[i]);
    if (p->file && p->list.n > 0) {
        ok = json_fail(l->d, "/proxies/list", "found beside \"file\", expected one of them");
    } else if (p->file) {
        struct str content;

        p->file = join(l, p->file);
        if (read_text(l->d->arena, l->source, p->file, BUF_MAX_FILE, &content, &e) != STATUS_OK) {
            ok = json_fail(l->d, "/proxies/file", "%s", err_text(&e));
        } else {
            buf_addstr(&text, content);
            ok = proxies_add(l, &text, p->file, NULL);
        }
    } else if (p->list.n > 0) {
        ok = proxies_add(l, &text, "line", "/proxies/list");
    }
    if (ok && p->given && p->parsed.n == 0 && (p->required || p->file))
        json_fail(l->d, "/proxies",
                  "found no proxy, expected at least one in \"file\" or \"list\"");
    if (ok)
        check_proxies(l);
    buf_deinit(&text);
}

/* --- what must hold between keys --- */

static bool host_is_authorized(const struct conf_limits *l, struct str host)
{
    for (size_t i = 0; i < l->authorized.n; i++) {
        if (str_glob_nocase(str_from(l->authorized.v[i]), host))
            return true;
    }
    return false;
}

bool campaign_is_trusted(const struct campaign_conf *c, struct str host)
{
    return net_zone_is_private(net_zone_of(host)) || host_is_authorized(&c->limits, host);
}

/* Names the first targets that the rate is too high for. */
static void fail_untrusted(struct load *l, const char *why)
{
    const struct campaign_conf *c = l->conf;
    struct buf names = BUF_INIT(ERR_TEXT_MAX / 2);
    struct str last = STR_NONE;
    size_t shown = 0;

    for (size_t i = 0; i < c->n_targets && shown <= UNTRUSTED_SHOWN; i++) {
        struct str host = c->targets[i].host;

        if (host.ptr == last.ptr || campaign_is_trusted(c, host))
            continue;
        last = host;
        if (shown++ < UNTRUSTED_SHOWN)
            buf_addf(&names, "%s%.*s", shown > 1 ? ", " : "", STR_ARG(host));
        else
            buf_adds(&names, ", ...");
    }
    if (shown > 0)
        json_fail(l->d, "/limits/max_requests", "%s (these are neither: %s)", why, names.ptr);
    buf_deinit(&names);
}

static void check_rate(struct load *l)
{
    struct limit_rate rate = l->conf->limits.rate;
    struct err e = ERR_INIT;

    if (limit_rate_check(rate, true, &e) != STATUS_OK)
        json_fail(l->d, rate.window_ms == 0 ? "/limits/window_ms" : "/limits/max_requests", "%s",
                  err_text(&e));
    else if (limit_rate_check(rate, false, &e) != STATUS_OK)
        fail_untrusted(l, err_text(&e));
}

static void check_viewport(struct load *l)
{
    struct conf_members *m = &l->conf->members;
    struct str rest = str_from(m->viewport), w;
    uint64_t wide = 0, high = 0;

    if (!m->viewport)
        return;
    w = str_cut(&rest, 'x');
    if (!str_to_u64(w, 2560, &wide) || !rest.ptr || !str_to_u64(rest, 1353, &high) || wide < 200 ||
        high < 200)
        json_fail(l->d, "/members/identities/viewport",
                  "found \"%s\", expected WIDTHxHEIGHT, 200x200 to 2560x1353", m->viewport);
    m->viewport_w = (uint32_t)wide;
    m->viewport_h = (uint32_t)high;
}

static void check_store(struct load *l)
{
    const struct conf_members *m = &l->conf->members;
    const struct json *given = json_get(l->conf->tree, "members");

    if (!m->store) {
        if (m->key)
            json_fail(l->d, "/members/key", "found without members.store, whose key it is");
        return;
    }
    if (json_get(given, "identities"))
        json_fail(
            l->d, "/members/identities",
            "found beside members.store, expected one of the two: identities of the store are "
            "made already");
    if (m->key && strncmp(m->key, "file:", 5) != 0 && strncmp(m->key, "env:", 4) != 0 &&
        strncmp(m->key, "passphrase:", 11) != 0)
        json_fail(l->d, "/members/key", "expected file:PATH, env:NAME or passphrase:NAME");
}

static void check_members(struct load *l)
{
    const struct conf_members *m = &l->conf->members;
    const struct identity_params p = {
        .seed = m->seed ? m->seed : "default",
        .os = m->os,
        .locales = m->locales,
        .timezones = m->timezones,
    };
    struct err e = ERR_INIT;
    struct str rest, where;
    char path[JSON_PATH_MAX];

    check_store(l);
    if (identity_params_check(&p, &e) == STATUS_OK)
        return;
    rest = str_from(err_text(&e)); /* "locales/1: ..." */
    where = str_cut(&rest, ':');
    snprintf(path, sizeof(path), "/members/identities/%.*s", STR_ARG(where));
    json_fail(l->d, path, "found %s", rest.ptr ? str_trim(rest).ptr : "");
}

static void check_retry(struct load *l)
{
    const struct conf_retry *r = &l->conf->retry;

    if (r->base_ms > r->cap_ms)
        json_fail(l->d, "/retry/cap_ms", "found %llu, expected at least retry.base_ms (%llu)",
                  (unsigned long long)r->cap_ms, (unsigned long long)r->base_ms);
}

static void check_scale(struct load *l)
{
    const struct scale_conf *s = &l->conf->scale;

    if (s->max > 0 && s->max < s->min)
        json_fail(l->d, "/autoscale/max", "found %u, expected at least autoscale.min (%u), or 0",
                  s->max, s->min);
}

static void check_size(struct load *l)
{
    const struct campaign_conf *c = l->conf;

    if (c->coordinator == COORD_BROADCAST && c->members.count > 0 &&
        c->n_targets > CONF_TASKS_MAX / c->members.count)
        json_fail(l->d, "/targets",
                  "found %zu targets for each of %u members, expected at most %d "
                  "tasks",
                  c->n_targets, c->members.count, CONF_TASKS_MAX);
}

static void check_hosts(struct load *l, const char *path, const struct json_strs *v)
{
    for (size_t i = 0; i < v->n; i++) {
        struct str s = str_from(v->v[i]);
        char where[JSON_PATH_MAX];

        if (s.len > 0 && s.len <= 255 && str_chr(s, '/') < 0 && str_chr(s, ' ') < 0)
            continue;
        snprintf(where, sizeof(where), "%s/%zu", path, i);
        json_fail(l->d, where,
                  "found \"%s\", expected a host such as shop.example.org or "
                  "*.example.org",
                  v->v[i]);
    }
}

static void check_whole(struct load *l)
{
    check_rate(l);
    check_viewport(l);
    check_members(l);
    check_retry(l);
    check_scale(l);
    check_size(l);
    check_hosts(l, "/limits/authorized", &l->conf->limits.authorized);
    check_hosts(l, "/policy/allow", &l->conf->policy.allow);
    check_hosts(l, "/policy/deny", &l->conf->policy.deny);
}

/* --- defaults that follow from other values --- */

static const char *default_name(struct arena *a, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    struct str s = str_from(base);

    if (str_ends(s, STR(".json")))
        s.len -= 5;
    if (s.len == 0 || str_eqz(s, "-"))
        return "campaign";
    return arena_strndup(a, s.ptr, s.len > 100 ? 100 : s.len);
}

static uint32_t default_slots(uint32_t members)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t n = cores < 1 ? 2 : (uint32_t)(cores * 3 + 1) / 2;

    return n > members ? members : n > CONF_SLOTS_MAX ? CONF_SLOTS_MAX : n;
}

static void fill(struct load *l)
{
    struct campaign_conf *c = l->conf;
    cleanup_free char *dir = NULL, *report = NULL;

    if (c->slots == 0)
        c->slots = default_slots(c->members.count > 0 ? c->members.count : CONF_MEMBERS_MAX);
    c->output.results = join(l, c->output.results);
    c->output.artifacts = join(l, c->output.artifacts);
    if (c->audit.sink)
        c->audit.sink = join(l, c->audit.sink);
    if (c->output.report) {
        c->output.report = join(l, c->output.report);
    } else {
        dir = file_dirname(c->output.results);
        report = file_join(dir, "report.html");
        c->output.report = arena_strdup(l->d->arena, report);
    }
}

/* --- telling --- */

/* The name that an error's line begins with: the flag or variable that the value came from, the
 * flow's own file, or the campaign. *path loses what the name says already. */
static const char *error_name(const struct load *l, const char **path)
{
    const struct campaign_conf *c = l->conf;
    const struct override *o = NULL;
    unsigned stage, row_flow;
    int n = 0;

    if (l->source->overrides)
        o = overrides_at(l->source->overrides, *path);
    if (c->flow && strncmp(*path, "/flow/", 6) == 0) {
        *path += 5;
        return c->flow;
    }
    if (sscanf(*path, "/stages/%u%n", &stage, &n) == 1 && (*path)[n] == '/' &&
        stage < c->stages.n && c->stages.v[stage] && c->stages.v[stage][0]) {
        *path += n;
        return c->stages.v[stage];
    }
    if (sscanf(*path, "/row_flows/%u%n", &row_flow, &n) == 1 && row_flow < c->n_row_flows) {
        *path += n;
        return c->row_flows[row_flow].path;
    }
    if (o) {
        *path += strlen(o->path);
        return o->name;
    }
    return c->path ? c->path : "standard input";
}

static void tell(const struct load *l, struct buf *errors)
{
    size_t n = l->d->n_errors;

    for (size_t i = 0; i < n && i < JSON_ERRORS_MAX; i++) {
        const char *path = l->d->errors[i].path;
        const char *name = error_name(l, &path);

        buf_addf(errors, "%s: %s%s%s\n", name, path, path[0] ? ": " : "", l->d->errors[i].text);
    }
    if (n > JSON_ERRORS_MAX)
        buf_addf(errors, "%s: and %zu errors more\n", l->conf->path ? l->conf->path : "campaign",
                 n - JSON_ERRORS_MAX);
    buf_addstr(errors, buf_str(l->faults));
}

static enum status first_error(const struct buf *errors, struct err *e)
{
    struct str rest = buf_str(errors), first = str_cut(&rest, '\n');

    return err_set(e, STATUS_INVALID, "%.*s%s", STR_ARG(first),
                   rest.ptr && rest.len > 0 ? " (and more)" : "");
}

/* --- the whole --- */

/* What is a batch's and not an engine's. */
static void refuse_work(struct load *l)
{
    static const char *const keys[] = {"flow", "stages", "automation", "targets", "coordinator"};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct json *v = json_get(l->conf->tree, keys[i]);
        size_t mark;

        if (!v)
            continue;
        mark = json_enter(l->d, keys[i], 0);
        json_fail(l->d, NULL, "found %s, expected none: each batch that is submitted brings it",
                  json_type_name(json_type(v)));
        json_leave(l->d, mark);
    }
}

/* How many members there are of a store is known when it is opened. */
static void count_of_store(struct load *l)
{
    struct conf_members *m = &l->conf->members;

    if (m->store && !json_get(json_get(l->conf->tree, "members"), "count"))
        m->count = 0;
}

static void load_all(struct load *l)
{
    bool whole;

    if (!json_decode(l->d, campaign_schema(), l->conf->tree, l->file) && l->source->lenient)
        return;
    count_of_store(l);
    if (l->source->serve) {
        refuse_work(l);
        load_proxies(l);
    } else if (!l->source->lenient) {
        load_flows(l);
        load_targets(l);
        load_rows(l);
        load_proxies(l);
    }
    check_whole(l);
    fill(l);
    whole = l->conf->flow_json != NULL || every_row_has_flow(l->conf);
    for (size_t i = 0; i < l->conf->n_row_flows; i++)
        whole = whole && l->conf->row_flows[i].json;
    for (size_t i = 0; i < l->conf->stages.n; i++)
        whole = whole && l->conf->stages_json[i];
    if (whole && l->source->executor && l->source->executor->check)
        (void)l->source->executor->check(l->conf, l->d);
}

/* The file's tree with flags and variables laid over; NULL when it could not be read (told). */
static struct json *read_tree(struct arena *a, const struct campaign_source *source,
                              struct buf *errors, struct err *e)
{
    const char *name =
        source->path && strcmp(source->path, "-") == 0 ? "standard input" : source->path;
    struct json *tree;
    struct str text;

    if (source->from) {
        BUG_ON(source->from->n == 0);
        name = source->from->v[0].path;
        text = source->from->v[0].text;
    } else if (!source->path) {
        return json_new_object();
    } else {
        struct campaign_source plain = {.path = source->path}; /* kept later, as it is decoded */

        if (read_text(a, &plain, source->path, CONF_FILE_MAX, &text, e) != STATUS_OK) {
            buf_addf(errors, "%s\n", err_text(e));
            return NULL;
        }
    }
    tree = parse_text(text, e);
    if (tree && json_type(tree) != JSON_OBJECT) {
        err_set(e, STATUS_INVALID, "found %s, expected an object", json_type_name(json_type(tree)));
        json_destroy(&tree);
    }
    if (!tree) {
        err_prefix(e, "%s", name);
        e->status = STATUS_INVALID;
        buf_addf(errors, "%s\n", err_text(e));
    }
    return tree;
}

/* The campaign's own text comes first among what is kept: as it is decoded, with its name, and
 * under a path that its relative ones can be joined to from anywhere. */
static void keep_own(struct arena *a, const struct campaign_source *source, const struct json *tree,
                     const char *name)
{
    const char *path = source->path && strcmp(source->path, "-") != 0 ? source->path : "stdin.json";
    struct json *copy = json_dup(tree);
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    char *p;
    size_t len = 0;

    if (!json_get(copy, "name"))
        json_add_str(copy, "name", name);
    json_print(copy, 0, &text);
    p = buf_take(&text, &len);
    if (p)
        arena_on_reset(a, free_text, p);
    campaign_files_add(a, source->keep, absolute(a, path), str_n(p ? p : "", len));
    json_destroy(&copy);
}

/* Where the campaign's file is, and what it is called where it does not say so itself. */
static void place(struct load *l, struct arena *a)
{
    const struct campaign_source *source = l->source;
    const char *path = source->from ? source->from->v[0].path : source->path;

    l->stdin_taken = !source->from && path && strcmp(path, "-") == 0;
    if (path && !l->stdin_taken) {
        cleanup_free char *dir = file_dirname(path);

        l->conf->path = arena_strdup(a, path);
        l->conf->dir = arena_strdup(a, dir);
        l->conf->name = default_name(a, path);
    }
}

enum status campaign_load_from(struct arena *a, const struct campaign_source *source,
                               struct campaign_conf *out, struct buf *errors, struct err *e)
{
    struct campaign_file *file = arena_new(a, struct campaign_file);
    struct buf faults = BUF_INIT(BUF_MAX_MESSAGE);
    struct err first = ERR_INIT;
    struct json_decode d;
    struct json *tree = read_tree(a, source, errors, &first);
    struct load l = {
        .source = source, .file = file, .conf = &file->conf, .d = &d, .faults = &faults};
    enum status s = STATUS_OK;

    if (!tree) {
        if (e)
            *e = first;
        return first.status;
    }
    if (source->overrides)
        overrides_apply(source->overrides, tree);
    campaign_defaults(l.conf);
    l.conf->tree = keep_tree(a, tree);
    place(&l, a);
    if (source->keep)
        keep_own(a, source, l.conf->tree, l.conf->name);
    json_decode_init(&d, a, &l);
    load_all(&l);
    tell(&l, errors);
    buf_deinit(&faults);
    if (errors->len > 0)
        s = first_error(errors, e);
    *out = file->conf;
    return s;
}

enum status campaign_load(struct arena *a, const char *path, struct campaign_conf *out,
                          struct buf *errors, struct err *e)
{
    const struct campaign_source source = {.path = path};

    return campaign_load_from(a, &source, out, errors, e);
}
