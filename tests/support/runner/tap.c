#include "tests/support/runner/tap.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The reason of a skip comes on a line of its own before the result ("SKIP name: reason", see
 * tests/support/testing.h), because cmocka's skip() takes none. */
struct pending_skip {
    char text[512];
};

static const char *skip_spaces(const char *p)
{
    while (*p == ' ' || *p == '\t')
        p++;
    return p;
}

/* After "ok" or "not ok": an optional number, an optional dash, the name. */
static const char *name_of(const char *p)
{
    p = skip_spaces(p);
    while (isdigit((unsigned char)*p))
        p++;
    p = skip_spaces(p);
    if (p[0] == '-' && p[1] == ' ')
        p += 2;
    return skip_spaces(p);
}

static const char *skip_directive(const char *name)
{
    const char *hash = strstr(name, "# SKIP");

    return hash ? hash : strstr(name, "# skip");
}

/* "# SKIP name" (cmocka) or "name # SKIP reason" (everybody else) -> "name: reason". */
static void tell_skip(const char *name, const char *hash, const struct pending_skip *pending,
                      tap_on_case *on_case, void *arg)
{
    char text[1100];
    const char *rest = skip_spaces(hash + strlen("# SKIP"));

    if (pending->text[0])
        snprintf(text, sizeof text, "%s", pending->text);
    else if (hash == name)
        snprintf(text, sizeof text, "%.500s: no reason given", rest);
    else
        snprintf(text, sizeof text, "%.*s: %.500s", (int)(hash - name > 500 ? 500 : hash - name),
                 name, *rest ? rest : "no reason given");
    on_case('S', text, arg);
}

static void count_line(char *line, struct tally *t, struct pending_skip *pending,
                       tap_on_case *on_case, void *arg)
{
    bool failed = strncmp(line, "not ok", 6) == 0;
    bool passed = strncmp(line, "ok ", 3) == 0;
    const char *name, *hash;

    if (strncmp(line, "1..", 3) == 0 && isdigit((unsigned char)line[3])) {
        t->planned += (int)strtol(line + 3, NULL, 10);
        return;
    }
    if (strncmp(line, "SKIP ", 5) == 0) {
        snprintf(pending->text, sizeof pending->text, "%s", line + 5);
        return;
    }
    if (!failed && !passed)
        return;
    name = name_of(line + (failed ? 6 : 2));
    hash = skip_directive(name);
    if (hash) {
        t->skipped++;
        tell_skip(name, hash, pending, on_case, arg);
    } else if (failed) {
        t->failed++;
        on_case('F', name, arg);
    } else {
        t->passed++;
    }
    pending->text[0] = '\0';
}

void tap_count(FILE *log, struct tally *t, tap_on_case *on_case, void *arg)
{
    struct pending_skip pending = {""};
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;

    rewind(log);
    while ((len = getline(&line, &cap, log)) > 0) {
        if (line[len - 1] == '\n')
            line[len - 1] = '\0';
        count_line(line, t, &pending, on_case, arg);
    }
    free(line);
}
