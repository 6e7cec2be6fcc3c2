/* fleet identity: what is in the store. Seeds are shown by `show` and `export` alone, cookies by
 * `export`. */
#include <stdio.h>

#include "core/api/api.h"
#include "core/cli/identity_store.h"
#include "core/cli/remote.h"

enum { COUNT_MAX = 100000, DEFAULT_COUNT = 1 };

/* --- the store --- */

int store_of(const struct cli *c, bool create, struct idstore **out)
{
    struct arena *a = arena_create(NULL, 0);
    const struct idstore_opts o = {
        .path = persona_store_path(a, cli_state_dir(c)),
        .key = persona_store_key(a, cli_state_dir(c), cli_get(c, "key")),
        .create = create,
    };
    struct err e = ERR_INIT;
    int code = idstore_open(&o, out, &e) == STATUS_OK ? EXIT_OK : cli_fail(c, &e);

    arena_destroy(&a);
    return code;
}

/* --- new --- */

struct making {
    struct arena *arena;
    struct idstore *store;
    struct persona like;
    const char *tag, *seed;
    uint64_t count;
    struct idstore_row *rows;
};

static struct json_strs list_of(struct arena *a, const char *text)
{
    struct json_strs v = {NULL, 0};
    struct str rest = str_from(text);

    if (!text)
        return v;
    v.v = arena_array(a, const char *, strlen(text) + 1);
    while (rest.ptr) {
        struct str one = str_trim(str_cut(&rest, ','));

        if (one.len > 0)
            v.v[v.n++] = arena_strndup(a, one.ptr, one.len);
    }
    return v;
}

static enum status make_row(struct making *m, uint64_t i, struct idstore_row *row, struct err *e)
{
    struct buf record = BUF_INIT(IDSTORE_RECORD_MAX);
    struct persona p = m->like;
    enum status s;

    if (m->seed) {
        p.seed = arena_printf(m->arena, "%s/%llu", m->seed, (unsigned long long)i);
    } else {
        struct persona fresh;

        persona_init(&fresh, m->arena);
        p.seed = fresh.seed;
    }
    *row = (struct idstore_row){.tag = m->tag};
    s = persona_id(&p, m->arena, &row->id, e);
    if (s == STATUS_OK) {
        persona_write(&p, &record);
        row->record = arena_str(m->arena, buf_str(&record));
    }
    buf_deinit(&record);
    return s;
}

static enum status make_all(struct making *m, struct err *e)
{
    enum status s = persona_check(&m->like, e);

    m->rows = xcalloc(m->count, sizeof(*m->rows));
    for (uint64_t i = 0; i < m->count && s == STATUS_OK; i++)
        s = make_row(m, i, &m->rows[i], e);
    return s == STATUS_OK ? idstore_add(m->store, m->rows, m->count, e) : s;
}

static int print_made(const struct cli *c, const struct making *m)
{
    struct json *all = json_new_array();
    int code = EXIT_OK;

    for (uint64_t i = 0; i < m->count; i++) {
        if (cli_has(c, "json"))
            json_push(all, json_new_str(str_from(m->rows[i].id)));
        else
            printf("%s\n", m->rows[i].id);
    }
    if (cli_has(c, "json"))
        code = cli_print_json(c, all);
    json_destroy(&all);
    return code;
}

static int new_identities(struct cli *c)
{
    struct making m = {.arena = arena_create(NULL, 0),
                       .tag = cli_get(c, "tag"),
                       .seed = cli_get(c, "seed"),
                       .count = DEFAULT_COUNT};
    const char *count = cli_get(c, "count");
    struct err e = ERR_INIT;
    int code = EXIT_OK;

    persona_init(&m.like, m.arena);
    m.like.os = list_of(m.arena, cli_get(c, "os"));
    m.like.locales = list_of(m.arena, cli_get(c, "locales"));
    m.like.timezones = list_of(m.arena, cli_get(c, "timezones"));
    m.like.honest = cli_has(c, "honest");
    if (count && (!str_to_u64(str_from(count), COUNT_MAX, &m.count) || m.count == 0))
        code =
            cli_usage(c, "--count: found \"%s\", expected a number from 1 to %d", count, COUNT_MAX);
    else if (persona_check(&m.like, &e) != STATUS_OK)
        code = cli_usage(c, "--%s", err_text(&e));
    if (code == EXIT_OK)
        code = store_of(c, true, &m.store);
    if (code == EXIT_OK)
        code = make_all(&m, &e) == STATUS_OK ? print_made(c, &m) : cli_fail(c, &e);
    idstore_close(&m.store);
    free(m.rows);
    arena_destroy(&m.arena);
    return code;
}

#define KEY_OPTION                                                                                 \
    {                                                                                              \
        "key", 0, "KEY",                                                                           \
            "key of the store: file:PATH, env:NAME or passphrase:NAME; default: "                  \
            "file:keys/identities.key in the state directory"                                      \
    }
#define JSON_OPTION                                                                                \
    {                                                                                              \
        "json", 0, NULL, "print the result as JSON"                                                \
    }

