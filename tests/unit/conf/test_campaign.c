/* Campaign files: what is accepted with which defaults, and the exact sentence for each thing that
 * is wrong. */
#include "tests/support/testing.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/conf/campaign.h"
#include "core/conf/comments.h"
#include "core/conf/override.h"

#define FLOW    "\"flow\":{\"steps\":[]}"
#define TARGETS "\"targets\":[\"http://localhost/\"]"

static struct arena *arena;
static struct buf errors;
static struct campaign_conf conf;
static struct err error;

static int set_up(void **state)
{
    (void)state;
    arena = arena_create(NULL, 0);
    buf_init(&errors, BUF_MAX_LINE * 16);
    error = (struct err)ERR_INIT;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_deinit(&errors);
    arena_destroy(&arena);
    unlink("c.json");
    unlink("list.csv");
    unlink("p.txt");
    unlink("f.json");
    return 0;
}

static void write_text(const char *path, const char *text)
{
    test_write_file(path, text, strlen(text));
}

static enum status load_with(const char *text, const struct overrides *o)
{
    const struct campaign_source source = {.path = "c.json", .overrides = o};

    write_text("c.json", text);
    buf_reset(&errors);
    return campaign_load_from(arena, &source, &conf, &errors, &error);
}

static enum status load(const char *text)
{
    return load_with(text, NULL);
}

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(load("{" FLOW "," TARGETS "}"), STATUS_OK);
    assert_int_equal(errors.len, 0);
    assert_string_equal(conf.name, "c");
    assert_int_equal(conf.coordinator, COORD_BATCH);
    assert_int_equal(conf.n_targets, 1);
    assert_int_equal(conf.members.count, 1);
    assert_int_equal(conf.slots, 1);
    assert_int_equal(conf.isolation, ISOLATION_CONTEXT);
    assert_int_equal(conf.sandbox, SANDBOX_REQUIRE);
    assert_true(conf.limits.rate.max_requests == 2);
    assert_int_equal(conf.limits.rate.window_ms, 1000);
    assert_true(conf.limits.robots);
    assert_int_equal(conf.policy.private_networks, POLICY_PRIVATE_LISTED);
    assert_int_equal(conf.deadlines.run_ms, 60000);
    assert_int_equal(conf.retry.max, 2);
    assert_string_equal(conf.output.results, "results.ndjson");
    assert_string_equal(conf.output.report, "report.html");
    assert_string_equal(conf.audit.sink, "audit.ndjson");
    assert_false(conf.proxies.given);
}

static void test_comments(void **state)
{
    (void)state;
    assert_int_equal(load("// head\n{ /* a { */ " FLOW ", // \"targets\"\n \"name\": \"a // b\",\n"
                          "  /* two\n lines */ " TARGETS "} // end"),
                     STATUS_OK);
    assert_string_equal(conf.name, "a // b");
    assert_int_equal(load("{\n  /* no end\n}"), STATUS_INVALID);
    assert_string_equal(errors.ptr, "c.json: line 2, column 3: found a comment that does not end, "
                                    "expected \"*/\"\n");
    assert_int_equal(load("{ // first\n  \"a\": tru }"), STATUS_INVALID);
    assert_non_null(strstr(errors.ptr, "c.json: line 2, column 8:"));
}

