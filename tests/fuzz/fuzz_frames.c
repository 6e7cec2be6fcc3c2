/* What a WebSocket's client sends, of any bytes: the same is told however the bytes are parted, the
 * end has a code of RFC 6455 §7.4.1 and a sentence, and nothing is told after it. The first byte
 * says in what pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/api/frames.h"

enum { MESSAGE_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
    uint64_t hash;
    bool over;
};

static void tell(struct told *t, unsigned char what, struct str bytes)
{
    if (t->over)
        abort();
    t->hash = (t->hash ^ what) * 0x100000001b3u;
    for (size_t i = 0; i < bytes.len; i++)
        t->hash = (t->hash ^ (unsigned char)bytes.ptr[i]) * 0x100000001b3u;
}

static void on_message(void *arg, struct str message, bool binary)
{
    if (message.len > MESSAGE_MAX)
        abort();
    tell(arg, binary ? 'b' : 't', message);
}

static void on_ping(void *arg, struct str payload)
{
    tell(arg, 'i', payload);
}

static void on_pong(void *arg)
{
    tell(arg, 'o', STR(""));
}

static void on_close(void *arg, unsigned code, struct str reason)
{
    struct told *t = arg;

    if (code != 0 && (code < 1000 || code > 4999))
        abort();
    tell(t, 'c', reason);
    t->over = true;
}

static uint64_t take(const uint8_t *data, size_t size, size_t piece)
{
    struct told t = {.hash = 0xcbf29ce484222325u};
    const struct frames_to to = {on_message, on_ping, on_pong, on_close, &t};
    struct frames f;
    unsigned code = 0;

    frames_init(&f, &to, MESSAGE_MAX);
    for (size_t at = 0, n; at < size; at += n) {
        unsigned char *bytes;

        n = size - at < piece ? size - at : piece;
        bytes = malloc(n);
        if (!bytes)
            abort();
        memcpy(bytes, data + at, n);
        if (code != 0 && frames_take(&f, bytes, n) != code) /* then and ever after */
            abort();
        else if (code == 0)
            code = frames_take(&f, bytes, n);
        free(bytes);
    }
    if (code != 0 && (code < 1000 || code > 1011 || !f.why || !f.why[0]))
        abort();
    frames_deinit(&f);
    return t.hash ^ code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    if (take(data + 1, size - 1, SIZE_MAX) != take(data + 1, size - 1, (size_t)data[0] % 17 + 1))
        abort();
    return 0;
}
