/* The keys of a US keyboard: what each is called (UI Events, code and key values), its Windows
 * virtual key code, which DOM's keyCode shows, and where it lies. */
#include "browser/page/input.h"

#include <string.h>

struct key {
    const char *code;                    /* "KeyA" */
    const char *key;                     /* "a" */
    const char *shift_key;               /* "A"; NULL: the same */
    unsigned short number, shift_number; /* 0: the same */
    unsigned char location;              /* 0 standard, 1 left, 2 right, 3 numpad */
};

/* Of several keys of one name the first is meant. */
static const struct key keys[] = {
    {"Backspace", "Backspace", NULL, 8, 0, 0},
    {"Tab", "Tab", NULL, 9, 0, 0},
    {"Enter", "Enter", NULL, 13, 0, 0},
    {"ShiftLeft", "Shift", NULL, 16, 0, 1},
    {"ShiftRight", "Shift", NULL, 16, 0, 2},
    {"ControlLeft", "Control", NULL, 17, 0, 1},
    {"ControlRight", "Control", NULL, 17, 0, 2},
    {"AltLeft", "Alt", NULL, 18, 0, 1},
    {"AltRight", "Alt", NULL, 18, 0, 2},
    {"MetaLeft", "Meta", NULL, 91, 0, 1},
    {"MetaRight", "Meta", NULL, 92, 0, 2},
    {"Pause", "Pause", NULL, 19, 0, 0},
    {"CapsLock", "CapsLock", NULL, 20, 0, 0},
    {"Escape", "Escape", NULL, 27, 0, 0},
    {"Convert", "Convert", NULL, 28, 0, 0},
    {"NonConvert", "NonConvert", NULL, 29, 0, 0},
    {"Space", " ", NULL, 32, 0, 0},
    {"PageUp", "PageUp", NULL, 33, 0, 0},
    {"PageDown", "PageDown", NULL, 34, 0, 0},
    {"End", "End", NULL, 35, 0, 0},
    {"Home", "Home", NULL, 36, 0, 0},
    {"ArrowLeft", "ArrowLeft", NULL, 37, 0, 0},
    {"ArrowUp", "ArrowUp", NULL, 38, 0, 0},
    {"ArrowRight", "ArrowRight", NULL, 39, 0, 0},
    {"ArrowDown", "ArrowDown", NULL, 40, 0, 0},
    {"Select", "Select", NULL, 41, 0, 0},
    {"Open", "Execute", NULL, 43, 0, 0},
    {"PrintScreen", "PrintScreen", NULL, 44, 0, 0},
    {"Insert", "Insert", NULL, 45, 0, 0},
    {"Delete", "Delete", NULL, 46, 0, 0},
    {"Help", "Help", NULL, 6, 0, 0},
    {"Abort", "Cancel", NULL, 3, 0, 0},
    {"Power", "Power", NULL, 0, 0, 0},
    {"Eject", "Eject", NULL, 0, 0, 0},
    {"Digit0", "0", ")", 48, 0, 0},
    {"Digit1", "1", "!", 49, 0, 0},
    {"Digit2", "2", "@", 50, 0, 0},
    {"Digit3", "3", "#", 51, 0, 0},
    {"Digit4", "4", "$", 52, 0, 0},
    {"Digit5", "5", "%", 53, 0, 0},
    {"Digit6", "6", "^", 54, 0, 0},
    {"Digit7", "7", "&", 55, 0, 0},
    {"Digit8", "8", "*", 56, 0, 0},
    {"Digit9", "9", "(", 57, 0, 0},
    {"KeyA", "a", "A", 65, 0, 0},
    {"KeyB", "b", "B", 66, 0, 0},
    {"KeyC", "c", "C", 67, 0, 0},
    {"KeyD", "d", "D", 68, 0, 0},
    {"KeyE", "e", "E", 69, 0, 0},
    {"KeyF", "f", "F", 70, 0, 0},
    {"KeyG", "g", "G", 71, 0, 0},
    {"KeyH", "h", "H", 72, 0, 0},
    {"KeyI", "i", "I", 73, 0, 0},
    {"KeyJ", "j", "J", 74, 0, 0},
    {"KeyK", "k", "K", 75, 0, 0},
    {"KeyL", "l", "L", 76, 0, 0},
    {"KeyM", "m", "M", 77, 0, 0},
    {"KeyN", "n", "N", 78, 0, 0},
    {"KeyO", "o", "O", 79, 0, 0},
    {"KeyP", "p", "P", 80, 0, 0},
    {"KeyQ", "q", "Q", 81, 0, 0},
    {"KeyR", "r", "R", 82, 0, 0},
    {"KeyS", "s", "S", 83, 0, 0},
    {"KeyT", "t", "T", 84, 0, 0},
    {"KeyU", "u", "U", 85, 0, 0},
    {"KeyV", "v", "V", 86, 0, 0},
    {"KeyW", "w", "W", 87, 0, 0},
    {"KeyX", "x", "X", 88, 0, 0},
    {"KeyY", "y", "Y", 89, 0, 0},
    {"KeyZ", "z", "Z", 90, 0, 0},
    {"ContextMenu", "ContextMenu", NULL, 93, 0, 0},
    {"F1", "F1", NULL, 112, 0, 0},
    {"F2", "F2", NULL, 113, 0, 0},
    {"F3", "F3", NULL, 114, 0, 0},
    {"F4", "F4", NULL, 115, 0, 0},
    {"F5", "F5", NULL, 116, 0, 0},
    {"F6", "F6", NULL, 117, 0, 0},
    {"F7", "F7", NULL, 118, 0, 0},
    {"F8", "F8", NULL, 119, 0, 0},
    {"F9", "F9", NULL, 120, 0, 0},
    {"F10", "F10", NULL, 121, 0, 0},
    {"F11", "F11", NULL, 122, 0, 0},
    {"F12", "F12", NULL, 123, 0, 0},
    {"F13", "F13", NULL, 124, 0, 0},
    {"F14", "F14", NULL, 125, 0, 0},
    {"F15", "F15", NULL, 126, 0, 0},
    {"F16", "F16", NULL, 127, 0, 0},
    {"F17", "F17", NULL, 128, 0, 0},
    {"F18", "F18", NULL, 129, 0, 0},
    {"F19", "F19", NULL, 130, 0, 0},
    {"F20", "F20", NULL, 131, 0, 0},
    {"F21", "F21", NULL, 132, 0, 0},
    {"F22", "F22", NULL, 133, 0, 0},
    {"F23", "F23", NULL, 134, 0, 0},
    {"F24", "F24", NULL, 135, 0, 0},
    {"NumLock", "NumLock", NULL, 144, 0, 0},
    {"ScrollLock", "ScrollLock", NULL, 145, 0, 0},
    {"AudioVolumeMute", "AudioVolumeMute", NULL, 173, 0, 0},
    {"AudioVolumeDown", "AudioVolumeDown", NULL, 174, 0, 0},
    {"AudioVolumeUp", "AudioVolumeUp", NULL, 175, 0, 0},
    {"MediaTrackNext", "MediaTrackNext", NULL, 176, 0, 0},
    {"MediaTrackPrevious", "MediaTrackPrevious", NULL, 177, 0, 0},
    {"MediaStop", "MediaStop", NULL, 178, 0, 0},
    {"MediaPlayPause", "MediaPlayPause", NULL, 179, 0, 0},
    {"Semicolon", ";", ":", 186, 0, 0},
    {"Equal", "=", "+", 187, 0, 0},
    {"Comma", ",", "<", 188, 0, 0},
    {"Minus", "-", "_", 189, 0, 0},
    {"Period", ".", ">", 190, 0, 0},
    {"Slash", "/", "?", 191, 0, 0},
    {"Backquote", "`", "~", 192, 0, 0},
    {"BracketLeft", "[", "{", 219, 0, 0},
    {"Backslash", "\\", "|", 220, 0, 0},
    {"BracketRight", "]", "}", 221, 0, 0},
    {"Quote", "'", "\"", 222, 0, 0},
    {"AltGraph", "AltGraph", NULL, 225, 0, 0},
    {"Props", "CrSel", NULL, 247, 0, 0},
    {"", "Accept", NULL, 30, 0, 0},
    {"", "ModeChange", NULL, 31, 0, 0},
    {"", "Print", NULL, 42, 0, 0},
    {"", "Attn", NULL, 246, 0, 0},
    {"", "ExSel", NULL, 248, 0, 0},
    {"", "EraseEof", NULL, 249, 0, 0},
    {"", "Play", NULL, 250, 0, 0},
    {"", "ZoomOut", NULL, 251, 0, 0},
    {"SoftLeft", "SoftLeft", NULL, 0, 0, 4},
    {"SoftRight", "SoftRight", NULL, 0, 0, 4},
    {"Camera", "Camera", NULL, 44, 0, 4},
    {"Call", "Call", NULL, 0, 0, 4},
    {"EndCall", "EndCall", NULL, 95, 0, 4},
    {"VolumeDown", "VolumeDown", NULL, 182, 0, 4},
    {"VolumeUp", "VolumeUp", NULL, 183, 0, 4},
    {"Numpad0", "Insert", "0", 45, 96, 3},
    {"Numpad1", "End", "1", 35, 97, 3},
    {"Numpad2", "ArrowDown", "2", 40, 98, 3},
    {"Numpad3", "PageDown", "3", 34, 99, 3},
    {"Numpad4", "ArrowLeft", "4", 37, 100, 3},
    {"Numpad5", "Clear", "5", 12, 101, 3},
    {"Numpad6", "ArrowRight", "6", 39, 102, 3},
    {"Numpad7", "Home", "7", 36, 103, 3},
    {"Numpad8", "ArrowUp", "8", 38, 104, 3},
    {"Numpad9", "PageUp", "9", 33, 105, 3},
    {"NumpadDecimal", "Delete", ".", 46, 110, 3},
    {"NumpadEnter", "Enter", NULL, 13, 0, 3},
    {"NumpadMultiply", "*", NULL, 106, 0, 3},
    {"NumpadAdd", "+", NULL, 107, 0, 3},
    {"NumpadSubtract", "-", NULL, 109, 0, 3},
    {"NumpadDivide", "/", NULL, 111, 0, 3},
    {"NumpadEqual", "=", NULL, 187, 0, 3},
};

