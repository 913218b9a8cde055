/* What the customer_*.c files share; for nobody else. */
#ifndef DM_STORE_CUSTOMER_INTERNAL_H
#define DM_STORE_CUSTOMER_INTERNAL_H

#include "store/customer_file.h"
#include "store/hdf5_column.h"

typedef enum dm_part {
    DM_PART_FEATURES,
    DM_PART_ID,
    DM_PART_WEIGHT,
    DM_PART_OUTCOMES,
    DM_PART_ARM,
    DM_PART_PROPENSITY,
    DM_PART_REACHABLE,
    DM_PARTS
} dm_part;

struct dm_customers {
    char *path;
    char *name[DM_PARTS]; /* path inside the file */
    dm_part base;         /* must exist and gives the number of rows */
    bool asked[DM_PARTS]; /* named by the user: must exist */
    bool present[DM_PARTS];
    dm_column part[DM_PARTS]; /* open when present */
    hid_t file;
    dm_schema schema;
    uint8_t *outcome_used; /* [outcomes] NULL = all are */
};

/** Open every dataset that is there and fill the schema. Local. */
demarc_status dm_customers_describe(dm_customers *c);

#endif
