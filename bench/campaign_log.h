/* SPDX-License-Identifier: MIT
 *
 * campaign_log.h - slices.tsv: a line for each slice, appended when it has ended
 *
 * A line is written at once, so a torn one can only be the last: it is not read.
 */
#ifndef HEAPRIG_CAMPAIGN_LOG_H
#define HEAPRIG_CAMPAIGN_LOG_H

#include "campaign.h"

struct slices {
    struct slice *list;
    size_t count, room;
};

/* A slice without features, since nobody could measure them in time, is given those of the target's
 * slice before, and its edges. False and *problem when the disk is full or memory is out; the slice
 * is in the list in any case that memory allows. */
bool slices_append(const struct campaign *campaign, struct slices *slices, struct slice *slice,
                   struct problem *problem);

/* Reads what is there; no file is an empty list. `mend`: cuts off a torn line, since this process
 * is the one that appends. */
bool slices_read(const struct campaign *campaign, bool mend, struct slices *slices,
                 struct problem *problem);
void slices_release(struct slices *slices);

#endif
