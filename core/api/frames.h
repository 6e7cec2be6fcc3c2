/* What a WebSocket's client sends (RFC 6455 §5), taken apart: frames are unmasked, fragments put
 * together, and whatever breaks a rule ends it with the close code of §7.4.1. Pure: bytes in, calls
 * out. libwebsockets 4.1 takes frames without a mask, closes without a word where a length or a
 * control frame is wrong, so we read ourselves. */
#ifndef CORE_API_FRAMES_H
#define CORE_API_FRAMES_H

#include "core/base/buf.h"
#include "core/base/str.h"

enum { FRAMES_CONTROL_MAX = 125, FRAMES_HEAD_MAX = 14 };

/** Who is told. Borrowed for the call. */
struct frames_to {
    /** A whole message; text is valid UTF-8. */
    void (*on_message)(void *arg, struct str message, bool binary);
    void (*on_ping)(void *arg, struct str payload);
    void (*on_pong)(void *arg);
    /** The last that is told: what comes after it is not looked at. `code` 0: none was given. */
    void (*on_close)(void *arg, unsigned code, struct str reason);
    void *arg;
};

struct frames {
    struct frames_to to;
    size_t message_max;
    unsigned code;   /* that it ended with; 0: it goes on */
    const char *why; /* with code: a sentence */

    /* of the frame that is being read */
    unsigned char head[FRAMES_HEAD_MAX];
    size_t head_len;
    bool in_payload;
    uint64_t len, got; /* of the payload */
    unsigned char mask[4];
    unsigned char control[FRAMES_CONTROL_MAX];

    /* of the message that is being put together */
    bool in_message, binary;
    bool is_over; /* a close frame came */
    struct buf message;
};

/** `message_max` in bytes, at least 1. */
void frames_init(struct frames *f, const struct frames_to *to, size_t message_max);
void frames_deinit(struct frames *f);
/** Takes what was read; the bytes are changed. Returns 0, or the code to close with, then and ever
 * after. Calls that come out of it may not call it. */
unsigned frames_take(struct frames *f, unsigned char *bytes, size_t n);

#endif
