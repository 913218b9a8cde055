/*
 * What each column of a CSV is for: the options of `import` applied to the header. Local.
 *
 * A column in use becomes one slot (two when it is a feature and an outcome at once) of a packed row: doubles first,
 * then int32 level codes, then flag bytes; the text of the id follows outside the packed row.
 */
#ifndef DM_EXCHANGE_IMPORT_COLUMNS_H
#define DM_EXCHANGE_IMPORT_COLUMNS_H

#include "base/text.h"
#include "exchange/csv_reader.h"
#include "exchange/import_levels.h"

typedef enum dm_slot_kind {
    DM_SLOT_NUMBER,    /* feature; double */
    DM_SLOT_CATEGORY,  /* feature, one-hot; int32 level code, -1 = missing */
    DM_SLOT_OUTCOME,   /* double */
    DM_SLOT_WEIGHT,    /* double */
    DM_SLOT_ARM,       /* int32 level code */
    DM_SLOT_REACHABLE, /* uint8 */
    DM_SLOT_ID         /* text */
} dm_slot_kind;

typedef struct dm_slot {
    dm_slot_kind kind;
    int32_t column; /* of the CSV */
    int32_t first;  /* index among the outcomes or channels; the first feature once the levels are known */
    int32_t levels; /* index into dm_import_columns.levels; -1 = none */
    int64_t at;     /* byte in the packed row */
} dm_slot;

typedef struct dm_import_columns {
    dm_strings name; /* header; surrounding spaces cut; "column_N" (1-based) where it is empty */
    dm_slot *slot;   /* [slots], by CSV column */
    int32_t slots;
    dm_levels *levels; /* one set per CATEGORY and ARM slot */
    int32_t level_sets;
    int32_t outcomes, channels;
    bool id, weight, arm;
    int64_t row_bytes; /* packed row */
} dm_import_columns;

/**
 * Apply the options to the header. A zeroed struct is cleared by dm_import_columns_clear, also after an error.
 *
 * Features are --features and --categorical, or every column without another role when --features is not given; they
 * stand in file order. Outcomes and channels stand in the order of their option.
 *
 * @param[in] file  name of the input, for error lines
 * @retval DEMARC_ERR_USAGE  an option names no column, or two that exclude each other name the same
 * @retval DEMARC_ERR_DATA   columns in use share a name or have none
 */
demarc_status dm_import_columns_plan(dm_import_columns *c, const dm_csv_record *header, const demarc_import_options *o,
                                     const char *file);
void dm_import_columns_clear(dm_import_columns *c);

#endif
