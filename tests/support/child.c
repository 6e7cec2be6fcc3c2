#include "tests/support/child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS_MAX = 48 };

static void become(char *const *argv, const char *out, const char *err)
{
    int o = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    int e = open(err, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

    if (o < 0 || e < 0 || dup2(o, STDOUT_FILENO) < 0 || dup2(e, STDERR_FILENO) < 0)
        _exit(126);
    execv(argv[0], argv);
    _exit(127);
}

pid_t child_program(const char *name, const char *words, const char *out, const char *err)
{
    char *path = strdup(test_program(name)), *copy = strdup(words), *rest = copy;
    char *argv[ARGS_MAX + 1];
    size_t n = 0;
    pid_t pid;

    argv[n++] = path;
    while (rest != NULL && n < ARGS_MAX) {
        argv[n] = strsep(&rest, " ");
        n += argv[n][0] != '\0';
    }
    argv[n] = NULL;
    assert_null(rest); /* more words than there is room for */
    pid = fork();
    if (pid == 0)
        become(argv, out, err);
    assert_true(pid > 0);
    free(copy);
    free(path);
    return pid;
}

static int code_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool child_has_ended(pid_t pid, int *code_out)
{
    int status;

    if (waitpid(pid, &status, WNOHANG) != pid)
        return false;
    *code_out = code_of(status);
    return true;
}

struct waiting {
    pid_t pid;
    int code;
};

static bool has_ended(void *arg)
{
    struct waiting *x = arg;

    return child_has_ended(x->pid, &x->code);
}

int child_kill_after(pid_t pid, unsigned ms)
{
    struct waiting x = {.pid = pid};
    int status;

    if (test_wait_until(has_ended, &x, ms))
        return x.code;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return code_of(status);
}

int child_wait(pid_t pid, unsigned ms)
{
    struct waiting x = {.pid = pid};

    if (!test_wait_until(has_ended, &x, ms)) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        fail_msg("still running after %u ms", ms);
    }
    return x.code;
}
