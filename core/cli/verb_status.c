/* `status`: what the running engine does. */
#include <stdio.h>

#include "core/cli/remote.h"

enum { ROWS_SHOWN = 20 };

static const struct cli_option options[] = {
    {"json", 0, NULL, "print all of it as JSON"},
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

static void more(size_t n)
{
    if (n > ROWS_SHOWN)
        printf("and %zu more; --json has them all\n", n - ROWS_SHOWN);
}

static void print_engine(const struct json *j)
{
    const struct json *e = json_get(j, "engine"), *tasks = json_get(e, "tasks"),
                      *batches = json_get(e, "batches"), *d = json_get(e, "duration_ms");
    bool paused = json_bool(json_get(e, "paused"), false);

    printf("engine     %s, process %.0f for %s, version %s\n",
           remote_word(paused ? "paused" : word(e, "state"), 0), num(j, "pid"),
           remote_age(num(e, "age_ms")), word(j, "version"));
    printf("state      %s, epoch %.0f, %.0f receipts\n", remote_cut(word(j, "state_dir"), 40),
           num(e, "epoch"), num(e, "receipts"));
    printf("batches    %.0f open, %.0f over\n", num(batches, "open"), num(batches, "over"));
    printf("tasks      %.0f running, %.0f waiting, of them %.0f for another attempt\n",
           num(tasks, "running"), num(tasks, "waiting"), num(tasks, "delayed"));
    printf("slots      %.0f of %.0f busy, %.0f members\n", num(e, "busy"), num(e, "slots"),
           num(e, "members"));
    if (word(e, "pressure")[0] != '\0' || num(e, "admitted") < num(e, "slots"))
        printf("pressure   %.0f slots are let begin; %s\n", num(e, "admitted"),
               word(e, "pressure")[0] != '\0' ? word(e, "pressure") : "it is over");
    printf("speed      %.1f tasks/s, %.1f ops/s", num(e, "tasks_per_s"), num(e, "ops_per_s"));
    if (num(d, "max") > 0)
        printf("; a task took %s (p50), %s (p95)", remote_age(num(d, "p50")),
               remote_age(num(d, "p95")));
    putchar('\n');
}

static void print_slots(const struct json *slots)
{
    size_t n = 0;

    if (json_len(slots) == 0)
        return;
    printf("\n%4s  %-10s %-9s %6s %7s  %s\n", "SLOT", "BATCH", "TASK", "MEMBER", "AGE", "URL");
    for (const struct json *s = json_first(slots); s; s = json_next(s)) {
        if (n++ < ROWS_SHOWN)
            printf("%4.0f  %-10s %-9s %6.0f %7s  %s\n", num(s, "slot"), word(s, "batch"),
                   word(s, "task"), num(s, "member"), remote_age(num(s, "age_ms")),
                   remote_cut(word(s, "url"), 35));
    }
    more(n);
}

static void print_targets(const struct json *targets)
{
    size_t n = 0;

    if (json_len(targets) == 0)
        return;
    printf("\n%-26s %-7s %7s %7s %7s %6s %7s\n", "TARGET", "BREAKER", "TASKS", "OPS", "FAILED",
           "RATE/s", "SLOWED");
    for (const struct json *t = json_first(targets); t; t = json_next(t)) {
        double slowed = num(t, "slowed_ms");

        if (n++ < ROWS_SHOWN)
            printf("%-26s %s %7.0f %7.0f %7.0f %6.4g %7s\n", remote_cut(word(t, "target"), 26),
                   remote_word(word(t, "breaker"), 7), num(t, "tasks"), num(t, "ops"),
                   num(t, "ops_failed"), num(t, "rate_per_s"),
                   slowed > 0 ? remote_age(slowed) : "-");
    }
    more(n);
}

/* Of an executor that has instances: what they are, and at which level of the sandbox they run. */
static void print_instances(const struct json *instances)
{
    size_t n = 0;

    if (json_len(instances) == 0)
        return;
    printf("\n%-12s %-10s %8s %6s %6s  %s\n", "INSTANCE", "STATE", "MEMORY", "PAGES", "LEASES",
           "SANDBOX");
    for (const struct json *i = json_first(instances); i; i = json_next(i)) {
        if (n++ < ROWS_SHOWN)
            printf("%-12s %-10s %4.0f MiB %6.0f %6.0f  %s\n", remote_cut(word(i, "name"), 12),
                   word(i, "state"), num(i, "memory_bytes") / (1 << 20), num(i, "pages"),
                   num(i, "leases"), word(i, "sandbox"));
    }
    more(n);
}

static int run(struct cli *c)
{
    struct json *j;
    int code = remote_call(c, "GET", "/v1/status", STR_NONE, &j);

    if (code == EXIT_OK && cli_has(c, "json")) {
        code = cli_print_json(c, j);
    } else if (code == EXIT_OK) {
        print_engine(j);
        print_slots(json_get(j, "slots"));
        print_targets(json_get(j, "targets"));
        print_instances(json_get(json_get(j, "executor"), "instances"));
    }
    json_destroy(&j);
    return code;
}

const struct cli_verb verb_status = {
    .name = "status",
    .summary = "Show what the running engine does",
    .usage = "",
    .options = options,
    .run = run,
};
