/* fleet identity import and export: identities with their cookies, in Fleet's own lines, as
 * Playwright's storage state, as a cookies.txt. */
#include <stdio.h>

#include "core/base/file.h"
#include "core/cli/identity_store.h"
#include "fingerprints/cookies.h"

/* --- import --- */

struct importing {
    struct cli *cli;
    struct arena *arena;
    struct idstore *store;
    struct buf faults;
    const char *name; /* of the file, in messages */
    size_t n;
};

static bool is_id(const char *id)
{
    return id && id[0] && strlen(id) < IDENTITY_ID_MAX;
}

/* A state of another program goes to the identity of --id, or to a new one. */
static int import_state(struct importing *m, struct str state)
{
    const char *id = cli_get(m->cli, "id");
    struct buf record = BUF_INIT(IDSTORE_RECORD_MAX);
    struct idstore_row row = {.tag = cli_get(m->cli, "tag")};
    struct persona p;
    struct err e = ERR_INIT;
    enum status s;

    if (id) {
        s = idstore_get(m->store, id, m->arena, &row, &e);
        row.state = state;
        if (cli_has(m->cli, "tag"))
            row.tag = cli_get(m->cli, "tag");
        if (s == STATUS_OK)
            s = idstore_lock(m->store, &e);
        if (s == STATUS_OK)
            s = idstore_replace(m->store, &row, &e);
    } else {
        persona_init(&p, m->arena);
        persona_write(&p, &record);
        row.record = buf_str(&record);
        row.state = state;
        s = persona_id(&p, m->arena, &row.id, &e);
        if (s == STATUS_OK)
            s = idstore_add(m->store, &row, 1, &e);
    }
    if (s == STATUS_OK)
        printf("%s\n", row.id);
    buf_deinit(&record);
    return s == STATUS_OK ? EXIT_OK : cli_fail(m->cli, &e);
}

static void fault(struct importing *m, size_t line, const char *what)
{
    buf_addf(&m->faults, "%s:%zu: %s\n", m->name, line, what);
}

static struct str printed(struct arena *a, const struct json *j)
{
    struct buf text = BUF_INIT(IDSTORE_STATE_MAX);
    struct str out = STR_NONE;

    if (j && json_type(j) != JSON_NULL) {
        json_print(j, 0, &text);
        if (buf_status(&text) == STATUS_OK)
            out = arena_str(a, buf_str(&text));
    }
    buf_deinit(&text);
    return out;
}

/* One line of an export. */
static bool take_line(struct importing *m, struct str line, size_t at, struct idstore_row *row)
{
    struct err e = ERR_INIT;
    struct json *j = json_parse(line, true, &e);
    const struct json *state = json_get(j, "state");
    struct persona p;
    bool good = false;

    *row = (struct idstore_row){
        .id = arena_strdup(m->arena, json_str(json_get(j, "id"), "")),
        .tag = arena_strdup(m->arena, json_str(json_get(j, "tag"), "")),
        .record = printed(m->arena, json_get(j, "record")),
        .state = printed(m->arena, state),
    };
    if (!j)
        fault(m, at, err_text(&e));
    else if (!is_id(row->id) || row->record.len == 0)
        fault(m, at, "expected an identity as export writes it: id, tag, record, state");
    else if (persona_read(row->record, row->id, m->arena, &p, &e) != STATUS_OK)
        fault(m, at, err_text(&e));
    else
        good = !row->state.ptr || state_check(state, m->name, &m->faults);
    json_destroy(&j);
    return good;
}

static int import_lines(struct importing *m, struct str text)
{
    struct idstore_row *rows = xcalloc(text.len / 2 + 1, sizeof(*rows));
    struct err e = ERR_INIT;
    size_t n = 0;
    int code = EXIT_OK;

    for (size_t at = 1; text.ptr; at++) {
        struct str line = str_trim(str_cut(&text, '\n'));

        if (line.len > 0 && take_line(m, line, at, &rows[n]))
            n++;
    }
    if (m->faults.len > 0)
        code = EXIT_INPUT;
    else if (idstore_add(m->store, rows, n, &e) != STATUS_OK)
        code = cli_fail(m->cli, &e);
    for (size_t i = 0; i < n && code == EXIT_OK; i++)
        printf("%s\n", rows[i].id);
    free(rows);
    return code;
}

/* One JSON value in the whole file is a storage state; lines are an export. */
static int import_text(struct importing *m, struct str text)
{
    struct json *j = NULL;
    int code = EXIT_INPUT;

    if (cookies_is_netscape(text)) {
        j = cookies_from_netscape(text, m->name, &m->faults);
        return j ? import_state(m, printed(m->arena, j)) : EXIT_INPUT;
    }
    j = json_parse(text, false, NULL);
    if (j && json_get(j, "record") == NULL) {
        if (state_check(j, m->name, &m->faults))
            code = import_state(m, printed(m->arena, j));
    } else {
        code = import_lines(m, text);
    }
    json_destroy(&j);
    return code;
}