/* One thing is wrong in each; the sentence is all that is told. */
static const struct {
    const char *json, *told;
} bad[] = {
    {"[]", "c.json: found array, expected an object\n"},
    {"{" FLOW "}", "c.json: /targets: missing, expected the name of a list, or an array of URLs\n"},
    {"{" TARGETS "}", "c.json: /flow: missing, expected the name of a flow file, or a flow\n"},
    {"{" FLOW ",\"targets\":[]}",
     "c.json: /targets: found an array of 0, expected 1..1000000 targets\n"},
    {"{" FLOW ",\"targets\":5}",
     "c.json: /targets: found number, expected the name of a list, or an array of URLs\n"},
    {"{" FLOW ",\"targets\":[5]}",
     "c.json: /targets/0: found number, expected a URL or an object with \"url\"\n"},
    {"{" FLOW ",\"targets\":[{\"sku\":1}]}", "c.json: /targets/0/url: found nothing, expected a "
                                             "URL\n"},
    {"{" FLOW ",\"targets\":[\"shop\"]}",
     "c.json: /targets/0: found \"shop\", expected an http or https URL: no scheme: expected one "
     "of: http https, then \"://\"\n"},
    {"{" FLOW ",\"targets\":[\"ftp://u:secret@h/\"]}",
     "c.json: /targets/0: found \"(not shown: it may hold a password)\", expected an http or https "
     "URL: scheme \"ftp\": expected one of: http https\n"},
    {"{" FLOW ",\"targets\":\"none.csv\"}",
     "c.json: /targets: read none.csv: No such file or directory\n"},
    {"{\"flow\":\"none.json\"," TARGETS "}",
     "c.json: /flow: read none.json: No such file or directory\n"},
    {"{\"flow\":7," TARGETS "}",
     "c.json: /flow: found number, expected the name of a flow file, or a flow\n"},
    {"{" FLOW "," TARGETS ",\"coordinater\":\"batch\"}",
     "c.json: /coordinater: unknown member, did you mean \"coordinator\"?\n"},
    {"{" FLOW "," TARGETS ",\"coordinator\":\"brodcast\"}",
     "c.json: /coordinator: found \"brodcast\", expected one of batch, broadcast, plan or pipeline "
     "(did you mean \"broadcast\"?)\n"},
    {"{" FLOW "," TARGETS ",\"slots\":0}",
     "c.json: /slots: found 0, expected an integer 1..1024\n"},
    {"{" FLOW "," TARGETS ",\"members\":{\"count\":1.5}}",
     "c.json: /members/count: found 1.5, expected an integer 1..100000\n"},
    {"{" FLOW "," TARGETS ",\"members\":{\"key\":\"env:K\"}}",
     "c.json: /members/key: found without members.store, whose key it is\n"},
    {"{" FLOW "," TARGETS ",\"members\":{\"store\":\"x\",\"identities\":{\"seed\":\"s\"}}}",
     "c.json: /members/identities: found beside members.store, expected one of the two: identities "
     "of the store are made already\n"},
    {"{" FLOW "," TARGETS ",\"members\":{\"store\":\"x\",\"key\":\"K\"}}",
     "c.json: /members/key: expected file:PATH, env:NAME or passphrase:NAME\n"},
    {"{" FLOW "," TARGETS ",\"members\":{\"identities\":{\"viewport\":\"wide\"}}}",
     "c.json: /members/identities/viewport: found \"wide\", expected WIDTHxHEIGHT, 200x200 to "
     "2560x1353\n"},
    {"{" FLOW "," TARGETS ",\"limits\":{\"max_requests\":0}}",
     "c.json: /limits/max_requests: max_requests 0: expected a number above 0 (the limit cannot be "
     "switched off; leave the key out for the default of 2 a second)\n"},
    {"{" FLOW ",\"targets\":[\"http://localhost/\",\"https://shop.example.org/a\","
     "\"https://shop.example.org/b\",\"https://b.example.org/\"],"
     "\"limits\":{\"max_requests\":11}}",
     "c.json: /limits/max_requests: 11 requests in 1000 ms is more than 10 a second: that is only "
     "for targets on private networks, or listed in limits.authorized (these are neither: "
     "shop.example.org, b.example.org)\n"},
    {"{" FLOW "," TARGETS ",\"limits\":{\"authorized\":[\"https://x/\"]}}",
     "c.json: /limits/authorized/0: found \"https://x/\", expected a host such as shop.example.org "
     "or *.example.org\n"},
    {"{" FLOW "," TARGETS ",\"retry\":{\"base_ms\":500,\"cap_ms\":10}}",
     "c.json: /retry/cap_ms: found 10, expected at least retry.base_ms (500)\n"},
    {"{" FLOW "," TARGETS ",\"policy\":{\"private_networks\":1}}",
     "c.json: /policy/private_networks: found number, expected true, false or \"listed\"\n"},
    {"{" FLOW "," TARGETS ",\"coordinator\":\"pipeline\"}",
     "c.json: /flow: found with coordinator \"pipeline\", expected \"stages\"\n"
     "c.json: /stages: missing, expected an array of flows\n"},
    {"{" FLOW "," TARGETS ",\"stages\":[]}",
     "c.json: /stages: found with coordinator \"batch\", expected \"flow\"\n"},
    {"{\"automation\":\"./a\"," TARGETS "}",
     "c.json: /automation: found \"./a\", expected \"flow\": this version carries out flows "
     "only\n"},
    {"{" FLOW "," TARGETS ",\"proxies\":{\"file\":\"p.txt\"}}",
     "c.json: /proxies/file: read p.txt: No such file or directory\n"},
    {"{" FLOW "," TARGETS ",\"proxies\":{\"required\":true}}",
     "c.json: /proxies: found no proxy, expected at least one in \"file\" or \"list\"\n"},
    {"{" FLOW "," TARGETS ",\"name\":\"a\",\"name\":\"b\"}",
     "c.json: line 1, column 65: member \"name\" is there twice\n"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(load(bad[i].json), STATUS_INVALID);
        if (strcmp(errors.ptr, bad[i].told) != 0)
            fail_msg("%s\n  told:     %s  expected: %s", bad[i].json, errors.ptr, bad[i].told);
    }
}

