/* A loop on the test's own thread, turned until something has happened. */
#ifndef TESTS_SUPPORT_TURN_H
#define TESTS_SUPPORT_TURN_H

#include <stdbool.h>

#include "core/base/loop.h"

/** Until *flag is true; false when `ms` passed before. */
bool turn_until(struct loop *l, const bool *flag, unsigned ms);
/** For `ms`: to see that something does not happen, or to let handles close. */
void turn_for(struct loop *l, unsigned ms);
/** A callback: sets the bool that is its argument. */
void turn_flag(void *flag);

#endif
