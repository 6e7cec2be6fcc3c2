/* Named fault points: places that a test makes fail. In a build with FLEET_FAULTS (debug, asan,
 * tsan, cov) the environment variable FLEET_FAULT="name[:n[:errno]],..." makes the n-th pass
 * (default the first) of point `name` fail with that errno (number; default EIO); n = 0: every
 * pass. Without FLEET_FAULTS it compiles to 0. */
#ifndef CORE_BASE_FAULT_H
#define CORE_BASE_FAULT_H

#ifdef FLEET_FAULTS
/** 0, or the errno to fail with. Any thread. */
int fault_point(const char *name);
/** For tests: replaces what the environment said ("": nothing fails). Not while other threads
 * run. */
void fault_set(const char *spec);
#else
#define fault_point(name) 0
#define fault_set(spec)   ((void)(spec))
#endif

#endif
