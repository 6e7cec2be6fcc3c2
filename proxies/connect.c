#include "proxies/connect.h"

#include <arpa/inet.h>

#include "proxies/http1.h"
#include "proxies/vault.h"

/* Where a handshake stands. */
enum step {
    HTTP_HEAD,    /* the head of the answer to CONNECT */
    SOCKS_METHOD, /* RFC 1928 §3 */
    SOCKS_AUTH,   /* RFC 1929 §2 */
    SOCKS_REPLY,  /* RFC 1928 §6 */
    STEP_COUNT,
};

enum { SOCKS_VERSION = 5, AUTH_VERSION = 1, NO_AUTH = 0, USER_PASSWORD = 2, REPLY_HEAD = 5 };
enum { ATYP_IPV4 = 1, ATYP_NAME = 3, ATYP_IPV6 = 4 };

/* --- what answers mean --- */

static const struct {
    int code;
    enum status status;
    const char *text;
} http_meanings[] = {
    {407, STATUS_PROXY_AUTH, "the proxy refused the credentials"},
    {401, STATUS_PROXY_AUTH, "the proxy refused the credentials"}, /* tinyproxy 1.11 */
    {403, STATUS_PROXY_FAILED, "the proxy does not serve this target"},
    {429, STATUS_PROXY_FAILED, "the proxy is over its own limit"},
    {501, STATUS_PROXY_FAILED, "the proxy does not know the method"},
    {505, STATUS_PROXY_FAILED, "the proxy does not know the HTTP version"},
};

/* Of an answer to a CONNECT, or to a request whose answer the proxy itself made. */
static enum status http_meaning(int code, const char **text)
{
    for (size_t i = 0; i < ARRAY_LEN(http_meanings); i++) {
        if (http_meanings[i].code == code) {
            *text = http_meanings[i].text;
            return http_meanings[i].status;
        }
    }
    if (code / 100 == 2) {
        *text = "ok";
        return STATUS_OK;
    }
    if (code / 100 == 5) {
        *text = "the proxy did not reach the target";
        return STATUS_UNAVAILABLE;
    }
    *text = "the proxy refused";
    return STATUS_PROXY_FAILED;
}

bool connect_is_refusal(struct str head, int code)
{
    struct str fields = head, name, value;

    (void)str_cut(&fields, '\n');
    while (code == 401 && http1_next_field(&fields, &name, &value)) {
        if (str_eq_nocase(name, STR("server")) && str_starts_nocase(value, STR("tinyproxy")))
            return true;
    }
    return code == 407;
}

static const struct {
    enum status status;
    const char *text;
} socks_meanings[] = {
    {STATUS_OK, "ok"},
    {STATUS_UNAVAILABLE, "the proxy did not reach the target: general failure"},
    {STATUS_PROXY_FAILED, "the proxy's rules do not allow this target"},
    {STATUS_UNAVAILABLE, "the proxy did not reach the target: network unreachable"},
    {STATUS_UNAVAILABLE, "the proxy did not reach the target: host unreachable"},
    {STATUS_UNAVAILABLE, "the proxy did not reach the target: connection refused"},
    {STATUS_UNAVAILABLE, "the proxy did not reach the target: time ran out"},
    {STATUS_PROXY_FAILED, "the proxy does not know the command"},
    {STATUS_PROXY_FAILED, "the proxy does not know the kind of address"},
};

/* Of a reply of RFC 1928 §6. */
static enum status socks_meaning(int reply, const char **text)
{
    if (reply < 0 || reply >= (int)ARRAY_LEN(socks_meanings)) {
        *text = "the proxy gave an unknown reply";
        return STATUS_PROXY_FAILED;
    }
    *text = socks_meanings[reply].text;
    return socks_meanings[reply].status;
}

static enum connect_state fail(struct connect *c, enum status s, const char *text, struct err *e)
{
    if (c->peer_code)
        err_set(e, s, "%s (%d)", text, c->peer_code);
    else
        err_set(e, s, "%s", text);
    if (e)
        e->peer_code = c->peer_code;
    c->state = CONNECT_FAILED;
    return c->state;
}

/* --- what is sent --- */

static void clear_out(struct connect *c)
{
    if (c->out.ptr)
        vault_wipe(c->out.ptr, c->out.len);
    buf_reset(&c->out);
}

/* Credentials never lie in memory that realloc has left behind: the room is made first. */
static void reserve_out(struct connect *c)
{
    if (!buf_reserve(&c->out, CONNECT_HEAD_MAX / 32))
        BUG("no room for a handshake");
}

