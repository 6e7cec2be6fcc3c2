/* Document requests held at the network layer until the gate lets them go: the op page.document.
 *
 * One Fetch.enable on the browser's root session pauses every document request of every frame of
 * every context, from the first byte on: also those of popups and of frames in processes that
 * nobody is attached to yet. Twice: before the request leaves, and when the head of the answer is
 * there (status, Retry-After, the forwarder's word), so that the Network domain need not be on.
 *
 *   hold:  paused -> (gate) -> sent -> answered | failed | given up -> over
 *
 * The first request of a page.navigate, to the place its own op was admitted for, goes on at once
 * and is that op's. */
#ifndef BROWSER_PAGE_NETWORK_H
#define BROWSER_PAGE_NETWORK_H

#include "core/op/op.h"

/** The run function of page.document. Its call's ctx is the hold. */
void network_document_run(struct op_call *call);

#endif
