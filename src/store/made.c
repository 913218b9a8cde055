#include "store/made.h"

#include <stdio.h>
#include <string.h>

#include "store/hdf5_read.h"

#define REMEDY "give an output of demarc"

static const char *const word[] = {"made_by", "options_digest", "data_digest"};

demarc_status dm_made_write(dm_writer *w, const dm_made *made)
{
    demarc_status st = DEMARC_OK;
    if (made == NULL || made->by[0] == 0) return DEMARC_OK;
    const char *const value[] = {made->by, made->options, made->data};
    for (int i = 0; i < 3; i++) DM_TRY(dm_writer_attribute_text(w, "/", word[i], value[i]));
    if (made->reported) DM_TRY(dm_writer_strings(w, "/report", 1, &made->report));
cleanup:
    return st;
}

demarc_status dm_made_read(const char *path, dm_made *made)
{
    demarc_status st = DEMARC_OK;
    hid_t file = DM_HDF5_NONE;
    dm_strings text = {0};
    bool present = false;
    *made = (dm_made){0};
    char *const value[] = {made->by, made->options, made->data};
    const size_t room[] = {sizeof made->by, sizeof made->options, sizeof made->data};
    DM_TRY(dm_hdf5_start());
    DM_TRY(dm_hdf5_open_read(&file, path, REMEDY));
    for (int i = 0; i < 3; i++) {
        DM_TRY(dm_hdf5_attribute_texts(file, path, "/", word[i], &text, &present));
        if (!present || text.count != 1 || strlen(text.item[0]) >= room[i]) {
            *made = (dm_made){0};
            break;
        }
        snprintf(value[i], room[i], "%s", text.item[0]);
    }
cleanup:
    if (st != DEMARC_OK) *made = (dm_made){0};
    dm_strings_clear(&text);
    dm_hdf5_close(&file);
    return st == DEMARC_ERR_DATA ? DEMARC_OK : st; /* somebody else's file */
}

demarc_status dm_made_report(const char *path, char **report)
{
    demarc_status st = DEMARC_OK;
    hid_t file = DM_HDF5_NONE;
    dm_strings text = {0};
    DM_TRY(dm_hdf5_start());
    DM_TRY(dm_hdf5_open_read(&file, path, REMEDY));
    DM_TRY(dm_hdf5_dataset_texts(file, path, "/report", &text));
    if (text.count != 1) DM_TRY(dm_fail(DEMARC_ERR_DATA, "not one text: %s, /report: " REMEDY, path));
    *report = text.item[0];
    text.item[0] = NULL;
cleanup:
    dm_strings_clear(&text);
    dm_hdf5_close(&file);
    return st;
}
