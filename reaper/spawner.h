/* The spawner: takes launches from the controller's socket, makes each member's init with its
 * namespaces, tells when a member is gone and clears away after it. Linked into the launcher. */
#ifndef REAPER_SPAWNER_H
#define REAPER_SPAWNER_H

enum { SPAWNER_FD = 3 }; /* the control socket it is started with */

/** "--spawner UID_BASE". Returns the exit code. */
int spawner_main(int argc, char **argv);

#endif
