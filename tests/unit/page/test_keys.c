#include "browser/page/input.h"

#include "tests/support/testing.h"

static struct keys held;

static const char *event(const char *name, bool down)
{
    static char text[512];
    struct buf b = BUF_INIT(sizeof(text) - 1);

    key_event(&held, name, down, &b);
    (void)snprintf(text, sizeof(text), "%s", b.ptr);
    buf_deinit(&b);
    return text;
}

static void names(void **state)
{
    static const char *const known[] = {"a",     "A",       "5",       "%",         "Enter", "\n",
                                        "\r",    "KeyA",    "Digit5",  "ShiftLeft", "F12",   " ",
                                        "Space", "ArrowUp", "Numpad4", "\"",        "\\",    "~"};
    static const char *const unknown[] = {"", "ab", "é", "Entre", "keya", "F25"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        assert_true(key_is_known(known[i]));
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        assert_false(key_is_known(unknown[i]));
    for (char c = ' '; c < 127; c++)
        assert_true(key_is_known((char[]){c, '\0'}));
    assert_string_equal(key_suggest("Entre"), "Enter");
}

static void plain_keys(void **state)
{
    (void)state;
    held = (struct keys){0};
    assert_string_equal(event("a", true),
                        "{\"type\":\"keyDown\",\"modifiers\":0,\"windowsVirtualKeyCode\":65,"
                        "\"location\":0,\"code\":\"KeyA\","
                        "\"key\":\"a\",\"text\":\"a\",\"unmodifiedText\":\"a\",\"autoRepeat\":"
                        "false,\"isKeypad\":false}");
    assert_non_null(strstr(event("a", true), "\"autoRepeat\":true"));
    assert_string_equal(
        event("a", false),
        "{\"type\":\"keyUp\",\"modifiers\":0,\"windowsVirtualKeyCode\":65,\"location\":0,"
        "\"code\":\"KeyA\",\"key\":\"a\"}");
    assert_non_null(strstr(event("%", true), "\"windowsVirtualKeyCode\":53,\"location\":0,\"code\":"
                                             "\"Digit5\",\"key\":\"%\",\"text\":\"%\""));
    assert_non_null(
        strstr(event("\n", true), "\"code\":\"Enter\",\"key\":\"Enter\",\"text\":\"\\r\""));
    assert_non_null(strstr(event("Escape", true), "{\"type\":\"rawKeyDown\""));
    assert_non_null(
        strstr(event("NumpadAdd", true),
               "\"text\":\"+\",\"unmodifiedText\":\"+\",\"autoRepeat\":false,\"isKeypad\":true"));
}

/* Modifiers stay until they are released. */
static void modifiers(void **state)
{
    (void)state;
    held = (struct keys){0};
    assert_non_null(strstr(
        event("Shift", true),
        "\"modifiers\":8,\"windowsVirtualKeyCode\":16,\"location\":1,\"code\":\"ShiftLeft\""));
    assert_non_null(strstr(event("KeyB", true), "\"key\":\"B\",\"text\":\"B\""));
    assert_non_null(strstr(event("Digit1", true), "\"key\":\"!\",\"text\":\"!\""));
    assert_non_null(
        strstr(event("Numpad4", true),
               "\"windowsVirtualKeyCode\":100,\"location\":3,\"code\":\"Numpad4\",\"key\":\"4\""));
    assert_non_null(strstr(event("b", true), "\"key\":\"b\""));
    assert_non_null(strstr(event("ControlRight", true), "\"modifiers\":10"));
    assert_non_null(strstr(event("KeyA", true), "{\"type\":\"rawKeyDown\",\"modifiers\":10"));
    assert_null(strstr(event("KeyA", true), "\"text\""));
    assert_non_null(strstr(event("Shift", false), "\"modifiers\":2"));
    assert_non_null(strstr(event("Control", false), "\"modifiers\":0"));
    assert_int_equal(held.modifiers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(plain_keys),
        cmocka_unit_test(modifiers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