static const struct cli_option new_options[] = {
    {"count", 0, "N", "how many; default: 1"},
    {"tag", 0, "TAG", "a name for them all, for members.store and for list"},
    {"seed", 0, "TEXT", "make them of this text and their number, the same each time"},
    {"os", 0, "LIST", "operating systems: linux, windows, macos, android; default: this machine's"},
    {"locales", 0, "LIST", "locales, such as en-GB,de-DE; default: en-US"},
    {"timezones", 0, "LIST", "IANA time zones; default: those of the locale's country"},
    {"honest", 0, NULL, "declare automation openly"},
    KEY_OPTION,
    JSON_OPTION,
    {NULL, 0, NULL, NULL},
};

const struct cli_verb verb_identity_new = {
    .name = "identity new",
    .summary = "Put new identities into the store",
    .usage = "",
    .options = new_options,
    .details = "Their ids are printed. The store is .fleet/identities.db, encrypted; the first\n"
               "identity makes it, and its key.",
    .run = new_identities,
};

/* --- list --- */

struct listing {
    const struct cli *cli;
    struct arena *arena;
    struct json *all;
    size_t n, damaged;
};

static struct json *row_json(const struct idstore_row *r, const struct persona *p)
{
    struct json *j = json_new_object();

    json_add_str(j, "id", r->id);
    json_add_str(j, "tag", r->tag[0] ? r->tag : NULL);
    json_add_bool(j, "whole", p != NULL);
    json_add_str(j, "created", p && p->created ? p->created : NULL);
    json_add_num(j, "rotations", p ? p->rotations : 0);
    return json_add_num(j, "saves", (double)r->saves);
}

static bool list_row(void *arg, const struct idstore_row *r, enum status fate)
{
    struct listing *l = arg;
    struct persona p;
    bool whole =
        fate == STATUS_OK && persona_read(r->record, r->id, l->arena, &p, NULL) == STATUS_OK;

    l->n++;
    l->damaged += !whole;
    if (l->all)
        json_push(l->all, row_json(r, whole ? &p : NULL));
    else if (whole)
        printf("%-20s %-16s %s  %llu saves%s\n", r->id, r->tag, p.created ? p.created : "",
               (unsigned long long)r->saves, p.rotations > 0 ? "  rotated" : "");
    else
        printf("%-20s %-16s damaged\n", r->id, r->tag);
    arena_reset(l->arena);
    return true;
}

static int list(struct cli *c)
{
    struct listing l = {.cli = c, .arena = arena_create(NULL, 0)};
    struct idstore *s = NULL;
    struct err e = ERR_INIT;
    int code = store_of(c, false, &s);

    if (cli_has(c, "json"))
        l.all = json_new_array();
    if (code == EXIT_OK && idstore_each(s, cli_get(c, "tag"), false, list_row, &l, &e) != STATUS_OK)
        code = cli_fail(c, &e);
    else if (code == EXIT_OK && l.all)
        code = cli_print_json(c, l.all);
    else if (code == EXIT_OK && l.n == 0)
        printf("no identities%s%s\n", cli_has(c, "tag") ? " of tag " : "",
               cli_has(c, "tag") ? cli_get(c, "tag") : "");
    if (l.damaged > 0)
        fprintf(stderr, "%s: %zu of %zu identities are damaged\n", cli_program(c)->name, l.damaged,
                l.n);
    idstore_close(&s);
    json_destroy(&l.all);
    arena_destroy(&l.arena);
    return code == EXIT_OK && l.damaged > 0 ? EXIT_PARTIAL : code;
}

static const struct cli_option list_options[] = {
    {"tag", 0, "TAG", "only those of this tag"},
    KEY_OPTION,
    JSON_OPTION,
    {NULL, 0, NULL, NULL},
};

const struct cli_verb verb_identity_list = {
    .name = "identity list",
    .summary = "List the identities of the store",
    .usage = "",
    .options = list_options,
    .run = list,
};

/* --- one identity --- */

/* The row of the first argument; EXIT_OK, or it was told why not. */
static int row_of(const struct cli *c, struct arena *a, struct idstore **s, struct idstore_row *row,
                  struct persona *p)
{
    struct err e = ERR_INIT;
    int code = store_of(c, false, s);

    if (code != EXIT_OK)
        return code;
    if (idstore_get(*s, cli_arg(c, 0), a, row, &e) != STATUS_OK ||
        persona_read(row->record, row->id, a, p, &e) != STATUS_OK)
        return cli_fail(c, &e);
    return EXIT_OK;
}

static int show(struct cli *c)
{
    struct arena *a = arena_create(NULL, 0);
    struct idstore *s = NULL;
    struct idstore_row row;
    struct persona p;
    int code = row_of(c, a, &s, &row, &p);

    if (code == EXIT_OK) {
        struct json *j = row_json(&row, &p), *state = json_parse(row.state, false, NULL);

        json_add(j, "made_of", json_parse(row.record, false, NULL));
        json_add_num(j, "cookies", (double)json_len(json_get(state, "cookies")));
        json_add_num(j, "origins", (double)json_len(json_get(state, "origins")));
        code = cli_print_json(c, j);
        json_destroy(&j);
        json_destroy(&state);
    }
    idstore_close(&s);
    arena_destroy(&a);
    return code;
}

