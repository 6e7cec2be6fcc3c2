/* An engine with an executor that does nothing: what batches come to, what is durable when, what a
 * later engine on the same directory finds. */
#include "tests/support/engines.h"

#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "core/base/jcs.h"
#include "core/coord/store.h"

static char *dir;
static struct engine_rig r;

static int set_up(void **state)
{
    (void)state;
    dir = test_mkdir();
    engine_rig_open(&r, dir, "\"members\":{\"count\":4},\"slots\":4,");
    engine_rig_start(&r);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    engine_rig_close(&r);
    test_rmdir(&dir);
    return 0;
}

static void reopen(void)
{
    engine_rig_close(&r);
    engine_rig_open(&r, dir, "\"members\":{\"count\":4},\"slots\":4,");
}

#define URL "\"url\":\"http://127.0.0.1/\""

static struct batch *submit(const char *json)
{
    struct err e = ERR_INIT;
    struct batch *b = engine_rig_submit(&r, json, &e);

    if (!b)
        fail_msg("%s: %s", json, err_text(&e));
    return b;
}

static struct batch_info finish(const char *json)
{
    char id[BATCH_ID_MAX];
    struct batch_info info;

    snprintf(id, sizeof(id), "%s", batch_id(submit(json)));
    engine_rig_finish(&r, id);
    batch_info(engine_find(r.engine, id), &info);
    return info;
}

/* --- states --- */

