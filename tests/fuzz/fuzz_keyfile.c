/* The text of a key file or variable, private and public. */
#include <stdint.h>
#include <stdlib.h>

#include "core/record/keyfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_n((const char *)data, size);
    unsigned char keys[4][SIGN_PUBLIC], again[1][SIGN_PUBLIC];
    struct err e = ERR_INIT;
    struct sign_key *k = sign_key_parse(text, "fuzz", &e);
    struct buf pem = BUF_INIT(1024);
    size_t n = 0, m = 0;

    BUG_ON(!k && (e.status != STATUS_INVALID || !e.text[0]));
    sign_key_destroy(&k);
    if (public_key_parse(text, "fuzz", keys, 4, &n, &e) == STATUS_OK) {
        BUG_ON(n == 0 || n > 4);
        public_key_pem(keys[0], &pem);
        BUG_ON(public_key_parse(buf_str(&pem), "again", again, 1, &m, &e) != STATUS_OK);
        BUG_ON(memcmp(keys[0], again[0], SIGN_PUBLIC) != 0);
    }
    buf_deinit(&pem);
    return 0;
}
