/* A policy of the operator's own: a program that is asked about each op, over a stream (its
 * standard input and output). One question a line, one answer a line, in any order:
 *
 *   {"id":7,"member":"i-53e8fc0af0aac3c0","op":"http.get","target":"shop.example.org","url":"https://..."}
 *   {"id":7,"allow":false,"why":"not on Sundays"}
 *
 * "why" may be missing. A hook that is silent for the deadline has denied; one that ended, or says
 * what is no answer, denies that and everything after it. Nothing here blocks: what the program
 * does not read yet is kept, at most HOOK_PENDING_MAX questions. Loop thread only. */
#ifndef CORE_GUARD_HOOK_H
#define CORE_GUARD_HOOK_H

#include "core/base/loop.h"
#include "core/base/str.h"

enum {
    HOOK_TIMEOUT_MS = 2000,  /* default deadline of an answer */
    HOOK_PENDING_MAX = 4096, /* questions open; past it the answer is no */
    HOOK_LINE_MAX = 4096,    /* bytes of an answer */
};

struct policy_hook;
struct hook_wait;

struct hook_question {
    struct str op, target, url; /* url and target may be empty */
    const char *member;         /* id of the identity; NULL: none */
};
/** Exactly once, from the loop, never from inside the call. `why`: the program's own word, or what
 * was wrong with it; "" when it gave none. Borrowed for the call. */
typedef void hook_fn(void *arg, bool allow, const char *why);

/** `fd` is the near end of a stream socket whose far end is the program's standard input and
 * output. On OK it is the hook's. timeout_ms 0: HOOK_TIMEOUT_MS. */
must_check enum status policy_hook_create(struct loop *l, int fd, uint64_t timeout_ms,
                                          struct policy_hook **out, struct err *e);
/** Open questions are not answered any more: cancel them first. Takes NULL. */
void policy_hook_destroy(struct policy_hook **h);
struct hook_wait *policy_hook_ask(struct policy_hook *h, const struct hook_question *q, hook_fn *fn,
                                  void *arg);
/** Takes the question back: nobody is called. NULL is fine. */
void policy_hook_cancel(struct hook_wait **w);

#endif