static void test_states(void **state)
{
    static const struct {
        const char *targets;
        enum batch_state state;
        unsigned succeeded, failed;
    } rows[] = {
        {"{" URL "},{" URL "},{" URL "}", BATCH_COMPLETED, 3, 0},
        {"{" URL ",\"do\":\"fail\"}", BATCH_FAILED, 0, 1},
        {"{" URL "},{" URL ",\"do\":\"fail\"}", BATCH_PARTIAL, 1, 1},
        {"{" URL ",\"do\":\"again\"},{" URL ",\"do\":\"once\"}", BATCH_COMPLETED, 2, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char json[512];
        struct batch_info info;

        snprintf(json, sizeof(json), "{\"flow\":{},\"targets\":[%s]}", rows[i].targets);
        info = finish(json);
        assert_int_equal(info.state, rows[i].state);
        assert_int_equal(info.succeeded, rows[i].succeeded);
        assert_int_equal(info.failed, rows[i].failed);
        assert_int_equal(info.finished, info.total);
        assert_true(info.progress == 1);
        assert_int_equal(strlen(info.open), 64);
        assert_int_equal(strlen(info.close), 64);
    }
}

static void test_summary(void **state)
{
    struct batch_info info =
        finish("{\"name\":\"x\",\"flow\":{},\"targets\":[{" URL "},{" URL ",\"do\":\"fail\"},"
               "{\"url\":\"http://localhost/\",\"do\":\"slow\"}]}");
    char id[BATCH_ID_MAX];
    struct json *j;

    (void)state;
    snprintf(id, sizeof(id), "%s", info.id);
    for (int i = 0; i < 2; i++) { /* the same from memory and from the log */
        j = batch_summary(engine_find(r.engine, id));
        assert_string_equal(json_str(json_get(j, "state"), ""), "partial");
        assert_int_equal(json_int(json_get(j, "total"), 0), 3);
        assert_true(json_num(json_get(j, "success_rate"), 0) > 0.66);
        assert_int_equal(json_int(json_at(j, "errors", "ASSERTION_FAILED", NULL), 0), 1);
        assert_int_equal(json_len(json_get(j, "targets")), 2);
        assert_true(json_num(json_at(j, "duration_ms", "max", NULL), 0) >= 15);
        json_destroy(&j);
        if (i == 0)
            reopen();
    }
    engine_rig_start(&r);
}

/* --- keys --- */

static void test_idempotent(void **state)
{
    const char *spec = "{\"key\":\"k1\",\"flow\":{},\"targets\":[{" URL "}]}";
    struct batch *first = submit(spec);
    struct err e = ERR_INIT;
    char id[BATCH_ID_MAX];

    (void)state;
    snprintf(id, sizeof(id), "%s", batch_id(first));
    assert_ptr_equal(submit(spec), first);
    engine_rig_finish(&r, id);
    assert_string_equal(batch_id(submit(spec)), id);
    assert_null(engine_rig_submit(
        &r, "{\"key\":\"k1\",\"flow\":{},\"targets\":[{" URL "},{" URL "}]}", &e));
    assert_int_equal(e.status, STATUS_EXISTS);
    assert_non_null(strstr(e.text, id));
    reopen();
    engine_rig_start(&r);
    assert_string_equal(batch_id(submit(spec)), id); /* also of an earlier process */
    assert_int_equal(batch_state(engine_find(r.engine, id)), BATCH_COMPLETED);
}

static void test_refused(void **state)
{
    static const struct {
        const char *json, *says;
    } rows[] = {
        {"[]", "batch: found array, expected an object"},
        {"{", "batch: "},
        {"{\"flow\":{}}", "/targets: missing"},
        {"{\"flow\":{},\"targets\":[]}", "/targets: "},
        {"{\"flow\":\"f.json\",\"targets\":[\"http://127.0.0.1/\"]}", "files are not read here"},
        {"{\"flow\":{},\"targets\":\"t.txt\"}", "files are not read here"},
        {"{\"flow\":{},\"target\":[]}", "did you mean \"targets\"?"},
        {"{\"flow\":{},\"slots\":3,\"targets\":[\"http://127.0.0.1/\"]}", "batch: /slots: unknown"},
        {"{\"flow\":{},\"targets\":[\"http://example.org/\"]}", "/limits/max_requests"},
        {"{\"flow\":{},\"targets\":[\"http://127.0.0.1/\"],\"priority\":1001}", "/priority"},
        {"{\"flow\":{},\"targets\":[\"http://127.0.0.1/\"],\"key\":7}", "/key"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = ERR_INIT;

        assert_null(engine_rig_submit(&r, rows[i].json, &e));
        assert_int_equal(e.status, STATUS_INVALID);
        if (!strstr(e.text, rows[i].says))
            fail_msg("%s: \"%s\", expected \"%s\"", rows[i].json, e.text, rows[i].says);
    }
}

/* --- pages --- */

struct page {
    bool told;
    enum status status;
    size_t n;
    uint64_t next;
    char first[32], last[32];
};

static void task_of(struct str line, char out[32])
{
    struct json *j = json_parse(line, true, NULL);

    assert_non_null(j);
    assert_int_equal(strlen(json_str(json_get(j, "receipt"), "")), 64);
    snprintf(out, 32, "%s", json_str(json_get(j, "task"), ""));
    json_destroy(&j);
}

static void on_page(void *arg, enum status s, const struct batch_page *p, const struct err *e)
{
    struct page *x = arg;

    (void)e;
    x->told = true;
    x->status = s;
    if (s != STATUS_OK)
        return;
    x->n = p->n;
    x->next = p->next;
    if (p->n > 0) {
        task_of(p->lines[0], x->first);
        task_of(p->lines[p->n - 1], x->last);
    }
}

static bool page_told(void *arg)
{
    return ((struct page *)arg)->told;
}

static struct page page(const char *id, uint64_t from, size_t max)
{
    struct page x = {0};

    engine_results(r.engine, id, from, max, on_page, &x);
    assert_false(x.told);
    engine_rig_wait(&r, page_told, &x, "a page is read");
    return x;
}

static void test_pages(void **state)
{
    struct buf json = BUF_INIT(BUF_MAX_LINE);
    struct batch_info info;
    struct page p;
    char id[BATCH_ID_MAX];

    (void)state;
    buf_adds(&json, "{\"flow\":{},\"targets\":[");
    for (int i = 0; i < 25; i++)
        buf_addf(&json, "%s{" URL ",\"do\":\"%s\"}", i ? "," : "", i % 3 ? "" : "slow");
    buf_adds(&json, "]}");
    info = finish(json.ptr);
    snprintf(id, sizeof(id), "%s", info.id);
    p = page(id, 0, 10);
    assert_int_equal(p.n, 10);
    assert_int_equal(p.next, 10);
    assert_string_equal(p.first, "t-000001");
    p = page(id, p.next, 1000);
    assert_int_equal(p.n, 15);
    assert_true(p.next == UINT64_MAX);
    assert_string_equal(p.last, "t-000025");
    assert_int_equal(page(id, 99, 5).n, 0);
    assert_int_equal(page("b-0000099", 0, 5).status, STATUS_NOT_FOUND);
    assert_int_equal(page("nonsense", 0, 5).status, STATUS_NOT_FOUND);
    buf_deinit(&json);
}

/* --- cancel, pause, scale, settings --- */

static void on_wish(void *arg, enum status s, const struct err *e)
{
    (void)e;
    assert_int_equal(s, STATUS_OK);
    *(bool *)arg = true;
}

static void test_cancel(void **state)
{
    struct batch *b =
        submit("{\"flow\":{},\"targets\":[{" URL ",\"do\":\"hang\"},{" URL ",\"do\":\"hang\"},{" URL
               ",\"do\":\"hang\"},{" URL ",\"do\":\"hang\"},{" URL "},{" URL "}]}");
    char id[BATCH_ID_MAX];
    struct batch_info info;
    bool told = false;

    (void)state;
    snprintf(id, sizeof(id), "%s", batch_id(b));
    batch_cancel(b, on_wish, &told);
    engine_rig_finish(&r, id);
    batch_info(engine_find(r.engine, id), &info);
    assert_true(told);
    assert_int_equal(info.state, BATCH_CANCELLED);
    assert_int_equal(info.finished, 6);
}

static bool four_run(void *arg)
{
    struct engine_stats s;

    (void)arg;
    engine_stats(r.engine, &s);
    return s.busy == 4;
}

static void test_slots(void **state)
{
    struct batch *b =
        submit("{\"name\":\"long\",\"flow\":{},\"targets\":[{" URL ",\"do\":\"hang\"},{" URL
               ",\"do\":\"hang\"},{" URL ",\"do\":\"hang\"},{" URL ",\"do\":\"hang\"}]}");
    char id[BATCH_ID_MAX];
    struct engine_slot slot;
    struct json *j;
    struct err e = ERR_INIT;

    (void)state;
    snprintf(id, sizeof(id), "%s", batch_id(b));
    engine_rig_wait(&r, four_run, NULL, "four tasks run");
    engine_slot(r.engine, 0, &slot);
    assert_ptr_equal(slot.batch, b);
    assert_true(slot.fence >> 32 == engine_epoch(r.engine));
    assert_int_equal(engine_scale(r.engine, 2, &e), STATUS_OK);
    assert_int_equal(engine_slots(r.engine), 4); /* two are on their way out */
    assert_int_equal(engine_scale(r.engine, 0, &e), STATUS_INVALID);
    assert_int_equal(engine_scale(r.engine, 5000, &e), STATUS_INVALID);
    j = engine_slots_json(r.engine);
    assert_int_equal(json_len(j), 4);
    json_destroy(&j);
    batch_cancel(b, NULL, NULL);
    engine_rig_finish(&r, id);
    assert_int_equal(engine_slots(r.engine), 2);
    assert_int_equal(finish("{\"flow\":{},\"targets\":[{" URL "},{" URL "},{" URL "}]}").state,
                     BATCH_COMPLETED);
    j = engine_stats_json(r.engine);
    assert_int_equal(json_int(json_get(j, "slots"), 0), 2);
    json_destroy(&j);
}

static bool has_run(void *arg)
{
    return noop_runs >= *(unsigned *)arg;
}

/* A machine that has less memory left than it should: of four slots one is given work, and the next
 * when that is done, so that all is done; and all of them when the bound is another. */
static void test_pressure_holds_slots_back(void **state)
{
    struct json *j = json_parse(STR("{\"autoscale\":{\"memory_available\":100}}"), true, NULL);
    struct json *back = json_parse(STR("{\"autoscale\":{\"memory_available\":0}}"), true, NULL);
    unsigned runs = noop_runs + 1;
    struct engine_stats s;
    struct err e = ERR_INIT;
    struct json *stats;
    const char *id;

    (void)state;
    assert_null(engine_pressure(r.engine));
    assert_int_equal(engine_update_json(r.engine, j, &e), STATUS_OK);
    engine_stats(r.engine, &s);
    assert_int_equal(s.slots, 4);
    assert_int_equal(s.admitted, 1);
    assert_non_null(strstr(s.pressure, "little memory is left"));
    id = batch_id(submit("{\"flow\":{},\"targets\":[{" URL ",\"do\":\"hang\"},{" URL "},{" URL
                         "},{" URL "}]}"));
    engine_rig_wait(&r, has_run, &runs, "a task begins");
    engine_stats(r.engine, &s);
    assert_int_equal(s.running, 1);
    assert_int_equal(s.waiting, 3);
    assert_int_equal(engine_scale(r.engine, 3, &e), STATUS_OK); /* asked for, and not admitted */
    stats = engine_stats_json(r.engine);
    assert_int_equal(json_int(json_get(stats, "slots"), 0), 3);
    assert_int_equal(json_int(json_get(stats, "admitted"), 0), 1);
    assert_non_null(strstr(json_str(json_get(stats, "pressure"), ""), "expected 100 % or more"));
    json_destroy(&stats);

    assert_int_equal(engine_update_json(r.engine, back, &e), STATUS_OK);
    assert_null(engine_pressure(r.engine));
    engine_stats(r.engine, &s);
    assert_int_equal(s.admitted, 2); /* half as many more in each period */
    runs = noop_runs + 3;
    engine_rig_wait(&r, has_run, &runs, "the others run beside it");
    batch_cancel(engine_find(r.engine, id), NULL, NULL);
    engine_rig_finish(&r, id);
    json_destroy(&j);
    json_destroy(&back);
}

/* Under pressure all the time: nothing waits for ever. */
static void test_pressure_stops_nothing(void **state)
{
    struct json *j = json_parse(STR("{\"autoscale\":{\"memory_available\":100}}"), true, NULL);
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(engine_update_json(r.engine, j, &e), STATUS_OK);
    assert_int_equal(
        finish("{\"flow\":{},\"targets\":[{" URL "},{" URL "},{" URL "},{" URL "}]}").state,
        BATCH_COMPLETED);
    json_destroy(&j);
}

/* Attempts that have work for the processors: of many slots as many are begun at once as there are
 * processors, when it is one for each; all of them when there is no bound. */
static void test_room_holds_tasks_back(void **state)
{
    struct json *one =
        json_parse(STR("{\"slots\":1000,\"autoscale\":{\"per_cpu\":1}}"), true, NULL);
    struct json *none = json_parse(STR("{\"autoscale\":{\"per_cpu\":0}}"), true, NULL);
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    struct engine_stats s;
    struct cpu_seen cpu;
    unsigned runs, before = noop_runs, bound;
    struct err e = ERR_INIT;
    char id[BATCH_ID_MAX];

    (void)state;
    noop_works = true;
    scale_look_cpu(&cpu);
    bound = scale_bound(&(struct scale_conf){.per_cpu = 1}, cpu.cpus);
    assert_int_equal(engine_update_json(r.engine, one, &e), STATUS_OK);
    engine_stats(r.engine, &s);
    assert_int_equal(s.working, 0);
    buf_adds(&text, "{\"flow\":{},\"targets\":[");
    for (unsigned i = 0; i < bound + 3; i++)
        buf_addf(&text, "%s{" URL ",\"do\":\"hang\"}", i > 0 ? "," : "");
    buf_adds(&text, "]}");
    snprintf(id, sizeof(id), "%s", batch_id(submit(text.ptr)));
    runs = before + 1;
    engine_rig_wait(&r, has_run, &runs, "tasks begin");
    engine_stats(r.engine, &s);
    if (r.conf.members.count > bound) {
        assert_int_equal(noop_runs - before, bound);
        assert_int_equal(s.working_max, bound);
    }
    assert_int_equal(s.working, s.running);
    assert_int_equal(engine_update_json(r.engine, none, &e), STATUS_OK);
    runs = before + (r.conf.members.count < bound + 3 ? r.conf.members.count : bound + 3);
    engine_rig_wait(&r, has_run, &runs, "the others begin");
    engine_stats(r.engine, &s);
    assert_int_equal(s.working_max, 0);
    noop_works = false;
    batch_cancel(engine_find(r.engine, id), NULL, NULL);
    engine_rig_finish(&r, id);
    buf_deinit(&text);
    json_destroy(&one);
    json_destroy(&none);
}

static void test_settings(void **state)
{
    struct json *j = json_parse(STR("{\"slots\":3,\"retry\":{\"max\":5}}"), true, NULL);
    struct json *bad = json_parse(STR("{\"retry\":{\"max\":101}}"), true, NULL);
    struct engine_settings s;
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(engine_update_json(r.engine, j, &e), STATUS_OK);
    engine_settings(r.engine, &s);
    assert_int_equal(s.slots, 3);
    assert_int_equal(s.retry.max, 5);
    assert_int_equal(s.retry.base_ms, 1); /* stays */
    assert_int_equal(engine_update_json(r.engine, bad, &e), STATUS_INVALID);
    assert_non_null(strstr(e.text, "/retry/max"));
    s.retry.cap_ms = 0;
    assert_int_equal(engine_update(r.engine, &s, &e), STATUS_INVALID);
    json_destroy(&j);
    json_destroy(&bad);
}

static bool some_turns(void *arg)
{
    return ++*(int *)arg > 20;
}

static void test_pause(void **state)
{
    unsigned before = noop_runs;
    int turns = 0;
    struct batch *b;
    char id[BATCH_ID_MAX];

    (void)state;
    engine_pause(r.engine, true);
    b = submit("{\"flow\":{},\"targets\":[{" URL "}]}");
    snprintf(id, sizeof(id), "%s", batch_id(b));
    engine_rig_wait(&r, some_turns, &turns, "some turns of the loop");
    assert_int_equal(noop_runs, before);
    engine_pause(r.engine, false);
    engine_rig_finish(&r, id);
    assert_int_equal(noop_runs, before + 1);
}

/* --- fairness --- */

struct order {
    char of[64];
    size_t n;
    const char *first;
};

static void note_order(void *arg, struct batch *b, const struct batch_task *t)
{
    struct order *o = arg;

    (void)t;
    if (o->n + 1 < sizeof(o->of))
        o->of[o->n++] = strcmp(batch_id(b), o->first) == 0 ? 'a' : 'b';
}

/* A long batch does not keep a short one that comes later waiting: they take turns. */
static void test_fair(void **state)
{
    static struct order o; /* tasks end in tear_down still */
    const struct engine_watch watch = {.on_task = note_order, .arg = &o};
    struct buf json = BUF_INIT(BUF_MAX_LINE);
    char id[BATCH_ID_MAX];

    (void)state;
    o = (struct order){.first = "b-0000001"};
    reopen();
    engine_watch_add(r.engine, &watch);
    engine_rig_start(&r);
    assert_int_equal(engine_scale(r.engine, 1, NULL), STATUS_OK);
    engine_pause(r.engine, true);
    buf_adds(&json, "{\"flow\":{},\"targets\":[");
    for (int i = 0; i < 30; i++)
        buf_addf(&json, "%s{" URL "}", i ? "," : "");
    buf_adds(&json, "]}");
    (void)submit(json.ptr);
    snprintf(id, sizeof(id), "%s",
             batch_id(submit("{\"flow\":{},\"targets\":[{" URL "},{" URL "},{" URL "}]}")));
    engine_pause(r.engine, false);
    engine_rig_finish(&r, id);
    assert_in_range(strrchr(o.of, 'b') - o.of, 2, 8); /* through long before the first */
    buf_deinit(&json);
}

/* --- what a later engine finds --- */

static void test_resumed(void **state)
{
    struct batch *b = submit("{\"key\":\"r\",\"flow\":{},\"targets\":[{" URL "},{" URL
                             ",\"do\":\"hang\"},{" URL ",\"do\":\"fail\"}]}");
    uint64_t epoch = engine_epoch(r.engine);
    char id[BATCH_ID_MAX];
    struct err e = ERR_INIT;
    struct batch_info info;
    size_t n = 0;
    int turns = 0;

    (void)state;
    snprintf(id, sizeof(id), "%s", batch_id(b));
    engine_rig_wait(&r, some_turns, &turns, "some turns of the loop");
    reopen(); /* what hangs is interrupted */
    assert_int_equal(engine_epoch(r.engine), epoch + 1);
    assert_int_equal(engine_resume_all(r.engine, &n, &e), STATUS_OK);
    assert_int_equal(n, 1);
    engine_rig_start(&r);
    batch_info(engine_find(r.engine, id), &info);
    assert_int_equal(info.state, BATCH_PROCESSING);
    assert_int_equal(info.finished, 2);
    assert_true(info.resumed);
    batch_cancel(engine_find(r.engine, id), NULL, NULL);
    engine_rig_finish(&r, id);
    batch_info(engine_find(r.engine, id), &info);
    assert_int_equal(info.state, BATCH_CANCELLED);
    assert_int_equal(info.succeeded, 1);
    assert_int_equal(page(id, 0, 10).n, 3);
}

/* --- removal --- */

struct removal {
    bool told;
    enum status status;
    size_t n;
    struct err err;
};

static void on_removed(void *arg, enum status s, size_t n, const struct err *e)
{
    struct removal *x = arg;

    x->told = true;
    x->status = s;
    x->n = n;
    x->err = *e;
}

static bool is_told(void *arg)
{
    return ((struct removal *)arg)->told;
}

static struct removal remove_one(const char *id)
{
    struct removal x = {.told = false};

    engine_remove(r.engine, id, on_removed, &x);
    assert_false(x.told);
    engine_rig_wait(&r, is_told, &x, "the removal is answered");
    return x;
}

static struct removal remove_older(uint64_t before_ms)
{
    struct removal x = {.told = false};

    engine_remove_older(r.engine, before_ms, on_removed, &x);
    engine_rig_wait(&r, is_told, &x, "the removal is answered");
    return x;
}

/* A number out of the engine's database. */
static long long count(const char *sql)
{
    sqlite3_stmt *st = NULL;
    sqlite3 *db = NULL;
    struct err e = ERR_INIT;
    long long n;

    assert_int_equal(logdb_open_reader(logdb_path(engine_logdb(r.engine)), &db, &e), STATUS_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    n = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    (void)sqlite3_close_v2(db);
    return n;
}

static bool is_swept(void *arg)
{
    (void)arg;
    return count("SELECT count(*) FROM removal") == 0;
}

/* Running ones are refused; one that is over goes with key and results, and its receipts stay. */
static void test_remove(void **state)
{
    const char *spec =
        "{\"key\":\"k\",\"flow\":{},\"targets\":[{" URL "},{" URL ",\"do\":\"hang\"}]}";
    char id[BATCH_ID_MAX], again[BATCH_ID_MAX];
    struct removal x;
    uint64_t receipts;

    (void)state;
    snprintf(id, sizeof(id), "%s", batch_id(submit(spec)));
    x = remove_one(id);
    assert_int_equal(x.status, STATUS_BUSY);
    assert_string_equal(x.err.text, "batch b-0000001 is processing: it can be removed when it is "
                                    "over, or cancelled before");
    assert_int_equal(remove_older(UINT64_MAX).n, 0); /* none is over */
    assert_int_equal(remove_one("b-0000007").status, STATUS_NOT_FOUND);
    assert_int_equal(remove_one("b").status, STATUS_NOT_FOUND);
    batch_cancel(engine_find(r.engine, id), NULL, NULL);
    engine_rig_finish(&r, id);
    assert_int_equal(page(id, 0, 10).n, 2);
    receipts = audit_size(engine_audit(r.engine));
    x = remove_one(id);
    assert_int_equal(x.status, STATUS_OK);
    assert_int_equal(x.n, 1);
    assert_null(engine_find(r.engine, id));
    assert_int_equal(page(id, 0, 10).status, STATUS_NOT_FOUND);
    assert_int_equal(remove_one(id).status, STATUS_NOT_FOUND);
    engine_rig_wait(&r, is_swept, NULL, "the results are gone");
    assert_int_equal(count("SELECT count(*) FROM task_done"), 0);
    assert_int_equal(count("SELECT count(*) FROM audit_record"), receipts + 1);
    snprintf(again, sizeof(again), "%s", batch_id(submit(spec))); /* the key is free */
    assert_string_equal(again, "b-0000002");
    batch_cancel(engine_find(r.engine, again), NULL, NULL);
    engine_rig_finish(&r, again);
}

/* All that ended before a moment; what one process leaves of their results the next one sweeps; and
 * a number is never given twice. */
static void test_remove_older(void **state)
{
    struct buf many = BUF_INIT(BUF_MAX_LINE * 8);
    struct batch_info last;

    (void)state;
    buf_adds(&many, "{\"flow\":{},\"targets\":[{" URL "}");
    for (int i = 0; i < 2 * STORE_SWEEP_ROWS; i++)
        buf_adds(&many, ",{" URL "}");
    buf_adds(&many, "]}");
    finish("{\"flow\":{},\"targets\":[{" URL "}]}");
    last = finish(many.ptr);
    assert_int_equal(remove_older(last.closed_wall_ms > 60000 ? last.closed_wall_ms - 60000 : 0).n,
                     0);
    assert_int_equal(remove_older(last.closed_wall_ms + 1).n, 2);
    reopen();
    engine_rig_start(&r);
    engine_rig_wait(&r, is_swept, NULL, "the results are gone");
    assert_int_equal(count("SELECT count(*) FROM task_done"), 0);
    assert_string_equal(finish("{\"flow\":{},\"targets\":[{" URL "}]}").id, "b-0000003");
    buf_deinit(&many);
}

static void test_draining(void **state)
{
    struct err e = ERR_INIT;

    (void)state;
    engine_drain(r.engine, "test");
    assert_null(engine_rig_submit(&r, "{\"flow\":{},\"targets\":[{" URL "}]}", &e));
    assert_int_equal(e.status, STATUS_SHUTTING_DOWN);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_states),
        CASE(test_summary),
        CASE(test_idempotent),
        CASE(test_refused),
        CASE(test_pages),
        CASE(test_cancel),
        CASE(test_slots),
        CASE(test_settings),
        CASE(test_pressure_holds_slots_back),
        CASE(test_pressure_stops_nothing),
        CASE(test_room_holds_tasks_back),
        CASE(test_pause),
        CASE(test_fair),
        CASE(test_resumed),
        CASE(test_draining),
        CASE(test_remove),
        CASE(test_remove_older),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
