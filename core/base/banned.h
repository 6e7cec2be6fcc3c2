/* Calls that do not compile. Included into every file of ours by the compiler's command line
 * (-include), after the headers that declare them, as git's banned.h does it.
 *
 *   strcpy strcat sprintf   know no size: snprintf, core/base/buf.h
 *   strtok                  hidden state: core/base/str.h
 *   atoi                    no errors: core/base/num.h, core/base/str.h
 *   gmtime localtime        hidden state: gmtime_r, localtime_r
 *   system                  a shell: reaper/ starts programs */
#ifndef CORE_BASE_BANNED_H
#define CORE_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef strcpy
#undef strcat
#undef sprintf
#undef strtok
#undef atoi
#undef gmtime
#undef localtime
#undef system
#define strcpy(...)    banned_strcpy_has_no_size
#define strcat(...)    banned_strcat_has_no_size
#define sprintf(...)   banned_sprintf_has_no_size
#define strtok(...)    banned_strtok_has_hidden_state
#define atoi(...)      banned_atoi_has_no_errors
#define gmtime(...)    banned_gmtime_has_hidden_state
#define localtime(...) banned_localtime_has_hidden_state
#define system(...)    banned_system_runs_a_shell

#endif
