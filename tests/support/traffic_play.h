/* Recorded DevTools events for browser/page/traffic.h: {"method", "params"} a line. */
#ifndef TESTS_SUPPORT_TRAFFIC_PLAY_H
#define TESTS_SUPPORT_TRAFFIC_PLAY_H

#include "browser/page/traffic.h"

/** Plays them into `t`, as events of a tab whose main frame is `frame`. Lines that are no such
 * event are passed over. Page.loadEventFired and its like are those of the newest page. */
void traffic_play(struct traffic *t, struct str lines, const char *frame);

#endif
