/* A program that keeps promises until it is killed: receipts, events, schedules, counters, streams,
 * fences and leases on one log, as fast as it can, each acknowledgement told on standard output the
 * moment it comes. The pipe outlives the program, so what was told was acknowledged.
 *
 *   R seq leaf   receipt            E seq subject   event             C value   counter "n"
 *   P seq        entry of "out"     F first         3 fences          L fence   lease "l"
 *   S id         schedule           O               open; the first line
 *   X STATUS     a call failed with that; the victim ends             */
#ifndef TESTS_FAULT_VICTIM_H
#define TESTS_FAULT_VICTIM_H

/** argv: victim STATE_DIR SINK(-: none) each|checkpoint STEPS (0: until it is killed). Returns the
 * exit code: 0, or 3 when opening failed or a call did (the status is on standard output, the
 * sentence on standard error). */
int victim_main(int argc, char **argv);

#endif
