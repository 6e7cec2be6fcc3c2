/* What the policy's program may say: whatever it is, each question is answered once, or the hook is
 * dead and answers no. */
#include "core/guard/hook.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { QUESTIONS = 4, TURNS = 200 };

static void on_answer(void *arg, bool allow, const char *why)
{
    unsigned *n = arg;

    (void)allow;
    BUG_ON(why == NULL || *n >= QUESTIONS);
    (*n)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct hook_question q = {STR("http.get"), STR("a.example"), STR("http://a.example/"),
                                    "i-1"};
    struct clock_fake clock;
    struct policy_hook *h;
    struct loop *l;
    unsigned n = 0;
    int fd[2];

    if (size > 64 * 1024)
        return 0;
    clock_fake_init(&clock, 1);
    if (loop_create(&l, &clock.clock, NULL) != STATUS_OK ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0 ||
        policy_hook_create(l, fd[0], 100, &h, NULL) != STATUS_OK)
        BUG("no loop or no socket");
    for (unsigned i = 0; i < QUESTIONS; i++)
        (void)policy_hook_ask(h, &q, on_answer, &n);
    if (send(fd[1], data, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        size = 0;
    close(fd[1]);
    for (unsigned i = 0; i < TURNS && n < QUESTIONS; i++)
        loop_run_once(l, 1);
    BUG_ON(n != QUESTIONS); /* the stream has ended: that alone answers them */
    policy_hook_destroy(&h);
    loop_destroy(&l);
    return 0;
}