static void test_all_at_once(void **state)
{
    (void)state;
    write_text("list.csv", "name,link\nx,http://shop.example.org/\ny,ftp://foo/\nz\n");
    write_text("p.txt", "ftp://h:1\nnope\n");
    write_text("f.json", "{\"steps\":[\n}");
    assert_int_equal(load("{\"flow\":\"f.json\",\"targets\":\"list.csv\",\"slots\":-1,"
                          "\"proxies\":{\"file\":\"p.txt\"},\"audit\":{\"sign\":\"eech\"}}"),
                     STATUS_INVALID);
    assert_string_equal(
        errors.ptr,
        "c.json: /slots: found -1, expected an integer 1..1024\n"
        "c.json: /audit/sign: found \"eech\", expected one of each or checkpoint (did you mean "
        "\"each\"?)\n"
        "f.json: line 2, column 1: found '}', expected a value\n"
        "list.csv:3: found \"ftp://foo/\", expected an http or https URL: scheme \"ftp\": expected "
        "one of: http https\n"
        "list.csv:4: found 1 fields, expected 2 as in the first row\n"
        "p.txt:1: scheme \"ftp\": expected http, https or socks5\n"
        "p.txt:2: found no \"://\", expected scheme://user:password@host:port#tag\n");
    assert_non_null(strstr(error.text, "(and more)"));
}

static void test_missing_file(void **state)
{
    const struct campaign_source source = {.path = "nowhere.json"};

    (void)state;
    assert_int_equal(campaign_load_from(arena, &source, &conf, &errors, &error), STATUS_NOT_FOUND);
    assert_string_equal(errors.ptr, "read nowhere.json: No such file or directory\n");
}

static void test_trusted(void **state)
{
    (void)state;
    assert_int_equal(load("{" FLOW ",\"targets\":[\"http://10.0.0.1/\",\"https://a.example.org/\"],"
                          "\"limits\":{\"max_requests\":50,\"authorized\":[\"*.Example.org\"]}}"),
                     STATUS_OK);
    assert_true(campaign_is_trusted(&conf, STR("10.0.0.1")));
    assert_true(campaign_is_trusted(&conf, STR("b.example.org")));
    assert_false(campaign_is_trusted(&conf, STR("example.com")));
}

static void test_paths_follow_the_file(void **state)
{
    const struct campaign_source source = {.path = "./sub/../c.json"};
    char *dir = test_mkdir();
    char path[512];

    (void)state;
    snprintf(path, sizeof(path), "%s/c.json", dir);
    write_text(path, "{" FLOW "," TARGETS ",\"output\":{\"results\":\"r/x.ndjson\","
                     "\"artifacts\":\"/abs\"},\"audit\":{\"sink\":null}}");
    assert_int_equal(campaign_load(arena, path, &conf, &errors, &error), STATUS_OK);
    snprintf(path, sizeof(path), "%s/r/x.ndjson", dir);
    assert_string_equal(conf.output.results, path);
    snprintf(path, sizeof(path), "%s/r/report.html", dir);
    assert_string_equal(conf.output.report, path);
    assert_string_equal(conf.output.artifacts, "/abs");
    assert_null(conf.audit.sink);
    (void)source;
    test_rmdir(&dir);
}

/* --- flags and variables --- */

static struct overrides *overrides;

static void flag(const char *name, const char *value, enum status want)
{
    assert_int_equal(overrides_flag(overrides, str_from(name), value, &error), want);
}

