#include "boundary/exploratory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define SAMPLE_BLOCKS 4
#define FEWEST_ROWS 8
#define SAME_RANKS 0.995

/* The sampled rows of all ranks, in the order of rows. */
typedef struct sample {
    int32_t d, outcomes;
    int64_t rows;
    float *x;  /* [rows, d] working space: a monotone transform of what the file holds */
    double *y; /* [rows, outcomes] */
} sample;

/* ------------------------------------------------------------------------------------------------ names */

static bool next_sign(const char **p, unsigned char *sign)
{
    for (; **p != 0; (*p)++) {
        const unsigned char c = (unsigned char)**p;
        const bool upper = c >= 'A' && c <= 'Z', plain = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && c < 0x80) continue;
        *sign = upper ? (unsigned char)(c - 'A' + 'a') : c;
        (*p)++;
        return true;
    }
    return false;
}

/* Equal but for case and for what is neither a letter nor a digit; names without either are equal to none. */
static bool same_name(const char *a, const char *b)
{
    unsigned char x = 0, y = 0;
    int64_t signs = 0;
    for (;; signs++) {
        const bool more_a = next_sign(&a, &x), more_b = next_sign(&b, &y);
        if (more_a != more_b) return false;
        if (!more_a) return signs > 0;
        if (x != y) return false;
    }
}

/* Lowest feature that is weighed and has the outcome's name, -1 if none has. */
static int32_t named_alike(const dm_model *m, const char *outcome)
{
    for (int32_t i = 0; i < m->d && m->named; i++) {
        if (m->transform.factor[i] > 0.0 && same_name(m->feature.item[i], outcome)) return i;
    }
    return -1;
}

/* ------------------------------------------------------------------------------------------------ the sample */

/* Block i of the sample, i < min(SAMPLE_BLOCKS, blocks): spread over the file, ascending. */
static int64_t sampled_block(int64_t blocks, int64_t i)
{
    return blocks <= SAMPLE_BLOCKS ? i : (2 * i + 1) * blocks / (2 * SAMPLE_BLOCKS);
}

typedef struct copy_run {
    int64_t begin; /* the block's rows go to x from its first on */
    int32_t d;
    float *x;
} copy_run;

static void copy_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    const copy_run *run = context;
    (void)thread;
    (void)w;
    memcpy(run->x + (begin - run->begin) * run->d, x, (size_t)(rows * run->d) * sizeof *x);
}

/* This rank's rows of the sample. Local. */
static demarc_status own_sample(const dm_frozen *f, sample *s)
{
    demarc_status st = DEMARC_OK;
    const int64_t n = dm_rows_global(f->rows), blocks = dm_block_count(n);
    const dm_row_range range = dm_rows_range(f->rows);
    DM_TRY(dm_alloc(s->x, (int64_t)SAMPLE_BLOCKS * DM_BLOCK_ROWS * s->d, "sample of customers"));
    DM_TRY(dm_alloc(s->y, (int64_t)SAMPLE_BLOCKS * DM_BLOCK_ROWS * s->outcomes, "sample of customers"));
    for (int64_t i = 0; i < blocks && i < SAMPLE_BLOCKS; i++) {
        const int64_t begin = sampled_block(blocks, i) * DM_BLOCK_ROWS;
        const int64_t end = begin + DM_BLOCK_ROWS < n ? begin + DM_BLOCK_ROWS : n;
        if (begin < range.begin || begin >= range.end) continue;
        copy_run run = {.begin = begin, .d = s->d, .x = s->x + s->rows * s->d};
        DM_TRY(dm_rows_pass_range(f->rows, begin, end, copy_block, &run));
        DM_TRY(dm_customers_outcomes(f->customers, begin, end, s->y + s->rows * s->outcomes));
        s->rows += end - begin;
    }
cleanup:
    return st;
}

static void sample_clear(sample *s)
{
    dm_free(s->x);
    dm_free(s->y);
}