static int import(struct cli *c)
{
    const char *path = cli_arg(c, 0), *id = cli_get(c, "id");
    struct importing m = {.cli = c,
                          .arena = arena_create(NULL, 0),
                          .faults = BUF_INIT(BUF_MAX_MESSAGE),
                          .name = strcmp(path, "-") == 0 ? "standard input" : path};
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    struct err e = ERR_INIT;
    int code;

    if (id && !is_id(id))
        code = cli_usage(c, "--id: found \"%s\", expected 1 to %d characters", id,
                         IDENTITY_ID_MAX - 1);
    else if (file_read(path, &text, &e) != STATUS_OK)
        code = cli_fail(c, &e);
    else
        code = store_of(c, true, &m.store);
    if (code == EXIT_OK)
        code = import_text(&m, buf_str(&text));
    if (m.faults.len > 0)
        fputs(m.faults.ptr, stderr);
    idstore_close(&m.store);
    buf_deinit(&text);
    buf_deinit(&m.faults);
    arena_destroy(&m.arena);
    return code;
}

#define KEY_OPTION                                                                                 \
    {                                                                                              \
        "key", 0, "KEY", "key of the store, as for identity new"                                   \
    }

static const struct cli_option import_options[] = {
    {"id", 0, "ID", "give the cookies to this identity, in place of its own"},
    {"tag", 0, "TAG", "tag of the identity that is made or changed"},
    KEY_OPTION,
    {NULL, 0, NULL, NULL},
};

const struct cli_verb verb_identity_import = {
    .name = "identity import",
    .summary = "Take in cookies and storage, or exported identities",
    .usage = "FILE",
    .options = import_options,
    .min_args = 1,
    .max_args = 1,
    .details =
        "FILE is a storage state of Playwright, a cookies.txt (Netscape's format), or lines\n"
        "of `identity export`; - is standard input. The ids are printed. Nothing is taken\n"
        "when a part of it is not valid.",
    .run = import,
};

/* --- export --- */

struct exporting {
    struct cli *cli;
    size_t damaged;
};

static bool export_row(void *arg, const struct idstore_row *r, enum status fate)
{
    struct exporting *x = arg;
    struct buf line = BUF_INIT(BUF_MAX_FILE);
    struct json *j;

    if (fate != STATUS_OK) {
        x->damaged++;
        fprintf(stderr, "%s: identity %s cannot be opened: its row is damaged\n",
                cli_program(x->cli)->name, r->id);
        return true;
    }
    j = json_add_str(json_new_object(), "id", r->id);
    json_add_str(j, "tag", r->tag);
    json_add(j, "record", json_parse(r->record, false, NULL));
    json_add(j, "state", r->state.ptr ? json_parse(r->state, false, NULL) : json_new_null());
    json_print(j, 0, &line);
    buf_addc(&line, '\n');
    fwrite(line.ptr, 1, line.len, stdout);
    json_destroy(&j);
    buf_deinit(&line);
    return true;
}

static int export_as(const struct cli *c, const struct idstore_row *r, const char *format)
{
    static const char empty[] = "{\"cookies\":[],\"origins\":[]}";
    struct json *state = json_parse(r->state.ptr ? r->state : str_from(empty), false, NULL);
    struct buf out = BUF_INIT(BUF_MAX_FILE);
    int code = EXIT_OK;

    if (strcmp(format, "playwright") == 0) {
        code = cli_print_json(c, state);
    } else {
        cookies_to_netscape(state, &out);
        fwrite(out.ptr, 1, out.len, stdout);
    }
    buf_deinit(&out);
    json_destroy(&state);
    return code;
}

static int export_one(const struct cli *c, struct idstore *s, const char *format)
{
    struct arena *a = arena_create(NULL, 0);
    struct exporting x = {0};
    struct idstore_row row;
    struct err e = ERR_INIT;
    int code = EXIT_OK;

    if (idstore_get(s, cli_arg(c, 0), a, &row, &e) != STATUS_OK)
        code = cli_fail(c, &e);
    else if (strcmp(format, "fleet") == 0)
        (void)export_row(&x, &row, STATUS_OK);
    else
        code = export_as(c, &row, format);
    arena_destroy(&a);
    return code;
}

static int export_all(struct cli *c, struct idstore *s)
{
    struct exporting x = {.cli = c};
    struct err e = ERR_INIT;

    if (idstore_each(s, cli_get(c, "tag"), true, export_row, &x, &e) != STATUS_OK)
        return cli_fail(c, &e);
    return x.damaged > 0 ? EXIT_PARTIAL : EXIT_OK;
}

static int export(struct cli *c)
{
    const char *format = cli_get(c, "format");
    struct idstore *s = NULL;
    int code;

    if (!format)
        format = "fleet";
    if (strcmp(format, "fleet") != 0 && strcmp(format, "playwright") != 0 &&
        strcmp(format, "netscape") != 0)
        return cli_usage(c, "--format: found \"%s\", expected fleet, playwright or netscape",
                         format);
    if (cli_n_args(c) == 0 && strcmp(format, "fleet") != 0)
        return cli_usage(c,
                         "identity export: expected an ID: a file in format %s is of one "
                         "identity",
                         format);
    code = store_of(c, false, &s);
    if (code == EXIT_OK)
        code = cli_n_args(c) > 0 ? export_one(c, s, format) : export_all(c, s);
    idstore_close(&s);
    return code;
}

static const struct cli_option export_options[] = {
    {"format", 0, "FORMAT", "fleet (a line an identity), playwright or netscape; default: fleet"},
    {"tag", 0, "TAG", "without ID: only those of this tag"},
    KEY_OPTION,
    {NULL, 0, NULL, NULL},
};

const struct cli_verb verb_identity_export = {
    .name = "identity export",
    .summary = "Write identities with their cookies to standard output, in the clear",
    .usage = "[ID]",
    .options = export_options,
    .max_args = 1,
    .run = export,
};
