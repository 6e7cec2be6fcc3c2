/* The browser add-on's part of `fleet doctor`: the browsers, and the programs that the demo wants.
 */
#ifndef BROWSER_DOCTOR_H
#define BROWSER_DOCTOR_H

#include "core/cli/doctor.h"

void browser_doctor(struct doctor *d);

#endif
