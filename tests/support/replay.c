/* Runs a fuzz target over its seeds, tests/fuzz/corpus/NAME/, without a fuzzer: the empty input,
 * then each file in the order of names. One case per target; the count of inputs is told. With
 * arguments it runs those files instead. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* What libFuzzer calls first, where a target has it. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static void run_file(const char *path)
{
    FILE *f = fopen(path, "re");
    uint8_t *data = NULL;
    size_t len = 0, got;
    uint8_t chunk[4096];

    if (!f) {
        printf("Bail out! cannot read %s: %s\n", path, strerror(errno));
        exit(1);
    }
    while ((got = fread(chunk, 1, sizeof chunk, f)) > 0) {
        uint8_t *more = realloc(data, len + got); // exact size, so that ASan sees a read past it

        if (!more)
            abort();
        data = more;
        memcpy(data + len, chunk, got);
        len += got;
    }
    fclose(f);
    fprintf(stderr, "input %s (%zu bytes)\n", path, len);
    LLVMFuzzerTestOneInput(data ? data : chunk, len);
    free(data);
}

static int is_input(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static int run_corpus(const char *name)
{
    const char *root = getenv("FLEET_SOURCE");
    struct dirent **entries;
    char dir[PATH_MAX], path[PATH_MAX + 300];
    int n;

    snprintf(dir, sizeof dir, "%s/tests/fuzz/corpus/%s", root ? root : ".", name);
    n = scandir(dir, &entries, is_input, alphasort);
    if (n <= 0) {
        printf("not ok 1 - %s: no seeds in %s\n", name, dir);
        return 1;
    }
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        run_file(path);
        free(entries[i]);
    }
    free(entries);
    printf("ok 1 - %s: %d inputs\n", name, n);
    return 0;
}

int main(int argc, char **argv)
{
    const char *base = strrchr(argv[0], '/');
    const char *name = base ? base + 1 : argv[0];

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++)
        run_file(argv[i]);
    if (argc > 1)
        return 0;
    printf("1..1\n");
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    return run_corpus(strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name);
}
