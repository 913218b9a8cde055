#include "boundary/sweep_rings.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "boundary/block_pass.h"

/* Shifts of one sign stand in `order` from *first to *end. */
static void side_of(const dm_sweep_rings *g, bool wider, int32_t *first, int32_t *end)
{
    *first = wider ? 0 : g->wider;
    *end = wider ? g->wider : g->shifts;
}

int32_t dm_sweep_ring_of(const dm_sweep_rings *g, const dm_frozen_block *b, int64_t r, int32_t j)
{
    const bool member = b->segment[r] == j;
    const int32_t at = j * g->shifts;
    int32_t first = 0, end = 0;
    side_of(g, !member, &first, &end);
    while (end > first && !g->cut[at + g->order[end - 1]].possible) end--;
    if (end == first) return -1;
    /* A member moves where it is not inside, another where it is. Most rows are not moved by the farthest cut. */
    if (dm_cuts_inside(g->cuts, at + g->order[end - 1], b, r) == member) return -1;
    while (first < end - 1 && dm_cuts_inside(g->cuts, at + g->order[first], b, r) == member) first++;
    return at + g->order[first];
}

typedef struct ring_count {
    const dm_sweep_rings *g;
    int64_t *rows; /* [k, shifts, k]; all threads add to one */
} ring_count;

static void count_block(void *context, int thread, const dm_frozen_block *b)
{
    (void)thread;
    const ring_count *c = context;
    for (int64_t r = 0; r < b->rows; r++) {
        for (int32_t j = 0; j < b->k; j++) {
            const int32_t cut = dm_sweep_ring_of(c->g, b, r, j);
            if (cut < 0) continue;
            (void)__atomic_fetch_add(&c->rows[(int64_t)cut * b->k + dm_other_segment(b, r, j)], 1, __ATOMIC_RELAXED);
        }
    }
}

static int nearer(const void *a, const void *b, void *shifts)
{
    const double *cut = shifts;
    const int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    if ((cut[i] > 0.0) != (cut[j] > 0.0)) return cut[i] > 0.0 ? -1 : 1;
    return fabs(cut[i]) < fabs(cut[j]) ? -1 : fabs(cut[i]) > fabs(cut[j]);
}

static demarc_status order_shifts(dm_sweep_rings *g)
{
    demarc_status st = DEMARC_OK;
    double *shift = NULL;
    DM_TRY(dm_alloc(shift, g->shifts, "shifts"));
    DM_TRY(dm_alloc(g->order, g->shifts, "shifts"));
    for (int32_t s = 0; s < g->shifts; s++) {
        shift[s] = g->cut[s].shift;
        g->order[s] = s;
        g->wider += shift[s] > 0.0;
    }
    qsort_r(g->order, (size_t)g->shifts, sizeof *g->order, nearer, shift);
cleanup:
    dm_free(shift);
    return st;
}

static demarc_status list_cells(dm_sweep_rings *g, const int64_t *rows)
{
    demarc_status st = DEMARC_OK;
    const int64_t all = (int64_t)g->k * g->shifts * g->k;
    int64_t cells = 0;
    for (int64_t i = 0; i < all; i++) cells += rows[i] > 0;
    DM_TRY(dm_alloc(g->cell, cells, "cells"));
    for (int32_t j = 0; j < g->k; j++) {
        g->begin[j] = g->cells;
        for (int32_t s = 0; s < g->shifts; s++) {
            const int32_t cut = j * g->shifts + g->order[s];
            for (int32_t l = 0; l < g->k; l++) {
                const int64_t at = (int64_t)cut * g->k + l;
                g->index[at] = rows[at] > 0 ? g->cells : -1;
                if (rows[at] > 0) g->cell[g->cells++] = (dm_sweep_cell){j, cut, l, rows[at]};
            }
        }
    }
    g->begin[g->k] = g->cells;
cleanup:
    return st;
}

demarc_status dm_sweep_rings_find(dm_sweep_rings *g, const dm_frozen *f, int32_t shifts, const dm_cuts *cuts,
                                  const dm_cut *cut)
{
    demarc_status st = DEMARC_OK;
    const int64_t k = f->model->k, all = k * shifts * k;
    dm_block_sums sums = {0};
    ring_count c = {.g = g};
    *g = (dm_sweep_rings){.k = f->model->k, .shifts = shifts, .cuts = cuts, .cut = cut};
    st = order_shifts(g);
    if (st == DEMARC_OK) st = dm_alloc(g->index, all, "cells");
    if (st == DEMARC_OK) st = dm_alloc(g->begin, k + 1, "cells");
    if (st == DEMARC_OK) st = dm_block_sums_create(&sums, 1, 0, all);
    DM_TRY_ALL(f->comm, st);
    c.rows = sums.number;
    DM_TRY(dm_block_pass(&sums, f, "rings", 0, count_block, &c));
    DM_TRY_ALL(f->comm, list_cells(g, sums.number));
cleanup:
    dm_block_sums_destroy(&sums);
    return st;
}

void dm_sweep_rings_clear(dm_sweep_rings *g)
{
    dm_free(g->order);
    dm_free(g->cell);
    dm_free(g->index);
    dm_free(g->begin);
    *g = (dm_sweep_rings){0};
}

void dm_sweep_movers_of(const dm_sweep_rings *g, int32_t cut, int32_t *first, int32_t *end)
{
    const int32_t j = g->cut[cut].segment, at = j * g->shifts;
    int32_t from = 0, to = 0, i = g->begin[j];
    side_of(g, g->cut[cut].shift > 0.0, &from, &to);
    /* Cells of a segment stand in the order of its cuts. */
    for (int32_t s = 0; s < from; s++) {
        while (i < g->begin[j + 1] && g->cell[i].cut == at + g->order[s]) i++;
    }
    *first = i;
    for (int32_t s = from; s < to; s++) {
        while (i < g->begin[j + 1] && g->cell[i].cut == at + g->order[s]) i++;
        if (at + g->order[s] == cut) break;
    }
    *end = i;
}
