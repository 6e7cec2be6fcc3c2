/* Signed notes: our own round trip, the key id of the specification's example, and notes that must
 * not pass. */
#include "tests/support/testing.h"

#include "core/record/keyfile.h"
#include "core/record/note.h"

#define SEED "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static struct sign_key *key_of(const char *hex)
{
    struct err e = ERR_INIT;
    struct sign_key *k = sign_key_parse(str_from(hex), "test", &e);

    assert_non_null(k);
    return k;
}

/* RFC 8032 §7.1, test 1. */
static void test_rfc8032(void **state maybe_unused)
{
    struct sign_key *k = key_of("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    unsigned char sig[SIGN_SIG], want[SIGN_SIG], pub[SIGN_PUBLIC], want_pub[SIGN_PUBLIC];

    assert_true(hex_decode(STR("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
                           want_pub, SIGN_PUBLIC));
    assert_true(hex_decode(STR("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                               "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
                           want, SIGN_SIG));
    sign_key_public(k, pub);
    assert_memory_equal(pub, want_pub, SIGN_PUBLIC);
    sign_key_sign(k, "", 0, sig);
    assert_memory_equal(sig, want, SIGN_SIG);
    sign_key_destroy(&k);
}

/* A verifier key as golang.org/x/mod/sumdb/note documents it. */
static void test_vkey_of_another(void **state maybe_unused)
{
    static const char vkey[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    unsigned char pub[SIGN_PUBLIC];
    char name[NOTE_NAME_MAX], again[NOTE_VKEY_MAX];
    static const char note[] =
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
        "\n"
        "\xe2\x80\x94 PeterNeumann "
        "x08go/ZJkuBS9UG/"
        "SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    assert_true(note_vkey_parse(str_from(vkey), name, pub));
    assert_string_equal(name, "PeterNeumann");
    assert_string_equal(note_vkey(name, pub, again), vkey);
    assert_int_equal(note_check(str_from(note), name, pub), NOTE_OK);
    assert_false(note_vkey_parse(
        STR("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"), name, pub));
}

static void make_note(struct buf *out, const struct sign_key *const *keys, size_t n)
{
    struct checkpoint c = {.origin = "fleet/test", .size = 42};
    struct buf text = BUF_INIT(NOTE_MAX);

    memset(c.root.b, 0xab, sizeof(c.root.b));
    checkpoint_write(&c, &text);
    note_sign(buf_str(&text), c.origin, keys, n, out);
    buf_deinit(&text);
}

static void test_round_trip(void **state maybe_unused)
{
    struct sign_key *a = key_of(SEED), *b = sign_key_generate();
    const struct sign_key *both[] = {a, b};
    unsigned char pub_a[SIGN_PUBLIC], pub_b[SIGN_PUBLIC];
    struct buf note = BUF_INIT(NOTE_MAX);
    struct checkpoint c;
    struct str text;

    sign_key_public(a, pub_a);
    sign_key_public(b, pub_b);
    make_note(&note, both, 2);
    assert_true(note_text(buf_str(&note), &text));
    assert_true(checkpoint_parse(text, &c));
    assert_string_equal(c.origin, "fleet/test");
    assert_int_equal(c.size, 42);
    assert_int_equal(c.root.b[31], 0xab);
    assert_int_equal(note_check(buf_str(&note), "fleet/test", pub_a), NOTE_OK);
    assert_int_equal(note_check(buf_str(&note), "fleet/test", pub_b), NOTE_OK);
    assert_int_equal(note_check(buf_str(&note), "fleet/other", pub_b), NOTE_OTHER_KEY);
    buf_reset(&note);
    make_note(&note, both, 1);
    assert_int_equal(note_check(buf_str(&note), "fleet/test", pub_b), NOTE_OTHER_KEY);
    /* every byte counts: no change leaves the signature good and the text another */
    for (size_t i = 0; i < note.len; i++) {
        enum note_verdict v;

        note.ptr[i] ^= 1;
        v = note_check(buf_str(&note), "fleet/test", pub_a);
        assert_int_not_equal(v, NOTE_OK);
        note.ptr[i] ^= 1;
    }
    buf_deinit(&note);
    sign_key_destroy(&a);
    sign_key_destroy(&b);
}

static void test_bad_checkpoints(void **state maybe_unused)
{
#define ROOT "sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08="
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {
        {"a\n7\n" ROOT "\n", true},
        {"a\n0\n" ROOT "\n", true},
        {"a\n7\n" ROOT "\nextension\n", true},
        {"", false},
        {"a\n7\n", false},
        {"a\n7\n" ROOT, false},
        {"\n7\n" ROOT "\n", false},
        {"a\n07\n" ROOT "\n", false},
        {"a\n-7\n" ROOT "\n", false},
        {"a\n9223372036854775808\n" ROOT "\n", false},
        {"a\n7\nsFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi0==\n", false},
        {"a\n7\nnot base64\n", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct checkpoint c;

        if (checkpoint_parse(str_from(rows[i].text), &c) != rows[i].ok)
            fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc8032),
        cmocka_unit_test(test_vkey_of_another),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_bad_checkpoints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
