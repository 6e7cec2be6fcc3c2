#include "core/api/frames.h"

#include <string.h>

#include "core/api/ws.h"

enum {
    OP_CONTINUATION = 0,
    OP_TEXT = 1,
    OP_BINARY = 2,
    OP_CLOSE = 8,
    OP_PING = 9,
    OP_PONG = 10,
    FIN = 0x80,
    RESERVED = 0x70,
    MASKED = 0x80,
    KEPT_MAX = 32 * 1024, /* one large message does not hold its memory for ever */
};

static unsigned fail(struct frames *f, unsigned code, const char *why)
{
    f->code = code;
    f->why = why;
    return code;
}

void frames_init(struct frames *f, const struct frames_to *to, size_t message_max)
{
    *f = (struct frames){.to = *to, .message_max = message_max};
    buf_init(&f->message, message_max);
}

void frames_deinit(struct frames *f)
{
    buf_deinit(&f->message);
}

static unsigned op_of(const struct frames *f)
{
    return f->head[0] & 0x0fu;
}

static bool is_control(const struct frames *f)
{
    return (f->head[0] & 0x08u) != 0;
}

static bool is_final(const struct frames *f)
{
    return (f->head[0] & FIN) != 0;
}

/* --- the head --- */

/* How long the head is, as far as can be told from what there is of it. */
static size_t head_size(const struct frames *f)
{
    unsigned len = f->head_len > 1 ? f->head[1] & 0x7fu : 0;

    return 2 + (len == 127 ? 8u : len == 126 ? 2u : 0) + 4;
}

/* The two bytes that begin it. */
static unsigned check_begin(struct frames *f)
{
    unsigned op = op_of(f);

    if ((f->head[0] & RESERVED) != 0)
        return fail(f, WS_PROTOCOL, "reserved bits are set, and no extension was agreed on");
    if (op > OP_BINARY && (op < OP_CLOSE || op > OP_PONG))
        return fail(f, WS_PROTOCOL, "an opcode that is reserved");
    if ((f->head[1] & MASKED) == 0)
        return fail(f, WS_PROTOCOL, "a frame of a client that is not masked");
    if (is_control(f) && !is_final(f))
        return fail(f, WS_PROTOCOL, "a control frame in fragments");
    if (is_control(f) && (f->head[1] & 0x7fu) > FRAMES_CONTROL_MAX)
        return fail(f, WS_PROTOCOL, "a control frame of more than 125 bytes");
    if (op == OP_CONTINUATION && !f->in_message)
        return fail(f, WS_PROTOCOL, "a continuation of nothing");
    if (!is_control(f) && op != OP_CONTINUATION && f->in_message)
        return fail(f, WS_PROTOCOL, "a message within a message");
    return 0;
}

/* All of it is there. */
static unsigned check_length(struct frames *f)
{
    size_t bytes = f->head_len - 4 - 2;
    uint64_t least = bytes == 8 ? 65536 : 126;

    f->len = f->head[1] & 0x7fu;
    if (bytes > 0) {
        f->len = 0;
        for (size_t i = 0; i < bytes; i++)
            f->len = f->len << 8 | f->head[2 + i];
        if (f->len >> 63 != 0)
            return fail(f, WS_PROTOCOL, "a length with its highest bit set");
        if (f->len < least)
            return fail(f, WS_PROTOCOL, "a length in more bytes than it needs");
    }
    if (!is_control(f) && f->len > f->message_max - f->message.len)
        return fail(f, WS_TOO_LARGE, "the message is too large");
    return 0;
}

static unsigned begin_payload(struct frames *f)
{
    memcpy(f->mask, f->head + f->head_len - 4, sizeof(f->mask));
    f->in_payload = true;
    f->got = 0;
    if (!is_control(f) && op_of(f) != OP_CONTINUATION) {
        f->in_message = true;
        f->binary = op_of(f) == OP_BINARY;
    }
    return 0;
}

/* Takes bytes of the head; how many. */
static size_t take_head(struct frames *f, const unsigned char *p, size_t n)
{
    size_t taken = 0;

    while (taken < n && f->code == 0 && !f->in_payload) {
        f->head[f->head_len++] = p[taken++];
        if (f->head_len == 2)
            (void)check_begin(f);
        if (f->head_len >= 2 && f->code == 0 && f->head_len == head_size(f) && check_length(f) == 0)
            (void)begin_payload(f);
    }
    return taken;
}

