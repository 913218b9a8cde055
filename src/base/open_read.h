/* Opening a file of text that may come from a pipe. Local. */
#ifndef DM_BASE_OPEN_READ_H
#define DM_BASE_OPEN_READ_H

/**
 * Open `path` for reading, as open() does. A named pipe is given some seconds for somebody to write to it, where open()
 * would wait for ever; one who then writes slowly is waited for.
 * @return file descriptor; -1 with errno, which is ENXIO for a pipe that nobody writes to
 */
int dm_open_read(const char *path);

#endif