static const struct cli_option one_options[] = {
    KEY_OPTION,
    {NULL, 0, NULL, NULL},
};

const struct cli_verb verb_identity_show = {
    .name = "identity show",
    .summary = "Show an identity: what it is made of, how many cookies it has",
    .usage = "ID",
    .options = one_options,
    .min_args = 1,
    .max_args = 1,
    .run = show,
};

static void print_rotated(const char *from, const char *to, const char *receipt)
{
    printf("%s is %s now: another client, without cookies%s%s\n", from, to,
           receipt ? "; receipt " : "", receipt ? receipt : "");
}

static int print_answer(const struct cli *c, const struct json *j)
{
    const char *to = json_str(json_get(j, "to"), NULL), *from = json_str(json_get(j, "from"), "?");

    if (cli_has(c, "json"))
        return cli_print_json(c, j);
    if (to)
        print_rotated(from, to, json_str(json_get(j, "receipt"), "?"));
    else
        printf("%s has a task: it is another client when that has ended\n", from);
    return EXIT_OK;
}

/* A member of the engine that runs here. NOT_FOUND: it has no such member. */
static enum status rotate_there(struct cli *c, struct json **out, struct err *e)
{
    cleanup_free char *path = remote_path("/v1/members/", cli_arg(c, 0), "/rotate");
    cleanup_free char *socket = api_socket_path(cli_state_dir(c));
    const struct client_request q = {.socket = socket, .method = "POST", .path = path};
    struct client_reply r;
    enum status s = client_call(&q, &r, e);

    if (s == STATUS_OK && !(*out = client_json(&r, e)))
        s = STATUS_PROTOCOL;
    client_reply_deinit(&r);
    return s;
}

static int rotate_here(struct cli *c)
{
    struct arena *a = arena_create(NULL, 0);
    struct buf record = BUF_INIT(IDSTORE_RECORD_MAX);
    struct idstore *s = NULL;
    struct idstore_row row, next = {0};
    struct persona p;
    struct err e = ERR_INIT;
    int code = row_of(c, a, &s, &row, &p);

    if (code == EXIT_OK &&
        (idstore_lock(s, &e) != STATUS_OK || persona_rotate(&p, a, &next.id, &e) != STATUS_OK))
        code = cli_fail(c, &e);
    if (code == EXIT_OK) {
        persona_write(&p, &record);
        next.record = buf_str(&record);
        code = idstore_become(s, row.id, &next, &e) == STATUS_OK ? EXIT_OK : cli_fail(c, &e);
    }
    if (code == EXIT_OK && cli_has(c, "json"))
        printf("{\"from\":\"%s\",\"to\":\"%s\",\"receipt\":null}\n", row.id, next.id);
    else if (code == EXIT_OK)
        print_rotated(row.id, next.id, NULL);
    buf_deinit(&record);
    idstore_close(&s);
    arena_destroy(&a);
    return code;
}

static int rotate(struct cli *c)
{
    struct json *answer = NULL;
    struct err e = ERR_INIT;
    enum status s = remote_is_there(c) ? rotate_there(c, &answer, &e) : STATUS_NOT_FOUND;
    int code = EXIT_OK;

    if (s == STATUS_NOT_FOUND)
        return rotate_here(c);
    code = s == STATUS_OK ? print_answer(c, answer) : cli_fail(c, &e);
    json_destroy(&answer);
    return code;
}

static const struct cli_option rotate_options[] = {
    KEY_OPTION,
    JSON_OPTION,
    {NULL, 0, NULL, NULL},
};

const struct cli_verb verb_identity_rotate = {
    .name = "identity rotate",
    .summary = "Make an identity another one, and forget its cookies",
    .usage = "ID",
    .options = rotate_options,
    .min_args = 1,
    .max_args = 1,
    .details =
        "Of a running engine's member (its identity, or its number), with a receipt: at once,\n"
        "or when the task that it has is over. Else in the store, unless a campaign has it.\n"
        "The seed of the new one grows from the old one's; its id is printed.",
    .run = rotate,
};

static int remove_one(struct cli *c)
{
    struct idstore *s = NULL;
    struct err e = ERR_INIT;
    int code = store_of(c, false, &s);

    if (code == EXIT_OK &&
        (idstore_lock(s, &e) != STATUS_OK || idstore_remove(s, cli_arg(c, 0), &e) != STATUS_OK))
        code = cli_fail(c, &e);
    idstore_close(&s);
    return code;
}

const struct cli_verb verb_identity_remove = {
    .name = "identity remove",
    .summary = "Take an identity out of the store, with its cookies",
    .usage = "ID",
    .options = one_options,
    .min_args = 1,
    .max_args = 1,
    .details = "Not while a campaign has the store. It cannot be brought back: export it first.",
    .run = remove_one,
};