_Static_assert(ARRAY_LEN(keys) <= sizeof(((struct keys *)0)->down) * 8, "a bit a key");

enum { BY_CODE, BY_KEY, BY_SHIFT_KEY, BY_COUNT };

static bool is_named(const struct key *k, int by, const char *name)
{
    const char *const own[BY_COUNT] = {k->code, k->key, k->shift_key};

    return own[by] != NULL && own[by][0] != '\0' && strcmp(own[by], name) == 0;
}

/* By where it is, then by what it types alone, then by what it types with Shift. */
static const struct key *find(const char *name, int *by)
{
    if (strcmp(name, "\n") == 0 || strcmp(name, "\r") == 0)
        name = "Enter";
    for (*by = 0; *by < BY_COUNT; ++*by)
        for (size_t i = 0; i < ARRAY_LEN(keys); i++)
            if (is_named(&keys[i], *by, name))
                return &keys[i];
    return NULL;
}

bool key_is_known(const char *name)
{
    int by;

    return find(name, &by) != NULL;
}

const char *key_suggest(const char *name)
{
    const char *names[ARRAY_LEN(keys) * 2];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        names[n++] = keys[i].key;
        if (keys[i].code[0] != '\0')
            names[n++] = keys[i].code;
    }
    return str_suggest(str_from(name), names, n);
}

