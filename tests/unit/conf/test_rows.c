/* Rows that say which flow they want and who may run them: "$flow" and "$member". */
#include "tests/support/testing.h"

#include <stdio.h>
#include <string.h>

#include "core/conf/campaign.h"

static const char flow[] = "{\"title\":\"t\",\"steps\":[]}";

/* Loads a campaign whose further keys are `keys` from a directory with two flows and `list`. */
static enum status load(struct arena *a, const char *dir, const char *keys, const char *list,
                        struct campaign_conf *out, struct buf *errors)
{
    char path[512], text[2048];
    struct err e = ERR_INIT;

    snprintf(path, sizeof path, "%s/a.flow.json", dir);
    test_write_file(path, flow, sizeof flow - 1);
    snprintf(path, sizeof path, "%s/b.flow.json", dir);
    test_write_file(path, flow, sizeof flow - 1);
    snprintf(path, sizeof path, "%s/list.csv", dir);
    test_write_file(path, list, strlen(list));
    snprintf(path, sizeof path, "%s/c.json", dir);
    snprintf(text, sizeof text, "{%s}", keys);
    test_write_file(path, text, strlen(text));
    return campaign_load(a, path, out, errors, &e);
}

static void test_accepts(void **state)
{
    struct arena *a = arena_create(NULL, 0);
    struct buf errors = BUF_INIT(BUF_MAX_LINE);
    struct campaign_conf c;
    char *dir = test_mkdir();

    (void)state;
    assert_int_equal(load(a, dir,
                          "\"flow\":\"a.flow.json\",\"targets\":\"list.csv\","
                          "\"members\":{\"count\":4}",
                          "url,$flow,$member,name\nhttp://h/1,b.flow.json,3,x\nhttp://h/2,,,y\n"
                          "http://h/3,b.flow.json,0,z\n",
                          &c, &errors),
                     STATUS_OK);
    assert_int_equal(c.n_targets, 3);
    assert_int_equal(c.n_row_flows, 1);
    assert_string_equal(c.row_flows[0].name, "b.flow.json");
    assert_int_equal(c.targets[0].flow, 1);
    assert_int_equal(c.targets[0].member, 3);
    assert_int_equal(c.targets[1].flow, 0);
    assert_int_equal(c.targets[1].member, -1);
    assert_int_equal(c.targets[2].flow, 1);
    assert_int_equal(c.targets[2].member, 0);
    assert_ptr_equal(campaign_flow(&c, 0, 0), c.row_flows[0].json);
    assert_ptr_equal(campaign_flow(&c, 1, 0), c.flow_json);
    buf_deinit(&errors);
    arena_destroy(&a);
    test_rmdir(&dir);
}

/* No flow of its own is wanted where every row has one. */
static void test_flow_of_rows_alone(void **state)
{
    struct arena *a = arena_create(NULL, 0);
    struct buf errors = BUF_INIT(BUF_MAX_LINE);
    struct campaign_conf c;
    char *dir = test_mkdir();

    (void)state;
    assert_int_equal(load(a, dir,
                          "\"targets\":[{\"url\":\"http://h/1\",\"$flow\":\"a.flow.json\"},"
                          "{\"url\":\"http://h/2\",\"$flow\":\"b.flow.json\",\"$member\":0}]",
                          "", &c, &errors),
                     STATUS_OK);
    assert_null(c.flow_json);
    assert_int_equal(c.n_row_flows, 2);
    assert_int_equal(c.targets[1].member, 0);
    buf_deinit(&errors);
    arena_destroy(&a);
    test_rmdir(&dir);
}

