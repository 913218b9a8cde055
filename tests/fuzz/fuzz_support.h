/*
 * What the fuzz targets share. A target is one file fuzz_X.c with libFuzzer's entry point (Serebryany 2016); it links
 * either libFuzzer (DEMARC_FUZZ) or fuzz_replay.c, which feeds it the files of corpus/X.
 */
#ifndef DM_TEST_FUZZ_SUPPORT_H
#define DM_TEST_FUZZ_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

#include "comm/comm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Path of a file with these bytes in $TMPDIR, the same file at every call, removed at exit; aborts without one. */
const char *fuzz_file(const uint8_t *data, size_t size);

/** The one-rank stand-in, made once. */
dm_comm *fuzz_comm(void);

/** A refusal must say why in one line; aborts otherwise. `st` is returned. With FUZZ_TRACE set it is printed. */
demarc_status fuzz_expect(demarc_status st);

#endif
