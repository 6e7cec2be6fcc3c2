#include "core/base/fault.h"

#ifdef FLEET_FAULTS

#include "core/base/str.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

enum { FAULT_MAX = 16, FAULT_NAME_MAX = 64 };

struct fault {
    char name[FAULT_NAME_MAX];
    uint64_t nth; /* 0: every pass */
    int errnum;
    atomic_uint_fast64_t passes;
};

/* The program's own table, because a fault point has no object to hang on. Written before other
 * threads run, by contract; the counters are atomic. */
static struct fault faults[FAULT_MAX];
static size_t n_faults;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A mistake in the specification is the tester's and must not look like a fault that never fired.
 */
static void add_fault(struct str spec)
{
    struct fault *f = &faults[n_faults];
    struct str rest = spec;
    struct str name = str_cut(&rest, ':');
    uint64_t nth = 1, errnum = EIO;

    if (n_faults == FAULT_MAX || name.len == 0 || name.len >= FAULT_NAME_MAX)
        BUG("fault \"%.*s\": expected at most %d of name[:n[:errno]]", STR_ARG(spec), FAULT_MAX);
    if (rest.ptr && !str_to_u64(str_cut(&rest, ':'), UINT32_MAX, &nth))
        BUG("fault \"%.*s\": n: expected a number, 0 for every pass", STR_ARG(spec));
    if (rest.ptr && (!str_to_u64(rest, 4095, &errnum) || errnum == 0))
        BUG("fault \"%.*s\": errno: expected a number 1..4095", STR_ARG(spec));
    memcpy(f->name, name.ptr, name.len);
    f->name[name.len] = '\0';
    f->nth = nth;
    f->errnum = (int)errnum;
    atomic_store(&f->passes, 0);
    n_faults++;
}

static void parse(const char *spec)
{
    struct str rest = str_from(spec);

    n_faults = 0;
    while (rest.ptr) {
        struct str one = str_trim(str_cut(&rest, ','));

        if (one.len)
            add_fault(one);
    }
}

static void parse_environment(void)
{
    parse(getenv("FLEET_FAULT")); /* NOLINT(concurrency-mt-unsafe): nobody writes the environment */
}

void fault_set(const char *spec)
{
    pthread_once(&once, parse_environment);
    parse(spec);
}

int fault_point(const char *name)
{
    pthread_once(&once, parse_environment);
    for (size_t i = 0; i < n_faults; i++) {
        struct fault *f = &faults[i];

        if (strcmp(f->name, name) != 0)
            continue;
        if (atomic_fetch_add(&f->passes, 1) + 1 == f->nth || f->nth == 0)
            return f->errnum;
    }
    return 0;
}

#endif
