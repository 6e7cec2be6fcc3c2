#include "tests/support/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxies/proxy.h"

static void assert_str(struct str s, const char *want)
{
    assert_int_equal(s.len, strlen(want));
    assert_memory_equal(s.ptr ? s.ptr : "", want, s.len);
}

static const struct {
    const char *line, *id, *label, *host;
    enum proxy_scheme scheme;
    uint16_t port;
    const char *user, *password;
    uint32_t weight;
    const char *country;
} good[] = {
    {"http://h", "p1", "http://h:80", "h", PROXY_HTTP, 80, "", "", 1, ""},
    {"https://h", "p1", "https://h:443", "h", PROXY_HTTPS, 443, "", "", 1, ""},
    {"SOCKS5://H.Example", "p1", "socks5://h.example:1080", "h.example", PROXY_SOCKS5, 1080, "", "",
     1, ""},
    {"socks5h://h:9#t-1", "t-1", "socks5://h:9#t-1", "h", PROXY_SOCKS5, 9, "", "", 1, ""},
    {"  http://u:p@h:8080/ \r", "p1", "http://h:8080", "h", PROXY_HTTP, 8080, "u", "p", 1, ""},
    {"http://u%40x:p%3a%2f%23@h:1", "p1", "http://h:1", "h", PROXY_HTTP, 1, "u@x", "p:/#", 1, ""},
    {"http://u@x:p:q@h:1", "p1", "http://h:1", "h", PROXY_HTTP, 1, "u@x", "p:q", 1, ""},
    {"http://u@h", "p1", "http://h:80", "h", PROXY_HTTP, 80, "u", "", 1, ""},
    {"http://@h", "p1", "http://h:80", "h", PROXY_HTTP, 80, "", "", 1, ""},
    {"http://:p@h", "p1", "http://h:80", "h", PROXY_HTTP, 80, "", "p", 1, ""},
    {"socks5://u:p@[2001:DB8::1]:1081#v6", "v6", "socks5://[2001:db8::1]:1081#v6", "2001:db8::1",
     PROXY_SOCKS5, 1081, "u", "p", 1, ""},
    {"http://[::1]", "p1", "http://[::1]:80", "::1", PROXY_HTTP, 80, "", "", 1, ""},
    {"http://h#t;weight=3;country=DE", "t", "http://h:80#t", "h", PROXY_HTTP, 80, "", "", 3, "de"},
    {"http://h#country=gb;weight=1000", "p1", "http://h:80", "h", PROXY_HTTP, 80, "", "", 1000,
     "gb"},
};

static void line_parses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct err e = ERR_INIT;
        struct proxy *p = NULL;
        struct str user, password;

        if (proxy_parse(str_from(good[i].line), "p1", &p, &e) != STATUS_OK)
            fail_msg("%s: %s", good[i].line, err_text(&e));
        assert_string_equal(proxy_id(p), good[i].id);
        assert_string_equal(proxy_label(p), good[i].label);
        assert_string_equal(proxy_host(p), good[i].host);
        assert_int_equal(proxy_scheme(p), good[i].scheme);
        assert_int_equal(proxy_port(p), good[i].port);
        assert_int_equal(proxy_weight(p), good[i].weight);
        assert_string_equal(proxy_country(p), good[i].country);
        proxy_credentials(p, &user, &password);
        assert_str(user, good[i].user);
        assert_str(password, good[i].password);
        assert_int_equal(proxy_has_credentials(p), *good[i].user || *good[i].password);
        proxy_unref(&p);
        assert_null(p);
    }
}

