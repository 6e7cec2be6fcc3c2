/* Counts what a test program reported: reads its log and understands the Test Anything Protocol as
 * cmocka (CMOCKA_MESSAGE_OUTPUT=TAP), our shell and our node tests print it. Lines that are not TAP
 * are passed over, so a program may print what it likes besides. */
#ifndef TESTS_SUPPORT_RUNNER_TAP_H
#define TESTS_SUPPORT_RUNNER_TAP_H

#include <stdio.h>

struct tally {
    int planned; // sum of all "1..N" lines; 0 when there was none
    int passed;
    int failed;
    int skipped;
};

/** Called for each case that failed (`kind` 'F') or was skipped ('S'). `text` is its name, for a
 * skip with ": reason" where one was given; borrowed for the call. */
typedef void tap_on_case(char kind, const char *text, void *arg);

/** Adds to `*t` what `log` holds, from its beginning to its end. */
void tap_count(FILE *log, struct tally *t, tap_on_case *on_case, void *arg);

#endif
