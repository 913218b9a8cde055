/* Whether a file may lead to others: --allow-external. */
#ifndef DM_STORE_EXTERNAL_H
#define DM_STORE_EXTERNAL_H

#include <stdbool.h>

/**
 * For the files this process opens from now on: false (as it starts) refuses links to other files, values that lie in other
 * files, and filters that HDF5 would load as code. Every public function sets what its context says. Local.
 */
void dm_external_allow(bool allowed);
bool dm_external_allowed(void);

#endif
