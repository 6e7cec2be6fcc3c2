/* Rates of the identity store: leases with write-back, each durable before it is counted, a window
 * of identities under way. Arguments: leases (default 10,000), directory. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/file.h"
#include "core/base/loop.h"
#include "fingerprints/store.h"
#include "tests/bench/measure.h"

enum { IDENTITIES = 2000, WINDOW = 256, STATE_BYTES = 2048 };

static struct {
    struct loop *loop;
    struct idstore *store;
    struct arena *arena;
    char state[STATE_BYTES];
    unsigned want, begun, done;
} b;

struct lease {
    char id[64];
};

static void begin(void);

static void on_saved(void *arg, enum status s, const struct err *e)
{
    struct lease *l = arg;

    if (s != STATUS_OK)
        BUG("save: %s", err_text(e));
    idstore_release(b.store, l->id);
    free(l);
    b.done++;
    begin();
}

static void begin(void)
{
    while (b.begun < b.want && b.begun - b.done < WINDOW) {
        struct lease *l = xcalloc(1, sizeof(*l));
        struct idstore_row row;
        struct err e = ERR_INIT;

        if (idstore_lease(b.store, "t", b.arena, &row, &e) != STATUS_OK)
            BUG("lease: %s", err_text(&e));
        (void)snprintf(l->id, sizeof(l->id), "%s", row.id);
        arena_reset(b.arena);
        b.begun++;
        idstore_save(b.store, l->id, str_n(b.state, sizeof(b.state)), on_saved, l);
    }
}

static void fill(void)
{
    struct idstore_row *rows = xcalloc(IDENTITIES, sizeof(*rows));
    struct err e = ERR_INIT;

    for (size_t i = 0; i < IDENTITIES; i++)
        rows[i] = (struct idstore_row){
            .id = arena_printf(b.arena, "i-%zu", i), .tag = "t", .record = STR("{\"seed\":\"x\"}")};
    if (idstore_add(b.store, rows, IDENTITIES, &e) != STATUS_OK)
        BUG("add: %s", err_text(&e));
    free(rows);
    arena_reset(b.arena);
}

int main(int argc, char **argv)
{
    const char *dir = argc > 2 ? argv[2] : "bench-store";
    char path[4096], key[4096];
    struct idstore_opts o = {.path = path, .key = key, .create = true};
    struct err e = ERR_INIT;
    double t;

    b.want = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 10000;
    (void)snprintf(path, sizeof(path), "%s/identities.db", dir);
    (void)snprintf(key, sizeof(key), "file:%s/key", dir);
    memset(b.state, 'x', sizeof(b.state));
    b.arena = arena_create(NULL, 0);
    if (sodium_init() < 0 || file_remove_tree(dir, &e) != STATUS_OK ||
        loop_create(&b.loop, NULL, &e) != STATUS_OK)
        BUG("%s", err_text(&e));
    o.loop = b.loop;
    if (idstore_open(&o, &b.store, &e) != STATUS_OK || idstore_lock(b.store, &e) != STATUS_OK)
        BUG("%s", err_text(&e));
    fill();
    t = wall_s();
    begin();
    while (b.done < b.want)
        loop_run_once(b.loop, 1000);
    t = wall_s() - t;
    printf("%u leases with write-back of %d bytes, %d under way: %.0f /s, durable in groups "
           "(goal: 2000 /s)\n",
           b.want, STATE_BYTES, WINDOW, b.want / t);
    idstore_close(&b.store);
    loop_destroy(&b.loop);
    arena_destroy(&b.arena);
    return file_remove_tree(dir, &e) == STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