static void say_connect(struct connect *c)
{
    bool v6 = strchr(c->host, ':') != NULL;

    for (int i = 0; i < 2; i++) {
        buf_addf(&c->out, "%s%s%s%s:%u", i ? "\r\nHost: " : "CONNECT ", v6 ? "[" : "", c->host,
                 v6 ? "]" : "", c->port);
        buf_adds(&c->out, i ? "\r\nProxy-Connection: keep-alive\r\n" : " HTTP/1.1");
    }
    if (proxy_has_credentials(c->proxy)) {
        buf_adds(&c->out, "Proxy-Authorization: ");
        proxy_add_basic(c->proxy, &c->out);
        buf_adds(&c->out, "\r\n");
    }
    buf_adds(&c->out, "\r\n");
}

static void say_methods(struct connect *c)
{
    static const unsigned char plain[] = {SOCKS_VERSION, 1, NO_AUTH};
    static const unsigned char both[] = {SOCKS_VERSION, 2, NO_AUTH, USER_PASSWORD};

    if (proxy_has_credentials(c->proxy))
        buf_add(&c->out, both, sizeof(both));
    else
        buf_add(&c->out, plain, sizeof(plain));
}

static void say_credentials(struct connect *c)
{
    struct str user, password;

    proxy_credentials(c->proxy, &user, &password);
    buf_addc(&c->out, AUTH_VERSION);
    buf_addc(&c->out, (char)user.len);
    buf_addstr(&c->out, user);
    buf_addc(&c->out, (char)password.len);
    buf_addstr(&c->out, password);
}

static void say_request(struct connect *c)
{
    unsigned char head[4] = {SOCKS_VERSION, 1, 0, ATYP_NAME};
    unsigned char address[16];
    size_t len = strlen(c->host);

    if (inet_pton(AF_INET, c->host, address) == 1) {
        head[3] = ATYP_IPV4;
        len = 4;
    } else if (inet_pton(AF_INET6, c->host, address) == 1) {
        head[3] = ATYP_IPV6;
        len = 16;
    }
    buf_add(&c->out, head, sizeof(head));
    if (head[3] == ATYP_NAME) {
        buf_addc(&c->out, (char)len);
        buf_add(&c->out, c->host, len);
    } else {
        buf_add(&c->out, address, len);
    }
    buf_addc(&c->out, (char)(c->port >> 8));
    buf_addc(&c->out, (char)(c->port & 0xff));
}

static enum status check_host(const char *host, struct err *e)
{
    size_t n = strlen(host);

    if (n == 0 || n > PROXY_HOST_MAX)
        return err_set(e, STATUS_INVALID, "host of %zu bytes, expected 1..%d", n, PROXY_HOST_MAX);
    for (size_t i = 0; i < n; i++) {
        unsigned char b = (unsigned char)host[i];

        if (b <= 0x20 || b >= 0x7f || strchr("/?#@[]\\", b))
            return err_set(e, STATUS_INVALID, "host: byte %zu is not allowed there", i + 1);
    }
    return STATUS_OK;
}

enum status connect_begin(struct connect *c, const struct proxy *p, const char *host, uint16_t port,
                          struct err *e)
{
    enum status s = check_host(host, e);

    *c = (struct connect){.proxy = p, .state = CONNECT_MORE, .port = port};
    buf_init(&c->in, CONNECT_HEAD_MAX);
    buf_init(&c->out, CONNECT_HEAD_MAX);
    if (s != STATUS_OK) {
        c->state = CONNECT_FAILED;
        return s;
    }
    memcpy(c->host, host, strlen(host) + 1);
    reserve_out(c);
    if (proxy_scheme(p) == PROXY_SOCKS5) {
        c->step = SOCKS_METHOD;
        say_methods(c);
    } else {
        c->step = HTTP_HEAD;
        say_connect(c);
    }
    return STATUS_OK;
}

void connect_end(struct connect *c)
{
    clear_out(c);
    buf_deinit(&c->out);
    buf_deinit(&c->in);
}

/* --- what is received: each step looks at c->in; it consumes its message, or leaves all and waits
 * --- */

typedef enum connect_state step_fn(struct connect *c, struct err *e);

static enum connect_state step_http(struct connect *c, struct err *e)
{
    static const char start[] = "HTTP/1.";
    struct http1_response r;
    struct err why = ERR_INIT;
    const char *text;
    enum status s;
    size_t n = http1_head_end(buf_str(&c->in), &c->scanned);

    if (!n) {
        size_t seen = c->in.len < sizeof(start) - 1 ? c->in.len : sizeof(start) - 1;

        if (memcmp(c->in.ptr ? c->in.ptr : "", start, seen) != 0)
            return fail(c, STATUS_PROXY_FAILED, "the proxy does not speak HTTP", e);
        if (c->in.len == CONNECT_HEAD_MAX)
            return fail(c, STATUS_PROXY_FAILED, "the proxy's answer has no end", e);
        return CONNECT_MORE;
    }
    if (http1_parse_response(str_n(c->in.ptr, n), true, &r, &why) != STATUS_OK)
        return fail(c, STATUS_PROXY_FAILED, "the proxy does not speak HTTP", e);
    c->peer_code = r.status;
    buf_consume(&c->in, n);
    c->scanned = 0;
    if (r.interim && ++c->interim <= CONNECT_INTERIM_MAX)
        return CONNECT_MORE;
    s = http_meaning(r.status, &text);
    if (s != STATUS_OK)
        return fail(c, s, text, e);
    c->state = CONNECT_DONE;
    return c->state;
}