static void test_overrides(void **state)
{
    const char *const env[] = {
        "PATH=/bin",      "FLEET_SLOTS=3",        "FLEET_LIMITS_MAX_REQUESTS=7",
        "FLEET_NAME=env", "FLEET_LIMITS_ROBOTS=", NULL};

    (void)state;
    overrides = overrides_create(campaign_schema());
    flag("limits.max-requests", "5", STATUS_OK);
    flag("limits.robots", "false", STATUS_OK);
    flag("policy.deny", "a.org, b.org", STATUS_OK);
    flag("members.identities.honest", NULL, STATUS_OK);
    flag("targets", "[\"http://localhost/x\"]", STATUS_OK);
    assert_int_equal(overrides_env(overrides, env, &error), STATUS_OK);
    assert_int_equal(load_with("{" FLOW ",\"slots\":2,\"members\":{\"count\":9},"
                               "\"limits\":{\"max_requests\":1,\"window_ms\":2000}}",
                               overrides),
                     STATUS_OK);
    assert_true(conf.limits.rate.max_requests == 5); /* a flag goes before a variable */
    assert_int_equal(conf.limits.rate.window_ms, 2000);
    assert_false(conf.limits.robots);
    assert_int_equal(conf.slots, 3);
    assert_string_equal(conf.name, "env");
    assert_int_equal(conf.policy.deny.n, 2);
    assert_string_equal(conf.policy.deny.v[1], "b.org");
    assert_true(conf.members.honest);
    assert_int_equal(conf.members.count, 9);
    assert_string_equal(conf.targets[0].url, "http://localhost/x");
    assert_string_equal(overrides_at(overrides, "/policy/deny/1")->name, "--policy.deny");
    assert_string_equal(overrides_at(overrides, "/slots")->name, "FLEET_SLOTS");
    assert_null(overrides_at(overrides, "/retry/max"));
    overrides_destroy(&overrides);
}

/* FLEET_NAMES is one slip away from FLEET_NAME; FLEET_MOTD is somebody else's. */
static void test_mistyped_variables(void **state)
{
    const char *const slip[] = {"FLEET_LIMITS_MAX_REQUSTS=1", NULL};
    const char *const others[] = {"FLEET_TOKEN=x", "FLEET_MOTD=hello", "FLEET_NPM=/opt", NULL};
    struct err e = ERR_INIT;

    (void)state;
    overrides = overrides_create(campaign_schema());
    assert_int_equal(overrides_env(overrides, others, &e), STATUS_OK);
    assert_int_equal(overrides_env(overrides, slip, &e), STATUS_INVALID);
    assert_string_equal(e.text, "environment: FLEET_LIMITS_MAX_REQUSTS is no key of a campaign, "
                                "did you mean FLEET_LIMITS_MAX_REQUESTS?");
    overrides_destroy(&overrides);
}

static void test_bad_overrides(void **state)
{
    bool takes_value;
    const char *near;

    (void)state;
    overrides = overrides_create(campaign_schema());
    flag("limits.max-request", "5", STATUS_USAGE);
    assert_string_equal(error.text, "unknown option --limits.max-request, did you mean "
                                    "--limits.max-requests?");
    flag("slots", NULL, STATUS_USAGE);
    assert_string_equal(error.text, "--slots: expected a value");
    flag("policy.allow", "[1", STATUS_USAGE);
    assert_false(overrides_has(overrides, STR("limits.robot"), &takes_value, &near));
    assert_string_equal(near, "--limits.robots");
    flag("slots", "many", STATUS_OK);
    flag("retry.max", "-1", STATUS_OK);
    assert_int_equal(load_with("{" FLOW "," TARGETS "}", overrides), STATUS_INVALID);
    assert_string_equal(errors.ptr, "--slots: found \"many\", expected an integer 1..1024\n"
                                    "--retry.max: found -1, expected an integer 0..100\n");
    overrides_destroy(&overrides);
}

/* What is shown has every key with its value and no credentials. */
static void test_to_json(void **state)
{
    struct buf text = BUF_INIT(BUF_MAX_LINE);
    struct json *j;

    (void)state;
    assert_int_equal(load("{" FLOW "," TARGETS ",\"proxies\":{\"list\":"
                          "[\"http://user:secret@proxy.example:8080#a\"]}}"),
                     STATUS_OK);
    j = campaign_to_json(&conf);
    json_print(j, 0, &text);
    assert_null(strstr(text.ptr, "secret"));
    assert_string_equal(json_str(json_first(json_at(j, "proxies", "list", NULL)), ""),
                        "http://proxy.example:8080#a");
    assert_string_equal(json_str(json_at(j, "policy", "private_networks", NULL), ""), "listed");
    assert_int_equal(json_int(json_at(j, "limits", "max_requests", NULL), 0), 2);
    assert_int_equal(json_len(json_at(j, "policy", "tags", NULL)), 3); /* all that there are */
    buf_deinit(&text);
    json_destroy(&j);
}

struct documented {
    size_t n;
};

static void is_documented(void *arg, const char *path, const struct json_field *f)
{
    struct documented *d = arg;

    if (!f->doc || strlen(f->doc) < 10)
        fail_msg("%s has no documentation", path);
    d->n++;
}

static void test_every_key_is_documented(void **state)
{
    struct documented d = {0};

    (void)state;
    schema_walk(campaign_schema(), is_documented, &d);
    assert_true(d.n > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_comments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missing_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_trusted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_paths_follow_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_overrides, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mistyped_variables, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_overrides, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_to_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_key_is_documented, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
