/* Tasks that do nothing, through scheduler, executor, receipts and rows, durable: the engine's own
 * cost of a task. */
#include "tests/bench/measure.h"
#include "tests/support/engines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void submitted(void *arg, enum status s, struct batch *b, const struct err *e)
{
    if (s != STATUS_OK) {
        fprintf(stderr, "submit: %s\n", err_text(e));
        exit(1);
    }
    snprintf(arg, BATCH_ID_MAX, "%s", batch_id(b));
}

static void measure(unsigned n, const char *sign)
{
    char *dir = test_mkdir(), more[256], id[BATCH_ID_MAX] = "";
    struct buf json = BUF_INIT(BATCH_SPEC_MAX), errors = BUF_INIT(BUF_MAX_LINE);
    struct engine_rig r;
    struct batch_spec spec;
    struct err e = ERR_INIT;
    uint64_t from;
    double cpu, s;

    snprintf(more, sizeof(more),
             "\"members\":{\"count\":512},\"slots\":512,\"audit\":{\"sink\":null,\"sign\":\"%s\"},",
             sign);
    engine_rig_open(&r, dir, more);
    engine_rig_start(&r);
    buf_adds(&json, "{\"flow\":{},\"targets\":[");
    for (unsigned i = 0; i < n; i++)
        buf_addf(&json, "%s\"http://127.0.%u.%u/\"", i ? "," : "", i % 1000 / 250 + 1, i % 250 + 1);
    buf_adds(&json, "]}");
    if (batch_spec_decode(r.engine, buf_str(&json), &spec, &errors, &e) != STATUS_OK)
        fail_msg("%s", err_text(&e));
    from = test_now_ms();
    cpu = cpu_s();
    engine_submit(r.engine, &spec, submitted, id);
    while (!id[0] || !batch_is_over(batch_state(engine_find(r.engine, id))))
        loop_run_once(r.loop, 100);
    s = (double)(test_now_ms() - from) / 1000;
    printf("no-op tasks, durable, %-10s %8u tasks  %9.0f/s  %6.2f us of CPU a task\n", sign, n,
           n / s, 1e6 * (cpu_s() - cpu) / n);
    fflush(stdout);
    engine_rig_close(&r);
    buf_deinit(&json);
    buf_deinit(&errors);
    test_rmdir(&dir);
}

static void bench(void **state)
{
    const char *given = getenv("TASKS");
    unsigned n = given ? (unsigned)strtoul(given, NULL, 10) : 200000;

    (void)state;
    measure(n, "checkpoint");
    measure(n / 4, "each");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bench)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
