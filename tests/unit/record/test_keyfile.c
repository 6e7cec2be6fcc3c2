#include "tests/support/testing.h"

#include "core/base/file.h"
#include "core/record/keyfile.h"

#include <sys/stat.h>

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define PEM                                                                                        \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"                           \
    "-----END PRIVATE KEY-----\n"

static void test_text_forms(void **state maybe_unused)
{
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {
        {HEX, true},
        {HEX "\n", true},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", true},
        {PEM, true},
        {"# comment\n" PEM, true},
        {"", false},
        {"\n", false},
        {"00", false},
        {HEX "00", false},
        {"zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", false},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==", false}, /* 31 bytes */
        {"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAk\n", false},
        {"-----BEGIN PRIVATE "
         "KEY-----\nMC4CAQAwBQYDK2VuBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
         "-----END PRIVATE KEY-----\n",
         false}, /* X25519 */
        {"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----\n",
         false},
    };
    unsigned char first[SIGN_PUBLIC], pub[SIGN_PUBLIC];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = ERR_INIT;
        struct sign_key *k = sign_key_parse(str_from(rows[i].text), "the key", &e);

        if ((k != NULL) != rows[i].ok)
            fail_msg("row %zu: %s", i, err_text(&e));
        if (k) {
            sign_key_public(k, i == 0 ? first : pub);
            assert_true(i == 0 || memcmp(first, pub, SIGN_PUBLIC) == 0);
        } else {
            assert_int_equal(e.status, STATUS_INVALID);
            assert_non_null(strstr(e.text, "the key"));
            /* the text of a key never appears in a message */
            assert_true(strlen(rows[i].text) < 8 || !strstr(e.text, rows[i].text));
        }
        sign_key_destroy(&k);
    }
}

static void test_file_is_made_once(void **state maybe_unused)
{
    char *dir = test_mkdir();
    struct key_source src;
    struct sign_key *a, *b;
    unsigned char pa[SIGN_PUBLIC], pb[SIGN_PUBLIC];
    struct err e = ERR_INIT;
    struct stat st;
    bool created;

    assert_int_equal(key_source_parse("file:keys/audit.key", dir, &src, &e), STATUS_OK);
    assert_int_equal(key_source_open(&src, &a, &created, &e), STATUS_OK);
    assert_true(created);
    assert_int_equal(stat(src.where, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(key_source_open(&src, &b, &created, &e), STATUS_OK);
    assert_false(created);
    sign_key_public(a, pa);
    sign_key_public(b, pb);
    assert_memory_equal(pa, pb, SIGN_PUBLIC);
    sign_key_destroy(&a);
    sign_key_destroy(&b);
    assert_int_equal(chmod(src.where, 0644), 0);
    assert_int_equal(key_source_open(&src, &a, &created, &e), STATUS_PERMISSION);
    assert_non_null(strstr(e.text, "0644"));
    assert_non_null(strstr(e.text, "chmod 600"));
    assert_int_equal(chmod(src.where, 0600), 0);
    test_write_file(src.where, "short", 5);
    assert_int_equal(key_source_open(&src, &a, &created, &e), STATUS_INVALID);
    key_source_deinit(&src);
    test_rmdir(&dir);
}

static void test_sources(void **state maybe_unused)
{
    struct key_source src;
    struct sign_key *k;
    struct err e = ERR_INIT;
    static const char *const bad[] = {"", "audit.key", "file:", "env:", "vault:x"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(key_source_parse(bad[i], "d", &src, &e), STATUS_INVALID);
    assert_int_equal(key_source_parse("env:TEST_AUDIT_KEY", "d", &src, &e), STATUS_OK);
    assert_int_equal(unsetenv("TEST_AUDIT_KEY"), 0);
    assert_int_equal(key_source_open(&src, &k, NULL, &e), STATUS_NOT_FOUND);
    assert_int_equal(setenv("TEST_AUDIT_KEY", "junk", 1), 0);
    assert_int_equal(key_source_open(&src, &k, NULL, &e), STATUS_INVALID);
    assert_int_equal(setenv("TEST_AUDIT_KEY", HEX, 1), 0);
    assert_int_equal(key_source_open(&src, &k, NULL, &e), STATUS_OK);
    sign_key_destroy(&k);
    key_source_deinit(&src);
}

static void test_public_pem(void **state maybe_unused)
{
    struct err e = ERR_INIT;
    struct sign_key *k = sign_key_parse(STR(HEX), "k", &e);
    unsigned char pub[SIGN_PUBLIC], got[2][SIGN_PUBLIC];
    struct buf pem = BUF_INIT(4096);
    size_t n;

    sign_key_public(k, pub);
    public_key_pem(pub, &pem);
    /* what openssl pkey -pubout writes for this key */
    assert_string_equal(pem.ptr, "-----BEGIN PUBLIC KEY-----\n"
                                 "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n"
                                 "-----END PUBLIC KEY-----\n");
    public_key_pem(pub, &pem);
    assert_int_equal(public_key_parse(buf_str(&pem), "p", got, 2, &n, &e), STATUS_OK);
    assert_int_equal(n, 2);
    assert_memory_equal(got[1], pub, SIGN_PUBLIC);
    assert_int_equal(public_key_parse(buf_str(&pem), "p", got, 1, &n, &e), STATUS_TOO_LARGE);
    assert_int_equal(public_key_parse(STR("hello"), "p", got, 2, &n, &e), STATUS_INVALID);
    pem.ptr[40] = '*';
    assert_int_equal(public_key_parse(buf_str(&pem), "p", got, 2, &n, &e), STATUS_INVALID);
    buf_deinit(&pem);
    sign_key_destroy(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_forms),
        cmocka_unit_test(test_file_is_made_once),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_public_pem),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