/* `says` must be in the sentence; "s3cret" must never be. */
static const struct {
    const char *line, *says;
} bad[] = {
    {"", "found nothing"},
    {"h:80", "no \"://\""},
    {"h:80:bob:s3cret", "host:port:user:password"},
    {"bob:s3cret@h:80", "no \"://\""},
    {"ftp://bob:s3cret@h", "scheme \"ftp\""},
    {"bob:s3cret@http://h", "scheme"},
    {"http://bob:s3cret", "port"},
    {"http://bob:s3cret:h:80", "port"},
    {"http://bob:s3cret@h:99999", "port \"99999\": expected 1..65535"},
    {"http://bob:s3cret@h:0", "port \"0\""},
    {"http://bob:s3cret@h:", "port"},
    {"http://bob:s3cret@", "host: missing"},
    {"http://bob:s3cret@h/path", "host \"h/path\""},
    {"http://bob:s3cret/@h x", "a space"},
    {"http://bob:s3cret%2@h", "password: a \"%\""},
    {"http://b%zzb:s3cret@h", "user: a \"%\""},
    {"http://bob:s3cret%00@h", "NUL"},
    {"http://b%3ab:s3cret@h", "colon"},
    {"socks5://:s3cret@h", "user: empty"},
    {"http://bob:s3#cret@h", "port"},
    {"http://bob:s3cret@[::1", "without \"]\""},
    {"http://bob:s3cret@[h]", "no IPv6"},
    {"http://bob:s3cret@[::1]x", "after \"]\""},
    {"http://bob:s3cret@::1", "host: missing"},
    {"http://bob:s3cret@1:2:3", "port"},
    {"http://bob:s3cret@h\xc3\xa4", "xn--"},
    {"http://bob:s3cret@h#", "tag: 0 bytes"},
    {"http://bob:s3cret@h#a b", "a space"},
    {"http://bob:s3cret@h#a;b", "second tag"},
    {"http://bob:s3cret@h#a/b", "tag: expected"},
    {"http://bob:s3cret@h#t;weight=0", "weight: expected 1..1000"},
    {"http://bob:s3cret@h#t;weight=x", "weight"},
    {"http://bob:s3cret@h#t;country=deu", "country: expected two letters"},
    {"http://bob:s3cret@h#t;color=red", "unknown option"},
};

static void line_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = ERR_INIT;
        struct proxy *p = NULL;

        if (proxy_parse(str_from(bad[i].line), "p1", &p, &e) != STATUS_INVALID)
            fail_msg("%s: taken, or %s", bad[i].line, err_text(&e));
        if (!strstr(err_text(&e), bad[i].says))
            fail_msg("%s: says %s, expected %s", bad[i].line, err_text(&e), bad[i].says);
        if (strstr(err_text(&e), "s3cret") || strstr(err_text(&e), "bob"))
            fail_msg("%s: tells a credential: %s", bad[i].line, err_text(&e));
        assert_null(p);
    }
}

static void long_parts_are_refused(void **state)
{
    char line[PROXY_LINE_MAX + 100], many[400];
    struct proxy *p = NULL;
    struct err e = ERR_INIT;

    (void)state;
    memset(many, 'a', sizeof(many));
    snprintf(line, sizeof(line), "http://u:%.*s@h", 255, many);
    assert_int_equal(proxy_parse(str_from(line), "p", &p, &e), STATUS_OK);
    proxy_unref(&p);
    snprintf(line, sizeof(line), "http://u:%.*s@h", 256, many);
    assert_int_equal(proxy_parse(str_from(line), "p", &p, &e), STATUS_INVALID);
    assert_null(strstr(err_text(&e), "aaaa"));
    snprintf(line, sizeof(line), "http://u:p@%.*s", 256, many);
    assert_int_equal(proxy_parse(str_from(line), "p", &p, &e), STATUS_INVALID);
    snprintf(line, sizeof(line), "http://u:p@h#%.*s", 65, many);
    assert_int_equal(proxy_parse(str_from(line), "p", &p, &e), STATUS_INVALID);
    memset(line, 'a', sizeof(line));
    assert_int_equal(proxy_parse(str_n(line, sizeof(line)), "p", &p, &e), STATUS_TOO_LARGE);
    assert_int_equal(proxy_parse(STR("http://h"), NULL, &p, &e), STATUS_INVALID);
}