static enum connect_state step_method(struct connect *c, struct err *e)
{
    const unsigned char *b = (const unsigned char *)c->in.ptr;

    if (c->in.len > 0 && b[0] != SOCKS_VERSION)
        return fail(c, STATUS_PROXY_FAILED, "the proxy does not speak SOCKS5", e);
    if (c->in.len < 2)
        return CONNECT_MORE;
    if (b[1] == NO_AUTH) {
        c->step = SOCKS_REPLY;
        say_request(c);
    } else if (b[1] == USER_PASSWORD && proxy_has_credentials(c->proxy)) {
        c->step = SOCKS_AUTH;
        say_credentials(c);
    } else {
        c->peer_code = b[1];
        return fail(c, STATUS_PROXY_AUTH,
                    proxy_has_credentials(c->proxy) ? "the proxy takes no user and password"
                                                    : "the proxy wants credentials",
                    e);
    }
    buf_consume(&c->in, 2);
    return CONNECT_MORE;
}

static enum connect_state step_auth(struct connect *c, struct err *e)
{
    const unsigned char *b = (const unsigned char *)c->in.ptr;

    /* Some answer with version 5 here; what counts is the second byte. */
    if (c->in.len > 0 && b[0] != AUTH_VERSION && b[0] != SOCKS_VERSION)
        return fail(c, STATUS_PROXY_FAILED, "the proxy does not speak RFC 1929", e);
    if (c->in.len < 2)
        return CONNECT_MORE;
    if (b[1] != 0) {
        c->peer_code = b[1];
        return fail(c, STATUS_PROXY_AUTH, "the proxy refused the credentials", e);
    }
    buf_consume(&c->in, 2);
    c->step = SOCKS_REPLY;
    say_request(c);
    return CONNECT_MORE;
}

/* Length of the whole reply; 0 when the kind of address is unknown. Needs REPLY_HEAD bytes. */
static size_t reply_length(const unsigned char *b)
{
    switch (b[3]) {
    case ATYP_IPV4:
        return 4 + 4 + 2;
    case ATYP_IPV6:
        return 4 + 16 + 2;
    case ATYP_NAME:
        return 4 + 1 + (size_t)b[4] + 2;
    default:
        return 0;
    }
}

static enum connect_state step_reply(struct connect *c, struct err *e)
{
    const unsigned char *b = (const unsigned char *)c->in.ptr;
    const char *text;
    enum status s;
    size_t n;

    if (c->in.len > 0 && b[0] != SOCKS_VERSION)
        return fail(c, STATUS_PROXY_FAILED, "the proxy does not speak SOCKS5", e);
    if (c->in.len >= 2 && b[1] != 0) { /* a refusal counts at once, however short it is */
        c->peer_code = b[1];
        s = socks_meaning(b[1], &text);
        return fail(c, s, text, e);
    }
    if (c->in.len < REPLY_HEAD)
        return CONNECT_MORE;
    n = reply_length(b);
    if (n == 0)
        return fail(c, STATUS_PROXY_FAILED, "the proxy gave an unknown kind of address", e);
    if (c->in.len < n)
        return CONNECT_MORE;
    buf_consume(&c->in, n);
    c->state = CONNECT_DONE;
    return c->state;
}

static step_fn *const steps[STEP_COUNT] = {
    [HTTP_HEAD] = step_http,
    [SOCKS_METHOD] = step_method,
    [SOCKS_AUTH] = step_auth,
    [SOCKS_REPLY] = step_reply,
};

/* Steps until one of them waits. */
static enum connect_state run_steps(struct connect *c, struct err *e)
{
    size_t before;

    do {
        before = c->in.len;
        if (steps[c->step](c, e) != CONNECT_MORE)
            break;
    } while (c->in.len && c->in.len != before);
    return c->state;
}

enum connect_state connect_feed(struct connect *c, const void *p, size_t n, size_t *used,
                                struct err *e)
{
    const char *b = p;

    BUG_ON(c->state != CONNECT_MORE);
    clear_out(c);
    *used = 0;
    while (*used < n && c->state == CONNECT_MORE) {
        size_t room = CONNECT_HEAD_MAX - c->in.len;
        size_t piece = n - *used < room ? n - *used : room;

        buf_add(&c->in, b + *used, piece);
        *used += piece;
        if (buf_status(&c->in) != STATUS_OK)
            return fail(c, STATUS_NO_MEMORY, "no memory for the proxy's answer", e);
        run_steps(c, e);
    }
    if (c->state == CONNECT_DONE)
        *used -= c->in.len; /* what follows the handshake is the tunnel's */
    return c->state;
}