/* Everybody's, on every rank. Collective. */
static demarc_status share_sample(dm_comm *comm, const sample *own, sample *all)
{
    demarc_status st = DEMARC_OK;
    int64_t bytes = 0;
    all->d = own->d;
    all->outcomes = own->outcomes;
    DM_TRY(dm_comm_all_gather(comm, own->x, own->rows * own->d * (int64_t)sizeof *own->x, (void **)&all->x, &bytes));
    DM_TRY(dm_comm_all_gather(comm, own->y, own->rows * own->outcomes * (int64_t)sizeof *own->y, (void **)&all->y,
                              &bytes));
    all->rows = bytes / own->outcomes / (int64_t)sizeof *own->y;
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ ranks */

typedef struct keyed {
    double key;
    int64_t row;
} keyed;

static int by_key(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/*
 * rank[row] = twice the mean rank of each sorted row whose outcome is present, less the mean of all ranks; integers, so
 * that sums of their products are exact. Returns how many there are.
 */
static int64_t centred_ranks(const keyed *sorted, int64_t rows, const double *y, int64_t stride, int64_t *rank)
{
    int64_t present = 0, below = 0;
    for (int64_t i = 0; i < rows; i++) present += !isnan(y[sorted[i].row * stride]);
    for (int64_t i = 0, end = 0; i < rows; i = end) {
        int64_t equal = 0;
        for (end = i; end < rows && sorted[end].key == sorted[i].key; end++)
            equal += !isnan(y[sorted[end].row * stride]);
        for (int64_t at = i; at < end; at++) rank[sorted[at].row] = 2 * below + equal - present;
        below += equal;
    }
    return present;
}

/* Whether |rho| of two columns of centred ranks reaches the limit. */
static bool ranks_agree(int64_t rows, const int64_t *a, const int64_t *b, const double *y, int64_t stride)
{
    double aa = 0.0, bb = 0.0, ab = 0.0;
    for (int64_t r = 0; r < rows; r++) {
        if (isnan(y[r * stride])) continue;
        aa += (double)(a[r] * a[r]);
        bb += (double)(b[r] * b[r]);
        ab += (double)(a[r] * b[r]);
    }
    return aa > 0.0 && bb > 0.0 && fabs(ab) >= SAME_RANKS * sqrt(aa) * sqrt(bb);
}

typedef struct ranker {
    const sample *s;
    keyed *sorted;      /* [rows] */
    int64_t *x_rank;    /* [rows] */
    int64_t *y_rank;    /* [outcomes, rows] */
    int64_t *y_present; /* [outcomes] */
} ranker;

/* NaN, an outcome that is missing, goes to the end, where it has no rank. */
static void sort_column(ranker *k, const float *x, const double *y, int64_t stride)
{
    for (int64_t r = 0; r < k->s->rows; r++) {
        const double key = x != NULL ? (double)x[r * stride] : y[r * stride];
        k->sorted[r] = (keyed){isnan(key) ? (double)INFINITY : key, r};
    }
    qsort(k->sorted, (size_t)k->s->rows, sizeof *k->sorted, by_key);
}

static demarc_status ranker_create(ranker *k)
{
    demarc_status st = DEMARC_OK;
    const int64_t rows = k->s->rows, m = k->s->outcomes;
    DM_TRY(dm_alloc(k->sorted, rows, "ranks"));
    DM_TRY(dm_alloc(k->x_rank, rows, "ranks"));
    DM_TRY(dm_alloc(k->y_rank, m * rows, "ranks"));
    DM_TRY(dm_alloc(k->y_present, m, "ranks"));
    for (int64_t o = 0; o < m; o++) {
        sort_column(k, NULL, k->s->y + o, m);
        k->y_present[o] = centred_ranks(k->sorted, rows, k->s->y + o, m, k->y_rank + o * rows);
    }
cleanup:
    return st;
}

/* Lower feature[o] to i where feature i has the ranks of outcome o. */
static void try_feature(ranker *k, int32_t i, int64_t *feature)
{
    const int64_t rows = k->s->rows, m = k->s->outcomes;
    sort_column(k, k->s->x + i, NULL, k->s->d);
    for (int64_t o = 0; o < m; o++) {
        if (feature[o] <= i || k->y_present[o] < FEWEST_ROWS) continue;
        (void)centred_ranks(k->sorted, rows, k->s->y + o, m, k->x_rank);
        if (ranks_agree(rows, k->x_rank, k->y_rank + o * rows, k->s->y + o, m)) feature[o] = i;
    }
}

demarc_status dm_exploratory_find(const dm_frozen *f, int32_t *feature)
{
    demarc_status st = DEMARC_OK;
    const dm_schema *schema = dm_customers_schema(f->customers);
    const int32_t m = schema->outcome.count, d = f->model->d;
    sample own = {.d = d, .outcomes = m}, all = {0};
    ranker k = {.s = &all};
    int64_t *alike = NULL;
    if (m == 0) return DEMARC_OK;
    st = own_sample(f, &own);
    if (st == DEMARC_OK) st = dm_alloc(alike, m, "outcomes");
    DM_TRY_ALL(f->comm, st);
    DM_TRY(share_sample(f->comm, &own, &all));
    DM_TRY_ALL(f->comm, ranker_create(&k));
    for (int32_t o = 0; o < m; o++) alike[o] = INT64_MAX;
    /* Features are shared out over the ranks. */
    for (int32_t i = dm_comm_rank(f->comm); i < d; i += dm_comm_size(f->comm)) {
        if (f->model->transform.factor[i] > 0.0) try_feature(&k, i, alike);
    }
    dm_comm_min_i64(f->comm, alike, m);
    for (int32_t o = 0; o < m; o++) {
        feature[o] = named_alike(f->model, schema->outcome.item[o]);
        if (feature[o] < 0 && alike[o] != INT64_MAX) feature[o] = (int32_t)alike[o];
    }
cleanup:
    dm_free(k.sorted);
    dm_free(k.x_rank);
    dm_free(k.y_rank);
    dm_free(k.y_present);
    dm_free(alike);
    sample_clear(&own);
    sample_clear(&all);
    return st;
}
