/* Long work of single ranks that meets nobody (fsync of large files), while the others wait for it. */
#ifndef DM_COMM_MEANWHILE_H
#define DM_COMM_MEANWHILE_H

#include "comm/comm.h"

/**
 * Every rank does its work, in a thread where there are others; who is done asks the others ten times a second, so that
 * --stall-timeout strikes who is gone and not who works. Collective.
 * @param[in] work  must not call MPI; NULL = nothing to do
 * @return this rank's own status, which is not agreed on
 */
demarc_status dm_comm_meanwhile(dm_comm *comm, demarc_status (*work)(void *context), void *context);

#endif
