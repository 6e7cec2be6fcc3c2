#include "tests/integration/forward_upstreams.h"

#include "tests/support/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_listening(void *arg)
{
    struct child *c = arg;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(c->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    rc = connect(fd, (struct sockaddr *)&a, sizeof(a));
    close(fd);
    return rc == 0;
}

bool is_installed(const char *program)
{
    char path[128];

    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", i ? "/usr/sbin" : "/usr/bin", program);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

void child_start(struct child *c, const char *const *argv)
{
    c->pid = fork();
    assert_true(c->pid >= 0);
    if (c->pid == 0) {
        int null = open("/dev/null", O_RDWR);

        dup2(null, 1);
        dup2(null, 2);
        execvp(argv[0], (char *const *)(void *)(uintptr_t)argv);
        _exit(127);
    }
    assert_true(test_wait_until(is_listening, c, 5000));
}

void child_stop(struct child *c)
{
    kill(c->pid, SIGKILL);
    waitpid(c->pid, NULL, 0);
    test_rmdir(&c->dir);
}

void start_tinyproxy(struct child *c)
{
    char conf[512], path[512];

    c->dir = test_mkdir();
    c->port = test_free_port();
    snprintf(conf, sizeof(conf),
             "Port %u\nListen 127.0.0.1\nTimeout 60\nMaxClients 400\nAllow 127.0.0.1\n"
             "BasicAuth user s3cret\nLogLevel Critical\nLogFile \"%s/log\"\n",
             c->port, c->dir);
    snprintf(path, sizeof(path), "%s/conf", c->dir);
    test_write_file(path, conf, strlen(conf));
    child_start(c, (const char *const[]){"tinyproxy", "-d", "-c", path, NULL});
}

void start_microsocks(struct child *c)
{
    char port[16];

    c->dir = test_mkdir();
    c->port = test_free_port();
    snprintf(port, sizeof(port), "%u", c->port);
    child_start(c, (const char *const[]){"microsocks", "-i", "127.0.0.1", "-p", port, "-u", "user",
                                         "-P", "s3cret", NULL});
}

void bad_silent(int fd, void *arg)
{
    char c;

    (void)arg;
    while (recv(fd, &c, 1, 0) > 0)
        ;
}