static unsigned modifier_of(const struct key *k)
{
    static const struct {
        const char *key;
        unsigned bit;
    } bits[] = {
        {"Alt", KEY_ALT}, {"Control", KEY_CONTROL}, {"Meta", KEY_META}, {"Shift", KEY_SHIFT}};

    for (size_t i = 0; i < ARRAY_LEN(bits); i++)
        if (strcmp(k->key, bits[i].key) == 0)
            return bits[i].bit;
    return 0;
}

static bool mark(struct keys *k, const struct key *row, bool down)
{
    size_t i = (size_t)(row - keys);
    uint64_t bit = UINT64_C(1) << (i % 64);
    bool was = (k->down[i / 64] & bit) != 0;

    if (down)
        k->down[i / 64] |= bit;
    else
        k->down[i / 64] &= ~bit;
    return was;
}

static void add_str(struct buf *b, const char *name, const char *value)
{
    buf_addf(b, ",\"%s\":", name);
    json_print_str(str_from(value), b);
}

/* Text comes with a key when no modifier but Shift is held. */
static const char *text_of(const struct keys *k, const char *key)
{
    if ((k->modifiers & ~(unsigned)KEY_SHIFT) != 0)
        return "";
    if (strcmp(key, "Enter") == 0)
        return "\r";
    return key[0] != '\0' && key[1] == '\0' ? key : "";
}

void key_event(struct keys *k, const char *name, bool down, struct buf *b)
{
    int by;
    const struct key *row = find(name, &by);
    bool shifted = (k->modifiers & KEY_SHIFT) != 0, repeat;
    const char *key, *text;
    unsigned number;

    BUG_ON(row == NULL);
    key = by == BY_SHIFT_KEY || (by == BY_CODE && shifted && row->shift_key != NULL)
              ? row->shift_key
              : row->key;
    number = by == BY_CODE && shifted && row->shift_number != 0 ? row->shift_number : row->number;
    repeat = mark(k, row, down);
    if (down)
        k->modifiers |= modifier_of(row);
    else
        k->modifiers &= ~modifier_of(row);
    text = text_of(k, key);
    buf_addf(b, "{\"type\":\"%s\",\"modifiers\":%u,\"windowsVirtualKeyCode\":%u,\"location\":%u",
             !down             ? "keyUp"
             : text[0] != '\0' ? "keyDown"
                               : "rawKeyDown",
             k->modifiers, number, row->location);
    add_str(b, "code", row->code);
    add_str(b, "key", key);
    if (down && text[0] != '\0') {
        add_str(b, "text", text);
        add_str(b, "unmodifiedText", text);
    }
    if (down)
        buf_addf(b, ",\"autoRepeat\":%s,\"isKeypad\":%s", repeat ? "true" : "false",
                 row->location == 3 ? "true" : "false");
    buf_addc(b, '}');
}
