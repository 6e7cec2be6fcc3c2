/* What Prometheus reads: every family with help and type before its samples, each once, values and
 * labels as the status has them. */
#include "core/api/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reaper/level.h"
#include "tests/support/testing.h"

static const char status[] =
    "{\"engine\":{\"state\":\"ready\",\"members\":4,\"slots\":2,\"busy\":1,\"receipts\":1234567890,"
    "\"tasks\":{\"waiting\":7,\"delayed\":0,\"running\":1},"
    "\"totals\":{\"tasks\":{\"succeeded\":40,\"failed\":2},\"attempts\":43,\"retries\":1,"
    "\"ops\":90,\"ops_failed\":3}},"
    "\"targets\":[{\"target\":\"a\\\"b\\\\c\\nd\",\"ops\":90,\"ops_failed\":3,\"hits_429\":1,"
    "\"hits_403\":0,\"hits_captcha\":0,\"breaker\":\"open\"},"
    "{\"target\":\"quiet.example\",\"ops\":0,\"breaker\":\"closed\"}],"
    "\"executor\":{\"instances\":["
    "{\"name\":\"browser-1\",\"memory_bytes\":1073741824,\"processes\":6,\"pages\":12,\"leases\":2,"
    "\"guarantee\":\"kernel\",\"layers\":[\"chromium-sandbox\",\"pid-namespace\",\"seccomp\"]},"
    "{\"name\":\"browser-2\",\"memory_bytes\":0,\"guarantee\":\"best-effort\",\"layers\":[]}]}}";

static char *write_of(const char *text)
{
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    struct json *j = json_parse(str_from(text), false, NULL);
    char *out;

    assert_non_null(j);
    metrics_write(j, &b);
    json_destroy(&j);
    out = strdup(b.ptr ? b.ptr : "");
    buf_deinit(&b);
    return out;
}

static void test_samples(void **state)
{
    static const char *const lines[] = {
        "fleet_members 4",
        "fleet_slots 2",
        "fleet_slots_busy 1",
        "fleet_receipts_total 1234567890",
        "fleet_tasks{state=\"waiting\"} 7",
        "fleet_tasks_total{state=\"succeeded\"} 40",
        "fleet_attempts_total 43",
        "fleet_target_ops_total{target=\"a\\\"b\\\\c\\nd\"} 90",
        "fleet_target_breaker_open{target=\"a\\\"b\\\\c\\nd\"} 1",
        "fleet_target_breaker_open{target=\"quiet.example\"} 0",
        "fleet_instance_memory_bytes{instance=\"browser-1\"} 1073741824",
        "fleet_instance_pages{instance=\"browser-1\"} 12",
        "fleet_sandbox_layer{instance=\"browser-1\",layer=\"pid-namespace\"} 1",
        "fleet_sandbox_layer{instance=\"browser-1\",layer=\"landlock\"} 0",
        "fleet_sandbox_guarantee{instance=\"browser-1\",guarantee=\"kernel\"} 1",
    };
    char *text = write_of(status);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        char line[256];

        snprintf(line, sizeof(line), "\n%s\n", lines[i]);
        if (!strstr(text, line))
            fail_msg("\"%s\" is not in:\n%s", lines[i], text);
    }
    /* one that has not started is on no layer, which is no fault of it */
    assert_null(strstr(text, "fleet_sandbox_layer{instance=\"browser-2\""));
    assert_null(strstr(text, "fleet_sandbox_guarantee{instance=\"browser-2\""));
    free(text);
}

static void test_every_layer_has_a_row(void **state)
{
    char *text = write_of(status);
    unsigned n = 0;

    (void)state;
    for (const char *at = text; (at = strstr(at, "\nfleet_sandbox_layer{")) != NULL; at++)
        n++;
    assert_int_equal(n, REAPER_LAYER_COUNT);
    free(text);
}

/* HELP, TYPE and all samples of a family stand together, and no family comes twice. */
static void test_form(void **state)
{
    char *text = write_of(status), seen[8192] = "", family[128] = "", *save = NULL;

    (void)state;
    assert_int_equal(text[strlen(text) - 1], '\n');
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        size_t n;

        if (strncmp(line, "# HELP ", 7) == 0) {
            n = strcspn(line + 7, " ");
            snprintf(family, sizeof(family), "<%.*s>", (int)n, line + 7);
            assert_null(strstr(seen, family));
            assert_true(strlen(seen) + strlen(family) < sizeof(seen));
            memcpy(seen + strlen(seen), family, strlen(family) + 1);
            continue;
        }
        line += strncmp(line, "# TYPE ", 7) == 0 ? 7 : 0;
        n = strcspn(line, " {");
        assert_int_equal(strlen(family), n + 2);
        assert_memory_equal(line, family + 1, n);
    }
    free(text);
}

static void test_nothing_there(void **state)
{
    char *text = write_of("{\"engine\":{},\"targets\":[],\"executor\":null}");

    (void)state;
    assert_string_equal(text, "");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_every_layer_has_a_row),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_nothing_there),
    };

    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
