/* Tasks that do nothing, through all that a task passes: scheduler, receipts, tables of tasks and
 * results, durable (SQLite, synchronous=FULL) before anybody is told. The executor ends each
 * attempt at the loop's next turn. Both signing modes, tasks a second from the batch's opening
 * receipt to its closing one, and the processor time of a task. noop.mjs has the peers. Arguments:
 * tasks in checkpoint mode (default 50,000), signed each (default 20,000), slots (default 512). */
#include "core/base/file.h"
#include "core/coord/run.h"
#include "tests/bench/measure.h"
#include "tests/support/engines.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TARGETS = 200, TEXT_MAX = 256 * 1024 * 1024 };

/* --- one run --- */

struct bench {
    struct arena *arena;
    struct campaign_files files;
    struct campaign_conf conf;
    struct loop *loop;
    double opened_s, cpu_s;
    bool over;
};

static void load(struct bench *b, const char *dir, const char *sign, uint64_t n, unsigned slots,
                 unsigned members)
{
    struct buf text = BUF_INIT(TEXT_MAX), errors = BUF_INIT(BUF_MAX_LINE);
    struct campaign_source source = {.from = &b->files};
    struct err e = ERR_INIT;

    b->arena = arena_create(NULL, 0);
    buf_addf(
        &text,
        "{\"name\":\"noop\",\"flow\":{},\"slots\":%u,\"members\":{\"count\":%u},"
        "\"limits\":{\"max_requests\":1000000,\"robots\":false},"
        "\"audit\":{\"sink\":null,\"sign\":\"%s\"},"
        "\"output\":{\"results\":\"%s/results.ndjson\",\"artifacts\":\"%s/out\"},\"targets\":[",
        slots, members, sign, dir, dir);
    for (uint64_t i = 0; i < n; i++)
        buf_addf(&text, "%s\"http://127.0.1.%" PRIu64 "/%" PRIu64 "\"", i ? "," : "",
                 1 + i % TARGETS, i);
    buf_adds(&text, "]}");
    campaign_files_add(b->arena, &b->files, "/bench", arena_str(b->arena, buf_str(&text)));
    if (campaign_load_from(b->arena, &source, &b->conf, &errors, &e) != STATUS_OK)
        BUG("%s%s", errors.ptr ? errors.ptr : "", err_text(&e));
    buf_deinit(&text);
    buf_deinit(&errors);
}

static void on_open(void *arg, struct run *r)
{
    struct bench *b = arg;

    (void)r;
    b->opened_s = wall_s();
    b->cpu_s = cpu_s();
}

static void on_over(void *arg, struct run *r)
{
    (void)r;
    ((struct bench *)arg)->over = true;
}

static void measure(const char *dir, const char *sign, uint64_t n, unsigned slots)
{
    struct bench b = {.over = false};
    struct run_opts opts = {.kit = &bare_kit, .state_dir = dir, .n_watch = 1};
    struct run *r = NULL;
    struct err e = ERR_INIT;
    double wall, cpu;

    if (file_remove_tree(dir, &e) != STATUS_OK || loop_create(&b.loop, NULL, &e) != STATUS_OK)
        BUG("%s", err_text(&e));
    load(&b, dir, sign, n, slots, slots);
    opts.loop = b.loop;
    opts.conf = &b.conf;
    opts.files = &b.files;
    opts.watch[0] = (struct run_watch){.on_open = on_open, .arg = &b};
    if (run_create(&opts, &r, &e) != STATUS_OK)
        BUG("%s", err_text(&e));
    run_start(r, on_over, &b);
    while (!b.over)
        loop_run_once(b.loop, 1000);
    wall = wall_s() - b.opened_s;
    cpu = cpu_s() - b.cpu_s;
    if (run_end(r)->status != STATUS_OK || run_tally(r)->done[TASK_SUCCEEDED] != n)
        BUG("%s: %s", sign, err_text(&run_end(r)->err));
    (void)printf("%-12s %8" PRIu64 " tasks %10.0f /s   %6.1f us of processor a task, %" PRIu64
                 " receipts, %.0f MB\n",
                 sign, n, (double)n / wall, cpu * 1e6 / (double)n, run_end(r)->receipts,
                 (double)resident_bytes() / 1e6);
    run_destroy(&r);
    loop_destroy(&b.loop);
    arena_destroy(&b.arena);
}

static void enrol(const char *dir, unsigned members)
{
    struct bench b = {.over = false};
    struct run_opts opts = {.kit = &bare_kit, .state_dir = dir};
    struct run *r = NULL;
    struct err e = ERR_INIT;
    uint64_t before;
    double cpu;

    if (file_remove_tree(dir, &e) != STATUS_OK || loop_create(&b.loop, NULL, &e) != STATUS_OK)
        BUG("%s", err_text(&e));
    load(&b, dir, "checkpoint", 1, 1, members);
    opts.loop = b.loop;
    opts.conf = &b.conf;
    opts.files = &b.files;
    before = resident_bytes();
    cpu = cpu_s();
    if (run_create(&opts, &r, &e) != STATUS_OK)
        BUG("%s", err_text(&e));
    (void)printf("%u members enrolled: %.1f MB, %.1f us of processor each\n", members,
                 (double)(resident_bytes() - before) / 1e6, (cpu_s() - cpu) * 1e6 / members);
    run_start(r, on_over, &b);
    while (!b.over)
        loop_run_once(b.loop, 1000);
    run_destroy(&r);
    loop_destroy(&b.loop);
    arena_destroy(&b.arena);
}

int main(int argc, char **argv)
{
    uint64_t checkpoint = argc > 1 ? strtoull(argv[1], NULL, 10) : 50000;
    uint64_t each = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000;
    unsigned slots = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 512;
    unsigned members = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 5000;
    char dir[] = "/tmp/bench-noop-XXXXXX";
    struct err e = ERR_INIT;

    if (!mkdtemp(dir))
        BUG("%s cannot be made", dir);
    if (members > 0) /* first: memory that was freed before would hide some */
        enrol(dir, members);
    if (checkpoint > 0)
        measure(dir, "checkpoint", checkpoint, slots);
    if (each > 0)
        measure(dir, "each", each, slots);
    if (file_remove_tree(dir, &e) != STATUS_OK)
        (void)fprintf(stderr, "%s\n", err_text(&e));
    return 0;
}
