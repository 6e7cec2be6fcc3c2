/* `batch`: submit, list, status, results, cancel, remove, on a running engine. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include "core/cli/batch_file.h"
#include "core/cli/remote.h"

enum { LOOK_MIN_MS = 100, LOOK_MAX_MS = 1000 };

static const struct cli_option options[] = {
    {"json", 0, NULL, "print the engine's answer as JSON"},
    {NULL, 0, NULL, NULL},
};

static double num(const struct json *j, const char *name)
{
    return json_num(json_get(j, name), 0);
}

static const char *word(const struct json *j, const char *name)
{
    return json_str(json_get(j, name), "");
}

/* --- looks --- */

static void print_row(const struct json *b)
{
    char done[40];

    snprintf(done, sizeof(done), "%.0f/%.0f %3.0f%%", num(b, "finished"), num(b, "total"),
             num(b, "progress") * 100);
    printf("%-10s %s %18s %7.0f %5.0f  %s\n", word(b, "id"), remote_word(word(b, "state"), 10),
           done, num(b, "failed"), num(b, "priority"), remote_cut(word(b, "name"), 22));
}

static void print_head(void)
{
    printf("%-10s %-10s %18s %7s %5s  %s\n", "BATCH", "STATE", "DONE", "FAILED", "PRIO", "NAME");
}

static void print_batch(const struct json *b)
{
    const char *key = json_str(json_get(b, "key"), NULL),
               *closed = json_str(json_get(b, "closed"), NULL);

    printf("batch      %s \"%s\"\n", word(b, "id"), remote_cut(word(b, "name"), 50));
    printf("state      %s%s%s\n", remote_word(word(b, "state"), 0),
           json_bool(json_get(b, "cancelling"), false) && !closed ? ", being cancelled" : "",
           json_bool(json_get(b, "resumed"), false) ? ", begun by an earlier process" : "");
    printf("tasks      %.0f of %.0f done (%.0f%%): %.0f completed, %.0f failed\n",
           num(b, "finished"), num(b, "total"), num(b, "progress") * 100, num(b, "completed"),
           num(b, "failed"));
    printf("now        %.0f running, %.0f waiting\n", num(b, "running"), num(b, "waiting"));
    printf("kind       %s, priority %.0f\n", word(b, "coordinator"), num(b, "priority"));
    if (key)
        printf("key        %s\n", remote_cut(key, 68));
    printf("opened     %s\n", word(b, "opened"));
    if (closed)
        printf("closed     %s\n", closed);
}

/* What a batch came to, as an exit code. */
static int batch_exit(const struct json *b)
{
    const char *state = word(b, "state");

    return strcmp(state, "completed") == 0 ? EXIT_OK
           : strcmp(state, "partial") == 0 ? EXIT_PARTIAL
                                           : EXIT_FAILED;
}

static bool is_over(const struct json *b)
{
    const char *state = word(b, "state");

    return strcmp(state, "pending") != 0 && strcmp(state, "processing") != 0;
}

static int show(struct cli *c, const struct json *b)
{
    if (cli_has(c, "json"))
        return cli_print_json(c, b);
    print_batch(b);
    return EXIT_OK;
}

/* --- submit --- */

static const struct cli_option submit_options[] = {
    {"key", 'k', "KEY", "idempotency key: the same one again finds the batch it made"},
    {"wait", 'w', NULL, "wait until the batch is over; the exit code tells what it came to"},
    {"json", 0, NULL, "print the engine's answer as JSON"},
    {NULL, 0, NULL, NULL},
};

static void progress(const struct json *b, bool last)
{
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r%s: %.0f of %.0f done, %.0f failed\033[K%s", word(b, "id"),
            num(b, "finished"), num(b, "total"), num(b, "failed"), last ? "\n" : "");
}

/* Looks again and again until it is over; *b is replaced by what was seen last. */
static int wait_for(struct cli *c, struct json **b)
{
    cleanup_free char *path = remote_path("/v1/batches/", word(*b, "id"), "");
    int pause_ms = LOOK_MIN_MS, code = EXIT_OK;

    while (code == EXIT_OK && !is_over(*b)) {
        struct json *next;

        progress(*b, false);
        (void)poll(NULL, 0, pause_ms);
        pause_ms = pause_ms * 3 / 2 < LOOK_MAX_MS ? pause_ms * 3 / 2 : LOOK_MAX_MS;
        code = remote_call(c, "GET", path, STR_NONE, &next);
        if (code != EXIT_OK)
            break;
        json_destroy(b);
        *b = next;
    }
    progress(*b, true);
    return code;
}

