/* SPDX-License-Identifier: MIT
 *
 * campaign_place.h - where an engine works, and the harvest of what it leaves there
 *
 * Engines write into places/NUMBER alone. What they keep is moved by rename(), inputs of the corpus
 * only after all of them are on the disk. Files that a full disk cut short are told by their names:
 * libFuzzer's are the SHA-1 of the contents. As long as something is not harvested, the file `who`
 * says of which target and flavour it is.
 */
#ifndef HEAPRIG_CAMPAIGN_PLACE_H
#define HEAPRIG_CAMPAIGN_PLACE_H

#include "campaign.h"

struct place {
    const struct campaign *campaign;
    const struct flavour *flavour;
    struct slice *slice;
    char folder[FILES_PATH];
    const struct tally *tally; /* of the process that ran last */
    bool programs;             /* inputs are programs (fuzz/program.h) */
    bool stuck;                /* something could not be taken: the disk is full */
};

void place_set(struct place *place, const struct campaign *campaign, unsigned number,
               const struct tally *tally, struct slice *slice);

/* The path of a file in the place; of the target's corpus. */
void place_path(const struct place *place, const char *name, char path[FILES_PATH]);
void place_corpus(const struct place *place, char path[FILES_PATH]);

/* Writes an input that ended the target to pending/, on a full disk into the room that was kept for
 * that. `maybe`: it counts only if it does so again. */
void place_pend(struct place *place, const unsigned char *bytes, size_t count, bool maybe);

/* Takes what libFuzzer kept as ending the target; returns how many inputs. */
size_t place_artifacts(struct place *place);

/* Takes all that an engine left; returns how many inputs ended the target. Sets `stuck`. */
size_t place_harvest(struct place *place);

/* Empties the folders that engines write to, and makes those that have to be there. */
bool place_clear(const struct place *place);

/* Takes what an interrupted slice left. False when that must wait for room on the disk. */
bool place_rescue(const struct campaign *campaign, unsigned number);

#endif
