/* What can be said of a selector before there is a page: brackets and quotes that do not match,
 * ends where something must follow. No parser: what passes may still be refused by the page. Pure.
 */
#ifndef BROWSER_PAGE_SELECTOR_CHECK_H
#define BROWSER_PAGE_SELECTOR_CHECK_H

#include "core/base/str.h"

enum { SELECTOR_WHY_MAX = 120 };

/** A CSS selector (list). False: `why` says what is wrong and where. Text with "{{" passes: what
 * comes in its place is not known. */
bool selector_css_sound(struct str text, char why[SELECTOR_WHY_MAX]);
/** The same of an XPath 1.0 expression. */
bool selector_xpath_sound(struct str text, char why[SELECTOR_WHY_MAX]);

/** What follows "aria/": a name, [role="..."] and [name="..."]. Brackets of other shapes are text
 * of the name, as in Puppeteer; false for one that was meant as an attribute and is none. */
bool selector_aria_sound(struct str text, char why[SELECTOR_WHY_MAX]);

/** `[ name = "value" ]` at the start of *s: true, and past it. */
bool selector_take_attribute(struct str *s, struct str *name, struct str *value);

#endif