static int submitted(struct cli *c, struct json **b, bool known)
{
    int code = EXIT_OK;

    if (!cli_has(c, "json"))
        printf("%s %s\n", word(*b, "id"),
               known ? "has this key already: nothing was submitted again" : "is submitted");
    if (cli_has(c, "wait")) {
        fflush(stdout);
        code = wait_for(c, b);
        if (code == EXIT_OK && !cli_has(c, "json"))
            print_batch(*b);
        if (code == EXIT_OK)
            code = batch_exit(*b);
    }
    if (cli_has(c, "json") && cli_print_json(c, *b) != EXIT_OK)
        code = EXIT_ENVIRONMENT;
    return code;
}

static int submit(struct cli *c)
{
    struct buf body = BUF_INIT(BUF_MAX_FILE), errors = BUF_INIT(BUF_MAX_LINE);
    struct client_reply r = {0};
    struct err e = ERR_INIT;
    int code;

    if (batch_file_read(cli_arg(c, 0), &body, &errors, &e) != STATUS_OK) {
        if (errors.len > 0)
            fputs(errors.ptr, stderr);
        code = errors.len > 0 ? status_exit(e.status) : cli_fail(c, &e);
    } else {
        code = remote_exchange(c,
                               (struct client_request){
                                   .method = "POST",
                                   .path = "/v1/batches",
                                   .key = cli_get(c, "key"),
                                   .body = buf_str(&body),
                               },
                               &r);
    }
    if (code == EXIT_OK) {
        struct json *b = client_json(&r, &e);

        code = b ? submitted(c, &b, r.code == 200) : cli_fail(c, &e);
        json_destroy(&b);
    }
    client_reply_deinit(&r);
    buf_deinit(&body);
    buf_deinit(&errors);
    return code;
}

/* --- list, status, cancel --- */

static int list(struct cli *c)
{
    struct json *j;
    int code = remote_call(c, "GET", "/v1/batches", STR_NONE, &j);
    const struct json *all = json_get(j, "batches");

    if (code == EXIT_OK && cli_has(c, "json")) {
        code = cli_print_json(c, all);
    } else if (code == EXIT_OK && json_len(all) == 0) {
        printf("no batch was submitted yet\n");
    } else if (code == EXIT_OK) {
        print_head();
        for (const struct json *b = json_first(all); b; b = json_next(b))
            print_row(b);
    }
    json_destroy(&j);
    return code;
}

static int status(struct cli *c)
{
    cleanup_free char *path = remote_path("/v1/batches/", cli_arg(c, 0), "");
    struct json *b;
    int code = remote_call(c, "GET", path, STR_NONE, &b);

    if (code == EXIT_OK)
        code = show(c, b);
    json_destroy(&b);
    return code;
}

static int cancel(struct cli *c)
{
    cleanup_free char *path = remote_path("/v1/batches/", cli_arg(c, 0), "/cancel");
    struct json *b;
    int code = remote_call(c, "POST", path, STR_NONE, &b);

    if (code == EXIT_OK && cli_has(c, "json"))
        code = cli_print_json(c, b);
    else if (code == EXIT_OK && is_over(b))
        printf("%s is over: %s\n", word(b, "id"), word(b, "state"));
    else if (code == EXIT_OK)
        printf("%s is being cancelled: %.0f of %.0f tasks were done\n", word(b, "id"),
               num(b, "finished"), num(b, "total"));
    json_destroy(&b);
    return code;
}

/* --- results --- */

static const struct cli_option results_options[] = {
    {"after", 0, "N", "only those of a greater index than N; default: all"},
    {NULL, 0, NULL, NULL},
};

/* All pages, as they are: lines of JSON are what the next program wants. */
static int results(struct cli *c)
{
    char next[24] = "";
    const char *after = cli_get(c, "after");
    int code;

    if (after && snprintf(next, sizeof(next), "%s", after) >= (int)sizeof(next))
        return cli_usage(c, "--after: expected a number");
    for (bool more = true; more;) {
        struct client_reply r;
        cleanup_free char *path = NULL;
        struct buf query = BUF_INIT(256);

        if (next[0]) {
            buf_adds(&query, "/results?after=");
            buf_add_percent(&query, str_from(next));
        } else {
            buf_adds(&query, "/results");
        }
        path = remote_path("/v1/batches/", cli_arg(c, 0), query.ptr);
        buf_deinit(&query);
        code = remote_exchange(c, (struct client_request){.method = "GET", .path = path}, &r);
        more = code == EXIT_OK && client_header(&r, "fleet-next-after", next, sizeof(next));
        if (code == EXIT_OK &&
            fwrite(r.body.ptr ? r.body.ptr : "", 1, r.body.len, stdout) != r.body.len) {
            fprintf(stderr, "%s: standard output cannot be written\n", cli_program(c)->name);
            code = EXIT_ENVIRONMENT;
            more = false;
        }
        client_reply_deinit(&r);
    }
    return code;
}

