#include "browser/chromium/door.h"

#include "core/base/str.h"
#include "tests/support/testing.h"

static void test_proxies_of_members(void **state)
{
    static const struct {
        uint32_t index;
        const char *proxy; /* NULL: refused */
    } rows[] = {
        {0, "http://127.128.0.0:3128"},   {7, "http://127.128.0.7:3128"},
        {256, "http://127.128.1.0:3128"}, {DOOR_MEMBERS_MAX - 1, "http://127.255.255.255:3128"},
        {DOOR_MEMBERS_MAX, NULL},
    };
    struct loop *l;
    struct door *d;

    (void)state;
    assert_int_equal(loop_create(&l, NULL, NULL), STATUS_OK);
    d = door_create(l, true);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct member m = {.index = rows[i].index};
        char proxy[DOOR_PROXY_MAX] = "";
        struct err e = ERR_INIT;
        enum status s = door_proxy(d, &m, proxy, &e);

        assert_int_equal(s, rows[i].proxy ? STATUS_OK : STATUS_INVALID);
        assert_string_equal(proxy, rows[i].proxy ? rows[i].proxy : "");
    }
    door_destroy(&d);
    assert_null(d);
    loop_destroy(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proxies_of_members),
    };

    return cmocka_run_group_tests_name("door", tests, NULL, NULL);
}