static void basic_is_rfc7617(void **state)
{
    struct buf out = BUF_INIT(1024);
    struct proxy *p = NULL;

    (void)state;
    assert_int_equal(proxy_parse(STR("http://Aladdin:open%20sesame@h"), "p", &p, NULL), STATUS_OK);
    proxy_add_basic(p, &out);
    assert_str(buf_str(&out), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="); /* RFC 7617 §2 */
    buf_deinit(&out);
    proxy_unref(&p);
}

static void references_are_counted(void **state)
{
    struct proxy *p = NULL, *q;

    (void)state;
    assert_int_equal(proxy_parse(STR("http://u:p@h#t"), NULL, &p, NULL), STATUS_OK);
    q = proxy_ref(p);
    assert_ptr_equal(p, q);
    proxy_unref(&p);
    assert_string_equal(proxy_id(q), "t");
    proxy_unref(&q);
    proxy_unref(&q);
}

/* --- JSON --- */

static const struct {
    const char *json, *label, *user, *password, *says; /* says: refused with that */
} forms[] = {
    {"\"http://u:p@h:1#t\"", "http://h:1#t", "u", "p", NULL},
    {"{\"url\":\"http://u:p@h:1#t\"}", "http://h:1#t", "u", "p", NULL},
    {"{\"url\":\"http://u:p@h:1#t\",\"tag\":\"x\",\"weight\":2,\"country\":\"de\"}", "http://h:1#x",
     "u", "p", NULL},
    {"{\"weight\":2,\"url\":\"http://h:1#t;weight=9\"}", "http://h:1#t", "", "", NULL},
    {"{\"scheme\":\"socks5\",\"host\":\"[::1]\",\"port\":9,\"user\":\"a%41\",\"password\":\"p:@\"}",
     "socks5://[::1]:9", "a%41", "p:@", NULL},
    {"{\"scheme\":\"https\",\"host\":\"h\"}", "https://h:443", "", "", NULL},
    {"7", NULL, NULL, NULL, "found number, expected an object"},
    {"{}", NULL, NULL, NULL, "/scheme: missing"},
    {"{\"scheme\":\"http\"}", NULL, NULL, NULL, "/host: missing"},
    {"{\"scheme\":\"http\",\"host\":\"h\",\"port\":70000}", NULL, NULL, NULL, "/port: expected"},
    {"{\"scheme\":\"http\",\"host\":\"h\",\"port\":\"1\"}", NULL, NULL, NULL, "/port: expected"},
    {"{\"scheme\":\"http\",\"host\":\"h\",\"pasword\":\"s3cret\"}", NULL, NULL, NULL,
     "did you mean \"password\"?"},
    {"{\"scheme\":\"http\",\"host\":\"h\",\"weight\":1.5}", NULL, NULL, NULL, "/weight"},
    {"{\"url\":\"http://h\",\"user\":\"bob\"}", NULL, NULL, NULL, "/user: not beside"},
    {"{\"url\":\"h\"}", NULL, NULL, NULL, "/url: found no"},
};

static void json_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct err e = ERR_INIT;
        struct json *j = json_parse(str_from(forms[i].json), true, &e);
        struct proxy *p = NULL;
        struct str user, password;
        enum status s;

        assert_non_null(j);
        s = proxy_from_json(j, "p1", &p, &e);
        json_destroy(&j);
        if (forms[i].says) {
            assert_int_equal(s, STATUS_INVALID);
            if (!strstr(err_text(&e), forms[i].says) || strstr(err_text(&e), "s3cret"))
                fail_msg("%s: says %s", forms[i].json, err_text(&e));
            continue;
        }
        if (s != STATUS_OK)
            fail_msg("%s: %s", forms[i].json, err_text(&e));
        assert_string_equal(proxy_label(p), forms[i].label);
        proxy_credentials(p, &user, &password);
        assert_str(user, forms[i].user);
        assert_str(password, forms[i].password);
        proxy_unref(&p);
    }
}

