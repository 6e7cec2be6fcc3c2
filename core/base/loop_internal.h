/* What only the siblings of loop need. */
#ifndef CORE_BASE_LOOP_INTERNAL_H
#define CORE_BASE_LOOP_INTERNAL_H

#include "core/base/loop.h"

/** True inside loop_destroy: callbacks of libuv that still come must call nobody. */
bool loop_is_closing(const struct loop *l);

#endif
