#include "core/cli/stop.h"

#include <signal.h>
#include <unistd.h>

#include "core/base/log.h"

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

int stop_exit_code(int signum)
{
    return signum == SIGINT ? EXIT_SIGINT : EXIT_SIGTERM;
}

static void on_hard_stop(struct loop_timer *t)
{
    struct stop *s = container_of(t, struct stop, hard);

    log_flush();
    _exit(stop_exit_code(s->signal));
}

static void on_signal(void *arg, int signum)
{
    struct stop *s = arg;

    if (s->signal == 0)
        s->signal = signum == SIGINT ? SIGINT : SIGTERM;
    s->n++;
    if (s->n > 2)
        on_hard_stop(&s->hard);
    if (s->n == 2)
        loop_timer_start(s->loop, &s->hard, STOP_HARD_MS, on_hard_stop);
    s->drain(s->arg, signum == SIGINT ? "SIGINT" : signum == SIGHUP ? "SIGHUP" : "SIGTERM");
}

enum status stop_watch(struct stop *s, struct loop *loop, void (*drain)(void *arg, const char *why),
                       void *arg, struct err *e)
{
    enum status st = STATUS_OK;

    *s = (struct stop){.loop = loop, .drain = drain, .arg = arg};
    for (size_t i = 0; i < ARRAY_LEN(signals) && st == STATUS_OK; i++)
        st = loop_signal(loop, signals[i], on_signal, s, e);
    return st;
}

void stop_unwatch(struct stop *s)
{
    if (s->loop == NULL)
        return;
    loop_timer_stop(&s->hard);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        if (loop_signal(s->loop, signals[i], NULL, NULL, NULL) != STATUS_OK)
            log_warn(NULL, "signal.kept", LOG_U64("signal", signals[i]));
    }
}