/* --- the payload --- */

/* From the `at`-th byte of the payload on. */
static void unmask(const struct frames *f, unsigned char *p, size_t n, uint64_t at)
{
    unsigned char mask[8];
    uint64_t wide, word;
    size_t i = 0;

    for (size_t k = 0; k < sizeof(mask); k++)
        mask[k] = f->mask[(at + k) % 4];
    memcpy(&wide, mask, sizeof(wide));
    for (; i + sizeof(word) <= n; i += sizeof(word)) {
        memcpy(&word, p + i, sizeof(word));
        word ^= wide;
        memcpy(p + i, &word, sizeof(word));
    }
    for (; i < n; i++)
        p[i] ^= mask[i % 8];
}

static unsigned deliver(struct frames *f, struct str message)
{
    if (!f->binary && !str_is_utf8(message))
        return fail(f, WS_INVALID, "text that is not UTF-8");
    f->in_message = false;
    if (f->to.on_message)
        f->to.on_message(f->to.arg, message, f->binary);
    return 0;
}

/* A part of a message, with the end of its frame or without. What came whole is not copied. */
static unsigned take_data(struct frames *f, struct str part, bool ends)
{
    bool last = ends && is_final(f);
    unsigned code;

    if (last && f->message.len == 0)
        return deliver(f, part);
    buf_addstr(&f->message, part);
    if (buf_status(&f->message) != STATUS_OK)
        return fail(f, WS_TOO_LARGE, "the message is too large");
    if (!last)
        return 0;
    code = deliver(f, buf_str(&f->message));
    if (f->message.cap > KEPT_MAX)
        buf_deinit(&f->message);
    else
        buf_reset(&f->message);
    return code;
}

/* Codes that a peer may send (RFC 6455 §7.4, and the registry's). */
static bool is_close_code(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != WS_NO_CODE &&
            code != WS_ABNORMAL) ||
           (code >= 3000 && code <= 4999);
}

static unsigned take_close(struct frames *f)
{
    struct str reason =
        f->len > 2 ? str_n((const char *)f->control + 2, (size_t)f->len - 2) : STR_NONE;
    unsigned code = f->len >= 2 ? (unsigned)f->control[0] << 8 | f->control[1] : 0;

    if (f->len == 1 || (f->len >= 2 && !is_close_code(code)))
        return fail(f, WS_PROTOCOL, "a close frame with a code that is none");
    if (!str_is_utf8(reason))
        return fail(f, WS_INVALID, "a reason that is not UTF-8");
    f->is_over = true;
    if (f->to.on_close)
        f->to.on_close(f->to.arg, code, reason);
    return 0;
}

static unsigned take_control(struct frames *f)
{
    struct str payload = str_n((const char *)f->control, (size_t)f->len);

    if (op_of(f) == OP_CLOSE)
        return take_close(f);
    if (op_of(f) == OP_PING && f->to.on_ping)
        f->to.on_ping(f->to.arg, payload);
    if (op_of(f) == OP_PONG && f->to.on_pong)
        f->to.on_pong(f->to.arg);
    return 0;
}

/* Takes bytes of the payload; how many. */
static size_t take_payload(struct frames *f, unsigned char *p, size_t n)
{
    uint64_t left = f->len - f->got;
    size_t take = left < n ? (size_t)left : n;
    bool ends = take == left;

    unmask(f, p, take, f->got);
    if (is_control(f))
        memcpy(f->control + f->got, p, take);
    f->got += take;
    if (ends) { /* before anybody is told: it is at a frame's beginning again */
        f->in_payload = false;
        f->head_len = 0;
    }
    if (!is_control(f))
        (void)take_data(f, str_n((const char *)p, take), ends);
    else if (ends)
        (void)take_control(f);
    return take;
}

unsigned frames_take(struct frames *f, unsigned char *bytes, size_t n)
{
    size_t at = 0;

    while (f->code == 0 && !f->is_over && (at < n || (f->in_payload && f->len == f->got))) {
        if (f->in_payload)
            at += take_payload(f, bytes + at, n - at);
        else
            at += take_head(f, bytes + at, n - at);
    }
    return f->code;
}