/* --- lists --- */

static void list_of_lines(void **state)
{
    static const char text[] = "\xef\xbb\xbf# pool\n\nhttp://a:1#one\r\n  socks5://u:p@b:2\n"
                               "https://c#three\nhttp://d:4";
    struct proxy_list l = PROXY_LIST_INIT;
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(proxy_list_parse(str_from(text), "x.txt", &l, NULL, &e), STATUS_OK);
    assert_int_equal(l.n, 4);
    assert_string_equal(proxy_id(l.v[0]), "one");
    assert_string_equal(proxy_id(l.v[1]), "p2");
    assert_string_equal(proxy_id(l.v[3]), "p4");
    proxy_list_deinit(&l);
    assert_int_equal(l.n, 0);
    assert_int_equal(proxy_list_parse(STR(" \n#\n"), "x", &l, NULL, &e), STATUS_OK);
    assert_int_equal(l.n, 0);
}

static void list_of_json(void **state)
{
    struct proxy_list l = PROXY_LIST_INIT;
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(proxy_list_parse(STR(" [\"http://a\", {\"scheme\":\"http\",\"host\":\"b\"}]"),
                                      "x.json", &l, NULL, &e),
                     STATUS_OK);
    assert_int_equal(l.n, 2);
    proxy_list_deinit(&l);
    assert_int_equal(proxy_list_parse(STR("[1,"), "x.json", &l, NULL, &e), STATUS_INVALID);
    assert_non_null(strstr(err_text(&e), "x.json"));
    assert_int_equal(proxy_list_parse(STR("[\"http://a\",{}]"), "x.json", &l, NULL, &e),
                     STATUS_INVALID);
    assert_non_null(strstr(err_text(&e), "x.json: /1: /scheme: missing"));
}

static void list_tells_all_faults(void **state)
{
    static const char text[] = "http://a:0\nhttp://b#t\nhttp://c#t\nhttp://u:s3cret@d:x\n";
    struct proxy_list l = PROXY_LIST_INIT;
    struct buf faults = BUF_INIT(4096);
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(proxy_list_parse(str_from(text), "x.txt", &l, &faults, &e), STATUS_INVALID);
    assert_int_equal(l.n, 0);
    assert_null(l.v);
    assert_non_null(strstr(faults.ptr, "x.txt:1: port"));
    assert_non_null(strstr(faults.ptr, "x.txt:3: id \"t\" is taken"));
    assert_non_null(strstr(faults.ptr, "x.txt:4: port \"x\""));
    assert_null(strstr(faults.ptr, "s3cret"));
    assert_non_null(strstr(err_text(&e), "(and 2 more)"));
    buf_deinit(&faults);
}

static void list_of_many_with_credentials(void **state)
{
    enum { N = 5000 };
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    struct proxy_list l = PROXY_LIST_INIT;
    struct err e = ERR_INIT;

    (void)state;
    for (int i = 0; i < N; i++)
        buf_addf(&text, "http://user%d:password%d@10.0.0.1:%d\n", i, i, i + 1);
    assert_int_equal(proxy_list_parse(buf_str(&text), "x", &l, NULL, &e), STATUS_OK);
    assert_int_equal(l.n, N);
    for (int i = 0; i < N; i++) {
        struct str user, password;
        char want[32];

        snprintf(want, sizeof(want), "user%d", i);
        proxy_credentials(l.v[i], &user, &password);
        assert_str(user, want);
    }
    proxy_list_deinit(&l);
    buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_parses),
        cmocka_unit_test(line_is_refused),
        cmocka_unit_test(long_parts_are_refused),
        cmocka_unit_test(basic_is_rfc7617),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test(json_forms),
        cmocka_unit_test(list_of_lines),
        cmocka_unit_test(list_of_json),
        cmocka_unit_test(list_tells_all_faults),
        cmocka_unit_test(list_of_many_with_credentials),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
