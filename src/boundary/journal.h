/*
 * What a long boundary command has found so far, so that it can be saved at any edge and gone on with by another run.
 *
 * A command is a sequence of steps, the same on all ranks and for every layout. A step that is done is an entry: a name and
 * bytes. A step that is under way is a frame: a name and a function that packs its state when a save asks for it; frames nest.
 * Saved are all entries and frames in their order. The run that goes on makes the same steps in the same order; each asks by
 * its name, which no other step has, for what is left of it, and does not work for what it finds. What it does not find it
 * makes anew, to the same bytes. So a step whose shape depends on memory or threads has that shape in its name.
 *
 * What was left is read by all ranks; entries are kept by rank 0 alone. Any layout can go on with them.
 */
#ifndef DM_BOUNDARY_JOURNAL_H
#define DM_BOUNDARY_JOURNAL_H

#include "base/packing.h"
#include "comm/comm.h"

typedef struct dm_journal dm_journal;

/** Collective; what rank 0 puts into p is saved, and the caller goes on working afterwards. */
typedef demarc_status (*dm_journal_pack_fn)(void *context, dm_packer *p);

/**
 * @param[in] edge          called where work may stop (collective; not DEMARC_OK: all ranks leave); it may call
 *                          dm_journal_pack(). NULL = never
 * @param[in] window_blocks row blocks between two edges; 0 = as many as take about a second
 * @retval DEMARC_ERR_MEMORY
 */
demarc_status dm_journal_create(dm_journal **out, dm_comm *comm, demarc_status (*edge)(void *context), void *context,
                                int64_t window_blocks);
/** Safe on NULL. */
void dm_journal_destroy(dm_journal **j);

/** Collective. */
demarc_status dm_journal_edge(dm_journal *j);
/** Local. */
int64_t dm_journal_window(const dm_journal *j);

/** All entries and frames into p. Collective. */
demarc_status dm_journal_pack(dm_journal *j, dm_packer *p);
/**
 * What dm_journal_pack() made in an earlier run, to be found by the steps of this one. Local, the same on all ranks.
 * @param[in,out] u  read to its end; its bytes are borrowed by the journal
 * @retval DEMARC_ERR_DATA  it is none
 */
demarc_status dm_journal_unpack(dm_journal *j, dm_unpacker *u);

/*
 * All of the following take j == NULL: nothing is left, kept or stopped. Names are cut after 95 bytes.
 */

/**
 * What is left of the step of this name; what was left of steps before it is forgotten. Local, the same on all ranks.
 * @param[out] u  its bytes, borrowed
 * @return false: nothing
 */
bool dm_journal_find(dm_journal *j, const char *name, dm_unpacker *u);
/** Refuse what a step found if it did not read it to its end. @retval DEMARC_ERR_DATA */
demarc_status dm_journal_read(const dm_unpacker *u);

/** Number of entries and frames, for dm_journal_drop(). Local. */
int32_t dm_journal_mark(const dm_journal *j);
/** Forget entries and frames from the mark on. Local. */
void dm_journal_drop(dm_journal *j, int32_t mark);
/** A step is done. Local. @param[in] p  rank 0: its bytes, taken over; elsewhere ignored */
demarc_status dm_journal_note(dm_journal *j, const char *name, dm_packer *p);
/** A step begins; until dm_journal_drop() its state can be asked for at any edge. Local. */
demarc_status dm_journal_open(dm_journal *j, const char *name, dm_journal_pack_fn pack, void *context);

#endif
