/* Parts of file names, hidden names beside a file, and what makes a name safe on disk. Local. */
#ifndef DM_STORE_PATH_TOOLS_H
#define DM_STORE_PATH_TOOLS_H

#include "base/status.h"

/** `path` without trailing slashes; malloc'd, NULL without memory. */
char *dm_path_trimmed(const char *path);
/** The last part of a path without trailing slashes: "c" in "/a/b/c", "c" in "c", "" in "/". */
const char *dm_path_base(const char *path);
/** The folder that holds `path`: "/a/b", ".", "/"; malloc'd, NULL without memory. */
char *dm_path_parent(const char *path);
/**
 * FOLDER/.NAME.SUFFIX for FOLDER/NAME; malloc'd, NULL without memory. Of a long NAME only as much is kept as fits with
 * a suffix of 48 bytes.
 * @param[out] cut  NAME is not all there (may be NULL)
 */
char *dm_path_hidden(const char *path, const char *suffix, bool *cut);
/**
 * fsync a file, or a folder (O_DIRECTORY in `flags`) so that the names in it are safe.
 * @retval DEMARC_ERR_IO
 */
demarc_status dm_path_sync(const char *path, int flags);

#endif
