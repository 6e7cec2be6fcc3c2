#include "reaper/step.h"

#include <stddef.h>

static const char *const texts[] = {
#define STEP_TEXT(name, text) text,
    STEP_TABLE(STEP_TEXT)
#undef STEP_TEXT
};

const char *step_text(unsigned s)
{
    return s < STEP_COUNT ? texts[s] : "an unknown step";
}
