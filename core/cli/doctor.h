/* What `fleet doctor` finds out: rows, a line each, with what a lack costs and how to mend it. A
 * program adds checks of its own to those of verb_doctor.c (cli_program.checks). */
#ifndef CORE_CLI_DOCTOR_H
#define CORE_CLI_DOCTOR_H

#include "core/cli/cli.h"

enum doctor_state { DOCTOR_OK, DOCTOR_DEGRADED, DOCTOR_MISSING };

struct doctor;

/** One row, copied. */
struct doctor_row {
    const char *name; /* "memory" */
    enum doctor_state state;
    bool optional;     /* missing is no reason to fail */
    const char *found; /* what is there: "3.1 GB free" */
    const char *cost;  /* what the lack costs; NULL when ok */
    const char *mend;  /* what to do: "apt-get install ..."; NULL: nothing to do */
};
void doctor_add(struct doctor *d, const struct doctor_row *row);
/** For the names in it, which live as long as the report. */
struct arena *doctor_arena(struct doctor *d);
/** Absolute path of a program in PATH, or NULL. */
const char *doctor_find_program(struct doctor *d, const char *name);

/** A check: adds its rows. Blocking. */
typedef void doctor_check_fn(struct doctor *d);

extern const struct cli_verb verb_doctor;

#endif
