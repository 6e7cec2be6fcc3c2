/* The identity store: what is put in comes out, only with the right key, and a damaged row is
 * damaged alone. */
#include "fingerprints/store.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "tests/support/testing.h"

static struct world {
    char *dir, *path, *key;
    struct loop *loop;
    struct arena *arena;
    struct idstore *store;
    struct err err;
} w;

static enum status open_with(const char *key, bool create)
{
    const struct idstore_opts o = {.loop = w.loop, .path = w.path, .key = key, .create = create};

    idstore_close(&w.store);
    err_clear(&w.err);
    return idstore_open(&o, &w.store, &w.err);
}

static char *key_spec(const char *dir)
{
    size_t n = strlen(dir) + 16;
    char *out = calloc(1, n);

    snprintf(out, n, "file:%s/key", dir);
    return out;
}

static int set_up(void **state)
{
    (void)state;
    memset(&w, 0, sizeof(w));
    w.dir = test_mkdir();
    w.path = file_join(w.dir, "identities.db");
    w.key = key_spec(w.dir);
    w.arena = arena_create(NULL, 0);
    assert_int_equal(loop_create(&w.loop, NULL, NULL), STATUS_OK);
    assert_int_equal(open_with(w.key, true), STATUS_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    idstore_close(&w.store);
    loop_destroy(&w.loop);
    arena_destroy(&w.arena);
    test_rmdir(&w.dir);
    free(w.path);
    free(w.key);
    return 0;
}

static void add(const char *id, const char *tag, const char *state)
{
    struct idstore_row r = {.id = id,
                            .tag = tag,
                            .record = STR("{\"seed\":\"s3cret-seed\"}"),
                            .state = str_from(state)};

    assert_int_equal(idstore_add(w.store, &r, 1, &w.err), STATUS_OK);
}

static struct idstore_row get(const char *id)
{
    struct idstore_row r;

    assert_int_equal(idstore_get(w.store, id, w.arena, &r, &w.err), STATUS_OK);
    return r;
}

static void damage(const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(w.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* --- rows --- */

static void test_comes_back_after_a_restart(void **state)
{
    struct idstore_row r;

    (void)state;
    add("i-1", "shop", "{\"cookies\":[]}");
    add("i-2", "", NULL);
    assert_int_equal(open_with(w.key, false), STATUS_OK);
    r = get("i-1");
    assert_string_equal(r.tag, "shop");
    assert_string_equal(r.record.ptr, "{\"seed\":\"s3cret-seed\"}");
    assert_string_equal(r.state.ptr, "{\"cookies\":[]}");
    r = get("i-2");
    assert_null(r.state.ptr);
    assert_int_equal(idstore_count(w.store, NULL), 2);
    assert_int_equal(idstore_count(w.store, "shop"), 1);
    assert_int_equal(idstore_get(w.store, "i-3", w.arena, &r, &w.err), STATUS_NOT_FOUND);
}

static void test_nothing_is_readable_on_disk(void **state)
{
    size_t len;
    char *text;

    (void)state;
    add("i-1", "shop", "{\"cookies\":[{\"value\":\"t0psecret\"}]}");
    idstore_close(&w.store);
    text = test_read_file(w.path, &len);
    assert_true(len > 4096);
    assert_null(memmem(text, len, "t0psecret", 9));
    assert_null(memmem(text, len, "s3cret-seed", 11));
    assert_non_null(memmem(text, len, "i-1", 3));
    free(text);
}

static void test_all_or_none(void **state)
{
    const struct idstore_row v[] = {
        {.id = "i-2", .tag = "", .record = STR("{}")},
        {.id = "i-1", .tag = "", .record = STR("{}")},
    };

    (void)state;
    add("i-1", "", NULL);
    assert_int_equal(idstore_add(w.store, v, 2, &w.err), STATUS_EXISTS);
    assert_string_equal(w.err.text, "identity i-1 is in the store already");
    assert_int_equal(idstore_count(w.store, NULL), 1);
}

static void test_refuses(void **state)
{
    const struct idstore_row v[] = {
        {.id = "", .record = STR("{}")},
        {.id = "a b", .record = STR("{}")},
        {.id = "a", .tag = "x'y", .record = STR("{}")},
        {.id = "a", .record = STR("")},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        assert_int_not_equal(idstore_add(w.store, &v[i], 1, &w.err), STATUS_OK);
    assert_int_equal(idstore_count(w.store, NULL), 0);
}

static void test_replace_and_remove(void **state)
{
    struct idstore_row r = {.id = "i-1", .tag = "new", .record = STR("{\"seed\":\"other\"}")};

    (void)state;
    add("i-1", "old", "{}");
    assert_int_equal(idstore_replace(w.store, &r, &w.err), STATUS_OK);
    assert_string_equal(get("i-1").tag, "new");
    assert_null(get("i-1").state.ptr);
    r.id = "i-9";
    assert_int_equal(idstore_replace(w.store, &r, &w.err), STATUS_NOT_FOUND);
    assert_int_equal(idstore_remove(w.store, "i-1", &w.err), STATUS_OK);
    assert_int_equal(idstore_remove(w.store, "i-1", &w.err), STATUS_NOT_FOUND);
}

/* --- keys --- */

static void test_keys(void **state)
{
    char other[65];

    (void)state;
    add("i-1", "", NULL);
    memset(other, 'a', 64);
    other[64] = '\0';
    setenv("TEST_STORE_KEY", other, 1);
    assert_int_equal(open_with("env:TEST_STORE_KEY", false), STATUS_PERMISSION);
    assert_non_null(strstr(w.err.text, "is not the one that it was made with"));
    setenv("TEST_STORE_KEY", "xyz", 1);
    assert_int_equal(open_with("env:TEST_STORE_KEY", false), STATUS_INVALID);
    assert_non_null(strstr(w.err.text, "expected 64 hexadecimal digits"));
    assert_int_equal(open_with("env:TEST_STORE_NONE", false), STATUS_PERMISSION);
    assert_int_equal(open_with("file:/nowhere/key", false), STATUS_PERMISSION);
    assert_int_equal(open_with("keyring:x", false), STATUS_INVALID);
    assert_int_equal(open_with(w.key, false), STATUS_OK);
    unsetenv("TEST_STORE_KEY");
}

static void test_passphrase(void **state)
{
    char *path = file_join(w.dir, "other.db"), *first = w.path;

    (void)state;
    w.path = path;
    setenv("TEST_STORE_WORDS", "correct horse battery", 1);
    assert_int_equal(open_with("passphrase:TEST_STORE_WORDS", true), STATUS_OK);
    add("i-1", "", NULL);
    assert_int_equal(open_with("passphrase:TEST_STORE_WORDS", false), STATUS_OK);
    (void)get("i-1");
    setenv("TEST_STORE_WORDS", "correct horse bakery", 1);
    assert_int_equal(open_with("passphrase:TEST_STORE_WORDS", false), STATUS_PERMISSION);
    setenv("TEST_STORE_WORDS", "short", 1);
    assert_int_equal(open_with("passphrase:TEST_STORE_WORDS", false), STATUS_INVALID);
    unsetenv("TEST_STORE_WORDS");
    w.path = first;
    free(path);
}

/* --- damage --- */

struct seen {
    unsigned whole, damaged;
};

static bool see(void *arg, const struct idstore_row *row, enum status fate)
{
    struct seen *s = arg;

    assert_non_null(row->id);
    if (fate == STATUS_OK)
        s->whole++;
    else
        s->damaged++;
    return true;
}

static void test_a_damaged_row_is_damaged_alone(void **state)
{
    struct seen s = {0};
    struct idstore_row r;

    (void)state;
    add("i-1", "", "{}");
    add("i-2", "", "{}");
    add("i-3", "", "{}");
    idstore_close(&w.store);
    damage("UPDATE identity SET record = zeroblob(length(record)) WHERE id = 'i-2'");
    /* a box of another row, and of another kind */
    damage("UPDATE identity SET state = (SELECT state FROM identity WHERE id = 'i-1')"
           " WHERE id = 'i-3'");
    assert_int_equal(open_with(w.key, false), STATUS_OK);
    assert_int_equal(idstore_get(w.store, "i-2", w.arena, &r, &w.err), STATUS_CORRUPT);
    assert_string_equal(w.err.text, "identity i-2 cannot be opened: its row is damaged");
    assert_int_equal(idstore_get(w.store, "i-3", w.arena, &r, &w.err), STATUS_CORRUPT);
    assert_int_equal(idstore_each(w.store, NULL, true, see, &s, &w.err), STATUS_OK);
    assert_int_equal(s.whole, 1);
    assert_int_equal(s.damaged, 2);
    assert_int_equal(idstore_lock(w.store, &w.err), STATUS_OK);
    assert_int_equal(idstore_lease(w.store, NULL, w.arena, &r, &w.err), STATUS_OK);
    assert_string_equal(r.id, "i-1");
    assert_int_equal(idstore_lease(w.store, NULL, w.arena, &r, &w.err), STATUS_BUSY);
}

static void test_other_files(void **state)
{
    (void)state;
    idstore_close(&w.store);
    damage("PRAGMA user_version = 9");
    assert_int_equal(open_with(w.key, false), STATUS_UNSUPPORTED);
    assert_int_equal(truncate(w.path, 100), 0);
    assert_int_not_equal(open_with(w.key, false), STATUS_OK);
    free(w.path);
    w.path = file_join(w.dir, "none.db");
    assert_int_equal(open_with(w.key, false), STATUS_NOT_FOUND);
    assert_non_null(strstr(w.err.text, "fleet identity new"));
}

/* --- leases and saves --- */

struct answers {
    unsigned ok, failed;
    enum status last;
};

static void on_saved(void *arg, enum status s, const struct err *e)
{
    struct answers *a = arg;

    (void)e;
    a->last = s;
    if (s == STATUS_OK)
        a->ok++;
    else
        a->failed++;
}

static bool all_answered(void *arg)
{
    const struct answers *a = arg;

    loop_run_once(w.loop, 10);
    return a->ok + a->failed >= 5;
}

static void test_leases_and_saves(void **state)
{
    struct idstore_row first, second, r;
    struct answers a = {0};

    (void)state;
    add("i-1", "shop", NULL);
    add("i-2", "shop", NULL);
    assert_int_equal(idstore_lock(w.store, &w.err), STATUS_OK);
    assert_int_equal(idstore_lease(w.store, "shop", w.arena, &first, &w.err), STATUS_OK);
    assert_int_equal(idstore_lease(w.store, "shop", w.arena, &second, &w.err), STATUS_OK);
    assert_string_not_equal(first.id, second.id);
    assert_int_equal(idstore_lease(w.store, "shop", w.arena, &r, &w.err), STATUS_BUSY);
    assert_int_equal(idstore_lease(w.store, "none", w.arena, &r, &w.err), STATUS_NOT_FOUND);
    idstore_save(w.store, first.id, STR("{\"n\":1}"), on_saved, &a);
    idstore_save(w.store, first.id, STR("{\"n\":2}"), on_saved, &a);
    idstore_save(w.store, second.id, STR("{\"n\":3}"), on_saved, &a);
    idstore_save(w.store, first.id, STR("{\"n\":4}"), on_saved, &a);
    idstore_save(w.store, "i-9", STR("{}"), on_saved, &a);
    assert_int_equal(a.ok + a.failed, 0); /* never from inside */
    assert_true(test_wait_until(all_answered, &a, 10000));
    assert_int_equal(a.ok, 4);
    assert_int_equal(a.failed, 1);
    assert_string_equal(get(first.id).state.ptr, "{\"n\":4}");
    assert_string_equal(get(second.id).state.ptr, "{\"n\":3}");
    idstore_release(w.store, second.id);
    assert_int_equal(idstore_lease(w.store, "shop", w.arena, &r, &w.err), STATUS_OK);
    assert_string_equal(r.id, second.id);
}

static bool is_answered(void *arg)
{
    const struct answers *a = arg;

    loop_run_once(w.loop, 10);
    return a->ok + a->failed > 0;
}

/* One becomes another in its place: with its tag and its lease, without its state. */
static void test_becomes_another(void **state)
{
    const struct idstore_row third = {.id = "i-3", .record = STR("{\"seed\":\"third\"}")};
    const struct idstore_row fourth = {.id = "i-4", .record = STR("{\"seed\":\"fourth\"}")};
    struct answers a = {0};
    struct idstore_row r;

    (void)state;
    add("i-1", "shop", "{\"n\":1}");
    add("i-2", "shop", "{\"n\":2}");
    assert_int_equal(idstore_become(w.store, "i-1", &third, &w.err), STATUS_OK);
    r = get("i-3");
    assert_string_equal(r.tag, "shop");
    assert_string_equal(r.record.ptr, "{\"seed\":\"third\"}");
    assert_null(r.state.ptr);
    assert_int_equal(idstore_get(w.store, "i-1", w.arena, &r, &w.err), STATUS_NOT_FOUND);
    assert_int_equal(idstore_become(w.store, "i-1", &fourth, &w.err), STATUS_NOT_FOUND);
    assert_int_equal(idstore_become(w.store, "i-2", &third, &w.err), STATUS_EXISTS);
    assert_int_equal(idstore_lock(w.store, &w.err), STATUS_OK);
    assert_int_equal(idstore_lease(w.store, "shop", w.arena, &r, &w.err), STATUS_OK);
    assert_string_equal(r.id, "i-3");
    idstore_turn(w.store, "i-2", &fourth, on_saved, &a); /* not leased */
    assert_true(test_wait_until(is_answered, &a, 10000));
    assert_int_equal(a.last, STATUS_INVALID);
    a = (struct answers){0};
    idstore_turn(w.store, "i-3", &fourth, on_saved, &a);
    assert_true(test_wait_until(is_answered, &a, 10000));
    assert_int_equal(a.last, STATUS_OK);
    a = (struct answers){0};
    idstore_save(w.store, "i-4", STR("{\"n\":4}"), on_saved, &a); /* the lease went with it */
    assert_true(test_wait_until(is_answered, &a, 10000));
    assert_int_equal(a.last, STATUS_OK);
    assert_string_equal(get("i-4").state.ptr, "{\"n\":4}");
    assert_int_equal(idstore_count(w.store, "shop"), 2);
}

static void test_one_process_leases(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(idstore_lock(w.store, &w.err), STATUS_OK);
    pid = fork();
    if (pid == 0) {
        struct idstore *other = NULL;
        struct err e = ERR_INIT;
        const struct idstore_opts o = {.path = w.path, .key = w.key};

        if (idstore_open(&o, &other, &e) != STATUS_OK)
            _exit(1);
        _exit(idstore_lock(other, &e) == STATUS_BUSY ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* --- kill -9 --- */

enum { VICTIMS = 8, ROUNDS = 4 };

/* What the victim tells: which identity, and which state of it became durable. */
struct told {
    uint32_t who, n;
};

struct victim {
    char id[IDSTORE_TAG_MAX];
    uint32_t who, n;
    int fd;
};

static void save_next(struct victim *v);

static void on_victim_saved(void *arg, enum status s, const struct err *e)
{
    struct victim *v = arg;
    const struct told t = {v->who, v->n};

    (void)e;
    if (s != STATUS_OK || write(v->fd, &t, sizeof(t)) != sizeof(t))
        _exit(3);
    save_next(v);
}

static void save_next(struct victim *v)
{
    char text[32];

    v->n++;
    snprintf(text, sizeof(text), "{\"n\":%u}", v->n);
    idstore_save(w.store, v->id, str_from(text), on_victim_saved, v);
}

static void be_victim(int fd, const uint32_t *from)
{
    static struct victim victims[VICTIMS];

    if (loop_create(&w.loop, NULL, NULL) != STATUS_OK || open_with(w.key, false) != STATUS_OK ||
        idstore_lock(w.store, &w.err) != STATUS_OK)
        _exit(2);
    for (uint32_t i = 0; i < VICTIMS; i++) {
        struct idstore_row r;

        if (idstore_lease(w.store, NULL, w.arena, &r, &w.err) != STATUS_OK)
            _exit(2);
        victims[i] = (struct victim){.who = (uint32_t)(r.id[2] - '0'), .fd = fd};
        victims[i].n = from[victims[i].who];
        snprintf(victims[i].id, sizeof(victims[i].id), "%s", r.id);
        save_next(&victims[i]);
    }
    loop_run(w.loop);
    _exit(4);
}

/* Runs a victim, kills it after `ms`; what it told goes to `last`. */
static void one_round(uint32_t *last, unsigned ms)
{
    struct told t;
    int pipes[2], status;
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    if (pid == 0) {
        close(pipes[0]);
        be_victim(pipes[1], last);
    }
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &t, sizeof(t)), sizeof(t)); /* it is under way */
    last[t.who] = t.n;
    test_sleep_ms(ms);
    kill(pid, SIGKILL);
    while (read(pipes[0], &t, sizeof(t)) == sizeof(t))
        last[t.who] = t.n;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    close(pipes[0]);
}

/* What was answered before a kill is there after it, or the one after that, whole. */
static void test_kill_while_saving(void **state)
{
    uint32_t last[VICTIMS] = {0};

    (void)state;
    for (int i = 0; i < VICTIMS; i++) {
        char id[16];

        snprintf(id, sizeof(id), "i-%d", i);
        add(id, "", NULL);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        idstore_close(&w.store);
        one_round(last, 5 + 7 * round);
        assert_int_equal(open_with(w.key, false), STATUS_OK);
        for (int i = 0; i < VICTIMS; i++) {
            char id[16];
            struct idstore_row r;
            unsigned n = 0;

            snprintf(id, sizeof(id), "i-%d", i);
            r = get(id);
            assert_true(r.state.ptr == NULL || sscanf(r.state.ptr, "{\"n\":%u}", &n) == 1);
            assert_in_range(n, last[i], last[i] + 1);
            last[i] = n;
        }
    }
    assert_true(last[0] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_comes_back_after_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_is_readable_on_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_or_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replace_and_remove, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_passphrase, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_damaged_row_is_damaged_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leases_and_saves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_becomes_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_process_leases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kill_while_saving, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
