/* Headers that an identity sends, as Chromium writes them, and where they stand. */
#include "fingerprints/hints.h"

#include "tests/support/testing.h"

static const struct identity id = {
    .user_agent = "Mozilla/5.0 x",
    .brands = {{"Not:A-Brand", "8", "8.0.0.0"}, {"Chromium", "156", "156.0.8078.79"}},
    .n_brands = 2,
    .full_version = "156.0.8078.79",
    .ch_platform = "Linux",
    .ch_platform_version = "",
    .ch_architecture = "x86",
    .ch_bitness = "64",
    .ch_model = "",
    .ch_form_factor = "Desktop",
    .accept_language = "de-DE,de;q=0.9",
};

static void values(void **state)
{
    static const struct {
        const char *name, *value; /* NULL: none of the identity's */
    } rows[] = {
        {"User-Agent", "Mozilla/5.0 x"},
        {"Accept-Language", "de-DE,de;q=0.9"},
        {"sec-ch-ua", "\"Not:A-Brand\";v=\"8\", \"Chromium\";v=\"156\""},
        {"Sec-CH-UA-Mobile", "?0"},
        {"sec-ch-ua-platform", "\"Linux\""},
        {"sec-ch-ua-platform-version", "\"\""},
        {"sec-ch-ua-full-version-list",
         "\"Not:A-Brand\";v=\"8.0.0.0\", \"Chromium\";v=\"156.0.8078.79\""},
        {"sec-ch-ua-full-version", "\"156.0.8078.79\""},
        {"sec-ch-ua-arch", "\"x86\""},
        {"sec-ch-ua-bitness", "\"64\""},
        {"sec-ch-ua-model", "\"\""},
        {"sec-ch-ua-form-factors", "\"Desktop\""},
        {"sec-ch-ua-wow64", "?0"},
        {"Accept", NULL},
        {"sec-ch-dpr", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = BUF_INIT(4096);

        assert_int_equal(identity_header(&id, rows[i].name, &b), rows[i].value != NULL);
        if (rows[i].value != NULL)
            assert_string_equal(b.ptr, rows[i].value);
        buf_deinit(&b);
    }
}

static void places(void **state)
{
    static const char *const names[] = {"sec-ch-dpr",
                                        "sec-ch-ua",
                                        "sec-ch-ua-mobile",
                                        "sec-ch-ua-platform",
                                        "Upgrade-Insecure-Requests",
                                        "User-Agent",
                                        "Accept",
                                        "Referer"};

    (void)state;
    for (size_t i = 1; i < ARRAY_LEN(names); i++)
        assert_true(identity_header_place(names[i - 1]) < identity_header_place(names[i]));
    assert_int_equal(identity_header_place("x-anything"), IDENTITY_HEADER_PLACES - 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(places)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