static void test_faults(void **state)
{
    static const struct {
        const char *keys, *list, *told;
    } rows[] = {
        {"\"flow\":\"a.flow.json\",\"targets\":\"list.csv\"", "url,$member\nhttp://h/,x\n",
         "list.csv:2: $member: found \"x\", expected the index of a member"},
        {"\"flow\":\"a.flow.json\",\"targets\":\"list.csv\",\"members\":{\"count\":2}",
         "url,$member\nhttp://h/,1\nhttp://h/,2\n",
         "list.csv:3: $member: found 2, expected 0..1 (members.count is 2)"},
        {"\"flow\":\"a.flow.json\",\"targets\":\"list.csv\"", "url,$flwo\nhttp://h/,b\n",
         "list.csv:1: found \"$flwo\", expected \"$flow\""},
        {"\"flow\":\"a.flow.json\",\"targets\":\"list.csv\"", "url,$flow\nhttp://h/,gone.json\n",
         "gone.json cannot be read: No such file"},
        {"\"targets\":\"list.csv\"", "url,$flow\nhttp://h/,b.flow.json\nhttp://h/,\n",
         "/flow: missing"},
        {"\"flow\":\"a.flow.json\",\"targets\":[{\"url\":\"http://h/\",\"$member\":1}]", "",
         "/targets/0/$member: found 1, expected 0..0"},
        {"\"flow\":\"a.flow.json\",\"targets\":[{\"url\":\"http://h/\",\"$flow\":7}]", "",
         "/targets/0: $flow: found number"},
        {"\"flow\":\"a.flow.json\",\"coordinator\":\"broadcast\",\"targets\":[{\"url\":"
         "\"http://h/\",\"$member\":0}]",
         "", "/targets/0/$member: found 0 with coordinator \"broadcast\""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *a = arena_create(NULL, 0);
        struct buf errors = BUF_INIT(BUF_MAX_LINE);
        struct campaign_conf c;
        char *dir = test_mkdir();

        assert_int_equal(load(a, dir, rows[i].keys, rows[i].list, &c, &errors), STATUS_INVALID);
        if (strstr(errors.ptr, rows[i].told) == NULL)
            fail_msg("expected \"%s\" in \"%s\"", rows[i].told, errors.ptr);
        buf_deinit(&errors);
        arena_destroy(&a);
        test_rmdir(&dir);
    }
}

/* Names in {{ }} that neither a column nor a step gives are told before anything runs. */
static void test_names_of_columns(void **state)
{
    static const struct {
        const char *text, *told; /* NULL: nothing */
    } rows[] = {
        {"{{url}} {{ note }} {{row.note}} {{a.b}} {{row.a.b}}", NULL},
        {"{{member.index}} {{random.email}} {{task.id}} {{vars.x}} {{input}} {{items[0].x}}", NULL},
        {"{{given}} {{into.deep[1]}} {{field}} {{value}}", NULL},
        {"{{ulr|none}} \\\\{{ulr}} {{", NULL},
        {"{{ulr}}", "/flow/steps/0/url: found \"{{ulr}}\" (did you mean \"url\"?), but the targets "
                    "have url, note, a.b and no step gives it"},
        {"{{row.nite}}", "found \"{{row.nite}}\" (did you mean \"note\"?)"},
        {"{{row.given}}", "found \"{{row.given}}\", but"},
        {"{{fields}}", "found \"{{fields}}\", but"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *a = arena_create(NULL, 0);
        struct buf errors = BUF_INIT(BUF_MAX_LINE);
        struct campaign_conf c;
        char *dir = test_mkdir(), keys[1024];
        enum status s;

        snprintf(
            keys, sizeof keys,
            "\"targets\":\"list.csv\",\"flow\":{\"steps\":[{\"url\":\"%s\"},{\"name\":\"given\","
            "\"comment\":\"{{nothing}}\"},{\"steps\":[{\"into\":\"into\",\"fields\":{\"field\":1},"
            "\"values\":{\"value\":1}}]}]}",
            rows[i].text);
        s = load(a, dir, keys, "url,note,a.b\nhttp://h/,x,y\n", &c, &errors);
        if (s != (rows[i].told ? STATUS_INVALID : STATUS_OK) ||
            (rows[i].told && strstr(errors.ptr, rows[i].told) == NULL))
            fail_msg("%s: %s", rows[i].text, errors.len > 0 ? errors.ptr : "accepted");
        buf_deinit(&errors);
        arena_destroy(&a);
        test_rmdir(&dir);
    }
}

/* Rows that are objects may differ: what one of them has is right. */
static void test_names_of_any_row(void **state)
{
    struct arena *a = arena_create(NULL, 0);
    struct buf errors = BUF_INIT(BUF_MAX_LINE);
    struct campaign_conf c;
    char *dir = test_mkdir();

    (void)state;
    assert_int_equal(load(a, dir,
                          "\"flow\":{\"steps\":[{\"url\":\"{{url}}{{late}}\"}]},\"targets\":["
                          "\"http://h/1\",{\"url\":\"http://h/2\",\"late\":1}]",
                          "", &c, &errors),
                     STATUS_OK);
    buf_deinit(&errors);
    arena_destroy(&a);
    test_rmdir(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),          cmocka_unit_test(test_flow_of_rows_alone),
        cmocka_unit_test(test_faults),           cmocka_unit_test(test_names_of_columns),
        cmocka_unit_test(test_names_of_any_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
