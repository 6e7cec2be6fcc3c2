#include <stdio.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/cli/cli.h"
#include "fingerprints/coherence.h"
#include "fingerprints/generate.h"
#include "fingerprints/identity_json.h"

static const struct cli_option options[] = {
    {"json", 0, NULL, "print the result as JSON"},
    {"browser-version", 0, "VERSION", "of the browser that a SEED's identity shows"},
    {NULL, 0, NULL, NULL},
};

static uint64_t memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

static enum status from_file(struct arena *a, const char *path, const struct identity **id,
                             struct err *e)
{
    struct buf text = BUF_INIT(BUF_MAX_LINE);
    enum status s = file_read(path, &text, e);
    struct json *j = s == STATUS_OK ? json_parse(buf_str(&text), true, e) : NULL;

    if (j != NULL)
        s = identity_from_json(a, j, path, id, e);
    else if (s == STATUS_OK)
        s = err_prefix(e, "%s", path);
    json_destroy(&j);
    buf_deinit(&text);
    return s;
}

/* A file's identity, or the first of a seed. */
static enum status load(struct arena *a, struct cli *c, const struct identity **id, struct err *e)
{
    const char *version = cli_get(c, "browser-version");
    const struct identity_params p = {
        .seed = cli_arg(c, 0),
        .browser_version = version != NULL ? version : "156.0.8078.79",
        .memory_bytes = memory_bytes(),
    };

    if (access(cli_arg(c, 0), F_OK) == 0)
        return from_file(a, cli_arg(c, 0), id, e);
    return identity_generate(a, &p, 0, id, e);
}

static void add_one(void *arg, const struct contradiction *c)
{
    struct json *j = json_new_object(), *list = arg;

    json_add_str(j, "rule", c->rule);
    json_add_str(j, "what", c->what);
    json_push(list, json_add_str(j, "reason", c->reason));
}

static void print_one(const struct json *c)
{
    printf("%s: %s\n    %s\n", json_str(json_get(c, "rule"), ""), json_str(json_get(c, "what"), ""),
           json_str(json_get(c, "reason"), ""));
}

static int tell(struct cli *c, const struct identity *id)
{
    const struct coherence_machine m = {cli_get(c, "browser-version"), memory_bytes()};
    struct json *found = json_new_array(), *marks = json_new_array(), *out = json_new_object();
    size_t n = coherence_check(id, &m, add_one, found);

    for (uint32_t bit = 1; bit <= IDENTITY_MARK_DEVICE; bit <<= 1)
        if ((id->marks & bit) != 0)
            json_push(marks, json_new_str(str_from(coherence_mark(bit))));
    json_add_str(out, "id", id->id);
    json_add(out, "identity", identity_to_json(id));
    json_add(out, "contradictions", found);
    json_add(out, "cannot_show", marks);
    if (cli_has(c, "json")) {
        cli_print_json(c, out);
    } else {
        for (const struct json *x = json_first(found); x != NULL; x = json_next(x))
            print_one(x);
        for (const struct json *x = json_first(marks); x != NULL; x = json_next(x))
            printf("cannot be shown: %s\n", json_str(x, ""));
        printf("%s: %zu of %zu rules do not hold\n", id->id, n, coherence_count());
    }
    json_destroy(&out);
    return n == 0 ? EXIT_OK : EXIT_INPUT;
}

static int check(struct cli *c)
{
    struct arena *a = arena_create(NULL, 0);
    const struct identity *id = NULL;
    struct err e = ERR_INIT;
    int code = load(a, c, &id, &e) == STATUS_OK ? tell(c, id) : cli_fail(c, &e);

    arena_destroy(&a);
    return code;
}

const struct cli_verb verb_identity_check = {
    .name = "identity check",
    .summary = "Say what contradicts what in an identity: a file's, or the first of a seed",
    .usage = "FILE|SEED",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = check,
};
