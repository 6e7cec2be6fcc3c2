/* Loading: read, lay flags and variables over, decode, then what the table cannot say: files that
 * are named, and what must hold between keys. Each step goes on after errors as far as it can, so
 * that all are told at once. */
#include "core/conf/campaign.h"

#include <stdio.h>

#include "core/base/file.h"
#include "core/conf/conf_internal.h"
#include "core/conf/override.h"
#include "core/sched/executor.h"

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
    c->output.results = campaign_join(l, c->output.results);
    c->output.artifacts = campaign_join(l, c->output.artifacts);
    if (c->audit.sink)
        c->audit.sink = campaign_join(l, c->audit.sink);
    if (c->output.report) {
        c->output.report = campaign_join(l, c->output.report);
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
    /* NOLINTNEXTLINE(cert-err34-c): the path is the decoder's */
    if (sscanf(*path, "/stages/%u%n", &stage, &n) == 1 && (*path)[n] == '/' &&
        stage < c->stages.n && c->stages.v[stage] && c->stages.v[stage][0]) {
        *path += n;
        return c->stages.v[stage];
    }
    /* NOLINTNEXTLINE(cert-err34-c): the same */
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
        campaign_load_proxies(l);
    } else if (!l->source->lenient) {
        campaign_load_flows(l);
        campaign_load_targets(l);
        campaign_load_rows(l);
        campaign_load_proxies(l);
    }
    campaign_check(l);
    fill(l);
    whole = l->conf->flow_json != NULL || campaign_rows_have_flows(l->conf);
    for (size_t i = 0; i < l->conf->n_row_flows; i++)
        whole = whole && l->conf->row_flows[i].json;
    for (size_t i = 0; i < l->conf->stages.n; i++)
        whole = whole && l->conf->stages_json[i];
    if (whole && l->source->executor && l->source->executor->check)
        (void)l->source->executor->check(l->conf, l->d);
    if (whole)
        campaign_check_vars(l);
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

        if (campaign_read_text(a, &plain, source->path, CONF_FILE_MAX, &text, e) != STATUS_OK) {
            buf_addf(errors, "%s\n", err_text(e));
            return NULL;
        }
    }
    tree = campaign_parse_text(text, e);
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
        arena_on_reset(a, free, p);
    campaign_files_add(a, source->keep, campaign_absolute(a, path), str_n(p ? p : "", len));
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
    l.conf->tree = campaign_keep_tree(a, tree);
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
