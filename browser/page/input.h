/* Real input events: mouse, touch and keys, sent to the page's main target, where the browser finds
 * who gets them (frames in other processes as well). Loop thread only. */
#ifndef BROWSER_PAGE_INPUT_H
#define BROWSER_PAGE_INPUT_H

#include "browser/page/page.h"

/* --- keys (keys.c): a US keyboard, with Puppeteer's names --- */

enum { KEY_ALT = 1, KEY_CONTROL = 2, KEY_META = 4, KEY_SHIFT = 8 };

/** What is held down. Zeroed: nothing. */
struct keys {
    unsigned modifiers; /* KEY_* */
    uint64_t down[3];   /* bits: rows of the table */
};

/** `name`: what the key types ("a", "A", "%", "Enter"), or where it is ("KeyA", "Digit5",
 * "ShiftLeft"). */
bool key_is_known(const char *name);
/** The known name nearest to one that is not, or NULL. */
const char *key_suggest(const char *name);
/** Presses or releases the key in *k and appends the params of Input.dispatchKeyEvent to *b.
 * Unknown names are a BUG. */
void key_event(struct keys *k, const char *name, bool down, struct buf *b);

/* --- doing --- */

struct input;
/** OK: the page has handled the events. CLOSED: its target went away under them (closed by its own
 * script). */
typedef void input_fn(void *arg, enum status s, const struct err *e);

enum mouse_button { MOUSE_LEFT, MOUSE_MIDDLE, MOUSE_RIGHT, MOUSE_BACK, MOUSE_FORWARD };
enum pointer { POINTER_MOUSE, POINTER_PEN, POINTER_TOUCH };

/* A drag is a press at one place and a drop at another one. */
enum mouse_part { MOUSE_CLICK, MOUSE_PRESS, MOUSE_DROP };

struct input_click {
    struct frame_ref frame;  /* whose viewport x and y are in */
    double x, y;             /* CSS pixels */
    double frame_w, frame_h; /* size of that viewport; 0: not scaled by frames around it */
    unsigned count;          /* 0: the pointer only moves there; 1 click, 2 double click */
    enum mouse_button button;
    enum pointer pointer;
    uint64_t hold_ms; /* between press and release of the last click */
    uint64_t deadline_ms;
    enum mouse_part part;
    double from_x, from_y; /* DROP: where it was pressed, as input_point told */
};
/** Moves, presses and releases; one write when nothing is held. `keys` modifies it. */
struct input *input_click(struct page *p, struct loop *l, const struct input_click *c,
                          const struct keys *keys, input_fn *fn, void *arg);

/** Where the pointer is, in the main frame's viewport: for the callback of
 * input_click. */
void input_point(const struct input *i, double *x, double *y);
/** A button that was pressed and has nothing to be dropped on is let go there; nobody waits. */
void input_let_go(struct page *p, double x, double y);

/** One key goes down or up. */
struct input *input_key(struct page *p, struct loop *l, struct keys *keys, const char *name,
                        bool down, uint64_t deadline_ms, input_fn *fn, void *arg);

/** Types the text (UTF-8) into what has the focus: key events for characters that have a key,
 * insertion for others; all of it inserted at once past INPUT_TYPED_MAX bytes. `erase`: one
 * Backspace instead (of what is selected). */
struct input *input_type(struct page *p, struct loop *l, struct keys *keys, struct str text,
                         bool erase, uint64_t deadline_ms, input_fn *fn, void *arg);
enum { INPUT_TYPED_MAX = 100 };

/** The callback comes soon, with `why`. */
void input_cancel(struct input *i, enum status why);

#endif
