/* seccomp filters in a test's own hands: run by an interpreter, and put around a program so that
 * what they refuse is counted. */
#ifndef TESTS_SUPPORT_BPF_H
#define TESTS_SUPPORT_BPF_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What the filter answers: the classic BPF that libseccomp generates (loads, jumps, and, return).
 * False where it holds anything else, or runs out. */
bool bpf_run(const struct sock_filter *p, size_t n, const struct seccomp_data *d, uint32_t *out);

/** Becomes the observer of a program: starts argv[0] in a child under the filter, whose refusals
 * the kernel asks about (SECCOMP_RET_USER_NOTIF); they are given, and counted by call and first
 * argument. When the program has ended, a line "denied NR ARG0 ERRNO COUNT" for each goes to `fd`,
 * and then "observed all". Needs no_new_privs, and no filter that has a listener already. Exits as
 * the program did. */
_Noreturn void bpf_observe(const struct sock_filter *p, size_t n, char *const *argv, int fd);

#endif
