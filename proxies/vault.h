/* Where the credentials of proxies lie: pages of libsodium (guarded, locked where the limit allows
 * it, left out of core dumps), shared by the proxies of one list, because such an allocation costs
 * several pages and mappings. Only for siblings. One thread. */
#ifndef PROXIES_VAULT_H
#define PROXIES_VAULT_H

#include <stddef.h>

#include "core/base/attr.h"

struct vault;

/** Room for `size` bytes, one reference. NULL when there is no memory. */
struct vault *vault_open(size_t size) must_check;
struct vault *vault_ref(struct vault *v);
/** With the last reference all is wiped. Sets *v to NULL; NULL is fine. */
void vault_unref(struct vault **v);
/** `n` bytes of it, NULL when it is full. They live as long as the vault; wipe them earlier with
 * vault_wipe. */
unsigned char *vault_take(struct vault *v, size_t n) must_check;
/** Bytes left. */
size_t vault_room(const struct vault *v);
void vault_wipe(void *p, size_t n);

#endif
