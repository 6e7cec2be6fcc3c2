/* What a campaign names: flows, targets and what their rows ask for, proxies. */
#include <errno.h>
#include <stdio.h>

#include "core/base/file.h"
#include "core/base/url.h"
#include "core/conf/conf_internal.h"
#include "core/conf/targets.h"

/* --- flows --- */

/* A flow from its file. NULL when it was told: at the current path, or, what is in the file, with
 * its line. */
static const struct json *read_flow(struct load *l, const char *path)
{
    struct err e = ERR_INIT;
    struct json *tree;
    struct str text;

    if (campaign_read_text(l->d->arena, l->source, path, CONF_FILE_MAX, &text, &e) != STATUS_OK) {
        json_fail(l->d, NULL, "%s", err_text(&e));
        return NULL;
    }
    tree = campaign_parse_text(text, &e);
    if (!tree) {
        buf_addf(l->faults, "%s: %s\n", path, err_text(&e));
        return NULL;
    }
    return campaign_keep_tree(l->d->arena, tree);
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
    *path = campaign_join(l, json_str(j, ""));
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

void campaign_load_flows(struct load *l)
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
    const char *path = is_stdin ? "-" : campaign_join(l, name);
    struct err e = ERR_INIT;
    struct str text;

    if (is_stdin && l->stdin_taken) {
        json_fail(l->d, NULL, "found \"-\", but standard input is the campaign itself");
        return;
    }
    if (campaign_read_text(l->d->arena, l->source, path, BUF_MAX_FILE, &text, &e) != STATUS_OK) {
        json_fail(l->d, NULL, "%s", err_text(&e));
        return;
    }
    /* The faults have lines of the list's own file. */
    if (!targets_parse(l->d->arena, is_stdin ? "standard input" : path, targets_form(path, text),
                       text, out, l->faults))
        *out = (struct target_list){0};
}

void campaign_load_targets(struct load *l)
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
                 strcmp(list, "-") == 0 ? "standard input" : campaign_join(l, list), row->line,
                 name, sentence);
        return;
    }
    snprintf(where, sizeof(where), "/targets/%zu/%s", (size_t)(row - l->conf->targets), name);
    json_fail(l->d, where, "%s", sentence);
}

static void load_row_flow(struct load *l, struct row_flow *f)
{
    const struct target_row *row = &l->conf->targets[f->row];
    struct err e = ERR_INIT;

    f->path = campaign_join(l, f->name);
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

bool campaign_rows_have_flows(const struct campaign_conf *c)
{
    for (size_t i = 0; i < c->n_targets; i++) {
        if (c->targets[i].flow == 0)
            return false;
    }
    return c->n_targets > 0;
}

void campaign_load_rows(struct load *l)
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
        !campaign_rows_have_flows(c))
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

void campaign_load_proxies(struct load *l)
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

        p->file = campaign_join(l, p->file);
        if (campaign_read_text(l->d->arena, l->source, p->file, BUF_MAX_FILE, &content, &e) !=
            STATUS_OK) {
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
