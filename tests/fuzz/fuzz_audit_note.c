/* A signed note, a checkpoint and a vkey from elsewhere. */
#include <stdint.h>
#include <stdlib.h>

#include "core/record/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char key[32] = {1};
    struct str note = str_n((const char *)data, size), text;
    unsigned char public_key[32];
    char name[NOTE_NAME_MAX], again[NOTE_VKEY_MAX];
    struct checkpoint c, same;
    struct buf b = BUF_INIT(NOTE_MAX);

    BUG_ON(note_check(note, "fleet/fuzz", key) == NOTE_OK);
    if (note_text(note, &text)) {
        BUG_ON(text.len >= size || text.ptr[text.len - 1] != '\n');
        if (checkpoint_parse(text, &c)) {
            checkpoint_write(&c, &b);
            BUG_ON(!checkpoint_parse(buf_str(&b), &same) || same.size != c.size);
            BUG_ON(!merkle_eq(&same.root, &c.root) || strcmp(same.origin, c.origin) != 0);
        }
    }
    if (note_vkey_parse(note, name, public_key))
        BUG_ON(!str_eqz(note, note_vkey(name, public_key, again)));
    buf_deinit(&b);
    return 0;
}
