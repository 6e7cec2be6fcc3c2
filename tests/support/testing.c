#include "tests/support/testing.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define N_PATHS  8
#define MAX_FILE (256L * 1024 * 1024)

static char paths[N_PATHS][PATH_MAX];
static unsigned next_path;

/* Results must be in the log also when the program crashes later. */
__attribute__((constructor)) static void prepare(void)
{
    const char *only = getenv("CASE");

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (only && *only)
        cmocka_set_test_filter(only);
}

void test_skip_at(const char *name, const char *fmt, ...)
{
    va_list ap;

    printf("SKIP %s: ", name);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    skip();
}

/* ---- paths ---- */

static char *path_slot(void)
{
    return paths[next_path++ % N_PATHS];
}

char *test_mkdir(void)
{
    const char *base = getenv("TMPDIR");
    char *dir = malloc(PATH_MAX);

    assert_non_null(dir);
    snprintf(dir, PATH_MAX, "%s/d.XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(dir) || chmod(dir, 0755) != 0)
        fail_msg("cannot make a directory %s: %s", dir, strerror(errno));
    return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void test_rmdir(char **dir)
{
    if (!*dir)
        return;
    if (nftw(*dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        fail_msg("cannot remove %s: %s", *dir, strerror(errno));
    free(*dir);
    *dir = NULL;
}

const char *test_source(const char *path)
{
    const char *root = getenv("FLEET_SOURCE");
    char *slot = path_slot();

    snprintf(slot, PATH_MAX, "%s/%s", root ? root : TEST_SOURCE_ROOT, path);
    return slot;
}

/* Tests lie in <build>/tests/..., the programs in <build>. */
const char *test_program(const char *name)
{
    char self[PATH_MAX], *tests = NULL, *slot = path_slot();
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    assert_true(n > 0);
    self[n] = '\0';
    for (char *p = self; (p = strstr(p, "/tests/")) != NULL; p++)
        tests = p;
    if (!tests)
        fail_msg("%s: not below tests/ of a build directory", self);
    else
        *tests = '\0';
    if (snprintf(slot, PATH_MAX, "%s/%s", self, name) >= PATH_MAX || access(slot, X_OK) != 0)
        fail_msg("%s/%s: not built", self, name);
    return slot;
}

/* ---- files ---- */

char *test_read_file(const char *path, size_t *len_out)
{
    FILE *f = fopen(path, "re");
    long size = -1;
    char *data = NULL;

    if (f && fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0 && size <= MAX_FILE) {
        rewind(f);
        data = malloc((size_t)size + 1);
    }
    if (!data || fread(data, 1, (size_t)size, f) != (size_t)size) {
        fail_msg("cannot read %s: %s", path, strerror(errno));
        abort();
    }
    fclose(f);
    data[size] = '\0';
    if (len_out)
        *len_out = (size_t)size;
    return data;
}

void test_write_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "we");

    if (!f || fwrite(data, 1, len, f) != len || fclose(f) != 0)
        fail_msg("cannot write %s: %s", path, strerror(errno));
}

/* ---- ports and time ---- */

int test_listen(uint16_t *port_out)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        fail_msg("cannot listen on 127.0.0.1: %s", strerror(errno));
    *port_out = ntohs(addr.sin_port);
    return fd;
}

uint16_t test_free_port(void)
{
    uint16_t port;

    close(test_listen(&port));
    return port;
}

uint64_t test_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void test_sleep_ms(unsigned ms)
{
    struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};

    while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
        continue;
}

bool test_wait_until(bool (*done)(void *arg), void *arg, unsigned timeout_ms)
{
    uint64_t end = test_now_ms() + timeout_ms;

    while (!done(arg)) {
        if (test_now_ms() >= end)
            return false;
        test_sleep_ms(5);
    }
    return true;
}

/* ---- what this process holds ---- */

static size_t count_children(int pid, size_t depth)
{
    char path[64];
    size_t n = 0;
    FILE *f;
    int child;

    /* A child forked by another thread than the first stands under that thread. */
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = depth < 32 ? opendir(path) : NULL;

    for (struct dirent *e; tasks && (e = readdir(tasks)) != NULL;) {
        char file[128];

        snprintf(file, sizeof file, "/proc/%d/task/%.20s/children", pid, e->d_name);
        f = e->d_name[0] == '.' ? NULL : fopen(file, "re");
        while (f && fscanf(f, "%d", &child) == 1) {
            char state = 'Z';
            FILE *stat;

            snprintf(file, sizeof file, "/proc/%d/stat", child);
            stat = fopen(file, "re");
            if (stat && fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
                state = 'Z';
            if (stat)
                fclose(stat);
            n += (state != 'Z' && state != 'X') + count_children(child, depth + 1);
        }
        if (f)
            fclose(f);
    }
    if (tasks)
        closedir(tasks);
    return n;
}

size_t test_count_descendants(void)
{
    return count_children(getpid(), 0);
}

static size_t count_entries(const char *path)
{
    DIR *dir = opendir(path);
    size_t n = 0;

    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

size_t test_count_fds(void)
{
    return count_entries("/proc/self/fd") - 1; // the directory's own
}

size_t test_count_threads(void)
{
    return count_entries("/proc/self/task");
}
