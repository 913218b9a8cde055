/*
 * From the packed rows to the columns of a customer file: names, arm codes, one-hot columns. Local, rank 0; but the
 * shape is plain data that rank 0 shares with the others.
 */
#ifndef DM_EXCHANGE_IMPORT_LAYOUT_H
#define DM_EXCHANGE_IMPORT_LAYOUT_H

#include "exchange/import_rows.h"

/** What is in the customer file. Plain data. */
typedef struct dm_import_shape {
    int64_t n, missing;
    int32_t features, outcomes, channels;
    int32_t arm_names; /* 0 = arms are the file's own integers */
    int64_t id_size;   /* bytes per string id; 0 = int64 */
    bool id, weight, arm, control, float32;
    int64_t block_rows; /* rows per step of the copy */
} dm_import_shape;

typedef struct dm_import_layout {
    dm_import_shape shape;
    dm_strings feature, outcome, channel, arm;
    int32_t **rank; /* [level_sets]: feature offset or arm code of every level */
    int32_t level_sets;
} dm_import_layout;

/** A block of rows as the datasets want them; NULL where there is no such dataset. */
typedef struct dm_import_block {
    void *features; /* float or double [rows, features] */
    double *outcomes, *weight;
    int32_t *arm;
    uint8_t *reachable;
    void *id;         /* int64 [rows], or char [rows, id_size] NUL-padded */
    char *row, *text; /* one packed row, one id */
} dm_import_block;

/**
 * Name and number everything now that all levels are known. Zero `l` first; cleared by dm_import_layout_clear.
 * @retval DEMARC_ERR_USAGE  --control never occurs
 * @retval DEMARC_ERR_DATA   a categorical column is empty, two features have one name, too many features
 */
demarc_status dm_import_layout_make(dm_import_layout *l, dm_import_rows *rows, const demarc_import_options *o);
void dm_import_layout_clear(dm_import_layout *l);

demarc_status dm_import_block_create(dm_import_block *b, const dm_import_layout *l, const dm_import_rows *rows);
/** Unpack the next `count` rows of the spool. */
demarc_status dm_import_block_fill(dm_import_block *b, const dm_import_layout *l, dm_import_rows *rows, int64_t count);
void dm_import_block_clear(dm_import_block *b);

#endif