/* --- remove --- */

static const struct cli_option remove_options[] = {
    {"older-than", 0, "AGE", "instead of ID: all that ended longer ago: 30d, 12h, 90m, 45s"},
    {"json", 0, NULL, "print the engine's answer as JSON"},
    {NULL, 0, NULL, NULL},
};

/* "30d" in milliseconds. */
static bool age_ms(struct str text, uint64_t *out)
{
    static const struct {
        char letter;
        uint64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    uint64_t n;

    for (size_t i = 0; i < ARRAY_LEN(units) && text.len > 1; i++) {
        if (text.ptr[text.len - 1] == units[i].letter &&
            str_to_u64(str_n(text.ptr, text.len - 1), UINT32_MAX, &n)) {
            *out = n * units[i].ms;
            return true;
        }
    }
    return false;
}

static int print_removed(struct cli *c, const struct json *answer)
{
    double n = num(answer, "removed");

    if (cli_has(c, "json"))
        return cli_print_json(c, answer);
    if (cli_n_args(c) > 0)
        printf("%s is removed: its results are gone, its receipts stay\n", cli_arg(c, 0));
    else
        printf("%.0f batch%s removed\n", n, n == 1 ? " is" : "es are");
    return EXIT_OK;
}

static int remove_batches(struct cli *c)
{
    const char *age = cli_get(c, "older-than");
    cleanup_free char *path = NULL;
    char body[64] = "";
    uint64_t ms = 0;
    struct json *answer;
    int code;

    if ((cli_n_args(c) == 1) == (age != NULL))
        return cli_usage(c, "batch remove: expected an ID or --older-than, one of them");
    if (age && !age_ms(str_from(age), &ms))
        return cli_usage(c, "--older-than: found \"%s\", expected a number and s, m, h or d", age);
    if (age)
        snprintf(body, sizeof(body), "{\"older_than_ms\":%" PRIu64 "}", ms);
    path =
        age ? xstrdup("/v1/batches/remove") : remote_path("/v1/batches/", cli_arg(c, 0), "/remove");
    code = remote_call(c, "POST", path, str_from(body), &answer);
    if (code == EXIT_OK)
        code = print_removed(c, answer);
    json_destroy(&answer);
    return code;
}

/* --- the verbs --- */

const struct cli_verb verb_batch_submit = {
    .name = "batch submit",
    .summary = "Submit a batch to the running engine",
    .usage = "FILE",
    .options = submit_options,
    .min_args = 1,
    .max_args = 1,
    .details =
        "FILE is JSON; - is standard input. It has a campaign's keys name, coordinator, flow or\n"
        "stages, and targets, and key and priority (-1000..1000, higher first). Flows and lists "
        "of\n"
        "targets may be files beside it, as in a campaign. Members, limits and policy are the\n"
        "engine's.\n"
        "Exit codes with --wait: 0 all tasks succeeded, 4 some failed, 5 all did, or cancelled.",
    .run = submit,
};

const struct cli_verb verb_batch_list = {
    .name = "batch list",
    .summary = "List the batches of the running engine",
    .usage = "",
    .options = options,
    .run = list,
};

const struct cli_verb verb_batch_status = {
    .name = "batch status",
    .summary = "Show how far a batch is",
    .usage = "ID",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = status,
};

const struct cli_verb verb_batch_results = {
    .name = "batch results",
    .summary = "Print the results of a batch, a line of JSON each",
    .usage = "ID",
    .options = results_options,
    .min_args = 1,
    .max_args = 1,
    .run = results,
};

const struct cli_verb verb_batch_cancel = {
    .name = "batch cancel",
    .summary = "Cancel a batch: what waits does not run, what runs is stopped",
    .usage = "ID",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = cancel,
};

const struct cli_verb verb_batch_remove = {
    .name = "batch remove",
    .summary = "Remove batches that are over, with their results",
    .usage = "[ID]",
    .options = remove_options,
    .max_args = 1,
    .details = "A signed receipt says so. The batch's own receipts stay in the audit log; the\n"
               "files that its tasks wrote go. The room in log.sqlite is used again. A batch that\n"
               "is not over is refused: cancel it first.",
    .run = remove_batches,
};
